/* flow_group.h - what tests of choosing share: some servers, what is known of them, and a balancer over them. */
#pragma once
#include <math.h>
#include <stdio.h>

#include "flow/balance.h"
#include "flow/hash_ring.h"
#include "test.h"

#define START (INT64_C(5000) * USEC_PER_SEC)
#define SEC USEC_PER_SEC
#define MS USEC_PER_MSEC
#define N_MAX 1000

struct group {
	struct fserver *at[N_MAX];
	struct outlier_settings os;
	struct rule_settings rule;
	struct balancer b;
	struct hash_ring *ring;
	struct tried tried;
	struct rng rng;
	uint32_t n;
	usec now;
};

static inline struct fserver *make_server(uint32_t i, const char *zone)
{
	char id[32];
	int len = snprintf(id, sizeof(id), "10.0.%u.%u:80", i / 250, i % 250);

	return server_new(str_of(id, (size_t)len), str_from(zone), 100, START);
}

static inline void group_init(struct group *g, const struct balance_ops *ops, uint32_t n)
{
	memset(g, 0, sizeof(*g));
	g->os = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	g->rule = (struct rule_settings)RULE_SETTINGS_DEFAULT;
	g->n = n;
	g->now = START;
	rng_seed(&g->rng, 7);
	balancer_init(&g->b, ops);
	for (uint32_t i = 0; i < n; i++)
		g->at[i] = make_server(i, i % 2 ? "b" : "a");
}

static inline void group_fini(struct group *g)
{
	for (uint32_t i = 0; i < g->n; i++)
		server_unref(g->at[i]);
	hash_ring_unref(g->ring);
}

static inline void make_ring(struct group *g, bool maglev)
{
	const struct hash_ring_settings s = { .maglev = maglev, .size = maglev ? MAGLEV_SIZE : HASH_RING_SIZE };

	hash_ring_unref(g->ring);
	g->ring = hash_ring_new(g->at, g->n, &s);
}

static inline struct choice choice_of(struct group *g)
{
	struct choice c = { .list = { .at = g->at, .n = g->n, .ring = g->ring },
			    .tried = &g->tried,
			    .settings = &g->os,
			    .rule = &g->rule,
			    .rng = &g->rng,
			    .now = g->now };

	for (uint32_t i = 0; i < g->n; i++)
		c.list.max_weight = MAX(c.list.max_weight, g->at[i]->weight);
	return c;
}

static inline struct pick choose(struct group *g)
{
	struct choice c = choice_of(g);

	return balancer_choose(&g->b, &c);
}

static inline struct pick choose_key(struct group *g, uint64_t key)
{
	struct choice c = choice_of(g);
	char text[24];

	c.has_hash = true;
	c.hash =
		hash_ring_key(str_of(text, (size_t)snprintf(text, sizeof(text), "user-%llu", (unsigned long long)key)));
	return balancer_choose(&g->b, &c);
}

static inline unsigned index_of(const struct group *g, const struct fserver *s)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (g->at[i] == s)
			return i;
	fail_msg("a server that is not in the list");
	return 0;
}

static inline void outcome(struct fserver *s, const struct group *g, enum server_outcome o, usec latency)
{
	server_begin(s);
	server_end(s, &g->os, o, latency, g->now);
}

/* Is got within five standard deviations of what chance gives for `picks` with that share? */
static inline void assert_share(unsigned got, unsigned picks, double share)
{
	double mean = picks * share, sd = sqrt(picks * share * (1 - share));

	if (fabs(got - mean) > 5 * sd + 1)
		fail_msg("%u of %u, want %.0f +- %.0f", got, picks, mean, 5 * sd + 1);
}
