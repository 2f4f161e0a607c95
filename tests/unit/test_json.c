/* test_json.c - the JSON reader against a table and against jansson, and the writer. */
#include "test.h"

#include <math.h>
#include <stdio.h>

#include <jansson.h>

#include "base/rng.h"
#include "codec/json.h"

/* Reads the whole text through the token level; 0 or the error. */
static int read_all(struct str text, unsigned depth, struct err *e)
{
	struct json j;
	struct arena a;
	int r;

	arena_init(&a, 512);
	json_init(&j, text, depth, &a);
	for (enum json_kind k = json_next(&j); k != JT_END && k != JT_ERROR; k = json_next(&j))
		if (k == JT_KEY || k == JT_STRING)
			json_decoded(&j);
	r = json_finish(&j, e);
	arena_fini(&a);
	return r;
}

/* A heap copy of exactly the text's size, so that the sanitizer sees a byte read too much. */
static int read_copy(struct str text, size_t len, struct err *e)
{
	char *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, text.ptr, len);
	r = read_all(str_of(copy, len), 64, e);
	free(copy);
	return r;
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error; /* NULL: fine */
	} cases[] = {
		{ "{}", NULL },
		{ " [ ] ", NULL },
		{ "\"x\"", NULL },
		{ "-0.5e+3", NULL },
		{ "{\"a\":[1,2,{\"b\":null}],\"c\":true}", NULL },
		{ "\"\\ud83d\\ude00 \\u0000 \xf0\x9f\x98\x80\"", NULL },
		{ "", "1:1: the text ends too early" },
		{ "\n {", "2:3: the text ends too early" },
		{ "{\"a\" 1}", "1:6: expected ':'" },
		{ "{\"a\":1,}", "1:8: expected a key in quotes" },
		{ "{a:1}", "1:2: expected a key in quotes" },
		{ "[1,]", "1:4: expected a value" },
		{ "[1 2]", "1:4: expected ',' or ']'" },
		{ "{\"a\":1]", "1:7: expected ',' or '}'" },
		{ "[1}", "1:3: expected ',' or ']'" },
		{ "]", "1:1: expected a value" },
		{ "01", "1:1: a number with a leading zero" },
		{ "-", "1:1: expected a value" },
		{ "+1", "1:1: expected a value" },
		{ "1.", "1:1: a number needs digits after its point" },
		{ "1e", "1:1: a number needs digits in its exponent" },
		{ "1 1", "1:3: text after the value" },
		{ "nul", "1:1: expected a value" },
		{ "nullx", "1:5: text after the value" },
		{ "\"a", "1:3: the string does not end" },
		{ "\"\\", "1:3: the string does not end" },
		{ "\"\\x\"", "1:2: unknown escape" },
		{ "\"\\u12g4\"", "1:2: \\u needs four hex digits" },
		{ "\"\\ud800\"", "1:2: half of a surrogate pair" },
		{ "\"\\udc00\\ud800\"", "1:2: half of a surrogate pair" },
		{ "\"\\ud800\\u0041\"", "1:2: half of a surrogate pair" },
		{ "\"a\tb\"", "1:3: control byte in a string" },
		{ "\"\xc0\xaf\"", "1:2: invalid UTF-8" },
		{ "\"\xed\xa0\x80\"", "1:2: invalid UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "1:2: invalid UTF-8" },
		{ "\"\xe2\x82\"", "1:2: invalid UTF-8" },
		{ "\xef\xbb\xbf{}", "1:1: expected a value" },
		{ "// no\n1", "1:1: expected a value" },
		{ "NaN", "1:1: expected a value" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };
		struct str text = str_from(cases[i].text);
		int r = read_copy(text, text.len, &e);

		if (r != (cases[i].error ? VINE_EINVAL : 0) || (cases[i].error && strcmp(e.text, cases[i].error) != 0))
			fail_msg("%s: got %d \"%s\"", cases[i].text, r, e.text);
	}
}

