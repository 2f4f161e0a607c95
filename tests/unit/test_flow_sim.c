/* test_flow_sim.c - days of traffic in a second: calls arrive at random, the service behind falls ill and recovers, and what
 * the documents promise is checked at each call: "20 calls in 10 seconds, 50 % errors, open for 5 seconds, one trial".
 * Also one paragraph of the specification a test, where no walk of test_flow_command.c has it. */
#include <stdio.h>

#include "base/rng.h"
#include "flow/command.h"
#include "test.h"

#define START (INT64_C(55) * USEC_PER_SEC + 9)
#define DAY (INT64_C(86400) * USEC_PER_SEC)
#define WINDOW (10 * USEC_PER_SEC)
#define SLEEP (5 * USEC_PER_SEC)
#define LOOK (USEC_PER_SEC / 2) /* a health snapshot: how late a decision may be */

/* --- days --- */

struct sim {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	struct rng rng;
	usec now;
	usec ill_from, ill_until;   /* the present or next illness */
	usec opened_at, last_trial; /* as we see it from outside; 0: closed */
	usec closed_at;
	uint64_t calls, ok, bad, shut, opened, trials;
};

static void sim_init(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	s->cs.isolation = FLOW_SEMAPHORE;
	s->cs.semaphore_max = 100;
	s->now = START;
	s->table = command_table_new(&(struct command_table_opts){ .stripes = 2, .max = 1 });
	s->cmd = command_table_take(s->table, STR("product"), STR("shop"), s->now);
	rng_seed(&s->rng, seed);
}

static usec random_span(struct sim *s, usec low, usec high)
{
	return low + (usec)rng_below(&s->rng, (uint64_t)(high - low));
}

static bool is_open(const struct sim *s)
{
	return breaker_word_state(atomic_load(&s->cmd->breaker.word)) != BREAKER_CLOSED;
}

/* While it is ill nearly all calls fail, by an error or a timeout; else one in a thousand does. */
static enum outcome answer(struct sim *s)
{
	if (s->now < s->ill_from || s->now >= s->ill_until)
		return rng_below(&s->rng, 1000) ? OUTCOME_SUCCESS : OUTCOME_FAILURE;
	return rng_below(&s->rng, 50) == 0 ? OUTCOME_SUCCESS : rng_below(&s->rng, 2) ? OUTCOME_FAILURE : OUTCOME_TIMEOUT;
}

static void one_call(struct sim *s)
{
	bool was_open = is_open(s);
	struct ticket t;
	enum admit a = command_admit(s->cmd, &s->cs, s->now, rng_below(&s->rng, 2), &t);

	s->calls++;
	if (a == ADMIT_SHORT_CIRCUITED) {
		s->shut++;
		if (!s->opened_at)
			s->opened_at = s->now; /* opened by this caller's look */
		assert_true(s->now - s->last_trial < SLEEP || s->now - s->opened_at < SLEEP);
		return;
	}
	assert_int_equal(a, ADMIT_OK);
	if (was_open) { /* the one trial: not before the sleep window is over, nor twice in one */
		assert_true(s->now - s->opened_at >= SLEEP && s->now - s->last_trial >= SLEEP);
		s->last_trial = s->now;
		s->trials++;
	}

	enum outcome o = answer(s);

	command_done(s->cmd, &s->cs, &t, o, s->now);
	s->ok += o == OUTCOME_SUCCESS;
	s->bad += o != OUTCOME_SUCCESS;
	assert_false(was_open && o == OUTCOME_SUCCESS && is_open(s));
	if (is_open(s) && !was_open) {
		struct breaker_view v;

		breaker_view(&s->cmd->breaker, &v);
		assert_true(v.at_trip.total >= 20 && v.at_trip.error_pct >= 50);
		s->opened_at = s->now;
		s->opened++;
	} else if (!is_open(s)) {
		if (was_open)
			s->closed_at = s->now;
		s->opened_at = s->last_trial = 0;
	}
}

