/* view_index.c - see view_index.h.
 *
 * Invariants   Chunks are not empty; names rise, without regard to case, within a chunk and from chunk to chunk. */
#include "eureka/view_index.h"

static void ref(_Atomic uint32_t *refs)
{
	atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

static bool unref(_Atomic uint32_t *refs) /* true: that was the last one */
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static bool is_ours(_Atomic uint32_t *refs)
{
	return atomic_load_explicit(refs, memory_order_acquire) == 1;
}

/* --- groups --- */

int instance_cmp(const struct instance *a, const struct instance *b)
{
	int d = str_cmp(a->app, b->app);

	return d ? d : str_cmp(a->id, b->id);
}

static struct view_group *group_alloc(struct str name, uint32_t n)
{
	struct view_group *g = xmalloc(sizeof(*g) + n * sizeof(g->inst[0]) + name.len);
	char *text = (char *)&g->inst[n];

	atomic_init(&g->refs, 1);
	g->n = 0;
	if (name.len)
		memcpy(text, name.ptr, name.len);
	g->name = str_of(text, name.len);
	return g;
}

static void group_add(struct view_group *g, struct instance *const *inst, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		g->inst[g->n++] = instance_ref(inst[i]);
}

struct view_group *view_group_new(struct str name, struct instance *const *inst, uint32_t n)
{
	struct view_group *g = group_alloc(name, n);

	group_add(g, inst, n);
	return g;
}

struct view_group *view_group_ref(const struct view_group *g)
{
	struct view_group *own = (struct view_group *)(uintptr_t)g;

	ref(&own->refs);
	return own;
}

void view_group_unref(struct view_group *g)
{
	if (!g || !unref(&g->refs))
		return;
	for (uint32_t i = 0; i < g->n; i++)
		instance_unref(g->inst[i]);
	free(g);
}

/* Where x is, or would be. */
static uint32_t group_find(const struct view_group *g, const struct instance *x, bool *found)
{
	uint32_t from = 0, to = g ? g->n : 0;

	*found = false;
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int d = instance_cmp(g->inst[mid], x);

		if (d == 0) {
			*found = true;
			return mid;
		}
		if (d < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

struct view_group *view_group_with(const struct view_group *g, struct str name, const struct instance *x, bool put)
{
	struct instance *one = (struct instance *)(uintptr_t)x;
	bool found;
	uint32_t at = group_find(g, x, &found), old = g ? g->n : 0, n = old + put - found, rest = at + found;
	struct view_group *q;

	if (n == 0)
		return NULL;
	q = group_alloc(g ? g->name : name, n);
	if (g)
		group_add(q, g->inst, at);
	if (put)
		group_add(q, &one, 1);
	if (g)
		group_add(q, g->inst + rest, old - rest);
	return q;
}

/* --- chunks --- */

static void chunk_unref(struct view_chunk *c)
{
	if (!unref(&c->refs))
		return;
	for (uint32_t i = 0; i < c->n; i++)
		view_group_unref(c->at[i]);
	free(c);
}

static struct view_chunk *chunk_new(struct view_group *const *at, uint32_t n) /* takes the references */
{
	struct view_chunk *c = xmalloc(sizeof(*c));

	atomic_init(&c->refs, 1);
	c->n = n;
	memcpy(c->at, at, n * sizeof(*at));
	return c;
}

/* One of our own in its place. */
static struct view_chunk *chunk_own(struct view_chunk *c)
{
	struct view_chunk *q;

	if (is_ours(&c->refs))
		return c;
	q = chunk_new(c->at, c->n);
	for (uint32_t i = 0; i < q->n; i++)
		ref(&q->at[i]->refs);
	chunk_unref(c);
	return q;
}

/* --- the index --- */

static int name_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.len, b.len);

	for (size_t i = 0; i < n; i++) {
		int d = (unsigned char)ascii_lower(a.ptr[i]) - (unsigned char)ascii_lower(b.ptr[i]);

		if (d)
			return d;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
	return name_cmp((*(struct view_group *const *)a)->name, (*(struct view_group *const *)b)->name);
}

static struct view_index *index_alloc(uint32_t n_chunks)
{
	struct view_index *x = xzalloc(sizeof(*x) + n_chunks * sizeof(x->chunk[0]));

	atomic_init(&x->refs, 1);
	return x;
}

struct view_index *view_index_new(struct view_group **groups, uint32_t n)
{
	static const uint32_t fill = VIEW_CHUNK_MAX * 3 / 4; /* leaves room for names that come */
	struct view_index *x = index_alloc(n / fill + 1);

	if (n)
		qsort(groups, n, sizeof(*groups), by_name);
	x->n = n;
	for (uint32_t i = 0; i < n; i += fill)
		x->chunk[x->n_chunks++] = chunk_new(groups + i, MIN(fill, n - i));
	return x;
}

struct view_index *view_index_ref(struct view_index *x)
{
	ref(&x->refs);
	return x;
}

void view_index_unref(struct view_index *x)
{
	if (!x || !unref(&x->refs))
		return;
	for (uint32_t i = 0; i < x->n_chunks; i++)
		chunk_unref(x->chunk[i]);
	free(x);
}

struct place {
	uint32_t chunk, at;
	bool found;
};

/* Where the name is, or would be put: in the last chunk that begins at or before it. */
static struct place find(const struct view_index *x, struct str name)
{
	uint32_t from = 0, to = x->n_chunks;
	struct place p = { 0 };

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (name_cmp(x->chunk[mid]->at[0]->name, name) <= 0)
			from = mid + 1;
		else
			to = mid;
	}
	p.chunk = from ? from - 1 : 0;
	from = 0;
	to = x->n_chunks ? x->chunk[p.chunk]->n : 0;
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int d = name_cmp(x->chunk[p.chunk]->at[mid]->name, name);

		if (d == 0) {
			p.at = mid;
			p.found = true;
			return p;
		}
		if (d < 0)
			from = mid + 1;
		else
			to = mid;
	}
	p.at = from;
	return p;
}

