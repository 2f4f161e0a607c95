/* meters.c - see meters.h: families, their members, stripes, snapshots.
 *
 * Threads   `lock` is a leaf and guards the families, their maps and the list of members; a member's stripes are atomics.
 *           A stripe has one writer, so a relaxed load and store do; nobody needs a locked instruction. */
#include "manage/meters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#define MEMBERS_DEFAULT 200
#define SOURCES_MAX 32
#define MAX_SPAN (60 * USEC_PER_SEC) /* a timer's max lives one to two of these */

const usec meter_bucket_bound[METER_BUCKETS] = { 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
						 2500000, 5000000, 10000000, 30000000 };

struct counter_stripe {
	_Alignas(64) _Atomic uint64_t n;
};

struct timer_stripe {
	_Alignas(64) _Atomic uint64_t count;
	_Atomic uint64_t sum;
	_Atomic uint64_t bucket[METER_BUCKETS]; /* not cumulative; above the last bound only in count */
	_Atomic int64_t span[2];                /* number of the minute that max[i] belongs to */
	_Atomic int64_t max[2];
};

struct member {
	struct member *next;
	const struct meter_desc *desc;
	enum meter_kind kind;
	unsigned n_tags;
	struct meter_tag tag[METER_TAGS_MAX];
	struct str key; /* the tag values, each ended by NUL */
	void *stripes;
};

struct counter {
	struct member m;
};

struct meter_timer {
	struct member m;
};

struct family {
	const struct meter_desc *desc;
	struct map by_tags; /* of members */
};

struct source {
	meter_source fn;
	void *arg;
};

struct meters {
	unsigned stripes;
	uint64_t seed;
	pthread_mutex_t lock;
	struct map families;
	struct member *members;
	size_t n_sources;
	struct source sources[SOURCES_MAX];
};

struct meters *meters_new(unsigned stripes, uint64_t seed)
{
	struct meters *m = xzalloc(sizeof(*m));

	*m = (struct meters){ .stripes = stripes, .seed = seed };
	pthread_mutex_init(&m->lock, NULL);
	map_init(&m->families, seed);
	return m;
}

