/* router.c - see router.h. A list of patterns, literal ones first: Vine serves a few dozen paths of its own. */
#include "http/router.h"

#include "codec/url.h"

#define SEGMENTS_MAX 12

struct segment {
	struct str text; /* literal, or the variable's name */
	bool is_var, is_rest;
};

struct route {
	const char *pattern;
	struct str methods;
	struct segment seg[SEGMENTS_MAX];
	unsigned n, literals;
	route_fn fn;
	void *ctx;
};

struct router {
	struct route *routes; /* most literal segments first; among equals in order of adding */
	size_t n;
	http_handler fallback;
	void *fallback_ctx;
};

struct router *router_new(void)
{
	return xzalloc(sizeof(struct router));
}

void router_free(struct router *r)
{
	if (!r)
		return;
	free(r->routes);
	free(r);
}

static struct segment segment_of(struct str piece)
{
	struct segment s = { .text = piece };

	if (piece.len > 2 && piece.ptr[0] == '{' && piece.ptr[piece.len - 1] == '}') {
		s.is_var = true;
		s.is_rest = piece.ptr[1] == '*';
	}
	return s;
}

static struct route parse_pattern(const char *methods, const char *pattern)
{
	struct route rt = { .methods = str_from(methods) };
	struct str rest = str_from(pattern), piece;

	while (str_cut(&rest, '/', &piece)) {
		if (piece.len == 0)
			continue;
		assert(rt.n < SEGMENTS_MAX && !(rt.n && rt.seg[rt.n - 1].is_rest));
		rt.seg[rt.n] = segment_of(piece);
		rt.literals += !rt.seg[rt.n].is_var;
		rt.n++;
	}
	return rt;
}

void router_add(struct router *r, const char *methods, const char *pattern, route_fn fn, void *ctx)
{
	struct route rt = parse_pattern(methods, pattern);
	size_t at = 0;

	rt.pattern = pattern;
	rt.fn = fn;
	rt.ctx = ctx;
	while (at < r->n && r->routes[at].literals >= rt.literals)
		at++;
	r->routes = xrealloc(r->routes, (r->n + 1) * sizeof(rt));
	memmove(&r->routes[at + 1], &r->routes[at], (r->n - at) * sizeof(rt));
	r->routes[at] = rt;
	r->n++;
}

void router_fallback(struct router *r, http_handler fn, void *ctx)
{
	r->fallback = fn;
	r->fallback_ctx = ctx;
}

/* A path cut at its slashes, raw. */
struct path {
	struct str seg[SEGMENTS_MAX];
	unsigned n;
	bool too_deep;
};

static struct path split(struct str path)
{
	struct path p = { .n = 0 };
	struct str rest = path, piece;

	while (str_cut(&rest, '/', &piece)) {
		if (piece.len == 0)
			continue;
		if (p.n == SEGMENTS_MAX) {
			p.too_deep = true;
			break;
		}
		p.seg[p.n++] = piece;
	}
	return p;
}

/* A malformed one stays as it came: it will match nothing that exists. */
static struct str decode_in(struct arena *a, struct str raw)
{
	struct str out = raw;

	url_decode(a, raw, false, &out);
	return out;
}

static bool matches(const struct route *rt, const struct path *p, struct exchange *ex, struct route_match *m)
{
	m->n = 0;
	for (unsigned i = 0; i < rt->n; i++) {
		const struct segment *s = &rt->seg[i];

		if (s->is_rest) {
			const char *from = i < p->n ? p->seg[i].ptr : ex->req.path.ptr + ex->req.path.len;

			m->var[m->n++] = decode_in(&ex->arena, str_of(from, (size_t)(ex->req.path.ptr + ex->req.path.len - from)));
			return true;
		}
		if (i >= p->n)
			return false;

		struct str got = decode_in(&ex->arena, p->seg[i]);

		if (s->is_var && m->n < ROUTE_VARS_MAX)
			m->var[m->n++] = got;
		else if (!s->is_var && !str_eq(got, s->text))
			return false;
	}
	return rt->n == p->n && !p->too_deep;
}

static bool method_is(struct str methods, struct str method)
{
	struct str piece;

	if (str_eq(methods, STR("*")))
		return true;
	if (str_eq(method, STR("HEAD")))
		method = STR("GET");
	while (str_cut(&methods, ' ', &piece)) {
		if (str_eq(piece, method))
			return true;
	}
	return false;
}

static void method_not_allowed(struct exchange *ex, struct str allow)
{
	struct buf b = BUF_INIT(256);
	struct str piece;

	while (str_cut(&allow, ' ', &piece)) {
		buf_adds(&b, b.len ? STR(", ") : STR(""));
		buf_adds(&b, piece);
	}

	struct field f = { STR("Allow"), str_dup_in(&ex->arena, buf_str(&b)) };

	buf_fini(&b);
	ex_respond(ex, 405, STR_EMPTY, STR_EMPTY, &f, 1);
}

bool router_dispatch(const struct router *r, struct exchange *ex)
{
	struct path p = split(ex->req.path);
	const struct route *other = NULL;
	struct route_match m;

	for (size_t i = 0; i < r->n; i++) {
		const struct route *rt = &r->routes[i];

		if (!matches(rt, &p, ex, &m))
			continue;
		if (method_is(rt->methods, ex->req.method)) {
			ex->pattern = rt->pattern;
			rt->fn(ex, &m, rt->ctx);
			return true;
		}
		other = other ? other : rt;
	}
	if (other) {
		method_not_allowed(ex, other->methods);
		return true;
	}
	if (r->fallback) {
		r->fallback(ex, r->fallback_ctx);
		return true;
	}
	return false;
}

void router_handler(struct exchange *ex, void *router)
{
	if (!router_dispatch(router, ex))
		ex_respond_text(ex, 404, STR("not found\n"));
}

bool ex_query(struct exchange *ex, struct str name, struct str *ret)
{
	return url_param(&ex->arena, ex->req.query, name, ret);
}
