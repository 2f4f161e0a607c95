/* test_registry_pictures.c - what is read of the registry: deltas, old pictures, bodies. */
#include "registry_world.h"

#include "codec/gzip.h"
#include "eureka/view.h"
#include "registry/body.h"

/* --- delta --- */

static char *delta_text(struct world *w)
{
	struct buf b = BUF_INIT(1 << 20);
	struct times t = { w->now, wall_of(w) };

	body_delta(&b, w->l.p, BODY_JSON, &t);
	return buf_take(&b);
}

static void test_delta(void **state)
{
	struct world w;
	struct apps_doc d;
	char *text;

	(void)state;
	world_init(&w, NULL);
	add(&w, "A", "1", INST_UP);
	add(&w, "B", "1", INST_UP);
	leases_set_status(&w.l, STR("A"), STR("1"), INST_DOWN, 0, 0, w.now, wall_of(&w));
	w.now += 100 * SEC;
	leases_cancel(&w.l, STR("B"), STR("1"), 0, w.now, wall_of(&w));

	uint64_t version = w.l.p->delta_version;

	text = delta_text(&w);
	assert_int_equal(apps_json_decode(&d, str_from(text), NULL), 0);
	assert_int_equal(d.n, 2); /* each once, with what happened last */
	assert_int_equal(d.inst[0]->action, ACTION_MODIFIED);
	assert_int_equal(d.inst[0]->status, INST_DOWN);
	assert_int_equal(d.inst[1]->action, ACTION_DELETED);
	assert_int_equal(d.inst[1]->status, INST_UP); /* its last */
	assert_str(str_of(d.hash, d.hash_len), STR("DOWN_1_")); /* of the whole registry */
	assert_true(d.version == (int64_t)version);
	apps_doc_fini(&d);
	free(text);

	w.now += 81 * SEC; /* the first three are older than 180 s */
	assert_true(leases_tidy(&w.l, w.now));
	assert_false(leases_tidy(&w.l, w.now));
	assert_int_equal(w.l.p->delta_n, 1);
	assert_true(w.l.p->delta_version != version);
	text = delta_text(&w);
	assert_int_equal(apps_json_decode(&d, str_from(text), NULL), 0);
	assert_int_equal(d.n, 1);
	apps_doc_fini(&d);
	free(text);
	w.now += 100 * SEC;
	assert_true(leases_tidy(&w.l, w.now));
	assert_int_equal(w.l.p->delta_n, 0);
	world_fini(&w);
}

/* A reader's picture stays as it was, whatever the writer does; the log is bounded. */
static void test_old_pictures(void **state)
{
	struct world w;
	struct picture *old;
	struct delta_walk walk;
	uint32_t n = 0;

	(void)state;
	world_init(&w, &(struct leases_config){ .delta_max = 200 });
	add(&w, "A", "x", INST_UP);
	old = picture_ref(w.l.p);
	for (int i = 0; i < 1000; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		add(&w, "A", id, INST_UP);
		if (i % 2)
			leases_cancel(&w.l, STR("A"), str_from(id), 0, w.now, wall_of(&w));
		leases_tidy(&w.l, w.now);
		assert_true(w.l.p->delta_n <= 202);
	}
	assert_int_equal(w.l.p->n_instances, 501);
	assert_int_equal(old->n_instances, 1);
	assert_null(picture_find(old, STR("A"), STR("7")));
	walk = picture_delta(old);
	while (delta_next(&walk))
		n++;
	assert_int_equal(n, 1);
	for (uint64_t v = w.l.p->delta_floor; v <= w.l.p->version; v++) {
		uint32_t later = 0;

		walk = picture_delta(w.l.p);
		for (const struct delta_item *it; (it = delta_next(&walk));)
			later += it->version > v;
		walk = picture_delta_after(w.l.p, v);
		for (n = 0; delta_next(&walk);)
			n++;
		assert_int_equal(n, later);
	}
	walk = picture_delta(w.l.p);
	for (n = 0; delta_next(&walk);)
		n++;
	assert_int_equal(n, w.l.p->delta_n);
	check_counts(&w);
	picture_unref(old);
	world_fini(&w);
}

/* Does the client know just what the registry knows? */
static void check_same(struct world *w, struct eureka_cache *c)
{
	struct eureka_view *v = eureka_cache_view(c, false);
	struct view_walk walk = eureka_view_walk(v);
	const struct view_group *g;

	assert_int_equal(v->n, w->l.p->n_instances);
	while ((g = view_walk_next(&walk))) {
		for (uint32_t i = 0; i < g->n; i++) {
			const struct entry *e = picture_find(w->l.p, g->inst[i]->app, g->inst[i]->id);

			assert_non_null(e);
			assert_int_equal(e->inst->status, g->inst[i]->status);
			assert_true(e->inst->dirty == g->inst[i]->dirty);
		}
	}
	eureka_view_unref(v);
}

