/* test_check.c - the catalogue's own soundness, the report of `vine check`, the reference page. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/yaml.h"
#include "flow/properties.h"
#include "props/check.h"
#include "props/reference.h"
#include "ribbon/report.h"

static struct props *props_of(const char *yaml)
{
	struct arena a;
	struct flat f;
	struct prop_source s = { .name = STR("vine.yml") };
	struct props *p;

	arena_init(&a, 4096);
	flat_init(&f, &a);
	assert_int_equal(yaml_read(&f, str_from(yaml), NULL), 0);
	s.entry = arena_alloc(&a, (f.len + 1) * sizeof(*s.entry));
	for (size_t i = 0; i < f.len; i++)
		s.entry[s.n++] = (struct prop_entry){ f.items[i].key, f.items[i].value, f.items[i].line, f.items[i].col };
	p = props_build(&s, 1, NULL, 0);
	arena_fini(&a);
	return p;
}

static size_t report(const char *yaml, struct buf *out)
{
	struct props *p = props_of(yaml);
	size_t wrong;

	buf_clear(out);
	wrong = check_report(out, p, flow_properties_report);
	props_unref(p);
	assert_false(out->failed);
	return wrong;
}

static bool says(const struct buf *b, const char *text)
{
	return str_find(buf_str(b), str_from(text)) >= 0;
}

#define assert_says(b, text)                                                                                           \
	do {                                                                                                           \
		if (!says(b, text))                                                                                    \
			fail_msg("\"%s\" is not in:\n%.*s", text, STRF(buf_str(b)));                                    \
	} while (0)

/* --- the catalogue --- */

static void test_rows_are_sound(void **state)
{
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		const struct prop_desc *d = &prop_catalogue[i];
		struct err e = { 0 };

		if (!d->doc || !d->doc[0])
			fail_msg("%s has no documentation", d->name);
		if ((d->state != PROP_HONOURED) != (d->note != NULL))
			fail_msg("%s: a note belongs to what is not simply honoured, and to nothing else", d->name);
		if (d->type == PROP_ENUM && !d->values)
			fail_msg("%s has no values", d->name);
		if (d->def && d->def[0] && prop_validate(d, str_from(d->def), &e) < 0)
			fail_msg("%s: the default %s: %s", d->name, d->def, e.text);
		for (size_t k = i + 1; k < prop_catalogue_len; k++)
			if (strcmp(d->name, prop_catalogue[k].name) == 0)
				fail_msg("%s is there twice", d->name);
	}
}

/* Each row is found by its own name, however it is spelt, with the user's part kept. */
static void test_rows_are_found(void **state)
{
	struct arena a;

	arena_init(&a, 4096);
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		const struct prop_desc *d = &prop_catalogue[i];
		struct str name = prop_canonical(&a, d, STR("My-Svc_1")), key;
		int index;
		_cleanup_(freep) char *upper = str_dup(name);

		if (prop_desc_find(name, &key, &index) != d)
			fail_msg("%.*s does not lead to %s", STRF(name), d->name);
		assert_str(key, strchr(d->name, '{') ? STR("My-Svc_1") : STR_EMPTY);
		if (strchr(d->name, '{'))
			continue;
		for (size_t k = 0; k < name.len; k++)
			upper[k] = ascii_upper(upper[k]);
		if (prop_desc_find(str_of(upper, name.len), &key, &index) != d)
			fail_msg("%s does not lead to its row", upper);
	}
	arena_fini(&a);
}

