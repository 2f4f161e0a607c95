/* h1.c - see h1.h. The line scanner looks at 16 bytes a step where the machine has SSE2. */
#include "http/h1.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct scan {
	const char *p, *end;
	bool bare_lf; /* allowed */
	int status;
	unsigned n_meant; /* fields that mean something to HTTP itself */
	const char *why;
};

static _cold_ bool refuse(struct scan *s, int status, const char *why)
{
	s->status = status;
	s->why = why;
	return false;
}

/* The first byte that may not stand in a field value (a control byte but TAB, or DEL), or end. */
static inline const char *value_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i ctl = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f), tab = _mm_set1_epi8('\t');

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i bad = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), _mm_cmpeq_epi8(_mm_min_epu8(v, ctl), v));
		int m = _mm_movemask_epi8(_mm_or_si128(bad, _mm_cmpeq_epi8(v, del)));

		if (m)
			return p + __builtin_ctz((unsigned)m);
	}
#endif
	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			break;
	}
	return p;
}

/* The first byte that may not stand in a token, or end. Letters, digits and '-' make up nearly all names: they go by 16. */
static inline const char *token_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i bit5 = _mm_set1_epi8(0x20), hyphen = _mm_set1_epi8('-');

	for (; end - p >= 16; p += 16) { /* x in lo..hi: the unsigned difference to lo is at most hi - lo */
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i alpha = _mm_sub_epi8(_mm_or_si128(v, bit5), _mm_set1_epi8('a')), digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
		__m128i ok = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(alpha, _mm_set1_epi8(25)), alpha),
						       _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit)),
					  _mm_cmpeq_epi8(v, hyphen));
		unsigned m = (unsigned)_mm_movemask_epi8(ok) ^ 0xffffu;

		if (m) {
			p += __builtin_ctz(m);
			break;
		}
	}
#endif
	while (p < end && http_token_byte[(unsigned char)*p])
		p++;
	return p;
}

/* The first byte that is not 0x21..0x7e, or end. */
static const char *graph_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i lo = _mm_set1_epi8(0x20), hi = _mm_set1_epi8(0x7f);

	for (; end - p >= 16; p += 16) { /* signed compares: bytes from 0x80 on are negative and so not above 0x20 */
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		int m = _mm_movemask_epi8(_mm_and_si128(_mm_cmpgt_epi8(v, lo), _mm_cmplt_epi8(v, hi)));

		if (m != 0xffff)
			return p + __builtin_ctz(~(unsigned)m);
	}
#endif
	while (p < end && *p > 0x20 && *p < 0x7f)
		p++;
	return p;
}

/* --- lines. Each returns false with status 0 where the input ends too early, else with the refusal. --- */

static _cold_ bool refuse_line_end(struct scan *s)
{
	if (s->p == s->end)
		return false;
	if (*s->p == '\n') {
		s->p++;
		return s->bare_lf || refuse(s, 400, "bare line feed");
	}
	if (*s->p != '\r')
		return refuse(s, 400, "control byte");
	if (s->p + 1 == s->end)
		return false;
	return refuse(s, 400, "bare carriage return");
}

static inline bool take_crlf(struct scan *s)
{
	if (unlikely(s->end - s->p < 2 || memcmp(s->p, "\r\n", 2) != 0))
		return refuse_line_end(s);
	s->p += 2;
	return true;
}

static bool take_version(struct scan *s, unsigned *minor)
{
	static const char want[] = "HTTP/1.";
	size_t have = (size_t)(s->end - s->p);

	if (likely(have >= 9 && memcmp(s->p, want, 7) == 0 && (s->p[7] == '0' || s->p[7] == '1') && s->p[8] <= ' ')) {
		*minor = (unsigned)(s->p[7] - '0');
		s->p += 8;
		return true;
	}
	if (memcmp(s->p, want, MIN(have, (size_t)5)) != 0)
		return refuse(s, 400, "malformed version");
	if (have < 9)
		return false;
	if (!ascii_is_digit(s->p[5]) || s->p[6] != '.' || !ascii_is_digit(s->p[7]))
		return refuse(s, 400, "malformed version");
	if (ascii_is_digit(s->p[8]))
		return refuse(s, 400, "malformed version");
	if (s->p[5] != '1' || s->p[7] > '1')
		return refuse(s, 505, "version not supported");
	*minor = (unsigned)(s->p[7] - '0');
	s->p += 8;
	return true;
}

