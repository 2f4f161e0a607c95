/* queries.c - lists, applications and instances, from the worker's picture. See http_impl.h. */
#include "registry/http_impl.h"

#include "base/map.h"
#include "registry/pack.h"

static bool wants_gzip(struct exchange *ex)
{
	struct str rest = head_value(&ex->req, H_ACCEPT_ENCODING), piece;

	while (rest.len && str_cut(&rest, ',', &piece)) {
		ptrdiff_t semi = str_chr(piece, ';');
		struct str name = str_trim(str_slice(piece, 0, semi < 0 ? piece.len : (size_t)semi));
		struct str params = semi < 0 ? STR_EMPTY : str_trim(str_slice(piece, (size_t)semi + 1, piece.len));
		double q = 1;

		if (!str_eq_nocase(name, STR("gzip")) && !str_eq_nocase(name, STR("x-gzip")) && !str_eq(name, STR("*")))
			continue;
		if (str_has_prefix_nocase(params, STR("q=")) && str_to_double(str_slice(params, 2, params.len), &q) &&
		    q <= 0)
			continue;
		return true;
	}
	return false;
}

/* --- answers --- */

struct str version_text(char out[VERSION_TEXT_MAX], struct registry *reg, uint64_t version)
{
	fmt_hex64(out, registry_epoch(reg));
	out[16] = '-';
	return str_of(out, 17 + fmt_u64(out + 17, version));
}

void rh_answer(struct exchange *ex, unsigned status)
{
	ex_respond(ex, status, STR_EMPTY, STR_EMPTY, NULL, 0);
}

/* What lists say in their heads besides their type; spans live as long as the struct. */
struct list_head {
	char version[VERSION_TEXT_MAX], restored[12];
	struct field f[4];
	unsigned n;
};

static void add_field(struct list_head *h, struct str name, struct str value)
{
	h->f[h->n++] = (struct field){ name, value };
}

/* rw: NULL for what is no list. */
static void list_head(struct list_head *h, struct reg_worker *rw, bool gzip)
{
	uint32_t restored = rw ? registry_restored(rw->reg) : 0;

	h->n = 0;
	add_field(h, STR("Vary"), STR("Accept, Accept-Encoding, X-Eureka-Accept"));
	if (gzip)
		add_field(h, STR("Content-Encoding"), STR("gzip"));
	if (rw)
		add_field(h, STR("X-Vine-Version"), version_text(h->version, rw->reg, rw->mine->version));
	if (restored)
		add_field(h, STR("X-Vine-Restored"), str_of(h->restored, fmt_u64(h->restored, restored)));
}

static void respond(struct exchange *ex, struct reg_worker *rw, unsigned status, enum body_format f, struct str body,
		    bool gzip)
{
	struct list_head h;

	list_head(&h, rw, gzip);
	ex_respond(ex, status, body_type(f), body, h.f, h.n);
}

static void answer_blob(struct exchange *ex, struct reg_worker *rw, enum body_format f, const struct blob *b)
{
	respond(ex, rw, 200, f, str_of(b->data, b->len), true);
}

static void answer_buf(struct exchange *ex, struct reg_worker *rw, unsigned status, enum body_format f,
		       const struct buf *text)
{
	if (status == 200 && text->len > 1024 && wants_gzip(ex)) {
		_cleanup_(buf_finip) struct buf out = BUF_INIT((size_t)1 << 31);
		_cleanup_(freep) struct blob *piece = blob_deflate(buf_str(text));
		struct gzip_join g;

		gzip_begin(&g, &out);
		gzip_piece(&g, piece);
		gzip_end(&g);
		respond(ex, rw, 200, f, buf_str(&out), true);
		return;
	}
	respond(ex, rw, status, f, buf_str(text), false);
}

void rh_answer_text(struct exchange *ex, unsigned status, enum body_format f, const struct buf *text)
{
	answer_buf(ex, NULL, status, f, text);
}

/* --- the whole registry, sent piece by piece when it is not compressed --- */

struct full_stream {
	struct picture *p;
	struct app **apps;
	struct frame fr;
	uint32_t at;
	enum body_format f;
	struct times t;
};

#define STREAM_AHEAD (256u * 1024)
#define TEXTS_KEPT 5000 /* with more instances texts are written anew for each that does not take gzip */

static void full_pump(struct exchange *ex)
{
	struct full_stream *s = ex->user;
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);

	while (s->at < s->p->n_apps && ex_pending(ex) < STREAM_AHEAD) {
		buf_clear(&b);
		if (s->at)
			buf_adds(&b, s->fr.between);
		app_write(&b, s->apps[s->at], s->f, &s->t);
		ex_write(ex, buf_str(&b));
		s->at++;
	}
	if (s->at == s->p->n_apps)
		ex_write_end(ex, s->fr.after);
}