static void test_finding(void **state)
{
	static const struct {
		const char *name, *row, *key;
		int index;
	} cases[] = {
		{ "zuul.ribbonIsolationStrategy", "zuul.ribbon-isolation-strategy", "", -1 },
		{ "zuul.ribbon_isolation_strategy", "zuul.ribbon-isolation-strategy", "", -1 },
		{ "zuul.routes.my-Svc.serviceId", "zuul.routes.{id}.service-id", "my-Svc", -1 },
		{ "zuul.routes[a.b].path", NULL, "", -1 },
		{ "zuul.routes.[a.b].path", "zuul.routes.{id}.path", "a.b", -1 },
		{ "zuul.routes.x", "zuul.routes.{id}", "x", -1 },
		{ "zuul.routes.x.pth", NULL, "", -1 },
		{ "zuul.ignored-services[2]", "zuul.ignored-services", "", 2 },
		{ "zuul.prefix[0]", NULL, "", -1 },
		{ "a.b.ribbon.listOfServers[1]", "{client}.ribbon.listOfServers", "a.b", 1 },
		{ "ribbon.ReadTimeout", "ribbon.ReadTimeout", "", -1 },
		{ "hystrix.command.A#b(String,int).execution.timeout.enabled", "hystrix.command.{key}.execution.timeout.enabled",
		  "A#b(String,int)", -1 },
		{ "zuul.SendErrorFilter.error.disable", "zuul.{filter}.disable", "SendErrorFilter.error", -1 },
		{ "eureka.client.serviceUrl.defaultZone", "eureka.client.service-url.{zone}", "defaultZone", -1 },
		{ "logging.level.com.example.Shop", "logging.level.{logger}", "com.example.Shop", -1 },
		{ "my.own.key", NULL, "", -1 },
		{ "", NULL, "", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str key;
		int index;
		const struct prop_desc *d = prop_desc_find(str_from(cases[i].name), &key, &index);

		if (cases[i].row ? !d || strcmp(d->name, cases[i].row) != 0 : d != NULL)
			fail_msg("%s leads to %s", cases[i].name, d ? d->name : "nothing");
		if (d) {
			assert_str(key, str_from(cases[i].key));
			assert_int_equal(index, cases[i].index);
		}
	}
}

static void test_owned(void **state)
{
	static const struct {
		const char *name;
		bool owned;
	} cases[] = {
		{ "zuul.x", true },	       { "Zuul.x", true },	      { "vine.x.y", true },
		{ "feign.x", true },	       { "product.ribbon.Foo", true }, { "a.b.ribbon.Foo", true },
		{ "ribbon", false },	       { "my.ribbon", false },	      { "spring.cloud.loadbalancer.ribbon.enabled", false },
		{ "management.x", false },     { "zuulish.x", false },	      { "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (prop_is_owned(str_from(cases[i].name)) != cases[i].owned)
			fail_msg("%s", cases[i].name);
}

static void test_nearest(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "zuul.prefx", "zuul.prefix" },
		{ "zuul.routes.shop.pth", "zuul.routes.shop.path" },
		{ "product.ribbon.ReadTimeOuts", "product.ribbon.ReadTimeout" },
		{ "hystrix.command.a.b.circuitBreaker.enabeld", "hystrix.command.a.b.circuitBreaker.enabled" },
		{ "vine.gatway.access-log", "vine.gateway.access-log" },
		{ "vine.something.quite.different.from.all", "" },
	};
	struct arena a;

	arena_init(&a, 4096);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_str(prop_nearest(&a, str_from(cases[i].name)), str_from(cases[i].want));
	arena_fini(&a);
}

static void test_values(void **state)
{
	static const struct {
		const char *row, *value, *error; /* NULL: fine */
	} cases[] = {
		{ "zuul.retryable", "yes", NULL },
		{ "zuul.retryable", "maybe", "must be true or false" },
		{ "server.port", "0", NULL },
		{ "server.port", "65536", "must be between 0 and 65535" },
		{ "server.port", "80a", "must be a whole number" },
		{ "ribbon.ReadTimeout", "PT1M", NULL },
		{ "ribbon.ReadTimeout", "2 s", NULL },
		{ "ribbon.ReadTimeout", "2h", "must be between 1 and 3600000" },
		{ "ribbon.ReadTimeout", "2y", "must be a time, such as 500, 500ms or 5s" },
		{ "ribbon.ReadTimeout", "99999999999999999999", "must be a time, such as 500, 500ms or 5s" },
		{ "eureka.instance.lease-renewal-interval-in-seconds", "500ms", NULL },
		{ "eureka.instance.lease-renewal-interval-in-seconds", "9223372036854775807",
		  "must be a time, such as 30 (seconds), 30s or 500ms" },
		{ "vine.gateway.replay-buffer", "1MB", NULL },
		{ "vine.gateway.replay-buffer", "1GB", "must be between 0 and 16777216" },
		{ "vine.gateway.replay-buffer", "9000000000GB", "must be a size, such as 16384 or 16KB" },
		{ "vine.log.format", "JSON", NULL },
		{ "vine.log.format", "xml", "must be one of: logfmt json" },
		{ "vine.trace.sample-rate", "0.5", NULL },
		{ "vine.trace.sample-rate", "half", "must be a number" },
		{ "eureka.server.renewal-percent-threshold", "85", "must be between 0 and 1" },
		{ "eureka.server.renewal-percent-threshold", "-0.1", "must be between 0 and 1" },
		{ "eureka.server.renewal-percent-threshold", "nan", "must be between 0 and 1" },
		{ "eureka.server.renewal-percent-threshold", "1.0", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };
		int r = prop_validate(prop_desc_named(cases[i].row), str_from(cases[i].value), &e);

		if ((r < 0) != (cases[i].error != NULL) || (r < 0 && strcmp(e.text, cases[i].error) != 0))
			fail_msg("%s = %s: %d %s", cases[i].row, cases[i].value, r, e.text);
	}
}

/* --- vine check --- */

static void test_report_of_a_zuul_file(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	size_t wrong = report("spring:\n"
			      "  application:\n    name: gw\n"
			      "  datasource: {url: 'jdbc:x', password: hunter2}\n"
			      "zuul:\n"
			      "  ignored-services: '*'\n"
			      "  servletPath: /zuul\n"
			      "  routes:\n    product: /p/**\n    m: {path: /m/**, serviceId: member}\n"
			      "    l: {path: /**, url: 'http://u:hunter3@legacy:8080/'}\n"
			      "ribbon: {ReadTimeout: 3000}\n"
			      "product.ribbon.MaxAutoRetriesNextServer: 2\n"
			      "hystrix.command.member.execution.isolation.thread.timeoutInMilliseconds: 20000\n"
			      "hystrix.command.product.execution.isolation.thread.timeoutInMilliseconds: 5000\n",
			      &b);

	assert_int_equal(wrong, 1);
	assert_says(&b, "TOO LOW  product: (ConnectTimeout 1000 + ReadTimeout 3000) * (MaxAutoRetries 0 + 1) * "
			"(MaxAutoRetriesNextServer 2 + 1) = 12000 ms, but hystrix ends the command after 5000 ms");
	assert_says(&b, "fits     member: ");
	assert_says(&b, "= 8000 ms, within the hystrix time-out of 20000 ms");
	assert_false(says(&b, " l: (Connect"));
	assert_says(&b, "honoured\n  vine.yml:3:11: spring.application.name = gw\n");
	assert_says(&b, "without effect\n  vine.yml:7:16: zuul.servlet-path = /zuul  (no upload is buffered)\n");
	assert_says(&b, "foreign: kept and served, not used by Vine\n  vine.yml:4:21: spring.datasource.url = jdbc:x\n");
	assert_false(says(&b, "hunter"));
	assert_says(&b, "vine.gateway.trusted-proxies");
	assert_says(&b, "1 wrong\n");
	buf_fini(&b);
}

/* In a shared file a tight command of one program must not stop another. */
static const struct {
	const char *yaml;
	bool gateway, client;            /* stopped? */
	int gateway_others, client_others; /* how many are only told of */
} shared_files[] = {
	{ "hystrix.command.sql.execution.isolation.thread.timeoutInMilliseconds: 50\n", false, false, 1, 1 },
	{ "zuul.routes.sql: /s/**\n"
	  "hystrix.command.sql.execution.isolation.thread.timeoutInMilliseconds: 50\n", true, false, 0, 1 },
	{ "zuul.routes.s: {path: /s/**, serviceId: sql}\n"
	  "hystrix.command.s.execution.isolation.thread.timeoutInMilliseconds: 50\n", false, false, 1, 1 },
	{ "sql.ribbon.ReadTimeout: 100\n"
	  "hystrix.command.sql.execution.isolation.thread.timeoutInMilliseconds: 50\n", true, true, 0, 0 },
	{ "sql.ribbon.ReadTimeout: 100\neureka.client.enabled: false\n"
	  "hystrix.command.sql.execution.isolation.thread.timeoutInMilliseconds: 50\n", false, true, 1, 0 },
	{ "zuul.routes.sql: /s/**\nhystrix.command.default.execution.isolation.thread.timeoutInMilliseconds: 50\n", true, false, 0, 1 },
	{ "hystrix.command.a.execution.isolation.thread.timeoutInMilliseconds: 50\n"
	  "hystrix.command.b.execution.isolation.thread.timeoutInMilliseconds: 60\n"
	  "hystrix.command.c.execution.isolation.thread.timeoutInMilliseconds: 60000\n", false, false, 2, 2 },
};

static void count_told(void *ctx, const struct err *why)
{
	assert_true(str_find(str_from(why->text), STR("but hystrix ends the command after")) > 0);
	++*(int *)ctx;
}

static void test_whose_time_outs_must_fit(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(shared_files); i++) {
		struct props *p = props_of(shared_files[i].yaml);
		int gateway = 0, client = 0;
		struct err e;

		assert_int_equal(check_times(p, CHECK_GATEWAY, &e), shared_files[i].gateway ? VINE_EINVAL : 0);
		assert_int_equal(check_times(p, CHECK_CLIENT, &e), shared_files[i].client ? VINE_EINVAL : 0);
		check_times_others(p, CHECK_GATEWAY, count_told, &gateway);
		check_times_others(p, CHECK_CLIENT, count_told, &client);
		assert_int_equal(gateway, shared_files[i].gateway_others);
		assert_int_equal(client, shared_files[i].client_others);
		props_unref(p);
	}
}

