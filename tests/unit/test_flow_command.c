/* test_flow_command.c - the life of a command and its breaker, walked step by step. Times are in ms from an odd start, so
 * that nothing is aligned by chance. */
#include <stdio.h>

#include "base/rng.h"
#include "flow/command.h"
#include "test.h"

#define START (INT64_C(1234567) * USEC_PER_MSEC + 3)

static const struct cmd_settings plain = CMD_SETTINGS_DEFAULT;

struct world {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	struct ticket tickets[32];
	usec now;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->table = command_table_new(&(struct command_table_opts){ .stripes = 4, .max = 100 });
	w->cs = plain;
	w->cs.isolation = FLOW_SEMAPHORE;
	w->now = START;
	w->cmd = command_table_take(w->table, STR("product"), STR("shop"), w->now);
}

static void world_fini(struct world *w)
{
	command_unref(w->cmd);
	command_table_free(w->table);
}

static struct command_snapshot *look(struct world *w)
{
	static struct command_snapshot snap;

	command_snapshot(w->cmd, &w->cs, w->now, &snap);
	return &snap;
}

static enum admit call(struct world *w, enum outcome o)
{
	struct ticket t;
	enum admit a = command_admit(w->cmd, &w->cs, w->now, 0, &t);

	if (a == ADMIT_OK)
		command_done(w->cmd, &w->cs, &t, o, w->now);
	return a;
}

static void calls(struct world *w, unsigned n, enum outcome o)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(call(w, o), ADMIT_OK);
}

static void trip(struct world *w)
{
	calls(w, 20, OUTCOME_FAILURE);
	assert_int_equal(look(w)->breaker.state, BREAKER_OPEN);
}

static void pass(struct world *w, msec ms)
{
	w->now += ms * USEC_PER_MSEC;
}

/* --- walks --- */

enum act {
	STOP,  /* the walk is over */
	BEGIN, /* admit into slot n */
	END,   /* slot n ends with outcome */
	CALL,  /* n calls that begin and end at once with outcome */
	STATE, /* look only */
};

struct step {
	msec at; /* ms since the last step */
	enum act act;
	unsigned n;
	int arg;                 /* BEGIN: what admit says; else the outcome */
	enum breaker_state want; /* afterwards */
};

struct walk {
	const char *name;
	struct step steps[16];
};

#define OK OUTCOME_SUCCESS
#define BAD OUTCOME_FAILURE
#define SHUT ADMIT_SHORT_CIRCUITED
#define CLOSED BREAKER_CLOSED
#define OPEN BREAKER_OPEN
#define HALF BREAKER_HALF_OPEN

