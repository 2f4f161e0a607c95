/* app.c - the life of a service: start, ready, leave, drain, end.
 *
 * State    NEW -> RUNNING -> LEAVING (the registry is told) -> LEFT (it knows; requests are still answered, for others will not
 *          know at once) -> DRAINING (nothing new is accepted; what runs may finish) -> OVER. set_state is the only one who changes it.
 * Threads  vine_app_start makes everything on the caller's thread and hands it to the loop thread; vine_app_wait takes it
 *          apart after that thread has ended. vine_app_stop is a flag and a wake-up, so a signal handler may call it. */
#include <vine/app.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/impl.h"
#include "client/membership.h"
#include "client/reload.h"
#include "client/remotes.h"
#include "http/identities.h"
#include "http/limits.h"
#include "plugin/plugin.h"
#include "props/props.h"

#define LEAVE_TIME (3 * USEC_PER_SEC) /* for the registry's answer to the goodbye */
#define DRAIN_LOOK (10 * USEC_PER_MSEC)

/* --- routes --- */

void route_free(struct app_route *rt)
{
	free(rt->method);
	free(rt->pattern);
	free(rt);
}

/* "{id}" gives id, "{*path}" gives path: the names, in order. */
static void name_vars(struct app_route *rt)
{
	struct str rest = str_from(rt->pattern), piece;

	while (str_cut(&rest, '/', &piece)) {
		if (piece.len < 3 || piece.ptr[0] != '{')
			continue;
		assert(rt->n_vars < ROUTE_VARS_MAX);
		piece = str_slice(piece, piece.ptr[1] == '*' ? 2 : 1, piece.len - 1);
		rt->var[rt->n_vars++] = piece;
	}
}

void vine_app_route(struct vine_app *app, const char *method, const char *pattern, vine_handler handler, void *ctx)
{
	struct app_route *rt = xzalloc(sizeof(*rt));

	assert(atomic_load(&app->state) == APP_NEW && app->n_routes < APP_ROUTES_MAX);
	*rt = (struct app_route){ .app = app, .method = xstrdup(method), .pattern = xstrdup(pattern), .handler = handler, .ctx = ctx };
	name_vars(rt);
	app->routes[app->n_routes++] = rt;
	router_add(app->router, rt->method, rt->pattern, request_begin, rt);
}

int vine_app_use(struct vine_app *app, const char *service, const struct vine_plugin *table, struct vine_err *e)
{
	struct plugin *pl;
	int r;

	if (atomic_load(&app->state) != APP_NEW || app->n_uses == APP_USES_MAX)
		return err_set(inner_err(e), VINE_EINVAL, "a table is given before the app starts, and at most %d", APP_USES_MAX);
	r = plugins_adopt(app->plugins, table, &pl, inner_err(e));
	if (r < 0)
		return r;
	app->uses[app->n_uses++] = (struct app_use){ service ? xstrdup(service) : NULL, pl };
	return 0;
}

/* --- the loop thread --- */

static void set_state(struct vine_app *app, enum app_state to)
{
	atomic_store(&app->state, (int)to);
}

static enum app_state state_of(const struct vine_app *app)
{
	return (enum app_state)atomic_load(&app->state);
}

static void drain(struct vine_app *app)
{
	set_state(app, APP_DRAINING);
	app->give_up_at = loop_now(app->loop) + app->set.drain_time;
	circuits_end(app);
	http_server_drain(app->server);
}

static void left(struct vine_app *app)
{
	if (state_of(app) != APP_LEAVING)
		return;
	set_state(app, APP_LEFT);
	app->give_up_at = loop_now(app->loop) + (app->was_registered ? app->set.leave_grace : 0);
}

static void leave(struct vine_app *app)
{
	set_state(app, APP_LEAVING);
	app->give_up_at = loop_now(app->loop) + LEAVE_TIME;
	LOG(&app->log, LOG_INFO, "stopping");
	app->was_registered = app->membership && membership_is_registered(app->membership);
	if (app->membership && app->set.unregister)
		membership_leave(app->membership, left);
	else
		drain(app);
}

