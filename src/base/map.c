/* map.c - linear probing over slots that keep their full hash, so that a lookup compares one key in the common case. */
#include "base/map.h"

enum { SLOT_EMPTY, SLOT_DEAD, HASH_MIN };

void map_init(struct map *m, uint64_t seed)
{
	*m = (struct map){ .seed = seed };
}

void map_init_nocase(struct map *m, uint64_t seed)
{
	*m = (struct map){ .seed = seed, .nocase = true };
}

void map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){ .seed = m->seed, .nocase = m->nocase };
}

static uint64_t hash_of(const struct map *m, struct str key)
{
	uint64_t h = m->nocase ? str_hash_nocase(key, m->seed) : str_hash(key, m->seed);

	return h < HASH_MIN ? h + HASH_MIN : h;
}

static bool key_eq(const struct map *m, struct str a, struct str b)
{
	return m->nocase ? str_eq_nocase(a, b) : str_eq(a, b);
}

static struct map_slot *find(const struct map *m, struct str key)
{
	if (m->len == 0)
		return NULL;

	uint64_t h = hash_of(m, key);

	for (size_t i = h & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (s->hash == SLOT_EMPTY)
			return NULL;
		if (s->hash == h && key_eq(m, s->key, key))
			return s;
	}
}

static void place(struct map *m, struct map_slot slot)
{
	size_t i = slot.hash & (m->cap - 1);

	while (m->slots[i].hash >= HASH_MIN)
		i = (i + 1) & (m->cap - 1);
	if (m->slots[i].hash == SLOT_DEAD)
		m->dead--;
	m->slots[i] = slot;
	m->len++;
}

static void grow(struct map *m)
{
	if (m->cap && (m->len + m->dead + 1) * 4 <= m->cap * 3)
		return;

	struct map old = *m;

	m->cap = MAX((size_t)8, (old.len + 1) * 2 > old.cap ? old.cap * 2 : old.cap);
	m->slots = xzalloc(m->cap * sizeof(*m->slots));
	m->len = m->dead = 0;
	for (size_t i = 0; i < old.cap; i++) {
		if (old.slots[i].hash >= HASH_MIN)
			place(m, old.slots[i]);
	}
	free(old.slots);
}

void *map_get(const struct map *m, struct str key)
{
	struct map_slot *s = find(m, key);

	return s ? s->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
	struct map_slot *s = find(m, key);

	if (s) {
		void *old = s->value;

		s->key = key;
		s->value = value;
		return old;
	}
	grow(m);
	place(m, (struct map_slot){ hash_of(m, key), key, value });
	return NULL;
}

void *map_del(struct map *m, struct str key)
{
	struct map_slot *s = find(m, key);

	if (!s)
		return NULL;

	void *old = s->value;

	*s = (struct map_slot){ .hash = SLOT_DEAD };
	m->len--;
	m->dead++;
	return old;
}

void *map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->cap) {
		struct map_slot *s = &m->slots[(*pos)++];

		if (s->hash >= HASH_MIN)
			return s->value;
	}
	return NULL;
}
