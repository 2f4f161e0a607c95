/* test_flow_choose.c - the modern half of balancing: shares by weight, hashing, zones, comparing servers, pings, filters; and
 * a day of traffic, and many threads while the list changes. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "flow/balance.h"
#include "flow/filter.h"
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

static struct fserver *make_server(uint32_t i, const char *zone)
{
	char id[32];
	int len = snprintf(id, sizeof(id), "10.0.%u.%u:80", i / 250, i % 250);

	return server_new(str_of(id, (size_t)len), str_from(zone), 100, START);
}

static void group_init(struct group *g, const struct balance_ops *ops, uint32_t n)
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

static void group_fini(struct group *g)
{
	for (uint32_t i = 0; i < g->n; i++)
		server_unref(g->at[i]);
	hash_ring_unref(g->ring);
}

static void make_ring(struct group *g, bool maglev)
{
	const struct hash_ring_settings s = { .maglev = maglev, .size = maglev ? MAGLEV_SIZE : HASH_RING_SIZE };

	hash_ring_unref(g->ring);
	g->ring = hash_ring_new(g->at, g->n, &s);
}

static struct choice choice_of(struct group *g)
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

static struct pick choose(struct group *g)
{
	struct choice c = choice_of(g);

	return balancer_choose(&g->b, &c);
}

static struct pick choose_key(struct group *g, uint64_t key)
{
	struct choice c = choice_of(g);
	char text[24];

	c.has_hash = true;
	c.hash = hash_ring_key(str_of(text, (size_t)snprintf(text, sizeof(text), "user-%llu", (unsigned long long)key)));
	return balancer_choose(&g->b, &c);
}

static unsigned index_of(const struct group *g, const struct fserver *s)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (g->at[i] == s)
			return i;
	fail_msg("a server that is not in the list");
	return 0;
}

static void outcome(struct fserver *s, const struct group *g, enum server_outcome o, usec latency)
{
	server_begin(s);
	server_end(s, &g->os, o, latency, g->now);
}

/* Is got within five standard deviations of what chance gives for `picks` with that share? */
static void assert_share(unsigned got, unsigned picks, double share)
{
	double mean = picks * share, sd = sqrt(picks * share * (1 - share));

	if (fabs(got - mean) > 5 * sd + 1)
		fail_msg("%u of %u, want %.0f +- %.0f", got, picks, mean, 5 * sd + 1);
}

/* --- shares --- */

static void test_round_robin_is_exact(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_round_robin, 7);
	for (unsigned i = 0; i < 7000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(counts[i], 1000);
	group_fini(&g);
}

static void test_random_shares_are_by_weight(void **state)
{
	static const uint32_t weights[] = { 100, 300, 50, 150, 400 };
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_random, 5);
	for (unsigned i = 0; i < 5; i++)
		g.at[i]->weight = weights[i];
	for (unsigned i = 0; i < 50000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 5; i++)
		assert_share(counts[i], 50000, weights[i] / 1000.0);
	group_fini(&g);
}

static void test_random_reads_one_list_when_some_are_down(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_random, 10);
	for (unsigned i = 0; i < 9; i += 2)
		outcome(g.at[i], &g, SERVER_REFUSED, 0);
	for (unsigned i = 0; i < 20000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 10; i++)
		assert_share(counts[i], 20000, i % 2 ? 0.2 : 0);
	group_fini(&g);
}

static void test_slow_start_gives_a_new_server_its_share_by_and_by(void **state)
{
	struct group g;

	group_init(&g, &balance_random, 10);
	g.os.slow_start_ms = 10000;
	g.now = START + 100 * SEC;
	atomic_store(&g.at[4]->since, g.now); /* the others are long there */
	for (unsigned step = 0; step <= 10; step += 5) {
		unsigned got = 0;
		double w = step == 0 ? 0.1 : step / 10.0;

		g.now = START + 100 * SEC + step * SEC;
		for (unsigned i = 0; i < 20000; i++)
			got += choose(&g).server == g.at[4];
		assert_share(got, 20000, w / (9 + w));
	}
	g.os.slow_start_bend = 2; /* the square root: half the time, 71 % of the share */
	assert_in_range((int)(server_weight(g.at[4], &g.os, START + 105 * SEC) * 1000), 706, 708);
	group_fini(&g);
}

/* Throwing n balls into n bins: at random the fullest has about ln n / ln ln n, with two choices about ln ln n. */
static void test_least_requests_of_two_avoids_the_herd(void **state)
{
	uint32_t most[2] = { 0, 0 };

	for (unsigned k = 0; k < 2; k++) {
		struct group g;

		group_init(&g, &balance_least_requests, 1000);
		g.rule.choices = k + 1;
		for (unsigned i = 0; i < 10000; i++)
			server_begin(choose(&g).server);
		for (unsigned i = 0; i < 1000; i++)
			most[k] = MAX(most[k], g.at[i]->active);
		group_fini(&g);
	}
	assert_true(most[0] >= 18);
	assert_in_range(most[1], 11, 14);
}

