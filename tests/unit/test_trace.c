/* test_trace.c - contexts read as Brave and W3C have it, made, passed on, written. */
#include "trace/context.h"
#include "test.h"

#define T64 "463ac35c9f6413ad"
#define T128 "463ac35c9f6413ad48485a3953bb6124"
#define SPAN "a2fb4a1d1a96d312"
#define PARENT "0020000000000001"

static const struct {
	const char *value;
	int found; /* -1: malformed */
	enum sampled sampled;
	uint64_t hi, lo, span, parent;
} singles[] = {
	{ "0", TRACE_SAMPLING, SAMPLED_NO },
	{ "1", TRACE_SAMPLING, SAMPLED_YES },
	{ "d", TRACE_SAMPLING, SAMPLED_DEBUG },
	{ "2", -1 },
	{ "", -1 },
	{ T64 "-" SPAN, TRACE_IDS, SAMPLED_DEFER, 0, 0x463ac35c9f6413ad, 0xa2fb4a1d1a96d312, 0 },
	{ T64 "-" SPAN "-1", TRACE_IDS, SAMPLED_YES, 0, 0x463ac35c9f6413ad, 0xa2fb4a1d1a96d312, 0 },
	{ T128 "-" SPAN "-d", TRACE_IDS, SAMPLED_DEBUG, 0x463ac35c9f6413ad, 0x48485a3953bb6124, 0xa2fb4a1d1a96d312, 0 },
	{ T128 "-" SPAN "-0-" PARENT, TRACE_IDS, SAMPLED_NO, 0x463ac35c9f6413ad, 0x48485a3953bb6124, 0xa2fb4a1d1a96d312, 0x20000000000001 },
	{ T64 "-" SPAN "-" PARENT, TRACE_IDS, SAMPLED_DEFER, 0, 0x463ac35c9f6413ad, 0xa2fb4a1d1a96d312, 0x20000000000001 },
	{ "0000000000000000" T64 "-" SPAN, TRACE_IDS, SAMPLED_DEFER, 0, 0x463ac35c9f6413ad, 0xa2fb4a1d1a96d312, 0 },
	{ T64 "-" SPAN "-1-" PARENT "-x", -1 },  /* a fifth field */
	{ T64 "-" SPAN "-2", -1 },               /* an unknown state */
	{ T64 "-" SPAN "-", -1 },
	{ T64 "-" SPAN "-1-", -1 },
	{ T64 "-" SPAN "-1-123", -1 },
	{ T64 "-0000000000000000", -1 },         /* no span */
	{ "0000000000000000-" SPAN, -1 },        /* no trace */
	{ "463AC35C9F6413AD-" SPAN, -1 },        /* upper case */
	{ "463ac35c9f6413a-" SPAN "-1", -1 },    /* 15 digits */
	{ "463ac35c9f6413ad4-" SPAN, -1 },       /* 17 */
	{ T64 "-a2fb4a1d1a96d31", -1 },
	{ T64 "-" SPAN "g", -1 },
	{ T128 "-" SPAN "-1-" PARENT "0", -1 },  /* 69 bytes */
};

static void test_b3_single(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
		struct trace_context c = { .span = 77 };
		enum trace_found found = TRACE_NONE;
		bool ok = trace_parse_b3(&c, str_from(singles[i].value), &found);

		if (ok != (singles[i].found >= 0))
			fail_msg("%s: %s", singles[i].value, ok ? "taken" : "refused");
		if (!ok) {
			assert_int_equal(c.span, 77); /* untouched */
			continue;
		}
		assert_int_equal(found, singles[i].found);
		assert_int_equal(c.sampled, singles[i].sampled);
		assert_true(c.trace_hi == singles[i].hi && c.trace_lo == singles[i].lo);
		assert_true(c.span == singles[i].span && c.parent == singles[i].parent);
	}
}

