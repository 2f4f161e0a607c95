/* test_registry_leases.c - what writes do to the registry: rules, leases, delta, eviction, self-preservation. */
#include "test.h"

#include <stdio.h>

#include "codec/gzip.h"
#include "eureka/view.h"
#include "registry/body.h"
#include "registry/leases.h"
#include "registry/preserve.h"

#define SEC USEC_PER_SEC
#define WALL 1700000000000

struct world {
	struct leases l;
	usec now;
	struct rng rng;
};

static msec wall_of(const struct world *w)
{
	return WALL + w->now / USEC_PER_MSEC;
}

static void world_init(struct world *w, const struct leases_config *cfg)
{
	static const struct leases_config none;

	*w = (struct world){ .now = 1000 * SEC };
	leases_init(&w->l, cfg ? cfg : &none, 42);
	rng_seed(&w->rng, 7);
}

static void world_fini(struct world *w)
{
	leases_fini(&w->l);
}

static struct instance draft(const char *app, const char *id, enum inst_status s)
{
	struct instance d = instance_draft();

	d.app = str_from(app);
	d.instance_id = d.id = str_from(id);
	d.host = STR("host");
	d.ip = STR("10.0.0.1");
	d.vip = str_from(app);
	d.status = (uint8_t)s;
	d.has_dc = true;
	d.dirty = WALL;
	return d;
}

static int add(struct world *w, const char *app, const char *id, enum inst_status s)
{
	struct instance d = draft(app, id, s);

	return leases_register(&w->l, &d, 0, w->now, wall_of(w), NULL);
}

static const struct instance *at(struct world *w, const char *app, const char *id)
{
	const struct entry *e = picture_find(w->l.p, str_from(app), str_from(id));

	return e ? e->inst : NULL;
}

static enum renewal beat(struct world *w, const char *app, const char *id)
{
	struct entry *e;

	return lease_renew(w->l.p, &(struct renew){ .app = str_from(app), .id = str_from(id) }, w->now, &e);
}

static uint32_t evict(struct world *w)
{
	return leases_evict(&w->l, &(struct leases_evict){ .now = w->now, .wall = wall_of(w), .rng = &w->rng });
}

/* Counts by hand against what the picture says of itself. */
static void check_counts(struct world *w)
{
	struct picture_walk walk = { .p = w->l.p };
	struct status_counts c = { { 0 } };
	uint32_t n = 0;

	for (struct entry *e; (e = picture_next(&walk)); n++)
		c.n[e->inst->status]++;
	assert_int_equal(n, w->l.p->n_instances);
	assert_memory_equal(&c, &w->l.p->counts, sizeof(c));
}

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
		uint32_t n, want;
	} rows[] = { { 1, 1 }, { 2, 1 }, { 6, 1 }, { 7, 2 }, { 20, 3 }, { 100, 15 } };

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

		uint32_t got = evict(&w);

		if (got != rows[i].want)
			fail_msg("%u instances: %u evicted, want %u", rows[i].n, got, rows[i].want);
		assert_int_equal(w.l.p->n_instances, rows[i].n - got);
		check_counts(&w);
		world_fini(&w);
	}
}

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

/* --- self-preservation --- */

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
		cmocka_unit_test(test_status_rules),
		cmocka_unit_test(test_register_and_cancel),
		cmocka_unit_test(test_dirty),
		cmocka_unit_test(test_heartbeats),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_versions_of_overrides),
		cmocka_unit_test(test_the_clients_own_version),
		cmocka_unit_test(test_overrides_heard_of),
		cmocka_unit_test(test_versions_after_eviction),
		cmocka_unit_test(test_override_after_the_end),
		cmocka_unit_test(test_ghost),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_eviction_cap),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_old_pictures),
		cmocka_unit_test(test_deltas_lead_to_the_truth),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_vip),
		cmocka_unit_test(test_preserve_stories),
		cmocka_unit_test(test_preserve_exit),
		cmocka_unit_test(test_preserve_when_nobody_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
