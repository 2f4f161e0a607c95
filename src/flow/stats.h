/* stats.h - the rolling statistics of one command key: events, health, latencies.
 *
 * Writers add to the counters of their stripe with relaxed atomics and never wait. A stripe's block (1.7 KiB) is made when
 * the stripe is first used; totals only grow, and windows (see window.h) remember what they were. Whoever first notices
 * that a bucket has ended opens the next one under a leaf mutex that is only ever tried on the hot path.
 *
 * Two latencies: `execute` is the run itself, `total` what the caller waited for, fallback included. They differ only where
 * a fallback ran, so total is kept as a correction to execute: one histogram more, made when it is first needed.
 *
 * A recorder must hold a pin while it records (stats_pin, or any count that the owner shows to stats_trim): an idle key
 * gives its blocks back, and pins tell when nobody can still be writing to them. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/hist.h"
#include "flow/events.h"
#include "flow/settings.h"
#include "flow/window.h"

#define STATS_STRIPES_MAX 64

enum {
	STAT_STALE = EVENT_COUNT,  /* results of a generation that has gone: not in the health of this one */
	STAT_STALE_ERRORS,
	STAT_SLOW,
	STAT_COUNT,
};

struct stats_hist {
	_Atomic uint64_t sum;
	_Atomic uint32_t bucket[HIST_BUCKETS];
};

struct stats_stripe {
	_Alignas(64) _Atomic uint64_t count[STAT_COUNT];
	struct stats_hist execute;
	struct stats_hist *_Atomic correction; /* total minus execute */
	struct stats_stripe *limbo_next;
};

/* The last so many calls, for health that counts calls in place of time. */
struct stats_ring {
	uint32_t size, at, n;
	uint32_t errors, slow;
	uint8_t what[]; /* RING_ERROR | RING_SLOW */
};

struct stats {
	_Atomic usec roll_at;       /* a bucket ends then */
	_Atomic uint32_t pins;
	_Atomic uint32_t peak;      /* concurrency, of the bucket being filled */
	_Atomic uint32_t slowest;   /* us, likewise */
	unsigned stripes;           /* a power of two */
	pthread_mutex_t lock;       /* guards all below */
	struct window events, health, latency, correction;
	uint32_t *peaks, *slowests; /* one a bucket of events, of latency */
	struct stats_ring *ring;    /* NULL: no count-window */
	uint64_t health_generation;
	usec used_at;               /* when a count was last seen to have changed */
	uint64_t seen;              /* sum of all counts then */
	uint64_t retired[STAT_COUNT];
	struct stats_stripe *limbo; /* detached, perhaps still written to */
	struct stats_stripe *_Atomic stripe[];
};

struct stats_health {
	uint32_t total, errors, slow;
	uint32_t error_pct; /* truncated, 0 if total is 0 */
};

struct stats_reading {
	struct stats_health health;
	uint32_t rolling[EVENT_COUNT]; /* over the window */
	uint64_t lifetime[EVENT_COUNT];
	uint32_t max_active;
	struct hist execute, total;
};

size_t stats_size(unsigned stripes); /* bytes that the object needs; stripes is rounded up to a power of two */
void stats_init(struct stats *s, unsigned stripes, usec now);
void stats_fini(struct stats *s);
size_t stats_bytes(struct stats *s);  /* all memory it holds now */
usec stats_used_at(struct stats *s);  /* when something was last counted, to the bucket */

struct stats_stripe *stats_stripe_new(struct stats *s, unsigned i);
struct stats_hist *stats_correction_new(struct stats_stripe *st);
void stats_roll(struct stats *s, const struct cmd_settings *cs, usec now);

static inline void stats_pin(struct stats *s)
{
	atomic_fetch_add(&s->pins, 1);
}

static inline void stats_unpin(struct stats *s)
{
	atomic_fetch_sub(&s->pins, 1);
}

static inline struct stats_stripe *stats_at(struct stats *s, unsigned stripe)
{
	struct stats_stripe *st = atomic_load(&s->stripe[stripe & (s->stripes - 1)]);

	return likely(st != NULL) ? st : stats_stripe_new(s, stripe & (s->stripes - 1));
}

static inline void stats_count(struct stats_stripe *st, unsigned what)
{
	atomic_fetch_add_explicit(&st->count[what], 1, memory_order_relaxed);
}

/* Before counting: opens a new bucket if one has ended. */
static inline void stats_tick(struct stats *s, const struct cmd_settings *cs, usec now)
{
	if (unlikely(now >= atomic_load_explicit(&s->roll_at, memory_order_relaxed)))
		stats_roll(s, cs, now);
}

static inline void stats_note_active(struct stats *s, uint32_t active)
{
	if (active > atomic_load_explicit(&s->peak, memory_order_relaxed))
		atomic_store_explicit(&s->peak, active, memory_order_relaxed);
}

static inline void stats_latency(struct stats *s, struct stats_stripe *st, usec v)
{
	v = MIN(MAX(v, (usec)0), (usec)UINT32_MAX);
	atomic_fetch_add_explicit(&st->execute.bucket[hist_bucket(v)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&st->execute.sum, (uint64_t)v, memory_order_relaxed);
	if ((uint32_t)v > atomic_load_explicit(&s->slowest, memory_order_relaxed))
		atomic_store_explicit(&s->slowest, (uint32_t)v, memory_order_relaxed);
}

/* The caller of a call that ran for `execute` got its answer only after `total`. */
void stats_latency_total(struct stats *s, struct stats_stripe *st, usec execute, usec total);

/* One call more for the count-window. Takes the lock: only where one is configured. */
void stats_ring_add(struct stats *s, const struct cmd_settings *cs, bool is_error, bool is_slow);

/* Health of the closed state's generation; sums of an older one are forgotten. generation 0: as it is. */
void stats_health(struct stats *s, const struct cmd_settings *cs, uint64_t generation, usec now,
		  struct stats_health *ret);
bool stats_try_health(struct stats *s, const struct cmd_settings *cs, uint64_t generation, usec now,
		      struct stats_health *ret); /* false: somebody else has the lock */

void stats_read(struct stats *s, const struct cmd_settings *cs, uint64_t generation, uint32_t active, usec now,
		struct stats_reading *ret);

/* Gives memory back if nothing was counted for the longest window. `holds` are counts of pins that the owner keeps. */
void stats_trim(struct stats *s, const struct cmd_settings *cs, usec now, _Atomic uint32_t *const *holds, unsigned n);
