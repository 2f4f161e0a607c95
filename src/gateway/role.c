/* role.c - the gateway as a role: its pictures, its workers, its place in the registry. */
#include "gateway/role.h"

#include <unistd.h>

#include "codec/json.h"
#include "eureka/view.h"
#include "flow/properties.h"
#include "gateway/explain_lb.h"
#include "gateway/gateway.h"
#include "manage/actuator.h"
#include "manage/discovery.h"
#include "manage/meters.h"
#include "net/tls.h"
#include "plugin/plugin.h"
#include "props/check.h"
#include "ribbon/pinger.h"
#include "turbine/turbine.h"

#define COMMANDS_MAX 10000
#define POOLS_MAX 10000
#define SWEEP_EVERY (5 * USEC_PER_SEC)
#define COMMAND_IDLE (600 * USEC_PER_SEC)

/* --- peers: a server as one worker calls it --- */

struct gw_peer {
	struct fserver *server;
	struct http_peer *peer;
	uint64_t version; /* of the last picture that had it */
	struct str key;   /* the server's id; with TLS also which identity; owned */
};

/* The same address by TLS is another peer, and one a way of being believed. */
static struct str peer_key(struct buf *b, const struct gw_target *t, const struct fserver *s)
{
	if (!s->secure)
		return s->id;
	buf_clear(b);
	buf_addf(b, "%.*s %u", STRF(s->id), t->lb.tls ? tls_serial(t->lb.tls) : 0);
	return buf_str(b);
}

static struct gw_peer *make_peer(struct gw_worker *g, const struct gw_target *t, const struct fserver *s)
{
	_cleanup_(buf_finip) struct buf room = BUF_INIT(1024);
	struct str key = peer_key(&room, t, s);
	struct gw_peer *p = map_get(&g->peers, key);
	struct str host;
	uint16_t port;

	if (p)
		return p;
	addr_split(s->id, 80, &host, &port); /* the id was made as host:port */
	p = xzalloc(sizeof(*p));
	p->server = server_ref((struct fserver *)(uintptr_t)s);
	p->key = str_of(str_dup(key), key.len);
	p->peer = http_client_peer_tls(g->w->client, host, port, s->secure ? t->lb.tls : NULL);
	p->version = g->picture->version;
	http_peer_set_idle_timeout(p->peer, t->lb.idle_timeout);
	http_peer_set_idle_cap(p->peer, MAX(t->lb.max_idle / g->gw->host->n_workers, 1u));
	map_put(&g->peers, p->key, p);
	return p;
}

/* The map finds a server by name; a request of the steady path finds it by address. Another server object may bear the same
 * name (its metadata changed): it shares the peer. */
struct http_peer *gw_peer_of(struct gw_worker *g, const struct gw_target *t, const struct fserver *s)
{
	const struct gw_peer **near = &g->near[(uintptr_t)s / sizeof(*s) % ARRAY_LEN(g->near)];

	if (!*near || (*near)->server != s)
		*near = make_peer(g, t, s);
	return (*near)->peer;
}

struct str gw_port_text(struct gw_worker *g)
{
	if (!g->port_len)
		g->port_len = (uint8_t)fmt_u64(g->port, addr_port(http_server_local(g->w->server)));
	return str_of(g->port, g->port_len);
}

static void drop_peer(struct gw_worker *g, struct gw_peer *p)
{
	map_del(&g->peers, p->key);
	http_peer_close_idle(p->peer);
	http_peer_unref(p->peer);
	server_unref(p->server);
	free((char *)(uintptr_t)p->key.ptr);
	free(p);
}

/* Servers that have left the picture are let go; calls that run on them go on. */
static void drop_old_peers(struct gw_worker *g)
{
	_cleanup_(buf_finip) struct buf room = BUF_INIT(1024);
	const struct gw_picture *pic = g->picture;
	struct gw_peer *p;
	size_t pos = 0;

	for (unsigned i = 0; i < pic->n_targets; i++) {
		for (uint32_t k = 0; k < pic->targets[i]->servers.n; k++) {
			p = map_get(&g->peers, peer_key(&room, pic->targets[i], pic->targets[i]->servers.at[k]));
			if (p)
				p->version = pic->version;
		}
	}
	while ((p = map_next(&g->peers, &pos))) {
		if (p->version != pic->version)
			drop_peer(g, p);
	}
}

