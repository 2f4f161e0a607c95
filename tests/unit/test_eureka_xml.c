/* test_eureka_xml.c - XML as XStream writes it and as clients send it. */
#include "test.h"

#include "eureka/json.h"
#include "eureka/xml.h"

static char *json_of(const struct instance *i)
{
	struct buf b = BUF_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &b);
	instance_json_write(&w, i);
	return buf_take(&b);
}

static const struct name {
	const char *key, *coded;
} names[] = {
	{ "plain", "plain" },	 { "management.port", "management.port" },
	{ "a_b", "a__b" },	 { "$x", "_-x" },
	{ "1st", "_.0031st" },	 { "a b", "a_.0020b" },
	{ "a/b", "a_.002fb" },	 { "-a", "_.002da" },
	{ "a-b:c", "a-b_.003ac" },	 { "\xc3\xa9t", "\xc3\xa9t" },
	{ "\xed\x95\x9c", "\xed\x95\x9c" }, /* a Hangul syllable is a letter */
	{ "\xe2\x82\xac", "_.20ac" }, { "\xf0\x9f\x8c\xbf", "_.d83c_.df3f" },
	{ "", "_.0000" },	 { "_.0041", "__.0041" },
};

static void test_names(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 256);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf b = BUF_INIT(256);

		xml_name_encode(&b, str_from(names[i].key));
		assert_str(buf_str(&b), str_from(names[i].coded));
		assert_str(xml_name_decode(&a, buf_str(&b)), str_from(names[i].key));
		buf_fini(&b);
	}
	/* what no encoder writes stays as it is */
	assert_str(xml_name_decode(&a, STR("_x")), STR("_x"));
	assert_str(xml_name_decode(&a, STR("_.12")), STR("_.12"));
	assert_str(xml_name_decode(&a, STR("a:b")), STR("a:b")); /* as XStream writes it */
	assert_str(xml_name_decode(&a, STR("_.d83c")), STR("_.d83c"));
	assert_str(xml_name_decode(&a, STR("_.d83c_.0041")), STR("_.d83cA"));
	arena_fini(&a);
}

static void test_text(void **state)
{
	struct buf b = BUF_INIT(256);

	(void)state;
	xml_text(&b, STR("a<b>&\"'\r\n\t\x01 \xef\xbf\xbf \xef\xbf\xbd \xc3\xa9"));
	assert_str(buf_str(&b), STR("a&lt;b&gt;&amp;&quot;&apos;&#xd;\n\t? ? \xef\xbf\xbd \xc3\xa9"));
	buf_clear(&b);
	xml_text(&b, STR("\xff|\xed\xa0\x80|\xc3|\xf0\x9f\x8c\xbf|\xc0\x80|\x7f|\xe2\x82")); /* no UTF-8, or half of it */
	assert_str(buf_str(&b), STR("?|???|?|\xf0\x9f\x8c\xbf|??|\x7f|??"));
	buf_fini(&b);
}

#define MEMBERS "<hostName>h</hostName><app>orders</app><ipAddr>1.2.3.4</ipAddr>"
#define DC "<dataCenterInfo class=\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\"><name>MyOwn</name></dataCenterInfo>"

