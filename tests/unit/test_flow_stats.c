/* test_flow_stats.c - rolling statistics held against a plain model that remembers every event; and many threads on one
 * key, after which not a count and not a permit may be missing. */
#include "base/clock.h"
#include "base/rng.h"
#include "flow/command.h"
#include "test.h"

#define START (INT64_C(777) * USEC_PER_SEC + 1)

/* --- windows --- */

static void test_window_sums_the_last_buckets(void **state)
{
	struct window w = { 0 };
	uint32_t total = UINT32_MAX - 4; /* counts may wrap */

	window_init(&w, 10 * USEC_PER_SEC, 10, 1, 100 * USEC_PER_SEC, &total);
	for (unsigned sec = 0; sec < 40; sec++) {
		usec now = (100 + sec) * USEC_PER_SEC + 5;

		window_roll(&w, now, &total);
		total += 3;
		assert_int_equal(total - *window_base(&w), 3 * MIN(sec + 1, 10u));
	}
	window_roll(&w, 1000 * USEC_PER_SEC, &total); /* a long pause empties it */
	assert_int_equal(total - *window_base(&w), 0);
	total += 2;
	window_roll(&w, 990 * USEC_PER_SEC, &total); /* a clock that is behind changes nothing */
	assert_int_equal(total - *window_base(&w), 2);
	window_reset(&w, &total);
	assert_int_equal(total - *window_base(&w), 0);
	window_fini(&w);
	window_fini(&w);
}

/* --- the model --- */

struct happened {
	usec at;
	enum outcome outcome;
	usec latency;
};

struct model {
	struct happened *log;
	size_t n;
};

static const enum flow_event event_for[] = { EVENT_SUCCESS, EVENT_FAILURE, EVENT_TIMEOUT, EVENT_BAD_REQUEST };

/* How many of the log lie in the last `buckets` buckets of that length, the present one included. */
static uint32_t model_sum(const struct model *m, usec now, usec bucket, unsigned buckets, bool (*is)(enum flow_event),
			  int ev)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		enum flow_event got = event_for[m->log[i].outcome];

		if (m->log[i].at / bucket > now / bucket - buckets && (is ? is(got) : (int)got == ev))
			n++;
	}
	return n;
}

static bool any_latency(enum flow_event ev)
{
	return true;
}

static void compare(const struct model *m, struct command *c, const struct cmd_settings *cs, usec now)
{
	static struct command_snapshot s;
	usec bucket = cs->window_ms * USEC_PER_MSEC / cs->window_buckets, health = cs->health_interval_ms * USEC_PER_MSEC;
	unsigned buckets = (unsigned)(cs->window_ms / cs->health_interval_ms);

	command_snapshot(c, cs, now, &s);
	for (unsigned i = 0; i < ARRAY_LEN(event_for); i++)
		assert_int_equal(s.stats.rolling[event_for[i]],
				 model_sum(m, now, bucket, cs->window_buckets, NULL, (int)event_for[i]));
	assert_int_equal(s.stats.health.total, model_sum(m, now, health, buckets, event_is_health, 0));
	assert_int_equal(s.stats.health.errors, model_sum(m, now, health, buckets, event_is_error, 0));
	bucket = cs->percentile_ms * USEC_PER_MSEC / cs->percentile_buckets;
	assert_int_equal(s.stats.execute.n, model_sum(m, now, bucket, cs->percentile_buckets, any_latency, 0));
}

/* An hour of uneven traffic on four stripes, for several shapes of windows. */
static void simulate(uint64_t seed, const struct cmd_settings *cs)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 4, .max = 1 });
	usec now = START;
	struct command *c = command_table_take(t, STR("k"), STR("g"), now);
	struct model m = { xmalloc(4000 * sizeof(struct happened)), 0 };
	struct rng r;

	rng_seed(&r, seed);
	while (m.n < 4000) {
		struct ticket k;
		usec latency = rng_below(&r, 200000);
		enum outcome o = (enum outcome)rng_below(&r, ARRAY_LEN(event_for));

		assert_int_equal(command_admit(c, cs, now, rng_below(&r, 4), &k), ADMIT_OK);
		now += latency;
		command_done(c, cs, &k, o, now);
		m.log[m.n++] = (struct happened){ now, o, latency };
		now += rng_below(&r, 20) ? rng_below(&r, 300000) : rng_below(&r, 30) * USEC_PER_SEC;
		if (rng_below(&r, 8) == 0)
			compare(&m, c, cs, now);
	}
	free(m.log);
	command_unref(c);
	command_table_free(t);
}

