/* decisions.h - the last choices of a balancer, for whoever asks why a server got a request.
 *
 * A small ring; one ordinary choice in 256 is kept, and each that was not ordinary (probe, panic, last resort, none).
 *
 * Threads   Any. A writer that finds the ring busy drops its note; a reader waits for the writer's few instructions. */
#pragma once
#include <stdatomic.h>

#include "base/clock.h"
#include "base/str.h"

#define DECISIONS_KEPT 16
#define DECISION_NAME_MAX 80

struct decision {
	usec at;
	char server[DECISION_NAME_MAX]; /* empty: none */
	const char *why;                /* static */
	uint32_t servers, tried;        /* how many there were, how many had been tried */
	float cost;                     /* p2c's, at that moment */
	uint32_t active;
};

struct decisions {
	atomic_flag busy;
	uint64_t n; /* ever noted */
	struct decision at[DECISIONS_KEPT];
};

void decisions_init(struct decisions *d);
void decisions_note(struct decisions *d, const struct decision *one);
/* The last ones, newest first; returns how many. */
unsigned decisions_read(struct decisions *d, struct decision ret[DECISIONS_KEPT]);