static const struct walk walks[] = {
	{ "19 failures are below the volume", { { 0, CALL, 19, BAD, CLOSED } } },
	{ "the 20th opens", { { 0, CALL, 19, BAD, CLOSED }, { 0, CALL, 1, BAD, OPEN } } },
	{ "time-outs are errors", { { 0, CALL, 20, OUTCOME_TIMEOUT, OPEN } } },
	{ "pool rejections are errors", { { 0, CALL, 20, OUTCOME_POOL_REJECTED, OPEN } } },
	{ "bad requests are not health", { { 0, CALL, 200, OUTCOME_BAD_REQUEST, CLOSED } } },
	{ "cancelled calls are not health", { { 0, CALL, 200, OUTCOME_CANCELLED, CLOSED } } },
	{ "49 % stay closed, 50 % open",
	  { { 0, CALL, 51, OK, CLOSED }, { 0, CALL, 49, BAD, CLOSED }, { 600, CALL, 2, BAD, CLOSED },
	    { 600, STATE, 0, 0, OPEN } } },
	{ "failures older than the window do not count",
	  { { 0, CALL, 19, BAD, CLOSED }, { 10600, CALL, 19, BAD, CLOSED }, { 0, CALL, 1, BAD, OPEN } } },
	{ "failures within the window do", { { 0, CALL, 10, BAD, CLOSED }, { 9000, CALL, 10, BAD, OPEN } } },
	{ "an error between two looks is judged by the next caller",
	  { { 0, CALL, 21, OK, CLOSED }, { 0, CALL, 1, BAD, CLOSED }, { 10, CALL, 30, BAD, CLOSED },
	    { 600, BEGIN, 0, SHUT, OPEN } } },
	{ "open for the whole sleep window, then one trial",
	  { { 0, CALL, 20, BAD, OPEN }, { 4999, BEGIN, 0, SHUT, OPEN }, { 1, BEGIN, 0, ADMIT_OK, HALF },
	    { 0, BEGIN, 1, SHUT, HALF }, { 900, BEGIN, 1, SHUT, HALF } } },
	{ "the trial's success closes",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 5, END, 0, OK, CLOSED },
	    { 0, CALL, 1, OK, CLOSED } } },
	{ "closing forgets the health before it",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 5, END, 0, OK, CLOSED },
	    { 0, CALL, 19, BAD, CLOSED }, { 0, CALL, 1, BAD, OPEN } } },
	{ "the trial's failure opens for another window",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 7, END, 0, BAD, OPEN },
	    { 4999, BEGIN, 1, SHUT, OPEN }, { 1, BEGIN, 1, ADMIT_OK, HALF } } },
	{ "the trial's time-out opens as well",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 1000, END, 0, OUTCOME_TIMEOUT, OPEN } } },
	{ "a bad request gives the trial back",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF },
	    { 1, END, 0, OUTCOME_BAD_REQUEST, HALF }, { 0, BEGIN, 1, ADMIT_OK, HALF }, { 1, END, 1, OK, CLOSED } } },
	{ "a cancelled trial gives it back (1.5.12 reopened, 1.5.18 waited)",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 1, END, 0, OUTCOME_CANCELLED, HALF },
	    { 0, BEGIN, 1, ADMIT_OK, HALF } } },
	{ "a straggler's success does not close (1.5.18 did)",
	  { { 0, BEGIN, 0, ADMIT_OK, CLOSED }, { 0, CALL, 20, BAD, OPEN }, { 10, END, 0, OK, OPEN } } },
	{ "a straggler neither closes nor reopens a half-open circuit",
	  { { 0, BEGIN, 0, ADMIT_OK, CLOSED }, { 0, BEGIN, 1, ADMIT_OK, CLOSED }, { 0, CALL, 20, BAD, OPEN },
	    { 5000, BEGIN, 2, ADMIT_OK, HALF }, { 1, END, 0, OK, HALF }, { 1, END, 1, BAD, HALF },
	    { 1, END, 2, OK, CLOSED } } },
	{ "a short-circuited call does not disturb the trial (H#1853)",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 1, BEGIN, 1, SHUT, HALF },
	    { 1, END, 0, OK, CLOSED } } },
	{ "stragglers of before do not open the circuit that has closed",
	  { { 0, BEGIN, 0, ADMIT_OK, CLOSED }, { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 1, ADMIT_OK, HALF },
	    { 1, END, 1, OK, CLOSED }, { 0, CALL, 19, BAD, CLOSED }, { 0, END, 0, BAD, CLOSED } } },
	{ "a lost trial does not wedge: its lease ends with the time-out and some grace",
	  { { 0, CALL, 20, BAD, OPEN }, { 5000, BEGIN, 0, ADMIT_OK, HALF }, { 1499, BEGIN, 1, SHUT, HALF },
	    { 1, BEGIN, 1, ADMIT_OK, HALF }, { 1, END, 0, BAD, HALF }, { 1, END, 1, OK, CLOSED } } },
};

static void walk_one(const struct walk *k)
{
	struct world w;

	world_init(&w);
	w.cs.semaphore_max = 100;
	for (unsigned i = 0; i < ARRAY_LEN(k->steps) && k->steps[i].act != STOP; i++) {
		const struct step *s = &k->steps[i];
		int got = s->arg;

		pass(&w, s->at);
		if (s->act == BEGIN)
			got = (int)command_admit(w.cmd, &w.cs, w.now, s->n, &w.tickets[s->n]);
		else if (s->act == END)
			command_done(w.cmd, &w.cs, &w.tickets[s->n], (enum outcome)s->arg, w.now);
		else if (s->act == CALL)
			calls(&w, s->n, (enum outcome)s->arg);
		if (got != s->arg)
			fail_msg("%s: step %u: admit says %s", k->name, i, admit_name((enum admit)got));

		enum breaker_state is = look(&w)->breaker.state;

		if (is != s->want)
			fail_msg("%s: step %u: %s, not %s", k->name, i, breaker_state_name(is),
				 breaker_state_name(s->want));
	}
	world_fini(&w);
}

static void test_breaker_walks(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(walks); i++)
		walk_one(&walks[i]);
}

/* --- what is configured --- */

static void test_disabled_breaker_admits_all(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.breaker_enabled = false;
	calls(&w, 100, OUTCOME_FAILURE);
	assert_false(look(&w)->is_open);
	assert_int_equal(look(&w)->stats.health.error_pct, 100);
	w.cs.breaker_enabled = true; /* live: the window has not been forgotten */
	pass(&w, 600);
	calls(&w, 1, OUTCOME_FAILURE);
	assert_int_equal(call(&w, OUTCOME_SUCCESS), ADMIT_SHORT_CIRCUITED);
	world_fini(&w);
}

