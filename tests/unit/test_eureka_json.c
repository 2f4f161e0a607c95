/* test_eureka_json.c - what clients send is understood; what is written is exactly what Java clients demand. */
#include "test.h"

#include <stdio.h>

#include "eureka/json.h"

static char *encode(const struct instance *i, bool mini)
{
	struct buf b = BUF_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &b);
	if (mini)
		instance_json_write_mini(&w, i);
	else
		instance_json_write(&w, i);
	return buf_take(&b);
}

#define DC "\"dataCenterInfo\":{\"@class\":\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\",\"name\":\"MyOwn\"}"

static const char sample[] =
	"{\"instanceId\":\"web7:orders:8080\",\"hostName\":\"web7\",\"app\":\"ORDERS\",\"ipAddr\":\"10.1.0.7\","
	"\"status\":\"UP\",\"overriddenStatus\":\"UNKNOWN\",\"port\":{\"$\":8080,\"@enabled\":\"true\"},"
	"\"securePort\":{\"$\":443,\"@enabled\":\"false\"},\"countryId\":1," DC ","
	"\"leaseInfo\":{\"renewalIntervalInSecs\":30,\"durationInSecs\":90,\"registrationTimestamp\":1700000000000,"
	"\"lastRenewalTimestamp\":1700000030000,\"evictionTimestamp\":0,\"serviceUpTimestamp\":1700000000001},"
	"\"metadata\":{\"management.port\":\"8080\",\"zone\":\"north\"},\"homePageUrl\":\"http://web7:8080/\","
	"\"statusPageUrl\":\"http://web7:8080/actuator/info\",\"healthCheckUrl\":\"http://web7:8080/actuator/health\","
	"\"vipAddress\":\"orders\",\"secureVipAddress\":\"orders\",\"isCoordinatingDiscoveryServer\":\"false\","
	"\"lastUpdatedTimestamp\":\"1700000000001\",\"lastDirtyTimestamp\":\"1699999999990\",\"actionType\":\"ADDED\"}";

/* The stored exchange of the protocol's description comes back byte by byte, wrapped or bare. */
static void test_round_trip(void **state)
{
	struct arena a;
	struct instance d;
	struct err e;
	char wrapped[sizeof(sample) + 32];

	(void)state;
	arena_init(&a, 1024);
	snprintf(wrapped, sizeof(wrapped), "{\"instance\":%s}", sample);
	for (int bare = 0; bare < 2; bare++) {
		if (instance_json_decode(&d, str_from(bare ? sample : wrapped), &a, &e) < 0)
			fail_msg("%s", e.text);

		struct instance *in = instance_new(&d);
		char *text = encode(in, false);

		assert_str(str_from(text), str_from(sample));
		assert_str(in->id, STR("web7:orders:8080"));
		assert_str(instance_zone(in), STR("north"));
		free(text);
		instance_unref(in);
	}
	arena_fini(&a);
}

static void test_compact(void **state)
{
	struct arena a;
	struct instance d;
	char *text;

	(void)state;
	arena_init(&a, 1024);
	assert_int_equal(instance_json_decode(&d, str_from(sample), &a, NULL), 0);
	text = encode(&d, true);
	assert_str(str_from(text),
		   STR("{\"instanceId\":\"web7:orders:8080\",\"app\":\"ORDERS\",\"ipAddr\":\"10.1.0.7\",\"vipAddress\":\"orders\","
		       "\"secureVipAddress\":\"orders\"," DC ",\"hostName\":\"web7\",\"status\":\"UP\","
		       "\"lastUpdatedTimestamp\":1700000000001,\"actionType\":\"ADDED\","
		       "\"port\":{\"$\":8080,\"@enabled\":\"true\"},\"securePort\":{\"$\":443,\"@enabled\":\"false\"}}"));
	free(text);
	arena_fini(&a);
}

