/* test_flow_collapser.c - arguments gathered into batches: when they leave, who shares a place, what becomes of those
 * without an answer, and the numbers. */
#include <pthread.h>
#include <stdio.h>

#include "flow/collapser.h"
#include "shared_value.h"
#include "test.h"

#define START (INT64_C(50) * USEC_PER_SEC + 3)
#define MS USEC_PER_MSEC
#define ITEMS 12

struct item {
	struct collapse_item it;
	char key[8];
	bool is_done;
	int got; /* -1: no answer */
	int code;
};

static void on_done(struct collapse_item *it, struct shared *answer, const struct err *why)
{
	struct item *me = container_of(it, struct item, it);

	assert_false(me->is_done);
	me->is_done = true;
	me->got = answer ? number_of(answer) : -1;
	me->code = why ? why->code : 0;
	shared_unref(answer);
}

struct world {
	struct keyed_table *table;
	struct collapser *c;
	struct collapser_settings cs;
	struct collapse_scope scope;
	struct item at[ITEMS];
	usec now;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->cs = (struct collapser_settings)COLLAPSER_SETTINGS_DEFAULT;
	w->now = START;
	w->table = collapser_table_new(4, 1);
	w->c = collapser_table_take(w->table, STR("byId"), w->now);
	collapse_scope_init(&w->scope, w->c, w->now);
}

static void world_fini(struct world *w)
{
	collapse_scope_fini(&w->scope);
	collapser_unref(w->c);
	keyed_table_free(w->table);
	assert_int_equal(values_alive, 0);
}

static enum collapse_answer add(struct world *w, unsigned i, int arg, struct collapse_batch **batch)
{
	struct item *me = &w->at[i];
	struct shared *v = value(arg);
	enum collapse_answer a;

	*me = (struct item){ .it.done = on_done };
	me->it.key = str_of(me->key, (size_t)snprintf(me->key, sizeof(me->key), "%d", arg));
	me->it.arg = v;
	a = collapse_add(&w->scope, &w->cs, &me->it, w->now, batch);
	shared_unref(v);
	return a;
}

/* Answers each place with ten times its argument, but that of `but`. */
static void run(struct collapse_batch *b, int but)
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct shared *v = value(number_of(b->place[i]->arg) * 10);

		if (number_of(b->place[i]->arg) != but)
			batch_answer(b, i, v);
		shared_unref(v);
	}
	batch_end(b);
}

static struct collapser_snapshot *look(struct world *w)
{
	static struct collapser_snapshot s;

	collapser_snapshot(w->c, &w->cs, w->now, &s);
	return &s;
}

static void test_a_batch_leaves_at_the_tick(void **state)
{
	struct world w;
	struct collapse_batch *b = NULL;

	world_init(&w);
	assert_true(collapse_due(&w.scope, &w.cs, NULL, w.now) == USEC_NEVER);
	w.now += 4 * MS;
	assert_int_equal(add(&w, 0, 1, &b), COLLAPSE_GATHERED);
	assert_int_equal(collapse_due(&w.scope, &w.cs, NULL, w.now), START + 10 * MS); /* the ticks do not wait for the first */
	w.now += 3 * MS;
	assert_int_equal(add(&w, 1, 2, &b), COLLAPSE_GATHERED);
	assert_int_equal(collapse_due(&w.scope, &w.cs, NULL, w.now), START + 10 * MS);
	w.now = START + 10 * MS;
	b = collapse_tick(&w.scope, &w.cs, NULL, w.now);
	assert_int_equal(b->n, 2);
	assert_null(collapse_tick(&w.scope, &w.cs, NULL, w.now)); /* empty: nothing leaves */
	add(&w, 2, 3, NULL);
	assert_int_equal(collapse_due(&w.scope, &w.cs, NULL, w.now), START + 20 * MS);
	run(b, -1);
	assert_int_equal(w.at[0].got, 10);
	assert_int_equal(w.at[1].got, 20);
	assert_false(w.at[2].is_done);
	run(collapse_tick(&w.scope, &w.cs, NULL, w.now), -1);
	assert_int_equal(w.at[2].got, 30);
	world_fini(&w);
}

