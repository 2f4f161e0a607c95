/* http.c - see http.h. Section numbers are those of the protocol's description in docs. */
#include "registry/http.h"

#include "codec/gzip.h"
#include "codec/url.h"
#include "eureka/json.h"
#include "eureka/xml.h"
#include "registry/body.h"
#include "registry/pack.h"

#define SEGMENTS_MAX 6
#define BODY_COLLECT_MAX (1024 * 1024)
#define GZIP_RATIO_MAX 200
#define METADATA_PARAMS_MAX INST_META_MAX

struct target {
	struct str seg[SEGMENTS_MAX]; /* below the base, decoded, empty ones left out */
	unsigned n;
	bool ok; /* false: more segments than any endpoint has */
};

/* --- the request --- */

/* Percent-decoding; what is malformed stays as it is. plus: '+' is a blank, as forms write it. */
static struct str decode(struct arena *a, struct str s, bool plus)
{
	struct str out;

	return url_decode(a, s, plus, &out) ? out : s;
}

static bool query(struct exchange *ex, struct str name, struct str *ret)
{
	return url_param(&ex->arena, ex->req.query, name, ret);
}

bool registry_http_takes(struct str path)
{
	while (str_has_prefix(path, STR("//")))
		path = str_slice(path, 1, path.len);
	return str_has_prefix(path, STR("/eureka")) && (path.len == 7 || path.ptr[7] == '/');
}

static struct target target_of(struct exchange *ex)
{
	struct target t = { .ok = true };
	struct str rest = ex->req.path, piece;
	bool base = false, version = false;

	while (str_cut(&rest, '/', &piece)) {
		if (piece.len == 0)
			continue;
		if (!base) {
			base = true; /* "eureka" */
		} else if (!version && t.n == 0 && (str_eq(piece, STR("v2")) || str_eq(piece, STR("v1")))) {
			version = true;
		} else if (t.n == SEGMENTS_MAX) {
			t.ok = false;
			break;
		} else {
			t.seg[t.n++] = decode(&ex->arena, piece, false);
		}
	}
	return t;
}

static bool contains_nocase(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++) {
		if (str_eq_nocase(str_of(s.ptr + i, needle.len), needle))
			return true;
	}
	return false;
}

static enum body_format format_of(struct exchange *ex)
{
	const struct hfield *compact = head_find_name(&ex->req, STR("X-Eureka-Accept"));
	bool mini = compact && str_eq_nocase(compact->value, STR("compact"));
	struct str given;

	if (query(ex, STR("format"), &given) && str_eq_nocase(given, STR("json")))
		return mini ? BODY_JSON_MINI : BODY_JSON;
	if (contains_nocase(head_value(&ex->req, H_ACCEPT), STR("json")))
		return mini ? BODY_JSON_MINI : BODY_JSON;
	return mini ? BODY_XML_MINI : BODY_XML;
}

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
		if (str_has_prefix_nocase(params, STR("q=")) && str_to_double(str_slice(params, 2, params.len), &q) && q <= 0)
			continue;
		return true;
	}
	return false;
}

static bool is_replication(struct exchange *ex)
{
	const struct hfield *f = head_find_name(&ex->req, STR("x-netflix-discovery-replication"));

	return f && str_eq(f->value, STR("true"));
}

static struct times times_of(const struct reg_worker *rw)
{
	return (struct times){ loop_now(rw->loop), clock_wall() };
}

static struct str upper(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		p[i] = ascii_upper(s.ptr[i]);
	p[s.len] = '\0';
	return str_of(p, s.len);
}

/* --- answers --- */

static void answer(struct exchange *ex, unsigned status)
{
	ex_respond(ex, status, STR_EMPTY, STR_EMPTY, NULL, 0);
}

static void answer_blob(struct exchange *ex, enum body_format f, const struct blob *b)
{
	static const struct field fields[] = {
		{ STR_INIT("Content-Encoding"), STR_INIT("gzip") },
		{ STR_INIT("Vary"), STR_INIT("Accept, Accept-Encoding, X-Eureka-Accept") },
	};

	ex_respond(ex, 200, body_type(f), str_of(b->data, b->len), fields, ARRAY_LEN(fields));
}

