/* test_flow_pool.c - who runs, who waits and who is refused, walked step by step; random traffic against a plain model; and
 * many threads, after which no slot may be missing. */
#include <pthread.h>
#include <stdio.h>

#include "base/rng.h"
#include "flow/pool.h"
#include "test.h"

#define START (INT64_C(4321) * USEC_PER_SEC + 7)
#define WAITERS 12

struct world {
	struct keyed_table *table;
	struct pool *pool;
	struct pool_settings ps;
	struct waiter {
		struct pool_wait w;
		bool awake;
	} at[WAITERS];
	usec now;
};

static void on_wake(struct pool_wait *w)
{
	container_of(w, struct waiter, w)->awake = true;
}

static void world_init(struct world *w, uint32_t core, int32_t queue)
{
	memset(w, 0, sizeof(*w));
	w->ps = (struct pool_settings)POOL_SETTINGS_DEFAULT;
	w->ps.core_size = core;
	w->ps.max_queue_size = queue;
	w->ps.queue_rejection = queue > 0 ? (uint32_t)queue : 5;
	w->now = START;
	w->table = pool_table_new(4, 1);
	w->pool = pool_table_take(w->table, STR("shop"), w->now);
	for (unsigned i = 0; i < WAITERS; i++)
		w->at[i].w.wake = on_wake;
}

static void world_fini(struct world *w)
{
	pool_unref(w->pool);
	keyed_table_free(w->table);
}

static enum pool_answer enter(struct world *w, unsigned i)
{
	struct pool_wait *granted;
	enum pool_answer a = pool_enter(w->pool, &w->ps, &w->at[i].w, w->now, &granted);

	pool_wake_all(granted);
	return a;
}

static void leave(struct world *w, unsigned i)
{
	pool_wake_all(pool_leave(w->pool, &w->ps, &w->at[i].w, w->now));
}

static struct pool_snapshot look(struct world *w)
{
	struct pool_snapshot s;

	pool_snapshot(w->pool, &w->ps, w->now, &s);
	return s;
}

static void test_no_queue_hands_over_or_rejects(void **state)
{
	struct world w;

	world_init(&w, 2, -1);
	assert_int_equal(enter(&w, 0), POOL_RUN);
	assert_int_equal(enter(&w, 1), POOL_RUN);
	assert_int_equal(enter(&w, 2), POOL_REJECTED);
	leave(&w, 0);
	assert_int_equal(enter(&w, 2), POOL_RUN);
	leave(&w, 1);
	leave(&w, 2);

	struct pool_snapshot s = look(&w);

	assert_int_equal(s.active, 0);
	assert_int_equal(s.max_active, 2);
	assert_int_equal(s.largest, 2);
	assert_int_equal(s.submitted, 3);
	assert_int_equal(s.completed, 3);
	assert_int_equal(s.rolling_rejected, 1);
	world_fini(&w);
}

static void test_the_queue_is_first_come_first_served(void **state)
{
	struct world w;

	world_init(&w, 1, 2);
	assert_int_equal(enter(&w, 0), POOL_RUN);
	assert_int_equal(enter(&w, 1), POOL_WAIT);
	assert_int_equal(enter(&w, 2), POOL_WAIT);
	assert_int_equal(enter(&w, 3), POOL_REJECTED);
	assert_int_equal(look(&w).queued, 2);
	leave(&w, 0);
	assert_true(w.at[1].awake && !w.at[2].awake);
	assert_int_equal(enter(&w, 4), POOL_WAIT); /* the freed place in the queue, not the freed slot */
	leave(&w, 1);
	assert_true(w.at[2].awake && !w.at[4].awake);
	leave(&w, 2);
	leave(&w, 4);
	assert_int_equal(look(&w).active, 0);
	world_fini(&w);
}

static void test_who_waits_may_withdraw(void **state)
{
	struct world w;

	world_init(&w, 1, 3);
	enter(&w, 0);
	enter(&w, 1);
	enter(&w, 2);
	assert_true(pool_withdraw(w.pool, &w.at[1].w));
	assert_false(pool_withdraw(w.pool, &w.at[1].w)); /* twice does nothing */
	leave(&w, 0);
	assert_true(w.at[2].awake && !w.at[1].awake);
	assert_false(pool_withdraw(w.pool, &w.at[2].w)); /* too late: it has the slot and must leave */
	leave(&w, 2);
	assert_int_equal(look(&w).queued, 0);
	world_fini(&w);
}