static void test_a_full_batch_leaves_at_once(void **state)
{
	struct world w;
	struct collapse_batch *b = NULL;

	world_init(&w);
	w.cs.batch_max = 3;
	assert_int_equal(add(&w, 0, 1, &b), COLLAPSE_GATHERED);
	assert_int_equal(add(&w, 1, 2, &b), COLLAPSE_GATHERED);
	assert_int_equal(add(&w, 2, 2, &b), COLLAPSE_JOINED); /* shares a place: the batch is not fuller */
	assert_int_equal(add(&w, 3, 3, &b), COLLAPSE_FULL);
	assert_int_equal(b->n, 3);
	assert_null(collapse_tick(&w.scope, &w.cs, NULL, w.now));
	run(b, -1);
	assert_int_equal(w.at[1].got, 20);
	assert_int_equal(w.at[2].got, 20);
	assert_int_equal(w.at[3].got, 30);
	world_fini(&w);
}

static void test_equal_arguments_are_refused_without_the_cache(void **state)
{
	struct world w;

	world_init(&w);
	w.cs.request_cache = false;
	assert_int_equal(add(&w, 0, 1, NULL), COLLAPSE_GATHERED);
	assert_int_equal(add(&w, 1, 1, NULL), COLLAPSE_REFUSED);
	run(collapse_tick(&w.scope, &w.cs, NULL, w.now), -1);
	assert_int_equal(add(&w, 1, 1, NULL), COLLAPSE_GATHERED); /* in another batch it may */
	run(collapse_tick(&w.scope, &w.cs, NULL, w.now), -1);
	world_fini(&w);
}

static void test_who_gets_no_answer_is_told(void **state)
{
	struct world w;

	world_init(&w);
	for (unsigned i = 0; i < 4; i++)
		add(&w, i, (int)i + 1, NULL);
	add(&w, 4, 3, NULL);
	run(collapse_tick(&w.scope, &w.cs, NULL, w.now), 3);
	assert_int_equal(w.at[1].got, 20);
	assert_int_equal(w.at[2].got, -1);
	assert_int_equal(w.at[2].code, VINE_EPROTO);
	assert_int_equal(w.at[4].got, -1);
	add(&w, 5, 9, NULL); /* nor does one that waits when the scope ends */
	world_fini(&w);
	assert_int_equal(w.at[5].got, -1);
}

static void test_a_batch_that_failed_tells_why(void **state)
{
	struct err why = { .code = VINE_ETIMEOUT };
	struct collapse_batch *b;
	struct world w;

	world_init(&w);
	for (unsigned i = 0; i < 3; i++)
		add(&w, i, (int)i, NULL);
	b = collapse_tick(&w.scope, &w.cs, NULL, w.now);

	struct shared *v = value(5);

	batch_answer(b, 1, v);
	shared_unref(v);
	batch_refuse(b, &why);
	assert_int_equal(w.at[0].code, VINE_ETIMEOUT);
	assert_int_equal(w.at[1].got, 5);
	assert_int_equal(w.at[1].code, 0);
	batch_end(b);
	world_fini(&w);
}

static void test_each_request_has_a_scope_of_its_own(void **state)
{
	struct flow_request *a = flow_request_new(), *b = flow_request_new();
	struct collapse_scope *sa, *sb;
	struct item it = { .it.done = on_done };
	struct world w;

	world_init(&w);
	sa = collapse_scope_of(a, w.c, w.now);
	sb = collapse_scope_of(b, w.c, w.now);
	assert_ptr_not_equal(sa, sb);
	assert_ptr_equal(sa, collapse_scope_of(a, w.c, w.now + 5));
	it.it.key = STR("1");
	it.it.arg = value(1);
	assert_int_equal(collapse_add(sa, &w.cs, &it.it, w.now, NULL), COLLAPSE_GATHERED);
	shared_unref(it.it.arg);
	assert_null(collapse_tick(sb, &w.cs, NULL, w.now));
	flow_request_unref(b);
	flow_request_unref(a); /* who still waits is told */
	assert_true(it.is_done && it.got == -1);
	world_fini(&w);
}

