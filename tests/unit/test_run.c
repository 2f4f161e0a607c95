/* test_run.c - functions run as commands, on real threads: who waits is free on time while the function goes on; outcomes,
 * fallbacks, cancellation, contexts, shared results; and 16 threads on one key, after which nothing may be missing. */
#include "run_world.h"

/* --- outcomes --- */

static void check_outcome(size_t i, enum flow_isolation isolation, bool with_fallback)
{
	struct run_result res;
	struct world w;

	world_init(&w, isolation);

	struct run_spec spec = spec_of(&w, arg_new(NULL, outcomes[i].answer, 7));

	spec.fallback = with_fallback ? reserve : NULL;

	int code = run_command(&spec, &res);
	bool fell_back = with_fallback && outcomes[i].has_fallback;

	assert_int_equal(code, fell_back ? 0 : outcomes[i].code);
	assert_int_equal(res.cause, outcomes[i].cause);
	assert_int_equal(res.from_fallback, fell_back);
	assert_int_equal(res.wanted_fallback, outcomes[i].has_fallback);
	assert_int_equal(take_number(&res), fell_back ? -100 - VINE_EPROTO : outcomes[i].has_result ? 7 : -1);
	assert_int_equal(look(&w)->stats.rolling[outcomes[i].event], 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_SUCCESS], fell_back);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_MISSING], !with_fallback && outcomes[i].has_fallback);
	assert_int_equal(look(&w)->active, 0);
	assert_int_equal(look_pool(&w).rolling_executed, isolation == FLOW_THREAD);
	world_fini(&w);
}

static void test_each_answer_has_its_outcome(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		check_outcome(i, FLOW_THREAD, false);
		check_outcome(i, FLOW_THREAD, true);
		check_outcome(i, FLOW_SEMAPHORE, false);
		check_outcome(i, FLOW_SEMAPHORE, true);
	}
}

static void test_a_failed_fallback_does_not_hide_the_failure(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);

	struct arg *a = arg_new(NULL, RUN_FAILED, 1);
	struct run_spec spec = spec_of(&w, a);

	a->fallback_fails = true;
	spec.fallback = reserve;
	assert_int_equal(run_command(&spec, &res), VINE_EPROTO);
	assert_string_equal(res.err.text, "function 1 says no");
	assert_int_equal(res.fallback, FALLBACK_RUN);
	assert_false(res.from_fallback);
	assert_null(res.result);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_FAILURE], 1);
	world_fini(&w);
}

/* --- time --- */

/* The caller's stack is left, and used for other things, while the function still runs. */
static void __attribute__((noinline)) call_and_leave(struct world *w, usec *took)
{
	char on_the_stack[512];
	struct run_result res;
	struct run_spec spec = spec_of(w, arg_new(&w->gate, RUN_OK, 42));
	usec began = clock_mono();

	memset(on_the_stack, 'x', sizeof(on_the_stack));
	spec.cache_key = STR_EMPTY;
	assert_int_equal(run_command(&spec, &res), VINE_ETIMEOUT);
	assert_int_equal(res.cause, RUN_CAUSE_TIMEOUT);
	assert_null(res.result);
	*took = clock_mono() - began;
}

static void test_the_caller_is_free_on_time_while_the_function_goes_on(void **state)
{
	struct world w;
	usec took;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.cs.timeout_ms = BEGUN;
	call_and_leave(&w, &took);
	assert_in_range(took, BEGUN * MS, PATIENCE / 2);
	gate_await(&w.gate, 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_TIMEOUT], 1);
	assert_int_equal(look(&w)->active, 0);    /* its permit is back */
	assert_int_equal(look_pool(&w).active, 1); /* its thread is not */
	assert_int_equal(args_alive, 1);
	gate_open(&w.gate, 1);
	world_fini(&w); /* joins: argument and late result have gone with the run */
}

