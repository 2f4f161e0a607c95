/* url.c - http URLs (RFC 3986, as far as http uses it). */
#include "codec/url.h"

static bool is_unreserved(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool is_host_byte(char c)
{
	return (c & 0x80) || is_unreserved(c) || (c && strchr("!$&'()*+,;=%", c));
}

static int port_of(struct str s, uint16_t *ret, struct err *e)
{
	uint64_t v;

	if (!str_to_u64(s, &v) || v == 0 || v > 65535)
		return err_set(e, VINE_EINVAL, "\"%.*s\" is no port", (int)MIN(s.len, 32u), s.ptr);
	*ret = (uint16_t)v;
	return VINE_OK;
}

static int check_host(struct str host, bool ip6, struct err *e)
{
	if (host.len == 0)
		return err_set(e, VINE_EINVAL, "there is no host");
	if (host.len > 255)
		return err_set(e, VINE_ELIMIT, "the host is longer than 255 bytes");
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];

		if (ip6 ? !(ascii_hex(c) >= 0 || c == ':' || c == '.') : !is_host_byte(c))
			return err_set(e, VINE_EINVAL, "a host cannot hold byte 0x%02x", (unsigned char)c);
	}
	return VINE_OK;
}

static int split_authority(struct str text, struct str *host, uint16_t *port, bool *ip6, struct err *e)
{
	struct str h, rest;
	uint16_t p = *port;
	int r;

	*ip6 = text.len && text.ptr[0] == '[';
	if (*ip6) {
		ptrdiff_t end = str_chr(text, ']');

		if (end < 0)
			return err_set(e, VINE_EINVAL, "']' is missing after an IPv6 address");
		h = str_slice(text, 1, (size_t)end);
		rest = str_slice(text, (size_t)end + 1, text.len);
	} else {
		ptrdiff_t colon = str_chr(text, ':');
		size_t at = colon < 0 ? text.len : (size_t)colon;

		h = str_slice(text, 0, at);
		rest = str_slice(text, at, text.len);
	}
	r = check_host(h, *ip6, e);
	if (r < 0)
		return r;
	if (rest.len) {
		if (rest.ptr[0] != ':')
			return err_set(e, VINE_EINVAL, "expected ':' after the host");
		r = port_of(str_slice(rest, 1, rest.len), &p, e);
		if (r < 0)
			return r;
	}
	*host = h;
	*port = p;
	return VINE_OK;
}

int url_split_authority(struct str text, struct str *host, uint16_t *port, struct err *e)
{
	bool ip6;

	return split_authority(text, host, port, &ip6, e);
}

static void split_rest(struct url *u, struct str rest)
{
	ptrdiff_t mark = str_chr(rest, '#');

	if (mark >= 0)
		rest = str_slice(rest, 0, (size_t)mark);
	mark = str_chr(rest, '?');
	u->path = mark >= 0 ? str_slice(rest, 0, (size_t)mark) : rest;
	u->query = mark >= 0 ? str_slice(rest, (size_t)mark + 1, rest.len) : STR_EMPTY;
	if (u->path.len == 0)
		u->path = STR("/");
}

int url_split(struct url *ret, struct str text, struct err *e)
{
	struct url u = { 0 };
	struct str authority;
	ptrdiff_t at;
	size_t end = 0;
	int r;

	if (text.len > URL_MAX)
		return err_set(e, VINE_ELIMIT, "the URL is longer than %d bytes", URL_MAX);
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
			return err_set(e, VINE_EINVAL, "a URL cannot hold byte 0x%02x", (unsigned char)text.ptr[i]);
	u.secure = str_has_prefix_nocase(text, STR("https://"));
	if (!u.secure && !str_has_prefix_nocase(text, STR("http://")))
		return err_set(e, VINE_EINVAL, "a URL starts with http:// or https://");
	u.scheme = str_slice(text, 0, u.secure ? 5 : 4);
	u.port = u.secure ? 443 : 80;
	text = str_slice(text, u.scheme.len + 3, text.len);
	while (end < text.len && text.ptr[end] != '/' && text.ptr[end] != '?' && text.ptr[end] != '#')
		end++;
	authority = str_slice(text, 0, end);
	at = str_rchr(authority, '@');
	if (at >= 0) {
		u.userinfo = str_slice(authority, 0, (size_t)at);
		authority = str_slice(authority, (size_t)at + 1, authority.len);
	}
	r = split_authority(authority, &u.host, &u.port, &u.is_ip6, e);
	if (r < 0)
		return r;
	u.has_port = authority.len > u.host.len + (u.is_ip6 ? 2 : 0);
	split_rest(&u, str_slice(text, end, text.len));
	*ret = u;
	return VINE_OK;
}

bool url_decode(struct arena *a, struct str s, bool plus, struct str *ret)
{
	char *out, *o;

	if (str_chr(s, '%') < 0 && (!plus || str_chr(s, '+') < 0)) {
		*ret = s;
		return true;
	}
	o = out = arena_alloc(a, s.len);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%') {
			int hi = i + 2 < s.len ? ascii_hex(s.ptr[i + 1]) : -1;
			int lo = i + 2 < s.len ? ascii_hex(s.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		*o++ = c;
	}
	*ret = str_of(out, (size_t)(o - out));
	return true;
}

void url_encode_segment(struct buf *b, struct str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char out[3] = { '%', digits[c >> 4], digits[c & 15] };

		if (is_unreserved((char)c))
			buf_addc(b, (char)c);
		else
			buf_add(b, out, 3);
	}
}

void url_encode_query(struct buf *b, struct str s)
{
	url_encode_segment(b, s); /* %20 rather than '+': every decoder reads it */
}

bool url_next_param(struct str *query, struct str *name, struct str *value)
{
	while (query->len) {
		ptrdiff_t amp = str_chr(*query, '&'), eq;
		size_t end = amp < 0 ? query->len : (size_t)amp;
		struct str piece = str_slice(*query, 0, end);

		*query = str_slice(*query, end + 1, query->len);
		if (piece.len == 0)
			continue;
		eq = str_chr(piece, '=');
		*name = eq < 0 ? piece : str_slice(piece, 0, (size_t)eq);
		*value = eq < 0 ? STR_EMPTY : str_slice(piece, (size_t)eq + 1, piece.len);
		return true;
	}
	return false;
}

bool url_param(struct arena *a, struct str query, struct str name, struct str *value)
{
	struct str n, v;

	while (url_next_param(&query, &n, &v))
		if (url_decode(a, n, true, &n) && str_eq(n, name))
			return url_decode(a, v, true, value);
	return false;
}