static const struct {
	const char *trace, *span, *parent, *sampled, *flags;
	enum trace_found found;
	enum sampled want;
} multis[] = {
	{ T64, SPAN, NULL, "1", NULL, TRACE_IDS, SAMPLED_YES },
	{ T128, SPAN, PARENT, "0", NULL, TRACE_IDS, SAMPLED_NO },
	{ T64, SPAN, NULL, NULL, NULL, TRACE_IDS, SAMPLED_DEFER },
	{ T64, SPAN, NULL, "TRUE", NULL, TRACE_IDS, SAMPLED_YES },
	{ T64, SPAN, NULL, "false", NULL, TRACE_IDS, SAMPLED_NO },
	{ T64, SPAN, NULL, NULL, "1", TRACE_IDS, SAMPLED_DEBUG },
	{ T64, SPAN, NULL, "1", "3", TRACE_IDS, SAMPLED_YES }, /* flags are not a bit field */
	{ "ab", "cd", NULL, "1", NULL, TRACE_IDS, SAMPLED_YES },
	{ NULL, NULL, NULL, "1", NULL, TRACE_SAMPLING, SAMPLED_YES },
	{ NULL, NULL, NULL, NULL, "1", TRACE_SAMPLING, SAMPLED_DEBUG },
	{ NULL, NULL, NULL, NULL, NULL, TRACE_NONE, 0 },
	{ T64, SPAN, NULL, "yes", NULL, TRACE_NONE, 0 },
	{ T64, SPAN, NULL, "", NULL, TRACE_NONE, 0 },
	{ T64, NULL, NULL, "1", NULL, TRACE_NONE, 0 },
	{ NULL, SPAN, NULL, "1", NULL, TRACE_NONE, 0 },
	{ "a", SPAN, NULL, "1", NULL, TRACE_NONE, 0 },
	{ T128 "0", SPAN, NULL, "1", NULL, TRACE_NONE, 0 },
	{ T64, SPAN "0", NULL, "1", NULL, TRACE_NONE, 0 },
	{ T64, SPAN, "xyz", "1", NULL, TRACE_NONE, 0 },
	{ T64, SPAN, "0000", "1", NULL, TRACE_NONE, 0 },
	{ "0000", SPAN, NULL, "1", NULL, TRACE_NONE, 0 },
	{ T64, "0000", NULL, "1", NULL, TRACE_NONE, 0 },
	{ "463AC35C9F6413AD", SPAN, NULL, "1", NULL, TRACE_NONE, 0 },
};

static struct trace_headers headers_of(size_t i)
{
	return (struct trace_headers){ .trace_id = str_from(multis[i].trace),
				       .span_id = str_from(multis[i].span),
				       .parent_id = str_from(multis[i].parent),
				       .b3_sampled = str_from(multis[i].sampled),
				       .b3_flags = str_from(multis[i].flags) };
}

static void test_b3_multi(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(multis); i++) {
		struct trace_headers h = headers_of(i);
		struct trace_context c;
		enum trace_found found = trace_extract(&c, &h, TRACE_ALL);

		if (found != multis[i].found)
			fail_msg("case %zu: %d", i, (int)found);
		if (found != TRACE_NONE)
			assert_int_equal(c.sampled, multis[i].want);
	}
}

