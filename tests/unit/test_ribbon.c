/* test_ribbon.c - a client's balancing from properties: names of parts, settings, lists, updaters, filters. */
#include "ribbon_world.h"

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
		{ CLASS_FILTER, "org.springframework.cloud.netflix.ribbon.ZonePreferenceServerListFilter",
		  "zone-preference" },
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
		{ { "vine.loadbalancer.shop.hash-key", "header:" },
		  "vine.loadbalancer.shop.hash-key = header:: must be header:NAME" },
		{ { "vine.loadbalancer.shop.hash-key", "moon" }, "must be header:NAME, cookie:NAME, address or path" },
		{ { "vine.loadbalancer.shop.hash-balance-percent", "50" }, "below 100 no server could take its share" },
		{ { "vine.loadbalancer.shop.ping.path", "health" }, "'health' does not begin with /" },
		{ { "shop.ribbon.retryableStatusCodes", "503,busy" },
		  "shop.ribbon.retryableStatusCodes: 'busy' is not a status" },
		{ { "shop.ribbon.ServerListSubsetFilter.forceEliminatePercent", "2" }, "must be between 0 and 1" },
		{ { "shop.ribbon.NFLoadBalancerRuleClassName", "/nowhere/x.so:y" },
		  "shop.ribbon.NFLoadBalancerRuleClassName: /nowhere/x.so:y" },
		{ { "vine.loadbalancer.shop.client-config", "/nowhere/x.so:y" },
		  "vine.loadbalancer.shop.client-config: /nowhere/x.so:y" },
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

	world_init(&w,
		   (struct row[]){ { "shop.ribbon.listOfServers", " a:1 ,, http://b:2, c, [::1]:3, a:1," }, { 0 } });
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
	static const char *const bad[] = { "a:b", "a:99999", ":", "https://a:b", "ftp://a" };

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

/* Each server with an s behind it where it is spoken to by TLS. */
static void test_servers_that_speak_tls(void **state)
{
	static const struct {
		struct row rows[4];
		const char *want;
	} cases[] = {
		{ { { 0 } }, "a:80 both:8443s tls:8443s" },
		{ { { "shop.ribbon.IsSecure", "false" } }, "a:80 both:80" },
		{ { { "shop.ribbon.IsSecure", "true" } }, "a:80s both:8443s tls:8443s" },
		{ { { "shop.ribbon.ForceClientPortConfiguration", "true" }, { "shop.ribbon.SecurePort", "9443" } },
		  "a:7001 both:9443s tls:9443s" },
		{ { { "shop.ribbon.listOfServers", "https://x,http://y:81,z,https://w:444" } }, "x:443s y:81 z:80 w:444s" },
		{ { { "shop.ribbon.listOfServers", "https://x,http://y:81,z" }, { "shop.ribbon.IsSecure", "true" } }, "x:443s y:81 z:443s" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf got = BUF_INIT(1000);
		struct server_set *set;
		struct world w;

		world_init(&w, cases[i].rows);
		read_settings(&w);
		registry_knows(&w, "shop/a@e shop/tls@w shop/both@e");
		set = update(&w, true);
		for (uint32_t k = 0; k < set->n; k++)
			buf_addf(&got, "%s%.*s%s", k ? " " : "", STRF(set->at[k]->id), set->at[k]->secure ? "s" : "");
		if (!str_eq(buf_str(&got), str_from(cases[i].want)))
			fail_msg("%zu: %.*s, want %s", i, STRF(buf_str(&got)), cases[i].want);
		buf_fini(&got);
		server_set_unref(set);
		world_fini(&w);
	}
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

static enum server_state state_of(struct world *w, const char *id)
{
	struct server_set *set = update(w, false);
	enum server_state st = SERVER_IN;
	bool found = false;

	for (uint32_t i = 0; i < set->n; i++) {
		if (str_eq(set->at[i]->id, str_from(id))) {
			st = server_state(set->at[i], w->now);
			found = true;
		}
	}
	server_set_unref(set);
	assert_true(found);
	return st;
}

/* News of others, and of itself that are not a registration, leave a server that refuses where it is. */
static void test_who_registers_anew_is_tried_again(void **state)
{
	static const struct outlier_settings os = OUTLIER_SETTINGS_DEFAULT;
	struct server_set *set;
	struct world w;

	(void)state;
	world_init(&w, (struct row[]){ { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/a@z shop/b@z");
	set = update(&w, false);
	assert_true(ribbon_is_current(w.rb, &w.s, w.view, w.now));
	server_begin(set->at[0]);
	server_end(set->at[0], &os, SERVER_REFUSED, 1, w.now);
	assert_int_equal(state_of(&w, "a:80"), SERVER_HARD);
	registry_knows(&w, "shop/a@z shop/b@z other/c@z");
	assert_true(ribbon_is_current(w.rb, &w.s, w.view, w.now)); /* nothing that concerns it */
	assert_int_equal(state_of(&w, "a:80"), SERVER_HARD);
	registry_knows(&w, "shop/a@z shop/b@z!");
	assert_false(ribbon_is_current(w.rb, &w.s, w.view, w.now));
	assert_int_equal(state_of(&w, "a:80"), SERVER_HARD);
	registry_knows(&w, "shop/a@z! shop/b@z!");
	assert_int_equal(state_of(&w, "a:80"), SERVER_IN);
	server_set_unref(set);
	world_fini(&w);
}

static void test_push_and_polling(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.ServerListUpdaterClassName",
					 "com.netflix.loadbalancer.PollingServerListUpdater" },
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

	world_init(&w, (struct row[]){ { "shop.ribbon.EnableZoneAffinity", "true" },
				       { "eureka.instance.metadata-map.zone", "e" },
				       { 0 } });
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
		cmocka_unit_test(test_servers_that_speak_tls),
		cmocka_unit_test(test_what_is_known_of_a_server_outlives_lists),
		cmocka_unit_test(test_who_registers_anew_is_tried_again),
		cmocka_unit_test(test_push_and_polling),
		cmocka_unit_test(test_a_filter_looks_again_by_time),
		cmocka_unit_test(test_balancers_are_kept_apart_and_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