static void test_force_flags_are_live_and_open_wins(void **state)
{
	static const struct {
		bool open, closed, tripped;
		enum admit want;
		bool is_open;
	} cases[] = {
		{ false, false, false, ADMIT_OK, false },	     { true, false, false, ADMIT_SHORT_CIRCUITED, true },
		{ true, true, false, ADMIT_SHORT_CIRCUITED, true },  { false, true, true, ADMIT_OK, false },
		{ false, false, true, ADMIT_SHORT_CIRCUITED, true }, { true, true, true, ADMIT_SHORT_CIRCUITED, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		world_init(&w);
		if (cases[i].tripped)
			trip(&w);
		w.cs.force_open = cases[i].open;
		w.cs.force_closed = cases[i].closed;
		assert_int_equal(call(&w, OUTCOME_SUCCESS), cases[i].want);
		assert_int_equal(look(&w)->is_open, cases[i].is_open);
		w.cs.force_open = w.cs.force_closed = false; /* lifted: as if it had never been */
		assert_int_equal(call(&w, OUTCOME_SUCCESS), cases[i].tripped ? ADMIT_SHORT_CIRCUITED : ADMIT_OK);
		world_fini(&w);
	}
}

static void test_several_trials_decide_together(void **state)
{
	static const struct {
		unsigned ok, bad;
		enum breaker_state want;
	} cases[] = { { 5, 0, CLOSED }, { 3, 2, CLOSED }, { 2, 3, OPEN }, { 0, 5, OPEN } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		world_init(&w);
		w.cs.half_open_trials = 5;
		trip(&w);
		pass(&w, 5000);
		for (unsigned n = 0; n < 5; n++)
			assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[n]), ADMIT_OK);
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[5]), ADMIT_SHORT_CIRCUITED);
		for (unsigned n = 0; n < 5; n++) {
			assert_int_equal(look(&w)->breaker.state, HALF);
			command_done(w.cmd, &w.cs, &w.tickets[n], n < cases[i].ok ? OK : BAD, w.now);
		}
		assert_int_equal(look(&w)->breaker.state, cases[i].want);
		world_fini(&w);
	}
}

static void test_slow_calls_open(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.slow_call_ms = 100;
	w.cs.slow_threshold_pct = 60;
	for (unsigned i = 0; i < 30 && look(&w)->breaker.state == CLOSED; i++) {
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_OK);
		pass(&w, i % 2 ? 10 : 150);
		command_done(w.cmd, &w.cs, &w.tickets[0], OK, w.now);
	}
	assert_int_equal(look(&w)->breaker.state, CLOSED); /* half of them */
	for (unsigned i = 0; i < 20 && look(&w)->breaker.state == CLOSED; i++) {
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_OK);
		pass(&w, 150);
		command_done(w.cmd, &w.cs, &w.tickets[0], OK, w.now);
	}
	assert_int_equal(look(&w)->breaker.state, OPEN);
	assert_int_equal(look(&w)->breaker.why, BREAKER_SLOW);
	world_fini(&w);
}

static void test_slow_trials_are_judged_by_the_slow_rate(void **state)
{
	static const struct {
		uint32_t threshold;
		unsigned slow;
		enum breaker_state want;
	} cases[] = { { 100, 1, CLOSED }, { 50, 1, OPEN }, { 50, 0, CLOSED }, { 100, 2, OPEN } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		world_init(&w);
		w.cs.half_open_trials = 2;
		w.cs.slow_call_ms = 100;
		w.cs.slow_threshold_pct = cases[i].threshold;
		trip(&w);
		pass(&w, 5000);
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_OK);
			pass(&w, n < cases[i].slow ? 150 : 10);
			command_done(w.cmd, &w.cs, &w.tickets[0], OK, w.now);
		}
		assert_int_equal(look(&w)->breaker.state, cases[i].want);
		world_fini(&w);
	}
}

/* Twenty calls spread over an hour: in a window of time they never meet. */
static void test_a_count_window_remembers_calls_not_time(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.count_window = 40;
	for (unsigned i = 0; i < 19; i++) {
		calls(&w, 1, i % 2 ? OK : BAD);
		pass(&w, 180000);
	}
	assert_int_equal(look(&w)->stats.health.total, 19);
	assert_int_equal(look(&w)->stats.health.errors, 10);
	assert_int_equal(look(&w)->breaker.state, CLOSED);
	calls(&w, 1, BAD);
	assert_int_equal(look(&w)->breaker.state, OPEN);
	assert_int_equal(look(&w)->breaker.at_trip.errors, 11);
	pass(&w, 5000);
	calls(&w, 1, OK); /* the trial closes it, and what was before is forgotten */
	assert_int_equal(look(&w)->stats.health.total, 0);
	world_fini(&w);
}

