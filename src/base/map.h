/* map.h - a hash table from strings to pointers: open addressing, seeded, growing at three quarters.
 *
 * Keys are borrowed: they must live as long as their entry (usually inside the value). Not thread-safe. Removal during a
 * map_next walk is allowed for the entry just returned. */
#pragma once
#include "base/str.h"

struct map_slot {
	uint64_t hash; /* 0: empty, 1: deleted */
	struct str key;
	void *value;
};

struct map {
	struct map_slot *slots;
	size_t cap, len, dead;
	uint64_t seed;
	bool nocase; /* keys compare without regard to ASCII case */
};

void map_init(struct map *m, uint64_t seed);        /* seed: random where peers choose keys */
void map_init_nocase(struct map *m, uint64_t seed);
void map_fini(struct map *m); /* values are the caller's */

void *map_get(const struct map *m, struct str key);              /* NULL: not there */
void *map_put(struct map *m, struct str key, void *value);       /* replaces key and value; returns the old value */
void *map_del(struct map *m, struct str key);                    /* returns the removed value or NULL */
/* Walks in no particular order: *pos starts at 0; NULL at the end. */
void *map_next(const struct map *m, size_t *pos);
