/* test_yaml.c - YAML to flat keys: types, merge keys, aliases, bounds, errors with their places. */
#include "test.h"

#include "codec/yaml.h"
#include "flat_show.h"

/* The flat keys of text as lines, or its error. */
static int show(const char *text, size_t len, struct buf *out)
{
	char *copy = exact_copy(text, len);
	struct arena a;
	struct flat f;
	struct err e = { 0 };
	int r;

	arena_init(&a, 4096);
	flat_init(&f, &a);
	r = yaml_read(&f, str_of(copy, len), &e);
	free(copy); /* nothing may point into the text */
	if (r < 0)
		buf_addz(out, e.text);
	else
		flat_show(out, &f);
	arena_fini(&a);
	return r;
}

static const struct {
	const char *text, *want;
} cases[] = {
	{ "", "" },
	{ "# nothing\n---\n---\n~\n", "" },
	{ "a:\n  b: 1\n  c: [x, [y, z], {k: v}]\n", "0|a.b=1\n0|a.c[0]=x\n0|a.c[1][0]=y\n0|a.c[1][1]=z\n0|a.c[2].k=v\n" },
	{ "a.b: {c: 1}", "0|a.b.c=1\n" },
	{ "a: {'[x.y]': 1, \"[z]\": {q: 2}}", "0|a[x.y]=1\n0|a[z].q=2\n" },
	{ "a: {1: x, true: y, on: z}", "1:20: \"true\" was given before, on line 1" },
	{ "a: {1: x, yes: y, '1': s}", "0|a[1]=x\n0|a[true]=y\n0|a.1=s\n" },
	{ "a: ~\nb:\nc: null\nd: []\ne: {}\nf: ''\n", "0|a=\n0|b=\n0|c=\n0|d=\n0|f=\n" },
	{ "[1, two]", "0|document[0]=1\n0|document[1]=two\n" },
	{ "only", "0|document=only\n" },
	{ "a: 1\n---\nb: 2\n...\n---\nc: 3\n", "0|a=1\n1|b=2\n2|c=3\n" },
	{ "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", "0|a.p=1\n0|a.q=2\n0|b.q=3\n0|b.p=1\n" },
	{ "a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc: {<<: [*x, *y]}\n", "0|a.p=1\n0|b.p=2\n0|b.r=3\n0|c.p=1\n0|c.r=3\n" },
	{ "a: &x [1, 2]\nb: *x\n", "0|a[0]=1\n0|a[1]=2\n0|b[0]=1\n0|b[1]=2\n" },
	{ "a: &x 1\nb: &x 2\nc: *x\n", "0|a=1\n0|b=2\n0|c=2\n" },
	{ "a: '<<'\n'<<': 1\n", "0|a=<<\n0|<<=1\n" },
	{ "a: |\n  one\n  two\nb: >-\n  one\n  two\n", "0|a=one\ntwo\n\n0|b=one two\n" },
	{ "a: !!str 12\nb: !!int '0x10'\nc: ! 5\n", "0|a=12\n0|b=16\n0|c=5\n" },
	{ "\xef\xbb\xbf" "a: \xea\xb0\x80\n", "0|a=\xea\xb0\x80\n" },
	{ "a: 1\na: 2\n", "2:1: \"a\" was given before, on line 1" },
	{ "a: *x\n", "1:4: an alias to a name that was not given before" },
	{ "a: &x [*x]\n", "1:8: an alias to what encloses it" },
	{ "a: &x 1\n---\nb: *x\n", "3:4: an alias to a name that was not given before" },
	{ "a: !foo 1\n", "1:4: this tag is not supported" },
	{ "a: !!set {x}\n", "1:4: this tag is not supported" },
	{ "{[a]: 1}", "1:2: a key must be a plain value" },
	{ "a: {<<: 1}", "1:9: \"<<\" needs a map or a list of maps" },
	{ "a: [1\n", "2:1: did not find expected ',' or ']', while parsing a flow sequence" },
	{ "a:\n\tb: 1\n", "2:1: found character that cannot start any token, while scanning for the next token" },
	{ "a: b: c\n", "1:5: mapping values are not allowed in this context" },
	{ "a: \"x\n", "2:1: found unexpected end of stream, while scanning a quoted scalar" },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT(65536);

		show(cases[i].text, strlen(cases[i].text), &b);
		if (!str_eq(buf_str(&b), str_from(cases[i].want)))
			fail_msg("%s\ngot:\n%.*s\nwant:\n%s", cases[i].text, STRF(buf_str(&b)), cases[i].want);
		buf_fini(&b);
	}
}

static void test_utf16(void **state)
{
	struct buf b = BUF_INIT(1024);

	assert_int_equal(show("\xff\xfe" "a\0:\0 \0b\0", 10, &b), 0);
	assert_str(buf_str(&b), STR("0|a=b\n"));
	buf_fini(&b);
}

