/* http.c - see http.h: which endpoint is meant. */
#include "registry/http_impl.h"

#include "codec/url.h"
#include "registry/limiter.h"

#define HEARTBEAT_BODY_MAX (1024 * 1024) /* read and forgotten */

/* --- the request --- */

struct str rh_decode(struct arena *a, struct str s, bool plus)
{
	struct str out;

	return url_decode(a, s, plus, &out) ? out : s;
}

bool rh_query(struct exchange *ex, struct str name, struct str *ret)
{
	return url_param(&ex->arena, ex->req.query, name, ret);
}

bool registry_http_takes(struct str path)
{
	while (str_has_prefix(path, STR("//")))
		path = str_slice(path, 1, path.len);
	return str_has_prefix(path, STR("/eureka")) && (path.len == 7 || path.ptr[7] == '/');
}

struct target rh_target(struct exchange *ex)
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
			t.seg[t.n++] = rh_decode(&ex->arena, piece, false);
		}
	}
	return t;
}

bool rh_contains_nocase(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++) {
		if (str_eq_nocase(str_of(s.ptr + i, needle.len), needle))
			return true;
	}
	return false;
}

enum body_format rh_format(struct exchange *ex)
{
	const struct hfield *compact = head_find_name(&ex->req, STR("X-Eureka-Accept"));
	bool mini = compact && str_eq_nocase(compact->value, STR("compact"));
	struct str given;

	if (rh_query(ex, STR("format"), &given) && str_eq_nocase(given, STR("json")))
		return mini ? BODY_JSON_MINI : BODY_JSON;
	if (rh_contains_nocase(head_value(&ex->req, H_ACCEPT), STR("json")))
		return mini ? BODY_JSON_MINI : BODY_JSON;
	return mini ? BODY_XML_MINI : BODY_XML;
}

bool rh_is_replication(struct exchange *ex)
{
	const struct hfield *f = head_find_name(&ex->req, STR("x-netflix-discovery-replication"));

	return f && str_eq(f->value, STR("true"));
}

struct times rh_times(const struct reg_worker *rw)
{
	return (struct times){ loop_now(rw->loop), clock_wall() };
}

/* --- one instance --- */

/* The id that is meant: some clients write a blank in a path as '+'. */
static struct str find_id(struct exchange *ex, const struct picture *p, struct str app, struct str id, struct entry **ret)
{
	*ret = picture_find(p, app, id);
	if (!*ret && str_chr(id, '+') >= 0) {
		struct str blank = rh_decode(&ex->arena, id, true);

		*ret = picture_find(p, app, blank);
		if (*ret)
			return blank;
	}
	return id;
}

static void instance_request(struct exchange *ex, struct reg_worker *rw, const struct target *t)
{
	struct str app = str_upper_in(&ex->arena, t->seg[1]);
	struct entry *e;
	struct str id = find_id(ex, rw->mine, app, t->seg[2], &e);

	switch (ex->req.mid) {
	case HTTP_GET:
	case HTTP_HEAD:
		rh_get_instance(ex, rw, e, rh_format(ex));
		return;
	case HTTP_PUT:
		rh_heartbeat(ex, rw, app, id);
		return;
	case HTTP_DELETE:
		rh_cancel(ex, rw, app, id);
		return;
	default:
		rh_answer(ex, 405);
	}
}

static void instance_sub_request(struct exchange *ex, struct reg_worker *rw, const struct target *t)
{
	enum http_method m = ex->req.mid;
	struct str app = str_upper_in(&ex->arena, t->seg[1]);
	struct entry *e;
	struct str id = find_id(ex, rw->mine, app, t->seg[2], &e);

	if (str_eq(t->seg[3], STR("status")) && (m == HTTP_PUT || m == HTTP_DELETE))
		rh_change_status(ex, rw, app, id);
	else if (str_eq(t->seg[3], STR("metadata")) && m == HTTP_PUT)
		rh_change_metadata(ex, rw, app, id);
	else
		rh_answer(ex, str_eq(t->seg[3], STR("status")) || str_eq(t->seg[3], STR("metadata")) ? 405 : 404);
}

/* --- which one it is --- */

/* Lists are not given yet, or not to this client just now: true if that was answered. */
static bool refuses(struct exchange *ex, struct reg_worker *rw, bool full)
{
	const struct hfield *name = head_find_name(&ex->req, STR("DiscoveryIdentity-Name"));

	if (!rw->serves) {
		rh_answer(ex, 403); /* the client keeps what it has */
		return true;
	}
	if (rw->limiter && !limiter_allows(rw->limiter, name ? name->value : STR_EMPTY, full, loop_now(rw->loop))) {
		rh_answer(ex, 503);
		return true;
	}
	return false;
}

