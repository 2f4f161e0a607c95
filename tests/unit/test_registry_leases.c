/* test_registry_leases.c - what writes do to the registry: rules, leases, overrides, eviction. */
#include "registry_world.h"

/* --- rules --- */

static void test_status_rules(void **state)
{
	static const struct {
		const char *name;
		enum inst_status candidate, override, want;
	} rows[] = {
		{ "down is believed, whatever the override", INST_DOWN, INST_OUT_OF_SERVICE, INST_DOWN },
		{ "starting as well", INST_STARTING, INST_UP, INST_STARTING },
		{ "and what is unknown", INST_UNKNOWN, INST_UP, INST_UNKNOWN },
		{ "the override wins over up", INST_UP, INST_OUT_OF_SERVICE, INST_OUT_OF_SERVICE },
		{ "and over out of service", INST_OUT_OF_SERVICE, INST_UP, INST_UP },
		{ "one to down too", INST_UP, INST_DOWN, INST_DOWN },
		{ "without one up is up", INST_UP, INST_UNKNOWN, INST_UP },
		{ "and out of service out of service", INST_OUT_OF_SERVICE, INST_UNKNOWN, INST_OUT_OF_SERVICE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum inst_status got = status_by_rules(rows[i].candidate, rows[i].override);

		if (got != rows[i].want)
			fail_msg("%s: %.*s", rows[i].name, STRF(inst_status_name(got)));
	}
}

static void test_register_and_cancel(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	assert_int_equal(add(&w, "B", "1", INST_UP), 0);
	assert_int_equal(add(&w, "A", "2", INST_STARTING), 0);
	assert_int_equal(add(&w, "A", "1", INST_UP), 0);
	assert_int_equal(w.l.p->n_apps, 2);
	check_counts(&w);
	assert_int_equal(at(&w, "A", "1")->action, ACTION_ADDED);
	assert_true(at(&w, "A", "1")->lease.registered == wall_of(&w));
	assert_true(at(&w, "A", "1")->lease.service_up == wall_of(&w));
	assert_true(at(&w, "A", "2")->lease.service_up == 0);

	assert_int_equal(leases_cancel(&w.l, STR("A"), STR("9"), 0, w.now, wall_of(&w)), VINE_ENOTFOUND);
	assert_int_equal(leases_cancel(&w.l, STR("C"), STR("1"), 0, w.now, wall_of(&w)), VINE_ENOTFOUND);
	assert_int_equal(leases_cancel(&w.l, STR("A"), STR("1"), WALL - 1, w.now, wall_of(&w)), 0);
	assert_non_null(at(&w, "A", "1")); /* an older registration was meant */
	assert_int_equal(leases_cancel(&w.l, STR("A"), STR("1"), WALL, w.now, wall_of(&w)), 0);
	assert_null(at(&w, "A", "1"));
	assert_int_equal(leases_cancel(&w.l, STR("A"), STR("2"), 0, w.now, wall_of(&w)), 0);
	assert_null(picture_app(w.l.p, STR("A"))); /* an app without instances is none */
	assert_int_equal(w.l.p->n_apps, 1);
	check_counts(&w);
	world_fini(&w);
}

/* Greater lastDirtyTimestamp wins; a tie goes to the writer; the lease begins anew each time. */
static void test_dirty(void **state)
{
	static const struct {
		msec dirty;
		const char *host;
	} rows[] = { { WALL - 1, "old" }, { WALL, "new" }, { WALL + 1, "new" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		struct instance d = draft("A", "1", INST_UP);

		world_init(&w, NULL);
		d.host = STR("old");
		leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL);
		w.now += 10 * SEC;
		d.host = STR("new");
		d.dirty = rows[i].dirty;
		assert_int_equal(leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL), 0);
		assert_str(at(&w, "A", "1")->host, str_from(rows[i].host));
		assert_true(at(&w, "A", "1")->lease.registered == wall_of(&w));
		assert_true(at(&w, "A", "1")->lease.service_up == wall_of(&w) - 10000); /* carried over */
		assert_int_equal(w.l.p->n_instances, 1);
		world_fini(&w);
	}
}

