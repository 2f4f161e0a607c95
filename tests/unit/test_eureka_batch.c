/* test_eureka_batch.c - what registries tell each other: exact in what is written, tolerant in what is read. */
#include "test.h"

#include <stdio.h>

#include "eureka/batch.h"
#include "eureka/json.h"
#include "eureka/service_url.h"

static const char sample[] =
	"{\"replicationList\":["
	"{\"appName\":\"ORDERS\",\"id\":\"web7\",\"lastDirtyTimestamp\":1699999999990,\"status\":\"UP\","
	"\"instanceInfo\":"
	"{\"instanceId\":\"web7\",\"hostName\":\"web7\",\"app\":\"ORDERS\",\"ipAddr\":\"10.1.0.7\",\"status\":\"UP\","
	"\"overriddenStatus\":\"UNKNOWN\",\"port\":{\"$\":8080,\"@enabled\":\"true\"},\"securePort\":{\"$\":443,\"@"
	"enabled\":\"false\"},"
	"\"countryId\":1,\"dataCenterInfo\":{\"@class\":\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\","
	"\"name\":\"MyOwn\"},"
	"\"leaseInfo\":{\"renewalIntervalInSecs\":30,\"durationInSecs\":90,\"registrationTimestamp\":0,"
	"\"lastRenewalTimestamp\":0,"
	"\"evictionTimestamp\":0,\"serviceUpTimestamp\":0},\"metadata\":{\"zone\":\"north\"},"
	"\"isCoordinatingDiscoveryServer\":\"false\",\"lastUpdatedTimestamp\":\"1\",\"lastDirtyTimestamp\":"
	"\"1699999999990\","
	"\"actionType\":\"ADDED\"},\"action\":\"Register\"},"
	"{\"appName\":\"ORDERS\",\"id\":\"web8\",\"lastDirtyTimestamp\":1699999999991,\"overriddenStatus\":\"OUT_OF_"
	"SERVICE\","
	"\"status\":\"OUT_OF_SERVICE\",\"action\":\"Heartbeat\"},"
	"{\"appName\":\"ORDERS\",\"id\":\"web9\",\"action\":\"Cancel\"}]}";

static void test_round_trip(void **state)
{
	_cleanup_(buf_finip) struct buf out = BUF_INIT(1 << 20);
	const struct batch_item *items[3];
	struct batch b;
	struct arena a;
	struct err e;

	(void)state;
	arena_init(&a, 1024);
	assert_int_equal(batch_decode(&b, str_from(sample), &a, &e), 0);
	assert_int_equal(b.n, 3);
	assert_int_equal(b.item[0].action, BATCH_REGISTER);
	assert_str(b.item[0].inst->host, STR("web7"));
	assert_int_equal(b.item[1].overridden, INST_OUT_OF_SERVICE);
	assert_true(b.item[1].dirty == 1699999999991);
	assert_int_equal(b.item[2].action, BATCH_CANCEL);
	assert_true(b.item[2].dirty == 0 && b.item[2].status == INST_UNKNOWN);
	for (uint32_t i = 0; i < 3; i++) {
		assert_null(b.item[i].wrong);
		items[i] = &b.item[i];
	}
	batch_write(&out, items, 3);
	assert_str(buf_str(&out), str_from(sample));
	batch_fini(&b);
	arena_fini(&a);
}

#define ONE(members) "{\"replicationList\":[{" members "}]}"

