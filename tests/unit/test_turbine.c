/* test_turbine.c - the event-stream reader, what several hosts' events add up to, and which instances make a
 * cluster. */
#include <jansson.h>
#include <stdio.h>

#include "base/rng.h"
#include "codec/sse.h"
#include "test.h"
#include "turbine/cluster.h"
#include "turbine/merge.h"

/* --- the reader --- */

struct seen {
	char text[4096];
};

static void note(void *ctx, struct str data)
{
	struct seen *s = ctx;
	size_t len = strlen(s->text);

	snprintf(s->text + len, sizeof(s->text) - len, "[%.*s]", STRF(data));
}

static const struct {
	const char *name, *bytes, *want;
} streams[] = {
	{ "Hystrix's", "data: {\"a\":1}\n\nping: \n\ndata: {}\n\n", "[{\"a\":1}][{}]" },
	{ "Turbine's comment", ": ping\n\ndata: x\n\n", "[x]" },
	{ "no blank after the colon", "data:x\n\ndata:  y\n\n", "[x][ y]" },
	{ "several lines", "data: a\ndata: b\n\n", "[a\nb]" },
	{ "CRLF and CR", "data: a\r\n\r\ndata: b\r\rdata: c\r\n\n", "[a][b][c]" },
	{ "other fields", "event: x\nid: 3\nretry: 10\ndata: a\n\ndatum: b\n\n", "[a]" },
	{ "no data, no event", "event: x\n\n\n\n\n", "" },
	{ "an empty one", "data:\n\ndata\n\n", "[][]" },
	{ "a ping in the middle", "data: {\"a\":\nping: \ndata: 1}\n\n", "[{\"a\":\n1}]" },
	{ "not ended", "data: a\n", "" },
	{ "too long is skipped, the next is not", "data: 0123456789012345678901234567890123456789\n\ndata: b\n\n",
	  "[b]" },
	{ "too long in pieces", "data: 01234567890123456789\ndata: 0123456789\ndata: 01234567890\n\ndata: b\n\n",
	  "[b]" },
	{ "just fits", "data: 01234567890123456789012345\n\n", "[01234567890123456789012345]" },
};

static void test_streams_cut_anywhere(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		struct str all = str_from(streams[i].bytes);

		for (size_t cut = 0; cut <= all.len + 1; cut++) { /* the last round: byte by byte */
			struct seen seen = { "" };
			struct sse s;

			sse_init(&s, 32);
			if (cut <= all.len) {
				sse_feed(&s, str_slice(all, 0, cut), note, &seen);
				sse_feed(&s, str_slice(all, cut, all.len), note, &seen);
			}
			for (size_t k = 0; cut > all.len && k < all.len; k++)
				sse_feed(&s, str_slice(all, k, k + 1), note, &seen);
			if (strcmp(seen.text, streams[i].want) != 0)
				fail_msg("%s, cut at %zu: %s", streams[i].name, cut, seen.text);
			assert_true(s.data.cap <= 64 && s.line.cap <= 64);
			sse_fini(&s);
		}
	}
}

/* --- merging --- */

#define HOSTS 4
#define SEC USEC_PER_SEC

struct cluster {
	struct merge m;
	struct merge_host h[HOSTS];
};

static void begin(struct cluster *c)
{
	merge_init(&c->m, 1);
	for (unsigned i = 0; i < HOSTS; i++)
		merge_host_init(&c->h[i], 2);
}

static void end(struct cluster *c)
{
	for (unsigned i = 0; i < HOSTS; i++)
		merge_host_fini(&c->m, &c->h[i]);
	merge_fini(&c->m);
}

static int tell(struct cluster *c, unsigned host, const char *json)
{
	struct err e;

	return merge_put(&c->m, &c->h[host], str_from(json), SEC, &e);
}

