/* pool.c - slots and a queue; see pool.h.
 *
 * Invariants   running counts the waiters in place RUNNING, queued those on the list. Nobody waits while fewer than `core`
 *              run, but between a change of the limits and the next call here.
 *              The one who frees a slot gives it to the longest waiting under the same lock: it is never free for a
 *              newcomer to overtake. */
#include "flow/pool.h"

enum { EXECUTED, REJECTED, POOL_EVENTS };

/* --- counting, with the lock held --- */

static void totals_of(const struct pool *p, uint32_t ret[POOL_EVENTS])
{
	ret[EXECUTED] = (uint32_t)p->executed;
	ret[REJECTED] = (uint32_t)p->rejected;
}

static void roll(struct pool *p, const struct pool_settings *ps, usec now)
{
	usec length = ps->window_ms * USEC_PER_MSEC;
	unsigned n = MIN(MAX(ps->window_buckets, 1u), (unsigned)WINDOW_BUCKETS_MAX);
	uint32_t totals[POOL_EVENTS];
	int64_t was = p->events.slot;

	totals_of(p, totals);
	if (!window_is_shaped(&p->events, length, n)) {
		window_fini(&p->events);
		window_init(&p->events, length, n, POOL_EVENTS, now, totals);
		free(p->peaks);
		p->peaks = xmalloc(n * sizeof(*p->peaks));
		for (unsigned i = 0; i < n; i++)
			p->peaks[i] = 0;
		p->peaks[p->events.slot % n] = p->running;
		return;
	}
	if (now < window_next(&p->events))
		return;
	window_roll(&p->events, now, totals);
	for (int64_t i = MAX(was + 1, p->events.slot - (int64_t)n + 1); i <= p->events.slot; i++)
		p->peaks[i % n] = p->running;
}

static void note_running(struct pool *p)
{
	uint32_t *peak = &p->peaks[p->events.slot % p->events.n];

	*peak = MAX(*peak, p->running);
	p->largest = MAX(p->largest, p->running);
}

/* --- slots --- */

static void run(struct pool *p, struct pool_wait *w)
{
	w->place = POOL_RUNNING;
	p->running++;
	note_running(p);
}

static void enqueue(struct pool *p, struct pool_wait *w)
{
	w->place = POOL_QUEUED;
	list_push_back(&p->queue, &w->link);
	p->queued++;
}

/* Slots for those who wait, as long as fewer than `limit` run. */
static struct pool_wait *grant(struct pool *p, uint32_t limit)
{
	struct pool_wait *first = NULL, **last = &first;

	while (p->queued && p->running < limit) {
		struct pool_wait *w = list_entry(list_first(&p->queue), struct pool_wait, link);

		list_del(&w->link);
		p->queued--;
		run(p, w);
		w->next = NULL;
		*last = w;
		last = &w->next;
	}
	return first;
}

/* w itself may be among those that were granted: then it needs no waking. */
static bool take_out(struct pool_wait **granted, const struct pool_wait *w)
{
	for (struct pool_wait **at = granted; *at; at = &(*at)->next) {
		if (*at != w)
			continue;
		*at = w->next;
		return true;
	}
	return false;
}

static enum pool_answer reject(struct pool *p, struct pool_wait *w)
{
	w->place = POOL_OUT;
	p->rejected++;
	return POOL_REJECTED;
}

static enum pool_answer enter(struct pool *p, const struct pool_settings *ps, struct pool_wait *w,
			      struct pool_wait **granted)
{
	*granted = grant(p, pool_core(ps));
	if (p->running < pool_core(ps)) {
		run(p, w);
	} else if (p->queued < pool_queue_max(ps)) {
		enqueue(p, w);
	} else if (p->running < pool_maximum(ps)) {
		struct pool_wait **end = granted;

		enqueue(p, w); /* one more than fit in; the longest waiting gets the new slot */

		while (*end)
			end = &(*end)->next;
		*end = grant(p, p->running + 1);
		take_out(granted, w);
	} else {
		return reject(p, w);
	}
	p->submitted++;
	return w->place == POOL_RUNNING ? POOL_RUN : POOL_WAIT;
}

