/* fuzz_forward.c - the request that goes on, beside the one that came in: it must parse to the same request.
 *
 * The first byte chooses the route's options. What a proxy owes (its own fields, hop-by-hop fields left out, framing anew)
 * is checked on the parsed result, head and body, so a field that splits in two or swallows its neighbour shows. */
#include "fuzz.h"
#include "gateway/forward.h"
#include "http/h1.h"
#include "http/server_impl.h"

#define FIELDS 64

static const struct h1_limits out_limits = { .head_bytes = 32 * 1024, .fields = HTTP_FIELDS_MAX };

static bool is_forwarding(uint8_t id)
{
	return id >= H_X_FORWARDED_FOR && id <= H_X_FORWARDED_PREFIX;
}

/* Fields that a hop writes itself: not those that come in go on, and those that go out need not have come in. */
static bool is_own(const struct forward *f, const struct hfield *h)
{
	switch (h->id) {
	case H_HOST:
	case H_CONNECTION:
	case H_CONTENT_LENGTH:
	case H_TRANSFER_ENCODING:
	case H_TE:
	case H_VIA:
	case H_X_B3_TRACEID:
	case H_X_B3_SPANID:
	case H_X_B3_PARENTSPANID:
	case H_X_B3_SAMPLED:
	case H_X_B3_FLAGS:
	case H_B3:
	case H_TRACEPARENT: return true;
	default:
		return str_eq_nocase(h->name, STR("X-Vine-Timeout-Ms")) || (f->add_proxy_headers && is_forwarding(h->id));
	}
}

static bool stays_behind(const struct forward *f, const struct hfield *h)
{
	bool is_strangers = !f->trusted && (h->id == H_FORWARDED || is_forwarding(h->id));

	return is_own(f, h) || is_strangers || h->hop || header_filter_has(&f->route->drop, h);
}

/* Each field that passes is there, unchanged and in its order, and none besides. */
static void check_fields(const struct forward *f, const struct http_head *out)
{
	const struct http_head *in = &f->ex->req;
	unsigned at = 0;

	for (unsigned i = 0; i < in->nfields; i++) {
		const struct hfield *h = &in->field[i];

		if (stays_behind(f, h))
			continue;
		while (at < out->nfields && is_own(f, &out->field[at]))
			at++;
		PROMISE(at < out->nfields);
		PROMISE(str_eq(out->field[at].name, h->name) && str_eq(out->field[at].value, h->value));
		at++;
	}
	for (; at < out->nfields; at++)
		PROMISE(is_own(f, &out->field[at]));
}

static unsigned count(const struct http_head *h, enum http_name id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->nfields; i++)
		n += h->field[i].id == id;
	return n;
}

static void check_own_fields(const struct forward *f, const struct http_head *out)
{
	const struct http_head *in = &f->ex->req;
	struct buf via = BUF_INIT(1 << 20);

	for (unsigned i = 0; i < in->nfields; i++) {
		if (in->field[i].id == H_VIA) {
			buf_adds(&via, in->field[i].value);
			buf_adds(&via, STR(", "));
		}
	}
	buf_adds(&via, in->minor ? STR("1.1 vine") : STR("1.0 vine"));
	PROMISE(count(out, H_VIA) == 1 && str_eq(head_value(out, H_VIA), str_trim(buf_str(&via))));
	buf_fini(&via);

	PROMISE(count(out, H_HOST) == 1);
	PROMISE(str_eq(head_value(out, H_HOST), f->pass_host && in->authority.len ? in->authority : f->host));
	PROMISE(count(out, H_TE) == in->te_trailers && count(out, H_CONNECTION) == in->te_trailers);
	if (in->te_trailers)
		PROMISE(str_eq(head_value(out, H_TE), STR("trailers")) && str_eq(head_value(out, H_CONNECTION), STR("TE")));
	if (f->add_proxy_headers)
		PROMISE(count(out, H_X_FORWARDED_FOR) == 1 && str_has_suffix(head_value(out, H_X_FORWARDED_FOR), STR("127.0.0.1")));
	if (!f->trusted)
		PROMISE(str_eq(head_value(out, H_X_FORWARDED_FOR), f->add_proxy_headers ? STR("127.0.0.1") : STR_EMPTY));
	PROMISE((head_find_name(out, STR("X-Vine-Timeout-Ms")) != NULL) == (f->deadline_ms >= 0));
}

static void check_target(const struct forward *f, const struct http_head *out)
{
	const struct http_head *in = &f->ex->req;
	struct str path = f->path;

	PROMISE(str_eq(in->method, out->method) && str_eq(in->query, out->query) && out->minor == 1);
	if (str_eq(in->target, STR("*"))) {
		PROMISE(str_eq(out->target, STR("*")));
		return;
	}
	if (f->route->strip && str_has_prefix(path, f->route->prefix))
		path = str_slice(path, f->route->prefix.len, path.len);
	PROMISE(str_has_prefix(out->path, f->base_path) && str_has_suffix(out->path, path));

	size_t slash = path.len == 0 || path.ptr[0] != '/';

	PROMISE(out->path.len == f->base_path.len + slash + path.len && out->path.ptr[f->base_path.len] == '/');
	PROMISE((str_chr(in->target, '?') >= 0) == (str_chr(out->target, '?') >= 0));
}

