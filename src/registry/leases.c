/* leases.c - see leases.h. */
#include "registry/leases.h"

#define OVERRIDE_KEPT (3600 * USEC_PER_SEC) /* after the instance has gone */
#define DELTA_SHARE 4                       /* of max_bytes, for changes that are kept */
#define MEMOS_MAX 100000                    /* ghosts, and overrides of the gone, each */

/* Something remembered about an instance for a while; its map key lies behind it. */
struct memo {
	struct list link;
	usec until; /* USEC_NEVER: while the instance lives */
	msec dirty; /* of an override whose instance is gone: the version that it was of; 0: not known */
	uint8_t status;
	bool heard;    /* an override of which a peer's heartbeats tell: it ends when they do no more */
	struct str key;
	char bytes[];
};

static void memo_del(struct map *m, struct memo *o)
{
	map_del(m, o->key);
	list_del(&o->link);
	free(o);
}

/* The memo of key, made if need be and moved to the end of the list. */
static struct memo *memo_put(struct map *m, struct list *all, struct str key)
{
	struct memo *o = map_get(m, key);

	if (o) {
		list_del(&o->link);
	} else {
		o = xzalloc(sizeof(*o) + key.len);
		memcpy(o->bytes, key.ptr, key.len);
		o->key = str_of(o->bytes, key.len);
		map_put(m, o->key, o);
	}
	list_push_back(all, &o->link);
	return o;
}

static void memos_fini(struct map *m, struct list *all)
{
	list_foreach(l, all)
		memo_del(m, list_entry(l, struct memo, link));
	map_fini(m);
}

void leases_configure(struct leases *l, const struct leases_config *cfg)
{
	l->cfg = *cfg;
	if (!l->cfg.max_instances)
		l->cfg.max_instances = 200000;
	if (!l->cfg.max_bytes)
		l->cfg.max_bytes = (uint64_t)1 << 30;
	if (!l->cfg.delta_max)
		l->cfg.delta_max = 65536;
	if (!l->cfg.delta_retention)
		l->cfg.delta_retention = 180 * USEC_PER_SEC;
	if (!l->cfg.ghost)
		l->cfg.ghost = 5 * USEC_PER_SEC;
}

void leases_init(struct leases *l, const struct leases_config *cfg, uint64_t seed)
{
	*l = (struct leases){ 0 };
	leases_configure(l, cfg);
	map_init(&l->overrides, seed);
	map_init(&l->ghosts, seed + 1);
	list_init(&l->override_list);
	list_init(&l->ghost_list);
	l->p = picture_new(seed);
	l->tail = l->p->delta_head;
}

void leases_fini(struct leases *l)
{
	memos_fini(&l->overrides, &l->override_list);
	memos_fini(&l->ghosts, &l->ghost_list);
	picture_unref(l->p);
	l->p = NULL;
}

/* --- overrides and ghosts --- */

static enum inst_status override_of(const struct leases *l, struct str id)
{
	const struct memo *o = map_get(&l->overrides, id);

	return o ? (enum inst_status)o->status : INST_UNKNOWN;
}

static void override_store(struct leases *l, struct str id, enum inst_status s)
{
	struct memo *o = memo_put(&l->overrides, &l->override_list, id);

	o->status = (uint8_t)s;
	o->until = USEC_NEVER;
	o->heard = false;
}

static bool override_drop(struct leases *l, struct str id)
{
	struct memo *o = map_get(&l->overrides, id);

	if (o)
		memo_del(&l->overrides, o);
	return o;
}

/* "APP/id" in room; its length is bounded by the instance limits, what is longer was never registered. */
struct ghost_key {
	char room[INST_NAME_MAX + INST_ID_MAX + 1];
};

static struct str ghost_key(struct ghost_key *k, struct str app, struct str id)
{
	size_t n = 0;

	if (app.len + id.len + 1 > sizeof(k->room))
		return STR_EMPTY;
	memcpy(k->room, app.ptr, app.len);
	n = app.len;
	k->room[n++] = '/';
	memcpy(k->room + n, id.ptr, id.len);
	return str_of(k->room, n + id.len);
}

/* Spring's clients set DOWN before they leave, and that POST may be overtaken by the DELETE. */
static bool is_ghost(struct leases *l, const struct instance *d, usec now)
{
	struct ghost_key room;
	const struct memo *g = map_get(&l->ghosts, ghost_key(&room, d->app, d->id));

	return g && now < g->until && d->status == INST_DOWN;
}

