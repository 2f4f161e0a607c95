/* test_context.c - paths that stand before others: their form, which properties name them, and where they end in a request's. */
#include "test.h"

#include <stdio.h>

#include "http/context.h"
#include "props/props.h"

static void test_forms(void **state)
{
	static const struct {
		const char *text, *want; /* want NULL: it cannot be one */
	} rows[] = {
		{ "", "" },              { "/", "" },                { "/shop", "/shop" },        { "shop", "/shop" },
		{ "/shop/", "/shop" },   { "shop/", "/shop" },       { "/shop/v1", "/shop/v1" },  { "/a.b-c_d~e", "/a.b-c_d~e" },
		{ "/...", "/..." },      { "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b" },                { "/1/2/3/4/5/6/7/8", "/1/2/3/4/5/6/7/8" },
		{ "//", NULL },          { "///", NULL },            { "//shop", NULL },          { "/shop//", NULL },
		{ "/shop//v1", NULL },   { "/shop v1", NULL },       { " /shop", NULL },          { "/shop ", NULL },
		{ "/shop?a", NULL },     { "/shop#a", NULL },        { "/..", NULL },             { "/shop/../x", NULL },
		{ "/shop/.", NULL },     { ".", NULL },              { "/%73hop", NULL },         { "/shop;v=1", NULL },
		{ "/sh\\op", NULL },     { "/sh\top", NULL },        { "/sh\nop", NULL },         { "/{x}", NULL },
		{ "/sh\"op", NULL },     { "/<b>", NULL },           { "/sh\x7fop", NULL },       { "/caf\xc3\xa9", NULL },
		{ "http://h/x", NULL },  { "/1/2/3/4/5/6/7/8/9", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct basepath got;
		struct err e = { 0 };
		int r = basepath_read(&got, str_from(rows[i].text), &e);

		if ((r == 0) != (rows[i].want != NULL) || !str_eq(basepath_str(&got), str_from(rows[i].want ? rows[i].want : "")))
			fail_msg("\"%s\": %d \"%.*s\"", rows[i].text, r, STRF(basepath_str(&got)));
		if (r < 0 && !strstr(e.text, "must be a path"))
			fail_msg("\"%s\": %s", rows[i].text, e.text);
	}
}

static void test_length(void **state)
{
	char text[BASEPATH_MAX + 3];
	struct basepath p;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	assert_int_equal(basepath_read(&p, str_of(text, BASEPATH_MAX), NULL), 0);
	assert_int_equal(p.len, BASEPATH_MAX);
	assert_int_equal(basepath_read(&p, str_of(text, BASEPATH_MAX + 1), NULL), VINE_EINVAL);
	assert_int_equal(basepath_read(&p, str_of(text + 1, BASEPATH_MAX - 1), NULL), 0); /* its slash counts too */
	assert_int_equal(basepath_read(&p, str_of(text + 1, BASEPATH_MAX), NULL), VINE_EINVAL);
	text[BASEPATH_MAX] = '/';
	assert_int_equal(basepath_read(&p, str_of(text, BASEPATH_MAX + 1), NULL), 0);
	assert_int_equal(basepath_read(&p, str_of("/a\0b", 4), NULL), VINE_EINVAL);
}

/* --- which property --- */

static const struct {
	const char *name;
	struct prop_entry set[3];
	const char *server, *management, *actuator;
} named[] = {
	{ .name = "none", .server = "", .management = "", .actuator = "/actuator" },
	{ "Boot's", { { STR_INIT("server.servlet.context-path"), STR_INIT("/a"), 1, 1 },
		      { STR_INIT("management.server.base-path"), STR_INIT("b/"), 2, 1 },
		      { STR_INIT("management.endpoints.web.base-path"), STR_INIT("/c/d"), 3, 1 } }, "/a", "/b", "/c/d" },
	{ "older names", { { STR_INIT("server.contextPath"), STR_INIT("/a"), 1, 1 },
			   { STR_INIT("management.server.servlet.context-path"), STR_INIT("/b"), 2, 1 },
			   { STR_INIT("management.context-path"), STR_INIT("/c"), 3, 1 } }, "/a", "/b", "/c" },
	{ "the newer wins", { { STR_INIT("server.servlet.context-path"), STR_INIT("/"), 1, 1 },
			      { STR_INIT("server.context-path"), STR_INIT("/old"), 2, 1 } }, "", "", "/actuator" },
	{ "its management too", { { STR_INIT("management.server.servlet.context-path"), STR_INIT("/old"), 1, 1 },
				  { STR_INIT("management.server.base-path"), STR_INIT("/new"), 2, 1 } }, "", "/new", "/actuator" },
	{ "endpoints at the top", { { STR_INIT("management.endpoints.web.base-path"), STR_INIT("/"), 1, 1 } }, "", "", "" },
	{ "empty is the top too", { { STR_INIT("management.endpoints.web.base-path"), STR_INIT(""), 1, 1 },
				    { STR_INIT("management.context-path"), STR_INIT("/old"), 2, 1 } }, "", "", "" },
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		struct prop_entry set[ARRAY_LEN(named[i].set)];
		struct prop_source s = { .name = STR("test.yml"), .entry = set };
		struct contexts c;
		struct props *p;

		memcpy(set, named[i].set, sizeof(set));
		while (s.n < ARRAY_LEN(set) && set[s.n].name.len)
			s.n++;
		p = props_build(&s, 1, NULL, 0);
		assert_true(props_ok(p));
		contexts_read(&c, p);
		if (strcmp(c.server.text, named[i].server) || strcmp(c.management.text, named[i].management) ||
		    strcmp(c.actuator.text, named[i].actuator))
			fail_msg("%s: %s %s %s", named[i].name, c.server.text, c.management.text, c.actuator.text);
		props_unref(p);
	}
}