/* --- pictures --- */

static void take_picture(struct worker *w, void *arg)
{
	struct gw_worker *g = w->role;

	if (!g)
		return;
	gw_picture_unref(g->picture);
	g->picture = gw_picture_ref(arg);
	memset(g->near, 0, sizeof(g->near));
	drop_old_peers(g);
}

static void all_have_it(struct host *h, void *arg)
{
	(void)h;
	gw_picture_unref(arg);
}

static int rebuild(struct gateway *gw, bool reread, struct err *e)
{
	struct gw_picture *pic = NULL;
	int r;

	plugins_set_props(gw->plugins, gw->host->props);
	r = gw_picture_build(&pic, &gw->services, gw->host->props, gw->view, reread, loop_now(gw->host->loop), e);

	if (r < 0)
		return r;
	gw_picture_unref(gw->picture);
	gw->picture = pic;
	gw->build_error[0] = '\0';
	return 0;
}

static void publish(struct gateway *gw)
{
	host_post_all(gw->host, take_picture, gw_picture_ref(gw->picture), all_have_it);
}

static void rebuild_and_publish(struct gateway *gw, bool reread, const char *why)
{
	usec began = clock_mono();
	struct err e;

	if (rebuild(gw, reread, &e) < 0) {
		memcpy(gw->build_error, e.text, sizeof(gw->build_error));
		LOG(&gw->host->log, LOG_ERROR, "routes not changed", F_Z("after", why), F_Z("error", e.text));
		return;
	}
	LOG(&gw->host->log, LOG_DEBUG, "new routes", F_Z("after", why), F_INT("routes", gw->picture->routes.n),
	    F_INT("services", gw->picture->n_targets), F_INT("us", clock_mono() - began));
	publish(gw);
}

/* --- upkeep: pings, and lists that nobody announces --- */

#define UPKEEP_EVERY USEC_PER_SEC

static void look_after(struct gateway *gw, bool news)
{
	usec now = loop_now(gw->host->loop);

	for (unsigned i = 0; i < gw->picture->n_targets; i++) {
		const struct gw_target *t = gw->picture->targets[i];

		pinger_tick(gw->pinger, t->service->ribbon, &t->lb, gw->view, news, now);
	}
}

static void tell_turbine(struct gateway *gw);

static void upkeep(struct timer *timer)
{
	struct gateway *gw = container_of(timer, struct gateway, upkeep);
	usec now = loop_now(gw->host->loop), next = USEC_NEVER;

	for (unsigned i = 0; i < gw->picture->n_targets; i++) {
		const struct gw_target *t = gw->picture->targets[i];

		next = MIN(next, ribbon_next_update(t->service->ribbon, &t->lb));
	}
	if (next <= now)
		rebuild_and_publish(gw, false, "refresh interval");
	look_after(gw, false);
	if (gw->view)
		tell_turbine(gw);
	for (unsigned i = 0; i < gw->picture->n_targets; i++)
		ribbon_tell_changes(gw->picture->targets[i]->service->ribbon, now);
	timer_set(gw->host->loop, timer, now + UPKEEP_EVERY);
}

static void refresh_asked(struct host *h, void *arg)
{
	(void)arg;
	if (h->role) /* else it was asked for while that ended */
		rebuild_and_publish(h->role, false, "an updater");
}

/* An updater of the user's has news. Any thread. */
static void on_refresh(void *ctx)
{
	struct gateway *gw = ctx;

	host_call_control(gw->host, refresh_asked, NULL);
}

/* --- news of the registry ---
 *
 * The first of a burst goes to the workers at once; what comes while that is worked off waits for a moment and goes together, so
 * that a storm of changes costs a share of this thread and not all of it. */

#define NEWS_GAP_MIN (2 * USEC_PER_MSEC)
#define NEWS_GAP_MAX (10 * USEC_PER_MSEC)

static void take_news(struct gateway *gw)
{
	usec began = loop_refresh_now(gw->host->loop);

	timer_park(&gw->news);
	rebuild_and_publish(gw, false, "registry");
	look_after(gw, true);

	usec took = clock_mono() - began;

	gw->news_from = began + took + MIN(MAX(took, NEWS_GAP_MIN), NEWS_GAP_MAX);
}

