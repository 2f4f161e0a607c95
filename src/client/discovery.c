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

static void on_eureka(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct vine_app *app = ctx;
	struct buf b = BUF_INIT(ANSWER_MAX);
	struct jsonw w;

	(void)m;
	if (!management_may(app, ex))
		return;
	jsonw_init(&w, &b);
	if (app->membership)
		eureka_client_write(membership_client(app->membership), &w);
	if (app->membership)
		ex_respond_actuator(ex, 200, buf_str(&b));
	else
		management_fail(ex, 404, "eureka.client.enabled is false");
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
			management_fail(ex, 503, r->why);
		else if (a->q != EUREKA_GET && r->status >= 300)
			management_fail(ex, r->status, "the registry refuses it, or does not know this instance");
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
	management_fail(ex, 404, "no registration found");
}

static void on_get(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	if (management_may(ctx, ex))
		ask(ex, ctx, EUREKA_GET, INST_UNKNOWN);
}

static void on_body(struct exchange *ex, struct str body)
{
	struct vine_app *app = ex->user;
	enum eureka_question q;
	enum inst_status s;

	ex->user = NULL;
	if (!eureka_override_parse(body, &q, &s)) {
		management_fail(ex, 400, "wanted: {\"status\":\"...\"} with UP, DOWN, STARTING, OUT_OF_SERVICE, UNKNOWN or CANCEL_OVERRIDE");
		return;
	}
	LOG(&app->log, LOG_INFO, "an override is asked for",
	    F_STR("status", q == EUREKA_OVERRIDE ? inst_status_name(s) : STR("CANCEL_OVERRIDE")));
	ask(ex, app, q, s);
}

static void on_post(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	if (!management_may(ctx, ex))
		return;
	ex->user = ctx;
	ex_collect(ex, BODY_MAX, on_body);
}

void discovery_routes(struct vine_app *app)
{
	management_add(app, "GET", "/eureka", on_eureka, NULL);
	management_add(app, "GET", "/serviceregistry", on_get, NULL);
	management_add(app, "POST", "/serviceregistry", on_post, NULL);
}