static void test_scalars(void **state)
{
	static const struct {
		const char *text, *want;
		enum flat_kind kind;
	} scalars[] = {
		{ "yes", "true", FLAT_BOOL }, { "Off", "false", FLAT_BOOL }, { "TRUE", "true", FLAT_BOOL },
		{ "tRue", "tRue", FLAT_STR }, { "y", "y", FLAT_STR }, { "Null", "", FLAT_NULL },
		{ "12", "12", FLAT_INT }, { "+12", "12", FLAT_INT }, { "-1_000", "-1000", FLAT_INT },
		{ "0b101", "5", FLAT_INT }, { "017", "15", FLAT_INT }, { "0x1F", "31", FLAT_INT }, { "-0x10", "-16", FLAT_INT },
		{ "08", "08", FLAT_STR }, { "0o7", "0o7", FLAT_STR }, { "0b2", "0b2", FLAT_STR }, { "0", "0", FLAT_INT },
		{ "12:30:45", "45045", FLAT_INT }, { "1:99", "1:99", FLAT_STR }, { "01:02", "01:02", FLAT_STR },
		{ "18446744073709551616", "18446744073709551616", FLAT_INT }, { "_1", "_1", FLAT_STR },
		{ "1.10", "1.1", FLAT_FLOAT }, { "1.", "1.0", FLAT_FLOAT }, { ".5", "0.5", FLAT_FLOAT },
		{ "1e3", "1000.0", FLAT_FLOAT }, { "1.5e10", "1.5E10", FLAT_FLOAT }, { "0.0001", "1.0E-4", FLAT_FLOAT },
		{ "-.inf", "-Infinity", FLAT_FLOAT }, { ".NaN", "NaN", FLAT_FLOAT }, { "+.Inf", "Infinity", FLAT_FLOAT }, { ".iNf", ".iNf", FLAT_STR }, { "1e", "1e", FLAT_STR },
		{ ".", ".", FLAT_STR }, { "-", "-", FLAT_STR }, { "1.2.3", "1.2.3", FLAT_STR }, { "1.0E999", "Infinity", FLAT_FLOAT },
		{ "2026-03-01", "2026-03-01", FLAT_STR }, { "10s", "10s", FLAT_STR }, { "<<", "<<", FLAT_STR },
		{ "0.1", "0.1", FLAT_FLOAT }, { "1234567.5", "1234567.5", FLAT_FLOAT }, { "12345678.0", "1.2345678E7", FLAT_FLOAT },
	};
	struct arena a;

	arena_init(&a, 4096);
	for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
		struct str got;
		enum flat_kind kind = yaml_resolve(&a, str_from(scalars[i].text), &got);

		if (kind != scalars[i].kind || !str_eq(got, str_from(scalars[i].want)))
			fail_msg("%s: got %d %.*s", scalars[i].text, (int)kind, STRF(got));
	}
	arena_fini(&a);
}

static void test_places(void **state)
{
	struct arena a;
	struct flat f;

	arena_init(&a, 4096);
	flat_init(&f, &a);
	assert_int_equal(yaml_read(&f, STR("a:\n  b: x\n  c:\n    - y\n"), NULL), 0);
	assert_int_equal(f.items[0].line, 2);
	assert_int_equal(f.items[0].col, 6);
	assert_int_equal(f.items[1].line, 4);
	assert_int_equal(f.items[1].col, 7);
	arena_fini(&a);
}

static void expect_limit(struct buf *text)
{
	struct buf out = BUF_INIT(65536);

	assert_false(text->failed);
	assert_int_equal(show(text->ptr, text->len, &out), VINE_ELIMIT);
	buf_fini(&out);
	buf_clear(text);
}

static void test_limits(void **state)
{
	struct buf t = BUF_INIT(FLAT_TEXT_MAX * 2);

	for (int i = 0; i < YAML_DEPTH_MAX + 1; i++)
		buf_addc(&t, '[');
	expect_limit(&t);
	/* Ten aliases a level: small text, 10^9 values. */
	buf_addz(&t, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 9; i++) {
		buf_addf(&t, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_addf(&t, "%s*a%d", k ? "," : "", i - 1);
		buf_addz(&t, "]\n");
	}
	expect_limit(&t);
	/* The same with maps that hold nothing, so that no key is made. */
	buf_addz(&t, "a0: &a0 {}\n");
	for (int i = 1; i < 9; i++) {
		buf_addf(&t, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_addf(&t, "%s*a%d", k ? "," : "", i - 1);
		buf_addz(&t, "]\n");
	}
	expect_limit(&t);
	/* Aliases that nest deeper than text could. */
	buf_addz(&t, "a0: &a0 x\n");
	for (int i = 1; i < YAML_DEPTH_MAX + 2; i++)
		buf_addf(&t, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	expect_limit(&t);
	buf_addz(&t, "? ");
	for (int i = 0; i < YAML_KEY_MAX + 1; i++)
		buf_addc(&t, 'k');
	buf_addz(&t, "\n: 1\n");
	expect_limit(&t);
	while (t.len <= FLAT_TEXT_MAX)
		buf_addz(&t, "# comment\n");
	expect_limit(&t);
	buf_fini(&t);
}

static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t len = 0; len < strlen(cases[i].text); len++) {
			struct buf b = BUF_INIT(65536);

			show(cases[i].text, len, &b);
			buf_fini(&b);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),  cmocka_unit_test(test_utf16),  cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_places), cmocka_unit_test(test_limits), cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
