/* forward.c - see forward.h. */
#include "gateway/forward.h"

#include "flow/deadline.h"

static bool is_unreserved(unsigned c)
{
	return ascii_is_alpha((char)c) || ascii_is_digit((char)c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool is_dot_segment(struct str seg)
{
	return str_eq(seg, STR(".")) || str_eq(seg, STR(".."));
}

/* Bytes up to the slash that ends the segment; one written "%2F" ends it too, for some servers decode before they look. */
static size_t segment_len(struct str s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != '/' && !str_has_prefix(str_slice(s, n, s.len), STR("%2F")))
		n++;
	return n;
}

static bool has_dot_segment(struct str path)
{
	if (str_find(path, STR("/.")) < 0 && str_find(path, STR("F.")) < 0)
		return false;
	for (size_t at = 0; at < path.len;) {
		size_t n = segment_len(str_slice(path, at, path.len));
		struct str seg = str_slice(path, at, at + n);
		ptrdiff_t semicolon = str_chr(seg, ';'); /* "..;x" is a parent for some servers */

		if (is_dot_segment(semicolon < 0 ? seg : str_slice(seg, 0, (size_t)semicolon)))
			return true;
		at += n;
		at += at < path.len && path.ptr[at] == '%' ? 3 : 1;
	}
	return false;
}

static bool decode_unreserved(struct arena *a, struct str raw, struct str *ret)
{
	char *out = arena_alloc(a, raw.len);
	size_t n = 0;

	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] != '%') {
			out[n++] = raw.ptr[i];
			continue;
		}

		int hi = i + 2 < raw.len ? ascii_hex(raw.ptr[i + 1]) : -1, lo = hi >= 0 ? ascii_hex(raw.ptr[i + 2]) : -1;

		if (lo < 0)
			return false;

		unsigned v = (unsigned)(hi * 16 + lo);

		if (v == 0 || v == '\\')
			return false;
		if (is_unreserved(v)) {
			out[n++] = (char)v;
		} else {
			out[n++] = '%';
			out[n++] = ascii_upper(raw.ptr[i + 1]);
			out[n++] = ascii_upper(raw.ptr[i + 2]);
		}
		i += 2;
	}
	*ret = str_of(out, n);
	return true;
}

/* May it hold a dot segment, an encoding or a backslash? Nearly no path does. */
static bool needs_a_look(struct str path)
{
	size_t i = 0;

	for (; i + 8 <= path.len; i += 8) {
		uint64_t w = word_at(path.ptr + i);

		if (word_has(w, '.') || word_has(w, '%') || word_has(w, '\\'))
			return true;
	}
	for (; i < path.len; i++) {
		if (path.ptr[i] == '.' || path.ptr[i] == '%' || path.ptr[i] == '\\')
			return true;
	}
	return false;
}

bool path_canonical(struct arena *a, struct str raw, struct str *ret)
{
	struct str path = raw;

	*ret = raw;
	if (!needs_a_look(raw))
		return true;

	if (str_chr(raw, '\\') >= 0)
		return false;
	if (str_chr(raw, '%') >= 0 && !decode_unreserved(a, raw, &path))
		return false;
	if (has_dot_segment(path))
		return false;
	*ret = path;
	return true;
}

#define X_FORWARDED                                                                                                    \
	(HEAD_BIT(H_X_FORWARDED_FOR) | HEAD_BIT(H_X_FORWARDED_HOST) | HEAD_BIT(H_X_FORWARDED_PROTO) |                  \
	 HEAD_BIT(H_X_FORWARDED_PORT) | HEAD_BIT(H_X_FORWARDED_PREFIX))
#define OURS                                                                                                           \
	(HEAD_BIT(H_HOST) | HEAD_BIT(H_X_B3_TRACEID) | HEAD_BIT(H_X_B3_SPANID) | HEAD_BIT(H_X_B3_PARENTSPANID) |       \
	 HEAD_BIT(H_X_B3_SAMPLED) | HEAD_BIT(H_X_B3_FLAGS) | HEAD_BIT(H_B3) | HEAD_BIT(H_TRACEPARENT) |                \
	 HEAD_BIT(H_VIA) | HEAD_BIT(H_X_VINE_TIMEOUT_MS))