static void test_a_count_window_drops_the_oldest(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.count_window = 20;
	w.cs.semaphore_max = 1;
	calls(&w, 9, BAD);
	calls(&w, 11, OK);
	assert_int_equal(look(&w)->stats.health.error_pct, 45);
	calls(&w, 8, OK);
	assert_int_equal(look(&w)->stats.health.errors, 1);
	assert_int_equal(look(&w)->stats.health.total, 20);
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_OK);
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[1]), ADMIT_SEMAPHORE_REJECTED);
	assert_int_equal(look(&w)->stats.health.errors, 1); /* one left the window, the rejection came in */
	command_done(w.cmd, &w.cs, &w.tickets[0], OUTCOME_BAD_REQUEST, w.now);
	assert_int_equal(look(&w)->stats.health.errors, 1); /* no health */
	w.cs.count_window = 30; /* another size begins anew; the circuit stays as it is */
	assert_int_equal(look(&w)->stats.health.total, 0);
	w.cs.count_window = 0; /* and time has gone on counting */
	assert_int_equal(look(&w)->stats.health.errors, 10);
	world_fini(&w);
}

static void test_sleep_window_doubles_to_its_maximum(void **state)
{
	static const msec want[] = { 5000, 10000, 20000, 30000, 30000 };
	struct world w;

	world_init(&w);
	w.cs.sleep_max_ms = 30000;
	trip(&w);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		pass(&w, want[i] - 1);
		assert_int_equal(call(&w, BAD), ADMIT_SHORT_CIRCUITED);
		pass(&w, 1);
		assert_int_equal(call(&w, BAD), ADMIT_OK);
	}
	world_fini(&w);
}

static void test_jitter_shortens_within_its_share(void **state)
{
	usec least = INT64_MAX, most = 0;

	for (unsigned i = 0; i < 200; i++) {
		struct world w;

		world_init(&w);
		w.cs.sleep_jitter_pct = 20;
		pass(&w, i * 37);
		trip(&w);

		usec span = look(&w)->breaker.until - w.now;

		least = MIN(least, span);
		most = MAX(most, span);
		world_fini(&w);
	}
	assert_in_range(least, 4000 * USEC_PER_MSEC, 4200 * USEC_PER_MSEC);
	assert_in_range(most, 4800 * USEC_PER_MSEC, 5000 * USEC_PER_MSEC);
}

static void test_snapshot_says_why_and_since_when(void **state)
{
	struct world w;

	world_init(&w);
	assert_int_equal(look(&w)->breaker.why, BREAKER_NEW);
	pass(&w, 1000);
	calls(&w, 10, OK);
	calls(&w, 10, BAD);

	struct breaker_view v = look(&w)->breaker;

	assert_int_equal(v.why, BREAKER_ERRORS);
	assert_int_equal(v.since, w.now);
	assert_int_equal(v.until, w.now + 5000 * USEC_PER_MSEC);
	assert_int_equal(v.at_trip.total, 20);
	assert_int_equal(v.at_trip.errors, 10);
	assert_int_equal(v.at_trip.error_pct, 50);
	world_fini(&w);
}

/* --- semaphores --- */

static void test_semaphore_bounds_and_returns(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.breaker_enabled = false;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[i]), ADMIT_OK);
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[10]), ADMIT_SEMAPHORE_REJECTED);
	assert_int_equal(look(&w)->active, 10);
	command_done(w.cmd, &w.cs, &w.tickets[10], OK, w.now); /* a refused ticket gives nothing back */
	command_done(w.cmd, &w.cs, &w.tickets[0], OK, w.now);
	command_done(w.cmd, &w.cs, &w.tickets[0], OK, w.now); /* nor does one twice */
	assert_int_equal(look(&w)->active, 9);
	assert_int_equal(look(&w)->stats.rolling[EVENT_SUCCESS], 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_SEMAPHORE_REJECTED], 1);
	assert_int_equal(look(&w)->stats.health.errors, 1); /* a rejection is an error */
	assert_int_equal(look(&w)->stats.max_active, 10);
	w.cs.semaphore_max = 9; /* live */
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_SEMAPHORE_REJECTED);
	w.cs.semaphore_max = 10;
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_OK);
	world_fini(&w);
}

static void test_semaphore_is_not_asked_in_thread_isolation(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.isolation = FLOW_THREAD;
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[i]), ADMIT_OK);
	assert_int_equal(look(&w)->active, 30);
	world_fini(&w);
}