static void test_accepted(void **state)
{
	static const struct {
		const char *name, *xml, *want; /* a piece of the same instance in JSON */
	} rows[] = {
		{ "a prolog and a namespace", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<instance xmlns=\"urn:x\">" MEMBERS DC "</instance>",
		  "\"hostName\":\"h\",\"app\":\"ORDERS\",\"ipAddr\":\"1.2.3.4\",\"status\":\"UP\"" },
		{ "Latin-1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><instance>" MEMBERS "<asgName>\xe9</asgName></instance>",
		  "\"asgName\":\"\xc3\xa9\"" },
		{ "the class as root", "<com.netflix.appinfo.InstanceInfo>" MEMBERS "</com.netflix.appinfo.InstanceInfo>", "\"app\":\"ORDERS\"" },
		{ "ports without an attribute", "<instance><port>80</port><securePort>443</securePort></instance>",
		  "\"port\":{\"$\":80,\"@enabled\":\"true\"},\"securePort\":{\"$\":443,\"@enabled\":\"false\"}" },
		{ "ports with one", "<instance><port enabled=\"false\">80</port><securePort enabled=\"True\">443</securePort></instance>",
		  "\"port\":{\"$\":80,\"@enabled\":\"false\"},\"securePort\":{\"$\":443,\"@enabled\":\"true\"}" },
		{ "members of a lease that nobody knows", "<instance><leaseInfo><clock>x</clock><renewalTimestamp>y</renewalTimestamp>"
		  "<durationInSecs>7</durationInSecs><z><durationInSecs>9</durationInSecs></z></leaseInfo></instance>",
		  "\"durationInSecs\":7" },
		{ "either spelling", "<instance><overriddenstatus>OUT_OF_SERVICE</overriddenstatus></instance>", "\"overriddenStatus\":\"OUT_OF_SERVICE\"" },
		{ "either spelling, 2", "<instance><overriddenStatus>DOWN</overriddenStatus></instance>", "\"overriddenStatus\":\"DOWN\"" },
		{ "a data center without class, as fargo sends", "<instance><dataCenterInfo><name>MyOwn</name></dataCenterInfo></instance>",
		  "\"name\":\"MyOwn\"}" },
		{ "Amazon",
		  "<instance><dataCenterInfo class=\"com.netflix.appinfo.AmazonInfo\"><metadata><instance-id>i-1</instance-id></metadata><name>Amazon</name></dataCenterInfo></instance>",
		  "\"name\":\"Amazon\",\"metadata\":{\"instance-id\":\"i-1\"}}" },
		{ "metadata", "<instance><metadata><a>1</a><b__c/><_.0031x> y </_.0031x></metadata></instance>",
		  "\"metadata\":{\"a\":\"1\",\"b_c\":\"\",\"1x\":\" y \"}" },
		{ "no metadata", "<instance><metadata class=\"java.util.Collections$EmptyMap\"/></instance>",
		  "\"metadata\":{\"@class\":\"java.util.Collections$EmptyMap\"}" },
		{ "a lease", "<instance><leaseInfo><renewalIntervalInSecs>5</renewalIntervalInSecs><durationInSecs>15</durationInSecs><renewalTimestamp>x</renewalTimestamp></leaseInfo></instance>",
		  "\"renewalIntervalInSecs\":5,\"durationInSecs\":15" },
		{ "unknown elements", "<instance><x><y z=\"1\"><q/></y></x><hostName>h</hostName></instance>", "\"hostName\":\"h\"" },
		{ "entities and CDATA", "<instance><homePageUrl>http://h/?a=1&amp;b=<![CDATA[<2>]]></homePageUrl></instance>", "http://h/?a=1&b=<2>" },
		{ "timestamps", "<instance><lastDirtyTimestamp> 1700000000000 </lastDirtyTimestamp><countryId>1</countryId></instance>",
		  "\"lastDirtyTimestamp\":\"1700000000000\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct instance d;
		struct err e;

		arena_init(&a, 1024);
		if (instance_xml_decode(&d, str_from(rows[i].xml), &a, &e) < 0)
			fail_msg("%s: %s", rows[i].name, e.text);

		char *text = json_of(&d);

		if (!strstr(text, rows[i].want))
			fail_msg("%s: %s\n  lacks %s", rows[i].name, text, rows[i].want);
		free(text);
		arena_fini(&a);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *xml, *why;
	} rows[] = {
		{ "", "1:1: no element found" },
		{ "{}", "1:1: " },
		{ "<applications/>", "<instance> was expected" },
		{ "<instance>", "no element found" },
		{ "<instance><port>70000</port></instance>", "0 to 65535" },
		{ "<instance><port>x</port></instance>", "a whole number" },
		{ "<instance></instance><instance/>", "junk after" },
		{ "<!DOCTYPE instance><instance/>", "document types" },
		{ "<!DOCTYPE x [<!ENTITY a \"b\">]><instance><hostName>&a;</hostName></instance>", "document types" },
		{ "<instance><hostName>&a;</hostName></instance>", "undefined entity" },
		{ "<instance><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "too deeply" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct instance d;
		struct err e = { .text = "" };

		arena_init(&a, 1024);
		if (instance_xml_decode(&d, str_from(rows[i].xml), &a, &e) == 0)
			fail_msg("%s was accepted", rows[i].xml);
		if (!strstr(e.text, rows[i].why))
			fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].xml, e.text, rows[i].why);
		arena_fini(&a);
	}
}

static void test_limits(void **state)
{
	static const size_t sizes[] = { INST_URL_MAX, INST_URL_MAX + 1, 70000, INST_BODY_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf b = BUF_INIT(1 << 20);
		struct arena a;
		struct instance d;
		int r;

		arena_init(&a, 1024);
		buf_adds(&b, STR("<instance><homePageUrl>"));
		for (size_t k = 0; k < sizes[i]; k++)
			buf_addc(&b, 'x');
		buf_adds(&b, STR("</homePageUrl></instance>"));
		r = instance_xml_decode(&d, buf_str(&b), &a, NULL);
		if ((r == 0) != (i == 0))
			fail_msg("%zu bytes: %d", sizes[i], r);
		buf_fini(&b);
		arena_fini(&a);
	}
}

