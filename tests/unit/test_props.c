/* test_props.c - binding, precedence, placeholders, chains, findings. */
#include "test.h"

#include "props/placeholder.h"
#include "props/props.h"
#include "props/relax.h"

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

/* --- relaxed names --- */

static void test_relaxed_names(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "ribbonIsolationStrategy", "ribbon-isolation-strategy", true },
		{ "ribbon_isolation_strategy", "RIBBON-ISOLATION-STRATEGY", true },
		{ "a.b", "ab", false },
		{ "a", "a-", true },
		{ "", "-", true },
		{ "a", "", false },
		{ "a[0]", "a[1]", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str a = str_from(cases[i].a), b = str_from(cases[i].b);

		if (relax_eq(a, b) != cases[i].same || relax_eq(b, a) != cases[i].same)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	}
	assert_true(relax_env_eq(STR("ZUUL_RIBBONISOLATIONSTRATEGY"), STR("zuul.ribbon-isolation-strategy")));
	assert_true(relax_env_eq(STR("ZUUL_RIBBON_ISOLATION_STRATEGY"), STR("zuul.ribbon-isolation-strategy")));
	assert_false(relax_env_eq(STR("ZUUL_RIBBON"), STR("zuul.ribbon-isolation-strategy")));
	assert_int_equal(relax_prefix(STR("zuul.Routes.x"), STR("zuul.routes.")), 12);
	assert_true(relax_prefix(STR("zuul.rout"), STR("zuul.routes.")) == SIZE_MAX);
	assert_int_equal(relax_suffix(STR("x.readTimeout"), STR(".read-timeout")), 1);
	assert_true(relax_suffix(STR("Timeout"), STR(".read-timeout")) == SIZE_MAX);
}

/* --- placeholders --- */

static bool lookup_some(void *ctx, struct str name, struct str *ret)
{
	static const struct {
		struct str name, value;
	} known[] = {
		{ STR_INIT("a"), STR_INIT("A") },	     { STR_INIT("b"), STR_INIT("<${a}>") },
		{ STR_INIT("key"), STR_INIT("a") },	     { STR_INIT("loop"), STR_INIT("x${pool}") },
		{ STR_INIT("pool"), STR_INIT("${loop}") },   { STR_INIT("self"), STR_INIT("${self:never}") },
		{ STR_INIT("empty"), STR_INIT("") },	     { STR_INIT("x0"), STR_INIT("${x1}${x1}${x1}${x1}${x1}${x1}") },
		{ STR_INIT("x1"), STR_INIT("${x2}${x2}${x2}${x2}${x2}${x2}") },
		{ STR_INIT("x2"), STR_INIT("${x3}${x3}${x3}${x3}${x3}${x3}") },
		{ STR_INIT("x3"), STR_INIT("${x4}${x4}${x4}${x4}${x4}${x4}") },
		{ STR_INIT("x4"), STR_INIT("${x5}${x5}${x5}${x5}${x5}${x5}") },
		{ STR_INIT("x5"), STR_INIT("0123456789") },
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (str_eq(known[i].name, name)) {
			*ret = known[i].value;
			return true;
		}
	}
	return false;
}

static void test_placeholders(void **state)
{
	static const struct {
		const char *text, *want, *error;
	} cases[] = {
		{ "plain", "plain", NULL },
		{ "${a}", "A", NULL },
		{ "-${b}-${ a }", "-<A>-A", NULL },
		{ "${no:d}", "d", NULL },
		{ "${no:}", "", NULL },
		{ "${empty:d}", "", NULL },
		{ "${no:${a}:${nope:x}}", "A:x", NULL },
		{ "${${key}}", "A", NULL },
		{ "${no:http://h:80/}", "http://h:80/", NULL },
		{ "\\${a}", "${a}", NULL },
		{ "${a", "${a", NULL },
		{ "$a {b} $", "$a {b} $", NULL },
		{ "${no}", NULL, "placeholder 'no' has no value and no default" },
		{ "${loop}", NULL, "refers to itself" },
		{ "${self}", NULL, "refers to itself" },
		{ "${x0}", NULL, "too" },
	};
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got = STR("untouched");
		struct err e = { 0 };
		int r = placeholder_resolve(&a, str_from(cases[i].text), lookup_some, NULL, &got, &e);

		if (cases[i].error ? r >= 0 || !strstr(e.text, cases[i].error) : r < 0)
			fail_msg("%s: %d %s", cases[i].text, r, e.text);
		assert_str(got, cases[i].want ? str_from(cases[i].want) : STR("untouched"));
	}
	arena_fini(&a);
}

/* Nested in the text itself, deeper than allowed: an error, not a deep stack. */
static void test_placeholder_depth(void **state)
{
	char text[3 * 4000 + 1];
	struct str got;
	struct arena a;

	(void)state;
	for (size_t i = 0; i < 4000; i++)
		memcpy(text + 2 * i, "${", 2);
	memset(text + 8000, '}', 4000);
	text[12000] = '\0';
	arena_init(&a, 4096);
	assert_int_equal(placeholder_resolve(&a, str_from(text), lookup_some, NULL, &got, NULL), VINE_ELIMIT);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_and_chains),
		cmocka_unit_test(test_keys_keep_their_order_and_case),
		cmocka_unit_test(test_faults_have_place_key_and_nearest),
		cmocka_unit_test(test_relaxed_names),
		cmocka_unit_test(test_placeholders),
		cmocka_unit_test(test_placeholder_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