static void test_calls_that_wait_for_a_slot_are_not_shown_as_running(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.isolation = FLOW_THREAD;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[i]), ADMIT_OK);
	command_started(w.cmd);
	command_queued(w.cmd);
	command_queued(w.cmd);
	assert_int_equal(look(&w)->active, 1);
	command_dequeued(w.cmd);
	command_started(w.cmd);
	assert_int_equal(look(&w)->active, 2);
	command_dequeued(w.cmd); /* its time is over */
	command_done(w.cmd, &w.cs, &w.tickets[2], OUTCOME_TIMEOUT, w.now);
	assert_int_equal(look(&w)->active, 2);
	assert_int_equal(look(&w)->limit, UINT32_MAX);
	command_done(w.cmd, &w.cs, &w.tickets[0], OK, w.now);
	command_done(w.cmd, &w.cs, &w.tickets[1], OK, w.now);
	assert_int_equal(look(&w)->active, 0);
	world_fini(&w);
}

static void test_a_trial_refused_by_the_semaphore_is_given_back(void **state)
{
	struct world w;

	world_init(&w);
	trip(&w);
	w.cs.semaphore_max = 0;
	pass(&w, 5000);
	assert_int_equal(call(&w, OK), ADMIT_SEMAPHORE_REJECTED);
	w.cs.semaphore_max = 10;
	assert_int_equal(call(&w, OK), ADMIT_OK);
	assert_int_equal(look(&w)->breaker.state, CLOSED);
	world_fini(&w);
}

/* --- events --- */

static const struct {
	enum outcome outcome;
	enum flow_event event;
	bool health, error;
} events[] = {
	{ OUTCOME_SUCCESS, EVENT_SUCCESS, true, false },
	{ OUTCOME_FAILURE, EVENT_FAILURE, true, true },
	{ OUTCOME_TIMEOUT, EVENT_TIMEOUT, true, true },
	{ OUTCOME_POOL_REJECTED, EVENT_THREAD_POOL_REJECTED, true, true },
	{ OUTCOME_BAD_REQUEST, EVENT_BAD_REQUEST, false, false },
	{ OUTCOME_CANCELLED, EVENT_CANCELLED, false, false },
};

static void test_each_outcome_counts_as_its_event(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		struct world w;

		world_init(&w);
		calls(&w, 3, events[i].outcome);

		const struct stats_reading *r = &look(&w)->stats;
		uint32_t all = 0;

		for (unsigned ev = 0; ev < EVENT_COUNT; ev++)
			all += r->rolling[ev];
		assert_int_equal(all, 3);
		assert_int_equal(r->rolling[events[i].event], 3);
		assert_int_equal(r->lifetime[events[i].event], 3);
		assert_int_equal(r->health.total, events[i].health ? 3 : 0);
		assert_int_equal(r->health.errors, events[i].error ? 3 : 0);
		assert_string_equal(outcome_name(events[i].outcome), event_name(events[i].event));
		world_fini(&w);
	}
}

static void test_short_circuits_are_counted_but_are_not_health(void **state)
{
	struct world w;

	world_init(&w);
	trip(&w);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(call(&w, OK), ADMIT_SHORT_CIRCUITED);
	assert_int_equal(look(&w)->stats.rolling[EVENT_SHORT_CIRCUITED], 7);
	assert_int_equal(look(&w)->stats.health.total, 20);
	assert_int_equal(look(&w)->stats.execute.n, 20); /* and have no latency */
	world_fini(&w);
}

static void test_cache_hits_are_counted_only(void **state)
{
	struct world w;

	world_init(&w);
	command_count(w.cmd, &w.cs, 0, EVENT_RESPONSE_FROM_CACHE, w.now);
	assert_int_equal(look(&w)->stats.rolling[EVENT_RESPONSE_FROM_CACHE], 1);
	assert_int_equal(look(&w)->stats.health.total, 0);
	world_fini(&w);
}

/* --- fallback --- */

static void test_failure_counts_before_its_fallback_ends(void **state)
{
	struct world w;

	world_init(&w);
	calls(&w, 19, BAD);
	assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]), ADMIT_OK);
	command_done(w.cmd, &w.cs, &w.tickets[0], BAD, w.now);
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &w.tickets[0], true, w.now), FALLBACK_RUN);
	assert_int_equal(look(&w)->breaker.state, OPEN);
	assert_int_equal(look(&w)->fallback_active, 1);
	command_fallback_end(w.cmd, &w.cs, &w.tickets[0], FALLBACK_OK, w.now);
	assert_int_equal(look(&w)->fallback_active, 0);
	world_fini(&w);
}

