/* service.c - a small service on libvine, made by the tests of libvine: it does what its requests ask it to. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vine/app.h>
#include <vine/balance.h>
#include <vine/call.h>
#include <vine/log.h>

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static void hello(struct vine_request *rq, void *ctx)
{
	VINE_LOG(ctx, rq, VINE_LOG_INFO, "hello said", VINE_TEXT("to", vine_request_var(rq, "name")), VINE_NUM("answer", 42));
	vine_reply_header(rq, "X-Extra", "yes");
	vine_replyf(rq, 200, "application/json", "{\"name\":\"%s\",\"q\":\"%s\",\"agent\":\"%s\",\"trace\":\"%s\",\"span\":\"%s\",\"left\":%lld}",
		    vine_request_var(rq, "name"), or_empty(vine_request_query(rq, "q")), or_empty(vine_request_header(rq, "user-agent")),
		    vine_request_trace_id(rq), vine_request_span_id(rq), (long long)vine_request_time_left(rq));
}

static void echo(struct vine_request *rq, void *ctx)
{
	size_t len;
	const void *body = vine_request_body(rq, &len);

	(void)ctx;
	vine_reply(rq, 201, vine_request_header(rq, "Content-Type"), body, len);
	vine_reply_text(rq, 500, "a second answer is ignored");
}

static void silent(struct vine_request *rq, void *ctx)
{
	(void)rq, (void)ctx;
}

static void pause_for(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

static void slow(struct vine_request *rq, void *ctx)
{
	VINE_LOG(ctx, rq, VINE_LOG_INFO, "slow began");
	pause_for(strtol(or_empty(vine_request_query(rq, "ms")), NULL, 10));
	vine_reply_text(rq, 200, "at last");
}

static int reserve(struct vine_response *rs, enum vine_cause cause, const struct vine_err *why, void *ctx)
{
	const char *text = ctx;

	(void)cause;
	if (strcmp(text, "fails") == 0 || why->text[0] == '\0')
		return -1;
	vine_response_set(rs, 203, "text/plain", text, strlen(text));
	return 0;
}

/* The response's own text has no quotes in these tests; the error's may: they and control bytes become apostrophes. */
static void unquote(char *s)
{
	for (; *s; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ')
			*s = '\'';
}

static void answer_call(struct vine_request *rq, int code, struct vine_response *rs, struct vine_err *e)
{
	if (code < 0) {
		unquote(e->text);
		vine_replyf(rq, 200, "application/json", "{\"code\":%d,\"error\":\"%s\"}", code, e->text);
		return;
	}
	vine_replyf(rq, 200, "application/json",
		    "{\"code\":0,\"status\":%u,\"body\":\"%.200s\",\"length\":%zu,\"tries\":%u,\"cause\":\"%s\",\"server\":\"%s\",\"type\":\"%s\"}",
		    vine_response_status(rs), vine_response_body(rs, NULL), strlen(vine_response_body(rs, NULL)), vine_response_tries(rs),
		    vine_cause_name(vine_response_cause(rs)), or_empty(vine_response_server(rs)),
		    or_empty(vine_response_header(rs, "content-type")));
	vine_response_free(rs);
}

static void call(struct vine_request *rq, void *ctx)
{
	static const char *const headers[] = { "X-One", "1", NULL };
	const char *fallback = vine_request_query(rq, "fallback"), *timeout = vine_request_query(rq, "timeout");
	const char *body = vine_request_query(rq, "body");
	struct vine_response *rs = NULL;
	struct vine_err e = { 0 };
	int code = vine_call(ctx, vine_request_query(rq, "alone") ? NULL : rq, &(struct vine_call_opts){
		.service = vine_request_query(rq, "service"),
		.method = vine_request_query(rq, "method"),
		.path = vine_request_query(rq, "path"),
		.headers = headers,
		.type = body ? "text/plain" : NULL,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.command = vine_request_query(rq, "command"),
		.stick = vine_request_query(rq, "stick"),
		.timeout_ms = timeout ? strtol(timeout, NULL, 10) : 0,
		.fallback = fallback ? reserve : NULL,
		.ctx = (void *)(uintptr_t)fallback,
	}, &rs, &e);

	answer_call(rq, code, rs, &e);
}

static void property(struct vine_request *rq, void *ctx)
{
	const char *value = vine_app_property(ctx, or_empty(vine_request_query(rq, "key")));

	vine_reply_text(rq, value ? 200 : 404, or_empty(value));
}

/* --- a rule of the program's own: the server whose port is the highest --- */

static const struct vine_host *host;

static int rule_init(const struct vine_host *h)
{
	host = h;
	return 0;
}

static int64_t highest_port(void *state, const struct vine_choice *c)
{
	uint32_t best = 0;

	(void)state;
	for (uint32_t i = 1; i < c->servers->n; i++) {
		const char *a = strrchr(host->balance->id(c->servers->at[i]), ':'), *b = strrchr(host->balance->id(c->servers->at[best]), ':');

		if (strtol(a + 1, NULL, 10) > strtol(b + 1, NULL, 10))
			best = i;
	}
	return best;
}

static int64_t outside(void *state, const struct vine_choice *c)
{
	(void)state;
	return c->servers->n;
}

static int use_rule(struct vine_app *app, const char *name, struct vine_err *e)
{
	static struct vine_rule_ops rule = { .plugin = VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, "by port") };

	rule.plugin.init = rule_init;
	rule.choose = strcmp(name, "highest") == 0 ? highest_port : strcmp(name, "outside") == 0 ? outside : NULL;
	return vine_app_use(app, "mine", &rule.plugin, e);
}

/* A thread of the program's own that calls for as long as it is let. */
static void *own_thread(void *arg)
{
	struct vine_app *app = arg;
	struct vine_response *rs;

	while (vine_call(app, NULL, &(struct vine_call_opts){ .service = "own", .path = "/" }, &rs, NULL) == 0) {
		vine_response_free(rs);
		pause_for(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct vine_err e;
	struct vine_app *app;
	pthread_t t;

	if (vine_app_new(&app, &(struct vine_app_opts){ .argc = argc, .argv = argv, .name = "tester" }, &e) < 0)
		return vine_app_complain("tester", &e);
	if (vine_app_property(app, "test.rule") && use_rule(app, vine_app_property(app, "test.rule"), &e) < 0)
		return vine_app_complain("tester", &e);
	vine_app_route(app, "GET", "/hello/{name}", hello, app);
	vine_app_route(app, "POST PUT", "/echo", echo, app);
	vine_app_route(app, "GET", "/silent", silent, app);
	vine_app_route(app, "GET", "/slow", slow, app);
	vine_app_route(app, "GET", "/call", call, app);
	vine_app_route(app, "GET", "/property", property, app);
	if (!vine_app_property(app, "test.embedded")) {
		int code = vine_app_run(app);

		vine_app_free(app);
		return code;
	}
	/* As part of a program that has a main loop of its own: standard input is it. */
	if (vine_app_start(app, &e) < 0)
		return vine_app_complain(vine_app_name(app), &e);
	printf("embedded ready: http://127.0.0.1:%u pid 0\n", vine_app_port(app));
	fflush(stdout);
	pthread_create(&t, NULL, own_thread, app);
	for (int c; (c = getchar()) != EOF;)
		if (c == 'r')
			vine_app_reload(app);
	vine_app_stop(app);
	vine_app_wait(app);
	pthread_join(t, NULL);
	vine_app_free(app);
	return 0;
}
