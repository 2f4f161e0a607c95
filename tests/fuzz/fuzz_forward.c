/* fuzz_forward.c - the head that goes on, beside the head that came in: it must parse to the same request.
 *
 * The first byte chooses the route's options. What a proxy owes (its own fields, hop-by-hop fields left out, framing anew)
 * is checked on the parsed result, so a field that splits in two or swallows its neighbour shows. */
#include "fuzz.h"
#include "gateway/forward.h"
#include "http/h1.h"
#include "http/server_impl.h"

#define FIELDS 64

static const struct h1_limits in_limits = { .head_bytes = 8 * 1024, .fields = FIELDS };
static const struct h1_limits out_limits = { .head_bytes = 32 * 1024, .fields = HTTP_FIELDS_MAX };

/* Fields that this hop replaces, or that frame the message. */
static bool stays_behind(const struct forward *f, const struct hfield *h)
{
	switch (h->id) {
	case H_HOST:
	case H_CONTENT_LENGTH:
	case H_TRANSFER_ENCODING:
	case H_TE:
	case H_VIA:
	case H_FORWARDED:
	case H_X_FORWARDED_FOR:
	case H_X_FORWARDED_HOST:
	case H_X_FORWARDED_PROTO:
	case H_X_FORWARDED_PORT:
	case H_X_FORWARDED_PREFIX:
	case H_X_B3_TRACEID:
	case H_X_B3_SPANID:
	case H_X_B3_PARENTSPANID:
	case H_X_B3_SAMPLED:
	case H_X_B3_FLAGS:
	case H_B3:
	case H_TRACEPARENT: return true;
	default:
		return h->hop || str_eq_nocase(h->name, STR("X-Vine-Timeout-Ms")) ||
		       header_filter_has(&f->route->drop, h);
	}
}

/* Each field that passes is there, unchanged and in its order. */
static void check_fields(const struct forward *f, const struct http_head *out)
{
	const struct http_head *in = &f->ex->req;
	unsigned at = 0;

	for (unsigned i = 0; i < in->nfields; i++) {
		const struct hfield *h = &in->field[i];

		if (stays_behind(f, h))
			continue;
		while (at < out->nfields && !(str_eq_nocase(out->field[at].name, h->name) && str_eq(out->field[at].value, h->value)))
			at++;
		PROMISE(at < out->nfields);
		at++;
	}
	for (unsigned i = 0; i < out->nfields; i++)
		switch (out->field[i].id) {
		case H_KEEP_ALIVE:
		case H_PROXY_CONNECTION:
		case H_PROXY_AUTHORIZATION:
		case H_UPGRADE:
		case H_TRAILER: PROMISE(!"a hop-by-hop field went on");
		case H_CONNECTION: PROMISE(str_eq(out->field[i].value, STR("TE"))); break;
		case H_TE: PROMISE(str_eq(out->field[i].value, STR("trailers"))); break;
		default: PROMISE(!header_filter_has(&f->route->drop, &out->field[i]));
		}
}

static void check_framing(const struct http_head *in, const struct http_head *out)
{
	PROMISE(str_eq(in->method, out->method) && str_eq(in->query, out->query));
	PROMISE(in->body == out->body && in->content_length == out->content_length);
	PROMISE(out->minor == 1 && (out->target.ptr[0] == '/' || str_eq(out->target, STR("*"))));
}

static void forward(struct exchange *ex, struct str path, unsigned options)
{
	struct gw_route route = { .path = STR("/a/**"), .prefix = STR("/a"), .strip = options & 1 };
	struct forward f = {
		.ex = ex,
		.route = &route,
		.path = path,
		.host = STR("10.0.0.7:8080"),
		.trace_lines = STR("X-B3-TraceId: 80f198ee56343ba8\r\nX-B3-SpanId: e457b5a2e4d86bd1\r\n"),
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
	check_framing(&ex->req, &out);
	check_fields(&f, &out);
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

	struct h1_result r = h1_parse_request(&ex.req, fields, (const char *)data + 1, size - 1, &in_limits);

	if (r.status != 0 || r.len == 0 || ex.req.mid == HTTP_CONNECT)
		return 0;
	arena_init(&ex.arena, 1024);
	PROMISE(addr_parse_ip(&ex.peer, STR("127.0.0.1"), 40000));
	conn.peer = ex.peer;
	if (path_canonical(&ex.arena, ex.req.path, &path)) {
		struct str again;

		PROMISE(path_canonical(&ex.arena, path, &again) && str_eq(path, again)); /* one form is enough */
		forward(&ex, path, data[0]);
	}
	arena_fini(&ex.arena);
	return 0;
}