/* The events that the cluster has to tell: an array. */
static json_t *told(struct cluster *c, bool whole)
{
	struct buf b = BUF_INIT(1 << 24);
	json_t *list = json_array();

	merge_write(&c->m, &b, whole);

	struct str rest = buf_str(&b), line;

	while (rest.len && str_cut(&rest, '\n', &line)) {
		json_error_t e;
		json_t *j;

		if (line.len == 0)
			continue;
		assert_true(str_has_prefix(line, STR("data: ")));
		j = json_loadb(line.ptr + 6, line.len - 6, JSON_REJECT_DUPLICATES, &e);
		if (!j)
			fail_msg("%s: %.*s", e.text, STRF(line));
		json_array_append_new(list, j);
	}
	buf_fini(&b);
	return list;
}

#define K "\"type\":\"HystrixCommand\",\"name\":\"x\""

static const struct {
	const char *name, *a, *b, *field, *want; /* want: the field, dumped */
} sums[] = {
	{ "integers add up", "\"n\":3", "\"n\":4", "n", "7" },
	{ "past 32 bits", "\"n\":3000000000", "\"n\":3000000000", "n", "6000000000" },
	{ "but not past 64", "\"n\":9223372036854775807", "\"n\":5", "n", "9223372036854775807" },
	{ "negative ones too", "\"n\":-3", "\"n\":1", "n", "-2" },
	{ "only one has it", "\"n\":3", "\"o\":4", "n", "3" },
	{ "a name twice counts once", "\"n\":3,\"n\":30", "\"n\":4", "n", "7" },
	{ "open here and there", "\"isCircuitBreakerOpen\":true", "\"isCircuitBreakerOpen\":true",
	  "isCircuitBreakerOpen", "true" },
	{ "open here, closed there", "\"isCircuitBreakerOpen\":true", "\"isCircuitBreakerOpen\":false",
	  "isCircuitBreakerOpen", "\"{\\\"true\\\":1,\\\"false\\\":1}\"" },
	{ "one speaks for many", "\"isCircuitBreakerOpen\":true,\"reportingHosts\":3", "\"isCircuitBreakerOpen\":false",
	  "isCircuitBreakerOpen", "\"{\\\"true\\\":3,\\\"false\\\":1}\"" },
	{ "a text", "\"group\":\"g\"", "\"group\":\"g\"", "group", "\"g\"" },
	{ "texts", "\"group\":\"g\"", "\"group\":\"h\"", "group", "\"{\\\"g\\\":1,\\\"h\\\":1}\"" },
	{ "null", "\"propertyValue_o\":null", "\"propertyValue_o\":null", "propertyValue_o", "null" },
	{ "null and a text", "\"propertyValue_o\":null", "\"propertyValue_o\":\"p\"", "propertyValue_o",
	  "\"{\\\"null\\\":1,\\\"p\\\":1}\"" },
	{ "a fraction is a text", "\"n\":1.5", "\"n\":1.5", "n", "\"1.5\"" },
	{ "hosts", "\"reportingHosts\":1", "\"reportingHosts\":1", "reportingHosts", "2" },
	{ "a claim is bounded", "\"reportingHosts\":99999999999", "\"reportingHosts\":-5", "reportingHosts", "10001" },
	{ "settings do not add up", "\"propertyValue_w\":10000", "\"propertyValue_w\":10000", "propertyValue_w",
	  "10000" },
	{ "settings that differ: the more frequent", "\"propertyValue_w\":1000,\"reportingHosts\":2",
	  "\"propertyValue_w\":5000", "propertyValue_w", "1000" },
	{ "or the greater", "\"propertyValue_w\":1000", "\"propertyValue_w\":5000", "propertyValue_w", "5000" },
	{ "and it is said", "\"propertyValue_w\":1000", "\"propertyValue_w\":5000", "vineMixed",
	  "{\"propertyValue_w\":{\"1000\":1,\"5000\":1}}" },
	{ "the latest time", "\"currentTime\":5", "\"currentTime\":3", "currentTime", "5" },
	{ "error share of all calls, times hosts",
	  "\"errorPercentage\":100,\"errorCount\":10,\"requestCount\":10,\"reportingHosts\":1",
	  "\"errorPercentage\":0,\"errorCount\":0,\"requestCount\":90,\"reportingHosts\":1", "errorPercentage", "20" },
	{ "no calls, no share", "\"errorPercentage\":0,\"errorCount\":0,\"requestCount\":0", "\"requestCount\":0",
	  "errorPercentage", "0" },
	{ "other maps add up", "\"m\":{\"a\":1,\"b\":2}", "\"m\":{\"b\":3,\"c\":4}", "m", "{\"a\":1,\"b\":5,\"c\":4}" },
	{ "a list is left out", "\"l\":[1,2]", "\"n\":1", "l", "" },
};