static void test_weighted_response_time_has_ribbons_weights(void **state)
{
	static const usec latency[] = { 10000, 20000, 30000, 40000 };
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_weighted_response, 4);
	for (unsigned i = 0; i < 4; i++)
		outcome(g.at[i], &g, SERVER_OK, latency[i]);
	for (unsigned i = 0; i < 60000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 4; i++) /* (sum - own) / (3 * sum) */
		assert_share(counts[i], 60000, (100000.0 - (double)latency[i]) / 300000.0);
	group_fini(&g);
}

/* --- hashing --- */

#define KEYS 20000

static const struct balance_ops *const hashing[] = { &balance_ring_hash, &balance_maglev };

static void test_a_key_stays_with_its_server(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group g;

		group_init(&g, hashing[r], 20);
		make_ring(&g, r);
		for (uint64_t k = 0; k < 500; k++) {
			struct fserver *first = choose_key(&g, k).server;

			for (unsigned i = 0; i < 5; i++) {
				rng_next(&g.rng);
				assert_ptr_equal(choose_key(&g, k).server, first);
			}
		}
		group_fini(&g);
	}
}

static void test_keys_are_spread_by_weight(void **state)
{
	static const double slack[] = { 0.25, 0.05 }; /* of the ring; of Maglev's table, and chance */

	for (unsigned r = 0; r < 2; r++) {
		struct group g;
		unsigned counts[N_MAX] = { 0 };

		group_init(&g, hashing[r], 10);
		g.at[3]->weight = 300;
		make_ring(&g, r);
		for (uint64_t k = 0; k < 4 * KEYS; k++)
			counts[index_of(&g, choose_key(&g, k).server)]++;
		for (unsigned i = 0; i < 10; i++) {
			double want = 4.0 * KEYS * (i == 3 ? 3 : 1) / 12;

			assert_true(fabs(counts[i] - want) < want * slack[r]);
		}
		group_fini(&g);
	}
}

/* Where each key is; then without the last server. */
static unsigned moved_without_last(struct group *g, bool maglev)
{
	struct fserver *before[KEYS];
	unsigned moved = 0;

	make_ring(g, maglev);
	for (uint64_t k = 0; k < KEYS; k++)
		before[k] = choose_key(g, k).server;
	g->n--;
	make_ring(g, maglev);
	for (uint64_t k = 0; k < KEYS; k++) {
		struct fserver *now = choose_key(g, k).server;

		if (before[k] == g->at[g->n])
			assert_ptr_not_equal(now, before[k]);
		else
			moved += now != before[k];
	}
	g->n++;
	return moved;
}

static void test_a_server_that_leaves_moves_few_keys(void **state)
{
	struct group g;

	group_init(&g, &balance_ring_hash, 10);
	assert_int_equal(moved_without_last(&g, false), 0); /* but its own */
	group_fini(&g);
	group_init(&g, &balance_maglev, 10);
	assert_true(moved_without_last(&g, true) < KEYS / 20);
	group_fini(&g);
}

static void test_processes_agree_whatever_their_lists_order(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group a, b;

		group_init(&a, hashing[r], 13);
		group_init(&b, hashing[r], 13);
		rng_seed(&b.rng, 99);
		for (unsigned i = 0; i < 6; i++) {
			struct fserver *s = b.at[i];

			b.at[i] = b.at[12 - i];
			b.at[12 - i] = s;
		}
		make_ring(&a, r);
		make_ring(&b, r);
		for (uint64_t k = 0; k < 2000; k++)
			assert_true(str_eq(choose_key(&a, k).server->id, choose_key(&b, k).server->id));
		group_fini(&a);
		group_fini(&b);
	}
}

static void test_keys_of_a_server_that_is_out_meet_one_other_and_come_back(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group g;
		struct fserver *home, *other;

		group_init(&g, hashing[r], 10);
		make_ring(&g, r);
		home = choose_key(&g, 1).server;
		outcome(home, &g, SERVER_REFUSED, 0);
		other = choose_key(&g, 1).server;
		assert_ptr_not_equal(other, home);
		for (unsigned i = 0; i < 20; i++)
			assert_ptr_equal(choose_key(&g, 1).server, other);
		tried_add(&g.tried, other); /* a retry goes on along the ring */
		assert_ptr_not_equal(choose_key(&g, 1).server, home);
		assert_ptr_not_equal(choose_key(&g, 1).server, other);
		g.tried.n = 0;
		server_return(home, SERVER_BACK_REPLY, g.now);
		assert_ptr_equal(choose_key(&g, 1).server, home);
		group_fini(&g);
	}
}

static void test_a_request_without_a_key_is_drawn_by_chance(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_ring_hash, 5);
	make_ring(&g, false);
	for (unsigned i = 0; i < 10000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 5; i++)
		assert_share(counts[i], 10000, 0.2);
	group_fini(&g);
}

