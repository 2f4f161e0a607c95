/* test_h1.c - HTTP/1 framing: what is accepted, what is refused and why; each case whole, cut in two at every byte, and
 * byte by byte. */
#include "test.h"

#include <stdio.h>

#include "base/buf.h"
#include "http/h1.h"

static const struct h1_limits limits = { .head_bytes = 4096, .fields = 16 };
static struct hfield fields[HTTP_FIELDS_MAX]; /* test-local */

#define GET "GET /a?b=c HTTP/1.1\r\n"
#define HOST "Host: h\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

struct request_row {
	const char *in;
	int status;
	const char *why; /* a part of the reason */
};

static const struct request_row refused[] = {
	{ GET HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "content-length with" },
	{ GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "content-length with" },
	{ POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "differing" },
	{ POST "Content-Length: 1, 2\r\n\r\n", 400, "differing" },
	{ POST "Content-Length: 1, 01\r\n\r\n", 400, "differing" },
	{ POST "Content-Length: 1\r\nContent-Length: 01\r\n\r\n", 400, "differing" },
	{ POST "Content-Length: 1, 1\r\nContent-Length: 2\r\n\r\n", 400, "differing" },
	{ POST "Content-Length: 1,\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: ,1\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: 1, x\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: +1\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: -1\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: 0x1\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: 1 1\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length:\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: 9223372036854775808\r\n\r\n", 400, "malformed content-length" },
	{ POST "Content-Length: 99999999999999999999\r\n\r\n", 400, "malformed content-length" },
	{ POST "Transfer-Encoding: gzip\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: ,chunked\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: xchunked\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: chunked;q=1\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding: identity\r\n\r\n", 400, "other than chunked" },
	{ POST "Transfer-Encoding:\r\n\r\n", 400, "other than chunked" },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0" },
	{ "GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 400, "HTTP/1.0 request" },
	{ GET HOST "A: 1\r\n folded\r\n\r\n", 400, "folded" },
	{ GET HOST "A: 1\r\n\tfolded\r\n\r\n", 400, "folded" },
	{ GET " Host: h\r\n\r\n", 400, "folded" },
	{ GET "Host : h\r\n\r\n", 400, "blank before the colon" },
	{ GET "Host\t: h\r\n\r\n", 400, "blank before the colon" },
	{ GET HOST ": v\r\n\r\n", 400, "empty field name" },
	{ GET HOST "A(b): v\r\n\r\n", 400, "malformed field name" },
	{ GET HOST "A\x80: v\r\n\r\n", 400, "malformed field name" },
	{ GET HOST "NoColon\r\n\r\n", 400, "malformed field name" },
	{ GET HOST "A: b\x01" "c\r\n\r\n", 400, "control byte" },
	{ GET HOST "A: b\x7f" "c\r\n\r\n", 400, "control byte" },
	{ GET HOST "A: b\rc\r\n\r\n", 400, "bare carriage return" },
	{ GET HOST "A: b\n\r\n", 400, "bare line feed" },
	{ GET HOST "A: b\r\n\n", 400, "bare line feed" },
	{ "GET / HTTP/1.1\nHost: h\r\n\r\n", 400, "bare line feed" },
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "control byte" },
	{ "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, "fragment" },
	{ "GET a HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "GET http:/// HTTP/1.1\r\n" HOST "\r\n", 400, "malformed target" },
	{ "G@T / HTTP/1.1\r\n" HOST "\r\n", 400, "malformed method" },
	{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400, "malformed method" },
	{ "AMETHODTHATISLONGERTHANANYTHATWEKNOW / HTTP/1.1\r\n", 400, "method too long" },
	{ "GET /\r\n", 400, "malformed target" },
	{ "GET / HTTP/2.0\r\n", 505, "version" },
	{ "GET / HTTP/1.2\r\n", 505, "version" },
	{ "GET / HTTP/0.9\r\n", 505, "version" },
	{ "GET / HTTP/1.32\r\n", 400, "malformed version" },
	{ "GET / HTTP/11\r\n", 400, "malformed version" },
	{ "GET / http/1.1\r\n", 400, "malformed version" },
	{ GET "\r\n", 400, "missing host" },
	{ GET HOST HOST "\r\n", 400, "more than one host" },
	{ "GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, "more than one host" },
	{ GET "Host: a b\r\n\r\n", 400, "malformed host" },
	{ GET "Host: a/b\r\n\r\n", 400, "malformed host" },
	{ GET "Host: u@h\r\n\r\n", 400, "malformed host" },
	{ GET "Host: h:99999\r\n\r\n", 400, "malformed host" },
	{ GET "Host: h:x\r\n\r\n", 400, "malformed host" },
	{ GET "Host: [::1\r\n\r\n", 400, "malformed host" },
	{ GET HOST "Expect: magic\r\n\r\n", 417, "expectation" },
};

static void test_refused_requests(void **state)
{
	struct http_head h;

	(void)state;
	for (const struct request_row *r = refused; r < refused + ARRAY_LEN(refused); r++) {
		size_t n = strlen(r->in);
		struct h1_result got = h1_parse_request(&h, fields, r->in, n, &limits);

		if (got.status != r->status || !strstr(got.why, r->why))
			fail_msg("%s: status %d (%s), want %d (%s)", r->in, got.status, got.why ? got.why : "", r->status, r->why);
		for (size_t cut = 1; cut < n; cut++) { /* earlier it may only be incomplete, or refused the same way */
			struct h1_result part = h1_parse_request(&h, fields, r->in, cut, &limits);

			if (part.len || (part.status && part.status != r->status))
				fail_msg("%s: cut at %zu: status %d", r->in, cut, part.status);
		}
	}
}

static const struct {
	const char *in;
	enum http_body body;
	uint64_t length;
	bool keep_alive;
	const char *authority, *path, *query;
} accepted[] = {
	{ GET HOST "\r\n", BODY_NONE, 0, true, "h", "/a", "b=c" },
	{ "\r\n\r\n" GET HOST "\r\n", BODY_NONE, 0, true, "h", "/a", "b=c" },
	{ GET HOST "Connection: close\r\n\r\n", BODY_NONE, 0, false, "h", "/a", "b=c" },
	{ GET HOST "Connection: x, Close ,y\r\n\r\n", BODY_NONE, 0, false, "h", "/a", "b=c" },
	{ "GET / HTTP/1.0\r\n\r\n", BODY_NONE, 0, false, "", "/", "" },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", BODY_NONE, 0, true, "", "/", "" },
	{ POST "Content-Length: 5\r\n\r\n", BODY_LENGTH, 5, true, "h", "/", "" },
	{ POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", BODY_LENGTH, 5, true, "h", "/", "" },
	{ POST "Content-Length: 5, 5 ,5\r\n\r\n", BODY_LENGTH, 5, true, "h", "/", "" },
	{ POST "Content-Length: 5, 5\r\nContent-Length: 5\r\n\r\n", BODY_LENGTH, 5, true, "h", "/", "" },
	{ POST "Content-Length: 0\r\n\r\n", BODY_NONE, 0, true, "h", "/", "" },
	{ POST "Transfer-Encoding: Chunked\r\n\r\n", BODY_CHUNKED, 0, true, "h", "/", "" },
	{ "GET http://o:81/x?y HTTP/1.1\r\n" HOST "\r\n", BODY_NONE, 0, true, "o:81", "/x", "y" },
	{ "GET http://o HTTP/1.1\r\n" HOST "\r\n", BODY_NONE, 0, true, "o", "/", "" },
	{ GET "Host:\r\n\r\n", BODY_NONE, 0, true, "", "/a", "b=c" },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", BODY_NONE, 0, true, "h", "", "" },
	{ "BREW /pot HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", BODY_NONE, 0, true, "[::1]:80", "/pot", "" },
	{ GET "host:   h  \t\r\nA:\r\nB: caf\xc3\xa9\r\n\r\n", BODY_NONE, 0, true, "h", "/a", "b=c" },
};

static void test_accepted_requests(void **state)
{
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		size_t n = strlen(accepted[i].in);
		struct h1_result r = h1_parse_request(&h, fields, accepted[i].in, n, &limits);

		if (r.status || r.len != n)
			fail_msg("%s: status %d (%s), len %zu", accepted[i].in, r.status, r.why ? r.why : "", r.len);
		assert_int_equal(h.body, accepted[i].body);
		assert_true(h.content_length == accepted[i].length);
		assert_int_equal(h.keep_alive, accepted[i].keep_alive);
		assert_str(h.authority, str_from(accepted[i].authority));
		assert_str(h.path, str_from(accepted[i].path));
		assert_str(h.query, str_from(accepted[i].query));
		for (size_t cut = 0; cut < n; cut++) {
			r = h1_parse_request(&h, fields, accepted[i].in, cut, &limits);
			if (r.status || r.len)
				fail_msg("%s: cut at %zu: status %d (%s), len %zu", accepted[i].in, cut, r.status,
					 r.why ? r.why : "", r.len);
		}
	}
}

static void test_hop_by_hop_fields(void **state)
{
	static const char in[] = GET HOST "Connection: X-Drop, X-Forwarded-For, Authorization\r\nX-Drop: 1\r\nKeep-Alive: 2\r\n"
					  "X-Forwarded-For: 3\r\nAuthorization: 4\r\nTE: trailers\r\nX-Keep: 5\r\n\r\n";
	static const bool hop[] = { false, true, true, true, false, false, true, false };
	struct http_head h;

	(void)state;
	assert_int_equal(h1_parse_request(&h, fields, in, strlen(in), &limits).len, strlen(in));
	assert_int_equal(h.nfields, ARRAY_LEN(hop));
	for (unsigned i = 0; i < h.nfields; i++)
		assert_int_equal(h.field[i].hop, hop[i]);
	assert_true(h.te_trailers);
}

static void test_expectations(void **state)
{
	static const struct {
		const char *in;
		bool expects, passes;
	} rows[] = {
		{ POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true, true },
		{ "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false, false },
	};
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(h1_parse_request(&h, fields, rows[i].in, strlen(rows[i].in), &limits).len, strlen(rows[i].in));
		assert_int_equal(h.expect_continue, rows[i].expects);
		assert_int_equal(!head_find(&h, H_EXPECT)->hop, rows[i].passes);
	}
}

static void test_te_in_several_lines(void **state)
{
	static const char in[] = GET HOST "TE: trailers\r\nTE: gzip\r\n\r\n";
	struct http_head h;

	(void)state;
	assert_int_equal(h1_parse_request(&h, fields, in, strlen(in), &limits).len, strlen(in));
	assert_true(h.te_trailers);
}

static void test_underscores_in_names(void **state)
{
	static const char in[] = GET HOST "X_A: 1\r\nConnection: X_A\r\nB: 2\r\n_: 3\r\n\r\n";
	struct h1_limits l = limits;
	struct http_head h;

	(void)state;
	assert_int_equal(h1_parse_request(&h, fields, in, strlen(in), &l).len, strlen(in));
	assert_int_equal(h.nfields, 5);
	l.underscore = H1_UNDERSCORE_DROP;
	assert_int_equal(h1_parse_request(&h, fields, in, strlen(in), &l).len, strlen(in));
	assert_int_equal(h.nfields, 3);
	assert_str(h.field[2].name, STR("B"));
	l.underscore = H1_UNDERSCORE_REJECT;

	struct h1_result r = h1_parse_request(&h, fields, in, strlen(in), &l);

	assert_int_equal(r.status, 400);
	assert_string_equal(r.why, "underscore in a field name");
}

/* The switch holds for line ends in a head and for nothing else. */
static void test_bare_line_feeds_where_allowed(void **state)
{
	static const struct {
		const char *in;
		int status;
	} rows[] = {
		{ "GET / HTTP/1.1\nHost: h\nA: b\n\n", 0 },
		{ "GET / HTTP/1.1\nHost: h\r\nA: b\n\r\n", 0 },
		{ "GET / HTTP/1.1\r\nHost: h\r\n\n", 0 },
		{ "GET / HTTP/1.1\nHost: h\nA\n\n", 400 },
		{ "GET / HTTP/1.1\nHost: h\nA: b\n c\n\n", 400 },
		{ "GET / HTTP/1.1\nHost: h\nA: b\rc\n\n", 400 },
		{ "GET /\n\n", 400 },
	};
	struct h1_limits l = limits;
	struct http_head h;

	(void)state;
	l.bare_lf = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].in);
		struct h1_result r = h1_parse_request(&h, fields, rows[i].in, n, &l);

		if (r.status != rows[i].status || (r.status == 0 && r.len != n))
			fail_msg("%s: status %d (%s)", rows[i].in, r.status, r.why ? r.why : "");
		for (size_t cut = 0; cut < n; cut++) {
			r = h1_parse_request(&h, fields, rows[i].in, cut, &l);
			assert_true(r.len == 0 && (r.status == 0 || r.status == rows[i].status));
		}
	}
}

