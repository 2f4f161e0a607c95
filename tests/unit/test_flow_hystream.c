/* test_flow_hystream.c - every field that Netflix's readers look for, of the type they look for; read back by jansson. */
#include <jansson.h>
#include <stdio.h>

#include "flow/hystream.h"
#include "test.h"

#define START (INT64_C(100) * USEC_PER_SEC)

static const char *const command_strings[] = { "type", "name", "group", "threadPool",
					       "propertyValue_executionIsolationStrategy" };
static const char *const command_bools[] = {
	"isCircuitBreakerOpen", "propertyValue_circuitBreakerForceOpen", "propertyValue_circuitBreakerForceClosed",
	"propertyValue_circuitBreakerEnabled", "propertyValue_executionIsolationThreadInterruptOnTimeout",
	"propertyValue_requestCacheEnabled", "propertyValue_requestLogEnabled",
};
static const char *const command_ints[] = {
	"currentTime", "errorPercentage", "errorCount", "requestCount", "currentConcurrentExecutionCount",
	"rollingMaxConcurrentExecutionCount", "latencyExecute_mean", "latencyTotal_mean", "reportingHosts",
	"rollingCountBadRequests", "rollingCountCollapsedRequests", "rollingCountEmit", "rollingCountExceptionsThrown",
	"rollingCountFailure", "rollingCountFallbackEmit", "rollingCountFallbackFailure", "rollingCountFallbackMissing",
	"rollingCountFallbackRejection", "rollingCountFallbackSuccess", "rollingCountResponsesFromCache",
	"rollingCountSemaphoreRejected", "rollingCountShortCircuited", "rollingCountSuccess",
	"rollingCountThreadPoolRejected", "rollingCountTimeout", "propertyValue_circuitBreakerRequestVolumeThreshold",
	"propertyValue_circuitBreakerSleepWindowInMilliseconds", "propertyValue_circuitBreakerErrorThresholdPercentage",
	"propertyValue_executionIsolationThreadTimeoutInMilliseconds", "propertyValue_executionTimeoutInMilliseconds",
	"propertyValue_executionIsolationSemaphoreMaxConcurrentRequests",
	"propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests",
	"propertyValue_metricsRollingStatisticalWindowInMilliseconds",
};
static const char *const pool_ints[] = {
	"currentTime", "currentActiveCount", "currentCompletedTaskCount", "currentCorePoolSize",
	"currentLargestPoolSize", "currentMaximumPoolSize", "currentPoolSize", "currentQueueSize", "currentTaskCount",
	"rollingCountThreadsExecuted", "rollingMaxActiveThreads", "rollingCountCommandRejections",
	"propertyValue_queueSizeRejectionThreshold", "propertyValue_metricsRollingStatisticalWindowInMilliseconds",
	"reportingHosts",
};
static const char *const percentiles[] = { "0", "25", "50", "75", "90", "95", "99", "99.5", "100" };

static json_t *parse(const struct buf *b)
{
	json_error_t e;
	json_t *j = json_loadb(b->ptr, b->len, JSON_REJECT_DUPLICATES, &e);

	if (!j)
		fail_msg("%s", e.text);
	return j;
}

static void want_ints(const json_t *j, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!json_is_integer(json_object_get(j, names[i])))
			fail_msg("%s is no integer", names[i]);
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
	const char *nested[] = { "latencyExecute", "latencyTotal" };

	for (size_t i = 0; i < ARRAY_LEN(command_strings); i++)
		if (!json_is_string(json_object_get(j, command_strings[i])))
			fail_msg("%s is no string", command_strings[i]);
	for (size_t i = 0; i < ARRAY_LEN(command_bools); i++)
		if (!json_is_boolean(json_object_get(j, command_bools[i])))
			fail_msg("%s is no boolean", command_bools[i]);
	want_ints(j, command_ints, ARRAY_LEN(command_ints));
	for (size_t i = 0; i < ARRAY_LEN(nested); i++) {
		const json_t *o = json_object_get(j, nested[i]);

		assert_int_equal(json_object_size(o), ARRAY_LEN(percentiles));
		want_ints(o, percentiles, ARRAY_LEN(percentiles));
	}
	assert_true(json_is_null(json_object_get(j, "propertyValue_executionIsolationThreadPoolKeyOverride")));
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

	want_ints(j, pool_ints, ARRAY_LEN(pool_ints));
	assert_int_equal(json_object_size(j), ARRAY_LEN(pool_ints) + 2);
	assert_string_equal(json_string_value(json_object_get(j, "type")), "HystrixThreadPool");
	assert_int_equal(num(j, "currentActiveCount"), 3);
	assert_int_equal(num(j, "currentCompletedTaskCount"), UINT32_MAX + 5ll);
	json_decref(j);
	buf_clear(&b);
	hystream_frame_pool(&b, &p, &ps, 5);
	assert_true(str_has_prefix(buf_str(&b), STR("data: {")));
	assert_true(str_has_suffix(buf_str(&b), STR("}\n\n")));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_has_every_field),
		cmocka_unit_test(test_command_numbers),
		cmocka_unit_test(test_pool_has_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