static void test_with_a_bound_no_server_gets_more_than_its_share(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group g;

		group_init(&g, hashing[r], 10);
		make_ring(&g, r);
		g.rule.hash_bound_pct = 125;
		for (unsigned i = 1; i <= 1000; i++) {
			struct fserver *s = choose_key(&g, i % 3).server; /* three keys that everybody wants */

			server_begin(s);
			assert_true(s->active <= (i * 125 + 999) / 1000);
		}
		group_fini(&g);
	}
}

static void test_a_ring_is_kept_while_its_list_stays(void **state)
{
	const struct hash_ring_settings s = { .size = HASH_RING_SIZE }, other = { .size = 4096 }, maglev = { true, 251 };
	struct group g;

	group_init(&g, &balance_ring_hash, 5);
	make_ring(&g, false);
	assert_true(hash_ring_is_of(g.ring, g.at, 5, &s));
	assert_false(hash_ring_is_of(g.ring, g.at, 4, &s));
	assert_false(hash_ring_is_of(g.ring, g.at, 5, &other));
	assert_false(hash_ring_is_of(g.ring, g.at, 5, &maglev));
	g.at[2]->weight = 50;
	assert_false(hash_ring_is_of(g.ring, g.at, 5, &s));
	assert_null(hash_ring_new(g.at, 0, &s));

	struct hash_ring *m = hash_ring_new(g.at, 5, &(struct hash_ring_settings){ true, 252 });

	assert_int_equal(hash_ring_points(m), 257); /* the next prime */
	hash_ring_unref(m);
	group_fini(&g);
}

/* --- zones --- */

static void test_zone_aware_draws_a_zone_and_takes_turns_in_it(void **state)
{
	struct group g;
	struct zone_aware za;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_round_robin, 9);
	for (unsigned i = 0; i < 9; i++) {
		server_unref(g.at[i]);
		g.at[i] = make_server(i, i < 3 ? "a" : i < 7 ? "b" : "c");
	}
	zone_aware_init(&za, &balance_round_robin);
	for (unsigned i = 0; i < 3; i++) /* a is loaded: it is left out */
		server_begin(g.at[i]);
	for (unsigned i = 0; i < 6000; i++) {
		struct choice c = choice_of(&g);

		counts[index_of(&g, balancer_choose(&za.b, &c).server)]++;
	}
	assert_int_equal(counts[0] + counts[1] + counts[2], 0);
	for (unsigned i = 4; i < 7; i++)
		assert_in_range(counts[i], counts[3] - 1, counts[3] + 1); /* round robin within a zone */
	assert_share(counts[3] + counts[4] + counts[5] + counts[6], 6000, 4.0 / 6);
	group_fini(&g);
}

static void test_zones_that_are_well_are_all_used(void **state)
{
	struct group g;
	struct zone_aware za;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_round_robin, 8);
	zone_aware_init(&za, &balance_round_robin);
	for (unsigned i = 0; i < 800; i++) {
		struct choice c = choice_of(&g);

		counts[index_of(&g, balancer_choose(&za.b, &c).server)]++;
	}
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(counts[i], 100);
	group_fini(&g);
}

static void test_zone_rules_obey_their_properties(void **state)
{
	struct group g;
	bool seen_a = false;

	group_init(&g, &balance_zone_avoidance, 8);
	for (unsigned i = 0; i < 8; i += 2)
		server_begin(g.at[i]); /* load 1 in zone a, 0 in b */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(index_of(&g, choose(&g).server) % 2, 1);
	g.rule.zone_trigger = 1.5f; /* triggeringLoadPerServerThreshold */
	for (unsigned i = 0; i < 100; i++)
		seen_a |= index_of(&g, choose(&g).server) % 2 == 0;
	assert_true(seen_a);
	seen_a = false;
	g.rule.zone_trigger = 0.2f;
	g.rule.zones_off = true; /* niws.loadbalancer.zoneAvoidanceRule.enabled */
	for (unsigned i = 0; i < 100; i++)
		seen_a |= index_of(&g, choose(&g).server) % 2 == 0;
	assert_true(seen_a);
	group_fini(&g);
}

static void test_a_blacked_out_share_of_a_zone_drops_it(void **state)
{
	struct group g;

	group_init(&g, &balance_zone_avoidance, 8);
	outcome(g.at[0], &g, SERVER_REFUSED, 0);
	outcome(g.at[2], &g, SERVER_REFUSED, 0);
	g.rule.zone_blackout = 0.5f; /* avoidZoneWithBlackoutPercetage: half of zone a is out */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(index_of(&g, choose(&g).server) % 2, 1);
	group_fini(&g);
}

/* --- a user's rule --- */

static int64_t answer;

static int64_t choose_answer(struct balancer *b, const struct choice *c)
{
	return answer;
}

