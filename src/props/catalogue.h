/* catalogue.h - THE table of properties: name, type, default, unit, rule, whether it may change while running, and a line of
 * documentation. Parsing, validation, `vine check`, `vine help`, /actuator/env and the reference page come from it.
 *
 * A name may be a pattern: `{key}` stands for a name that the user chose (a service id, a command key; it may hold dots),
 * e.g. "hystrix.command.{key}.circuitBreaker.enabled", "{client}.ribbon.ReadTimeout". Names are bound relaxedly: case, `-`
 * and `_` do not count in the fixed parts; what stands for `{key}` is kept as written. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum prop_type {
	PROP_BOOL,
	PROP_INT,
	PROP_MS,     /* a plain number is milliseconds; "5s", "200ms", "PT5S" are understood */
	PROP_SEC,    /* a plain number is seconds */
	PROP_BYTES,  /* "16384", "16KB" */
	PROP_DOUBLE,
	PROP_STR,
	PROP_ENUM,   /* one of `values`, any case, `-` and `_` alike */
	PROP_LIST,   /* comma-separated, or name[0], name[1] */
	PROP_PATH,   /* stands before other paths; see codec/basepath.h */
	PROP_CLASS,  /* one of `values`, in full or, of a Java class, its last part; or path:symbol, a table of the user's */
};

enum prop_state {
	PROP_HONOURED,
	PROP_MAPPED,  /* understood, carried out in another way: note says how */
	PROP_IGNORED, /* understood, has no effect: note says why */
};

struct prop_desc {
	const char *name;
	enum prop_type type;
	enum prop_state state;
	const char *def;    /* default as text; NULL: none */
	const char *unit;   /* for the reader: "ms" */
	int64_t min, max;   /* of PROP_INT, _MS, _SEC, _BYTES, _DOUBLE; both 0: any */
	const char *values; /* PROP_ENUM, PROP_CLASS: "SEMAPHORE THREAD" */
	bool live;          /* may change while running */
	bool secret;        /* masked wherever it is shown */
	const char *doc;
	const char *note;
};

extern const struct prop_desc prop_catalogue[];
extern const size_t prop_catalogue_len;

/* The row with exactly this name (as written in the catalogue), or NULL. */
const struct prop_desc *prop_desc_named(const char *name);
/* The row that a key binds to, or NULL; *key is what stands for {key} (empty if none), *index what stands in a list's
 * brackets (-1 if none). */
const struct prop_desc *prop_desc_find(struct str name, struct str *key, int *index);
/* Is this name under a prefix that the catalogue owns, so that an unknown one is an error? */
bool prop_is_owned(struct str name);
/* Is this the beginning of a known name, as "zuul.routes" is? An empty YAML map or null there means nothing. */
bool prop_is_inner(struct str name);
/* The nearest known name for a mistyped one; empty if none is near. In the arena. */
struct str prop_nearest(struct arena *a, struct str name);
/* The key under which a value is stored: the row's name with {key} filled in. In the arena. */
struct str prop_canonical(struct arena *a, const struct prop_desc *d, struct str key);
/* Does value obey the row's type and rule? The error says what is wrong with it, not where it stands. */
int prop_validate(const struct prop_desc *d, struct str value, struct err *e);

/* Must the value not be shown in messages? By the row, by a name that sounds so (the row may be NULL: also a mistyped
 * password is one), or because it is a URL with credentials in it. */
bool prop_hides(const struct prop_desc *d, struct str name, struct str value);

/* Is value, of a PROP_CLASS, this one of its row's names? */
bool prop_class_is(struct str value, struct str name);
/* ... a table of the user's, path:symbol? It is told by its slash. */
bool prop_class_is_plugin(struct str value);

/* Values as text to values. */
bool prop_parse_ms(struct str s, int64_t unit_ms, int64_t *ret); /* unit_ms: of a plain number, 1 or 1000 */
bool prop_parse_bytes(struct str s, int64_t *ret);