static void test_rolling_sums_equal_the_model(void **state)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;

	cs.breaker_enabled = false; /* all are admitted; health is counted all the same */
	simulate(1, &cs);
	cs.window_ms = 1000;
	cs.window_buckets = 4;
	cs.health_interval_ms = 100;
	simulate(2, &cs);
	cs.window_ms = 60000;
	cs.window_buckets = 60;
	cs.health_interval_ms = 60000;
	cs.percentile_ms = 10000;
	cs.percentile_buckets = 1;
	simulate(3, &cs);
}

static void test_a_changed_window_is_rebuilt_and_the_state_kept(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	struct command *c = command_table_take(t, STR("k"), STR("g"), START);
	struct command_snapshot s;
	struct ticket k;

	for (unsigned i = 0; i < 20; i++) {
		command_admit(c, &cs, START, 0, &k);
		command_done(c, &cs, &k, OUTCOME_FAILURE, START);
	}
	cs.window_ms = 20000;
	command_snapshot(c, &cs, START + 1000, &s);
	assert_int_equal(s.breaker.state, BREAKER_OPEN);
	assert_int_equal(s.stats.rolling[EVENT_FAILURE], 0);
	assert_int_equal(s.stats.lifetime[EVENT_FAILURE], 20);
	cs.percentile_enabled = false; /* live, too */
	command_snapshot(c, &cs, START + 2000, &s);
	assert_int_equal(s.stats.execute.n, 0);
	command_unref(c);
	command_table_free(t);
}

static void test_percentiles_lie_in_their_buckets(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 2, .max = 1 });
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	struct command *c = command_table_take(t, STR("k"), STR("g"), START);
	struct command_snapshot s;

	for (unsigned i = 1; i <= 1000; i++) {
		struct ticket k;

		command_admit(c, &cs, START, i, &k);
		command_done(c, &cs, &k, OUTCOME_SUCCESS, START + i * USEC_PER_MSEC);
	}
	command_snapshot(c, &cs, START + USEC_PER_SEC, &s);
	assert_int_equal(s.stats.execute.n, 1000);
	assert_int_equal(s.stats.execute.max, 1000000);
	assert_int_equal(hist_mean(&s.stats.execute), 500500);
	assert_in_range(hist_quantile(&s.stats.execute, 0.5), 470000, 532000);
	assert_in_range(hist_quantile(&s.stats.execute, 0.99), 930000, 1000000);
	command_unref(c);
	command_table_free(t);
}

static void test_rolling_maximum_of_concurrency(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	struct cmd_settings cs = { .isolation = FLOW_SEMAPHORE, .semaphore_max = 10, .breaker_enabled = true, .window_ms = 10000,
				   .window_buckets = 10, .health_interval_ms = 500 };
	struct command *c = command_table_take(t, STR("k"), STR("g"), START);
	struct command_snapshot s;
	struct ticket k[5];

	for (unsigned i = 0; i < 5; i++)
		command_admit(c, &cs, START, 0, &k[i]);
	for (unsigned i = 0; i < 4; i++)
		command_done(c, &cs, &k[i], OUTCOME_SUCCESS, START);
	command_snapshot(c, &cs, START + 8 * USEC_PER_SEC, &s);
	assert_int_equal(s.stats.max_active, 5);
	command_snapshot(c, &cs, START + 11 * USEC_PER_SEC, &s);
	assert_int_equal(s.stats.max_active, 1); /* the one that is still running */
	command_done(c, &cs, &k[4], OUTCOME_SUCCESS, START + 12 * USEC_PER_SEC);
	command_snapshot(c, &cs, START + 60 * USEC_PER_SEC, &s);
	assert_int_equal(s.stats.max_active, 0);
	command_unref(c);
	command_table_free(t);
}

