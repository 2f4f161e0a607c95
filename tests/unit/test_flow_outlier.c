/* test_flow_outlier.c - servers that are out because others do better, or because their ping says so. */
#include "flow_group.h"

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
		{ "half fails", 6, 100, 100, true },           { "a tenth fails", 6, 180, 20, true },
		{ "two in a hundred fail", 6, 196, 4, false }, { "too few requests", 6, 40, 40, false },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_success_rate_far_below_the_others_ejects),
		cmocka_unit_test(test_servers_are_compared_once_an_interval),
		cmocka_unit_test(test_a_latency_far_above_the_others_ejects),
		cmocka_unit_test(test_ribbons_threshold_of_failed_connections),
		cmocka_unit_test(test_a_server_that_its_ping_calls_dead_is_out_until_it_calls_it_alive),
		cmocka_unit_test(test_an_alive_ping_does_not_end_an_ejection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