/* A text made for this request; compressed if that is wanted and worth it. */
static void answer_text(struct exchange *ex, unsigned status, enum body_format f, const struct buf *text)
{
	static const struct field vary = { STR_INIT("Vary"), STR_INIT("Accept, Accept-Encoding, X-Eureka-Accept") };

	if (status == 200 && text->len > 1024 && wants_gzip(ex)) {
		_cleanup_(buf_finip) struct buf out = BUF_INIT((size_t)1 << 31);
		_cleanup_(freep) struct blob *piece = blob_deflate(buf_str(text));
		struct gzip_join g;

		gzip_begin(&g, &out);
		gzip_piece(&g, piece);
		gzip_end(&g);

		_cleanup_(freep) struct blob *whole = blob_of(buf_str(&out));

		answer_blob(ex, f, whole);
		return;
	}
	ex_respond(ex, status, body_type(f), buf_str(text), &vary, 1);
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

static void full_pump(struct exchange *ex)
{
	struct full_stream *s = ex->user;

	while (s->at < s->p->n_apps && ex_pending(ex) < STREAM_AHEAD) {
		const struct blob *b = app_text(s->apps[s->at], s->f, &s->t);

		if (s->at)
			ex_write(ex, s->fr.between);
		ex_write(ex, str_of(b->data, b->len));
		s->at++;
	}
	if (s->at == s->p->n_apps)
		ex_write_end(ex, s->fr.after);
}

static void full_close(struct exchange *ex)
{
	struct full_stream *s = ex->user;

	picture_unref(s->p);
}

static const struct exchange_ops full_ops = { .on_drain = full_pump, .on_close = full_close };

static void get_apps(struct exchange *ex, struct reg_worker *rw, enum body_format f)
{
	const struct times t = times_of(rw);
	struct picture *p = rw->mine;

	if (wants_gzip(ex)) {
		answer_blob(ex, f, body_full_gzip(p, f, &t));
		return;
	}

	struct full_stream *s = arena_zalloc(&ex->arena, sizeof(*s));
	uint64_t len;

	*s = (struct full_stream){ .p = picture_ref(p), .apps = picture_apps(p, &ex->arena), .f = f, .t = t };
	s->fr = body_frame(&ex->arena, f, 1, &p->counts);
	len = s->fr.before.len + s->fr.after.len + (p->n_apps > 1 ? (p->n_apps - 1) * s->fr.between.len : 0);
	for (uint32_t i = 0; i < p->n_apps; i++)
		len += app_text(s->apps[i], f, &t)->len;
	ex->user = s;
	ex->ops = &full_ops;
	head_add(ex_head(ex, 200), STR("Content-Type"), body_type(f));
	ex_head_done(ex, len);
	ex_write(ex, s->fr.before);
	full_pump(ex);
}

static void get_delta(struct exchange *ex, struct reg_worker *rw, enum body_format f)
{
	const struct times t = times_of(rw);

	if (!registry_has_delta(rw->reg)) {
		answer(ex, 403); /* the client then fetches all */
		return;
	}
	if (wants_gzip(ex)) {
		answer_blob(ex, f, body_delta_gzip(rw->mine, f, &t));
		return;
	}

	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);

	body_delta(&b, rw->mine, f, &t);
	answer_text(ex, 200, f, &b);
}

static void get_vip(struct exchange *ex, struct reg_worker *rw, struct str vip, bool secure, enum body_format f)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);
	const struct times t = times_of(rw);

	body_vip(&b, rw->mine, vip, secure, f, &t);
	answer_text(ex, 200, f, &b);
}

static void get_app(struct exchange *ex, struct reg_worker *rw, struct str name, enum body_format f)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 31);
	const struct times t = times_of(rw);
	struct app *a = picture_app(rw->mine, upper(&ex->arena, name));

	if (!a) {
		answer(ex, 404);
		return;
	}
	body_app(&b, a, f, &t);
	answer_text(ex, 200, f, &b);
}

static void get_instance(struct exchange *ex, struct reg_worker *rw, const struct entry *e, enum body_format f)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX * 8u);
	const struct times t = times_of(rw);
	bool doubling;

	/* the compact forms are for lists */
	f = body_is_xml(f) ? BODY_XML : BODY_JSON;
	if (!e || (registry_hides_expired(rw->reg, &doubling) && lease_is_expired(e->lease, doubling, t.now, 0))) {
		answer(ex, 404);
		return;
	}
	body_instance(&b, e, f, &t);
	answer_text(ex, 200, f, &b);
}