/* Memory is not given back under a call that may still count. */
static void test_trimming_waits_for_calls_in_flight(void **state)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	struct command *c = command_table_take(t, STR("k"), STR("g"), START);
	_Atomic uint32_t *const holds[] = { &c->running.used };
	struct command_snapshot s;
	struct ticket a, b;
	usec now = START;

	command_admit(c, &cs, now, 0, &a);
	command_done(c, &cs, &a, OUTCOME_SUCCESS, now);
	command_admit(c, &cs, now, 0, &b);
	now += 1000 * USEC_PER_SEC;
	stats_trim(&c->stats, &cs, now, holds, 1);
	assert_true(stats_bytes(&c->stats) > 2048); /* detached, not freed */
	command_done(c, &cs, &b, OUTCOME_FAILURE, now);
	command_snapshot(c, &cs, now, &s);
	assert_int_equal(s.stats.lifetime[EVENT_SUCCESS], 1);
	assert_int_equal(s.stats.rolling[EVENT_FAILURE], 1);
	now += 1000 * USEC_PER_SEC;
	stats_trim(&c->stats, &cs, now, holds, 1);
	stats_trim(&c->stats, &cs, now, holds, 1);
	assert_true(stats_bytes(&c->stats) < 1024);
	command_snapshot(c, &cs, now, &s);
	assert_int_equal(s.stats.lifetime[EVENT_SUCCESS] + s.stats.lifetime[EVENT_FAILURE], 2);
	command_unref(c);
	command_table_free(t);
}

/* --- many threads on one key --- */

#define THREADS 16
#define PER_THREAD 20000

struct shared {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	_Atomic usec now; /* a clock that all of them push */
	bool too_many;
	pthread_barrier_t start;
};

struct worker {
	struct shared *sh;
	unsigned number;
	uint64_t seed, done[6], short_circuited, rejected, fallback[4], fallback_ok;
};

static void one_call(struct worker *w, struct rng *r)
{
	struct shared *sh = w->sh;
	usec now = atomic_fetch_add(&sh->now, 50);
	struct ticket t;
	enum admit a = command_admit(sh->cmd, &sh->cs, now, w->number, &t);

	if (a == ADMIT_OK) {
		enum outcome o = rng_below(r, 3) ? OUTCOME_SUCCESS : (enum outcome)rng_below(r, 6);

		command_done(sh->cmd, &sh->cs, &t, o, now + rng_below(r, 3000));
		w->done[o]++;
		if (o == OUTCOME_SUCCESS)
			return;
	}
	w->short_circuited += a == ADMIT_SHORT_CIRCUITED;
	w->rejected += a == ADMIT_SEMAPHORE_REJECTED;

	enum fallback f = command_fallback_begin(sh->cmd, &sh->cs, &t, rng_below(r, 4) != 0, now);

	w->fallback[f]++;
	if (f == FALLBACK_RUN) {
		bool ok = rng_below(r, 2);

		w->fallback_ok += ok;
		command_fallback_end(sh->cmd, &sh->cs, &t, ok ? FALLBACK_OK : FALLBACK_FAILED, now + 5000);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng r;

	rng_seed(&r, w->seed);
	pthread_barrier_wait(&w->sh->start);
	for (unsigned i = 0; i < PER_THREAD; i++)
		one_call(w, &r);
	return NULL;
}

static const struct cmd_settings *shared_settings(void *arg, struct str key)
{
	return &((struct shared *)arg)->cs;
}

/* Reads, and tries to give memory back, while the others count. */
static void *watch(void *arg)
{
	struct shared *sh = arg;
	struct command_snapshot s;

	pthread_barrier_wait(&sh->start);
	for (unsigned i = 0; i < 300; i++) {
		usec now = atomic_load(&sh->now);

		command_snapshot(sh->cmd, &sh->cs, now, &s);
		sh->too_many |= s.active > sh->cs.semaphore_max + THREADS; /* asserted on the main thread */
		command_table_sweep(sh->table, now + (i % 16 == 0 ? 100 * USEC_PER_SEC : 0), USEC_NEVER / 2,
				    shared_settings, sh);
	}
	return NULL;
}

static void check_totals(struct shared *sh, const struct worker *w)
{
	static const enum flow_event ev[] = { EVENT_SUCCESS,	 EVENT_FAILURE,	  EVENT_TIMEOUT,
					      EVENT_BAD_REQUEST, EVENT_CANCELLED, EVENT_THREAD_POOL_REJECTED };
	struct command_snapshot s;
	struct worker sum = { 0 };

	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned o = 0; o < 6; o++)
			sum.done[o] += w[i].done[o];
		for (unsigned f = 0; f < 4; f++)
			sum.fallback[f] += w[i].fallback[f];
		sum.short_circuited += w[i].short_circuited;
		sum.rejected += w[i].rejected;
		sum.fallback_ok += w[i].fallback_ok;
	}
	command_snapshot(sh->cmd, &sh->cs, atomic_load(&sh->now) + 10000, &s);
	assert_false(sh->too_many);
	assert_int_equal(s.active, 0);
	assert_int_equal(s.fallback_active, 0);
	for (unsigned o = 0; o < 6; o++)
		assert_int_equal(s.stats.lifetime[ev[o]], sum.done[o]);
	assert_int_equal(s.stats.lifetime[EVENT_SHORT_CIRCUITED], sum.short_circuited);
	assert_int_equal(s.stats.lifetime[EVENT_SEMAPHORE_REJECTED], sum.rejected);
	assert_int_equal(s.stats.lifetime[EVENT_FALLBACK_SUCCESS], sum.fallback_ok);
	assert_int_equal(s.stats.lifetime[EVENT_FALLBACK_FAILURE], sum.fallback[FALLBACK_RUN] - sum.fallback_ok);
	assert_int_equal(s.stats.lifetime[EVENT_FALLBACK_MISSING], sum.fallback[FALLBACK_MISSING]);
	assert_int_equal(s.stats.lifetime[EVENT_FALLBACK_REJECTION], sum.fallback[FALLBACK_REJECTED]);
}

