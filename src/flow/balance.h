/* balance.h - which server gets the next try.
 *
 * A choice is made from an immutable list (a picture's) without the servers that this request has tried already; never a
 * tried one while others are left, and "none left" is an answer. A balancer holds what a rule must remember between
 * choices (cursor, weights, panic); one a service and process, any thread, no locks. Rules are const tables of functions.
 *
 * Servers that are in come first; then, when too few are, the softly ejected (panic); a server whose ejection is over gets
 * one probing request. Where nobody is in, the softly ejected come before those that refuse connections: trying
 * is better than failing without a try.
 *
 * A balancer may stand above another, as Ribbon's ILoadBalancer stands above its IRule: then the upper one's ops choose with
 * the help of the inner one's. A user's own rule or balancer (BALANCE_USER) is taken at its word: no server, or one that is
 * not in the list, is that request's error. */
#pragma once
#include <stdatomic.h>

#include "base/rng.h"
#include "flow/decisions.h"
#include "flow/outlier.h"
#include "flow/server.h"

#define TRIED_MAX 16 /* tries of one request that are remembered */

struct hash_ring;

struct tried {
	unsigned n;
	const struct fserver *at[TRIED_MAX];
};

static inline bool tried_has(const struct tried *t, const struct fserver *s)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i] == s)
			return true;
	return false;
}

static inline void tried_add(struct tried *t, const struct fserver *s) /* beyond TRIED_MAX the oldest is forgotten */
{
	if (tried_has(t, s))
		return;
	if (t->n == TRIED_MAX)
		memmove(t->at, t->at + 1, sizeof(t->at[0]) * --t->n);
	t->at[t->n++] = s;
}

struct server_list {
	struct fserver *const *at;
	uint32_t n;
	uint32_t max_weight;          /* of the heaviest; 0: all weigh the same */
	const struct hash_ring *ring; /* for the hashing rules; NULL: they draw by chance */
	const void *set;              /* whatever the list's maker wants a user's rule to find again */
};

enum pick_why {
	PICK_IN,           /* usable, by the rule */
	PICK_PROBE,        /* was ejected, is tried again by this one request */
	PICK_PANIC,        /* too many are out: softly ejected, taken all the same */
	PICK_LAST,         /* nobody else left to try: ejected, taken all the same */
	PICK_EMPTY,        /* no server: the list is empty */
	PICK_ALL_TRIED,    /* no server: each one was tried already */
	PICK_RULE_NONE,    /* no server: the user's rule named none */
	PICK_RULE_OUTSIDE, /* no server: the user's rule named one that is not in the list */
	PICK_RULE_FAILED,  /* no server: the user's rule could not be started on this worker */
};

struct pick {
	struct fserver *server; /* borrowed from the list; NULL: none */
	enum pick_why why;
};

/* What the rules can be told. One a service and picture. */
struct rule_settings {
	uint32_t active_limit;   /* ActiveConnectionsLimit; 0: none */
	bool ignore_tripped;     /* filterCircuitTripped false: availability filtering takes the ejected too */
	usec weights_every;      /* ServerWeightTaskTimerInterval */
	uint32_t choices;        /* least requests: how many are drawn */
	uint32_t hash_bound_pct; /* hashing: none gets more than this share of the mean load; 0: no bound */
	bool zones_off;          /* zoneAvoidanceRule.enabled false */
	float zone_trigger;      /* triggeringLoadPerServerThreshold */
	float zone_blackout;     /* avoidZoneWithBlackoutPercetage */
};

#define RULE_SETTINGS_DEFAULT                                                                                          \
	{                                                                                                              \
		.weights_every = 30 * USEC_PER_SEC, .choices = 2, .zone_trigger = 0.2f, .zone_blackout = 0.99999f      \
	}

struct choice { /* what a rule gets to see */
	struct server_list list;
	const struct tried *tried; /* may be NULL */
	const struct outlier_settings *settings;
	const struct rule_settings *rule; /* NULL: the defaults */
	struct rng *rng;
	usec now;
	uint64_t hash; /* of the key that sticks; has_hash false: this request has none */
	bool has_hash;
	unsigned worker; /* who chooses: a user's rule has an init per worker */
};

struct balancer;

enum balance_flags {
	BALANCE_USER = 1u << 0,         /* a user's: taken at its word */
	BALANCE_HASHES = 1u << 1,       /* wants list.ring */
	BALANCE_MAGLEV = 1u << 2,       /* ... of this kind */
	BALANCE_LOOKS_AT_ALL = 1u << 3, /* each choice looks at every server, as its meaning is */
};

#define RULE_FAILED INT64_C(-2) /* of a user's rule: see PICK_RULE_FAILED */

struct balance_ops {
	struct str name; /* "round-robin" */
	/* An index into the list of a server that balancer_may_use allows, or -1 where the rule finds none: then the caller
	 * looks further. An index outside the list is an error of the rule and treated as -1. */
	int64_t (*choose)(struct balancer *b, const struct choice *c);
	unsigned flags;
};

struct balancer {
	const struct balance_ops *ops;
	struct balancer *inner;      /* of one that stands above a rule; NULL: this is the rule */
	struct outlier_watch *watch; /* the uppermost one's */
	struct str name;             /* for errors and explanations; the ops', or the user's */
	void *user;                  /* of a user's rule: its state */
	_Atomic uint64_t cursor;
	_Atomic uint64_t rule_errors; /* indices outside the list, and none */
	_Atomic usec summed_at;       /* of the weighted rule */
	_Atomic uint32_t latency_sum; /* a float's bits */
	struct outlier_watch own_watch;
	struct decisions *decisions; /* NULL: none are kept */
};

void balancer_init(struct balancer *b, const struct balance_ops *ops); /* nothing to free */
void balancer_put_above(struct balancer *upper, struct balancer *rule);
struct pick balancer_choose(struct balancer *b, const struct choice *c);

/* For rules: neither tried nor out (soft ejections count as in while panic lasts). */
bool balancer_may_use(const struct balancer *b, const struct choice *c, const struct fserver *s);

const struct balance_ops *balance_by_name(struct str name); /* Vine's, any case; NULL: unknown */
const struct balance_ops *balance_at(size_t i); /* all rules; NULL at the end. The first is the default, p2c */
const char *pick_why_name(enum pick_why why);

extern const struct balance_ops balance_p2c, balance_round_robin, balance_random, balance_least_requests,
	balance_best_available, balance_availability, balance_weighted_response, balance_zone_avoidance, balance_retry,
	balance_ring_hash, balance_maglev;

/* Above a rule: of several zones those that are out, and one of the worst if it is loaded, are left out; then a zone is
 * drawn by its number of servers, and the rule chooses within it. Zones have a cursor each, as Ribbon's copies of the rule. */
extern const struct balance_ops balance_zone_aware;
#define ZONES_MAX 32
struct zone_aware {
	struct balancer b;
	struct balancer rule;
	struct balancer zone[ZONES_MAX];
};
void zone_aware_init(struct zone_aware *z, const struct balance_ops *rule);