static void test_traceparent(void **state)
{
	static const struct {
		const char *value;
		bool ok, sampled, random;
	} parents[] = {
		{ "00-" T128 "-" SPAN "-01", true, true, false },
		{ "00-" T128 "-" SPAN "-00", true, false, false },
		{ "00-" T128 "-" SPAN "-03", true, true, true }, /* Sleuth reads this as not sampled */
		{ "00-" T128 "-" SPAN "-ff", true, true, true },
		{ "01-" T128 "-" SPAN "-01-later", true, true, false },
		{ "01-" T128 "-" SPAN "-01x", false },
		{ "00-" T128 "-" SPAN "-01-", false },
		{ "ff-" T128 "-" SPAN "-01", false },
		{ "00-00000000000000000000000000000000-" SPAN "-01", false },
		{ "00-" T128 "-0000000000000000-01", false },
		{ "00-463AC35C9F6413AD48485A3953BB6124-" SPAN "-01", false },
		{ "00-" T128 "-" SPAN "-0", false },
		{ "00-" T128 "-" SPAN "-0g", false },
		{ "00_" T128 "-" SPAN "-01", false },
		{ "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		struct trace_context c;
		bool ok = trace_parse_traceparent(&c, str_from(parents[i].value));

		if (ok != parents[i].ok)
			fail_msg("%s", parents[i].value);
		if (!ok)
			continue;
		assert_true(c.trace_hi == 0x463ac35c9f6413ad && c.trace_lo == 0x48485a3953bb6124);
		assert_true(c.parent == 0xa2fb4a1d1a96d312 && c.span == 0);
		assert_int_equal(trace_is_sampled(&c), parents[i].sampled);
		assert_int_equal(c.w3c_flags, parents[i].random ? 2 : 0);
	}
}

static void test_which_format_wins(void **state)
{
	struct trace_context c;
	struct trace_headers h = { .b3 = STR(T64 "-" SPAN "-1"), .trace_id = STR("ab"), .span_id = STR("cd") };

	assert_int_equal(trace_extract(&c, &h, TRACE_ALL), TRACE_IDS); /* single before multi */
	assert_true(c.trace_lo == 0x463ac35c9f6413ad);
	h.b3 = STR("nonsense"); /* malformed: on to the multi headers */
	assert_int_equal(trace_extract(&c, &h, TRACE_ALL), TRACE_IDS);
	assert_true(c.trace_lo == 0xab);
	h = (struct trace_headers){ .b3_sampled = STR("0"), .traceparent = STR("00-" T128 "-" SPAN "-01") };
	assert_int_equal(trace_extract(&c, &h, TRACE_ALL), TRACE_IDS); /* IDs before a mere decision, which stands */
	assert_true(c.trace_lo == 0x48485a3953bb6124);
	assert_int_equal(c.sampled, SAMPLED_NO);
	h = (struct trace_headers){ .b3 = STR("48485a3953bb6124-" SPAN "-d"), .traceparent = STR("00-" T128 "-" SPAN "-01") };
	assert_int_equal(trace_extract(&c, &h, TRACE_ALL), TRACE_IDS); /* one trace, two widths */
	assert_true(c.trace_hi == 0x463ac35c9f6413ad && c.span == 0xa2fb4a1d1a96d312);
	assert_int_equal(c.sampled, SAMPLED_DEBUG);
	assert_int_equal(trace_extract(&c, &h, TRACE_W3C), TRACE_IDS); /* only what was asked for */
	assert_int_equal(c.span, 0);
}

static void test_header_names_in_any_case_first_value_wins(void **state)
{
	struct trace_headers h = { 0 };

	assert_true(trace_headers_note(&h, STR("X-B3-TraceId"), STR("1234")));
	assert_true(trace_headers_note(&h, STR("x-b3-traceid"), STR("5678")));
	assert_true(trace_headers_note(&h, STR("B3"), STR("1")));
	assert_true(trace_headers_note(&h, STR("TraceParent"), STR_EMPTY));
	assert_false(trace_headers_note(&h, STR("X-B3-Trace"), STR("1")));
	assert_false(trace_headers_note(&h, STR("tracestate"), STR("a=b")));
	assert_str(h.trace_id, STR("1234"));
	assert_str(h.b3, STR("1"));
	assert_non_null(h.traceparent.ptr); /* there, and empty */
}

static void test_served_spans(void **state)
{
	struct trace_make m = { .sampler = { 1 }, .supports_join = true };
	struct trace_headers h = { .b3 = STR(T64 "-" SPAN "-1") };
	struct trace_context c;
	struct rng rng;

	rng_seed(&rng, 9);
	trace_serve(&c, &h, TRACE_ALL, &m, &rng); /* joined */
	assert_true(c.shared && c.span == 0xa2fb4a1d1a96d312 && c.parent == 0);
	m.supports_join = false;
	trace_serve(&c, &h, TRACE_ALL, &m, &rng);
	assert_true(!c.shared && c.span != 0xa2fb4a1d1a96d312 && c.parent == 0xa2fb4a1d1a96d312);
	m.supports_join = true;
	h.b3 = STR(T64 "-" SPAN); /* undecided: decided here, and the caller has not reported it */
	trace_serve(&c, &h, TRACE_ALL, &m, &rng);
	assert_true(!c.shared && c.sampled == SAMPLED_YES);
	h = (struct trace_headers){ .traceparent = STR("00-" T128 "-" SPAN "-01") };
	trace_serve(&c, &h, TRACE_ALL, &m, &rng);
	assert_true(c.span && c.parent == 0xa2fb4a1d1a96d312);
	h = (struct trace_headers){ .b3 = STR("0") };
	assert_int_equal(trace_serve(&c, &h, TRACE_ALL, &m, &rng), TRACE_SAMPLING);
	assert_true(c.trace_lo && c.sampled == SAMPLED_NO);
	h = (struct trace_headers){ .b3 = STR("rubbish") };
	assert_int_equal(trace_serve(&c, &h, TRACE_ALL, &m, &rng), TRACE_NONE);
	assert_true(c.trace_lo && c.trace_lo == c.span && !c.parent);
}

static void test_child_keeps_the_trace(void **state)
{
	struct trace_make m = { .sampler = { 1 }, .is_128 = true, .epoch = 0x65000000 };
	struct trace_context a, b;
	struct rng rng;

	rng_seed(&rng, 9);
	trace_new(&a, &m, &rng);
	assert_int_equal(a.trace_hi >> 32, 0x65000000);
	trace_child(&b, &a, &rng);
	assert_true(b.trace_hi == a.trace_hi && b.trace_lo == a.trace_lo && b.parent == a.span && b.span != a.span);
	trace_child(&b, &b, &rng); /* in place */
	assert_true(b.parent != b.span && b.parent != a.span);
}

static void test_sampler_keeps_its_share(void **state)
{
	static const double shares[] = { 0, 0.1, 0.5, 1 };
	struct rng rng;

	rng_seed(&rng, 4);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		struct trace_make m = { .sampler = { shares[i] } };
		unsigned n = 0;

		for (unsigned k = 0; k < 20000; k++) {
			struct trace_context c;

			trace_new(&c, &m, &rng);
			n += trace_is_sampled(&c);
		}
		assert_true(n >= 20000 * shares[i] - 400 && n <= 20000 * shares[i] + 400);
		assert_true(shares[i] > 0 || n == 0);
	}
}

