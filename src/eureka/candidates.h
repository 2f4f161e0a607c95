/* candidates.h - which registry is asked next.
 *
 * The registries stand in one order: those of the own zone first, and within a zone's group in an order that the seed draws,
 * the same at each renewal of the list. A client stays with the one that answers (the session) until it fails or the
 * session ends, some 20 minutes later, more or less; then it begins again with the first, so that it comes home to its zone and load
 * spreads anew. Who fails is quarantined; once two thirds are, all are free again. A request asks nobody twice.
 *
 * Pure: no I/O, no clock; times are arguments. Belongs to the client's loop. */
#pragma once
#include "base/clock.h"
#include "base/rng.h"
#include "eureka/service_url.h"

#define CANDIDATES_MAX 32
#define CANDIDATE_ZONE_MAX 63
#define CANDIDATE_WHY_MAX 128
#define SESSION_SPAN (1200 * USEC_PER_SEC)

struct candidate {
	struct service_url url;
	char zone[CANDIDATE_ZONE_MAX + 1];
	uint8_t rank;  /* 0: asked before those of 1 */
	void *user;    /* its connection; the owner of the list makes and drops it */
	/* own */
	uint64_t order;
	bool quarantined;
	usec failed_at;               /* the last time; 0: never */
	char why[CANDIDATE_WHY_MAX];  /* of that failure */
	uint64_t answers, failures;
};

struct candidates {
	struct candidate at[CANDIDATES_MAX]; /* in the order in which they are asked */
	unsigned n;
	int now;            /* the session's; -1: none yet */
	usec session_until;
	usec session_span;  /* 0: SESSION_SPAN */
	struct rng rng;
	uint64_t seed;
	uint64_t resets;    /* how often all quarantined ones were set free because too few were left */
};

/* Which of them one request has asked already. */
struct candidates_tried {
	uint32_t mask;
	unsigned n;
};

void candidates_init(struct candidates *c, uint64_t seed);
/* list replaces what is there (n at most CANDIDATES_MAX; url, zone and rank of each are read). One that was there before
 * keeps its user, its quarantine and its counts, and stays the session's; its like twice is taken once.
 * drop(user) comes for those that go. Returns whether anything changed; requests in flight then hold old numbers. */
bool candidates_set(struct candidates *c, const struct candidate *list, unsigned n, void (*drop)(void *user, void *ctx), void *ctx);
/* Whom to ask now; -1: this request has asked all that it may. */
int candidates_pick(struct candidates *c, const struct candidates_tried *t, usec now);
void candidates_tried(struct candidates_tried *t, int which);
void candidates_good(struct candidates *c, int which);
void candidates_bad(struct candidates *c, int which, const char *why, usec now);
unsigned candidates_quarantined(const struct candidates *c);