static void get_overrides(struct exchange *ex, struct reg_worker *rw)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 28);
	struct picture_walk walk = { .p = rw->mine };
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	for (const struct entry *e; (e = picture_next(&walk));) {
		if (e->inst->overridden != INST_UNKNOWN)
			jsonw_key_str(&w, e->inst->id, inst_status_name((enum inst_status)e->inst->overridden));
	}
	jsonw_object_end(&w);
	answer_text(ex, 200, BODY_JSON, &b);
}

/* --- writes: through the writer and back --- */

static void on_gone(struct exchange *ex)
{
	struct op *op = ex->user;

	if (op)
		op->user = NULL; /* the write goes on, nobody waits for it */
}

static const struct exchange_ops wait_ops = { .on_close = on_gone };

static void on_written(struct op *op)
{
	struct exchange *ex = op->user;
	unsigned ok = op->kind == OP_REGISTER ? 204 : 200;

	if (ex) {
		ex->user = NULL;
		if (op->result == 0)
			answer(ex, ok);
		else if (op->result == VINE_ENOTFOUND)
			answer(ex, 404);
		else if (op->kind == OP_REGISTER)
			ex_respond_text(ex, 503, str_from(op->err.text));
		else
			ex_respond_text(ex, 400, str_from(op->err.text));
	}
	op_free(op);
}

static void submit(struct exchange *ex, struct reg_worker *rw, struct op *op)
{
	op->flags = is_replication(ex) ? LEASE_REPLICATED : 0;
	op->user = ex;
	ex->user = op;
	ex->ops = &wait_ops;
	if (registry_submit(rw->reg, op, rw->mailbox, on_written))
		return;
	ex->user = NULL;
	op_free(op);
	answer(ex, 503); /* the process ends: the client asks another server */
}

static void on_forgotten(struct op *op)
{
	op_free(op);
}

/* --- register --- */

static bool is_type(struct str type, struct str want)
{
	return contains_nocase(type, want);
}

/* Netflix's words, with the reason behind them. */
static void cannot_parse(struct exchange *ex, bool json, const struct err *e)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(4096);
	struct str why = str_printf_in(&ex->arena, "cannot parse request body: %s", e->text);

	if (json) {
		buf_adds(&b, STR("{\"error\": "));
		json_quote(&b, why);
		buf_adds(&b, STR("}"));
		ex_respond(ex, 400, STR("application/json"), buf_str(&b), NULL, 0);
		return;
	}
	buf_adds(&b, STR("<error><message>"));
	xml_text(&b, why);
	buf_adds(&b, STR("</message></error>"));
	ex_respond(ex, 400, STR("application/xml"), buf_str(&b), NULL, 0);
}

/* The body without its compression, in the exchange's arena: false if it was answered. */
static bool plain_body(struct exchange *ex, struct str *body)
{
	struct str coding = head_value(&ex->req, H_CONTENT_ENCODING);
	struct buf out = BUF_INIT(BODY_COLLECT_MAX);
	struct err e;
	int r;

	if (!coding.len || str_eq_nocase(coding, STR("identity")))
		return true;
	if (!str_eq_nocase(coding, STR("gzip"))) {
		answer(ex, 415);
		return false;
	}
	r = gzip_unpack(&out, *body, BODY_COLLECT_MAX, GZIP_RATIO_MAX, &e);
	if (r == 0)
		*body = str_dup_in(&ex->arena, buf_str(&out));
	else
		ex_respond_text(ex, r == VINE_ELIMIT ? 413 : 400, str_from(e.text));
	buf_fini(&out);
	return r == 0;
}

static void on_register_body(struct exchange *ex, struct str body)
{
	struct reg_worker *rw = ex->user;
	struct str type = head_value(&ex->req, H_CONTENT_TYPE);
	struct target t = target_of(ex);
	struct str app = upper(&ex->arena, t.seg[1]);
	struct instance d;
	struct err e;
	bool json = is_type(type, STR("json")), xml = is_type(type, STR("xml"));
	int r;

	ex->user = NULL;
	if (type.len && !json && !xml) {
		answer(ex, 415);
		return;
	}
	if (!plain_body(ex, &body))
		return;
	if (!json && !xml)
		json = !str_has_prefix(str_trim(body), STR("<"));
	r = json ? instance_json_decode(&d, body, &ex->arena, &e) : instance_xml_decode(&d, body, &ex->arena, &e);
	if (r < 0) {
		cannot_parse(ex, json, &e);
		return;
	}
	r = instance_check(&d, app, &e);
	if (r < 0) {
		ex_respond_text(ex, 400, str_from(e.text));
		return;
	}
	if (!d.dirty)
		d.dirty = clock_wall();

	struct op *op = op_new(OP_REGISTER, STR_EMPTY, STR_EMPTY);

	op->inst = instance_new(&d);
	submit(ex, rw, op);
}

