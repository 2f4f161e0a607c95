/* test_circuits.c - what /actuator/circuits says, and forcing by hand; read back by jansson. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "flow/collapser.h"
#include "flow/pool.h"
#include "manage/circuits.h"
#include "manage/siblings.h"
#include "props/props.h"
#include "test.h"

#define START (INT64_C(100) * USEC_PER_SEC)
#define WALL INT64_C(1764145504123) /* 2025-11-26T08:25:04.123Z */

struct scene {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	usec now;
};

static const struct cmd_settings *settings_of(void *arg, struct str key)
{
	(void)key;
	return &((struct scene *)arg)->cs;
}

static struct scene scene_new(void)
{
	struct scene s = { .cs = CMD_SETTINGS_DEFAULT, .now = START };

	s.cs.isolation = FLOW_SEMAPHORE;
	s.table = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 8 });
	s.cmd = command_table_take(s.table, STR("product"), STR("shop"), s.now);
	return s;
}

static void scene_free(struct scene *s)
{
	command_unref(s->cmd);
	command_table_free(s->table);
}

static struct circuits circuits_of(struct scene *s)
{
	return (struct circuits){ .commands = s->table,
				  .settings_of = settings_of,
				  .arg = s,
				  .now = s->now,
				  .wall = WALL + (s->now - START) / 1000 };
}

/* '.' a good call, 'F' a failed one, 'S' a slow one, '(' a call that stays out, '|' a second, ',' a tenth of one. */
static void play(struct scene *s, const char *calls)
{
	struct ticket t;

	for (; *calls; calls++) {
		if (*calls == '|' || *calls == ',') {
			s->now += *calls == '|' ? USEC_PER_SEC : USEC_PER_SEC / 10;
			continue;
		}
		if (command_admit(s->cmd, &s->cs, s->now, 0, &t) == ADMIT_OK && *calls != '(')
			command_done(s->cmd, &s->cs, &t, *calls == 'F' ? OUTCOME_FAILURE : OUTCOME_SUCCESS,
				     s->now + (*calls == 'S' ? 300000 : 1000));
	}
}

static json_t *read_back(struct buf *b)
{
	json_error_t e;
	json_t *j = json_loadb(b->ptr, b->len, JSON_REJECT_DUPLICATES, &e);

	buf_fini(b);
	if (!j)
		fail_msg("%s", e.text);
	return j;
}