static void test_a_call_that_comes_without_time_counts_for_nothing(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_SEMAPHORE);

	struct run_spec spec = spec_of(&w, arg_new(NULL, RUN_OK, 1));

	spec.deadline = deadline_in(clock_mono(), 0);
	assert_int_equal(run_command(&spec, &res), VINE_ETIMEOUT);
	assert_int_equal(res.cause, RUN_CAUSE_TIMEOUT);
	assert_int_equal(look(&w)->stats.rolling[EVENT_CANCELLED], 1);
	assert_int_equal(functions_ran, 0);
	world_fini(&w);
}

static enum run_answer slow_function(struct work *w, void *arg)
{
	while (!deadline_is_over(work_deadline(w), clock_mono()))
		usleep(100);
	return function(w, arg);
}

static void test_a_late_result_on_the_caller_is_a_timeout(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_SEMAPHORE);
	w.cs.timeout_ms = 2;

	struct run_spec spec = spec_of(&w, arg_new(NULL, RUN_OK, 1));

	spec.fn = slow_function;
	assert_int_equal(run_command(&spec, &res), VINE_ETIMEOUT);
	assert_null(res.result);
	assert_int_equal(look(&w)->stats.rolling[EVENT_TIMEOUT], 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_SUCCESS], 0);
	world_fini(&w);
}

static void test_a_queued_call_that_is_timed_out_never_runs(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.ps.core_size = 1;
	w.ps.max_queue_size = w.ps.queue_rejection = 1;
	threads_set(w.threads, &w.ps);

	struct run_spec first = spec_of(&w, arg_new(&w.gate, RUN_OK, 1));
	struct run *r = run_start(&first);

	gate_await(&w.gate, 1);

	struct cmd_settings hurried = w.cs;
	struct run_spec second = spec_of(&w, arg_new(NULL, RUN_OK, 2));

	hurried.timeout_ms = 10;
	second.settings = &hurried;
	assert_int_equal(run_command(&second, &res), VINE_ETIMEOUT);
	assert_int_equal(look_pool(&w).queued, 0); /* its place is free at once */
	assert_int_equal(args_alive, 1);
	gate_open(&w.gate, 1);
	assert_int_equal(run_wait(r, &res), 0);
	assert_int_equal(take_number(&res), 1);
	run_unref(r);
	assert_int_equal(functions_ran, 1);
	world_fini(&w);
}

static void test_a_full_pool_rejects_and_falls_back_on_the_caller(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.ps.core_size = 1;
	threads_set(w.threads, &w.ps);

	struct run_spec first = spec_of(&w, arg_new(&w.gate, RUN_OK, 1));
	struct run *r = run_start(&first);

	gate_await(&w.gate, 1);

	struct run_spec second = spec_of(&w, arg_new(NULL, RUN_OK, 2));

	assert_int_equal(run_command(&second, &res), VINE_EUNAVAIL);
	assert_int_equal(res.cause, RUN_CAUSE_POOL_REJECTED);
	assert_string_equal(res.err.text, "the thread pool shop of product is full");
	assert_int_equal(look(&w)->stats.rolling[EVENT_THREAD_POOL_REJECTED], 1);
	assert_int_equal(look_pool(&w).rolling_rejected, 1);
	second = spec_of(&w, arg_new(NULL, RUN_OK, 2));
	second.fallback = reserve;
	assert_int_equal(run_command(&second, &res), 0);
	assert_int_equal(take_number(&res), -100 - VINE_EUNAVAIL);
	gate_open(&w.gate, 1);
	assert_int_equal(run_wait(r, &res), 0);
	take_number(&res);
	run_unref(r);
	world_fini(&w);
}

