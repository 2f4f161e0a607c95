/* endpoints.c - the gateway's own endpoints: /actuator/routes as Spring Cloud Zuul has it, /hystrix.stream and
 * /turbine.stream as Netflix' dashboards read them, and /actuator/circuits. What is said of circuits is
 * manage/circuits' to write. */
#include "codec/json.h"
#include "flow/hystream.h"
#include "gateway/gateway.h"
#include "manage/actuator.h"

/* --- routes --- */

static void routes_brief(struct exchange *ex, const struct gw_picture *pic)
{
	struct buf b = BUF_INIT(16u << 20);
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	for (unsigned i = 0; i < pic->routes.n; i++)
		jsonw_key_str(&w, pic->routes.list[i]->path, pic->routes.list[i]->location);
	jsonw_object_end(&w);
	ex_respond_actuator(ex, 200, buf_str(&b));
	buf_fini(&b);
}

static void put_names(struct jsonw *w, const struct header_filter *f)
{
	static const struct {
		enum http_name id;
		struct str name;
	} known[] = {
		{ H_COOKIE, STR_INIT("Cookie") },
		{ H_SET_COOKIE, STR_INIT("Set-Cookie") },
		{ H_AUTHORIZATION, STR_INIT("Authorization") },
	};

	jsonw_array(w);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (f->known >> known[i].id & 1)
			jsonw_str(w, known[i].name);
	}
	for (unsigned i = 0; i < f->n_other; i++)
		jsonw_str(w, f->other[i]);
	jsonw_array_end(w);
}

static void put_route(struct jsonw *w, const struct gw_route *rt)
{
	jsonw_key(w, rt->path);
	jsonw_object(w);
	jsonw_key_str(w, STR("id"), rt->id);
	jsonw_key_str(w, STR("fullPath"), rt->path);
	jsonw_key_str(w, STR("location"), rt->location);
	jsonw_key_str(w, STR("path"), str_slice(rt->path, rt->prefix.len, rt->path.len));
	jsonw_key_str(w, STR("prefix"), rt->prefix);
	jsonw_key_bool(w, STR("retryable"), rt->retryable);
	if (rt->custom_sensitive) {
		jsonw_key(w, STR("sensitiveHeaders"));
		put_names(w, &rt->drop);
	}
	jsonw_key_bool(w, STR("customSensitiveHeaders"), rt->custom_sensitive);
	jsonw_key_bool(w, STR("prefixStripped"), rt->strip);
	jsonw_object_end(w);
}

static void routes_details(struct exchange *ex, const struct gw_picture *pic)
{
	struct buf b = BUF_INIT(64u << 20);
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	for (unsigned i = 0; i < pic->routes.n; i++)
		put_route(&w, pic->routes.list[i]);
	jsonw_object_end(&w);
	ex_respond_actuator(ex, 200, buf_str(&b));
	buf_fini(&b);
}

/* --- circuits --- */

static const struct cmd_settings *settings_of(void *arg, struct str key)
{
	struct gw_settings_of *s = arg;

	gw_command_settings(&s->settings, s->props, key);
	return &s->settings;
}

struct circuits gw_circuits(struct gateway *gw, const struct props *p, struct loop *loop, struct gw_settings_of *room)
{
	room->props = p;
	return (struct circuits){
		.commands = gw->commands,
		.settings_of = settings_of,
		.arg = room,
		.pools = gw->pools,
		.props = p,
		.now = loop_now(loop),
		.wall = clock_wall(),
	};
}

static enum hystrix_stream kind_of(const struct gw_stream_hub *h)
{
	return (enum hystrix_stream)(h - h->of->hub);
}

static usec stream_interval(void *ctx)
{
	const struct gw_stream_hub *h = ctx;

	return hystrix_stream_interval(kind_of(h), *h->of->props);
}

static void write_stream(void *ctx, struct buf *b)
{
	const struct gw_stream_hub *h = ctx;
	struct gw_settings_of room;
	struct circuits c = gw_circuits(h->of->gw, *h->of->props, h->hub.loop, &room);

	hystrix_stream_write(kind_of(h), &c, b);
}

static const struct event_hub_ops stream_ops = { .interval = stream_interval, .write = write_stream, .ping = HYSTREAM_PING };

void gw_stream_init(struct gw_stream *s, struct gateway *gw, struct loop *loop, struct props *const *props)
{
	s->gw = gw;
	s->props = props;
	for (unsigned i = 0; i < HYSTRIX_STREAMS; i++) {
		s->hub[i].of = s;
		event_hub_init(&s->hub[i].hub, loop, &gw->streams[i], &stream_ops, &s->hub[i]);
	}
}

void gw_stream_end(struct gw_stream *s)
{
	for (unsigned i = 0; i < HYSTRIX_STREAMS; i++)
		event_hub_end(&s->hub[i].hub);
}

static struct circuits circuits_of(struct control_call *c, struct gw_settings_of *room)
{
	return gw_circuits(c->ctx, c->host->props, c->host->loop, room);
}