static json_t *shown(struct scene *s)
{
	struct circuits c = circuits_of(s);
	struct buf b = BUF_INIT(100000);

	assert_true(circuits_show(&c, STR("product"), &b));
	return read_back(&b);
}

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static int64_t num(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

#define TEN_F "FFFFFFFFFF"
#define TEN_OK ".........."

static const struct {
	const char *name, *calls, *state, *next;
	int failures, of;
	enum { PLAIN, SLOW, OFF, HALF, ALL } mood;
} cases[] = {
	{ "untouched", "", "CLOSED", "opens when 10 of the next 20 calls fail", 10, 20, PLAIN },
	{ "half way", TEN_OK, "CLOSED", "opens when the next 10 calls fail", 10, 10, PLAIN },
	{ "half way, some failed", "FFFF......", "CLOSED", "opens when 6 of the next 10 calls fail", 6, 10, PLAIN },
	{ "enough failed, volume lacks", TEN_F "FFFF", "CLOSED", "opens when 1 of the next 6 calls fail", 1, 6, PLAIN },
	{ "one short of the volume", TEN_F "FFFFFFFFF", "CLOSED", "opens when the next 1 call fails", 1, 1, PLAIN },
	{ "volume is there", TEN_OK TEN_OK, "CLOSED", "opens when the next 20 calls fail", 20, 20, PLAIN },
	{ "volume is there, just under", TEN_OK ".FFFFFFFFF", "CLOSED", "opens when the next 2 calls fail", 2, 2,
	  PLAIN },
	{ "open", TEN_OK TEN_F "||,,,,,,,,", "OPEN", "a trial is let through in 2.2 s", 0, 0, PLAIN },
	{ "slept", TEN_OK TEN_F "|||||,", "OPEN", "the next call is let through as a trial", 0, 0, PLAIN },
	{ "trying", TEN_OK TEN_F "|||||,(", "HALF_OPEN",
	  "1 trial under way or judged; closes unless 50 % fail; tries anew in 1.5 s if no result comes", 0, 0, PLAIN },
	{ "two trials left", TEN_OK TEN_F "|||||,(", "HALF_OPEN",
	  "2 more calls are let through as a trial; closes if they succeed", 0, 0, HALF },
	{ "closed again", TEN_OK TEN_F "|||||,.", "CLOSED", "opens when 10 of the next 20 calls fail", 10, 20, PLAIN },
	{ "all must fail", TEN_F ".", "CLOSED", "opens when every call fails; 1 of 11 in the window did not", 0, 0,
	  ALL },
	{ "slow calls count", "SS..", "CLOSED",
	  "opens when 10 of the next 16 calls fail; or at 50 % of 20 calls that take 200 ms (now 2 of 4)", 10, 16,
	  SLOW },
	{ "switched off", TEN_F TEN_F TEN_F, "DISABLED", "stays so until that property changes", 0, 0, OFF },
};

static void test_what_would_change_it(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scene s = scene_new();

		if (cases[i].mood == SLOW) {
			s.cs.slow_call_ms = 200;
			s.cs.slow_threshold_pct = 50;
		}
		s.cs.breaker_enabled = cases[i].mood != OFF;
		s.cs.half_open_trials = cases[i].mood == HALF ? 3 : 1;
		s.cs.error_threshold_pct = cases[i].mood == ALL ? 100 : 50;
		play(&s, cases[i].calls);

		json_t *j = shown(&s), *after = json_object_get(j, "opensAfter");

		if (strcmp(text(j, "state"), cases[i].state) != 0 || strcmp(text(j, "next"), cases[i].next) != 0)
			fail_msg("%s: %s: %s", cases[i].name, text(j, "state"), text(j, "next"));
		assert_int_equal(num(after, "failures"), cases[i].failures);
		assert_int_equal(num(after, "ofCalls"), cases[i].of);
		json_decref(j);
		scene_free(&s);
	}
}

/* What is promised is what happens: the circuit opens at that failure and not before. */
static void test_the_promise_is_kept(void **state)
{
	struct rng rng;

	rng_seed(&rng, 7);
	for (unsigned round = 0; round < 500; round++) {
		struct scene s = scene_new();
		char calls[41] = "";
		unsigned n = rng_below(&rng, 40);

		s.cs.error_threshold_pct = 1 + rng_below(&rng, 99);
		s.cs.volume_threshold = 1 + rng_below(&rng, 30);
		for (unsigned i = 0; i < n; i++)
			calls[i] = rng_below(&rng, 100) < 30 ? 'F' : '.';
		play(&s, calls);

		json_t *j = shown(&s), *after = json_object_get(j, "opensAfter");
		int64_t failures = num(after, "failures"), of = num(after, "ofCalls");

		if (strcmp(text(j, "state"), "CLOSED") == 0) {
			assert_true(failures >= 1 && of >= failures);
			for (int64_t i = 0; i < of - failures; i++)
				play(&s, ".");
			for (int64_t i = 0; i < failures; i++) {
				if (breaker_is_open(&s.cmd->breaker, &s.cs))
					fail_msg("round %u: opened %lld failures early", round,
						 (long long)(failures - i));
				play(&s, "F");
			}
			play(&s, ",,,,,,"); /* health is judged at most once an interval */
			json_decref(shown(&s));
			if (!breaker_is_open(&s.cmd->breaker, &s.cs))
				fail_msg("round %u (%u %% of %u): did not open: %s", round, s.cs.error_threshold_pct,
					 s.cs.volume_threshold, text(j, "next"));
		}
		json_decref(j);
		scene_free(&s);
	}
}

