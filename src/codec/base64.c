/* base64.c - three bytes are four letters. */
#include "codec/base64.h"

static const char letters[2][65] = {
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_encode(struct buf *out, struct str in, enum base64_kind kind)
{
	const char *abc = letters[kind];

	for (size_t i = 0; i < in.len; i += 3) {
		size_t n = MIN(in.len - i, 3u);
		uint32_t v = (uint32_t)(unsigned char)in.ptr[i] << 16;
		char q[4];

		if (n > 1)
			v |= (uint32_t)(unsigned char)in.ptr[i + 1] << 8;
		if (n > 2)
			v |= (unsigned char)in.ptr[i + 2];
		for (unsigned k = 0; k < 4; k++)
			q[k] = k <= n ? abc[v >> (18 - 6 * k) & 63] : '=';
		buf_add(out, q, kind == BASE64_URL ? n + 1 : 4);
	}
}

static int value_of(char c, enum base64_kind kind)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	if (c == (kind == BASE64_STD ? '+' : '-'))
		return 62;
	return c == (kind == BASE64_STD ? '/' : '_') ? 63 : -1;
}

/* Takes the padding off *in; false: there is too much or too little of it. */
static bool strip_padding(struct str *in, enum base64_kind kind)
{
	size_t pad = 0;

	while (pad < 2 && in->len > pad && in->ptr[in->len - 1 - pad] == '=')
		pad++;
	if ((pad || kind == BASE64_STD) && in->len % 4 != 0)
		return false;
	in->len -= pad;
	return in->len % 4 != 1;
}

int base64_decode(struct buf *out, struct str in, enum base64_kind kind)
{
	size_t before = out->len;
	uint32_t v = 0;
	unsigned bits = 0;

	if (!strip_padding(&in, kind))
		return VINE_EINVAL;
	for (size_t i = 0; i < in.len; i++) {
		int d = value_of(in.ptr[i], kind);

		if (d < 0) {
			out->len = before;
			return VINE_EINVAL;
		}
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(out, (char)(v >> bits));
		}
	}
	if (v & ((1u << bits) - 1)) { /* bits that belong to no byte: two texts would mean the same bytes */
		out->len = before;
		return VINE_EINVAL;
	}
	return out->failed ? VINE_ELIMIT : VINE_OK;
}