static json_t *only(struct cluster *c)
{
	json_t *list = told(c, false), *j;

	assert_int_equal(json_array_size(list), 1);
	j = json_incref(json_array_get(list, 0));
	json_decref(list);
	return j;
}

static void test_what_two_hosts_add_up_to(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
		struct cluster c;
		char text[1024];

		begin(&c);
		snprintf(text, sizeof(text), "{" K ",%s}", sums[i].a);
		assert_int_equal(tell(&c, 0, text), 0);
		snprintf(text, sizeof(text), "{" K ",%s}", sums[i].b);
		assert_int_equal(tell(&c, 1, text), 0);

		json_t *j = only(&c), *v = json_object_get(j, sums[i].field);
		char *got = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

		if (strcmp(got ? got : "", sums[i].want) != 0)
			fail_msg("%s: %s, want %s", sums[i].name, got, sums[i].want);
		free(got);
		json_decref(j);
		end(&c);
	}
}

static int64_t point(const json_t *j, const char *field, const char *q)
{
	return json_integer_value(json_object_get(json_object_get(j, field), q));
}

/* 1,000 fast calls on one host, 10 slow ones on the other: the median of all is fast, whatever the hosts' medians
 * are. */
static void test_percentiles_are_of_all_calls(void **state)
{
	struct cluster c;

	begin(&c);
	tell(&c, 0,
	     "{" K ",\"reportingHosts\":1,\"latencyExecute_mean\":5,\"latencyExecute\":{\"0\":4,\"50\":5,\"100\":6},"
	     "\"latencyTotal\":{\"0\":4,\"50\":5,\"100\":6},\"vineLatencyExecuteMicros\":{\"4864\":1000}}");
	tell(&c, 1,
	     "{" K
	     ",\"reportingHosts\":1,\"latencyExecute_mean\":900,\"latencyExecute\":{\"0\":890,\"50\":900,\"100\":910},"
	     "\"latencyTotal\":{\"0\":890,\"50\":900,\"100\":910},\"vineLatencyExecuteMicros\":{\"884736\":10}}");

	json_t *j = only(&c);

	assert_int_equal(point(j, "latencyExecute", "0"), 2 * 4);
	assert_int_equal(point(j, "latencyExecute", "50"), 2 * 5);
	assert_int_equal(point(j, "latencyExecute", "99"), 2 * 5);
	assert_in_range(point(j, "latencyExecute", "99.5"), 2 * 890, 2 * 910);
	assert_int_equal(point(j, "latencyExecute", "100"), 2 * 910);
	assert_int_equal(point(j, "latencyTotal", "50"), 2 * 5);
	assert_int_equal(json_integer_value(json_object_get(j, "latencyExecute_mean")), 28); /* 2 * 13.86 */
	assert_string_equal(json_string_value(json_object_get(j, "vineQuantiles")), "merged");
	assert_int_equal(point(j, "vineLatencyExecuteMicros", "884736"), 10);
	json_decref(j);
	end(&c);
}

