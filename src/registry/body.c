/* body.c - see body.h. */
#include "registry/body.h"

#include "base/map.h"
#include "eureka/json.h"
#include "eureka/xml.h"
#include "registry/leases.h"
#include "registry/pack.h"

#define BODY_MAX ((size_t)1 << 31)

struct str body_type(enum body_format f)
{
	return body_is_xml(f) ? STR("application/xml") : STR("application/json");
}

/* --- one app --- */

static void put_instance(struct buf *b, const struct entry *e, enum body_format f, const struct times *t, unsigned depth)
{
	struct instance d = entry_draft(e, t->now, t->wall);
	struct jsonw w;

	jsonw_init(&w, b);
	switch (f) {
	case BODY_JSON: instance_json_write(&w, &d); break;
	case BODY_JSON_MINI: instance_json_write_mini(&w, &d); break;
	case BODY_XML: instance_xml_write(b, &d, depth); break;
	case BODY_XML_MINI: instance_xml_write_mini(b, &d); break;
	case BODY_FORMATS: assert(!"no format");
	}
}

/* An application of these entries. depth: of the element, for XML. */
static void put_app(struct buf *b, struct str name, struct entry *const *e, size_t n, enum body_format f,
		    const struct times *t, unsigned depth)
{
	if (body_is_xml(f)) {
		bool mini = body_is_mini(f);

		buf_addf(b, "%*s<application>%s%*s<name>", mini ? 0 : (int)depth * 2, "", mini ? "" : "\n",
			 mini ? 0 : (int)depth * 2 + 2, "");
		xml_text(b, name);
		buf_addf(b, "</name>%s", mini ? "" : "\n");
		for (size_t i = 0; i < n; i++)
			put_instance(b, e[i], f, t, depth + 1);
		buf_addf(b, "%*s</application>%s", mini ? 0 : (int)depth * 2, "", mini ? "" : "\n");
		return;
	}
	buf_adds(b, STR("{\"name\":"));
	json_quote(b, name);
	buf_adds(b, STR(",\"instance\":["));
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(b, ',');
		put_instance(b, e[i], f, t, 0);
	}
	buf_adds(b, STR("]}"));
}

/* Puts b into the cache unless another thread was faster; returns what the cache holds. */
static const struct blob *cache(_Atomic(struct blob *) *slot, struct blob *b)
{
	struct blob *was = NULL;

	if (atomic_compare_exchange_strong_explicit(slot, &was, b, memory_order_acq_rel, memory_order_acquire))
		return b;
	free(b);
	return was;
}

static const struct blob *cached(_Atomic(struct blob *) *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

const struct blob *app_text(struct app *a, enum body_format f, const struct times *t)
{
	const struct blob *have = cached(&a->text[f]);

	if (have)
		return have;

	_cleanup_(buf_finip) struct buf b = BUF_INIT(BODY_MAX);

	put_app(&b, a->name, a->entry, a->n, f, t, 1);
	return cache(&a->text[f], blob_of(buf_str(&b)));
}

void app_write(struct buf *out, struct app *a, enum body_format f, const struct times *t)
{
	const struct blob *have = cached(&a->text[f]);

	if (have)
		buf_add(out, have->data, have->len);
	else
		put_app(out, a->name, a->entry, a->n, f, t, 1);
}

static const struct blob *app_packed(struct app *a, enum body_format f, const struct times *t)
{
	const struct blob *have = cached(&a->packed[f]);

	if (have)
		return have;

	_cleanup_(buf_finip) struct buf b = BUF_INIT(BODY_MAX);

	app_write(&b, a, f, t);
	return cache(&a->packed[f], blob_deflate(buf_str(&b)));
}

/* --- frames --- */

struct frame body_frame(struct arena *a, enum body_format f, int64_t version, const struct status_counts *counts)
{
	char hash[APPS_HASH_MAX];
	int n = (int)apps_hash(hash, counts);
	long long v = (long long)version;

	switch (f) {
	case BODY_JSON:
		return (struct frame){
			str_printf_in(a, "{\"applications\":{\"versions__delta\":\"%lld\",\"apps__hashcode\":\"%.*s\",\"application\":[",
				      v, n, hash),
			STR(","), STR("]}}") };
	case BODY_JSON_MINI:
		return (struct frame){
			STR("{\"applications\":{\"application\":["), STR(","),
			str_printf_in(a, "],\"versions__delta\":\"%lld\",\"apps__hashcode\":\"%.*s\"}}", v, n, hash) };
	case BODY_XML:
		return (struct frame){
			str_printf_in(a, "<applications>\n  <versions__delta>%lld</versions__delta>\n"
					 "  <apps__hashcode>%.*s</apps__hashcode>\n", v, n, hash),
			STR_EMPTY, STR("</applications>") };
	default:
		return (struct frame){
			STR("<applications>"), STR_EMPTY,
			str_printf_in(a, "<versions__delta>%lld</versions__delta><apps__hashcode>%.*s</apps__hashcode></applications>",
				      v, n, hash) };
	}
}

/* --- whole answers --- */

/* The pieces of one of p's trees, joined. */
static const struct blob *apps_gzip(_Atomic(struct blob *) *slot, struct picture *p, bool changes, enum body_format f,
				    const struct times *t)
{
	const struct blob *have = cached(slot);

	if (have)
		return have;

	_cleanup_(buf_finip) struct buf b = BUF_INIT(BODY_MAX);
	uint32_t n = changes ? p->n_changed_apps : p->n_apps;
	struct arena a;
	struct gzip_join g;

	arena_init(&a, 4096);

	struct app **apps = changes ? picture_changed_apps(p, &a) : picture_apps(p, &a);
	struct frame fr = body_frame(&a, f, changes ? (int64_t)p->delta_version : 1, &p->counts);

	gzip_begin(&g, &b);
	gzip_text(&g, fr.before);
	for (uint32_t i = 0; i < n; i++) {
		if (i && fr.between.len)
			gzip_text(&g, fr.between);
		gzip_piece(&g, app_packed(apps[i], f, t));
	}
	gzip_text(&g, fr.after);
	gzip_end(&g);
	arena_fini(&a);
	return cache(slot, blob_of(buf_str(&b)));
}

const struct blob *body_full_gzip(struct picture *p, enum body_format f, const struct times *t)
{
	return apps_gzip(&p->full[f], p, false, f, t);
}

/* Entries grouped by app, each app's in the order in which they were added. */
struct group {
	struct str name;
	struct entry **e;
	size_t n, room;
};

struct groups {
	struct arena *a;
	struct map by_name; /* of struct group */
	struct group **all;
	size_t n, room;
	struct status_counts counts;
};

static void groups_init(struct groups *g, struct arena *a, uint64_t seed)
{
	*g = (struct groups){ .a = a };
	map_init(&g->by_name, seed);
}

static void groups_fini(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->all[i]->e);
	free(g->all);
	map_fini(&g->by_name);
}

