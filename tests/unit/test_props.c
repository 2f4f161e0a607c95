/* test_props.c - binding, precedence, placeholders, chains, findings. */
#include "test.h"

#include "props/props.h"

static struct prop_entry file_rows[] = {
	{ STR_INIT("zuul.routes.my-Svc.path"), STR_INIT("/m/**"), 1, 1 },
	{ STR_INIT("zuul.routes.other"), STR_INIT("/o/**"), 2, 1 },
	{ STR_INIT("zuul.ribbon_isolation_strategy"), STR_INIT("thread"), 3, 1 },
	{ STR_INIT("hystrix.command.default.circuitBreaker.requestVolumeThreshold"), STR_INIT("7"), 4, 1 },
	{ STR_INIT("hystrix.command.a.b#c(String).circuit-breaker.request-volume-threshold"), STR_INIT("8"), 5, 1 },
	{ STR_INIT("product.ribbon.listOfServers"), STR_INIT("${host}:1, h:2"), 6, 1 },
	{ STR_INIT("ribbon.ReadTimeout"), STR_INIT("250"), 7, 1 },
	{ STR_INIT("host"), STR_INIT("${name:x}1"), 8, 1 },
	{ STR_INIT("zuul.sensitiveHeaders"), STR_INIT(""), 9, 1 },
	{ STR_INIT("eureka.instance.lease-renewal-interval-in-seconds"), STR_INIT("1"), 10, 1 },
};

static struct prop_entry env_rows[] = {
	{ STR_INIT("ZUUL_RIBBON_ISOLATION_STRATEGY"), STR_INIT("semaphore"), 0, 0 },
	{ STR_INIT("name"), STR_INIT("env"), 0, 0 },
	{ STR_INIT("EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"), STR_INIT("http://r/eureka/"), 0, 0 },
};

static struct props *build(void)
{
	struct prop_source s[] = {
		{ .name = STR("systemEnvironment"), .entry = env_rows, .n = ARRAY_LEN(env_rows), .env = true },
		{ .name = STR("vine.yml"), .entry = file_rows, .n = ARRAY_LEN(file_rows) },
	};

	return props_build(s, ARRAY_LEN(s), NULL, 0);
}

static void test_values_and_chains(void **state)
{
	struct props *p = build();
	struct str list[4];

	(void)state;
	assert_true(props_ok(p));
	assert_true(props_enum_is(p, "zuul.ribbon-isolation-strategy", STR("SEMAPHORE")));
	assert_int_equal(props_int_of(p, "hystrix.command.{key}.circuitBreaker.requestVolumeThreshold", STR("zzz")), 7);
	assert_int_equal(props_int_of(p, "hystrix.command.{key}.circuitBreaker.requestVolumeThreshold", STR("a.b#c(String)")), 8);
	assert_int_equal(props_int_of(p, "hystrix.command.{key}.circuitBreaker.errorThresholdPercentage", STR("x")), 50);
	assert_int_equal(props_ms_of(p, "{client}.ribbon.ReadTimeout", STR("product")), 250);
	assert_int_equal(props_ms_of(p, "{client}.ribbon.ConnectTimeout", STR("product")), 1000);
	assert_int_equal(props_list(p, "{client}.ribbon.listOfServers", STR("product"), list, 4), 2);
	assert_str(list[0], STR("env1:1"));
	assert_str(list[1], STR("h:2"));
	assert_int_equal(props_ms(p, "eureka.instance.lease-renewal-interval-in-seconds"), 1000);
	assert_str(props_str_of(p, "eureka.client.service-url.{zone}", STR("defaultZone")), STR("http://r/eureka/"));
	assert_true(props_is_set(p, "zuul.sensitive-headers", STR_EMPTY, false));
	assert_int_equal(props_list(p, "zuul.sensitive-headers", STR_EMPTY, list, 4), 0);
	assert_false(props_is_set(p, "zuul.ignored-headers", STR_EMPTY, false));
	props_unref(p);
}

static void test_keys_keep_their_order_and_case(void **state)
{
	struct props *p = build();
	struct str ids[4];

	(void)state;
	assert_int_equal(props_keys(p, "zuul.routes.", ids, 4), 2);
	assert_str(ids[0], STR("my-Svc"));
	assert_str(ids[1], STR("other"));
	props_unref(p);
}

static void test_faults_have_place_key_and_nearest(void **state)
{
	struct prop_entry rows[] = {
		{ STR_INIT("zuul.semaphore.max-semaphroes"), STR_INIT("5"), 3, 9 },
		{ STR_INIT("zuul.semaphore.max-semaphores"), STR_INIT("many"), 4, 5 },
		{ STR_INIT("spring.datasource.url"), STR_INIT("jdbc:x"), 5, 5 },
		{ STR_INIT("hystrix.command.x.circuitBreaker.sleepWindow"), STR_INIT("1"), 6, 5 },
		{ STR_INIT("a.b"), STR_INIT("${a.c}"), 7, 5 },
		{ STR_INIT("a.c"), STR_INIT("${a.b}"), 8, 5 },
	};
	struct prop_source s = { .name = STR("f.yml"), .entry = rows, .n = ARRAY_LEN(rows) };
	struct props *p = props_build(&s, 1, NULL, 0);
	const struct prop_finding *f;

	(void)state;
	assert_int_equal(props_findings(p, &f), 5);
	assert_str(f[0].text, STR("f.yml:3:9: zuul.semaphore.max-semaphroes = 5: unknown; did you mean zuul.semaphore.max-semaphores?"));
	assert_true(str_find(f[1].text, STR("unknown")) > 0);
	assert_true(str_find(f[2].text, STR("refers to itself")) > 0);
	assert_str(f[4].text, STR("f.yml:4:5: zuul.semaphore.max-semaphores = many: must be a whole number"));
	assert_false(props_ok(p));
	assert_non_null(props_get(p, STR("SPRING.data_source.URL")));
	props_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_and_chains),
		cmocka_unit_test(test_keys_keep_their_order_and_case),
		cmocka_unit_test(test_faults_have_place_key_and_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