/* Hosts without histograms: made of their percentiles, weighted by their calls. */
static void test_percentiles_of_strangers_are_estimated(void **state)
{
	struct cluster c;

	begin(&c);
	tell(&c, 0,
	     "{" K ",\"reportingHosts\":1,\"rollingCountSuccess\":900,\"latencyExecute_mean\":10,"
	     "\"latencyExecute\":{\"0\":10,\"25\":10,\"50\":10,\"75\":10,\"90\":10,\"95\":10,\"99\":10,\"99.5\":10,"
	     "\"100\":10}}");
	tell(&c, 1,
	     "{" K ",\"reportingHosts\":1,\"rollingCountSuccess\":100,\"latencyExecute_mean\":1000,\"latencyExecute\":"
	     "{\"0\":1000,\"25\":1000,\"50\":1000,\"75\":1000,\"90\":1000,\"95\":1000,\"99\":1000,\"99.5\":1000,"
	     "\"100\":1000}}");

	json_t *j = only(&c);

	assert_int_equal(point(j, "latencyExecute", "75"), 2 * 10);
	assert_in_range(point(j, "latencyExecute", "95"), 2 * 940, 2 * 1000);
	assert_int_equal(json_integer_value(json_object_get(j, "latencyExecute_mean")), 2 * 109);
	assert_string_equal(json_string_value(json_object_get(j, "vineQuantiles")), "estimated");
	json_decref(j);
	end(&c);
}

static void test_only_changes_are_told_again(void **state)
{
	struct cluster c;
	json_t *list;

	begin(&c);
	tell(&c, 0, "{" K ",\"n\":1,\"currentTime\":1}");
	json_decref(only(&c));
	tell(&c, 0, "{" K ",\"n\":1,\"currentTime\":2}");
	list = told(&c, false);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	list = told(&c, true);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	tell(&c, 0, "{" K ",\"n\":2,\"currentTime\":2}");
	json_decref(only(&c));
	end(&c);
}

static void test_who_leaves_is_taken_off(void **state)
{
	struct cluster c;
	json_t *j;

	begin(&c);
	tell(&c, 0, "{" K ",\"n\":1}");
	tell(&c, 1, "{" K ",\"n\":2}");
	json_decref(only(&c));
	merge_leave(&c.m, &c.h[0]);
	j = only(&c);
	assert_int_equal(json_integer_value(json_object_get(j, "n")), 2);
	json_decref(j);
	merge_leave(&c.m, &c.h[1]);
	j = only(&c);
	assert_string_equal(json_string_value(json_object_get(j, "deleteData")), "true");
	assert_string_equal(json_string_value(json_object_get(j, "name")), "x");
	json_decref(j);
	assert_int_equal(merge_len(&c.m), 0);
	tell(&c, 1, "{" K ",\"n\":2}"); /* and may come back */
	json_decref(only(&c));
	end(&c);
}

static void test_what_is_not_told_any_more_expires(void **state)
{
	struct cluster c;
	json_t *list;

	begin(&c);
	merge_put(&c.m, &c.h[0], STR("{" K ",\"n\":1}"), 1 * SEC, NULL);
	merge_put(&c.m, &c.h[0], STR("{\"type\":\"HystrixCommand\",\"name\":\"y\",\"n\":1}"), 1 * SEC, NULL);
	merge_put(&c.m, &c.h[0], STR("{" K ",\"n\":1}"), 8 * SEC, NULL);
	merge_expire(&c.m, 5 * SEC);
	list = told(&c, true);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "deleteData")), "true");
	assert_int_equal(merge_len(&c.m), 1);
	json_decref(list);
	end(&c);
}

static const struct {
	const char *json;
	int want;
} liars[] = {
	{ "", VINE_EINVAL },
	{ "[]", VINE_EINVAL },
	{ "{}", VINE_EINVAL },
	{ "{\"type\":\"t\"}", VINE_EINVAL },
	{ "{\"type\":\"t\",\"name\":\"\"}", VINE_EINVAL },
	{ "{\"type\":1,\"name\":[]}", VINE_EINVAL },
	{ "{\"type\":\"t\",\"name\":\"n\",}", VINE_EINVAL },
	{ "{\"type\":\"t\",\"name\":\"n\",\"x\":[[[[[[[[[[[[1]]]]]]]]]]]]}", VINE_ELIMIT },
};