static void test_depth(void **state)
{
	char text[JSON_DEPTH_MAX * 2 + 8];
	struct err e;

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	assert_int_equal(read_all(str_of(text, 128), 64, &e), 0);
	assert_int_equal(read_all(str_of(text, 128), 63, &e), VINE_ELIMIT);
	assert_string_equal(e.text, "1:64: nested too deep");

	/* A caller that asks for more than there is gets what there is. */
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(read_all(str_of(text, 2 * JSON_DEPTH_MAX + 2), 1u << 30, &e), VINE_ELIMIT);
}

static void test_string_limit(void **state)
{
	struct json j;
	struct str s;

	json_init(&j, STR("[\"12345\",\"1234567890123456789\"]"), 4, NULL);
	j.max_string = 5;
	assert_true(json_enter_array(&j));
	assert_true(json_next_item(&j) && json_str(&j, &s));
	assert_true(json_next_item(&j));
	assert_false(json_str(&j, &s));
	assert_int_equal(json_finish(&j, NULL), VINE_ELIMIT);
}

static const char instance[] =
	"{\"instance\":{\"hostName\":\"h\\u00e9\\n1\",\"port\":{\"$\":\"7001\",\"@enabled\":\"true\"},\"x\":[1,[2,{}],\"]\"],"
	"\"lease\":3.0,\"big\":18446744073709551615,\"neg\":-9223372036854775808,\"half\":0.5,\"none\":null,\"status\":true,"
	"\"tags\":[\"a\",\"b\",\"c\"],\"last\":\"end\"}}";

struct seen {
	struct str host, last, raw, status, tags[4];
	uint64_t port, lease, big, half;
	int64_t neg;
	double d;
	bool enabled, got_none, got_half;
	unsigned ntags;
};

static void read_port(struct json *j, struct seen *s)
{
	struct str key;

	if (json_enter_object(j)) {
		while (json_next_key(j, &key)) {
			if (str_eq(key, STR("$")))
				json_u64(j, &s->port);
			else if (str_eq(key, STR("@enabled")))
				json_bool(j, &s->enabled);
		}
	}
}

static void read_members(struct json *j, struct seen *s)
{
	struct str key, none;

	while (json_next_key(j, &key)) {
		if (str_eq(key, STR("hostName")))
			json_str(j, &s->host);
		else if (str_eq(key, STR("port")))
			read_port(j, s);
		else if (str_eq(key, STR("x")))
			json_raw(j, &s->raw);
		else if (str_eq(key, STR("lease")))
			json_u64(j, &s->lease);
		else if (str_eq(key, STR("big")))
			json_u64(j, &s->big);
		else if (str_eq(key, STR("neg")))
			json_i64(j, &s->neg);
		else if (str_eq(key, STR("half")))
			s->got_half = json_u64(j, &s->half);
		else if (str_eq(key, STR("none")))
			s->got_none = json_str(j, &none);
		else if (str_eq(key, STR("status")))
			json_str(j, &s->status);
		else if (str_eq(key, STR("tags")) && json_enter_array(j))
			while (json_next_item(j))
				s->ntags += json_str(j, &s->tags[s->ntags & 3]);
		else if (str_eq(key, STR("last")))
			json_str(j, &s->last);
	}
}

static int read_instance(struct str text, struct arena *a, struct seen *s)
{
	struct json j;
	struct str key;

	json_init(&j, text, 16, a);
	if (json_enter_object(&j))
		while (json_next_key(&j, &key))
			if (str_eq(key, STR("instance")) && json_enter_object(&j))
				read_members(&j, s);
	return json_finish(&j, NULL);
}

static void test_decoder(void **state)
{
	struct arena a;
	struct seen s = { 0 };

	arena_init(&a, 256);
	assert_int_equal(read_instance(str_from(instance), &a, &s), 0);
	assert_str(s.host, STR("h\xc3\xa9\n1"));
	assert_str(s.last, STR("end"));
	assert_str(s.raw, STR("[1,[2,{}],\"]\"]"));
	assert_str(s.status, STR("true"));
	assert_int_equal(s.port, 7001);
	assert_int_equal(s.lease, 3);
	assert_true(s.big == UINT64_MAX && s.neg == INT64_MIN);
	assert_true(s.enabled && !s.got_none && !s.got_half);
	assert_int_equal(s.ntags, 3);
	assert_str(s.tags[2], STR("c"));
	arena_fini(&a);
}

