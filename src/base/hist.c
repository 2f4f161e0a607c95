/* hist.c - adding, merging, quantiles. */
#include "base/hist.h"

usec hist_bucket_low(unsigned b)
{
	if (b < 16)
		return b;

	unsigned octave = (b - 16) / HIST_SUB;

	return (usec)(HIST_SUB + (b - 16) % HIST_SUB) << octave;
}

usec hist_bucket_high(unsigned b)
{
	return hist_bucket_low(b) + (b < 16 ? 1 : (usec)1 << (b - 16) / HIST_SUB);
}

void hist_add(struct hist *h, usec v)
{
	v = MIN(MAX(v, (usec)0), (usec)UINT32_MAX);
	h->count[hist_bucket(v)]++;
	h->n++;
	h->sum += (uint64_t)v;
	h->max = MAX(h->max, (uint32_t)v);
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		into->count[i] += from->count[i];
	into->n += from->n;
	into->sum += from->sum;
	into->max = MAX(into->max, from->max);
}

void hist_clear(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void hist_quantiles(const struct hist *h, const double *q, unsigned n, usec *ret)
{
	uint64_t seen = 0;
	unsigned b = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t rank = (uint64_t)(q[i] * (double)h->n);

		if (rank >= h->n) {
			ret[i] = h->max;
			continue;
		}
		while (b < HIST_BUCKETS && seen + h->count[b] <= rank)
			seen += h->count[b++];
		/* Counts that are read while others write may add up to less than n. */
		ret[i] = b < HIST_BUCKETS ? MIN((hist_bucket_low(b) + hist_bucket_high(b)) / 2, (usec)h->max) : h->max;
	}
}

usec hist_quantile(const struct hist *h, double q)
{
	usec v;

	hist_quantiles(h, &q, 1, &v);
	return v;
}

usec hist_mean(const struct hist *h)
{
	return h->n ? (usec)(h->sum / h->n) : 0;
}