static bool take_request_line(struct scan *s, struct http_head *h)
{
	const char *from = s->p;

	s->p = token_end(s->p, s->end);
	if (s->p - from > 32)
		return refuse(s, 400, "method too long");
	if (s->p == s->end)
		return false;
	if (*s->p != ' ' || s->p == from)
		return refuse(s, 400, "malformed method");
	h->method = str_of(from, (size_t)(s->p - from));
	from = ++s->p;
	s->p = graph_end(s->p, s->end);
	if (s->p == s->end)
		return false;
	if (*s->p != ' ' || s->p == from)
		return refuse(s, 400, "malformed target");
	h->target = str_of(from, (size_t)(s->p - from));
	s->p++;
	return take_version(s, &h->minor) && take_crlf(s);
}

static bool take_status_line(struct scan *s, struct http_head *h)
{
	if (!take_version(s, &h->minor))
		return false;
	if (s->end - s->p < 4)
		return false;
	if (s->p[0] != ' ' || !ascii_is_digit(s->p[1]) || !ascii_is_digit(s->p[2]) || !ascii_is_digit(s->p[3]))
		return refuse(s, 502, "malformed status line");
	h->status = (unsigned)(s->p[1] - '0') * 100 + (unsigned)(s->p[2] - '0') * 10 + (unsigned)(s->p[3] - '0');
	if (h->status < 100)
		return refuse(s, 502, "malformed status line");
	s->p += 4;
	if (s->p == s->end)
		return false;
	if (*s->p == ' ') {
		const char *from = ++s->p;

		s->p = value_end(s->p, s->end);
		h->reason = str_of(from, (size_t)(s->p - from));
	} else if (*s->p != '\r') {
		return refuse(s, 502, "malformed status line");
	}
	return take_crlf(s);
}

/* Where a name should end in a colon, and does not. */
static _cold_ bool refuse_name(struct scan *s, bool is_empty)
{
	if (s->p == s->end)
		return false;
	switch (*s->p) {
	case ':':
		return refuse(s, 400, "empty field name");
	case ' ':
	case '\t':
		return refuse(s, 400, is_empty ? "folded line" : "blank before the colon");
	case '\n':
		return refuse(s, 400, "bare line feed");
	default:
		return refuse(s, 400, "malformed field name");
	}
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Past the blanks before a value. */
static inline const char *value_begin(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* One field's line in p..end: what follows it, or NULL, and then s tells why. */
static inline const char *take_field(struct scan *s, const char *p, const char *end, struct hfield *f)
{
	const char *from = p, *to = token_end(p, end);

	if (unlikely(to == end || *to != ':' || to == from)) {
		s->p = to;
		refuse_name(s, to == from);
		return NULL;
	}
	f->name = str_of(from, (size_t)(to - from));
	f->id = http_name_of(f->name);
	f->hop = 0;
	f->plain = end - to > 2 && to[1] == ' ' && (unsigned char)to[2] > ' ';
	from = likely(f->plain) ? to + 2 : value_begin(to + 1, end);
	to = value_end(from, end);
	p = to + 2;
	if (unlikely(end - to < 2 || memcmp(to, "\r\n", 2) != 0)) {
		s->p = to;
		if (!refuse_line_end(s))
			return NULL;
		p = s->p;
	}
	for (; to > from && is_blank(to[-1]); to--)
		f->plain = 0;
	f->value = str_of(from, (size_t)(to - from));
	return p;
}

/* The names that read_field knows. */
#define MEANINGFUL                                                                                                             \
	(HEAD_BIT(H_HOST) | HEAD_BIT(H_CONNECTION) | HEAD_BIT(H_CONTENT_LENGTH) | HEAD_BIT(H_TRANSFER_ENCODING) |              \
	 HEAD_BIT(H_TE) | HEAD_BIT(H_UPGRADE) | HEAD_BIT(H_KEEP_ALIVE) | HEAD_BIT(H_PROXY_CONNECTION) |                        \
	 HEAD_BIT(H_PROXY_AUTHENTICATE) | HEAD_BIT(H_PROXY_AUTHORIZATION) | HEAD_BIT(H_TRAILER) | HEAD_BIT(H_EXPECT))

static bool take_fields(struct scan *s, struct http_head *h, struct hfield *fields, unsigned max)
{
	const char *p = s->p, *end = s->end;
	unsigned n = 0, n_meant = 0;
	uint64_t seen = 0;

	h->field = fields;
	while (p < end && (unsigned char)*p > '\r') {
		if (n == max)
			return refuse(s, 431, "too many fields");
		p = take_field(s, p, end, &fields[n]);
		if (!p)
			return false;

		uint64_t bit = HEAD_BIT(fields[n++].id);

		seen |= bit;
		n_meant += (bit & MEANINGFUL) != 0;
	}
	h->nfields = n;
	h->seen = seen;
	s->n_meant = n_meant;
	s->p = p;
	if (unlikely(p < end && *p != '\r' && *p != '\n'))
		return refuse_name(s, true);
	return take_crlf(s);
}

/* --- what the fields mean --- */

/* Fields that a peer may not have removed by naming them in Connection: they carry identity, routing or framing. */
static bool is_protected(uint8_t id)
{
	switch (id) {
	case H_HOST:
	case H_CONTENT_LENGTH:
	case H_TRANSFER_ENCODING:
	case H_AUTHORIZATION:
	case H_COOKIE:
	case H_SET_COOKIE:
	case H_CONTENT_TYPE:
	case H_FORWARDED:
		return true;
	default:
		return id >= H_X_FORWARDED_FOR && id <= H_TRACESTATE;
	}
}

static void mark_hop(struct http_head *h, struct str name)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		struct hfield *f = &h->field[i];

		if (str_eq_nocase(f->name, name) && !is_protected(f->id))
			f->hop = 1;
	}
}