static void show_circuits(struct control_call *c)
{
	struct gw_settings_of room;
	struct circuits all = circuits_of(c, &room);

	if (c->path.len == 0)
		circuits_list(&all, &c->out);
	else if (!circuits_show(&all, c->path, &c->out))
		call_fail(c, 404, "no such circuit: a circuit begins with the first call");
}

static void force_circuit(struct control_call *c)
{
	struct gw_settings_of room;
	struct circuits all = circuits_of(c, &room);
	enum breaker_force force;
	struct err e;
	int r = circuits_parse_force(c->body, &force, &e);

	if (r < 0) {
		call_fail(c, 400, e.text);
		return;
	}
	r = circuits_force(&all, c->path, force, &e);
	if (r < 0) {
		call_fail(c, r == VINE_ENOTFOUND ? 404 : 409, e.text);
		return;
	}
	LOG(&c->host->log, LOG_WARN, "circuit set by hand", F_STR("command", c->path), F_Z("to", breaker_force_name(force)));
	circuits_show(&all, c->path, &c->out);
}

/* --- which worker? An endpoint runs on the thread of the server that took the request --- */

static struct gw_worker *worker_of(struct gateway *gw, const struct exchange *ex)
{
	for (unsigned i = 0; i < gw->host->n_workers; i++) {
		struct worker *w = &gw->host->workers[i];

		if (w->server == ex->server)
			return w->role;
	}
	return NULL; /* the management port's: the control thread */
}

static void add_reader(struct exchange *ex, struct gateway *gw, enum hystrix_stream kind)
{
	struct gw_worker *g = worker_of(gw, ex);
	struct gw_stream *s = g ? &g->stream : &gw->stream;

	event_hub_add(&s->hub[kind].hub, ex, props_int(*s->props, "hystrix.config.stream.maxConcurrentConnections"));
}

static void on_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	add_reader(ex, ctx, STREAM_DASHBOARD);
}

static void on_config_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	add_reader(ex, ctx, STREAM_CONFIG);
}

static void on_utilization_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	add_reader(ex, ctx, STREAM_UTILIZATION);
}

static void on_turbine_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct gateway *gw = ctx;
	struct gw_worker *g = worker_of(gw, ex);
	const struct props *p = g ? g->w->props : gw->host->props;

	(void)m;
	gw_turbine_stream(ex, g ? &g->hubs : &gw->hubs, props_int(p, "vine.gateway.turbine-readers"));
}

static void answer_routes(struct exchange *ex, struct gateway *gw, bool details)
{
	struct gw_worker *g = worker_of(gw, ex);
	const struct gw_picture *pic = g ? g->picture : gw->picture; /* the management port's thread is the control thread */

	if (details)
		routes_details(ex, pic);
	else
		routes_brief(ex, pic);
}

static void on_routes(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	answer_routes(ex, ctx, false);
}

static void on_routes_details(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	answer_routes(ex, ctx, true);
}

void gw_endpoints_add(struct gateway *gw)
{
	const struct endpoint list[] = {
		{ "circuits", "GET", "/circuits", .call = show_circuits, .ctx = gw },
		{ "circuits", "GET", "/circuits/{key}", .call = show_circuits, .ctx = gw },
		{ "circuits", "POST", "/circuits/{key}", .call = force_circuit, .ctx = gw, .flags = ENDPOINT_HIDDEN },
		{ "routes", "GET", "/routes", .fn = on_routes, .ctx = gw },
		{ "routes-details", "GET", "/routes/details", .fn = on_routes_details, .ctx = gw },
		{ "hystrix.stream", "GET", "/hystrix.stream", .fn = on_stream, .ctx = gw },
		{ "hystrix.stream", "GET", "/hystrix.stream", .fn = on_stream, .ctx = gw,
		  .flags = ENDPOINT_ROOT | ENDPOINT_HIDDEN },
		{ "hystrix.config.stream", "GET", "/hystrix/config.stream", .fn = on_config_stream, .ctx = gw },
		{ "hystrix.config.stream", "GET", "/hystrix/config.stream", .fn = on_config_stream, .ctx = gw,
		  .flags = ENDPOINT_ROOT | ENDPOINT_HIDDEN },
		{ "hystrix.utilization.stream", "GET", "/hystrix/utilization.stream", .fn = on_utilization_stream, .ctx = gw },
		{ "hystrix.utilization.stream", "GET", "/hystrix/utilization.stream", .fn = on_utilization_stream, .ctx = gw,
		  .flags = ENDPOINT_ROOT | ENDPOINT_HIDDEN },
		{ "turbine.stream", "GET", "/turbine.stream", .fn = on_turbine_stream, .ctx = gw },
		{ "turbine.stream", "GET", "/turbine.stream", .fn = on_turbine_stream, .ctx = gw,
		  .flags = ENDPOINT_ROOT | ENDPOINT_HIDDEN },
		{ "clusters", "GET", "/clusters", .call = gw_clusters_call, .ctx = gw },
		{ "clusters-instances", "GET", "/clusters/instances", .call = gw_cluster_instances_call, .ctx = gw },
	};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		actuator_add(gw->host->actuator, &list[i]);
}
