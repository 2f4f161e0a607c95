/* flat_show.h - a flat list as text, for tables of cases: "doc|key=value" a line. */
#pragma once
#include "base/buf.h"
#include "codec/flat.h"

static inline void flat_show(struct buf *b, const struct flat *f)
{
	for (size_t i = 0; i < f->len; i++)
		buf_addf(b, "%u|%.*s=%.*s\n", f->items[i].doc, STRF(f->items[i].key), STRF(f->items[i].value));
}

/* A heap copy of exactly len bytes, so that the sanitizer sees a byte read too much. */
static inline char *exact_copy(const char *p, size_t len)
{
	char *copy = malloc(len ? len : 1);

	memcpy(copy, p, len);
	return copy;
}