/* One row of what clients send: members of an instance, and a text that the encoded form must hold. */
static const struct tolerant {
	const char *name, *members, *want;
} tolerant[] = {
	{ "a plain port", "\"port\":8080", "\"port\":{\"$\":8080,\"@enabled\":\"true\"}" },
	{ "a plain port as a string", "\"port\":\"8081\"", "\"port\":{\"$\":8081,\"@enabled\":\"true\"}" },
	{ "a secure port, plain: not enabled", "\"securePort\":8443", "\"securePort\":{\"$\":8443,\"@enabled\":\"false\"}" },
	{ "$ as a string", "\"port\":{\"$\":\"8080\",\"@enabled\":\"true\"}", "\"port\":{\"$\":8080,\"@enabled\":\"true\"}" },
	{ "@enabled as a boolean", "\"port\":{\"$\":1,\"@enabled\":false}", "\"port\":{\"$\":1,\"@enabled\":\"false\"}" },
	{ "@enabled as .NET writes it", "\"securePort\":{\"@enabled\":\"True\",\"$\":2}",
	  "\"securePort\":{\"$\":2,\"@enabled\":\"true\"}" },
	{ "extra keys in a port", "\"port\":{\"$\":3,\"x\":{\"y\":[1]},\"@enabled\":\"TRUE\"}", "\"port\":{\"$\":3,\"@enabled\":\"true\"}" },
	{ "$ missing", "\"port\":{\"@enabled\":\"true\"}", "\"port\":{\"$\":7001,\"@enabled\":\"true\"}" },
	{ "no ports", "\"x\":1", "\"port\":{\"$\":7001,\"@enabled\":\"true\"},\"securePort\":{\"$\":7002,\"@enabled\":\"false\"}" },
	{ "no status", "\"x\":1", "\"status\":\"UP\",\"overriddenStatus\":\"UNKNOWN\"" },
	{ "an unknown status", "\"status\":\"SLEEPY\"", "\"status\":\"UNKNOWN\"" },
	{ "a status in lower case", "\"status\":\"down\"", "\"status\":\"DOWN\"" },
	{ "overriddenStatus", "\"overriddenStatus\":\"OUT_OF_SERVICE\"", "\"overriddenStatus\":\"OUT_OF_SERVICE\"" },
	{ "overriddenstatus", "\"overriddenstatus\":\"DOWN\"", "\"overriddenStatus\":\"DOWN\"" },
	{ "timestamps as numbers", "\"lastUpdatedTimestamp\":5,\"lastDirtyTimestamp\":1700000000000",
	  "\"lastUpdatedTimestamp\":\"5\",\"lastDirtyTimestamp\":\"1700000000000\"" },
	{ "coordinating as a boolean", "\"isCoordinatingDiscoveryServer\":true", "\"isCoordinatingDiscoveryServer\":\"true\"" },
	{ "lease numbers as strings", "\"leaseInfo\":{\"renewalIntervalInSecs\":\"5\",\"durationInSecs\":\"15\"}",
	  "\"renewalIntervalInSecs\":5,\"durationInSecs\":15" },
	{ "lease durations that are none", "\"leaseInfo\":{\"renewalIntervalInSecs\":-1,\"durationInSecs\":0}",
	  "\"renewalIntervalInSecs\":30,\"durationInSecs\":90" },
	{ "no lease", "\"leaseInfo\":null", "\"renewalIntervalInSecs\":30,\"durationInSecs\":90" },
	{ "the legacy renewalTimestamp", "\"leaseInfo\":{\"renewalTimestamp\":\"77\"}", "\"lastRenewalTimestamp\":0" },
	{ "metadata scalars", "\"metadata\":{\"a\":1,\"b\":true,\"c\":null,\"d\":\"x\",\"e\":1.5}",
	  "\"metadata\":{\"a\":\"1\",\"b\":\"true\",\"d\":\"x\",\"e\":\"1.5\"}" },
	{ "metadata @class", "\"metadata\":{\"@class\":\"java.util.Collections$EmptyMap\"}",
	  "\"metadata\":{\"@class\":\"java.util.Collections$EmptyMap\"}" },
	{ "no metadata", "\"metadata\":null", "\"metadata\":{\"@class\":\"java.util.Collections$EmptyMap\"}" },
	{ "metadata objects", "\"metadata\":{\"a\":{\"b\":[1,2]}}", "\"metadata\":{\"a\":\"{\\\"b\\\":[1,2]}\"}" },
	{ "an equal metadata key: the last one", "\"metadata\":{\"a\":\"1\",\"a\":\"2\"}", "\"metadata\":{\"a\":\"2\"}" },
	{ "nulls", "\"asgName\":null,\"vipAddress\":null,\"status\":null,\"port\":null,\"sid\":null,\"actionType\":null",
	  "\"status\":\"UP\",\"overriddenStatus\":\"UNKNOWN\",\"port\":{\"$\":7001" },
	{ "unknown fields", "\"x\":\"1\",\"y\":{\"z\":[{}]},\"q\":[[]]", "\"status\":\"UP\"" },
	{ "sid na is nothing", "\"sid\":\"na\"", "\"ipAddr\":\"1.2.3.4\",\"status\"" },
	{ "a sid", "\"sid\":\"s1\"", "\"ipAddr\":\"1.2.3.4\",\"sid\":\"s1\",\"status\"" },
	{ "an app in lower case", "\"app\":\"billing-x\"", "\"app\":\"BILLING-X\"" },
	{ "an app group", "\"appGroupName\":\"shop\"", "\"appGroupName\":\"SHOP\"" },
	{ "a bare data center", "\"dataCenterInfo\":{\"name\":\"MyOwn\"}", DC },
	{ "MyDataCenterInfo", "\"dataCenterInfo\":{\"@class\":\"com.netflix.appinfo.MyDataCenterInfo\",\"name\":\"MyOwn\"}", DC },
	{ "a data center without a name", "\"dataCenterInfo\":{\"@class\":\"x\"}", DC },
	{ "metadata outside Amazon", "\"dataCenterInfo\":{\"name\":\"MyOwn\",\"metadata\":{\"a\":\"b\"}}", DC },
	{ "Amazon, name last",
	  "\"dataCenterInfo\":{\"metadata\":{\"instance-id\":\"i-1\",\"x\":\"y\"},\"@class\":\"com.netflix.appinfo.AmazonInfo\",\"name\":\"Amazon\"}",
	  "\"dataCenterInfo\":{\"@class\":\"com.netflix.appinfo.AmazonInfo\",\"name\":\"Amazon\",\"metadata\":{\"instance-id\":\"i-1\",\"x\":\"y\"}}" },
	{ "slashes and letters beyond ASCII stay", "\"homePageUrl\":\"http:\\/\\/h\\u00e9/\"", "\"homePageUrl\":\"http://h\xc3\xa9/\"" },
	{ "a country that is none", "\"countryId\":\"1\"", "\"countryId\":1" },
	{ "an id from metadata, as Spring derives it", "\"metadata\":{\"instanceId\":\"7\"}", "\"instanceId\":\"h:7\"" },
	{ "an id from metadata that starts with the host", "\"metadata\":{\"instanceId\":\"h7\"}", "\"instanceId\":\"h7\"" },
};

