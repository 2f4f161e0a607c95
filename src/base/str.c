/* str.c - the verbs on strings. */
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/arena.h"

bool str_eq_nocase(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

int str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.len, b.len);
	int r = n ? memcmp(a.ptr, b.ptr, n) : 0;

	if (r != 0)
		return r;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool str_has_suffix(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq(str_of(s.ptr + s.len - suffix.len, suffix.len), suffix);
}

bool str_has_prefix_nocase(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq_nocase(str_of(s.ptr, prefix.len), prefix);
}

ptrdiff_t str_chr(struct str s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return p ? p - s.ptr : -1;
}

ptrdiff_t str_rchr(struct str s, char c)
{
	const char *p = s.len ? memrchr(s.ptr, c, s.len) : NULL;

	return p ? p - s.ptr : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
	if (needle.len == 0)
		return 0;

	const char *p = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;

	return p ? p - s.ptr : -1;
}

static inline bool word_is_graphic(uint64_t w)
{
	bool is_low = (w - EACH_BYTE(0x21)) & ~w & EACH_BYTE(0x80), is_high = w & EACH_BYTE(0x80);

	return !is_low && !is_high && !word_has(w, 0x7f) && !word_has(w, '"') && !word_has(w, '\\');
}

bool str_is_graphic(struct str s)
{
	if (s.len >= 8) { /* the last word overlaps the one before */
		bool ok = word_is_graphic(word_at(s.ptr + s.len - 8));

		for (size_t i = 0; ok && i + 8 < s.len; i += 8)
			ok = word_is_graphic(word_at(s.ptr + i));
		return ok;
	}
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\')
			return false;
	}
	return true;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
	to = MIN(to, s.len);
	from = MIN(from, to);
	return str_of(s.ptr ? s.ptr + from : NULL, to - from);
}

struct str str_trim(struct str s)
{
	while (s.len && ascii_is_space(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len && ascii_is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool str_cut(struct str *rest, char sep, struct str *piece)
{
	if (rest->len == SIZE_MAX)
		return false;

	ptrdiff_t i = str_chr(*rest, sep);

	if (i < 0) {
		*piece = *rest;
		*rest = str_of(NULL, SIZE_MAX); /* used up: told apart from an empty last piece */
		return true;
	}
	*piece = str_of(rest->ptr, (size_t)i);
	*rest = str_of(rest->ptr + i + 1, rest->len - (size_t)i - 1);
	return true;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit(s.ptr[i]))
			return false;
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (unsigned)(s.ptr[i] - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
	bool neg = s.len && s.ptr[0] == '-';
	uint64_t v;

	if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
		s = str_slice(s, 1, s.len);
	if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
		return false;
	*ret = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

bool str_to_double(struct str s, double *ret)
{
	char tmp[64], *end;

	if (s.len == 0 || s.len >= sizeof(tmp) || ascii_is_space(s.ptr[0]))
		return false;
	memcpy(tmp, s.ptr, s.len);
	tmp[s.len] = '\0';
	errno = 0;

	double v = strtod(tmp, &end);

	if (*end != '\0' || errno == ERANGE)
		return false;
	*ret = v;
	return true;
}

bool str_to_bool(struct str s, bool *ret)
{
	static const struct str yes[] = { STR_INIT("true"), STR_INIT("yes"), STR_INIT("on"), STR_INIT("1") };
	static const struct str no[] = { STR_INIT("false"), STR_INIT("no"), STR_INIT("off"), STR_INIT("0") };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (str_eq_nocase(s, yes[i]) || str_eq_nocase(s, no[i])) {
			*ret = str_eq_nocase(s, yes[i]);
			return true;
		}
	}
	return false;
}

char *str_dup(struct str s)
{
	char *p = xmalloc(s.len + 1);

	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

struct str str_dup_in(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return str_of(p, s.len);
}

struct str str_upper_in(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		p[i] = ascii_upper(s.ptr[i]);
	p[s.len] = '\0';
	return str_of(p, s.len);
}

struct str str_printf_in(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);

	int n = vsnprintf(NULL, 0, fmt, ap);

	va_end(ap);
	assert(n >= 0);

	char *p = arena_alloc(a, (size_t)n + 1);

	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return str_of(p, (size_t)n);
}

/* Multiply and fold, 8 bytes a step (the idea of wyhash); the seed makes collisions unpredictable to a peer. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t m = (__uint128_t)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_word(uint64_t h, uint64_t w)
{
	return mix(h ^ w, 0x9e3779b97f4a7c15u ^ w << 1);
}

static uint64_t lower_word(uint64_t w) /* sets bit 5 of every letter byte; others may fold too, which only a hash may do */
{
	return w | 0x2020202020202020u;
}

static uint64_t hash_bytes(struct str s, uint64_t seed, bool fold)
{
	uint64_t h = seed ^ mix(s.len + 0x2545f4914f6cdd1du, 0xd6e8feb86659fd93u);
	uint64_t w;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		memcpy(&w, s.ptr + i, 8);
		h = hash_word(h, fold ? lower_word(w) : w);
	}
	w = 0;
	if (s.len - i)
		memcpy(&w, s.ptr + i, s.len - i);
	h = hash_word(h, fold ? lower_word(w) : w);
	return mix(h, 0xe7037ed1a0b428dbu);
}

uint64_t str_hash(struct str s, uint64_t seed)
{
	return hash_bytes(s, seed, false);
}

uint64_t str_hash_nocase(struct str s, uint64_t seed)
{
	return hash_bytes(s, seed, true);
}

#define DISTANCE_MAX_LEN 128

unsigned str_distance(struct str a, struct str b, unsigned max)
{
	unsigned rows[3][DISTANCE_MAX_LEN + 1];
	unsigned *before = rows[0], *prev = rows[1], *cur = rows[2];

	if (a.len > DISTANCE_MAX_LEN || b.len > DISTANCE_MAX_LEN)
		return str_eq(a, b) ? 0 : max + 1;
	for (unsigned j = 0; j <= b.len; j++)
		prev[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		cur[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			bool same = a.ptr[i - 1] == b.ptr[j - 1];
			unsigned d = MIN(MIN(prev[j] + 1, cur[j - 1] + 1), prev[j - 1] + !same);

			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
				d = MIN(d, before[j - 2] + 1);
			cur[j] = d;
		}

		unsigned *t = before;

		before = prev;
		prev = cur;
		cur = t;
	}
	return MIN(prev[b.len], max + 1);
}
