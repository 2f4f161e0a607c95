/* test_meters.c - counters, timers, snapshots, and both forms in which they leave. */
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "manage/meters.h"
#include "test.h"

static const struct meter_desc d_calls = { "test.calls", "Calls", NULL, 4 };
static const struct meter_desc d_time = { "test.time", "Time", "seconds", 0 };
static const struct meter_desc d_open = { "test.files.open", "Open", "files", 0 };

struct fix {
	struct meters *m;
	struct arena arena;
	struct meter_snapshot s;
};

static int setup(void **state)
{
	struct fix *f = xzalloc(sizeof(*f));

	f->m = meters_new(3, 42);
	arena_init(&f->arena, 4096);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	meters_free(f->m);
	arena_fini(&f->arena);
	free(f);
	return 0;
}

static const struct meter_sample *find(struct fix *f, usec now, const char *name, const char *value)
{
	meters_snapshot(f->m, &f->s, &f->arena, now);
	for (size_t i = 0; i < f->s.n; i++) {
		const struct meter_sample *sm = &f->s.sample[i];

		if (strcmp(sm->desc->name, name) == 0 && (!value || str_eq(sm->tag[0].value, str_from(value))))
			return sm;
	}
	return NULL;
}

static struct counter *calls(struct fix *f, const char *who)
{
	const struct meter_tag tag = { "who", str_from(who) };

	return meters_counter(f->m, &d_calls, &tag, 1);
}

static void test_stripes_are_summed(void **state)
{
	struct fix *f = *state;

	for (unsigned stripe = 0; stripe < 3; stripe++)
		counter_add(calls(f, "a"), stripe, stripe + 1);
	counter_add(calls(f, "b"), 0, 10);
	assert_true(find(f, 0, "test.calls", "a")->value == 6);
	assert_true(find(f, 0, "test.calls", "b")->value == 10);
	assert_ptr_equal(calls(f, "a"), calls(f, "a"));
}

static void test_peers_cannot_grow_a_family(void **state)
{
	struct fix *f = *state;
	char who[16], long_name[4096];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(who, sizeof(who), "peer%u", i);
		counter_add(calls(f, who), 0, 1);
	}
	assert_true(find(f, 0, "test.calls", "peer3")->value == 1);
	assert_null(find(f, 0, "test.calls", "peer4"));
	assert_true(find(f, 0, "test.calls", "_other")->value == 96);
	assert_int_equal(f->s.n, 5);

	memset(long_name, 'x', sizeof(long_name));
	const struct meter_tag tag = { "who", str_of(long_name, sizeof(long_name)) };
	counter_add(meters_counter(f->m, &d_open, &tag, 1), 0, 1);
	assert_int_equal(find(f, 0, "test.files.open", NULL)->tag[0].value.len, METER_VALUE_MAX);
}

static void test_timer(void **state)
{
	struct fix *f = *state;
	struct meter_timer *t = meters_timer(f->m, &d_time, NULL, 0);
	const struct meter_sample *sm;
	usec now = 1000 * USEC_PER_SEC;

	meter_timer_add(t, 0, 3 * USEC_PER_MSEC, now);
	meter_timer_add(t, 1, 700 * USEC_PER_MSEC, now);
	meter_timer_add(t, 2, 50 * USEC_PER_SEC, now); /* beyond the last bound */
	sm = find(f, now, "test.time", NULL);
	assert_int_equal(sm->count, 3);
	assert_true(sm->total > 50.702 && sm->total < 50.704);
	assert_true(sm->max == 50.0);
	assert_int_equal(sm->bucket[0], 0);                 /* 1 ms */
	assert_int_equal(sm->bucket[2], 1);                 /* 5 ms */
	assert_int_equal(sm->bucket[9], 2);                 /* 1 s */
	assert_int_equal(sm->bucket[METER_BUCKETS - 1], 2); /* 30 s */
}

static void test_max_is_of_the_last_minutes(void **state)
{
	static const struct { usec after; double want; } cases[] = { { 0, 5 }, { 59, 5 }, { 61, 5 }, { 125, 0 } };
	struct fix *f = *state;
	struct meter_timer *t = meters_timer(f->m, &d_time, NULL, 0);
	usec now = 600 * USEC_PER_SEC;

	meter_timer_add(t, 0, 5 * USEC_PER_SEC, now);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(find(f, now + cases[i].after * USEC_PER_SEC, "test.time", NULL)->max == cases[i].want);
	meter_timer_add(t, 0, USEC_PER_SEC, now + 121 * USEC_PER_SEC); /* takes the place of the first minute */
	assert_true(find(f, now + 121 * USEC_PER_SEC, "test.time", NULL)->max == 1.0);
}

static void source(struct meter_snapshot *s, void *arg)
{
	const struct meter_tag tag = { "path", STR("C:\\\"x\"\ny") };

	snapshot_add(s, METER_GAUGE, &d_open, *(double *)arg, &tag, 1);
}

/* --- prometheus --- */

static void assert_has(struct buf *b, const char *line)
{
	if (str_find(buf_str(b), str_from(line)) < 0)
		fail_msg("no \"%s\" in\n%.*s", line, STRF(buf_str(b)));
}