/* Calls come every `gap` on average, so 20 of them well within a window; each few hours the service is ill for a while. */
static void live(struct sim *s, usec until, usec gap)
{
	while (s->now < until) {
		if (s->now >= s->ill_until) {
			s->ill_from = s->now + random_span(s, 600 * USEC_PER_SEC, 4 * 3600 * USEC_PER_SEC);
			s->ill_until = s->ill_from + random_span(s, 30 * USEC_PER_SEC, 600 * USEC_PER_SEC);
		}
		s->now += random_span(s, 1, 2 * gap);
		one_call(s);

		/* A window full of failures, and a look: then it is open, if no lucky trial has closed it since. When it
		 * was well for a sleep window and a call, it is closed. */
		if (s->now < s->ill_until && s->now - MAX(s->ill_from, s->closed_at) > WINDOW + LOOK + gap)
			assert_true(is_open(s));
		if (s->now < s->ill_from && s->opened_at)
			assert_true(s->now - s->opened_at <= SLEEP + 2 * gap || s->now - s->last_trial <= SLEEP + 2 * gap);
	}
}

static void test_three_days_of_a_service_that_falls_ill(void **state)
{
	static struct command_snapshot snap;

	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct sim s;

		sim_init(&s, seed);
		live(&s, START + 3 * DAY, 200 * USEC_PER_MSEC);
		command_snapshot(s.cmd, &s.cs, s.now, &snap);
		assert_int_equal(snap.stats.lifetime[EVENT_SUCCESS], s.ok);
		assert_int_equal(snap.stats.lifetime[EVENT_FAILURE] + snap.stats.lifetime[EVENT_TIMEOUT], s.bad);
		assert_int_equal(snap.stats.lifetime[EVENT_SHORT_CIRCUITED], s.shut);
		assert_int_equal(s.ok + s.bad + s.shut, s.calls);
		assert_true(s.opened > 10 && s.trials > s.opened);
		assert_true(s.shut > s.trials); /* what the circuit is there for */
		assert_int_equal(snap.active, 0);
		command_unref(s.cmd);
		command_table_free(s.table);
	}
}

/* --- paragraphs --- */

struct world {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	usec now;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	w->cs.isolation = FLOW_SEMAPHORE;
	w->now = START;
	w->table = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	w->cmd = command_table_take(w->table, STR("k"), STR("g"), w->now);
}

static void world_fini(struct world *w)
{
	command_unref(w->cmd);
	command_table_free(w->table);
}

static struct command_snapshot *look(struct world *w)
{
	static struct command_snapshot s;

	command_snapshot(w->cmd, &w->cs, w->now, &s);
	return &s;
}

static void calls(struct world *w, unsigned n, enum outcome o)
{
	for (unsigned i = 0; i < n; i++) {
		struct ticket t;

		assert_int_equal(command_admit(w->cmd, &w->cs, w->now, 0, &t), ADMIT_OK);
		command_done(w->cmd, &w->cs, &t, o, w->now);
	}
}

static void test_the_error_percentage_is_truncated(void **state)
{
	static const struct {
		unsigned ok, bad;
		uint32_t want;
	} cases[] = { { 0, 0, 0 }, { 2, 1, 33 }, { 1, 2, 66 }, { 201, 200, 49 }, { 0, 3, 100 }, { 1000, 1, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		world_init(&w);
		w.cs.breaker_enabled = false;
		calls(&w, cases[i].ok, OUTCOME_SUCCESS);
		calls(&w, cases[i].bad, OUTCOME_FAILURE);
		assert_int_equal(look(&w)->stats.health.error_pct, cases[i].want);
		assert_int_equal(look(&w)->stats.health.errors, cases[i].bad);
		assert_int_equal(look(&w)->stats.health.total, cases[i].ok + cases[i].bad);
		world_fini(&w);
	}
}

static void test_the_circuit_is_asked_before_the_semaphore(void **state)
{
	struct ticket t;
	struct world w;

	world_init(&w);
	calls(&w, 20, OUTCOME_FAILURE);
	w.cs.semaphore_max = 0;
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &t), ADMIT_SHORT_CIRCUITED);
	assert_int_equal(look(&w)->stats.rolling[EVENT_SEMAPHORE_REJECTED], 0);
	world_fini(&w);
}

