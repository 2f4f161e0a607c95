/* hash_ring.c - see hash_ring.h. */
#include "flow/hash_ring.h"

#define POINTS_EACH 160 /* of an ordinary server: shares within about 8 % of each other */
#define SEED UINT64_C(0x9e3779b97f4a7c15)

struct point {
	uint64_t hash;
	uint32_t server;
};

struct hash_ring {
	_Atomic uint32_t refs;
	struct hash_ring_settings settings;
	uint64_t print; /* of ids and weights */
	uint32_t servers, n;
	/* ring: n points by hash, and where each of 2^bits equal arcs begins among them */
	struct point *point;
	uint32_t *arc;
	unsigned bits;
	/* Maglev: n slots */
	uint32_t *slot;
};

uint64_t hash_ring_key(struct str key)
{
	return hash_mix(str_hash(key, SEED));
}

static uint32_t weight_of(const struct fserver *s)
{
	return MAX(atomic_load_explicit(&s->weight, memory_order_relaxed), 1u);
}

static uint64_t print_of(struct fserver *const *at, uint32_t n)
{
	uint64_t print = n;

	for (uint32_t i = 0; i < n; i++)
		print = hash_mix(print ^ str_hash(at[i]->id, SEED)) + weight_of(at[i]);
	return print;
}

/* --- the ring --- */

static int by_hash(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->server > y->server) - (x->server < y->server);
}

static void fill_arcs(struct hash_ring *r)
{
	uint32_t k = 0;

	r->bits = 4;
	while (r->bits < 23 && (1u << r->bits) < r->n)
		r->bits++;
	r->arc = xmalloc((1u << r->bits) * sizeof(*r->arc));
	for (uint32_t i = 0; i < 1u << r->bits; i++) {
		while (k < r->n && r->point[k].hash >> (64 - r->bits) < i)
			k++;
		r->arc[i] = k;
	}
}

static void make_ring(struct hash_ring *r, struct fserver *const *at, uint32_t n)
{
	uint64_t total = 0, want = MAX((uint64_t)r->settings.size, (uint64_t)n * POINTS_EACH);

	want = MIN(want, (uint64_t)HASH_RING_MAX);
	for (uint32_t i = 0; i < n; i++)
		total += weight_of(at[i]);
	r->point = xmalloc((want + n) * sizeof(*r->point));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t points = MAX(want * weight_of(at[i]) / total, (uint64_t)1), h = str_hash(at[i]->id, SEED);

		for (uint64_t k = 0; k < points && r->n < want + n; k++)
			r->point[r->n++] = (struct point){ hash_mix(h + (k + 1) * SEED), i };
	}
	qsort(r->point, r->n, sizeof(*r->point), by_hash);
	fill_arcs(r);
}

static uint32_t ring_at(const struct hash_ring *r, uint64_t hash)
{
	uint32_t k = r->arc[hash >> (64 - r->bits)];

	while (k < r->n && r->point[k].hash < hash)
		k++;
	return k == r->n ? 0 : k;
}

/* --- Maglev --- */

static bool is_prime(uint32_t x)
{
	for (uint32_t d = 2; (uint64_t)d * d <= x; d++)
		if (x % d == 0)
			return false;
	return x > 1;
}

struct turn {
	struct str id;
	uint32_t server;
	uint32_t at, skip;    /* the next slot it likes, and how far it goes when that is taken */
	double credit, share; /* by weight: the heaviest takes a slot each round */
};

static int by_id(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return str_cmp(x->id, y->id);
}

static void make_maglev(struct hash_ring *r, struct fserver *const *at, uint32_t n)
{
	struct turn *turn = xmalloc(n * sizeof(*turn));
	uint32_t m = MAX(r->settings.size, n), filled = 0, max = 1;

	while (!is_prime(m))
		m++;
	r->n = m;
	r->slot = xmalloc(m * sizeof(*r->slot));
	memset(r->slot, 0xff, m * sizeof(*r->slot));
	for (uint32_t i = 0; i < n; i++)
		max = MAX(max, weight_of(at[i]));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t h = str_hash(at[i]->id, SEED);

		turn[i] = (struct turn){ .id = at[i]->id,
					 .server = i,
					 .at = (uint32_t)(hash_mix(h) % m),
					 .skip = (uint32_t)(hash_mix(h ^ SEED) % (m - 1)) + 1,
					 .share = (double)weight_of(at[i]) / max };
	}
	qsort(turn, n, sizeof(*turn), by_id); /* whose turn it is must not depend on the list's order */
	for (uint32_t i = 0; filled < m; i = i + 1 == n ? 0 : i + 1) {
		struct turn *t = &turn[i];

		t->credit += t->share;
		if (t->credit < 1 - 1e-9)
			continue;
		t->credit -= 1;
		while (r->slot[t->at] != UINT32_MAX)
			t->at = (uint32_t)(((uint64_t)t->at + t->skip) % m);
		r->slot[t->at] = t->server;
		filled++;
	}
	free(turn);
}

/* --- both --- */

struct hash_ring *hash_ring_new(struct fserver *const *at, uint32_t n, const struct hash_ring_settings *s)
{
	struct hash_ring *r;

	if (n == 0)
		return NULL;
	r = xzalloc(sizeof(*r));
	atomic_init(&r->refs, 1);
	r->settings = *s;
	r->servers = n;
	r->print = print_of(at, n);
	if (s->maglev)
		make_maglev(r, at, n);
	else
		make_ring(r, at, n);
	return r;
}

struct hash_ring *hash_ring_ref(const struct hash_ring *r)
{
	struct hash_ring *own = (struct hash_ring *)(uintptr_t)r;

	if (own)
		atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
	return own;
}

void hash_ring_unref(struct hash_ring *r)
{
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(r->point);
	free(r->arc);
	free(r->slot);
	free(r);
}

bool hash_ring_is_of(const struct hash_ring *r, struct fserver *const *at, uint32_t n,
		     const struct hash_ring_settings *s)
{
	return r && r->servers == n && r->settings.maglev == s->maglev && r->settings.size == s->size &&
	       r->print == print_of(at, n);
}

uint32_t hash_ring_points(const struct hash_ring *r)
{
	return r->n;
}

uint32_t hash_ring_walk(const struct hash_ring *r, uint64_t hash, uint32_t *step)
{
	uint32_t k = (*step)++;

	if (r->slot)
		return r->slot[(hash % r->n + k) % r->n];
	return r->point[((uint64_t)ring_at(r, hash) + k) % r->n].server;
}
