/* test_run_alone.c - runs that nobody waits for: their time, their ends and their numbers come all the same. */
#include <sched.h>

#include "base/rng.h"
#include "run_world.h"

/* --- nobody waits --- */

/* What the ends of runs came to. */
struct ends {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned n, fallbacks, of_cause[RUN_CAUSE_CANCELLED + 1];
};

static struct ends ends = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void on_end(void *arg, const struct run_result *how)
{
	(void)arg;
	pthread_mutex_lock(&ends.lock);
	ends.n++;
	ends.fallbacks += how->from_fallback;
	ends.of_cause[how->cause]++;
	pthread_cond_broadcast(&ends.cond);
	pthread_mutex_unlock(&ends.lock);
}

static void ends_clear(void)
{
	ends.n = ends.fallbacks = 0;
	memset(ends.of_cause, 0, sizeof(ends.of_cause));
}

static void ends_await(unsigned n)
{
	pthread_mutex_lock(&ends.lock);
	while (ends.n < n)
		pthread_cond_wait(&ends.cond, &ends.lock);
	pthread_mutex_unlock(&ends.lock);
}

static struct run_spec alone_spec(struct world *w, struct arg *a)
{
	struct run_spec spec = spec_of(w, a);

	spec.timers = w->timers;
	spec.ended = on_end;
	return spec;
}

static void await_idle(struct threads *t)
{
	struct pool_settings ps = threads_settings(t);
	struct pool_snapshot snap;

	do {
		usleep(100);
		pool_snapshot(threads_pool(t), &ps, clock_mono(), &snap);
	} while (snap.active);
}

/* Starts it, and lets go at once. */
static void start_alone(const struct run_spec *spec)
{
	run_unref(run_start(spec));
}

static void test_each_answer_has_its_outcome_though_nobody_waits(void **state)
{
	static const enum flow_isolation kinds[] = { FLOW_THREAD, FLOW_SEMAPHORE };

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(outcomes); i++) {
		size_t o = i / 4;
		bool with_fallback = i & 1, fell_back = with_fallback && outcomes[o].has_fallback;
		struct run_spec spec;
		struct world w;

		world_init(&w, kinds[i >> 1 & 1]);
		ends_clear();
		spec = alone_spec(&w, arg_new(NULL, outcomes[o].answer, 7));
		spec.fallback = with_fallback ? reserve : NULL;
		start_alone(&spec);
		ends_await(1);
		assert_int_equal(ends.of_cause[outcomes[o].cause], 1);
		assert_int_equal(ends.fallbacks, fell_back);
		assert_int_equal(look(&w)->stats.rolling[outcomes[o].event], 1);
		assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_SUCCESS], fell_back);
		assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_MISSING], !with_fallback && outcomes[o].has_fallback);
		world_fini(&w);
	}
}

static void test_time_is_kept_though_nobody_waits(void **state)
{
	struct run_spec spec;
	struct world w;
	usec began;

	(void)state;
	world_init(&w, FLOW_THREAD);
	ends_clear();
	w.cs.timeout_ms = BEGUN;
	spec = alone_spec(&w, arg_new(&w.gate, RUN_OK, 42));
	spec.fallback = reserve;
	began = clock_mono();
	start_alone(&spec);
	ends_await(1);
	assert_in_range(clock_mono() - began, BEGUN * MS, PATIENCE / 2);
	assert_int_equal(ends.of_cause[RUN_CAUSE_TIMEOUT], 1);
	assert_int_equal(ends.fallbacks, 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_TIMEOUT], 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_SUCCESS], 1);
	assert_int_equal(look(&w)->active, 0);
	gate_await(&w.gate, 1);
	assert_int_equal(args_alive, 1); /* the function still has it */
	gate_open(&w.gate, 1);
	world_fini(&w);
}

static void test_a_late_fallback_is_counted_though_nobody_waits(void **state)
{
	struct run_spec spec;
	struct world w;
	struct arg *a = arg_new(NULL, RUN_FAILED, 1);

	(void)state;
	world_init(&w, FLOW_THREAD);
	ends_clear();
	w.cs.fallback_ms = BEGUN;
	a->fallback_gate = &w.gate;
	spec = alone_spec(&w, a);
	spec.fallback = reserve;
	start_alone(&spec);
	ends_await(1);
	assert_int_equal(ends.fallbacks, 0);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_FAILURE], 1);
	assert_int_equal(look(&w)->fallback_active, 0);
	gate_open(&w.gate, 1);
	world_fini(&w);
}

