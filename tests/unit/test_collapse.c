/* test_collapse.c - calls of several threads gathered into batches that run as commands. */
#include <stdio.h>

#include "client/collapse.h"
#include "shared_value.h"
#include "test.h"

#define CALLERS 8
#define PATIENCE (20 * USEC_PER_SEC)

static _Atomic int batches, members;
static _Atomic bool told; /* the caller of 777 has its answer */
static _Atomic(struct flow_request *) request_of_batch;

/* The batch: ten times each argument; none for 13; fails as a whole when 666 is in it, and is too late with 777. */
static enum run_answer times_ten(struct work *w, void *arg)
{
	struct collapse_batch *b = arg;

	atomic_fetch_add(&batches, 1);
	atomic_fetch_add(&members, (int)b->n);
	atomic_store(&request_of_batch, b->n == 1 ? context_now()->request : NULL);
	for (uint32_t i = 0; i < b->n; i++) {
		int n = number_of(b->place[i]->arg);

		if (n == 666) {
			err_set(work_err(w), VINE_EPROTO, "the batch failed");
			return RUN_FAILED;
		}
		while (n == 777 && !(work_is_cancelled(w) && atomic_load(&told)))
			;
		if (n == 13)
			continue;

		struct shared *v = value(n * 10);

		batch_answer(b, i, v);
		shared_unref(v);
	}
	return RUN_OK;
}

struct world {
	struct keyed_table *pools, *collapsers;
	struct command_table *commands;
	struct command *cmd;
	struct collapser *collapser;
	struct cmd_settings cs;
	struct collapser_settings co;
	struct threads *threads;
	struct flow_request *rq;
	struct run_spec batch;
};

static void world_init(struct world *w, enum flow_isolation isolation)
{
	struct pool_settings ps = POOL_SETTINGS_DEFAULT;
	usec now = clock_mono();
	struct pool *p;

	memset(w, 0, sizeof(*w));
	w->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	w->cs.isolation = isolation;
	w->cs.timeout_ms = PATIENCE / USEC_PER_MSEC;
	w->co = (struct collapser_settings)COLLAPSER_SETTINGS_DEFAULT;
	w->pools = pool_table_new(1, 1);
	p = pool_table_take(w->pools, STR("p"), now);
	w->threads = threads_new(p, &ps);
	pool_unref(p);
	w->commands = command_table_new(&(struct command_table_opts){ .stripes = 4, .max = 1 });
	w->cmd = command_table_take(w->commands, STR("batch"), STR("g"), now);
	w->collapsers = collapser_table_new(1, 1);
	w->collapser = collapser_table_take(w->collapsers, STR("byId"), now);
	w->rq = flow_request_new();
	w->batch = (struct run_spec){
		.command = w->cmd, .settings = &w->cs, .threads = w->threads, .fn = times_ten, .deadline = DEADLINE_NONE,
	};
	atomic_store(&batches, 0);
	atomic_store(&members, 0);
	atomic_store(&told, false);
}

static void world_fini(struct world *w)
{
	threads_free(w->threads);
	flow_request_unref(w->rq);
	collapser_unref(w->collapser);
	keyed_table_free(w->collapsers);
	command_unref(w->cmd);
	command_table_free(w->commands);
	keyed_table_free(w->pools);
	assert_int_equal(values_alive, 0);
}

/* The answer, or the error's code. */
static int call(struct world *w, int arg, struct err *e)
{
	char key[16];
	struct shared *v = value(arg), *answer = NULL;
	struct collapse_spec spec = {
		.collapser = w->collapser,
		.settings = &w->co,
		.key = str_of(key, (size_t)snprintf(key, sizeof(key), "%d", arg)),
		.arg = v,
		.batch = &w->batch,
		.deadline = deadline_in(clock_mono(), PATIENCE),
		.request = w->rq,
	};
	int r = collapse_call(&spec, &answer, e);

	shared_unref(v);
	if (r < 0)
		return r;
	r = number_of(answer);
	shared_unref(answer);
	return r;
}

struct caller {
	struct world *w;
	int first;
	struct err err;
	int got;
};

static void *call_some(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < 20; i++) {
		c->got = call(c->w, c->first + i, &c->err);
		if (c->got != (c->first + i == 13 ? VINE_EPROTO : (c->first + i) * 10))
			abort();
	}
	return NULL;
}

