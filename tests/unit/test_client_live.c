/* test_client_live.c - what new properties change in libvine, and that callers meanwhile see pictures that are whole. */
#include "client_world.h"

/* --- new properties --- */

#define CMD "hystrix.command."
#define STRATEGY "execution.isolation.strategy"

static void publish(struct world *w, const struct row *rows, int want)
{
	struct props *p = props_of(rows);
	struct err e = { 0 };

	assert_int_equal(remotes_publish(w->r, p, &e), want);
	assert_int_equal(e.text[0] != 0, want < 0);
	props_unref(p);
}

static void test_new_properties_hold_from_the_next_call_on(void **state)
{
	static const struct row before[] = { { CMD "k.circuitBreaker.requestVolumeThreshold", "3" },
					     { CMD "k." STRATEGY, "THREAD" },
					     { "hystrix.threadpool.a.coreSize", "2" },
					     { "a.ribbon.listOfServers", "x:1" },
					     { 0 } };
	static const struct row after[] = { { CMD "default.circuitBreaker.requestVolumeThreshold", "7" },
					    { CMD "k." STRATEGY, "THREAD" },
					    { CMD "k.threadPoolKeyOverride", "other" },
					    { "hystrix.threadpool.a.coreSize", "5" },
					    { "hystrix.threadpool.other.coreSize", "4" },
					    { "hystrix.collapser.c.maxRequestsInBatch", "9" },
					    { "a.ribbon.listOfServers", "y:1,z:2" },
					    { "a.ribbon.NFLoadBalancerRuleClassName", "ring-hash" },
					    { 0 } };
	struct remote_settings *old, *new;
	struct collapser_settings co;
	struct world w;

	(void)state;
	world_init(&w, before);

	struct commands *cs = remotes_commands(w.r);
	struct link *l = link_to(&w, "a", "k");
	struct policy *pl = commands_policy(cs, l->entry), *then;
	struct server_set *s = remote_take_servers(w.r, l->remote, 0, &old);
	struct threads *t = pl->threads;

	assert_int_equal(threads_settings(t).core_size, 2);
	publish(&w, after, 0);
	then = commands_policy(cs, l->entry);
	assert_int_equal(then->settings.volume_threshold, 7);
	assert_string_equal(threads_pool(then->threads)->id.key.ptr, "other");
	assert_int_equal(threads_settings(then->threads).core_size, 4);
	assert_int_equal(threads_settings(t).core_size, 5); /* live in the pool that is there */
	assert_int_equal(commands_settings_of(cs, STR("k"))->volume_threshold, 7);
	commands_collapser_settings(cs, STR("c"), &co);
	assert_int_equal(co.batch_max, 9);

	/* A call that began before keeps what it began with. */
	assert_int_equal(pl->settings.volume_threshold, 3);
	assert_ptr_equal(pl->threads, t);
	assert_servers(s, "x:1");
	assert_int_equal(old->lb.n_listed, 1);
	policy_unref(pl);
	policy_unref(then);
	server_set_unref(s);
	s = remote_take_servers(w.r, l->remote, 0, &new);
	assert_servers(s, "y:1 z:2");
	assert_non_null(s->ring);
	assert_ptr_not_equal(old->balancer, new->balancer);
	server_set_unref(s);
	remote_settings_unref(old);
	remote_settings_unref(new);
	world_fini(&w);
}

static void test_what_cannot_be_carried_out_changes_nothing(void **state)
{
	static const struct row before[] = { { "a.ribbon.listOfServers", "x:1" }, { "b.ribbon.listOfServers", "y:1" }, { 0 } };
	static const struct row wrong[] = { { "a.ribbon.listOfServers", "z:1" },
					    { "b.ribbon.listOfServers", "y:nix" },
					    { CMD "default.circuitBreaker.requestVolumeThreshold", "7" },
					    { 0 } };
	struct world w;

	(void)state;
	world_init(&w, before);

	struct remote *a = link_to(&w, "a", "k")->remote;

	link_to(&w, "b", "k");
	for (int i = 0; i < 3; i++) { /* whichever of the two is looked at first */
		publish(&w, wrong, VINE_EINVAL);
		assert_int_equal(commands_settings_of(remotes_commands(w.r), STR("k"))->volume_threshold, 20);

		struct server_set *s = remote_take_servers(w.r, a, i, NULL);

		assert_servers(s, "x:1");
		server_set_unref(s);
	}
	world_fini(&w);
}

/* --- many threads, while the properties change --- */

struct calling {
	struct world *w;
	_Atomic bool *is_over;
};

static void *call_on(void *arg)
{
	struct calling *c = arg;
	struct commands *cs = remotes_commands(c->w->r);
	char name[16];

	for (unsigned i = 0; !atomic_load(c->is_over) || i < 100; i++) {
		struct collapser_settings co;
		struct remote_settings *rs;
		struct link *l = NULL;
		struct policy *pl;
		struct server_set *s;

		snprintf(name, sizeof(name), "s%u", i % 20);
		if (remotes_link(c->w->r, str_from(name), STR("k"), STR("g"), 0, &l, NULL) < 0)
			abort();
		pl = commands_policy(cs, l->entry);
		s = remote_take_servers(c->w->r, l->remote, 0, &rs);
		commands_collapser_settings(cs, STR("c"), &co);
		/* A picture is of one properties' whole, also its texts. */
		if (pl->settings.volume_threshold != 3 && pl->settings.volume_threshold != 7)
			abort();
		if (pl->settings.pool_key.len && !str_eq(pl->settings.pool_key, STR("other")))
			abort();
		if (rs->lb.n_listed != 1 || !str_eq(rs->lb.listed[0], s->at[0]->id))
			abort();
		server_set_unref(s);
		remote_settings_unref(rs);
		policy_unref(pl);
	}
	return NULL;
}

static void test_callers_meanwhile_see_whole_pictures(void **state)
{
	static const struct row kinds[2][5] = {
		{ { CMD "k.circuitBreaker.requestVolumeThreshold", "3" }, { "ribbon.listOfServers", "x:1" }, { 0 } },
		{ { CMD "k.circuitBreaker.requestVolumeThreshold", "7" }, { CMD "k." STRATEGY, "THREAD" },
		  { CMD "k.threadPoolKeyOverride", "other" }, { "ribbon.listOfServers", "y:2" }, { 0 } },
	};
	_Atomic bool is_over = false;
	struct calling c;
	pthread_t id[4];
	struct world w;

	(void)state;
	world_init(&w, kinds[0]);
	c = (struct calling){ &w, &is_over };
	for (size_t i = 0; i < ARRAY_LEN(id); i++)
		assert_int_equal(pthread_create(&id[i], NULL, call_on, &c), 0);
	for (int i = 1; i < 200; i++)
		publish(&w, kinds[i % 2], 0);
	atomic_store(&is_over, true);
	for (size_t i = 0; i < ARRAY_LEN(id); i++)
		pthread_join(id[i], NULL);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_properties_hold_from_the_next_call_on),
		cmocka_unit_test(test_what_cannot_be_carried_out_changes_nothing),
		cmocka_unit_test(test_callers_meanwhile_see_whole_pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
