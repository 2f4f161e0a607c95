/* pace.h - how fast a client may go: pauses after failures, and how often a change of status is told. Pure; times and
 * random numbers are arguments. */
#pragma once
#include <stdbool.h>

#include "base/clock.h"

/* Pauses of one chain of requests.
 *
 * A failure that came quickly (refused, reset, a bad status) is tried again soon: half a second, doubled up to the interval (at
 * least 2 s), less a random part of up to half. A time-out says that somebody is overloaded: the interval is doubled at
 * each, up to `bound` intervals, as Netflix's client does, less up to a tenth. A success ends both. */
struct pace {
	unsigned quick, slow; /* failures in a row of each kind */
};

/* most: never longer than that (0: no matter); r: random, [0, 1). */
usec pace_failed(struct pace *p, bool timed_out, usec interval, unsigned bound, usec most, double r);
void pace_good(struct pace *p);

/* Changes told on demand: `burst` at once, then a steady rate; a change that must wait is told when the next one may be. */
struct change_limit {
	double tokens;
	usec at;
	bool begun;
};

#define CHANGE_BURST 2
#define CHANGE_EVERY (15 * USEC_PER_SEC) /* 4 a minute */

/* 0: now (and it is counted). Else how long to wait; ask again then. */
usec change_wait(struct change_limit *l, usec now);