static void on_news_due(struct timer *t)
{
	take_news(container_of(t, struct gateway, news));
}

/* Who counts circuits of all instances looks at all of them, which is not for each change. */
static void tell_turbine(struct gateway *gw)
{
	usec now = loop_now(gw->host->loop);

	if (!gw->turbine || gw->turbine_version == gw->view->version || now < gw->turbine_from)
		return;
	turbine_view(gw->turbine, gw->view);
	gw->turbine_version = gw->view->version;
	gw->turbine_from = now + USEC_PER_SEC;
}

static void on_view(struct eureka_view *v, void *ctx)
{
	struct gateway *gw = ctx;

	eureka_view_unref(gw->view);
	gw->view = eureka_view_ref(v);
	if (clock_mono() >= gw->news_from)
		take_news(gw);
	else if (gw->news.at == USEC_NEVER)
		timer_set(gw->host->loop, &gw->news, gw->news_from);
	tell_turbine(gw);
}

/* --- meters --- */

static void circuit_meters(struct meter_snapshot *s, void *arg)
{
	static const struct meter_desc open = { "vine.circuit.open", "1 where a service's circuit is not closed", NULL, 0 };
	static const struct meter_desc active = { "vine.command.active", "Permits of a service that are held now", NULL, 5000 };
	static const struct meter_desc calls = { "vine.command.events", "Hystrix events of a service since the start", NULL, 5000 };
	struct gateway *gw = arg;
	size_t n;
	struct command **list = command_table_list(gw->commands, &n);
	usec now = loop_now(gw->host->loop);

	for (size_t i = 0; i < n; i++) {
		struct cmd_settings cs;
		struct command_snapshot snap;

		gw_command_settings(&cs, gw->host->props, list[i]->key);
		command_snapshot(list[i], &cs, now, &snap);

		struct meter_tag tags[2] = { { "key", snap.key } };

		snapshot_add(s, METER_GAUGE, &open, snap.is_open, tags, 1);
		snapshot_add(s, METER_GAUGE, &active, snap.active, tags, 1);
		for (unsigned ev = 0; ev < EVENT_COUNT; ev++) {
			if (snap.stats.lifetime[ev] == 0)
				continue;
			tags[1] = (struct meter_tag){ "event", str_from(event_name((enum flow_event)ev)) };
			snapshot_add(s, METER_COUNTER, &calls, (double)snap.stats.lifetime[ev], tags, 2);
		}
	}
	command_list_free(list, n);
}

static void pool_meters(struct meter_snapshot *s, void *arg)
{
	static const struct meter_desc active = { "vine.threadpool.active", "requests with a slot of the pool", NULL, 0 };
	static const struct meter_desc queued = { "vine.threadpool.queued", "requests that wait for one", NULL, 0 };
	static const struct meter_desc rejected = { "vine.threadpool.rejected", "requests refused since the start", NULL, 5000 };
	struct gateway *gw = arg;
	size_t n;
	struct keyed **list = keyed_table_list(gw->pools, &n);

	for (size_t i = 0; i < n; i++) {
		struct pool_settings ps;
		struct pool_snapshot snap;
		struct meter_tag tags[] = { { "key", list[i]->key } };

		pool_settings_read(&ps, gw->host->props, list[i]->key);
		pool_snapshot(pool_of(list[i]), &ps, loop_now(gw->host->loop), &snap);
		snapshot_add(s, METER_GAUGE, &active, snap.active, tags, 1);
		snapshot_add(s, METER_GAUGE, &queued, snap.queued, tags, 1);
		snapshot_add(s, METER_COUNTER, &rejected, (double)snap.rejected, tags, 1);
	}
	keyed_list_free(list, n);
}

/* --- the role --- */

static void sweep(struct timer *t)
{
	struct gateway *gw = container_of(t, struct gateway, sweep);
	struct gw_settings_of room;
	struct circuits c = gw_circuits(gw, gw->host->props, gw->host->loop, &room);

	command_table_sweep(gw->commands, c.now, COMMAND_IDLE, c.settings_of, c.arg);
	keyed_table_sweep(gw->pools, c.now, COMMAND_IDLE);
	timer_set(gw->host->loop, t, c.now + SWEEP_EVERY);
}