static void test_refusals_end_though_nobody_waits(void **state)
{
	struct run_spec spec;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	ends_clear();
	w.ps.core_size = 1;
	threads_set(w.threads, &w.ps);
	spec = alone_spec(&w, arg_new(&w.gate, RUN_OK, 1));
	start_alone(&spec);
	gate_await(&w.gate, 1);
	spec = alone_spec(&w, arg_new(NULL, RUN_OK, 2));
	spec.fallback = reserve;
	start_alone(&spec); /* the pool is full */
	ends_await(1);
	assert_int_equal(ends.of_cause[RUN_CAUSE_POOL_REJECTED], 1);
	w.cs.force_open = true;
	spec.arg = arg_new(NULL, RUN_OK, 3);
	start_alone(&spec);
	ends_await(2);
	assert_int_equal(ends.of_cause[RUN_CAUSE_SHORT_CIRCUIT], 1);
	assert_int_equal(ends.fallbacks, 2);
	w.ps.core_size = 1;
	threads_set(w.fallbacks, &w.ps);
	await_idle(w.fallbacks); /* who was told of an end is still giving its slot back; then one that has no thread for its fallback */
	spec.arg = arg_new(NULL, RUN_OK, 4);
	((struct arg *)spec.arg)->fallback_gate = &w.gate;
	start_alone(&spec);
	gate_await(&w.gate, 2);
	spec.arg = arg_new(NULL, RUN_OK, 5);
	start_alone(&spec);
	ends_await(3);
	assert_int_equal(ends.fallbacks, 2);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_FAILURE], 1);
	gate_open(&w.gate, 2);
	ends_await(5);
	world_fini(&w);
}

static void test_one_may_wait_or_cancel_all_the_same(void **state)
{
	struct run_result res;
	struct run_spec spec;
	struct world w;
	struct run *r;

	(void)state;
	world_init(&w, FLOW_THREAD);
	ends_clear();
	spec = alone_spec(&w, arg_new(NULL, RUN_FAILED, 3));
	spec.fallback = reserve;
	r = run_start(&spec);
	assert_int_equal(run_wait(r, &res), 0);
	assert_int_equal(take_number(&res), -100 - VINE_EPROTO);
	run_unref(r);
	spec = alone_spec(&w, arg_new(&w.gate, RUN_OK, 4));
	r = run_start(&spec);
	gate_await(&w.gate, 1);
	run_cancel(r);
	assert_int_equal(run_wait(r, &res), VINE_ECANCELED);
	run_unref(r);
	gate_open(&w.gate, 1);
	assert_int_equal(ends.n, 2);
	assert_int_equal(look(&w)->stats.rolling[EVENT_CANCELLED], 1);
	world_fini(&w);
}

/* A duplicate gets the first one's outcome, starts itself if that is cancelled, or gives up when its own time is over. */
static void test_a_duplicate_that_nobody_waits_for(void **state)
{
	static const enum { SHARES, STARTS_ITSELF, GIVES_UP, IS_CANCELLED } ways[] = { SHARES, STARTS_ITSELF, GIVES_UP, IS_CANCELLED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct flow_request *rq = flow_request_new();
		struct cmd_settings hurried;
		struct run_spec a, b;
		struct run *first, *second;
		struct world w;

		world_init(&w, FLOW_THREAD);
		ends_clear();
		hurried = w.cs;
		hurried.timeout_ms = 20;
		a = alone_spec(&w, arg_new(&w.gate, RUN_OK, 1));
		b = alone_spec(&w, arg_new(NULL, RUN_OK, 2));
		a.request = b.request = rq;
		a.cache_key = b.cache_key = STR("k");
		b.fallback = reserve;
		if (ways[i] == GIVES_UP)
			b.settings = &hurried;
		first = run_start(&a);
		gate_await(&w.gate, 1);
		second = run_start(&b);
		if (ways[i] == STARTS_ITSELF)
			run_cancel(first);
		else if (ways[i] == IS_CANCELLED)
			run_cancel(second);
		else if (ways[i] == SHARES)
			gate_open(&w.gate, 1);
		ends_await(ways[i] == GIVES_UP || ways[i] == IS_CANCELLED ? 1 : 2);
		assert_int_equal(functions_ran, ways[i] == STARTS_ITSELF ? 2 : 1);
		assert_int_equal(ends.of_cause[RUN_CAUSE_TIMEOUT], ways[i] == GIVES_UP);
		assert_int_equal(ends.fallbacks, ways[i] == GIVES_UP);
		assert_int_equal(look(&w)->stats.health.errors, 0); /* giving up says nothing of the command */
		assert_int_equal(look(&w)->stats.rolling[EVENT_RESPONSE_FROM_CACHE], ways[i] == SHARES);
		if (ways[i] != SHARES)
			gate_open(&w.gate, 1);
		run_unref(first);
		run_unref(second);
		ends_await(2);
		flow_request_unref(rq);
		world_fini(&w);
	}
}

