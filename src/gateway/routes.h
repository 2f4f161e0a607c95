/* routes.h - which service or address gets which path, compiled once and never changed.
 *
 * Rules of Zuul: explicit routes in the order of the file, first match wins; then, if discovery is on, one `/<serviceId>/`
 * route for each service of the registry. Patterns are Ant's: `?` one character, `*` within a segment, `**` any number of
 * segments; `/a/` + `**` also matches `/a`. Stripping removes what stands before the first wildcard.
 *
 * Finding is by hash for patterns of the form /literal/... + `**` (nearly all of them) and in order for the others, so that
 * ten thousand routes cost what ten do. Immutable; may be read by any thread. Source: ZuulProperties, SimpleRouteLocator. */
#pragma once
#include "base/arena.h"
#include "base/map.h"
#include "http/head.h"

struct gw_target;

/* Fields that are not passed on, in either direction: zuul.sensitiveHeaders, zuul.ignoredHeaders. */
struct header_filter {
	uint64_t known;    /* bit: enum http_name */
	struct str *other; /* names that have no number */
	unsigned n_other;
};

struct gw_route {
	struct str id, path;     /* path: the full pattern */
	struct str prefix;       /* what is stripped; empty: nothing */
	struct str location;     /* as configured: service id or url */
	struct header_filter drop;
	bool custom_sensitive;
	bool retryable;
	bool strip;
	bool discovered;
	struct gw_target *target;
	unsigned order; /* place in the list: the smaller wins */
};

struct gw_routes {
	struct gw_route **list; /* in order */
	unsigned n;
	struct str *ignored;    /* zuul.ignoredPatterns */
	unsigned n_ignored;
	/* own */
	struct map by_prefix;   /* "/literal/path" -> first route with pattern prefix + "/" + two stars */
	unsigned max_depth;     /* segments of the longest such prefix */
	struct gw_route **odd;  /* the others, in order */
	unsigned n_odd;
	struct gw_route *catch_all; /* the first "/" + two stars */
};

/* Compiles list; arrays live in the arena as long as the routes do. */
void gw_routes_compile(struct gw_routes *r, struct arena *a, uint64_t seed);
void gw_routes_fini(struct gw_routes *r); /* what the arena does not hold */
/* The route of a path (without query), or NULL. */
const struct gw_route *gw_routes_find(const struct gw_routes *r, struct str path);

bool ant_match(struct str pattern, struct str path);
/* What a pattern strips: all before the first wildcard, without the slash at its end. */
struct str ant_prefix(struct str pattern);

bool header_filter_has(const struct header_filter *f, const struct hfield *h);
/* names: comma-separated. */
struct header_filter header_filter_parse(struct arena *a, struct str names);
void header_filter_merge(struct header_filter *into, const struct header_filter *more, struct arena *a);