const struct view_group *view_index_get(const struct view_index *x, struct str name)
{
	struct place p = find(x, name);

	return p.found ? x->chunk[p.chunk]->at[p.at] : NULL;
}

/* An index of our own, with room for one more chunk. */
static struct view_index *index_own(struct view_index *x)
{
	struct view_index *q;

	if (is_ours(&x->refs))
		return xrealloc(x, sizeof(*x) + (x->n_chunks + 1) * sizeof(x->chunk[0]));
	q = index_alloc(x->n_chunks + 1);
	q->n = x->n;
	q->n_chunks = x->n_chunks;
	for (uint32_t i = 0; i < x->n_chunks; i++) {
		q->chunk[i] = x->chunk[i];
		ref(&q->chunk[i]->refs);
	}
	view_index_unref(x);
	return q;
}

/* The chunk is full: its upper half becomes one of its own behind it. */
static void split(struct view_index *x, uint32_t chunk)
{
	struct view_chunk *c = x->chunk[chunk];
	uint32_t half = c->n / 2;

	memmove(&x->chunk[chunk + 2], &x->chunk[chunk + 1], (x->n_chunks - chunk - 1) * sizeof(x->chunk[0]));
	x->chunk[chunk + 1] = chunk_new(c->at + half, c->n - half);
	c->n = half;
	x->n_chunks++;
}

static void insert(struct view_index *x, struct place p, struct view_group *g)
{
	struct view_chunk *c = x->chunk[p.chunk];

	if (c->n == VIEW_CHUNK_MAX) {
		split(x, p.chunk);
		if (p.at > c->n) {
			p.at -= c->n;
			c = x->chunk[p.chunk + 1];
		}
	}
	memmove(&c->at[p.at + 1], &c->at[p.at], (c->n - p.at) * sizeof(c->at[0]));
	c->at[p.at] = g;
	c->n++;
	x->n++;
}

static void take_out(struct view_index *x, struct place p)
{
	struct view_chunk *c = x->chunk[p.chunk];

	view_group_unref(c->at[p.at]);
	c->n--;
	memmove(&c->at[p.at], &c->at[p.at + 1], (c->n - p.at) * sizeof(c->at[0]));
	x->n--;
	if (c->n)
		return;
	chunk_unref(c);
	x->n_chunks--;
	memmove(&x->chunk[p.chunk], &x->chunk[p.chunk + 1], (x->n_chunks - p.chunk) * sizeof(x->chunk[0]));
}

struct view_index *view_index_set(struct view_index *x, struct str name, struct view_group *g)
{
	struct place p = find(x, name);

	if (!g && !p.found)
		return x;
	x = index_own(x);
	if (x->n_chunks == 0) {
		x->chunk[x->n_chunks++] = chunk_new(&g, 1);
		x->n++;
		return x;
	}
	x->chunk[p.chunk] = chunk_own(x->chunk[p.chunk]);
	if (!g) {
		take_out(x, p);
	} else if (p.found) {
		view_group_unref(x->chunk[p.chunk]->at[p.at]);
		x->chunk[p.chunk]->at[p.at] = g;
	} else {
		insert(x, p, g);
	}
	return x;
}

const struct view_group *view_walk_next(struct view_walk *w)
{
	while (w->chunk < w->x->n_chunks) {
		const struct view_chunk *c = w->x->chunk[w->chunk];

		if (w->at < c->n)
			return c->at[w->at++];
		w->chunk++;
		w->at = 0;
	}
	return NULL;
}