static void test_the_threshold_bounds_a_larger_queue(void **state)
{
	struct world w;

	world_init(&w, 1, 10);
	w.ps.queue_rejection = 1;
	enter(&w, 0);
	assert_int_equal(enter(&w, 1), POOL_WAIT);
	assert_int_equal(enter(&w, 2), POOL_REJECTED);
	w.ps.queue_rejection = 2; /* live */
	assert_int_equal(enter(&w, 2), POOL_WAIT);
	leave(&w, 0);
	leave(&w, 1);
	leave(&w, 2);
	world_fini(&w);
}

/* In Hystrix the threshold hides the full queue from the executor and the pool never grows (H#1964). */
static void test_a_full_queue_makes_it_grow_to_the_maximum(void **state)
{
	struct world w;

	world_init(&w, 1, 2);
	w.ps.maximum_size = 2;
	w.ps.diverge = true;
	enter(&w, 0);
	enter(&w, 1);
	enter(&w, 2);
	assert_int_equal(enter(&w, 3), POOL_WAIT); /* the new slot is for the longest waiting */
	assert_true(w.at[1].awake && !w.at[2].awake && !w.at[3].awake);
	assert_int_equal(look(&w).active, 2);
	assert_int_equal(enter(&w, 4), POOL_REJECTED);
	leave(&w, 0); /* the slot beyond the core goes on with the queue */
	assert_true(w.at[2].awake);
	leave(&w, 1);
	leave(&w, 2);
	assert_int_equal(look(&w).active, 1);
	leave(&w, 3);
	world_fini(&w);
}

static void test_without_a_queue_it_grows_at_once(void **state)
{
	struct world w;

	world_init(&w, 1, -1);
	w.ps.maximum_size = 3;
	assert_int_equal(enter(&w, 0), POOL_RUN);
	assert_int_equal(enter(&w, 1), POOL_REJECTED); /* may not differ */
	w.ps.diverge = true;
	assert_int_equal(enter(&w, 1), POOL_RUN);
	assert_int_equal(enter(&w, 2), POOL_RUN);
	assert_int_equal(enter(&w, 3), POOL_REJECTED);
	for (unsigned i = 0; i < 3; i++)
		leave(&w, i);
	world_fini(&w);
}

static void test_a_new_size_is_live(void **state)
{
	struct world w;

	world_init(&w, 1, 5);
	for (unsigned i = 0; i < 4; i++)
		enter(&w, i);
	w.ps.core_size = 3; /* those who wait first get the new slots */
	assert_int_equal(enter(&w, 4), POOL_WAIT);
	assert_true(w.at[1].awake && w.at[2].awake && !w.at[3].awake);
	w.ps.core_size = 1; /* nobody is thrown out, nobody gets in before it is below */
	leave(&w, 0);
	leave(&w, 1);
	assert_false(w.at[3].awake);
	leave(&w, 2);
	assert_true(w.at[3].awake);
	leave(&w, 3);
	leave(&w, 4);
	world_fini(&w);
}

static void test_counts_roll_out_of_the_window(void **state)
{
	struct world w;

	world_init(&w, 1, -1);
	for (unsigned i = 0; i < 10; i++) {
		enter(&w, 0);
		assert_int_equal(enter(&w, 1), POOL_REJECTED);
		pool_note_executed(w.pool, &w.ps, w.now);
		leave(&w, 0);
		w.now += USEC_PER_SEC / 2;
	}
	assert_int_equal(look(&w).rolling_executed, 10);
	assert_int_equal(look(&w).rolling_rejected, 10);
	w.now += 5 * USEC_PER_SEC;
	assert_in_range(look(&w).rolling_executed, 1, 9);
	w.now += 6 * USEC_PER_SEC;
	assert_int_equal(look(&w).rolling_executed, 0);
	assert_int_equal(look(&w).max_active, 0);
	assert_int_equal(look(&w).completed, 10);
	w.ps.window_ms = 20000; /* rebuilt, the rest stays */
	assert_int_equal(look(&w).completed, 10);
	world_fini(&w);
}

