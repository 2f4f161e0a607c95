/* oracle_llhttp.h - llhttp as an oracle: what it makes of one message, and the comparison with what h1 made of it.
 *
 * What we accept, llhttp accepts too, and both mean the same. The other way round is no promise: we are stricter. What we
 * refuse and llhttp 8.1 takes, each on purpose:
 *   - a 1.1 request without Host, with two, or with a malformed one
 *   - a method that is followed by more than one blank; blanks or other bytes before the request line but CRLF
 *   - bare LF as a line's end, and obs-fold
 *   - chunk extensions past 256 bytes, trailers past 4 KiB, heads past the limits
 *   - Transfer-Encoding with more than one coding, in HTTP/1.0, or in a 1xx or 204
 *   - content in a 205
 * What we accept and llhttp does not, and why that is safe:
 *   - any token as method: llhttp has a fixed list (METHOD below); it frames nothing
 *   - methods that llhttp ties to another protocol (PRI, SOURCE) and CONNECT, after which it stops parsing
 *   - several lengths of the very same bytes, in lines or in a list: one of them is forwarded
 *   - framing fields in a trailer: llhttp reads them as if they stood in the head, we read over them and drop them
 *   - tabs as blanks around a value (RFC 9110 5.5): llhttp does not know "chunked" with one behind it
 *   - quoted strings and blanks in chunk extensions (RFC 9112 7.1.1), which we read over and never forward */
#pragma once
#include "fuzz.h"
/* Its names for methods are those of http/head.h: they step aside. */
#define HTTP_GET THEIR_GET
#define HTTP_HEAD THEIR_HEAD
#define HTTP_POST THEIR_POST
#define HTTP_PUT THEIR_PUT
#define HTTP_DELETE THEIR_DELETE
#define HTTP_PATCH THEIR_PATCH
#define HTTP_OPTIONS THEIR_OPTIONS
#define HTTP_TRACE THEIR_TRACE
#define HTTP_CONNECT THEIR_CONNECT
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_DELETE
#undef HTTP_PATCH
#undef HTTP_OPTIONS
#undef HTTP_TRACE
#undef HTTP_CONNECT

#include "base/buf.h"
#include "http/h1.h"

/* What llhttp said. */
struct theirs {
	llhttp_t parser;
	bool bodiless; /* answers a HEAD */
	bool head, complete, keep_alive;
	unsigned fields;
	uint64_t flags, content_length;
	unsigned status, minor;
	struct buf start;  /* target, or reason */
	struct buf names;  /* of the head, each with a line feed behind it */
	struct buf values; /* likewise; trimmed by nobody */
	struct buf body;
};

static inline int their_head(llhttp_t *p)
{
	struct theirs *t = p->data;

	t->head = true;
	t->flags = p->flags;
	t->content_length = p->content_length;
	t->status = p->status_code;
	t->minor = p->http_minor;

	/* llhttp leaves it to its user to say that there is no body, also where the status does. */
	bool bodiless = t->bodiless || t->status == 204 || t->status == 304 || (t->status >= 100 && t->status < 200);

	if (bodiless)
		p->flags |= F_SKIPBODY;
	t->keep_alive = llhttp_should_keep_alive(p);
	return bodiless;
}

static inline int their_start(llhttp_t *p, const char *at, size_t n)
{
	buf_add(&((struct theirs *)p->data)->start, at, n);
	return 0;
}

static inline int their_name(llhttp_t *p, const char *at, size_t n)
{
	struct theirs *t = p->data;

	if (!t->head) /* a trailer is not compared */
		buf_add(&t->names, at, n);
	return 0;
}

static inline int their_name_end(llhttp_t *p)
{
	struct theirs *t = p->data;

	t->fields += !t->head;
	buf_addc(&t->names, '\n');
	return 0;
}

static inline int their_value(llhttp_t *p, const char *at, size_t n)
{
	struct theirs *t = p->data;

	if (!t->head)
		buf_add(&t->values, at, n);
	return 0;
}

static inline int their_value_end(llhttp_t *p)
{
	buf_addc(&((struct theirs *)p->data)->values, '\n');
	return 0;
}

static inline int their_body(llhttp_t *p, const char *at, size_t n)
{
	buf_add(&((struct theirs *)p->data)->body, at, n);
	return 0;
}

static inline int their_end(llhttp_t *p)
{
	struct theirs *t = p->data;

	t->complete = true;
	return HPE_PAUSED; /* one message only */
}

static inline llhttp_errno_t ask_llhttp(struct theirs *t, llhttp_type_t type, bool bodiless, struct str in)
{
	llhttp_settings_t settings;

	*t = (struct theirs){ .bodiless = bodiless, .start = BUF_INIT(1 << 20), .names = BUF_INIT(1 << 20),
			      .values = BUF_INIT(1 << 20), .body = BUF_INIT(1 << 20) };
	llhttp_settings_init(&settings);
	settings.on_url = settings.on_status = their_start;
	settings.on_header_field = their_name;
	settings.on_header_field_complete = their_name_end;
	settings.on_header_value = their_value;
	settings.on_header_value_complete = their_value_end;
	settings.on_headers_complete = their_head;
	settings.on_body = their_body;
	settings.on_message_complete = their_end;
	llhttp_init(&t->parser, type, &settings);
	t->parser.data = t;
	return llhttp_execute(&t->parser, in.ptr, in.len);
}