static void ghost_put(struct leases *l, struct str app, struct str id, usec now)
{
	struct ghost_key room;

	if (l->ghosts.len >= MEMOS_MAX)
		memo_del(&l->ghosts, list_entry(list_first(&l->ghost_list), struct memo, link));
	memo_put(&l->ghosts, &l->ghost_list, ghost_key(&room, app, id))->until = now + l->cfg.ghost;
}

/* --- one step from picture to picture --- */

static void put(struct leases *l, struct entry *e, usec now)
{
	picture_put(&l->p, e);
	delta_append(l->p, &l->tail, e, now, false);
	entry_unref(e);
}

/* Replaces old's instance by one made from the draft; the lease lives on. */
static void put_changed(struct leases *l, const struct entry *old, const struct instance *d, usec now)
{
	old->lease->raised += d->dirty - old->inst->dirty;
	put(l, entry_new(instance_new(d), lease_ref(old->lease)), now);
}

static void remove_entry(struct leases *l, struct entry *e, usec now, msec wall, bool evicted)
{
	struct instance d = instance_draft_of(e->inst);

	d.action = ACTION_DELETED;
	d.updated = d.lease.evicted = wall;

	struct entry *gone = entry_new(instance_new(&d), lease_ref(e->lease));

	picture_remove(&l->p, gone->inst->app, gone->inst->id); /* e may die here */
	delta_append(l->p, &l->tail, gone, now, evicted);
	entry_unref(gone);
}

static void beat(struct lease *l, usec now)
{
	atomic_store_explicit(&l->renewed, now, memory_order_relaxed);
	atomic_store_explicit(&l->beaten, true, memory_order_relaxed);
}

enum inst_status status_by_rules(enum inst_status candidate, enum inst_status override)
{
	bool may_be_overridden = candidate == INST_UP || candidate == INST_OUT_OF_SERVICE;

	return may_be_overridden && override != INST_UNKNOWN ? override : candidate;
}

/* --- writes --- */

static void apply_registration(struct leases *l, struct instance *d, enum inst_status reported, const struct entry *old,
			       unsigned flags, usec now, msec wall)
{
	enum inst_status override = override_of(l, d->id);
	const struct memo *memo = map_get(&l->overrides, d->id);
	msec had = old ? old->inst->dirty : memo ? memo->dirty : INT64_MAX;
	bool newer = flags & LEASE_REPLICATED && d->dirty > had;

	if (newer && d->overridden != override) {
		/* whoever has the newer version knows better, also that an override has ended */
		override_drop(l, d->id);
		override = INST_UNKNOWN;
	}
	if (d->overridden != INST_UNKNOWN && override == INST_UNKNOWN) {
		override = d->overridden;
		override_store(l, d->id, override);
	} else if (override != INST_UNKNOWN) {
		memo_put(&l->overrides, &l->override_list, d->id)->until = USEC_NEVER; /* it lives as long as the instance again */
	}
	d->overridden = (uint8_t)override;
	d->status = (uint8_t)status_by_rules((enum inst_status)d->status, override);
	d->lease.registered = wall;
	d->lease.evicted = 0;
	d->lease.service_up = old ? old->inst->lease.service_up : d->lease.service_up;
	if (d->status == INST_UP && !d->lease.service_up)
		d->lease.service_up = wall;
	d->action = ACTION_ADDED;
	d->updated = wall;
	d->coordinating = flags & LEASE_OWN;

	struct instance *in = instance_new(d);
	struct lease *lease = lease_new(in, reported, now);

	if (!(flags & LEASE_REPLICATED))
		atomic_init(&lease->own, now);
	if (old && old->inst->dirty == in->dirty)
		lease->raised = old->lease->raised;
	put(l, entry_new(in, lease), now);
}

/* The client knows nothing of versions that operators made by overrides: it still writes upon its own. */
static bool is_own_version(const struct entry *old, const struct instance *d, unsigned flags)
{
	return old && !(flags & LEASE_REPLICATED) && d->dirty < old->inst->dirty &&
	       d->dirty >= old->inst->dirty - old->lease->raised;
}