/* What comes out of a body, and whether it is whole. */
static enum h1_step read_body(const struct http_head *h, struct str *in, struct buf *to, struct buf *framed)
{
	struct h1_body b;
	struct str piece;
	const char *why;
	enum h1_step step;

	h1_body_init(&b, h);
	while ((step = h1_body_next(&b, in, &piece, &why)) == H1_PIECE) {
		buf_adds(to, piece);
		if (framed && h->body == BODY_CHUNKED)
			forward_chunk(framed, piece);
		else if (framed)
			buf_adds(framed, piece);
	}
	if (framed && step == H1_END && h->body == BODY_CHUNKED)
		buf_adds(framed, FORWARD_LAST_CHUNK);
	return step;
}

/* The body goes on behind the head as proxy.c sends it: it must be the same one, and end where it ends. */
static void check_body(const struct http_head *in, const struct http_head *out, struct str body)
{
	struct buf was = BUF_INIT(1 << 20), is = BUF_INIT(1 << 20), framed = BUF_INIT(1 << 20);
	enum h1_step step = read_body(in, &body, &was, &framed);
	struct str rest = buf_str(&framed);

	PROMISE(in->body == out->body && in->content_length == out->content_length);
	PROMISE(count(out, H_CONTENT_LENGTH) + count(out, H_TRANSFER_ENCODING) <= 1);
	PROMISE(read_body(out, &rest, &is, NULL) == (step == H1_END ? H1_END : H1_MORE));
	PROMISE(str_eq(buf_str(&was), buf_str(&is)) && rest.len == 0);
	buf_fini(&was);
	buf_fini(&is);
	buf_fini(&framed);
}

static void forward(struct exchange *ex, struct str path, unsigned options, struct str body)
{
	struct gw_route route = { .path = STR("/a/**"), .prefix = STR("/a"), .strip = options & 1 };
	struct forward f = {
		.ex = ex,
		.route = &route,
		.path = path,
		.base_path = options & 64 ? STR("/app") : STR_EMPTY,
		.host = STR("10.0.0.7:8080"),
		.span = &(struct trace_context){ .trace_lo = 0x80f198ee56343ba8, .span = 0xe457b5a2e4d86bd1 },
		.pass_host = options & 2,
		.add_proxy_headers = options & 4,
		.trusted = options & 8,
		.deadline_ms = options & 16 ? 1000 : -1,
		.port = STR("8080"),
	};
	struct buf b = BUF_INIT(64 * 1024);
	struct hfield fields[HTTP_FIELDS_MAX];
	struct http_head out;

	if (options & 32)
		route.drop = header_filter_parse(&ex->arena, STR("Cookie, Set-Cookie, Authorization, X-Own"));
	if (str_has_prefix(ex->req.target, STR("*")))
		route.strip = false;
	forward_request_head(&b, &f);
	PROMISE(!b.failed);

	struct h1_result r = h1_parse_request(&out, fields, b.ptr, b.len, &out_limits);

	if (r.status || r.len != b.len)
		fprintf(stderr, "%s\n%.*s", r.why ? r.why : "cut short", STRF(buf_str(&b)));
	PROMISE(r.status == 0 && r.len == b.len);
	check_target(&f, &out);
	check_fields(&f, &out);
	check_own_fields(&f, &out);
	check_body(&ex->req, &out, body);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hfield fields[FIELDS];
	struct server_conn conn = { 0 };
	struct exchange ex = { .conn = &conn };
	struct str path;

	if (size == 0)
		return 0;

	const struct h1_limits limits = { .head_bytes = 8 * 1024, .fields = FIELDS, .bare_lf = data[0] & 128 };
	struct h1_result r = h1_parse_request(&ex.req, fields, (const char *)data + 1, size - 1, &limits);

	if (r.status != 0 || r.len == 0 || ex.req.mid == HTTP_CONNECT)
		return 0;
	arena_init(&ex.arena, 1024);
	PROMISE(addr_parse_ip(&ex.peer, STR("127.0.0.1"), 40000));
	conn.peer = ex.peer;
	if (path_canonical(&ex.arena, ex.req.path, &path)) {
		struct str again;

		PROMISE(path_canonical(&ex.arena, path, &again) && str_eq(path, again)); /* one form is enough */
		forward(&ex, path, data[0], str_of((const char *)data + 1 + r.len, size - 1 - r.len));
	}
	arena_fini(&ex.arena);
	return 0;
}