static void test_limits(void **state)
{
	struct buf b = BUF_INIT(100000);
	struct http_head h;

	(void)state;
	buf_addz(&b, "GET /");
	while (b.len < limits.head_bytes)
		buf_addc(&b, 'a');
	assert_int_equal(h1_parse_request(&h, fields, b.ptr, b.len, &limits).status, 414);
	buf_addz(&b, " HTTP/1.1\r\n" HOST "\r\n"); /* its end does not make it shorter */
	assert_int_equal(h1_parse_request(&h, fields, b.ptr, b.len, &limits).status, 414);
	buf_clear(&b);
	buf_addz(&b, GET HOST "A: ");
	while (b.len < limits.head_bytes)
		buf_addc(&b, 'a');
	assert_int_equal(h1_parse_request(&h, fields, b.ptr, b.len - 1, &limits).status, 0);
	assert_int_equal(h1_parse_request(&h, fields, b.ptr, b.len, &limits).status, 431);
	buf_addz(&b, "\r\n\r\n");
	assert_int_equal(h1_parse_request(&h, fields, b.ptr, b.len, &limits).status, 431);
	buf_clear(&b);
	buf_addz(&b, GET HOST);
	for (int i = 0; i < limits.fields; i++)
		buf_addz(&b, "A: b\r\n");
	assert_int_equal(h1_parse_request(&h, fields, b.ptr, b.len, &limits).status, 431);
	buf_fini(&b);
}