static void test_what_cannot_be_one_is_a_fault(void **state)
{
	static const char *const keys[] = { "server.servlet.context-path", "server.context-path", "management.server.base-path",
					    "management.server.servlet.context-path", "management.endpoints.web.base-path",
					    "management.context-path" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct prop_entry set = { str_from(keys[i]), STR("/a b"), 7, 3 };
		struct prop_source s = { .name = STR("test.yml"), .entry = &set, .n = 1 };
		struct props *p = props_build(&s, 1, NULL, 0);
		const struct prop_finding *f;
		char want[128];

		snprintf(want, sizeof(want), "test.yml:7:3: %s = /a b: must be a path", keys[i]);
		assert_false(props_ok(p));
		assert_int_equal(props_findings(p, &f), 1);
		if (!str_has_prefix(f[0].text, str_from(want)))
			fail_msg("%.*s", STRF(f[0].text));
		props_unref(p);
	}
}

/* --- in a request --- */

static void test_places(void **state)
{
	static const struct {
		const char *path;
		enum context_place want;
	} rows[] = {
		{ "/ctx/a", CONTEXT_INSIDE },     { "/ctx/", CONTEXT_INSIDE },       { "/ctx//a", CONTEXT_INSIDE },
		{ "/ctx/../a", CONTEXT_INSIDE },  { "/ctx/ctx/a", CONTEXT_INSIDE },  { "/ctx", CONTEXT_EDGE },
		{ "", CONTEXT_OUTSIDE },          { "/", CONTEXT_OUTSIDE },          { "/ct", CONTEXT_OUTSIDE },
		{ "/ctxx", CONTEXT_OUTSIDE },     { "/ctxx/a", CONTEXT_OUTSIDE },    { "/ctx;a=b/c", CONTEXT_OUTSIDE },
		{ "/ctx;a=b", CONTEXT_OUTSIDE },  { "/ctx%2Fa", CONTEXT_OUTSIDE },   { "/%63tx/a", CONTEXT_OUTSIDE },
		{ "/CTX/a", CONTEXT_OUTSIDE },    { "//ctx/a", CONTEXT_OUTSIDE },    { "/./ctx/a", CONTEXT_OUTSIDE },
		{ "/x/../ctx/a", CONTEXT_OUTSIDE }, { "ctx/a", CONTEXT_OUTSIDE },    { "/a/ctx/a", CONTEXT_OUTSIDE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum context_place got = context_place_of(STR("/ctx"), str_from(rows[i].path));

		if (got != rows[i].want)
			fail_msg("%s: %d", rows[i].path, got);
	}
}

static void test_cut(void **state)
{
	static const char *const outside[] = { "/ctx", "/ctxx/a", "/" };
	struct exchange ex = { .req.path = STR("/ctx/a/b") };

	(void)state;
	assert_int_equal(context_cut(&ex, STR("/ctx")), CONTEXT_INSIDE);
	assert_str(ex.req.path, STR("/a/b"));
	assert_str(ex_path(&ex), STR("/ctx/a/b"));
	assert_str(ex_context(&ex), STR("/ctx"));
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		ex = (struct exchange){ .req.path = str_from(outside[i]) };
		assert_int_not_equal(context_cut(&ex, STR("/ctx")), CONTEXT_INSIDE);
		assert_str(ex.req.path, str_from(outside[i]));
		assert_str(ex_path(&ex), str_from(outside[i]));
		assert_int_equal(ex_context(&ex).len, 0);
	}
}

static void test_where_the_endpoints_are(void **state)
{
	struct contexts c = contexts_default;
	struct arena a;

	(void)state;
	arena_init(&a, 256);
	assert_str(contexts_endpoints(&a, &c, false), STR("/actuator"));
	assert_str(contexts_endpoints(&a, &c, true), STR("/actuator"));
	basepath_read(&c.server, STR("/a"), NULL);
	basepath_read(&c.management, STR("/b"), NULL);
	assert_str(contexts_endpoints(&a, &c, false), STR("/a/actuator"));
	assert_str(contexts_endpoints(&a, &c, true), STR("/b/actuator"));
	basepath_read(&c.actuator, STR("/"), NULL);
	assert_str(contexts_endpoints(&a, &c, false), STR("/a"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_cannot_be_one_is_a_fault),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_where_the_endpoints_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
