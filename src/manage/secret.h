/* secret.h - what of a property may be shown: the values of secrets, and passwords inside URLs, are masked. */
#pragma once
#include "base/arena.h"
#include "base/str.h"

struct prop_value;

struct str secret_masked(struct arena *a, const struct prop_value *v); /* lives as long as a and v */
/* The two rules, for those who have no prop_value. */
bool secret_is_name(struct str name);                              /* of a name that the catalogue does not know */
struct str secret_without_userinfo(struct arena *a, struct str v); /* "http://user:******@host/" */