static void test_tolerance(void **state)
{
	static const struct {
		const char *text;
		int result;
		int items;
		const char *wrong; /* of the first item; NULL: it is fine */
	} rows[] = {
		{ "{\"replicationList\":[]}", 0, 0, NULL },
		{ "{\"replicationList\":null}", 0, 0, NULL },
		{ "{}", 0, 0, NULL },
		{ "[]", VINE_EINVAL, 0, NULL },
		{ "", VINE_EINVAL, 0, NULL },
		{ "{\"replicationList\":{}}", VINE_EINVAL, 0, NULL },
		{ "{\"replicationList\":[1]}", VINE_EINVAL, 0, NULL },
		{ "{\"replicationList\":[{}", VINE_EINVAL, 0, NULL },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"Heartbeat\",\"lastDirtyTimestamp\":\"17\",\"x\":{"
		      "\"y\":[1]}"),
		  0, 1, NULL },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"Heartbeat\",\"lastDirtyTimestamp\":null,\"status\":"
		      "null"),
		  0, 1, NULL },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"Heartbeat\",\"lastDirtyTimestamp\":-5"), 0, 1,
		  NULL },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"heartbeat\""), 0, 1, "unknown action" },
		{ ONE("\"appName\":\"a\",\"id\":\"b\""), 0, 1, "unknown action" },
		{ ONE("\"appName\":\"a\",\"action\":\"Cancel\""), 0, 1, "appName or id is missing" },
		{ ONE("\"id\":{},\"appName\":[],\"action\":\"Cancel\""), 0, 1, "appName or id is missing" },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"Register\""), 0, 1, "instanceInfo is missing" },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"Register\",\"instanceInfo\":null"), 0, 1,
		  "instanceInfo is missing" },
		{ ONE("\"appName\":\"a\",\"id\":\"b\",\"action\":\"Register\",\"instanceInfo\":7"), VINE_EINVAL, 0,
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct batch b = { 0 };
		struct err e = { 0 };
		int r;

		arena_init(&a, 1024);
		r = batch_decode(&b, str_from(rows[i].text), &a, &e);
		if (r != rows[i].result || b.n != (uint32_t)rows[i].items)
			fail_msg("%s: %d (%s), %u items", rows[i].text, r, e.text, b.n);
		if (b.n && (!b.item[0].wrong != !rows[i].wrong ||
			    (rows[i].wrong && strcmp(rows[i].wrong, b.item[0].wrong) != 0)))
			fail_msg("%s: %s", rows[i].text, b.item[0].wrong ? b.item[0].wrong : "fine");
		if (b.n && !b.item[0].wrong)
			assert_str(b.item[0].app, STR("A"));
		batch_fini(&b);
		arena_fini(&a);
	}
}

static void test_limits(void **state)
{
	_cleanup_(buf_finip) struct buf t = BUF_INIT(1 << 20);
	struct arena a;
	struct batch b;
	struct err e;

	(void)state;
	arena_init(&a, 1024);
	for (int over = 0; over < 2; over++) {
		buf_clear(&t);
		buf_addz(&t, "{\"replicationList\":[");
		for (int i = 0; i < BATCH_ITEMS_MAX + over; i++)
			buf_addf(&t, "%s{\"appName\":\"a\",\"id\":\"%d\",\"action\":\"Cancel\"}", i ? "," : "", i);
		buf_addz(&t, "]}");
		assert_int_equal(batch_decode(&b, buf_str(&t), &a, &e), over ? VINE_EINVAL : 0);
		if (!over) {
			assert_int_equal(b.n, BATCH_ITEMS_MAX);
			assert_str(b.item[b.n - 1].id, STR("999"));
			batch_fini(&b);
		}
	}
	buf_clear(&t);
	buf_addz(&t, "{\"replicationList\":[{\"appName\":\"A\",\"id\":\"b\",\"action\":\"Register\",\"instanceInfo\":{"
		     "\"hostName\":\"");
	for (int i = 0; i < 300; i++)
		buf_addc(&t, 'h');
	buf_addz(&t, "\"}}]}");
	assert_int_equal(batch_decode(&b, buf_str(&t), &a, &e), 0);
	assert_non_null(strstr(b.item[0].wrong, "hostName is longer"));
	batch_fini(&b);
	arena_fini(&a);
}

