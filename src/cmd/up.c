/* up.c - `vine up`: a child process a role, in order, started again when it falls, all stopped together.
 *
 * Order    A role starts once the one before it is ready, because the later ones are told where the registry really
 *          listens. They stop in the reverse order, so that a gateway can still deregister.
 * Ports    A child that was given port 0 keeps the port that it got when it is started again: others know it.
 * Address  The registry's URL comes to the others by their environment, with the credentials that the registry asks for: a
 *          command line could be read by everybody on the machine.
 * Groups   Children are in process groups of their own: Ctrl-C reaches the supervisor alone, which then drains them in
 *          order. Should the supervisor die, the kernel sends them SIGTERM.
 * Threads  One, with a loop. */
#include "cmd/backoff.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "codec/url.h"
#include "http/context.h"
#include "http/identities.h"
#include "manage/auth.h"
#include "manage/config.h"
#include "manage/host.h"
#include "manage/settings.h"
#include "props/props.h"

#define CHILDREN_MAX 16
#define STOP_GRACE (5 * USEC_PER_SEC) /* beyond the children's own drain time, before SIGKILL */
#define ARGS_MAX (CMDLINE_MAX + 16)
#define PLACE_MAX (100 + BASEPATH_MAX)
#define REGISTRY_URL_MAX (928 + PLACE_MAX)
#define REGISTRY_VARIABLE "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"

struct supervisor;

struct child {
	struct supervisor *up;
	const struct command *cmd;
	pid_t pid; /* 0: not running */
	struct io ready;       /* the pipe of its ready line; fd -1: none */
	struct timer again;    /* when to start it again */
	struct timer kill_at;
	struct backoff backoff;
	bool is_ready, was_ready; /* now; at least once */
	bool stopping;
	usec started;
	uint16_t port;
	char line[READY_LINE_MAX]; /* what the pipe gave */
	size_t line_len;
};

struct supervisor {
	const struct cmdline *cl;
	struct props *props;
	struct loop *loop;
	struct rng rng;
	struct log *logs;
	struct logger log;
	struct io signals;
	size_t n, n_begun; /* children; those that were started at least once */
	struct child child[CHILDREN_MAX];
	char registry_url[REGISTRY_URL_MAX];
	usec drain_time;
	int exit_code;
	bool stopping, said_ready;
	usec stop_began;
};

/* --- starting --- */

struct args {
	const char *v[ARGS_MAX];
	size_t n;
	struct arena arena;
};

static void add_arg(struct args *a, const char *arg)
{
	assert(a->n < ARGS_MAX - 1);
	a->v[a->n++] = arg;
	a->v[a->n] = NULL;
}

static bool is_registry(const struct child *c)
{
	return strcmp(c->cmd->name, "registry") == 0;
}

/* Whoever names a registry of his own means that one. */
static bool names_registry(const struct props *p)
{
	return props_is_set(p, "eureka.client.service-url.{zone}", STR("defaultZone"), false);
}

/* What the registry asks of its clients by Basic, as it stands in a URL: "user:password@", percent-encoded; nothing where it
 * asks for nothing, or for what a URL cannot carry. */
static void add_login(struct buf *b, const struct props *p)
{
	struct str user = props_str(p, "spring.security.user.name"), password = props_str(p, "spring.security.user.password");

	if (password.len == 0 && props_keys(p, "vine.registry.auth.users.", &user, 1) > 0)
		password = props_str_of(p, "vine.registry.auth.users.{user}", user);
	if (password.len == 0 || !auth_plain_password(&password))
		return;
	url_encode_segment(b, user);
	buf_addc(b, ':');
	url_encode_segment(b, password);
	buf_addc(b, '@');
}

/* at: host:port and the context path. A URL that is too long stays without credentials; the gateway then says that it is not
 * let in. */
static void write_registry_url(char out[REGISTRY_URL_MAX], const struct props *p, const char *scheme, struct str at)
{
	struct buf login = BUF_INIT(REGISTRY_URL_MAX - PLACE_MAX - 28);

	add_login(&login, p);
	snprintf(out, REGISTRY_URL_MAX, "%s://%.*s%.*s/eureka/", scheme, login.failed ? 0 : (int)login.len, login.ptr,
		 (int)MIN(at.len, (size_t)PLACE_MAX), at.ptr);
	buf_fini(&login);
}