/* What is written is read back the same, in each format and sampling state. */
static void test_written_contexts_read_back(void **state)
{
	static const unsigned formats[] = { TRACE_B3_SINGLE, TRACE_B3_MULTI, TRACE_W3C, TRACE_ALL };

	for (unsigned i = 0; i < ARRAY_LEN(formats) * 16; i++) {
		unsigned f = formats[i / 16];
		struct trace_context c = { i & 1 ? 0x1234 : 0, 0x9988, 0x77, i & 2 ? 0x55 : 0, (enum sampled)(i >> 2 & 3) }, got;
		struct trace_headers h = { 0 };
		char out[TRACE_INJECT_MAX];
		struct str rest = str_of(out, trace_inject(out, &c, f)), line, name;

		while (rest.len && str_cut(&rest, '\n', &line) && line.len) {
			str_cut(&line, ':', &name);
			assert_true(trace_headers_note(&h, name, str_trim(line)));
			if (!rest.ptr)
				break;
		}
		assert_int_equal(trace_extract(&got, &h, f), TRACE_IDS);
		assert_true(got.trace_hi == c.trace_hi && got.trace_lo == c.trace_lo);
		if (f == TRACE_W3C) {
			assert_true(got.parent == c.span && trace_is_sampled(&got) == trace_is_sampled(&c));
			continue;
		}
		assert_true(got.span == c.span && got.parent == c.parent && got.sampled == c.sampled);
	}
}

static void test_longest_injection_fits(void **state)
{
	struct trace_context c = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, SAMPLED_YES };
	char out[TRACE_INJECT_MAX], b3[TRACE_B3_MAX];

	assert_true(trace_inject(out, &c, TRACE_ALL) <= sizeof(out));
	assert_int_equal(trace_fmt_b3(b3, &c), TRACE_B3_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_b3_single),
		cmocka_unit_test(test_b3_multi),
		cmocka_unit_test(test_traceparent),
		cmocka_unit_test(test_which_format_wins),
		cmocka_unit_test(test_header_names_in_any_case_first_value_wins),
		cmocka_unit_test(test_served_spans),
		cmocka_unit_test(test_child_keeps_the_trace),
		cmocka_unit_test(test_sampler_keeps_its_share),
		cmocka_unit_test(test_written_contexts_read_back),
		cmocka_unit_test(test_longest_injection_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
