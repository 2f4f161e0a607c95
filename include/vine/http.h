/* vine/http.h - a request that a handler answers.
 *
 * A handler is called on a thread of the app's pool with the request's body complete, may block, and answers before it
 * returns; one that returns without an answer has answered 500. Everything that a request hands out lives until the
 * handler returns. A request belongs to the handler's thread; only vine_call and vine_log take it elsewhere meanwhile.
 *
 * A request carries its trace (B3 headers made or continued) and its deadline: pass it to vine_call and vine_log, and both
 * go along. */
#pragma once
#include <vine/base.h>

struct vine_request;

typedef void (*vine_handler)(struct vine_request *rq, void *ctx);

VINE_API const char *vine_request_method(const struct vine_request *rq); /* "GET" */
VINE_API const char *vine_request_path(const struct vine_request *rq);   /* as it came, with the context path, without the query */
/* A variable of the route's pattern, percent-decoded; NULL: the pattern has none of that name. */
VINE_API const char *vine_request_var(const struct vine_request *rq, const char *name);
/* A query parameter, decoded, the first of that name; NULL: not there. */
VINE_API const char *vine_request_query(struct vine_request *rq, const char *name);
/* A header field, any case, the first of that name; NULL: not there. */
VINE_API const char *vine_request_header(struct vine_request *rq, const char *name);
/* At most vine.http.max-body-bytes (10 MB), followed by a NUL that *len does not count; never NULL. */
VINE_API const void *vine_request_body(const struct vine_request *rq, size_t *len);
VINE_API const char *vine_request_peer(const struct vine_request *rq); /* the client's address, "127.0.0.1" */
VINE_API const char *vine_request_trace_id(const struct vine_request *rq); /* 16 or 32 hex digits */
VINE_API const char *vine_request_span_id(const struct vine_request *rq);  /* 16 hex digits */
/* Milliseconds until the caller gives up, by the header X-Vine-Timeout-Ms of the gateway or of libvine; -1: it did not
 * say. */
VINE_API int64_t vine_request_time_left(const struct vine_request *rq);

/* --- answering: once a request, later answers are ignored --- */

/* A field of the answer; before it. false: name or value is malformed, or there are 32 fields already. */
VINE_API bool vine_reply_header(struct vine_request *rq, const char *name, const char *value);
/* type: the Content-Type, NULL for none. The body is copied. */
VINE_API void vine_reply(struct vine_request *rq, unsigned status, const char *type, const void *body, size_t len);
VINE_API void vine_reply_text(struct vine_request *rq, unsigned status, const char *text); /* text/plain, UTF-8 */
VINE_API void vine_reply_json(struct vine_request *rq, unsigned status, const char *json);
VINE_API void vine_replyf(struct vine_request *rq, unsigned status, const char *type, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
