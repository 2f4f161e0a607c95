/* stats.c - gathering stripes, opening buckets, reading, giving memory back.
 *
 * Invariants   A stripe's totals only grow. What a trimmed stripe held is in retired[], so totals over all stripes, the
 *              limbo and retired only grow too. Windows hold earlier totals, modulo 2^32.
 *              A writer holds a pin before it loads a stripe's pointer. stats_trim takes the pointers out first and
 *              frees a block only after it has seen every pin count at zero: who came before has left, who comes later
 *              finds no pointer.
 * Threads      Counters: any, relaxed. All else under `lock`, a leaf.
 * Time         `now` may come from several threads' loops and be a little behind: such counts fall into the open bucket.
 */
#include "flow/stats.h"

#define LAT_WIDTH (HIST_BUCKETS + 2) /* the buckets, then the sum's low and high half */
#define HEALTH_WIDTH 3

static unsigned round_up_pow2(unsigned n)
{
	unsigned p = 1;

	while (p < n && p < STATS_STRIPES_MAX)
		p *= 2;
	return p;
}

size_t stats_size(unsigned stripes)
{
	return sizeof(struct stats) + round_up_pow2(stripes) * sizeof(struct stats_stripe *);
}

void stats_init(struct stats *s, unsigned stripes, usec now)
{
	memset(s, 0, stats_size(stripes));
	s->stripes = round_up_pow2(stripes);
	pthread_mutex_init(&s->lock, NULL);
	atomic_store(&s->roll_at, 0);
	s->used_at = now;
}

static void stripe_free(struct stats_stripe *st)
{
	if (!st)
		return;
	free(atomic_load(&st->correction));
	free(st);
}

static void free_windows(struct stats *s)
{
	window_fini(&s->events);
	window_fini(&s->health);
	window_fini(&s->latency);
	window_fini(&s->correction);
	free(s->peaks);
	free(s->slowests);
	s->peaks = s->slowests = NULL;
}

void stats_fini(struct stats *s)
{
	for (unsigned i = 0; i < s->stripes; i++)
		stripe_free(atomic_load(&s->stripe[i]));
	while (s->limbo) {
		struct stats_stripe *st = s->limbo;

		s->limbo = st->limbo_next;
		stripe_free(st);
	}
	free_windows(s);
	free(s->ring);
	pthread_mutex_destroy(&s->lock);
}

struct stats_stripe *stats_stripe_new(struct stats *s, unsigned i)
{
	pthread_mutex_lock(&s->lock);

	struct stats_stripe *st = atomic_load(&s->stripe[i]);

	if (!st) {
		void *p = NULL;

		if (posix_memalign(&p, _Alignof(struct stats_stripe), sizeof(*st)) != 0)
			abort(); /* as every small allocation */
		st = memset(p, 0, sizeof(*st));
		atomic_store(&s->stripe[i], st);
	}
	pthread_mutex_unlock(&s->lock);
	return st;
}

struct stats_hist *stats_correction_new(struct stats_stripe *st)
{
	struct stats_hist *h = xzalloc(sizeof(*h)), *there = NULL;

	if (atomic_compare_exchange_strong(&st->correction, &there, h))
		return h;
	free(h);
	return there;
}

