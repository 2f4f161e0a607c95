/* keyed.c - see keyed.h. New references are made under the lock or from an existing one, so an object whose only reference
 * is the table's cannot get another while the lock is held. */
#include "flow/keyed.h"

#include <pthread.h>

#include "base/map.h"

struct keyed_table {
	pthread_mutex_t lock; /* guards the map */
	struct map map;
	size_t max;
	struct keyed *(*make)(void);
};

struct keyed_table *keyed_table_new(size_t max, uint64_t seed, struct keyed *(*make)(void))
{
	struct keyed_table *t = xzalloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	map_init(&t->map, seed);
	t->max = max;
	t->make = make;
	return t;
}

struct keyed *keyed_ref(struct keyed *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void keyed_unref(struct keyed *k)
{
	char *key;

	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
		return;
	key = (char *)(uintptr_t)k->key.ptr;
	k->free(k);
	free(key);
}

void keyed_table_free(struct keyed_table *t)
{
	size_t pos = 0;

	if (!t)
		return;
	for (struct keyed *k; (k = map_next(&t->map, &pos));)
		keyed_unref(k);
	map_fini(&t->map);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct keyed *keyed_table_take(struct keyed_table *t, struct str key, usec now)
{
	struct keyed *k;

	pthread_mutex_lock(&t->lock);
	k = map_get(&t->map, key);
	if (!k && t->map.len < t->max) {
		k = t->make();
		k->key = str_of(str_dup(key), key.len);
		atomic_init(&k->refs, 1);
		atomic_init(&k->used_at, now);
		map_put(&t->map, k->key, k);
	}
	if (k)
		keyed_ref(k);
	pthread_mutex_unlock(&t->lock);
	return k;
}

static int by_key(const void *a, const void *b)
{
	return str_cmp((*(struct keyed *const *)a)->key, (*(struct keyed *const *)b)->key);
}

struct keyed **keyed_table_list(struct keyed_table *t, size_t *n)
{
	struct keyed **list;
	size_t pos = 0, len = 0;

	pthread_mutex_lock(&t->lock);
	list = xmalloc((t->map.len + 1) * sizeof(struct keyed *));
	for (struct keyed *k; (k = map_next(&t->map, &pos));)
		list[len++] = keyed_ref(k);
	pthread_mutex_unlock(&t->lock);
	qsort(list, len, sizeof(struct keyed *), by_key);
	*n = len;
	return list;
}

void keyed_list_free(struct keyed **list, size_t n)
{
	for (size_t i = 0; list && i < n; i++)
		keyed_unref(list[i]);
	free(list);
}

size_t keyed_table_sweep(struct keyed_table *t, usec now, usec idle)
{
	size_t pos = 0, dropped = 0;

	pthread_mutex_lock(&t->lock);
	for (struct keyed *k; (k = map_next(&t->map, &pos));) {
		if (atomic_load(&k->refs) != 1 || now - atomic_load(&k->used_at) <= idle)
			continue;
		map_del(&t->map, k->key);
		keyed_unref(k);
		dropped++;
	}
	pthread_mutex_unlock(&t->lock);
	return dropped;
}
