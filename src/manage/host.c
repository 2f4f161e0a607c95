/* host.c - see host.h: a role's workers, how they start, drain and end.
 *
 * Invariants   h->n_running counts threads that are to be joined. A worker's mailbox is open from before its thread starts
 *              until the thread's last act, so that posting never needs to ask whether it lives.
 * Start        Worker 0 goes first, because with port 0 the kernel picks the port when it listens; the others share it. A
 *              given port is first tried without SO_REUSEPORT: somebody else's socket is an error, not a partner.
 * Threads      Everything on the control thread but worker_* (the worker's) and the posting functions (any). */
#include "manage/host.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "http/context.h"
#include "http/identities.h"
#include "http/limits.h"
#include "manage/actuator.h"
#include "manage/control.h"
#include "manage/datadir.h"
#include "manage/documents.h"
#include "manage/health.h"
#include "manage/httpmeter.h"
#include "manage/meters.h"
#include "manage/procmeters.h"
#include "props/props.h"

#define DNS_TTL (30 * USEC_PER_SEC)
#define MANAGEMENT_CONNECTIONS 256
#define IDLE_POLL (10 * USEC_PER_MSEC) /* how often a draining worker looks whether it is done */

/* --- between threads --- */

struct worker_call {
	struct mail mail;
	struct worker *w;
	void (*fn)(struct worker *w, void *arg);
	void *arg;
};

static void run_worker_call(struct mail *m)
{
	struct worker_call *c = container_of(m, struct worker_call, mail);

	c->fn(c->w, c->arg);
	free(c);
}

bool worker_post(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
	struct worker_call *c = xmalloc(sizeof(*c));

	*c = (struct worker_call){ .w = w, .fn = fn, .arg = arg };
	if (mailbox_post(&w->mailbox, &c->mail, run_worker_call))
		return true;
	free(c);
	return false;
}

struct control_letter {
	struct mail mail;
	struct host *h;
	void (*fn)(struct host *h, void *arg);
	void *arg;
};

static void run_control_letter(struct mail *m)
{
	struct control_letter *c = container_of(m, struct control_letter, mail);

	c->fn(c->h, c->arg);
	free(c);
}

bool host_call_control(struct host *h, void (*fn)(struct host *h, void *arg), void *arg)
{
	struct control_letter *c = xmalloc(sizeof(*c));

	*c = (struct control_letter){ .h = h, .fn = fn, .arg = arg };
	if (mailbox_post(h->mailbox, &c->mail, run_control_letter))
		return true;
	free(c);
	return false;
}

struct fan_out {
	struct host *h;
	void (*fn)(struct worker *w, void *arg);
	void *arg;
	void (*done)(struct host *h, void *arg);
	atomic_uint left;
};

static void fan_finish(struct host *h, void *arg)
{
	struct fan_out *f = arg;

	if (f->done)
		f->done(h, f->arg);
	free(f);
}

static void fan_one_less(struct fan_out *f)
{
	if (atomic_fetch_sub(&f->left, 1) == 1 && !host_call_control(f->h, fan_finish, f))
		free(f);
}

static void fan_run(struct worker *w, void *arg)
{
	struct fan_out *f = arg;

	f->fn(w, f->arg);
	fan_one_less(f);
}

void host_post_all(struct host *h, void (*fn)(struct worker *w, void *arg), void *arg,
		   void (*done)(struct host *h, void *arg))
{
	struct fan_out *f = xmalloc(sizeof(*f));

	*f = (struct fan_out){ .h = h, .fn = fn, .arg = arg, .done = done };
	atomic_init(&f->left, h->n_workers + 1); /* one of them ours, so that f lives until all are posted */
	for (unsigned i = 0; i < h->n_workers; i++) {
		if (!worker_post(&h->workers[i], fan_run, f))
			fan_one_less(f);
	}
	fan_one_less(f);
}

/* --- a worker's life --- */