static void test_callers_on_many_threads_share_batches(void **state)
{
	static const enum flow_isolation kinds[] = { FLOW_SEMAPHORE, FLOW_THREAD };
	static struct command_snapshot snap;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct caller c[CALLERS];
		pthread_t id[CALLERS];
		struct world w;

		world_init(&w, kinds[k]);
		w.co.batch_max = 5;
		w.co.delay_ms = 2;
		for (int i = 0; i < CALLERS; i++) {
			c[i] = (struct caller){ .w = &w, .first = i / 2 * 100 }; /* two ask the same */
			assert_int_equal(pthread_create(&id[i], NULL, call_some, &c[i]), 0);
		}
		for (int i = 0; i < CALLERS; i++)
			pthread_join(id[i], NULL);
		assert_int_equal(members, CALLERS / 2 * 20); /* each argument once */
		assert_true(batches < members);
		command_snapshot(w.cmd, &w.cs, clock_mono(), &snap);
		assert_int_equal(snap.stats.rolling[EVENT_COLLAPSED], members);
		assert_int_equal(snap.stats.rolling[EVENT_SUCCESS], batches);
		world_fini(&w);
	}
}

static void test_who_has_no_answer_is_told(void **state)
{
	struct world w;
	struct err e;

	(void)state;
	world_init(&w, FLOW_SEMAPHORE);
	assert_int_equal(call(&w, 13, &e), VINE_EPROTO);
	assert_string_equal(e.text, "the batch of byId had no answer for it");
	assert_int_equal(call(&w, 13, &e), VINE_EPROTO); /* errors are shared as well */
	assert_int_equal(batches, 1);
	w.co.request_cache = false;
	assert_int_equal(call(&w, 13, &e), VINE_EPROTO);
	assert_int_equal(batches, 2);
	world_fini(&w);
}

static void test_a_failed_batch_is_every_calls_failure(void **state)
{
	struct world w;
	struct err e;

	(void)state;
	world_init(&w, FLOW_THREAD);
	assert_int_equal(call(&w, 666, &e), VINE_EPROTO);
	assert_string_equal(e.text, "the batch failed");
	w.cs.force_open = true;
	assert_int_equal(call(&w, 1, &e), VINE_EUNAVAIL);
	assert_string_equal(e.text, "the circuit batch is open");
	world_fini(&w);
}

static void test_a_batch_that_is_timed_out_frees_its_callers(void **state)
{
	struct world w;
	struct err e;

	(void)state;
	world_init(&w, FLOW_THREAD);
	w.cs.timeout_ms = 20;
	assert_int_equal(call(&w, 777, &e), VINE_ETIMEOUT);
	atomic_store(&told, true);
	world_fini(&w); /* the batch went on after its token was asked; its answer comes too late, and it lets go of all */
}

static void test_a_request_is_needed(void **state)
{
	struct flow_request *rq;
	struct world w;
	struct err e;

	(void)state;
	world_init(&w, FLOW_SEMAPHORE);
	rq = TAKE(w.rq);
	assert_int_equal(call(&w, 1, &e), VINE_EINVAL);

	struct context *c = context_copy(NULL), *before;

	c->request = rq;
	before = context_enter(c);
	assert_int_equal(call(&w, 1, &e), 10); /* that of the thread's context */
	context_leave(before);
	world_fini(&w);
}

static void test_a_scope_for_all(void **state)
{
	struct shared *v = value(4), *answer;
	struct context *taker = context_copy(NULL), *before;
	struct collapse_scope global;
	struct world w;
	struct err e;

	(void)state;
	world_init(&w, FLOW_SEMAPHORE);
	collapse_scope_init(&global, w.collapser, clock_mono());
	taker->request = flow_request_ref(w.rq); /* whose time is over, which is nothing to the batch */
	taker->deadline = (struct deadline){ clock_mono() };
	taker->cancel = cancel_new(NULL);
	cancel_ask(taker->cancel);
	before = context_enter(taker);
	assert_int_equal(collapse_call(&(struct collapse_spec){ .collapser = w.collapser, .settings = &w.co, .scope = &global,
								.key = STR("4"), .arg = v, .batch = &w.batch,
								.deadline = DEADLINE_NONE }, &answer, &e), 0);
	context_leave(before);
	assert_int_equal(number_of(answer), 40);
	assert_null(atomic_load(&request_of_batch));
	shared_unref(answer);
	shared_unref(v);
	collapse_scope_fini(&global);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callers_on_many_threads_share_batches),
		cmocka_unit_test(test_who_has_no_answer_is_told),
		cmocka_unit_test(test_a_failed_batch_is_every_calls_failure),
		cmocka_unit_test(test_a_batch_that_is_timed_out_frees_its_callers),
		cmocka_unit_test(test_a_request_is_needed),
		cmocka_unit_test(test_a_scope_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
