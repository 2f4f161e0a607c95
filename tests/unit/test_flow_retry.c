/* test_flow_retry.c - what is tried again and where, the budget, deadlines, and time-outs that cannot fit. */
#include <stdio.h>

#include "flow/retry.h"
#include "test.h"

#define NOW (INT64_C(90) * USEC_PER_SEC)

#define NOT_SENT ATTEMPT_NOT_SENT
#define NO_REPLY ATTEMPT_SENT_NO_REPLY
#define REPLY ATTEMPT_REPLY_RETRYABLE

static const struct {
	const char *name;
	struct retry_settings rs;
	struct retry_attempt at;
	struct retry_decision want;
} cases[] = {
	{ "nothing sent: any method", { .next = 1 }, { NOT_SENT }, { RETRY_NEXT, RETRY_ALLOWED } },
	{ "nothing sent, but the body is gone", { .next = 1 }, { NOT_SENT, .body_gone = true }, { RETRY_GIVE_UP, RETRY_BODY_GONE } },
	{ "sent, no reply: a GET", { .next = 1 }, { NO_REPLY, .is_safe = true }, { RETRY_NEXT, RETRY_ALLOWED } },
	{ "sent, no reply: not a POST", { .next = 1 }, { NO_REPLY }, { RETRY_GIVE_UP, RETRY_UNSAFE_METHOD } },
	{ "a POST where all may", { .next = 1, .all_operations = true }, { NO_REPLY }, { RETRY_NEXT, RETRY_ALLOWED } },
	{ "a POST where all may, its body gone", { .next = 1, .all_operations = true }, { NO_REPLY, .body_gone = true }, { RETRY_GIVE_UP, RETRY_BODY_GONE } },
	{ "a status that is listed", { .next = 1, .statuses = { 502, 503 }, .status_count = 2 }, { REPLY, 503, true }, { RETRY_NEXT, RETRY_ALLOWED } },
	{ "one that is not", { .next = 1, .statuses = { 502 }, .status_count = 1 }, { REPLY, 503, true }, { RETRY_GIVE_UP, RETRY_STATUS } },
	{ "listed, but a POST", { .next = 1, .statuses = { 503 }, .status_count = 1 }, { REPLY, 503 }, { RETRY_GIVE_UP, RETRY_UNSAFE_METHOD } },
	{ "no retries at all", { 0 }, { NOT_SENT }, { RETRY_GIVE_UP, RETRY_NO_TRIES_LEFT } },
	{ "the same server first", { .same = 1, .next = 1 }, { NOT_SENT }, { RETRY_SAME, RETRY_ALLOWED } },
	{ "but not one that is dead", { .same = 1, .next = 1 }, { NOT_SENT, .is_dead = true }, { RETRY_NEXT, RETRY_ALLOWED } },
};

static void test_decisions(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct retry_state st = { 0 };
		struct retry_decision got = retry_decide(&cases[i].rs, &st, &cases[i].at, DEADLINE_NONE, NOW);

		if (got.verdict != cases[i].want.verdict || got.why != cases[i].want.why)
			fail_msg("%s: %d, %s", cases[i].name, (int)got.verdict, retry_why_name(got.why));
		assert_int_equal(st.tries, got.verdict != RETRY_GIVE_UP);
	}
}

static void test_tries_are_same_plus_one_times_next_plus_one(void **state)
{
	struct retry_settings rs = { .same = 2, .next = 1 };
	struct retry_attempt at = { NOT_SENT };
	struct retry_state st = { 0 };
	char walk[16];
	unsigned n = 0;

	for (struct retry_decision d; (d = retry_decide(&rs, &st, &at, DEADLINE_NONE, NOW)).verdict != RETRY_GIVE_UP;)
		walk[n++] = d.verdict == RETRY_SAME ? 's' : 'n';
	assert_str(str_of(walk, n), STR("ssnss"));
	assert_int_equal(retry_tries_max(&rs), n + 1);
}