static void test_the_table_is_bounded_and_swept(void **state)
{
	struct world w;
	struct pool *p[4];
	size_t n;

	world_init(&w, 1, -1);
	p[0] = pool_table_take(w.table, STR("shop"), w.now);
	assert_ptr_equal(p[0], w.pool);
	p[1] = pool_table_take(w.table, STR("b"), w.now);
	p[2] = pool_table_take(w.table, STR("a"), w.now);
	p[3] = pool_table_take(w.table, STR("c"), w.now);
	assert_null(pool_table_take(w.table, STR("d"), w.now)); /* full */

	struct keyed **list = keyed_table_list(w.table, &n);

	assert_int_equal(n, 4);
	assert_str(list[0]->key, STR("a"));
	assert_str(list[3]->key, STR("shop"));
	keyed_list_free(list, n);
	pool_unref(p[1]);
	assert_int_equal(keyed_table_sweep(w.table, w.now + 10, 20), 0);
	assert_int_equal(keyed_table_sweep(w.table, w.now + 30, 20), 1);
	pool_unref(p[0]);
	pool_unref(p[2]);
	pool_unref(p[3]);
	world_fini(&w);
}

/* --- a plain model --- */

struct model {
	unsigned running, queue[WAITERS], queued;
	enum pool_place place[WAITERS];
};

static void model_run(struct model *m, unsigned i)
{
	m->place[i] = POOL_RUNNING;
	m->running++;
}

static void model_grant(struct model *m, unsigned limit)
{
	while (m->queued && m->running < limit) {
		model_run(m, m->queue[0]);
		memmove(m->queue, m->queue + 1, --m->queued * sizeof(m->queue[0]));
	}
}

static void model_enter(struct model *m, const struct pool_settings *ps, unsigned i)
{
	model_grant(m, pool_core(ps));
	if (m->running < pool_core(ps)) {
		model_run(m, i);
	} else if (m->queued < pool_queue_max(ps) || m->running < pool_maximum(ps)) {
		bool grows = m->queued >= pool_queue_max(ps);

		m->place[i] = POOL_QUEUED;
		m->queue[m->queued++] = i;
		if (grows)
			model_grant(m, m->running + 1);
	}
}

static void model_leave(struct model *m, const struct pool_settings *ps, unsigned i)
{
	m->place[i] = POOL_OUT;
	m->running--;
	model_grant(m, MIN(pool_maximum(ps), MAX(pool_core(ps), m->running + 1)));
}

static void model_withdraw(struct model *m, unsigned i)
{
	unsigned k = 0;

	while (m->queue[k] != i)
		k++;
	memmove(m->queue + k, m->queue + k + 1, (--m->queued - k) * sizeof(m->queue[0]));
	m->place[i] = POOL_OUT;
}

static void one_step(struct world *w, struct model *m, struct rng *r)
{
	unsigned i = (unsigned)rng_below(r, WAITERS);

	if (rng_below(r, 10) == 0) {
		w->ps.core_size = 1 + (uint32_t)rng_below(r, 5);
		w->ps.maximum_size = w->ps.core_size + (uint32_t)rng_below(r, 3);
		w->ps.diverge = rng_below(r, 2);
		w->ps.max_queue_size = (int32_t)rng_below(r, 6) - 1;
		w->ps.queue_rejection = (uint32_t)rng_below(r, 6);
	}
	if (m->place[i] == POOL_OUT) {
		model_enter(m, &w->ps, i);
		enter(w, i);
	} else if (m->place[i] == POOL_RUNNING) {
		assert_false(pool_withdraw(w->pool, &w->at[i].w));
		model_leave(m, &w->ps, i);
		leave(w, i);
	} else {
		assert_true(pool_withdraw(w->pool, &w->at[i].w));
		model_withdraw(m, i);
	}
}

