/* test_forward.c - the one form of a path, and the table of causes. */
#include "test.h"


#include "gateway/fail.h"
#include "gateway/forward.h"

static void test_paths(void **state)
{
	static const struct {
		const char *raw, *want; /* NULL: refused */
	} rows[] = {
		{ "/", "/" },             { "/a/b", "/a/b" },         { "/%61%2D%7e", "/a-~" },   { "/a%2fb", "/a%2Fb" },
		{ "/a%20b", "/a%20b" },   { "/a;x=1", "/a;x=1" },     { "//a", "//a" },           { "/a.b/.c", "/a.b/.c" },
		{ "/..", NULL },          { "/a/../b", NULL },        { "/a/./b", NULL },         { "/a/%2e%2e/b", NULL },
		{ "/a/.%2E", NULL },      { "/a/..;x/b", NULL },      { "/a%00b", NULL },         { "/a\\b", NULL },
		{ "/a%5cb", NULL },       { "/a%", NULL },            { "/a%2", NULL },           { "/a%zz", NULL },
		{ "/a%2f..%2fb", NULL },  { "/%ed%95%9c", "/%ED%95%9C" },
	};
	struct arena a;

	(void)state;
	arena_init(&a, 1024);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str got = STR("refused");
		bool ok = path_canonical(&a, str_from(rows[i].raw), &got);

		if (ok != (rows[i].want != NULL) || (ok && !str_eq(got, str_from(rows[i].want))))
			fail_msg("%s: %.*s", rows[i].raw, STRF(got));
	}
	arena_fini(&a);
}

static void test_every_cause_is_complete(void **state)
{
	(void)state;
	for (int c = GW_OK + 1; c < GW_CAUSES; c++) {
		const struct gw_cause_desc *d = gw_cause_desc((enum gw_cause)c);

		if (d->status < 400 || d->status > 599 || !d->name.len || !d->proxy_error.len || !d->text.len)
			fail_msg("cause %d lacks something", c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_every_cause_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