static void test_prometheus(void **state)
{
	struct fix *f = *state;
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
	const struct meter_tag common = { "application", STR("shop") };
	double open = 7;

	meters_source(f->m, source, &open);
	counter_add(calls(f, "a"), 0, 3);
	meter_timer_add(meters_timer(f->m, &d_time, NULL, 0), 0, 250 * USEC_PER_MSEC, 0);
	meters_snapshot(f->m, &f->s, &f->arena, 0);
	snapshot_prometheus(&f->s, &b, false, STR_EMPTY, &common, 1);
	assert_has(&b, "# TYPE test_calls_total counter\ntest_calls_total{application=\"shop\",who=\"a\"} 3.0\n");
	assert_has(&b, "# TYPE test_files_open_files gauge\n"
		       "test_files_open_files{application=\"shop\",path=\"C:\\\\\\\"x\\\"\\ny\"} 7.0\n");
	assert_has(&b, "# HELP test_time_seconds Time\n# TYPE test_time_seconds histogram\n");
	assert_has(&b, "test_time_seconds_bucket{application=\"shop\",le=\"0.1\"} 0.0\n");
	assert_has(&b, "test_time_seconds_bucket{application=\"shop\",le=\"0.25\"} 1.0\n");
	assert_has(&b, "test_time_seconds_bucket{application=\"shop\",le=\"+Inf\"} 1.0\n");
	assert_has(&b, "test_time_seconds_count{application=\"shop\"} 1.0\ntest_time_seconds_sum{application=\"shop\"} 0.25\n");
	assert_has(&b, "# TYPE test_time_seconds_max gauge\ntest_time_seconds_max{application=\"shop\"} 0.25\n");
	assert_true(str_find(buf_str(&b), STR("# EOF")) < 0);
}

static void test_openmetrics(void **state)
{
	struct fix *f = *state;
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);

	counter_add(calls(f, "a"), 0, 3);
	meters_snapshot(f->m, &f->s, &f->arena, 0);
	snapshot_prometheus(&f->s, &b, true, STR_EMPTY, NULL, 0);
	assert_str(buf_str(&b), STR("# HELP test_calls Calls\n# TYPE test_calls counter\n"
				    "test_calls_total{who=\"a\"} 3.0\n# EOF\n"));
}

static void test_included_names(void **state)
{
	static const struct { const char *names; bool calls, time; } cases[] = {
		{ "", true, true },
		{ "test_calls_total", true, false },
		{ "test_time_seconds", false, true },
		{ "test_time_seconds_max, test_calls_total", true, true },
		{ "test", false, false },
		{ "nothing", false, false },
	};
	struct fix *f = *state;

	counter_add(calls(f, "a"), 0, 3);
	meter_timer_add(meters_timer(f->m, &d_time, NULL, 0), 0, 1, 0);
	meters_snapshot(f->m, &f->s, &f->arena, 0);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);

		snapshot_prometheus(&f->s, &b, false, str_from(cases[i].names), NULL, 0);
		if ((str_find(buf_str(&b), STR("test_calls")) >= 0) != cases[i].calls ||
		    (str_find(buf_str(&b), STR("test_time")) >= 0) != cases[i].time)
			fail_msg("\"%s\" gave\n%.*s", cases[i].names, STRF(buf_str(&b)));
	}
}

/* --- Boot's JSON --- */

static void test_names_json(void **state)
{
	struct fix *f = *state;
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);

	counter_add(calls(f, "a"), 0, 1);
	counter_add(calls(f, "b"), 0, 1);
	meter_timer_add(meters_timer(f->m, &d_time, NULL, 0), 0, 1, 0);
	meters_snapshot(f->m, &f->s, &f->arena, 0);
	snapshot_names_json(&f->s, &b);
	assert_str(buf_str(&b), STR("{\"names\":[\"test.calls\",\"test.time\"]}"));
}

static void test_meter_json(void **state)
{
	static const struct { const char *name, *tag, *want; } cases[] = {
		{ "test.calls", NULL, "{\"name\":\"test.calls\",\"description\":\"Calls\",\"measurements\":[{\"statistic\":\"COUNT\",\"value\":"
				      "5.0}],\"availableTags\":[{\"tag\":\"who\",\"values\":[\"a\",\"b\"]}]}" },
		{ "test.calls", "a", "{\"name\":\"test.calls\",\"description\":\"Calls\",\"measurements\":[{\"statistic\":\"COUNT\",\"value\":"
				     "2.0}],\"availableTags\":[]}" },
		{ "test.calls", "c", NULL },
		{ "test.call", NULL, NULL },
		{ "test.time", NULL, "{\"name\":\"test.time\",\"description\":\"Time\",\"baseUnit\":\"seconds\",\"measurements\":["
				     "{\"statistic\":\"COUNT\",\"value\":1.0},{\"statistic\":\"TOTAL_TIME\",\"value\":0.5},"
				     "{\"statistic\":\"MAX\",\"value\":0.5}],\"availableTags\":[]}" },
	};
	struct fix *f = *state;

	counter_add(calls(f, "a"), 0, 2);
	counter_add(calls(f, "b"), 0, 3);
	meter_timer_add(meters_timer(f->m, &d_time, NULL, 0), 0, 500 * USEC_PER_MSEC, 0);
	meters_snapshot(f->m, &f->s, &f->arena, 0);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
		/* twice: Boot's pages repeat a filter */
		const struct meter_tag tag = { "who", str_from(cases[i].tag) }, tags[] = { tag, tag };
		int r = snapshot_meter_json(&f->s, &b, str_from(cases[i].name), tags, cases[i].tag ? 2 : 0);

		assert_int_equal(r, cases[i].want ? 0 : VINE_ENOTFOUND);
		if (cases[i].want)
			assert_str(buf_str(&b), str_from(cases[i].want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stripes_are_summed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers_cannot_grow_a_family, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_max_is_of_the_last_minutes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prometheus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openmetrics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_included_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meter_json, setup, teardown),
	};

	return cmocka_run_group_tests_name("meters", tests, NULL, NULL);
}
