/* relax.c - comparing two names from both ends, skipping what does not count. */
#include "props/relax.h"

static bool counts(char c)
{
	return c != '-' && c != '_';
}

size_t relax_prefix(struct str name, struct str prefix)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (j < prefix.len && !counts(prefix.ptr[j]))
			j++;
		if (j == prefix.len)
			return i;
		while (i < name.len && !counts(name.ptr[i]))
			i++;
		if (i == name.len || ascii_lower(name.ptr[i]) != ascii_lower(prefix.ptr[j]))
			return SIZE_MAX;
		i++;
		j++;
	}
}

size_t relax_suffix(struct str name, struct str suffix)
{
	size_t i = name.len, j = suffix.len;

	for (;;) {
		while (j > 0 && !counts(suffix.ptr[j - 1]))
			j--;
		if (j == 0)
			return i;
		while (i > 0 && !counts(name.ptr[i - 1]))
			i--;
		if (i == 0 || ascii_lower(name.ptr[i - 1]) != ascii_lower(suffix.ptr[j - 1]))
			return SIZE_MAX;
		i--;
		j--;
	}
}

bool relax_eq(struct str a, struct str b)
{
	size_t n = relax_prefix(b, a);

	while (n < b.len && !counts(b.ptr[n]))
		n++;
	return n == b.len;
}

struct str relax_uniform(struct arena *a, struct str name)
{
	char *out = arena_alloc(a, name.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (counts(name.ptr[i]))
			out[n++] = ascii_lower(name.ptr[i]);
	}
	return str_of(out, n);
}

static bool env_counts(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

bool relax_env_eq(struct str env, struct str name)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < env.len && !env_counts(env.ptr[i]))
			i++;
		while (j < name.len && !env_counts(name.ptr[j]))
			j++;
		if (i == env.len || j == name.len)
			return i == env.len && j == name.len;
		if (ascii_lower(env.ptr[i++]) != ascii_lower(name.ptr[j++]))
			return false;
	}
}
