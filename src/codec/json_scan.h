/* json_scan.h - what JSON's reader and writer share: finding the end of a string's plain bytes, 16 a step with SSE2. */
#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first byte from p on that does not simply belong to a string: '"', '\', a control byte, or not ASCII. */
static inline const char *json_scan_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');

	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* Signed: bytes from 0x80 on are negative and so below the space, as the control bytes are. */
		__m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
					    _mm_cmplt_epi8(v, space));
		int mask = _mm_movemask_epi8(stop);

		if (mask)
			return p + __builtin_ctz((unsigned)mask);
		p += 16;
	}
#endif
	while (p < end && (signed char)*p >= ' ' && *p != '"' && *p != '\\')
		p++;
	return p;
}