/* --- one instance --- */

/* The id that is meant: some clients write a blank in a path as '+'. */
static struct str find_id(struct exchange *ex, const struct picture *p, struct str app, struct str id, struct entry **ret)
{
	*ret = picture_find(p, app, id);
	if (!*ret && str_chr(id, '+') >= 0) {
		struct str blank = decode(&ex->arena, id, true);

		*ret = picture_find(p, app, blank);
		if (*ret)
			return blank;
	}
	return id;
}

static msec dirty_param(struct exchange *ex)
{
	struct str v;
	int64_t n = 0;

	/* what is no number counts as absent: Netflix's server answers 500 */
	return query(ex, STR("lastDirtyTimestamp"), &v) && str_to_i64(v, &n) && n > 0 ? n : 0;
}

static void heartbeat(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
{
	bool replicated = is_replication(ex);
	const struct renew how = { app, id, registry_ignores_dirty(rw->reg) ? 0 : dirty_param(ex), replicated };
	struct entry *e;
	enum renewal r = lease_renew(rw->mine, &how, loop_now(rw->loop), &e);
	enum inst_status over;
	struct str v;

	if (r != RENEW_ABSENT)
		registry_count_renewal(rw->reg, rw->stripe);
	switch (r) {
	case RENEWED:
		answer(ex, 200);
		return;
	case RENEW_CONFLICT: {
		_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX * 8u);
		const struct times t = times_of(rw);
		enum body_format f = body_is_xml(format_of(ex)) ? BODY_XML : BODY_JSON;

		body_instance(&b, e, f, &t);
		answer_text(ex, 409, f, &b);
		return;
	}
	case RENEW_OUTDATED:
		if (replicated && query(ex, STR("overriddenstatus"), &v) && inst_status_parse(v, &over) &&
		    over != INST_UNKNOWN) {
			struct op *op = op_new(OP_STORE_OVERRIDE, app, id);

			op->status = over;
			if (!registry_submit(rw->reg, op, rw->mailbox, on_forgotten))
				op_free(op);
		}
		answer(ex, 404);
		return;
	case RENEW_ABSENT:
		answer(ex, 404);
		return;
	}
}

