/* flat.h - what a configuration file becomes: flat keys with their values and places.
 *
 * Keys are as Spring flattens them: a.b, a[0], a[0].b, [1]. Documents of one file are numbered from 0. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum flat_kind { FLAT_STR, FLAT_BOOL, FLAT_INT, FLAT_FLOAT, FLAT_NULL }; /* what YAML says it is; properties: STR */

struct flat_item {
	struct str key, value;
	unsigned line, col; /* of the value, from 1 */
	unsigned doc;
	enum flat_kind kind;
};

struct flat {
	struct arena *arena; /* everything lives there */
	struct flat_item *items;
	size_t len, cap;
	size_t max_items; /* 100000 unless set */
	unsigned docs;    /* how many documents; empty ones are not counted */
	bool looks_utf8;  /* a .properties file, read as ISO-8859-1, that seems to be meant as UTF-8 */
};

#define FLAT_TEXT_MAX ((size_t)8 << 20) /* bytes of a file */

void flat_init(struct flat *f, struct arena *a);
/* key and value must live in the arena (or longer). VINE_ELIMIT: too many. */
int flat_add(struct flat *f, const struct flat_item *item);