static void test_a_users_rule_is_taken_at_its_word(void **state)
{
	static const struct balance_ops user = { STR_INIT("user"), choose_answer, BALANCE_USER };
	static const struct {
		int64_t answer;
		enum pick_why want;
	} cases[] = {
		{ 1, PICK_IN },		      { 0, PICK_RULE_OUTSIDE /* tried */ }, { 3, PICK_RULE_OUTSIDE },
		{ INT64_MAX, PICK_RULE_OUTSIDE }, { -1, PICK_RULE_NONE },		    { INT64_MIN, PICK_RULE_NONE },
		{ RULE_FAILED, PICK_RULE_FAILED },
	};
	struct group g;

	group_init(&g, &user, 3);
	tried_add(&g.tried, g.at[0]);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pick p;

		answer = cases[i].answer;
		p = choose(&g);
		assert_int_equal(p.why, cases[i].want);
		assert_true((p.server != NULL) == (cases[i].want == PICK_IN));
	}
	assert_int_equal(g.b.rule_errors, 6);
	tried_add(&g.tried, g.at[1]);
	tried_add(&g.tried, g.at[2]);
	assert_int_equal(choose(&g).why, PICK_ALL_TRIED); /* it is not asked */
	group_fini(&g);
}

/* --- servers compared with each other --- */

static void serve(struct group *g, unsigned i, unsigned good, unsigned bad)
{
	for (unsigned k = 0; k < good; k++) {
		outcome(g->at[i], g, SERVER_OK, 1000);
		if (bad) {
			outcome(g->at[i], g, SERVER_ERROR, 1000); /* never five in a row */
			bad--;
		}
	}
	assert_int_equal(bad, 0);
}

static void test_a_success_rate_far_below_the_others_ejects(void **state)
{
	static const struct {
		const char *name;
		unsigned n, good, bad; /* of the odd one; the others serve 200 good ones */
		bool out;
	} cases[] = {
		{ "half fails", 6, 100, 100, true },
		{ "a tenth fails", 6, 180, 20, true },
		{ "two in a hundred fail", 6, 196, 4, false },
		{ "too few requests", 6, 40, 40, false },
		{ "too few servers", 4, 100, 100, false },
	};

	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct group g;

		group_init(&g, &balance_round_robin, cases[k].n);
		g.os.success_deviations = 1.9f;
		choose(&g); /* the first look finds nothing to compare */
		for (unsigned i = 0; i < g.n; i++)
			serve(&g, i, i == 2 ? cases[k].good : 200, i == 2 ? cases[k].bad : 0);
		g.now += 10 * SEC;
		choose(&g);
		if (server_is_in(g.at[2]) == cases[k].out)
			fail_msg("%s", cases[k].name);
		if (cases[k].out) {
			assert_int_equal(g.at[2]->why, SERVER_WHY_RATE);
			assert_int_equal(server_state(g.at[2], g.now), SERVER_SOFT);
		}
		for (unsigned i = 0; i < g.n; i++)
			assert_true(i == 2 || server_is_in(g.at[i]));
		group_fini(&g);
	}
}

static void test_servers_are_compared_once_an_interval(void **state)
{
	struct group g;

	group_init(&g, &balance_round_robin, 6);
	g.os.success_deviations = 1.9f;
	choose(&g);
	for (unsigned i = 0; i < g.n; i++)
		serve(&g, i, 200, i == 2 ? 200 : 0);
	g.now += 9 * SEC;
	choose(&g);
	assert_true(server_is_in(g.at[2]));
	g.now += 1 * SEC;
	choose(&g);
	assert_false(server_is_in(g.at[2]));
	group_fini(&g);
}

static void test_a_latency_far_above_the_others_ejects(void **state)
{
	struct group g;

	group_init(&g, &balance_round_robin, 6);
	for (unsigned i = 0; i < g.n; i++)
		outcome(g.at[i], &g, SERVER_OK, i == 4 ? 50 * MS : 10 * MS);
	choose(&g);
	assert_true(server_is_in(g.at[4])); /* off by default */
	g.os.latency_factor = 6;
	g.now += 10 * SEC;
	choose(&g);
	assert_true(server_is_in(g.at[4]));
	g.os.latency_factor = 4;
	g.now += 10 * SEC;
	choose(&g);
	assert_false(server_is_in(g.at[4]));
	assert_int_equal(g.at[4]->why, SERVER_WHY_LATENCY);
	group_fini(&g);
}

static void test_ribbons_threshold_of_failed_connections(void **state)
{
	struct group g;

	group_init(&g, &balance_round_robin, 3);
	g.os.consecutive = 0;
	g.os.refused = 3; /* niws.loadbalancer.default.connectionFailureCountThreshold */
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	assert_true(server_is_in(g.at[1]));
	outcome(g.at[1], &g, SERVER_ERROR, 0); /* a reply, even a 5xx, clears the count */
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	outcome(g.at[1], &g, SERVER_OK, 0);
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	outcome(g.at[1], &g, SERVER_TIMEOUT, 0);
	assert_true(server_is_in(g.at[1]));
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	assert_int_equal(server_state(g.at[1], g.now), SERVER_HARD);
	assert_int_equal(g.at[1]->why, SERVER_WHY_REFUSED);
	group_fini(&g);
}