static void test_a_fallback_that_is_late_frees_its_caller_too(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.cs.fallback_ms = BEGUN;

	struct arg *a = arg_new(NULL, RUN_FAILED, 1);
	struct run_spec spec = spec_of(&w, a);

	a->fallback_gate = &w.gate;
	spec.fallback = reserve;
	assert_int_equal(run_command(&spec, &res), VINE_EPROTO);
	assert_false(res.from_fallback);
	assert_null(res.result);
	gate_await(&w.gate, 1);
	assert_int_equal(look(&w)->stats.rolling[EVENT_FALLBACK_FAILURE], 1);
	assert_int_equal(look(&w)->fallback_active, 0);
	gate_open(&w.gate, 1);
	world_fini(&w);
}

/* --- cancellation --- */

static void test_the_token_ends_a_function_at_the_timeout(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.cs.timeout_ms = 10;

	struct arg *a = arg_new(NULL, RUN_OK, 1);
	struct run_spec spec = spec_of(&w, a);

	a->waits_for_cancel = true;
	assert_int_equal(run_command(&spec, &res), VINE_ETIMEOUT);
	world_fini(&w); /* would wait for ever if the function did */
}

static void test_cancelling_counts_for_nothing(void **state)
{
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.cs.interrupt_on_cancel = true;

	struct arg *a = arg_new(NULL, RUN_OK, 1);
	struct run_spec spec = spec_of(&w, a);

	a->waits_for_cancel = true;
	spec.fallback = reserve;

	struct run *r = run_start(&spec);

	run_cancel(r);
	run_cancel(r); /* twice does nothing */
	assert_int_equal(run_wait(r, &res), VINE_ECANCELED);
	assert_false(res.wanted_fallback);
	run_unref(r);
	assert_int_equal(look(&w)->stats.rolling[EVENT_CANCELLED], 1);
	assert_int_equal(look(&w)->stats.health.total, 0);
	assert_int_equal(look_pool(&w).rolling_executed, 0);
	world_fini(&w);
}

static void test_a_token_asks_those_made_from_it(void **state)
{
	struct cancel *outer = cancel_new(NULL), *inner = cancel_new(outer), *late;

	(void)state;
	assert_false(cancel_is_asked(inner));
	cancel_unref(cancel_new(inner)); /* one that has gone is not asked */
	cancel_ask(outer);
	assert_true(cancel_is_asked(inner));
	late = cancel_new(outer);
	assert_true(cancel_is_asked(late));
	cancel_unref(outer);
	cancel_unref(inner);
	cancel_unref(late);
	assert_false(cancel_is_asked(NULL));
}

/* --- context --- */

static _Atomic int users_alive;

static void *note_ref(void *v)
{
	atomic_fetch_add(&users_alive, 1);
	return v;
}

static void note_unref(void *v)
{
	(void)v;
	atomic_fetch_sub(&users_alive, 1);
}

static const struct context_key user_key = { "user", note_ref, note_unref };

static enum run_answer nested(struct work *w, void *arg)
{
	const struct context *c = context_now();

	assert_string_equal(context_get(&user_key), "alice");
	assert_true(c->has_trace);
	assert_int_equal(c->trace.trace_lo, 77);
	context_set(&user_key, (char[]){ "bob" }); /* ends with the function */
	return function(w, arg);
}

static enum run_answer outer_function(struct work *w, void *arg)
{
	struct world *world = arg;
	struct run_spec spec = spec_of(world, arg_new(NULL, RUN_OK, 5));
	struct run_result res;

	spec.fn = nested;
	assert_int_equal(run_command(&spec, &res), 0);
	assert_true(context_now()->deadline.at <= work_deadline(w).at);
	assert_string_equal(context_get(&user_key), "alice");
	work_set_result(w, TAKE(res.result));
	return RUN_OK;
}

