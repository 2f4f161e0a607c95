/* test_flow_balance.c - what is known about servers, and which of them is chosen. */
#include <stdio.h>

#include "flow/balance.h"
#include "test.h"

#define START (INT64_C(5000) * USEC_PER_SEC)
#define SEC USEC_PER_SEC
#define MS USEC_PER_MSEC
#define N_MAX 100

struct group {
	struct fserver *at[N_MAX];
	struct outlier_settings os;
	struct balancer b;
	struct tried tried;
	struct rng rng;
	uint32_t n;
	usec now;
};

static void group_init(struct group *g, const struct balance_ops *ops, uint32_t n)
{
	memset(g, 0, sizeof(*g));
	g->os = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	g->n = n;
	g->now = START;
	rng_seed(&g->rng, 42);
	balancer_init(&g->b, ops);
	for (uint32_t i = 0; i < n; i++) {
		char id[32];
		int len = snprintf(id, sizeof(id), "10.0.0.%u:80", i);

		g->at[i] = server_new(str_of(id, (size_t)len), i % 2 ? STR("b") : STR("a"), 100, START);
	}
}

static void group_fini(struct group *g)
{
	for (uint32_t i = 0; i < g->n; i++)
		server_unref(g->at[i]);
}

static struct choice choice_of(struct group *g)
{
	return (struct choice){ .list = { g->at, g->n },
				.tried = &g->tried,
				.settings = &g->os,
				.rng = &g->rng,
				.now = g->now };
}

static struct pick choose(struct group *g)
{
	struct choice c = choice_of(g);

	for (uint32_t i = 0; i < g->n; i++)
		c.list.max_weight = MAX(c.list.max_weight, g->at[i]->weight);
	return balancer_choose(&g->b, &c);
}

static int index_of(const struct group *g, const struct fserver *s)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (g->at[i] == s)
			return (int)i;
	return -1;
}

static void outcome(struct group *g, unsigned i, enum server_outcome o, usec latency)
{
	server_begin(g->at[i]);
	server_end(g->at[i], &g->os, o, latency, g->now);
}

/* Each choice is a request that succeeds at once. */
static void spread(struct group *g, unsigned picks, unsigned counts[N_MAX])
{
	memset(counts, 0, N_MAX * sizeof(*counts));
	for (unsigned i = 0; i < picks; i++) {
		struct pick p = choose(g);

		assert_non_null(p.server);
		counts[index_of(g, p.server)]++;
	}
}

/* --- servers --- */

static void test_a_refused_connection_ejects_at_once(void **state)
{
	struct group g;

	group_init(&g, &balance_round_robin, 3);
	outcome(&g, 1, SERVER_REFUSED, 100);
	assert_int_equal(server_state(g.at[1], g.now), SERVER_HARD);
	for (unsigned i = 0; i < 100; i++)
		assert_ptr_not_equal(choose(&g).server, g.at[1]);
	group_fini(&g);
}

static void test_ejection_ends_with_one_probe(void **state)
{
	struct group g;
	unsigned probes = 0;

	group_init(&g, &balance_p2c, 3);
	outcome(&g, 1, SERVER_REFUSED, 100);
	g.now += 5 * SEC - 1;
	for (unsigned i = 0; i < 50; i++)
		assert_ptr_not_equal(choose(&g).server, g.at[1]);
	g.now += 1;
	for (unsigned i = 0; i < 100; i++) {
		struct pick p = choose(&g);

		if (p.server == g.at[1]) {
			assert_int_equal(p.why, PICK_PROBE);
			probes++;
		}
	}
	assert_int_equal(probes, 1);
	assert_int_equal(server_state(g.at[1], g.now), SERVER_PROBING);
	g.now += 5 * SEC; /* the probe was lost: its lease ends and another one goes */
	for (unsigned i = 0; i < 100; i++)
		probes += choose(&g).server == g.at[1];
	assert_int_equal(probes, 2);
	outcome(&g, 1, SERVER_OK, 100);
	assert_int_equal(server_state(g.at[1], g.now), SERVER_IN);
	group_fini(&g);
}

