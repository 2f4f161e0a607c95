/* bulkhead.h - how many at once: a semaphore without a queue.
 *
 * The limit comes with each call, so it may change while permits are out: nobody is thrown out, and none gets in until the
 * count is below the new limit. Any thread. */
#pragma once
#include <stdatomic.h>

#include "base/util.h"

struct semaphore {
	_Atomic uint32_t used;
};

/* 0: refused; else how many hold a permit now. As Hystrix's: adds, compares, takes back, so that of several callers at
 * the limit at the same instant all may be refused. */
static inline uint32_t semaphore_acquire(struct semaphore *s, uint32_t limit)
{
	uint32_t used = atomic_fetch_add(&s->used, 1);

	if (likely(used < limit))
		return used + 1;
	atomic_fetch_sub(&s->used, 1);
	return 0;
}

static inline void semaphore_release(struct semaphore *s)
{
	atomic_fetch_sub(&s->used, 1);
}

static inline uint32_t semaphore_used(const struct semaphore *s)
{
	return atomic_load_explicit(&s->used, memory_order_relaxed);
}