static void test_tolerant(void **state)
{
	(void)state;
	for (const struct tolerant *t = tolerant; t < tolerant + ARRAY_LEN(tolerant); t++) {
		char body[2048];
		struct arena a;
		struct instance d;
		struct err e;

		arena_init(&a, 1024);
		snprintf(body, sizeof(body), "{\"instance\":{\"hostName\":\"h\",\"app\":\"X\",\"ipAddr\":\"1.2.3.4\"," DC ",%s}}",
			 t->members);
		if (instance_json_decode(&d, str_from(body), &a, &e) < 0)
			fail_msg("%s: %s", t->name, e.text);

		char *text = encode(&d, false);

		if (!strstr(text, t->want))
			fail_msg("%s: %s\n  lacks %s", t->name, text, t->want);
		free(text);
		arena_fini(&a);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *body, *why; /* words of the text */
	} rows[] = {
		{ "", "1:1" },
		{ "[]", "an object with" },
		{ "{\"instance\":[]}", "an instance is an object" },
		{ "{\"instance\":{\"port\":70000}}", "port: 1:" },
		{ "{\"instance\":{\"port\":-1}}", "0 to 65535" },
		{ "{\"instance\":{\"port\":{\"$\":\"x\"}}}", "port: 1:" },
		{ "{\"instance\":{\"hostName\":{}}}", "hostName: 1:25: a string was expected" },
		{ "{\"instance\":{\"metadata\":[]}}", "metadata: " },
		{ "{\"instance\":{\"leaseInfo\":7}}", "leaseInfo: " },
		{ "{\"instance\":{\"leaseInfo\":{\"durationInSecs\":\"soon\"}}}", "leaseInfo.durationInSecs: " },
		{ "{\"instance\":{\"lastDirtyTimestamp\":\"yesterday\"}}", "lastDirtyTimestamp: " },
		{ "{\"instance\":{\"hostName\":\"h\"}", "1:" },
		{ "{\"instance\":{\"hostName\":\"h\"}} x", "1:" },
		{ "{\"instance\":{\"a\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}}", "1:" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct instance d = { 0 };
		struct err e;

		arena_init(&a, 1024);
		if (instance_json_decode(&d, str_from(rows[i].body), &a, &e) == 0)
			fail_msg("%s was accepted", rows[i].body);
		if (!strstr(e.text, rows[i].why))
			fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].body, e.text, rows[i].why);
		assert_int_equal(d.status, 0); /* untouched */
		arena_fini(&a);
	}
}