static void test_heartbeats(void **state)
{
	static const struct {
		msec dirty;
		bool replicated;
		enum renewal want;
	} rows[] = {
		{ 0, false, RENEWED },		     { WALL, false, RENEWED },	      { WALL + 1, false, RENEW_OUTDATED },
		{ WALL - 1, false, RENEWED },	     { WALL - 1, true, RENEW_CONFLICT }, { WALL, true, RENEWED },
		{ WALL + 1, true, RENEW_OUTDATED },
	};
	struct world w;
	struct entry *e;

	(void)state;
	world_init(&w, NULL);
	add(&w, "A", "1", INST_UP);
	assert_int_equal(beat(&w, "A", "2"), RENEW_ABSENT);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct renew r = { STR("A"), STR("1"), rows[i].dirty, rows[i].replicated };

		w.now += SEC;
		assert_int_equal(lease_renew(w.l.p, &r, w.now, &e), rows[i].want);
		assert_true(atomic_load(&e->lease->renewed) == w.now); /* renewed in any case */
	}

	struct instance shown = entry_draft(e, w.now + 2 * SEC, wall_of(&w) + 2000);

	assert_true(shown.lease.renewed == wall_of(&w)); /* the true time, not one duration ahead */
	add(&w, "A", "u", INST_UNKNOWN);
	assert_int_equal(beat(&w, "A", "u"), RENEW_ABSENT); /* UNKNOWN must register again */
	world_fini(&w);
}

static void test_override(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	add(&w, "A", "1", INST_UP);
	assert_int_equal(leases_set_status(&w.l, STR("A"), STR("x"), INST_DOWN, 0, 0, w.now, 0), VINE_ENOTFOUND);

	uint32_t before = w.l.p->delta_n;

	assert_int_equal(leases_set_status(&w.l, STR("A"), STR("1"), INST_UP, 0, 0, w.now, wall_of(&w)), 0);
	assert_int_equal(w.l.p->delta_n, before); /* the same status: nothing */
	assert_int_equal(leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, WALL + 5, 0, w.now, wall_of(&w)), 0);
	assert_int_equal(at(&w, "A", "1")->status, INST_OUT_OF_SERVICE);
	assert_int_equal(at(&w, "A", "1")->overridden, INST_OUT_OF_SERVICE);
	assert_int_equal(at(&w, "A", "1")->action, ACTION_MODIFIED);
	assert_true(at(&w, "A", "1")->dirty == WALL + 5);
	check_counts(&w);

	struct instance d = draft("A", "1", INST_UP); /* the client registers again: the override stays */

	d.dirty = WALL + 9;
	leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL);
	assert_int_equal(at(&w, "A", "1")->status, INST_OUT_OF_SERVICE);
	assert_int_equal(at(&w, "A", "1")->overridden, INST_OUT_OF_SERVICE);

	/* removed without a value: what the client reported is back, no detour over UNKNOWN */
	assert_int_equal(leases_clear_status(&w.l, STR("A"), STR("1"), INST_UNKNOWN, 0, 0, w.now, wall_of(&w)), 0);
	assert_int_equal(at(&w, "A", "1")->status, INST_UP);
	assert_int_equal(at(&w, "A", "1")->overridden, INST_UNKNOWN);
	before = w.l.p->delta_n;
	assert_int_equal(leases_clear_status(&w.l, STR("A"), STR("1"), INST_DOWN, 0, 0, w.now, wall_of(&w)), 0);
	assert_int_equal(w.l.p->delta_n, before); /* none was there */
	leases_set_status(&w.l, STR("A"), STR("1"), INST_DOWN, 0, 0, w.now, wall_of(&w));
	leases_clear_status(&w.l, STR("A"), STR("1"), INST_STARTING, 0, 0, w.now, wall_of(&w));
	assert_int_equal(at(&w, "A", "1")->status, INST_STARTING);
	check_counts(&w);

	/* one that comes with a registration, and one that a peer's heartbeat tells */
	d = draft("B", "1", INST_UP);
	d.overridden = INST_OUT_OF_SERVICE;
	leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL);
	assert_int_equal(at(&w, "B", "1")->status, INST_OUT_OF_SERVICE);
	add(&w, "B", "2", INST_UP);
	assert_int_equal(leases_store_override(&w.l, STR("B"), STR("2"), INST_OUT_OF_SERVICE, w.now, wall_of(&w)), 0);
	assert_int_equal(at(&w, "B", "2")->overridden, INST_OUT_OF_SERVICE);
	assert_int_equal(at(&w, "B", "2")->status, INST_OUT_OF_SERVICE);
	check_counts(&w);
	world_fini(&w);
}