static uint16_t port_of(const struct child *c)
{
	return c->port ? c->port : settings_up_port(c->up->props, c->cmd->role);
}

static void make_args(struct child *c, struct args *a, int ready_fd)
{
	struct supervisor *up = c->up;

	add_arg(a, up->cl->program);
	add_arg(a, c->cmd->name);
	if (up->cl->config) {
		add_arg(a, "-c");
		add_arg(a, up->cl->config);
	}
	for (size_t i = 0; i < up->cl->n_props; i++)
		add_arg(a, str_printf_in(&a->arena, "--%s", up->cl->props[i]).ptr);
	add_arg(a, "--default-address=127.0.0.1");
	add_arg(a, str_printf_in(&a->arena, "--ready-fd=%d", ready_fd).ptr);
	add_arg(a, str_printf_in(&a->arena, "--server.port=%u", port_of(c)).ptr);
}

static void run_child(struct child *c, int ready_fd)
{
	struct args a = { .n = 0 };
	sigset_t none;

	arena_init(&a.arena, 1024);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (!is_registry(c) && c->up->registry_url[0] && !names_registry(c->up->props))
		setenv(REGISTRY_VARIABLE, c->up->registry_url, 1);
	make_args(c, &a, ready_fd);
	execv("/proc/self/exe", (char *const *)(uintptr_t)a.v);
	fprintf(stderr, "vine up: cannot start %s: %s\n", c->cmd->name, strerror(errno));
	_exit(EXIT_FAILED);
}

static void on_ready_pipe(struct io *io, uint32_t events);

