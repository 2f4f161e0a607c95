/* view.c - see view.h. */
#include "eureka/view.h"

#define EDITS_MIN 64

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

static void drop_edits(struct eureka_cache *c)
{
	for (uint32_t i = 0; i < c->n_edits; i++) {
		instance_unref(c->edits[i].old);
		instance_unref(c->edits[i].now);
	}
	c->n_edits = 0;
}

/* Past a share of all, sorting all is cheaper than changing one by one. */
static void note_edit(struct eureka_cache *c, const struct instance *old, const struct instance *now)
{
	if (!c->last || c->anew)
		return;
	if (c->n_edits >= EDITS_MIN + c->inst.len / 32) {
		drop_edits(c);
		c->anew = true;
		return;
	}
	if (c->n_edits == c->room) {
		c->room = c->room ? c->room * 2 : 16;
		c->edits = xrealloc(c->edits, c->room * sizeof(*c->edits));
	}
	c->edits[c->n_edits++] = (struct view_edit){ old ? instance_ref(old) : NULL, now ? instance_ref(now) : NULL };
}

void eureka_cache_fini(struct eureka_cache *c)
{
	size_t pos = 0;

	drop_edits(c);
	free(c->edits);
	eureka_view_unref(c->last);
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
	size_t bytes = c->bytes - (x ? instance_bytes(x->inst) : 0) + instance_bytes(in);

	if (bytes > EUREKA_CACHE_BYTES_MAX || (!x && c->inst.len >= APPS_DOC_INSTANCES_MAX))
		return false;
	c->bytes = bytes;
	if (x) {
		bool changed = differs(x->inst, in);

		uncount(c, x);
		c->counts.n[in->status]++;
		if (changed)
			note_edit(c, x->inst, in);
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
	note_edit(c, NULL, in);
	return true;
}

static bool cache_del(struct eureka_cache *c, struct str key)
{
	struct cached *x = map_del(&c->inst, key);

	if (!x)
		return false;
	uncount(c, x);
	c->bytes -= instance_bytes(x->inst);
	note_edit(c, x->inst, NULL);
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

/* --- a view from all --- */

static bool is_seen(const struct instance *in, bool only_up)
{
	return in && (!only_up || in->status == INST_UP);
}

static int by_app_and_id(const void *a, const void *b)
{
	return instance_cmp(*(struct instance *const *)a, *(struct instance *const *)b);
}

/* A group under construction. */
struct gather {
	struct str name;
	struct instance **inst;
	uint32_t n, room;
};

static void gather_add(struct map *by_name, struct str name, struct instance *in)
{
	struct gather *g = map_get(by_name, name);

	if (!g) {
		g = xzalloc(sizeof(*g));
		g->name = name;
		map_put(by_name, name, g);
	}
	if (g->n && g->inst[g->n - 1] == in)
		return; /* it names the vip twice */
	if (g->n == g->room) {
		g->room = g->room ? g->room * 2 : 4;
		g->inst = xrealloc(g->inst, g->room * sizeof(struct instance *));
	}
	g->inst[g->n++] = in;
}

static struct view_index *gathered(struct map *by_name)
{
	struct view_group **all = xmalloc((by_name->len + 1) * sizeof(*all));
	struct view_index *x;
	uint32_t n = 0;
	size_t pos = 0;

	for (struct gather *g; (g = map_next(by_name, &pos));) {
		all[n++] = view_group_new(g->name, g->inst, g->n);
		free(g->inst);
		free(g);
	}
	x = view_index_new(all, n);
	free(all);
	map_fini(by_name);
	return x;
}

static void build_anew(struct eureka_view *v, const struct eureka_cache *c, bool only_up)
{
	struct instance **all = xmalloc((c->inst.len + 1) * sizeof(*all));
	struct map apps, vips;
	size_t pos = 0;

	map_init_nocase(&apps, c->seed);
	map_init_nocase(&vips, c->seed);
	for (const struct cached *x; (x = map_next(&c->inst, &pos));) {
		if (is_seen(x->inst, only_up))
			all[v->n++] = x->inst;
	}
	if (v->n)
		qsort(all, v->n, sizeof(*all), by_app_and_id);
	for (uint32_t i = 0; i < v->n; i++) {
		struct str rest = all[i]->vip, piece;

		gather_add(&apps, all[i]->app, all[i]);
		while (rest.len && str_cut(&rest, ',', &piece)) {
			if (piece.len)
				gather_add(&vips, piece, all[i]);
		}
	}
	v->apps = gathered(&apps);
	v->vips = gathered(&vips);
	free(all);
}

/* --- a view from the last one --- */

static struct view_index *regroup(struct view_index *x, struct str name, const struct instance *in, bool put)
{
	return view_index_set(x, name, view_group_with(view_index_get(x, name), name, in, put));
}

static bool names_vip(const struct instance *in, struct str vip)
{
	struct str rest = in ? in->vip : STR_EMPTY, piece;

	while (rest.len && str_cut(&rest, ',', &piece)) {
		if (str_eq_nocase(piece, vip))
			return true;
	}
	return false;
}

static struct view_index *regroup_vips(struct view_index *x, const struct instance *old, const struct instance *now)
{
	struct str rest = old ? old->vip : STR_EMPTY, piece;

	while (rest.len && str_cut(&rest, ',', &piece)) {
		if (piece.len && !names_vip(now, piece))
			x = regroup(x, piece, old, false);
	}
	rest = now ? now->vip : STR_EMPTY;
	while (rest.len && str_cut(&rest, ',', &piece)) {
		if (piece.len)
			x = regroup(x, piece, now, true);
	}
	return x;
}

static void apply_edit(struct eureka_view *v, const struct view_edit *e, bool only_up)
{
	const struct instance *old = is_seen(e->old, only_up) ? e->old : NULL, *now = is_seen(e->now, only_up) ? e->now : NULL;

	if (!old && !now)
		return;
	if (old && now && instance_cmp(old, now) != 0) { /* "A/b" has c, "A" has b/c: odd names that share a key */
		apply_edit(v, &(struct view_edit){ .old = e->old }, only_up);
		apply_edit(v, &(struct view_edit){ .now = e->now }, only_up);
		return;
	}
	v->n += (uint32_t)(now != NULL) - (uint32_t)(old != NULL);
	v->apps = regroup(v->apps, now ? now->app : old->app, now ? now : old, now != NULL);
	v->vips = regroup_vips(v->vips, old, now);
}

struct eureka_view *eureka_cache_view(struct eureka_cache *c, bool only_up)
{
	struct eureka_view *v = xzalloc(sizeof(*v)), *last = c->last;

	atomic_init(&v->refs, 1);
	v->version = ++c->version;
	if (last && !c->anew && only_up == c->last_only_up) {
		v->n = last->n;
		v->apps = view_index_ref(last->apps);
		v->vips = view_index_ref(last->vips);
		for (uint32_t i = 0; i < c->n_edits; i++)
			apply_edit(v, &c->edits[i], only_up);
	} else {
		build_anew(v, c, only_up);
	}
	v->n_apps = v->apps->n;
	drop_edits(c);
	c->anew = false;
	c->last_only_up = only_up;
	c->last = eureka_view_ref(v);
	eureka_view_unref(last);
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
	view_index_unref(v->apps);
	view_index_unref(v->vips);
	free(v);
}

const struct view_group *eureka_view_app(const struct eureka_view *v, struct str name)
{
	return view_index_get(v->apps, name);
}

const struct view_group *eureka_view_vip(const struct eureka_view *v, struct str vip)
{
	return view_index_get(v->vips, vip);
}

const struct view_group *eureka_view_service(const struct eureka_view *v, struct str name)
{
	const struct view_group *g = eureka_view_vip(v, name);

	return g ? g : eureka_view_app(v, name);
}

struct view_walk eureka_view_walk(const struct eureka_view *v)
{
	return (struct view_walk){ .x = v->apps };
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
