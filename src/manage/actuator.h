/* actuator.h - the management endpoints, and who may use them.
 *
 * /actuator with health, info, metrics, env, loggers, prometheus, in Spring Boot's JSON with its v3 media type, so that
 * Boot Admin and every tool made for Boot reads them. Roles add endpoints of their own in ops->start. The path is
 * management.endpoints.web.base-path; see http/context.h.
 *
 * Access   health (status only) and info are open. The rest answers peers on the loopback interface, and others only with
 *          vine.management.user and .password by Basic. A loopback peer that shows X-Forwarded-For or Forwarded counts as
 *          foreign: it is a proxy speaking for somebody. Requests that change something are refused when a browser says that they come
 *          from another site.
 * Threads  The router is built before anything listens and is immutable then. An endpoint's function runs on the thread
 *          of the server that took the request: a worker's, or the control thread's (management.server.port). What must
 *          see `struct host` in peace uses ex_on_control. */
#pragma once
#include "http/router.h"

struct actuator;
struct control_call;
struct host;

enum endpoint_flags {
	ENDPOINT_OPEN = 1u << 0,  /* anybody may read it */
	ENDPOINT_ROOT = 1u << 1,  /* the pattern stands for itself ("/hystrix.stream"), not below the base path */
	ENDPOINT_HIDDEN = 1u << 2, /* not in the index */
};

struct endpoint {
	const char *id;      /* in the index: "routes"; the same id may come several times */
	const char *methods; /* as router_add's */
	const char *pattern; /* "/routes/{id}"; static */
	route_fn fn;         /* on the thread of the exchange, with ctx; or NULL and: */
	void (*call)(struct control_call *c); /* on the control thread; c->ctx is ctx, c->path the first variable */
	void *ctx;
	unsigned flags;
};

struct actuator *actuator_new(struct host *h); /* with the endpoints that every role has */
void actuator_read_props(struct actuator *a);  /* credentials, from h->props: at the start and after a reload */
void actuator_free(struct actuator *a);
void actuator_add(struct actuator *a, const struct endpoint *ep); /* in ops->start; copied */

/* Is this path the actuator's? Cheap: for the way of each request. */
bool actuator_takes(const struct actuator *a, struct str path);
void actuator_handle(struct exchange *ex, void *actuator); /* an http_handler */
/* "/ctx/actuator" as the client of this exchange has it; empty: the endpoints are at the top. */
struct str actuator_base(struct exchange *ex, const struct actuator *a);

/* --- for endpoints --- */

/* A request that is answered on the control thread: fn fills in the answer and returns; the exchange, which may have gone
 * meanwhile, is none of its business. All spans are copies. */
struct control_call {
	struct host *host;
	void *ctx;
	struct str root;   /* "http://host:port", as the client wrote it, and the context path: what is before every pattern */
	struct str path;   /* the variable of the pattern, or empty */
	struct str query;  /* raw */
	struct str body;   /* of a POST; at most 64 KiB */
	struct str accept; /* the Accept field */
	bool trusted;      /* the peer may see what is not open */
	/* the answer */
	struct arena *arena; /* for what fn needs meanwhile; lives until the answer is gone */
	struct buf out;
	unsigned status;  /* 200 */
	const char *type; /* NULL: Boot's media type as the client accepts it */
};
/* path: the pattern's variable or empty. Takes the exchange over; gathers a POST's body first. */
void ex_on_control(struct exchange *ex, struct actuator *a, struct str path, void (*fn)(struct control_call *c), void *ctx);
/* A query parameter of the call, decoded, in its arena; from *pos = 0 on each call gives the next one of that name. */
bool call_query(struct control_call *c, const char *name, size_t *pos, struct str *ret);
void call_fail(struct control_call *c, unsigned status, const char *why); /* a small JSON document that says why */
/* The answer comes later: fn calls call_later and returns, whoever has it fills it in and calls call_answer, once, on the control
 * thread; c is gone then. */
void call_later(struct control_call *c);
void call_answer(struct control_call *c);
void document_fail(struct buf *b, unsigned status, const char *why); /* the same document, for who answers by himself */
/* A document that is at hand, with the media type that the request accepts. */
void ex_respond_actuator(struct exchange *ex, unsigned status, struct str json);
