/* test_registry_preserve.c - when nobody is evicted, why, and how it ends. */
#include "registry_world.h"

#include "registry/preserve.h"

/* n instances, `lost` of which fall silent at some time; the others go on. Judged each second up to `until`. */
static const struct story {
	const char *name;
	uint32_t n, lost, interval, duration;
	bool enabled, want_on; /* on at any time while nobody is evicted */
} stories[] = {
	{ "all is well", 10, 0, 30, 90, true, false },
	{ "one of one", 1, 1, 30, 90, true, false },
	{ "one of two", 2, 1, 30, 90, true, false },
	{ "one of three", 3, 1, 1, 3, true, false },
	{ "one of six, the shop's leases", 6, 1, 1, 3, true, false },
	{ "two of three", 3, 2, 30, 90, true, true },
	{ "two of ten", 10, 2, 30, 90, true, true },
	{ "all of two", 2, 2, 1, 3, true, true },
	{ "a tenth", 100, 10, 30, 90, true, false },
	{ "a fifth", 100, 20, 30, 90, true, true },
	{ "a fifth, short leases", 100, 20, 1, 3, true, true },
	{ "all, but it is turned off", 20, 20, 30, 90, false, false },
};

static void test_preserve_stories(void **state)
{
	(void)state;
	for (const struct story *s = stories; s < stories + ARRAY_LEN(stories); s++) {
		struct world w;
		struct preserve p;
		bool was_on = false, on_at_expiry = false;
		usec lost_at, step;

		world_init(&w, NULL);
		preserve_init(&p, &(struct preserve_config){ s->enabled, 0.85, 900 * SEC });
		step = (usec)s->interval * SEC / 10;
		for (uint32_t i = 0; i < s->n; i++) {
			struct instance d = draft("A", "", INST_UP);
			char id[16];

			snprintf(id, sizeof(id), "%04u", i);
			d.instance_id = d.id = str_from(id);
			d.lease.renewal_s = s->interval;
			d.lease.duration_s = s->duration;
			leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL);
		}
		lost_at = w.now + (usec)s->interval * 3 * SEC;
		for (int k = 0; w.now < lost_at + (usec)s->duration * SEC + (usec)s->interval * SEC; k++, w.now += step) {
			for (uint32_t i = 0; i < s->n; i++) { /* each at its own tenth of the interval */
				char id[16];

				snprintf(id, sizeof(id), "%04u", i);
				if (i % 10 == (uint32_t)k % 10 && (i >= s->lost || w.now < lost_at))
					beat(&w, "A", id);
			}
			preserve_judge(&p, w.l.p, false, w.now);
			if (w.now < lost_at && p.last.on)
				fail_msg("%s: on although nobody is missing (%u of %u)", s->name, p.last.missing, p.last.counted);
			was_on |= p.last.on;
			if (p.last.expired && p.last.on)
				on_at_expiry = true;
			if (p.last.expired && !p.last.on && s->want_on)
				fail_msg("%s: %u leases may be evicted before it is on", s->name, p.last.expired);
		}
		if (was_on != s->want_on || on_at_expiry != s->want_on)
			fail_msg("%s: on %d, want %d (share %.2f, missing %u)", s->name, was_on, s->want_on, p.last.share,
				 p.last.missing);
		world_fini(&w);
	}
}

static void lose(struct world *w, uint32_t n, uint32_t lost, usec for_long)
{
	usec end = w->now + for_long;

	while (w->now < end) {
		w->now += 10 * SEC;
		for (uint32_t i = lost; i < n; i++) {
			char id[16];

			snprintf(id, sizeof(id), "%04u", i);
			beat(w, "A", id);
		}
	}
}

static void fill(struct world *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%04u", i);
		add(w, "A", id, INST_UP);
	}
}

/* It ends: by the clients' return, by an operator's word, by time; and says what it waits for. */
static void test_preserve_exit(void **state)
{
	struct world w;
	struct preserve p;
	char text[PRESERVE_TEXT_MAX];

	(void)state;
	world_init(&w, NULL);
	preserve_init(&p, &PRESERVE_DEFAULT);
	fill(&w, 10);
	lose(&w, 10, 4, 120 * SEC);
	assert_true(preserve_judge(&p, w.l.p, false, w.now));
	assert_true(p.last.on);
	assert_int_equal(p.last.silent, 4);
	assert_int_equal(p.last.expired, 4);
	assert_int_equal(p.last.needed, 3); /* then nine of ten renew */
	assert_true(p.last.since == w.now);
	preserve_text(&p.last, text);
	assert_non_null(strstr(text, "3 more of them"));
	assert_non_null(strstr(text, "60.0 %"));

	for (int i = 0; i < 3; i++) { /* so many come back, and it is off */
		char id[8];

		assert_true(p.last.on);
		snprintf(id, sizeof(id), "%04d", i);
		beat(&w, "A", id);
		preserve_judge(&p, w.l.p, false, w.now);
	}
	assert_false(p.last.on);

	lose(&w, 10, 4, 120 * SEC); /* again; now the operator speaks */
	preserve_judge(&p, w.l.p, false, w.now);
	assert_true(p.last.on);
	preserve_accept(&p, w.now);
	preserve_judge(&p, w.l.p, false, w.now);
	assert_false(p.last.on);
	assert_int_equal(p.last.accepted, 4);
	assert_int_equal(p.last.counted, 6);
	beat(&w, "A", "0000"); /* one that was given up lives: it counts again */
	preserve_judge(&p, w.l.p, false, w.now);
	assert_int_equal(p.last.counted, 7);
	lose(&w, 10, 7, 120 * SEC); /* what is lost later is not accepted by that */
	preserve_judge(&p, w.l.p, false, w.now);
	assert_true(p.last.on);
	lose(&w, 10, 7, 900 * SEC); /* time passes: they are no evidence any more */
	preserve_judge(&p, w.l.p, false, w.now);
	assert_false(p.last.on);
	world_fini(&w);
}

