/* shared.h - a counted value that several owners see, such as a result that more than one caller waits for. Immutable while
 * it is shared; embedded at the user's own struct, which its `free` releases. */
#pragma once
#include <stdatomic.h>

#include "base/util.h"

struct shared {
	_Atomic uint32_t refs;
	void (*free)(struct shared *s); /* by whoever lets go last, on any thread */
};

static inline void shared_init(struct shared *s, void (*fn)(struct shared *s))
{
	atomic_init(&s->refs, 1);
	s->free = fn;
}

static inline struct shared *shared_ref(struct shared *s) /* NULL is fine */
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static inline void shared_unref(struct shared *s) /* NULL is fine */
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		s->free(s);
}