static void test_rebase(void **state)
{
	static const char in[] = "GET http://o HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
	char copy[sizeof(in)];
	struct http_head h;

	(void)state;
	assert_int_equal(h1_parse_request(&h, fields, in, strlen(in), &limits).len, strlen(in));
	memcpy(copy, in, sizeof(in));
	head_rebase(&h, in, copy);
	assert_ptr_equal(h.method.ptr, copy);
	assert_str(h.authority, STR("o"));
	assert_true(h.authority.ptr > copy && h.authority.ptr < copy + sizeof(copy));
	assert_str(h.path, STR("/"));
	assert_str(head_find_name(&h, STR("a"))->value, STR("b"));
}

static const struct {
	const char *in;
	enum http_method method;
	int status; /* 0: accepted */
	enum http_body body;
	bool keep_alive;
} responses[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP_GET, 0, BODY_LENGTH, true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP_HEAD, 0, BODY_NONE, true },
	{ "HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, 0, BODY_UNTIL_CLOSE, false },
	{ "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HTTP_GET, 0, BODY_NONE, true },
	{ "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, 0, BODY_CHUNKED, true },
	{ "HTTP/1.1 204 No\r\n\r\n", HTTP_GET, 0, BODY_NONE, true },
	{ "HTTP/1.1 205 No\r\nContent-Length: 0\r\n\r\n", HTTP_GET, 0, BODY_NONE, true },
	{ "HTTP/1.1 205 No\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, 0, BODY_CHUNKED, true },
	{ "HTTP/1.1 205 No\r\n\r\n", HTTP_GET, 0, BODY_UNTIL_CLOSE, false },
	{ "HTTP/1.1 205 No\r\nContent-Length: 1\r\n\r\n", HTTP_HEAD, 0, BODY_NONE, true },
	{ "HTTP/1.1 205 No\r\nContent-Length: 1\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", HTTP_GET, 0, BODY_LENGTH, true },
	{ "HTTP/1.1 200 OK\r\nExpect: anything\r\nContent-Length: 0\r\n\r\n", HTTP_GET, 0, BODY_NONE, true },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", HTTP_GET, 0, BODY_NONE, true },
	{ "HTTP/1.1 100 Continue\r\n\r\n", HTTP_GET, 0, BODY_NONE, true },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", HTTP_GET, 0, BODY_LENGTH, false },
	{ "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", HTTP_GET, 0, BODY_LENGTH, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 200 OK\nA: b\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 20 OK\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 099 OK\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 200OK\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/2.0 200 OK\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "ICY 200 OK\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
	{ "HTTP/1.1 200 O\x01K\r\n\r\n", HTTP_GET, 502, BODY_NONE, false },
};

static void test_responses(void **state)
{
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		size_t n = strlen(responses[i].in);
		struct h1_result r = h1_parse_response(&h, fields, responses[i].in, n, &limits, responses[i].method);

		if (r.status != responses[i].status || (!r.status && r.len != n))
			fail_msg("%s: status %d (%s)", responses[i].in, r.status, r.why ? r.why : "");
		if (r.status)
			continue;
		assert_int_equal(h.body, responses[i].body);
		assert_int_equal(h.keep_alive, responses[i].keep_alive);
		for (size_t cut = 0; cut < n; cut++) {
			r = h1_parse_response(&h, fields, responses[i].in, cut, &limits, responses[i].method);
			assert_true(r.status == 0 && r.len == 0);
		}
	}
}

/* Runs a chunked body through in steps of at most `step` bytes; gathers the data. */
static enum h1_step run_body(const char *in, size_t step, size_t cut, struct buf *out, size_t *used)
{
	struct http_head h = { .body = BODY_CHUNKED };
	struct h1_body b;
	size_t n = strlen(in), at = 0;
	const char *why;

	h1_body_init(&b, &h);
	while (at < n) {
		size_t len = MIN(cut > at ? cut - at : step, n - at);
		struct str piece, rest = str_of(in + at, len);

		for (;;) {
			enum h1_step s = h1_body_next(&b, &rest, &piece, &why);

			if (s == H1_PIECE) {
				buf_adds(out, piece);
				continue;
			}
			*used = at + len - rest.len;
			if (s != H1_MORE)
				return s;
			break;
		}
		at += len;
	}
	return H1_MORE;
}

static const struct {
	const char *in;
	enum h1_step want;
	const char *data;
	const char *left; /* after the end */
} bodies[] = {
	{ "5\r\nhello\r\n0\r\n\r\nNEXT", H1_END, "hello", "NEXT" },
	{ "0\r\n\r\n", H1_END, "", "" },
	{ "3;a=b;c=\"d\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n", H1_END, "abc0123456789", "" },
	{ "00003\r\nabc\r\n0\r\n\r\n", H1_END, "abc", "" },
	{ "5\r\nhel", H1_MORE, "hel", "" },
	{ "g\r\n", H1_BAD, "", "" },
	{ "0x1\r\n", H1_BAD, "", "" },
	{ "+1\r\n", H1_BAD, "", "" },
	{ " 1\r\n", H1_BAD, "", "" },
	{ "1 \r\n", H1_BAD, "", "" },
	{ "\r\n", H1_BAD, "", "" },
	{ "1\na\r\n", H1_BAD, "", "" },
	{ "1\r\na\n", H1_BAD, "a", "" },
	{ "1\r\nab\r\n", H1_BAD, "a", "" },
	{ "1\rX", H1_BAD, "", "" },
	{ "1;a\nb\r\na\r\n", H1_BAD, "", "" },
	{ "1;a\rb\r\na\r\n", H1_BAD, "", "" },
	{ "1111111111111111\r\n", H1_BAD, "", "" },
	{ "0\r\nX : y\r\n\r\n", H1_BAD, "", "" },
	{ "0\r\n X: y\r\n\r\n", H1_BAD, "", "" },
	{ "0\r\nX: y\n\r\n", H1_BAD, "", "" },
	{ "0\r\n\n", H1_BAD, "", "" },
};

static void check_body(size_t i, size_t step, size_t cut)
{
	struct buf out = BUF_INIT(1000);
	size_t used = 0;
	enum h1_step got = run_body(bodies[i].in, step, cut, &out, &used);

	if (got != bodies[i].want || !str_eq(buf_str(&out), str_from(bodies[i].data)))
		fail_msg("%s (step %zu, cut %zu): %d, data \"%.*s\"", bodies[i].in, step, cut, got, STRF(buf_str(&out)));
	if (got == H1_END && step > 1 && cut == 0)
		assert_string_equal(bodies[i].in + used, bodies[i].left);
	buf_fini(&out);
}

static void test_chunked_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		check_body(i, SIZE_MAX, 0);
		check_body(i, 1, 0);
		for (size_t cut = 1; cut < strlen(bodies[i].in); cut++)
			check_body(i, SIZE_MAX, cut);
	}
}

/* However the input is cut, the lines that were kept are the same. */
static void test_kept_trailers(void **state)
{
	static const char in[] = "1\r\na\r\n0\r\nA: b\r\nC:\td  \r\nE:\r\n\r\n", want[] = "A: b\r\nC:\td  \r\nE:\r\n";
	static const char *const names[] = { "A", "C", "E" }, *const values[] = { "b", "d", "" };
	struct http_head h = { .body = BODY_CHUNKED };

	(void)state;
	for (size_t step = 1; step < sizeof(in); step++) {
		struct buf kept = BUF_INIT(H1_TRAILER_MAX);
		struct h1_body b;
		struct str piece;
		struct hfield f;
		const char *why;
		enum h1_step got = H1_MORE;

		h1_body_init(&b, &h);
		b.trailers = &kept;
		for (size_t at = 0; at < strlen(in); at += step) {
			struct str rest = str_slice(str_from(in), at, at + step);

			while ((got = h1_body_next(&b, &rest, &piece, &why)) == H1_PIECE)
				assert_str(piece, STR("a"));
		}
		assert_int_equal(got, H1_END);
		assert_str(buf_str(&kept), str_from(want));

		struct str lines = buf_str(&kept);

		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			assert_true(h1_trailer_cut(&lines, &f));
			assert_str(f.name, str_from(names[i]));
			assert_str(f.value, str_from(values[i]));
		}
		assert_false(h1_trailer_cut(&lines, &f));
		buf_fini(&kept);
	}
}