/* Every field that a peer can blow up has its limit: the largest that fits, and one byte more. */
static void test_limits(void **state)
{
	static const struct {
		const char *field;
		size_t max;
	} rows[] = {
		{ "instanceId", INST_ID_MAX }, { "hostName", INST_NAME_MAX }, { "app", INST_NAME_MAX },
		{ "ipAddr", INST_NAME_MAX }, { "sid", INST_NAME_MAX }, { "appGroupName", INST_NAME_MAX },
		{ "asgName", INST_NAME_MAX }, { "vipAddress", INST_VIP_MAX }, { "secureVipAddress", INST_VIP_MAX },
		{ "homePageUrl", INST_URL_MAX }, { "statusPageUrl", INST_URL_MAX }, { "healthCheckUrl", INST_URL_MAX },
		{ "secureHealthCheckUrl", INST_URL_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t more = 0; more < 2; more++) {
			struct buf b = BUF_INIT(1 << 20);
			struct arena a;
			struct instance d;
			struct err e;
			int r;

			arena_init(&a, 1024);
			buf_addf(&b, "{\"instance\":{\"%s\":\"", rows[i].field);
			for (size_t k = 0; k < rows[i].max + more; k++)
				buf_addc(&b, 'x');
			buf_adds(&b, STR("\"}}"));
			r = instance_json_decode(&d, buf_str(&b), &a, &e);
			if (r != (more ? VINE_ELIMIT : 0))
				fail_msg("%s with %zu bytes: %d", rows[i].field, rows[i].max + more, r);
			if (more && !strstr(e.text, rows[i].field))
				fail_msg("%s is not named: %s", rows[i].field, e.text);
			buf_fini(&b);
			arena_fini(&a);
		}
	}
}

static int decode_meta(size_t entries, size_t key_len, size_t value_len)
{
	struct buf b = BUF_INIT(1 << 22);
	struct arena a;
	struct instance d;
	int r;

	arena_init(&a, 1024);
	buf_adds(&b, STR("{\"instance\":{\"metadata\":{"));
	for (size_t i = 0; i < entries; i++) {
		buf_addf(&b, "%s\"%0*zu\":\"", i ? "," : "", (int)key_len, i);
		for (size_t k = 0; k < value_len; k++)
			buf_addc(&b, 'v');
		buf_addc(&b, '"');
	}
	buf_adds(&b, STR("}}}"));
	r = instance_json_decode(&d, buf_str(&b), &a, NULL);
	buf_fini(&b);
	arena_fini(&a);
	return r;
}

static void test_metadata_limits(void **state)
{
	(void)state;
	assert_int_equal(decode_meta(INST_META_MAX, 4, 4), 0);
	assert_true(decode_meta(INST_META_MAX + 1, 4, 4) < 0);
	assert_int_equal(decode_meta(1, INST_META_KEY_MAX, 1), 0);
	assert_int_equal(decode_meta(1, INST_META_KEY_MAX + 1, 1), VINE_ELIMIT);
	assert_int_equal(decode_meta(1, 4, INST_META_VALUE_MAX), 0);
	assert_int_equal(decode_meta(1, 4, INST_META_VALUE_MAX + 1), VINE_ELIMIT);
	assert_int_equal(decode_meta(20, 4, 4000), VINE_ELIMIT);
	assert_int_equal(decode_meta(100, 4, 4000), VINE_ELIMIT); /* the body is too large as a whole */
}

