/* request.c - an exchange becomes a request on a handler's thread, and its answer comes back.
 *
 * A request copies what its handler may read, because the client may go away, and the exchange with it, while the handler
 * runs. The two meet on the loop thread only: on_close clears rq->ex, and job done answers if it is still there.
 *
 * Life   request_begin (loop) -> body gathered -> job queued -> handler (a thread of the pool) -> answered, freed (loop).
 * Full   When the queue of the pool is full, the client is told 503 at once: waiting longer helps nobody. */
#include <stdarg.h>
#include <stdio.h>

#include "client/impl.h"
#include "codec/url.h"
#include "flow/deadline.h"

#define REPLY_MAX (64u << 20)

static void request_free(struct vine_request *rq)
{
	flow_request_unref(atomic_load(&rq->commands));
	buf_fini(&rq->out);
	arena_fini(&rq->arena);
	free(rq);
}

struct flow_request *request_commands(struct vine_request *rq)
{
	struct flow_request *there = atomic_load(&rq->commands), *made;

	if (there)
		return there;
	made = flow_request_new();
	if (atomic_compare_exchange_strong(&rq->commands, &there, made))
		return made;
	flow_request_unref(made);
	return there;
}

void vine_cache_clear(struct vine_request *rq, const char *command, const char *key)
{
	struct flow_request *commands = atomic_load(&rq->commands);
	struct str name = str_from(command), args = str_from(key);

	if (!commands)
		return;
	request_cache_clear(commands, &(struct cache_key){ CACHE_OF_COMMAND, name, args });
	request_cache_clear(commands, &(struct cache_key){ CACHE_OF_COLLAPSER, name, args });
}

/* --- on the handler's thread --- */

/* Hystrix' request log: what the request's calls came to. */
static void tell_commands(struct vine_request *rq)
{
	struct flow_request *commands = atomic_load(&rq->commands);
	struct buf ran = BUF_INIT(4096);

	if (!commands || !logger_enabled(&rq->app->log, LOG_DEBUG))
		return;
	request_log_text(commands, &ran);
	LOG(&rq->app->log, LOG_DEBUG, "commands of a request", F_STR("ran", buf_str(&ran)), F_Z("trace", rq->trace_text),
	    F_Z("span", rq->span_text));
	buf_fini(&ran);
}

static void run(struct job *j)
{
	struct vine_request *rq = container_of(j, struct vine_request, job);
	struct context *previous = context_enter(NULL); /* what the handler sets ends with it */

	rq->route->handler(rq, rq->route->ctx);
	context_leave(previous);
	tell_commands(rq);
}

/* --- on the loop thread --- */

static void on_close(struct exchange *ex)
{
	struct vine_request *rq = ex->user;

	rq->ex = NULL; /* the handler goes on; its answer is dropped */
}

static const struct exchange_ops request_ops = { .on_close = on_close };

static void done(struct job *j)
{
	struct vine_request *rq = container_of(j, struct vine_request, job);
	struct exchange *ex = rq->ex;

	if (ex) {
		ex->ops = NULL; /* from here on the exchange is none of ours */
		if (rq->job.cancelled)
			ex_respond_text(ex, 503, STR("shutting down\n"));
		else if (rq->status == 0)
			ex_respond_text(ex, 500, STR("the handler gave no answer\n"));
		else if (rq->out.failed)
			ex_respond_text(ex, 500, STR("the answer is too large\n"));
		else
			ex_respond(ex, rq->status, rq->type, buf_str(&rq->out), rq->reply, rq->n_reply);
	}
	request_free(rq);
}

static void copy_fields(struct vine_request *rq, const struct http_head *h)
{
	rq->n_fields = h->nfields;
	rq->fields = arena_alloc(&rq->arena, sizeof(*rq->fields) * (h->nfields + 1));
	for (unsigned i = 0; i < h->nfields; i++)
		rq->fields[i] = (struct field){ str_dup_in(&rq->arena, h->field[i].name), str_dup_in(&rq->arena, h->field[i].value) };
}

static usec deadline_of(const struct exchange *ex)
{
	const struct hfield *f = head_find_name(&ex->req, STR(DEADLINE_HEADER));
	uint64_t ms;

	if (!f || !str_to_u64(f->value, &ms) || ms > 24ull * 3600 * 1000)
		return USEC_NEVER;
	return ex->began + (usec)ms * USEC_PER_MSEC;
}

static void copy_request(struct vine_request *rq, const struct exchange *ex)
{
	rq->method = str_dup_in(&rq->arena, ex->req.method);
	rq->path = str_dup_in(&rq->arena, ex_path(ex));
	rq->query = str_dup_in(&rq->arena, ex->req.query);
	copy_fields(rq, &ex->req);
	addr_ip_text(&ex->peer, rq->peer);
	rq->deadline = deadline_of(ex);
}

/* What is known before the body is there; in the exchange's arena. */
struct arrival {
	struct app_route *route;
	struct route_match match;
};

static struct vine_request *request_new(struct exchange *ex, const struct arrival *ar, struct str body)
{
	struct vine_app *app = ar->route->app;
	struct vine_request *rq = xzalloc(sizeof(*rq));

	*rq = (struct vine_request){ .app = app, .route = ar->route, .ex = ex, .job = { .run = run, .done = done } };
	arena_init(&rq->arena, 4096);
	buf_init(&rq->out, REPLY_MAX);
	copy_request(rq, ex);
	rq->body = str_dup_in(&rq->arena, body);
	for (unsigned i = 0; i < ar->match.n; i++)
		rq->var[i] = str_dup_in(&rq->arena, ar->match.var[i]);
	request_trace(rq, &ex->req);
	return rq;
}

