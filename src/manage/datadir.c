/* datadir.c - see datadir.h.
 *
 * Without vine.data-dir: systemd's StateDirectory if it gave one, /var/lib/vine under systemd, else $XDG_STATE_HOME/vine,
 * else ~/.local/state/vine. The lock is flock on a file that stays: it goes with the process, however that ends, and the
 * file's text names the holder. */
#include "manage/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manage/control.h"

static bool default_base(char *out, size_t n)
{
	const char *state = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && state[0] == '/')
		snprintf(out, n, "%.*s", (int)strcspn(state, ":"), state);
	else if (getenv("INVOCATION_ID") && geteuid() == 0)
		snprintf(out, n, "/var/lib/vine");
	else if (xdg && xdg[0] == '/')
		snprintf(out, n, "%s/vine", xdg);
	else if (home && home[0] == '/')
		snprintf(out, n, "%s/.local/state/vine", home);
	else
		return false;
	return true;
}

/* Makes the folder and those above it. */
static int make_path(const char *path, struct err *e)
{
	char part[256];

	for (const char *p = path + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, 0750) < 0 && errno != EEXIST && errno != EROFS && errno != EISDIR)
			return err_errno(e, "cannot make the data directory %s", part);
		if (*p == '\0')
			return 0;
	}
}

static int lock(struct host *h, struct err *e)
{
	char path[sizeof(h->data_dir) + 8], text[24] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/lock", h->data_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_errno(e, "cannot write to the data directory %s", h->data_dir);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		close(fd);
		text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
		return err_set(e, VINE_EEXIST, "the data directory %s is in use by another vine %s (process %s)", h->data_dir,
			       h->ops->name, text[0] ? text : "unknown");
	}

	/* The lock is had; the number is only for the message above, and a full disk is no reason not to start. */
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (pwrite(fd, text, (size_t)len, 0) != len || ftruncate(fd, len) < 0) {
		struct err why;

		err_errno(&why, "%s", path);
		LOG(&h->log, LOG_WARN, "cannot write to the data directory", F_Z("why", why.text));
	}
	h->lock_fd = fd;
	return 0;
}

int datadir_open(struct host *h, struct err *e)
{
	char base[200];
	int n, r;

	bool keeps = h->ops->flags & ROLE_DATA_DIR && (!h->ops->keeps_files || h->ops->keeps_files(h->props));

	if (!h->settings->has_data_dir && !keeps)
		return 0;
	if (h->settings->has_data_dir)
		snprintf(base, sizeof(base), "%s", h->settings->data_dir);
	else if (!default_base(base, sizeof(base)))
		return err_set(e, VINE_EINVAL, "no place for data: set vine.data-dir, XDG_STATE_HOME or HOME");
	n = snprintf(h->data_dir, sizeof(h->data_dir), "%s/%s", base, h->ops->name);
	if (n >= (int)sizeof(h->data_dir) || base[0] != '/') {
		h->data_dir[0] = '\0';
		return err_set(e, VINE_EINVAL, "vine.data-dir = %s: must be an absolute path of at most %d bytes", base, (int)sizeof(base) - 1);
	}
	r = make_path(h->data_dir, e);
	return r < 0 ? r : lock(h, e);
}

void datadir_close(struct host *h)
{
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	h->lock_fd = -1;
}
