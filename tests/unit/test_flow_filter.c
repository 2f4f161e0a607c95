/* test_flow_filter.c - which servers a process uses at all: zones and subsets. */
#include "flow/filter.h"
#include "flow_group.h"

/* --- filters --- */

static void assert_kept(const char *name, const struct group *g, struct fserver *const *at, uint32_t n,
			const char *want)
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

static uint32_t subset_of(struct group *g, const struct filter_settings *fs, struct filter_state *st,
			  struct fserver **at, bool refresh)
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
	fs.size = 10;                                        /* shrinking takes the worst first */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zone_affinity_and_when_it_ends),
		cmocka_unit_test(test_a_subset_has_its_size_and_replaces_a_tenth),
		cmocka_unit_test(test_a_subset_lets_the_busy_and_the_failing_go),
		cmocka_unit_test(test_a_stable_subset_moves_one_member_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
