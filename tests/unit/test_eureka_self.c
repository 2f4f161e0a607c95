/* test_eureka_self.c - what a process says of itself, and whom it asks, from properties; and the machine's own names. */
#include "test.h"

#include <stdio.h>

#include "eureka/self.h"
#include "http/context.h"
#include "net/txt.h"
#include "props/machine.h"
#include "props/props.h"

#define ROWS_MAX 16

/* "key=value" lines to a picture. */
static struct props *props_of(const char *const *rows)
{
	struct prop_entry entry[ROWS_MAX];
	struct prop_source s = { .name = STR("test.yml"), .entry = entry };

	for (; rows[s.n]; s.n++) {
		struct str rest = str_from(rows[s.n]), name;

		assert_true(s.n < ROWS_MAX && str_cut(&rest, '=', &name));
		entry[s.n] = (struct prop_entry){ name, rest, (unsigned)s.n + 1, 1 };
	}

	struct props *p = props_build(&s, 1, NULL, 0);
	const struct prop_finding *f;
	size_t n = props_findings(p, &f);

	if (n)
		fail_msg("%.*s", STRF(f[0].text));
	return p;
}

#define ROWS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

/* --- the instance --- */

static struct instance *self_of(const char *const *rows, uint16_t management, bool secure)
{
	struct props *p = props_of(rows);
	struct addr at;
	struct contexts paths;
	struct instance d, *i;
	struct arena a;

	arena_init(&a, 4096);
	addr_parse_ip(&at, STR("10.0.0.7"), 8080);
	contexts_read(&paths, p);
	eureka_self(&d, &a, p, STR("orders"), &(struct eureka_place){ .address = &at, .management_port = management, .secure = secure, .paths = &paths });
	i = instance_new(&d);
	arena_fini(&a);
	props_unref(p);
	return i;
}