void stats_latency_total(struct stats *s, struct stats_stripe *st, usec execute, usec total)
{
	struct stats_hist *h = atomic_load(&st->correction);

	if (!h)
		h = stats_correction_new(st);
	total = MIN(MAX(total, (usec)0), (usec)UINT32_MAX);
	execute = MIN(MAX(execute, (usec)0), total);
	atomic_fetch_sub_explicit(&h->bucket[hist_bucket(execute)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->bucket[hist_bucket(total)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum, (uint64_t)(total - execute), memory_order_relaxed);
	if ((uint32_t)total > atomic_load_explicit(&s->slowest, memory_order_relaxed))
		atomic_store_explicit(&s->slowest, (uint32_t)total, memory_order_relaxed);
}

/* --- gathering: all with the lock held --- */

static void add_counts(uint64_t *to, const struct stats_stripe *st)
{
	for (unsigned i = 0; i < STAT_COUNT; i++)
		to[i] += atomic_load_explicit(&st->count[i], memory_order_relaxed);
}

static void gather_counts(struct stats *s, uint64_t ret[STAT_COUNT])
{
	memcpy(ret, s->retired, sizeof(s->retired));
	for (unsigned i = 0; i < s->stripes; i++) {
		const struct stats_stripe *st = atomic_load(&s->stripe[i]);

		if (st)
			add_counts(ret, st);
	}
	for (const struct stats_stripe *st = s->limbo; st; st = st->limbo_next)
		add_counts(ret, st);
}

static uint64_t add_hist(uint32_t *to, const struct stats_hist *h)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to[i] += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
	return atomic_load_explicit(&h->sum, memory_order_relaxed);
}

static const struct stats_hist *hist_of(const struct stats_stripe *st, bool correction)
{
	return correction ? atomic_load(&st->correction) : &st->execute;
}

static void gather_latency(struct stats *s, bool correction, uint32_t ret[LAT_WIDTH])
{
	const struct stats_hist *h;
	uint64_t sum = 0;

	memset(ret, 0, LAT_WIDTH * sizeof(*ret));
	for (unsigned i = 0; i < s->stripes; i++) {
		const struct stats_stripe *st = atomic_load(&s->stripe[i]);

		if (st && (h = hist_of(st, correction)))
			sum += add_hist(ret, h);
	}
	for (const struct stats_stripe *st = s->limbo; st; st = st->limbo_next)
		if ((h = hist_of(st, correction)))
			sum += add_hist(ret, h);
	ret[HIST_BUCKETS] = (uint32_t)sum;
	ret[HIST_BUCKETS + 1] = (uint32_t)(sum >> 32);
}

static bool has_correction(struct stats *s)
{
	for (unsigned i = 0; i < s->stripes; i++) {
		const struct stats_stripe *st = atomic_load(&s->stripe[i]);

		if (st && atomic_load(&st->correction))
			return true;
	}
	for (const struct stats_stripe *st = s->limbo; st; st = st->limbo_next)
		if (atomic_load(&st->correction))
			return true;
	return false;
}

static void health_totals(const uint64_t counts[STAT_COUNT], uint32_t ret[HEALTH_WIDTH])
{
	uint64_t total = 0;

	for (unsigned i = 0; i < EVENT_HEALTH_COUNT; i++)
		total += counts[i];
	ret[0] = (uint32_t)(total - counts[STAT_STALE]);
	ret[1] = (uint32_t)(total - counts[EVENT_SUCCESS] - counts[STAT_STALE_ERRORS]);
	ret[2] = (uint32_t)counts[STAT_SLOW];
}

/* --- opening buckets: with the lock held --- */

static void fill_u32(uint32_t *row, unsigned n, uint32_t v)
{
	for (unsigned i = 0; i < n; i++)
		row[i] = v;
}

/* Maxima cannot be had from totals: one a bucket is kept, and the open bucket's is in *live. */
static void roll_maxima(uint32_t *row, const struct window *w, int64_t was, _Atomic uint32_t *live, uint32_t fresh)
{
	int64_t n = (int64_t)w->n, first = MAX(was + 1, w->slot - n + 1);

	uint32_t seen = atomic_exchange_explicit(live, fresh, memory_order_relaxed);

	row[was % n] = MAX(row[was % n], seen);
	for (int64_t i = first; i <= w->slot; i++)
		row[i % n] = fresh;
}

static void roll_events(struct stats *s, const struct cmd_settings *cs, const uint64_t counts[STAT_COUNT], usec now)
{
	uint32_t totals[EVENT_COUNT];
	usec length = cs->window_ms * USEC_PER_MSEC;
	unsigned buckets = MIN(MAX(cs->window_buckets, 1u), (unsigned)WINDOW_BUCKETS_MAX);

	for (unsigned i = 0; i < EVENT_COUNT; i++)
		totals[i] = (uint32_t)counts[i];
	if (!window_is_shaped(&s->events, length, buckets)) {
		window_fini(&s->events);
		window_init(&s->events, length, buckets, EVENT_COUNT, now, totals);
		free(s->peaks);
		s->peaks = xmalloc(buckets * sizeof(*s->peaks));
		fill_u32(s->peaks, buckets, 0);
		return;
	}

	int64_t was = s->events.slot;

	window_roll(&s->events, now, totals);
	if (s->events.slot != was)
		roll_maxima(s->peaks, &s->events, was, &s->peak, 0);
}

static void roll_health(struct stats *s, const struct cmd_settings *cs, const uint64_t counts[STAT_COUNT], usec now)
{
	uint32_t totals[HEALTH_WIDTH];
	msec interval = MAX(cs->health_interval_ms, (msec)1);
	unsigned buckets = (unsigned)MIN(MAX(cs->window_ms / interval, (msec)1), (msec)WINDOW_BUCKETS_MAX);
	usec length = (usec)buckets * interval * USEC_PER_MSEC;

	health_totals(counts, totals);
	if (!window_is_shaped(&s->health, length, buckets)) {
		window_fini(&s->health);
		window_init(&s->health, length, buckets, HEALTH_WIDTH, now, totals);
		return;
	}
	window_roll(&s->health, now, totals);
}

static void roll_execute(struct stats *s, usec length, unsigned buckets, usec now)
{
	uint32_t totals[LAT_WIDTH];
	int64_t was = s->latency.slot;

	gather_latency(s, false, totals);
	if (window_is_shaped(&s->latency, length, buckets)) {
		window_roll(&s->latency, now, totals);
		roll_maxima(s->slowests, &s->latency, was, &s->slowest, 0);
		return;
	}
	window_fini(&s->latency);
	window_fini(&s->correction);
	window_init(&s->latency, length, buckets, LAT_WIDTH, now, totals);
	free(s->slowests);
	s->slowests = xmalloc(buckets * sizeof(*s->slowests));
	fill_u32(s->slowests, buckets, 0);
}

static void roll_correction(struct stats *s, usec length, unsigned buckets, bool is_fresh, usec now)
{
	uint32_t totals[LAT_WIDTH] = { 0 };

	if (!s->correction.starts && !has_correction(s))
		return;
	if (s->correction.starts) {
		if (now < window_next(&s->correction))
			return;
		gather_latency(s, true, totals);
		window_roll(&s->correction, now, totals);
		return;
	}
	/* The first corrections came after the latencies' window was begun, so they all belong to it. */
	if (is_fresh)
		gather_latency(s, true, totals);
	window_init(&s->correction, length, buckets, LAT_WIDTH, now, totals);
}

static void roll_latency(struct stats *s, const struct cmd_settings *cs, usec now)
{
	usec length = cs->percentile_ms * USEC_PER_MSEC;
	unsigned buckets = MIN(MAX(cs->percentile_buckets, 1u), (unsigned)WINDOW_BUCKETS_MAX);
	bool is_fresh = !window_is_shaped(&s->latency, length, buckets);

	if (!cs->percentile_enabled) {
		window_fini(&s->latency);
		window_fini(&s->correction);
		return;
	}
	if (is_fresh || now >= window_next(&s->latency))
		roll_execute(s, length, buckets, now);
	roll_correction(s, length, buckets, is_fresh, now);
}

static void roll_locked(struct stats *s, const struct cmd_settings *cs, const uint64_t counts[STAT_COUNT], usec now)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < STAT_COUNT; i++)
		all += counts[i];
	if (all != s->seen) {
		s->seen = all;
		s->used_at = now;
	}
	roll_events(s, cs, counts, now);
	roll_health(s, cs, counts, now);
	roll_latency(s, cs, now);

	usec next = MIN(window_next(&s->events), window_next(&s->health));

	if (s->latency.starts)
		next = MIN(next, window_next(&s->latency));
	atomic_store_explicit(&s->roll_at, next, memory_order_relaxed);
}