/* Whichever of two registries has the newer version of an instance tells the other whether there is an override. */
static void test_versions_of_overrides(void **state)
{
	static const struct {
		const char *name;
		msec given;
		unsigned flags;
		msec want;
	} rows[] = {
		{ "an operator's change is a new version", 0, 0, WALL + 1 },
		{ "also with the present one given", WALL, 0, WALL + 1 },
		{ "a later one given", WALL + 9, 0, WALL + 9 },
		{ "a peer's is the version that it tells of", WALL + 1, LEASE_REPLICATED, WALL + 1 },
		{ "Netflix's servers raise nothing", WALL, LEASE_REPLICATED, WALL },
		{ "a peer's older one meets ours", WALL - 5, LEASE_REPLICATED, WALL + 1 },
	};
	struct instance d = draft("A", "1", INST_UP);
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		world_init(&w, NULL);
		add(&w, "A", "1", INST_UP);
		leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, rows[i].given, rows[i].flags, w.now,
				  wall_of(&w));
		if (at(&w, "A", "1")->dirty != rows[i].want)
			fail_msg("%s: %lld", rows[i].name, (long long)(at(&w, "A", "1")->dirty - WALL));
		world_fini(&w);
	}
	world_init(&w, NULL);
	add(&w, "A", "1", INST_UP);
	leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, 0, 0, w.now, wall_of(&w)); /* WALL + 1 */
	leases_register(&w.l, &d, LEASE_REPLICATED, w.now, wall_of(&w), NULL);			      /* an older one */
	assert_int_equal(at(&w, "A", "1")->overridden, INST_OUT_OF_SERVICE);
	d.dirty = WALL + 1;
	leases_register(&w.l, &d, LEASE_REPLICATED, w.now, wall_of(&w), NULL); /* no newer one */
	assert_int_equal(at(&w, "A", "1")->overridden, INST_OUT_OF_SERVICE);
	d.dirty = WALL + 2;
	leases_register(&w.l, &d, LEASE_REPLICATED, w.now, wall_of(&w), NULL); /* there it has ended */
	assert_int_equal(at(&w, "A", "1")->overridden, INST_UNKNOWN);
	assert_int_equal(at(&w, "A", "1")->status, INST_UP);
	d.dirty = WALL + 3;
	d.status = d.overridden = INST_DOWN;
	leases_register(&w.l, &d, LEASE_REPLICATED, w.now, wall_of(&w), NULL); /* there it has begun */
	assert_int_equal(at(&w, "A", "1")->overridden, INST_DOWN);
	d = draft("A", "1", INST_UP);
	d.dirty = WALL + 4;
	leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL); /* the client itself knows of no overrides */
	assert_int_equal(at(&w, "A", "1")->overridden, INST_DOWN);
	check_counts(&w);
	world_fini(&w);
}

/* A client that registers again with the version that it had is believed, whatever operators have made of it meanwhile. */
static void test_the_clients_own_version(void **state)
{
	static const struct {
		const char *name;
		msec dirty;
		unsigned flags;
		enum inst_status want;
	} rows[] = {
		{ "its own version", WALL, 0, INST_DOWN },
		{ "one that operators have made", WALL + 1, 0, INST_DOWN },
		{ "a newer one", WALL + 9, 0, INST_DOWN },
		{ "an older one", WALL - 1, 0, INST_UP },
		{ "a peer's has to be as new as ours", WALL, LEASE_REPLICATED, INST_UP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct instance d = draft("A", "1", INST_DOWN);
		struct world w;

		world_init(&w, NULL);
		add(&w, "A", "1", INST_UP);
		leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, 0, 0, w.now, wall_of(&w));
		add(&w, "A", "1", INST_UP);
		leases_clear_status(&w.l, STR("A"), STR("1"), INST_UP, 0, 0, w.now, wall_of(&w)); /* WALL + 2 */
		d.dirty = rows[i].dirty;
		leases_register(&w.l, &d, rows[i].flags, w.now, wall_of(&w), NULL);
		if (at(&w, "A", "1")->status != rows[i].want || at(&w, "A", "1")->dirty != MAX(d.dirty, WALL + 2))
			fail_msg("%s: %.*s", rows[i].name, STRF(inst_status_name((enum inst_status)at(&w, "A", "1")->status)));
		world_fini(&w);
	}
}

