/* backoff.c - see backoff.h. Pauses double from 200 ms to 30 s, each spread by a quarter either way, so that children that fell
 * together do not rise together. */
#include "cmd/backoff.h"


enum up_verdict backoff_ended(struct backoff *b, bool was_ready, usec ran, struct rng *rng, usec *pause)
{
	usec p = UP_BACKOFF_MIN;

	b->not_ready = was_ready ? 0 : b->not_ready + 1;
	if (b->not_ready >= UP_START_FAILURES)
		return UP_GIVE_UP;
	if (was_ready && ran >= UP_STEADY)
		b->failures = 0;
	for (unsigned i = 0; i < b->failures && p < UP_BACKOFF_MAX; i++)
		p *= 2;
	b->failures++;
	p = MIN(p, UP_BACKOFF_MAX);
	*pause = (usec)((double)p * (0.75 + 0.5 * rng_unit(rng)));
	return UP_AGAIN;
}
