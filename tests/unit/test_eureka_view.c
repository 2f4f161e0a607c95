/* test_eureka_view.c - views that are made from the last one must be what one made from all would be, and share what is the same. */
#include "test.h"

#include <stdio.h>

#include "base/rng.h"
#include "eureka/view.h"

static struct instance *make(unsigned app, unsigned id, unsigned vips, enum inst_status status, msec dirty)
{
	static const char *const lists[] = { "", "shop", "shop,front", "FRONT,shop,front", "v1,v2,v3,v4", ",,x,", "front,v2" };
	char app_text[16], id_text[16];
	struct instance d = instance_draft();

	snprintf(app_text, sizeof(app_text), "APP-%u", app);
	snprintf(id_text, sizeof(id_text), "i%u", id);
	d.app = str_from(app_text);
	d.instance_id = str_from(id_text);
	d.host = STR("h");
	d.vip = str_from(lists[vips % ARRAY_LEN(lists)]);
	d.status = (uint8_t)status;
	d.dirty = dirty;
	return instance_new(&d);
}

static void same_index(const struct view_index *a, const struct view_index *b)
{
	struct view_walk x = { .x = a }, y = { .x = b };
	const struct view_group *g, *h, *last = NULL;

	assert_int_equal(a->n, b->n);
	while ((g = view_walk_next(&x))) {
		h = view_walk_next(&y);
		assert_non_null(h);
		assert_true(str_eq_nocase(g->name, h->name));
		assert_int_equal(g->n, h->n);
		for (uint32_t i = 0; i < g->n; i++) {
			assert_str(g->inst[i]->id, h->inst[i]->id);
			assert_str(g->inst[i]->app, h->inst[i]->app);
			assert_int_equal(g->inst[i]->dirty, h->inst[i]->dirty);
			assert_int_equal(g->inst[i]->status, h->inst[i]->status);
		}
		assert_ptr_equal(view_index_get(a, g->name), g);
		assert_true(!last || !str_eq_nocase(last->name, g->name));
		last = g;
	}
	assert_null(view_walk_next(&y));
}

/* What the cache has, in a view from nothing. */
static void check(struct eureka_cache *c, struct eureka_view *v, bool only_up)
{
	struct eureka_cache fresh = *c;
	struct eureka_view *all;

	fresh.last = NULL;
	fresh.edits = NULL;
	fresh.n_edits = fresh.room = 0;
	all = eureka_cache_view(&fresh, only_up);
	assert_int_equal(v->n, all->n);
	assert_int_equal(v->n_apps, all->n_apps);
	same_index(v->apps, all->apps);
	same_index(v->vips, all->vips);
	eureka_view_unref(fresh.last);
	eureka_view_unref(all);
}

static void random_changes(struct eureka_cache *c, struct rng *rng, unsigned apps, unsigned n, msec dirty)
{
	struct apps_doc d = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct instance *x = make(rng_below(rng, apps), rng_below(rng, 6), rng_below(rng, 7),
					  (enum inst_status)(rng_below(rng, 3) ? INST_UP : rng_below(rng, INST_STATUS_COUNT)), dirty + i);

		x->action = rng_below(rng, 4) ? ACTION_MODIFIED : ACTION_DELETED; /* ours alone so far */
		apps_doc_add(&d, x);
	}
	eureka_cache_delta(c, &d);
	apps_doc_fini(&d);
}

static void test_views_from_the_last_one(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 6; seed++) {
		unsigned apps = seed % 2 ? 5 : 400; /* of few groups, and of many chunks */
		bool only_up = seed % 3 == 0;
		struct eureka_view *held[8] = { 0 };
		struct eureka_cache c;
		struct rng rng;

		rng_seed(&rng, seed);
		eureka_cache_init(&c, seed);
		for (unsigned step = 0; step < 300; step++) {
			struct eureka_view **place = &held[rng_below(&rng, ARRAY_LEN(held))];
			unsigned n = step % 50 == 49 ? 400 : rng_below(&rng, 5);

			random_changes(&c, &rng, apps, n, step * 1000);
			eureka_view_unref(*place);
			*place = eureka_cache_view(&c, only_up);
			check(&c, *place, only_up);
		}
		eureka_cache_fini(&c);
		for (size_t i = 0; i < ARRAY_LEN(held); i++)
			eureka_view_unref(held[i]);
	}
}

static void change(struct eureka_cache *c, struct instance *x, enum inst_action action)
{
	struct apps_doc d = { 0 };

	x->action = (uint8_t)action;
	apps_doc_add(&d, x);
	eureka_cache_delta(c, &d);
	apps_doc_fini(&d);
}

static void test_what_is_the_same_is_shared(void **state)
{
	struct eureka_cache c;
	struct eureka_view *v[4];

	(void)state;
	eureka_cache_init(&c, 1);
	change(&c, make(1, 1, 1, INST_UP, 1), ACTION_ADDED);
	change(&c, make(2, 1, 2, INST_UP, 1), ACTION_ADDED);
	v[0] = eureka_cache_view(&c, true);
	v[1] = eureka_cache_view(&c, true);
	assert_ptr_equal(v[0]->apps, v[1]->apps);
	change(&c, make(3, 1, 2, INST_UP, 1), ACTION_ADDED);
	v[2] = eureka_cache_view(&c, true);
	assert_ptr_equal(eureka_view_app(v[2], STR("app-1")), eureka_view_app(v[0], STR("APP-1")));
	assert_ptr_not_equal(eureka_view_vip(v[2], STR("front")), eureka_view_vip(v[0], STR("front")));
	assert_null(eureka_view_app(v[1], STR("APP-3")));
	change(&c, make(1, 1, 1, INST_DOWN, 2), ACTION_MODIFIED);
	v[3] = eureka_cache_view(&c, true);
	assert_null(eureka_view_app(v[3], STR("APP-1"))); /* nobody is up */
	assert_int_equal(v[3]->n, 2);
	assert_int_equal(v[2]->n, 3);
	assert_int_equal(eureka_view_vip(v[2], STR("shop"))->n, 3);
	for (int i = 3; i >= 0; i--)
		eureka_view_unref(v[i]);
	eureka_cache_fini(&c);
}

static void test_bytes_are_bounded(void **state)
{
	struct eureka_cache c;

	(void)state;
	eureka_cache_init(&c, 1);
	change(&c, make(1, 1, 1, INST_UP, 1), ACTION_ADDED);
	change(&c, make(1, 1, 4, INST_UP, 2), ACTION_MODIFIED);
	change(&c, make(1, 2, 4, INST_UP, 2), ACTION_ADDED);
	assert_true(c.bytes > 2 * sizeof(struct instance));
	change(&c, make(1, 1, 4, INST_UP, 2), ACTION_DELETED);
	change(&c, make(1, 2, 4, INST_UP, 2), ACTION_DELETED);
	assert_int_equal(c.bytes, 0);
	c.bytes = EUREKA_CACHE_BYTES_MAX - 10; /* as if there were so many */
	change(&c, make(1, 3, 4, INST_UP, 2), ACTION_ADDED);
	assert_int_equal(c.inst.len, 0);
	assert_int_equal(c.counts.n[INST_UP], 0); /* so the hash will say it */
	eureka_cache_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views_from_the_last_one),
		cmocka_unit_test(test_what_is_the_same_is_shared),
		cmocka_unit_test(test_bytes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