/* Cut anywhere, the decoder ends with an error and reads no byte behind the end. */
static void test_truncated(void **state)
{
	for (size_t len = 0; len < sizeof(instance) - 1; len++) {
		char *copy = malloc(len ? len : 1);
		struct seen s = { 0 };
		struct arena a;

		arena_init(&a, 256);
		memcpy(copy, instance, len);
		assert_int_equal(read_instance(str_of(copy, len), &a, &s), VINE_EINVAL);
		assert_int_equal(read_copy(str_from(instance), len, NULL), VINE_EINVAL);
		arena_fini(&a);
		free(copy);
	}
}

/* A reader of the wrong kind consumes the value and leaves the reader in step. */
static void test_wrong_kinds(void **state)
{
	struct json j;
	struct str key, s = STR("was");
	uint64_t u = 7;
	double d = 7;
	bool b = true;

	json_init(&j, STR("{\"a\":{\"x\":[1]},\"b\":[{}],\"c\":\"q\",\"d\":-1,\"e\":1e999,\"f\":2,\"g\":3,\"\\u0068\":4}"), 8, NULL);
	assert_true(json_enter_object(&j));
	assert_true(json_next_key(&j, &key) && !json_u64(&j, &u));
	assert_true(json_next_key(&j, &key) && !json_enter_object(&j));
	assert_false(json_str(&j, &s)); /* nothing is due */
	json_skip(&j);
	assert_true(json_next_key(&j, &key) && !json_bool(&j, &b));
	assert_true(json_next_key(&j, &key) && !json_u64(&j, &u));
	assert_true(json_next_key(&j, &key) && !json_double(&j, &d));
	assert_true(json_next_key(&j, &key)); /* not read: skipped by the next */
	assert_true(json_next_key(&j, &key));
	assert_str(key, STR("g"));
	assert_true(json_peek(&j) == JT_NUMBER && json_u64(&j, &u) && u == 3);
	assert_true(b && d == 7);
	assert_str(s, STR("was"));
	assert_false(json_next_key(&j, &key)); /* an escape, and no arena to decode it in */
	assert_int_equal(json_finish(&j, NULL), VINE_EINVAL);
}

static void test_fail(void **state)
{
	struct json j;
	struct str key;
	struct err e;

	json_init(&j, STR("{\"a\":1,\n\"b\":2}"), 8, NULL);
	assert_true(json_enter_object(&j) && json_next_key(&j, &key));
	json_skip(&j);
	json_fail(&j, "not this one");
	assert_false(json_next_key(&j, &key));
	assert_int_equal(json_finish(&j, &e), VINE_EINVAL);
	assert_string_equal(e.text, "1:7: not this one");
}

/* Copies what the reader sees into the writer: any valid text must come out with the same meaning. */
static void copy_tokens(struct json *j, struct jsonw *w)
{
	for (;;) {
		switch (json_next(j)) {
		case JT_OBJECT:
			jsonw_object(w);
			break;
		case JT_OBJECT_END:
			jsonw_object_end(w);
			break;
		case JT_ARRAY:
			jsonw_array(w);
			break;
		case JT_ARRAY_END:
			jsonw_array_end(w);
			break;
		case JT_KEY:
			jsonw_key(w, json_decoded(j));
			break;
		case JT_STRING:
			jsonw_str(w, json_decoded(j));
			break;
		case JT_NUMBER:
			jsonw_raw(w, j->span);
			break;
		case JT_TRUE:
			jsonw_bool(w, true);
			break;
		case JT_FALSE:
			jsonw_bool(w, false);
			break;
		case JT_NULL:
			jsonw_null(w);
			break;
		default:
			return;
		}
	}
}

static bool has_equal_keys(const char *text, size_t len)
{
	json_t *t = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	json_decref(t);
	return t == NULL;
}