static void test_a_command_that_is_no_service_is_not_wrong(void **state)
{
	struct buf b = BUF_INIT(1 << 20);

	assert_int_equal(report(shared_files[0].yaml, &b), 0);
	assert_says(&b, "  perhaps  sql: (ConnectTimeout 1000");
	assert_says(&b, "after 50 ms: too low if it is a service, which no route or ribbon key says\n");
	assert_int_equal(report(shared_files[4].yaml, &b), 1); /* some program's it is */
	assert_says(&b, "TOO LOW  sql: ");
	buf_fini(&b);
}

/* What ribbon/report adds. */
static void test_report_of_clients(void **state)
{
	static const struct {
		const char *yaml, *says; /* NULL: fine */
	} cases[] = {
		{ "a.ribbon.listOfServers: 'x:1,nix:port'\n", "  WRONG    vine.yml:1:25: a.ribbon.listOfServers: 'nix:port' is not host:port\n" },
		{ "vine.loadbalancer.default.hash-key: nix\n",
		  "  WRONG    vine.yml:1:37: vine.loadbalancer.default.hash-key = nix: must be header:NAME, cookie:NAME, address or path\n" },
		{ "vine.loadbalancer.a.hash-balance-percent: 50\n", "vine.loadbalancer.a.hash-balance-percent = 50: below 100" },
		{ "a.ribbon.retryableStatusCodes: 5xx\n", "'5xx' is not a status" },
		{ "a.ribbon.NFLoadBalancerRuleClassName: /nowhere/x.so:y\n",
		  "  WRONG    vine.yml:1:39: a.ribbon.NFLoadBalancerRuleClassName = /nowhere/x.so:y: /nowhere/x.so is not there" },
		{ "vine.loadbalancer.a.client-config: ./x.so:y\n", "vine.loadbalancer.a.client-config = ./x.so:y: ./x.so is not there" },
		{ "a.ribbon.listOfServers: 'x:1'\nribbon.NFLoadBalancerRuleClassName: maglev\n", NULL },
	};
	struct buf b = BUF_INIT(1 << 20);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct props *p = props_of(cases[i].yaml);

		buf_clear(&b);
		assert_int_equal(ribbon_report(&b, p, true), cases[i].says != NULL);
		if (cases[i].says)
			assert_says(&b, cases[i].says);
		props_unref(p);
	}

	struct props *p = props_of(cases[4].yaml);

	buf_clear(&b);
	assert_int_equal(ribbon_report(&b, p, false), 0);
	assert_says(&b, "  note     1 table of your own was not looked at\n");
	props_unref(p);
	buf_fini(&b);
}