static void test_several_good_probes_may_be_asked_for(void **state)
{
	struct group g;

	(void)state;
	group_init(&g, &balance_round_robin, 2);
	g.os.probes = 3;
	for (int round = 0; round < 2; round++) {
		server_eject(g.at[0], &g.os, SERVER_WHY_FAILURES, g.now);
		g.now += g.os.max_ms * USEC_PER_MSEC;
		for (unsigned i = 0; i < 3; i++) {
			assert_false(server_is_in(g.at[0]));
			assert_true(server_try_probe(g.at[0], &g.os, g.now));
			assert_false(server_try_probe(g.at[0], &g.os, g.now)); /* one at a time */
			outcome(&g, 0, round == 0 && i == 1 ? SERVER_ERROR : SERVER_OK, 1000);
			if (round == 0 && i == 1)
				break; /* a bad one begins anew */
		}
		assert_int_equal(server_is_in(g.at[0]), round == 1);
		g.now += g.os.max_ms * USEC_PER_MSEC;
	}
	group_fini(&g);
}

static void test_a_failed_probe_ejects_for_longer(void **state)
{
	static const usec want[] = { 5 * SEC, 10 * SEC, 15 * SEC, 20 * SEC, 20 * SEC };
	struct group g;

	group_init(&g, &balance_p2c, 2);
	g.os.max_ms = 20000;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		outcome(&g, 0, SERVER_REFUSED, 0);
		g.now += want[i] - 1;
		assert_false(server_try_probe(g.at[0], &g.os, g.now));
		g.now += 1;
		assert_true(server_try_probe(g.at[0], &g.os, g.now));
		assert_false(server_try_probe(g.at[0], &g.os, g.now));
	}
	group_fini(&g);
}

static void test_failures_in_flight_do_not_lengthen_an_ejection(void **state)
{
	struct group g;

	group_init(&g, &balance_p2c, 2);
	for (unsigned i = 0; i < 20; i++)
		outcome(&g, 0, SERVER_REFUSED, 0);
	g.now += 5 * SEC;
	assert_true(server_try_probe(g.at[0], &g.os, g.now));
	group_fini(&g);
}

static void test_which_outcomes_eject(void **state)
{
	static const struct {
		enum server_outcome o;
		unsigned n;
		enum server_state want;
	} cases[] = {
		{ SERVER_REFUSED, 1, SERVER_HARD },  { SERVER_ERROR, 4, SERVER_IN },	{ SERVER_ERROR, 5, SERVER_SOFT },
		{ SERVER_TIMEOUT, 4, SERVER_IN },    { SERVER_TIMEOUT, 5, SERVER_SOFT }, { SERVER_RESET, 4, SERVER_IN },
		{ SERVER_RESET, 5, SERVER_SOFT },    { SERVER_OK, 100, SERVER_IN },	{ SERVER_ABANDONED, 100, SERVER_IN },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct group g;

		group_init(&g, &balance_p2c, 1);
		for (unsigned k = 0; k < cases[i].n; k++)
			outcome(&g, 0, cases[i].o, 1000);
		assert_int_equal(server_state(g.at[0], g.now), cases[i].want);
		assert_int_equal(g.at[0]->outcomes[cases[i].o], cases[i].n);
		assert_int_equal(g.at[0]->active, 0);
		group_fini(&g);
	}
}

static void test_a_reply_ends_the_run_of_failures(void **state)
{
	struct group g;

	group_init(&g, &balance_p2c, 1);
	for (unsigned i = 0; i < 50; i++)
		outcome(&g, 0, i % 5 == 4 ? SERVER_OK : SERVER_ERROR, 1000);
	assert_int_equal(server_state(g.at[0], g.now), SERVER_IN);
	group_fini(&g);
}

static void test_ejection_can_be_off(void **state)
{
	struct group g;

	group_init(&g, &balance_round_robin, 3);
	g.os.enabled = false;
	for (unsigned i = 0; i < 9; i++) /* as the documents' round robin: every third goes to the dead one */
		if (index_of(&g, choose(&g).server) == 1)
			outcome(&g, 1, SERVER_REFUSED, 0);
	assert_int_equal(g.at[1]->outcomes[SERVER_REFUSED], 3);
	group_fini(&g);
}