/* Moves on as far as it can be; returns how long the next turn may sleep. */
static usec advance(struct vine_app *app)
{
	if (state_of(app) == APP_RUNNING && atomic_load(&app->stop_asked))
		leave(app);
	if (atomic_exchange(&app->health_changed, false) && app->membership)
		membership_look(app->membership);
	reload_advance(app);
	if (state_of(app) == APP_LEAVING && loop_now(app->loop) >= app->give_up_at)
		drain(app); /* its lease will run out instead */
	if (state_of(app) == APP_LEFT && loop_now(app->loop) >= app->give_up_at)
		drain(app);
	if (state_of(app) == APP_DRAINING) {
		bool idle = http_server_idle(app->server);

		if (!idle && loop_now(app->loop) >= app->give_up_at) {
			LOG(&app->log, LOG_WARN, "requests were cut off by the end");
			idle = true;
		}
		if (idle)
			set_state(app, APP_OVER);
	}
	return state_of(app) == APP_RUNNING ? USEC_PER_SEC : DRAIN_LOOK;
}

static void *loop_main(void *arg)
{
	struct vine_app *app = arg;

	while (state_of(app) != APP_OVER) {
		loop_turn(app->loop, advance(app));
		loop_refresh_now(app->loop);
	}
	return NULL;
}

