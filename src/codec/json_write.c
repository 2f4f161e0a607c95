/* json_write.c - the JSON writer: straight into a buf, clean runs copied whole. */
#include "codec/json.h"

#include <math.h>
#include <stdio.h>

#include "codec/json_scan.h"
#include "codec/utf8.h"

static void add_escape(struct buf *b, char c)
{
	static const char short_forms[] = "b\bf\fn\nr\rt\t\"\"\\\\";

	for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
		if (short_forms[i + 1] == c) {
			char out[2] = { '\\', short_forms[i] };

			buf_add(b, out, 2);
			return;
		}
	}
	buf_adds(b, STR("\\u"));
	buf_add_hex(b, (unsigned char)c, 4);
}

void json_quote(struct buf *b, struct str s)
{
	const char *p = s.ptr, *end = s.len ? p + s.len : p, *clean = p;

	buf_addc(b, '"');
	while (p < end) {
		p = json_scan_plain(p, end);
		if (p == end)
			break;
		if ((unsigned char)*p >= 0x80) {
			unsigned n = utf8_len(p, end);

			if (n) {
				p += n;
				continue;
			}
		}
		buf_add(b, clean, (size_t)(p - clean));
		if ((unsigned char)*p >= 0x80)
			buf_addz(b, UTF8_REPLACEMENT);
		else
			add_escape(b, *p);
		clean = ++p;
	}
	if (p != clean)
		buf_add(b, clean, (size_t)(p - clean));
	buf_addc(b, '"');
}

static inline void before_value(struct jsonw *w)
{
	if (w->comma)
		buf_addc(w->b, ',');
	w->comma = true;
}

static void open_with(struct jsonw *w, char c)
{
	before_value(w);
	buf_addc(w->b, c);
	w->comma = false;
	w->depth++;
}

static void close_with(struct jsonw *w, char c)
{
	assert(w->depth > 0);
	buf_addc(w->b, c);
	w->comma = true;
	w->depth--;
}

void jsonw_object(struct jsonw *w)
{
	open_with(w, '{');
}

void jsonw_object_end(struct jsonw *w)
{
	close_with(w, '}');
}

void jsonw_array(struct jsonw *w)
{
	open_with(w, '[');
}

void jsonw_array_end(struct jsonw *w)
{
	close_with(w, ']');
}

void jsonw_key(struct jsonw *w, struct str key)
{
	before_value(w);
	json_quote(w->b, key);
	buf_addc(w->b, ':');
	w->comma = false;
}

void jsonw_key_plain(struct jsonw *w, struct str key)
{
	struct buf *b = w->b;
	char *p;

	if (!buf_reserve(b, key.len + 4))
		return;
	p = b->ptr + b->len;
	if (w->comma)
		*p++ = ',';
	*p++ = '"';
	memcpy(p, key.ptr, key.len);
	p += key.len;
	*p++ = '"';
	*p++ = ':';
	b->len = (size_t)(p - b->ptr);
	w->comma = false;
}

void jsonw_str(struct jsonw *w, struct str s)
{
	before_value(w);
	json_quote(w->b, s);
}

void jsonw_i64(struct jsonw *w, int64_t v)
{
	before_value(w);
	buf_add_i64(w->b, v);
}

void jsonw_u64(struct jsonw *w, uint64_t v)
{
	before_value(w);
	buf_add_u64(w->b, v);
}

void jsonw_double(struct jsonw *w, double v)
{
	char tmp[40];

	before_value(w);
	if (!isfinite(v)) {
		buf_adds(w->b, STR("null"));
		return;
	}
	if (v == floor(v) && fabs(v) < 1e15) {
		buf_addf(w->b, "%.1f", v);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(tmp, sizeof(tmp), "%.*g", digits, v);
		if (strtod(tmp, NULL) == v)
			break;
	}
	buf_addz(w->b, tmp);
}

void jsonw_bool(struct jsonw *w, bool v)
{
	before_value(w);
	buf_adds(w->b, v ? STR("true") : STR("false"));
}

void jsonw_null(struct jsonw *w)
{
	before_value(w);
	buf_adds(w->b, STR("null"));
}

void jsonw_raw(struct jsonw *w, struct str json)
{
	before_value(w);
	buf_adds(w->b, json);
}

void jsonw_key_str(struct jsonw *w, struct str key, struct str v)
{
	jsonw_key(w, key);
	jsonw_str(w, v);
}

void jsonw_key_i64(struct jsonw *w, struct str key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_i64(w, v);
}

void jsonw_key_u64(struct jsonw *w, struct str key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_u64(w, v);
}

void jsonw_key_double(struct jsonw *w, struct str key, double v)
{
	jsonw_key(w, key);
	jsonw_double(w, v);
}

void jsonw_key_bool(struct jsonw *w, struct str key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}