static int start_discovery(struct gateway *gw, struct err *e)
{
	struct discovery_opts o = { .fetch = props_bool(gw->host->props, "ribbon.eureka.enabled"), .on_view = on_view, .ctx = gw };
	int r = discovery_new(&gw->discovery, gw->host, &o, e);

	if (r == 0 && gw->discovery)
		gw_turbine_start(gw);
	return r;
}

/* The same after a restart, another for each gateway of a fleet: who shares a list with whom, the stable subset. */
static uint64_t process_seed(const struct host *h)
{
	char name[128] = "";

	gethostname(name, sizeof(name) - 1);
	return str_hash(str_from(name), str_hash(str_from(h->app_name), (uint64_t)props_int(h->props, "server.port")));
}

/* In a file that several programs share it may be the command of another one. */
static void warn_of_unfit(void *ctx, const struct err *why)
{
	const struct host *h = ctx;

	LOG(&h->log, LOG_WARN, "time-outs that would not fit together if this were a service of the gateway", F_Z("why", why->text));
}

/* Time-outs that do not fit together stop the start, or are a warning. */
static int check_fit(struct host *h, struct err *e)
{
	int r = check_times(h->props, CHECK_GATEWAY, e);

	if (r < 0 && props_bool(h->props, "vine.timeouts.must-fit"))
		return r;
	if (r < 0)
		LOG(&h->log, LOG_WARN, "time-outs do not fit together", F_Z("why", e->text));
	check_times_others(h->props, CHECK_GATEWAY, warn_of_unfit, h);
	return 0;
}

static int start(struct host *h, struct err *e)
{
	struct gateway *gw = xzalloc(sizeof(*gw));
	int r;

	h->role = gw;
	gw->host = h;
	gw->commands = command_table_new(&(struct command_table_opts){ h->n_workers, COMMANDS_MAX, h->seed });
	gw->pools = pool_table_new(POOLS_MAX, h->seed);
	gw->plugins = plugins_new(&h->log, &user_host);
	gw->ribbon = (struct ribbon_env){ .plugins = gw->plugins, .log = &h->log, .seed = process_seed(h), .refresh = on_refresh, .ctx = gw,
					 .tls = h->tls };
	gw->pinger = pinger_new(h->client);
	gw_services_init(&gw->services, gw->commands, gw->pools, &gw->ribbon, h->seed);
	gw->services.own = str_from(h->app_name);
	gw_stream_init(&gw->stream, gw, h->loop, &h->props);
	gw_hubs_init(&gw->hubs, gw, h->loop);
	timer_init(&gw->sweep, sweep);
	timer_init(&gw->upkeep, upkeep);
	timer_init(&gw->news, on_news_due);
	timer_park(&gw->news);
	r = turbine_check(h->props, e);
	if (r == 0)
		r = check_fit(h, e);
	if (r == 0)
		r = rebuild(gw, true, e);
	if (r == 0)
		r = start_discovery(gw, e);
	if (r < 0)
		return r;
	gw_endpoints_add(gw);
	gw_explain_lb_add(gw);
	meters_source(h->meters, circuit_meters, gw);
	meters_source(h->meters, pool_meters, gw);
	timer_set(h->loop, &gw->sweep, loop_now(h->loop) + SWEEP_EVERY);
	timer_set(h->loop, &gw->upkeep, loop_now(h->loop));
	return 0;
}

static void ready(struct host *h)
{
	discovery_ready(((struct gateway *)h->role)->discovery);
}

static int props_check(struct host *h, const struct props *p, struct err *e)
{
	struct gateway *gw = h->role;
	struct gw_picture *pic = NULL;
	struct gw_services trial;
	int r = turbine_check(p, e);

	if (r == 0)
		r = discovery_check(p, e);
	if (r < 0)
		return r;
	if (props_bool(p, "vine.timeouts.must-fit") && check_times(p, CHECK_GATEWAY, e) < 0)
		return VINE_EINVAL;
	gw_services_init(&trial, gw->commands, gw->pools, &gw->ribbon, h->seed); /* apart, so that a refused reload leaves no trace */
	trial.trial = true;
	r = gw_picture_build(&pic, &trial, (struct props *)(uintptr_t)p, gw->view, true, loop_now(h->loop), e);
	if (r == 0)
		gw_picture_unref(pic);
	gw_services_fini(&trial);
	return r;
}

