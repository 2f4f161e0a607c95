/* command_table.c - key -> command, sharded; see command.h.
 *
 * Invariants   The table holds one reference to each command that it lists. A command is dropped only with the shard's
 *              lock held and its count at one, and new references are made under that lock or from an existing one: so
 *              none can appear meanwhile.
 * Threads      Any. A leaf mutex a shard; callers cache what they took, so it is not on the way of a request.
 */
#include "flow/command.h"

#include "base/map.h"

#define SHARDS 16

struct shard {
	_Alignas(64) pthread_mutex_t lock;
	struct map map;
};

struct command_table {
	unsigned stripes;
	size_t max;
	uint64_t seed;
	_Atomic size_t len;
	struct shard shards[SHARDS];
};

static struct command *command_new(struct str key, struct str group, unsigned stripes, usec now)
{
	void *p = NULL;
	size_t size = offsetof(struct command, stats) + stats_size(stripes);

	size = (size + 63) & ~(size_t)63;
	if (posix_memalign(&p, _Alignof(struct command), size) != 0)
		abort(); /* as every small allocation */

	struct command *c = memset(p, 0, size);

	c->key = str_of(str_dup(key), key.len);
	c->group = str_of(str_dup(group), group.len);
	atomic_init(&c->refs, 1);
	breaker_init(&c->breaker, now);
	limiter_init(&c->limiter);
	atomic_init(&c->judge_due, USEC_NEVER);
	stats_init(&c->stats, stripes, now);
	return c;
}

struct command *command_ref(struct command *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void command_unref(struct command *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	stats_fini(&c->stats);
	breaker_fini(&c->breaker);
	limiter_fini(&c->limiter);
	free((char *)(uintptr_t)c->key.ptr);
	free((char *)(uintptr_t)c->group.ptr);
	free(c);
}

struct command_table *command_table_new(const struct command_table_opts *opts)
{
	void *p = NULL;

	if (posix_memalign(&p, _Alignof(struct command_table), sizeof(struct command_table)) != 0)
		abort();

	struct command_table *t = memset(p, 0, sizeof(*t));

	t->stripes = MIN(MAX(opts->stripes, 1u), (unsigned)STATS_STRIPES_MAX);
	t->max = opts->max;
	t->seed = opts->seed;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&t->shards[i].lock, NULL);
		map_init(&t->shards[i].map, opts->seed + i);
	}
	return t;
}

void command_table_free(struct command_table *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		size_t pos = 0;

		for (struct command *c; (c = map_next(&t->shards[i].map, &pos));)
			command_unref(c);
		map_fini(&t->shards[i].map);
		pthread_mutex_destroy(&t->shards[i].lock);
	}
	free(t);
}

static struct shard *shard_of(struct command_table *t, struct str key)
{
	return &t->shards[str_hash(key, ~t->seed) % SHARDS];
}

static bool reserve_one(struct command_table *t)
{
	if (atomic_fetch_add(&t->len, 1) < t->max)
		return true;
	atomic_fetch_sub(&t->len, 1);
	return false;
}

struct command *command_table_take(struct command_table *t, struct str key, struct str group, usec now)
{
	struct shard *sh = shard_of(t, key);

	pthread_mutex_lock(&sh->lock);

	struct command *c = map_get(&sh->map, key);

	if (!c && reserve_one(t)) {
		c = command_new(key, group, t->stripes, now);
		map_put(&sh->map, c->key, c);
	}
	if (c)
		command_ref(c);
	pthread_mutex_unlock(&sh->lock);
	return c;
}

struct command *command_table_take_known(struct command_table *t, struct str key)
{
	struct shard *sh = shard_of(t, key);

	pthread_mutex_lock(&sh->lock);

	struct command *c = map_get(&sh->map, key);

	if (c)
		command_ref(c);
	pthread_mutex_unlock(&sh->lock);
	return c;
}

size_t command_table_len(struct command_table *t)
{
	return atomic_load(&t->len);
}

static int by_key(const void *a, const void *b)
{
	return str_cmp((*(struct command *const *)a)->key, (*(struct command *const *)b)->key);
}

struct command **command_table_list(struct command_table *t, size_t *n)
{
	struct command **list = NULL;
	size_t len = 0;

	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *sh = &t->shards[i];
		size_t pos = 0;

		pthread_mutex_lock(&sh->lock);
		list = xrealloc(list, (len + sh->map.len + 1) * sizeof(struct command *));
		for (struct command *c; (c = map_next(&sh->map, &pos));)
			list[len++] = command_ref(c);
		pthread_mutex_unlock(&sh->lock);
	}
	qsort(list, len, sizeof(struct command *), by_key);
	*n = len;
	return list;
}

void command_list_free(struct command **list, size_t n)
{
	for (size_t i = 0; list && i < n; i++)
		command_unref(list[i]);
	free(list);
}

static bool drop_if_unused(struct command_table *t, struct command *c)
{
	struct shard *sh = shard_of(t, c->key);
	bool is_dropped;

	pthread_mutex_lock(&sh->lock);
	/* The table's reference and our caller's list's. What somebody forced stays forced. */
	is_dropped = atomic_load(&c->refs) == 2 && atomic_load(&c->breaker.force) == BREAKER_AUTO;
	if (is_dropped) {
		map_del(&sh->map, c->key);
		atomic_fetch_sub(&t->len, 1);
	}
	pthread_mutex_unlock(&sh->lock);
	if (is_dropped)
		command_unref(c);
	return is_dropped;
}

size_t command_table_sweep(struct command_table *t, usec now, usec idle, command_settings_fn *settings_of, void *arg)
{
	size_t n, dropped = 0;
	struct command **list = command_table_list(t, &n);

	for (size_t i = 0; i < n; i++) {
		struct command *c = list[i];
		_Atomic uint32_t *const holds[] = { &c->running.used, &c->fallback.used };

		stats_trim(&c->stats, settings_of(arg, c->key), now, holds, ARRAY_LEN(holds));
		if (now - stats_used_at(&c->stats) > idle && drop_if_unused(t, c))
			dropped++;
	}
	command_list_free(list, n);
	return dropped;
}

size_t command_table_bytes(struct command_table *t)
{
	size_t n, bytes = sizeof(*t);
	struct command **list = command_table_list(t, &n);

	for (size_t i = 0; i < n; i++)
		bytes += offsetof(struct command, stats) + stats_bytes(&list[i]->stats) +
			 breaker_bytes(&list[i]->breaker) + list[i]->key.len + list[i]->group.len + 2 + sizeof(struct map_slot);
	command_list_free(list, n);
	return bytes;
}