/* In whole seconds, as it is told. */
static void test_lease(void **state)
{
	static const struct {
		const char *row;
		uint32_t renewal;
	} cases[] = {
		{ "eureka.instance.lease-renewal-interval-in-seconds=7", 7 },
		{ "eureka.instance.lease-renewal-interval-in-seconds=500ms", 1 },
		{ "eureka.instance.lease-renewal-interval-in-seconds=0", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct instance *d = self_of(ROWS(cases[i].row), 0, false);

		assert_int_equal(d->lease.renewal_s, cases[i].renewal);
		instance_unref(d);
	}
}

static void test_ports(void **state)
{
	const struct {
		const char *name;
		const char *const *rows;
		bool secure; /* we speak TLS */
		struct inst_port plain, tls;
		const char *home, *health, *secure_health;
	} cases[] = {
		{ "plain", ROWS("eureka.instance.hostname=h"), false, { 8080, true }, { 443, false }, "http://h:8080/",
		  "http://h:8080/actuator/health", NULL },
		{ "both", ROWS("eureka.instance.hostname=h", "eureka.instance.secure-port-enabled=true", "eureka.instance.secure-port=8443"),
		  false, { 8080, true }, { 8443, true }, "http://h:8080/", "http://h:8080/actuator/health", "https://h:8443/actuator/health" },
		{ "tls alone, told", ROWS("eureka.instance.hostname=h", "eureka.instance.secure-port-enabled=true",
					  "eureka.instance.non-secure-port-enabled=false"),
		  false, { 8080, false }, { 8080, true }, "https://h:8080/", "https://h:8080/actuator/health", "https://h:8080/actuator/health" },
		{ "tls alone, seen", ROWS("eureka.instance.hostname=h"), true, { 8080, false }, { 8080, true }, "https://h:8080/",
		  "https://h:8080/actuator/health", "https://h:8080/actuator/health" },
		{ "tls, and a plain port before it", ROWS("eureka.instance.hostname=h", "eureka.instance.non-secure-port=80"), true, { 80, true },
		  { 8080, true }, "http://h:80/", "http://h:80/actuator/health", "https://h:8080/actuator/health" },
		{ "tls, kept quiet", ROWS("eureka.instance.hostname=h", "eureka.instance.secure-port-enabled=false",
					  "eureka.instance.non-secure-port-enabled=true"),
		  true, { 8080, true }, { 443, false }, "http://h:8080/", "http://h:8080/actuator/health", NULL },
		{ "prefer-ip-address", ROWS("eureka.instance.hostname=h", "eureka.instance.prefer-ip-address=true"), false, { 8080, true },
		  { 443, false }, "http://10.0.0.7:8080/", "http://10.0.0.7:8080/actuator/health", NULL },
		{ "paths and pages", ROWS("eureka.instance.hostname=h", "eureka.instance.home-page-url-path=shop",
					  "eureka.instance.health-check-url=http://x/up", "eureka.instance.secure-health-check-url=https://x/up"),
		  false, { 8080, true }, { 443, false }, "http://h:8080/shop", "http://x/up", "https://x/up" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct instance *in = self_of(cases[i].rows, 0, cases[i].secure);

		if (in->port.port != cases[i].plain.port || in->port.enabled != cases[i].plain.enabled)
			fail_msg("%s: port %u %d", cases[i].name, in->port.port, in->port.enabled);
		if (in->secure_port.port != cases[i].tls.port || in->secure_port.enabled != cases[i].tls.enabled)
			fail_msg("%s: secure port %u %d", cases[i].name, in->secure_port.port, in->secure_port.enabled);
		if (!str_eq(in->home_url, str_from(cases[i].home)) || !str_eq(in->health_url, str_from(cases[i].health)))
			fail_msg("%s: %.*s %.*s", cases[i].name, STRF(in->home_url), STRF(in->health_url));
		if (cases[i].secure_health ? !str_eq(in->secure_health_url, str_from(cases[i].secure_health)) : in->secure_health_url.ptr != NULL)
			fail_msg("%s: %.*s", cases[i].name, STRF(in->secure_health_url));
		instance_unref(in);
	}
}

static void test_names_and_metadata(void **state)
{
	struct instance *in = self_of(ROWS("eureka.instance.hostname=h"), 9090, false);

	(void)state;
	assert_str(in->instance_id, STR("h:orders:8080"));
	assert_str(in->vip, STR("orders"));
	assert_str(instance_meta(in, STR("management.port")), STR("9090"));
	assert_str(in->health_url, STR("http://h:9090/actuator/health"));
	assert_null(in->asg.ptr);
	instance_unref(in);
	in = self_of(ROWS("eureka.instance.hostname=h", "spring.application.instance_id=7", "eureka.instance.metadata-map.management.port=1",
			  "eureka.instance.metadata-map.Zone=X"),
		     0, false);
	assert_str(in->instance_id, STR("h:orders:7"));
	assert_str(instance_meta(in, STR("management.port")), STR("1")); /* what somebody said is not said twice */
	assert_int_equal(in->n_meta, 2);
	instance_unref(in);
}

#define H "eureka.instance.hostname=h"

static void test_paths_before_others(void **state)
{
	const struct {
		const char *name;
		const char *const *rows;
		uint16_t management;
		const char *home, *status, *health, *meta; /* meta NULL: not said */
	} cases[] = {
		{ "none", ROWS(H), 0, "http://h:8080/", "http://h:8080/actuator/info", "http://h:8080/actuator/health", NULL },
		{ "a context path", ROWS(H, "server.servlet.context-path=/ctx"), 0, "http://h:8080/ctx/", "http://h:8080/ctx/actuator/info",
		  "http://h:8080/ctx/actuator/health", "/ctx/actuator" },
		{ "not before a management port", ROWS(H, "server.servlet.context-path=/ctx"), 9, "http://h:8080/ctx/", "http://h:9/actuator/info",
		  "http://h:9/actuator/health", NULL },
		{ "that has its own", ROWS(H, "server.servlet.context-path=/ctx", "management.server.base-path=/m"), 9, "http://h:8080/ctx/",
		  "http://h:9/m/actuator/info", "http://h:9/m/actuator/health", "/m/actuator" },
		{ "which says nothing without the port", ROWS(H, "management.server.base-path=/m"), 0, "http://h:8080/", "http://h:8080/actuator/info",
		  "http://h:8080/actuator/health", NULL },
		{ "endpoints elsewhere", ROWS(H, "server.servlet.context-path=/ctx", "management.endpoints.web.base-path=/manage"), 0,
		  "http://h:8080/ctx/", "http://h:8080/ctx/manage/info", "http://h:8080/ctx/manage/health", "/ctx/manage" },
		{ "endpoints at the top", ROWS(H, "management.endpoints.web.base-path=/"), 9, "http://h:8080/", "http://h:9/info", "http://h:9/health", "/" },
		{ "a path that is set, as Spring joins it", ROWS(H, "server.servlet.context-path=/ctx", "management.endpoints.web.base-path=/manage",
								 "eureka.instance.status-page-url-path=/about",
								 "eureka.instance.health-check-url-path=up"),
		  0, "http://h:8080/ctx/", "http://h:8080/ctx/about", "http://h:8080/ctx/up", "/ctx/manage" },
		{ "one that has the context path in it", ROWS(H, "server.servlet.context-path=/ctx", "eureka.instance.status-page-url-path=/ctx/about",
							      "eureka.instance.health-check-url-path=/ctxx/up"),
		  0, "http://h:8080/ctx/", "http://h:8080/ctx/about", "http://h:8080/ctx/ctxx/up", "/ctx/actuator" },
		{ "below Boot 1's path of the endpoints", ROWS(H, "server.context-path=/ctx", "management.context-path=/manage",
							       "eureka.instance.status-page-url-path=/about"),
		  0, "http://h:8080/ctx/", "http://h:8080/ctx/manage/about", "http://h:8080/ctx/manage/health", "/ctx/manage" },
		{ "a home page that is set stays", ROWS(H, "server.servlet.context-path=/ctx", "eureka.instance.home-page-url-path=/shop"), 0,
		  "http://h:8080/shop", "http://h:8080/ctx/actuator/info", "http://h:8080/ctx/actuator/health", "/ctx/actuator" },
		{ "whole URLs", ROWS(H, "server.servlet.context-path=/ctx", "eureka.instance.home-page-url=http://x/1",
				     "eureka.instance.status-page-url=http://x/2", "eureka.instance.health-check-url=http://x/3"),
		  0, "http://x/1", "http://x/2", "http://x/3", "/ctx/actuator" },
		{ "metadata that is set", ROWS(H, "server.servlet.context-path=/ctx", "eureka.instance.metadata-map.management.context-path=/mine"), 0,
		  "http://h:8080/ctx/", "http://h:8080/ctx/actuator/info", "http://h:8080/ctx/actuator/health", "/mine" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct instance *in = self_of(cases[i].rows, cases[i].management, false);
		struct str meta = instance_meta(in, STR("management.context-path"));

		if (!str_eq(in->home_url, str_from(cases[i].home)) || !str_eq(in->status_url, str_from(cases[i].status)) ||
		    !str_eq(in->health_url, str_from(cases[i].health)))
			fail_msg("%s: %.*s %.*s %.*s", cases[i].name, STRF(in->home_url), STRF(in->status_url), STRF(in->health_url));
		if (cases[i].meta ? !str_eq(meta, str_from(cases[i].meta)) : meta.ptr != NULL)
			fail_msg("%s: metadata %.*s", cases[i].name, STRF(meta));
		instance_unref(in);
	}
}

static void test_amazon(void **state)
{
	struct instance *in = self_of(ROWS("eureka.instance.data-center-info.name=Amazon", "eureka.instance.data-center-info.metadata.instance-id=i-9",
					   "eureka.instance.data-center-info.metadata.local-ipv4=10.1.1.1",
					   "eureka.instance.data-center-info.metadata.public-hostname=ec2.test",
					   "eureka.instance.data-center-info.metadata.availability-zone=eu-1a",
					   "eureka.instance.default-address-resolution-order=ipv6,publicHostname,localIpv4"),
				      0, false);

	(void)state;
	assert_int_equal(in->dc, DC_AMAZON);
	assert_str(in->host, STR("ec2.test"));
	assert_str(in->ip, STR("10.1.1.1"));
	assert_str(instance_zone(in), STR("eu-1a"));
	instance_unref(in);
	in = self_of(ROWS("eureka.instance.data-center-info.name=netflix", "eureka.instance.data-center-info.metadata.instance-id=i-9"), 0, false);
	assert_int_equal(in->dc, DC_NETFLIX);
	assert_int_equal(in->n_dc_meta, 0); /* a Java server refuses metadata there */
	instance_unref(in);
}

/* --- whom it asks --- */

static void test_zones(void **state)
{
	const struct {
		const char *name;
		const char *const *rows;
		const char *want; /* zone=urls, an own one with a star */
	} cases[] = {
		{ "nothing said", ROWS("spring.application.name=x"), "*defaultZone=http://localhost:8761/eureka/" },
		{ "default zone", ROWS("eureka.client.service-url.defaultZone=http://a/"), "*defaultZone=http://a/" },
		{ "the first is the own", ROWS("eureka.client.availability-zones.us-east-1=n,s", "eureka.client.service-url.n=http://n/",
					       "eureka.client.service-url.s=http://s/"), "*n=http://n/ s=http://s/" },
		{ "metadata names it", ROWS("eureka.client.availability-zones.us-east-1=n,s", "eureka.client.service-url.n=http://n/",
					    "eureka.client.service-url.s=http://s/", "eureka.instance.metadata-map.zone=s"), "n=http://n/ *s=http://s/" },
		{ "metadata names none of them", ROWS("eureka.client.availability-zones.us-east-1=n,s", "eureka.client.service-url.n=http://n/",
						      "eureka.client.service-url.s=http://s/", "eureka.instance.metadata-map.zone=x"),
		  "*n=http://n/ s=http://s/" },
		{ "another region", ROWS("eureka.client.region=eu", "eureka.client.availability-zones.us-east-1=n",
					 "eureka.client.availability-zones.eu[0]=e", "eureka.client.service-url.e=http://e/"), "*e=http://e/" },
		{ "none of its own: the default's", ROWS("eureka.client.availability-zones.us-east-1=n,s", "eureka.client.service-url.s=http://s/",
							 "eureka.client.service-url.defaultZone=http://d/"), "*n=http://d/ s=http://s/" },
		{ "no preference", ROWS("eureka.client.availability-zones.us-east-1=n,s", "eureka.client.service-url.s=http://s/",
					"eureka.client.service-url.n=http://n/", "eureka.client.prefer-same-zone-eureka=false"),
		  "*n=http://n/ *s=http://s/" },
		{ "case counts", ROWS("eureka.client.availability-zones.us-east-1=N", "eureka.client.service-url.n=http://n/",
				      "eureka.client.service-url.defaultZone=http://d/"), "*N=http://d/" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct props *p = props_of(cases[i].rows);
		struct eureka_client_settings s;
		struct buf b = BUF_INIT(4096);

		eureka_settings(&s, p, 1);
		for (unsigned k = 0; k < s.n_zones; k++)
			buf_addf(&b, "%s%s%.*s=%.*s", k ? " " : "", s.zone[k].own ? "*" : "", STRF(s.zone[k].name), STRF(s.zone[k].urls));
		if (!str_eq(buf_str(&b), str_from(cases[i].want)))
			fail_msg("%s: %.*s, want %s", cases[i].name, STRF(buf_str(&b)), cases[i].want);
		buf_fini(&b);
		props_unref(p);
	}
}

static void test_zones_that_nobody_asks(void **state)
{
	struct props *p = props_of(ROWS("eureka.client.availability-zones.us-east-1=n", "eureka.client.service-url.n=http://n/",
					"eureka.client.service-url.N=http://N/", "eureka.client.service-url.defaultZone=http://d/"));
	struct str zone[4];

	(void)state;
	assert_int_equal(eureka_unused_zones(p, zone, 4), 1);
	assert_str(zone[0], STR("N"));
	props_unref(p);
}

/* --- the serviceregistry endpoint's body --- */

static void test_override_bodies(void **state)
{
	static const struct {
		const char *body;
		bool good;
		enum eureka_question q;
		enum inst_status s;
	} cases[] = {
		{ "{\"status\":\"OUT_OF_SERVICE\"}", true, EUREKA_OVERRIDE, INST_OUT_OF_SERVICE },
		{ " up\n", true, EUREKA_OVERRIDE, INST_UP },
		{ "{\"status\":\"cancel_override\"}", true, EUREKA_CANCEL_OVERRIDE, INST_UNKNOWN },
		{ "CANCEL_OVERRIDE", true, EUREKA_CANCEL_OVERRIDE, INST_UNKNOWN },
		{ "", false }, { "{}", false }, { "{\"status\":1}", false }, { "{\"status\":\"UP\"", false }, { "UPWARDS", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum eureka_question q;
		enum inst_status s;
		bool good = eureka_override_parse(str_from(cases[i].body), &q, &s);

		if (good != cases[i].good || (good && (q != cases[i].q || s != cases[i].s)))
			fail_msg("%s: %d", cases[i].body, good);
	}
}

/* --- the machine --- */

static void test_machine_names(void **state)
{
	static const char *const not_there[] = { "random.", "random.colour", "random.int(0)", "random.int(5,5)", "random.int(x)",
						 "random.int(", "spring.cloud.client", "hostname" };
	struct arena a;
	struct str x, y;
	int64_t n;

	(void)state;
	arena_init(&a, 1024);
	assert_true(machine_property(&a, STR("spring.cloud.client.hostname"), &x) && x.len);
	assert_true(machine_property(&a, STR("spring.cloud.client.ip-address"), &x) && str_chr(x, '.') > 0);
	assert_true(machine_property(&a, STR("random.value"), &x) && x.len == 32);
	assert_true(machine_property(&a, STR("random.value"), &y) && str_eq(x, y)); /* a reload does not draw again */
	assert_true(machine_property(&a, STR("random.uuid"), &x) && x.len == 36 && x.ptr[14] == '4');
	for (int i = 2; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "random.int(%d,%d)", i, i + 3);
		assert_true(machine_property(&a, str_from(name), &x) && str_to_i64(x, &n) && n >= i && n < i + 3);
	}
	assert_true(machine_property(&a, STR("random.long"), &x) && str_to_i64(x, &n) && n >= 0);
	for (size_t i = 0; i < ARRAY_LEN(not_there); i++) {
		if (machine_property(&a, str_from(not_there[i]), &x))
			fail_msg("%s: %.*s", not_there[i], STRF(x));
	}
	arena_fini(&a);

	struct props *p = props_of(ROWS("spring.application.name=shop", "eureka.instance.instance-id=${spring.application.name}:${random.int(7,8)}"));

	assert_str(props_str(p, "eureka.instance.instance-id"), STR("shop:7"));
	props_unref(p);
}

/* --- TXT --- */

static void test_txt_answers(void **state)
{
#define HEAD "\x12\x34\x81\x80\0\1\0\1\0\0\0\0\1x\0\0\x10\0\1"
#define TXT "\xc0\x0c\0\x10\0\1\0\0\0\x3c"
	static const struct {
		struct str message;
		int code;
		const char *want;
	} cases[] = {
		{ STR_INIT(HEAD TXT "\0\4\3a.b"), 0, "a.b " },
		{ STR_INIT(HEAD TXT "\0\x0d\6a  \"b\"\0\4c\td\""), 0, "a b c d " },
		{ STR_INIT(HEAD "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"), 0, "" }, /* a CNAME */
		{ STR_INIT(HEAD TXT "\0\3\xff" "ab"), 0, "" }, /* a text that is longer than its record */
		{ STR_INIT(HEAD TXT "\0\x09\3a.b"), VINE_EINVAL, "" },
		{ STR_INIT("\x12\x34"), VINE_EINVAL, "" },
		{ STR_INIT(""), VINE_EINVAL, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct txt_words *w = xzalloc(sizeof(*w));
		struct buf b = BUF_INIT(4096);
		int r = txt_parse(w, cases[i].message);

		for (unsigned k = 0; k < w->n; k++)
			buf_addf(&b, "%s ", w->word[k]);
		if (r != cases[i].code || !str_eq(buf_str(&b), str_from(cases[i].want)))
			fail_msg("case %zu: %d \"%.*s\"", i, r, STRF(buf_str(&b)));
		buf_fini(&b);
		free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_names_and_metadata),
		cmocka_unit_test(test_paths_before_others),
		cmocka_unit_test(test_amazon),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_zones_that_nobody_asks),
		cmocka_unit_test(test_override_bodies),
		cmocka_unit_test(test_machine_names),
		cmocka_unit_test(test_txt_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
