/* test_url.c - URLs, percent coding, query parameters, base64. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/base64.h"
#include "codec/url.h"

static void test_split(void **state)
{
	static const struct {
		const char *text, *want; /* "secure|user|host|port|path|query", or NULL: refused */
	} cases[] = {
		{ "http://h", "0||h|80|/|" },
		{ "HTTPS://u:p@Host.example:8443/a/b?x=1&y#frag", "1|u:p|Host.example|8443|/a/b|x=1&y" },
		{ "http://[::1]:8761/eureka/", "0||::1|8761|/eureka/|" },
		{ "http://h?q", "0||h|80|/|q" },
		{ "http://h#f?x", "0||h|80|/|" },
		{ "http://a@b@c/", "0|a@b|c|80|/|" },
		{ "ftp://h", NULL },
		{ "http:/h", NULL },
		{ "http://", NULL },
		{ "http://:80/", NULL },
		{ "http://h:0/", NULL },
		{ "http://h:65536/", NULL },
		{ "http://h:/", NULL },
		{ "http://h:8x/", NULL },
		{ "http://[::1/", NULL },
		{ "http://[::1]x/", NULL },
		{ "http://[zz]/", NULL },
		{ "http://h /", NULL },
		{ "http://h/\r\n", NULL },
		{ "http://a\"b/", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct url u;
		char got[256] = "";
		struct err e;
		int r = url_split(&u, str_from(cases[i].text), &e);

		if (r == 0)
			snprintf(got, sizeof(got), "%d|%.*s|%.*s|%u|%.*s|%.*s", u.secure, STRF(u.userinfo), STRF(u.host), u.port,
				 STRF(u.path), STRF(u.query));
		if (cases[i].want ? strcmp(got, cases[i].want) != 0 : r != VINE_EINVAL)
			fail_msg("%s: got %d %s", cases[i].text, r, r ? e.text : got);
	}
}

/* Cut anywhere, no byte behind the end is looked at. */
static void test_truncated(void **state)
{
	static const char text[] = "https://u:p@[fe80::1]:8443/a%20b/c?x=%41+b&y=2#frag";

	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1);
		struct str s = str_of(copy, len), n, v;
		struct arena a;
		struct url u;

		memcpy(copy, text, len);
		arena_init(&a, 256);
		if (url_split(&u, s, NULL) == 0) {
			url_decode(&a, u.path, false, &v);
			while (url_next_param(&u.query, &n, &v))
				url_decode(&a, v, true, &v);
		}
		url_decode(&a, s, true, &v);
		arena_fini(&a);
		free(copy);
	}
}

static void test_long(void **state)
{
	struct buf b = BUF_INIT(URL_MAX * 2);
	struct url u;

	buf_addz(&b, "http://");
	while (b.len < 7 + 256)
		buf_addc(&b, 'h');
	assert_int_equal(url_split(&u, buf_str(&b), NULL), VINE_ELIMIT);
	while (b.len <= URL_MAX)
		buf_addc(&b, '/');
	assert_int_equal(url_split(&u, buf_str(&b), NULL), VINE_ELIMIT);
	buf_fini(&b);
}

static void test_decode(void **state)
{
	static const struct {
		const char *in;
		bool plus;
		const char *want;
	} cases[] = {
		{ "plain", false, "plain" }, { "a%20b+c", false, "a b+c" }, { "a%20b+c", true, "a b c" }, { "%ea%B0%80", true, "\xea\xb0\x80" },
		{ "%", false, NULL },	     { "%4", false, NULL },	    { "%4g", false, NULL },	  { "x%2", true, NULL },
	};
	struct arena a;

	arena_init(&a, 1024);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got = STR("untouched");
		bool ok = url_decode(&a, str_from(cases[i].in), cases[i].plus, &got);

		assert_int_equal(ok, cases[i].want != NULL);
		assert_str(got, ok ? str_from(cases[i].want) : STR("untouched"));
	}
	arena_fini(&a);
}

static void test_params(void **state)
{
	struct str q = STR("&a=1&&b&c=x%3Dy+z&a=2&%61=3"), n, v;
	struct arena a;
	unsigned count = 0;

	arena_init(&a, 1024);
	assert_true(url_param(&a, q, STR("a"), &v));
	assert_str(v, STR("1"));
	assert_true(url_param(&a, q, STR("b"), &v));
	assert_str(v, STR(""));
	assert_true(url_param(&a, q, STR("c"), &v));
	assert_str(v, STR("x=y z"));
	assert_false(url_param(&a, q, STR("d"), &v));
	assert_true(url_param(&a, STR("%61=3"), STR("a"), &v));
	while (url_next_param(&q, &n, &v))
		count++;
	assert_int_equal(count, 5);
	arena_fini(&a);
}

static void test_encode(void **state)
{
	struct buf b = BUF_INIT(100);

	url_encode_segment(&b, STR("a/b c~\xea\xb0\x80"));
	assert_str(buf_str(&b), STR("a%2Fb%20c~%EA%B0%80"));
	buf_fini(&b);
}

static void test_base64(void **state)
{
	static const struct {
		const char *text, *b64;
	} same[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" },
	};
	static const char *const bad[] = { "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9v\n", "_-79", "Zg==Zg==", "=" };
	struct buf b = BUF_INIT(100);

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		buf_clear(&b);
		base64_encode(&b, str_from(same[i].text), BASE64_STD);
		assert_str(buf_str(&b), str_from(same[i].b64));
		buf_clear(&b);
		assert_int_equal(base64_decode(&b, str_from(same[i].b64), BASE64_STD), 0);
		assert_str(buf_str(&b), str_from(same[i].text));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_clear(&b);
		buf_addc(&b, 'x');
		if (base64_decode(&b, str_from(bad[i]), BASE64_STD) != VINE_EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_str(buf_str(&b), STR("x"));
	}
	buf_clear(&b);
	base64_encode(&b, STR("\xff\xfe\xfd\xff"), BASE64_URL);
	assert_str(buf_str(&b), STR("__79_w"));
	buf_clear(&b);
	assert_int_equal(base64_decode(&b, STR("__79_w"), BASE64_URL), 0);
	assert_int_equal(base64_decode(&b, STR("__79_w=="), BASE64_URL), 0);
	assert_str(buf_str(&b), STR("\xff\xfe\xfd\xff\xff\xfe\xfd\xff"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),  cmocka_unit_test(test_truncated), cmocka_unit_test(test_long),   cmocka_unit_test(test_decode),
		cmocka_unit_test(test_params), cmocka_unit_test(test_encode), cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
