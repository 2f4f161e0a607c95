/* filter.h - which of a service's servers this process uses at all: Ribbon's ServerListFilter.
 *
 * A filter works on a list that is about to become a picture, in place, and keeps its order. It never leaves nobody of some.
 *
 * Threads   A state belongs to whoever makes the pictures of its service; the servers' numbers are read as they are. */
#pragma once
#include "base/rng.h"
#include "flow/server.h"

enum filter_kind {
	FILTER_NONE,
	FILTER_ZONE_AFFINITY,   /* the own zone's servers, if affinity or exclusive says so and they are well */
	FILTER_ZONE_PREFERENCE, /* the same, then the own zone's if there are any */
	FILTER_SUBSET,          /* zone affinity, then some of them, of which the worst are replaced at each refresh */
	FILTER_STABLE_SUBSET,   /* zone affinity, then the same few for this process (rendezvous hashing) */
};

struct filter_settings {
	enum filter_kind kind;
	struct str zone;          /* the own one; empty: unknown, then zones do not count */
	bool affinity, exclusive; /* EnableZoneAffinity, EnableZoneExclusivity */
	float max_load;     /* zoneAffinity.maxLoadPerServer: affinity ends at so many requests under way per server */
	float max_blackout; /* zoneAffinity.maxBlackOutServesrPercentage: or at such a share that is out */
	uint32_t min_available;   /* zoneAffinity.minAvailableServers: or below so many that are in */
	uint32_t size;            /* of a subset */
	float eliminate;          /* ServerListSubsetFilter.forceEliminatePercent */
	uint32_t max_failures;    /* ...eliminationFailureThresold */
	uint32_t max_connections; /* ...eliminationConnectionThresold */
	uint64_t seed;            /* of this process, for the stable subset */
};

#define FILTER_SETTINGS_DEFAULT                                                                                        \
	{                                                                                                              \
		.kind = FILTER_ZONE_AFFINITY, .max_load = 0.6f, .max_blackout = 0.8f, .min_available = 2, .size = 20,  \
		.eliminate = 0.1f                                                                                      \
	}

struct filter_state {            /* zeroed at first */
	struct fserver **member; /* of the subset; referenced */
	uint32_t n;
	const char *note; /* what the filter did at last, for people; static */
};

void filter_state_fini(struct filter_state *st);

/* Returns how many are left of at[0 .. n). refresh: the subset's forced changes are due; else only those that left are
 * replaced. Takes and gives no references for at. */
uint32_t filter_apply(const struct filter_settings *fs, struct filter_state *st, struct fserver **at, uint32_t n,
		      bool refresh, struct rng *rng, usec now);
const char *filter_kind_name(enum filter_kind k);
