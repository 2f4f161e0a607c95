/* head.c - names, methods, reasons, and looking things up in a head. */
#include "http/head.h"

/* All lower case, by number. */
static const struct str known[] = {
	[H_HOST] = STR_INIT("host"),
	[H_CONNECTION] = STR_INIT("connection"),
	[H_CONTENT_LENGTH] = STR_INIT("content-length"),
	[H_TRANSFER_ENCODING] = STR_INIT("transfer-encoding"),
	[H_TE] = STR_INIT("te"),
	[H_TRAILER] = STR_INIT("trailer"),
	[H_UPGRADE] = STR_INIT("upgrade"),
	[H_KEEP_ALIVE] = STR_INIT("keep-alive"),
	[H_PROXY_CONNECTION] = STR_INIT("proxy-connection"),
	[H_PROXY_AUTHENTICATE] = STR_INIT("proxy-authenticate"),
	[H_PROXY_AUTHORIZATION] = STR_INIT("proxy-authorization"),
	[H_EXPECT] = STR_INIT("expect"),
	[H_DATE] = STR_INIT("date"),
	[H_SERVER] = STR_INIT("server"),
	[H_VIA] = STR_INIT("via"),
	[H_FORWARDED] = STR_INIT("forwarded"),
	[H_X_FORWARDED_FOR] = STR_INIT("x-forwarded-for"),
	[H_X_FORWARDED_HOST] = STR_INIT("x-forwarded-host"),
	[H_X_FORWARDED_PROTO] = STR_INIT("x-forwarded-proto"),
	[H_X_FORWARDED_PORT] = STR_INIT("x-forwarded-port"),
	[H_X_FORWARDED_PREFIX] = STR_INIT("x-forwarded-prefix"),
	[H_X_B3_TRACEID] = STR_INIT("x-b3-traceid"),
	[H_X_B3_SPANID] = STR_INIT("x-b3-spanid"),
	[H_X_B3_PARENTSPANID] = STR_INIT("x-b3-parentspanid"),
	[H_X_B3_SAMPLED] = STR_INIT("x-b3-sampled"),
	[H_X_B3_FLAGS] = STR_INIT("x-b3-flags"),
	[H_B3] = STR_INIT("b3"),
	[H_TRACEPARENT] = STR_INIT("traceparent"),
	[H_TRACESTATE] = STR_INIT("tracestate"),
	[H_AUTHORIZATION] = STR_INIT("authorization"),
	[H_COOKIE] = STR_INIT("cookie"),
	[H_SET_COOKIE] = STR_INIT("set-cookie"),
	[H_ACCEPT] = STR_INIT("accept"),
	[H_ACCEPT_ENCODING] = STR_INIT("accept-encoding"),
	[H_CONTENT_TYPE] = STR_INIT("content-type"),
	[H_CONTENT_ENCODING] = STR_INIT("content-encoding"),
	[H_LOCATION] = STR_INIT("location"),
	[H_USER_AGENT] = STR_INIT("user-agent"),
	[H_RETRY_AFTER] = STR_INIT("retry-after"),
	[H_ACCEPT_LANGUAGE] = STR_INIT("accept-language"),
	[H_CACHE_CONTROL] = STR_INIT("cache-control"),
	[H_REFERER] = STR_INIT("referer"),
	[H_ORIGIN] = STR_INIT("origin"),
	[H_ETAG] = STR_INIT("etag"),
	[H_LAST_MODIFIED] = STR_INIT("last-modified"),
	[H_IF_NONE_MATCH] = STR_INIT("if-none-match"),
	[H_IF_MODIFIED_SINCE] = STR_INIT("if-modified-since"),
	[H_VARY] = STR_INIT("vary"),
	[H_X_REQUEST_ID] = STR_INIT("x-request-id"),
	[H_X_VINE_TIMEOUT_MS] = STR_INIT("x-vine-timeout-ms"),
	[H_MAX_FORWARDS] = STR_INIT("max-forwards"),
	[H_PRAGMA] = STR_INIT("pragma"),
	[H_EXPIRES] = STR_INIT("expires"),
};

/* One name a slot, so that a lookup compares once. A new name may need other factors: the unit test looks up each of known[]. */
#define NAME_SLOT(len, first, middle, late) (((first) + (middle) * 14u + (late) * 74u + (len) * 50u) % 128)

