/* test_flow_request.c - results that a request's commands share, and the log of what ran. */
#include <pthread.h>
#include <stdio.h>

#include "flow/request.h"
#include "shared_value.h"
#include "test.h"

struct waiter {
	struct cache_wait w;
	bool is_woken;
	int got; /* -1: nothing to share */
};

static void on_wake(struct cache_wait *w, struct shared *res)
{
	struct waiter *me = container_of(w, struct waiter, w);

	me->is_woken = true;
	me->got = res ? number_of(res) : -1;
	shared_unref(res);
}

static enum cache_answer ask(struct flow_request *rq, const char *command, const char *key, struct waiter *w,
			     struct cache_entry **en, int *ready)
{
	struct cache_key k = { CACHE_OF_COMMAND, str_from(command), str_from(key) };
	struct shared *res = NULL;
	enum cache_answer a;

	*w = (struct waiter){ .w.wake = on_wake };
	a = request_cache_begin(rq, true, &k, &w->w, en, &res);
	if (a == CACHE_READY)
		*ready = number_of(res);
	shared_unref(res);
	return a;
}

static void finish(struct flow_request *rq, struct cache_entry *en, int number)
{
	struct shared *res = value(number);

	request_cache_end(rq, en, res);
	shared_unref(res);
}

static void test_a_result_is_shared_before_and_after_it_is_there(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct cache_entry *en, *other;
	struct waiter a, b, c;
	int ready = 0;

	assert_int_equal(ask(rq, "product", "7", &a, &en, &ready), CACHE_RUN);
	assert_int_equal(ask(rq, "product", "7", &b, &other, &ready), CACHE_WAIT);
	assert_int_equal(ask(rq, "product", "8", &c, &other, &ready), CACHE_RUN); /* another argument */
	finish(rq, other, 8);
	assert_int_equal(ask(rq, "member", "7", &c, &other, &ready), CACHE_RUN);  /* another command */
	request_cache_end(rq, other, NULL);
	assert_false(b.is_woken);
	finish(rq, en, 70);
	assert_true(b.is_woken);
	assert_int_equal(b.got, 70);
	assert_int_equal(ask(rq, "product", "7", &a, &en, &ready), CACHE_READY); /* errors too: it does not look at it */
	assert_int_equal(ready, 70);
	flow_request_unref(rq);
	assert_int_equal(values_alive, 0);
}

static void test_kinds_do_not_meet(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct cache_key a = { CACHE_OF_COMMAND, STR("k"), STR("1") }, b = { CACHE_OF_COLLAPSER, STR("k"), STR("1") };
	struct cache_key c = { CACHE_OF_COMMAND, STR("k1"), STR("") };
	struct cache_entry *en[3];
	struct waiter w;
	struct shared *res;

	assert_int_equal(request_cache_begin(rq, true, &a, &w.w, &en[0], &res), CACHE_RUN);
	assert_int_equal(request_cache_begin(rq, true, &b, &w.w, &en[1], &res), CACHE_RUN);
	assert_int_equal(request_cache_begin(rq, true, &c, &w.w, &en[2], &res), CACHE_RUN);
	for (unsigned i = 0; i < 3; i++)
		finish(rq, en[i], 1);
	flow_request_unref(rq);
}

