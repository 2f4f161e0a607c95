/* router.h - which function answers which method and path, for endpoints that Vine itself serves.
 *
 * Patterns are segments: "/eureka/apps/{app}/{id}", the last may take the rest: "/actuator/health/{*path}". Literal
 * segments win over variables. Segments are percent-decoded before they are given out; an encoded slash stays inside its
 * segment. Trailing and doubled slashes are ignored. A path that exists with other methods is answered 405 with Allow;
 * HEAD is served by GET; unknown paths get the fallback or 404. Immutable once serving; may be shared by threads. */
#pragma once
#include "http/server.h"

#define ROUTE_VARS_MAX 6

struct route_match {
	struct str var[ROUTE_VARS_MAX]; /* in the pattern's order, decoded, in the exchange's arena */
	unsigned n;
};

typedef void (*route_fn)(struct exchange *ex, const struct route_match *m, void *ctx);

struct router;

struct router *router_new(void);
void router_free(struct router *r);
/* methods: "GET", "POST PUT", or "*". Patterns are the programmer's: a malformed one aborts. Both texts must live as long
 * as the router; the pattern is what metrics call the path (ex->pattern). */
void router_add(struct router *r, const char *methods, const char *pattern, route_fn fn, void *ctx);
void router_fallback(struct router *r, http_handler fn, void *ctx); /* for paths that nothing matches */
/* Answers, or calls who answers. false: nothing matched and there is no fallback (nothing was answered). */
bool router_dispatch(const struct router *r, struct exchange *ex);
void router_handler(struct exchange *ex, void *router); /* an http_handler over a router; 404 where nothing matches */

/* The value of a query parameter, decoded, in the exchange's arena; false if it is not there. First one wins. */
bool ex_query(struct exchange *ex, struct str name, struct str *ret);
