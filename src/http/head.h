/* head.h - a request's or response's head as spans, the names that HTTP itself cares about, and how a body is framed. */
#pragma once
#include "base/str.h"

enum http_method {
	HTTP_OTHER, /* any other token; its text is in head.method */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_OPTIONS,
	HTTP_TRACE,
	HTTP_CONNECT,
};

/* Names that the parser recognises, so that later steps compare a byte instead of a string. At most 63, so that a set of
 * them is one word; the table behind http_name_of (head.c) has a slot for each. */
enum http_name {
	H_OTHER,
	H_HOST,
	H_CONNECTION,
	H_CONTENT_LENGTH,
	H_TRANSFER_ENCODING,
	H_TE,
	H_TRAILER,
	H_UPGRADE,
	H_KEEP_ALIVE,
	H_PROXY_CONNECTION,
	H_PROXY_AUTHENTICATE,
	H_PROXY_AUTHORIZATION,
	H_EXPECT,
	H_DATE,
	H_SERVER,
	H_VIA,
	H_FORWARDED,
	H_X_FORWARDED_FOR,
	H_X_FORWARDED_HOST,
	H_X_FORWARDED_PROTO,
	H_X_FORWARDED_PORT,
	H_X_FORWARDED_PREFIX,
	H_X_B3_TRACEID,
	H_X_B3_SPANID,
	H_X_B3_PARENTSPANID,
	H_X_B3_SAMPLED,
	H_X_B3_FLAGS,
	H_B3,
	H_TRACEPARENT,
	H_TRACESTATE,
	H_AUTHORIZATION,
	H_COOKIE,
	H_SET_COOKIE,
	H_ACCEPT,
	H_ACCEPT_ENCODING,
	H_CONTENT_TYPE,
	H_CONTENT_ENCODING,
	H_LOCATION,
	H_USER_AGENT,
	H_RETRY_AFTER,
	H_ACCEPT_LANGUAGE,
	H_CACHE_CONTROL,
	H_REFERER,
	H_ORIGIN,
	H_ETAG,
	H_LAST_MODIFIED,
	H_IF_NONE_MATCH,
	H_IF_MODIFIED_SINCE,
	H_VARY,
	H_X_REQUEST_ID,
	H_X_VINE_TIMEOUT_MS,
	H_MAX_FORWARDS,
	H_PRAGMA,
	H_EXPIRES,
	H_NAME_COUNT,
};

#define HEAD_BIT(id) (UINT64_C(1) << (id)) /* in a set of names */

struct hfield {
	struct str name, value; /* value without blanks at its ends */
	uint8_t id;             /* enum http_name */
	uint8_t hop;            /* 1: hop-by-hop, also by being named in Connection: never forwarded */
	uint8_t plain;          /* 1: the line reads "name: value" CRLF, as we would write it: may be copied whole */
};

enum http_body { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };

#define HTTP_FIELDS_MAX 128 /* the most that any limit may allow */

struct http_head {
	/* request */
	struct str method, target;
	enum http_method mid;
	struct str path, query; /* of origin-form and absolute-form targets; query without '?'. See ex_path of http/server.h */
	struct str authority;   /* absolute-form's, else the Host field's value */
	/* response */
	unsigned status;
	struct str reason;
	/* both */
	unsigned minor; /* HTTP/1.minor */
	unsigned nfields;
	enum http_body body;
	uint64_t content_length; /* of BODY_LENGTH; of a HEAD reply what the field said */
	bool keep_alive;         /* by version and Connection field */
	bool expect_continue;
	bool has_upgrade, te_trailers;
	bool has_length; /* a Content-Length field was there */
	uint64_t seen;   /* HEAD_BIT of each name that is there */
	struct hfield *field;
};

static inline bool head_has(const struct http_head *h, enum http_name id)
{
	return h->seen & HEAD_BIT(id);
}

/* The first field of that name, or NULL. */
const struct hfield *head_find(const struct http_head *h, enum http_name id);
const struct hfield *head_find_name(const struct http_head *h, struct str name); /* any case */
struct str head_value(const struct http_head *h, enum http_name id);             /* empty: not there */

enum http_method http_method_of(struct str token);
struct str http_method_name(enum http_method m); /* not for HTTP_OTHER */
static inline bool http_method_is_idempotent(enum http_method m)
{
	return m == HTTP_GET || m == HTTP_HEAD || m == HTTP_PUT || m == HTTP_DELETE || m == HTTP_OPTIONS || m == HTTP_TRACE;
}
uint8_t http_name_of(struct str name); /* enum http_name; any case */
struct str http_name_text(enum http_name id); /* lower case; not for H_OTHER */
struct str http_reason(unsigned status); /* "Not Found"; "Unknown" for what has no name */
extern const bool http_token_byte[256]; /* may the byte stand in a token? */
bool http_is_token(struct str s);
bool http_value_is_clean(struct str s); /* no control bytes but TAB */
/* Is token one of the comma-separated members of value? Any case. */
bool http_list_has(struct str value, struct str token);