static void change_status(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
{
	bool put = ex->req.mid == HTTP_PUT;
	enum inst_status s = INST_UNKNOWN;
	struct str v;
	bool given = query(ex, STR("value"), &v);

	if (!picture_find(rw->mine, app, id)) {
		answer(ex, 404);
		return;
	}
	if (given ? !inst_status_parse(v, &s) : put) {
		answer(ex, 500); /* as Netflix's server */
		return;
	}

	struct op *op = op_new(put ? OP_SET_STATUS : OP_CLEAR_STATUS, app, id);

	op->status = s;
	op->dirty = dirty_param(ex);
	submit(ex, rw, op);
}

static void change_metadata(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
{
	struct op *op = op_new(OP_METADATA, app, id);
	struct str rest = ex->req.query, key, value;

	op->kv = arena_alloc(&op->arena, METADATA_PARAMS_MAX * sizeof(*op->kv));
	while (url_next_param(&rest, &key, &value)) {
		if (op->n_kv == METADATA_PARAMS_MAX) {
			op_free(op);
			ex_respond_text(ex, 400, STR("too many metadata entries"));
			return;
		}
		key = str_dup_in(&op->arena, decode(&ex->arena, key, true)); /* the exchange may go first */
		value = str_dup_in(&op->arena, decode(&ex->arena, value, true));
		if (key.len)
			op->kv[op->n_kv++] = (struct kv){ key, value };
	}
	submit(ex, rw, op);
}

static void instance_request(struct exchange *ex, struct reg_worker *rw, const struct target *t)
{
	struct str app = upper(&ex->arena, t->seg[1]);
	struct entry *e;
	struct str id = find_id(ex, rw->mine, app, t->seg[2], &e);

	switch (ex->req.mid) {
	case HTTP_GET:
	case HTTP_HEAD:
		get_instance(ex, rw, e, format_of(ex));
		return;
	case HTTP_PUT:
		heartbeat(ex, rw, app, id);
		return;
	case HTTP_DELETE:
		submit(ex, rw, op_new(OP_CANCEL, app, id));
		return;
	default:
		answer(ex, 405);
	}
}

static void instance_sub_request(struct exchange *ex, struct reg_worker *rw, const struct target *t)
{
	enum http_method m = ex->req.mid;
	struct str app = upper(&ex->arena, t->seg[1]);
	struct entry *e;
	struct str id = find_id(ex, rw->mine, app, t->seg[2], &e);

	if (str_eq(t->seg[3], STR("status")) && (m == HTTP_PUT || m == HTTP_DELETE))
		change_status(ex, rw, app, id);
	else if (str_eq(t->seg[3], STR("metadata")) && m == HTTP_PUT)
		change_metadata(ex, rw, app, id);
	else
		answer(ex, str_eq(t->seg[3], STR("status")) || str_eq(t->seg[3], STR("metadata")) ? 405 : 404);
}

/* --- which one it is --- */

static void app_request(struct exchange *ex, struct reg_worker *rw, const struct target *t, bool get)
{
	if (t->n == 1 && get) {
		ex->pattern = "/eureka/apps";
		get_apps(ex, rw, format_of(ex));
	} else if (t->n == 2 && get && str_eq(t->seg[1], STR("delta"))) {
		ex->pattern = "/eureka/apps/delta";
		get_delta(ex, rw, format_of(ex));
	} else if (t->n == 2 && get) {
		ex->pattern = "/eureka/apps/{app}";
		get_app(ex, rw, t->seg[1], format_of(ex));
	} else if (t->n == 2 && ex->req.mid == HTTP_POST) {
		ex->pattern = "/eureka/apps/{app}";
		ex->user = rw;
		ex_collect(ex, BODY_COLLECT_MAX, on_register_body);
	} else if (t->n == 3) {
		ex->pattern = "/eureka/apps/{app}/{id}";
		instance_request(ex, rw, t);
	} else if (t->n == 4) {
		ex->pattern = "/eureka/apps/{app}/{id}/{what}";
		instance_sub_request(ex, rw, t);
	} else {
		answer(ex, t->n < 3 ? 405 : 404);
	}
}

static void dispatch(struct exchange *ex, struct reg_worker *rw)
{
	struct target t = target_of(ex);
	bool get = ex->req.mid == HTTP_GET || ex->req.mid == HTTP_HEAD;
	struct str first = t.n ? t.seg[0] : STR_EMPTY;

	registry_see(rw->reg, &rw->mine);
	ex->pattern = "/eureka";
	if (!t.ok) {
		answer(ex, 404);
	} else if (str_eq(first, STR("apps"))) {
		app_request(ex, rw, &t, get);
	} else if (get && t.n == 2 && (str_eq(first, STR("vips")) || str_eq(first, STR("svips")))) {
		ex->pattern = "/eureka/vips/{vip}";
		get_vip(ex, rw, t.seg[1], first.ptr[0] == 's', format_of(ex));
	} else if (get && t.n == 2 && str_eq(first, STR("instances"))) {
		ex->pattern = "/eureka/instances/{id}";
		get_instance(ex, rw, picture_find_id(rw->mine, t.seg[1]), format_of(ex));
	} else if (get && t.n == 2 && str_eq(first, STR("serverinfo")) && str_eq(t.seg[1], STR("statusoverrides"))) {
		get_overrides(ex, rw);
	} else if (t.n == 3 && str_eq(first, STR("asg")) && ex->req.mid == HTTP_PUT) {
		answer(ex, 400); /* only where the registry runs inside AWS */
	} else {
		answer(ex, 404);
	}
}

static void on_small_body(struct exchange *ex, struct str body)
{
	struct reg_worker *rw = ex->user;

	(void)body; /* Jersey clients send "{}" with a heartbeat */
	ex->user = NULL;
	dispatch(ex, rw);
}

void registry_http(struct exchange *ex, struct reg_worker *rw)
{
	if (ex->req.mid == HTTP_POST || ex->body_done) {
		dispatch(ex, rw);
		return;
	}
	ex->user = rw;
	ex_collect(ex, BODY_COLLECT_MAX, on_small_body);
}

void reg_worker_init(struct reg_worker *rw, struct registry *reg, struct loop *loop, struct mailbox *mailbox,
		     unsigned stripe)
{
	*rw = (struct reg_worker){ .reg = reg, .loop = loop, .mailbox = mailbox, .stripe = stripe };
	registry_see(reg, &rw->mine);
}

void reg_worker_fini(struct reg_worker *rw)
{
	picture_unref(rw->mine);
	rw->mine = NULL;
}
