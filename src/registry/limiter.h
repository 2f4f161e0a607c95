/* limiter.h - how often lists may be fetched: Eureka's rate limiter, off unless eureka.server.rate-limiter-enabled.
 *
 * Two buckets of tokens for the whole process: every fetch of a list takes from the first, one of everything from the second
 * as well. Clients that name themselves as one of the privileged pass free, as do Netflix's own clients and servers unless
 * throttle_standard.
 *
 * Threads   Any; a leaf mutex, taken only while it is enabled. */
#pragma once
#include "base/clock.h"
#include "base/str.h"

#define LIMITER_NAMES_MAX 32

struct limiter;

struct limiter_config {
	bool enabled, throttle_standard;
	uint32_t burst, fetch_rate, full_rate; /* a second */
	struct str privileged[LIMITER_NAMES_MAX]; /* copied */
	size_t n_privileged;
};

struct limiter *limiter_new(void); /* not enabled */
void limiter_free(struct limiter *l);
void limiter_configure(struct limiter *l, const struct limiter_config *cfg);
/* identity: DiscoveryIdentity-Name, or empty. full: everything is wanted. */
bool limiter_allows(struct limiter *l, struct str identity, bool full, usec now);
uint64_t limiter_refused(const struct limiter *l);
