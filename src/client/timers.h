/* timers.h - what is to happen at a time though no thread waits for it: the timeout of a run that nobody waits for, a batch
 * that leaves at its tick. Hystrix' timer, but one that never runs code of the user's.
 *
 * One thread, made at the first alarm; a heap of alarms, each embedded in its owner. `ring`, as it was set, runs on that thread, outside the
 * lock, and must not block: all others would be late. It may set the alarm again.
 *
 * Threads  any. */
#pragma once
#include <pthread.h>

#include "base/clock.h"
#include "base/util.h"

struct timers;

struct bell {
	usec at;
	size_t place; /* in the heap, from 1 on; 0: not set. Guarded by the timers' lock, with at and ring */
	void (*ring)(struct bell *b);
};

struct timers *timers_new(void);
void timers_free(struct timers *t); /* no bell is set, none will be; waits for one that rings. NULL is fine */

void timers_set(struct timers *t, struct bell *b, usec at, void (*ring)(struct bell *b)); /* it is not set */
/* true: it was set, and will not ring. false: it has rung, is ringing or about to, or was never set. It may be set again then. */
bool timers_cancel(struct timers *t, struct bell *b);
