/* view.c - see view.h. */
#include "eureka/view.h"

struct cached {
	struct instance *inst;
	struct str key;
	usec held_until; /* 0: the registry knows it */
	bool seen;       /* by the full answer that is being applied */
	char bytes[];
};

/* --- cache --- */

void eureka_cache_init(struct eureka_cache *c, uint64_t seed)
{
	*c = (struct eureka_cache){ .seed = seed };
	map_init(&c->inst, seed);
}

static void cached_free(struct cached *x)
{
	instance_unref(x->inst);
	free(x);
}

void eureka_cache_fini(struct eureka_cache *c)
{
	size_t pos = 0;

	for (struct cached *x; (x = map_next(&c->inst, &pos));)
		cached_free(x);
	map_fini(&c->inst);
}

static bool strs_differ(const struct kv *a, const struct kv *b, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (!str_eq(a[i].key, b[i].key) || !str_eq(a[i].value, b[i].value))
			return true;
	}
	return false;
}

/* Anything that says where and how to reach it, not the times that every answer moves on. */
static bool differs(const struct instance *a, const struct instance *b)
{
	return a->status != b->status || a->dirty != b->dirty || a->port.port != b->port.port ||
	       a->port.enabled != b->port.enabled || a->secure_port.port != b->secure_port.port ||
	       a->secure_port.enabled != b->secure_port.enabled || !str_eq(a->host, b->host) || !str_eq(a->ip, b->ip) ||
	       !str_eq(a->vip, b->vip) || !str_eq(a->secure_vip, b->secure_vip) || a->n_meta != b->n_meta ||
	       strs_differ(a->meta, b->meta, a->n_meta) || !str_eq(a->health_url, b->health_url) ||
	       !str_eq(a->status_url, b->status_url) || !str_eq(a->home_url, b->home_url);
}

static struct str key_of(const struct instance *in, struct buf *b)
{
	buf_clear(b);
	buf_adds(b, in->app);
	buf_addc(b, '/');
	buf_adds(b, in->id);
	return buf_str(b);
}

static void uncount(struct eureka_cache *c, struct cached *x)
{
	if (x->held_until)
		c->held--;
	else
		c->counts.n[x->inst->status]--;
	x->held_until = 0;
}

static bool cache_put(struct eureka_cache *c, const struct instance *in, struct str key)
{
	struct cached *x = map_get(&c->inst, key);

	if (x) {
		bool changed = differs(x->inst, in);

		uncount(c, x);
		c->counts.n[in->status]++;
		instance_unref(x->inst);
		x->inst = instance_ref(in);
		x->seen = true;
		return changed;
	}
	x = xzalloc(sizeof(*x) + key.len);
	memcpy(x->bytes, key.ptr, key.len);
	x->key = str_of(x->bytes, key.len);
	x->inst = instance_ref(in);
	x->seen = true;
	c->counts.n[in->status]++;
	map_put(&c->inst, x->key, x);
	return true;
}

static bool cache_del(struct eureka_cache *c, struct str key)
{
	struct cached *x = map_del(&c->inst, key);

	if (!x)
		return false;
	uncount(c, x);
	cached_free(x);
	return true;
}

bool eureka_cache_full(struct eureka_cache *c, const struct apps_doc *doc, bool hold, usec now)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX);
	bool changed = false;
	size_t pos = 0;

	for (struct cached *x; (x = map_next(&c->inst, &pos));)
		x->seen = false;
	for (uint32_t i = 0; i < doc->n; i++)
		changed |= cache_put(c, doc->inst[i], key_of(doc->inst[i], &b));
	pos = 0;
	for (struct cached *x; (x = map_next(&c->inst, &pos));) {
		if (x->seen || x->held_until)
			continue;
		if (!hold) {
			changed |= cache_del(c, x->key);
			continue;
		}
		uncount(c, x);
		x->held_until = now + (usec)x->inst->lease.duration_s * USEC_PER_SEC;
		c->held++;
	}
	return changed;
}

bool eureka_cache_expire(struct eureka_cache *c, usec now)
{
	bool changed = false;
	size_t pos = 0;

	if (!c->held)
		return false;
	for (struct cached *x; (x = map_next(&c->inst, &pos));) {
		if (x->held_until && x->held_until <= now)
			changed |= cache_del(c, x->key);
	}
	return changed;
}

bool eureka_cache_delta(struct eureka_cache *c, const struct apps_doc *doc)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX);
	bool changed = false;

	for (uint32_t i = 0; i < doc->n; i++) {
		struct str key = key_of(doc->inst[i], &b);

		changed |= doc->inst[i]->action == ACTION_DELETED ? cache_del(c, key) : cache_put(c, doc->inst[i], key);
	}
	return changed;
}

bool eureka_cache_matches(const struct eureka_cache *c, const struct apps_doc *doc)
{
	char hash[APPS_HASH_MAX];
	size_t n = apps_hash(hash, &c->counts);

	return !doc->has_hash || str_eq(str_of(hash, n), str_of(doc->hash, doc->hash_len));
}

/* --- view --- */

