/* utf8.c - judging and making UTF-8 (RFC 3629). */
#include "codec/utf8.h"

static inline bool is_tail(const char *p)
{
	return ((unsigned char)*p & 0xc0) == 0x80;
}

unsigned utf8_len(const char *p, const char *end)
{
	unsigned char c = p < end ? (unsigned char)p[0] : 0xff;
	unsigned char second = end - p > 1 ? (unsigned char)p[1] : 0;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4 || (second & 0xc0) != 0x80)
		return 0;
	if (c < 0xe0)
		return 2;
	/* The second byte alone decides overlong forms, surrogates and what lies above U+10FFFF. */
	if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
	    (c == 0xf4 && second > 0x8f))
		return 0;
	if (end - p < 3 || !is_tail(p + 2))
		return 0;
	if (c < 0xf0)
		return 3;
	return end - p >= 4 && is_tail(p + 3) ? 4 : 0;
}

unsigned utf8_put(char *out, uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	assert(cp <= 0x10ffff);
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

bool utf8_is_valid(struct str s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;

	while (p < end) {
		unsigned n = utf8_len(p, end);

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}
