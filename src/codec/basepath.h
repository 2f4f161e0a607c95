/* basepath.h - a path that stands before others, as server.servlet.context-path does: "/shop", "/shop/v1", or none. Pure.
 *
 * The first slash may be left out, one at the end is cut off; "/" and nothing are none. Its bytes are those that a URL's path
 * may hold as they are, so that it can be compared and written without any coding: letters, digits, -._~!$&'()*+,=:@ and the
 * slash. No '%', no ';' (parameters of a segment), no segment that is empty, "." or "..". */
#pragma once
#include "base/err.h"
#include "base/str.h"

#define BASEPATH_MAX 200
#define BASEPATH_SEGMENTS_MAX 8

struct basepath {
	uint8_t len; /* 0: none; else it begins with a slash and ends with none */
	char text[BASEPATH_MAX + 1];
};

/* VINE_EINVAL: it cannot be one; then *ret is none. The error says what is wrong with it. */
int basepath_read(struct basepath *ret, struct str text, struct err *e);
static inline struct str basepath_str(const struct basepath *p)
{
	return str_of(p->text, p->len);
}
