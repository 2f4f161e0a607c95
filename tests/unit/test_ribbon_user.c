/* test_ribbon_user.c - users' tables where Vine's own parts could stand, and pings without the network. */
#include "ribbon_world.h"

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

static const struct vine_rule_ops rule = { .plugin = VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, "busiest"),
					   .create = create,
					   .destroy = destroy,
					   .choose = busiest_east };

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

	struct choice c = {
		.list = server_set_list(set), .settings = &w.s.outlier, .rng = &w.rng, .now = w.now, .worker = 2
	};

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
	static const struct vine_balancer_ops ops = { .plugin = VINE_PLUGIN(struct vine_balancer_ops,
									    VINE_PLUGIN_BALANCER, "skip"),
						      .create = create,
						      .choose = not_the_first };
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
	static const struct vine_list_ops ops = { .plugin = VINE_PLUGIN(struct vine_list_ops, VINE_PLUGIN_LIST, "l"),
						  .create = create,
						  .fill = fill };
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
	static const struct vine_filter_ops ops = { .plugin = VINE_PLUGIN(struct vine_filter_ops, VINE_PLUGIN_FILTER,
									  "f"),
						    .create = create,
						    .filter = keep_east };
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
	static const struct vine_updater_ops ops = { .plugin = VINE_PLUGIN(struct vine_updater_ops, VINE_PLUGIN_UPDATER,
									   "u"),
						     .create = create,
						     .start = start,
						     .stop = stop };
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
		{ "ReadTimeout", "1234" },
		{ "NFLoadBalancerRuleClassName", "random" },
		{ "listOfServers", "x:1, y:2" },
		{ "MaxAutoRetries", NULL },
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
	static const struct vine_config_ops ops = {
		.plugin = VINE_PLUGIN(struct vine_config_ops, VINE_PLUGIN_CONFIG, "c"), .create = create, .get = get
	};
	struct err e = { 0 };
	struct world w;

	answer = 0;
	world_init(&w,
		   (struct row[]){ { "shop.ribbon.ReadTimeout", "1" }, { "shop.ribbon.ConnectTimeout", "77" }, { 0 } });
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
	static const struct vine_ping_ops ops = { .plugin = VINE_PLUGIN(struct vine_ping_ops, VINE_PLUGIN_PING, "p"),
						  .create = create,
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

	world_init(&w, (struct row[]){ { "shop.ribbon.NFLoadBalancerPingClassName",
					 "com.netflix.niws.loadbalancer.NIWSDiscoveryPing" },
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

static void test_the_registry_says_that_servers_by_tls_live(void **state)
{
	struct world w;

	world_init(&w, (struct row[]){ { "shop.ribbon.NFLoadBalancerPingClassName", "registry" }, { 0 } });
	read_settings(&w);
	registry_knows(&w, "shop/tls@e shop/both@e");
	server_set_unref(update(&w, false));
	pinger_tick(NULL, w.rb, &w.s, w.view, true, w.now);
	assert_int_equal(w.rb->set->n, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_false(server_is_dead(w.rb->set->at[i]));
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_users_rule_chooses),
		cmocka_unit_test(test_a_rule_that_does_not_start_on_a_worker),
		cmocka_unit_test(test_a_users_balancer_asks_the_rule),
		cmocka_unit_test(test_a_users_list_is_asked_by_time),
		cmocka_unit_test(test_a_users_filter),
		cmocka_unit_test(test_a_users_updater_says_when),
		cmocka_unit_test(test_a_users_client_config_comes_first),
		cmocka_unit_test(test_a_users_ping_is_asked),
		cmocka_unit_test(test_the_registry_says_who_lives),
		cmocka_unit_test(test_the_registry_says_that_servers_by_tls_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