static void test_report_of_faults(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	size_t wrong = report("zuul.prefx: /api\n"
			      "hystrix.command.a.metrics.rollingStats.numBuckets: 7\n"
			      "vine.command.a.half-open-trials: 2\n" /* the same key: told once */
			      "vine.command.b.count-window: 3\n"
			      "hystrix.threadpool.c.coreSize: 12\n"
			      "hystrix.threadpool.c.maximumSize: 10\n"
			      "hystrix.threadpool.c.allowMaximumSizeToDivergeFromCoreSize: true\n"
			      "hystrix.collapser.default.metrics.rollingPercentile.numBuckets: 7\n"
			      "eureka.instance: {lease-renewal-interval-in-seconds: 90}\n"
			      "a.ribbon.MaxAutoRetries: 9223372036854775807\n",
			      &b);

	assert_int_equal(wrong, 7);
	assert_says(&b, "error    vine.yml:1:13: zuul.prefx = /api: unknown; did you mean zuul.prefix?\n");
	assert_says(&b, "WRONG    hystrix.command.a.metrics.rollingStats.timeInMilliseconds: 10000 ms do not divide into 7 buckets\n");
	assert_says(&b, "WRONG    vine.command.b.count-window is 3: must be at least circuitBreaker.requestVolumeThreshold (20)");
	assert_says(&b, "WRONG    hystrix.threadpool.c.maximumSize is 10: must be from 12 to 65536\n");
	assert_says(&b, "WRONG    hystrix.collapser.default.metrics.rollingPercentile.timeInMilliseconds: 60000 ms do not divide into 7");
	assert_says(&b, "a heartbeat each 90000 ms keeps no lease of 90000 ms alive");
	assert_says(&b, "must be between 0 and 16");
	assert_int_equal(report("", &b), 0);
	assert_says(&b, "0 keys");
	buf_fini(&b);
}

