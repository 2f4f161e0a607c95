/* test_routes.c - Ant patterns, and which route a path gets. */
#include "test.h"

#include "gateway/routes.h"

static void test_ant_patterns(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool want;
	} rows[] = {
		{ "/a/**", "/a", true },         { "/a/**", "/a/", true },       { "/a/**", "/a/b/c", true },
		{ "/a/**", "/ab", false },       { "/**", "/", true },           { "/**", "/x/y", true },
		{ "/a/*", "/a/b", true },        { "/a/*", "/a/b/c", false },    { "/a/*", "/a", false },
		{ "/a?c", "/abc", true },        { "/a?c", "/ac", false },       { "/*.html", "/x.html", true },
		{ "/*.html", "/d/x.html", false }, { "/**/x", "/x", true },      { "/**/x", "/a/b/x", true },
		{ "/**/x", "/a/b/y", false },    { "/a/**/z", "/a/z", true },    { "/a/**/z", "/a/b/c/z", true },
		{ "/a/**/z/*", "/a/z/z/q", true }, { "/a", "/a", true },         { "/a", "/A", false },
		{ "/a/**/b/**/c", "/a/1/b/2/3/c", true }, { "/a/**/b/**/c", "/a/1/2/3/c", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (ant_match(str_from(rows[i].pattern), str_from(rows[i].path)) != rows[i].want)
			fail_msg("%s on %s: not %d", rows[i].pattern, rows[i].path, rows[i].want);
	}
}

static void test_many_stars_end_soon(void **state)
{
	(void)state;
	assert_false(ant_match(STR("/**/a/**/a/**/a/**/a/**/a/**/b"),
			       STR("/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a")));
	assert_false(ant_match(STR("/*a*a*a*a*a*b"), STR("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}

static void test_prefix_that_is_stripped(void **state)
{
	(void)state;
	assert_str(ant_prefix(STR("/a/b/**")), STR("/a/b"));
	assert_str(ant_prefix(STR("/**")), STR(""));
	assert_str(ant_prefix(STR("/a/b")), STR(""));
	assert_str(ant_prefix(STR("/a/*.html")), STR("/a"));
}

static void test_first_match_in_order(void **state)
{
	static const struct {
		const char *path, *want;
	} rows[] = {
		{ "/a/x", "first" }, { "/a/b/x", "first" }, { "/c", "odd" }, { "/d/e/f", "deep" }, { "/d/e", "deep" },
		{ "/d", "rest" },    { "/q.html", "page" }, { "/", "rest" }, { "/secret/x", NULL },
	};
	struct gw_route rt[] = {
		{ .id = STR("first"), .path = STR("/a/**") },   { .id = STR("never"), .path = STR("/a/b/**") },
		{ .id = STR("odd"), .path = STR("/c") },        { .id = STR("deep"), .path = STR("/d/e/**") },
		{ .id = STR("page"), .path = STR("/*.html") },  { .id = STR("rest"), .path = STR("/**") },
		{ .id = STR("late"), .path = STR("/z/**") },
	};
	struct gw_route *list[ARRAY_LEN(rt)];
	struct str ignored[] = { STR("/secret/**") };
	struct gw_routes r = { .list = list, .n = ARRAY_LEN(rt), .ignored = ignored, .n_ignored = 1 };
	struct arena a;

	(void)state;
	arena_init(&a, 1024);
	for (size_t i = 0; i < ARRAY_LEN(rt); i++)
		list[i] = &rt[i];
	gw_routes_compile(&r, &a, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct gw_route *got = gw_routes_find(&r, str_from(rows[i].path));

		if (!str_eq(got ? got->id : STR_EMPTY, str_from(rows[i].want)))
			fail_msg("%s: route %.*s", rows[i].path, STRF(got ? got->id : STR("none")));
	}
	assert_str(gw_routes_find(&r, STR("/z/1"))->id, STR("rest")); /* stands before it */
	gw_routes_fini(&r);
	arena_fini(&a);
}

static void test_header_filter(void **state)
{
	struct arena a;
	struct hfield cookie = { .name = STR("cookie"), .id = H_COOKIE }, odd = { .name = STR("X-ODD") }, other = { .name = STR("x") };

	(void)state;
	arena_init(&a, 1024);

	struct header_filter f = header_filter_parse(&a, STR("Cookie, , x-odd"));

	assert_true(header_filter_has(&f, &cookie));
	assert_true(header_filter_has(&f, &odd));
	assert_false(header_filter_has(&f, &other));
	f = header_filter_parse(&a, STR(""));
	assert_false(header_filter_has(&f, &cookie));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ant_patterns),      cmocka_unit_test(test_many_stars_end_soon),
		cmocka_unit_test(test_prefix_that_is_stripped), cmocka_unit_test(test_first_match_in_order),
		cmocka_unit_test(test_header_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
