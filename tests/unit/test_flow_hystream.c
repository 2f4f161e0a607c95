/* test_flow_hystream.c - every field that Netflix's own stream has, of the same type, held against the list in
 * tests/data that was written by Hystrix' jar (make interop compares the list with the jar); read back by jansson. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "flow/hystream.h"
#include "test.h"

#define START (INT64_C(100) * USEC_PER_SEC)

static json_t *parse(const struct buf *b)
{
	json_error_t e;
	json_t *j = json_loadb(b->ptr, b->len, JSON_REJECT_DUPLICATES, &e);

	if (!j)
		fail_msg("%s", e.text);
	return j;
}

static json_t *netflix(const char *type)
{
	const char *root = getenv("VINE_SOURCE");
	char path[4096];
	json_error_t e;
	json_t *all, *fields;

	snprintf(path, sizeof(path), "%s/tests/data/hystrix-stream-1.5.18.json", root ? root : ".");
	all = json_load_file(path, 0, &e);
	if (!all)
		fail_msg("%s: %s", path, e.text);
	fields = json_incref(json_object_get(all, type));
	json_decref(all);
	assert_non_null(fields);
	return fields;
}

static const char *kind_of(const json_t *v)
{
	return json_is_integer(v) ? "integer" : json_is_boolean(v) ? "boolean" : json_is_string(v) ? "string" : json_is_null(v) ? "null" : "?";
}

/* keys: those of an object of integers, in this order. */
static void want_points(const char *name, json_t *ours, json_t *keys)
{
	const char *key;
	json_t *v;
	size_t i = 0;

	if (!json_is_object(ours) || json_object_size(ours) != json_array_size(keys))
		fail_msg("%s: another number of points", name);
	json_object_foreach(ours, key, v)
	{
		if (!json_is_integer(v) || strcmp(key, json_string_value(json_array_get(keys, i++))) != 0)
			fail_msg("%s.%s", name, key);
	}
}

/* All of Netflix's fields, of the same kinds; beside them only such that say whose they are. */
static void want_fields(json_t *ours, const char *type)
{
	json_t *theirs = netflix(type), *kind;
	const char *name;

	assert_string_equal(json_string_value(json_object_get(ours, "type")), type);
	json_object_foreach(theirs, name, kind)
	{
		json_t *v = json_object_get(ours, name);

		if (!v)
			fail_msg("%s.%s is missing", type, name);
		if (json_is_array(kind))
			want_points(name, v, kind);
		else if (strcmp(kind_of(v), json_string_value(kind)) != 0)
			fail_msg("%s.%s is of kind %s, want %s", type, name, kind_of(v), json_string_value(kind));
	}
	json_object_foreach(ours, name, kind)
	{
		if (!json_object_get(theirs, name) && strncmp(name, "vine", 4) != 0)
			fail_msg("%s.%s is no field of Netflix's", type, name);
	}
	json_decref(theirs);
}

/* 21 calls, 20 of which fail after 8 ms, with fallbacks of every kind: the numbers are known. */
static json_t *command_event(struct cmd_settings *cs)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 2, .max = 1 });
	struct command *c = command_table_take(t, STR("a\"b"), STR("grp"), START);
	struct buf b = BUF_INIT(100000);
	static struct command_snapshot s;
	struct ticket k;

	for (unsigned i = 0; i < 21; i++) {
		assert_int_equal(command_admit(c, cs, START, i, &k), i < 20 ? ADMIT_OK : ADMIT_SHORT_CIRCUITED);
		command_done(c, cs, &k, i == 0 ? OUTCOME_SUCCESS : OUTCOME_FAILURE, START + 8000);
		if (i && command_fallback_begin(c, cs, &k, i < 15, START + 8000) == FALLBACK_RUN)
			command_fallback_end(c, cs, &k, i < 11, START + 8000);
	}
	command_snapshot(c, cs, START + 9000, &s);
	hystream_command(&b, &s, cs, 1700000000123);

	json_t *j = parse(&b);

	buf_fini(&b);
	command_unref(c);
	command_table_free(t);
	return j;
}

static int64_t num(const json_t *j, const char *name)
{
	return json_integer_value(json_object_get(j, name));
}

static void test_command_has_every_field(void **state)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	json_t *j = command_event(&cs);

	want_fields(j, "HystrixCommand");
	assert_non_null(json_object_get(j, "vineLatencyExecuteMicros"));
	json_decref(j);
}

