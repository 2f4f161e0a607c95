/* yaml.h - YAML files as Spring flattens them: libyaml's events, flat keys, YAML 1.1's implicit types.
 *
 * a: {b: 1} gives "a.b"; lists give "a[0]"; a key that starts with "[" is appended without a dot; keys that are numbers or
 * booleans give "[1]", "[true]"; null gives ""; an empty list gives "" at its key; an empty map nothing. Duplicate keys are
 * an error. What aliases repeat counts against FLAT_ENTRIES_MAX. Merge keys (<<) take what the map has not itself. */
#pragma once
#include "codec/flat.h"

/* Appends the documents of text to f. Errors: "line:column: what". */
int yaml_parse(struct flat *f, struct str text, struct err *e);
/* The type that YAML 1.1 gives a plain scalar; *ret is the value in the form that Java prints ("0x1f" gives "31"). */
enum flat_kind yaml_plain_type(struct arena *a, struct str plain, struct str *ret);
