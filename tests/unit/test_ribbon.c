/* test_ribbon.c - a client's balancing from properties: settings, names of parts, lists, filters, updaters, users' tables. */
#include <stdio.h>

#include <vine/balance.h>

#include "eureka/view.h"
#include "plugin/plugin.h"
#include "props/props.h"
#include "ribbon/pinger.h"
#include "test.h"

#define START (INT64_C(5000) * USEC_PER_SEC)
#define SEC USEC_PER_SEC

struct row {
	const char *name, *value;
};

#define ROWS_MAX 24
#define GIVEN_MAX 8

struct world {
	struct props *props;
	struct log *logs;
	struct logger log;
	struct plugins *plugins;
	struct plugin *given[GIVEN_MAX];
	unsigned n_given, refreshes;
	struct ribbon_env env;
	struct ribbon *rb;
	struct arena arena;
	struct ribbon_settings s;
	struct eureka_cache cache;
	struct eureka_view *view;
	struct rng rng;
	struct tried tried;
	usec now;
};

static struct props *props_of(const struct row *rows)
{
	struct prop_entry entry[ROWS_MAX];
	struct prop_source s = { .name = STR("t"), .entry = entry };
	const struct prop_finding *f;
	struct props *p;

	for (; s.n < ROWS_MAX && rows[s.n].name; s.n++)
		entry[s.n] = (struct prop_entry){ str_from(rows[s.n].name), str_from(rows[s.n].value), 1, 1 };
	p = props_build(&s, 1, NULL, 0);
	if (!props_ok(p) && props_findings(p, &f))
		fail_msg("%.*s", STRF(f[0].text));
	return p;
}

static struct plugin *given(void *ctx, enum vine_plugin_kind kind, struct str client)
{
	struct world *w = ctx;

	for (unsigned i = 0; i < w->n_given; i++)
		if (plugin_table(w->given[i])->kind == (uint32_t)kind)
			return w->given[i];
	return NULL;
}

static void on_refresh(void *ctx)
{
	((struct world *)ctx)->refreshes++;
}

static void world_init(struct world *w, const struct row *rows)
{
	memset(w, 0, sizeof(*w));
	w->props = props_of(rows);
	w->logs = log_new(-1, LOG_LOGFMT);
	w->log = logger_of(w->logs, "vine.test", "test");
	w->plugins = plugins_new(&w->log, &user_host);
	w->env = (struct ribbon_env){ .plugins = w->plugins, .log = &w->log, .seed = 5, .given = given, .refresh = on_refresh, .ctx = w };
	w->now = START;
	w->rb = ribbon_new(STR("shop"), &w->env, w->now);
	arena_init(&w->arena, 1024);
	eureka_cache_init(&w->cache, 1);
	rng_seed(&w->rng, 3);
}

static void world_fini(struct world *w)
{
	ribbon_free(w->rb);
	plugins_free(w->plugins);
	arena_fini(&w->arena);
	props_unref(w->props);
	eureka_view_unref(w->view);
	eureka_cache_fini(&w->cache);
	log_free(w->logs);
}

static void give(struct world *w, const struct vine_plugin *table)
{
	struct err e;

	if (plugins_adopt(w->plugins, table, &w->given[w->n_given++], &e) < 0)
		fail_msg("%s", e.text);
}

static void read_settings(struct world *w)
{
	struct err e;

	if (ribbon_settings_read(&w->s, w->rb, w->props, &w->arena, &e) < 0)
		fail_msg("%s", e.text);
}

static struct server_set *update(struct world *w, bool force)
{
	struct server_set *set = NULL;
	struct err e;

	if (ribbon_update(w->rb, &w->s, w->view, force, w->now, &set, &e) < 0)
		fail_msg("%s", e.text);
	return set;
}

