/* head.c - names, methods, reasons, and looking things up in a head. */
#include "http/head.h"

struct known_name {
	struct str name;
	uint8_t id;
};

/* By length, so that a lookup compares only with the few names of its own. */
static const struct known_name known[] = {
	{ STR_INIT("te"), H_TE },
	{ STR_INIT("b3"), H_B3 },
	{ STR_INIT("via"), H_VIA },
	{ STR_INIT("host"), H_HOST },
	{ STR_INIT("date"), H_DATE },
	{ STR_INIT("cookie"), H_COOKIE },
	{ STR_INIT("accept"), H_ACCEPT },
	{ STR_INIT("expect"), H_EXPECT },
	{ STR_INIT("server"), H_SERVER },
	{ STR_INIT("upgrade"), H_UPGRADE },
	{ STR_INIT("trailer"), H_TRAILER },
	{ STR_INIT("location"), H_LOCATION },
	{ STR_INIT("forwarded"), H_FORWARDED },
	{ STR_INIT("connection"), H_CONNECTION },
	{ STR_INIT("keep-alive"), H_KEEP_ALIVE },
	{ STR_INIT("set-cookie"), H_SET_COOKIE },
	{ STR_INIT("user-agent"), H_USER_AGENT },
	{ STR_INIT("x-b3-flags"), H_X_B3_FLAGS },
	{ STR_INIT("tracestate"), H_TRACESTATE },
	{ STR_INIT("retry-after"), H_RETRY_AFTER },
	{ STR_INIT("traceparent"), H_TRACEPARENT },
	{ STR_INIT("x-b3-spanid"), H_X_B3_SPANID },
	{ STR_INIT("content-type"), H_CONTENT_TYPE },
	{ STR_INIT("x-b3-traceid"), H_X_B3_TRACEID },
	{ STR_INIT("x-b3-sampled"), H_X_B3_SAMPLED },
	{ STR_INIT("authorization"), H_AUTHORIZATION },
	{ STR_INIT("content-length"), H_CONTENT_LENGTH },
	{ STR_INIT("accept-encoding"), H_ACCEPT_ENCODING },
	{ STR_INIT("x-forwarded-for"), H_X_FORWARDED_FOR },
	{ STR_INIT("x-forwarded-host"), H_X_FORWARDED_HOST },
	{ STR_INIT("x-forwarded-port"), H_X_FORWARDED_PORT },
	{ STR_INIT("content-encoding"), H_CONTENT_ENCODING },
	{ STR_INIT("proxy-connection"), H_PROXY_CONNECTION },
	{ STR_INIT("transfer-encoding"), H_TRANSFER_ENCODING },
	{ STR_INIT("x-forwarded-proto"), H_X_FORWARDED_PROTO },
	{ STR_INIT("x-b3-parentspanid"), H_X_B3_PARENTSPANID },
	{ STR_INIT("x-forwarded-prefix"), H_X_FORWARDED_PREFIX },
	{ STR_INIT("proxy-authenticate"), H_PROXY_AUTHENTICATE },
	{ STR_INIT("proxy-authorization"), H_PROXY_AUTHORIZATION },
};

/* Where the names of each length begin in known[]; the next entry is their end. */
static const uint8_t first_of_len[] = { 0, 0, 0, 2, 3, 5, 5, 9, 11, 12, 13, 19, 22, 25, 26, 27, 29, 33, 36, 38, 39 };

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

uint8_t http_name_of(struct str name)
{
	if (name.len + 1 >= ARRAY_LEN(first_of_len))
		return H_OTHER;
	for (unsigned i = first_of_len[name.len]; i < first_of_len[name.len + 1]; i++) {
		if (same_lower(name.ptr, known[i].name.ptr, name.len))
			return known[i].id;
	}
	return H_OTHER;
}

static const struct str methods[] = {
	[HTTP_GET] = STR_INIT("GET"),         [HTTP_HEAD] = STR_INIT("HEAD"),   [HTTP_POST] = STR_INIT("POST"),
	[HTTP_PUT] = STR_INIT("PUT"),         [HTTP_DELETE] = STR_INIT("DELETE"), [HTTP_PATCH] = STR_INIT("PATCH"),
	[HTTP_OPTIONS] = STR_INIT("OPTIONS"), [HTTP_TRACE] = STR_INIT("TRACE"), [HTTP_CONNECT] = STR_INIT("CONNECT"),
};

enum http_method http_method_of(struct str token)
{
	for (size_t i = HTTP_GET; i < ARRAY_LEN(methods); i++) {
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
	for (unsigned i = 0; i < h->nfields; i++) {
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