static void on_exchange(struct exchange *ex, void *ctx)
{
	struct worker *w = ctx;
	struct host *h = w->host;
	enum context_place at = context_admit(ex, h->context);

	if (unlikely(at == CONTEXT_EDGE))
		return;
	if (unlikely(at == CONTEXT_OUTSIDE))
		h->ops->outside ? h->ops->outside(ex, w) : context_refuse(ex);
	else if (!h->management && actuator_takes(h->actuator, ex->req.path))
		actuator_handle(ex, h->actuator);
	else
		h->ops->handle(ex, w);
}

static void on_finish(const struct exchange *ex, void *ctx)
{
	struct worker *w = ctx;

	http_meter_note(&w->http_meter, ex, loop_now(w->loop));
	if (w->host->ops->on_finish)
		w->host->ops->on_finish(ex, w);
}

static struct http_server_opts server_opts_of(struct worker *w)
{
	struct http_server_opts o = {
		.tally = w->host->tally,
		.tls = w->host->listen_tls,
		.log = &w->log,
		.handler = on_exchange,
		.ctx = w,
		.on_finish = on_finish,
	};

	http_limits_read(&o, w->props, w->host->n_workers);
	if (w->host->ops->server_opts)
		w->host->ops->server_opts(w, &o);
	return o;
}

static int worker_open(struct worker *w)
{
	struct host *h = w->host;
	struct http_client_opts co = { .dns = w->dns };
	struct http_server_opts so = server_opts_of(w);
	int r = 0;

	if (h->ops->client_opts)
		h->ops->client_opts(w, &co);
	w->client = http_client_new(w->loop, &co);
	w->server = http_server_new(w->loop, &so);
	if (h->ops->worker_init)
		r = h->ops->worker_init(w, &w->error);
	if (r == 0)
		r = http_server_listen(w->server, &h->address, h->n_workers > 1, &w->error);
	return r;
}

static void worker_told(struct mail *m)
{
	container_of(m, struct worker, start_mail)->told = true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	loop_refresh_now(w->loop);
	w->started = worker_open(w) == 0;
	if (w->started && w->index == 0)
		w->host->address = *http_server_local(w->server); /* the control thread waits for our letter */
	mailbox_post(w->host->mailbox, &w->start_mail, worker_told);
	if (w->started)
		loop_run(w->loop);
	w->ended = true;
	timer_cancel(w->loop, &w->drain_timer);
	http_server_free(w->server); /* first: what is cut off now is the role's, and says so to it */
	if (w->host->ops->worker_fini)
		w->host->ops->worker_fini(w);
	http_client_free(w->client);
	loop_turn(w->loop, 0);
	dns_free(w->dns);
	props_unref(w->props);
	http_meter_fini(&w->http_meter);
	mailbox_fini(&w->mailbox);
	loop_free(w->loop);
	return NULL;
}

static int worker_start(struct worker *w, struct host *h, unsigned index)
{
	char shown[sizeof(w->log.name)], component[64];

	*w = (struct worker){ .host = h, .index = index };
	snprintf(component, sizeof(component), "vine.%s", h->ops->name);
	snprintf(shown, sizeof(shown), "%s/%u", h->ops->name, index);
	w->log = logger_of(h->logs, component, shown);
	w->loop = loop_new();
	mailbox_init(&w->mailbox, w->loop);
	rng_seed_os(&w->rng);
	w->props = props_ref(h->props);
	w->dns = dns_new(w->loop, &w->mailbox, h->dns_lane, DNS_TTL);
	http_meter_init(&w->http_meter, h->meters, index);
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		abort(); /* out of threads at start: as a failed allocation */
	snprintf(shown, 16, "%.11s/%u", h->ops->name, index % 100);
	pthread_setname_np(w->thread, shown);
	h->n_running++;
	return 0;
}

static int worker_await(struct worker *w, struct err *e)
{
	while (!w->told)
		loop_turn(w->host->loop, USEC_NEVER);
	if (w->started)
		return 0;
	return err_set(e, w->error.code ? w->error.code : VINE_EIO, "%s", w->error.text);
}

/* --- start --- */

