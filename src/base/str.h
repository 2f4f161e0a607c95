/* str.h - strings as (pointer, length), passed by value, never assumed to end with NUL.
 *
 * A str owns nothing: whoever hands one out says how long it lives. The empty string has len 0; its ptr may be NULL. */
#pragma once
#include "base/util.h"

struct arena;

struct str {
	const char *ptr;
	size_t len;
};

#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_INIT(lit) { "" lit, sizeof(lit) - 1 } /* for static tables */
#define STR_EMPTY ((struct str){ NULL, 0 })
#define STRF(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct str str_of(const char *ptr, size_t len)
{
	return (struct str){ ptr, len };
}

static inline struct str str_from(const char *z) /* z may be NULL */
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool ascii_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline int ascii_hex(char c) /* the digit's value, or -1 */
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Eight bytes at once: EACH_BYTE(c) has c in each. word_has tells whether one of a word's bytes is c. */
#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (unsigned char)(c))

static inline uint64_t word_at(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static inline bool word_has(uint64_t w, char c)
{
	w ^= EACH_BYTE(c);
	return (w - EACH_BYTE(1)) & ~w & EACH_BYTE(0x80);
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII */
int str_cmp(struct str a, struct str b);        /* byte order, shorter first */
static inline bool str_has_prefix(struct str s, struct str prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
bool str_has_suffix(struct str s, struct str suffix);
bool str_has_prefix_nocase(struct str s, struct str prefix);

/* Index of the first (last) c or needle, or -1. */
ptrdiff_t str_chr(struct str s, char c);
ptrdiff_t str_rchr(struct str s, char c);
ptrdiff_t str_find(struct str s, struct str needle);

static inline bool str_has(struct str s, char c) /* for short strings: no call */
{
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		if (word_has(word_at(s.ptr + i), c))
			return true;
	}
	for (; i < s.len; i++) {
		if (s.ptr[i] == c)
			return true;
	}
	return false;
}

/* Only printable ASCII, without blank, quote and backslash? What needs no quoting in a log line. */
bool str_is_graphic(struct str s);

struct str str_slice(struct str s, size_t from, size_t to); /* clamps both */
struct str str_trim(struct str s);                          /* ASCII blanks at both ends */

/* Cuts the piece before the first sep off *rest: "a,b" gives "a" and leaves "b". Returns false once *rest has been
 * used up (*rest starts as the whole string; an empty string yields one empty piece). */
bool str_cut(struct str *rest, char sep, struct str *piece);

/* Whole-string number parsers: true only if every byte belongs to the number and it fits. */
bool str_to_u64(struct str s, uint64_t *ret); /* decimal digits only */
bool str_to_i64(struct str s, int64_t *ret);  /* an optional sign, then digits */
bool str_to_double(struct str s, double *ret);
bool str_to_bool(struct str s, bool *ret); /* true false yes no on off 1 0, any case */

char *str_dup(struct str s);                              /* on the heap, NUL-terminated; free() it */
struct str str_dup_in(struct arena *a, struct str s);     /* in an arena, NUL-terminated */
struct str str_upper_in(struct arena *a, struct str s);   /* the same in ASCII upper case */
struct str str_printf_in(struct arena *a, const char *fmt, ...) _printf_(2, 3);

/* A seeded 64-bit hash; use the process's random seed for keys that a peer can choose. */
uint64_t str_hash(struct str s, uint64_t seed);
uint64_t str_hash_nocase(struct str s, uint64_t seed); /* equal for strings that str_eq_nocase calls equal */

/* How many single edits (insert, delete, replace, swap of neighbours) lead from a to b; more than max counts as
 * max + 1. For "did you mean". Strings above 128 bytes count as max + 1 unless equal. */
unsigned str_distance(struct str a, struct str b, unsigned max);
