/* registry_world.h - a registry's leases without threads, with a clock that a test moves. */
#pragma once
#include "test.h"

#include <stdio.h>

#include "registry/leases.h"

#define SEC USEC_PER_SEC
#define WALL 1700000000000

struct world {
	struct leases l;
	usec now;
	struct rng rng;
};

static inline msec wall_of(const struct world *w)
{
	return WALL + w->now / USEC_PER_MSEC;
}

static inline void world_init(struct world *w, const struct leases_config *cfg)
{
	static const struct leases_config none;

	*w = (struct world){ .now = 1000 * SEC };
	leases_init(&w->l, cfg ? cfg : &none, 42);
	rng_seed(&w->rng, 7);
}

static inline void world_fini(struct world *w)
{
	leases_fini(&w->l);
}

static inline struct instance draft(const char *app, const char *id, enum inst_status s)
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

static inline int add(struct world *w, const char *app, const char *id, enum inst_status s)
{
	struct instance d = draft(app, id, s);

	return leases_register(&w->l, &d, 0, w->now, wall_of(w), NULL);
}

static inline const struct instance *at(struct world *w, const char *app, const char *id)
{
	const struct entry *e = picture_find(w->l.p, str_from(app), str_from(id));

	return e ? e->inst : NULL;
}

static inline enum renewal beat(struct world *w, const char *app, const char *id)
{
	struct entry *e;

	return lease_renew(w->l.p, &(struct renew){ .app = str_from(app), .id = str_from(id) }, w->now, &e);
}

static inline uint32_t evict(struct world *w)
{
	return leases_evict(&w->l, &(struct leases_evict){ .now = w->now, .stay = 0.85, .wall = wall_of(w), .rng = &w->rng });
}

/* Counts by hand against what the picture says of itself. */
static inline void check_counts(struct world *w)
{
	struct picture_walk walk = { .p = w->l.p };
	struct status_counts c = { { 0 } };
	uint32_t n = 0;

	struct delta_walk log = picture_delta(w->l.p);
	uint64_t bytes = 0, delta_bytes = 0;

	for (struct entry *e; (e = picture_next(&walk)); n++) {
		c.n[e->inst->status]++;
		bytes += instance_bytes(e->inst);
	}
	for (const struct delta_item *it; (it = delta_next(&log));)
		delta_bytes += instance_bytes(it->entry->inst);
	assert_int_equal(n, w->l.p->n_instances);
	assert_int_equal(bytes, w->l.p->bytes);
	assert_int_equal(delta_bytes, w->l.p->delta_bytes);
	assert_memory_equal(&c, &w->l.p->counts, sizeof(c));
}
