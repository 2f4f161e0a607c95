/* pace.c - see pace.h. */
#include "eureka/pace.h"

#include "base/util.h"

#define FIRST (USEC_PER_SEC / 2)

usec pace_failed(struct pace *p, bool timed_out, usec interval, unsigned bound, usec most, double r)
{
	usec span;

	interval = MAX(interval, (usec)1);
	if (timed_out) {
		p->slow++;
		span = interval * (usec)MIN(1u << MIN(p->slow, 16u), MAX(bound, 1u));
		span -= (usec)(r * (double)span / 10);
	} else {
		span = MIN(MIN(FIRST, interval) << MIN(p->quick, 16u), MAX(interval, 2 * USEC_PER_SEC));
		span -= (usec)(r * (double)span / 2);
		p->quick++;
	}
	return most > 0 ? MIN(span, most) : span;
}

void pace_good(struct pace *p)
{
	*p = (struct pace){ 0 };
}

usec change_wait(struct change_limit *l, usec now)
{
	if (!l->begun)
		*l = (struct change_limit){ CHANGE_BURST, now, true };
	l->tokens = MIN(l->tokens + (double)(now - l->at) / CHANGE_EVERY, (double)CHANGE_BURST);
	l->at = now;
	if (l->tokens < 1)
		return (usec)((1 - l->tokens) * CHANGE_EVERY) + 1;
	l->tokens -= 1;
	return 0;
}