static const uint8_t name_in_slot[128] = {
	[2] = H_HOST, [3] = H_IF_NONE_MATCH, [4] = H_LAST_MODIFIED, [7] = H_KEEP_ALIVE, [8] = H_REFERER,
	[9] = H_ACCEPT_LANGUAGE, [10] = H_X_B3_FLAGS, [13] = H_CONTENT_TYPE, [16] = H_TE, [22] = H_RETRY_AFTER,
	[23] = H_ORIGIN, [27] = H_CONNECTION, [28] = H_PROXY_CONNECTION, [32] = H_X_FORWARDED_HOST,
	[34] = H_X_FORWARDED_PROTO, [36] = H_X_FORWARDED_FOR, [48] = H_X_B3_PARENTSPANID, [49] = H_AUTHORIZATION,
	[51] = H_EXPIRES, [52] = H_X_B3_SPANID, [53] = H_EXPECT, [54] = H_DATE, [55] = H_IF_MODIFIED_SINCE,
	[60] = H_TRACESTATE, [61] = H_ACCEPT_ENCODING, [62] = H_X_B3_TRACEID, [64] = H_PRAGMA, [65] = H_ETAG,
	[66] = H_TRAILER, [67] = H_COOKIE, [69] = H_SERVER, [78] = H_B3, [82] = H_TRANSFER_ENCODING, [84] = H_VIA,
	[86] = H_X_B3_SAMPLED, [88] = H_X_REQUEST_ID, [90] = H_X_VINE_TIMEOUT_MS, [94] = H_FORWARDED,
	[95] = H_CACHE_CONTROL, [96] = H_PROXY_AUTHORIZATION, [97] = H_CONTENT_LENGTH, [103] = H_SET_COOKIE,
	[105] = H_USER_AGENT, [106] = H_LOCATION, [108] = H_TRACEPARENT, [112] = H_X_FORWARDED_PORT,
	[113] = H_CONTENT_ENCODING, [115] = H_ACCEPT, [116] = H_VARY, [117] = H_MAX_FORWARDS,
	[118] = H_X_FORWARDED_PREFIX, [119] = H_UPGRADE, [126] = H_PROXY_AUTHENTICATE,
};

