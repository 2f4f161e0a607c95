/* discovery.c - what a service tells of its registry: /actuator/eureka, and Spring's /actuator/serviceregistry.
 *
 * Threads   Everything on the loop thread. */
#include "client/impl.h"
#include "client/membership.h"
#include "codec/json.h"
#include "eureka/client.h"
#include "manage/actuator.h"
#include "manage/guard.h"

#define BODY_MAX 4096
#define ANSWER_MAX (1u << 20)

static bool may(struct vine_app *app, struct exchange *ex)
{
	enum auth_verdict v = ex_judge(ex, &app->creds);

	if (v != AUTH_YES)
		ex_refuse(ex, v);
	return v == AUTH_YES;
}

static void fail(struct exchange *ex, unsigned status, const char *why)
{
	struct buf b = BUF_INIT(4096);

	document_fail(&b, status, why);
	ex_respond(ex, status, STR("application/json"), buf_str(&b), NULL, 0);
	buf_fini(&b);
}

static void on_eureka(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct vine_app *app = ctx;
	struct buf b = BUF_INIT(ANSWER_MAX);
	struct jsonw w;

	(void)m;
	if (!may(app, ex))
		return;
	jsonw_init(&w, &b);
	if (app->membership)
		eureka_client_write(membership_client(app->membership), &w);
	if (app->membership)
		ex_respond_actuator(ex, 200, buf_str(&b));
	else
		fail(ex, 404, "eureka.client.enabled is false");
	buf_fini(&b);
}

/* A question that is out; whichever ends last, the exchange or the answer, frees it. */
struct asking {
	struct vine_app *app;
	struct exchange *ex; /* NULL: gone */
	enum eureka_question q;
};

static void on_close(struct exchange *ex)
{
	struct asking *a = ex->user;

	if (a)
		a->ex = NULL;
}

static const struct exchange_ops ops = { .on_close = on_close };

static void on_reply(const struct eureka_reply *r, void *ctx)
{
	struct asking *a = ctx;
	struct exchange *ex = a->ex;
	struct buf b = BUF_INIT(4096);

	if (ex) {
		ex->user = NULL;
		if (!r->status)
			fail(ex, 503, r->why);
		else if (a->q != EUREKA_GET && r->status >= 300)
			fail(ex, r->status, "the registry refuses it, or does not know this instance");
		else if (a->q != EUREKA_GET)
			ex_respond_actuator(ex, 200, STR_EMPTY);
		else {
			eureka_reply_write(&b, r);
			ex_respond_actuator(ex, 200, buf_str(&b));
		}
	}
	buf_fini(&b);
	free(a);
}

static void ask(struct exchange *ex, struct vine_app *app, enum eureka_question q, enum inst_status s)
{
	struct asking *a = xzalloc(sizeof(*a));

	*a = (struct asking){ app, ex, q };
	ex->ops = &ops;
	ex->user = a;
	if (app->membership && eureka_client_ask(membership_client(app->membership), q, s, on_reply, a))
		return;
	ex->user = NULL;
	free(a);
	fail(ex, 404, "no registration found");
}

static void on_get(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	if (may(ctx, ex))
		ask(ex, ctx, EUREKA_GET, INST_UNKNOWN);
}

static void on_body(struct exchange *ex, struct str body)
{
	struct vine_app *app = ex->user;
	enum eureka_question q;
	enum inst_status s;

	ex->user = NULL;
	if (!eureka_override_parse(body, &q, &s)) {
		fail(ex, 400, "wanted: {\"status\":\"...\"} with UP, DOWN, STARTING, OUT_OF_SERVICE, UNKNOWN or CANCEL_OVERRIDE");
		return;
	}
	LOG(&app->log, LOG_INFO, "an override is asked for",
	    F_STR("status", q == EUREKA_OVERRIDE ? inst_status_name(s) : STR("CANCEL_OVERRIDE")));
	ask(ex, app, q, s);
}

static void on_post(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	if (!may(ctx, ex))
		return;
	ex->user = ctx;
	ex_collect(ex, BODY_MAX, on_body);
}

void discovery_routes(struct vine_app *app)
{
	router_add(app->router, "GET", "/actuator/eureka", on_eureka, app);
	router_add(app->router, "GET", "/actuator/serviceregistry", on_get, app);
	router_add(app->router, "POST", "/actuator/serviceregistry", on_post, app);
}
