/* writes.c - what clients and peers change: through the writer and back. See http_impl.h. */
#include "registry/http_impl.h"

#include "codec/gzip.h"
#include "codec/url.h"
#include "codec/utf8.h"
#include "eureka/json.h"
#include "eureka/xml.h"

#define BODY_COLLECT_MAX (1024 * 1024)
#define GZIP_RATIO_MAX 200
#define METADATA_PARAMS_MAX INST_META_MAX

static void on_gone(struct exchange *ex)
{
	struct op *op = ex->user;

	if (op)
		op->user = NULL; /* the write goes on, nobody waits for it */
}

static const struct exchange_ops wait_ops = { .on_close = on_gone };

static void answer_batch(struct exchange *ex, const struct op *op)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 30);
	char version[VERSION_TEXT_MAX];
	const struct field who = { STR("X-Vine-Version"), version_text(version, op->reg, 0) };

	batch_answers_write(&b, op->answer, op->batch.n);
	ex_respond(ex, 200, STR("application/json"), buf_str(&b), &who, 1);
}

static void on_written(struct op *op)
{
	struct exchange *ex = op->user;
	unsigned ok = op->kind == OP_REGISTER ? 204 : 200;

	if (ex) {
		ex->user = NULL;
		if (op->kind == OP_BATCH)
			answer_batch(ex, op);
		else if (op->result == 0)
			rh_answer(ex, ok);
		else if (op->result == VINE_ENOTFOUND)
			rh_answer(ex, 404);
		else if (op->kind == OP_REGISTER)
			ex_respond_text(ex, 503, str_from(op->err.text));
		else
			ex_respond_text(ex, 400, str_from(op->err.text));
	}
	op_free(op);
}

static void submit(struct exchange *ex, struct reg_worker *rw, struct op *op)
{
	op->flags = rh_is_replication(ex) ? LEASE_REPLICATED : 0;
	op->user = ex;
	ex->user = op;
	ex->ops = &wait_ops;
	if (registry_submit(rw->reg, op, rw->mailbox, on_written))
		return;
	ex->user = NULL;
	op_free(op);
	rh_answer(ex, 503); /* the process ends: the client asks another server */
}

static void on_forgotten(struct op *op)
{
	op_free(op);
}

/* --- register --- */