struct meaning {
	unsigned n_host, n_te;
	struct str length; /* the text of the first Content-Length */
	bool close, keep_alive, te_chunked;
};

static void read_connection(struct http_head *h, struct str value, struct meaning *m)
{
	struct str piece;

	while (str_cut(&value, ',', &piece)) {
		piece = str_trim(piece);
		if (str_eq_nocase(piece, STR("close")))
			m->close = true;
		else if (str_eq_nocase(piece, STR("keep-alive")))
			m->keep_alive = true;
		else if (piece.len)
			mark_hop(h, piece);
	}
}

/* RFC 9110 section 8.6: several, also in a list, pass as one where all are the same bytes. */
static bool read_length(struct scan *s, struct http_head *h, struct str value, struct meaning *m)
{
	struct str piece;
	uint64_t v;

	if (likely(!h->has_length && str_to_u64(value, &v) && v <= INT64_MAX)) {
		h->has_length = true;
		h->content_length = v;
		m->length = value;
		return true;
	}
	while (str_cut(&value, ',', &piece)) {
		piece = str_trim(piece);
		if (!str_to_u64(piece, &v) || v > INT64_MAX)
			return refuse(s, 400, "malformed content-length");
		if (h->has_length && !str_eq(piece, m->length))
			return refuse(s, 400, "differing content-length");
		h->has_length = true;
		h->content_length = v;
		m->length = piece;
	}
	return true;
}

/* Of a request alone: in a response the field says nothing. */
static bool read_expectation(struct scan *s, struct http_head *h, struct hfield *f)
{
	if (h->status)
		return true;
	if (!str_eq_nocase(f->value, STR("100-continue")))
		return refuse(s, 417, "unknown expectation");
	if (h->minor == 0)
		f->hop = 1; /* RFC 9110 section 10.1.1: to be ignored; the next hop, which is asked in 1.1, must not see it */
	else
		h->expect_continue = true;
	return true;
}