/* Of the whole answer: known where the texts are kept. */
static uint64_t full_length(const struct full_stream *s)
{
	uint64_t len = s->fr.before.len + s->fr.after.len;

	if (s->p->n_instances > TEXTS_KEPT)
		return EX_LENGTH_UNKNOWN;
	for (uint32_t i = 0; i < s->p->n_apps; i++)
		len += app_text(s->apps[i], s->f, &s->t)->len + (i ? s->fr.between.len : 0);
	return len;
}

static void full_close(struct exchange *ex)
{
	struct full_stream *s = ex->user;

	picture_unref(s->p);
}

static const struct exchange_ops full_ops = { .on_drain = full_pump, .on_close = full_close };

void rh_get_apps(struct exchange *ex, struct reg_worker *rw, enum body_format f)
{
	const struct times t = rh_times(rw);
	struct picture *p = rw->mine;

	if (wants_gzip(ex)) {
		answer_blob(ex, rw, f, body_full_gzip(p, f, &t));
		return;
	}

	struct full_stream *s = arena_zalloc(&ex->arena, sizeof(*s));
	struct list_head h;

	*s = (struct full_stream){ .p = picture_ref(p), .apps = picture_apps(p, &ex->arena), .f = f, .t = t };
	s->fr = body_frame(&ex->arena, f, 1, &p->counts);
	ex->user = s;
	ex->ops = &full_ops;
	list_head(&h, rw, false);

	struct buf *head = ex_head(ex, 200);

	head_add(head, STR("Content-Type"), body_type(f));
	for (unsigned i = 0; i < h.n; i++)
		head_add(head, h.f[i].name, h.f[i].value);
	ex_head_done(ex, full_length(s));
	ex_write(ex, s->fr.before);
	full_pump(ex);
}

void rh_get_delta(struct exchange *ex, struct reg_worker *rw, enum body_format f)
{
	const struct times t = rh_times(rw);

	if (!registry_has_delta(rw->reg)) {
		rh_answer(ex, 403); /* the client then fetches all */
		return;
	}
	if (wants_gzip(ex)) {
		answer_blob(ex, rw, f, body_delta_gzip(rw->mine, f, &t));
		return;
	}

	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);

	body_delta(&b, rw->mine, f, &t);
	answer_buf(ex, rw, 200, f, &b);
}

void rh_get_vip(struct exchange *ex, struct reg_worker *rw, struct str vip, bool secure, enum body_format f)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);
	const struct times t = rh_times(rw);

	body_vip(&b, rw->mine, vip, secure, f, &t);
	answer_buf(ex, rw, 200, f, &b);
}

void rh_get_app(struct exchange *ex, struct reg_worker *rw, struct str name, enum body_format f)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);
	const struct times t = rh_times(rw);
	struct app *a = picture_app(rw->mine, str_upper_in(&ex->arena, name));

	if (!a) {
		rh_answer(ex, 404);
		return;
	}
	body_app(&b, a, f, &t);
	answer_buf(ex, rw, 200, f, &b);
}

void rh_get_instance(struct exchange *ex, struct reg_worker *rw, const struct entry *e, enum body_format f)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX * 8u);
	const struct times t = rh_times(rw);
	bool doubling;

	/* the compact forms are for lists */
	f = body_is_xml(f) ? BODY_XML : BODY_JSON;
	if (!e || (registry_hides_expired(rw->reg, &doubling) && lease_is_expired(e->lease, doubling, t.now, 0))) {
		rh_answer(ex, 404);
		return;
	}
	body_instance(&b, e, f, &t);
	rh_answer_text(ex, 200, f, &b);
}

void rh_get_overrides(struct exchange *ex, struct reg_worker *rw)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 28);
	struct picture_walk walk = { .p = rw->mine };
	struct map seen; /* an id may be in several applications: no key comes twice */
	struct jsonw w;

	map_init(&seen, rw->mine->seed);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	for (struct entry *e; (e = picture_next(&walk));) {
		if (e->inst->overridden == INST_UNKNOWN || map_put(&seen, e->inst->id, e))
			continue;
		jsonw_key_str(&w, e->inst->id, inst_status_name((enum inst_status)e->inst->overridden));
	}
	jsonw_object_end(&w);
	map_fini(&seen);
	rh_answer_text(ex, 200, BODY_JSON, &b);
}