static bool is_type(struct str type, struct str want)
{
	return rh_contains_nocase(type, want);
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

/* Some of .NET's writers put a byte order mark before UTF-8. */
static struct str without_mark(struct str s)
{
	return str_has_prefix(s, STR("\xef\xbb\xbf")) ? str_slice(s, 3, s.len) : s;
}

/* The body without its compression, in the exchange's arena: false if it was answered. */
static bool plain_body(struct exchange *ex, struct str *body, size_t max)
{
	struct str coding = head_value(&ex->req, H_CONTENT_ENCODING);
	struct buf out = BUF_INIT(max);
	struct err e;
	bool held;
	int r;

	if (!coding.len || str_eq_nocase(coding, STR("identity"))) {
		*body = without_mark(*body);
		return true;
	}
	if (!str_eq_nocase(coding, STR("gzip"))) {
		rh_answer(ex, 415);
		return false;
	}
	r = gzip_unpack(&out, *body, max, GZIP_RATIO_MAX, &e);
	held = r == 0 && ex_hold(ex, out.len);
	if (held)
		*body = without_mark(str_dup_in(&ex->arena, buf_str(&out)));
	else if (r < 0)
		ex_respond_text(ex, r == VINE_ELIMIT ? 413 : 400, str_from(e.text));
	buf_fini(&out);
	return held;
}

static void on_instance(struct exchange *ex, struct str body)
{
	struct reg_worker *rw = ex->user;
	struct str type = head_value(&ex->req, H_CONTENT_TYPE);
	struct target t = rh_target(ex);
	struct str app = str_upper_in(&ex->arena, t.seg[1]);
	struct instance d;
	struct err e;
	bool json = is_type(type, STR("json")), xml = is_type(type, STR("xml"));
	int r;

	ex->user = NULL;
	if (type.len && !json && !xml) {
		rh_answer(ex, 415);
		return;
	}
	if (!plain_body(ex, &body, BODY_COLLECT_MAX))
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

void rh_register(struct exchange *ex, struct reg_worker *rw)
{
	ex->user = rw;
	ex_collect(ex, BODY_COLLECT_MAX, on_instance);
}

/* --- one instance --- */

static msec dirty_param(struct exchange *ex)
{
	struct str v;
	int64_t n = 0;

	/* what is no number counts as absent: Netflix's server answers 500 */
	return rh_query(ex, STR("lastDirtyTimestamp"), &v) && str_to_i64(v, &n) && n > 0 ? n : 0;
}

void rh_heartbeat(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
{
	bool replicated = rh_is_replication(ex);
	const struct renew how = { app, id, registry_ignores_dirty(rw->reg) ? 0 : dirty_param(ex), replicated };
	struct entry *e;
	enum renewal r = lease_renew(rw->mine, &how, loop_now(rw->loop), &e);
	enum inst_status over;
	struct str v;

	if (r != RENEW_ABSENT)
		registry_count_renewal(rw->reg, rw->stripe);
	switch (r) {
	case RENEWED: rh_answer(ex, 200); return;
	case RENEW_CONFLICT: {
		_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_BODY_MAX * 8u);
		const struct times t = rh_times(rw);
		enum body_format f = body_is_xml(rh_format(ex)) ? BODY_XML : BODY_JSON;

		body_instance(&b, e, f, &t);
		rh_answer_text(ex, 409, f, &b);
		return;
	}
	case RENEW_OUTDATED:
		if (replicated && rh_query(ex, STR("overriddenstatus"), &v) && inst_status_parse(v, &over) &&
		    over != INST_UNKNOWN) {
			struct op *op = op_new(OP_STORE_OVERRIDE, app, id);

			op->status = over;
			if (!registry_submit(rw->reg, op, rw->mailbox, on_forgotten))
				op_free(op);
		}
		rh_answer(ex, 404);
		return;
	case RENEW_ABSENT: rh_answer(ex, 404); return;
	}
}

void rh_change_status(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
{
	bool put = ex->req.mid == HTTP_PUT;
	enum inst_status s = INST_UNKNOWN;
	struct str v;
	bool given = rh_query(ex, STR("value"), &v);

	if (!picture_find(rw->mine, app, id)) {
		rh_answer(ex, 404);
		return;
	}
	if (given ? !inst_status_parse(v, &s) : put) {
		rh_answer(ex, 500); /* as Netflix's server */
		return;
	}

	struct op *op = op_new(put ? OP_SET_STATUS : OP_CLEAR_STATUS, app, id);

	op->status = s;
	op->dirty = dirty_param(ex);
	submit(ex, rw, op);
}

/* A part of a query for the registry to keep, in a: what is no UTF-8 becomes U+FFFD, for no format can hold it. */
static struct str query_text(struct exchange *ex, struct arena *a, struct str s)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);

	s = rh_decode(&ex->arena, s, true);
	if (utf8_is_valid(s))
		return str_dup_in(a, s);
	for (size_t i = 0, n; i < s.len; i += n) {
		n = utf8_len(s.ptr + i, s.ptr + s.len);
		if (n)
			buf_add(&b, s.ptr + i, n);
		else
			buf_adds(&b, STR(UTF8_REPLACEMENT));
		n = n ? n : 1;
	}
	return str_dup_in(a, buf_str(&b));
}

void rh_change_metadata(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
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
		key = query_text(ex, &op->arena, key); /* the exchange may go first */
		value = query_text(ex, &op->arena, value);
		if (key.len && !str_eq(key, STR("@class"))) /* that is the format's */
			op->kv[op->n_kv++] = (struct kv){ key, value };
	}
	submit(ex, rw, op);
}

void rh_cancel(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id)
{
	struct op *op = op_new(OP_CANCEL, app, id);

	op->dirty = rh_is_replication(ex) ? dirty_param(ex) : 0;
	submit(ex, rw, op);
}

/* --- a peer's batch --- */

static void on_batch(struct exchange *ex, struct str body)
{
	struct reg_worker *rw = ex->user;
	struct op *op;
	struct err e;
	int r;

	ex->user = NULL;
	if (!is_type(head_value(&ex->req, H_CONTENT_TYPE), STR("json"))) {
		rh_answer(ex, 415);
		return;
	}
	if (!plain_body(ex, &body, BATCH_BODY_MAX))
		return;
	op = op_new(OP_BATCH, STR_EMPTY, STR_EMPTY);
	body = str_dup_in(&op->arena, body); /* the exchange may go first */
	r = batch_decode(&op->batch, body, &op->arena, &e);
	if (r < 0) {
		op_free(op);
		cannot_parse(ex, true, &e);
		return;
	}
	op->answer = arena_zalloc(&op->arena, (op->batch.n + 1) * sizeof(*op->answer));
	submit(ex, rw, op);
}

void rh_batch(struct exchange *ex, struct reg_worker *rw)
{
	ex->user = rw;
	ex_collect(ex, BATCH_BODY_MAX, on_batch);
}