static bool read_field(struct scan *s, struct http_head *h, struct hfield *f, struct meaning *m)
{
	switch (f->id) {
	case H_HOST:
		m->n_host++;
		h->authority = f->value;
		break;
	case H_CONNECTION:
		f->hop = 1;
		read_connection(h, f->value, m);
		break;
	case H_CONTENT_LENGTH:
		f->hop = 1; /* framing is always written anew */
		return read_length(s, h, f->value, m);
	case H_TRANSFER_ENCODING:
		f->hop = 1;
		m->n_te++;
		m->te_chunked = str_eq_nocase(f->value, STR("chunked"));
		break;
	case H_TE:
		f->hop = 1;
		h->te_trailers = h->te_trailers || http_list_has(f->value, STR("trailers"));
		break;
	case H_UPGRADE:
		f->hop = 1;
		h->has_upgrade = true;
		break;
	case H_KEEP_ALIVE:
	case H_PROXY_CONNECTION:
	case H_PROXY_AUTHENTICATE:
	case H_PROXY_AUTHORIZATION:
		f->hop = 1;
		break;
	case H_TRAILER:
		f->hop = 1; /* announces what this hop may drop */
		break;
	case H_EXPECT:
		return read_expectation(s, h, f);
	default:
		break;
	}
	return true;
}

static bool read_fields(struct scan *s, struct http_head *h, struct meaning *m)
{
	struct hfield *f = h->field;

	for (unsigned left = s->n_meant; left; f++) {
		if (!(HEAD_BIT(f->id) & MEANINGFUL))
			continue;
		left--;
		if (!read_field(s, h, f, m))
			return false;
	}
	if (m->n_te > 1 || (m->n_te == 1 && !m->te_chunked))
		return refuse(s, 400, "transfer-encoding other than chunked");
	if (m->n_te && h->has_length)
		return refuse(s, 400, "content-length with transfer-encoding");
	if (m->n_te && h->minor == 0)
		return refuse(s, 400, "transfer-encoding in HTTP/1.0");
	h->keep_alive = !m->close && (h->minor >= 1 || m->keep_alive);
	return true;
}

/* "" or ":" and a port's digits. */
static bool port_is_valid(struct str rest)
{
	unsigned port = 0;

	if (rest.len && rest.ptr[0] != ':')
		return false;
	for (size_t i = 1; i < rest.len; i++) {
		if (!ascii_is_digit(rest.ptr[i]))
			return false;
		port = port * 10 + (unsigned)(rest.ptr[i] - '0');
		if (port > 65535)
			return false;
	}
	return true;
}

/* What may stand in a host, and in the brackets of an address besides. */
enum { HOST_BYTE = 1, ADDRESS_BYTE = 2 };

