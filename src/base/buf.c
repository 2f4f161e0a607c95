/* buf.c - growing, and numbers as text. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

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

/* Two digits a step; the common small numbers without any division. */
unsigned fmt_u64(char *out, uint64_t v)
{
	char tmp[20];
	unsigned at = sizeof(tmp), n;

	if (v < 10) {
		out[0] = (char)('0' + v);
		return 1;
	}
	while (v > UINT32_MAX) {
		at -= 2;
		memcpy(tmp + at, digit_pairs + v % 100 * 2, 2);
		v /= 100;
	}

	uint32_t w = (uint32_t)v;

	for (; w >= 100; w /= 100) {
		at -= 2;
		memcpy(tmp + at, digit_pairs + w % 100 * 2, 2);
	}
	if (w >= 10) {
		at -= 2;
		memcpy(tmp + at, digit_pairs + w * 2, 2);
	} else {
		tmp[--at] = (char)('0' + w);
	}
	n = (unsigned)sizeof(tmp) - at;
	memcpy(out, tmp + at, n);
	return n;
}

/* All nibbles at once: spread to bytes, then to digits. */
void fmt_hex64(char out[16], uint64_t v)
{
	for (int half = 0; half < 2; half++) {
		uint64_t x = half == 0 ? v >> 32 : v & 0xffffffffu;

		x = (x | x << 16) & 0x0000ffff0000ffffu;
		x = (x | x << 8) & 0x00ff00ff00ff00ffu;
		x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;

		uint64_t letters = (x + 0x0606060606060606u) >> 4 & 0x0101010101010101u;

		x = __builtin_bswap64(x + 0x3030303030303030u + letters * ('a' - '0' - 10));
		memcpy(out + half * 8, &x, 8);
	}
}

bool buf_add_u64(struct buf *b, uint64_t v)
{
	char tmp[20];

	return buf_add(b, tmp, fmt_u64(tmp, v));
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