/* "a:80 b:80" */
static void assert_servers(struct world *w, bool force, const char *want)
{
	struct server_set *set = update(w, force);
	char got[512] = "";

	for (uint32_t i = 0; i < set->n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", i ? " " : "", STRF(set->at[i]->id));
	assert_string_equal(got, want);
	server_set_unref(set);
}

static struct pick choose(struct world *w, struct server_set *set)
{
	struct choice c = { .list = server_set_list(set), .tried = &w->tried, .settings = &w->s.outlier, .rule = &w->s.rules, .rng = &w->rng,
			    .now = w->now };

	return balancer_choose(ribbon_balancer(w->rb, &w->s), &c);
}

/* Words of "vip/host@zone", with a '-' behind: DOWN. */
static void registry_knows(struct world *w, const char *words)
{
	struct apps_doc d = { 0 };
	struct str rest = str_from(words), word, vip, host;

	while (rest.len && str_cut(&rest, ' ', &word)) {
		struct instance x = instance_draft();
		struct kv meta[2] = { { STR("zone"), STR("") }, { STR("weight"), STR("300") } };

		str_cut(&word, '/', &vip);
		str_cut(&word, '@', &host);
		x.app = x.vip = vip;
		x.host = x.instance_id = host;
		x.ip = STR("10.9.9.9");
		x.has_dc = true;
		x.dirty = 1;
		x.status = str_find(word, STR("-")) >= 0 ? INST_DOWN : INST_UP;
		x.port = (struct inst_port){ 80, true };
		meta[0].value = str_slice(word, 0, 1);
		x.meta = meta;
		x.n_meta = str_eq(host, STR("heavy")) ? 2 : 1;
		apps_doc_add(&d, instance_new(&x));
	}
	eureka_cache_full(&w->cache, &d, false, 0);
	apps_doc_fini(&d);
	eureka_view_unref(w->view);
	w->view = eureka_cache_view(&w->cache, false);
}

/* --- names --- */

/* The catalogue's rows say what is accepted, the classes what it means: neither may know what the other does not. */
static void test_rows_and_classes_name_the_same(void **state)
{
	size_t listed = 0, known = 0;

	for (enum class_kind k = 0; k < CLASS_KINDS; k++) {
		char row[128];
		struct str rest, one;

		snprintf(row, sizeof(row), "{client}.ribbon.%s", class_property(k));

		const struct prop_desc *d = prop_desc_named(row);

		assert_non_null(d);
		assert_int_equal(d->type, PROP_CLASS);
		rest = str_from(d->values);
		while (str_cut(&rest, ' ', &one)) {
			const struct class_name *c = class_find(k, one);

			if (!c || !str_eq(c->name, one))
				fail_msg("%s: %.*s is in the row, not among the classes", row, STRF(one));
			if (k == CLASS_RULE)
				assert_non_null(balance_by_name(c->ours));
			listed++;
		}
	}
	while (class_at(known))
		known++;
	assert_int_equal(listed, known);
}

static void test_java_classes_lead_to_our_parts(void **state)
{
	static const struct {
		enum class_kind kind;
		const char *name, *ours;
	} cases[] = {
		{ CLASS_RULE, "com.netflix.loadbalancer.RoundRobinRule", "round-robin" },
		{ CLASS_RULE, "com.netflix.loadbalancer.WeightedResponseTimeRule", "weighted-response-time" },
		{ CLASS_RULE, "ZoneAvoidanceRule", "zone-avoidance" },
		{ CLASS_RULE, "Ring-Hash", "ring-hash" },
		{ CLASS_BALANCER, "com.netflix.loadbalancer.ZoneAwareLoadBalancer", "zone-aware" },
		{ CLASS_PING, "com.netflix.niws.loadbalancer.NIWSDiscoveryPing", "registry" },
		{ CLASS_PING, "com.netflix.loadbalancer.DummyPing", "none" },
		{ CLASS_LIST, "com.netflix.loadbalancer.ConfigurationBasedServerList", "configured" },
		{ CLASS_LIST, "com.netflix.niws.loadbalancer.DiscoveryEnabledNIWSServerList", "registry" },
		{ CLASS_FILTER, "com.netflix.loadbalancer.ServerListSubsetFilter", "subset" },
		{ CLASS_FILTER, "org.springframework.cloud.netflix.ribbon.ZonePreferenceServerListFilter", "zone-preference" },
		{ CLASS_UPDATER, "com.netflix.niws.loadbalancer.EurekaNotificationServerListUpdater", "push" },
		{ CLASS_UPDATER, "com.netflix.loadbalancer.PollingServerListUpdater", "polling" },
		{ CLASS_RULE, "com.netflix.loadbalancer.DummyPing", NULL },
		{ CLASS_RULE, "com.acme.Rule", NULL },
		{ CLASS_RULE, "", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct class_name *c = class_find(cases[i].kind, str_from(cases[i].name));

		assert_true((c != NULL) == (cases[i].ours != NULL));
		if (c)
			assert_true(str_eq(c->ours, str_from(cases[i].ours)));
	}
}

static void test_unknown_names_are_refused_with_the_nearest(void **state)
{
	static const struct {
		const char *row, *value, *wrong; /* NULL: fine */
	} cases[] = {
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "/usr/lib/rules.so:cheapest", NULL },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "./rules.so:cheapest", NULL },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "RoundRobinRule", NULL },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "com.netflix.loadbalancer.RoundRobbinRule",
		  "did you mean com.netflix.loadbalancer.RoundRobinRule?" },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "round-robbin", "did you mean round-robin?" },
		{ "ribbon.NFLoadBalancerPingClassName", "PingUrll", "did you mean PingUrl?" },
		{ "{client}.ribbon.NIWSServerListFilterClassName", "xyz", "or one of: none zone-affinity" },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "/usr/lib/rules.so", "path:symbol" },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "/usr/lib/rules.so:", "path:symbol" },
		{ "{client}.ribbon.NFLoadBalancerRuleClassName", "/:x", "path:symbol" },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = prop_validate(prop_desc_named(cases[i].row), str_from(cases[i].value), &e);

		assert_int_equal(r, cases[i].wrong ? VINE_EINVAL : 0);
		if (cases[i].wrong && !strstr(e.text, cases[i].wrong))
			fail_msg("%s: %s", cases[i].value, e.text);
	}
}

