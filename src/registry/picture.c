/* picture.c - persistent structure by counted levels. See picture.h. */
#include "registry/picture.h"

/* --- counting --- */

static void ref(_Atomic uint32_t *refs)
{
	atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

static bool unref(_Atomic uint32_t *refs)
{
	uint32_t before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);

	assert(before > 0);
	return before == 1;
}

struct lease *lease_new(const struct instance *inst, enum inst_status reported, usec now)
{
	struct lease *l = xzalloc(sizeof(*l));

	atomic_init(&l->refs, 1);
	l->reported = (uint8_t)reported;
	l->interval = (usec)inst->lease.renewal_s * USEC_PER_SEC;
	l->duration = (usec)inst->lease.duration_s * USEC_PER_SEC;
	l->since = now;
	atomic_init(&l->renewed, now);
	atomic_init(&l->beaten, false);
	return l;
}

struct lease *lease_ref(struct lease *l)
{
	ref(&l->refs);
	return l;
}

void lease_unref(struct lease *l)
{
	if (l && unref(&l->refs))
		free(l);
}

/* Equal hashes cost a comparison and nothing else, so there is no secret in it. */
static uint32_t id_hash(struct str id)
{
	return (uint32_t)str_hash(id, 0);
}

struct entry *entry_new(struct instance *inst, struct lease *lease)
{
	struct entry *e = xzalloc(sizeof(*e));

	atomic_init(&e->refs, 1);
	e->hash = id_hash(inst->id);
	e->inst = inst;
	e->lease = lease;
	return e;
}

struct entry *entry_ref(struct entry *e)
{
	ref(&e->refs);
	return e;
}

void entry_unref(struct entry *e)
{
	if (!e || !unref(&e->refs))
		return;
	instance_unref(e->inst);
	lease_unref(e->lease);
	free(e);
}

static void blobs_free(_Atomic(struct blob *) *blobs)
{
	for (unsigned i = 0; i < BODY_FORMATS; i++)
		free(atomic_load_explicit(&blobs[i], memory_order_acquire));
}

static void app_unref(struct app *a)
{
	if (!a || !unref(&a->refs))
		return;
	for (uint32_t i = 0; i < a->n; i++)
		entry_unref(a->entry[i]);
	blobs_free(a->text);
	blobs_free(a->packed);
	free(a);
}

static void shard_unref(struct shard *s)
{
	if (!s || !unref(&s->refs))
		return;
	for (uint32_t i = 0; i < s->n; i++)
		app_unref(s->slot[i].app);
	free(s);
}

/* A loop, not a recursion: a day of changes may hang on one chunk. */
static void chunk_unref(struct delta_chunk *c)
{
	while (c && unref(&c->refs)) {
		struct delta_chunk *next = c->next;

		for (uint32_t i = 0; i < c->filled; i++)
			entry_unref(c->item[i].entry);
		free(c);
		c = next;
	}
}

static struct delta_chunk *chunk_new(void)
{
	struct delta_chunk *c = xzalloc(sizeof(*c));

	atomic_init(&c->refs, 1);
	return c;
}

struct picture *picture_new(uint64_t seed)
{
	struct picture *p = xzalloc(sizeof(*p));

	atomic_init(&p->refs, 1);
	p->version = 1;
	p->delta_version = 1;
	p->seed = seed;
	p->delta_head = chunk_new();
	return p;
}

struct picture *picture_ref(struct picture *p)
{
	ref(&p->refs);
	return p;
}

void picture_unref(struct picture *p)
{
	if (!p || !unref(&p->refs))
		return;
	for (unsigned i = 0; i < PICTURE_SHARDS; i++) {
		shard_unref(p->shard[i]);
		shard_unref(p->changed[i]);
	}
	chunk_unref(p->delta_head);
	blobs_free(p->full);
	blobs_free(p->delta);
	free(p);
}

/* --- finding --- */

static uint64_t name_hash(const struct picture *p, struct str app)
{
	return str_hash(app, p->seed);
}

