/* vine/call.h - calling another service by its name, through a Hystrix command.
 *
 * A call goes: circuit breaker and permits of its command key; a server of the service, by the balancer, from the registry
 * or from <service>.ribbon.listOfServers; on failure another server, as far as method and <service>.ribbon.* allow;
 * all within one deadline, hystrix.command.<key>.execution.isolation.thread.timeoutInMilliseconds or what is left of the
 * incoming request's, whichever ends first. If there is no answer, the fallback, if there is one.
 *
 * Outcome for the circuit   5xx, no connection, a broken answer, time-out: failures. 4xx: the caller's own mistake: it is
 *                           handed out, runs no fallback and counts for nothing. All else: success.
 * Threads                   vine_call blocks; any thread of the process may call, also many at once. One breaker a command
 *                           key and app, whoever calls. */
#pragma once
#include <vine/http.h>

struct vine_app;
struct vine_response;

/* Why a fallback runs, and what vine_call returns without one. */
enum vine_cause {
	VINE_CAUSE_NONE,
	VINE_CAUSE_FAILURE,       /* no server could be reached, or the answer was broken or 5xx */
	VINE_CAUSE_TIMEOUT,
	VINE_CAUSE_SHORT_CIRCUIT, /* the circuit is open: nothing was tried */
	VINE_CAUSE_REJECTED,      /* too many calls of this command are running */
	VINE_CAUSE_NO_SERVER,     /* the service has no instance that is UP */
};

/* Fills in rs, an empty 200, with vine_response_set, and returns 0; negative: no fallback either. Runs on the caller's
 * thread. why holds the line that vine_call would have given. */
typedef int (*vine_fallback)(struct vine_response *rs, enum vine_cause cause, const struct vine_err *why, void *ctx);

struct vine_call_opts {
	const char *service; /* "product": as it registers */
	const char *method;  /* NULL: GET */
	const char *path;    /* "/products/7?full=1"; percent-encoded already */
	const char *const *headers; /* name, value, name, value, ..., NULL; NULL: none */
	const char *type;    /* Content-Type of the body */
	const void *body;
	size_t body_len;
	const char *command; /* the command key; NULL: the service */
	const char *group;   /* the command group, for the dashboard; NULL: the service */
	const char *stick;   /* with the rules ring-hash and maglev: calls of one key meet one server; NULL: by hash-key */
	int64_t timeout_ms;  /* tighter than the command's; 0: no */
	vine_fallback fallback; /* NULL: none */
	void *ctx;           /* for fallback */
	/* Equal calls of one request share one answer, the failure or fallback's included, also while it is being made: command
	 * and this key say which are equal. NULL, or no request: not shared. hystrix.command.<key>.requestCache.enabled */
	const char *cache_key;
};

/* rq: the request on whose behalf it is, for trace and deadline; NULL: none, a new trace begins.
 * 0: *ret is an answer (any status below 500) or the fallback's: free it. Negative, *ret untouched: VINE_CODE_TIMEOUT,
 * VINE_CODE_UNAVAILABLE (circuit open, rejected, no server), VINE_CODE_IO (connections failed), VINE_CODE_PROTOCOL (5xx or
 * a broken answer), VINE_CODE_INVALID (opts are malformed), VINE_CODE_LIMIT (an answer above 8 MiB). */
VINE_API int vine_call(struct vine_app *app, struct vine_request *rq, const struct vine_call_opts *opts,
		       struct vine_response **ret, struct vine_err *e);

/* The next call of this request with that command (or collapser) and key is made anew; for after a change. Any thread. */
VINE_API void vine_cache_clear(struct vine_request *rq, const char *command, const char *key);

VINE_API void vine_response_free(struct vine_response *rs); /* NULL is fine */
VINE_API unsigned vine_response_status(const struct vine_response *rs);
VINE_API const char *vine_response_body(const struct vine_response *rs, size_t *len); /* NUL-terminated; len may be NULL */
VINE_API const char *vine_response_header(const struct vine_response *rs, const char *name); /* any case; NULL: not there */
VINE_API const char *vine_response_server(const struct vine_response *rs); /* "127.0.0.1:8081"; NULL: the fallback's */
VINE_API unsigned vine_response_tries(const struct vine_response *rs);     /* servers asked; 0: none was */
VINE_API enum vine_cause vine_response_cause(const struct vine_response *rs); /* not NONE: the fallback's answer, and why */
VINE_API const char *vine_cause_name(enum vine_cause cause);               /* "timeout"; static */

/* For fallbacks: sets status and a copy of body. type may be NULL. */
VINE_API void vine_response_set(struct vine_response *rs, unsigned status, const char *type, const void *body, size_t len);
