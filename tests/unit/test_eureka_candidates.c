/* test_eureka_candidates.c - which registry is asked next, and how long a client pauses: pure, in simulated time. */
#include "test.h"

#include <stdio.h>

#include "eureka/candidates.h"
#include "eureka/pace.h"

#define SEC USEC_PER_SEC

/* "ab" own zone, "c" another: hosts of one letter, at most 3 a zone here. */
static unsigned make(struct candidate *list, const char *own, const char *others)
{
	unsigned n = 0;

	for (int rank = 0; rank < 2; rank++) {
		for (const char *p = rank ? others : own; *p; p++) {
			list[n] = (struct candidate){ .rank = (uint8_t)rank, .url = { .port = 8761, .path = "/eureka/" } };
			list[n].url.host[0] = *p;
			n++;
		}
	}
	return n;
}

static char dropped[64];

static void drop(void *user, void *ctx)
{
	(void)ctx;
	strncat(dropped, user, sizeof(dropped) - strlen(dropped) - 1);
}

static struct candidates *set_up(const char *own, const char *others, uint64_t seed)
{
	struct candidates *c = xzalloc(sizeof(*c));
	struct candidate *list = xzalloc(sizeof(*list) * CANDIDATES_MAX);

	candidates_init(c, seed);
	candidates_set(c, list, make(list, own, others), drop, NULL);
	free(list);
	dropped[0] = '\0';
	return c;
}

static bool renew(struct candidates *c, const char *own, const char *others)
{
	struct candidate *list = xzalloc(sizeof(*list) * CANDIDATES_MAX);
	bool changed = candidates_set(c, list, make(list, own, others), drop, NULL);

	free(list);
	return changed;
}

/* One request: those of `dead` fail, the first other one answers. Returns whom it asked, in order. */
static const char *request(struct candidates *c, const char *dead, usec now)
{
	static char asked[CANDIDATES_MAX + 1];
	struct candidates_tried t = { 0 };
	unsigned n = 0;

	while (t.n < 3) {
		int i = candidates_pick(c, &t, now);

		if (i < 0)
			break;
		candidates_tried(&t, i);
		asked[n++] = c->at[i].url.host[0];
		if (strchr(dead, c->at[i].url.host[0])) {
			candidates_bad(c, i, "dead", now);
			continue;
		}
		candidates_good(c, i);
		break;
	}
	asked[n] = '\0';
	return asked;
}

static void test_own_zone_first_and_shuffled(void **state)
{
	unsigned first_a = 0, others_shuffled = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 400; seed++) {
		struct candidates *c = set_up("ab", "cd", seed);

		assert_true(strchr("ab", c->at[0].url.host[0]) && strchr("ab", c->at[1].url.host[0]));
		first_a += c->at[0].url.host[0] == 'a';
		others_shuffled += c->at[2].url.host[0] == 'c';
		free(c);
	}
	assert_in_range(first_a, 140, 260);
	assert_in_range(others_shuffled, 140, 260);
}

static void test_same_seed_same_order(void **state)
{
	struct candidates *c = set_up("abc", "def", 7), *d = set_up("cab", "fde", 7);

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(c->at[i].url.host[0], d->at[i].url.host[0]);
	free(c);
	free(d);
}

/* Stays with who answers; a failed one is left alone, also when it is well again, until the session ends. */
static void test_sticky_and_quarantine(void **state)
{
	struct candidates *c = set_up("abcd", "", 1);
	char first, second, dead[2] = "";

	(void)state;
	first = request(c, "", 0)[0];
	for (int i = 0; i < 20; i++)
		assert_int_equal(request(c, "", i * SEC)[0], first);
	dead[0] = first;

	const char *asked = request(c, dead, 30 * SEC);

	assert_int_equal(strlen(asked), 2);
	second = asked[1];
	assert_int_equal(candidates_quarantined(c), 1);
	assert_int_equal(request(c, "", 60 * SEC)[0], second); /* first is well again, nobody asks it */
	assert_int_equal(request(c, "", 3601 * SEC)[0], first); /* a new session begins with the first */
	assert_int_equal(candidates_quarantined(c), 0);
	free(c);
}

static void test_two_thirds_set_all_free(void **state)
{
	static const struct { const char *all, *dead; unsigned asked, quarantined_after; } rows[] = {
		{ "a", "a", 1, 1 },     /* nobody else: the pause begins */
		{ "ab", "ab", 2, 1 },   /* one each; the second pick frees none, for 1 of 2 is less than 66 % */
		{ "abc", "abc", 3, 1 }, /* two of three: all free, and the third is asked all the same */
		{ "abcdef", "abcdef", 3, 3 }, /* three tries a request */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct candidates *c = set_up(rows[i].all, "", 3);
		unsigned asked = (unsigned)strlen(request(c, rows[i].dead, SEC));

		if (asked != rows[i].asked)
			fail_msg("%s: asked %u, want %u", rows[i].all, asked, rows[i].asked);
		assert_true(strlen(request(c, rows[i].dead, 2 * SEC)) >= 1); /* somebody is asked, always */
		assert_true(strlen(request(c, "", 3 * SEC)) >= 1);
		free(c);
	}
}

/* Each of a request's tries goes to another one, whatever was set free meanwhile. */
static void test_nobody_twice(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct candidates *c = set_up("abc", "de", seed);

		for (int round = 0; round < 20; round++) {
			const char *asked = request(c, "abcde", round * SEC);

			for (const char *p = asked; *p; p++) {
				if (strchr(p + 1, *p))
					fail_msg("seed %u: %s", (unsigned)seed, asked);
			}
			assert_true(*asked);
		}
		free(c);
	}
}