static unsigned shard_of(uint64_t hash)
{
	return (unsigned)(hash % PICTURE_SHARDS);
}

/* Where name is or would be. */
static uint32_t shard_place(const struct shard *s, struct str name, uint64_t hash, bool *found)
{
	uint32_t lo = 0, hi = s ? s->n : 0;

	*found = false;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		uint64_t here = s->slot[mid].hash;
		int d = here < hash ? -1 : here > hash ? 1 : str_cmp(s->slot[mid].app->name, name);

		if (d == 0) {
			*found = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t app_place(const struct app *a, struct str id, bool *found)
{
	uint32_t lo = 0, hi = a ? a->n : 0;

	*found = false;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		int d = str_cmp(a->entry[mid]->inst->id, id);

		if (d == 0) {
			*found = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct app *find_app(struct shard *const *shards, struct str app, uint64_t hash)
{
	const struct shard *s = shards[shard_of(hash)];
	bool found;
	uint32_t at = shard_place(s, app, hash, &found);

	return found ? s->slot[at].app : NULL;
}

struct app *picture_app(const struct picture *p, struct str app)
{
	return find_app(p->shard, app, name_hash(p, app));
}

/* Looking through neighbouring hashes beats halving that goes through memory at each step, unless there are very many. */
#define SCAN_MAX 2048

static struct entry *find_hashed(const struct app *a, struct str id, uint32_t hash)
{
	if (a->n > SCAN_MAX) {
		bool found;
		uint32_t at = app_place(a, id, &found);

		return found ? a->entry[at] : NULL;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->hash[i] == hash && str_eq(a->entry[i]->inst->id, id))
			return a->entry[i];
	}
	return NULL;
}

struct entry *app_find(const struct app *a, struct str id)
{
	return find_hashed(a, id, id_hash(id));
}

struct entry *picture_find(const struct picture *p, struct str app, struct str id)
{
	struct app *a = picture_app(p, app);

	return a ? app_find(a, id) : NULL;
}

struct entry *picture_find_id(const struct picture *p, struct str id)
{
	uint32_t hash = id_hash(id);

	for (unsigned i = 0; i < PICTURE_SHARDS; i++) {
		const struct shard *s = p->shard[i];

		for (uint32_t k = 0; s && k < s->n; k++) {
			struct entry *e = find_hashed(s->slot[k].app, id, hash);

			if (e)
				return e;
		}
	}
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct app *const *x = a, *const *y = b;

	return str_cmp((*x)->name, (*y)->name);
}

static struct app **sorted_apps(struct shard *const *shards, uint32_t n_apps, struct arena *arena)
{
	struct app **all = arena_alloc(arena, (n_apps + 1) * sizeof(struct app *));
	uint32_t n = 0;

	for (unsigned i = 0; i < PICTURE_SHARDS; i++) {
		const struct shard *s = shards[i];

		for (uint32_t k = 0; s && k < s->n; k++)
			all[n++] = s->slot[k].app;
	}
	assert(n == n_apps);
	if (n)
		qsort(all, n, sizeof(*all), by_name);
	return all;
}

struct app **picture_apps(const struct picture *p, struct arena *arena)
{
	return sorted_apps(p->shard, p->n_apps, arena);
}

struct app **picture_changed_apps(const struct picture *p, struct arena *arena)
{
	return sorted_apps(p->changed, p->n_changed_apps, arena);
}

struct entry *picture_next(struct picture_walk *w)
{
	for (; w->shard < PICTURE_SHARDS; w->shard++, w->app = 0) {
		const struct shard *s = w->p->shard[w->shard];

		for (; s && w->app < s->n; w->app++, w->entry = 0) {
			if (w->entry < s->slot[w->app].app->n)
				return s->slot[w->app].app->entry[w->entry++];
		}
	}
	return NULL;
}

struct delta_walk picture_delta(const struct picture *p)
{
	return (struct delta_walk){ p->delta_head, p->delta_from, p->delta_n };
}

struct delta_walk picture_delta_after(const struct picture *p, uint64_t version)
{
	struct delta_walk w = picture_delta(p);

	while (w.left) {
		uint32_t here = MIN(DELTA_CHUNK - w.at, w.left);

		if (here && w.chunk->item[w.at + here - 1].version > version)
			break;
		w.left -= here; /* all of the chunk is older */
		w.chunk = w.chunk->next;
		w.at = 0;
	}
	while (w.left && w.chunk->item[w.at].version <= version) {
		w.at++;
		w.left--;
	}
	return w;
}

const struct delta_item *delta_next(struct delta_walk *w)
{
	if (!w->left)
		return NULL;
	if (w->at == DELTA_CHUNK) {
		w->chunk = w->chunk->next;
		w->at = 0;
	}
	w->left--;
	return &w->chunk->item[w->at++];
}

/* --- building --- */

static struct app *app_alloc(struct str name, uint32_t n)
{
	struct app *a = xzalloc(sizeof(*a) + n * (sizeof(struct entry *) + sizeof(uint32_t)) + name.len);
	char *bytes = (char *)(a->entry + n) + n * sizeof(uint32_t);

	atomic_init(&a->refs, 1);
	a->n = n;
	memcpy(bytes, name.ptr, name.len);
	a->name = str_of(bytes, name.len);
	a->hash = (uint32_t *)(void *)(a->entry + n);
	return a;
}

/* A copy of old (may be NULL) where `drop` entries at `at` are replaced by `e` (NULL: by nothing). */
static struct app *app_edit(const struct app *old, struct str name, uint32_t at, unsigned drop, struct entry *e)
{
	uint32_t was = old ? old->n : 0, n = was - drop + (e ? 1 : 0), k = 0;
	struct app *a = app_alloc(name, n);

	for (uint32_t i = 0; i < at; i++)
		a->entry[k++] = entry_ref(old->entry[i]);
	if (e)
		a->entry[k++] = entry_ref(e);
	for (uint32_t i = at + drop; i < was; i++)
		a->entry[k++] = entry_ref(old->entry[i]);
	if (at)
		memcpy(a->hash, old->hash, at * sizeof(*a->hash));
	if (e)
		a->hash[at] = e->hash;
	if (was > at + drop)
		memcpy(a->hash + at + (e ? 1 : 0), old->hash + at + drop, (was - at - drop) * sizeof(*a->hash));
	assert(k == n);
	if (old)
		a->counts = old->counts;
	if (drop)
		a->counts.n[old->entry[at]->inst->status]--;
	if (e)
		a->counts.n[e->inst->status]++;
	return a;
}

/* The same for a shard; takes a (NULL: nothing). NULL if the result would be empty. */
static struct shard *shard_edit(const struct shard *old, uint32_t at, unsigned drop, struct app *a, uint64_t hash)
{
	uint32_t was = old ? old->n : 0, n = was - drop + (a ? 1 : 0), k = 0;

	if (n == 0)
		return NULL;

	struct shard *s = xzalloc(sizeof(*s) + n * sizeof(s->slot[0]));

	atomic_init(&s->refs, 1);
	s->n = n;
	for (uint32_t i = 0; i < at; i++) {
		s->slot[k++] = old->slot[i];
		ref(&old->slot[i].app->refs);
	}
	if (a)
		s->slot[k++] = (struct shard_slot){ hash, a };
	for (uint32_t i = at + drop; i < was; i++) {
		s->slot[k++] = old->slot[i];
		ref(&old->slot[i].app->refs);
	}
	assert(k == n);
	return s;
}

/* One entry more or less in one of the two trees. */
struct change {
	struct str name;
	uint64_t hash;       /* the name's */
	struct entry *put;   /* NULL: id is taken out, and must be there */
	struct str id;
	/* what came of it */
	bool app_new, app_gone, found;
	uint8_t was; /* status of what was replaced or taken out, if found */
	size_t was_bytes;
};

/* Changes one of a tree's shards, the tree being of a picture that only the caller has. */
static void tree_change(struct shard **tree, struct change *c)
{
	struct shard **at = &tree[shard_of(c->hash)], *s = *at;
	bool app_found;
	uint32_t sat = shard_place(s, c->name, c->hash, &app_found);
	struct app *old = app_found ? s->slot[sat].app : NULL, *a = NULL;
	uint32_t eat = app_place(old, c->id, &c->found);

	assert(c->put || c->found);
	if (c->found) {
		c->was = old->entry[eat]->inst->status;
		c->was_bytes = instance_bytes(old->entry[eat]->inst);
	}
	if (c->put || old->n > 1)
		a = app_edit(old, c->name, eat, c->found, c->put);
	c->app_new = !app_found;
	c->app_gone = !a;
	if (a && app_found && atomic_load_explicit(&s->refs, memory_order_acquire) == 1) {
		s->slot[sat].app = a; /* nobody else sees this shard */
		app_unref(old);
		return;
	}
	*at = shard_edit(s, sat, app_found, a, c->hash);
	shard_unref(s);
}

/* *p, for the writer to change: itself where nobody else has it, else a copy. A new version in any case. */
static struct picture *own(struct picture **p)
{
	struct picture *old = *p, *q;

	if (atomic_load_explicit(&old->refs, memory_order_acquire) == 1) {
		blobs_free(old->full);
		blobs_free(old->delta);
		for (unsigned i = 0; i < BODY_FORMATS; i++)
			old->full[i] = old->delta[i] = NULL;
		old->version++;
		return old;
	}
	q = xzalloc(sizeof(*q));
	atomic_init(&q->refs, 1);
	q->version = old->version + 1;
	q->seed = old->seed;
	q->n_apps = old->n_apps;
	q->n_instances = old->n_instances;
	q->bytes = old->bytes;
	q->delta_bytes = old->delta_bytes;
	q->counts = old->counts;
	q->delta_head = old->delta_head;
	ref(&q->delta_head->refs);
	q->delta_from = old->delta_from;
	q->delta_n = old->delta_n;
	q->n_changed_apps = old->n_changed_apps;
	q->delta_version = old->delta_version;
	q->delta_floor = old->delta_floor;
	for (unsigned k = 0; k < PICTURE_SHARDS; k++) {
		q->shard[k] = old->shard[k];
		q->changed[k] = old->changed[k];
		if (q->shard[k])
			ref(&q->shard[k]->refs);
		if (q->changed[k])
			ref(&q->changed[k]->refs);
	}
	picture_unref(old);
	return *p = q;
}

void picture_put(struct picture **p, struct entry *e)
{
	struct picture *q = own(p);
	struct change c = { .name = e->inst->app, .hash = name_hash(q, e->inst->app), .put = e, .id = e->inst->id };

	tree_change(q->shard, &c);
	if (c.found)
		q->counts.n[c.was]--;
	q->counts.n[e->inst->status]++;
	q->n_apps += c.app_new;
	q->n_instances += !c.found;
	q->bytes += instance_bytes(e->inst) - c.was_bytes;
}

void picture_remove(struct picture **p, struct str app, struct str id)
{
	struct picture *q = own(p);
	struct change c = { .name = app, .hash = name_hash(q, app), .id = id };

	tree_change(q->shard, &c);
	q->counts.n[c.was]--;
	q->n_apps -= c.app_gone;
	q->n_instances--;
	q->bytes -= c.was_bytes;
}

/* --- many at once --- */

static int by_app_and_id(const void *a, const void *b)
{
	const struct instance *x = (*(struct entry *const *)a)->inst, *y = (*(struct entry *const *)b)->inst;
	int d = str_cmp(x->app, y->app);

	return d ? d : str_cmp(x->id, y->id);
}

/* An app of all[0..n), whose references it takes; they have one name and are sorted. */
static struct app *app_of(struct entry **all, uint32_t n)
{
	struct app *a = app_alloc(all[0]->inst->app, n);

	for (uint32_t i = 0; i < n; i++) {
		a->entry[i] = all[i];
		a->hash[i] = all[i]->hash;
		a->counts.n[all[i]->inst->status]++;
	}
	return a;
}

/* Puts an app that is not there yet into a picture that nobody else has. */
static void add_app(struct picture *p, struct app *a)
{
	uint64_t hash = name_hash(p, a->name);
	struct shard **at = &p->shard[shard_of(hash)], *s = *at;
	bool found;

	*at = shard_edit(s, shard_place(s, a->name, hash, &found), 0, a, hash);
	shard_unref(s);
	p->n_apps++;
	p->n_instances += a->n;
	for (uint32_t i = 0; i < a->n; i++)
		p->bytes += instance_bytes(a->entry[i]->inst);
	for (unsigned i = 0; i < INST_STATUS_COUNT; i++)
		p->counts.n[i] += a->counts.n[i];
}

void picture_fill(struct picture **p, struct entry **all, uint32_t n)
{
	struct picture *q = own(p);

	assert(q->n_instances == 0);
	if (n)
		qsort(all, n, sizeof(*all), by_app_and_id);
	for (uint32_t i = 0, from = 0; i < n; i++) {
		if (i + 1 < n && str_eq(all[i + 1]->inst->app, all[from]->inst->app))
			continue;
		add_app(q, app_of(all + from, i + 1 - from));
		from = i + 1;
	}
	q->delta_floor = q->version; /* nobody can have followed this */
}

/* --- what has changed --- */

void delta_append(struct picture *p, struct delta_chunk **tail, struct entry *e, usec now, bool evicted)
{
	struct delta_chunk *t = *tail;
	struct change c = { .name = e->inst->app, .hash = name_hash(p, e->inst->app), .put = e, .id = e->inst->id };

	if (t->filled == DELTA_CHUNK) {
		t->next = chunk_new(); /* its one reference is the link's */
		t = *tail = t->next;
	}
	t->item[t->filled++] = (struct delta_item){ entry_ref(e), p->version, now, evicted };
	p->delta_n++;
	p->delta_bytes += instance_bytes(e->inst);
	p->delta_version++;
	tree_change(p->changed, &c);
	p->n_changed_apps += c.app_new;
}

static bool first_is_stale(const struct picture *p, usec horizon, uint32_t max, uint64_t max_bytes)
{
	if (p->delta_n == 0)
		return false;
	if (p->delta_n > max || p->delta_bytes > max_bytes)
		return true;

	struct delta_walk w = picture_delta(p);

	return delta_next(&w)->at < horizon;
}

/* Takes e out of the changed tree, unless something happened to its instance since. */
static void drop_changed(struct picture *p, const struct entry *e)
{
	struct change c = { .name = e->inst->app, .hash = name_hash(p, e->inst->app), .id = e->inst->id };
	const struct app *a = find_app(p->changed, c.name, c.hash);

	if (!a || find_hashed(a, c.id, e->hash) != e)
		return;
	tree_change(p->changed, &c);
	p->n_changed_apps -= c.app_gone;
}

bool delta_trim(struct picture **at, usec horizon, uint32_t max, uint64_t max_bytes)
{
	struct picture *p;

	if (!first_is_stale(*at, horizon, max, max_bytes))
		return false;
	p = own(at);
	do {
		if (p->delta_from == DELTA_CHUNK) {
			struct delta_chunk *next = p->delta_head->next;

			ref(&next->refs);
			chunk_unref(p->delta_head);
			p->delta_head = next;
			p->delta_from = 0;
		}

		const struct delta_item *it = &p->delta_head->item[p->delta_from++];

		p->delta_floor = it->version;
		p->delta_n--;
		p->delta_bytes -= instance_bytes(it->entry->inst);
		drop_changed(p, it->entry);
	} while (first_is_stale(p, horizon, max, max_bytes));
	p->delta_version++;
	return true;
}