static void test_who_waits_for_a_duplicate_waits_no_longer_than_its_own_timeout(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct run_result res;
	struct run_spec a, b;
	struct world w;
	struct run *first;

	(void)state;
	world_init(&w, FLOW_THREAD);
	a = spec_of(&w, arg_new(&w.gate, RUN_OK, 1));
	b = spec_of(&w, arg_new(NULL, RUN_OK, 2));
	a.request = b.request = rq;
	a.cache_key = b.cache_key = STR("k");
	b.deadline = deadline_in(clock_mono(), 20 * MS);
	first = run_start(&a);
	gate_await(&w.gate, 1);
	assert_int_equal(run_command(&b, &res), VINE_ETIMEOUT);
	b.fallback = reserve;
	b.arg = arg_new(NULL, RUN_OK, 3);
	assert_int_equal(run_command(&b, &res), 0);
	assert_int_equal(take_number(&res), -100 - VINE_ETIMEOUT);
	assert_int_equal(look(&w)->stats.health.total, 0);
	gate_open(&w.gate, 1);
	assert_int_equal(run_wait(first, &res), 0);
	take_number(&res);
	run_unref(first);
	flow_request_unref(rq);
	world_fini(&w);
}

#define ALONE_STARTERS 6
#define ALONE_EACH 300

struct starter {
	struct world *w;
	unsigned seed;
};

static void *start_many(void *arg)
{
	static const enum run_answer answers[] = { RUN_OK, RUN_FAILED, RUN_BAD_REQUEST, RUN_TIMED_OUT };
	struct starter *s = arg;

	for (unsigned i = 0; i < ALONE_EACH; i++) {
		struct arg *a = arg_new(NULL, answers[(s->seed + i) % ARRAY_LEN(answers)], (int)i);
		struct run_spec spec = alone_spec(s->w, a);
		struct run *r;

		a->waits_for_cancel = i % 7 == 0; /* until its timeout */
		spec.fallback = i % 3 ? reserve : NULL;
		r = run_start(&spec);
		if (i % 11 == 0)
			run_cancel(r);
		run_unref(r);
	}
	return NULL;
}

static void test_nothing_is_missing_after_many_that_nobody_waits_for(void **state)
{
	struct starter s[ALONE_STARTERS];
	pthread_t id[ALONE_STARTERS];
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	ends_clear();
	w.cs.breaker_enabled = false;
	w.cs.timeout_ms = 5;
	w.cs.interrupt_on_cancel = true;
	w.cs.fallback_max = 1000;
	w.ps.core_size = 4;
	w.ps.max_queue_size = 20;
	threads_set(w.threads, &w.ps);
	for (unsigned i = 0; i < ALONE_STARTERS; i++) {
		s[i] = (struct starter){ &w, i };
		assert_int_equal(pthread_create(&id[i], NULL, start_many, &s[i]), 0);
	}
	for (unsigned i = 0; i < ALONE_STARTERS; i++)
		pthread_join(id[i], NULL);
	ends_await(ALONE_STARTERS * ALONE_EACH);
	assert_int_equal(ends.n, ALONE_STARTERS * ALONE_EACH);

	const struct command_snapshot *snap = look(&w);
	const uint64_t *n = snap->stats.lifetime; /* a slow machine needs longer than the window */

	assert_int_equal(n[EVENT_SUCCESS] + n[EVENT_FAILURE] + n[EVENT_BAD_REQUEST] + n[EVENT_TIMEOUT] + n[EVENT_CANCELLED] +
				 n[EVENT_THREAD_POOL_REJECTED],
			 ALONE_STARTERS * ALONE_EACH);
	assert_int_equal(n[EVENT_FALLBACK_SUCCESS], ends.fallbacks);
	assert_int_equal(snap->active, 0);
	assert_int_equal(snap->fallback_active, 0);
	world_fini(&w);
}