static void test_tries_end_whatever_is_configured(void **state)
{
	struct retry_settings rs = { .same = UINT32_MAX, .next = UINT32_MAX };
	struct retry_attempt at = { NOT_SENT };
	struct retry_state st = { 0 };
	unsigned n = 0;

	while (retry_decide(&rs, &st, &at, DEADLINE_NONE, NOW).verdict != RETRY_GIVE_UP)
		assert_true(++n <= RETRY_TRIES_MAX);
	assert_int_equal(n, RETRY_TRIES_MAX);
}

static void test_no_retry_after_the_deadline(void **state)
{
	struct retry_settings rs = RETRY_SETTINGS_DEFAULT;
	struct retry_attempt at = { NOT_SENT };
	struct retry_state st = { 0 };
	struct deadline d = deadline_in(NOW, USEC_PER_SEC);

	assert_int_equal(retry_decide(&rs, &st, &at, d, NOW + USEC_PER_SEC).why, RETRY_DEADLINE);
	assert_int_equal(retry_decide(&rs, &st, &at, d, NOW + USEC_PER_SEC - 1).verdict, RETRY_NEXT);
}

static void test_deadline_arithmetic(void **state)
{
	struct deadline d = deadline_in(NOW, 1500);

	assert_int_equal(deadline_left(d, NOW), 1500);
	assert_int_equal(deadline_left(d, NOW + 5000), 0);
	assert_int_equal(deadline_left_ms(d, NOW), 2);
	assert_int_equal(deadline_left_ms(d, NOW + 1499), 1);
	assert_int_equal(deadline_left_ms(d, NOW + 1500), 0);
	assert_int_equal(deadline_step(d, NOW, 1000), NOW + 1000);
	assert_int_equal(deadline_step(d, NOW, 9000), NOW + 1500);
	assert_true(deadline_in(NOW, USEC_NEVER).at == USEC_NEVER);
	assert_true(deadline_left(DEADLINE_NONE, NOW) == USEC_NEVER);
	assert_false(deadline_is_over(DEADLINE_NONE, NOW));
}

static void test_safe_methods(void **state)
{
	static const struct {
		const char *method;
		bool safe;
	} methods[] = { { "GET", true },  { "HEAD", true },  { "OPTIONS", true }, { "TRACE", true }, { "POST", false },
			{ "PUT", false }, { "PATCH", false }, { "DELETE", false }, { "get", false }, { "", false } };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		assert_int_equal(retry_method_is_safe(str_from(methods[i].method)), methods[i].safe);
}

static unsigned spend_all(struct retry_budget *b, const struct retry_budget_settings *s, usec now)
{
	unsigned n = 0;

	while (n < 10000 && retry_budget_spend(b, s, now))
		n++;
	return n;
}

static void test_budget_earns_by_requests_and_by_time(void **state)
{
	struct retry_budget_settings s = { .ratio_pct = 20, .per_second = 10, .cap = 50 };
	struct retry_budget b;

	retry_budget_init(&b, NOW);
	assert_int_equal(spend_all(&b, &s, NOW), 10);
	for (unsigned i = 0; i < 100; i++)
		retry_budget_request(&b, &s);
	assert_int_equal(spend_all(&b, &s, NOW), 20);
	assert_int_equal(spend_all(&b, &s, NOW + USEC_PER_SEC), 10);
	for (unsigned i = 0; i < 10000; i++)
		retry_budget_request(&b, &s);
	assert_int_equal(spend_all(&b, &s, NOW + USEC_PER_SEC), 50); /* the cap */
	s.ratio_pct = 0;
	assert_int_equal(spend_all(&b, &s, NOW + USEC_PER_SEC), 10000); /* off */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_tries_are_same_plus_one_times_next_plus_one),
		cmocka_unit_test(test_tries_end_whatever_is_configured),
		cmocka_unit_test(test_no_retry_after_the_deadline),
		cmocka_unit_test(test_deadline_arithmetic),
		cmocka_unit_test(test_safe_methods),
		cmocka_unit_test(test_budget_earns_by_requests_and_by_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
