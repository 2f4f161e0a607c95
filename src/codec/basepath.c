/* basepath.c - see basepath.h. */
#include "codec/basepath.h"

#define FORM "must be a path, such as /shop or /shop/v1"

static bool may_stand(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr("-._~!$&'()*+,=:@", c));
}

static int judge_segment(struct str seg, struct err *e)
{
	if (seg.len == 0)
		return err_set(e, VINE_EINVAL, FORM ": one of its segments is empty");
	if (str_eq(seg, STR(".")) || str_eq(seg, STR("..")))
		return err_set(e, VINE_EINVAL, FORM ": no segment of it may be . or ..");
	for (size_t i = 0; i < seg.len; i++) {
		unsigned char c = (unsigned char)seg.ptr[i];

		if (may_stand((char)c))
			continue;
		if (c <= ' ' || c >= 0x7f)
			return err_set(e, VINE_EINVAL, FORM ": a blank, or another byte that no URL shows, cannot stand in it");
		return err_set(e, VINE_EINVAL, FORM ": '%c' cannot stand in it", c);
	}
	return 0;
}

int basepath_read(struct basepath *ret, struct str text, struct err *e)
{
	struct str rest = text, seg;
	unsigned n = 0;

	ret->len = 0;
	ret->text[0] = '\0';
	if (str_has_prefix(rest, STR("/")))
		rest = str_slice(rest, 1, rest.len);
	if (rest.len && rest.ptr[rest.len - 1] == '/')
		rest.len--;
	if (rest.len == 0 && text.len <= 1)
		return 0;
	if (rest.len + 1 > BASEPATH_MAX)
		return err_set(e, VINE_EINVAL, FORM ", of at most %d bytes", BASEPATH_MAX);
	text = rest;
	while (str_cut(&rest, '/', &seg)) {
		int r = judge_segment(seg, e);

		if (r == 0 && ++n > BASEPATH_SEGMENTS_MAX)
			r = err_set(e, VINE_EINVAL, FORM ", of at most %d segments", BASEPATH_SEGMENTS_MAX);
		if (r < 0)
			return r;
	}
	ret->text[0] = '/';
	memcpy(ret->text + 1, text.ptr, text.len);
	ret->len = (uint8_t)(text.len + 1);
	ret->text[ret->len] = '\0';
	return 0;
}
