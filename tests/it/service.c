/* service.c - a small service on libvine, made by the tests of libvine: it does what its requests ask it to. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vine/app.h>
#include <vine/balance.h>
#include <vine/call.h>
#include <vine/collapser.h>
#include <vine/log.h>

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static void hello(struct vine_request *rq, void *ctx)
{
	VINE_LOG(ctx, rq, VINE_LOG_INFO, "hello said", VINE_TEXT("to", vine_request_var(rq, "name")), VINE_NUM("answer", 42));
	vine_reply_header(rq, "X-Extra", "yes");
	vine_replyf(rq, 200, "application/json", "{\"name\":\"%s\",\"q\":\"%s\",\"agent\":\"%s\",\"trace\":\"%s\",\"span\":\"%s\",\"left\":%lld,\"path\":\"%s\"}",
		    vine_request_var(rq, "name"), or_empty(vine_request_query(rq, "q")), or_empty(vine_request_header(rq, "user-agent")),
		    vine_request_trace_id(rq), vine_request_span_id(rq), (long long)vine_request_time_left(rq), vine_request_path(rq));
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

/* ?part=db&is=3&why=...: a part of the health, by its number. */
static void ail(struct vine_request *rq, void *ctx)
{
	long is = strtol(or_empty(vine_request_query(rq, "is")), NULL, 10);
	bool room = vine_app_health(ctx, or_empty(vine_request_query(rq, "part")), (enum vine_health)is, vine_request_query(rq, "why"));

	vine_reply_text(rq, room ? 200 : 507, "told");
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

/* --- a collapser: a batch's answers come from the service `up`, a line "id=text" each --- */

struct gathering {
	struct vine_app *app;
	struct vine_collapser *by_request, *global, *parted;
};

static struct gathering gathering;

static int fetch(struct vine_batch *b, struct vine_err *e, void *ctx)
{
	struct vine_response *rs = NULL;
	char path[4096] = "/many?ids=";
	int r;

	(void)ctx;
	for (size_t i = 0; i < vine_batch_len(b); i++) {
		strncat(path, i ? "," : "", sizeof(path) - strlen(path) - 1);
		strncat(path, vine_batch_arg(b, i, NULL), sizeof(path) - strlen(path) - 1);
	}
	if (strstr(path, "mistake")) {
		snprintf(e->text, sizeof(e->text), "a mistake of the caller's");
		return VINE_CODE_INVALID;
	}
	r = vine_call(gathering.app, NULL, &(struct vine_call_opts){ .service = "up", .path = path, .cache_key = path }, &rs, e);
	for (size_t i = 0; r == 0 && i < vine_batch_len(b); i++) {
		size_t len;
		const char *id = vine_batch_arg(b, i, &len), *line = strstr(vine_response_body(rs, NULL), id);

		if (strcmp(id, "refused") == 0)
			vine_batch_refuse(b, i, VINE_CODE_FORBIDDEN, "not this one");
		else if (line && line[len] == '=')
			vine_batch_answer(b, i, vine_value_new(line + len + 1, strcspn(line + len + 1, "\n")));
	}
	vine_response_free(rs);
	return r;
}

static unsigned by_first_byte(const void *arg, size_t len, void *ctx)
{
	(void)ctx;
	return len ? (unsigned)*(const unsigned char *)arg % 4 : 0;
}

static int make_collapsers(struct vine_app *app, struct vine_err *e)
{
	int r;

	gathering.app = app;
	r = vine_collapser_new(&gathering.by_request, app, &(struct vine_collapser_opts){ .key = "one", .batch = fetch }, e);
	if (r == 0)
		r = vine_collapser_new(&gathering.global, app, &(struct vine_collapser_opts){ .key = "all", .command = "batch", .group = "g",
			.scope = VINE_COLLAPSE_GLOBAL, .batch = fetch }, e);
	if (r == 0)
		r = vine_collapser_new(&gathering.parted, app, &(struct vine_collapser_opts){ .key = "parted", .batch = fetch,
			.shard = by_first_byte, .n_shards = 4 }, e);
	return r;
}

/* /collapse?with=one&ids=a,b,a: all begun, then ended; "a=1 b=E-4:why a=1" */
static void collapse(struct vine_request *rq, void *ctx)
{
	const char *with = or_empty(vine_request_query(rq, "with")), *ids = or_empty(vine_request_query(rq, "ids"));
	struct vine_collapser *c = strcmp(with, "all") == 0	 ? gathering.global
				   : strcmp(with, "parted") == 0 ? gathering.parted
								 : gathering.by_request;
	struct vine_collapsing *w[64];
	char text[1024], out[8192] = "", *rest = text, *id;
	size_t n = 0;

	(void)ctx;
	snprintf(text, sizeof(text), "%s", ids);
	while (n < 64 && (id = strsep(&rest, ","))) {
		struct vine_err e = { 0 };
		int r = vine_collapse_begin(c, vine_request_query(rq, "alone") ? NULL : rq, id, strlen(id), &w[n], &e);

		if (r < 0) {
			vine_replyf(rq, 200, "text/plain", "E%d:%s", r, e.text);
			while (n)
				vine_collapse_end(w[--n], NULL, NULL);
			return;
		}
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		struct vine_value *v = NULL;
		struct vine_err e = { 0 };
		int r = vine_collapse_end(w[i], vine_request_query(rq, "drop") ? NULL : &v, &e);
		size_t len = strlen(out);

		if (r < 0)
			snprintf(out + len, sizeof(out) - len, "%sE%d:%s", i ? " " : "", r, e.text);
		else
			snprintf(out + len, sizeof(out) - len, "%s%s", i ? " " : "", v ? (const char *)vine_value_data(v, NULL) : "-");
		vine_value_free(v);
	}
	vine_reply_text(rq, 200, out);
}

/* /twice?clear=1: the same call two times within one request, with one cache key. */
static void twice(struct vine_request *rq, void *ctx)
{
	struct vine_call_opts o = { .service = "up", .path = "/x", .command = vine_request_query(rq, "command"), .cache_key = "x",
				    .fallback = vine_request_query(rq, "fallback") ? reserve : NULL, .ctx = "spare" };
	struct vine_response *rs[2] = { 0 };
	struct vine_err e[2] = { 0 };
	int code[2];

	for (int i = 0; i < 2; i++) {
		code[i] = vine_call(ctx, vine_request_query(rq, "alone") ? NULL : rq, &o, &rs[i], &e[i]);
		if (vine_request_query(rq, "clear"))
			vine_cache_clear(rq, o.command ? o.command : "up", "x");
	}
	vine_replyf(rq, 200, "application/json", "{\"codes\":[%d,%d],\"bodies\":[\"%s\",\"%s\"],\"same\":%s}", code[0], code[1],
		    rs[0] ? vine_response_body(rs[0], NULL) : "", rs[1] ? vine_response_body(rs[1], NULL) : "",
		    rs[0] && rs[0] == rs[1] ? "true" : "false");
	vine_response_free(rs[0]);
	vine_response_free(rs[1]);
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
	vine_app_route(app, "GET", "/ail", ail, app);
	vine_app_route(app, "GET", "/slow", slow, app);
	vine_app_route(app, "GET", "/call", call, app);
	vine_app_route(app, "GET", "/property", property, app);
	if (make_collapsers(app, &e) < 0)
		return vine_app_complain("tester", &e);
	vine_app_route(app, "GET", "/collapse", collapse, app);
	vine_app_route(app, "GET", "/twice", twice, app);
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