void host_init(struct host *h, struct control *c, const struct role_ops *ops)
{
	char component[64];

	*h = (struct host){ .control = c, .ops = ops, .loop = c->loop, .mailbox = &c->mailbox, .rng = &c->rng,
			    .logs = c->logs, .dns = c->dns, .client = c->client, .dns_lane = c->dns_lane, .tls = c->tls,
			    .props = props_ref(c->props), .lock_fd = -1, .started_at = clock_wall(), .started = clock_mono() };
	snprintf(component, sizeof(component), "vine.%s", ops->name);
	h->log = logger_of(c->logs, component, ops->name);
	rng_os(&h->seed, sizeof(h->seed));
	h->settings = xzalloc(sizeof(*h->settings));
}

static void on_management(struct exchange *ex, void *ctx)
{
	struct host *h = ctx;
	enum context_place at = context_admit(ex, basepath_str(&h->paths->management));

	if (at == CONTEXT_INSIDE)
		actuator_handle(ex, h->actuator);
	else if (at == CONTEXT_OUTSIDE)
		context_refuse(ex);
}

static int start_management(struct host *h, struct err *e)
{
	struct http_server_opts o = {
		.log = &h->log,
		.handler = on_management,
		.ctx = h,
		.tls = h->management_tls,
	};

	http_limits_read(&o, h->props, 1);
	o.max_connections = MANAGEMENT_CONNECTIONS;
	if (!h->settings->has_management) {
		h->management_address = h->address;
		return 0;
	}
	h->management = http_server_new(h->loop, &o);

	int r = http_server_listen(h->management, &h->settings->management, false, e);

	if (r == 0)
		h->management_address = *http_server_local(h->management);
	return r;
}

static int start_workers(struct host *h, struct err *e)
{
	struct addr real;
	int r;

	if (addr_port(&h->address) != 0) {
		r = net_bind_check(&h->address, &real, e);
		if (r < 0)
			return r;
	}
	worker_start(&h->workers[0], h, 0);
	r = worker_await(&h->workers[0], e);
	for (unsigned i = 1; r == 0 && i < h->n_workers; i++)
		worker_start(&h->workers[i], h, i);
	for (unsigned i = 1; i < h->n_running; i++) {
		int one = worker_await(&h->workers[i], r == 0 ? e : NULL);

		r = r == 0 ? one : r;
	}
	return r;
}

static void say_if_descriptors_limit(const struct host *h)
{
	int64_t set = props_int(h->props, "vine.http.max-connections");
	uint32_t here = http_limits_connections(h->props);

	if (here < set)
		LOG(&h->log, LOG_INFO, "vine.http.max-connections is more than file descriptors allow (ulimit -n)",
		    F_INT("set", set), F_INT("in_force", here));
}

static int read_tls(struct host *h, struct err *e)
{
	int r = identities_server(h->tls, h->props, "server.ssl", &h->listen_tls, e);

	if (r == 0 && h->settings->has_management)
		r = identities_server(h->tls, h->props, "management.server.ssl", &h->management_tls, e);
	if (r == 0)
		identities_tell(h->tls, &h->log);
	return r;
}

int host_start(struct host *h, struct err *e)
{
	int r = settings_read(h->settings, h->props, h->ops, h->control->opts, e);

	if (r < 0)
		return r;
	h->address = h->settings->address;
	h->paths = &h->settings->paths;
	h->context = basepath_str(&h->paths->server);
	h->n_workers = h->settings->workers;
	snprintf(h->app_name, sizeof(h->app_name), "%s", h->settings->app_name);
	r = datadir_open(h, e);
	if (r == 0)
		r = read_tls(h, e);
	if (r < 0)
		return r;
	h->workers = aligned_alloc(64, h->n_workers * sizeof(*h->workers));
	if (!h->workers)
		abort();
	memset(h->workers, 0, h->n_workers * sizeof(*h->workers));
	h->meters = meters_new(h->n_workers + 1, h->seed); /* the last stripe is the control thread's */
	h->tally = http_limits_tally(h->props, h->seed);
	h->actuator = actuator_new(h);
	documents_health(h);
	procmeters_add(h);
	h->role_started = true;
	if (h->ops->start)
		r = h->ops->start(h, e);
	if (r == 0)
		r = start_management(h, e);
	if (r == 0)
		r = start_workers(h, e);
	if (r < 0)
		return r;
	h->port = addr_port(&h->address);
	if (!h->management)
		h->management_address = h->address;
	say_if_descriptors_limit(h);
	return 0;
}