static void test_chunk_limits(void **state)
{
	struct buf in = BUF_INIT(100000), out = BUF_INIT(10);
	size_t used;

	(void)state;
	buf_addz(&in, "1;");
	while (in.len < H1_CHUNK_EXT_MAX + 10)
		buf_addc(&in, 'e');
	buf_add(&in, "", 1);
	assert_int_equal(run_body(in.ptr, SIZE_MAX, 0, &out, &used), H1_BAD);
	buf_clear(&in);
	buf_addz(&in, "0\r\n");
	while (in.len < H1_TRAILER_MAX + 10)
		buf_addz(&in, "X: y\r\n");
	buf_add(&in, "", 1);
	assert_int_equal(run_body(in.ptr, SIZE_MAX, 0, &out, &used), H1_BAD);
	buf_fini(&in);
	buf_fini(&out);
}

static void test_names_are_recognised_in_any_case(void **state)
{
	(void)state;
	assert_int_equal(http_name_of(STR("HOST")), H_HOST);
	assert_int_equal(http_name_of(STR("content-LENGTH")), H_CONTENT_LENGTH);
	assert_int_equal(http_name_of(STR("X-B3-TraceId")), H_X_B3_TRACEID);
	assert_int_equal(http_name_of(STR("proxy-authorization")), H_PROXY_AUTHORIZATION);
	assert_int_equal(http_name_of(STR("Hosts")), H_OTHER);
	assert_int_equal(http_name_of(STR("x")), H_OTHER);
	assert_int_equal(http_name_of(STR("a-name-that-is-longer-than-any")), H_OTHER);
	for (unsigned id = H_OTHER + 1; id < H_NAME_COUNT; id++)
		assert_int_equal(http_name_of(http_name_text(id)), id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_accepted_requests),
		cmocka_unit_test(test_hop_by_hop_fields),
		cmocka_unit_test(test_expectations),
		cmocka_unit_test(test_te_in_several_lines),
		cmocka_unit_test(test_underscores_in_names),
		cmocka_unit_test(test_bare_line_feeds_where_allowed),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_rebase),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_chunked_bodies),
		cmocka_unit_test(test_kept_trailers),
		cmocka_unit_test(test_chunk_limits),
		cmocka_unit_test(test_names_are_recognised_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
