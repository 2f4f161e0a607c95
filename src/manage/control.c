/* control.c - the control thread: sets a process up, takes signals, drains and ends it.
 *
 * Signals   Blocked in every thread before the first is made, and read from a signalfd: nothing runs in signal context.
 *           SIGTERM and SIGINT drain, the second one cuts off; SIGHUP reloads; SIGPIPE and SIGXFSZ are ignored: writes
 *           say EPIPE and EFBIG.
 * End       Hosts drain one after the other, the last started first. */
#include "manage/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "http/identities.h"
#include "manage/actuator.h"

#define DNS_TTL (30 * USEC_PER_SEC)
#define DNS_THREADS 2
#define DNS_QUEUE 256

/* --- signals --- */

static void on_signal(struct io *io, uint32_t events)
{
	struct control *c = container_of(io, struct control, signals);
	struct signalfd_siginfo si;

	(void)events;
	while (read(io->fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			config_reload(c);
		else
			control_drain(c, c->exit_code);
	}
}

static void signals_open(struct control *c)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	c->signals = (struct io){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal };
	if (c->signals.fd < 0 || loop_add(c->loop, &c->signals, EPOLLIN) < 0)
		abort();
}

/* --- drain --- */

static void drain_next(struct control *c)
{
	while (c->n_started > 0) {
		struct host *h = &c->hosts[c->n_started - 1];

		if (!h->drained) {
			host_begin_drain(h);
			if (c->forced)
				control_host_drained(c, h);
			return;
		}
		c->n_started--;
	}
	loop_stop(c->loop);
}

void control_host_drained(struct control *c, struct host *h)
{
	if (h->drained)
		return;
	h->drained = true;
	host_stop(h);
	LOG(&h->log, LOG_INFO, "stopped", F_BOOL("forced", c->forced));
	drain_next(c);
}

void control_drain(struct control *c, int exit_code)
{
	c->exit_code = exit_code;
	if (c->phase != PHASE_DRAIN)
		c->drain_began = clock_mono();
	if (c->phase == PHASE_START) {
		c->phase = PHASE_DRAIN; /* seen when the start comes to its next step */
		return;
	}
	if (c->phase == PHASE_DRAIN) {
		if (clock_mono() - c->drain_began < SIGNAL_REPEAT)
			return;
		c->forced = true;
		if (c->n_started > 0)
			control_host_drained(c, &c->hosts[c->n_started - 1]);
		return;
	}
	c->phase = PHASE_DRAIN;
	LOG(&c->log, LOG_INFO, "draining");
	drain_next(c);
}

/* --- set-up --- */

/* Connections need descriptors; the soft limit of 1024 is there for programs that use select. */
static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static void control_open(struct control *c)
{
	struct http_client_opts co = { 0 };

	raise_limits();
	c->loop = loop_new();
	mailbox_init(&c->mailbox, c->loop);
	rng_seed_os(&c->rng);
	signals_open(c);
	c->dns_lane = jobs_lane_new("dns", DNS_THREADS, DNS_QUEUE);
	c->dns = dns_new(c->loop, &c->mailbox, c->dns_lane, DNS_TTL);
	co.dns = c->dns;
	c->client = http_client_new(c->loop, &co);
	c->tls = identities_new();
}

/* A lookup may hang for half a minute in the system's resolver: the process does not wait for it, and then leaves the
 * memory that the thread will touch alone. */
static bool lane_is_busy(struct control *c)
{
	struct jobs_stats s;

	jobs_lane_stats(c->dns_lane, &s);
	return s.active > 0;
}

static void control_close(struct control *c)
{
	timer_cancel(c->loop, &c->watch);
	loop_turn(c->loop, 0); /* what roles have left to the turn's end still lets go of the client's peers */
	http_client_free(c->client);
	loop_turn(c->loop, 0);
	dns_free(c->dns);
	loop_del(c->loop, &c->signals);
	close(c->signals.fd);
	mailbox_fini(&c->mailbox);
	loop_free(c->loop);
	if (lane_is_busy(c))
		return;
	jobs_lane_free(c->dns_lane);
	for (size_t i = 0; i < c->n_hosts; i++)
		host_fini(&c->hosts[i]);
	free(c->hosts);
	identities_free(c->tls);
	props_unref(c->props);
}