/* Names that this hop writes itself, or that must not come from outside. */
static uint64_t names_of_ours(const struct forward *f)
{
	uint64_t ours = OURS;

	if (!f->trusted)
		ours |= HEAD_BIT(H_FORWARDED);
	if (f->add_proxy_headers || !f->trusted)
		ours |= X_FORWARDED;
	return ours;
}

/* Adds the fields that go on: neither hop-by-hop, nor in the set `but`, nor dropped by the route. Plain lines that stand side by
 * side, which is nearly all of a head, are copied in one piece; the bytes are those that writing each anew would give. */
static void put_fields(struct buf *b, const struct http_head *h, uint64_t but, const struct header_filter *drop)
{
	const char *run = NULL, *run_end = NULL;

	for (unsigned i = 0; i < h->nfields; i++) {
		const struct hfield *f = &h->field[i];

		if (f->hop || (but | drop->known) >> f->id & 1 || (drop->n_other && header_filter_has(drop, f)))
			continue;
		if (f->plain && f->name.ptr == run_end) {
			run_end = f->value.ptr + f->value.len + 2;
			continue;
		}
		buf_add(b, run, (size_t)(run_end - run));
		run = run_end = NULL;
		if (f->plain) {
			run = f->name.ptr;
			run_end = f->value.ptr + f->value.len + 2;
		} else {
			head_add(b, f->name, f->value);
		}
	}
	buf_add(b, run, (size_t)(run_end - run));
}

static void put_target(struct buf *b, const struct forward *f)
{
	struct str path = f->path, prefix = f->route->prefix;

	if (f->ex->req.mid == HTTP_OPTIONS && str_eq(f->ex->req.target, STR("*"))) {
		buf_addc(b, '*');
		return;
	}
	if (f->route->strip && prefix.len && str_has_prefix(path, prefix))
		path = str_slice(path, prefix.len, path.len);
	buf_adds(b, f->base_path);
	if (path.len == 0 || path.ptr[0] != '/')
		buf_addc(b, '/');
	buf_adds(b, path);
	if (f->ex->req.query.len || str_has_suffix(f->ex->req.target, STR("?"))) {
		buf_addc(b, '?');
		buf_adds(b, f->ex->req.query);
	}
}

static void put_values(struct buf *b, const struct http_head *h, enum http_name id)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		if (h->field[i].id == id && h->field[i].value.len) {
			buf_adds(b, h->field[i].value);
			buf_addc(b, ',');
		}
	}
}

/* What a trusted peer said before us: "a," */
static inline void put_earlier(struct buf *b, const struct forward *f, enum http_name id)
{
	if (unlikely(f->trusted && head_has(&f->ex->req, id)))
		put_values(b, &f->ex->req, id);
}

/* What the client's path has and ours has not, as Zuul puts it together: what a trusted peer says was cut off before us, else
 * the context path; then what the route strips. */
static inline void put_prefix(struct buf *b, const struct forward *f)
{
	struct str before = ex_context(f->ex), stripped = f->route->strip ? f->route->prefix : STR_EMPTY;

	if (unlikely(f->trusted && head_has(&f->ex->req, H_X_FORWARDED_PREFIX)))
		before = head_value(&f->ex->req, H_X_FORWARDED_PREFIX);
	if (before.len + stripped.len == 0)
		return;
	if (stripped.len && before.len && before.ptr[before.len - 1] == '/')
		before.len--;
	buf_adds(b, STR("X-Forwarded-Prefix: "));
	buf_adds(b, before);
	buf_adds(b, stripped);
	buf_adds(b, STR("\r\n"));
}