static void test_what_is_no_event_changes_nothing(void **state)
{
	struct cluster c;
	json_t *list;

	begin(&c);
	for (size_t i = 0; i < ARRAY_LEN(liars); i++) {
		int r = tell(&c, 0, liars[i].json);

		if (r != liars[i].want)
			fail_msg("%s: %d", liars[i].json, r);
	}
	list = told(&c, true);
	assert_int_equal(json_array_size(list), 0);
	assert_int_equal(c.m.bad + c.m.refused, ARRAY_LEN(liars));
	json_decref(list);
	end(&c);
}

/* A host that tells of ever new commands, fields and map entries. */
static void test_a_flood_is_bounded(void **state)
{
	struct cluster c;
	struct buf b = BUF_INIT(1 << 20);
	unsigned kept = 0;
	char text[256];
	json_t *list;

	begin(&c);
	for (unsigned i = 0; i < MERGE_HOST_EVENTS_MAX + 500; i++) {
		snprintf(text, sizeof(text), "{\"type\":\"HystrixCommand\",\"name\":\"c%u\",\"field%u\":1}", i, i);
		kept += tell(&c, 0, text) == 0;
	}
	assert_int_equal(kept, MERGE_HOST_EVENTS_MAX);
	assert_int_equal(merge_len(&c.m), MERGE_HOST_EVENTS_MAX);
	assert_int_equal(c.m.names.n, FIELD_NAMES_MAX);
	assert_true(c.m.names.dropped > 0);

	buf_addz(&b, "{\"type\":\"HystrixCommand\",\"name\":\"wide\",\"requestCount\":7,\"m\":{\"a\":1");
	for (unsigned i = 0; i < 500; i++)
		buf_addf(&b, ",\"k%u\":1", i);
	buf_addz(&b, "}");
	for (unsigned i = 0; i < 500; i++)
		buf_addf(&b, ",\"field%u\":1", i);
	buf_addz(&b, "}");
	assert_int_equal(merge_put(&c.m, &c.h[1], buf_str(&b), SEC, NULL), 0);
	merge_leave(&c.m, &c.h[0]);
	json_decref(told(&c, true));
	list = told(&c, true);
	assert_int_equal(json_array_size(list), 1);
	assert_true(json_object_size(json_array_get(list, 0)) <= EVENT_FIELDS_MAX + 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "requestCount")), 7);
	json_decref(list);

	buf_clear(&b);
	buf_addz(&b, "{\"type\":\"t\",\"name\":\"");
	for (unsigned i = 0; i < EVENT_NAME_MAX + 1; i++)
		buf_addc(&b, 'n');
	buf_addz(&b, "\"}");
	assert_int_equal(merge_put(&c.m, &c.h[1], buf_str(&b), SEC, NULL), VINE_ELIMIT);
	buf_fini(&b);
	end(&c);
}