static uint64_t load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static uint32_t load4(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

#define NAME_MAX_KNOWN 19 /* "proxy-authorization" */
#define LOWER8 0x2020202020202020u
#define LOWER4 0x20202020u

/* Both are tokens, so setting bit 5 changes only letters. Words that overlap make up the length. */
static bool same_lower(const char *any, const char *lower, size_t n)
{
	if (n >= 16) {
		for (size_t i = 0; i + 8 < n; i += 8) {
			if ((load8(any + i) | LOWER8) != load8(lower + i))
				return false;
		}
		return (load8(any + n - 8) | LOWER8) == load8(lower + n - 8);
	}
	if (n >= 8)
		return (load8(any) | LOWER8) == load8(lower) && (load8(any + n - 8) | LOWER8) == load8(lower + n - 8);
	if (n >= 4)
		return (load4(any) | LOWER4) == load4(lower) && (load4(any + n - 4) | LOWER4) == load4(lower + n - 4);
	for (size_t i = 0; i < n; i++) {
		if ((any[i] | 0x20) != lower[i])
			return false;
	}
	return true;
}

static unsigned lower_at(struct str s, size_t i)
{
	return (unsigned char)s.ptr[i] | 0x20u;
}

uint8_t http_name_of(struct str name)
{
	size_t n = name.len;

	if (n < 2 || n > NAME_MAX_KNOWN)
		return H_OTHER;

	uint8_t id = name_in_slot[NAME_SLOT((unsigned)n, lower_at(name, 0), lower_at(name, n / 2), lower_at(name, n * 3 / 4))];

	return known[id].len == n && same_lower(name.ptr, known[id].ptr, n) ? id : H_OTHER;
}

struct str http_name_text(enum http_name id)
{
	assert(id > H_OTHER && id < H_NAME_COUNT);
	return known[id];
}

static const struct str methods[] = {
	[HTTP_GET] = STR_INIT("GET"),         [HTTP_HEAD] = STR_INIT("HEAD"),   [HTTP_POST] = STR_INIT("POST"),
	[HTTP_PUT] = STR_INIT("PUT"),         [HTTP_DELETE] = STR_INIT("DELETE"), [HTTP_PATCH] = STR_INIT("PATCH"),
	[HTTP_OPTIONS] = STR_INIT("OPTIONS"), [HTTP_TRACE] = STR_INIT("TRACE"), [HTTP_CONNECT] = STR_INIT("CONNECT"),
};

enum http_method http_method_of(struct str token)
{
	if (token.len == 3 && memcmp(token.ptr, "GET", 3) == 0)
		return HTTP_GET;
	for (size_t i = HTTP_GET + 1; i < ARRAY_LEN(methods); i++) {
		if (str_eq(token, methods[i]))
			return (enum http_method)i;
	}
	return HTTP_OTHER;
}

struct str http_method_name(enum http_method m)
{
	assert(m > HTTP_OTHER && (size_t)m < ARRAY_LEN(methods));
	return methods[m];
}

struct str http_reason(unsigned status)
{
	static const struct {
		unsigned status;
		struct str text;
	} reasons[] = {
		{ 100, STR_INIT("Continue") },          { 101, STR_INIT("Switching Protocols") },
		{ 103, STR_INIT("Early Hints") },       { 200, STR_INIT("OK") },
		{ 201, STR_INIT("Created") },           { 202, STR_INIT("Accepted") },
		{ 204, STR_INIT("No Content") },        { 206, STR_INIT("Partial Content") },
		{ 301, STR_INIT("Moved Permanently") }, { 302, STR_INIT("Found") },
		{ 303, STR_INIT("See Other") },         { 304, STR_INIT("Not Modified") },
		{ 307, STR_INIT("Temporary Redirect") }, { 308, STR_INIT("Permanent Redirect") },
		{ 400, STR_INIT("Bad Request") },       { 401, STR_INIT("Unauthorized") },
		{ 403, STR_INIT("Forbidden") },         { 404, STR_INIT("Not Found") },
		{ 405, STR_INIT("Method Not Allowed") }, { 406, STR_INIT("Not Acceptable") },
		{ 408, STR_INIT("Request Timeout") },   { 409, STR_INIT("Conflict") },
		{ 411, STR_INIT("Length Required") },   { 413, STR_INIT("Content Too Large") },
		{ 414, STR_INIT("URI Too Long") },      { 415, STR_INIT("Unsupported Media Type") },
		{ 416, STR_INIT("Range Not Satisfiable") }, { 417, STR_INIT("Expectation Failed") },
		{ 421, STR_INIT("Misdirected Request") }, { 422, STR_INIT("Unprocessable Content") },
		{ 425, STR_INIT("Too Early") },         { 428, STR_INIT("Precondition Required") },
		{ 429, STR_INIT("Too Many Requests") }, { 431, STR_INIT("Request Header Fields Too Large") },
		{ 500, STR_INIT("Internal Server Error") }, { 501, STR_INIT("Not Implemented") },
		{ 502, STR_INIT("Bad Gateway") },       { 503, STR_INIT("Service Unavailable") },
		{ 504, STR_INIT("Gateway Timeout") },   { 505, STR_INIT("HTTP Version Not Supported") },
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return STR("Unknown");
}

const struct hfield *head_find(const struct http_head *h, enum http_name id)
{
	for (unsigned i = 0; head_has(h, id) && i < h->nfields; i++) {
		if (h->field[i].id == id)
			return &h->field[i];
	}
	return NULL;
}

const struct hfield *head_find_name(const struct http_head *h, struct str name)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		if (str_eq_nocase(h->field[i].name, name))
			return &h->field[i];
	}
	return NULL;
}

struct str head_value(const struct http_head *h, enum http_name id)
{
	const struct hfield *f = head_find(h, id);

	return f ? f->value : STR_EMPTY;
}

const bool http_token_byte[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
	['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

bool http_is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!http_token_byte[(unsigned char)s.ptr[i]])
			return false;
	}
	return s.len > 0;
}

bool http_value_is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

bool http_list_has(struct str value, struct str token)
{
	struct str piece;

	while (str_cut(&value, ',', &piece)) {
		if (str_eq_nocase(str_trim(piece), token))
			return true;
	}
	return false;
}