/* A cut network heals: the clients come back one after the other, each at its next heartbeat. When enough have, it ends, and
 * those whose turn has not come yet must not be evicted for that; those that are dead go one interval later. */
static void test_preserve_spares_the_slow(void **state)
{
	struct world w;
	struct preserve p;

	(void)state;
	world_init(&w, NULL);
	preserve_init(&p, &PRESERVE_DEFAULT);
	fill(&w, 30);
	assert_true(preserve_spares(&p) == 0);
	for (int i = 0; i < 20; i++) { /* two hundred seconds of silence */
		w.now += 10 * SEC;
		preserve_judge(&p, w.l.p, false, w.now);
	}
	assert_true(p.last.on);
	assert_true(preserve_spares(&p) == 0);
	for (int i = 0; i < 29; i++) { /* one each second; the thirtieth is dead */
		char id[16];

		snprintf(id, sizeof(id), "%04d", i);
		w.now += SEC;
		beat(&w, "A", id);
		preserve_judge(&p, w.l.p, false, w.now);
		if (!p.last.on) {
			assert_true(preserve_spares(&p) == p.last.since);
			assert_int_equal(leases_evict(&w.l, &(struct leases_evict){ .now = w.now, .spared = preserve_spares(&p), .rng = &w.rng }), 0);
		}
	}
	assert_false(p.last.on);
	assert_true(p.last.expired == 1);
	w.now = p.last.since + 38 * SEC;
	assert_int_equal(leases_evict(&w.l, &(struct leases_evict){ .now = w.now, .spared = preserve_spares(&p), .rng = &w.rng }), 1);
	assert_int_equal(w.l.p->n_instances, 29);
	lose(&w, 29, 10, 200 * SEC); /* an operator who accepts the size means it at once */
	preserve_judge(&p, w.l.p, false, w.now);
	assert_true(p.last.on);
	preserve_accept(&p, w.now);
	preserve_judge(&p, w.l.p, false, w.now);
	assert_false(p.last.on);
	assert_true(preserve_spares(&p) == 0);
	world_fini(&w);
}

/* Turned off it says so, and what it would do. */
static void test_preserve_turned_off(void **state)
{
	struct world w;
	struct preserve p;
	char text[PRESERVE_TEXT_MAX];

	(void)state;
	world_init(&w, NULL);
	preserve_init(&p, &(struct preserve_config){ false, 0.85, 900 * SEC });
	fill(&w, 10);
	preserve_judge(&p, w.l.p, false, w.now);
	preserve_text(&p.last, text);
	assert_non_null(strstr(text, "turned off"));
	assert_non_null(strstr(text, "100.0 % of 10 clients"));
	lose(&w, 10, 4, 120 * SEC);
	preserve_judge(&p, w.l.p, false, w.now);
	assert_false(p.last.on);
	preserve_text(&p.last, text);
	assert_non_null(strstr(text, "only 60.0 % of 10 clients"));
	assert_non_null(strstr(text, "less than 85 %: with it nothing would be evicted now; 4 miss heartbeats, 4 are silent"));
	world_fini(&w);
}

static void test_preserve_when_nobody_is_heard(void **state)
{
	struct world w;
	struct preserve p;

	(void)state;
	world_init(&w, NULL);
	preserve_init(&p, &PRESERVE_DEFAULT);
	preserve_judge(&p, w.l.p, false, w.now);
	assert_false(p.last.on); /* an empty registry is fine */
	fill(&w, 10);
	for (int i = 0; i < 200; i++) { /* for two thousand seconds not a sound: our own network is gone */
		w.now += 10 * SEC;
		preserve_judge(&p, w.l.p, false, w.now);
		if (p.last.expired)
			assert_true(p.last.on);
	}
	beat(&w, "A", "0001"); /* one speaks again, and speaks for those that do not */
	preserve_judge(&p, w.l.p, false, w.now);
	assert_false(p.last.on);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preserve_stories),
		cmocka_unit_test(test_preserve_exit),
		cmocka_unit_test(test_preserve_spares_the_slow),
		cmocka_unit_test(test_preserve_turned_off),
		cmocka_unit_test(test_preserve_when_nobody_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
