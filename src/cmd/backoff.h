/* backoff.h - the supervisor's judgement, apart from its processes: when to start a child again, and when to give up. */
#pragma once
#include "base/clock.h"
#include "base/rng.h"
#include "base/util.h"

#define UP_START_FAILURES 3           /* in a row, before the first ready line */
#define UP_BACKOFF_MIN (200 * USEC_PER_MSEC)
#define UP_BACKOFF_MAX (30 * USEC_PER_SEC)
#define UP_STEADY (60 * USEC_PER_SEC) /* a child that ran so long starts over with the shortest pause */

struct backoff {
	unsigned failures; /* ends without steady running since */
	unsigned not_ready; /* ends before the ready line, in a row */
};

enum up_verdict { UP_AGAIN, UP_GIVE_UP };

/* The child has ended by itself after `ran`; was_ready: it had come to its ready line. *pause: until it is started again. */
enum up_verdict backoff_ended(struct backoff *b, bool was_ready, usec ran, struct rng *rng, usec *pause);