/* --- start --- */

#define URL_TEXT_MAX (ADDR_TEXT_MAX + 16 + BASEPATH_MAX)

static void url_of(const struct addr *a, bool secure, struct str context, char out[URL_TEXT_MAX])
{
	struct addr shown = *a;
	char text[ADDR_TEXT_MAX];

	/* "every address" is nothing that one could click on */
	if (a->sa.sa_family == AF_INET && a->in.sin_addr.s_addr == htonl(INADDR_ANY))
		addr_parse_ip(&shown, STR("127.0.0.1"), addr_port(a));
	if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr))
		addr_parse_ip(&shown, STR("127.0.0.1"), addr_port(a));
	addr_text(&shown, text);
	snprintf(out, URL_TEXT_MAX, "%s://%s%.*s", secure ? "https" : "http", text, STRF(context));
}

static void say_ready(struct control *c, struct host *h)
{
	char url[URL_TEXT_MAX], management[URL_TEXT_MAX], line[READY_LINE_MAX];
	bool own = h->management != NULL;
	int n;
	ssize_t r;

	url_of(&h->address, h->listen_tls != NULL, h->context, url);
	url_of(&h->management_address, own ? h->management_tls != NULL : h->listen_tls != NULL,
	       contexts_of_management(h->paths, own), management);
	n = snprintf(line, sizeof(line), "vine %s ready: %s (management %s%.*s) pid %d\n", h->ops->name, url, management,
		     STRF(basepath_str(&h->paths->actuator)), (int)getpid());
	r = write(c->opts->ready_fd > 0 ? c->opts->ready_fd : STDOUT_FILENO, line, (size_t)n);
	(void)r; /* nobody has to read it */
	h->is_ready = true;
	h->ready_after = clock_mono() - h->started;
	LOG(&h->log, LOG_INFO, "ready", F_Z("url", url), F_INT("workers", h->n_workers),
	    F_INT("after_ms", h->ready_after / USEC_PER_MSEC));
}

static int start_hosts(struct control *c, const struct role_ops *const *ops, size_t n, struct err *e)
{
	c->hosts = xzalloc(n * sizeof(*c->hosts));
	for (size_t i = 0; i < n; i++) {
		struct host *h = &c->hosts[i];

		host_init(h, c, ops[i]);
		c->n_hosts++;

		int r = host_start(h, e);

		if (r < 0) {
			host_stop(h);
			h->drained = true;
			return r;
		}
		c->n_started++;
		if (h->ops->ready)
			h->ops->ready(h);
		if (c->phase == PHASE_DRAIN)
			return 0; /* a signal came while we started */
		say_ready(c, h);
	}
	return 0;
}

static void stop_started(struct control *c)
{
	while (c->n_started > 0)
		host_stop(&c->hosts[--c->n_started]);
}

int host_run_all(const struct role_ops *const *ops, size_t n, const struct host_opts *opts)
{
	struct control c = { .opts = opts };
	struct err e = { 0 };
	int r = config_first_load(&c, &e);

	if (r < 0) {
		fprintf(stderr, "vine %s: %s\n", ops[0]->name, e.text);
		load_files_fini(&c.files);
		return 1;
	}
	c.logs = log_new(STDERR_FILENO, LOG_LOGFMT);
	c.log = logger_of(c.logs, "vine.control", "control");
	config_apply_log(c.props, NULL, c.logs);
	control_open(&c);
	r = start_hosts(&c, ops, n, &e);
	if (r < 0) {
		fprintf(stderr, "vine %s: %s\n", ops[c.n_hosts - 1]->name, e.text);
		c.exit_code = 1;
		stop_started(&c);
	} else if (c.phase == PHASE_DRAIN) {
		stop_started(&c);
	} else {
		c.phase = PHASE_RUN;
		config_watch(&c);
		loop_run(c.loop);
	}
	control_close(&c);
	load_files_fini(&c.files);
	log_free(c.logs);
	return c.exit_code;
}

int host_run(const struct role_ops *ops, const struct host_opts *opts)
{
	return host_run_all(&ops, 1, opts);
}