static void put_forwarded(struct buf *b, const struct forward *f)
{
	buf_adds(b, STR("X-Forwarded-For: "));
	put_earlier(b, f, H_X_FORWARDED_FOR);
	buf_adds(b, ex_peer_ip_text(f->ex));
	buf_adds(b, STR("\r\nX-Forwarded-Proto: "));
	put_earlier(b, f, H_X_FORWARDED_PROTO);
	buf_adds(b, likely(!f->ex->secure) ? STR("http\r\n") : STR("https\r\n"));
	if (f->ex->req.authority.len) {
		buf_adds(b, STR("X-Forwarded-Host: "));
		put_earlier(b, f, H_X_FORWARDED_HOST);
		buf_adds(b, f->ex->req.authority);
		buf_adds(b, STR("\r\n"));
	}
	buf_adds(b, STR("X-Forwarded-Port: "));
	put_earlier(b, f, H_X_FORWARDED_PORT);
	buf_adds(b, f->port);
	buf_adds(b, STR("\r\n"));
	put_prefix(b, f);
}

static void put_via(struct buf *b, const struct http_head *h)
{
	buf_adds(b, STR("Via: "));
	for (unsigned i = 0; head_has(h, H_VIA) && i < h->nfields; i++) {
		if (h->field[i].id == H_VIA) {
			buf_adds(b, h->field[i].value);
			buf_adds(b, STR(", "));
		}
	}
	buf_adds(b, h->minor ? STR("1.1 vine\r\n") : STR("1.0 vine\r\n"));
}

static void put_framing(struct buf *b, const struct http_head *h)
{
	if (h->body == BODY_CHUNKED) {
		buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
	} else if (h->has_length) {
		buf_adds(b, STR("Content-Length: "));
		buf_add_u64(b, h->content_length);
		buf_adds(b, STR("\r\n"));
	}
	if (h->te_trailers)
		buf_adds(b, STR("TE: trailers\r\nConnection: TE\r\n"));
}

uint64_t forward_response_length(const struct http_head *h)
{
	if (h->body == BODY_LENGTH || (h->body == BODY_NONE && h->has_length))
		return h->content_length;
	if (h->body == BODY_NONE && h->status != 304 && h->status != 204)
		return EX_LENGTH_UNKNOWN; /* only a HEAD's answer comes here: its length is not known */
	return h->body == BODY_NONE ? 0 : EX_LENGTH_UNKNOWN;
}

struct deadline forward_deadline(const struct http_head *req, usec timeout, usec now)
{
	const struct hfield *f = head_find(req, H_X_VINE_TIMEOUT_MS);
	uint64_t ms;

	if (f && str_to_u64(f->value, &ms) && ms > 0 && ms < 86400000)
		timeout = MIN(timeout, (usec)ms * USEC_PER_MSEC);
	return deadline_in(now, timeout);
}

void forward_request_head(struct buf *b, const struct forward *f)
{
	const struct http_head *h = &f->ex->req;

	buf_clear(b);
	buf_adds(b, h->method);
	buf_addc(b, ' ');
	put_target(b, f);
	buf_adds(b, STR(" HTTP/1.1\r\nHost: "));
	buf_adds(b, f->pass_host && h->authority.len ? h->authority : f->host);
	buf_adds(b, STR("\r\n"));
	put_fields(b, h, names_of_ours(f), &f->route->drop);
	if (f->add_proxy_headers)
		put_forwarded(b, f);
	put_via(b, h);
	put_framing(b, h);
	if (buf_reserve(b, TRACE_INJECT_MAX))
		b->len += trace_inject(b->ptr + b->len, f->span, TRACE_B3_MULTI);
	if (f->deadline_ms >= 0) {
		buf_adds(b, STR(DEADLINE_HEADER ": "));
		buf_add_u64(b, (uint64_t)f->deadline_ms);
		buf_adds(b, STR("\r\n"));
	}
	buf_adds(b, STR("\r\n"));
}

void forward_chunk(struct buf *b, struct str piece)
{
	buf_addf(b, "%zx\r\n", piece.len);
	buf_adds(b, piece);
	buf_adds(b, STR("\r\n"));
}

void forward_response_fields(struct buf *b, struct exchange *ex, const struct gw_route *route, const struct http_head *h)
{
	const struct hfield *date = head_find(h, H_DATE);

	put_fields(b, h, 0, &route->drop);
	if (!date || date->hop || route->drop.known & HEAD_BIT(H_DATE))
		head_add_date(ex, b);
}