static void test_fallback_results(void **state)
{
	struct world w;
	struct ticket t;

	world_init(&w);
	command_admit(w.cmd, &w.cs, w.now, 0, &t);
	command_done(w.cmd, &w.cs, &t, BAD, w.now);
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &t, false, w.now), FALLBACK_MISSING);
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &t, true, w.now), FALLBACK_RUN);
	command_fallback_end(w.cmd, &w.cs, &t, FALLBACK_OK, w.now);
	command_fallback_end(w.cmd, &w.cs, &t, FALLBACK_OK, w.now); /* twice does nothing */
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &t, true, w.now), FALLBACK_RUN);
	command_fallback_end(w.cmd, &w.cs, &t, FALLBACK_FAILED, w.now);
	w.cs.fallback_max = 0;
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &t, true, w.now), FALLBACK_REJECTED);
	w.cs.fallback_enabled = false;
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &t, true, w.now), FALLBACK_DISABLED);

	const struct stats_reading *r = &look(&w)->stats;

	assert_int_equal(r->rolling[EVENT_FALLBACK_SUCCESS], 1);
	assert_int_equal(r->rolling[EVENT_FALLBACK_FAILURE], 1);
	assert_int_equal(r->rolling[EVENT_FALLBACK_MISSING], 1);
	assert_int_equal(r->rolling[EVENT_FALLBACK_REJECTION], 1);
	assert_int_equal(r->rolling[EVENT_FALLBACK_DISABLED], 1);
	assert_int_equal(r->health.total, 1); /* fallbacks are not health */
	world_fini(&w);
}

static void test_fallback_has_its_own_semaphore(void **state)
{
	struct world w;

	world_init(&w);
	trip(&w);
	for (unsigned i = 0; i <= 10; i++) {
		assert_int_equal(command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[i]), ADMIT_SHORT_CIRCUITED);
		assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &w.tickets[i], true, w.now),
				 i < 10 ? FALLBACK_RUN : FALLBACK_REJECTED);
	}
	command_fallback_end(w.cmd, &w.cs, &w.tickets[10], FALLBACK_OK, w.now);
	assert_int_equal(look(&w)->fallback_active, 10);
	command_fallback_end(w.cmd, &w.cs, &w.tickets[3], FALLBACK_OK, w.now);
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &w.tickets[10], true, w.now), FALLBACK_RUN);
	world_fini(&w);
}

static void test_a_fallback_has_a_deadline_of_its_own(void **state)
{
	struct world w;

	world_init(&w);
	trip(&w);
	command_admit(w.cmd, &w.cs, w.now, 0, &w.tickets[0]);
	assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &w.tickets[0], true, w.now), FALLBACK_RUN);
	assert_int_equal(command_fallback_deadline(&w.cs, w.now).at, w.now + USEC_PER_SEC);
	pass(&w, 1000);
	command_fallback_end(w.cmd, &w.cs, &w.tickets[0], FALLBACK_LATE, w.now);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_FAILURE], 1);
	assert_int_equal(look(&w)->fallback_active, 0);
	w.cs.fallback_ms = 0;
	assert_true(command_fallback_deadline(&w.cs, w.now).at == USEC_NEVER);
	world_fini(&w);
}

/* --- latency --- */

static void test_total_latency_includes_the_fallback(void **state)
{
	struct world w;
	struct ticket t;

	world_init(&w);
	for (unsigned i = 0; i < 10; i++) {
		command_admit(w.cmd, &w.cs, w.now, i, &t);
		pass(&w, 100);
		command_done(w.cmd, &w.cs, &t, i < 8 ? OK : BAD, w.now);
		if (i < 8)
			continue;
		assert_int_equal(command_fallback_begin(w.cmd, &w.cs, &t, true, w.now), FALLBACK_RUN);
		pass(&w, 400);
		command_fallback_end(w.cmd, &w.cs, &t, FALLBACK_OK, w.now);
	}

	const struct stats_reading *r = &look(&w)->stats;

	assert_int_equal(r->execute.n, 10);
	assert_int_equal(r->total.n, 10);
	assert_int_equal(hist_mean(&r->execute), 100000);
	assert_int_equal(hist_mean(&r->total), 180000);
	assert_in_range(hist_quantile(&r->execute, 0.99), 94000, 106000);
	assert_in_range(hist_quantile(&r->total, 0.5), 94000, 106000);
	assert_in_range(hist_quantile(&r->total, 0.95), 470000, 530000);
	world_fini(&w);
}

static void test_deadline_of_a_ticket(void **state)
{
	struct world w;
	struct ticket t;

	world_init(&w);
	command_admit(w.cmd, &w.cs, w.now, 0, &t);
	assert_int_equal(command_deadline(&w.cs, &t), START + USEC_PER_SEC);
	w.cs.timeout_enabled = false;
	assert_true(command_deadline(&w.cs, &t) == USEC_NEVER);
	world_fini(&w);
}