/* Whatever state it was left in: after a sleep window and a lease, trials that succeed close it. */
static void check_not_wedged(struct shared *sh)
{
	usec now = atomic_load(&sh->now) + 10 * USEC_PER_SEC;
	struct ticket t;

	for (unsigned i = 0; i < sh->cs.half_open_trials; i++) {
		assert_int_equal(command_admit(sh->cmd, &sh->cs, now, 0, &t), ADMIT_OK);
		command_done(sh->cmd, &sh->cs, &t, OUTCOME_SUCCESS, now);
	}
	assert_false(breaker_is_open(&sh->cmd->breaker, &sh->cs));
}

static void run_threads(struct shared *sh)
{
	pthread_t threads[THREADS + 1];
	struct worker workers[THREADS] = { 0 };

	sh->table = command_table_new(&(struct command_table_opts){ .stripes = 8, .max = 1 });
	atomic_store(&sh->now, START);
	sh->cmd = command_table_take(sh->table, STR("k"), STR("g"), START);
	pthread_barrier_init(&sh->start, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .sh = sh, .number = i, .seed = i + 1 };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	assert_int_equal(pthread_create(&threads[THREADS], NULL, watch, sh), 0);
	for (unsigned i = 0; i <= THREADS; i++)
		pthread_join(threads[i], NULL);
	check_totals(sh, workers);
	check_not_wedged(sh);
	pthread_barrier_destroy(&sh->start);
	command_unref(sh->cmd);
	command_table_free(sh->table);
}

static void test_threads_on_one_key_lose_nothing(void **state)
{
	struct shared sh = { .cs = CMD_SETTINGS_DEFAULT };

	sh.cs.isolation = FLOW_SEMAPHORE;
	sh.cs.semaphore_max = 6;
	sh.cs.fallback_max = 3;
	sh.cs.breaker_enabled = false;
	run_threads(&sh);
}

/* The same with a circuit that opens and closes all the time. */
static void test_threads_with_a_circuit_that_opens_and_closes(void **state)
{
	struct shared sh = { .cs = CMD_SETTINGS_DEFAULT };

	sh.cs.isolation = FLOW_SEMAPHORE;
	sh.cs.semaphore_max = 100;
	sh.cs.sleep_window_ms = 5;
	sh.cs.half_open_trials = 3;
	sh.cs.error_threshold_pct = 30;
	run_threads(&sh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_sums_the_last_buckets),
		cmocka_unit_test(test_rolling_sums_equal_the_model),
		cmocka_unit_test(test_a_changed_window_is_rebuilt_and_the_state_kept),
		cmocka_unit_test(test_percentiles_lie_in_their_buckets),
		cmocka_unit_test(test_rolling_maximum_of_concurrency),
		cmocka_unit_test(test_trimming_waits_for_calls_in_flight),
		cmocka_unit_test(test_threads_on_one_key_lose_nothing),
		cmocka_unit_test(test_threads_with_a_circuit_that_opens_and_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