static void on_signal(struct io *io, uint32_t events)
{
	struct vine_app *app = container_of(io, struct vine_app, signals);
	struct signalfd_siginfo si;

	(void)events;
	if (read(io->fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGHUP) {
		vine_app_reload(app);
		return;
	}
	app->signalled = true;
	vine_app_stop(app);
}

static void on_exchange(struct exchange *ex, void *ctx)
{
	struct vine_app *app = ctx;
	enum context_place at = context_admit(ex, basepath_str(&app->set.paths.server));

	if (at == CONTEXT_INSIDE)
		router_handler(ex, app->router);
	else if (at == CONTEXT_OUTSIDE)
		context_refuse(ex);
}

/* --- start and end --- */

/* Everything that start made, in reverse; fine when half of it is missing. The loop thread is not running. The loop itself
 * stays until the app is freed, so that a late vine_app_stop finds it. */
static void take_down(struct vine_app *app)
{
	jobs_lane_free(TAKE(app->handlers)); /* waits for handlers; their answers come by the mailbox */
	callers_close(app);
	reload_end(app);
	remotes_end_upkeep(app->remotes);
	membership_free(TAKE(app->membership));
	loop_turn(app->loop, 0);
	http_server_free(TAKE(app->server));
	addr_tally_free(TAKE(app->tally));
	remotes_free(TAKE(app->remotes));
	http_client_free(TAKE(app->client));
	dns_free(TAKE(app->dns));
	jobs_lane_free(TAKE(app->dns_lane));
	identities_free(TAKE(app->tls));
	if (app->signals.fd >= 0) {
		loop_del(app->loop, &app->signals);
		close(app->signals.fd);
		app->signals.fd = -1;
	}
	loop_turn(app->loop, 0);
	mailbox_fini(&app->mailbox);
	loop_turn(app->loop, 0);
}

static int make_parts(struct vine_app *app, struct err *e)
{
	if (!app->loop) /* there is one from a start that failed */
		app->loop = loop_new();
	mailbox_init(&app->mailbox, app->loop);
	app->dns_lane = jobs_lane_new("dns", 2, 256);
	rng_seed_os(&app->rng);
	circuits_init(app);
	app->handlers = jobs_lane_new("handler", app->set.threads, app->set.queue);
	app->dns = dns_new(app->loop, &app->mailbox, app->dns_lane, 30 * USEC_PER_SEC);
	app->client = http_client_new(app->loop, &(struct http_client_opts){ .dns = app->dns });
	app->tally = http_limits_tally(app->props, rng_next(&app->rng));

	struct http_server_opts so = { .tally = app->tally, .log = &app->log, .handler = on_exchange, .ctx = app };

	http_limits_read(&so, app->props, 1);
	app->tls = identities_new();

	int r = identities_server(app->tls, app->props, "server.ssl", &so.tls, e);

	if (r < 0)
		return r;
	identities_tell(app->tls, &app->log);
	app->is_secure = so.tls != NULL;
	app->server = http_server_new(app->loop, &so);
	r = http_server_listen(app->server, &app->set.address, false, e);

	if (r < 0)
		return r;
	atomic_store(&app->port, addr_port(http_server_local(app->server)));
	app->remotes = remotes_new(app);
	remotes_begin_upkeep(app->remotes);
	reload_begin(app);
	callers_open(app);
	return membership_new(&app->membership, app, e);
}

static int start_with(struct vine_app *app, const sigset_t *watch, struct err *e)
{
	sigset_t all, old;

	assert(state_of(app) == APP_NEW);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* the threads made here inherit it */

	int r = make_parts(app, e);

	if (r == 0 && watch) {
		app->signals = (struct io){ .fd = signalfd(-1, watch, SFD_NONBLOCK | SFD_CLOEXEC), .fn = on_signal };
		r = app->signals.fd < 0 ? err_errno(e, "signalfd") : loop_add(app->loop, &app->signals, EPOLLIN);
	}
	if (r == 0) {
		set_state(app, APP_RUNNING);
		r = pthread_create(&app->thread, NULL, loop_main, app) == 0 ? 0 : err_set(e, VINE_ELIMIT, "cannot start a thread");
	}
	if (r == 0)
		app->has_thread = true;
	else
		take_down(app);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int vine_app_start(struct vine_app *app, struct vine_err *e)
{
	return start_with(app, NULL, inner_err(e));
}

void vine_app_stop(struct vine_app *app)
{
	atomic_store(&app->stop_asked, true);
	if (app->loop)
		loop_wake(app->loop);
}

void vine_app_wait(struct vine_app *app)
{
	if (!app->has_thread)
		return;
	pthread_join(app->thread, NULL);
	app->has_thread = false;
	take_down(app);
	LOG(&app->log, LOG_INFO, "stopped");
}

static void say_ready(const struct vine_app *app)
{
	char ip[ADDR_TEXT_MAX];
	static const struct in6_addr any;
	const struct addr *a = &app->set.address;

	addr_ip_text(a, ip);
	if (a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr == 0 : memcmp(&a->in6.sin6_addr, &any, sizeof(any)) == 0)
		strcpy(ip, "127.0.0.1");
	printf(strchr(ip, ':') ? "%s ready: http%s://[%s]:%u%s pid %d\n" : "%s ready: http%s://%s:%u%s pid %d\n", app->set.name,
	       app->is_secure ? "s" : "", ip, vine_app_port(app), app->set.paths.server.text, (int)getpid());
	fflush(stdout);
}

int vine_app_run(struct vine_app *app)
{
	sigset_t watch, old;
	struct err e;

	sigemptyset(&watch);
	sigaddset(&watch, SIGTERM);
	sigaddset(&watch, SIGINT);
	sigaddset(&watch, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &watch, &old);

	int r = start_with(app, &watch, &e);

	if (r == 0) {
		say_ready(app);
		vine_app_wait(app);
	} else {
		fprintf(stderr, "%s: %s\n", app->set.name, e.text);
	}
	if (!app->signalled) /* else the process is ending: an impatient second signal must not kill it on its last steps */
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0 ? 0 : 1;
}

unsigned vine_app_port(const struct vine_app *app)
{
	return atomic_load(&app->port);
}

const char *vine_app_name(const struct vine_app *app)
{
	return app->set.name;
}

int vine_app_complain(const char *name, const struct vine_err *e)
{
	fprintf(stderr, "%s: %s\n", name, e->text);
	return 1;
}
