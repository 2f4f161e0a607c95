/* run_world.h - functions as commands, for the tests of runs: a gate to wait at, what functions work on, pools and a command. */
#pragma once
#include <stdio.h>
#include <unistd.h>

#include "client/run.h"
#include "shared_value.h"
#include "test.h"

#define MS USEC_PER_MSEC
#define PATIENCE (20 * USEC_PER_SEC) /* for what must happen, on a machine that is busy */
#define BEGUN 1000                   /* ms: a timeout before which the pool's thread has begun its work, there too */

/* --- a gate that functions wait at, so that no test sleeps --- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned arrived, open; /* how many came, how many may go */
};

static inline void gate_init(struct gate *g)
{
	*g = (struct gate){ .arrived = 0 };
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
}

static inline void gate_fini(struct gate *g)
{
	pthread_cond_destroy(&g->cond);
	pthread_mutex_destroy(&g->lock);
}

static inline void gate_pass(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->arrived++;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	g->open--;
	pthread_mutex_unlock(&g->lock);
}

static inline void gate_open(struct gate *g, unsigned n)
{
	pthread_mutex_lock(&g->lock);
	g->open += n;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static inline void gate_await(struct gate *g, unsigned n)
{
	pthread_mutex_lock(&g->lock);
	while (g->arrived < n)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* --- what functions work on --- */

static _Atomic int args_alive;

static inline int take_number(struct run_result *res)
{
	int n = res->result ? number_of(res->result) : -1;

	shared_unref(TAKE(res->result));
	return n;
}

struct arg {
	struct gate *gate, *fallback_gate; /* NULL: goes through */
	enum run_answer answer;
	int number;
	bool fallback_fails;
	char text[64]; /* ASan looks at it */
	bool waits_for_cancel;
};

static inline void arg_free(void *arg)
{
	atomic_fetch_sub(&args_alive, 1);
	free(arg);
}

static inline struct arg *arg_new(struct gate *gate, enum run_answer answer, int number)
{
	struct arg *a = xzalloc(sizeof(*a));

	*a = (struct arg){ .gate = gate, .answer = answer, .number = number };
	snprintf(a->text, sizeof(a->text), "number %d", number);
	atomic_fetch_add(&args_alive, 1);
	return a;
}

static _Atomic unsigned functions_ran;

static inline enum run_answer function(struct work *w, void *arg)
{
	struct arg *a = arg;
	char want[64];

	atomic_fetch_add(&functions_ran, 1);
	if (a->gate)
		gate_pass(a->gate);
	while (a->waits_for_cancel && !work_is_cancelled(w))
		usleep(100); /* a computation that looks now and then */
	snprintf(want, sizeof(want), "number %d", a->number);
	assert_string_equal(a->text, want); /* whatever became of the caller meanwhile */
	work_set_result(w, value(a->number));
	if (a->answer != RUN_OK)
		err_set(work_err(w), VINE_EPROTO, "function %d says no", a->number);
	return a->answer;
}

static inline int reserve(struct work *w, void *arg, enum run_cause cause, const struct err *why)
{
	struct arg *a = arg;

	(void)cause;
	if (a->fallback_gate)
		gate_pass(a->fallback_gate);
	work_set_result(w, value(-100 - why->code));
	return a->fallback_fails ? -1 : 0;
}

struct world {
	struct keyed_table *pools;
	struct command_table *commands;
	struct command *cmd;
	struct cmd_settings cs;
	struct pool_settings ps;
	struct threads *threads, *fallbacks;
	struct timers *timers;
	struct gate gate;
};

static inline struct threads *make_threads(struct world *w, const char *key)
{
	struct pool *p = pool_table_take(w->pools, str_from(key), clock_mono());
	struct threads *t = threads_new(p, &w->ps);

	pool_unref(p);
	return t;
}

static inline void world_init(struct world *w, enum flow_isolation isolation)
{
	memset(w, 0, sizeof(*w));
	w->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	w->cs.isolation = isolation;
	w->cs.timeout_ms = PATIENCE / MS;
	w->cs.fallback_ms = PATIENCE / MS;
	w->ps = (struct pool_settings)POOL_SETTINGS_DEFAULT;
	w->pools = pool_table_new(8, 1);
	w->commands = command_table_new(&(struct command_table_opts){ .stripes = 4, .max = 8 });
	w->cmd = command_table_take(w->commands, STR("product"), STR("shop"), clock_mono());
	w->threads = make_threads(w, "shop");
	w->fallbacks = make_threads(w, "fallbacks");
	w->timers = timers_new();
	gate_init(&w->gate);
	atomic_store(&functions_ran, 0);
}

static inline void world_fini(struct world *w)
{
	threads_free(w->threads);
	threads_free(w->fallbacks);
	timers_free(w->timers); /* asserts that no bell is left; its thread may just be letting go */
	command_unref(w->cmd);
	command_table_free(w->commands);
	keyed_table_free(w->pools);
	gate_fini(&w->gate);
	assert_int_equal(args_alive, 0);
	assert_int_equal(values_alive, 0);
}

static inline struct run_spec spec_of(struct world *w, struct arg *a)
{
	return (struct run_spec){
		.command = w->cmd,
		.settings = &w->cs,
		.threads = w->threads,
		.fallback_threads = w->fallbacks,
		.fn = function,
		.arg = a,
		.free_arg = arg_free,
		.deadline = DEADLINE_NONE,
	};
}

static inline struct command_snapshot *look(struct world *w)
{
	static struct command_snapshot snap;

	command_snapshot(w->cmd, &w->cs, clock_mono(), &snap);
	return &snap;
}

static inline struct pool_snapshot look_pool(struct world *w)
{
	struct pool_snapshot s;

	pool_snapshot(threads_pool(w->threads), &w->ps, clock_mono(), &s);
	return s;
}

/* --- outcomes --- */

static const struct {
	enum run_answer answer;
	enum run_cause cause;
	enum flow_event event;
	int code;
	bool has_result, has_fallback;
} outcomes[] = {
	{ RUN_OK, RUN_CAUSE_NONE, EVENT_SUCCESS, 0, true, false },
	{ RUN_BAD_REQUEST, RUN_CAUSE_BAD_REQUEST, EVENT_BAD_REQUEST, 0, true, false },
	{ RUN_FAILED, RUN_CAUSE_FAILURE, EVENT_FAILURE, VINE_EPROTO, false, true },
	{ RUN_TIMED_OUT, RUN_CAUSE_TIMEOUT, EVENT_TIMEOUT, VINE_EPROTO, false, true },
	{ RUN_FATAL, RUN_CAUSE_FAILURE, EVENT_FAILURE, VINE_EPROTO, false, false },
};
