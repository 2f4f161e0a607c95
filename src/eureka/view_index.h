/* view_index.h - groups of instances by name, any case, as a sorted tree of two floors that versions share.
 *
 * An index is immutable while more than one holds it. Whoever holds the only reference may change it; what is shared below it
 * is copied first: one group, one chunk of at most VIEW_CHUNK_MAX groups and the list of chunks. So the next picture of
 * 100,000 instances costs what its changes cost, and two pictures can be compared by the addresses of their groups.
 *
 * Threads   Any may read what it holds a reference to; references are counted atomically. Pure: no I/O, no clock. */
#pragma once
#include "eureka/instance.h"

#define VIEW_CHUNK_MAX 64

/* The instances that share an app name or a vip, sorted by app, then id; never empty. */
struct view_group {
	_Atomic uint32_t refs;
	uint32_t n;
	struct str name; /* of an app: upper case; of a vip: as first seen; behind the instances */
	struct instance *inst[];
};

struct view_chunk {
	_Atomic uint32_t refs;
	uint32_t n;
	struct view_group *at[VIEW_CHUNK_MAX];
};

struct view_index {
	_Atomic uint32_t refs;
	uint32_t n; /* groups */
	uint32_t n_chunks;
	struct view_chunk *chunk[];
};

int instance_cmp(const struct instance *a, const struct instance *b); /* by app, then id */

struct view_group *view_group_new(struct str name, struct instance *const *inst, uint32_t n); /* refs the instances */
struct view_group *view_group_ref(const struct view_group *g);
void view_group_unref(struct view_group *g); /* NULL is fine */
/* g (NULL: none yet) without the instance of x's app and id, and with x if `put`. NULL: nobody is left. g stays as it is. */
struct view_group *view_group_with(const struct view_group *g, struct str name, const struct instance *x, bool put);

/* Takes the groups' references; their names differ. Sorts the array. */
struct view_index *view_index_new(struct view_group **groups, uint32_t n);
struct view_index *view_index_ref(struct view_index *x);
void view_index_unref(struct view_index *x); /* NULL is fine */
const struct view_group *view_index_get(const struct view_index *x, struct str name); /* borrowed; NULL: not there */
/* x's reference is taken, another index or the same comes back, in which `name` is g (a reference, taken; NULL: nothing). */
struct view_index *view_index_set(struct view_index *x, struct str name, struct view_group *g);

/* All groups by name: starts zeroed but for x; NULL at the end. */
struct view_walk {
	const struct view_index *x;
	uint32_t chunk, at;
};
const struct view_group *view_walk_next(struct view_walk *w);