void stats_roll(struct stats *s, const struct cmd_settings *cs, usec now)
{
	uint64_t counts[STAT_COUNT];

	if (pthread_mutex_trylock(&s->lock) != 0)
		return; /* somebody else is at it */
	gather_counts(s, counts);
	roll_locked(s, cs, counts, now);
	pthread_mutex_unlock(&s->lock);
}

/* --- the last so many calls: with the lock held --- */

enum { RING_ERROR = 1u << 0, RING_SLOW = 1u << 1 };

static struct stats_ring *ring_of(struct stats *s, uint32_t size)
{
	if (s->ring && s->ring->size == size)
		return s->ring;
	free(s->ring);
	s->ring = xzalloc(sizeof(*s->ring) + size);
	s->ring->size = size;
	return s->ring;
}

void stats_ring_add(struct stats *s, const struct cmd_settings *cs, bool is_error, bool is_slow)
{
	pthread_mutex_lock(&s->lock);

	struct stats_ring *r = ring_of(s, cs->count_window);
	uint8_t *what = &r->what[r->at];

	if (r->n == r->size) { /* it takes the oldest one's place */
		r->errors -= *what & RING_ERROR;
		r->slow -= (*what & RING_SLOW) != 0;
	} else {
		r->n++;
	}
	*what = (uint8_t)((is_error ? RING_ERROR : 0) | (is_slow ? RING_SLOW : 0));
	r->errors += is_error;
	r->slow += is_slow;
	r->at = (r->at + 1) % r->size;
	pthread_mutex_unlock(&s->lock);
}

