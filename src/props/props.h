/* props.h - the resolved configuration: an immutable, counted picture that any thread may read.
 *
 * Built from sources in their order of precedence, strongest first (command line, environment, config server, files).
 * Keys that bind to a row of the catalogue are stored under the row's name; others (the user's own, spring.datasource...)
 * as written. Placeholders are resolved. What could not be accepted is in the findings; a picture with errors among them
 * must not be used to start or reload. */
#pragma once
#include "base/arena.h"
#include "props/catalogue.h"

struct props;

struct prop_origin {
	struct str source; /* "commandLine", "systemEnvironment", "vine.yml" */
	unsigned line, column; /* 0: none */
};

struct prop_value {
	struct str name;  /* as stored */
	struct str written; /* as it stands in its source */
	struct str value; /* resolved */
	struct prop_origin origin;
	const struct prop_desc *desc; /* NULL: foreign */
	struct str key;               /* what stands for {key} */
};

enum finding_kind { FINDING_ERROR, FINDING_WARNING };

struct prop_finding {
	enum finding_kind kind;
	struct str text; /* "vine.yml:3:9: zuul.prefx = /api: unknown; did you mean zuul.prefix?" */
};

struct props *props_ref(struct props *p);
void props_unref(struct props *p); /* NULL is fine */

/* Strings live as long as p. */
const struct prop_value *props_get(const struct props *p, struct str name); /* name relaxed; NULL: not set */
size_t props_count(const struct props *p);
const struct prop_value *props_at(const struct props *p, size_t i); /* in the order of files, strongest source's first */
size_t props_findings(const struct props *p, const struct prop_finding **ret);
bool props_ok(const struct props *p); /* no errors among the findings */
size_t props_profiles(const struct props *p, const struct str **ret); /* the active ones */

/* Typed values, with the catalogue's default. `name` is a row's name as the catalogue writes it (anything else aborts); for
 * a pattern give the key. Then the chains hold: hystrix.command.<key>.x, hystrix.command.default.x, built-in (also of
 * threadpool, collapser, vine.command, vine.loadbalancer and niws.loadbalancer);
 * <client>.ribbon.X, ribbon.X, built-in. */
bool props_bool(const struct props *p, const char *name);
int64_t props_int(const struct props *p, const char *name);
int64_t props_ms(const struct props *p, const char *name); /* PROP_MS and PROP_SEC: milliseconds */
int64_t props_bytes(const struct props *p, const char *name);
double props_double(const struct props *p, const char *name);
struct str props_str(const struct props *p, const char *name); /* empty: neither set nor defaulted; enums as written */
bool props_enum_is(const struct props *p, const char *name, struct str value);

bool props_bool_of(const struct props *p, const char *name, struct str key);
int64_t props_int_of(const struct props *p, const char *name, struct str key);
int64_t props_ms_of(const struct props *p, const char *name, struct str key);
struct str props_str_of(const struct props *p, const char *name, struct str key);
/* Is it set, for this key, in a source? default_too: or in the chain's next link. */
bool props_is_set(const struct props *p, const char *name, struct str key, bool default_too);

/* The members of a list (comma text or indices); returns how many, at most max. */
size_t props_list(const struct props *p, const char *name, struct str key, struct str *ret, size_t max);
/* The user-chosen keys under a pattern's fixed prefix ("zuul.routes." gives the route ids), in the order of the file, each
 * once; at most max. Also finds entries that end with the prefix's key itself (zuul.routes.a = /a/...). */
size_t props_keys(const struct props *p, const char *prefix, struct str *ret, size_t max);

/* --- building --- */

struct prop_entry {
	struct str name, value;
	unsigned line, column;
};

struct prop_source {
	struct str name; /* shown as the origin */
	struct prop_entry *entry;
	size_t n;
	bool env; /* names are those of environment variables */
};

/* sources: strongest first; copied. */
struct props *props_build(const struct prop_source *sources, size_t n, const struct str *profiles, size_t n_profiles);
void props_add_finding(struct props *p, enum finding_kind kind, struct str text); /* while still building */