/* --- pings --- */

static void test_a_server_that_its_ping_calls_dead_is_out_until_it_calls_it_alive(void **state)
{
	for (unsigned enabled = 0; enabled < 2; enabled++) {
		struct group g;

		group_init(&g, &balance_round_robin, 3);
		g.os.enabled = enabled;
		server_set_alive(g.at[1], false, g.now);
		assert_int_equal(g.at[1]->why, SERVER_WHY_PING);
		g.now += 3600 * SEC; /* it is not probed by requests */
		for (unsigned i = 0; i < 30; i++)
			assert_ptr_not_equal(choose(&g).server, g.at[1]);
		outcome(g.at[1], &g, SERVER_OK, 1000); /* an answer that was under way proves nothing */
		outcome(g.at[1], &g, SERVER_REFUSED, 0);
		assert_true(server_is_dead(g.at[1]));
		server_set_alive(g.at[1], true, g.now);
		assert_true(server_is_in(g.at[1]));
		server_set_alive(g.at[0], false, g.now);
		server_set_alive(g.at[1], false, g.now);
		server_set_alive(g.at[2], false, g.now);
		assert_int_equal(choose(&g).why, PICK_LAST); /* trying is better than failing without a try */
		group_fini(&g);
	}
}

static void test_an_alive_ping_does_not_end_an_ejection(void **state)
{
	struct group g;

	group_init(&g, &balance_round_robin, 2);
	outcome(g.at[0], &g, SERVER_REFUSED, 0);
	server_set_alive(g.at[0], true, g.now);
	assert_int_equal(server_state(g.at[0], g.now), SERVER_HARD);
	group_fini(&g);
}

/* --- filters --- */

static void assert_kept(const char *name, const struct group *g, struct fserver *const *at, uint32_t n, const char *want)
{
	char got[N_MAX] = "";

	for (uint32_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%u", index_of(g, at[i]));
	if (strcmp(got, want) != 0)
		fail_msg("%s: kept %s, want %s", name, got, want);
}

static void test_zone_affinity_and_when_it_ends(void **state)
{
	static const struct {
		const char *name, *want;
		bool affinity, exclusive, preference;
		const char *zone;
		unsigned out, busy; /* servers of zone a that are out; requests under way on each of them */
	} cases[] = {
		{ "off by default", "012345", false, false, false, "a", 0, 0 },
		{ "the own zone", "024", true, false, false, "a", 0, 0 },
		{ "zones in any case", "024", true, false, false, "A", 0, 0 },
		{ "own zone unknown", "012345", true, false, false, "", 0, 0 },
		{ "no server there", "012345", true, false, false, "z", 0, 0 },
		{ "fewer than two are in", "012345", true, false, false, "a", 2, 0 },
		{ "two are in", "024", true, false, false, "a", 1, 0 },
		{ "loaded", "012345", true, false, false, "a", 0, 1 },
		{ "exclusive, loaded and out", "024", false, true, false, "a", 2, 1 },
		{ "exclusive, nobody there", "012345", false, true, false, "z", 0, 0 },
		{ "preference", "024", false, false, true, "a", 0, 0 },
		{ "preference, even if loaded", "024", true, false, true, "a", 2, 1 },
		{ "preference, nobody there", "012345", false, false, true, "z", 0, 0 },
	};

	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct filter_settings fs = FILTER_SETTINGS_DEFAULT;
		struct filter_state st = { 0 };
		struct fserver *at[6];
		struct group g;

		group_init(&g, &balance_round_robin, 6);
		for (unsigned i = 0; i < cases[k].out; i++)
			outcome(g.at[2 * i], &g, SERVER_REFUSED, 0);
		for (unsigned i = 0; i < 6 && cases[k].busy; i += 2)
			server_begin(g.at[i]);
		fs.kind = cases[k].preference ? FILTER_ZONE_PREFERENCE : FILTER_ZONE_AFFINITY;
		fs.zone = str_from(cases[k].zone);
		fs.affinity = cases[k].affinity;
		fs.exclusive = cases[k].exclusive;
		memcpy(at, g.at, sizeof(at));
		assert_kept(cases[k].name, &g, at, filter_apply(&fs, &st, at, 6, true, &g.rng, g.now), cases[k].want);
		filter_state_fini(&st);
		group_fini(&g);
	}
}

static uint32_t subset_of(struct group *g, const struct filter_settings *fs, struct filter_state *st, struct fserver **at, bool refresh)
{
	memcpy(at, g->at, g->n * sizeof(*at));
	return filter_apply(fs, st, at, g->n, refresh, &g->rng, g->now);
}

