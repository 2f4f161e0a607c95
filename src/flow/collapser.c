/* collapser.c - see collapser.h.
 *
 * Invariants   An item waits on one place of one batch until it is answered, refused an answer, or withdrawn; the scope's
 *              lock guards the lists of all its batches. A batch that has left its scope is one thread's alone but for
 *              these lists. */
#include "flow/collapser.h"

enum { ADDED, BATCHES, FROM_CACHE, COLLAPSE_EVENTS };

#define ROW_WIDTH (HIST_BUCKETS + 2) /* the buckets, then the sum's low and high half */

/* --- numbers, with the collapser's lock held --- */

static void event_totals(const struct collapser *c, uint32_t ret[COLLAPSE_EVENTS])
{
	ret[ADDED] = (uint32_t)c->added;
	ret[BATCHES] = (uint32_t)c->batches;
	ret[FROM_CACHE] = (uint32_t)c->from_cache;
}

static void roll_one(struct window *w, usec length, uint32_t buckets, unsigned width, usec now, const uint32_t *totals)
{
	unsigned n = MIN(MAX(buckets, 1u), (unsigned)WINDOW_BUCKETS_MAX);

	if (window_is_shaped(w, length, n)) {
		window_roll(w, now, totals);
		return;
	}
	window_fini(w);
	window_init(w, length, n, width, now, totals);
}

static void roll(struct collapser *c, const struct collapser_settings *cs, usec now)
{
	uint32_t totals[COLLAPSE_EVENTS];

	event_totals(c, totals);
	roll_one(&c->events, cs->window_ms * USEC_PER_MSEC, cs->window_buckets, COLLAPSE_EVENTS, now, totals);
	if (!cs->percentile_enabled) {
		window_fini(&c->size);
		free(c->sizes);
		c->sizes = NULL;
		return;
	}
	if (!c->sizes)
		c->sizes = xzalloc(ROW_WIDTH * sizeof(*c->sizes));
	roll_one(&c->size, cs->percentile_ms * USEC_PER_MSEC, cs->percentile_buckets, ROW_WIDTH, now, c->sizes);
}

static uint64_t sum_of(const uint32_t row[ROW_WIDTH])
{
	return row[HIST_BUCKETS] | (uint64_t)row[HIST_BUCKETS + 1] << 32;
}

static void note_batch(struct collapser *c, const struct collapser_settings *cs, uint32_t size, usec now)
{
	pthread_mutex_lock(&c->lock);
	roll(c, cs, now);
	keyed_touch(&c->id, now);
	c->batches++;
	if (c->sizes) {
		uint64_t sum = sum_of(c->sizes) + size;

		c->sizes[hist_bucket(size)]++;
		c->sizes[HIST_BUCKETS] = (uint32_t)sum;
		c->sizes[HIST_BUCKETS + 1] = (uint32_t)(sum >> 32);
	}
	pthread_mutex_unlock(&c->lock);
}

static void note_one(struct collapser *c, const struct collapser_settings *cs, uint64_t *count, usec now)
{
	pthread_mutex_lock(&c->lock);
	roll(c, cs, now);
	keyed_touch(&c->id, now);
	(*count)++;
	pthread_mutex_unlock(&c->lock);
}

void collapser_note_cached(struct collapser *c, const struct collapser_settings *cs, usec now)
{
	note_one(c, cs, &c->from_cache, now);
}

static void read_sizes(const struct collapser *c, struct hist *h)
{
	const uint32_t *base = window_base(&c->size);

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		h->count[i] = c->sizes[i] - base[i];
		h->n += h->count[i];
		if (h->count[i])
			h->max = (uint32_t)(hist_bucket_high(i) - 1);
	}
	h->sum = sum_of(c->sizes) - sum_of(base);
}

void collapser_snapshot(struct collapser *c, const struct collapser_settings *cs, usec now, struct collapser_snapshot *ret)
{
	uint32_t totals[COLLAPSE_EVENTS];
	const uint32_t *base;

	*ret = (struct collapser_snapshot){
		.key = c->id.key,
		.batch_max = cs->batch_max,
		.delay_ms = cs->delay_ms,
		.request_cache = cs->request_cache,
	};
	pthread_mutex_lock(&c->lock);
	roll(c, cs, now);
	event_totals(c, totals);
	base = window_base(&c->events);
	ret->rolling_requests = totals[ADDED] - base[ADDED];
	ret->rolling_batches = totals[BATCHES] - base[BATCHES];
	ret->rolling_from_cache = totals[FROM_CACHE] - base[FROM_CACHE];
	if (c->sizes)
		read_sizes(c, &ret->sizes);
	pthread_mutex_unlock(&c->lock);
}