static void test_one_in_full(void **state)
{
	struct scene s = scene_new();
	json_t *j, *window, *turns, *turn;

	play(&s, TEN_OK TEN_F ",FF");
	j = shown(&s);
	window = json_object_get(j, "window");
	turns = json_object_get(j, "decisions");
	turn = json_array_get(turns, 0);
	assert_string_equal(text(j, "key"), "product");
	assert_string_equal(text(j, "group"), "shop");
	assert_string_equal(text(j, "why"), "error percentage reached the threshold");
	assert_string_equal(text(j, "since"), "2025-11-26T08:25:04.124Z");
	assert_int_equal(num(j, "nextMillis"), 4901);
	assert_int_equal(num(window, "calls"), 20);
	assert_int_equal(num(window, "errorPercentage"), 50);
	assert_int_equal(num(json_object_get(window, "events"), "SHORT_CIRCUITED"), 2);
	assert_int_equal(num(json_object_get(j, "rule"), "requestVolumeThreshold"), 20);
	assert_int_equal(json_array_size(turns), 1);
	assert_string_equal(text(turn, "from"), "CLOSED");
	assert_string_equal(text(turn, "to"), "OPEN");
	assert_string_equal(text(turn, "at"), "2025-11-26T08:25:04.124Z");
	assert_int_equal(num(turn, "errors"), 10);
	json_decref(j);
	scene_free(&s);
}

static void test_decisions_are_the_last_ones(void **state)
{
	struct scene s = scene_new();

	play(&s, TEN_OK TEN_F);
	for (unsigned i = 0; i < 30; i++)
		play(&s, "|||||,F");
	play(&s, "|||||,.");

	json_t *j = shown(&s), *turns = json_object_get(j, "decisions");

	assert_int_equal(json_array_size(turns), BREAKER_TURNS);
	assert_string_equal(text(json_array_get(turns, 0), "why"), "trial succeeded");
	assert_string_equal(text(json_array_get(turns, 1), "why"), "sleep window over, trying");
	assert_string_equal(text(json_array_get(turns, 2), "why"), "trial failed");
	json_decref(j);
	scene_free(&s);
}

static void test_by_hand(void **state)
{
	struct scene s = scene_new();
	struct circuits c = circuits_of(&s);
	struct ticket t;
	struct err e;
	json_t *j;

	/* Open: nothing passes, however long it sleeps. */
	assert_int_equal(circuits_force(&c, STR("product"), BREAKER_FORCE_OPEN, &e), 0);
	play(&s, "||||||||||||");
	assert_int_equal(command_admit(s.cmd, &s.cs, s.now, 0, &t), ADMIT_SHORT_CIRCUITED);
	j = shown(&s);
	assert_string_equal(text(j, "state"), "FORCED_OPEN");
	assert_string_equal(text(j, "why"), "set by hand");
	json_decref(j);

	/* Auto: one trial, and its result decides. */
	assert_int_equal(circuits_force(&c, STR("product"), BREAKER_AUTO, &e), 0);
	play(&s, "(");
	assert_int_equal(command_admit(s.cmd, &s.cs, s.now, 0, &t), ADMIT_SHORT_CIRCUITED);

	/* Closed: everything passes, whatever fails; the straggling trial moves nothing. */
	assert_int_equal(circuits_force(&c, STR("product"), BREAKER_FORCE_CLOSED, &e), 0);
	play(&s, TEN_F TEN_F TEN_F);
	assert_int_equal(command_admit(s.cmd, &s.cs, s.now, 0, &t), ADMIT_OK);
	command_done(s.cmd, &s.cs, &t, OUTCOME_SUCCESS, s.now);
	j = shown(&s);
	assert_string_equal(text(j, "state"), "FORCED_CLOSED");
	json_decref(j);

	/* Auto again: what failed meanwhile is forgotten, what fails from now on is not. */
	assert_int_equal(circuits_force(&c, STR("product"), BREAKER_AUTO, &e), 0);
	play(&s, "F");
	assert_false(breaker_is_open(&s.cmd->breaker, &s.cs));
	play(&s, TEN_F TEN_F ",,,,,,F");
	assert_true(breaker_is_open(&s.cmd->breaker, &s.cs));
	scene_free(&s);
}

