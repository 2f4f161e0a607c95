/* fuzz_placeholder.c - ${...}, where the values found are made of the input itself: cycles and growth included. */
#include "fuzz.h"

#include "props/placeholder.h"

/* The input is "text\0name=value\0name=value..."; missing names stay missing. */
struct table {
	struct str rest;
};

static bool lookup(void *ctx, struct str name, struct str *ret)
{
	struct str rest = ((struct table *)ctx)->rest, line;

	while (str_cut(&rest, '\0', &line)) {
		ptrdiff_t eq = str_chr(line, '=');

		if (eq >= 0 && str_eq(str_slice(line, 0, (size_t)eq), name)) {
			*ret = str_slice(line, (size_t)eq + 1, line.len);
			return true;
		}
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_of((const char *)data, MIN(size, (size_t)4096)), text, got = STR("untouched");
	struct arena a;
	struct err e = { 0 };

	if (!str_cut(&rest, '\0', &text))
		return 0;
	arena_init(&a, 4096);

	struct table t = { rest };
	int r = placeholder_resolve(&a, text, lookup, &t, &got, &e);

	if (r == 0)
		PROMISE(got.len <= PLACEHOLDER_RESULT_MAX || str_eq(got, text));
	else
		PROMISE(r == e.code && e.text[0] && str_eq(got, STR("untouched")));
	if (r == 0 && str_find(text, STR("${")) < 0)
		PROMISE(str_eq(got, text));
	arena_fini(&a);
	return 0;
}
