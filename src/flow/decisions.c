/* decisions.c - see decisions.h. */
#include "flow/decisions.h"

#include <sched.h>

void decisions_init(struct decisions *d)
{
	memset(d, 0, sizeof(*d));
	atomic_flag_clear(&d->busy);
}

void decisions_note(struct decisions *d, const struct decision *one)
{
	if (atomic_flag_test_and_set_explicit(&d->busy, memory_order_acquire))
		return;
	d->at[d->n++ % DECISIONS_KEPT] = *one;
	atomic_flag_clear_explicit(&d->busy, memory_order_release);
}

unsigned decisions_read(struct decisions *d, struct decision ret[DECISIONS_KEPT])
{
	unsigned n = 0;

	while (atomic_flag_test_and_set_explicit(&d->busy, memory_order_acquire))
		sched_yield();
	for (uint64_t i = d->n; i > 0 && n < DECISIONS_KEPT; i--)
		ret[n++] = d->at[(i - 1) % DECISIONS_KEPT];
	atomic_flag_clear_explicit(&d->busy, memory_order_release);
	return n;
}