/* --- settings --- */

static void test_settings_of_a_client(void **state)
{
	static const struct row rows[] = {
		{ "ribbon.ReadTimeout", "700" },
		{ "ribbon.MaxAutoRetriesNextServer", "4" },
		{ "ribbon.OkToRetryOnAllOperations", "true" },
		{ "shop.ribbon.OkToRetryOnAllOperations", "false" },
		{ "shop.ribbon.MaxAutoRetries", "2" },
		{ "shop.ribbon.retryableStatusCodes", "503, 404" },
		{ "shop.ribbon.BackoffTimeout", "20" },
		{ "shop.ribbon.NFLoadBalancerRuleClassName", "maglev" },
		{ "shop.ribbon.ServerListSubsetFilter.size", "7" },
		{ "shop.ribbon.zoneAffinity.maxBlackOutServesrPercentage", "0.5" },
		{ "vine.loadbalancer.default.slow-start-ms", "30s" },
		{ "vine.loadbalancer.shop.hash-key", "cookie: SID" },
		{ "vine.loadbalancer.shop.hedge.delay-ms", "40" },
		{ "niws.loadbalancer.default.connectionFailureCountThreshold", "3" },
		{ "niws.loadbalancer.shop.circuitTripMaxTimeoutSeconds", "30" },
		{ "niws.loadbalancer.availabilityFilteringRule.filterCircuitTripped", "false" },
		{ "ZoneAwareNIWSDiscoveryLoadBalancer.shop.triggeringLoadPerServerThreshold", "0.75" },
		{ "eureka.instance.metadata-map.zone", "east" },
		{ 0 },
	};
	struct world w;

	world_init(&w, rows);
	read_settings(&w);
	assert_int_equal(w.s.read_timeout, 700000);
	assert_int_equal(w.s.connect_timeout, 1000000);
	assert_int_equal(w.s.retry.same, 2);
	assert_int_equal(w.s.retry.next, 4);
	assert_false(w.s.retry.all_operations);
	assert_true(w.s.retry.status_count == 2 && retry_status_is_listed(&w.s.retry, 404));
	assert_int_equal(w.s.backoff, 20000);
	assert_int_equal(w.s.hedge_delay, 40000);
	assert_ptr_equal(w.s.rule, &balance_maglev);
	assert_true(w.s.ring.maglev && w.s.ring.size == MAGLEV_SIZE);
	assert_int_equal(w.s.filter.size, 7);
	assert_true(w.s.filter.max_blackout == 0.5f && str_eq(w.s.filter.zone, STR("east")));
	assert_int_equal(w.s.outlier.slow_start_ms, 30000);
	assert_int_equal(w.s.outlier.refused, 3);
	assert_int_equal(w.s.outlier.base_ms, 5000);
	assert_int_equal(w.s.outlier.max_ms, 30000);
	assert_true(w.s.rules.ignore_tripped && w.s.rules.zone_trigger == 0.75f);
	assert_true(w.s.hash == HASH_COOKIE && str_eq(w.s.hash_name, STR("SID")));
	world_fini(&w);
}

static void test_settings_where_nothing_is_configured(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { 0 } });
	read_settings(&w);
	assert_ptr_equal(w.s.rule, &balance_p2c);
	assert_false(w.s.zone_aware);
	assert_int_equal(w.s.list, LIST_REGISTRY);
	assert_int_equal(w.s.filter.kind, FILTER_ZONE_AFFINITY);
	assert_false(w.s.filter.affinity || w.s.filter.exclusive);
	assert_int_equal(w.s.ping, PING_NONE);
	assert_int_equal(w.s.updater, UPDATER_PUSH);
	assert_int_equal(w.s.retry.next, 1);
	assert_int_equal(w.s.hedge_delay, 0);
	assert_true(w.s.outlier.enabled && w.s.outlier.consecutive == 5 && w.s.outlier.refused == 1);
	assert_int_equal(w.s.rules.active_limit, 0);
	assert_int_equal(w.s.hash, HASH_NONE);
	world_fini(&w);
}

