/* accesslog.c - see accesslog.h. Written by hand, without printf: it is on the way of each request. */
#include "gateway/accesslog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define BATCH (32u * 1024)
#define LINE_ROOM 4096
#define PATH_SHOWN 1024
#define NAME_SHOWN 128

void access_log_flush(struct access_log *a)
{
	size_t at = 0;

	while (at < a->out.len) {
		ssize_t n = write(a->fd, a->out.ptr + at, a->out.len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			for (; at < a->out.len; at++)
				a->lost += a->out.ptr[at] == '\n';
			break;
		}
		at += (size_t)n;
	}
	buf_clear(&a->out);
}

static void on_timer(struct timer *t)
{
	access_log_flush(container_of(t, struct access_log, timer));
}

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

int access_log_open(struct access_log *a, struct loop *loop, const char *name, struct str path, struct err *e)
{
	*a = (struct access_log){ .loop = loop, .fd = -1 };
	a->begin_len = (unsigned)MIN(snprintf(a->begin, sizeof(a->begin), " access %s method=", name), (int)sizeof(a->begin) - 1);
	timer_init(&a->timer, on_timer);
	buf_init(&a->out, BATCH + 2 * LINE_ROOM);
	if (str_eq(path, STR("off")))
		return 0;
	if (str_eq(path, STR("stdout"))) {
		a->fd = STDOUT_FILENO;
		return 0;
	}
	if (path.len >= sizeof(a->path))
		return err_set(e, VINE_ELIMIT, "vine.gateway.access-log: the path is too long");
	memcpy(a->path, path.ptr, path.len);
	a->fd = open_file(a->path);
	if (a->fd < 0)
		return err_errno(e, "cannot open the access log '%s'", a->path);
	a->owns_fd = true;
	return 0;
}

void access_log_reopen(struct access_log *a)
{
	if (!a->owns_fd)
		return;
	access_log_flush(a);

	int fd = open_file(a->path);

	if (fd < 0)
		return; /* goes on in the old file */
	close(a->fd);
	a->fd = fd;
}

void access_log_close(struct access_log *a)
{
	if (!a->loop)
		return;
	access_log_flush(a);
	timer_cancel(a->loop, &a->timer);
	if (a->owns_fd)
		close(a->fd);
	buf_fini(&a->out);
	*a = (struct access_log){ 0 };
}

/* The wall clock at `now`, read once a second; its text made once a millisecond at most, and only the digits that moved. */
static void put_stamp(struct access_log *a, usec now)
{
	if (now - a->read_at >= USEC_PER_SEC || a->read_at == 0) {
		a->wall_minus_mono = clock_wall_usec() - clock_mono();
		a->read_at = now;
	}

	msec wall = (now + a->wall_minus_mono) / USEC_PER_MSEC;

	if (wall / 1000 != a->stamp_at / 1000)
		clock_wall_text(a->stamp, wall);
	a->stamp_at = wall;
	a->stamp[20] = (char)('0' + wall / 100 % 10);
	a->stamp[21] = (char)('0' + wall / 10 % 10);
	a->stamp[22] = (char)('0' + wall % 10);
	buf_add(&a->out, a->stamp, 24);
}

static void put_text(struct buf *b, struct str s)
{
	if (s.len && str_is_graphic(s)) {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			buf_addc(b, '\\');
		if (c < ' ' || c == 0x7f) {
			buf_adds(b, STR("\\u00"));
			buf_add_hex(b, c, 2);
		} else {
			buf_addc(b, (char)c);
		}
	}
	buf_addc(b, '"');
}

/* The name of a service or server: looked at once, when it was made. */
static void put_known(struct buf *b, struct str name, bool is_graphic)
{
	if (likely(is_graphic && name.len <= NAME_SHOWN))
		buf_adds(b, name);
	else
		put_text(b, str_slice(name, 0, NAME_SHOWN));
}

static void put_ms(struct buf *b, usec took)
{
	uint64_t us = (uint64_t)MAX(took, (usec)0);
	char frac[4] = { '.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10) };

	buf_add_u64(b, us / 1000);
	buf_add(b, frac, 4);
}

static void put_num(struct buf *b, struct str key, uint64_t v)
{
	buf_adds(b, key);
	buf_add_u64(b, v);
}

void access_log_write(struct access_log *a, const struct access_line *l)
{
	const struct exchange *ex = l->ex;
	struct buf *b = &a->out;

	if (a->fd < 0)
		return;
	put_stamp(a, l->now);
	buf_adds(b, str_of(a->begin, a->begin_len));
	buf_adds(b, ex->req.method);
	buf_adds(b, STR(" path="));
	/* As it came: the raw form is for the log. Not the query, where people put tokens. */
	put_text(b, str_slice(ex->req.path.len ? ex_path(ex) : ex->req.target, 0, PATH_SHOWN));
	put_num(b, STR(" status="), ex->status);
	buf_adds(b, STR(" ms="));
	put_ms(b, l->now - ex->began);
	if (l->service.len) {
		buf_adds(b, STR(" service="));
		put_known(b, l->service, l->service_is_graphic);
	}
	if (l->upstream.len) {
		buf_adds(b, STR(" upstream="));
		put_known(b, l->upstream, l->upstream_is_graphic);
	}
	put_num(b, STR(" tries="), l->tries);
	put_num(b, STR(" in="), ex->in_bytes);
	put_num(b, STR(" out="), ex->out_bytes);
	buf_adds(b, STR(" peer="));
	buf_adds(b, ex_peer_text(l->ex));
	if (l->trace_len) {
		buf_adds(b, STR(" trace="));
		buf_add(b, l->trace, l->trace_len);
	}
	if (l->cause.len) {
		buf_adds(b, STR(" cause="));
		put_text(b, l->cause);
	}
	if (l->fallback) {
		buf_adds(b, STR(" fallback="));
		buf_addz(b, l->fallback);
	}
	if (ex->aborted)
		buf_adds(b, STR(" aborted=true"));
	buf_addc(b, '\n');
	if (b->len >= BATCH)
		access_log_flush(a);
	else if (a->timer.at == USEC_NEVER)
		timer_set(a->loop, &a->timer, l->now + USEC_PER_SEC);
}