/* A client may say any number: the greatest has none after it. */
static void test_the_last_version(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags <= LEASE_REPLICATED; flags++) {
		struct instance d = draft("A", "1", INST_UP);
		struct world w;

		world_init(&w, NULL);
		d.dirty = INT64_MAX;
		leases_register(&w.l, &d, 0, w.now, wall_of(&w), NULL);
		leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, 5, flags, w.now, wall_of(&w));
		assert_int_equal(at(&w, "A", "1")->status, INST_OUT_OF_SERVICE);
		assert_true(at(&w, "A", "1")->dirty == INT64_MAX);
		leases_clear_status(&w.l, STR("A"), STR("1"), INST_UNKNOWN, 5, flags, w.now, wall_of(&w));
		assert_int_equal(at(&w, "A", "1")->status, INST_UP);
		world_fini(&w);
	}
}

/* Netflix's servers tell of an override with each heartbeat, and of its end by silence. */
static void test_overrides_heard_of(void **state)
{
	struct heard h = { STR("A"), STR("1"), WALL, INST_OUT_OF_SERVICE, INST_OUT_OF_SERVICE };
	const struct heard none = { STR("A"), STR("1"), WALL, INST_UNKNOWN, INST_UP };
	struct world w;

	(void)state;
	world_init(&w, NULL);
	assert_int_equal(leases_hear_override(&w.l, &h, w.now, wall_of(&w)), VINE_ENOTFOUND);
	add(&w, "A", "1", INST_UP);
	h.dirty = WALL - 1;
	assert_int_equal(leases_hear_override(&w.l, &h, w.now, wall_of(&w)), 0); /* of another version */
	assert_int_equal(at(&w, "A", "1")->status, INST_UP);
	h.dirty = WALL;
	assert_int_equal(leases_hear_override(&w.l, &h, w.now, wall_of(&w)), 0);
	assert_int_equal(at(&w, "A", "1")->status, INST_OUT_OF_SERVICE);
	assert_int_equal(at(&w, "A", "1")->overridden, INST_OUT_OF_SERVICE);
	assert_int_equal(at(&w, "A", "1")->dirty, WALL);
	add(&w, "A", "1", INST_UP); /* the client registers again: it is still only heard of */
	leases_hear_override(&w.l, &none, w.now, wall_of(&w));
	assert_int_equal(at(&w, "A", "1")->status, INST_UP);
	assert_int_equal(at(&w, "A", "1")->overridden, INST_UNKNOWN);
	/* one that somebody has set does not end so */
	leases_set_status(&w.l, STR("A"), STR("1"), INST_DOWN, WALL, LEASE_REPLICATED, w.now, wall_of(&w));
	leases_hear_override(&w.l, &none, w.now, wall_of(&w));
	leases_hear_override(&w.l, &h, w.now, wall_of(&w));
	leases_hear_override(&w.l, &none, w.now, wall_of(&w));
	assert_int_equal(at(&w, "A", "1")->overridden, INST_DOWN);
	h.overridden = h.status = INST_DOWN;
	leases_hear_override(&w.l, &h, w.now, wall_of(&w)); /* unless heartbeats have told of it */
	leases_hear_override(&w.l, &none, w.now, wall_of(&w));
	assert_int_equal(at(&w, "A", "1")->overridden, INST_UNKNOWN);
	assert_int_equal(at(&w, "A", "1")->status, INST_UP);
	check_counts(&w);
	world_fini(&w);
}

/* The same when the instance had been evicted here: its override is of a version, too. */
static void test_versions_after_eviction(void **state)
{
	static const struct {
		msec dirty;
		unsigned flags;
		enum inst_status want;
	} rows[] = {
		{ WALL + 2, LEASE_REPLICATED, INST_UP },	     /* elsewhere it has ended since */
		{ WALL + 1, LEASE_REPLICATED, INST_OUT_OF_SERVICE }, /* the very version that we had */
		{ WALL, LEASE_REPLICATED, INST_OUT_OF_SERVICE },
		{ WALL + 9, 0, INST_OUT_OF_SERVICE }, /* the client knows of no overrides */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct instance d = draft("A", "1", INST_UP);
		struct world w;

		world_init(&w, NULL);
		add(&w, "A", "1", INST_UP);
		leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, 0, 0, w.now, wall_of(&w)); /* WALL + 1 */
		w.now += 91 * SEC;
		assert_int_equal(evict(&w), 1);
		d.dirty = rows[i].dirty;
		leases_register(&w.l, &d, rows[i].flags, w.now, wall_of(&w), NULL);
		assert_int_equal(at(&w, "A", "1")->status, rows[i].want);
		world_fini(&w);
	}
}

