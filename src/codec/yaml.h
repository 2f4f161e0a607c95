/* yaml.h - YAML 1.1 as Spring Boot reads it, flattened to keys.
 *
 * Maps become a.b, lists a[0]; keys that are no strings (1, yes) become [1], [true]; null and an empty list become "", an
 * empty map nothing; a document that is no map stands under the key "document". Plain scalars are brought to the form that
 * Java prints (yes: true, 0x10: 16, 12:30: 750, 1.10: 1.1). Merge keys and aliases are followed within bounds. Equal keys in
 * one map, unknown tags and aliases to what encloses them are errors. */
#pragma once
#include "codec/flat.h"

#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX 200000  /* in one file */
#define YAML_VISITS_MAX 500000 /* while flattening: what aliases may multiply to */
#define YAML_KEY_MAX 2048      /* bytes of a flat key */

/* Appends the keys of text to f. Errors are "line:column: text". */
int yaml_read(struct flat *f, struct str text, struct err *e);

/* What a plain scalar is, and its normal form in *ret (in the arena where it differs). */
enum flat_kind yaml_resolve(struct arena *a, struct str plain, struct str *ret);