/* Is there room for d, in the place of old (may be NULL)? Who is in may come again as it was. */
static int check_room(struct leases *l, const struct instance *d, const struct entry *old, struct err *e)
{
	size_t had = old ? instance_bytes(old->inst) : 0, wants = instance_bytes(d);

	if (!old && l->p->n_instances >= l->cfg.max_instances) {
		l->refused++;
		return err_set(e, VINE_ELIMIT, "the registry is full: vine.registry.max-instances is %u",
			       l->cfg.max_instances);
	}
	if (wants > had && l->p->bytes - had + wants > l->cfg.max_bytes) {
		l->refused++;
		return err_set(e, VINE_ELIMIT, "the registry is full: vine.registry.max-bytes is %llu",
			       (unsigned long long)l->cfg.max_bytes);
	}
	return 0;
}

/* Amazon's data without an instance-id get the id that the instance has, as from Netflix's server. room: for its entries. */
static void fill_amazon_id(struct instance *d, struct kv room[INST_META_MAX])
{
	if (d->dc != DC_AMAZON || d->n_dc_meta >= INST_META_MAX)
		return;
	for (unsigned i = 0; i < d->n_dc_meta; i++) {
		if (str_eq(d->dc_meta[i].key, STR("instance-id")))
			return;
		room[i] = d->dc_meta[i];
	}
	room[d->n_dc_meta++] = (struct kv){ STR("instance-id"), d->id };
	d->dc_meta = room;
}

int leases_register(struct leases *l, const struct instance *draft, unsigned flags, usec now, msec wall, struct err *e)
{
	struct instance d = *draft;
	struct kv room[INST_META_MAX];

	if (!d.id.len)
		d.id = instance_effective_id(&d);
	fill_amazon_id(&d, room);

	enum inst_status reported = d.status;
	struct entry *old = picture_find(l->p, d.app, d.id);

	if (!old && !(flags & LEASE_REPLICATED) && is_ghost(l, &d, now)) {
		l->ghosts_ignored++;
		return 0;
	}
	if (is_own_version(old, &d, flags))
		d.dirty = old->inst->dirty;
	if (old && old->inst->dirty > d.dirty) { /* what we have is newer; only the lease begins anew */
		struct inst_lease lease = d.lease;

		d = instance_draft_of(old->inst);
		d.lease.renewal_s = lease.renewal_s;
		d.lease.duration_s = lease.duration_s;
		reported = old->lease->reported;
	}

	int r = check_room(l, &d, old, e);

	if (r < 0)
		return r;
	apply_registration(l, &d, reported, old, flags, now, wall);
	l->registered++;
	return 0;
}

int leases_cancel(struct leases *l, struct str app, struct str id, msec dirty, usec now, msec wall)
{
	struct entry *e = picture_find(l->p, app, id);

	if (!e)
		return VINE_ENOTFOUND;
	if (dirty && e->inst->dirty > dirty)
		return 0; /* it has registered again since */
	ghost_put(l, e->inst->app, e->inst->id, now);
	override_drop(l, e->inst->id);
	remove_entry(l, e, now, wall, false);
	l->cancelled++;
	return 0;
}

/* A change by an operator is a new version of the instance, so that registries which missed it notice. A peer's change keeps
 * the version that it tells of, unless ours is another change's. */
static msec version_after(msec had, msec given, unsigned flags)
{
	msec next = MIN(had, INT64_MAX - 1) + 1; /* the client chose what we have */

	if (flags & LEASE_REPLICATED)
		return given >= had ? given : next;
	return MAX(next, given);
}

int leases_set_status(struct leases *l, struct str app, struct str id, enum inst_status s, msec dirty, unsigned flags,
		      usec now, msec wall)
{
	struct entry *e = picture_find(l->p, app, id);

	if (!e)
		return VINE_ENOTFOUND;
	beat(e->lease, now);
	if (e->inst->status == s)
		return 0;

	struct instance d = instance_draft_of(e->inst);

	override_store(l, d.id, s);
	d.status = d.overridden = (uint8_t)s;
	d.dirty = version_after(d.dirty, dirty, flags);
	if (s == INST_UP && !d.lease.service_up)
		d.lease.service_up = wall;
	d.action = ACTION_MODIFIED;
	d.updated = wall;
	put_changed(l, e, &d, now);
	return 0;
}