static void test_latency_peaks_at_once_and_decays(void **state)
{
	struct group g;

	group_init(&g, &balance_p2c, 1);
	outcome(&g, 0, SERVER_OK, 1000);
	assert_in_range((int)server_latency(g.at[0], &g.os, g.now), 999, 1000);
	outcome(&g, 0, SERVER_OK, 50000);
	assert_in_range((int)server_latency(g.at[0], &g.os, g.now), 49999, 50000);
	for (unsigned i = 0; i < 100; i++) { /* 10 s of fast replies bring it down by about e */
		g.now += 100 * MS;
		outcome(&g, 0, SERVER_OK, 1000);
	}
	assert_in_range((int)server_latency(g.at[0], &g.os, g.now), 15000, 25000);
	outcome(&g, 0, SERVER_ERROR, 10); /* failing fast is not being fast */
	assert_true(server_latency(g.at[0], &g.os, g.now) > 15000);
	group_fini(&g);
}

static void test_slow_start_ramps_the_weight(void **state)
{
	struct group g;

	group_init(&g, &balance_p2c, 1);
	g.os.slow_start_ms = 10000;
	assert_in_range((int)(server_weight(g.at[0], &g.os, START) * 100), 9, 10);
	assert_in_range((int)(server_weight(g.at[0], &g.os, START + 5 * SEC) * 100), 49, 50);
	assert_in_range((int)(server_weight(g.at[0], &g.os, START + 10 * SEC) * 100), 99, 100);
	group_fini(&g);
}

/* --- rules: what all of them owe --- */

static void test_every_rule_never_repeats_a_server_while_others_are_left(void **state)
{
	for (size_t r = 0; balance_at(r); r++)
		for (unsigned round = 0; round < 50; round++) {
			struct group g;

			group_init(&g, balance_at(r), 7);
			rng_seed(&g.rng, round + 1);
			if (round % 2) /* also when some are out */
				for (unsigned i = 0; i < round % 7; i++)
					outcome(&g, i, i % 2 ? SERVER_REFUSED : SERVER_OK, 1000 * i);
			for (unsigned i = 0; i < 7; i++) {
				struct pick p = choose(&g);

				assert_non_null(p.server);
				assert_false(tried_has(&g.tried, p.server));
				tried_add(&g.tried, p.server);
			}
			assert_null(choose(&g).server);
			assert_int_equal(choose(&g).why, PICK_ALL_TRIED);
			group_fini(&g);
		}
}

static void test_every_rule_avoids_those_that_are_out(void **state)
{
	for (size_t r = 0; balance_at(r); r++) {
		struct group g;
		unsigned counts[N_MAX];

		group_init(&g, balance_at(r), 6);
		for (unsigned i = 0; i < 6; i++)
			outcome(&g, i, SERVER_OK, 1000);
		outcome(&g, 2, SERVER_REFUSED, 0);
		for (unsigned i = 0; i < 5; i++)
			outcome(&g, 4, SERVER_ERROR, 1000);
		spread(&g, 600, counts);
		assert_int_equal(counts[2] + counts[4], 0);
		for (unsigned i = 0; i < 6; i++)
			if (i != 2 && i != 4)
				assert_true(counts[i] > 30);
		group_fini(&g);
	}
}

static void test_every_rule_says_none_of_an_empty_list(void **state)
{
	for (size_t r = 0; balance_at(r); r++) {
		struct group g;

		group_init(&g, balance_at(r), 0);
		assert_null(choose(&g).server);
		assert_int_equal(choose(&g).why, PICK_EMPTY);
		group_fini(&g);
	}
}

static void test_every_rule_takes_the_last_one_even_if_it_is_out(void **state)
{
	for (size_t r = 0; balance_at(r); r++) {
		struct group g;

		group_init(&g, balance_at(r), 2);
		outcome(&g, 0, SERVER_REFUSED, 0);
		outcome(&g, 1, SERVER_REFUSED, 0);

		struct pick p = choose(&g);

		assert_non_null(p.server);
		assert_int_equal(p.why, PICK_LAST);
		group_fini(&g);
	}
}