/* Hosts come, change and go at random: the sum is always that of a plain model. */
static void test_sums_never_drift(void **state)
{
	int64_t model[HOSTS][3] = { 0 };
	bool there[HOSTS][3] = { 0 };
	struct cluster c;
	struct rng rng;

	rng_seed(&rng, 3);
	begin(&c);
	for (unsigned round = 0; round < 3000; round++) {
		unsigned h = rng_below(&rng, HOSTS), k = rng_below(&rng, 3);
		char text[128];

		if (rng_below(&rng, 10) == 0) {
			merge_leave(&c.m, &c.h[h]);
			memset(there[h], 0, sizeof(there[h]));
		} else {
			model[h][k] = rng_below(&rng, 1000);
			there[h][k] = true;
			snprintf(text, sizeof(text), "{\"type\":\"t\",\"name\":\"%u\",\"n\":%lld,\"reportingHosts\":1}",
				 k, (long long)model[h][k]);
			assert_int_equal(tell(&c, h, text), 0);
		}

		json_t *list = told(&c, rng_below(&rng, 2)), *j;
		size_t i;

		json_array_foreach(list, i, j)
		{
			unsigned name = (unsigned)atoi(json_string_value(json_object_get(j, "name")));
			int64_t sum = 0, hosts = 0;

			for (unsigned x = 0; x < HOSTS; x++) {
				sum += there[x][name] ? model[x][name] : 0;
				hosts += there[x][name];
			}
			if (json_object_get(j, "deleteData")) {
				assert_int_equal(hosts, 0);
				continue;
			}
			assert_int_equal(json_integer_value(json_object_get(j, "n")), sum);
			assert_int_equal(json_integer_value(json_object_get(j, "reportingHosts")), hosts);
		}
		json_decref(list);
	}
	end(&c);
}

/* --- clusters --- */

static struct instance *inst(const char *app, const char *vip, const char *host, uint16_t port, const char *key,
			     const char *value)
{
	struct instance d = instance_draft();
	struct kv kv = { str_from(key), str_from(value) };

	d.app = str_from(app);
	d.vip = str_from(vip);
	d.host = str_from(host);
	d.id = d.instance_id = str_from(host);
	d.port = (struct inst_port){ port, port != 0 };
	d.status = INST_UP;
	d.n_meta = key ? 1 : 0;
	d.meta = &kv;
	return instance_new(&d);
}

static const struct {
	const char *expression, *apps, *clusters, *cluster, *want; /* host:port of the members */
} clusters[] = {
	{ "", "", "", "CART", "a:1 b:2" },
	{ "", "", "", "cart", "a:1 b:2" },
	{ "", "", "", "default", "a:1 b:2 c:9 d:4" },
	{ "", "cart", "", "default", "a:1 b:2" },
	{ "", "cart", "", "PAY", "-" },
	{ "", "", "PAY", "CART", "-" },
	{ "", "", "", "nobody", "-" },
	{ "appName", "", "", "default", "-" },
	{ "'default'", "", "", "default", "a:1 b:2 c:9 d:4" },
	{ "serviceId", "", "", "pay-service", "c:9 d:4" },
	{ "metadata['cluster']", "", "", "blue", "b:2" },
	{ "metadata[\"cluster\"]", "", "", "green", "-" },
};

static void test_members_of_clusters(void **state)
{
	struct instance *list[] = {
		inst("CART", "cart", "a", 1, NULL, NULL),
		inst("CART", "cart", "b", 2, "cluster", "blue"),
		inst("PAY", "pay-service", "c", 3, "management.port", "9"),
		inst("PAY", "pay-service", "d", 4, NULL, NULL),
		inst("PAY", "pay-service", "e", 0, NULL, NULL), /* no plain port: left out */
	};
	struct apps_doc doc = { 0 };
	struct eureka_cache cache;
	struct eureka_view *v;

	eureka_cache_init(&cache, 1);
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		apps_doc_add(&doc, instance_ref(list[i]));
	eureka_cache_full(&cache, &doc, false, 0);
	v = eureka_cache_view(&cache, false);

	for (size_t i = 0; i < ARRAY_LEN(clusters); i++) {
		struct cluster_rule r = { 0 };
		struct member *m;
		struct arena a;
		unsigned n, left_out, names;
		char got[256] = "-";
		struct err e;
		bool exists = false;

		arena_init(&a, 1024);
		assert_int_equal(cluster_expression(&r, str_from(clusters[i].expression), &e), 0);
		r.n_apps = clusters[i].apps[0] ? 1 : 0;
		r.apps[0] = str_from(clusters[i].apps);
		r.n_clusters = clusters[i].clusters[0] ? 1 : 0;
		r.clusters[0] = str_from(clusters[i].clusters);
		if (cluster_members(v, &r, str_from(clusters[i].cluster), &a, &m, &n, &left_out)) {
			got[0] = '\0';
			for (unsigned k = 0; k < n; k++)
				snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", k ? " " : "",
					 STRF(m[k].id));
			assert_int_equal(left_out, strstr(clusters[i].want, "c:9") != NULL);
		}
		if (strcmp(got, clusters[i].want) != 0)
			fail_msg("%s of %s: %s", clusters[i].cluster, clusters[i].expression, got);

		struct str *name = cluster_names(v, &r, &a, 1, &names);

		for (unsigned k = 0; k < names; k++)
			exists = exists || str_eq_nocase(name[k], str_from(clusters[i].cluster));
		if (exists != (strcmp(got, "-") != 0))
			fail_msg("%s of %s: listed: %d", clusters[i].cluster, clusters[i].expression, exists);
		arena_fini(&a);
	}
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		instance_unref(list[i]);
	apps_doc_fini(&doc);
	eureka_view_unref(v);
	eureka_cache_fini(&cache);
}