void meters_free(struct meters *m)
{
	size_t pos = 0;
	struct family *f;

	if (!m)
		return;
	while ((f = map_next(&m->families, &pos))) {
		map_fini(&f->by_tags);
		free(f);
	}
	map_fini(&m->families);
	while (m->members) {
		struct member *next = m->members->next;

		free(m->members->stripes);
		free((void *)(uintptr_t)m->members->key.ptr);
		free(m->members);
		m->members = next;
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* --- finding --- */

static size_t key_of(char *out, const struct meter_tag *tags, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t part = MIN(tags[i].value.len, (size_t)METER_VALUE_MAX);

		if (part)
			memcpy(out + len, tags[i].value.ptr, part);
		len += part;
		out[len++] = '\0';
	}
	return len;
}

static struct family *family_of(struct meters *m, const struct meter_desc *d)
{
	struct family *f = map_get(&m->families, str_from(d->name));

	if (f)
		return f;
	f = xzalloc(sizeof(*f));
	f->desc = d;
	map_init(&f->by_tags, m->seed);
	map_put(&m->families, str_from(d->name), f);
	return f;
}

static void *new_stripes(const struct meters *m, enum meter_kind kind)
{
	size_t one = kind == METER_TIMER ? sizeof(struct timer_stripe) : sizeof(struct counter_stripe);
	void *p = aligned_alloc(64, one * m->stripes);

	if (!p)
		abort();
	return memset(p, 0, one * m->stripes);
}

static struct member *member_new(struct meters *m, struct family *f, enum meter_kind kind, const struct meter_tag *tags,
				 unsigned n, struct str key)
{
	struct member *mb = xzalloc(sizeof(struct counter)); /* counter and meter_timer are the same inside */
	char *copy = xmalloc(key.len + 1), *at = copy;

	memcpy(copy, key.ptr, key.len);
	copy[key.len] = '\0';
	*mb = (struct member){ .next = m->members, .desc = f->desc, .kind = kind, .n_tags = n, .key = str_of(copy, key.len),
			       .stripes = new_stripes(m, kind) };
	for (unsigned i = 0; i < n; i++) {
		size_t len = MIN(tags[i].value.len, (size_t)METER_VALUE_MAX);

		mb->tag[i] = (struct meter_tag){ tags[i].key, str_of(at, len) };
		at += len + 1;
	}
	m->members = mb;
	map_put(&f->by_tags, mb->key, mb);
	return mb;
}

static struct member *find(struct meters *m, enum meter_kind kind, const struct meter_desc *d, const struct meter_tag *tags,
			   unsigned n)
{
	char key[METER_TAGS_MAX * (METER_VALUE_MAX + 1)];
	struct meter_tag other[METER_TAGS_MAX];
	size_t len;

	assert(n <= METER_TAGS_MAX);
	len = key_of(key, tags, n);
	pthread_mutex_lock(&m->lock);

	struct family *f = family_of(m, d);
	struct member *mb = map_get(&f->by_tags, str_of(key, len));

	if (!mb && f->by_tags.len >= (d->max_members ? d->max_members : MEMBERS_DEFAULT)) {
		for (unsigned i = 0; i < n; i++)
			other[i] = (struct meter_tag){ tags[i].key, STR("_other") };
		tags = other;
		len = key_of(key, tags, n);
		mb = map_get(&f->by_tags, str_of(key, len));
	}
	if (!mb)
		mb = member_new(m, f, kind, tags, n, str_of(key, len));
	pthread_mutex_unlock(&m->lock);
	assert(mb->kind == kind);
	return mb;
}

struct counter *meters_counter(struct meters *m, const struct meter_desc *d, const struct meter_tag *tags, unsigned n)
{
	return container_of(find(m, METER_COUNTER, d, tags, n), struct counter, m);
}

struct meter_timer *meters_timer(struct meters *m, const struct meter_desc *d, const struct meter_tag *tags, unsigned n)
{
	return container_of(find(m, METER_TIMER, d, tags, n), struct meter_timer, m);
}

/* --- writing: one writer a stripe --- */

static void bump(_Atomic uint64_t *p, uint64_t n)
{
	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + n, memory_order_relaxed);
}

void counter_add(struct counter *c, unsigned stripe, uint64_t n)
{
	bump(&((struct counter_stripe *)c->m.stripes)[stripe].n, n);
}

void meter_timer_add(struct meter_timer *t, unsigned stripe, usec took, usec now)
{
	struct timer_stripe *s = &((struct timer_stripe *)t->m.stripes)[stripe];
	int64_t span = now / MAX_SPAN;
	unsigned half = (unsigned)(span & 1), b = 0;

	took = MAX(took, 0);
	bump(&s->count, 1);
	bump(&s->sum, (uint64_t)took);
	while (b < METER_BUCKETS && took > meter_bucket_bound[b])
		b++;
	if (b < METER_BUCKETS)
		bump(&s->bucket[b], 1);
	if (atomic_load_explicit(&s->span[half], memory_order_relaxed) != span) {
		atomic_store_explicit(&s->max[half], 0, memory_order_relaxed);
		atomic_store_explicit(&s->span[half], span, memory_order_relaxed);
	}
	if (took > atomic_load_explicit(&s->max[half], memory_order_relaxed))
		atomic_store_explicit(&s->max[half], took, memory_order_relaxed);
}

/* --- snapshots --- */

void meters_source(struct meters *m, meter_source fn, void *arg)
{
	pthread_mutex_lock(&m->lock);
	assert(m->n_sources < SOURCES_MAX);
	m->sources[m->n_sources++] = (struct source){ fn, arg };
	pthread_mutex_unlock(&m->lock);
}

