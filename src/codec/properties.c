/* properties.c - Java's .properties: logical lines, escapes, documents.
 *
 * One pass over the bytes. A reader position carries line and column, so that each value knows where it stands.
 * Separators '=', ':' or blank; '\' at the end of a line continues it; lines "#---" and "!---" part documents. */
#include "codec/properties.h"

#include "base/buf.h"
#include "codec/utf8.h"

#define FIELD_MAX ((size_t)1 << 20)

struct in {
	const char *p, *end, *bol;
	unsigned line;
	bool utf8;
	struct buf out; /* the field being read */
	struct err *e;
};

static unsigned col(const struct in *in)
{
	return (unsigned)(in->p - in->bol) + 1;
}

static bool at_eol(const struct in *in)
{
	return in->p == in->end || *in->p == '\n' || *in->p == '\r';
}

static void skip_eol(struct in *in)
{
	bool cr = *in->p++ == '\r';

	if (cr && in->p < in->end && *in->p == '\n')
		in->p++;
	in->bol = in->p;
	in->line++;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static void skip_blanks(struct in *in)
{
	while (in->p < in->end && is_blank(*in->p))
		in->p++;
}

static int fail(struct in *in, const char *text)
{
	return err_set(in->e, VINE_EINVAL, "%u:%u: %s", in->line, col(in), text);
}

static void put(struct in *in, uint32_t cp)
{
	char tmp[4];

	buf_add(&in->out, tmp, utf8_put(tmp, cp));
}

static int hex4(struct in *in, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++, in->p++) {
		char c = in->p < in->end ? ascii_lower(*in->p) : '\0';

		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return fail(in, "\\u needs four hex digits");
		v = v << 4 | (uint32_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return VINE_OK;
}

/* After "\u". Java's strings are UTF-16, so a pair of escapes may be one character. */
static int read_unicode(struct in *in)
{
	uint32_t hi = 0, lo = 0;
	int r = hex4(in, &hi);

	if (r < 0)
		return r;
	if (hi < 0xd800 || hi > 0xdfff) {
		put(in, hi);
		return VINE_OK;
	}
	if (hi > 0xdbff || in->end - in->p < 2 || in->p[0] != '\\' || in->p[1] != 'u')
		return fail(in, "half of a surrogate pair");
	in->p += 2;
	r = hex4(in, &lo);
	if (r < 0)
		return r;
	if (lo < 0xdc00 || lo > 0xdfff)
		return fail(in, "half of a surrogate pair");
	put(in, 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00));
	return VINE_OK;
}

static int read_escape(struct in *in)
{
	char c;

	in->p++;
	if (at_eol(in)) {
		if (in->p < in->end)
			skip_eol(in);
		skip_blanks(in);
		return VINE_OK;
	}
	c = *in->p;
	if (c == 'u') {
		in->p++;
		return read_unicode(in);
	}
	if (c & 0x80)
		return VINE_OK; /* '\' before any other character is dropped; the caller reads that one */
	in->p++;
	buf_addc(&in->out, c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c);
	return VINE_OK;
}

static int read_high(struct in *in)
{
	unsigned n;

	if (!in->utf8) {
		put(in, (unsigned char)*in->p++);
		return VINE_OK;
	}
	n = utf8_len(in->p, in->end);
	if (n == 0)
		return fail(in, "invalid UTF-8");
	buf_add(&in->out, in->p, n);
	in->p += n;
	return VINE_OK;
}

enum stop { AT_SEPARATOR, AT_COMMA, AT_EOL };

/* Reads up to what ends the field into in->out. */
static int read_field(struct in *in, enum stop stop)
{
	buf_clear(&in->out);
	while (!at_eol(in)) {
		char c = *in->p;
		int r = VINE_OK;

		if (c == '\\')
			r = read_escape(in);
		else if (stop == AT_SEPARATOR && (c == '=' || c == ':' || is_blank(c)))
			break;
		else if (stop == AT_COMMA && c == ',')
			break;
		else if (c & 0x80)
			r = read_high(in);
		else
			buf_addc(&in->out, *in->p++);
		if (r < 0)
			return r;
	}
	if (in->out.failed)
		return err_set(in->e, VINE_ELIMIT, "%u:%u: longer than %zu bytes", in->line, col(in), FIELD_MAX);
	return VINE_OK;
}

static int add(struct in *in, struct flat *f, struct str key, unsigned line, unsigned column)
{
	struct flat_item item = { .key = key,
				  .value = str_dup_in(f->arena, buf_str(&in->out)),
				  .line = line,
				  .col = column,
				  .doc = f->docs,
				  .kind = FLAT_STR };

	if (flat_add(f, &item) < 0)
		return err_set(in->e, VINE_ELIMIT, "%u:%u: more than %zu keys", line, column, f->max_items);
	return VINE_OK;
}

/* "k[]=a,b" stands for k[0]=a and k[1]=b. */
static int read_list(struct in *in, struct flat *f, struct str key)
{
	for (unsigned i = 0;; i++) {
		unsigned line = in->line, column = col(in);
		int r = read_field(in, AT_COMMA);

		if (r == VINE_OK)
			r = add(in, f, str_printf_in(f->arena, "%.*s[%u]", STRF(key), i), line, column);
		if (r < 0)
			return r;
		if (at_eol(in))
			return VINE_OK;
		in->p++;
	}
}

static int read_pair(struct in *in, struct flat *f)
{
	unsigned line, column;
	struct str key;
	int r = read_field(in, AT_SEPARATOR);

	if (r < 0)
		return r;
	key = str_dup_in(f->arena, buf_str(&in->out));
	skip_blanks(in);
	if (in->p < in->end && (*in->p == '=' || *in->p == ':')) {
		in->p++;
		skip_blanks(in);
	}
	line = in->line;
	column = col(in);
	if (str_has_suffix(key, STR("[]")))
		return read_list(in, f, str_slice(key, 0, key.len - 2));
	r = read_field(in, AT_EOL);
	return r < 0 ? r : add(in, f, key, line, column);
}

/* The comment character that the line starts with, or 0. */
static char comment_of(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p < end && (*p == '#' || *p == '!') ? *p : '\0';
}

/* Whether the comment line from p to eol parts documents: neighbours that start alike make it an ordinary comment. */
static bool is_separator(const struct in *in, const char *eol, char before)
{
	const char *next = eol;
	char c = *in->p;

	while (eol > in->p && is_blank(eol[-1]))
		eol--;
	if (in->p != in->bol || eol - in->p != 4 || memcmp(in->p + 1, "---", 3) != 0 || before == c)
		return false;
	if (next < in->end && *next == '\r')
		next++;
	if (next < in->end && *next == '\n')
		next++;
	return comment_of(next, in->end) != c;
}

static int read_lines(struct in *in, struct flat *f)
{
	char before = '\0'; /* how the comment line before this one started */
	size_t first = f->len;

	while (in->p < in->end) {
		char comment;
		int r;

		skip_blanks(in);
		comment = comment_of(in->p, in->end);
		if (comment) {
			const char *eol = in->p;

			while (eol < in->end && *eol != '\n' && *eol != '\r')
				eol++;
			if (is_separator(in, eol, before) && f->len > first) {
				f->docs++;
				first = f->len;
			}
			in->p = eol;
		} else if (!at_eol(in)) {
			r = read_pair(in, f);
			if (r < 0)
				return r;
		}
		before = comment;
		if (in->p < in->end)
			skip_eol(in);
	}
	if (f->len > first)
		f->docs++;
	return VINE_OK;
}

int properties_read(struct flat *f, struct str text, bool utf8, struct err *e)
{
	struct in in = { .line = 1, .utf8 = utf8, .out = BUF_INIT(FIELD_MAX), .e = e };
	int r;

	if (text.len > FLAT_TEXT_MAX)
		return err_set(e, VINE_ELIMIT, "1:1: longer than %zu bytes", FLAT_TEXT_MAX);
	in.p = in.bol = text.ptr;
	in.end = text.ptr + text.len;
	if (!utf8 && utf8_is_valid(text))
		for (size_t i = 0; i < text.len && !f->looks_utf8; i++)
			f->looks_utf8 = text.ptr[i] & 0x80;
	r = read_lines(&in, f);
	buf_fini(&in.out);
	return r;
}
