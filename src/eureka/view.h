/* view.h - what a client knows of the registry: the full set that deltas are applied to, and the picture that users read.
 *
 * A registry that was restarted knows nobody at first. What it does not know yet is therefore held: each instance keeps its
 * place for as long as its own lease, in which it must have registered again if it lives.
 *
 * A cache belongs to the client's loop. A view is immutable and counted: any thread that holds a reference may read it; its
 * instances live as long as it does, or longer if they are referenced themselves. Pure: no I/O, no clock.
 *
 * The next view is made from the last one and what has changed since: what has not changed is shared, so a group whose address is
 * the same has the same instances. */
#pragma once
#include "base/map.h"
#include "eureka/json.h"
#include "eureka/view_index.h"

struct eureka_view {
	_Atomic uint32_t refs;
	uint64_t version; /* 1, 2, 3: of this client's views */
	uint32_t n, n_apps;
	struct view_index *apps, *vips;
};

struct eureka_view *eureka_view_ref(struct eureka_view *v);
void eureka_view_unref(struct eureka_view *v); /* NULL is fine */
/* NULL: unknown. Names in any case. A service is what Spring calls a service ID: looked up as vip, then as app. */
const struct view_group *eureka_view_app(const struct eureka_view *v, struct str name);
const struct view_group *eureka_view_vip(const struct eureka_view *v, struct str vip);
const struct view_group *eureka_view_service(const struct eureka_view *v, struct str name);
struct view_walk eureka_view_walk(const struct eureka_view *v); /* all apps, by name: view_walk_next */

/* A change that the last view does not have yet; a NULL: it was not there, it is not there any more. */
struct view_edit {
	struct instance *old, *now;
};

#define EUREKA_CACHE_BYTES_MAX ((size_t)1 << 30) /* a registry that only ever adds; then its hash is not ours */

struct eureka_cache {
	struct map inst; /* of struct cached, by "APP/id" */
	struct status_counts counts; /* without those that are held */
	uint32_t held;
	size_t bytes; /* of its instances; more than EUREKA_CACHE_BYTES_MAX are not taken */
	uint64_t seed, version;
	struct eureka_view *last; /* the last view that was made; NULL: none */
	bool last_only_up;
	struct view_edit *edits;
	uint32_t n_edits, room;
	bool anew; /* so much has changed that the next view is made from all */
};

void eureka_cache_init(struct eureka_cache *c, uint64_t seed);
void eureka_cache_fini(struct eureka_cache *c);
/* Replaces everything by a full answer: true if anything that a user can see is different. hold: what the answer lacks is
 * held, see above, as is what was held before; else it goes. */
bool eureka_cache_full(struct eureka_cache *c, const struct apps_doc *doc, bool hold, usec now);
bool eureka_cache_expire(struct eureka_cache *c, usec now); /* drops what has been held for long enough: true if any */
/* Adds, replaces and removes: true if anything is different. */
bool eureka_cache_delta(struct eureka_cache *c, const struct apps_doc *doc);
/* Does the whole cache have the hash that the answer carried? (An answer without one is believed.) */
bool eureka_cache_matches(const struct eureka_cache *c, const struct apps_doc *doc);
/* The present picture; only_up: without those whose status is not UP. refs 1. */
struct eureka_view *eureka_cache_view(struct eureka_cache *c, bool only_up);
/* What the registry holds of one instance; borrowed, until the cache changes. NULL: it does not list it. */
const struct instance *eureka_cache_get(const struct eureka_cache *c, struct str app, struct str id);
/* Where the cache is not what a full answer says: "missing" (it lacks it), "extra" (it has one too many), "status" (other: the
 * answer's). Those that are held count for nothing. */
void eureka_cache_diff(const struct eureka_cache *c, const struct apps_doc *doc,
		       void (*fn)(const char *what, const struct instance *in, enum inst_status other, void *ctx), void *ctx);
