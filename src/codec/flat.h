/* flat.h - configuration files as flat lists of keys and values, with the place of each value.
 *
 * YAML and .properties both become this. One flat_doc a document of the file. All spans live in the arena. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum flat_kind { FLAT_STR, FLAT_INT, FLAT_FLOAT, FLAT_BOOL, FLAT_NULL }; /* what the file's own syntax said */

struct flat_entry {
	struct str key, value; /* "a.b[0].c"; the value as text */
	enum flat_kind kind;
	unsigned line, column; /* of the value, from 1 */
};

struct flat_doc {
	struct flat_entry *entry;
	size_t n, cap;
};

struct flat {
	struct arena *arena;
	struct flat_doc *doc; /* empty documents are not counted */
	size_t n, cap;
};

/* Limits of a file; past them VINE_ELIMIT. */
#define FLAT_FILE_MAX (16u << 20)
#define FLAT_ENTRIES_MAX 100000
#define FLAT_DEPTH_MAX 64
#define FLAT_KEY_MAX 2048

struct flat_doc *flat_new_doc(struct flat *f);
/* false: too many entries. */
bool flat_add(struct flat *f, struct flat_doc *d, const struct flat_entry *e);
