/* tally.c - see tally.h. Open addressing with linear probing; a removal moves back what follows, so there are no graves. */
#include "net/tally.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHARDS 16
#define FEWEST 16 /* slots of a shard; a power of two */

struct slot {
	uint64_t key;
	uint32_t count; /* 0: free */
};

struct shard {
	_Alignas(64) pthread_mutex_t lock; /* guards what follows */
	struct slot *slots;
	size_t cap, len;
};

struct addr_tally {
	struct shard shard[SHARDS];
	uint64_t seed;
	_Atomic uint32_t max;
};

/* The /64 of IPv6. IPv4 stands under 0:ffff::/32, which IPv6 gives to nobody. */
static uint64_t key_of(const struct addr *a)
{
	uint64_t key = 0;

	if (a->sa.sa_family == AF_INET)
		return 0xffffull << 32 | ntohl(a->in.sin_addr.s_addr);

	const uint8_t *b = a->in6.sin6_addr.s6_addr;
	unsigned from = IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) ? 8 : 0;

	for (unsigned i = 0; i < 8; i++)
		key = key << 8 | b[from + i];
	return key; /* bytes 8 to 15 of a mapped address are 0, 0, ff, ff and the four of IPv4: the key of IPv4 */
}

static uint64_t hash_of(const struct addr_tally *t, uint64_t key)
{
	uint64_t x = (key ^ t->seed) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

/* Where the key is, or the free slot where it belongs. */
static size_t find(const struct addr_tally *t, const struct shard *s, uint64_t key)
{
	size_t i = (hash_of(t, key) / SHARDS) & (s->cap - 1);

	while (s->slots[i].count && s->slots[i].key != key)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static void grow(const struct addr_tally *t, struct shard *s)
{
	struct shard old = *s;

	s->cap = MAX(old.cap * 2, (size_t)FEWEST);
	s->slots = xzalloc(s->cap * sizeof(*s->slots));
	for (size_t i = 0; i < old.cap; i++) {
		if (old.slots[i].count)
			s->slots[find(t, s, old.slots[i].key)] = old.slots[i];
	}
	free(old.slots);
}

/* Closes the gap that a slot leaves whose count has come to 0. */
static void remove_at(const struct addr_tally *t, struct shard *s, size_t hole)
{
	size_t mask = s->cap - 1;

	s->len--;
	for (size_t i = (hole + 1) & mask; s->slots[i].count; i = (i + 1) & mask) {
		size_t home = (hash_of(t, s->slots[i].key) / SHARDS) & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue; /* it stands between its home and the hole: it would not be found before it */
		s->slots[hole] = s->slots[i];
		s->slots[i].count = 0;
		hole = i;
	}
}

struct addr_tally *addr_tally_new(uint32_t max, uint64_t seed)
{
	struct addr_tally *t = aligned_alloc(64, sizeof(*t));

	assert(max > 0);
	if (!t)
		abort();
	memset(t, 0, sizeof(*t));
	atomic_init(&t->max, max);
	t->seed = seed;
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&t->shard[i].lock, NULL);
	return t;
}

void addr_tally_limit(struct addr_tally *t, uint32_t max)
{
	assert(max > 0);
	atomic_store_explicit(&t->max, max, memory_order_relaxed);
}

void addr_tally_free(struct addr_tally *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&t->shard[i].lock);
		free(t->shard[i].slots);
	}
	free(t);
}

static struct shard *lock_shard(struct addr_tally *t, uint64_t key)
{
	struct shard *s = &t->shard[hash_of(t, key) % SHARDS];

	pthread_mutex_lock(&s->lock);
	return s;
}

bool addr_tally_enter(struct addr_tally *t, const struct addr *a)
{
	uint64_t key = key_of(a);
	struct shard *s = lock_shard(t, key);
	bool ok = false;

	if (s->len >= s->cap / 2)
		grow(t, s);

	struct slot *slot = &s->slots[find(t, s, key)];

	if (slot->count < atomic_load_explicit(&t->max, memory_order_relaxed)) {
		s->len += slot->count == 0;
		slot->key = key;
		slot->count++;
		ok = true;
	}
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void addr_tally_leave(struct addr_tally *t, const struct addr *a)
{
	uint64_t key = key_of(a);
	struct shard *s = lock_shard(t, key);
	size_t i = find(t, s, key);

	assert(s->slots[i].count);
	if (--s->slots[i].count == 0)
		remove_at(t, s, i);
	pthread_mutex_unlock(&s->lock);
}

size_t addr_tally_len(struct addr_tally *t)
{
	size_t n = 0;

	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&t->shard[i].lock);
		n += t->shard[i].len;
		pthread_mutex_unlock(&t->shard[i].lock);
	}
	return n;
}