static void test_not_cached(void **state)
{
	char long_key[REQUEST_KEY_MAX + 1];
	struct flow_request *rq = flow_request_new();
	struct cache_key k = { CACHE_OF_COMMAND, STR("k"), STR("1") };
	struct cache_entry *en;
	struct shared *res;
	struct waiter w;

	assert_int_equal(request_cache_begin(NULL, true, &k, &w.w, &en, &res), CACHE_NONE); /* Hystrix throws */
	assert_int_equal(request_cache_begin(rq, false, &k, &w.w, &en, &res), CACHE_NONE);
	memset(long_key, 'x', sizeof(long_key));
	k.key = str_of(long_key, REQUEST_KEY_MAX);
	assert_int_equal(request_cache_begin(rq, true, &k, &w.w, &en, &res), CACHE_NONE);
	k.key.len--;
	assert_int_equal(request_cache_begin(rq, true, &k, &w.w, &en, &res), CACHE_RUN);
	finish(rq, en, 1);
	for (unsigned i = 1; i < REQUEST_CACHE_MAX; i++) {
		char text[16];

		k.key = str_of(text, (size_t)snprintf(text, sizeof(text), "%u", i));
		assert_int_equal(request_cache_begin(rq, true, &k, &w.w, &en, &res), CACHE_RUN);
		finish(rq, en, 1);
	}
	k.key = STR("one more");
	assert_int_equal(request_cache_begin(rq, true, &k, &w.w, &en, &res), CACHE_NONE);
	flow_request_unref(rq);
	assert_int_equal(values_alive, 0);
}

static void test_a_cancelled_run_leaves_nothing(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct cache_entry *en;
	struct waiter a, b;
	int ready;

	assert_int_equal(ask(rq, "k", "1", &a, &en, &ready), CACHE_RUN);
	assert_int_equal(ask(rq, "k", "1", &b, &en, &ready), CACHE_WAIT);
	request_cache_end(rq, en, NULL);
	assert_int_equal(b.got, -1);
	assert_int_equal(ask(rq, "k", "1", &a, &en, &ready), CACHE_RUN);
	finish(rq, en, 1);
	flow_request_unref(rq);
}

static void test_who_waits_may_withdraw(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct cache_entry *en;
	struct waiter a, b;
	int ready;

	ask(rq, "k", "1", &a, &en, &ready);
	ask(rq, "k", "1", &b, &en, &ready);
	assert_true(request_cache_withdraw(rq, &b.w));
	assert_false(request_cache_withdraw(rq, &b.w));
	finish(rq, en, 1);
	assert_false(b.is_woken);
	flow_request_unref(rq);
}

static void test_clear_makes_the_next_one_run(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct cache_key k = { CACHE_OF_COMMAND, STR("k"), STR("1") };
	struct cache_entry *first, *second;
	struct waiter a, b;
	int ready;

	ask(rq, "k", "1", &a, &first, &ready);
	ask(rq, "k", "1", &b, &first, &ready);
	request_cache_clear(rq, &k); /* while it runs */
	assert_int_equal(ask(rq, "k", "1", &a, &second, &ready), CACHE_RUN);
	finish(rq, first, 1);
	assert_int_equal(b.got, 1); /* what it waited for */
	finish(rq, second, 2);
	assert_int_equal(ask(rq, "k", "1", &a, &first, &ready), CACHE_READY);
	assert_int_equal(ready, 2);
	request_cache_clear(rq, &k); /* afterwards */
	request_cache_clear(rq, &k);
	assert_int_equal(ask(rq, "k", "1", &a, &first, &ready), CACHE_RUN);
	finish(rq, first, 3);
	flow_request_unref(rq);
	assert_int_equal(values_alive, 0);
}

/* --- threads --- */

struct racer {
	struct flow_request *rq;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct waiter waiter;
	unsigned ran;
};

static void wake_racer(struct cache_wait *w, struct shared *res)
{
	struct racer *r = container_of(container_of(w, struct waiter, w), struct racer, waiter);

	pthread_mutex_lock(&r->lock);
	on_wake(w, res);
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
}