/* A fault must not tell what it is about. */
static void test_faults_hide_secrets(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	size_t wrong = report("vine.managment.pasword: hunter1\n"
			      "vine.management.pass-word: hunter2\n"
			      "eureka.client.servce-url: 'http://u:hunter3@h/'\n"
			      "vine.nothing.api-key: hunter4\n"
			      "vine.management.password: '${hunter}'\n",
			      &b);

	assert_int_equal(wrong, 4); /* pass-word is password, given twice: the later holds, and its placeholder is unknown */
	assert_false(says(&b, "hunter1") || says(&b, "hunter2") || says(&b, "hunter3") || says(&b, "hunter4"));
	assert_says(&b, "vine.managment.pasword = ******: unknown; did you mean vine.management.password?");
	buf_fini(&b);
}

static void test_many_faults_are_bounded(void **state)
{
	struct buf yaml = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	const struct prop_finding *f;
	struct props *p;

	for (int i = 0; i < 3000; i++)
		buf_addf(&yaml, "vine.nothing%d: 1\n", i);
	buf_addc(&yaml, '\0');
	p = props_of(yaml.ptr);
	assert_int_equal(props_findings(p, &f), 101);
	assert_str(f[100].text, STR("and further faults that are not shown"));
	assert_false(props_ok(p));
	props_unref(p);
	buf_fini(&yaml);
	buf_fini(&out);
}

/* --- the page --- */

/* docs/properties.md is what the catalogue says. VINE_UPDATE=1 writes it anew. */
static void test_reference_page(void **state)
{
	const char *root = getenv("VINE_SOURCE");
	struct buf want = BUF_INIT(1 << 20), got = BUF_INIT(1 << 20);
	char path[4096];
	FILE *file;

	if (!root)
		skip();
	reference_write(&want);
	assert_false(want.failed);
	snprintf(path, sizeof(path), "%s/docs/properties.md", root);
	if (getenv("VINE_UPDATE")) {
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(want.ptr, 1, want.len, file), want.len);
		fclose(file);
	}
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(buf_reserve(&got, want.len + 1));
	got.len = fread(got.ptr, 1, want.len + 1, file);
	fclose(file);
	if (!str_eq(buf_str(&got), buf_str(&want)))
		fail_msg("docs/properties.md is not what the catalogue says; write it anew with VINE_UPDATE=1");
	buf_fini(&want);
	buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_sound),
		cmocka_unit_test(test_rows_are_found),
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_owned),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_report_of_a_zuul_file),
		cmocka_unit_test(test_whose_time_outs_must_fit),
		cmocka_unit_test(test_a_command_that_is_no_service_is_not_wrong),
		cmocka_unit_test(test_report_of_clients),
		cmocka_unit_test(test_report_of_faults),
		cmocka_unit_test(test_faults_hide_secrets),
		cmocka_unit_test(test_many_faults_are_bounded),
		cmocka_unit_test(test_reference_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