/* --- bells --- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned n;
	usec last;
	bool in_order;
} rung = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void on_bell(struct bell *b)
{
	pthread_mutex_lock(&rung.lock);
	rung.in_order = rung.in_order && b->at >= rung.last && clock_mono() >= b->at;
	rung.last = b->at;
	rung.n++;
	pthread_cond_broadcast(&rung.cond);
	pthread_mutex_unlock(&rung.lock);
}

static void test_bells_ring_in_their_order_and_not_when_taken_back(void **state)
{
	struct timers *t = timers_new();
	struct bell b[200];
	unsigned taken = 0;
	usec now = clock_mono();
	struct rng rng;

	(void)state;
	rng_seed(&rng, 5);
	rung.n = 0;
	rung.last = 0;
	rung.in_order = true;
	for (unsigned i = 0; i < ARRAY_LEN(b); i++) {
		b[i] = (struct bell){ 0 };
		timers_set(t, &b[i], now + 1000 * MS + (usec)rng_below(&rng, 50) * MS, on_bell);
	}
	for (unsigned i = 0; i < ARRAY_LEN(b); i += 3)
		taken += timers_cancel(t, &b[i]);
	pthread_mutex_lock(&rung.lock);
	while (rung.n + taken < ARRAY_LEN(b))
		pthread_cond_wait(&rung.cond, &rung.lock);
	pthread_mutex_unlock(&rung.lock);
	assert_true(rung.in_order);
	for (unsigned i = 0; i < ARRAY_LEN(b); i++)
		assert_false(timers_cancel(t, &b[i]));
	assert_int_equal(rung.n + taken, ARRAY_LEN(b));
	timers_free(t);
	timers_free(NULL);
}

static _Atomic int late, rung_early;

static void on_early_bell(struct bell *b)
{
	(void)b;
	atomic_fetch_add(&rung_early, 1);
}

static void on_late_bell(struct bell *b)
{
	(void)b;
	atomic_fetch_add(&late, 1);
}

/* A bell that could not be taken back may be set to another ring at once: what rings is what it was set to.
 * ThreadSanitizer sees it in each case, others only where the two meet. */
static void test_a_bell_rings_as_it_was_set(void **state)
{
	struct timers *t = timers_new();
	int early = 0;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		usec until = clock_mono() + i % 128; /* about when it rings */
		struct bell b = { 0 };

		timers_set(t, &b, clock_mono(), on_early_bell);
		while (clock_mono() < until)
			;
		if (timers_cancel(t, &b))
			continue;
		timers_set(t, &b, USEC_NEVER, on_late_bell);
		early++;
		while (atomic_load(&rung_early) + atomic_load(&late) < early)
			sched_yield(); /* it may want this very processor */
		assert_true(timers_cancel(t, &b));
	}
	assert_true(early > 0);
	assert_int_equal(atomic_load(&late), 0);
	timers_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_answer_has_its_outcome_though_nobody_waits),
		cmocka_unit_test(test_time_is_kept_though_nobody_waits),
		cmocka_unit_test(test_a_late_fallback_is_counted_though_nobody_waits),
		cmocka_unit_test(test_refusals_end_though_nobody_waits),
		cmocka_unit_test(test_one_may_wait_or_cancel_all_the_same),
		cmocka_unit_test(test_a_duplicate_that_nobody_waits_for),
		cmocka_unit_test(test_who_waits_for_a_duplicate_waits_no_longer_than_its_own_timeout),
		cmocka_unit_test(test_nothing_is_missing_after_many_that_nobody_waits_for),
		cmocka_unit_test(test_bells_ring_in_their_order_and_not_when_taken_back),
		cmocka_unit_test(test_a_bell_rings_as_it_was_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