static void test_names_lead_to_rules(void **state)
{
	static const struct {
		const char *name;
		const struct balance_ops *want;
	} cases[] = {
		{ "p2c", &balance_p2c },
		{ "P2C", &balance_p2c },
		{ "round-robin", &balance_round_robin },
		{ "weighted-response-time", &balance_weighted_response },
		{ "availability-filtering", &balance_availability },
		{ "ring-hash", &balance_ring_hash },
		{ "maglev", &balance_maglev },
		{ "com.example.MyRule", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_ptr_equal(balance_by_name(str_from(cases[i].name)), cases[i].want);
	assert_ptr_equal(balance_at(0), &balance_p2c); /* the default */
}

/* --- rules: what each is for --- */

static void test_round_robin_is_even_and_begins_at_the_second(void **state)
{
	struct group g;
	unsigned counts[N_MAX];

	group_init(&g, &balance_round_robin, 3);
	assert_ptr_equal(choose(&g).server, g.at[1]);
	assert_ptr_equal(choose(&g).server, g.at[2]);
	assert_ptr_equal(choose(&g).server, g.at[0]);
	spread(&g, 300, counts);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(counts[i], 100);
	group_fini(&g);
}

static void test_p2c_prefers_the_less_loaded_and_the_faster(void **state)
{
	struct group g;
	unsigned counts[N_MAX];

	group_init(&g, &balance_p2c, 2);
	outcome(&g, 0, SERVER_OK, 1000);
	outcome(&g, 1, SERVER_OK, 5000);
	spread(&g, 100, counts);
	assert_int_equal(counts[0], 100);
	for (unsigned i = 0; i < 9; i++)
		server_begin(g.at[0]); /* ten times the wait of one request: now the slower is nearer */
	spread(&g, 100, counts);
	assert_int_equal(counts[1], 100);
	group_fini(&g);
}

/* Ten servers, one of them ten times slower, requests that overlap: the slow one gets few, nobody starves. */
static void test_p2c_simulation(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };
	usec ends[64];
	struct fserver *on[64] = { 0 };

	group_init(&g, &balance_p2c, 10);
	for (unsigned i = 0; i < 50000; i++) {
		unsigned slot = i % 64;

		if (on[slot]) {
			g.now = MAX(g.now, ends[slot]);
			server_end(on[slot], &g.os, SERVER_OK, index_of(&g, on[slot]) == 3 ? 100 * MS : 10 * MS, g.now);
		}
		g.now += 100;
		on[slot] = choose(&g).server;
		counts[index_of(&g, on[slot])]++;
		server_begin(on[slot]);
		ends[slot] = g.now + (index_of(&g, on[slot]) == 3 ? 100 : 10) * MS;
	}
	for (unsigned i = 0; i < 10; i++) {
		if (i == 3)
			assert_in_range(counts[i], 10, 1500);
		else
			assert_in_range(counts[i], 4500, 6500);
	}
	group_fini(&g);
}

static void test_p2c_tries_a_new_server_once_before_it_floods_it(void **state)
{
	struct group g;
	unsigned counts[N_MAX];

	group_init(&g, &balance_p2c, 2);
	outcome(&g, 0, SERVER_OK, 1000);
	server_begin(choose(&g).server);
	assert_int_equal(g.at[1]->active, 1);
	spread(&g, 100, counts); /* no reply yet */
	assert_int_equal(counts[0], 100);
	group_fini(&g);
}

static void test_weights_are_shares(void **state)
{
	struct group g;

	group_init(&g, &balance_least_requests, 2);
	g.at[0]->weight = 300;
	for (unsigned i = 0; i < 400; i++)
		server_begin(choose(&g).server);
	assert_in_range(g.at[0]->active, 290, 310);
	group_fini(&g);
}

static void test_best_available_breaks_ties_at_random(void **state)
{
	struct group g;
	unsigned counts[N_MAX];

	group_init(&g, &balance_best_available, 4);
	server_begin(g.at[2]);
	spread(&g, 3000, counts);
	assert_int_equal(counts[2], 0);
	for (unsigned i = 0; i < 4; i++)
		if (i != 2)
			assert_in_range(counts[i], 900, 1100);
	group_fini(&g);
}

static void test_availability_skips_servers_at_their_limit(void **state)
{
	struct group g;

	group_init(&g, &balance_availability, 3);
	for (unsigned i = 0; i < 5; i++)
		server_begin(g.at[0]);

	struct choice c = choice_of(&g);

	struct rule_settings rs = RULE_SETTINGS_DEFAULT;

	rs.active_limit = 5;
	c.rule = &rs;
	for (unsigned i = 0; i < 30; i++)
		assert_ptr_not_equal(balancer_choose(&g.b, &c).server, g.at[0]);
	for (unsigned i = 0; i < 5; i++) {
		server_begin(g.at[1]);
		server_begin(g.at[2]);
	}
	assert_non_null(balancer_choose(&g.b, &c).server); /* all at the limit: any */
	group_fini(&g);
}

static void test_weighted_response_time_follows_latency(void **state)
{
	struct group g;
	unsigned counts[N_MAX];

	group_init(&g, &balance_weighted_response, 3);
	outcome(&g, 0, SERVER_OK, 10000);
	outcome(&g, 1, SERVER_OK, 30000);
	outcome(&g, 2, SERVER_OK, 60000);
	spread(&g, 20000, counts); /* weights 90 : 70 : 40 of 200 */
	assert_in_range(counts[0], 8700, 9300);
	assert_in_range(counts[1], 6700, 7300);
	assert_in_range(counts[2], 3700, 4300);
	group_fini(&g);
}

static void test_weighted_response_time_with_one_server(void **state)
{
	struct group g;

	group_init(&g, &balance_weighted_response, 1);
	outcome(&g, 0, SERVER_OK, 10000); /* weight 0 in Ribbon */
	assert_ptr_equal(choose(&g).server, g.at[0]);
	group_fini(&g);
}

static void test_zone_avoidance_drops_a_zone_that_is_out(void **state)
{
	struct group g;

	group_init(&g, &balance_zone_avoidance, 8);
	for (unsigned i = 1; i < 8; i += 2)
		outcome(&g, i, SERVER_REFUSED, 0);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(index_of(&g, choose(&g).server) % 2, 0);
	group_fini(&g);
}

static void test_zone_avoidance_drops_the_most_loaded_zone(void **state)
{
	struct group g;

	group_init(&g, &balance_zone_avoidance, 8);
	for (unsigned i = 0; i < 50; i++) /* both idle: both used */
		choose(&g);
	for (unsigned i = 0; i < 8; i += 2)
		server_begin(g.at[i]);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(index_of(&g, choose(&g).server) % 2, 1);
	group_fini(&g);
}

/* --- shares and panic --- */

static void soft_out(struct group *g, unsigned i)
{
	for (unsigned k = 0; k < g->os.consecutive; k++)
		outcome(g, i, SERVER_ERROR, 1000);
	assert_int_equal(server_state(g->at[i], g->now), SERVER_SOFT);
}

static void test_softly_ejected_beyond_the_share_are_brought_back(void **state)
{
	struct group g;
	unsigned out = 0;

	group_init(&g, &balance_p2c, 10);
	g.os.max_ejected_pct = 30;
	for (unsigned i = 0; i < 7; i++)
		soft_out(&g, i);
	choose(&g);
	for (unsigned i = 0; i < 10; i++)
		out += !server_is_in(g.at[i]);
	assert_int_equal(out, 3);
	group_fini(&g);
}

static void test_one_may_always_be_out(void **state)
{
	struct group g;

	group_init(&g, &balance_p2c, 3);
	g.os.max_ejected_pct = 10;
	soft_out(&g, 1);
	for (unsigned i = 0; i < 30; i++)
		assert_ptr_not_equal(choose(&g).server, g.at[1]);
	group_fini(&g);
}

static void test_panic_uses_the_softly_ejected_but_not_the_dead(void **state)
{
	struct group g;
	unsigned counts[N_MAX];

	group_init(&g, &balance_round_robin, 10);
	g.os.max_ejected_pct = 100;
	for (unsigned i = 0; i < 4; i++)
		soft_out(&g, i);
	outcome(&g, 4, SERVER_REFUSED, 0);
	outcome(&g, 5, SERVER_REFUSED, 0);
	spread(&g, 1000, counts); /* 4 of 10 in: below 50 % */
	assert_int_equal(counts[4] + counts[5], 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(counts[i] > 50);
	g.os.panic_pct = 0;
	g.now += SEC;
	spread(&g, 1000, counts);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(counts[i], 0);
	group_fini(&g);
}

/* --- bad rules --- */

static int64_t choose_outside(struct balancer *b, const struct choice *c)
{
	return (int64_t)c->list.n + 3;
}

static int64_t choose_nobody(struct balancer *b, const struct choice *c)
{
	return -1;
}

static void test_a_rule_that_names_nobody_or_a_stranger_is_survived(void **state)
{
	static const struct balance_ops bad = { STR_INIT("outside"), choose_outside };
	static const struct balance_ops none = { STR_INIT("nobody"), choose_nobody };
	struct group g;

	group_init(&g, &bad, 3);
	assert_non_null(choose(&g).server);
	assert_int_equal(g.b.rule_errors, 1);
	group_fini(&g);
	group_init(&g, &none, 3);
	assert_int_equal(choose(&g).why, PICK_IN);
	assert_int_equal(g.b.rule_errors, 0);
	group_fini(&g);
}

static void test_tried_remembers_the_last_ones(void **state)
{
	struct group g;

	group_init(&g, &balance_random, TRIED_MAX + 2);
	for (unsigned i = 0; i < TRIED_MAX + 2; i++)
		tried_add(&g.tried, g.at[i]);
	assert_int_equal(g.tried.n, TRIED_MAX);
	assert_false(tried_has(&g.tried, g.at[1]));
	assert_true(tried_has(&g.tried, g.at[2]));
	assert_true(tried_has(&g.tried, g.at[TRIED_MAX + 1]));
	group_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_refused_connection_ejects_at_once),
		cmocka_unit_test(test_ejection_ends_with_one_probe),
		cmocka_unit_test(test_several_good_probes_may_be_asked_for),
		cmocka_unit_test(test_a_failed_probe_ejects_for_longer),
		cmocka_unit_test(test_failures_in_flight_do_not_lengthen_an_ejection),
		cmocka_unit_test(test_which_outcomes_eject),
		cmocka_unit_test(test_a_reply_ends_the_run_of_failures),
		cmocka_unit_test(test_ejection_can_be_off),
		cmocka_unit_test(test_latency_peaks_at_once_and_decays),
		cmocka_unit_test(test_slow_start_ramps_the_weight),
		cmocka_unit_test(test_every_rule_never_repeats_a_server_while_others_are_left),
		cmocka_unit_test(test_every_rule_avoids_those_that_are_out),
		cmocka_unit_test(test_every_rule_says_none_of_an_empty_list),
		cmocka_unit_test(test_every_rule_takes_the_last_one_even_if_it_is_out),
		cmocka_unit_test(test_names_lead_to_rules),
		cmocka_unit_test(test_round_robin_is_even_and_begins_at_the_second),
		cmocka_unit_test(test_p2c_prefers_the_less_loaded_and_the_faster),
		cmocka_unit_test(test_p2c_simulation),
		cmocka_unit_test(test_p2c_tries_a_new_server_once_before_it_floods_it),
		cmocka_unit_test(test_weights_are_shares),
		cmocka_unit_test(test_best_available_breaks_ties_at_random),
		cmocka_unit_test(test_availability_skips_servers_at_their_limit),
		cmocka_unit_test(test_weighted_response_time_follows_latency),
		cmocka_unit_test(test_weighted_response_time_with_one_server),
		cmocka_unit_test(test_zone_avoidance_drops_a_zone_that_is_out),
		cmocka_unit_test(test_zone_avoidance_drops_the_most_loaded_zone),
		cmocka_unit_test(test_softly_ejected_beyond_the_share_are_brought_back),
		cmocka_unit_test(test_one_may_always_be_out),
		cmocka_unit_test(test_panic_uses_the_softly_ejected_but_not_the_dead),
		cmocka_unit_test(test_a_rule_that_names_nobody_or_a_stranger_is_survived),
		cmocka_unit_test(test_tried_remembers_the_last_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
