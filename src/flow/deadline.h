/* deadline.h - one point in time by which the whole of a request must have its answer, tries and waits included. */
#pragma once
#include "base/clock.h"
#include "base/util.h"

#define DEADLINE_HEADER "X-Vine-Timeout-Ms" /* what is left, for the next server; whole milliseconds, at least 1 */

struct deadline {
	usec at; /* USEC_NEVER: none */
};

#define DEADLINE_NONE ((struct deadline){ USEC_NEVER })

static inline struct deadline deadline_in(usec now, usec span) /* span <= 0: already over */
{
	return (struct deadline){ span >= USEC_NEVER - now ? USEC_NEVER : now + span };
}

static inline struct deadline deadline_min(struct deadline a, struct deadline b)
{
	return a.at < b.at ? a : b;
}

static inline bool deadline_is_over(struct deadline d, usec now)
{
	return now >= d.at;
}

static inline usec deadline_left(struct deadline d, usec now) /* never below 0; USEC_NEVER: no end */
{
	return d.at == USEC_NEVER ? USEC_NEVER : MAX(d.at - now, (usec)0);
}

/* When a step of at most `span` must end: its own end or the deadline, whichever is first. */
static inline usec deadline_step(struct deadline d, usec now, usec span)
{
	return deadline_min(d, deadline_in(now, span)).at;
}

static inline msec deadline_left_ms(struct deadline d, usec now) /* for the header: rounded up, 0 only when over */
{
	usec left = deadline_left(d, now);

	return left == USEC_NEVER ? INT64_MAX : (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
}