static void child_start(struct child *c)
{
	struct supervisor *up = c->up;
	int fds[2];

	c->is_ready = false;
	c->line_len = 0;
	c->started = clock_mono();
	if (pipe2(fds, O_CLOEXEC) < 0) {
		LOG(&up->log, LOG_ERROR, "cannot make a pipe", F_Z("why", strerror(errno)));
		timer_set(up->loop, &c->again, c->started + USEC_PER_SEC);
		return;
	}
	fflush(stdout);
	c->pid = fork();
	if (c->pid == 0) {
		fcntl(fds[1], F_SETFD, 0);
		run_child(c, fds[1]);
	}
	close(fds[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(fds[0]);
		LOG(&up->log, LOG_ERROR, "cannot make a process", F_Z("why", strerror(errno)));
		timer_set(up->loop, &c->again, c->started + USEC_PER_SEC);
		return;
	}
	c->ready = (struct io){ .fd = fds[0], .fn = on_ready_pipe };
	loop_add(up->loop, &c->ready, EPOLLIN);
}

static void close_ready(struct child *c)
{
	if (c->ready.fd < 0)
		return;
	loop_del(c->up->loop, &c->ready);
	close(c->ready.fd);
	c->ready.fd = -1;
}

static void start_again(struct timer *t)
{
	struct child *c = container_of(t, struct child, again);

	if (!c->up->stopping)
		child_start(c);
}

/* --- ready --- */

static void start_next(struct supervisor *up)
{
	if (up->n_begun < up->n && !up->stopping)
		child_start(&up->child[up->n_begun++]);
}

static void say_all_ready(struct supervisor *up)
{
	for (size_t i = 0; i < up->n; i++) {
		if (!up->child[i].is_ready)
			return;
	}
	if (up->said_ready)
		return;
	up->said_ready = true;
	for (size_t i = 0; i < up->n; i++)
		printf("%.*s\n", (int)up->child[i].line_len, up->child[i].line);
	printf("vine up: all %zu roles are ready, supervisor pid %d; Ctrl-C stops them\n", up->n, (int)getpid());
	fflush(stdout);
}

/* "vine registry ready: http://127.0.0.1:8761/ctx (management ...": the URL names the real port, the context path, and whether
 * it is https. */
static void child_ready(struct child *c)
{
	struct supervisor *up = c->up;
	struct str line = str_of(c->line, c->line_len), shown;
	ptrdiff_t at = str_find(line, STR("http"));
	struct url url;
	struct err e;

	if (at < 0)
		return;
	line = str_slice(line, (size_t)at, line.len);
	str_cut(&line, ' ', &shown);
	if (url_split(&url, shown, &e) < 0 || url.port == 0)
		return;
	c->is_ready = c->was_ready = true;
	c->port = url.port;
	if (is_registry(c))
		write_registry_url(up->registry_url, up->props, url.secure ? "https" : "http",
				   str_slice(shown, (size_t)str_find(shown, STR("//")) + 2, shown.len));
	LOG(&up->log, LOG_INFO, "role is ready", F_Z("role", c->cmd->name), F_INT("pid", c->pid), F_STR("url", shown));
	if (c == &up->child[up->n_begun - 1])
		start_next(up);
	say_all_ready(up);
}

static void on_ready_pipe(struct io *io, uint32_t events)
{
	struct child *c = container_of(io, struct child, ready);
	ssize_t n = read(io->fd, c->line + c->line_len, sizeof(c->line) - c->line_len);
	char *lf;

	(void)events;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		c->line_len += (size_t)n;
	lf = memchr(c->line, '\n', c->line_len);
	if (lf || n <= 0 || c->line_len == sizeof(c->line)) {
		c->line_len = lf ? (size_t)(lf - c->line) : 0;
		close_ready(c);
		if (lf)
			child_ready(c);
	}
}

/* --- ending --- */

static void kill_child(struct timer *t)
{
	struct child *c = container_of(t, struct child, kill_at);

	if (c->pid <= 0)
		return;
	LOG(&c->up->log, LOG_WARN, "role did not stop in time and is killed", F_Z("role", c->cmd->name), F_INT("pid", c->pid));
	kill(c->pid, SIGKILL);
}

/* Told once more, it waits for no request; its time counts from the first. */
static void stop_child(struct child *c)
{
	if (!c->stopping)
		timer_set(c->up->loop, &c->kill_at, clock_mono() + c->up->drain_time + STOP_GRACE);
	c->stopping = true;
	kill(c->pid, SIGTERM);
}

/* One after the other, the last started first. */
static void stop_next(struct supervisor *up)
{
	for (size_t i = up->n; i-- > 0;) {
		struct child *c = &up->child[i];

		timer_cancel(up->loop, &c->again);
		if (c->pid <= 0)
			continue;
		if (!c->stopping)
			stop_child(c);
		return;
	}
	loop_stop(up->loop);
}

static void stop_all(struct supervisor *up, int exit_code)
{
	if (up->stopping && clock_mono() - up->stop_began < SIGNAL_REPEAT)
		return;
	if (up->stopping) { /* a second signal: everybody at once, and without waiting for requests */
		for (size_t i = 0; i < up->n; i++) {
			if (up->child[i].pid > 0)
				stop_child(&up->child[i]);
		}
		return;
	}
	up->stopping = true;
	up->stop_began = clock_mono();
	up->exit_code = exit_code;
	stop_next(up);
}

static int code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void child_ended(struct child *c, int status)
{
	struct supervisor *up = c->up;
	int code = code_of(status);
	bool was_ready = c->is_ready;
	usec pause, now = clock_mono();

	close_ready(c);
	timer_cancel(up->loop, &c->kill_at);
	c->pid = 0;
	c->is_ready = false;
	if (up->stopping) {
		bool was_early = WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM; /* before it listened */

		if (code != 0 && !was_early && up->exit_code == 0)
			up->exit_code = EXIT_FAILED;
		stop_next(up);
		return;
	}
	if (backoff_ended(&c->backoff, was_ready, now - c->started, &up->rng, &pause) == UP_GIVE_UP) {
		fprintf(stderr, "vine up: %s failed to start %d times, the last time with exit code %d\n", c->cmd->name,
			UP_START_FAILURES, code);
		stop_all(up, code ? code : EXIT_FAILED);
		return;
	}
	LOG(&up->log, LOG_WARN, "role has ended and is started again", F_Z("role", c->cmd->name), F_INT("code", code),
	    F_INT("in_ms", pause / USEC_PER_MSEC));
	timer_set(up->loop, &c->again, now + pause);
}

static void reap(struct supervisor *up)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < up->n; i++) {
			if (up->child[i].pid == pid)
				child_ended(&up->child[i], status);
		}
	}
}

/* Who is not ready reads the files anyway, and may not listen yet: it would fall. */
static void reload_all(struct supervisor *up)
{
	for (size_t i = 0; i < up->n; i++) {
		if (up->child[i].is_ready)
			kill(up->child[i].pid, SIGHUP);
	}
}