static unsigned common(struct fserver *const *a, uint32_t n, struct fserver *const *b, uint32_t m)
{
	unsigned same = 0;

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < m; k++)
			same += a[i] == b[k];
	return same;
}

static void test_a_subset_has_its_size_and_replaces_a_tenth(void **state)
{
	struct filter_settings fs = FILTER_SETTINGS_DEFAULT;
	struct filter_state st = { 0 };
	struct fserver *first[N_MAX], *second[N_MAX], *again[N_MAX];
	struct group g;

	group_init(&g, &balance_round_robin, 100);
	fs.kind = FILTER_SUBSET;
	assert_int_equal(subset_of(&g, &fs, &st, first, true), 20);
	assert_int_equal(subset_of(&g, &fs, &st, again, false), 20); /* news of the registry: nobody has left */
	assert_int_equal(common(first, 20, again, 20), 20);
	assert_int_equal(subset_of(&g, &fs, &st, second, true), 20);
	assert_int_equal(common(first, 20, second, 20), 18); /* forceEliminatePercent */
	filter_state_fini(&st);
	group_fini(&g);
}

static void test_a_subset_lets_the_busy_and_the_failing_go(void **state)
{
	struct filter_settings fs = FILTER_SETTINGS_DEFAULT;
	struct filter_state st = { 0 };
	struct fserver *first[N_MAX], *second[N_MAX];
	struct group g;

	group_init(&g, &balance_round_robin, 100);
	fs.kind = FILTER_SUBSET;
	subset_of(&g, &fs, &st, first, true);
	for (unsigned i = 0; i < 5; i++)
		server_begin(first[i]); /* more than eliminationConnectionThresold, 0 */
	for (unsigned i = 5; i < 8; i++)
		outcome(first[i], &g, SERVER_ERROR, 1000);
	assert_int_equal(subset_of(&g, &fs, &st, second, true), 20);
	assert_int_equal(common(first, 8, second, 20), 0);
	assert_int_equal(common(first, 20, second, 20), 12); /* eight went: more than a tenth, nobody else has to */
	fs.size = 10; /* shrinking takes the worst first */
	server_begin(second[3]);
	assert_int_equal(subset_of(&g, &fs, &st, first, false), 10);
	assert_int_equal(common(first, 10, second, 20), 10);
	assert_int_equal(common(first, 10, second + 3, 1), 0);
	fs.size = 500;
	assert_int_equal(subset_of(&g, &fs, &st, first, false), 100);
	filter_state_fini(&st);
	group_fini(&g);
}

static void test_a_stable_subset_moves_one_member_a_change(void **state)
{
	struct filter_settings fs = FILTER_SETTINGS_DEFAULT;
	struct filter_state st = { 0 };
	struct fserver *all[N_MAX], *less[N_MAX], *other[N_MAX];
	unsigned used[N_MAX] = { 0 };
	struct group g;

	group_init(&g, &balance_round_robin, 100);
	fs.kind = FILTER_STABLE_SUBSET;
	fs.seed = 12345;
	assert_int_equal(subset_of(&g, &fs, &st, all, true), 20);
	for (unsigned i = 0; i < 30; i++) {
		g.n--;
		assert_int_equal(subset_of(&g, &fs, &st, less, true), 20);
		assert_true(common(all, 20, less, 20) >= 19);
		memcpy(all, less, sizeof(all));
	}
	g.n = 100;
	for (unsigned p = 0; p < 1000; p++) { /* a thousand processes: their subsets cover all servers about alike */
		fs.seed = p;
		subset_of(&g, &fs, &st, other, true);
		for (unsigned i = 0; i < 20; i++)
			used[index_of(&g, other[i])]++;
	}
	for (unsigned i = 0; i < 100; i++)
		assert_share(used[i], 1000, 0.2);
	filter_state_fini(&st);
	group_fini(&g);
}

/* --- the last decisions --- */

static void test_decisions_are_kept_newest_first(void **state)
{
	struct decision got[DECISIONS_KEPT];
	struct decisions d;
	struct group g;

	group_init(&g, &balance_round_robin, 2);
	decisions_init(&d);
	g.b.decisions = &d;
	assert_int_equal(decisions_read(&d, got), 0);
	g.rng.s[0] |= 1; /* an ordinary choice that is not the one in many */
	choose(&g);
	assert_int_equal(decisions_read(&d, got), 0);
	outcome(g.at[0], &g, SERVER_REFUSED, 0);
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	for (unsigned i = 0; i < 20; i++) {
		g.now += 1;
		assert_int_equal(choose(&g).why, PICK_LAST);
	}
	assert_int_equal(decisions_read(&d, got), DECISIONS_KEPT);
	assert_int_equal(got[0].at, g.now);
	assert_int_equal(got[15].at, g.now - 15);
	assert_string_equal(got[0].why, "last resort");
	assert_int_equal(got[0].servers, 2);
	assert_true(str_has_prefix(str_from(got[0].server), STR("10.0.0.")));
	group_fini(&g);
}

