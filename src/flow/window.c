/* window.c - remembering what totals were; see window.h. */
#include "flow/window.h"

static uint32_t *row(const struct window *w, int64_t slot)
{
	return w->starts + (size_t)(slot % (int64_t)w->n) * w->width;
}

void window_init(struct window *w, usec length, unsigned buckets, unsigned width, usec now, const uint32_t *totals)
{
	buckets = MIN(MAX(buckets, 1u), (unsigned)WINDOW_BUCKETS_MAX);
	w->bucket = MAX(length / (usec)buckets, (usec)1);
	w->n = buckets;
	w->width = width;
	w->slot = MAX(now, (usec)0) / w->bucket;
	w->starts = xmalloc((size_t)buckets * width * sizeof(*w->starts));
	window_reset(w, totals);
}

void window_fini(struct window *w)
{
	free(w->starts);
	*w = (struct window){ 0 };
}

size_t window_bytes(const struct window *w)
{
	return w->starts ? (size_t)w->n * w->width * sizeof(*w->starts) : 0;
}

void window_roll(struct window *w, usec now, const uint32_t *totals)
{
	int64_t slot = now / w->bucket;

	if (slot <= w->slot)
		return;

	int64_t first = MAX(w->slot + 1, slot - (int64_t)w->n + 1);

	/* Whatever was counted since the last roll belongs to the bucket that was open then: the first count after its
	 * end came here first. */
	for (int64_t i = first; i <= slot; i++)
		memcpy(row(w, i), totals, w->width * sizeof(*totals));
	w->slot = slot;
}

void window_reset(struct window *w, const uint32_t *totals)
{
	for (unsigned i = 0; i < w->n; i++)
		memcpy(w->starts + (size_t)i * w->width, totals, w->width * sizeof(*totals));
}
