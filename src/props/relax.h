/* relax.h - Spring's relaxed binding: `ribbonIsolationStrategy`, `ribbon-isolation-strategy` and `ribbon_isolation_strategy`
 * are one name. Case, `-` and `_` do not count; dots and brackets do. */
#pragma once
#include "base/arena.h"
#include "base/str.h"

bool relax_eq(struct str a, struct str b);
/* How many bytes of name make up prefix (suffix: where it begins), relaxedly; SIZE_MAX if it does not fit. An empty prefix
 * takes 0, an empty suffix name.len. */
size_t relax_prefix(struct str name, struct str prefix);
size_t relax_suffix(struct str name, struct str suffix);
struct str relax_uniform(struct arena *a, struct str name); /* lower case, without '-' and '_' */

/* An environment variable's name for the same: letters and digits alone count, so ZUUL_RIBBON_ISOLATION_STRATEGY is
 * zuul.ribbonIsolationStrategy. */
bool relax_env_eq(struct str env, struct str name);
