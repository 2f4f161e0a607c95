/* buf.c - growing, and numbers as text. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void buf_fini(struct buf *b)
{
	free(b->ptr);
	*b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool buf_reserve(struct buf *b, size_t n)
{
	size_t need;

	if (b->failed)
		return false;
	if (b->cap - b->len >= n)
		return true;
	if (__builtin_add_overflow(b->len, n, &need) || need > b->max) {
		b->failed = true;
		return false;
	}

	size_t cap = MAX(b->cap * 2, (size_t)256);

	b->cap = MIN(MAX(cap, need), b->max);
	b->ptr = xrealloc(b->ptr, b->cap);
	return true;
}

bool buf_add_slow(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n)
		memcpy(b->ptr + b->len, p, n);
	b->len += n;
	return true;
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);

	int n = vsnprintf(NULL, 0, fmt, ap);

	va_end(ap);

	bool ok = n >= 0 && buf_reserve(b, (size_t)n + 1);

	if (ok) {
		vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return ok;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
				  "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
				  "9899";

static void put_pair(char *out, unsigned v)
{
	memcpy(out, digit_pairs + v * 2, 2);
}

static unsigned fmt_long(char *out, uint64_t v)
{
	char tmp[20];
	unsigned at = sizeof(tmp);

	for (; v >= 100; v /= 100)
		put_pair(tmp + (at -= 2), (unsigned)(v % 100));
	if (v >= 10)
		put_pair(tmp + (at -= 2), (unsigned)v);
	else
		tmp[--at] = (char)('0' + v);
	memcpy(out, tmp + at, sizeof(tmp) - at);
	return (unsigned)sizeof(tmp) - at;
}

/* Two digits a step; the common small numbers without a loop. */
unsigned fmt_u64(char *out, uint64_t v)
{
	if (v >= 10000)
		return fmt_long(out, v);

	unsigned high = (unsigned)v / 100, low = (unsigned)v % 100;

	if (high >= 10) {
		put_pair(out, high);
		put_pair(out + 2, low);
		return 4;
	}
	if (high) {
		out[0] = (char)('0' + high);
		put_pair(out + 1, low);
		return 3;
	}
	if (low >= 10) {
		put_pair(out, low);
		return 2;
	}
	out[0] = (char)('0' + low);
	return 1;
}

/* All nibbles at once: spread to bytes, then to digits. */
void fmt_hex64(char out[16], uint64_t v)
{
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(0x0f);
	__m128i x = _mm_cvtsi64_si128((long long)__builtin_bswap64(v));
	__m128i nibbles = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi64(x, 4), low), _mm_and_si128(x, low));
	__m128i letters = _mm_and_si128(_mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '0' - 10));

	_mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), letters));
#else
	for (int i = 15; i >= 0; i--, v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
#endif
}

static bool add_u64_tight(struct buf *b, uint64_t v)
{
	char tmp[20];

	return buf_add(b, tmp, fmt_u64(tmp, v));
}

bool buf_add_u64_long(struct buf *b, uint64_t v)
{
	if (unlikely(b->cap - b->len < 20 || b->failed))
		return add_u64_tight(b, v);
	b->len += fmt_u64(b->ptr + b->len, v);
	return true;
}

bool buf_add_i64(struct buf *b, int64_t v)
{
	if (v < 0)
		return buf_addc(b, '-') && buf_add_u64(b, 0 - (uint64_t)v);
	return buf_add_u64(b, (uint64_t)v);
}

bool buf_add_hex(struct buf *b, uint64_t v, unsigned digits)
{
	char tmp[16];

	assert(digits <= sizeof(tmp));
	for (unsigned i = digits; i-- > 0; v >>= 4)
		tmp[i] = "0123456789abcdef"[v & 15];
	return buf_add(b, tmp, digits);
}

void buf_drop_front(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (b->len)
		memmove(b->ptr, b->ptr + n, b->len);
}

char *buf_take(struct buf *b)
{
	char *p = xrealloc(b->ptr, b->len + 1);

	p[b->len] = '\0';
	*b = BUF_INIT(b->max);
	return p;
}