int leases_clear_status(struct leases *l, struct str app, struct str id, enum inst_status given, msec dirty,
			unsigned flags, usec now, msec wall)
{
	struct entry *e = picture_find(l->p, app, id);

	if (!e)
		return VINE_ENOTFOUND;
	beat(e->lease, now);
	if (!override_drop(l, e->inst->id))
		return 0;

	struct instance d = instance_draft_of(e->inst);

	d.overridden = INST_UNKNOWN;
	d.status = given != INST_UNKNOWN ? (uint8_t)given : e->lease->reported;
	d.dirty = version_after(d.dirty, dirty, flags);
	if (d.status == INST_UP && !d.lease.service_up)
		d.lease.service_up = wall;
	d.action = ACTION_MODIFIED;
	d.updated = wall;
	put_changed(l, e, &d, now);
	return 0;
}

int leases_store_override(struct leases *l, struct str app, struct str id, enum inst_status s, usec now, msec wall)
{
	struct entry *e = picture_find(l->p, app, id);

	if (!e)
		return VINE_ENOTFOUND;
	if (override_of(l, id) == s)
		return 0;

	struct instance d = instance_draft_of(e->inst);

	override_store(l, d.id, s);
	d.overridden = (uint8_t)s;
	d.status = (uint8_t)status_by_rules((enum inst_status)d.status, s);
	d.action = ACTION_MODIFIED;
	d.updated = wall;
	put_changed(l, e, &d, now);
	return 0;
}

int leases_hear_override(struct leases *l, const struct heard *h, usec now, msec wall)
{
	const struct entry *e = picture_find(l->p, h->app, h->id);
	struct memo *o = map_get(&l->overrides, h->id);

	if (!e)
		return VINE_ENOTFOUND;
	if (e->inst->dirty != h->dirty)
		return 0; /* the versions decide */
	if (o && (enum inst_status)o->status == h->overridden) {
		o->heard = true;
		return 0;
	}
	if (h->overridden != INST_UNKNOWN && (!o || o->heard)) {
		int r = leases_store_override(l, h->app, h->id, h->overridden, now, wall);

		o = map_get(&l->overrides, h->id);
		o->heard = true;
		return r;
	}
	if (o && o->heard && h->overridden == INST_UNKNOWN)
		return leases_clear_status(l, h->app, h->id, h->status, h->dirty, LEASE_REPLICATED, now, wall);
	return 0;
}

static bool kv_has(const struct kv *kv, size_t n, struct str key, size_t *at)
{
	for (*at = 0; *at < n; (*at)++) {
		if (str_eq(kv[*at].key, key))
			return true;
	}
	return false;
}

int leases_merge_metadata(struct leases *l, struct str app, struct str id, const struct kv *kv, size_t n, usec now,
			  msec wall, struct err *e)
{
	struct entry *old = picture_find(l->p, app, id);
	size_t at, seen;

	if (!old)
		return VINE_ENOTFOUND;

	struct instance d = instance_draft_of(old->inst);
	_cleanup_(freep) struct kv *all = xmalloc((d.n_meta + n) * sizeof(*all));
	size_t have = d.n_meta;

	if (have)
		memcpy(all, d.meta, have * sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		if (kv_has(kv, i, kv[i].key, &seen))
			continue;
		if (kv_has(all, have, kv[i].key, &at))
			all[at].value = kv[i].value;
		else
			all[have++] = kv[i];
	}
	if (have > INST_META_MAX)
		return err_set(e, VINE_ELIMIT, "metadata has more than %d entries", INST_META_MAX);
	d.meta = all;
	d.n_meta = (uint16_t)have;

	int r = instance_check_limits(&d, e);

	if (r == 0)
		r = check_room(l, &d, old, e);
	if (r < 0)
		return r;
	apply_registration(l, &d, old->lease->reported, old, old->inst->coordinating ? LEASE_OWN : 0, now, wall);
	return 0;
}

void leases_keep_override(struct leases *l, struct str id, enum inst_status s, usec until)
{
	override_store(l, id, s);
	((struct memo *)map_get(&l->overrides, id))->until = until;
}

void leases_each_override(const struct leases *l, usec now, void (*fn)(struct str id, enum inst_status s, usec left, void *ctx),
			  void *ctx)
{
	size_t pos = 0;

	for (const struct memo *o; (o = map_next(&l->overrides, &pos));) {
		if (o->until != USEC_NEVER && o->until > now)
			fn(o->key, (enum inst_status)o->status, o->until - now, ctx);
	}
}

