/* fuzz_forward_response.c - the fields of an answer and its trailers that go on, beside those that came.
 *
 * The first byte chooses the method that is answered, as in fuzz_h1_response. */
#include "fuzz.h"
#include "gateway/forward.h"
#include "gateway/trailers.h"
#include "http/server_impl.h"

#define FIELDS 64

static const struct h1_limits limits = { .head_bytes = 64 * 1024, .fields = HTTP_FIELDS_MAX };
static const struct h1_limits in_limits = { .head_bytes = 8 * 1024, .fields = FIELDS };

static bool is_hop_by_hop(uint8_t id)
{
	return id == H_CONNECTION || id == H_KEEP_ALIVE || id == H_PROXY_CONNECTION || id == H_TE || id == H_TRANSFER_ENCODING ||
	       id == H_UPGRADE || id == H_PROXY_AUTHENTICATE || id == H_PROXY_AUTHORIZATION || id == H_CONTENT_LENGTH;
}

/* What passes is there in its order; a Date is added where there was none, a Trailer line may be. */
static void check_fields(const struct http_head *in, const struct http_head *out, const struct header_filter *drop)
{
	unsigned at = 0;

	for (unsigned i = 0; i < in->nfields; i++) {
		const struct hfield *h = &in->field[i];

		if (h->hop || header_filter_has(drop, h))
			continue;
		PROMISE(at < out->nfields);
		PROMISE(str_eq(out->field[at].name, h->name) && str_eq(out->field[at].value, h->value));
		at++;
	}
	PROMISE(out->nfields - at <= 2);
	for (; at < out->nfields; at++)
		PROMISE(out->field[at].id == H_DATE || out->field[at].id == H_TRAILER);
	for (unsigned i = 0; i < out->nfields; i++)
		PROMISE(!is_hop_by_hop(out->field[i].id) && !header_filter_has(drop, &out->field[i]));
	PROMISE(head_find(out, H_DATE));
}

/* Reads a chunked body with its trailers. */
static bool read_whole(struct str in, struct buf *lines)
{
	struct http_head h = { .body = BODY_CHUNKED };
	struct h1_body b;
	struct str piece;
	const char *why;
	enum h1_step step;

	h1_body_init(&b, &h);
	b.trailers = lines;
	while ((step = h1_body_next(&b, &in, &piece, &why)) == H1_PIECE)
		;
	return step == H1_END;
}

/* The lines that go on are trailers again: some of those that came, in their order. */
static void check_trailers(struct trailers *t, struct arena *a)
{
	struct str in = buf_str(&t->lines), out = trailers_passing(t, a);
	struct buf again = BUF_INIT(2 * H1_TRAILER_MAX), whole = BUF_INIT(4 * H1_TRAILER_MAX);
	struct hfield was, is;

	buf_adds(&whole, STR("0\r\n"));
	buf_adds(&whole, out);
	buf_adds(&whole, STR("\r\n"));
	if (whole.len <= H1_TRAILER_MAX) /* the blanks that were added may push it over */
		PROMISE(read_whole(buf_str(&whole), &again) && str_eq(buf_str(&again), out));
	while (h1_trailer_cut(&out, &is)) {
		PROMISE(!is_hop_by_hop(is.id) && is.id != H_HOST && !header_filter_has(t->drop, &is));
		PROMISE(!http_list_has(t->connection, is.name));
		do
			PROMISE(h1_trailer_cut(&in, &was));
		while (!str_eq(was.name, is.name) || !str_eq(was.value, is.value));
	}
	buf_fini(&again);
	buf_fini(&whole);
}

static void forward(struct exchange *ex, const struct http_head *h, struct str body)
{
	struct gw_route route = { .drop = header_filter_parse(&ex->arena, STR("Set-Cookie, X-Own")) };
	struct hfield fields[HTTP_FIELDS_MAX];
	struct buf b = BUF_INIT(64 * 1024);
	struct http_head out;
	struct trailers *t = trailers_expect(ex, &route, h);

	buf_adds(&b, STR("HTTP/1.1 200 OK\r\n"));
	forward_response_fields(&b, ex, &route, h);
	if (t)
		trailers_announce(t, &b, h);
	buf_adds(&b, STR("\r\n"));

	struct h1_result r = h1_parse_response(&out, fields, b.ptr, b.len, &limits, HTTP_GET);

	PROMISE(!b.failed && r.status == 0 && r.len == b.len);
	check_fields(h, &out, &route.drop);
	if (t && read_whole(body, &t->lines))
		check_trailers(t, &ex->arena);
	trailers_fini(t);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_method methods[] = { HTTP_GET, HTTP_HEAD, HTTP_POST };
	static struct http_server server; /* for its clock */
	struct exchange ex = { .server = &server, .req = { .te_trailers = true, .minor = 1 } };
	struct hfield fields[FIELDS];
	struct http_head h;

	if (size == 0)
		return 0;
	if (!server.loop)
		server.loop = loop_new();

	const char *p = (const char *)data + 1;
	struct h1_result r = h1_parse_response(&h, fields, p, size - 1, &in_limits, methods[data[0] % ARRAY_LEN(methods)]);

	if (r.status != 0 || r.len == 0)
		return 0;
	arena_init(&ex.arena, 1024);
	forward(&ex, &h, str_of(p + r.len, size - 1 - r.len));
	arena_fini(&ex.arena);
	return 0;
}
