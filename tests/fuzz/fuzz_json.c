/* fuzz_json.c - the JSON reader beside jansson, and its strings written and read again. */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "codec/json.h"

#define DEPTH 64

/* Reads all tokens; decoded strings are written out and must read back as the same. */
static void round_trip(struct str s, struct arena *a)
{
	struct buf b = BUF_INIT(1 << 20);
	struct json j;
	struct str back;

	json_quote(&b, s);
	json_init(&j, buf_str(&b), 4, a);
	PROMISE(json_str(&j, &back) && str_eq(s, back));
	PROMISE(json_finish(&j, NULL) == 0);
	buf_fini(&b);
}

static bool walk(struct str text)
{
	struct arena a, scratch;
	struct json j;
	struct err e = { 0 };

	arena_init(&a, 1024);
	arena_init(&scratch, 1024);
	json_init(&j, text, DEPTH, &a);
	for (;;) {
		enum json_kind k = json_next(&j);

		if (k == JT_END || k == JT_ERROR)
			break;
		PROMISE(j.span.len == 0 || (j.span.ptr >= text.ptr && j.span.ptr + j.span.len <= text.ptr + text.len));
		if (k == JT_STRING || k == JT_KEY) {
			struct str s = json_decoded(&j);

			if (!json_failed(&j)) {
				round_trip(s, &scratch);
				arena_reset(&scratch);
			}
		}
	}

	int r = json_finish(&j, &e);

	PROMISE(r == 0 || (e.code == r && e.text[0]));
	arena_fini(&a);
	arena_fini(&scratch);
	return r == 0;
}

/* The readers of values never loop nor read past the end, whatever they are asked for. */
static void ask(struct str text)
{
	struct arena a;
	struct json j;
	struct str key, s;
	uint64_t u;
	double d;
	bool b;

	arena_init(&a, 1024);
	json_init(&j, text, DEPTH, &a);
	if (json_enter_object(&j))
		for (unsigned i = 0; json_next_key(&j, &key); i++)
			switch (i % 6) {
			case 0: json_str(&j, &s); break;
			case 1: json_u64(&j, &u); break;
			case 2: json_double(&j, &d); break;
			case 3: json_bool(&j, &b); break;
			case 4: json_raw(&j, &s); break;
			default:
				if (json_enter_array(&j))
					while (json_next_item(&j))
						json_str(&j, &s);
			}
	json_finish(&j, NULL);
	arena_fini(&a);
}

/* More than DEPTH opening brackets: it may be nested deeper than our limit. */
static bool is_deep(struct str text)
{
	unsigned n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += text.ptr[i] == '[' || text.ptr[i] == '{';
	return n > DEPTH;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_of((const char *)data, size);
	bool ours = walk(text);
	json_error_t why;
	json_t *theirs = json_loadb(text.ptr ? text.ptr : "", size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);

	/* jansson holds numbers as long and double, and refuses those that do not fit, and keys with a NUL; it knows no limit of 64 levels. */
	if (ours && !theirs) {
		enum json_error_code code = json_error_code(&why);

		PROMISE(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
	}
	if (theirs && !ours && str_chr(text, '\0') < 0) /* a NUL byte ends the text for jansson */
		PROMISE(is_deep(text));
	json_decref(theirs);
	ask(text);
	return 0;
}