static void test_check(void **state)
{
	static const struct {
		const char *members, *want; /* NULL: fine */
	} rows[] = {
		{ "\"hostName\":\"h\",\"ipAddr\":\"1\",\"app\":\"orders\"," DC, NULL },
		{ "\"ipAddr\":\"1\",\"app\":\"orders\"," DC, "Missing instanceId" },
		{ "\"instanceId\":\"i\",\"ipAddr\":\"1\",\"app\":\"orders\"," DC, "Missing hostname" },
		{ "\"hostName\":\"h\",\"app\":\"orders\"," DC, "Missing ip address" },
		{ "\"hostName\":\"h\",\"ipAddr\":\" \",\"app\":\"orders\"," DC, "Missing ip address" },
		{ "\"hostName\":\"h\",\"ipAddr\":\"1\"," DC, "Missing appName" },
		{ "\"hostName\":\"h\",\"ipAddr\":\"1\",\"app\":\"other\"," DC, "Mismatched appName, expecting ORDERS but was OTHER" },
		{ "\"hostName\":\"h\",\"ipAddr\":\"1\",\"app\":\"orders\"", "Missing dataCenterInfo" },
		{ "\"hostName\":\"h\",\"ipAddr\":\"1\",\"app\":\"orders\",\"dataCenterInfo\":null", "Missing dataCenterInfo" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char body[1024];
		struct arena a;
		struct instance d;
		struct err e = { .text = "" };
		int r;

		arena_init(&a, 1024);
		snprintf(body, sizeof(body), "{\"instance\":{%s}}", rows[i].members);
		assert_int_equal(instance_json_decode(&d, str_from(body), &a, &e), 0);
		r = instance_check(&d, STR("ORDERS"), &e);
		if ((r == 0) != !rows[i].want || (rows[i].want && strcmp(e.text, rows[i].want) != 0))
			fail_msg("%s: %d %s", body, r, e.text);
		arena_fini(&a);
	}
}

static void test_effective_id(void **state)
{
	static const struct kv aws[] = { { STR_INIT("instance-id"), STR_INIT("i-9") } };
	struct instance d = instance_draft();
	struct instance *in;

	(void)state;
	d.host = STR("host");
	assert_str(instance_effective_id(&d), STR("host"));
	d.dc = DC_AMAZON;
	d.dc_meta = (struct kv *)(uintptr_t)aws;
	d.n_dc_meta = 1;
	assert_str(instance_effective_id(&d), STR("i-9"));
	d.instance_id = STR("  ");
	assert_str(instance_effective_id(&d), STR("  "));
	d.instance_id = STR("mine");
	in = instance_new(&d);
	assert_str(in->id, STR("mine"));
	assert_true(instance_bytes(in) < 700);
	assert_null(in->vip.ptr); /* absent stays absent */
	instance_unref(in);
}

static void test_hash(void **state)
{
	static const struct {
		struct status_counts c;
		const char *want;
	} rows[] = {
		{ { { 0 } }, "" },
		{ { { [INST_UP] = 7, [INST_DOWN] = 1, [INST_OUT_OF_SERVICE] = 2 } }, "DOWN_1_OUT_OF_SERVICE_2_UP_7_" },
		{ { { [INST_UNKNOWN] = 1, [INST_STARTING] = 3 } }, "STARTING_3_UNKNOWN_1_" },
		{ { { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX } },
		  "DOWN_4294967295_OUT_OF_SERVICE_4294967295_STARTING_4294967295_UNKNOWN_4294967295_UP_4294967295_" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[APPS_HASH_MAX];
		size_t n = apps_hash(out, &rows[i].c);

		assert_str(str_of(out, n), str_from(rows[i].want));
	}
}

/* Cut anywhere, or with any byte changed, an instance never crashes the reader. */
static void test_broken_everywhere(void **state)
{
	struct arena a;
	struct instance d;
	char *copy = xstrdup(sample);
	size_t n = sizeof(sample) - 1;

	(void)state;
	arena_init(&a, 1024);
	for (size_t i = 0; i < n; i++) {
		char *cut = xmalloc(i); /* so that a read beyond it shows */

		memcpy(cut, sample, i);
		assert_true(instance_json_decode(&d, str_of(cut, i), &a, NULL) < 0);
		free(cut);
		for (int c = 0; c < 256; c += 5) {
			copy[i] = (char)c;
			instance_json_decode(&d, str_of(copy, n), &a, NULL);
		}
		copy[i] = sample[i];
		arena_reset(&a);
	}
	free(copy);
	arena_fini(&a);
}

/* --- what the client reads --- */

static void test_applications(void **state)
{
	static const struct {
		const char *name, *body;
		uint32_t n;
		int64_t version;
		const char *hash; /* NULL: none */
		uint32_t skipped;
	} rows[] = {
		{ "empty", "{\"applications\":{\"versions__delta\":\"1\",\"apps__hashcode\":\"\",\"application\":[]}}", 0, 1, "", 0 },
		{ "two",
		  "{\"applications\":{\"versions__delta\":\"-1\",\"apps__hashcode\":\"UP_2_\",\"application\":[{\"name\":\"A\",\"instance\":["
		  "{\"hostName\":\"h\",\"app\":\"A\",\"instanceId\":\"1\"},{\"hostName\":\"h\",\"app\":\"A\",\"instanceId\":\"2\"}]}]}}",
		  2, -1, "UP_2_", 0 },
		{ "lists of one as old servers send them, numbers bare",
		  "{\"applications\":{\"versions__delta\":3,\"apps__hashcode\":\"UP_1_\",\"application\":{\"name\":\"A\",\"instance\":"
		  "{\"hostName\":\"h\",\"app\":\"A\",\"port\":{\"@enabled\":true,\"$\":\"8080\"},\"metadata\":{\"x\":1}}}}}",
		  1, 3, "UP_1_", 0 },
		{ "no application at all", "{\"applications\":{\"versions__delta\":\"4\"}}", 0, 4, NULL, 0 },
		{ "extra members", "{\"a\":1,\"applications\":{\"registeredApplicationsEmpty\":true,\"application\":null}}", 0, 0, NULL, 0 },
		{ "an instance without a host is left out",
		  "{\"applications\":{\"application\":[{\"instance\":[{\"app\":\"A\"},{\"hostName\":\"h\",\"app\":\"A\"}]}]}}", 1, 0, NULL, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct apps_doc d = { 0 };
		struct err e;

		if (apps_json_decode(&d, str_from(rows[i].body), &e) < 0)
			fail_msg("%s: %s", rows[i].name, e.text);
		if (d.n != rows[i].n || d.version != rows[i].version || d.skipped != rows[i].skipped)
			fail_msg("%s: n %u, version %ld, skipped %u", rows[i].name, d.n, (long)d.version, d.skipped);
		assert_int_equal(d.has_hash, rows[i].hash != NULL);
		if (rows[i].hash)
			assert_str(str_of(d.hash, d.hash_len), str_from(rows[i].hash));
		apps_doc_fini(&d);
	}
}

static void test_applications_refused(void **state)
{
	static const char *const rows[] = { "", "{}", "[]", "{\"applications\":[]}", "{\"applications\":{\"application\":[{\"instance\":[7]}]}}",
					    "{\"applications\":{\"application\":\"x\"}}", "<applications/>" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct apps_doc d = { 0 };

		if (apps_json_decode(&d, str_from(rows[i]), NULL) == 0)
			fail_msg("accepted: %s", rows[i]);
		assert_null(d.inst);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	  cmocka_unit_test(test_compact),
		cmocka_unit_test(test_tolerant),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),		  cmocka_unit_test(test_metadata_limits),
		cmocka_unit_test(test_check),		  cmocka_unit_test(test_effective_id),
		cmocka_unit_test(test_hash),		  cmocka_unit_test(test_broken_everywhere),
		cmocka_unit_test(test_applications),	  cmocka_unit_test(test_applications_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