static void test_session_is_ten_to_thirty_minutes(void **state)
{
	usec least = USEC_NEVER, most = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct candidates *c = set_up("a", "", seed);

		request(c, "", 0);
		least = MIN(least, c->session_until);
		most = MAX(most, c->session_until);
		free(c);
	}
	assert_in_range(least, 600 * SEC, 640 * SEC);
	assert_in_range(most, 1760 * SEC, 1800 * SEC);
}

static void test_renewed_list(void **state)
{
	struct candidates *c = set_up("abc", "", 5);
	char now;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		c->at[i].user = c->at[i].url.host;
	now = request(c, "", 0)[0];
	assert_false(renew(c, "cba", "")); /* the same, in another order */
	assert_int_equal(request(c, "", SEC)[0], now);

	char gone[2] = { now == 'a' ? 'b' : 'a', 0 }, left[3] = "";

	for (const char *p = "abc"; *p; p++) {
		if (*p != gone[0])
			left[strlen(left)] = *p;
	}
	c->at[0].user = c->at[1].user = c->at[2].user = NULL;
	for (unsigned i = 0; i < 3; i++)
		c->at[i].user = c->at[i].url.host[0] == gone[0] ? gone : NULL;
	assert_true(renew(c, left, "x"));
	assert_string_equal(dropped, gone);
	assert_int_equal(c->n, 3);
	assert_int_equal(c->at[2].url.host[0], 'x');
	assert_true(renew(c, "", ""));
	assert_int_equal(candidates_pick(c, &(struct candidates_tried){ 0 }, SEC), -1); /* nobody at all */
	free(c);
}

static void test_named_twice(void **state)
{
	struct candidates *c = set_up("aab", "ba", 5);

	(void)state;
	assert_int_equal(c->n, 2);
	assert_int_equal(c->at[0].rank, 0);
	assert_int_equal(c->at[1].rank, 0);
	free(c);
}

static void test_quarantine_survives_renewal(void **state)
{
	struct candidates *c = set_up("abc", "", 5);
	const char first = request(c, "", 0)[0];
	char dead[2] = { first, 0 };

	(void)state;
	request(c, dead, SEC);
	assert_false(renew(c, "bca", ""));
	assert_int_equal(candidates_quarantined(c), 1);
	for (unsigned i = 0; i < c->n; i++)
		assert_int_equal(c->at[i].quarantined, c->at[i].url.host[0] == first);
	free(c);
}

/* --- pauses --- */

static void test_pauses(void **state)
{
	/* q: failed quickly, t: timed out, g: good. Pauses in milliseconds, without the random part. */
	static const struct { const char *name, *steps; int interval; unsigned bound; int want[8]; } rows[] = {
		{ "quick ones double up to the interval", "qqqqqqqq", 30000, 10, { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 } },
		{ "a short interval is not waited longer than 2 s for", "qqqqqq", 20, 10, { 20, 40, 80, 160, 320, 640 } },
		{ "time-outs double the interval up to the bound", "tttttt", 30000, 10, { 60000, 120000, 240000, 300000, 300000, 300000 } },
		{ "a bound of one", "ttt", 30000, 1, { 30000, 30000, 30000 } },
		{ "a good one ends it", "tttgtqqgq", 1000, 10, { 2000, 4000, 8000, 0, 2000, 500, 1000, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pace p = { 0 };

		for (size_t k = 0; rows[i].steps[k] && k < 8; k++) {
			usec got = 0;

			if (rows[i].steps[k] == 'g')
				pace_good(&p);
			else
				got = pace_failed(&p, rows[i].steps[k] == 't', rows[i].interval * USEC_PER_MSEC, rows[i].bound, 0, 0);
			if (got != rows[i].want[k] * USEC_PER_MSEC)
				fail_msg("%s: step %zu: %lld ms", rows[i].name, k, (long long)(got / USEC_PER_MSEC));
		}
	}
}

static void test_pauses_are_spread_and_bounded(void **state)
{
	struct pace p = { 0 };

	(void)state;
	assert_true(pace_failed(&p, false, 30 * SEC, 10, 0, 0.999) >= SEC / 4);
	assert_true(pace_failed(&p, true, 30 * SEC, 10, 0, 0.999) >= 54 * SEC);
	for (int i = 0; i < 100; i++)
		assert_true(pace_failed(&p, true, 30 * SEC, 1000000, 60 * SEC, 0) == 60 * SEC); /* the lease must be renewed */
	for (int i = 0; i < 100; i++)
		assert_true(pace_failed(&p, false, 86400 * SEC, 10, 0, 0) <= 86400 * SEC);
}

static void test_changes_are_limited(void **state)
{
	struct change_limit l = { 0 };
	unsigned told = 0;

	(void)state;
	assert_int_equal(change_wait(&l, 100 * SEC), 0);
	assert_int_equal(change_wait(&l, 100 * SEC), 0);
	assert_in_range(change_wait(&l, 100 * SEC), 14 * SEC, 16 * SEC);
	assert_int_equal(change_wait(&l, 116 * SEC), 0);
	for (usec now = 200 * SEC; now < 800 * SEC; now += SEC)
		told += change_wait(&l, now) == 0;
	assert_in_range(told, 41, 43); /* ten minutes: 2 and 4 a minute */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_zone_first_and_shuffled),
		cmocka_unit_test(test_same_seed_same_order),
		cmocka_unit_test(test_sticky_and_quarantine),
		cmocka_unit_test(test_two_thirds_set_all_free),
		cmocka_unit_test(test_nobody_twice),
		cmocka_unit_test(test_session_is_ten_to_thirty_minutes),
		cmocka_unit_test(test_renewed_list),
		cmocka_unit_test(test_named_twice),
		cmocka_unit_test(test_quarantine_survives_renewal),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_pauses_are_spread_and_bounded),
		cmocka_unit_test(test_changes_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