static void test_semaphore_rejections_alone_open_the_circuit(void **state)
{
	struct ticket t;
	struct world w;

	world_init(&w);
	w.cs.semaphore_max = 0;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &t), ADMIT_SEMAPHORE_REJECTED);
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &t), ADMIT_SHORT_CIRCUITED);
	world_fini(&w);
}

static void test_event_counts_and_health_have_windows_of_their_own(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.breaker_enabled = false;
	w.cs.window_buckets = 1; /* one bucket of 10 s beside twenty of 500 ms */
	w.now = (START / WINDOW + 1) * WINDOW - USEC_PER_SEC;
	calls(&w, 5, OUTCOME_FAILURE);
	w.now += 2 * USEC_PER_SEC;
	assert_int_equal(look(&w)->stats.rolling[EVENT_FAILURE], 0);
	assert_int_equal(look(&w)->stats.health.errors, 5);
	world_fini(&w);
}

static void test_a_circuit_that_closes_resets_health_but_no_counter(void **state)
{
	struct world w;

	world_init(&w);
	calls(&w, 20, OUTCOME_FAILURE);
	w.now += SLEEP;
	calls(&w, 1, OUTCOME_SUCCESS);
	assert_int_equal(look(&w)->breaker.state, BREAKER_CLOSED);
	assert_int_equal(look(&w)->stats.health.total, 0);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FAILURE], 20);
	world_fini(&w);
}

static void test_force_closed_lets_pass_while_the_circuit_trips_underneath(void **state)
{
	struct ticket t;
	struct world w;

	world_init(&w);
	w.cs.force_closed = true;
	calls(&w, 30, OUTCOME_FAILURE);
	assert_false(look(&w)->is_open);
	w.cs.force_closed = false;
	assert_true(look(&w)->is_open);
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &t), ADMIT_SHORT_CIRCUITED);
	world_fini(&w);
}

static void test_a_changed_window_keeps_the_circuit(void **state)
{
	struct ticket t;
	struct world w;

	world_init(&w);
	calls(&w, 20, OUTCOME_FAILURE);
	w.cs.window_ms = 20000;
	w.cs.window_buckets = 20;
	w.cs.percentile_ms = 30000;
	w.cs.health_interval_ms = 1000;
	assert_int_equal(look(&w)->breaker.state, BREAKER_OPEN);
	assert_int_equal(look(&w)->stats.lifetime[EVENT_FAILURE], 20);
	w.now += SLEEP - 1;
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &t), ADMIT_SHORT_CIRCUITED);
	w.now += 1;
	calls(&w, 1, OUTCOME_SUCCESS);
	assert_int_equal(look(&w)->breaker.state, BREAKER_CLOSED);
	world_fini(&w);
}

static void test_latencies_are_of_executed_calls_only(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.breaker_enabled = false;
	calls(&w, 3, OUTCOME_SUCCESS);
	calls(&w, 3, OUTCOME_BAD_REQUEST);
	calls(&w, 3, OUTCOME_TIMEOUT);
	calls(&w, 3, OUTCOME_CANCELLED);
	calls(&w, 3, OUTCOME_POOL_REJECTED);
	command_count(w.cmd, &w.cs, 0, EVENT_RESPONSE_FROM_CACHE, w.now);
	assert_int_equal(look(&w)->stats.execute.n, 9);
	w.cs.percentile_enabled = false; /* no effect in Hystrix 1.5 */
	calls(&w, 3, OUTCOME_SUCCESS);
	assert_int_equal(look(&w)->stats.execute.n, 0);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_days_of_a_service_that_falls_ill),
		cmocka_unit_test(test_the_error_percentage_is_truncated),
		cmocka_unit_test(test_the_circuit_is_asked_before_the_semaphore),
		cmocka_unit_test(test_semaphore_rejections_alone_open_the_circuit),
		cmocka_unit_test(test_event_counts_and_health_have_windows_of_their_own),
		cmocka_unit_test(test_a_circuit_that_closes_resets_health_but_no_counter),
		cmocka_unit_test(test_force_closed_lets_pass_while_the_circuit_trips_underneath),
		cmocka_unit_test(test_a_changed_window_keeps_the_circuit),
		cmocka_unit_test(test_latencies_are_of_executed_calls_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