/* A client that follows deltas alone knows the truth after each, whatever happens between them. */
static void test_deltas_lead_to_the_truth(void **state)
{
	struct eureka_cache cache;
	struct world w;
	struct rng rng;

	(void)state;
	eureka_cache_init(&cache, 5);
	world_init(&w, NULL);
	rng_seed(&rng, 99);
	for (int step = 0; step < 3000; step++) {
		char id[8], app[4];

		snprintf(app, sizeof(app), "A%u", rng_below(&rng, 5));
		snprintf(id, sizeof(id), "%u", rng_below(&rng, 12));
		w.now += SEC / 10;
		switch (rng_below(&rng, 4)) {
		case 0:
		case 1: add(&w, app, id, (enum inst_status)rng_below(&rng, INST_STATUS_COUNT)); break;
		case 2: leases_cancel(&w.l, str_from(app), str_from(id), 0, w.now, wall_of(&w)); break;
		default:
			leases_set_status(&w.l, str_from(app), str_from(id), (enum inst_status)rng_below(&rng, 5), 0, 0, w.now,
					  wall_of(&w));
		}
		leases_tidy(&w.l, w.now);
		check_counts(&w);
		if (step % 20 == 0) {
			char *text = delta_text(&w);
			struct apps_doc d;

			assert_int_equal(apps_json_decode(&d, str_from(text), NULL), 0);
			eureka_cache_delta(&cache, &d);
			assert_true(eureka_cache_matches(&cache, &d));
			check_same(&w, &cache);
			apps_doc_fini(&d);
			free(text);
		}
	}
	eureka_cache_fini(&cache);
	world_fini(&w);
}

/* --- bodies --- */

static void test_bodies(void **state)
{
	static const char *const want[] = {
		[BODY_JSON] = "{\"applications\":{\"versions__delta\":\"1\",\"apps__hashcode\":\"DOWN_1_UP_2_\",\"application\":[{\"name\":\"A\",\"instance\":[{\"instanceId\":\"1\"",
		[BODY_JSON_MINI] = "{\"applications\":{\"application\":[{\"name\":\"A\",\"instance\":[{\"instanceId\":\"1\",\"app\":\"A\"",
		[BODY_XML] = "<applications>\n  <versions__delta>1</versions__delta>\n  <apps__hashcode>DOWN_1_UP_2_</apps__hashcode>\n  <application>\n    <name>A</name>\n    <instance>\n      <instanceId>1</instanceId>",
		[BODY_XML_MINI] = "<applications><application><name>A</name><instance><instanceId>1</instanceId>",
	};
	struct world w;
	struct times t;

	(void)state;
	world_init(&w, NULL);
	t = (struct times){ w.now, wall_of(&w) };
	for (int round = 0; round < 3; round++) { /* the second one with what is cached, the third after a change */
		if (round == 0) {
			add(&w, "B", "1", INST_DOWN);
			add(&w, "A", "2", INST_UP);
			add(&w, "A", "1", INST_UP);
		} else if (round == 2) {
			leases_cancel(&w.l, STR("B"), STR("1"), 0, w.now, wall_of(&w));
			add(&w, "C", "1", INST_DOWN);
		}
		for (int f = 0; f < BODY_FORMATS; f++) {
			const struct blob *z = body_full_gzip(w.l.p, (enum body_format)f, &t);
			struct buf plain = BUF_INIT(1 << 20);
			struct err e;

			if (gzip_unpack(&plain, str_of(z->data, z->len), 1 << 20, 1000, &e) < 0)
				fail_msg("format %d: %s", f, e.text); /* checks CRC and length */
			if (!str_has_prefix(buf_str(&plain), str_from(want[f])))
				fail_msg("format %d: %.*s", f, STRF(buf_str(&plain)));
			buf_fini(&plain);
		}
	}
	world_fini(&w);
}

static void test_vip(void **state)
{
	static const struct {
		const char *vip;
		bool secure;
		const char *want;
	} rows[] = {
		{ "none", false, "{\"applications\":{\"versions__delta\":\"-1\",\"apps__hashcode\":\"\",\"application\":[]}}" },
		{ "two", false, "\"apps__hashcode\":\"UP_1_\"" },
		{ "One", false, "\"application\":[]" },
		{ "safe", true, "\"apps__hashcode\":\"UP_1_\"" },
		{ "safe", false, "\"application\":[]" },
		{ "", false, "\"application\":[]" },
	};
	struct world w;
	struct instance d = draft("A", "1", INST_UP);

	(void)state;
	world_init(&w, NULL);
	d.vip = STR("one,two");
	d.secure_vip = STR("safe");
	leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT(1 << 20);
		struct times t = { w.now, wall_of(&w) };

		body_vip(&b, w.l.p, str_from(rows[i].vip), rows[i].secure, BODY_JSON, &t);
		if (str_find(buf_str(&b), str_from(rows[i].want)) < 0)
			fail_msg("%s: %.*s", rows[i].vip, STRF(buf_str(&b)));
		buf_fini(&b);
	}
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_old_pictures),
		cmocka_unit_test(test_deltas_lead_to_the_truth),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_vip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