static void test_trace_and_users_values_cross_threads_by_themselves(void **state)
{
	static const enum flow_isolation kinds[] = { FLOW_THREAD, FLOW_SEMAPHORE };
	static char alice[] = "alice";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct trace_context trace = { .trace_lo = 77, .span = 1 };
		struct run_result res;
		struct world w;

		world_init(&w, kinds[i]);

		struct context *before = context_enter(NULL);
		struct run_spec spec = spec_of(&w, NULL);

		assert_true(context_set(&user_key, alice));
		spec.fn = outer_function;
		spec.arg = &w;
		spec.free_arg = NULL;
		spec.trace = &trace;
		assert_int_equal(run_command(&spec, &res), 0);
		assert_int_equal(take_number(&res), 5);
		assert_string_equal(context_get(&user_key), "alice");
		assert_false(context_now()->has_trace);
		context_leave(before);
		assert_null(context_get(&user_key));
		world_fini(&w);
		assert_int_equal(users_alive, 0); /* a pool's threads keep nothing */
	}
}

static void test_values_are_bounded_and_replaced(void **state)
{
	static struct context_key keys[CONTEXT_VALUES_MAX + 1];
	struct context *before = context_enter(NULL);
	char a[] = "a", b[] = "b";

	(void)state;
	for (unsigned i = 0; i <= CONTEXT_VALUES_MAX; i++) {
		keys[i] = user_key;
		assert_int_equal(context_set(&keys[i], a), i < CONTEXT_VALUES_MAX);
	}
	assert_true(context_set(&keys[3], b));
	assert_ptr_equal(context_get(&keys[3]), b);
	assert_true(context_set(&keys[4], NULL));
	assert_null(context_get(&keys[4]));
	assert_true(context_set(&keys[CONTEXT_VALUES_MAX], a));
	context_leave(before);
	assert_int_equal(users_alive, 0);
}

/* --- shared within a request --- */

static void test_a_request_shares_results_errors_and_fallbacks(void **state)
{
	static const struct {
		enum run_answer answer;
		bool fallback;
		int code, number;
	} cases[] = { { RUN_OK, false, 0, 3 }, { RUN_FAILED, false, VINE_EPROTO, -1 }, { RUN_FAILED, true, 0, -100 - VINE_EPROTO } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct flow_request *rq = flow_request_new();
		struct buf log = BUF_INIT(1000);
		struct run_result res;
		struct world w;

		world_init(&w, FLOW_THREAD);
		for (unsigned k = 0; k < 3; k++) {
			struct run_spec spec = spec_of(&w, arg_new(NULL, cases[i].answer, 3));

			spec.request = rq;
			spec.cache_key = STR("7");
			spec.fallback = cases[i].fallback ? reserve : NULL;
			assert_int_equal(run_command(&spec, &res), cases[i].code);
			assert_int_equal(res.from_cache, k > 0);
			assert_int_equal(take_number(&res), cases[i].number);
		}
		assert_int_equal(functions_ran, 1);
		assert_int_equal(look(&w)->stats.rolling[EVENT_RESPONSE_FROM_CACHE], 2);
		assert_int_equal(look(&w)->stats.health.total, 1);
		request_log_text(rq, &log);
		assert_true(str_find(buf_str(&log), STR("RESPONSE_FROM_CACHE")) > 0);
		assert_true(str_has_suffix(buf_str(&log), STR("][0ms]x2")));
		buf_fini(&log);
		w.cs.request_cache = false; /* live */

		struct run_spec spec = spec_of(&w, arg_new(NULL, RUN_OK, 4));

		spec.request = rq;
		spec.cache_key = STR("7");
		assert_int_equal(run_command(&spec, &res), 0);
		assert_int_equal(take_number(&res), 4);
		flow_request_unref(rq);
		world_fini(&w);
	}
}

