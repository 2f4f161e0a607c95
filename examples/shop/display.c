/* display.c - the API server for pages: asks product and member by name, and shows something whatever becomes of them.
 *
 *	GET /pages/{id}?member=1   one product as this member sees it
 *
 * Both calls are Hystrix commands with a fallback, so a page is always 200; `source` says where its parts came from:
 * "live", or the reason for the fallback. */
#include <stdio.h>
#include <string.h>

#include <vine/app.h>
#include <vine/call.h>
#include <vine/log.h>

static int no_product(struct vine_response *rs, enum vine_cause cause, const struct vine_err *why, void *ctx)
{
	static const char text[] = "{\"name\":\"This product will be back in a moment\"}";

	(void)cause, (void)why, (void)ctx;
	vine_response_set(rs, 200, "application/json", text, sizeof(text) - 1);
	return 0;
}

static int no_member(struct vine_response *rs, enum vine_cause cause, const struct vine_err *why, void *ctx)
{
	static const char text[] = "{\"name\":\"Guest\",\"grade\":\"NONE\"}";

	(void)cause, (void)why, (void)ctx;
	vine_response_set(rs, 200, "application/json", text, sizeof(text) - 1);
	return 0;
}

static bool is_number(const char *s)
{
	return s && *s && strlen(s) < 10 && strspn(s, "0123456789") == strlen(s);
}

/* GET service's path for rq; NULL: not even the fallback could (e says why). */
static struct vine_response *get(struct vine_app *app, struct vine_request *rq, const char *service, const char *path,
				 vine_fallback fallback)
{
	struct vine_response *rs;
	struct vine_err e;

	if (vine_call(app, rq, &(struct vine_call_opts){ .service = service, .path = path, .fallback = fallback }, &rs, &e) == 0)
		return rs;
	VINE_LOG(app, rq, VINE_LOG_ERROR, "no answer", VINE_TEXT("service", service), VINE_TEXT("why", e.text));
	return NULL;
}

static const char *source(const struct vine_response *rs)
{
	enum vine_cause cause = vine_response_cause(rs);

	return cause == VINE_CAUSE_NONE ? "live" : vine_cause_name(cause);
}

static void page(struct vine_request *rq, void *ctx)
{
	struct vine_app *app = ctx;
	const char *id = vine_request_var(rq, "id"), *who = vine_request_query(rq, "member");
	char path[64];

	if (!is_number(id) || (who && !is_number(who))) {
		vine_reply_json(rq, 400, "{\"error\":\"products and members have numbers\"}");
		return;
	}
	snprintf(path, sizeof(path), "/products/%s", id);

	struct vine_response *product = get(app, rq, "product", path, no_product);

	snprintf(path, sizeof(path), "/members/%s", who ? who : "1");

	struct vine_response *member = get(app, rq, "member", path, no_member);

	if (!product || !member)
		vine_reply_json(rq, 503, "{\"error\":\"the page is not to be had now\"}");
	else if (vine_response_status(product) == 404)
		vine_reply_json(rq, 404, "{\"error\":\"no such product\"}");
	else
		vine_replyf(rq, 200, "application/json",
			    "{\"product\":%s,\"member\":%s,\"source\":{\"product\":\"%s\",\"member\":\"%s\"}}",
			    vine_response_body(product, NULL), vine_response_body(member, NULL), source(product), source(member));
	vine_response_free(product);
	vine_response_free(member);
}

int main(int argc, char **argv)
{
	struct vine_err e;
	struct vine_app *app;

	if (vine_app_new(&app, &(struct vine_app_opts){ .argc = argc, .argv = argv, .name = "display" }, &e) < 0)
		return vine_app_complain("display", &e);
	vine_app_route(app, "GET", "/pages/{id}", page, app);

	int code = vine_app_run(app);

	vine_app_free(app);
	return code;
}
