/* hist.h - a log-linear histogram of spans of time: 16 buckets an octave, 1 us to 60 s, 32-bit counts.
 *
 * A value's bucket is found by its leading bit and the four bits after it, so the error is under 1/16 of the value.
 * Values below 16 us have a bucket each; values above 60 s count in the last one. Not thread-safe: one a thread, merged
 * by the reader, or guarded by the owner. */
#pragma once
#include "base/clock.h"
#include "base/util.h"

#define HIST_SUB 16
#define HIST_BUCKETS (16 + 22 * HIST_SUB) /* 16 us .. 2^26 us = 67 s */

struct hist {
	uint64_t sum; /* of the exact values, us */
	uint32_t n;
	uint32_t max; /* exact, us */
	uint32_t count[HIST_BUCKETS];
};

static inline unsigned hist_bucket(usec v)
{
	if (v < 16)
		return v < 0 ? 0 : (unsigned)v;

	unsigned octave = 63u - (unsigned)__builtin_clzll((uint64_t)v); /* >= 4 */
	unsigned b = 16 + (octave - 4) * HIST_SUB + (unsigned)(v >> (octave - 4) & 15);

	return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

usec hist_bucket_low(unsigned bucket);  /* smallest value that counts there */
usec hist_bucket_high(unsigned bucket); /* first value that no longer does */

void hist_add(struct hist *h, usec v);
void hist_merge(struct hist *into, const struct hist *from);
void hist_clear(struct hist *h);
usec hist_quantile(const struct hist *h, double q); /* q in [0,1]; the bucket's middle, at most max; 1 is max; 0 if empty */
/* Several in one pass: q ascending. */
void hist_quantiles(const struct hist *h, const double *q, unsigned n, usec *ret);
usec hist_mean(const struct hist *h);               /* 0 if empty */
