/* placeholder.h - ${name} and ${name:default}, nested, as Spring resolves them. `\${` stands for "${". */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define PLACEHOLDER_DEPTH_MAX 32
#define PLACEHOLDER_RESULT_MAX (64u * 1024)

/* lookup: the raw value of a name (false: not there); its own placeholders are resolved in turn. Errors name the
 * placeholder: unknown without a default, a cycle, too deep, too long. */
int placeholder_resolve(struct arena *a, struct str text, bool (*lookup)(void *ctx, struct str name, struct str *ret), void *ctx,
			struct str *ret, struct err *e);
