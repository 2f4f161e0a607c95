/* limiter.h - a limit of calls under way that finds itself, in place of a fixed number of permits. Off by default.
 *
 * AIMD      one more after each good spell in which the limit was used, a tenth less after a spell with a time-out (or, if
 *           concurrency-limit-latency is set, one that was slower on average).
 * GRADIENT  compares a spell's mean latency with the long-term one: as long as it is within half as much again there is
 *           room to grow by a few, above it the limit falls in proportion, at most by half. Netflix' Gradient2.
 *
 * A spell is at least 10 calls and 100 ms. Only calls that ended with an answer, or ran into the timeout, tell about load;
 * a refused connection is quick and says nothing. Reading the limit is one load. Any thread; a sample that meets another's
 * under way is left out. Time is an argument. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "flow/settings.h"

struct limiter {
	_Atomic uint32_t limit; /* 0: has not begun */
	pthread_mutex_t lock;   /* leaf, only ever tried; guards the rest */
	double estimate;        /* the limit, between whole numbers */
	double long_rtt;        /* us; 0: not known */
	usec spell_began;
	uint32_t n, peak;       /* of this spell: calls, most under way */
	uint64_t sum;           /* their latencies */
	bool has_timeout;
};

void limiter_init(struct limiter *l);
void limiter_fini(struct limiter *l);

static inline uint32_t limiter_begin(const struct cmd_settings *cs)
{
	return MIN(MAX(20u, cs->limit_min), cs->limit_max);
}

static inline uint32_t limiter_limit(const struct limiter *l, const struct cmd_settings *cs)
{
	uint32_t limit = atomic_load_explicit(&l->limit, memory_order_relaxed);

	return limit ? MIN(MAX(limit, cs->limit_min), cs->limit_max) : limiter_begin(cs);
}

/* A call ended after `rtt` while `active` were under way, itself included. */
void limiter_sample(struct limiter *l, const struct cmd_settings *cs, usec rtt, uint32_t active, bool timed_out, usec now);
