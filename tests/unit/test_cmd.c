/* test_cmd.c - the command line, and the supervisor's judgement. */
#include "cmd/cmdline.h"
#include "cmd/backoff.h"
#include "test.h"

static int count(const char *const *argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return n;
}

static const struct line {
	const char *argv[8];
	int want;
	const char *command, *config, *prop, *arg;
} lines[] = {
	{ { "vine" }, 0, NULL, NULL, NULL, NULL },
	{ { "vine", "gateway" }, 0, "gateway", NULL, NULL, NULL },
	{ { "vine", "gateway", "-c", "a.yml" }, 0, "gateway", "a.yml", NULL, NULL },
	{ { "vine", "--config=a.yml", "gateway" }, 0, "gateway", "a.yml", NULL, NULL },
	{ { "vine", "gateway", "--server.port=0" }, 0, "gateway", NULL, "server.port=0", NULL },
	{ { "vine", "gateway", "--a=b=c" }, 0, "gateway", NULL, "a=b=c", NULL },
	{ { "vine", "gateway", "--a=" }, 0, "gateway", NULL, "a=", NULL },
	{ { "vine", "check", "x.yml" }, 0, "check", NULL, NULL, "x.yml" },
	{ { "vine", "check", "--", "-x.yml" }, 0, "check", NULL, NULL, "-x.yml" },
	{ { "vine", "check", "-" }, 0, "check", NULL, NULL, "-" },
	{ { "vine", "gateway", "-c" }, VINE_EINVAL },
	{ { "vine", "gateway", "--server.port" }, VINE_EINVAL },
	{ { "vine", "gateway", "--=x" }, VINE_EINVAL },
	{ { "vine", "gateway", "-x" }, VINE_EINVAL },
	{ { "vine", "gateway", "--ready-fd=x" }, VINE_EINVAL },
};

static void assert_same(const char *got, const char *want)
{
	if (!got || !want)
		assert_ptr_equal(got, want);
	else
		assert_string_equal(got, want);
}

static void test_lines(void **state)
{
	(void)state;
	for (const struct line *l = lines; l < lines + ARRAY_LEN(lines); l++) {
		struct cmdline cl = { 0 };
		struct err e = { 0 };
		int r = cmdline_parse(&cl, count(l->argv), (char *const *)(uintptr_t)l->argv, &e);

		if (r != l->want)
			fail_msg("line %td: %d (%s), want %d", l - lines, r, e.text, l->want);
		if (r < 0) {
			assert_true(e.text[0] != '\0');
			continue;
		}
		assert_same(cl.command, l->command);
		assert_same(cl.config, l->config);
		assert_same(cl.n_props ? cl.props[0] : NULL, l->prop);
		assert_same(cl.n_args ? cl.args[0] : NULL, l->arg);
	}
}

static void test_too_many_properties(void **state)
{
	const char *argv[CMDLINE_MAX + 3] = { "vine" };
	struct cmdline cl;

	(void)state;
	for (int i = 1; i <= CMDLINE_MAX + 1; i++)
		argv[i] = "--a=b";
	assert_int_equal(cmdline_parse(&cl, CMDLINE_MAX + 1, (char *const *)(uintptr_t)argv, NULL), 0);
	assert_int_equal(cmdline_parse(&cl, CMDLINE_MAX + 2, (char *const *)(uintptr_t)argv, NULL), VINE_ELIMIT);
}

/* --- back-off --- */

static void test_gives_up_after_three_failed_starts(void **state)
{
	struct backoff b = { 0 };
	struct rng rng;
	usec pause;

	(void)state;
	rng_seed(&rng, 1);
	assert_int_equal(backoff_ended(&b, false, 1, &rng, &pause), UP_AGAIN);
	assert_int_equal(backoff_ended(&b, false, 1, &rng, &pause), UP_AGAIN);
	assert_int_equal(backoff_ended(&b, true, 1, &rng, &pause), UP_AGAIN); /* it had come up: counted anew */
	assert_int_equal(backoff_ended(&b, false, 1, &rng, &pause), UP_AGAIN);
	assert_int_equal(backoff_ended(&b, false, 1, &rng, &pause), UP_AGAIN);
	assert_int_equal(backoff_ended(&b, false, 1, &rng, &pause), UP_GIVE_UP);
}

static void test_pauses_grow_and_are_bounded(void **state)
{
	struct backoff b = { 0 };
	struct rng rng;
	usec pause, want = UP_BACKOFF_MIN;

	(void)state;
	rng_seed(&rng, 7);
	for (unsigned i = 0; i < 100; i++, want = MIN(want * 2, UP_BACKOFF_MAX)) {
		assert_int_equal(backoff_ended(&b, true, USEC_PER_SEC, &rng, &pause), UP_AGAIN);
		assert_true(pause >= want * 3 / 4 && pause <= want * 5 / 4);
	}
	backoff_ended(&b, true, UP_STEADY, &rng, &pause);
	assert_true(pause <= UP_BACKOFF_MIN * 5 / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_too_many_properties),
		cmocka_unit_test(test_gives_up_after_three_failed_starts),
		cmocka_unit_test(test_pauses_grow_and_are_bounded),
	};

	return cmocka_run_group_tests_name("cmd", tests, NULL, NULL);
}