/* Taken out of service, then evicted: it comes back out of service; cancelled: it comes back as it says. */
static void test_override_after_the_end(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	add(&w, "A", "1", INST_UP);
	leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, 0, 0, w.now, wall_of(&w));
	w.now += 91 * SEC;
	assert_int_equal(evict(&w), 1);
	leases_tidy(&w.l, w.now);
	add(&w, "A", "1", INST_UP);
	assert_int_equal(at(&w, "A", "1")->status, INST_OUT_OF_SERVICE);
	w.now += 91 * SEC;
	assert_int_equal(evict(&w), 1);
	w.now += 3601 * SEC;
	leases_tidy(&w.l, w.now);
	add(&w, "A", "1", INST_UP);
	assert_int_equal(at(&w, "A", "1")->status, INST_UP); /* an hour later it is forgotten */
	leases_set_status(&w.l, STR("A"), STR("1"), INST_OUT_OF_SERVICE, 0, 0, w.now, wall_of(&w));
	leases_cancel(&w.l, STR("A"), STR("1"), 0, w.now, wall_of(&w));
	add(&w, "A", "1", INST_UP);
	assert_int_equal(at(&w, "A", "1")->status, INST_UP);
	world_fini(&w);
}

static void test_ghost(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	add(&w, "A", "1", INST_UP);
	leases_cancel(&w.l, STR("A"), STR("1"), 0, w.now, wall_of(&w));
	w.now += 4 * SEC;
	assert_int_equal(add(&w, "A", "1", INST_DOWN), 0); /* accepted ... */
	assert_null(at(&w, "A", "1"));			   /* ... and forgotten */
	assert_int_equal(w.l.ghosts_ignored, 1);
	assert_int_equal(add(&w, "A", "2", INST_DOWN), 0); /* somebody else */
	assert_non_null(at(&w, "A", "2"));
	assert_int_equal(add(&w, "A", "1", INST_UP), 0); /* it is back */
	assert_non_null(at(&w, "A", "1"));
	leases_cancel(&w.l, STR("A"), STR("1"), 0, w.now, wall_of(&w));
	w.now += 5 * SEC;
	assert_int_equal(add(&w, "A", "1", INST_DOWN), 0); /* later: it means it */
	assert_non_null(at(&w, "A", "1"));
	leases_tidy(&w.l, w.now);
	assert_int_equal(w.l.ghosts.len, 0);
	world_fini(&w);
}

static void test_metadata(void **state)
{
	struct kv kv[] = { { STR_INIT("color"), STR_INIT("green") },
			   { STR_INIT("color"), STR_INIT("red") },
			   { STR_INIT("size"), STR_INIT("2") } };
	struct world w;
	struct err e;

	(void)state;
	world_init(&w, NULL);
	assert_int_equal(leases_merge_metadata(&w.l, STR("A"), STR("1"), kv, 3, w.now, 0, &e), VINE_ENOTFOUND);
	add(&w, "A", "1", INST_UP);
	assert_int_equal(leases_merge_metadata(&w.l, STR("A"), STR("1"), kv, 3, w.now, wall_of(&w), &e), 0);
	assert_str(instance_meta(at(&w, "A", "1"), STR("color")), STR("green")); /* the first value wins */
	assert_str(instance_meta(at(&w, "A", "1"), STR("size")), STR("2"));
	assert_true(at(&w, "A", "1")->dirty == WALL);
	for (int i = 0; i < INST_META_MAX; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		kv[0] = (struct kv){ str_from(key), STR("v") };
		assert_int_equal(leases_merge_metadata(&w.l, STR("A"), STR("1"), kv, 1, w.now, wall_of(&w), &e),
				 i < INST_META_MAX - 2 ? 0 : VINE_ELIMIT);
	}
	world_fini(&w);
}

static void test_full(void **state)
{
	struct world w;
	struct err e;
	struct instance d = draft("A", "3", INST_UP);

	(void)state;
	world_init(&w, &(struct leases_config){ .max_instances = 2 });
	add(&w, "A", "1", INST_UP);
	add(&w, "A", "2", INST_UP);
	assert_int_equal(leases_register(&w.l, &d, 0, w.now, 0, &e), VINE_ELIMIT);
	assert_non_null(strstr(e.text, "vine.registry.max-instances"));
	assert_int_equal(add(&w, "A", "2", INST_UP), 0); /* who is in may come again */
	world_fini(&w);
}