static void app_request(struct exchange *ex, struct reg_worker *rw, const struct target *t, bool get)
{
	if (get && t->n < 3 && refuses(ex, rw, t->n == 1))
		return;
	if (t->n == 1 && get) {
		ex->pattern = "/eureka/apps";
		rh_get_apps(ex, rw, rh_format(ex));
	} else if (t->n == 2 && get && str_eq(t->seg[1], STR("delta"))) {
		ex->pattern = "/eureka/apps/delta";
		rh_get_delta(ex, rw, rh_format(ex));
	} else if (t->n == 2 && get) {
		ex->pattern = "/eureka/apps/{app}";
		rh_get_app(ex, rw, t->seg[1], rh_format(ex));
	} else if (t->n == 2 && ex->req.mid == HTTP_POST) {
		ex->pattern = "/eureka/apps/{app}";
		rh_register(ex, rw);
	} else if (t->n == 3) {
		ex->pattern = "/eureka/apps/{app}/{id}";
		instance_request(ex, rw, t);
	} else if (t->n == 4) {
		ex->pattern = "/eureka/apps/{app}/{id}/{what}";
		instance_sub_request(ex, rw, t);
	} else {
		rh_answer(ex, t->n < 3 ? 405 : 404);
	}
}

static void dispatch(struct exchange *ex, struct reg_worker *rw)
{
	struct target t = rh_target(ex);
	bool get = ex->req.mid == HTTP_GET || ex->req.mid == HTTP_HEAD;
	struct str first = t.n ? t.seg[0] : STR_EMPTY;

	rw->serves = registry_serves(rw->reg); /* first, so that the picture is one that may be shown */
	registry_see(rw->reg, &rw->mine);
	ex->pattern = "/eureka";
	if (!t.ok) {
		rh_answer(ex, 404);
	} else if (str_eq(first, STR("apps"))) {
		app_request(ex, rw, &t, get);
	} else if (get && t.n == 2 && (str_eq(first, STR("vips")) || str_eq(first, STR("svips")))) {
		ex->pattern = "/eureka/vips/{vip}";
		if (!rw->serves)
			rh_answer(ex, 403);
		else
			rh_get_vip(ex, rw, t.seg[1], first.ptr[0] == 's', rh_format(ex));
	} else if (get && t.n == 2 && str_eq(first, STR("instances"))) {
		ex->pattern = "/eureka/instances/{id}";
		rh_get_instance(ex, rw, picture_find_id(rw->mine, t.seg[1]), rh_format(ex));
	} else if (get && t.n == 2 && str_eq(first, STR("serverinfo")) && str_eq(t.seg[1], STR("statusoverrides"))) {
		rh_get_overrides(ex, rw);
	} else if (t.n == 2 && str_eq(first, STR("peerreplication")) && str_eq(t.seg[1], STR("batch"))) {
		ex->pattern = "/eureka/peerreplication/batch";
		if (ex->req.mid == HTTP_POST)
			rh_batch(ex, rw);
		else
			rh_answer(ex, 405);
	} else if (t.n == 3 && str_eq(first, STR("asg")) && ex->req.mid == HTTP_PUT) {
		rh_answer(ex, 400); /* only where the registry runs inside AWS */
	} else {
		rh_answer(ex, 404);
	}
}

/* Jersey clients send "{}" with a heartbeat: read over, so that it has room also where bodies have none. */
static void on_small_body(struct exchange *ex)
{
	struct reg_worker *rw = ex->user;

	ex->user = NULL;
	ex->ops = NULL;
	dispatch(ex, rw);
}

bool registry_http_asks_status(struct exchange *ex, bool *xml)
{
	bool get = ex->req.mid == HTTP_GET || ex->req.mid == HTTP_HEAD;
	struct target t;

	if (!get || !registry_http_takes(ex->req.path) || str_find(ex->req.path, STR("status")) < 0)
		return false;
	t = rh_target(ex);
	*xml = body_is_xml(rh_format(ex));
	return t.ok && t.n == 1 && str_eq(t.seg[0], STR("status"));
}

void registry_http(struct exchange *ex, struct reg_worker *rw)
{
	if (ex->req.mid == HTTP_POST || ex->body_done) {
		dispatch(ex, rw);
		return;
	}
	ex->user = rw;
	ex_discard(ex, HEARTBEAT_BODY_MAX, on_small_body);
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
