/* json.c - the JSON pull reader.
 *
 * A state says what may come next; one bit a level says whether that level is an object. No recursion, no tree, no copy.
 *
 * Invariants   p only moves forward. Once reason is set nothing moves any more. depth <= max_depth <= JSON_DEPTH_MAX.
 * Threads      A reader belongs to one thread.
 * Speed        Strings are scanned 16 bytes a step where SSE2 is there.
 */
#include "codec/json.h"

#include <errno.h>
#include <math.h>
#include "codec/json_scan.h"
#include "codec/utf8.h"

#define STRING_MAX_DEFAULT ((size_t)16 << 20)
#define NUMBER_MAX 512 /* digits; longer numbers pass as tokens but not as values */

enum { S_VALUE, S_FIRST_ITEM, S_FIRST_KEY, S_KEY, S_AFTER, S_DONE };

void json_init(struct json *j, struct str text, unsigned max_depth, struct arena *arena)
{
	*j = (struct json){ .start = text.ptr,
			    .p = text.ptr,
			    .end = text.len ? text.ptr + text.len : text.ptr,
			    .arena = arena,
			    .kind = JT_END,
			    .state = S_VALUE,
			    .max_depth = MIN(max_depth, JSON_DEPTH_MAX),
			    .max_string = STRING_MAX_DEFAULT };
}

static enum json_kind refuse(struct json *j, int code, const char *at, const char *reason)
{
	if (!j->reason) {
		j->reason = reason;
		j->error_at = at;
		j->code = code;
	}
	j->span = STR_EMPTY;
	j->escaped = false;
	return j->kind = JT_ERROR;
}

void json_fail(struct json *j, const char *reason)
{
	refuse(j, VINE_EINVAL, j->p, reason);
}

static inline void skip_blanks(struct json *j)
{
	const char *p = j->p, *end = j->end;

	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	j->p = p;
}

static inline bool in_object(const struct json *j)
{
	unsigned i = j->depth - 1;

	return j->depth > 0 && (j->is_object[i / 64] >> i % 64 & 1);
}

static void value_done(struct json *j)
{
	j->state = j->depth ? S_AFTER : S_DONE;
}

static enum json_kind open_level(struct json *j, bool object)
{
	uint64_t bit = (uint64_t)1 << j->depth % 64;

	if (j->depth >= j->max_depth)
		return refuse(j, VINE_ELIMIT, j->p, "nested too deep");
	if (object)
		j->is_object[j->depth / 64] |= bit;
	else
		j->is_object[j->depth / 64] &= ~bit;
	j->depth++;
	j->span = str_of(j->p++, 1);
	j->state = object ? S_FIRST_KEY : S_FIRST_ITEM;
	return j->kind = object ? JT_OBJECT : JT_ARRAY;
}

static enum json_kind close_level(struct json *j)
{
	bool object = in_object(j);

	if (*j->p != (object ? '}' : ']'))
		return refuse(j, VINE_EINVAL, j->p, object ? "expected ',' or '}'" : "expected ',' or ']'");
	j->span = str_of(j->p++, 1);
	j->depth--;
	value_done(j);
	return j->kind = object ? JT_OBJECT_END : JT_ARRAY_END;
}