static inline void theirs_fini(struct theirs *t)
{
	buf_fini(&t->start);
	buf_fini(&t->names);
	buf_fini(&t->values);
	buf_fini(&t->body);
}

/* --- what we read over --- */

static inline bool repeats_its_length(const struct http_head *h)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->nfields; i++) {
		if (h->field[i].id == H_CONTENT_LENGTH)
			n += str_chr(h->field[i].value, ',') >= 0 ? 2 : 1;
	}
	return n > 1;
}

/* llhttp obeys Proxy-Connection as if it were Connection. It is no standard's (RFC 9112 appendix C.2.2): we only drop it. */
static inline bool has_proxy_connection(const struct http_head *h)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		if (h->field[i].id == H_PROXY_CONNECTION)
			return true;
	}
	return false;
}

/* Did it stumble over what we read over: an extension, a framing field of a trailer? */
static inline bool is_read_over(llhttp_errno_t e, struct str body)
{
	switch (e) {
	case HPE_INVALID_CHUNK_SIZE:
	case HPE_STRICT: return str_chr(body, ';') >= 0;
	case HPE_INVALID_TRANSFER_ENCODING:
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH: return true;
	default: return false;
	}
}

/* --- comparing --- */

static inline void compare_heads(const struct http_head *h, const struct theirs *t)
{
	struct str names = buf_str(&t->names), values = buf_str(&t->values), name, value;

	PROMISE(t->minor == h->minor && t->status == h->status && t->fields == h->nfields);
	PROMISE(str_eq(buf_str(&t->start), h->status ? h->reason : h->target));
	for (unsigned i = 0; i < h->nfields; i++) {
		PROMISE(str_cut(&names, '\n', &name) && str_eq(name, h->field[i].name));
		PROMISE(str_cut(&values, '\n', &value) && str_eq(str_trim(value), h->field[i].value));
	}
	if (h->has_length)
		PROMISE(t->flags & F_CONTENT_LENGTH && t->content_length == h->content_length);
	if (h->body == BODY_CHUNKED)
		PROMISE(t->flags & F_CHUNKED);
	if (h->body == BODY_LENGTH)
		PROMISE(!(t->flags & F_CHUNKED));
}

static inline enum h1_step read_ours(const struct http_head *h, struct str in, struct buf *body)
{
	struct h1_body b;
	struct str piece;
	const char *why;
	enum h1_step step;

	h1_body_init(&b, h);
	while ((step = h1_body_next(&b, &in, &piece, &why)) == H1_PIECE)
		buf_adds(body, piece);
	return step;
}

/* h: what h1 made of the head; rest: the bytes behind it. */
static inline void compare_messages(const struct http_head *h, struct str rest, const struct theirs *t, llhttp_errno_t e)
{
	struct buf body = BUF_INIT(1 << 20);
	enum h1_step step = read_ours(h, rest, &body);

	if (!t->head || (step == H1_END && !t->complete))
		fprintf(stderr, "llhttp refuses: %s %s\n", llhttp_errno_name(e), llhttp_get_error_reason(&t->parser));
	PROMISE(t->head);
	compare_heads(h, t);
	if (step == H1_END && !is_read_over(e, rest)) {
		PROMISE(t->complete && str_eq(buf_str(&t->body), buf_str(&body)));
		PROMISE(!h->keep_alive || t->keep_alive || has_proxy_connection(h));
	} else if (step == H1_MORE) {
		PROMISE(!t->complete); /* else it would read a message where we read a body */
		if (e == HPE_OK)
			PROMISE(str_eq(buf_str(&t->body), buf_str(&body)));
	}
	buf_fini(&body);
}

static inline void compare_request(struct str in)
{
	const struct h1_limits limits = { .head_bytes = 8 * 1024, .fields = 64 };
	struct hfield fields[64];
	struct http_head h;
	struct theirs t;
	struct h1_result r = h1_parse_request(&h, fields, in.ptr, in.len, &limits);

#define METHOD(num, name, string) || str_eq(h.method, STR(#string))
	if (r.status != 0 || r.len == 0 || !(false HTTP_METHOD_MAP(METHOD)) || str_eq(h.method, STR("PRI")) ||
	    str_eq(h.method, STR("SOURCE")) || h.mid == HTTP_CONNECT || str_chr(str_slice(in, 0, r.len), '\t') >= 0 ||
	    repeats_its_length(&h))
		return;
#undef METHOD

	llhttp_errno_t e = ask_llhttp(&t, HTTP_REQUEST, false, in);

	compare_messages(&h, str_slice(in, r.len, in.len), &t, e);
	theirs_fini(&t);
}

static inline void compare_response(struct str in, enum http_method method)
{
	const struct h1_limits limits = { .head_bytes = 8 * 1024, .fields = 64 };
	struct hfield fields[64];
	struct http_head h;
	struct theirs t;
	struct h1_result r = h1_parse_response(&h, fields, in.ptr, in.len, &limits, method);

	/* Behind a 101 another protocol begins. */
	if (r.status != 0 || r.len == 0 || h.status == 101 || str_chr(str_slice(in, 0, r.len), '\t') >= 0 || repeats_its_length(&h))
		return;

	llhttp_errno_t e = ask_llhttp(&t, HTTP_RESPONSE, method == HTTP_HEAD, in);

	compare_messages(&h, str_slice(in, r.len, in.len), &t, e);
	theirs_fini(&t);
}