static void test_random_traffic_equals_the_model(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct world w;
		struct model m = { 0 };
		struct rng r;

		world_init(&w, 2, 3);
		rng_seed(&r, seed);
		for (unsigned step = 0; step < 300; step++) {
			one_step(&w, &m, &r);
			w.now += (usec)rng_below(&r, 100000);
			for (unsigned i = 0; i < WAITERS; i++)
				if (w.at[i].w.place != m.place[i])
					fail_msg("seed %llu, step %u: waiter %u is in %d, not %d",
						 (unsigned long long)seed, step, i, w.at[i].w.place, m.place[i]);
			assert_int_equal(look(&w).active, m.running);
			assert_int_equal(look(&w).queued, m.queued);
		}
		for (unsigned i = 0; i < WAITERS; i++)
			pool_withdraw(w.pool, &w.at[i].w);
		for (unsigned i = 0; i < WAITERS; i++)
			if (w.at[i].w.place == POOL_RUNNING)
				leave(&w, i);
		world_fini(&w);
	}
}

/* --- threads --- */

#define THREADS 16
#define ROUNDS 2000

struct racer {
	struct pool_wait w;
	struct pool *pool;
	const struct pool_settings *ps;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool awake;
	unsigned ran, refused, withdrew;
	_Atomic int *inside;
};

static void wake_racer(struct pool_wait *w)
{
	struct racer *r = container_of(w, struct racer, w);

	pthread_mutex_lock(&r->lock);
	r->awake = true;
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
}

static bool wait_for_slot(struct racer *r, unsigned round)
{
	if (round % 3 == 0 && pool_withdraw(r->pool, &r->w)) {
		r->withdrew++;
		return false;
	}
	pthread_mutex_lock(&r->lock);
	while (!r->awake)
		pthread_cond_wait(&r->cond, &r->lock);
	pthread_mutex_unlock(&r->lock);
	return true;
}

static void *race(void *arg)
{
	struct racer *r = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct pool_wait *granted;
		enum pool_answer a;

		r->awake = false;
		a = pool_enter(r->pool, r->ps, &r->w, START + i, &granted);
		pool_wake_all(granted);
		if (a == POOL_REJECTED)
			r->refused++;
		if (a == POOL_REJECTED || (a == POOL_WAIT && !wait_for_slot(r, i)))
			continue;
		if (atomic_fetch_add(r->inside, 1) >= 4)
			abort();
		r->ran++;
		atomic_fetch_sub(r->inside, 1);
		pool_wake_all(pool_leave(r->pool, r->ps, &r->w, START + i));
	}
	return NULL;
}

static void test_16_threads_lose_no_slot(void **state)
{
	struct racer *r = xzalloc(THREADS * sizeof(*r));
	pthread_t id[THREADS];
	_Atomic int inside = 0;
	struct world w;
	unsigned ran = 0, other = 0;

	world_init(&w, 4, 4);
	for (unsigned i = 0; i < THREADS; i++) {
		r[i] = (struct racer){ .w.wake = wake_racer, .pool = w.pool, .ps = &w.ps, .inside = &inside };
		pthread_mutex_init(&r[i].lock, NULL);
		pthread_cond_init(&r[i].cond, NULL);
		assert_int_equal(pthread_create(&id[i], NULL, race, &r[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(id[i], NULL);
		ran += r[i].ran;
		other += r[i].refused + r[i].withdrew;
		pthread_cond_destroy(&r[i].cond);
		pthread_mutex_destroy(&r[i].lock);
	}
	assert_int_equal(ran + other, THREADS * ROUNDS);
	assert_int_equal(look(&w).active, 0);
	assert_int_equal(look(&w).queued, 0);
	assert_int_equal(look(&w).completed, ran);
	free(r);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_queue_hands_over_or_rejects),
		cmocka_unit_test(test_the_queue_is_first_come_first_served),
		cmocka_unit_test(test_who_waits_may_withdraw),
		cmocka_unit_test(test_the_threshold_bounds_a_larger_queue),
		cmocka_unit_test(test_a_full_queue_makes_it_grow_to_the_maximum),
		cmocka_unit_test(test_without_a_queue_it_grows_at_once),
		cmocka_unit_test(test_a_new_size_is_live),
		cmocka_unit_test(test_counts_roll_out_of_the_window),
		cmocka_unit_test(test_the_table_is_bounded_and_swept),
		cmocka_unit_test(test_random_traffic_equals_the_model),
		cmocka_unit_test(test_16_threads_lose_no_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