static int hex4(const char *p, const char *end) /* -1: there are no four hex digits */
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = ascii_hex(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* The code point of the \u escape whose hex digits start at p; *used is how many bytes from p on it took; -1: malformed,
 * -2: a lone surrogate. */
static int32_t unicode_escape(const char *p, const char *end, unsigned *used)
{
	int hi = hex4(p, end), lo;

	*used = 4;
	if (hi < 0xd800 || hi > 0xdfff) /* hex4's -1 too */
		return hi;
	if (hi > 0xdbff || end - p < 6 || p[4] != '\\' || p[5] != 'u')
		return -2;
	lo = hex4(p + 6, end);
	if (lo < 0xdc00 || lo > 0xdfff)
		return -2;
	*used = 10;
	return 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
}

/* Judges the escape at p; its end, or NULL with an error. */
static const char *check_escape(struct json *j, const char *p)
{
	unsigned used;
	int32_t cp;

	if (j->end - p < 2) {
		refuse(j, VINE_EINVAL, j->end, "the string does not end");
		return NULL;
	}
	if (p[1] != 'u') {
		if (p[1] && strchr("\"\\/bfnrt", p[1]))
			return p + 2;
		refuse(j, VINE_EINVAL, p, "unknown escape");
		return NULL;
	}
	cp = unicode_escape(p + 2, j->end, &used);
	if (cp < 0) {
		refuse(j, VINE_EINVAL, p, cp == -1 ? "\\u needs four hex digits" : "half of a surrogate pair");
		return NULL;
	}
	return p + 2 + used;
}

/* Reads the string whose opening quote is at p. */
static bool read_string(struct json *j)
{
	const char *first = j->p + 1, *p = first, *end = j->end;

	j->escaped = false;
	for (;;) {
		p = json_scan_plain(p, end);
		if (unlikely((size_t)(p - first) > j->max_string)) {
			refuse(j, VINE_ELIMIT, first - 1, "string too long");
			return false;
		}
		if (unlikely(p == end)) {
			refuse(j, VINE_EINVAL, end, "the string does not end");
			return false;
		}
		if (likely(*p == '"'))
			break;
		if (*p == '\\') {
			j->escaped = true;
			p = check_escape(j, p);
			if (!p)
				return false;
		} else if ((unsigned char)*p < 0x80) {
			refuse(j, VINE_EINVAL, p, "control byte in a string");
			return false;
		} else {
			unsigned n = utf8_len(p, end);

			if (n == 0) {
				refuse(j, VINE_EINVAL, p, "invalid UTF-8");
				return false;
			}
			p += n;
		}
	}
	j->span = str_of(first, (size_t)(p - first));
	j->p = p + 1;
	return true;
}

static const char *digits(const char *p, const char *end)
{
	while (p < end && ascii_is_digit(*p))
		p++;
	return p;
}

static enum json_kind read_number(struct json *j)
{
	const char *first = j->p, *p = first, *end = j->end, *q;

	if (*p == '-')
		p++;
	q = digits(p, end);
	if (q == p)
		return refuse(j, VINE_EINVAL, first, "expected a value");
	if (*p == '0' && q - p > 1)
		return refuse(j, VINE_EINVAL, first, "a number with a leading zero");
	p = q;
	if (p < end && *p == '.') {
		q = digits(p + 1, end);
		if (q == p + 1)
			return refuse(j, VINE_EINVAL, first, "a number needs digits after its point");
		p = q;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		q = digits(p, end);
		if (q == p)
			return refuse(j, VINE_EINVAL, first, "a number needs digits in its exponent");
		p = q;
	}
	j->span = str_of(first, (size_t)(p - first));
	j->p = p;
	value_done(j);
	return j->kind = JT_NUMBER;
}

static enum json_kind read_word(struct json *j, struct str word, enum json_kind kind)
{
	if ((size_t)(j->end - j->p) < word.len || memcmp(j->p, word.ptr, word.len) != 0)
		return refuse(j, VINE_EINVAL, j->p, "expected a value");
	j->span = str_of(j->p, word.len);
	j->p += word.len;
	value_done(j);
	return j->kind = kind;
}

static enum json_kind read_value(struct json *j)
{
	switch (*j->p) {
	case '{':
		return open_level(j, true);
	case '[':
		return open_level(j, false);
	case '"':
		if (!read_string(j))
			return JT_ERROR;
		value_done(j);
		return j->kind = JT_STRING;
	case 't':
		return read_word(j, STR("true"), JT_TRUE);
	case 'f':
		return read_word(j, STR("false"), JT_FALSE);
	case 'n':
		return read_word(j, STR("null"), JT_NULL);
	default:
		return read_number(j);
	}
}

static enum json_kind read_key(struct json *j)
{
	if (*j->p != '"')
		return refuse(j, VINE_EINVAL, j->p, "expected a key in quotes");
	if (!read_string(j))
		return JT_ERROR;
	skip_blanks(j);
	if (j->p == j->end || *j->p != ':')
		return refuse(j, VINE_EINVAL, j->p, "expected ':'");
	j->p++;
	j->state = S_VALUE;
	return j->kind = JT_KEY;
}

/* Moves over blanks and, where due, the comma. False: the text ended (refused) or an error was there before. */
static bool to_token(struct json *j)
{
	if (unlikely(j->reason))
		return false;
	skip_blanks(j);
	if (j->p < j->end && j->state == S_AFTER && *j->p == ',') {
		j->p++;
		skip_blanks(j);
		j->state = in_object(j) ? S_KEY : S_VALUE;
	}
	if (unlikely(j->p == j->end)) {
		refuse(j, VINE_EINVAL, j->p, "the text ends too early");
		return false;
	}
	return true;
}

enum json_kind json_next(struct json *j)
{
	j->escaped = false;
	if (j->state == S_DONE && !j->reason) {
		skip_blanks(j);
		j->span = STR_EMPTY;
		return j->p == j->end ? (j->kind = JT_END) : refuse(j, VINE_EINVAL, j->p, "text after the value");
	}
	if (!to_token(j))
		return JT_ERROR;
	switch (j->state) {
	case S_VALUE:
		return read_value(j);
	case S_FIRST_ITEM:
		return *j->p == ']' ? close_level(j) : read_value(j);
	case S_FIRST_KEY:
		return *j->p == '}' ? close_level(j) : read_key(j);
	case S_KEY:
		return read_key(j);
	default:
		return close_level(j);
	}
}

enum json_kind json_peek(struct json *j)
{
	if (j->reason || (j->state != S_VALUE && j->state != S_FIRST_ITEM))
		return JT_ERROR;
	skip_blanks(j);
	switch (j->p < j->end ? *j->p : '\0') {
	case '{':
		return JT_OBJECT;
	case '[':
		return JT_ARRAY;
	case '"':
		return JT_STRING;
	case 't':
	case 'f':
		return JT_TRUE;
	case 'n':
		return JT_NULL;
	case '-':
	case '0' ... '9':
		return JT_NUMBER;
	default:
		return JT_ERROR;
	}
}

static char simple_escape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

struct str json_decoded(struct json *j)
{
	const char *p = j->span.ptr, *end = p + j->span.len;
	char *out, *o;

	if (!j->escaped || j->reason)
		return j->span;
	if (!j->arena) {
		refuse(j, VINE_EINVAL, p, "an escape where none may be");
		return STR_EMPTY;
	}
	o = out = arena_alloc(j->arena, j->span.len);
	while (p < end) {
		const char *stop = memchr(p, '\\', (size_t)(end - p));
		size_t n = (size_t)((stop ? stop : end) - p);
		unsigned used;

		memcpy(o, p, n);
		o += n;
		p += n;
		if (p == end)
			break;
		if (p[1] == 'u') {
			o += utf8_put(o, (uint32_t)unicode_escape(p + 2, end, &used));
			p += 2 + used;
		} else {
			*o++ = simple_escape(p[1]);
			p += 2;
		}
	}
	return str_of(out, (size_t)(o - out));
}

/* Reads the value that is due; false if none is (it was read already) or the text is wrong. */
static bool take_value(struct json *j)
{
	return j->state == S_VALUE && json_next(j) != JT_ERROR;
}

/* Finishes the container that was just opened. */
static void skip_rest(struct json *j)
{
	unsigned outside = j->depth - 1;

	while (j->depth > outside && json_next(j) != JT_ERROR)
		;
}

static bool is_open(const struct json *j)
{
	return j->kind == JT_OBJECT || j->kind == JT_ARRAY;
}

/* Takes the value; true if it is no container and not null, else it is gone. */
static bool take_scalar(struct json *j)
{
	if (!take_value(j))
		return false;
	if (is_open(j)) {
		skip_rest(j);
		return false;
	}
	return j->kind != JT_NULL;
}

void json_skip(struct json *j)
{
	if (take_value(j) && is_open(j))
		skip_rest(j);
}

bool json_raw(struct json *j, struct str *ret)
{
	const char *first;

	if (j->reason || j->state != S_VALUE)
		return false;
	skip_blanks(j);
	first = j->p;
	json_skip(j);
	if (j->reason)
		return false;
	*ret = str_of(first, (size_t)(j->p - first));
	return true;
}

bool json_str(struct json *j, struct str *ret)
{
	struct str s;

	if (!take_scalar(j))
		return false;
	s = json_decoded(j);
	if (j->reason)
		return false;
	*ret = s;
	return true;
}

static bool to_double(struct str s, double *ret)
{
	char tmp[NUMBER_MAX + 1], *end;

	if (s.len == 0 || s.len > NUMBER_MAX || !(ascii_is_digit(s.ptr[0]) || s.ptr[0] == '-'))
		return false;
	for (size_t i = 0; i < s.len; i++) /* strtod also knows hexadecimal, "inf" and "nan" */
		if (!ascii_is_digit(s.ptr[i]) && !strchr("+-.eE", s.ptr[i]))
			return false;
	memcpy(tmp, s.ptr, s.len);
	tmp[s.len] = '\0';

	double v = strtod(tmp, &end);

	if (*end != '\0' || !isfinite(v))
		return false;
	*ret = v;
	return true;
}

static bool take_number(struct json *j, struct str *ret)
{
	if (!take_scalar(j) || (j->kind != JT_NUMBER && j->kind != JT_STRING))
		return false;
	*ret = json_decoded(j);
	return !j->reason;
}

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

bool json_i64(struct json *j, int64_t *ret)
{
	struct str s;
	double d;

	if (!take_number(j, &s))
		return false;
	if (str_to_i64(s, ret))
		return true;
	if (!to_double(s, &d) || fabs(d) > EXACT_MAX || d != floor(d))
		return false;
	*ret = (int64_t)d;
	return true;
}

bool json_u64(struct json *j, uint64_t *ret)
{
	struct str s;
	double d;

	if (!take_number(j, &s))
		return false;
	if (str_to_u64(s, ret))
		return true;
	if (!to_double(s, &d) || d < 0 || d > EXACT_MAX || d != floor(d))
		return false;
	*ret = (uint64_t)d;
	return true;
}

bool json_double(struct json *j, double *ret)
{
	struct str s;

	return take_number(j, &s) && to_double(s, ret);
}

bool json_bool(struct json *j, bool *ret)
{
	if (!take_scalar(j))
		return false;
	if (j->kind == JT_STRING)
		return str_to_bool(j->span, ret);
	if (j->kind == JT_NUMBER)
		return false;
	*ret = j->kind == JT_TRUE;
	return true;
}

bool json_enter_object(struct json *j)
{
	if (!take_value(j))
		return false;
	if (j->kind == JT_ARRAY)
		skip_rest(j);
	else if (j->kind == JT_OBJECT)
		return true;
	return false;
}

bool json_enter_array(struct json *j)
{
	if (!take_value(j))
		return false;
	if (j->kind == JT_OBJECT)
		skip_rest(j);
	else if (j->kind == JT_ARRAY)
		return true;
	return false;
}

bool json_next_key(struct json *j, struct str *key)
{
	struct str s;

	json_skip(j); /* a value that the decoder left */
	if (json_next(j) != JT_KEY)
		return false;
	s = json_decoded(j);
	if (j->reason)
		return false;
	*key = s;
	return true;
}

bool json_next_item(struct json *j)
{
	json_skip(j);
	if (!to_token(j))
		return false;
	if (j->state == S_FIRST_ITEM && *j->p != ']')
		j->state = S_VALUE;
	if (j->state == S_VALUE)
		return true;
	close_level(j);
	return false;
}

int json_finish(struct json *j, struct err *e)
{
	size_t line = 1;
	const char *bol = j->start;

	if (!j->reason && j->state == S_VALUE && j->depth == 0)
		json_skip(j); /* nobody wanted it */
	if (!j->reason && j->state != S_DONE)
		refuse(j, VINE_EINVAL, j->p, "the value was not read to its end");
	if (json_next(j) == JT_END)
		return VINE_OK;
	for (const char *p = j->start; p < j->error_at; p++) {
		if (*p == '\n') {
			line++;
			bol = p + 1;
		}
	}
	return err_set(e, j->code, "%zu:%zu: %s", line, (size_t)(j->error_at - bol) + 1, j->reason);
}