/* --- drain and end --- */

static void worker_look_idle(struct timer *t);

static void worker_is_idle(struct host *h, void *arg)
{
	(void)arg;
	if (++h->n_idle == h->n_workers)
		control_host_drained(h->control, h);
}

static void worker_begin_drain(struct worker *w, void *arg)
{
	(void)arg;
	if (w->ended)
		return;
	w->draining = true;
	http_server_drain(w->server);
	if (w->host->ops->worker_drain)
		w->host->ops->worker_drain(w);
	timer_init(&w->drain_timer, worker_look_idle);
	worker_look_idle(&w->drain_timer);
}

static void worker_look_idle(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);
	const struct role_ops *ops = w->host->ops;

	if (http_server_idle(w->server) && (!ops->worker_idle || ops->worker_idle(w)))
		host_call_control(w->host, worker_is_idle, NULL);
	else
		timer_set(w->loop, t, loop_now(w->loop) + IDLE_POLL);
}

/* The role has left the registry, or given that up. */
static void has_left(struct host *h)
{
	if (h->left)
		return;
	h->left = true;
	host_post_all(h, worker_begin_drain, NULL, NULL);
}

static void on_drain_deadline(struct timer *t)
{
	struct host *h = container_of(t, struct host, deadline);

	LOG(&h->log, LOG_WARN, "requests are cut off: they did not end within spring.lifecycle.timeout-per-shutdown-phase",
	    F_INT("seconds", h->settings->drain_time / USEC_PER_SEC));
	control_host_drained(h->control, h);
}

void host_begin_drain(struct host *h)
{
	h->draining = true;
	timer_init(&h->deadline, on_drain_deadline);
	timer_set(h->loop, &h->deadline, loop_now(h->loop) + h->settings->drain_time);
	if (h->ops->drain)
		h->ops->drain(h, has_left);
	else
		has_left(h);
}

static void worker_end(struct worker *w, void *arg)
{
	(void)arg;
	if (!w->ended)
		loop_stop(w->loop);
}

void host_stop(struct host *h)
{
	timer_cancel(h->loop, &h->deadline);
	for (unsigned i = 0; i < h->n_running; i++)
		worker_post(&h->workers[i], worker_end, NULL);
	for (unsigned i = 0; i < h->n_running; i++)
		pthread_join(h->workers[i].thread, NULL);
	h->n_running = 0;
	if (h->role_started && h->ops->stop)
		h->ops->stop(h);
	h->role_started = false;
	http_server_free(TAKE(h->management));
}

void host_fini(struct host *h)
{
	addr_tally_free(h->tally);
	actuator_free(h->actuator);
	health_free(h->health);
	meters_free(h->meters);
	free(h->procmeters);
	datadir_close(h);
	props_unref(h->props);
	free(h->workers);
	free(h->settings);
}

/* --- properties --- */

static void worker_swap_props(struct worker *w, void *arg)
{
	struct props *old = w->props;

	if (w->ended)
		return;
	w->props = props_ref(arg);
	if (w->host->ops->worker_props)
		w->host->ops->worker_props(w, old);
	props_unref(old);
}

static void swapped(struct host *h, void *arg)
{
	(void)h;
	props_unref(arg);
}

void host_swap_props(struct host *h, struct props *p)
{
	props_unref(h->props);
	h->props = props_ref(p);
	actuator_read_props(h->actuator);
	if (h->ops->props_changed)
		h->ops->props_changed(h);
	host_post_all(h, worker_swap_props, props_ref(p), swapped);
}

void host_publish_props(struct host *h, struct props *p)
{
	config_publish(h->control, p);
}

void host_exit(struct host *h, int code)
{
	control_drain(h->control, code);
}
