/* threads.h - real threads behind a pool (flow/pool.h): hystrix.threadpool.<key>.* in libvine.
 *
 * A task that has a slot runs on a thread; threads are made as slots are first used, at most one a slot. Those of the core
 * stay, those beyond it end after keepAliveTimeMinutes without work (in Hystrix, where only a full queue makes a pool
 * grow, that was rarely ever seen). They are called hystrix-<pool>-<n>, as the original's, and block all signals.
 *
 * A task is embedded in its owner and must live until `run` has been called, or threads_withdraw said true. */
#pragma once
#include "flow/pool.h"

struct threads;

struct task {
	struct pool_wait slot;
	struct threads *threads;
	struct task *next;
	void (*run)(struct task *t);      /* on a thread of the pool */
	void (*returned)(struct task *t); /* its slot has been given back: the task may go */
};

/* A pool's threads for as long as the process calls it; settings as they are now. */
struct threads *threads_new(struct pool *pool, const struct pool_settings *ps); /* takes a reference to the pool */
/* No task is submitted any more, none waits. Waits for those that run. NULL is fine. */
void threads_free(struct threads *t);

/* POOL_RUN: it will run at once. POOL_WAIT: when its turn comes. */
enum pool_answer threads_submit(struct threads *t, struct task *task, usec now);
bool threads_withdraw(struct task *task); /* true: it waited, and will not run */
void threads_set(struct threads *t, const struct pool_settings *ps); /* new settings, from the next task on */
struct pool *threads_pool(struct threads *t);
struct pool_settings threads_settings(struct threads *t);
unsigned threads_alive(struct threads *t);