/* --- batches --- */

static struct collapse_batch *batch_new(struct collapse_scope *s)
{
	struct collapse_batch *b = xzalloc(sizeof(*b));

	b->scope = s;
	map_init(&b->by_key, s->seed);
	return b;
}

static void batch_put(struct collapse_batch *b, struct batch_place *p)
{
	if (b->n == b->cap) {
		b->cap = MAX(b->cap * 2, 8u);
		b->place = xrealloc(b->place, b->cap * sizeof(struct batch_place *));
	}
	b->place[b->n++] = p;
}

static struct batch_place *place_new(struct collapse_batch *b, const struct collapse_item *it)
{
	struct batch_place *p = xzalloc(sizeof(*p));

	p->key = str_of(str_dup(it->key), it->key.len);
	p->arg = shared_ref(it->arg);
	list_init(&p->items);
	batch_put(b, p);
	map_put(&b->by_key, p->key, p);
	return p;
}

static void place_free(struct batch_place *p)
{
	shared_unref(p->arg);
	free((char *)(uintptr_t)p->key.ptr);
	free(p);
}

static void batch_free(struct collapse_batch *b)
{
	map_fini(&b->by_key);
	free(b->place);
	free(b);
}

/* Tells all that wait on a place, outside the lock: each is its owner's again before it is called. */
static void answer_place(struct collapse_scope *s, struct batch_place *p, struct shared *answer, const struct err *why)
{
	struct list told;

	list_init(&told);
	pthread_mutex_lock(&s->lock);
	while (!list_is_empty(&p->items)) {
		struct list *l = list_first(&p->items);

		list_del(l);
		list_entry(l, struct collapse_item, link)->state = ITEM_OUT;
		list_push_back(&told, l);
	}
	pthread_mutex_unlock(&s->lock);
	while (!list_is_empty(&told)) {
		struct collapse_item *it = list_entry(list_first(&told), struct collapse_item, link);

		list_del(&it->link);
		it->done(it, shared_ref(answer), answer ? NULL : why);
	}
}

void batch_answer(struct collapse_batch *b, uint32_t place, struct shared *answer)
{
	assert(place < b->n && answer);
	answer_place(b->scope, b->place[place], answer, NULL);
}

void batch_refuse_one(struct collapse_batch *b, uint32_t place, const struct err *why)
{
	assert(place < b->n);
	answer_place(b->scope, b->place[place], NULL, why);
}

void batch_refuse(struct collapse_batch *b, const struct err *why)
{
	for (uint32_t i = 0; i < b->n; i++)
		answer_place(b->scope, b->place[i], NULL, why);
}

void batch_end(struct collapse_batch *b)
{
	struct err why;

	if (!b)
		return;
	err_set(&why, VINE_EPROTO, "the batch of %.*s had no answer for it", STRF(b->scope->collapser->id.key));
	batch_refuse(b, &why);
	for (uint32_t i = 0; i < b->n; i++)
		place_free(b->place[i]);
	batch_free(b);
}

void batch_count(const struct collapse_batch *b, struct command *c, const struct cmd_settings *cs, unsigned stripe, usec now)
{
	for (uint32_t i = 0; i < b->n; i++)
		command_count(c, cs, stripe, EVENT_COLLAPSED, now);
}

void batch_shard(struct collapse_batch *b, uint32_t n, uint32_t (*shard_of)(const struct batch_place *p, void *ctx), void *ctx,
		 struct collapse_batch **ret)
{
	for (uint32_t i = 0; i < n; i++)
		ret[i] = NULL;
	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t to = shard_of(b->place[i], ctx);

		assert(to < n);
		if (!ret[to])
			ret[to] = batch_new(b->scope);
		batch_put(ret[to], b->place[i]);
	}
	batch_free(b);
}

/* --- scopes --- */

struct making {
	struct collapser *collapser;
	usec now;
};

static void *make_scope(void *ctx)
{
	struct making *m = ctx;
	struct collapse_scope *s = xmalloc(sizeof(*s));

	collapse_scope_init(s, m->collapser, m->now);
	return s;
}