static void props_changed(struct host *h)
{
	struct gateway *gw = h->role;

	if (gw->turbine)
		turbine_configure(gw->turbine, h->props);
	discovery_changed(gw->discovery);
	rebuild_and_publish(gw, true, "configuration");
	check_times_others(h->props, CHECK_GATEWAY, warn_of_unfit, h);
}

static void drain(struct host *h, void (*done)(struct host *h))
{
	struct gateway *gw = h->role;

	gw_stream_end(&gw->stream);
	gw_hubs_end(&gw->hubs);
	discovery_leave(gw->discovery, h, done);
}

static void stop(struct host *h)
{
	struct gateway *gw = h->role;

	if (!gw)
		return;
	gw_stream_end(&gw->stream);
	gw_hubs_end(&gw->hubs);
	discovery_free(gw->discovery);
	turbine_free(gw->turbine);
	timer_cancel(h->loop, &gw->sweep);
	timer_cancel(h->loop, &gw->upkeep);
	timer_cancel(h->loop, &gw->news);
	pinger_free(gw->pinger);
	eureka_view_unref(gw->view);
	gw_picture_unref(gw->picture);
	gw_services_fini(&gw->services);
	plugins_free(gw->plugins);
	command_table_free(gw->commands);
	keyed_table_free(gw->pools);
	free(gw);
	h->role = NULL;
}

static int worker_init(struct worker *w, struct err *e)
{
	struct gateway *gw = w->host->role;
	struct gw_worker *g = xzalloc(sizeof(*g));

	w->role = g;
	g->w = w;
	g->gw = gw;
	g->picture = gw_picture_ref(gw->picture);
	buf_init(&g->head, 4u << 20); /* the largest head that is allowed, with all that forwarding adds; or one chunk */
	map_init(&g->peers, w->host->seed);
	list_init(&g->starting);
	gw_stream_init(&g->stream, gw, w->loop, &w->props);
	gw_hubs_init(&g->hubs, gw, w->loop);
	return access_log_open(&g->log, w->loop, w->log.name, props_str(w->props, "vine.gateway.access-log"), e);
}

/* Also after SIGHUP without a change: the log's file may have been renamed. */
static void worker_props(struct worker *w, const struct props *old)
{
	struct gw_worker *g = w->role;
	struct str path = props_str(w->props, "vine.gateway.access-log");
	struct access_log fresh;
	struct err e;

	if (str_eq(path, props_str(old, "vine.gateway.access-log"))) {
		access_log_reopen(&g->log);
		return;
	}
	if (access_log_open(&fresh, w->loop, w->log.name, path, &e) < 0) {
		LOG(&w->log, LOG_ERROR, "access log not changed", F_Z("error", e.text));
		return;
	}
	access_log_close(&g->log);
	g->log = fresh;
}

static void end_streams(struct gw_worker *g)
{
	gw_stream_end(&g->stream);
	gw_hubs_end(&g->hubs);
}

static void worker_drain(struct worker *w)
{
	end_streams(w->role);
}

static void worker_fini(struct worker *w)
{
	struct gw_worker *g = w->role;
	struct gw_peer *p;
	size_t pos = 0;

	if (!g)
		return;
	end_streams(g);
	while ((p = map_next(&g->peers, &pos)))
		drop_peer(g, p);
	map_fini(&g->peers);
	access_log_close(&g->log);
	buf_fini(&g->head);
	gw_picture_unref(g->picture);
	free(g);
	w->role = NULL;
}

static void handle(struct exchange *ex, void *ctx)
{
	gw_proxy(ex, ((struct worker *)ctx)->role);
}

static void outside(struct exchange *ex, void *ctx)
{
	gw_outside(ex, ((struct worker *)ctx)->role);
}

const struct role_ops gateway_role = {
	.name = "gateway",
	.default_port = 8080,
	.start = start,
	.ready = ready,
	.props_check = props_check,
	.props_changed = props_changed,
	.drain = drain,
	.stop = stop,
	.worker_init = worker_init,
	.handle = handle,
	.outside = outside,
	.worker_props = worker_props,
	.worker_drain = worker_drain,
	.worker_fini = worker_fini,
};