/* --- a day --- */

#define SLOTS 64

struct day {
	struct group g;
	struct fserver *on[SLOTS];
	usec ends[SLOTS], began[SLOTS];
	enum server_outcome what[SLOTS];
	unsigned asked[24][20], failed[24];
};

/* Server 3 refuses from 6 to 7, server 7 answers errors from 10 to 11, server 11 is twenty times slower from 15 to 16. */
static enum server_outcome fate(unsigned server, unsigned hour, usec *takes)
{
	*takes = 5 * MS;
	if (server == 3 && hour == 6) {
		*takes = 100;
		return SERVER_REFUSED;
	}
	if (server == 7 && hour == 10)
		return SERVER_ERROR;
	if (server == 11 && hour == 15)
		*takes = 100 * MS;
	return SERVER_OK;
}

static void play(struct day *d, unsigned slot)
{
	struct group *g = &d->g;
	unsigned hour, server;
	usec takes;

	if (d->on[slot])
		server_end(d->on[slot], &g->os, d->what[slot], d->ends[slot] - d->began[slot], g->now);
	hour = (unsigned)((g->now - START) / (3600 * SEC));
	d->on[slot] = choose(g).server;
	server = index_of(g, d->on[slot]);
	d->what[slot] = fate(server, hour, &takes);
	d->began[slot] = g->now;
	d->ends[slot] = g->now + takes;
	d->asked[hour][server]++;
	d->failed[hour] += d->what[slot] != SERVER_OK;
	server_begin(d->on[slot]);
}

static void test_a_day_of_traffic(void **state)
{
	struct day *d = xzalloc(sizeof(*d));

	group_init(&d->g, &balance_p2c, 20);
	d->g.os.success_deviations = 1.9f;
	while (d->g.now < START + 24 * 3600 * SEC - 1) {
		unsigned slot = rng_below(&d->g.rng, SLOTS);

		if (d->on[slot] && d->ends[slot] > d->g.now)
			d->g.now = d->ends[slot];
		if (d->g.now >= START + 24 * 3600 * SEC - 1)
			break;
		play(d, slot);
		d->g.now += 90 * MS;
	}
	for (unsigned h = 0; h < 24; h++) {
		unsigned total = 0;

		for (unsigned i = 0; i < 20; i++)
			total += d->asked[h][i];
		for (unsigned i = 0; i < 20; i++) /* nobody is flooded or starves while all is well */
			if (h != 6 && h != 7 && h != 10 && h != 11 && h != 15 && h != 16)
				assert_in_range(d->asked[h][i], total / 40, total / 10);
		/* An hour's outage costs the tries that find out, and one probe at each ejection's end. */
		if (h == 6 || h == 10)
			assert_in_range(d->failed[h], 1, 60);
		else
			assert_in_range(d->failed[h], 0, 5); /* under way when the hour ended */
	}
	assert_true(d->asked[15][11] < d->asked[14][11] / 4); /* the slow one gets few */
	assert_true(d->asked[7][3] > 0 && d->asked[11][7] > 0); /* they come back */
	for (unsigned i = 0; i < SLOTS; i++)
		if (d->on[i])
			server_end(d->on[i], &d->g.os, SERVER_ABANDONED, 0, d->g.now);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(d->g.at[i]->active, 0);
	group_fini(&d->g);
	free(d);
}

/* --- threads --- */

#define THREADS 8
#define PICKS 20000

struct shared {
	pthread_mutex_t lock; /* guards n */
	struct fserver *at[64];
	uint32_t n;
	struct balancer *b;
	struct decisions d;
	struct outlier_settings os;
	_Atomic bool over;
	_Atomic unsigned chosen;
};

struct worker_arg {
	struct shared *s;
	unsigned seed;
};