static void *race(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < 500; i++) {
		char text[16];
		struct cache_key k = { CACHE_OF_COMMAND, STR("k"), str_of(text, (size_t)snprintf(text, sizeof(text), "%d", i)) };
		struct cache_entry *en;
		struct shared *res = NULL;

		r->waiter = (struct waiter){ .w.wake = wake_racer };
		switch (request_cache_begin(r->rq, true, &k, &r->waiter.w, &en, &res)) {
		case CACHE_RUN:
			r->ran++;
			finish(r->rq, en, i);
			break;
		case CACHE_WAIT:
			pthread_mutex_lock(&r->lock);
			while (!r->waiter.is_woken)
				pthread_cond_wait(&r->cond, &r->lock);
			if (r->waiter.got != i)
				abort();
			pthread_mutex_unlock(&r->lock);
			break;
		case CACHE_READY:
			if (number_of(res) != i)
				abort();
			shared_unref(res);
			break;
		case CACHE_NONE:
			abort();
		}
	}
	return NULL;
}

static void test_16_threads_run_each_key_once(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct racer r[16];
	pthread_t id[16];
	unsigned ran = 0;

	for (unsigned i = 0; i < 16; i++) {
		r[i] = (struct racer){ .rq = flow_request_ref(rq) };
		pthread_mutex_init(&r[i].lock, NULL);
		pthread_cond_init(&r[i].cond, NULL);
		assert_int_equal(pthread_create(&id[i], NULL, race, &r[i]), 0);
	}
	for (unsigned i = 0; i < 16; i++) {
		pthread_join(id[i], NULL);
		ran += r[i].ran;
		flow_request_unref(rq);
		pthread_cond_destroy(&r[i].cond);
		pthread_mutex_destroy(&r[i].lock);
	}
	assert_int_equal(ran, 500);
	flow_request_unref(rq);
	assert_int_equal(values_alive, 0);
}

/* --- the log --- */

static void note(struct flow_request *rq, const char *command, enum flow_event a, enum flow_event b, msec took)
{
	int i = request_log_begin(rq, true, str_from(command));

	request_log_event(rq, i, a);
	request_log_event(rq, i, b);
	request_log_took(rq, i, took * USEC_PER_MSEC);
}

static void test_the_log_gathers_equal_lines(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct buf out = BUF_INIT(1000);

	note(rq, "product", EVENT_SUCCESS, EVENT_SUCCESS, 12);
	note(rq, "member", EVENT_FALLBACK_SUCCESS, EVENT_TIMEOUT, 1001);
	note(rq, "product", EVENT_SUCCESS, EVENT_SUCCESS, 3);
	note(rq, "product", EVENT_SUCCESS, EVENT_RESPONSE_FROM_CACHE, 0);
	assert_int_equal(request_log_begin(rq, false, STR("off")), -1);
	request_log_event(rq, -1, EVENT_SUCCESS);
	request_log_text(rq, &out);
	assert_str(buf_str(&out), STR("product[SUCCESS][15ms]x2, member[TIMEOUT, FALLBACK_SUCCESS][1001ms], "
				      "product[SUCCESS, RESPONSE_FROM_CACHE][0ms]"));
	buf_fini(&out);
	flow_request_unref(rq);
}

static void test_the_log_is_bounded(void **state)
{
	struct flow_request *rq = flow_request_new();
	struct buf out = BUF_INIT(1000);

	for (unsigned i = 0; i < REQUEST_LOG_MAX; i++)
		assert_int_equal(request_log_begin(rq, true, STR("k")), i);
	assert_int_equal(request_log_begin(rq, true, STR("k")), -1);
	request_log_text(rq, &out);
	assert_str(buf_str(&out), STR("k[Executed][0ms]x1000"));
	buf_fini(&out);
	flow_request_unref(rq);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_result_is_shared_before_and_after_it_is_there),
		cmocka_unit_test(test_kinds_do_not_meet),
		cmocka_unit_test(test_not_cached),
		cmocka_unit_test(test_a_cancelled_run_leaves_nothing),
		cmocka_unit_test(test_who_waits_may_withdraw),
		cmocka_unit_test(test_clear_makes_the_next_one_run),
		cmocka_unit_test(test_16_threads_run_each_key_once),
		cmocka_unit_test(test_the_log_gathers_equal_lines),
		cmocka_unit_test(test_the_log_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