/* --- the table --- */

static const struct cmd_settings *settings_plain(void *arg, struct str key)
{
	return &plain;
}

static void test_table_hands_out_one_command_a_key(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 2, .seed = 5 });
	struct command *a = command_table_take(t, STR("b"), STR("g"), 0);
	struct command *b = command_table_take(t, STR("b"), STR("other"), 0);
	struct command *c = command_table_take(t, STR("a"), STR("g"), 0);
	size_t n;

	assert_ptr_equal(a, b);
	assert_str(b->group, STR("g"));
	assert_ptr_not_equal(a, c);
	assert_null(command_table_take(t, STR("c"), STR("g"), 0)); /* full */
	assert_null(command_table_take_known(t, STR("c")));
	command_unref(b);
	b = command_table_take_known(t, STR("b"));
	assert_ptr_equal(a, b);

	struct command **list = command_table_list(t, &n);

	assert_int_equal(n, 2);
	assert_str(list[0]->key, STR("a"));
	assert_str(list[1]->key, STR("b"));
	command_list_free(list, n);
	command_table_free(t); /* those that are held live on */
	assert_str(a->key, STR("b"));
	command_unref(a);
	command_unref(b);
	command_unref(c);
}

static void test_sweep_drops_what_is_idle_and_not_held(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 10 });
	struct command *held = command_table_take(t, STR("held"), STR(""), START);
	usec now = START;

	command_unref(command_table_take(t, STR("idle"), STR(""), now));
	now += 3000 * USEC_PER_SEC;
	command_unref(command_table_take(t, STR("new"), STR(""), now));
	assert_int_equal(command_table_sweep(t, now, 1800 * USEC_PER_SEC, settings_plain, NULL), 1);
	assert_null(command_table_take_known(t, STR("idle")));
	assert_int_equal(command_table_len(t), 2);
	command_unref(held);
	assert_int_equal(command_table_sweep(t, now, 1800 * USEC_PER_SEC, settings_plain, NULL), 1);
	assert_int_equal(command_table_len(t), 1);
	command_table_free(t);
}

static void test_memory_of_5000_keys(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 4, .max = 5000 });
	usec now = START;
	char name[16];
	size_t n;

	for (unsigned i = 0; i < 5000; i++) {
		int len = snprintf(name, sizeof(name), "key%u", i);
		struct command *c = command_table_take(t, str_of(name, (size_t)len), STR("g"), now);
		struct ticket k;

		assert_non_null(c);
		command_admit(c, &plain, now, 0, &k);
		command_done(c, &plain, &k, BAD, now + 1000);
		assert_int_equal(command_fallback_begin(c, &plain, &k, true, now + 1000), FALLBACK_RUN);
		command_fallback_end(c, &plain, &k, FALLBACK_OK, now + 9000);
		command_unref(c);
	}

	struct command **list = command_table_list(t, &n);
	struct command_snapshot snap;

	for (size_t i = 0; i < n; i++)
		command_snapshot(list[i], &plain, now + 10000, &snap);
	command_list_free(list, n);
	assert_true(command_table_bytes(t) / 5000 <= 32 * 1024);
	now += 100 * USEC_PER_SEC;
	command_table_sweep(t, now, USEC_NEVER / 2, settings_plain, NULL);
	assert_true(command_table_bytes(t) / 5000 <= 2 * 1024);
	/* And what was counted before is still in the lifetime's counts, and counting goes on. */
	struct command *c = command_table_take_known(t, STR("key7"));
	struct ticket k;

	command_admit(c, &plain, now, 0, &k);
	command_done(c, &plain, &k, BAD, now);
	command_snapshot(c, &plain, now, &snap);
	assert_int_equal(snap.stats.lifetime[EVENT_FAILURE], 2);
	assert_int_equal(snap.stats.rolling[EVENT_FAILURE], 1);
	assert_int_equal(snap.stats.execute.n, 1);
	command_unref(c);
	command_table_free(t);
}

/* --- settings --- */