static void on_body(struct exchange *ex, struct str body)
{
	struct vine_request *rq = request_new(ex, ex->user, body);
	struct field again = { STR("Retry-After"), STR("1") };

	ex->user = rq;
	ex->ops = &request_ops;
	if (jobs_submit(rq->app->handlers, &rq->job, &rq->app->mailbox))
		return;
	ex->ops = NULL;
	request_free(rq);
	ex_respond(ex, 503, STR("text/plain;charset=UTF-8"), STR("too many requests are waiting\n"), &again, 1);
}

void request_begin(struct exchange *ex, const struct route_match *m, void *route)
{
	struct app_route *rt = route;
	struct arrival *ar = arena_alloc(&ex->arena, sizeof(*ar));

	ex->pattern = rt->pattern;
	for (unsigned i = 0; i < m->n; i++) {
		if (memchr(m->var[i].ptr, '\0', m->var[i].len)) { /* handlers get C strings: it would end one early */
			ex_respond_text(ex, 400, STR("NUL in path\n"));
			return;
		}
	}
	*ar = (struct arrival){ rt, *m };
	ex->user = ar;
	ex_collect(ex, rt->app->set.body_max, on_body);
}

/* --- what a handler reads --- */

const char *vine_request_method(const struct vine_request *rq)
{
	return rq->method.ptr;
}

const char *vine_request_path(const struct vine_request *rq)
{
	return rq->path.ptr;
}

const char *vine_request_var(const struct vine_request *rq, const char *name)
{
	for (unsigned i = 0; i < rq->route->n_vars; i++) {
		if (str_eq(rq->route->var[i], str_from(name)))
			return rq->var[i].ptr;
	}
	return NULL;
}

/* "a%20b+c" with a NUL behind it; a malformed escape stays as it is, and so does %00: it would end the text early. */
static struct str decode_in(struct arena *a, struct str s)
{
	char *out = arena_alloc(a, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		int high = s.ptr[i] == '%' && i + 2 < s.len ? ascii_hex(s.ptr[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex(s.ptr[i + 2]) : -1;

		if (low >= 0 && high + low > 0) {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			out[n++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
		}
	}
	out[n] = '\0';
	return str_of(out, n);
}

const char *vine_request_query(struct vine_request *rq, const char *name)
{
	struct str rest = rq->query, key, value;

	while (url_next_param(&rest, &key, &value)) {
		if (str_eq(decode_in(&rq->arena, key), str_from(name)))
			return decode_in(&rq->arena, value).ptr;
	}
	return NULL;
}

const char *vine_request_header(struct vine_request *rq, const char *name)
{
	for (unsigned i = 0; i < rq->n_fields; i++) {
		if (str_eq_nocase(rq->fields[i].name, str_from(name)))
			return rq->fields[i].value.ptr;
	}
	return NULL;
}

const void *vine_request_body(const struct vine_request *rq, size_t *len)
{
	if (len)
		*len = rq->body.len;
	return rq->body.ptr;
}

const char *vine_request_peer(const struct vine_request *rq)
{
	return rq->peer;
}

const char *vine_request_trace_id(const struct vine_request *rq)
{
	return rq->trace_text;
}

const char *vine_request_span_id(const struct vine_request *rq)
{
	return rq->span_text;
}

int64_t vine_request_time_left(const struct vine_request *rq)
{
	usec now = clock_mono();

	if (rq->deadline == USEC_NEVER)
		return -1;
	return rq->deadline > now ? (rq->deadline - now) / USEC_PER_MSEC : 0;
}

/* --- what a handler answers --- */

bool vine_reply_header(struct vine_request *rq, const char *name, const char *value)
{
	struct str n = str_from(name), v = str_from(value);

	if (rq->n_reply == ARRAY_LEN(rq->reply) || !http_is_token(n) || !http_value_is_clean(v))
		return false;
	switch (http_name_of(n)) { /* framing is the library's */
	case H_CONNECTION:
	case H_CONTENT_LENGTH:
	case H_TRANSFER_ENCODING:
	case H_CONTENT_TYPE:
		return false;
	default:
		break;
	}
	rq->reply[rq->n_reply++] = (struct field){ str_dup_in(&rq->arena, n), str_dup_in(&rq->arena, v) };
	return true;
}

static bool begin_reply(struct vine_request *rq, unsigned status, const char *type)
{
	assert(status >= 200 && status <= 599);
	if (rq->status)
		return false;
	rq->status = status;
	rq->type = str_dup_in(&rq->arena, str_from(type));
	assert(http_value_is_clean(rq->type));
	return true;
}

void vine_reply(struct vine_request *rq, unsigned status, const char *type, const void *body, size_t len)
{
	if (begin_reply(rq, status, type))
		buf_add(&rq->out, body, len);
}

void vine_reply_text(struct vine_request *rq, unsigned status, const char *text)
{
	vine_reply(rq, status, "text/plain;charset=UTF-8", text, strlen(text));
}

void vine_reply_json(struct vine_request *rq, unsigned status, const char *json)
{
	vine_reply(rq, status, "application/json", json, strlen(json));
}

void vine_replyf(struct vine_request *rq, unsigned status, const char *type, const char *fmt, ...)
{
	va_list ap, again;

	if (!begin_reply(rq, status, type))
		return;
	va_start(ap, fmt);
	va_copy(again, ap);

	int n = vsnprintf(NULL, 0, fmt, ap);

	assert(n >= 0);
	if (buf_reserve(&rq->out, (size_t)n + 1)) {
		vsnprintf(rq->out.ptr + rq->out.len, (size_t)n + 1, fmt, again);
		rq->out.len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}