static void free_scope(void *part)
{
	collapse_scope_fini(part);
	free(part);
}

struct collapse_scope *collapse_scope_of(struct flow_request *rq, struct collapser *c, usec now)
{
	return request_part(rq, c, make_scope, free_scope, &(struct making){ c, now });
}

void collapse_scope_init(struct collapse_scope *s, struct collapser *c, usec now)
{
	*s = (struct collapse_scope){ .collapser = collapser_of(keyed_ref(&c->id)), .began = now, .seed = (uintptr_t)c };
	pthread_mutex_init(&s->lock, NULL);
}

void collapse_scope_fini(struct collapse_scope *s)
{
	batch_end(TAKE(s->open));
	pthread_mutex_destroy(&s->lock);
	collapser_unref(s->collapser);
}

static enum collapse_answer add_locked(struct collapse_scope *s, const struct collapser_settings *cs, struct collapse_item *it,
				       struct collapse_batch **batch)
{
	struct batch_place *p;
	bool is_new;

	if (!s->open)
		s->open = batch_new(s);
	p = map_get(&s->open->by_key, it->key);
	is_new = !p;
	if (p && !cs->request_cache)
		return COLLAPSE_REFUSED;
	if (!p)
		p = place_new(s->open, it);
	it->state = ITEM_WAITING;
	it->batch = s->open;
	list_push_back(&p->items, &it->link);
	if (!is_new)
		return COLLAPSE_JOINED;
	if (s->open->n < MAX(cs->batch_max, 1u))
		return COLLAPSE_GATHERED;
	*batch = TAKE(s->open);
	return COLLAPSE_FULL;
}

enum collapse_answer collapse_add(struct collapse_scope *s, const struct collapser_settings *cs, struct collapse_item *it,
				  usec now, struct collapse_batch **batch)
{
	enum collapse_answer a;

	pthread_mutex_lock(&s->lock);
	a = add_locked(s, cs, it, batch);
	pthread_mutex_unlock(&s->lock);
	if (a != COLLAPSE_REFUSED)
		note_one(s->collapser, cs, &s->collapser->added, now);
	if (a == COLLAPSE_FULL)
		note_batch(s->collapser, cs, (*batch)->n, now);
	return a;
}

/* With the lock held. */
static bool is_leaving(const struct collapse_scope *s, const struct collapse_item *it)
{
	return s->open && (!it || (it->state == ITEM_WAITING && it->batch == s->open));
}

usec collapse_due(struct collapse_scope *s, const struct collapser_settings *cs, const struct collapse_item *it, usec now)
{
	usec delay = MAX(cs->delay_ms, (msec)1) * USEC_PER_MSEC;
	bool waits;

	pthread_mutex_lock(&s->lock);
	waits = is_leaving(s, it);
	pthread_mutex_unlock(&s->lock);
	return waits ? s->began + (MAX(now - s->began, (usec)0) / delay + 1) * delay : USEC_NEVER;
}

struct collapse_batch *collapse_tick(struct collapse_scope *s, const struct collapser_settings *cs,
				     const struct collapse_item *it, usec now)
{
	struct collapse_batch *b = NULL;

	pthread_mutex_lock(&s->lock);
	if (is_leaving(s, it))
		b = TAKE(s->open);
	pthread_mutex_unlock(&s->lock);
	if (b)
		note_batch(s->collapser, cs, b->n, now);
	return b;
}

bool collapse_withdraw(struct collapse_scope *s, struct collapse_item *it)
{
	bool was_waiting;

	pthread_mutex_lock(&s->lock);
	was_waiting = it->state == ITEM_WAITING;
	if (was_waiting)
		list_del(&it->link);
	it->state = ITEM_OUT;
	pthread_mutex_unlock(&s->lock);
	return was_waiting; /* its place stays: the batch may hold others, and an answer that nobody wants does no harm */
}

/* --- life --- */

static void collapser_free(struct keyed *k)
{
	struct collapser *c = collapser_of(k);

	window_fini(&c->events);
	window_fini(&c->size);
	free(c->sizes);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct keyed *collapser_make(void)
{
	struct collapser *c = xzalloc(sizeof(*c));

	c->id.free = collapser_free;
	pthread_mutex_init(&c->lock, NULL);
	return &c->id;
}

struct keyed_table *collapser_table_new(size_t max, uint64_t seed)
{
	return keyed_table_new(max, seed, collapser_make);
}