static int by_app_and_id(const void *a, const void *b)
{
	const struct instance *x = *(struct instance *const *)a, *y = *(struct instance *const *)b;
	int d = str_cmp(x->app, y->app);

	return d ? d : str_cmp(x->id, y->id);
}

static void group_apps(struct eureka_view *v)
{
	v->apps = arena_alloc(&v->arena, (v->n + 1) * sizeof(*v->apps));
	for (uint32_t i = 0; i < v->n;) {
		uint32_t from = i;
		struct view_group *g = &v->apps[v->n_apps++];

		while (i < v->n && str_eq(v->inst[i]->app, v->inst[from]->app))
			i++;
		*g = (struct view_group){ v->inst[from]->app, i - from, v->inst + from };
		map_put(&v->by_app, g->name, g);
	}
}

/* A group under construction: its array grows in the arena. */
struct vip_group {
	struct view_group g;
	struct instance **inst;
	uint32_t room;
};

static void vip_add(struct eureka_view *v, struct str vip, struct instance *in)
{
	struct view_group *g = map_get(&v->by_vip, vip);
	struct vip_group *vg = container_of(g, struct vip_group, g);

	if (!g) {
		vg = arena_zalloc(&v->arena, sizeof(*vg));
		vg->g.name = vip;
		map_put(&v->by_vip, vip, &vg->g);
	} else if (vg->inst[vg->g.n - 1] == in) {
		return; /* it names the vip twice */
	}
	if (vg->g.n == vg->room) {
		struct instance **more = arena_alloc(&v->arena, (vg->room ? vg->room * 2 : 4) * sizeof(*more));

		if (vg->g.n)
			memcpy(more, vg->inst, vg->g.n * sizeof(*more));
		vg->room = vg->room ? vg->room * 2 : 4;
		vg->inst = more;
		vg->g.inst = more;
	}
	vg->inst[vg->g.n++] = in;
}

struct eureka_view *eureka_cache_view(struct eureka_cache *c, bool only_up)
{
	struct eureka_view *v = xzalloc(sizeof(*v));
	size_t pos = 0;

	atomic_init(&v->refs, 1);
	v->version = ++c->version;
	arena_init(&v->arena, 4096);
	map_init_nocase(&v->by_app, c->seed);
	map_init_nocase(&v->by_vip, c->seed);
	v->inst = arena_alloc(&v->arena, (c->inst.len + 1) * sizeof(*v->inst));
	for (const struct cached *x; (x = map_next(&c->inst, &pos));) {
		if (!only_up || x->inst->status == INST_UP)
			v->inst[v->n++] = instance_ref(x->inst);
	}
	if (v->n)
		qsort(v->inst, v->n, sizeof(*v->inst), by_app_and_id);
	group_apps(v);
	for (uint32_t i = 0; i < v->n; i++) {
		struct str rest = v->inst[i]->vip, piece;

		while (rest.len && str_cut(&rest, ',', &piece)) {
			if (piece.len)
				vip_add(v, piece, v->inst[i]);
		}
	}
	return v;
}

struct eureka_view *eureka_view_ref(struct eureka_view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void eureka_view_unref(struct eureka_view *v)
{
	if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < v->n; i++)
		instance_unref(v->inst[i]);
	map_fini(&v->by_app);
	map_fini(&v->by_vip);
	arena_fini(&v->arena);
	free(v);
}

const struct view_group *eureka_view_app(const struct eureka_view *v, struct str name)
{
	return map_get(&v->by_app, name);
}

const struct view_group *eureka_view_vip(const struct eureka_view *v, struct str vip)
{
	return map_get(&v->by_vip, vip);
}

const struct view_group *eureka_view_service(const struct eureka_view *v, struct str name)
{
	const struct view_group *g = eureka_view_vip(v, name);

	return g ? g : eureka_view_app(v, name);
}

/* --- looking --- */

const struct instance *eureka_cache_get(const struct eureka_cache *c, struct str app, struct str id)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX);
	const struct cached *x;

	buf_adds(&b, app);
	buf_addc(&b, '/');
	buf_adds(&b, id);
	x = map_get(&c->inst, buf_str(&b));
	return x && !x->held_until ? x->inst : NULL;
}

void eureka_cache_diff(const struct eureka_cache *c, const struct apps_doc *doc,
		       void (*fn)(const char *what, const struct instance *in, enum inst_status other, void *ctx), void *ctx)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX);
	struct map listed;
	size_t pos = 0;

	map_init(&listed, c->seed);
	for (uint32_t i = 0; i < doc->n; i++) {
		const struct instance *in = doc->inst[i];
		const struct cached *x = map_get(&c->inst, key_of(in, &b));

		if (!x || x->held_until)
			fn("missing", in, (enum inst_status)in->status, ctx);
		else if (x->inst->status != in->status)
			fn("status", x->inst, (enum inst_status)in->status, ctx);
		if (x)
			map_put(&listed, x->key, (void *)(uintptr_t)x);
	}
	for (const struct cached *x; (x = map_next(&c->inst, &pos));) {
		if (!x->held_until && !map_get(&listed, x->key))
			fn("extra", x->inst, INST_UNKNOWN, ctx);
	}
	map_fini(&listed);
}