static void test_where_the_endpoints_are(void **state)
{
	static const struct {
		const char *said, *want; /* want NULL: it says nothing */
	} cases[] = {
		{ NULL, NULL }, { "/ctx/manage", "/ctx/manage" }, { "manage/", "/manage" }, { "/", "" }, { "", NULL },
		{ "/a b", NULL }, { "/x HTTP/1.1\r\nA: b", NULL }, { "/../x", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct instance *in = inst("CART", "cart", "a", 1, cases[i].said ? "management.context-path" : NULL, cases[i].said ? cases[i].said : "");
		struct apps_doc doc = { 0 };
		struct eureka_cache cache;
		struct cluster_rule r = { 0 };
		struct eureka_view *v;
		struct member *m;
		struct arena a;
		unsigned n, left_out;

		arena_init(&a, 1024);
		eureka_cache_init(&cache, 1);
		apps_doc_add(&doc, instance_ref(in));
		eureka_cache_full(&cache, &doc, false, 0);
		v = eureka_cache_view(&cache, false);
		assert_true(cluster_members(v, &r, STR("CART"), &a, &m, &n, &left_out));
		assert_int_equal(n, 1);
		if (cases[i].want ? !m->endpoints.ptr || !str_eq(m->endpoints, str_from(cases[i].want)) : m->endpoints.ptr != NULL)
			fail_msg("%s: %.*s", cases[i].said, STRF(m->endpoints));
		eureka_view_unref(v);
		eureka_cache_fini(&cache);
		apps_doc_fini(&doc);
		instance_unref(in);
		arena_fini(&a);
	}
}

static void test_expressions_that_are_refused(void **state)
{
	static const char *const bad[] = { "'",
					   "''",
					   "metadata",
					   "metadata[x]",
					   "metadata['x'",
					   "T(java.lang.Runtime)",
					   "'a'+'b'",
					   "appName.toLowerCase()" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cluster_rule r = { 0 };
		struct err e;

		if (cluster_expression(&r, str_from(bad[i]), &e) != VINE_EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(e.text, bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_cut_anywhere),
		cmocka_unit_test(test_what_two_hosts_add_up_to),
		cmocka_unit_test(test_percentiles_are_of_all_calls),
		cmocka_unit_test(test_percentiles_of_strangers_are_estimated),
		cmocka_unit_test(test_only_changes_are_told_again),
		cmocka_unit_test(test_who_leaves_is_taken_off),
		cmocka_unit_test(test_what_is_not_told_any_more_expires),
		cmocka_unit_test(test_what_is_no_event_changes_nothing),
		cmocka_unit_test(test_a_flood_is_bounded),
		cmocka_unit_test(test_sums_never_drift),
		cmocka_unit_test(test_members_of_clusters),
		cmocka_unit_test(test_where_the_endpoints_are),
		cmocka_unit_test(test_expressions_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