static void test_command_numbers(void **state)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	json_t *j = command_event(&cs);

	assert_string_equal(json_string_value(json_object_get(j, "name")), "a\"b");
	assert_string_equal(json_string_value(json_object_get(j, "threadPool")), "grp");
	assert_true(json_is_true(json_object_get(j, "isCircuitBreakerOpen")));
	assert_int_equal(num(j, "currentTime"), 1700000000123);
	assert_int_equal(num(j, "requestCount"), 20);
	assert_int_equal(num(j, "errorCount"), 19);
	assert_int_equal(num(j, "errorPercentage"), 95);
	assert_int_equal(num(j, "rollingCountSuccess"), 1);
	assert_int_equal(num(j, "rollingCountFailure"), 19);
	assert_int_equal(num(j, "rollingCountShortCircuited"), 1);
	assert_int_equal(num(j, "rollingCountFallbackSuccess"), 10);
	assert_int_equal(num(j, "rollingCountFallbackFailure"), 4);
	assert_int_equal(num(j, "rollingCountFallbackMissing"), 6);
	assert_int_equal(num(j, "rollingCountExceptionsThrown"), 10);
	assert_int_equal(num(j, "latencyExecute_mean"), 8);
	assert_int_equal(num(json_object_get(j, "latencyExecute"), "50"), 8);
	assert_int_equal(num(j, "reportingHosts"), 1);
	assert_string_equal(json_string_value(json_object_get(j, "vineState")), "OPEN");
	json_decref(j);
	cs.pool_key = STR("own");
	cs.isolation = FLOW_SEMAPHORE;
	j = command_event(&cs);
	assert_string_equal(json_string_value(json_object_get(j, "threadPool")), "own");
	assert_string_equal(json_string_value(json_object_get(j, "propertyValue_executionIsolationStrategy")), "SEMAPHORE");
	json_decref(j);
}

static void test_pool_has_every_field(void **state)
{
	struct pool_settings ps = POOL_SETTINGS_DEFAULT;
	struct pool_snapshot p = { .key = STR("pool"), .active = 3, .queued = 2, .core = 10, .completed = UINT32_MAX + 5ull };
	struct buf b = BUF_INIT(10000);

	hystream_pool(&b, &p, &ps, 5);

	json_t *j = parse(&b);

	want_fields(j, "HystrixThreadPool");
	assert_int_equal(num(j, "currentActiveCount"), 3);
	assert_int_equal(num(j, "currentCompletedTaskCount"), UINT32_MAX + 5ll);
	json_decref(j);
	buf_clear(&b);
	hystream_frame_pool(&b, &p, &ps, 5);
	assert_true(str_has_prefix(buf_str(&b), STR("data: {")));
	assert_true(str_has_suffix(buf_str(&b), STR("}\n\n")));
	buf_fini(&b);
}

static void test_collapser_has_every_field(void **state)
{
	struct collapser_snapshot c = { .key = STR("users"), .rolling_requests = 12, .rolling_batches = 3, .batch_max = 100, .delay_ms = 10 };
	struct buf b = BUF_INIT(10000);
	json_t *j;

	hist_add(&c.sizes, 2);
	hist_add(&c.sizes, 4);
	hist_add(&c.sizes, 6);
	hystream_collapser(&b, &c, 5);
	j = parse(&b);
	want_fields(j, "HystrixCollapser");
	assert_int_equal(num(j, "rollingCountRequestsBatched"), 12);
	assert_int_equal(num(j, "batchSize_mean"), 4);
	assert_int_equal(num(json_object_get(j, "batchSize"), "50"), 4);
	assert_int_equal(num(json_object_get(j, "batchSize"), "100"), 6);
	assert_int_equal(num(j, "propertyValue_maxRequestsInBatch"), 100);
	json_decref(j);
	buf_clear(&b);
	hystream_frame_collapser(&b, &c, 5);
	assert_true(str_has_prefix(buf_str(&b), STR("data: {")) && str_has_suffix(buf_str(&b), STR("}\n\n")));
	buf_fini(&b);
}

/* The histograms are told; the one of the whole wait only where it differs from that of the runs. */
static void test_histograms_are_told(void **state)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	struct command *c = command_table_take(t, STR("k"), STR("g"), START);
	struct buf b = BUF_INIT(100000);
	static struct command_snapshot s;
	struct ticket k;
	json_t *j;

	for (unsigned fell = 0; fell < 2; fell++) {
		assert_int_equal(command_admit(c, &cs, START, 0, &k), ADMIT_OK);
		command_done(c, &cs, &k, fell ? OUTCOME_FAILURE : OUTCOME_SUCCESS, START + 8192);
		if (fell && command_fallback_begin(c, &cs, &k, true, START + 8192) == FALLBACK_RUN)
			command_fallback_end(c, &cs, &k, true, START + 16384);
		command_snapshot(c, &cs, START + 20000, &s);
		buf_clear(&b);
		hystream_command(&b, &s, &cs, 5);
		j = parse(&b);
		assert_int_equal(num(json_object_get(j, "vineLatencyExecuteMicros"), "8192"), fell + 1);
		assert_int_equal(num(json_object_get(j, "vineLatencyTotalMicros"), "16384"), fell);
		assert_int_equal(json_object_get(j, "vineLatencyTotalMicros") != NULL, fell);
		json_decref(j);
	}
	buf_fini(&b);
	command_unref(c);
	command_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_has_every_field),
		cmocka_unit_test(test_command_numbers),
		cmocka_unit_test(test_pool_has_every_field),
		cmocka_unit_test(test_collapser_has_every_field),
		cmocka_unit_test(test_histograms_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
