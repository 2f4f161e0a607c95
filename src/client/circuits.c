/* circuits.c - what a service tells of its circuits, and what may be done to them: /hystrix.stream and its
 * siblings, /actuator/circuits, and of its balancing.
 *
 * Everything here runs on the loop thread; what it says is manage/circuits' to write. */
#include "client/impl.h"
#include "client/remotes.h"
#include "codec/json.h"
#include "flow/hystream.h"
#include "manage/actuator.h"
#include "manage/balancers.h"
#include "manage/guard.h"
#include "props/props.h"

#define BODY_MAX (64u * 1024)
#define ANSWER_MAX (16u << 20)

static struct circuits circuits_of(struct vine_app *app)
{
	struct commands *cs = remotes_commands(app->remotes);

	return (struct circuits){
		.commands = commands_table(cs),
		.settings_of = commands_settings_of,
		.arg = cs,
		.pools = commands_pools(cs),
		.collapsers = commands_collapsers(cs),
		.props = app->props,
		.now = loop_now(app->loop),
		.wall = clock_wall(),
	};
}

static enum hystrix_stream kind_of(const struct app_stream *s)
{
	return (enum hystrix_stream)(s - s->app->stream);
}

static usec interval(void *ctx)
{
	const struct app_stream *s = ctx;

	return hystrix_stream_interval(kind_of(s), s->app->props);
}

static void write_events(void *ctx, struct buf *b)
{
	const struct app_stream *s = ctx;
	struct circuits c = circuits_of(s->app);

	hystrix_stream_write(kind_of(s), &c, b);
}

static const struct event_hub_ops hub_ops = { .interval = interval, .write = write_events, .ping = HYSTREAM_PING };

static void on_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct app_stream *s = ctx;

	(void)m;
	if (management_may(s->app, ex))
		event_hub_add(&s->hub, ex, props_int(s->app->props, "hystrix.config.stream.maxConcurrentConnections"));
}

/* --- /actuator/circuits --- */

static void answer(struct exchange *ex, struct vine_app *app, struct str key)
{
	struct circuits c = circuits_of(app);
	struct buf b = BUF_INIT(ANSWER_MAX);
	bool known = true;

	if (key.len)
		known = circuits_show(&c, key, &b);
	else
		circuits_list(&c, &b);
	if (!known)
		management_fail(ex, 404, "no such circuit: a circuit begins with the first call");
	else if (b.failed)
		management_fail(ex, 500, "the document is too large");
	else
		ex_respond_actuator(ex, 200, buf_str(&b));
	buf_fini(&b);
}

static void on_show(struct exchange *ex, const struct route_match *m, void *ctx)
{
	if (management_may(ctx, ex))
		answer(ex, ctx, m->n ? m->var[0] : STR_EMPTY);
}

struct forcing {
	struct vine_app *app;
	struct str key;
};

static void force(struct exchange *ex, struct str body)
{
	struct forcing *f = ex->user;
	struct circuits c = circuits_of(f->app);
	enum breaker_force to;
	struct err e;
	int r = circuits_parse_force(body, &to, &e);

	if (r < 0) {
		management_fail(ex, 400, e.text);
		return;
	}
	r = circuits_force(&c, f->key, to, &e);
	if (r < 0) {
		management_fail(ex, r == VINE_ENOTFOUND ? 404 : 409, e.text);
		return;
	}
	LOG(&f->app->log, LOG_WARN, "circuit set by hand", F_STR("command", f->key), F_Z("to", breaker_force_name(to)));
	answer(ex, f->app, f->key);
}

static void on_force(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct forcing *f;

	if (!management_may(ctx, ex))
		return;
	f = arena_zalloc(&ex->arena, sizeof(*f));
	*f = (struct forcing){ .app = ctx, .key = m->var[0] };
	ex->user = f;
	ex_collect(ex, BODY_MAX, force);
}

/* --- /actuator/loadbalancers --- */

struct looking {
	struct jsonw w;
	struct buf *b;
	struct balancers_when at;
};

static void add_one(void *ctx, const struct balancer_view *v)
{
	balancers_add(&((struct looking *)ctx)->w, v);
}

static void explain_one(void *ctx, const struct balancer_view *v)
{
	struct looking *l = ctx;

	balancers_explain(l->b, v, &l->at);
}

static void on_balancers(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct vine_app *app = ctx;
	struct buf b = BUF_INIT(ANSWER_MAX);
	struct looking l = { .b = &b, .at = { loop_now(app->loop), clock_wall() } };
	size_t n = 1;

	if (!management_may(app, ex))
		return;
	if (m->n) {
		n = m->var[0].len ? remotes_look(app->remotes, m->var[0], explain_one, &l) : 0;
	} else {
		jsonw_init(&l.w, &b);
		balancers_begin(&l.w);
		remotes_look(app->remotes, STR_EMPTY, add_one, &l);
		balancers_end(&l.w);
	}
	if (n == 0)
		management_fail(ex, 404, "no such service: one begins with the first call");
	else if (b.failed)
		management_fail(ex, 500, "the document is too large");
	else
		ex_respond_actuator(ex, 200, buf_str(&b));
	buf_fini(&b);
}

/* --- */

void circuits_init(struct vine_app *app)
{
	for (unsigned i = 0; i < HYSTRIX_STREAMS; i++) {
		app->stream[i].app = app;
		event_hub_init(&app->stream[i].hub, app->loop, &app->streams[i], &hub_ops, &app->stream[i]);
	}
}

void circuits_end(struct vine_app *app)
{
	for (unsigned i = 0; i < HYSTRIX_STREAMS; i++)
		event_hub_end(&app->stream[i].hub);
}

void circuits_routes(struct vine_app *app)
{
	static const char *const paths[HYSTRIX_STREAMS] = {
		[STREAM_DASHBOARD] = "/hystrix.stream",
		[STREAM_CONFIG] = "/hystrix/config.stream",
		[STREAM_UTILIZATION] = "/hystrix/utilization.stream",
	};

	for (unsigned i = 0; i < HYSTRIX_STREAMS; i++) {
		app->stream[i].app = app;
		management_add(app, "GET", paths[i], on_stream, &app->stream[i]);
		router_add(app->router, "GET", paths[i], on_stream, &app->stream[i]);
	}
	management_add(app, "GET", "/circuits", on_show, NULL);
	management_add(app, "GET", "/circuits/{key}", on_show, NULL);
	management_add(app, "POST", "/circuits/{key}", on_force, NULL);
	management_add(app, "GET", "/loadbalancers", on_balancers, NULL);
	management_add(app, "GET", "/loadbalancers/{service}", on_balancers, NULL);
}