/* As bytes: of what is there, and of the changes that are kept; counted by hand after each step. */
static void test_full_by_size(void **state)
{
	static char big[2048];
	struct kv meta = { STR_INIT("k"), STR_INIT("") };
	struct instance d = draft("A", "x", INST_UP);
	struct world w;
	struct err e;
	char id[8];

	(void)state;
	memset(big, 'v', sizeof(big));
	world_init(&w, &(struct leases_config){ .max_bytes = 40000 });
	d.meta = &meta;
	d.n_meta = 1;
	for (int i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "%d", i % 30);
		d.id = d.instance_id = str_from(id);
		meta.value = str_of(big, (size_t)(i * 37 % 2000));
		d.dirty++;
		if (i % 7 == 3)
			leases_cancel(&w.l, STR("A"), str_from(id), 0, w.now, wall_of(&w));
		else if (leases_register(&w.l, &d, 0, w.now, wall_of(&w), &e) < 0)
			assert_non_null(strstr(e.text, "vine.registry.max-bytes is 40000"));
		leases_tidy(&w.l, w.now);
		assert_true(w.l.p->bytes <= 40000);
		assert_true(w.l.p->delta_bytes <= 10000);
		check_counts(&w);
	}
	assert_true(w.l.refused > 0);

	struct picture_walk first = { .p = w.l.p };
	char *one = str_dup(picture_next(&first)->inst->id);
	int r = 0;

	meta.value = str_of(big, sizeof(big));
	for (int i = 0; i < 100 && r == 0; i++) {
		char key[8];

		snprintf(key, sizeof(key), "m%d", i);
		meta.key = str_from(key);
		r = leases_merge_metadata(&w.l, STR("A"), str_from(one), &meta, 1, w.now, wall_of(&w), &e);
	}
	assert_int_equal(r, VINE_ELIMIT);
	assert_non_null(strstr(e.text, "vine.registry.max-bytes"));
	check_counts(&w);
	free(one);
	world_fini(&w);
}

/* --- leases --- */

static void test_expiry(void **state)
{
	static const struct {
		const char *name;
		bool doubling, beaten;
		int64_t lives; /* seconds after the last sign of life */
	} rows[] = {
		{ "one duration, never renewed", false, false, 90 },
		{ "one duration, renewed", false, true, 90 },
		{ "doubling, never renewed", true, false, 90 },
		{ "doubling, renewed", true, true, 180 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;

		world_init(&w, &(struct leases_config){ .doubling = rows[i].doubling });
		add(&w, "A", "1", INST_UP);
		if (rows[i].beaten)
			beat(&w, "A", "1");
		w.now += rows[i].lives * SEC;
		if (evict(&w) != 0)
			fail_msg("%s: evicted too early", rows[i].name);
		w.now += 1;
		assert_int_equal(leases_evict(&w.l, &(struct leases_evict){ .now = w.now, .late = 5, .rng = &w.rng }), 0);
		if (evict(&w) != 1)
			fail_msg("%s: not evicted", rows[i].name);
		world_fini(&w);
	}
}

static void test_eviction_cap(void **state)
{
	static const struct {
		uint32_t n;
		double stay;
		uint32_t want;
	} rows[] = { { 1, 0.85, 1 },  { 2, 0.85, 1 },	{ 6, 0.85, 1 },	 { 7, 0.85, 2 },   { 20, 0.85, 3 },
		     { 100, 0.85, 15 }, { 100, 0.5, 50 }, { 100, 0, 100 }, { 100, 1.0, 1 }, { 100, 85, 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;

		world_init(&w, NULL);
		for (uint32_t k = 0; k < rows[i].n; k++) {
			char id[16];

			snprintf(id, sizeof(id), "%u", k);
			add(&w, k % 2 ? "A" : "B", id, INST_UP);
		}
		w.now += 91 * SEC;

		uint32_t got = leases_evict(&w.l, &(struct leases_evict){ .now = w.now, .stay = rows[i].stay, .rng = &w.rng });

		if (got != rows[i].want)
			fail_msg("%u instances: %u evicted, want %u", rows[i].n, got, rows[i].want);
		assert_int_equal(w.l.p->n_instances, rows[i].n - got);
		check_counts(&w);
		world_fini(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_rules),
		cmocka_unit_test(test_register_and_cancel),
		cmocka_unit_test(test_dirty),
		cmocka_unit_test(test_heartbeats),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_versions_of_overrides),
		cmocka_unit_test(test_the_clients_own_version),
		cmocka_unit_test(test_overrides_heard_of),
		cmocka_unit_test(test_the_last_version),
		cmocka_unit_test(test_versions_after_eviction),
		cmocka_unit_test(test_override_after_the_end),
		cmocka_unit_test(test_ghost),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_by_size),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_eviction_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