static void test_a_duplicate_waits_for_the_first_and_runs_if_that_is_cancelled(void **state)
{
	static const bool cancelled[] = { false, true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cancelled); i++) {
		struct flow_request *rq = flow_request_new();
		struct run_result res;
		struct world w;

		world_init(&w, FLOW_THREAD);

		struct run_spec a = spec_of(&w, arg_new(&w.gate, RUN_OK, 1)), b = spec_of(&w, arg_new(NULL, RUN_OK, 2));

		a.request = b.request = rq;
		a.cache_key = b.cache_key = STR("k");

		struct run *first = run_start(&a), *second = run_start(&b);

		gate_await(&w.gate, 1);
		if (cancelled[i])
			run_cancel(first);
		gate_open(&w.gate, 1);
		run_wait(first, &res);
		shared_unref(res.result);
		assert_int_equal(run_wait(second, &res), 0);
		assert_int_equal(take_number(&res), cancelled[i] ? 2 : 1);
		assert_int_equal(res.from_cache, !cancelled[i]);
		run_unref(first);
		run_unref(second);
		flow_request_unref(rq);
		world_fini(&w);
	}
}

static void test_a_run_nobody_waits_for_leaves_its_duplicates_free(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);

	struct run_spec a = spec_of(&w, arg_new(NULL, RUN_OK, 1)), b = spec_of(&w, arg_new(NULL, RUN_OK, 2));

	a.request = b.request = rq;
	a.cache_key = b.cache_key = STR("k");

	struct run *first = run_start(&a), *second = run_start(&b), *third = run_start(&(struct run_spec){
		.command = w.cmd, .settings = &w.cs, .threads = w.threads, .fn = function, .arg = arg_new(NULL, RUN_OK, 3),
		.free_arg = arg_free, .deadline = DEADLINE_NONE, .request = rq, .cache_key = STR("k") });

	run_unref(third); /* a duplicate that nobody waits for */
	run_unref(first);
	assert_int_equal(run_wait(second, &res), 0);
	assert_int_equal(take_number(&res), 2);
	run_unref(second);
	flow_request_unref(rq);
	world_fini(&w);
}

/* --- the threads themselves --- */

static void test_threads_are_made_as_they_are_needed_and_end_beyond_the_core(void **state)
{
	struct run *r[4];
	struct run_result res;
	struct world w;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.ps.core_size = 1;
	w.ps.maximum_size = 4;
	w.ps.diverge = true;
	w.ps.keep_alive_min = 0;
	threads_set(w.threads, &w.ps);
	assert_int_equal(threads_alive(w.threads), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct run_spec spec = spec_of(&w, arg_new(&w.gate, RUN_OK, (int)i));

		r[i] = run_start(&spec);
	}
	gate_await(&w.gate, 4);
	assert_int_equal(threads_alive(w.threads), 4);
	assert_int_equal(look_pool(&w).pool_size, 4);
	gate_open(&w.gate, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(run_wait(r[i], &res), 0);
		take_number(&res);
		run_unref(r[i]);
	}

	usec began = clock_mono();

	while (threads_alive(w.threads) > 1 && clock_mono() - began < PATIENCE)
		usleep(100);
	assert_int_equal(threads_alive(w.threads), 1);
	assert_int_equal(look_pool(&w).largest, 4);
	world_fini(&w);
}

/* --- 16 threads on one key --- */

#define RACERS 16
#define ROUNDS 400

struct racer {
	struct world *w;
	unsigned seen[8]; /* by cause */
};

static void *race(void *arg)
{
	struct racer *me = arg;

	for (int i = 0; i < ROUNDS; i++) {
		static const enum run_answer answers[] = { RUN_OK, RUN_OK, RUN_FAILED, RUN_BAD_REQUEST };
		struct run_spec spec = spec_of(me->w, arg_new(NULL, answers[i % 4], i));
		struct run_result res;

		spec.fallback = i % 3 ? reserve : NULL;
		if (i % 7 == 0) {
			struct run *r = run_start(&spec);

			run_cancel(r);
			run_wait(r, &res);
			run_unref(r);
		} else {
			run_command(&spec, &res);
		}
		me->seen[res.cause]++;
		shared_unref(res.result);
	}
	return NULL;
}

