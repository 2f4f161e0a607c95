/* endpoints.c - /actuator/routes as Spring Cloud Zuul has it, and /hystrix.stream as Netflix' dashboards read it.
 *
 * A stream is an answer that never ends: each worker keeps a list of its own and one timer that writes to all of them,
 * every hystrix.stream.dashboard.intervalInMilliseconds. A reader that does not keep up is skipped until it does; the
 * number of readers in the process is bounded by hystrix.config.stream.maxConcurrentConnections. */
#include "codec/json.h"
#include "flow/hystream.h"
#include "gateway/gateway.h"
#include "manage/actuator.h"

#define STREAM_BACKLOG (1024u * 1024)

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

/* --- the stream --- */

struct stream {
	struct exchange *ex;
	struct gw_worker *g;
	struct list link;
};

static void write_all(struct gw_worker *g, struct buf *b)
{
	usec now = loop_now(g->w->loop);
	msec wall = clock_wall();
	size_t n;
	struct command **list = command_table_list(g->gw->commands, &n);

	for (size_t i = 0; i < n; i++) {
		struct cmd_settings cs;
		struct command_snapshot snap;

		gw_command_settings(&cs, g->w->props, list[i]->key);
		command_snapshot(list[i], &cs, now, &snap);
		hystream_frame_command(b, &snap, &cs, wall);
	}
	command_list_free(list, n);
	buf_addz(b, HYSTREAM_PING);
}

static usec stream_interval(const struct gw_worker *g)
{
	return props_ms(g->w->props, "hystrix.stream.dashboard.intervalInMilliseconds") * USEC_PER_MSEC;
}

static void on_stream_timer(struct timer *t)
{
	struct gw_worker *g = container_of(t, struct gw_worker, stream_timer);
	struct buf b = BUF_INIT(256u << 20);

	if (list_is_empty(&g->streams))
		return;
	write_all(g, &b);
	list_foreach(l, &g->streams) {
		struct stream *s = list_entry(l, struct stream, link);

		if (ex_pending(s->ex) < STREAM_BACKLOG)
			ex_write(s->ex, buf_str(&b));
	}
	buf_fini(&b);
	timer_set(g->w->loop, t, loop_now(g->w->loop) + stream_interval(g));
}

static void stream_closed(struct exchange *ex)
{
	struct stream *s = ex->user;

	list_del(&s->link);
	atomic_fetch_sub(&s->g->gw->streams, 1);
}

static const struct exchange_ops stream_ops = { .on_close = stream_closed };

static void refuse_stream(struct exchange *ex, int64_t max)
{
	struct str text = str_printf_in(&ex->arena, "MaxConcurrentConnections reached: %lld\n", (long long)max);

	ex_respond_text(ex, 503, text);
}

static void begin_stream(struct exchange *ex, struct gw_worker *g)
{
	int64_t max = props_int(g->w->props, "hystrix.config.stream.maxConcurrentConnections");
	struct stream *s;

	if ((int64_t)atomic_fetch_add(&g->gw->streams, 1) >= max) {
		atomic_fetch_sub(&g->gw->streams, 1);
		refuse_stream(ex, max);
		return;
	}
	s = arena_zalloc(&ex->arena, sizeof(*s));
	s->ex = ex;
	s->g = g;
	ex->user = s;
	ex->ops = &stream_ops;
	list_push_back(&g->streams, &s->link);

	struct buf *b = ex_head(ex, 200);

	head_add(b, STR("Content-Type"), STR(HYSTREAM_CONTENT_TYPE));
	head_add(b, STR("Cache-Control"), STR("no-cache, no-store, max-age=0, must-revalidate"));
	head_add(b, STR("Pragma"), STR("no-cache"));
	ex_head_done(ex, EX_LENGTH_UNKNOWN);
	if (!g->stream_timer.fn)
		timer_init(&g->stream_timer, on_stream_timer);
	if (g->stream_timer.at == USEC_NEVER)
		timer_set(g->w->loop, &g->stream_timer, loop_now(g->w->loop)); /* the first event comes at once */
}

void gw_streams_end(struct gw_worker *g)
{
	list_foreach(l, &g->streams)
		ex_end(list_entry(l, struct stream, link)->ex);
	if (g->stream_timer.fn)
		timer_cancel(g->w->loop, &g->stream_timer);
}

/* --- which worker? An endpoint runs on the thread of the server that took the request --- */

static struct gw_worker *worker_of(struct gateway *gw, const struct exchange *ex)
{
	for (unsigned i = 0; i < gw->host->n_workers; i++) {
		struct worker *w = &gw->host->workers[i];

		if (w->server == ex->server)
			return w->role;
	}
	return NULL; /* the management port's */
}

static void on_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct gw_worker *g = worker_of(ctx, ex);

	(void)m;
	if (g)
		begin_stream(ex, g);
	else
		ex_respond_text(ex, 404, STR("the stream is served on the gateway's own port\n"));
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
		{ "routes", "GET", "/routes", .fn = on_routes, .ctx = gw },
		{ "routes-details", "GET", "/routes/details", .fn = on_routes_details, .ctx = gw },
		{ "hystrix.stream", "GET", "/hystrix.stream", .fn = on_stream, .ctx = gw },
		{ "hystrix.stream", "GET", "/hystrix.stream", .fn = on_stream, .ctx = gw,
		  .flags = ENDPOINT_ROOT | ENDPOINT_HIDDEN },
	};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		actuator_add(gw->host->actuator, &list[i]);
}