static void ring_health(struct stats *s, uint32_t size, bool forget, struct stats_health *ret)
{
	struct stats_ring *r = ring_of(s, size);

	if (forget)
		r->n = r->at = r->errors = r->slow = 0;
	*ret = (struct stats_health){ .total = r->n, .errors = r->errors, .slow = r->slow };
}

/* --- reading --- */

static void health_locked(struct stats *s, const struct cmd_settings *cs, uint64_t generation, usec now,
			  const uint64_t counts[STAT_COUNT], struct stats_health *ret)
{
	uint32_t totals[HEALTH_WIDTH];
	const uint32_t *base;
	/* The very first generation has nothing before it to forget. */
	bool forget = generation && s->health_generation && generation != s->health_generation;

	roll_locked(s, cs, counts, now);
	health_totals(counts, totals);
	if (generation)
		s->health_generation = generation;
	if (forget)
		window_reset(&s->health, totals);
	if (unlikely(cs->count_window)) {
		ring_health(s, cs->count_window, forget, ret);
	} else {
		free(TAKE(s->ring)); /* asked for again, it begins anew */
		base = window_base(&s->health);
		ret->total = totals[0] - base[0];
		ret->errors = MIN(totals[1] - base[1], ret->total);
		ret->slow = MIN(totals[2] - base[2], ret->total);
	}
	ret->error_pct = ret->total ? (uint32_t)((uint64_t)ret->errors * 100 / ret->total) : 0;
}

static void health_unlock(struct stats *s, const struct cmd_settings *cs, uint64_t generation, usec now,
			  struct stats_health *ret)
{
	uint64_t counts[STAT_COUNT];

	gather_counts(s, counts);
	health_locked(s, cs, generation, now, counts, ret);
	pthread_mutex_unlock(&s->lock);
}

void stats_health(struct stats *s, const struct cmd_settings *cs, uint64_t generation, usec now,
		  struct stats_health *ret)
{
	pthread_mutex_lock(&s->lock);
	health_unlock(s, cs, generation, now, ret);
}

bool stats_try_health(struct stats *s, const struct cmd_settings *cs, uint64_t generation, usec now,
		      struct stats_health *ret)
{
	if (pthread_mutex_trylock(&s->lock) != 0)
		return false;
	health_unlock(s, cs, generation, now, ret);
	return true;
}

static uint32_t max_over(const uint32_t *row, unsigned n, uint32_t live)
{
	for (unsigned i = 0; i < n; i++)
		live = MAX(live, row[i]);
	return live;
}

static uint64_t row_sum(const uint32_t row[LAT_WIDTH])
{
	return row[HIST_BUCKETS] | (uint64_t)row[HIST_BUCKETS + 1] << 32;
}

/* Adds what the window has seen. A correction's buckets may go below zero at the window's edge, where the run has left the
 * window and its correction has not: such a bucket counts as empty. */
static void add_window(struct hist *to, const struct window *w, const uint32_t totals[LAT_WIDTH])
{
	const uint32_t *base = window_base(w);

	to->n = 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		int32_t v = (int32_t)(to->count[i] + (totals[i] - base[i]));

		to->count[i] = v > 0 ? (uint32_t)v : 0;
		to->n += to->count[i];
	}
	to->sum += row_sum(totals) - row_sum(base);
}

