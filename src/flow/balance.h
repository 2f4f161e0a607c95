/* balance.h - which server gets the next try.
 *
 * A choice is made from an immutable list (a picture's) without the servers that this request has tried already; never a
 * tried one while others are left, and "none left" is an answer. A balancer holds what a rule must remember between
 * choices (cursor, weights, panic); one a service and process, any thread, no locks. Rules are const tables of functions.
 *
 * Servers that are in come first; then, when too few are, the softly ejected (panic); a server whose ejection is over gets
 * one probing request. Where nobody is in, the softly ejected come before those that refuse connections: trying
 * is better than failing without a try. */
#pragma once
#include "base/rng.h"
#include "flow/server.h"

#define TRIED_MAX 16 /* tries of one request that are remembered */

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
};

enum pick_why {
	PICK_IN,      /* usable, by the rule */
	PICK_PROBE,   /* was ejected, is tried again by this one request */
	PICK_PANIC,   /* too many are out: softly ejected, taken all the same */
	PICK_LAST,    /* nobody else left to try: ejected, taken all the same */
	PICK_EMPTY,   /* no server: the list is empty */
	PICK_ALL_TRIED, /* no server: each one was tried already */
};

struct pick {
	struct fserver *server; /* borrowed from the list; NULL: none */
	enum pick_why why;
};

struct choice { /* what a rule gets to see */
	struct server_list list;
	const struct tried *tried; /* may be NULL */
	const struct outlier_settings *settings;
	struct str zone;           /* of the chooser; empty: unknown */
	uint32_t active_limit;     /* <client>.ribbon.ActiveConnectionsLimit; 0: none */
	usec weights_every;        /* ServerWeightTaskTimerInterval; 0: its default, 30 s */
	struct rng *rng;
	usec now;
};

struct balancer;

struct balance_ops {
	struct str name, java; /* "round-robin", "com.netflix.loadbalancer.RoundRobinRule" */
	/* An index into the list of a server that balancer_may_use allows, or -1 where the rule finds none: then the caller
	 * looks further. An index outside the list is an error of the rule and treated as -1. */
	int64_t (*choose)(struct balancer *b, const struct choice *c);
};

struct balancer {
	const struct balance_ops *ops;
	_Atomic uint64_t cursor;
	_Atomic usec surveyed_at;    /* when shares and panic were last worked out */
	_Atomic bool panic;
	_Atomic uint64_t rule_errors; /* indices outside the list */
	_Atomic usec summed_at;       /* of the weighted rule */
	_Atomic uint32_t latency_sum; /* a float's bits */
};

void balancer_init(struct balancer *b, const struct balance_ops *ops); /* nothing to free */
struct pick balancer_choose(struct balancer *b, const struct choice *c);

/* For rules: neither tried nor out (soft ejections count as in while panic lasts). */
bool balancer_may_use(const struct balancer *b, const struct choice *c, const struct fserver *s);

/* By Vine's name ("p2c"), Java's full class name or its last part; NULL: unknown. */
const struct balance_ops *balance_by_name(struct str name);
const struct balance_ops *balance_at(size_t i); /* all of them; NULL at the end. The first is the default, p2c */
const char *pick_why_name(enum pick_why why);

extern const struct balance_ops balance_p2c, balance_round_robin, balance_random, balance_least_requests,
	balance_best_available, balance_availability, balance_weighted_response, balance_zone_avoidance, balance_retry;