static void on_signal(struct io *io, uint32_t events)
{
	struct supervisor *up = container_of(io, struct supervisor, signals);
	struct signalfd_siginfo si;

	(void)events;
	while (read(io->fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(up);
		else if (si.ssi_signo == SIGHUP)
			reload_all(up);
		else
			stop_all(up, 0);
	}
}

/* --- set-up --- */

static const struct command *role_named(struct str name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (c->role && str_eq(name, str_from(c->name)))
			return c;
	}
	return NULL;
}

static int pick_roles(const struct props *p, const struct command *out[CHILDREN_MAX], size_t *ret, struct err *e)
{
	struct str name[CHILDREN_MAX];
	size_t n = props_list(p, "vine.up.roles", STR_EMPTY, name, CHILDREN_MAX);

	for (size_t i = 0; i < n; i++) {
		out[i] = role_named(name[i]);
		for (size_t k = 0; k < i; k++) {
			if (out[k] == out[i])
				return err_set(e, VINE_EINVAL, "vine.up.roles: %.*s is there twice", STRF(name[i]));
		}
		if (!out[i])
			return err_set(e, VINE_EINVAL, "vine.up.roles: there is no role \"%.*s\"", STRF(str_slice(name[i], 0, 60)));
	}
	if (n == 0)
		return err_set(e, VINE_EINVAL, "vine.up.roles is empty");
	*ret = n;
	return 0;
}

static int run_single(const struct cmdline *cl, const struct props *props, const struct command *const *roles, size_t n)
{
	const struct role_ops *ops[CHILDREN_MAX];
	struct host_opts opts = host_opts_of(cl);
	const char *args[CMDLINE_MAX + 1];
	char url[REGISTRY_URL_MAX], zone[REGISTRY_URL_MAX + 64], at[PLACE_MAX];
	struct contexts paths;

	contexts_read(&paths, props);
	memcpy(args, cl->props, cl->n_props * sizeof(*args));
	opts.args = args;
	for (size_t i = 0; i < n; i++) {
		uint16_t port = settings_up_port(props, roles[i]->role);

		ops[i] = roles[i]->role;
		if (strcmp(roles[i]->name, "registry") != 0 || port == 0 || names_registry(props))
			continue;
		snprintf(at, sizeof(at), "127.0.0.1:%u%.*s", port, STRF(basepath_str(&paths.server)));
		write_registry_url(url, props, identities_listens(props) ? "https" : "http", str_from(at));
		snprintf(zone, sizeof(zone), "eureka.client.service-url.defaultZone=%s", url);
		args[opts.n_args++] = zone;
	}
	opts.default_address = "127.0.0.1";
	opts.own_ports = true;
	return host_run_all(ops, n, &opts);
}

static void open_signals(struct supervisor *up)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	up->signals = (struct io){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal };
	if (up->signals.fd < 0 || loop_add(up->loop, &up->signals, EPOLLIN) < 0)
		abort();
}

static int supervise(const struct cmdline *cl, struct props *props, const struct command *const *roles, size_t n)
{
	struct supervisor up = { .cl = cl, .props = props, .n = n };

	up.loop = loop_new();
	up.logs = log_new(STDERR_FILENO, LOG_LOGFMT);
	config_apply_log(props, NULL, up.logs);
	up.log = logger_of(up.logs, "vine.up", "up");
	up.drain_time = config_drain_time(props);
	rng_seed_os(&up.rng);
	for (size_t i = 0; i < n; i++) {
		up.child[i] = (struct child){ .up = &up, .cmd = roles[i], .ready.fd = -1 };
		timer_init(&up.child[i].again, start_again);
		timer_init(&up.child[i].kill_at, kill_child);
	}
	open_signals(&up);
	start_next(&up);
	loop_run(up.loop);
	close(up.signals.fd);
	loop_free(up.loop);
	log_free(up.logs);
	return up.exit_code;
}

int cmd_up(const struct command *cmd, const struct cmdline *cl)
{
	const struct command *roles[CHILDREN_MAX];
	struct host_opts opts = host_opts_of(cl);
	struct props *props = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = config_load(&props, &opts, &e);

	if (r == 0)
		r = pick_roles(props, roles, &n, &e);
	if (r < 0)
		fprintf(stderr, "vine up: %s\n", e.text);
	if (r < 0)
		r = EXIT_FAILED;
	else
		r = cl->single ? run_single(cl, props, roles, n) : supervise(cl, props, roles, n);
	props_unref(props);
	return r;
}