static void test_a_forced_circuit_is_not_swept_away(void **state)
{
	struct scene s = scene_new();
	struct circuits c = circuits_of(&s);

	circuits_force(&c, STR("product"), BREAKER_FORCE_OPEN, NULL);
	command_unref(TAKE(s.cmd));
	command_table_sweep(s.table, s.now + 3600 * USEC_PER_SEC, USEC_PER_SEC, settings_of, &s);
	assert_int_equal(command_table_len(s.table), 1);
	circuits_force(&c, STR("product"), BREAKER_AUTO, NULL);
	command_table_sweep(s.table, s.now + 7200 * USEC_PER_SEC, USEC_PER_SEC, settings_of, &s);
	assert_int_equal(command_table_len(s.table), 0);
	scene_free(&s);
}

static void test_a_property_wins(void **state)
{
	static const struct {
		bool enabled, open, closed;
		enum breaker_force force;
		int want;
	} rows[] = {
		{ true, false, false, BREAKER_FORCE_OPEN, 0 },
		{ true, true, false, BREAKER_FORCE_OPEN, 0 },
		{ true, true, false, BREAKER_FORCE_CLOSED, VINE_EINVAL },
		{ true, false, true, BREAKER_FORCE_OPEN, VINE_EINVAL },
		{ true, true, true, BREAKER_FORCE_CLOSED, VINE_EINVAL },
		{ false, false, false, BREAKER_FORCE_OPEN, VINE_EINVAL },
		{ false, false, false, BREAKER_AUTO, 0 },
		{ true, true, false, BREAKER_AUTO, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scene s = scene_new();
		struct circuits c = circuits_of(&s);
		struct err e;

		s.cs.breaker_enabled = rows[i].enabled;
		s.cs.force_open = rows[i].open;
		s.cs.force_closed = rows[i].closed;
		assert_int_equal(circuits_force(&c, STR("product"), rows[i].force, &e), rows[i].want);
		if (rows[i].want)
			assert_non_null(strstr(e.text, "hystrix.command.product.circuitBreaker."));
		assert_int_equal(circuits_force(&c, STR("nobody"), rows[i].force, &e), VINE_ENOTFOUND);
		scene_free(&s);
	}
}

static void test_bodies(void **state)
{
	static const struct {
		const char *body;
		int want;
		enum breaker_force force;
	} rows[] = {
		{ "{\"state\":\"open\"}", 0, BREAKER_FORCE_OPEN },
		{ "{\"state\":\"Closed\",\"by\":[1]}", 0, BREAKER_FORCE_CLOSED },
		{ " { \"state\" : \"auto\" } ", 0, BREAKER_AUTO },
		{ "", VINE_EINVAL, 0 },
		{ "{}", VINE_EINVAL, 0 },
		{ "{\"state\":\"half\"}", VINE_EINVAL, 0 },
		{ "{\"state\":null}", VINE_EINVAL, 0 },
		{ "{\"state\":{}}", VINE_EINVAL, 0 },
		{ "[\"open\"]", VINE_EINVAL, 0 },
		{ "{\"state\":\"open\"", VINE_EINVAL, 0 },
		{ "open", VINE_EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum breaker_force got = 99;
		struct err e;
		int r = circuits_parse_force(str_from(rows[i].body), &got, &e);

		if (r != rows[i].want || (r == 0 && got != rows[i].force))
			fail_msg("%s: %d", rows[i].body, r);
	}
}

static void test_the_list_has_trouble_first(void **state)
{
	struct scene s = scene_new();
	struct circuits c;
	struct buf b = BUF_INIT(100000);

	command_unref(command_table_take(s.table, STR("a-well"), STR("g"), s.now));
	play(&s, TEN_OK TEN_F);
	c = circuits_of(&s);
	circuits_list(&c, &b);

	json_t *j = read_back(&b), *list = json_object_get(j, "circuits");

	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text(json_array_get(list, 0), "key"), "product");
	assert_string_equal(text(json_array_get(list, 0), "state"), "OPEN");
	assert_int_equal(num(json_array_get(list, 0), "errorPercentage"), 50);
	assert_string_equal(text(json_array_get(list, 1), "key"), "a-well");
	json_decref(j);
	scene_free(&s);
}

/* --- the sibling streams, held against what Hystrix' jar writes (make interop compares that list with the jar) --- */

static bool is_kind(const json_t *v, const char *kind)
{
	if (strcmp(kind, "null") == 0)
		return json_is_null(v);
	return strcmp(kind, "integer") == 0 ? json_is_integer(v) : strcmp(kind, "boolean") == 0 ? json_is_boolean(v) : json_is_string(v);
}

/* The same fields in the same order; of a family of keys, each. */
static void want_tree(const char *where, json_t *ours, json_t *theirs)
{
	json_t *each = json_object_get(theirs, "{key}");
	const char *key;
	json_t *v;

	if (json_is_string(theirs)) {
		if (!is_kind(ours, json_string_value(theirs)))
			fail_msg("%s is no %s", where, json_string_value(theirs));
		return;
	}
	assert_true(json_is_object(ours) && json_object_size(ours) > 0);
	if (!each && json_object_size(ours) != json_object_size(theirs))
		fail_msg("%s: another number of fields", where);

	void *it = json_object_iter(theirs);

	json_object_foreach(ours, key, v)
	{
		if (!each && strcmp(key, json_object_iter_key(it)) != 0)
			fail_msg("%s.%s stands where %s is", where, key, json_object_iter_key(it));
		want_tree(key, v, each ? each : json_object_iter_value(it));
		it = each ? it : json_object_iter_next(theirs, it);
	}
}

static void want_sibling(const char *type, void (*write)(const struct circuits *c, struct buf *b), const struct circuits *c)
{
	const char *root = getenv("VINE_SOURCE");
	struct buf b = BUF_INIT(1 << 20);
	char path[4096];
	json_error_t e;
	json_t *all, *ours;

	snprintf(path, sizeof(path), "%s/tests/data/hystrix-siblings-1.5.18.json", root ? root : ".");
	all = json_load_file(path, 0, &e);
	assert_non_null(all);
	write(c, &b);
	ours = json_loadb(b.ptr, b.len, JSON_REJECT_DUPLICATES, &e);
	if (!ours)
		fail_msg("%s", e.text);
	assert_string_equal(json_string_value(json_object_get(ours, "type")), type);
	want_tree(type, ours, json_object_get(all, type));
	json_decref(ours);
	json_decref(all);
	buf_fini(&b);
}

static void test_the_sibling_streams_have_hystrix_fields(void **state)
{
	struct prop_entry entry = { STR("hystrix.threadpool.shop.coreSize"), STR("3"), 1, 1 };
	struct prop_source source = { .name = STR("t"), .entry = &entry, .n = 1 };
	struct props *p = props_build(&source, 1, NULL, 0);
	struct keyed_table *pools = pool_table_new(4, 1), *collapsers = collapser_table_new(4, 1);
	struct scene s = scene_new();
	struct circuits c = circuits_of(&s);
	struct buf b = BUF_INIT(1 << 20);

	(void)state;
	pool_unref(pool_table_take(pools, STR("shop"), START));
	collapser_unref(collapser_table_take(collapsers, STR("byId"), START));
	c.pools = pools;
	c.collapsers = collapsers;
	c.props = p;
	play(&s, "..((");
	want_sibling("HystrixConfig", siblings_config, &c);
	want_sibling("HystrixUtilization", siblings_utilization, &c);
	siblings_utilization(&c, &b);
	assert_true(str_has_prefix(buf_str(&b), STR("{\"type\":\"HystrixUtilization\",\"commands\":{\"product\":{\"activeCount\":2}},"
					    "\"threadpools\":{\"shop\":{\"activeCount\":0,\"queueSize\":0,\"corePoolSize\":3,"
					    "\"poolSize\":")));
	buf_fini(&b);
	scene_free(&s);
	keyed_table_free(pools);
	keyed_table_free(collapsers);
	props_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_would_change_it),
		cmocka_unit_test(test_the_promise_is_kept),
		cmocka_unit_test(test_one_in_full),
		cmocka_unit_test(test_decisions_are_the_last_ones),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_a_forced_circuit_is_not_swept_away),
		cmocka_unit_test(test_a_property_wins),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_the_list_has_trouble_first),
		cmocka_unit_test(test_the_sibling_streams_have_hystrix_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