static void groups_add(struct groups *g, struct entry *e)
{
	struct group *gr = map_get(&g->by_name, e->inst->app);

	if (!gr) {
		gr = arena_zalloc(g->a, sizeof(*gr));
		gr->name = e->inst->app;
		map_put(&g->by_name, gr->name, gr);
		if (g->n == g->room) {
			g->room = g->room ? g->room * 2 : 16;
			g->all = xrealloc(g->all, g->room * sizeof(struct group *));
		}
		g->all[g->n++] = gr;
	}
	if (gr->n == gr->room) {
		gr->room = gr->room ? gr->room * 2 : 4;
		gr->e = xrealloc(gr->e, gr->room * sizeof(struct entry *));
	}
	gr->e[gr->n++] = e;
	g->counts.n[e->inst->status]++;
}

static int by_name(const void *a, const void *b)
{
	const struct group *const *x = a, *const *y = b;

	return str_cmp((*x)->name, (*y)->name);
}

static void put_groups(struct buf *out, struct groups *g, const struct frame *fr, enum body_format f,
		       const struct times *t)
{
	if (g->n)
		qsort(g->all, g->n, sizeof(struct group *), by_name);
	buf_adds(out, fr->before);
	for (size_t i = 0; i < g->n; i++) {
		if (i)
			buf_adds(out, fr->between);
		put_app(out, g->all[i]->name, g->all[i]->e, g->all[i]->n, f, t, 1);
	}
	buf_adds(out, fr->after);
}

void body_delta(struct buf *out, const struct picture *p, enum body_format f, const struct times *t)
{
	struct arena a;

	arena_init(&a, 4096);

	struct app **apps = picture_changed_apps(p, &a);
	struct frame fr = body_frame(&a, f, (int64_t)p->delta_version, &p->counts);

	buf_adds(out, fr.before);
	for (uint32_t i = 0; i < p->n_changed_apps; i++) {
		if (i)
			buf_adds(out, fr.between);
		app_write(out, apps[i], f, t);
	}
	buf_adds(out, fr.after);
	arena_fini(&a);
}

const struct blob *body_delta_gzip(struct picture *p, enum body_format f, const struct times *t)
{
	return apps_gzip(&p->delta[f], p, true, f, t);
}

void body_vip(struct buf *out, const struct picture *p, struct str vip, bool secure, enum body_format f,
	      const struct times *t)
{
	struct picture_walk w = { .p = p };
	struct arena a;
	struct groups g;

	arena_init(&a, 4096);
	groups_init(&g, &a, p->seed);
	for (struct entry *e; (e = picture_next(&w));) {
		if (vip_has(secure ? e->inst->secure_vip : e->inst->vip, vip))
			groups_add(&g, e);
	}

	struct frame fr = body_frame(&a, f, -1, &g.counts);

	put_groups(out, &g, &fr, f, t);
	groups_fini(&g);
	arena_fini(&a);
}

void body_app(struct buf *out, struct app *a, enum body_format f, const struct times *t)
{
	if (body_is_xml(f)) {
		put_app(out, a->name, a->entry, a->n, f, t, 0);
		return;
	}

	const struct blob *text = app_text(a, f, t);

	buf_adds(out, STR("{\"application\":"));
	buf_add(out, text->data, text->len);
	buf_addc(out, '}');
}

void body_instance(struct buf *out, const struct entry *e, enum body_format f, const struct times *t)
{
	if (body_is_xml(f)) {
		put_instance(out, e, f, t, 0);
		return;
	}
	buf_adds(out, STR("{\"instance\":"));
	put_instance(out, e, f, t, 0);
	buf_addc(out, '}');
}