static void test_answers(void **state)
{
	static const char text[] =
		"{\"responseList\":[{\"statusCode\":200},{\"statusCode\":404},{\"statusCode\":409,\"responseEntity\":";
	_cleanup_(buf_finip) struct buf t = BUF_INIT(1 << 20), back = BUF_INIT(1 << 20);
	struct instance d = instance_draft();
	struct batch_answer an[3];
	struct arena a;
	struct jsonw w;
	struct err e;
	uint32_t n;

	(void)state;
	arena_init(&a, 1024);
	d.id = d.instance_id = d.host = d.ip = STR("h");
	d.app = STR("A");
	buf_addz(&t, text);
	jsonw_init(&w, &t);
	instance_json_write(&w, &d);
	buf_addz(&t, "}]}");
	assert_int_equal(batch_answers_decode(an, 3, &n, buf_str(&t), &a, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(an[1].status, 404);
	assert_null(an[1].inst);
	assert_str(an[2].inst->app, STR("A"));
	batch_answers_write(&back, an, n);
	assert_str(buf_str(&back), buf_str(&t));
	instance_unref(an[2].inst);

	assert_int_equal(batch_answers_decode(an, 2, &n, buf_str(&t), &a, &e), VINE_EINVAL); /* more than was asked */
	assert_int_equal(n, 2);
	assert_int_equal(batch_answers_decode(
				 an, 3, &n,
				 STR("{\"responseList\":[{\"statusCode\":\"200\",\"responseEntity\":\"x\"}]}"), &a, &e),
			 0);
	assert_int_equal(an[0].status, 200);
	assert_int_equal(batch_answers_decode(an, 3, &n, STR("<html>"), &a, &e), VINE_EINVAL);
	assert_int_equal(n, 0);
	arena_fini(&a);
}

static void test_service_urls(void **state)
{
	static const struct {
		const char *list, *shown, *auth; /* of the first */
		int n;                           /* or the error */
	} rows[] = {
		{ "http://a:8761/eureka/", "http://a:8761/eureka/", "", 1 },
		{ " http://a:1 , ,http://b:2/x", "http://a:1/eureka/", "", 2 },
		{ "http://us%40er:p%3Aw@a/eureka", "http://a:80/eureka", "Authorization: Basic dXNAZXI6cDp3\r\n", 1 },
		{ "", "", "", 0 },
		{ "https://a:1/", "https://a:1/eureka/", "", 1 },
		{ "https://u:a%3Ab:c@[::1]/eureka/", "https://::1:443/eureka/", "Authorization: Basic dTphOmI6Yw==\r\n", 1 },
		{ "http://u:p%2Cw%40x%2F%25@a", "http://a:80/eureka/", "Authorization: Basic dTpwLHdAeC8l\r\n", 1 },
		{ "a:1", "", "", VINE_EINVAL },
		{ "http://a%zz@b/", "", "", VINE_EINVAL },
		{ "http://a:1,http://a:2,http://a:3", "", "", VINE_EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct service_url u[2];
		struct err e;
		unsigned n;
		int r = service_urls_parse(u, 2, &n, str_from(rows[i].list), &e);

		if ((r < 0 ? r : (int)n) != rows[i].n)
			fail_msg("%s: %d, %u", rows[i].list, r, n);
		if (r == 0 && n) {
			assert_string_equal(u[0].shown, rows[i].shown);
			assert_string_equal(u[0].auth, rows[i].auth);
			assert_int_equal(u[0].path[strlen(u[0].path) - 1], '/');
			assert_int_equal(u[0].secure, strncmp(u[0].shown, "https:", 6) == 0);
		}
	}
}

/* Each URL shows its own credentials; the token is for those that have none. */
static void test_tokens(void **state)
{
	struct service_url u[3];
	struct err e;
	unsigned n;

	(void)state;
	assert_int_equal(service_urls_parse(u, 3, &n, STR("http://a:1,http://u:p@b:1,http://v:q@c:1"), &e), 0);
	assert_int_equal(service_urls_give_token(u, n, STR_EMPTY, &e), 0);
	assert_string_equal(u[0].auth, "");
	assert_int_equal(service_urls_give_token(u, n, STR("a.b-c_d~e+f/g="), &e), 0);
	assert_string_equal(u[0].auth, "Authorization: Bearer a.b-c_d~e+f/g=\r\n");
	assert_string_equal(u[1].auth, "Authorization: Basic dTpw\r\n");
	assert_string_equal(u[2].auth, "Authorization: Basic djpx\r\n");
	assert_int_equal(service_urls_give_token(u, n, STR("secret\r\nX: y"), &e), VINE_EINVAL);
	assert_null(strstr(e.text, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tolerance),    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_answers),    cmocka_unit_test(test_service_urls),
		cmocka_unit_test(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
