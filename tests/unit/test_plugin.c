/* test_plugin.c - users' tables: which are refused and with which words, what the host offers, an init once and once a worker. */
#include <stdio.h>

#include <vine/balance.h>

#include "plugin/plugin.h"
#include "props/props.h"
#include "test.h"

static int inits, worker_inits, worker_answer;

static int init(const struct vine_host *host)
{
	inits++;
	return host->abi == VINE_PLUGIN_ABI && host->size == sizeof(*host) ? 0 : -1;
}

static int init_fails(const struct vine_host *host)
{
	return -7;
}

static int worker_init(const struct vine_host *host, unsigned worker)
{
	worker_inits++;
	return worker_answer;
}

static int64_t first(void *state, const struct vine_choice *c)
{
	return 0;
}

static bool alive(void *state, const struct vine_server *s)
{
	return true;
}

static struct log *log_to_nowhere(void)
{
	return log_new(-1, LOG_LOGFMT);
}

static struct plugins *make(struct log **log)
{
	*log = log_to_nowhere();

	struct logger lg = logger_of(*log, "vine.test", "test");

	return plugins_new(&lg, NULL);
}

#define GOOD                                                                                                           \
	{                                                                                                              \
		.plugin = VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, "mine"), .choose = first                 \
	}

static void test_what_is_wrong_with_a_table_is_said(void **state)
{
	struct vine_rule_ops good = GOOD, t;
	struct vine_ping_ops ping = { .plugin = VINE_PLUGIN(struct vine_ping_ops, VINE_PLUGIN_PING, "p"),
				      .is_alive = alive };
	struct err e;

	assert_int_equal(plugin_judge(&good.plugin, &e), 0);
	assert_int_equal(plugin_judge(&ping.plugin, &e), 0);

	t = good;
	t.choose = NULL;
	assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
	assert_string_equal(e.text, "mine: a rule needs the function choose");
	ping.is_alive = NULL;
	assert_int_equal(plugin_judge(&ping.plugin, &e), VINE_EINVAL);
	assert_string_equal(e.text, "p: a ping needs the function is_alive");

	t = good;
	t.plugin.abi = 2;
	assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
	assert_string_equal(e.text, "made for version 2 of the plugin interface, this is version 1");

	t = good;
	t.plugin.size = sizeof(t) - 8; /* as if choose were not there */
	assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
	assert_string_equal(e.text, "a table for a rule has 64 bytes, this one says 56");

	t = good;
	t.plugin.size = sizeof(t) + 800; /* of a later release: what is new there is not called */
	assert_int_equal(plugin_judge(&t.plugin, &e), 0);

	static const uint32_t kinds[] = { 0, VINE_PLUGIN_BALANCER + 1, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		t = good;
		t.plugin.kind = kinds[i];
		assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
	}
	static const uint32_t sizes[] = { 0, 4, 8, sizeof(struct vine_plugin) - 1 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		t = good;
		t.plugin.size = sizes[i];
		assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
	}
	t = good;
	t.plugin.name = NULL;
	assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
	t.plugin.name = "";
	assert_int_equal(plugin_judge(&t.plugin, &e), VINE_EINVAL);
}

static void test_init_runs_once_and_its_failure_refuses(void **state)
{
	struct vine_rule_ops good = GOOD, bad = GOOD;
	struct plugin *a = NULL, *b = NULL;
	struct log *log;
	struct plugins *p = make(&log);
	struct err e;

	inits = 0;
	good.plugin.init = init;
	bad.plugin.init = init_fails;
	assert_int_equal(plugins_adopt(p, &good.plugin, &a, &e), 0);
	assert_int_equal(plugins_adopt(p, &good.plugin, &b, &e), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(inits, 1);
	assert_int_equal(plugins_adopt(p, &bad.plugin, &b, &e), VINE_EINVAL);
	assert_string_equal(e.text, "mine: its init failed (-7)");
	plugins_free(p);
	log_free(log);
}

static void test_each_worker_has_its_own_init(void **state)
{
	struct vine_rule_ops good = GOOD, bad = GOOD;
	struct plugin *pl;
	struct log *log;
	struct plugins *p = make(&log);
	struct err e;

	worker_inits = worker_answer = 0;
	good.plugin.worker_init = bad.plugin.worker_init = worker_init;
	assert_int_equal(plugins_adopt(p, &good.plugin, &pl, &e), 0);
	assert_int_equal(worker_inits, 0); /* on the worker's thread, not here */
	for (unsigned i = 0; i < 5; i++) {
		assert_true(plugin_on_worker(pl, 0));
		assert_true(plugin_on_worker(pl, 3));
	}
	assert_int_equal(worker_inits, 2);
	worker_answer = -1;
	assert_int_equal(plugins_adopt(p, &bad.plugin, &pl, &e), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_false(plugin_on_worker(pl, 0));
	assert_int_equal(worker_inits, 3); /* it is not tried again and again */
	plugins_free(p);
	log_free(log);
}

static void test_a_shared_object_that_cannot_be_had(void **state)
{
	static const struct {
		const char *spec, *wrong;
	} cases[] = {
		{ "/nowhere/at-all.so:rule", "/nowhere/at-all.so:rule: cannot be loaded: " },
		{ "/no-symbol", "/no-symbol: no path:symbol" },
	};
	struct plugin *pl = NULL;
	struct log *log;
	struct plugins *p = make(&log);
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(plugins_load(p, str_from(cases[i].spec), VINE_PLUGIN_RULE, &pl, &e) < 0);
		assert_true(str_has_prefix(str_from(e.text), str_from(cases[i].wrong)));
	}
	assert_null(pl);
	plugins_free(p);
	log_free(log);
}

static void test_the_host_gives_properties_and_a_log(void **state)
{
	struct prop_entry entry[] = { { STR("shop.floor"), STR("twelve"), 1, 1 } };
	struct prop_source source = { .name = STR("t"), .entry = entry, .n = 1 };
	struct props *props = props_build(&source, 1, NULL, 0);
	struct log *log;
	struct plugins *p = make(&log);
	const struct vine_host *h = plugins_host(p);
	char text[4];

	assert_int_equal(h->property(h, "shop.floor", text, sizeof(text)), -1); /* nothing is read yet */
	plugins_set_props(p, props);
	assert_int_equal(h->property(h, "shop.floor", text, sizeof(text)), 6);
	assert_string_equal(text, "twe"); /* cut to fit */
	assert_int_equal(h->property(h, "shop.floor", NULL, 0), 6);
	assert_int_equal(h->property(h, "shop.roof", text, sizeof(text)), -1);
	h->log(h, VINE_PLUGIN_WARN, "a line");
	h->log(h, (enum vine_plugin_level)99, NULL);
	assert_int_equal(log_lines(log, LOG_WARN), 1);
	assert_int_equal(log_lines(log, LOG_ERROR), 1);
	plugins_free(p);
	props_unref(props);
	log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_wrong_with_a_table_is_said),
		cmocka_unit_test(test_init_runs_once_and_its_failure_refuses),
		cmocka_unit_test(test_each_worker_has_its_own_init),
		cmocka_unit_test(test_a_shared_object_that_cannot_be_had),
		cmocka_unit_test(test_the_host_gives_properties_and_a_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
