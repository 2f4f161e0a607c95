/* fuzz_llhttp.c - our parser beside llhttp: what we accept, llhttp accepts too, and both mean the same request.
 *
 * The other way round is no promise: we are stricter. What we refuse and llhttp 8.1 takes, each on purpose:
 *   - a 1.1 request without Host, with two, or with a malformed one
 *   - a method that is followed by more than one blank; blanks or other bytes before the request line but CRLF
 *   - bare LF as a line's end, and obs-fold
 *   - chunk extensions past 256 bytes, trailers past 4 KiB, heads past the limits
 *   - Transfer-Encoding with more than one coding, or in HTTP/1.0
 * What we accept and llhttp does not, and why that is safe:
 *   - any token as method: llhttp has a fixed list (METHOD below); it frames nothing
 *   - methods that llhttp ties to another protocol (PRI, SOURCE) and CONNECT, after which it stops parsing
 *   - several Content-Length fields of the very same bytes: one of them is forwarded
 *   - framing fields in a trailer: llhttp reads them as if they stood in the head, we read over them and drop them
 *   - tabs as blanks around a value (RFC 9110 5.5): llhttp does not know "chunked" with one behind it
 *   - quoted strings and blanks in chunk extensions (RFC 9112 7.1.1), which we read over and never forward */
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

static const struct h1_limits limits = { .head_bytes = 8 * 1024, .fields = 64 };

/* What llhttp said. */
struct theirs {
	llhttp_t parser;
	bool head, complete;
	unsigned fields;
	uint64_t flags, content_length;
	unsigned method, minor;
	struct buf body;
};

static int on_headers_complete(llhttp_t *p)
{
	struct theirs *t = p->data;

	t->head = true;
	t->flags = p->flags;
	t->content_length = p->content_length;
	t->method = p->method;
	t->minor = p->http_minor;
	return 0;
}

static int on_header_field_complete(llhttp_t *p)
{
	struct theirs *t = p->data;

	t->fields += !t->head; /* not those of a trailer */
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	buf_add(&((struct theirs *)p->data)->body, at, n);
	return 0;
}

static int on_message_complete(llhttp_t *p)
{
	((struct theirs *)p->data)->complete = true;
	return HPE_PAUSED; /* one request only */
}

static llhttp_errno_t ask_llhttp(struct theirs *t, const char *p, size_t n)
{
	llhttp_settings_t settings;

	*t = (struct theirs){ .body = BUF_INIT(1 << 20) };
	llhttp_settings_init(&settings);
	settings.on_headers_complete = on_headers_complete;
	settings.on_header_field_complete = on_header_field_complete;
	settings.on_body = on_body;
	settings.on_message_complete = on_message_complete;
	llhttp_init(&t->parser, HTTP_REQUEST, &settings);
	t->parser.data = t;
	return llhttp_execute(&t->parser, p, n);
}

/* Does llhttp know this method, and treat it as HTTP? */
static bool in_their_list(struct str method)
{
#define METHOD(num, name, string) || str_eq(method, STR(#string))
	return (false HTTP_METHOD_MAP(METHOD)) && !str_eq(method, STR("PRI")) && !str_eq(method, STR("SOURCE")) &&
	       !str_eq(method, STR("CONNECT"));
#undef METHOD
}

static bool has_coding(const struct http_head *h)
{
	return head_find(h, H_TRANSFER_ENCODING) != NULL;
}

static enum h1_step read_body(const struct http_head *h, struct str in, struct buf *body)
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

/* Did it stumble over what we read over: an extension, a framing field of a trailer? */
static bool read_over(llhttp_errno_t e, const char *body, size_t n)
{
	switch (e) {
	case HPE_INVALID_CHUNK_SIZE:
	case HPE_STRICT: return str_chr(str_of(body, n), ';') >= 0;
	case HPE_INVALID_TRANSFER_ENCODING:
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH: return true;
	default: return false;
	}
}

static void compare(const struct http_head *h, const struct theirs *t)
{
	bool chunked = t->flags & F_CHUNKED, length = t->flags & F_CONTENT_LENGTH;

	PROMISE(t->minor == h->minor);
	PROMISE(t->fields == h->nfields);
	PROMISE(chunked == (h->body == BODY_CHUNKED));
	if (!chunked && length)
		PROMISE(t->content_length == h->content_length);
	if (h->body == BODY_LENGTH)
		PROMISE(length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct hfield fields[64];
	struct http_head h;
	struct h1_result r = h1_parse_request(&h, fields, p, size, &limits);

	if (r.status != 0 || r.len == 0 || !in_their_list(h.method) || str_chr(str_of(p, r.len), '\t') >= 0)
		return 0;

	struct theirs t;
	struct buf body = BUF_INIT(1 << 20);
	llhttp_errno_t e = ask_llhttp(&t, p, size);
	enum h1_step step = read_body(&h, str_of(p + r.len, size - r.len), &body);

	if (e == HPE_UNEXPECTED_CONTENT_LENGTH && !has_coding(&h))
		goto out; /* the same one twice: h1 has compared them */
	if (!t.head)
		fprintf(stderr, "llhttp refuses the head: %s %s\n", llhttp_errno_name(e), llhttp_get_error_reason(&t.parser));
	PROMISE(t.head);
	compare(&h, &t);
	if (step == H1_END && !read_over(e, p + r.len, size - r.len)) {
		if (!t.complete)
			fprintf(stderr, "llhttp refuses the body: %s %s\n", llhttp_errno_name(e),
				llhttp_get_error_reason(&t.parser));
		PROMISE(t.complete);
		PROMISE(str_eq(buf_str(&t.body), buf_str(&body)));
	} else if (step == H1_MORE) {
		PROMISE(!t.complete); /* else it would read a request where we read a body */
	}
out:
	buf_fini(&t.body);
	buf_fini(&body);
	return 0;
}