static void test_nonsense_is_refused_with_its_key(void **state)
{
	static const struct {
		struct row row;
		const char *wrong;
	} cases[] = {
		{ { "vine.loadbalancer.shop.hash-key", "header:" }, "vine.loadbalancer.shop.hash-key = header:: must be header:NAME" },
		{ { "vine.loadbalancer.shop.hash-key", "moon" }, "must be header:NAME, cookie:NAME, address or path" },
		{ { "vine.loadbalancer.shop.hash-balance-percent", "50" }, "below 100 no server could take its share" },
		{ { "vine.loadbalancer.shop.ping.path", "health" }, "'health' does not begin with /" },
		{ { "shop.ribbon.retryableStatusCodes", "503,busy" }, "shop.ribbon.retryableStatusCodes: 'busy' is not a status" },
		{ { "shop.ribbon.ServerListSubsetFilter.forceEliminatePercent", "2" }, "must be between 0 and 1" },
		{ { "shop.ribbon.NFLoadBalancerRuleClassName", "/nowhere/x.so:y" }, "shop.ribbon.NFLoadBalancerRuleClassName: /nowhere/x.so:y" },
		{ { "vine.loadbalancer.shop.client-config", "/nowhere/x.so:y" }, "vine.loadbalancer.shop.client-config: /nowhere/x.so:y" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };
		struct world w;

		world_init(&w, (struct row[]){ cases[i].row, { 0 } });
		assert_true(ribbon_settings_read(&w.s, w.rb, w.props, &w.arena, &e) < 0);
		if (!strstr(e.text, cases[i].wrong))
			fail_msg("%s, want %s", e.text, cases[i].wrong);
		world_fini(&w);
	}
}

/* --- lists --- */