/* The list as a picture has it: copied with references. */
static uint32_t take_list(struct shared *s, struct fserver **at)
{
	uint32_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	for (uint32_t i = 0; i < n; i++)
		at[i] = server_ref(s->at[i]);
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void *choose_many(void *arg)
{
	struct worker_arg *w = arg;
	struct shared *s = w->s;
	struct rng rng;
	usec now = START;

	rng_seed(&rng, w->seed);
	for (unsigned k = 0; k < PICKS / 100; k++) {
		struct fserver *at[64];
		uint32_t n = take_list(s, at);

		for (unsigned i = 0; i < 100; i++) {
			struct choice c = { .list = { .at = at, .n = n }, .settings = &s->os, .rng = &rng, .now = now += 997 };
			struct pick p = balancer_choose(s->b, &c);

			assert_non_null(p.server);
			atomic_fetch_add(&s->chosen, 1);
			server_begin(p.server);
			server_end(p.server, &s->os, rng_below(&rng, 10) ? SERVER_OK : (enum server_outcome)rng_below(&rng, SERVER_OUTCOMES),
				   1000, now);
		}
		for (uint32_t i = 0; i < n; i++)
			server_unref(at[i]);
	}
	return NULL;
}

static void *change_list(void *arg)
{
	struct shared *s = arg;
	struct decision got[DECISIONS_KEPT];
	unsigned next = 64;

	for (; !atomic_load(&s->over); next++) {
		struct fserver *fresh = make_server(next % 900, next % 2 ? "a" : "b"), *old;

		pthread_mutex_lock(&s->lock);
		s->n = 8 + next % 24;
		old = s->at[next % 8];
		s->at[next % 8] = fresh;
		pthread_mutex_unlock(&s->lock);
		server_set_alive(old, false, START);
		server_set_alive(old, true, START);
		server_unref(old);
		decisions_read(&s->d, got);
	}
	return NULL;
}

static void choose_in_threads(const struct balance_ops *ops, bool zone_aware)
{
	struct shared *s = xzalloc(sizeof(*s));
	struct worker_arg arg[THREADS];
	struct balancer plain;
	struct zone_aware za;
	pthread_t t[THREADS], changer;

	balancer_init(&plain, ops);
	zone_aware_init(&za, ops);
	s->b = zone_aware ? &za.b : &plain;
	s->os = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	s->os.success_deviations = 1.9f;
	s->os.latency_factor = 3;
	decisions_init(&s->d);
	s->b->decisions = &s->d;
	pthread_mutex_init(&s->lock, NULL);
	s->n = 32;
	for (unsigned i = 0; i < 64; i++)
		s->at[i] = make_server(i, i % 2 ? "a" : "b");
	pthread_create(&changer, NULL, change_list, s);
	for (unsigned i = 0; i < THREADS; i++) {
		arg[i] = (struct worker_arg){ s, i + 1 };
		pthread_create(&t[i], NULL, choose_many, &arg[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	atomic_store(&s->over, true);
	pthread_join(changer, NULL);
	assert_int_equal(s->chosen, THREADS * PICKS);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(s->at[i]->active, 0); /* no count is lost */
		assert_int_equal(s->at[i]->refs, 1);
		server_unref(s->at[i]);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void test_threads_choose_while_the_list_changes(void **state)
{
	static const struct balance_ops *const rules[] = { &balance_p2c, &balance_weighted_response, &balance_least_requests };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		choose_in_threads(rules[i], false);
	choose_in_threads(&balance_round_robin, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_robin_is_exact),
		cmocka_unit_test(test_random_shares_are_by_weight),
		cmocka_unit_test(test_random_reads_one_list_when_some_are_down),
		cmocka_unit_test(test_slow_start_gives_a_new_server_its_share_by_and_by),
		cmocka_unit_test(test_least_requests_of_two_avoids_the_herd),
		cmocka_unit_test(test_weighted_response_time_has_ribbons_weights),
		cmocka_unit_test(test_a_key_stays_with_its_server),
		cmocka_unit_test(test_keys_are_spread_by_weight),
		cmocka_unit_test(test_a_server_that_leaves_moves_few_keys),
		cmocka_unit_test(test_processes_agree_whatever_their_lists_order),
		cmocka_unit_test(test_keys_of_a_server_that_is_out_meet_one_other_and_come_back),
		cmocka_unit_test(test_a_request_without_a_key_is_drawn_by_chance),
		cmocka_unit_test(test_with_a_bound_no_server_gets_more_than_its_share),
		cmocka_unit_test(test_a_ring_is_kept_while_its_list_stays),
		cmocka_unit_test(test_zone_aware_draws_a_zone_and_takes_turns_in_it),
		cmocka_unit_test(test_zones_that_are_well_are_all_used),
		cmocka_unit_test(test_zone_rules_obey_their_properties),
		cmocka_unit_test(test_a_blacked_out_share_of_a_zone_drops_it),
		cmocka_unit_test(test_a_users_rule_is_taken_at_its_word),
		cmocka_unit_test(test_a_success_rate_far_below_the_others_ejects),
		cmocka_unit_test(test_servers_are_compared_once_an_interval),
		cmocka_unit_test(test_a_latency_far_above_the_others_ejects),
		cmocka_unit_test(test_ribbons_threshold_of_failed_connections),
		cmocka_unit_test(test_a_server_that_its_ping_calls_dead_is_out_until_it_calls_it_alive),
		cmocka_unit_test(test_an_alive_ping_does_not_end_an_ejection),
		cmocka_unit_test(test_zone_affinity_and_when_it_ends),
		cmocka_unit_test(test_a_subset_has_its_size_and_replaces_a_tenth),
		cmocka_unit_test(test_a_subset_lets_the_busy_and_the_failing_go),
		cmocka_unit_test(test_a_stable_subset_moves_one_member_a_change),
		cmocka_unit_test(test_decisions_are_kept_newest_first),
		cmocka_unit_test(test_a_day_of_traffic),
		cmocka_unit_test(test_threads_choose_while_the_list_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
