/* vine/collapser.h - many small calls gathered into one: Hystrix' collapser.
 *
 *	static int fetch(struct vine_batch *b, struct vine_err *e, void *ctx)
 *	{
 *		... one question for all of vine_batch_arg(b, 0 .. vine_batch_len(b) - 1) ...
 *		vine_batch_answer(b, i, vine_value_new(row, strlen(row)));
 *		return 0;
 *	}
 *
 *	vine_collapser_new(&by_id, app, &(struct vine_collapser_opts){ .key = "productById", .batch = fetch }, &e);
 *	...
 *	r = vine_collapse(by_id, rq, "17", 2, &row, &e);
 *
 * Calls meet in a scope: in those of one request, or of the whole app. A batch leaves at the next tick of
 * hystrix.collapser.<key>.timerDelayInMilliseconds (10 ms), or at once when it holds maxRequestsInBatch; equal arguments have
 * one place in it. It runs as one command (hystrix.command.<command>.*): circuit, permits or threads, timeout. Within a
 * request an argument that has had its answer gets the same one again, errors too, unless requestCache.enabled is false.
 * All these properties may change while the app runs.
 *
 * Threads   The callers keep the time, there is no timer: a call that was only begun leaves with the batch of whoever waits
 *           next. The batch runs on the thread of one of those who wait, or with execution.isolation.strategy THREAD on one of
 *           the command's pool. Everything here may be used from any thread; a vine_collapsing is its thread's alone. */
#pragma once
#include <vine/http.h>

struct vine_app;
struct vine_batch;
struct vine_collapser;
struct vine_collapsing;
struct vine_value;

/* --- values: counted and immutable; a caller's and the cache's at once --- */

VINE_API struct vine_value *vine_value_new(const void *bytes, size_t len); /* a copy, followed by a NUL that len does not count */
/* Anything of yours; free_data is called once nobody holds it, on any thread. NULL: it outlives the app. */
VINE_API struct vine_value *vine_value_own(void *data, size_t len, void (*free_data)(void *data));
VINE_API struct vine_value *vine_value_ref(struct vine_value *v);
VINE_API void vine_value_free(struct vine_value *v); /* your reference; NULL is fine */
VINE_API const void *vine_value_data(const struct vine_value *v, size_t *len); /* lives as long as v; len may be NULL */

/* --- the collapser --- */

enum vine_collapse_scope {
	VINE_COLLAPSE_REQUEST, /* calls on behalf of one vine_request; one without a request is an error */
	VINE_COLLAPSE_GLOBAL,  /* all of the app; a batch runs on nobody's behalf: no request's deadline, trace or shared answers */
};

/* Answers each argument of the batch by vine_batch_answer or vine_batch_refuse; what gets neither is an error of its call.
 * Returns 0; or a negative VINE_CODE_..., with e filled in, which all that have no answer yet are told: VINE_CODE_TIMEOUT
 * counts as a time-out, VINE_CODE_INVALID for nothing, all else as a failure of the command.
 * May block. In it vine_call takes NULL for the request: trace, deadline and shared results are the batch's by themselves.
 * After the command's timeout it may still run, and nobody looks at what it answers. */
typedef int (*vine_batch_fn)(struct vine_batch *b, struct vine_err *e, void *ctx);

struct vine_collapser_opts {
	const char *key;     /* hystrix.collapser.<key>.*, and its name on /hystrix.stream; 1 to 255 bytes */
	const char *command; /* the command key of its batches; NULL: key */
	const char *group;   /* the command group; NULL: command */
	enum vine_collapse_scope scope;
	vine_batch_fn batch;
	void *ctx; /* for batch and shard; outlives the app */
	/* Parts a batch into commands that run side by side, such as one a database: below n_shards, for each argument. NULL: it
	 * is not parted. n_shards at most 64. */
	unsigned (*shard)(const void *arg, size_t len, void *ctx);
	unsigned n_shards;
};

/* It lives as long as app, at most 1,024 of them. Before or after start. VINE_CODE_INVALID: opts are malformed, or another
 * collapser has that key; VINE_CODE_LIMIT. */
VINE_API int vine_collapser_new(struct vine_collapser **ret, struct vine_app *app, const struct vine_collapser_opts *opts,
				struct vine_err *e);

/* --- calling it --- */

/* arg: what is asked for, copied, at most 64 KiB; its bytes tell which calls are equal. rq: the request on whose behalf it is,
 * for scope, trace and deadline; NULL: none, or that of the command that runs on this thread. Waits, at most as long as rq has
 * left, else as the batch's command takes.
 * 0: *ret is the answer: free it. Negative, *ret untouched: VINE_CODE_TIMEOUT, VINE_CODE_UNAVAILABLE (circuit open, rejected,
 * the app does not run), VINE_CODE_PROTOCOL (the batch had no answer for it), VINE_CODE_INVALID, VINE_CODE_LIMIT, or what the
 * batch function said. */
VINE_API int vine_collapse(struct vine_collapser *c, struct vine_request *rq, const void *arg, size_t len,
			   struct vine_value **ret, struct vine_err *e);

/* The same in two steps, so that several may be under way: begin all, then end each, once, by the time the request is
 * answered. begin waits only where it fills a batch, which it then runs. ret NULL: its answer is not wanted. */
VINE_API int vine_collapse_begin(struct vine_collapser *c, struct vine_request *rq, const void *arg, size_t len,
				 struct vine_collapsing **ret, struct vine_err *e);
VINE_API int vine_collapse_end(struct vine_collapsing *w, struct vine_value **ret, struct vine_err *e);

/* --- for the batch function; places from 0 on --- */

VINE_API size_t vine_batch_len(const struct vine_batch *b);
VINE_API const void *vine_batch_arg(const struct vine_batch *b, size_t i, size_t *len); /* NUL-terminated; len may be NULL */
VINE_API void vine_batch_answer(struct vine_batch *b, size_t i, struct vine_value *v);  /* takes v; a second one does nothing */
VINE_API void vine_batch_refuse(struct vine_batch *b, size_t i, int code, const char *why); /* an error of this one call */