static void test_settings_that_are_refused(void **state)
{
	struct cmd_settings cs;
	struct pool_settings ps = POOL_SETTINGS_DEFAULT;
	struct err e;

	assert_int_equal(cmd_settings_check(&plain, STR("k"), &e), 0);
	assert_int_equal(pool_settings_check(&ps, STR("k"), &e), 0);
#define REFUSED(field, value, word)                                                                                    \
	cs = plain;                                                                                                    \
	cs.field = value;                                                                                              \
	assert_int_equal(cmd_settings_check(&cs, STR("k"), &e), VINE_EINVAL);                                                    \
	assert_non_null(strstr(e.text, word))
	REFUSED(window_ms, -1, "rollingStats.timeInMilliseconds is -1");
	REFUSED(window_buckets, 7, "do not divide into 7 buckets");
	REFUSED(window_buckets, 0, "numBuckets");
	REFUSED(percentile_buckets, 100000, "rollingPercentile.numBuckets");
	REFUSED(percentile_ms, 60001, "do not divide");
	REFUSED(health_interval_ms, 0, "healthSnapshot"); /* an arithmetic error in Hystrix */
	REFUSED(health_interval_ms, 1, "healthSnapshot");
	REFUSED(error_threshold_pct, 101, "errorThresholdPercentage is 101: must be from 0 to 100");
	REFUSED(timeout_ms, 0, "timeoutInMilliseconds");
	REFUSED(half_open_trials, 0, "half-open-trials");
	REFUSED(sleep_window_ms, -5, "sleepWindow");
	REFUSED(count_window, 19, "vine.command.k.count-window is 19: must be at least circuitBreaker.requestVolumeThreshold (20)");
	REFUSED(limit_max, 3, "vine.command.k.concurrency-limit-max is 3: must be from 4");
	REFUSED(fallback_ms, -1, "fallback-timeout");
#undef REFUSED
	ps.core_size = 0;
	assert_int_equal(pool_settings_check(&ps, STR("k"), &e), VINE_EINVAL);
	assert_non_null(strstr(e.text, "hystrix.threadpool.k.coreSize is 0: must be from 1"));
	ps.core_size = 11;
	assert_int_equal(pool_settings_check(&ps, STR("k"), &e), 0);
	ps.diverge = true;
	assert_int_equal(pool_settings_check(&ps, STR("k"), &e), VINE_EINVAL);
	assert_non_null(strstr(e.text, "maximumSize is 10: must be from 11"));

	struct collapser_settings co = COLLAPSER_SETTINGS_DEFAULT;

	assert_int_equal(collapser_settings_check(&co, STR("k"), &e), 0);
	co.delay_ms = 0;
	assert_int_equal(collapser_settings_check(&co, STR("k"), &e), VINE_EINVAL);
	assert_non_null(strstr(e.text, "hystrix.collapser.k.timerDelayInMilliseconds is 0"));
	co.delay_ms = 10;
	co.percentile_buckets = 7;
	assert_int_equal(collapser_settings_check(&co, STR("k"), &e), VINE_EINVAL);
	assert_non_null(strstr(e.text, "60000 ms do not divide into 7 buckets"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_breaker_walks),
		cmocka_unit_test(test_disabled_breaker_admits_all),
		cmocka_unit_test(test_force_flags_are_live_and_open_wins),
		cmocka_unit_test(test_several_trials_decide_together),
		cmocka_unit_test(test_slow_calls_open),
		cmocka_unit_test(test_slow_trials_are_judged_by_the_slow_rate),
		cmocka_unit_test(test_a_count_window_remembers_calls_not_time),
		cmocka_unit_test(test_a_count_window_drops_the_oldest),
		cmocka_unit_test(test_sleep_window_doubles_to_its_maximum),
		cmocka_unit_test(test_jitter_shortens_within_its_share),
		cmocka_unit_test(test_snapshot_says_why_and_since_when),
		cmocka_unit_test(test_semaphore_bounds_and_returns),
		cmocka_unit_test(test_semaphore_is_not_asked_in_thread_isolation),
		cmocka_unit_test(test_calls_that_wait_for_a_slot_are_not_shown_as_running),
		cmocka_unit_test(test_a_trial_refused_by_the_semaphore_is_given_back),
		cmocka_unit_test(test_each_outcome_counts_as_its_event),
		cmocka_unit_test(test_short_circuits_are_counted_but_are_not_health),
		cmocka_unit_test(test_cache_hits_are_counted_only),
		cmocka_unit_test(test_failure_counts_before_its_fallback_ends),
		cmocka_unit_test(test_fallback_results),
		cmocka_unit_test(test_fallback_has_its_own_semaphore),
		cmocka_unit_test(test_a_fallback_has_a_deadline_of_its_own),
		cmocka_unit_test(test_total_latency_includes_the_fallback),
		cmocka_unit_test(test_deadline_of_a_ticket),
		cmocka_unit_test(test_table_hands_out_one_command_a_key),
		cmocka_unit_test(test_sweep_drops_what_is_idle_and_not_held),
		cmocka_unit_test(test_memory_of_5000_keys),
		cmocka_unit_test(test_settings_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