void leases_restore(struct leases *l, struct entry **all, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct instance *in = all[i]->inst;

		if (in->overridden != INST_UNKNOWN)
			override_store(l, in->id, (enum inst_status)in->overridden);
	}
	picture_fill(&l->p, all, n);
}

/* --- time passes --- */

bool lease_is_expired(const struct lease *l, bool doubling, usec now, usec late)
{
	usec span = l->duration;

	if (doubling && atomic_load_explicit(&l->beaten, memory_order_relaxed))
		span *= 2;
	return now > atomic_load_explicit(&l->renewed, memory_order_relaxed) + span + late;
}

static void evict_one(struct leases *l, const struct leases_evict *how, struct entry *e)
{
	struct memo *o = map_get(&l->overrides, e->inst->id);

	if (how->on_evict)
		how->on_evict(e, how->ctx);
	if (o && l->overrides.len > (size_t)l->cfg.max_instances + MEMOS_MAX) {
		memo_del(&l->overrides, o);
	} else if (o) {
		o->until = how->now + OVERRIDE_KEPT;
		o->dirty = e->inst->dirty;
	}
	remove_entry(l, e, how->now, how->wall, true);
	l->evicted++;
}

uint32_t leases_evict(struct leases *l, const struct leases_evict *how)
{
	uint32_t n = l->p->n_instances, found = 0;
	double stay = MIN(MAX(how->stay, 0.0), 1.0);
	uint32_t cap = MAX(n - (uint32_t)((double)n * stay), 1u);

	if (n == 0)
		return 0;

	struct entry **dead = xmalloc(n * sizeof(struct entry *)); /* n is bounded by max_instances */
	struct picture_walk w = { .p = l->p };

	for (struct entry *e; (e = picture_next(&w));) {
		usec due = MIN(e->lease->interval, e->lease->duration); /* a client may say a week */
		usec spared = how->spared ? how->spared + due + due / 4 : 0;

		if (how->now > spared && lease_is_expired(e->lease, l->cfg.doubling, how->now, how->late))
			dead[found++] = entry_ref(e);
	}
	for (uint32_t i = 0; i < found; i++) {
		uint32_t pick = i + rng_below(how->rng, found - i);
		struct entry *e = dead[pick];

		dead[pick] = dead[i];
		if (i < cap)
			evict_one(l, how, e);
		entry_unref(e);
	}
	free(dead);
	return MIN(found, cap);
}

bool leases_tidy(struct leases *l, usec now)
{
	list_foreach(g, &l->ghost_list) {
		struct memo *o = list_entry(g, struct memo, link);

		if (o->until > now)
			break;
		memo_del(&l->ghosts, o);
	}
	list_foreach(g, &l->override_list) {
		struct memo *o = list_entry(g, struct memo, link);

		if (o->until <= now)
			memo_del(&l->overrides, o);
	}

	return delta_trim(&l->p, now - l->cfg.delta_retention, l->cfg.delta_max, l->cfg.max_bytes / DELTA_SHARE);
}

/* --- any thread --- */

enum renewal lease_renew(const struct picture *p, const struct renew *r, usec now, struct entry **entry)
{
	struct entry *e = picture_find(p, r->app, r->id);

	*entry = e;
	if (!e || e->inst->status == INST_UNKNOWN)
		return RENEW_ABSENT;
	beat(e->lease, now);
	if (!r->replicated) {
		atomic_store_explicit(&e->lease->own, now, memory_order_relaxed);
		atomic_store_explicit(&e->lease->relay, true, memory_order_relaxed);
	}
	if (!r->dirty || r->dirty == e->inst->dirty)
		return RENEWED;
	if (r->dirty > e->inst->dirty)
		return RENEW_OUTDATED;
	return r->replicated ? RENEW_CONFLICT : RENEWED;
}

struct instance entry_draft(const struct entry *e, usec now, msec wall)
{
	struct instance d = instance_draft_of(e->inst);
	usec ago = now - atomic_load_explicit(&e->lease->renewed, memory_order_relaxed);

	d.lease.renewed = wall - MAX(ago, (usec)0) / USEC_PER_MSEC;
	return d;
}
