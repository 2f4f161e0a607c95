/* test_properties.c - .properties files to flat keys. */
#include "test.h"

#include "codec/properties.h"
#include "flat_show.h"

static int show(const char *text, size_t len, bool utf8, struct buf *out)
{
	char *copy = exact_copy(text, len);
	struct arena a;
	struct flat f;
	struct err e = { 0 };
	int r;

	arena_init(&a, 4096);
	flat_init(&f, &a);
	r = properties_read(&f, str_of(copy, len), utf8, &e);
	free(copy);
	if (r < 0)
		buf_addz(out, e.text);
	else
		flat_show(out, &f);
	arena_fini(&a);
	return r;
}

static const struct {
	const char *text;
	bool utf8;
	const char *want;
} cases[] = {
	{ "", false, "" },
	{ "a=1\nb: 2\r\nc 3\rd = x y \n e=\nf", false, "0|a=1\n0|b=2\n0|c=3\n0|d=x y \n0|e=\n0|f=\n" },
	{ "# c\n! c\n\n  \na=#1\n", false, "0|a=#1\n" },
	{ "a=one\\\n   two\\\r\n\tthree\nb\\\n c=1\n", false, "0|a=onetwothree\n0|bc=1\n" },
	{ "a\\ b\\:c\\=d=e\\=f:g\n", false, "0|a b:c=d=e=f:g\n" },
	{ "a=\\t\\n\\x\\\\\\u0041\\uAC00\\ud83d\\ude00\n", false, "0|a=\t\nx\\A\xea\xb0\x80\xf0\x9f\x98\x80\n" },
	{ "a=\xe9\n", false, "0|a=\xc3\xa9\n" },
	{ "a=\xea\xb0\x80\n", true, "0|a=\xea\xb0\x80\n" },
	{ "a=\\\xe9\n", false, "0|a=\xc3\xa9\n" },
	{ "k[]=a,b\\,c, d\nl[]=\n", false, "0|k[0]=a\n0|k[1]=b,c\n0|k[2]= d\n0|l[0]=\n" },
	{ "a=1\n#---\nb=2\n!---\nc=3\n", false, "0|a=1\n1|b=2\n2|c=3\n" },
	{ "#---\n#---\na=1\n", false, "0|a=1\n" },
	{ "a=1\n# x\n#---\nb=2\n", false, "0|a=1\n0|b=2\n" },
	{ "a=1\n#---\n# x\nb=2\n", false, "0|a=1\n0|b=2\n" },
	{ "a=1\n#----\n #---\nb=2\n", false, "0|a=1\n0|b=2\n" },
	{ "a=1\\", false, "0|a=1\n" },
	{ "=v\n", false, "0|=v\n" },
	{ "a=\\u00g0\n", false, "1:7: \\u needs four hex digits" },
	{ "x=1\na=\\ud800\n", false, "2:9: half of a surrogate pair" },
	{ "a=\xc3\n", true, "1:3: invalid UTF-8" },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT(65536);

		show(cases[i].text, strlen(cases[i].text), cases[i].utf8, &b);
		if (!str_eq(buf_str(&b), str_from(cases[i].want)))
			fail_msg("%s\ngot:\n%.*s\nwant:\n%s", cases[i].text, STRF(buf_str(&b)), cases[i].want);
		buf_fini(&b);
	}
}

static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t len = 0; len < strlen(cases[i].text); len++) {
			struct buf b = BUF_INIT(65536);

			show(cases[i].text, len, cases[i].utf8, &b);
			buf_fini(&b);
		}
	}
}

static void test_places_and_hint(void **state)
{
	struct arena a;
	struct flat f;

	arena_init(&a, 4096);
	flat_init(&f, &a);
	assert_int_equal(properties_read(&f, STR("\n  key = value\nk[]=a,b\n"), false, NULL), 0);
	assert_int_equal(f.items[0].line, 2);
	assert_int_equal(f.items[0].col, 9);
	assert_int_equal(f.items[2].col, 7);
	assert_false(f.looks_utf8);
	assert_int_equal(properties_read(&f, STR("a=\xea\xb0\x80\n"), false, NULL), 0);
	assert_true(f.looks_utf8);
	arena_fini(&a);
}

static void test_limits(void **state)
{
	struct buf t = BUF_INIT(FLAT_TEXT_MAX + 100), out = BUF_INIT(1 << 20);

	for (int i = 0; i < 100001; i++)
		buf_addz(&t, "a\n");
	assert_int_equal(show(t.ptr, t.len, false, &out), VINE_ELIMIT);
	assert_str(buf_str(&out), STR("100001:2: more than 100000 keys"));
	buf_clear(&t);
	buf_clear(&out);
	while (t.len <= FLAT_TEXT_MAX)
		buf_addz(&t, "# comment\n");
	assert_int_equal(show(t.ptr, t.len, false, &out), VINE_ELIMIT);
	buf_clear(&t);
	buf_clear(&out);
	while (t.len <= 2u << 20)
		buf_addz(&t, "key-of-no-end");
	assert_int_equal(show(t.ptr, t.len, false, &out), VINE_ELIMIT);
	buf_fini(&t);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_places_and_hint),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