enum pool_answer pool_enter(struct pool *p, const struct pool_settings *ps, struct pool_wait *w, usec now,
			    struct pool_wait **granted)
{
	enum pool_answer a;

	pthread_mutex_lock(&p->lock);
	roll(p, ps, now);
	keyed_touch(&p->id, now);
	a = enter(p, ps, w, granted);
	pthread_mutex_unlock(&p->lock);
	return a;
}

struct pool_wait *pool_leave(struct pool *p, const struct pool_settings *ps, struct pool_wait *w, usec now)
{
	struct pool_wait *granted;

	pthread_mutex_lock(&p->lock);
	assert(w->place == POOL_RUNNING && p->running > 0);
	roll(p, ps, now);
	w->place = POOL_OUT;
	p->running--;
	p->completed++;
	/* A slot beyond the core goes on serving the queue, as a thread does that was made for it. */
	granted = grant(p, MIN(pool_maximum(ps), MAX(pool_core(ps), p->running + 1)));
	pthread_mutex_unlock(&p->lock);
	return granted;
}

bool pool_withdraw(struct pool *p, struct pool_wait *w)
{
	bool was_queued;

	pthread_mutex_lock(&p->lock);
	was_queued = w->place == POOL_QUEUED;
	if (was_queued) {
		list_del(&w->link);
		p->queued--;
		w->place = POOL_OUT;
	}
	pthread_mutex_unlock(&p->lock);
	return was_queued;
}

void pool_wake_all(struct pool_wait *granted)
{
	while (granted) {
		struct pool_wait *w = granted;

		granted = w->next; /* w may be gone once it is awake */
		w->wake(w);
	}
}

void pool_note_executed(struct pool *p, const struct pool_settings *ps, usec now)
{
	pthread_mutex_lock(&p->lock);
	roll(p, ps, now);
	p->executed++;
	pthread_mutex_unlock(&p->lock);
}

void pool_set_threads(struct pool *p, uint32_t threads)
{
	pthread_mutex_lock(&p->lock);
	p->has_threads = true;
	p->threads = threads;
	p->largest = MAX(p->largest, threads);
	pthread_mutex_unlock(&p->lock);
}

void pool_snapshot(struct pool *p, const struct pool_settings *ps, usec now, struct pool_snapshot *ret)
{
	uint32_t totals[POOL_EVENTS];
	const uint32_t *base;

	pthread_mutex_lock(&p->lock);
	roll(p, ps, now);
	totals_of(p, totals);
	base = window_base(&p->events);
	*ret = (struct pool_snapshot){
		.key = p->id.key,
		.active = p->running,
		.queued = p->queued,
		.max_active = p->running,
		.pool_size = p->has_threads ? p->threads : pool_core(ps),
		.largest = p->largest,
		.core = pool_core(ps),
		.maximum = pool_maximum(ps),
		.queue_max = pool_queue_max(ps),
		.completed = p->completed,
		.submitted = p->submitted,
		.rejected = p->rejected,
		.rolling_executed = totals[EXECUTED] - base[EXECUTED],
		.rolling_rejected = totals[REJECTED] - base[REJECTED],
	};
	for (unsigned i = 0; i < p->events.n; i++)
		ret->max_active = MAX(ret->max_active, p->peaks[i]);
	pthread_mutex_unlock(&p->lock);
}

static void pool_free(struct keyed *k)
{
	struct pool *p = pool_of(k);

	assert(p->running == 0 && p->queued == 0);
	window_fini(&p->events);
	free(p->peaks);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static struct keyed *pool_make(void)
{
	struct pool *p = xzalloc(sizeof(*p));

	p->id.free = pool_free;
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->queue);
	return &p->id;
}

struct keyed_table *pool_table_new(size_t max, uint64_t seed)
{
	return keyed_table_new(max, seed, pool_make);
}