static void test_a_configured_list(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.listOfServers", " a:1 ,, http://b:2, c, [::1]:3, a:1," }, { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/x@z");
	assert_servers(&w, true, "a:1 b:2 c:80 [::1]:3"); /* the second a:1 is the first */
	world_fini(&w);
	world_init(&w, (struct row[]){ { "shop.ribbon.listOfServers", "a:1" },
				       { "shop.ribbon.NIWSServerListClassName",
					 "com.netflix.niws.loadbalancer.DiscoveryEnabledNIWSServerList" },
				       { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/x@z");
	assert_servers(&w, true, "x:80"); /* the class decides */
	world_fini(&w);
}

static void test_a_malformed_server_is_named(void **state)
{
	static const char *const bad[] = { "a:b", "a:99999", ":", "https://a" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct server_set *set;
		struct err e = { 0 };
		struct world w;

		world_init(&w, (struct row[]){ { "shop.ribbon.listOfServers", bad[i] }, { 0 } });
		read_settings(&w);
		assert_int_equal(ribbon_check(&w.s, w.rb, &e), VINE_EINVAL);
		if (ribbon_update(w.rb, &w.s, NULL, true, w.now, &set, &e) != VINE_EINVAL)
			fail_msg("%s is accepted", bad[i]);
		assert_true(strstr(e.text, "shop.ribbon.listOfServers: '") && strstr(e.text, bad[i]));
		world_fini(&w);
	}
}

static void test_a_list_of_the_registry(void **state)
{
	static const struct {
		struct row row;
		const char *want;
	} cases[] = {
		{ { 0 }, "a:80 b:80 heavy:80" },
		{ { "shop.ribbon.UseIPAddrForServer", "true" }, "10.9.9.9:80" },
		{ { "shop.ribbon.ForceClientPortConfiguration", "true" }, "a:7001 b:7001 heavy:7001" },
		{ { "shop.ribbon.DeploymentContextBasedVipAddresses", "none,other,shop" }, "o:80" },
		{ { "shop.ribbon.eureka.enabled", "false" }, "" },
		{ { "ribbon.eureka.enabled", "false" }, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		world_init(&w, (struct row[]){ cases[i].row, { 0 } });
		read_settings(&w);
		registry_knows(&w, "shop/a@e shop/b@w shop/down@- shop/heavy@e other/o@e");
		assert_servers(&w, true, cases[i].want);
		world_fini(&w);
	}

	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.DeploymentContextBasedVipAddresses", "other,shop" },
				       { "shop.ribbon.PrioritizeVipAddressBasedServers", "false" },
				       { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@e shop/heavy@e other/o@e");
	assert_servers(&w, true, "o:80 a:80 heavy:80");
	assert_int_equal(w.rb->set->max_weight, 300); /* metadata "weight" */
	assert_int_equal(w.rb->set->at[2]->weight, 300);
	assert_true(str_eq(w.rb->set->at[1]->zone, STR("e")));
	world_fini(&w);
}

static void test_what_is_known_of_a_server_outlives_lists(void **state)
{
	struct server_set *first, *second;
	struct world w;

	world_init(&w, (struct row[]){ { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@e shop/b@w");
	first = update(&w, false);
	server_begin(first->at[1]);
	registry_knows(&w, "shop/b@w shop/c@e");
	second = update(&w, false);
	assert_ptr_equal(second->at[0], first->at[1]);
	assert_int_equal(second->at[0]->active, 1);
	assert_int_equal(first->n, 2); /* whoever chose by it keeps it */
	server_set_unref(first);
	server_set_unref(second);
	world_fini(&w);
}

static void test_push_and_polling(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.ServerListUpdaterClassName", "com.netflix.loadbalancer.PollingServerListUpdater" },
				       { "shop.ribbon.ServerListRefreshInterval", "20000" },
				       { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@e");
	assert_servers(&w, false, "a:80"); /* the first time is always due */
	registry_knows(&w, "shop/b@e");
	w.now += 20 * SEC - 1;
	assert_servers(&w, false, "a:80");
	assert_int_equal(ribbon_next_update(w.rb, &w.s), START + 20 * SEC);
	w.now += 1;
	assert_servers(&w, false, "b:80");
	registry_knows(&w, "shop/c@e");
	assert_servers(&w, true, "c:80"); /* a new configuration */
	world_fini(&w);

	world_init(&w, (struct row[]){ { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@e");
	assert_servers(&w, false, "a:80");
	registry_knows(&w, "shop/b@e");
	assert_servers(&w, false, "b:80");
	assert_int_equal(ribbon_next_update(w.rb, &w.s), USEC_NEVER);
	world_fini(&w);
}

static void test_a_filter_looks_again_by_time(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.EnableZoneAffinity", "true" }, { "eureka.instance.metadata-map.zone", "e" }, { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@e shop/b@e shop/c@w");
	assert_servers(&w, false, "a:80 b:80");
	assert_string_equal(w.rb->set->filter_note, "the own zone's servers");
	assert_int_equal(w.rb->set->before, 3);
	assert_int_equal(ribbon_next_update(w.rb, &w.s), START + 30 * SEC);
	server_begin(w.rb->set->at[0]);
	server_begin(w.rb->set->at[1]); /* a load of 1: above maxLoadPerServer */
	w.now += 30 * SEC;
	assert_servers(&w, false, "a:80 b:80 c:80");
	assert_string_equal(w.rb->set->filter_note, "the own zone is loaded");
	world_fini(&w);
}

static void test_balancers_are_kept_apart_and_kept(void **state)
{
	struct world w;
	struct balancer *p2c, *aware;

	world_init(&w, (struct row[]){ { 0 } });
	read_settings(&w);
	p2c = ribbon_balancer(w.rb, &w.s);
	assert_ptr_equal(p2c->ops, &balance_p2c);
	w.s.zone_aware = true;
	aware = ribbon_balancer(w.rb, &w.s);
	assert_ptr_equal(aware->ops, &balance_zone_aware);
	assert_ptr_equal(aware->inner->ops, &balance_p2c);
	w.s.rule = &balance_random;
	assert_ptr_not_equal(ribbon_balancer(w.rb, &w.s), aware);
	w.s.rule = &balance_p2c;
	w.s.zone_aware = false;
	assert_ptr_equal(ribbon_balancer(w.rb, &w.s), p2c); /* with its cursor */
	world_fini(&w);
}

/* --- users' tables --- */

static const struct vine_host *host;
static int created, destroyed, stopped;
static int64_t answer;
static struct vine_refresh *handle;

static void *create(const struct vine_host *h, const char *client)
{
	host = h;
	created++;
	assert_string_equal(client, "shop");
	return &answer;
}

static void destroy(void *state)
{
	assert_ptr_equal(state, &answer);
	destroyed++;
}

/* The server with most requests under way that has metadata zone=e; whatever `answer` says if it is negative. */
static int64_t busiest_east(void *state, const struct vine_choice *c)
{
	int64_t best = -1;

	assert_true(c->size == sizeof(*c) && c->servers->n > 0 && c->now_us > 0);
	if (answer)
		return answer;
	for (uint32_t i = 0; i < c->servers->n; i++) {
		size_t len;
		const char *zone = host->balance->metadata(c->servers, i, "zone", &len);

		assert_string_equal(host->balance->zone(c->servers->at[i]), len && zone[0] == 'e' ? "e" : "w");
		assert_null(host->balance->metadata(c->servers, i, "none", NULL));
		if (len != 1 || zone[0] != 'e' || host->balance->state(c, i) != VINE_SERVER_IN)
			continue;
		if (best < 0 || host->balance->active(c->servers->at[i]) > host->balance->active(c->servers->at[best]))
			best = i;
	}
	assert_true(host->balance->random(c, 5) < 5);
	return best;
}

static const struct vine_rule_ops rule = {
	.plugin = VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, "busiest"), .create = create, .destroy = destroy, .choose = busiest_east
};

static void test_a_users_rule_chooses(void **state)
{
	struct server_set *set;
	struct pick p;
	struct world w;

	created = destroyed = 0;
	answer = 0;
	world_init(&w, (struct row[]){ { 0 } });
	give(&w, &rule.plugin);
	read_settings(&w);
	registry_knows(&w, "shop/a@w shop/b@e shop/c@e shop/d@w");
	set = update(&w, false);
	server_begin(set->at[2]);
	assert_ptr_equal(choose(&w, set).server, set->at[2]);
	tried_add(&w.tried, set->at[2]); /* it does not see those that were tried: its index 1 is c no more */
	assert_ptr_equal(choose(&w, set).server, set->at[1]);
	tried_add(&w.tried, set->at[1]);
	p = choose(&w, set); /* nobody in the east is left */
	assert_int_equal(p.why, PICK_RULE_NONE);
	answer = 2; /* two are left: 0 and 1 */
	p = choose(&w, set);
	assert_null(p.server);
	assert_int_equal(p.why, PICK_RULE_OUTSIDE);

	struct str fault = ribbon_rule_fault(ribbon_balancer(w.rb, &w.s), p.why, &w.arena);

	assert_true(str_eq(fault, STR("rule 'busiest' named a server that is not in the list")));
	assert_int_equal(created, 1);
	server_set_unref(set);
	world_fini(&w);
	assert_int_equal(destroyed, 1);
}

static int worker_fails(const struct vine_host *h, unsigned worker)
{
	return worker == 2 ? -1 : 0;
}

static void test_a_rule_that_does_not_start_on_a_worker(void **state)
{
	static struct vine_rule_ops bad;
	struct server_set *set;
	struct world w;

	bad = rule;
	bad.plugin.worker_init = worker_fails;
	answer = 0;
	world_init(&w, (struct row[]){ { 0 } });
	give(&w, &bad.plugin);
	read_settings(&w);
	registry_knows(&w, "shop/b@e");
	set = update(&w, false);

	struct choice c = { .list = server_set_list(set), .settings = &w.s.outlier, .rng = &w.rng, .now = w.now, .worker = 2 };

	assert_int_equal(balancer_choose(ribbon_balancer(w.rb, &w.s), &c).why, PICK_RULE_FAILED);
	c.worker = 1;
	assert_int_equal(balancer_choose(ribbon_balancer(w.rb, &w.s), &c).why, PICK_IN);
	server_set_unref(set);
	world_fini(&w);
}

/* As the rule says, but never the first server. */
static int64_t not_the_first(void *state, const struct vine_choice *c)
{
	int64_t at = host->balance->by_rule(c);

	return at == 0 ? 1 : at;
}

static void test_a_users_balancer_asks_the_rule(void **state)
{
	static const struct vine_balancer_ops ops = { .plugin = VINE_PLUGIN(struct vine_balancer_ops, VINE_PLUGIN_BALANCER, "skip"),
						      .create = create, .choose = not_the_first };
	unsigned counts[3] = { 0 };
	struct server_set *set;
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.NFLoadBalancerRuleClassName", "round-robin" }, { 0 } });
	give(&w, &ops.plugin);
	read_settings(&w);
	registry_knows(&w, "shop/a@e shop/b@e shop/c@e");
	set = update(&w, false);
	for (unsigned i = 0; i < 300; i++) {
		struct fserver *s = choose(&w, set).server;

		for (unsigned k = 0; k < 3; k++)
			counts[k] += s == set->at[k];
	}
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 200);
	assert_int_equal(counts[2], 100);
	tried_add(&w.tried, set->at[0]); /* what it sees begins at b now */
	assert_ptr_equal(choose(&w, set).server, set->at[2]);
	server_set_unref(set);
	world_fini(&w);
}

static int fill_answer;

static int fill(void *state, struct vine_list *list)
{
	if (fill_answer < 0)
		return fill_answer;
	assert_int_equal(host->balance->add(list, "10.0.0.1:8080", "east", 0), 0);
	assert_int_equal(host->balance->add(list, "10.0.0.2:8080", NULL, 250), 0);
	assert_int_equal(host->balance->add(list, "10.0.0.1:8080", "west", 0), 0); /* the same again */
	assert_true(host->balance->add(list, "a:b:c", NULL, 0) < 0);
	assert_true(host->balance->add(list, "", NULL, 0) < 0);
	assert_true(host->balance->add(list, "x:1", NULL, 100000) < 0);
	return 0;
}

static void test_a_users_list_is_asked_by_time(void **state)
{
	static const struct vine_list_ops ops = { .plugin = VINE_PLUGIN(struct vine_list_ops, VINE_PLUGIN_LIST, "l"), .create = create, .fill = fill };
	struct world w;

	fill_answer = -1;
	world_init(&w, (struct row[]){ { "shop.ribbon.listOfServers", "a:1" }, { 0 } });
	give(&w, &ops.plugin);
	read_settings(&w);
	assert_servers(&w, true, "");
	assert_int_equal(ribbon_next_update(w.rb, &w.s), START + 30 * SEC);
	fill_answer = 0;
	w.now += 30 * SEC;
	assert_servers(&w, false, "10.0.0.1:8080 10.0.0.2:8080");
	assert_int_equal(w.rb->set->origin, FROM_USER);
	assert_true(str_eq(w.rb->set->at[0]->zone, STR("east")));
	assert_int_equal(w.rb->set->max_weight, 250);
	fill_answer = -1; /* it cannot say: what was there stays */
	w.now += 30 * SEC;
	assert_servers(&w, false, "10.0.0.1:8080 10.0.0.2:8080");
	world_fini(&w);
}

static int filter_answer;

static int keep_east(void *state, const struct vine_servers *s, bool *keep)
{
	for (uint32_t i = 0; i < s->n; i++)
		keep[i] = host->balance->zone(s->at[i])[0] == 'e';
	return filter_answer;
}

static void test_a_users_filter(void **state)
{
	static const struct vine_filter_ops ops = { .plugin = VINE_PLUGIN(struct vine_filter_ops, VINE_PLUGIN_FILTER, "f"),
						    .create = create, .filter = keep_east };
	struct world w;

	filter_answer = 0;
	world_init(&w, (struct row[]){ { 0 } });
	give(&w, &ops.plugin);
	read_settings(&w);
	registry_knows(&w, "shop/a@w shop/b@e shop/c@w shop/d@e");
	assert_servers(&w, false, "b:80 d:80");
	filter_answer = -1;
	assert_servers(&w, true, "a:80 b:80 c:80 d:80");
	registry_knows(&w, "shop/a@w");
	filter_answer = 0;
	assert_servers(&w, true, "");
	world_fini(&w);
}

static int start(void *state, struct vine_refresh *refresh)
{
	handle = refresh;
	return 0;
}

static void stop(void *state)
{
	stopped++;
}

static void test_a_users_updater_says_when(void **state)
{
	static const struct vine_updater_ops ops = { .plugin = VINE_PLUGIN(struct vine_updater_ops, VINE_PLUGIN_UPDATER, "u"),
						     .create = create, .start = start, .stop = stop };
	struct world w;

	stopped = 0;
	handle = NULL;
	world_init(&w, (struct row[]){ { 0 } });
	give(&w, &ops.plugin);
	read_settings(&w);
	registry_knows(&w, "shop/a@e");
	assert_servers(&w, false, "a:80");
	assert_non_null(handle);
	registry_knows(&w, "shop/b@e");
	w.now += 3600 * SEC;
	assert_servers(&w, false, "a:80");
	host->balance->refresh(handle);
	host->balance->refresh(handle);
	assert_int_equal(w.refreshes, 1); /* one call until it has been heard */
	assert_servers(&w, false, "b:80");
	host->balance->refresh(handle);
	assert_int_equal(w.refreshes, 2);
	world_fini(&w);
	assert_int_equal(stopped, 1);
}

static int get(void *state, const char *key, char *buf, size_t room)
{
	static const struct row mine[] = {
		{ "ReadTimeout", "1234" }, { "NFLoadBalancerRuleClassName", "random" }, { "listOfServers", "x:1, y:2" }, { "MaxAutoRetries", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(mine); i++) {
		const char *v = mine[i].value ? mine[i].value : answer ? "soon" : "3";

		if (strcmp(mine[i].name, key) == 0)
			return snprintf(buf, room, "%s", v);
	}
	return -1;
}

static void test_a_users_client_config_comes_first(void **state)
{
	static const struct vine_config_ops ops = { .plugin = VINE_PLUGIN(struct vine_config_ops, VINE_PLUGIN_CONFIG, "c"), .create = create, .get = get };
	struct err e = { 0 };
	struct world w;

	answer = 0;
	world_init(&w, (struct row[]){ { "shop.ribbon.ReadTimeout", "1" }, { "shop.ribbon.ConnectTimeout", "77" }, { 0 } });
	give(&w, &ops.plugin);
	read_settings(&w);
	assert_int_equal(w.s.read_timeout, 1234000);
	assert_int_equal(w.s.connect_timeout, 77000);
	assert_int_equal(w.s.retry.same, 3);
	assert_ptr_equal(w.s.rule, &balance_random);
	assert_servers(&w, true, "x:1 y:2");
	answer = 1; /* what it says is judged as a file's value is */
	assert_int_equal(ribbon_settings_read(&w.s, w.rb, w.props, &w.arena, &e), VINE_EINVAL);
	assert_string_equal(e.text, "client config c: shop.ribbon.MaxAutoRetries = soon: must be a whole number");
	world_fini(&w);
}

static bool is_alive(void *state, const struct vine_server *s)
{
	return strcmp(host->balance->id(s), "b:80") != 0;
}

static void test_a_users_ping_is_asked(void **state)
{
	static const struct vine_ping_ops ops = { .plugin = VINE_PLUGIN(struct vine_ping_ops, VINE_PLUGIN_PING, "p"), .create = create,
						  .is_alive = is_alive };
	struct world w;

	world_init(&w, (struct row[]){ { 0 } });
	give(&w, &ops.plugin);
	read_settings(&w);
	registry_knows(&w, "shop/a@e shop/b@e");
	server_set_unref(update(&w, false));
	pinger_tick(NULL, w.rb, &w.s, w.view, false, w.now); /* nothing goes over the network */
	assert_false(server_is_dead(w.rb->set->at[0]));
	assert_true(server_is_dead(w.rb->set->at[1]));
	w.s.ping = PING_CONSTANT; /* and again, when it is time */
	w.s.ping_constant = true;
	pinger_tick(NULL, w.rb, &w.s, w.view, false, w.now + 29 * SEC);
	assert_true(server_is_dead(w.rb->set->at[1]));
	pinger_tick(NULL, w.rb, &w.s, w.view, false, w.now + 30 * SEC);
	assert_false(server_is_dead(w.rb->set->at[1]));
	w.s.ping_constant = false;
	pinger_tick(NULL, w.rb, &w.s, w.view, false, w.now + 60 * SEC);
	assert_true(server_is_dead(w.rb->set->at[0]));
	w.s.ping = PING_NONE; /* switched off: nobody is dead any more */
	pinger_tick(NULL, w.rb, &w.s, w.view, false, w.now + 61 * SEC);
	assert_false(server_is_dead(w.rb->set->at[0]));
	world_fini(&w);
}

static void test_the_registry_says_who_lives(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.NFLoadBalancerPingClassName", "com.netflix.niws.loadbalancer.NIWSDiscoveryPing" },
				       { "shop.ribbon.ServerListUpdaterClassName", "polling" },
				       { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@e shop/b@e shop/c@e");
	server_set_unref(update(&w, false));
	pinger_tick(NULL, w.rb, &w.s, w.view, true, w.now);
	for (unsigned i = 0; i < 3; i++)
		assert_false(server_is_dead(w.rb->set->at[i]));
	registry_knows(&w, "shop/a@e shop/b@-"); /* the list is polled and old; the ping is at hand */
	pinger_tick(NULL, w.rb, &w.s, w.view, true, w.now + 1);
	assert_false(server_is_dead(w.rb->set->at[0]));
	assert_true(server_is_dead(w.rb->set->at[1]));
	assert_true(server_is_dead(w.rb->set->at[2]));
	registry_knows(&w, "shop/a@e shop/b@e shop/c@e");
	pinger_tick(NULL, w.rb, &w.s, w.view, true, w.now + 2);
	assert_false(server_is_dead(w.rb->set->at[1]));
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_and_classes_name_the_same),
		cmocka_unit_test(test_java_classes_lead_to_our_parts),
		cmocka_unit_test(test_unknown_names_are_refused_with_the_nearest),
		cmocka_unit_test(test_settings_of_a_client),
		cmocka_unit_test(test_settings_where_nothing_is_configured),
		cmocka_unit_test(test_nonsense_is_refused_with_its_key),
		cmocka_unit_test(test_a_configured_list),
		cmocka_unit_test(test_a_malformed_server_is_named),
		cmocka_unit_test(test_a_list_of_the_registry),
		cmocka_unit_test(test_what_is_known_of_a_server_outlives_lists),
		cmocka_unit_test(test_push_and_polling),
		cmocka_unit_test(test_a_filter_looks_again_by_time),
		cmocka_unit_test(test_balancers_are_kept_apart_and_kept),
		cmocka_unit_test(test_a_users_rule_chooses),
		cmocka_unit_test(test_a_rule_that_does_not_start_on_a_worker),
		cmocka_unit_test(test_a_users_balancer_asks_the_rule),
		cmocka_unit_test(test_a_users_list_is_asked_by_time),
		cmocka_unit_test(test_a_users_filter),
		cmocka_unit_test(test_a_users_updater_says_when),
		cmocka_unit_test(test_a_users_client_config_comes_first),
		cmocka_unit_test(test_a_users_ping_is_asked),
		cmocka_unit_test(test_the_registry_says_who_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