static void read_latency(struct stats *s, struct stats_reading *ret)
{
	uint32_t totals[LAT_WIDTH];

	memset(&ret->execute, 0, sizeof(ret->execute));
	if (s->latency.starts) {
		gather_latency(s, false, totals);
		add_window(&ret->execute, &s->latency, totals);
		ret->execute.max = max_over(s->slowests, s->latency.n,
					    atomic_load_explicit(&s->slowest, memory_order_relaxed));
	}
	ret->total = ret->execute;
	if (s->latency.starts && s->correction.starts) {
		gather_latency(s, true, totals);
		add_window(&ret->total, &s->correction, totals);
	}
}

void stats_read(struct stats *s, const struct cmd_settings *cs, uint64_t generation, uint32_t active, usec now,
		struct stats_reading *ret)
{
	uint64_t counts[STAT_COUNT];
	const uint32_t *base;

	pthread_mutex_lock(&s->lock);
	gather_counts(s, counts);
	health_locked(s, cs, generation, now, counts, &ret->health);
	base = window_base(&s->events);
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		ret->rolling[i] = (uint32_t)counts[i] - base[i];
		ret->lifetime[i] = counts[i];
	}
	ret->max_active = max_over(s->peaks, s->events.n,
				   MAX(active, atomic_load_explicit(&s->peak, memory_order_relaxed)));
	read_latency(s, ret);
	pthread_mutex_unlock(&s->lock);
}

/* --- giving memory back --- */

static usec longest_window(const struct cmd_settings *cs)
{
	return (MAX(cs->window_ms, cs->percentile_enabled ? cs->percentile_ms : 0) + cs->health_interval_ms) *
	       USEC_PER_MSEC;
}

static void detach_stripes(struct stats *s)
{
	for (unsigned i = 0; i < s->stripes; i++) {
		struct stats_stripe *st = atomic_exchange(&s->stripe[i], NULL);

		if (!st)
			continue;
		st->limbo_next = s->limbo;
		s->limbo = st;
	}
}

static void retire_limbo(struct stats *s)
{
	while (s->limbo) {
		struct stats_stripe *st = s->limbo;

		s->limbo = st->limbo_next;
		add_counts(s->retired, st);
		stripe_free(st);
	}
}

void stats_trim(struct stats *s, const struct cmd_settings *cs, usec now, _Atomic uint32_t *const *holds, unsigned n)
{
	uint64_t counts[STAT_COUNT];
	bool is_quiet;

	pthread_mutex_lock(&s->lock);
	gather_counts(s, counts);
	roll_locked(s, cs, counts, now);
	if (now - s->used_at > longest_window(cs)) {
		detach_stripes(s);
		is_quiet = atomic_load(&s->pins) == 0;
		for (unsigned i = 0; i < n; i++)
			is_quiet = is_quiet && atomic_load(holds[i]) == 0;
		if (is_quiet) {
			/* Every window is empty by now and may be built again from whatever the totals then are; only
			 * the lifetime counts are kept. */
			free_windows(s);
			retire_limbo(s);
			atomic_store_explicit(&s->roll_at, 0, memory_order_relaxed);
		}
	}
	pthread_mutex_unlock(&s->lock);
}

usec stats_used_at(struct stats *s)
{
	usec at;

	pthread_mutex_lock(&s->lock);
	at = s->used_at;
	pthread_mutex_unlock(&s->lock);
	return at;
}

size_t stats_bytes(struct stats *s)
{
	size_t n = stats_size(s->stripes);

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->stripes; i++) {
		const struct stats_stripe *st = atomic_load(&s->stripe[i]);

		if (st)
			n += sizeof(*st) + (atomic_load(&st->correction) ? sizeof(struct stats_hist) : 0);
	}
	for (const struct stats_stripe *st = s->limbo; st; st = st->limbo_next)
		n += sizeof(*st);
	n += window_bytes(&s->events) + window_bytes(&s->health) + window_bytes(&s->latency) +
	     window_bytes(&s->correction);
	n += s->ring ? sizeof(*s->ring) + s->ring->size : 0;
	n += (s->peaks ? s->events.n : 0) * sizeof(*s->peaks) + (s->slowests ? s->latency.n : 0) * sizeof(*s->slowests);
	pthread_mutex_unlock(&s->lock);
	return n;
}
