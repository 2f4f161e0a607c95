/* keyed.h - a bounded table of counted objects by name: pools, collapsers. One object a key and process.
 *
 * The object embeds `struct keyed` as its first member, so that one pointer is both. The table holds a reference to each;
 * those that nobody else holds and that were idle for long are swept away.
 *
 * Threads  any; one leaf lock. Callers keep what they took, so it is not on the way of a request. */
#pragma once
#include <stdatomic.h>

#include "base/clock.h"
#include "base/str.h"

struct keyed {
	struct str key; /* lives as long as the object */
	_Atomic uint32_t refs;
	_Atomic usec used_at;
	void (*free)(struct keyed *k); /* the object, but not its key */
};

struct keyed_table;

struct keyed_table *keyed_table_new(size_t max, uint64_t seed, struct keyed *(*make)(void)); /* make: sets `free` */
void keyed_table_free(struct keyed_table *t); /* NULL is fine; objects with other references live on */
/* The object of that key, made if it is new; a reference is the caller's. NULL: the table is full. */
struct keyed *keyed_table_take(struct keyed_table *t, struct str key, usec now);
struct keyed *keyed_ref(struct keyed *k);
void keyed_unref(struct keyed *k); /* NULL is fine */
/* All, by key, referenced; free with keyed_list_free. */
struct keyed **keyed_table_list(struct keyed_table *t, size_t *n);
void keyed_list_free(struct keyed **list, size_t n);
size_t keyed_table_sweep(struct keyed_table *t, usec now, usec idle); /* how many were dropped */

static inline void keyed_touch(struct keyed *k, usec now)
{
	atomic_store_explicit(&k->used_at, now, memory_order_relaxed);
}
