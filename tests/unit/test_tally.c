/* test_tally.c - counts by address: what is one address, the limit, and that nothing is left when all have gone. */
#include "test.h"

#include <pthread.h>

#include "base/rng.h"
#include "net/tally.h"

static struct addr ip(const char *text)
{
	struct addr a;

	assert_true(addr_parse_ip(&a, str_from(text), 1234));
	return a;
}

static void test_who_counts_as_one(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.1", "10.0.0.2", false },
		{ "10.0.0.1", "::ffff:10.0.0.1", true },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true },
		{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
		{ "::1", "127.0.0.1", false },
		{ "0.0.0.0", "::", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_tally *t = addr_tally_new(1, 7);
		struct addr a = ip(rows[i].a), b = ip(rows[i].b);

		assert_true(addr_tally_enter(t, &a));
		if (addr_tally_enter(t, &b) == rows[i].same)
			fail_msg("%s and %s: the same is not %d", rows[i].a, rows[i].b, rows[i].same);
		addr_tally_free(t);
	}
}

static void test_the_limit(void **state)
{
	struct addr_tally *t = addr_tally_new(3, 7);
	struct addr a = ip("10.0.0.1"), b = ip("10.0.0.2");

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(addr_tally_enter(t, &a));
	assert_false(addr_tally_enter(t, &a));
	assert_true(addr_tally_enter(t, &b));
	addr_tally_leave(t, &a);
	assert_true(addr_tally_enter(t, &a));
	assert_false(addr_tally_enter(t, &a));
	assert_int_equal(addr_tally_len(t), 2);
	addr_tally_limit(t, 1); /* who is in stays */
	addr_tally_leave(t, &a);
	assert_false(addr_tally_enter(t, &a));
	addr_tally_limit(t, UINT32_MAX);
	assert_true(addr_tally_enter(t, &a));
	addr_tally_free(t);
	addr_tally_free(NULL);
}

enum { ADDRESSES = 3000, STEPS = 100000, LIMIT = 5 };

/* Against an array: enters and leaves at random, with enough addresses that chains form, break and grow. */
static void test_random_walk(void **state)
{
	struct addr_tally *t = addr_tally_new(LIMIT, 99);
	static unsigned count[ADDRESSES];
	struct rng r;
	size_t want = 0;

	(void)state;
	rng_seed(&r, 11);
	memset(count, 0, sizeof(count));
	for (int step = 0; step < STEPS; step++) {
		unsigned k = rng_below(&r, ADDRESSES);
		struct addr a = ip("10.0.0.0");

		a.in.sin_addr.s_addr = htonl(0x0a000000 + k);
		if (rng_below(&r, step < STEPS / 2 ? 3 : 2)) {
			assert_int_equal(addr_tally_enter(t, &a), count[k] < LIMIT);
			count[k] += count[k] < LIMIT;
		} else if (count[k]) {
			addr_tally_leave(t, &a);
			count[k]--;
		}
	}
	for (unsigned k = 0; k < ADDRESSES; k++)
		want += count[k] > 0;
	assert_int_equal(addr_tally_len(t), want);
	for (unsigned k = 0; k < ADDRESSES; k++) {
		struct addr a = ip("10.0.0.0");

		a.in.sin_addr.s_addr = htonl(0x0a000000 + k);
		for (; count[k]; count[k]--)
			addr_tally_leave(t, &a);
	}
	assert_int_equal(addr_tally_len(t), 0);
	addr_tally_free(t);
}

static void *come_and_go(void *arg)
{
	struct addr_tally *t = arg;
	struct addr a = ip("10.0.0.1");

	for (int i = 0; i < 20000; i++) {
		if (addr_tally_enter(t, &a))
			addr_tally_leave(t, &a);
	}
	return NULL;
}

static void test_several_threads(void **state)
{
	struct addr_tally *t = addr_tally_new(2, 7);
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, come_and_go, t);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(addr_tally_len(t), 0);
	addr_tally_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_counts_as_one),
		cmocka_unit_test(test_the_limit),
		cmocka_unit_test(test_random_walk),
		cmocka_unit_test(test_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