/* What we write, in both forms, is read again: all of it, or the fields that the compact form has. */
static void test_round_trip(void **state)
{
	static const char json[] =
		"{\"instanceId\":\"a<b>\",\"hostName\":\"h\",\"app\":\"A\",\"ipAddr\":\"1\",\"sid\":\"s\",\"status\":\"DOWN\","
		"\"overriddenStatus\":\"DOWN\",\"port\":{\"$\":1,\"@enabled\":\"false\"},\"securePort\":{\"$\":2,\"@enabled\":\"true\"},"
		"\"countryId\":1,\"dataCenterInfo\":{\"@class\":\"com.netflix.appinfo.AmazonInfo\",\"name\":\"Amazon\",\"metadata\":{\"ami-id\":\"x\"}},"
		"\"leaseInfo\":{\"renewalIntervalInSecs\":3,\"durationInSecs\":9,\"registrationTimestamp\":1,\"lastRenewalTimestamp\":2,"
		"\"evictionTimestamp\":3,\"serviceUpTimestamp\":4},\"metadata\":{\"a b\":\"&\",\"\":\"e\"},\"appGroupName\":\"G\","
		"\"homePageUrl\":\"\",\"statusPageUrl\":\"s\",\"healthCheckUrl\":\"h\",\"secureHealthCheckUrl\":\"x\",\"vipAddress\":\"v\","
		"\"secureVipAddress\":\"w\",\"isCoordinatingDiscoveryServer\":\"true\",\"lastUpdatedTimestamp\":\"5\","
		"\"lastDirtyTimestamp\":\"6\",\"actionType\":\"MODIFIED\",\"asgName\":\"g\"}";
	struct buf full = BUF_INIT(1 << 16), mini = BUF_INIT(1 << 16);
	struct instance d, back;
	struct arena a;
	struct err e;
	char *text;

	(void)state;
	arena_init(&a, 1024);
	assert_int_equal(instance_json_decode(&d, str_from(json), &a, &e), 0);
	instance_xml_write(&full, &d, 0);
	if (instance_xml_decode(&back, buf_str(&full), &a, &e) < 0)
		fail_msg("%s\n%.*s", e.text, STRF(buf_str(&full)));
	text = json_of(&back);
	assert_str(str_from(text), str_from(json));
	free(text);

	instance_xml_write_mini(&mini, &d);
	assert_true(str_chr(buf_str(&mini), '\n') < 0);
	assert_int_equal(instance_xml_decode(&back, buf_str(&mini), &a, &e), 0);
	assert_str(back.id, STR("a<b>"));
	assert_int_equal(back.n_dc_meta, 0); /* ami-id is not among those that it keeps */
	assert_int_equal(back.n_meta, 0);
	assert_int_equal(back.status, INST_DOWN);
	buf_fini(&full);
	buf_fini(&mini);
	arena_fini(&a);
}

static void test_applications(void **state)
{
	static const char xml[] =
		"<applications>\n  <versions__delta>7</versions__delta>\n  <apps__hashcode>DOWN_1_UP_1_</apps__hashcode>\n"
		"  <application>\n    <name>A</name>\n    <instance>" MEMBERS "</instance>\n"
		"    <instance><hostName>i</hostName><app>A</app><status>DOWN</status></instance>\n"
		"    <instance><app>A</app></instance>\n  </application>\n</applications>";
	struct apps_doc d = { 0 };
	struct err e;

	(void)state;
	if (apps_xml_decode(&d, str_from(xml), &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.skipped, 1);
	assert_true(d.version == 7);
	assert_str(str_of(d.hash, d.hash_len), STR("DOWN_1_UP_1_"));
	assert_int_equal(d.inst[1]->status, INST_DOWN);
	assert_str(d.inst[0]->app, STR("ORDERS"));
	apps_doc_fini(&d);
	for (size_t i = 0; i < sizeof(xml) - 1; i++) /* cut anywhere it is refused, and nothing is left behind */
		assert_true(apps_xml_decode(&d, str_of(xml, i), NULL) < 0);
	assert_int_equal(apps_xml_decode(&d, STR("<applications><apps__hashcode/></applications>"), NULL), 0);
	assert_true(d.has_hash && d.hash_len == 0 && d.n == 0);
	apps_doc_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_text),	  cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_limits), cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_applications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