static void test_a_second_answer_does_nothing(void **state)
{
	struct world w;
	struct collapse_batch *b;
	struct shared *v = value(5), *other = value(6);

	world_init(&w);
	add(&w, 0, 1, NULL);
	b = collapse_tick(&w.scope, &w.cs, NULL, w.now);
	batch_answer(b, 0, v);
	batch_answer(b, 0, other);
	batch_end(b);
	assert_int_equal(w.at[0].got, 5);
	shared_unref(v);
	shared_unref(other);
	world_fini(&w);
}

static void test_who_waits_may_withdraw_also_from_a_running_batch(void **state)
{
	struct world w;
	struct collapse_batch *b;

	world_init(&w);
	add(&w, 0, 1, NULL);
	add(&w, 1, 2, NULL);
	add(&w, 2, 2, NULL);
	assert_true(collapse_withdraw(&w.scope, &w.at[0].it));
	b = collapse_tick(&w.scope, &w.cs, NULL, w.now);
	assert_true(collapse_withdraw(&w.scope, &w.at[1].it));
	memset(&w.at[1], 0, sizeof(w.at[1])); /* its memory is its owner's again; the argument is the batch's own */
	run(b, -1);
	assert_false(w.at[0].is_done);
	assert_int_equal(w.at[2].got, 20);
	assert_false(collapse_withdraw(&w.scope, &w.at[2].it));
	world_fini(&w);
}

static void test_an_item_knows_whether_it_is_still_to_leave(void **state)
{
	struct collapse_batch *b;
	struct world w;

	world_init(&w);
	add(&w, 0, 1, NULL);
	b = collapse_tick(&w.scope, &w.cs, &w.at[0].it, w.now);
	assert_non_null(b);
	add(&w, 1, 2, NULL); /* another batch is being filled */
	assert_true(collapse_due(&w.scope, &w.cs, &w.at[0].it, w.now) == USEC_NEVER);
	assert_null(collapse_tick(&w.scope, &w.cs, &w.at[0].it, w.now));
	run(b, -1);
	run(collapse_tick(&w.scope, &w.cs, &w.at[1].it, w.now), -1);
	world_fini(&w);
}

static uint32_t odd(const struct batch_place *p, void *ctx)
{
	return (uint32_t)number_of(p->arg) % 2;
}

static void test_a_batch_may_be_parted(void **state)
{
	struct world w;
	struct collapse_batch *part[3];

	world_init(&w);
	for (unsigned i = 0; i < 5; i++)
		add(&w, i, (int)i, NULL);
	batch_shard(collapse_tick(&w.scope, &w.cs, NULL, w.now), 3, odd, NULL, part);
	assert_int_equal(part[0]->n, 3);
	assert_int_equal(part[1]->n, 2);
	assert_null(part[2]);
	for (unsigned i = 0; i < 3; i++)
		if (part[i])
			run(part[i], -1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(w.at[i].got, i * 10);
	world_fini(&w);
}

static void test_the_batch_command_counts_its_members(void **state)
{
	static const struct cmd_settings plain = CMD_SETTINGS_DEFAULT;
	static struct command_snapshot snap;
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	struct command *cmd = command_table_take(t, STR("batch"), STR("g"), START);
	struct collapse_batch *b;
	struct world w;

	world_init(&w);
	for (unsigned i = 0; i < 5; i++)
		add(&w, i, (int)i, NULL);
	b = collapse_tick(&w.scope, &w.cs, NULL, w.now);
	batch_count(b, cmd, &plain, 0, w.now);
	run(b, -1);
	command_snapshot(cmd, &plain, w.now, &snap);
	assert_int_equal(snap.stats.rolling[EVENT_COLLAPSED], 5);
	assert_int_equal(snap.stats.health.total, 0);
	command_unref(cmd);
	command_table_free(t);
	world_fini(&w);
}

static void test_numbers_roll(void **state)
{
	struct world w;

	world_init(&w);
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned k = 0; k <= i; k++)
			add(&w, k, (int)k, NULL);
		run(collapse_tick(&w.scope, &w.cs, NULL, w.now), -1);
		w.now += 100 * MS;
	}
	collapser_note_cached(w.c, &w.cs, w.now);
	assert_int_equal(look(&w)->rolling_requests, 55);
	assert_int_equal(look(&w)->rolling_batches, 10);
	assert_int_equal(look(&w)->rolling_from_cache, 1);
	assert_int_equal(look(&w)->sizes.n, 10);
	assert_int_equal(look(&w)->sizes.sum, 55);
	assert_int_equal(hist_quantile(&look(&w)->sizes, 1), 10);
	assert_int_equal(look(&w)->delay_ms, 10);
	w.now += 11 * USEC_PER_SEC;
	assert_int_equal(look(&w)->rolling_batches, 0);
	assert_int_equal(look(&w)->sizes.n, 10); /* a longer window */
	w.cs.percentile_enabled = false;
	assert_int_equal(look(&w)->sizes.n, 0);
	w.cs.percentile_enabled = true;
	w.now += 61 * USEC_PER_SEC;
	assert_int_equal(look(&w)->sizes.n, 0);
	world_fini(&w);
}

