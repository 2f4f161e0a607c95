/* json.h - a JSON pull reader without a tree, and a writer into a buf.
 *
 * Reading an object:
 *
 *	struct json j;
 *	struct str key;
 *
 *	json_init(&j, body, 32, arena);
 *	if (json_enter_object(&j))
 *		while (json_next_key(&j, &key)) {
 *			if (str_eq(key, STR("port")))
 *				json_u64(&j, &port);
 *			else if (str_eq(key, STR("tags")) && json_enter_array(&j))
 *				while (json_next_item(&j))
 *					json_str(&j, &tag);
 *		}
 *	return json_finish(&j, e);
 *
 * An error sticks: from then on every call returns false, JT_ERROR or nothing, so that json_finish is the one check.
 * A value that the decoder does not read is skipped by the next json_next_key or json_next_item. The readers of a value
 * consume it whatever it is, also when they return false (json_enter_* too, where the value is of another kind); called
 * where no value is due they return false and do nothing. An object or array that was entered must be read to its end.
 *
 * Strict RFC 8259: UTF-8 is validated, lone surrogates are refused, \u0000 is accepted, a byte order mark is not. Equal
 * keys in one object are all handed out. Strings without escapes are spans of the input; those with escapes are decoded
 * into the arena, where they need no more room than in the input. The length of the text is its giver's to limit. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 512

enum json_kind {
	JT_END, /* the one top-level value has been read */
	JT_OBJECT,
	JT_OBJECT_END,
	JT_ARRAY,
	JT_ARRAY_END,
	JT_KEY,
	JT_STRING,
	JT_NUMBER,
	JT_TRUE,
	JT_FALSE,
	JT_NULL,
	JT_ERROR,
};

struct json {
	const char *start, *p, *end;
	struct arena *arena;
	enum json_kind kind; /* of the last token */
	struct str span;     /* of the last token: as written, strings and keys without their quotes */
	bool escaped;        /* the last string or key holds escapes */
	uint8_t state;
	unsigned depth, max_depth;
	size_t max_string;   /* bytes of a string as written; 16 MiB unless set after json_init */
	const char *reason;  /* of the error; NULL: none so far */
	const char *error_at;
	int code;
	uint64_t is_object[JSON_DEPTH_MAX / 64];
};

/* arena may be NULL if only tokens and spans are used: a decoded string is then an error. */
void json_init(struct json *j, struct str text, unsigned max_depth, struct arena *arena);

/* The next token; its span and kind are in j until the next call. */
enum json_kind json_next(struct json *j);
/* What the next value is, nothing consumed: JT_TRUE for both booleans; JT_ERROR if no value
 * is due here. */
enum json_kind json_peek(struct json *j);
/* The last token, a string or key, decoded. */
struct str json_decoded(struct json *j);

/* Readers of one value. True if the value is what was asked for; *ret is written only then. Numbers may come as strings
 * ("8080") and strings as numbers or booleans (as written), as Java's readers accept them; null is false everywhere. */
bool json_str(struct json *j, struct str *ret);
bool json_u64(struct json *j, uint64_t *ret); /* 3.0 and 3e2 count as integers, 3.5 does not */
bool json_i64(struct json *j, int64_t *ret);
bool json_double(struct json *j, double *ret);
bool json_bool(struct json *j, bool *ret);
bool json_raw(struct json *j, struct str *ret); /* any value, as written */
void json_skip(struct json *j);
bool json_enter_object(struct json *j);
bool json_enter_array(struct json *j);

bool json_next_key(struct json *j, struct str *key); /* inside an object; false: it ended */
bool json_next_item(struct json *j);                 /* inside an array: a value follows; false: it ended */

/* Lets a decoder refuse what it read: reason must be a literal. */
void json_fail(struct json *j, const char *reason);
static inline bool json_failed(const struct json *j)
{
	return j->reason != NULL;
}
/* Checks that nothing but blanks follows; 0, or the error as "line:column: reason". Columns count bytes from 1. */
int json_finish(struct json *j, struct err *e);

/* The writer: commas come by themselves; '/' and what is not ASCII are written as they are; bytes that are no UTF-8 become
 * U+FFFD. Whether all of it fitted, the buf says (failed). Calling in an order that makes no JSON is the caller's bug. */
struct jsonw {
	struct buf *b;
	bool comma;
	unsigned depth;
};

static inline void jsonw_init(struct jsonw *w, struct buf *b)
{
	*w = (struct jsonw){ .b = b };
}

void jsonw_object(struct jsonw *w);
void jsonw_object_end(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_array_end(struct jsonw *w);
void jsonw_key(struct jsonw *w, struct str key);
void jsonw_key_plain(struct jsonw *w, struct str key); /* the programmer's own: nothing in it needs an escape */
void jsonw_str(struct jsonw *w, struct str s);
void jsonw_i64(struct jsonw *w, int64_t v);
void jsonw_u64(struct jsonw *w, uint64_t v);
void jsonw_double(struct jsonw *w, double v); /* shortest that reads back the same; 12.0 for 12; null for NaN, infinity */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct str json); /* a whole value that is JSON already */

/* Members of an object: key and value in one call. */
void jsonw_key_str(struct jsonw *w, struct str key, struct str v);
void jsonw_key_i64(struct jsonw *w, struct str key, int64_t v);
void jsonw_key_u64(struct jsonw *w, struct str key, uint64_t v);
void jsonw_key_double(struct jsonw *w, struct str key, double v);
void jsonw_key_bool(struct jsonw *w, struct str key, bool v);

/* A quoted, escaped string, without the writer's commas. */
void json_quote(struct buf *b, struct str s);
