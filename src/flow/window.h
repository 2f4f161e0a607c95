/* window.h - sums over the last N buckets of time, made from totals that only grow.
 *
 * The counts themselves live elsewhere and are never reset (striped atomics). A window keeps what the totals were at the
 * start of each of its buckets; the sum over the window is the totals now minus the totals then. So rotating can lose no
 * count, needs nothing from the writers, and counts may be 32 bits wide and wrap: only differences are read.
 *
 * The bucket that is being filled is part of the window, so it covers between N-1 and N bucket lengths.
 * Not thread-safe: the owner guards it. */
#pragma once
#include "base/clock.h"
#include "base/util.h"

#define WINDOW_BUCKETS_MAX 600

struct window {
	usec bucket;      /* length of one */
	unsigned n, width;
	int64_t slot;     /* now / bucket, of the bucket being filled */
	uint32_t *starts; /* n rows of width: the totals when that bucket began; NULL: not built */
};

void window_init(struct window *w, usec length, unsigned buckets, unsigned width, usec now, const uint32_t *totals);
void window_fini(struct window *w); /* fine with a zeroed one */
size_t window_bytes(const struct window *w);

static inline bool window_is_shaped(const struct window *w, usec length, unsigned buckets)
{
	return w->starts && w->n == buckets && w->bucket == length / (usec)buckets;
}

static inline usec window_next(const struct window *w) /* when the next bucket begins */
{
	return (w->slot + 1) * w->bucket;
}

void window_roll(struct window *w, usec now, const uint32_t *totals); /* opens the buckets up to now's */
void window_reset(struct window *w, const uint32_t *totals);          /* forgets what came before */

/* The row to take off the totals: what they were when the window began. Until the next roll. */
static inline const uint32_t *window_base(const struct window *w)
{
	return w->starts + (size_t)((w->slot + 1) % (int64_t)w->n) * w->width;
}