/* --- threads: everybody adds, who fills a batch runs it, one more thread keeps the ticks --- */

struct racer {
	struct world *w;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct collapse_item it;
	bool is_done;
	int got;
	_Atomic bool *over;
};

static void racer_done(struct collapse_item *it, struct shared *answer, const struct err *why)
{
	struct racer *r = container_of(it, struct racer, it);

	pthread_mutex_lock(&r->lock);
	r->is_done = true;
	r->got = answer ? number_of(answer) : -1;
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
	shared_unref(answer);
}

static void *race(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < 300; i++) {
		struct collapse_batch *full = NULL;
		char key[16];

		r->is_done = false;
		r->it = (struct collapse_item){ .done = racer_done, .arg = value(i) };
		r->it.key = str_of(key, (size_t)snprintf(key, sizeof(key), "%d", i));

		struct shared *mine = r->it.arg;

		if (collapse_add(&r->w->scope, &r->w->cs, &r->it, START, &full) == COLLAPSE_FULL)
			run(full, -1);
		shared_unref(mine);
		if (i % 5 == 0 && collapse_withdraw(&r->w->scope, &r->it))
			continue;
		pthread_mutex_lock(&r->lock);
		while (!r->is_done)
			pthread_cond_wait(&r->cond, &r->lock);
		if (r->got != i * 10)
			abort();
		pthread_mutex_unlock(&r->lock);
	}
	return NULL;
}

static void *keep_ticks(void *arg)
{
	struct racer *r = arg;

	while (!atomic_load(r->over)) {
		struct collapse_batch *b = collapse_tick(&r->w->scope, &r->w->cs, NULL, START);

		if (b)
			run(b, -1);
	}
	return NULL;
}

static void test_16_threads_lose_no_answer(void **state)
{
	struct racer r[17];
	pthread_t id[17];
	_Atomic bool over = false;
	struct world w;

	world_init(&w);
	w.cs.batch_max = 5;
	for (unsigned i = 0; i < 17; i++) {
		r[i] = (struct racer){ .w = &w, .over = &over };
		pthread_mutex_init(&r[i].lock, NULL);
		pthread_cond_init(&r[i].cond, NULL);
		assert_int_equal(pthread_create(&id[i], NULL, i < 16 ? race : keep_ticks, &r[i]), 0);
	}
	for (unsigned i = 0; i < 17; i++) {
		if (i == 16)
			atomic_store(&over, true);
		pthread_join(id[i], NULL);
		pthread_cond_destroy(&r[i].cond);
		pthread_mutex_destroy(&r[i].lock);
	}
	assert_int_equal(look(&w)->rolling_requests, 16 * 300);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_leaves_at_the_tick),
		cmocka_unit_test(test_a_full_batch_leaves_at_once),
		cmocka_unit_test(test_equal_arguments_are_refused_without_the_cache),
		cmocka_unit_test(test_who_gets_no_answer_is_told),
		cmocka_unit_test(test_a_batch_that_failed_tells_why),
		cmocka_unit_test(test_each_request_has_a_scope_of_its_own),
		cmocka_unit_test(test_a_second_answer_does_nothing),
		cmocka_unit_test(test_who_waits_may_withdraw_also_from_a_running_batch),
		cmocka_unit_test(test_an_item_knows_whether_it_is_still_to_leave),
		cmocka_unit_test(test_a_batch_may_be_parted),
		cmocka_unit_test(test_the_batch_command_counts_its_members),
		cmocka_unit_test(test_numbers_roll),
		cmocka_unit_test(test_16_threads_lose_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