/* One text through both: same verdict, and what we write back reads the same. */
static void compare(const char *text, size_t len)
{
	json_error_t why = { 0 };
	json_t *want = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why), *got;
	struct arena a;
	struct buf b = BUF_INIT(1 << 20);
	struct json j;
	struct jsonw w;
	int r;

	arena_init(&a, 1024);
	json_init(&j, str_of(text, len), 64, &a);
	jsonw_init(&w, &b);
	copy_tokens(&j, &w);
	r = json_finish(&j, NULL);
	if (want && r != 0)
		fail_msg("refused: %.*s (%s)", (int)len, text, j.reason);
	/* jansson also refuses NUL in keys and numbers that overflow; the grammar allows both. */
	if (!want && r == 0 && json_error_code(&why) != json_error_numeric_overflow &&
	    json_error_code(&why) != json_error_null_byte_in_key)
		fail_msg("accepted: %.*s (%s)", (int)len, text, why.text);
	if (want && !has_equal_keys(text, len)) {
		got = json_loadb(b.ptr, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (!got || !json_equal(want, got))
			fail_msg("%.*s came back as %.*s", (int)len, text, STRF(buf_str(&b)));
		json_decref(got);
	}
	json_decref(want);
	buf_fini(&b);
	arena_fini(&a);
}

static void test_against_jansson(void **state)
{
	static const char *const seeds[] = {
		instance,
		"[1,-0,0.5,1e5,-2.5E-3,true,false,null,\"\",[],{}]",
		"{\"k\":\"a long string that takes more than one step of sixteen bytes\",\"e\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
		"[\"\\ud83d\\ude00\",\"\xf0\x9f\x98\x80\",\"\xea\xb0\x80\xeb\x82\x98\",\"\\uac00\"]",
		"\"one\"",
	};
	static const char bytes[] = "{}[]\",:0123456789eE+-.truefalsn\\u\x80\xc3\xed\xff\t \n";
	struct rng r;

	rng_seed(&r, 7);
	for (unsigned round = 0; round < 20000; round++) {
		const char *seed = seeds[rng_below(&r, ARRAY_LEN(seeds))];
		size_t len = strlen(seed);
		char *text = malloc(len);

		memcpy(text, seed, len);
		for (uint64_t n = rng_below(&r, 3); n > 0; n--)
			text[rng_below(&r, len)] = bytes[rng_below(&r, sizeof(bytes) - 1)];
		compare(text, len);
		free(text);
	}
}

static void test_writer(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("s"), STR("a/b\"\\\n\x01\xea\xb0\x80 and a run of more than sixteen bytes"));
	jsonw_key_str(&w, STR("bad"), STR("x\xffy\xe2\x82"));
	jsonw_key_i64(&w, STR("i"), INT64_MIN);
	jsonw_key_u64(&w, STR("u"), UINT64_MAX);
	jsonw_key(&w, STR("l"));
	jsonw_array(&w);
	jsonw_double(&w, 12);
	jsonw_double(&w, 0.1);
	jsonw_double(&w, -1e300);
	jsonw_double(&w, (double)NAN);
	jsonw_array(&w);
	jsonw_array_end(&w);
	jsonw_null(&w);
	jsonw_raw(&w, STR("{}"));
	jsonw_array_end(&w);
	jsonw_key_bool(&w, STR("t"), true);
	jsonw_key_double(&w, STR("d"), 1.0 / 3);
	jsonw_object_end(&w);
	assert_str(buf_str(&b), STR("{\"s\":\"a/b\\\"\\\\\\n\\u0001\xea\xb0\x80 and a run of more than sixteen bytes\","
				    "\"bad\":\"x\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\",\"i\":-9223372036854775808,"
				    "\"u\":18446744073709551615,\"l\":[12.0,0.1,-1e+300,null,[],null,{}],\"t\":true,"
				    "\"d\":0.3333333333333333}"));
	assert_int_equal(read_all(buf_str(&b), 8, NULL), 0);
	buf_fini(&b);

	/* What does not fit is seen at the end. */
	buf_init(&b, 8);
	jsonw_init(&w, &b);
	jsonw_str(&w, STR("longer than that"));
	assert_true(b.failed);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),    cmocka_unit_test(test_depth),       cmocka_unit_test(test_string_limit),
		cmocka_unit_test(test_decoder),   cmocka_unit_test(test_truncated),   cmocka_unit_test(test_wrong_kinds),
		cmocka_unit_test(test_fail),      cmocka_unit_test(test_against_jansson), cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