static bool authority_is_valid(struct str a)
{
	static const uint8_t kind[256] = {
		['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1, ['!'] = 1, ['$'] = 1, ['&'] = 1, ['\''] = 1, ['('] = 1, [')'] = 1,
		['*'] = 1, ['+'] = 1, [','] = 1, [';'] = 1, ['='] = 1, ['%'] = 1, [':'] = ADDRESS_BYTE,
		['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
	};
	size_t n = 0;

	if (a.len == 0 || a.len > 260)
		return false;
	if (a.ptr[0] == '[') {
		for (n = 1; n < a.len && kind[(unsigned char)a.ptr[n]]; n++)
			;
		return n >= 3 && n < a.len && a.ptr[n] == ']' && port_is_valid(str_slice(a, n + 1, a.len));
	}
	while (n < a.len && kind[(unsigned char)a.ptr[n]] == HOST_BYTE)
		n++;
	return n && port_is_valid(str_slice(a, n, a.len));
}

static void split_path(struct http_head *h, struct str t)
{
	ptrdiff_t q = str_chr(t, '?');

	h->path = q < 0 ? t : str_slice(t, 0, (size_t)q);
	h->query = q < 0 ? STR_EMPTY : str_slice(t, (size_t)q + 1, t.len);
}

/* The four forms of a target: RFC 9112 section 3.2. */
static bool read_target(struct scan *s, struct http_head *h)
{
	struct str t = h->target;

	if (str_has(t, '#'))
		return refuse(s, 400, "fragment in target");
	if (h->mid == HTTP_CONNECT) {
		h->authority = t;
		return authority_is_valid(t) || refuse(s, 400, "malformed target");
	}
	if (t.ptr[0] == '/') {
		split_path(h, t);
		return true;
	}
	if (str_eq(t, STR("*")))
		return h->mid == HTTP_OPTIONS || refuse(s, 400, "malformed target");
	if (!str_has_prefix_nocase(t, STR("http://")) && !str_has_prefix_nocase(t, STR("https://")))
		return refuse(s, 400, "malformed target");
	t = str_slice(t, (size_t)str_find(t, STR("//")) + 2, t.len);

	size_t n = 0;

	while (n < t.len && t.ptr[n] != '/' && t.ptr[n] != '?')
		n++;
	h->authority = str_slice(t, 0, n);
	split_path(h, str_slice(t, n, t.len));
	if (h->path.len == 0)
		h->path = STR("/");
	return authority_is_valid(h->authority) || refuse(s, 400, "malformed target");
}

static bool read_request(struct scan *s, struct http_head *h)
{
	struct meaning m = { 0 };

	h->mid = http_method_of(h->method);
	if (!read_fields(s, h, &m))
		return false;
	if (m.n_host > 1)
		return refuse(s, 400, "more than one host");
	if (m.n_host == 0 && h->minor >= 1)
		return refuse(s, 400, "missing host");
	/* An empty one says that the target has no authority (RFC 9112 section 3.2). */
	if (m.n_host && h->authority.len && !authority_is_valid(h->authority))
		return refuse(s, 400, "malformed host");
	if (!read_target(s, h))
		return false;
	h->body = m.te_chunked ? BODY_CHUNKED : h->has_length && h->content_length ? BODY_LENGTH : BODY_NONE;
	if (h->minor == 0 && h->body != BODY_NONE && (h->mid == HTTP_GET || h->mid == HTTP_HEAD || h->mid == HTTP_DELETE))
		return refuse(s, 400, "body in an HTTP/1.0 request that has none");
	return true;
}

static bool read_response(struct scan *s, struct http_head *h, enum http_method method)
{
	struct meaning m = { 0 };

	if (!read_fields(s, h, &m))
		return false;
	if (h->status < 200 || h->status == 204 || h->status == 304 || method == HTTP_HEAD)
		h->body = BODY_NONE;
	else if (method == HTTP_CONNECT && h->status < 300)
		h->body = BODY_NONE;
	else if (m.te_chunked)
		h->body = BODY_CHUNKED;
	else if (h->has_length)
		h->body = h->content_length ? BODY_LENGTH : BODY_NONE;
	else
		h->body = BODY_UNTIL_CLOSE;
	if ((h->status < 200 || h->status == 204) && m.n_te)
		return refuse(s, 502, "transfer-encoding where no body can be");
	if (h->status == 205 && h->body == BODY_LENGTH)
		return refuse(s, 502, "content in a 205");
	if (h->body == BODY_UNTIL_CLOSE)
		h->keep_alive = false;
	return true;
}

/* What the limits' two switches ask for, where they are set. */
static bool obey_switches(struct scan *s, struct http_head *h, const struct h1_limits *limits)
{
	unsigned kept = 0;

	if (likely(limits->underscore == H1_UNDERSCORE_KEEP && !limits->bare_lf))
		return true;
	for (unsigned i = 0; i < h->nfields; i++) {
		struct hfield f = h->field[i];

		if (limits->underscore != H1_UNDERSCORE_KEEP && str_chr(f.name, '_') >= 0) {
			if (limits->underscore == H1_UNDERSCORE_REJECT)
				return refuse(s, 400, "underscore in a field name");
			continue;
		}
		f.plain = f.plain && f.value.ptr[f.value.len] == '\r'; /* a bare line feed is not copied along */
		h->field[kept++] = f;
	}
	h->nfields = kept;
	return true;
}

static struct h1_result result_of(struct scan *s, const char *p, size_t n, bool complete, bool in_line,
				  const struct h1_limits *limits)
{
	if (s->status)
		return (struct h1_result){ .status = s->status, .why = s->why };
	if (complete && (size_t)(s->p - p) <= limits->head_bytes)
		return (struct h1_result){ .len = (size_t)(s->p - p) };
	if (complete || n >= limits->head_bytes)
		return (struct h1_result){ .status = in_line ? 414 : 431, .why = in_line ? "target too long" : "head too long" };
	return (struct h1_result){ 0 };
}

struct h1_result h1_parse_request(struct http_head *h, struct hfield *fields, const char *p, size_t n,
				  const struct h1_limits *limits)
{
	struct scan s = { .p = p, .end = p + n, .bare_lf = limits->bare_lf };

	assert(limits->fields <= HTTP_FIELDS_MAX);
	*h = (struct http_head){ 0 };
	while (s.end - s.p >= 2 && s.p[0] == '\r' && s.p[1] == '\n' && s.p - p < 8) /* RFC 9112 section 2.2 */
		s.p += 2;
	if (s.p == s.end || (s.p[0] == '\r' && s.p + 1 == s.end))
		return (struct h1_result){ 0 };

	bool line = take_request_line(&s, h);
	bool in_line = !line || (size_t)(s.p - p) > limits->head_bytes;
	bool complete = line && take_fields(&s, h, fields, limits->fields) && obey_switches(&s, h, limits) &&
			read_request(&s, h);

	return result_of(&s, p, n, complete, in_line, limits);
}

struct h1_result h1_parse_response(struct http_head *h, struct hfield *fields, const char *p, size_t n,
				   const struct h1_limits *limits, enum http_method method)
{
	struct scan s = { .p = p, .end = p + n };

	assert(limits->fields <= HTTP_FIELDS_MAX);
	*h = (struct http_head){ 0 };

	bool complete = take_status_line(&s, h) && take_fields(&s, h, fields, limits->fields) && read_response(&s, h, method);
	struct h1_result r = result_of(&s, p, n, complete, false, limits);

	if (r.status)
		r.status = 502;
	return r;
}

static void move_span(struct str *s, ptrdiff_t by)
{
	if (s->ptr)
		s->ptr += by;
}

void head_rebase(struct http_head *h, const char *from, const char *to)
{
	ptrdiff_t by = to - from;
	bool path_is_own = h->path.len == 1 && h->target.ptr && (h->path.ptr < h->target.ptr || h->path.ptr > h->target.ptr + h->target.len);

	move_span(&h->method, by);
	move_span(&h->target, by);
	if (!path_is_own) /* "/" of an absolute-form without a path is a constant */
		move_span(&h->path, by);
	move_span(&h->query, by);
	move_span(&h->authority, by);
	move_span(&h->reason, by);
	for (struct hfield *f = h->field; f < h->field + h->nfields; f++) {
		f->name.ptr += by;
		f->value.ptr += by;
	}
}

/* --- body --- */

enum { LINE_START, LINE_NAME, LINE_VALUE, LINE_CR, LINE_LAST_CR };

void h1_body_init(struct h1_body *b, const struct http_head *h)
{
	*b = (struct h1_body){ .kind = h->body, .left = h->body == BODY_LENGTH ? h->content_length : 0 };
}

bool h1_body_is_done(const struct h1_body *b)
{
	switch (b->kind) {
	case BODY_NONE:
		return true;
	case BODY_LENGTH:
		return b->left == 0;
	case BODY_CHUNKED:
		return b->state == CHUNK_DONE;
	case BODY_UNTIL_CLOSE:
		return false;
	}
	return true;
}

static struct str take_span(struct h1_body *b, struct str *in)
{
	size_t n = b->left < in->len ? (size_t)b->left : in->len;
	struct str piece = str_slice(*in, 0, n);

	*in = str_slice(*in, n, in->len);
	b->left -= n;
	return piece;
}

static const char *on_size_byte(struct h1_body *b, char c)
{
	int v = ascii_hex(c);

	if (v >= 0) {
		if (b->digits == 15)
			return "chunk size too large";
		b->digits++;
		b->left = b->left << 4 | (unsigned)v;
		return NULL;
	}
	if (b->digits == 0 || (c != '\r' && c != ';'))
		return "malformed chunk size";
	b->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXT;
	return NULL;
}

static const char *on_ext_byte(struct h1_body *b, char c)
{
	if (c == '\r')
		b->state = CHUNK_SIZE_LF;
	else if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
		return "control byte in chunk extension";
	else if (++b->ext > H1_CHUNK_EXT_MAX)
		return "chunk extensions too long";
	return NULL;
}

/* Trailer lines are checked like fields, and kept where somebody asks for them. */
static const char *on_trailer_byte(struct h1_body *b, char c)
{
	if (++b->trailer_bytes > H1_TRAILER_MAX)
		return "trailers too long";
	if (b->trailers && b->line != LINE_LAST_CR && !(b->line == LINE_START && c == '\r'))
		buf_addc(b->trailers, c);
	switch (b->line) {
	case LINE_START:
		if (c == '\r')
			b->line = LINE_LAST_CR;
		else if (http_token_byte[(unsigned char)c])
			b->line = LINE_NAME;
		else
			return "malformed trailer";
		return NULL;
	case LINE_NAME:
		if (c == ':')
			b->line = LINE_VALUE;
		else if (!http_token_byte[(unsigned char)c])
			return "malformed trailer";
		return NULL;
	case LINE_VALUE:
		if (c == '\r')
			b->line = LINE_CR;
		else if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
			return "malformed trailer";
		return NULL;
	default:
		if (c != '\n')
			return "bare carriage return in trailer";
		b->state = b->line == LINE_LAST_CR ? CHUNK_DONE : CHUNK_TRAILER;
		b->line = LINE_START;
		return NULL;
	}
}

static const char *on_chunk_byte(struct h1_body *b, char c)
{
	switch ((enum h1_chunk_state)b->state) {
	case CHUNK_SIZE:
		return on_size_byte(b, c);
	case CHUNK_EXT:
		return on_ext_byte(b, c);
	case CHUNK_SIZE_LF:
		if (c != '\n')
			return "bare carriage return in chunk size";
		b->state = b->left ? CHUNK_DATA : CHUNK_TRAILER;
		return NULL;
	case CHUNK_DATA_CR:
		if (c != '\r')
			return "chunk data without its end";
		b->state = CHUNK_DATA_LF;
		return NULL;
	case CHUNK_DATA_LF:
		if (c != '\n')
			return "chunk data without its end";
		b->state = CHUNK_SIZE;
		b->digits = 0;
		return NULL;
	case CHUNK_TRAILER:
		return on_trailer_byte(b, c);
	case CHUNK_DATA:
	case CHUNK_DONE:
		break;
	}
	return NULL;
}

static enum h1_step next_chunked(struct h1_body *b, struct str *in, struct str *piece, const char **why)
{
	while (in->len && b->state != CHUNK_DONE) {
		if (b->state == CHUNK_DATA) {
			*piece = take_span(b, in);
			if (b->left == 0)
				b->state = CHUNK_DATA_CR;
			return H1_PIECE;
		}
		*why = on_chunk_byte(b, in->ptr[0]);
		if (*why)
			return H1_BAD;
		*in = str_slice(*in, 1, in->len);
	}
	return b->state == CHUNK_DONE ? H1_END : H1_MORE;
}

enum h1_step h1_body_next(struct h1_body *b, struct str *in, struct str *piece, const char **why)
{
	switch (b->kind) {
	case BODY_NONE:
		return H1_END;
	case BODY_LENGTH:
		if (b->left == 0)
			return H1_END;
		if (in->len == 0)
			return H1_MORE;
		*piece = take_span(b, in);
		return H1_PIECE;
	case BODY_CHUNKED:
		return next_chunked(b, in, piece, why);
	case BODY_UNTIL_CLOSE:
		if (in->len == 0)
			return H1_MORE;
		*piece = *in;
		*in = str_slice(*in, in->len, in->len);
		return H1_PIECE;
	}
	return H1_BAD;
}

bool h1_trailer_cut(struct str *lines, struct hfield *f)
{
	ptrdiff_t end = str_find(*lines, STR("\r\n")), colon = str_chr(*lines, ':');

	if (end < 0)
		return false;
	assert(colon > 0 && colon < end); /* h1_body_next has looked */
	f->name = str_slice(*lines, 0, (size_t)colon);
	f->value = str_trim(str_slice(*lines, (size_t)colon + 1, (size_t)end));
	f->id = http_name_of(f->name);
	f->hop = f->plain = 0;
	*lines = str_slice(*lines, (size_t)end + 2, lines->len);
	return true;
}