static struct meter_sample *next_sample(struct meter_snapshot *s)
{
	if (s->n == s->cap) {
		size_t cap = MAX(s->cap * 2, (size_t)128);
		struct meter_sample *more = arena_alloc(s->arena, cap * sizeof(*more));

		if (s->n)
			memcpy(more, s->sample, s->n * sizeof(*more));
		s->sample = more;
		s->cap = cap;
	}
	s->sample[s->n] = (struct meter_sample){ 0 };
	return &s->sample[s->n++];
}

void snapshot_add(struct meter_snapshot *s, enum meter_kind kind, const struct meter_desc *d, double value,
		  const struct meter_tag *tags, unsigned n)
{
	struct meter_sample *sm = next_sample(s);

	assert(n <= METER_TAGS_MAX && kind != METER_TIMER);
	sm->desc = d;
	sm->kind = kind;
	sm->value = value;
	sm->n_tags = n;
	for (unsigned i = 0; i < n; i++)
		sm->tag[i] = (struct meter_tag){ tags[i].key, str_dup_in(s->arena, str_slice(tags[i].value, 0, METER_VALUE_MAX)) };
}

static void sum_timer(struct meter_sample *sm, const struct timer_stripe *st, unsigned stripes, usec now)
{
	int64_t span = now / MAX_SPAN, max = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; i < stripes; i++) {
		sm->count += atomic_load_explicit(&st[i].count, memory_order_relaxed);
		sum += atomic_load_explicit(&st[i].sum, memory_order_relaxed);
		for (unsigned b = 0; b < METER_BUCKETS; b++)
			sm->bucket[b] += atomic_load_explicit(&st[i].bucket[b], memory_order_relaxed);
		for (unsigned h = 0; h < 2; h++) {
			if (atomic_load_explicit(&st[i].span[h], memory_order_relaxed) >= span - 1)
				max = MAX(max, atomic_load_explicit(&st[i].max[h], memory_order_relaxed));
		}
	}
	for (unsigned b = 1; b < METER_BUCKETS; b++)
		sm->bucket[b] += sm->bucket[b - 1];
	sm->total = (double)sum / (double)USEC_PER_SEC;
	sm->max = (double)max / (double)USEC_PER_SEC;
	sm->has_buckets = true;
}

static void add_member(struct meter_snapshot *s, const struct member *mb, unsigned stripes, usec now)
{
	struct meter_sample *sm = next_sample(s);

	sm->desc = mb->desc;
	sm->kind = mb->kind;
	sm->n_tags = mb->n_tags;
	memcpy(sm->tag, mb->tag, sizeof(sm->tag)); /* a member's text is never freed before the meters are */
	if (mb->kind == METER_TIMER) {
		sum_timer(sm, mb->stripes, stripes, now);
		return;
	}

	const struct counter_stripe *st = mb->stripes;
	uint64_t sum = 0;

	for (unsigned i = 0; i < stripes; i++)
		sum += atomic_load_explicit(&st[i].n, memory_order_relaxed);
	sm->value = (double)sum;
}

static int compare(const void *va, const void *vb)
{
	const struct meter_sample *a = va, *b = vb;
	int r = strcmp(a->desc->name, b->desc->name);

	for (unsigned i = 0; r == 0 && i < MIN(a->n_tags, b->n_tags); i++)
		r = str_cmp(a->tag[i].value, b->tag[i].value);
	return r;
}

void meters_snapshot(struct meters *m, struct meter_snapshot *ret, struct arena *a, usec now)
{
	*ret = (struct meter_snapshot){ .arena = a };
	pthread_mutex_lock(&m->lock);
	for (const struct member *mb = m->members; mb; mb = mb->next)
		add_member(ret, mb, m->stripes, now);
	pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < m->n_sources; i++)
		m->sources[i].fn(ret, m->sources[i].arg);
	if (ret->n)
		qsort(ret->sample, ret->n, sizeof(*ret->sample), compare);
}