static void check_race(enum flow_isolation isolation)
{
	static const struct {
		enum run_cause cause;
		enum flow_event event;
	} pairs[] = {
		{ RUN_CAUSE_NONE, EVENT_SUCCESS },
		{ RUN_CAUSE_BAD_REQUEST, EVENT_BAD_REQUEST },
		{ RUN_CAUSE_FAILURE, EVENT_FAILURE },
		{ RUN_CAUSE_TIMEOUT, EVENT_TIMEOUT },
		{ RUN_CAUSE_SHORT_CIRCUIT, EVENT_SHORT_CIRCUITED },
		{ RUN_CAUSE_SEMAPHORE_REJECTED, EVENT_SEMAPHORE_REJECTED },
		{ RUN_CAUSE_POOL_REJECTED, EVENT_THREAD_POOL_REJECTED },
		{ RUN_CAUSE_CANCELLED, EVENT_CANCELLED },
	};
	struct racer r[RACERS];
	pthread_t id[RACERS];
	struct world w;
	unsigned all = 0;

	world_init(&w, isolation);
	w.ps.core_size = 4;
	w.ps.max_queue_size = w.ps.queue_rejection = 4;
	threads_set(w.threads, &w.ps);
	w.cs.sleep_window_ms = 1;
	w.cs.error_threshold_pct = 70;
	for (unsigned i = 0; i < RACERS; i++) {
		r[i] = (struct racer){ .w = &w };
		assert_int_equal(pthread_create(&id[i], NULL, race, &r[i]), 0);
	}
	for (unsigned i = 0; i < RACERS; i++)
		pthread_join(id[i], NULL);
	for (size_t k = 0; k < ARRAY_LEN(pairs); k++) {
		unsigned sum = 0;

		for (unsigned i = 0; i < RACERS; i++)
			sum += r[i].seen[pairs[k].cause];
		assert_int_equal(look(&w)->stats.lifetime[pairs[k].event], sum);
		all += sum;
	}
	assert_int_equal(all, RACERS * ROUNDS);
	assert_int_equal(look(&w)->active, 0);
	assert_int_equal(look(&w)->fallback_active, 0);
	assert_int_equal(look_pool(&w).queued, 0);
	world_fini(&w);
}

static void test_16_threads_lose_nothing(void **state)
{
	(void)state;
	check_race(FLOW_THREAD);
	check_race(FLOW_SEMAPHORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_answer_has_its_outcome),
		cmocka_unit_test(test_a_failed_fallback_does_not_hide_the_failure),
		cmocka_unit_test(test_the_caller_is_free_on_time_while_the_function_goes_on),
		cmocka_unit_test(test_a_call_that_comes_without_time_counts_for_nothing),
		cmocka_unit_test(test_a_late_result_on_the_caller_is_a_timeout),
		cmocka_unit_test(test_a_queued_call_that_is_timed_out_never_runs),
		cmocka_unit_test(test_a_full_pool_rejects_and_falls_back_on_the_caller),
		cmocka_unit_test(test_a_fallback_that_is_late_frees_its_caller_too),
		cmocka_unit_test(test_the_token_ends_a_function_at_the_timeout),
		cmocka_unit_test(test_cancelling_counts_for_nothing),
		cmocka_unit_test(test_a_token_asks_those_made_from_it),
		cmocka_unit_test(test_trace_and_users_values_cross_threads_by_themselves),
		cmocka_unit_test(test_values_are_bounded_and_replaced),
		cmocka_unit_test(test_a_request_shares_results_errors_and_fallbacks),
		cmocka_unit_test(test_a_duplicate_waits_for_the_first_and_runs_if_that_is_cancelled),
		cmocka_unit_test(test_a_run_nobody_waits_for_leaves_its_duplicates_free),
		cmocka_unit_test(test_threads_are_made_as_they_are_needed_and_end_beyond_the_core),
		cmocka_unit_test(test_16_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
