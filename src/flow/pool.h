/* pool.h - a pool-shaped bulkhead: so many run at once, so many wait, all others are refused. hystrix.threadpool.<key>.*
 *
 *   pool_enter -> POOL_RUN -> ... the call ... -> pool_leave -> who waited gets the slot
 *              -> POOL_WAIT -> granted by somebody's pool_leave (see there), or pool_withdraw when its time is over
 *              -> POOL_REJECTED
 *
 * The pool has no threads: in the gateway slots are numbers, in libvine client/threads.c puts a thread behind each. Several
 * commands may share one. A waiter is embedded in its owner, who must keep it until it has left or was withdrawn.
 *
 * Sizes  `core` run at once; then up to `queue` wait; when the queue is full and the maximum may differ from the core,
 *        further ones run, up to the maximum, the longest waiting first; then all are refused. In Hystrix the rejection
 *        threshold hid the full queue from the executor, so that a pool with a queue never grew (H#1964).
 * Threads Any; one leaf lock. Waiters are woken by the caller, outside of it. No clock is read. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "flow/keyed.h"
#include "flow/settings.h"
#include "flow/window.h"

enum pool_answer {
	POOL_RUN,
	POOL_WAIT,
	POOL_REJECTED,
};

enum pool_place { POOL_OUT, POOL_QUEUED, POOL_RUNNING };

struct pool_wait {
	struct list link;
	enum pool_place place;   /* guarded by the pool's lock */
	struct pool_wait *next;  /* of those granted at once */
	void (*wake)(struct pool_wait *w); /* it has a slot now; called by whoever freed it, on that thread */
};

struct pool {
	struct keyed id;      /* must be first */
	pthread_mutex_t lock; /* guards all below */
	struct list queue;    /* of struct pool_wait, longest waiting first */
	uint32_t running, queued, largest;
	uint32_t threads;     /* that exist, where there are any; see pool_set_threads */
	bool has_threads;
	uint64_t submitted, completed, rejected, executed;
	struct window events; /* of executed and rejected */
	uint32_t *peaks;      /* running, one a bucket of events */
};

struct pool_snapshot {
	struct str key; /* lives as long as the pool */
	uint32_t active, queued, max_active, pool_size, largest, core, maximum, queue_max;
	uint64_t completed, submitted, rejected;
	uint32_t rolling_executed, rolling_rejected;
};

/* The limits that the settings come to. */
static inline uint32_t pool_core(const struct pool_settings *ps)
{
	return MAX(ps->core_size, 1u);
}

static inline uint32_t pool_maximum(const struct pool_settings *ps)
{
	return ps->diverge ? MAX(ps->maximum_size, pool_core(ps)) : pool_core(ps);
}

static inline uint32_t pool_queue_max(const struct pool_settings *ps)
{
	return ps->max_queue_size <= 0 ? 0 : MIN((uint32_t)ps->max_queue_size, ps->queue_rejection);
}

/* *granted: others that have got a slot meanwhile (the limits may have been raised), for pool_wake_all; NULL: none. */
enum pool_answer pool_enter(struct pool *p, const struct pool_settings *ps, struct pool_wait *w, usec now,
			    struct pool_wait **granted);
/* Gives a slot back. Those that have one now are the caller's to wake, in order along `next`. */
struct pool_wait *pool_leave(struct pool *p, const struct pool_settings *ps, struct pool_wait *w, usec now);
/* Takes a waiter out of the queue; false: it has a slot already (its wake may be still on its way), leave instead. */
bool pool_withdraw(struct pool *p, struct pool_wait *w);
void pool_wake_all(struct pool_wait *granted); /* NULL is fine */

/* A command of this pool ended with a result, of whatever kind: Hystrix' EXECUTED. A rejection is counted by pool_enter. */
void pool_note_executed(struct pool *p, const struct pool_settings *ps, usec now);
void pool_set_threads(struct pool *p, uint32_t threads);

void pool_snapshot(struct pool *p, const struct pool_settings *ps, usec now, struct pool_snapshot *ret);

/* --- one pool a key and process: a table of keyed objects --- */

struct keyed_table *pool_table_new(size_t max, uint64_t seed);

static inline struct pool *pool_of(struct keyed *k)
{
	return container_of(k, struct pool, id);
}

static inline struct pool *pool_table_take(struct keyed_table *t, struct str key, usec now) /* unref it; NULL: full */
{
	struct keyed *k = keyed_table_take(t, key, now);

	return k ? pool_of(k) : NULL;
}

static inline struct pool *pool_ref(struct pool *p)
{
	return pool_of(keyed_ref(&p->id));
}

static inline void pool_unref(struct pool *p) /* NULL is fine */
{
	if (p)
		keyed_unref(&p->id);
}
