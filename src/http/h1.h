/* h1.h - HTTP/1 framing: strict, without I/O, without memory of its own.
 *
 * Heads are parsed in one piece of memory; the fields of a head are spans of it. A head that is not complete yet is asked
 * about again when more bytes are there (only if a line feed is among them, so that a dribbling peer costs little). What
 * RFC 9112 lets a recipient tolerate is refused where tolerance has been used for smuggling: bare LF, obs-fold, a blank
 * before the colon, Content-Length beside Transfer-Encoding, anything but one final "chunked".
 *
 * Sources: RFC 9110, RFC 9112; spec section 3 of the gateway paper. */
#pragma once
#include "base/buf.h"
#include "http/head.h"

/* Field names with `_` in a request. Who maps names to variables (CGI, WSGI) takes X_Forwarded_For for X-Forwarded-For. */
enum h1_underscore { H1_UNDERSCORE_KEEP, H1_UNDERSCORE_DROP, H1_UNDERSCORE_REJECT };

struct h1_limits {
	uint32_t head_bytes; /* whole head; past it 431, or 414 while still in the request line */
	uint16_t fields;     /* past it 431; at most HTTP_FIELDS_MAX */
	uint8_t underscore;  /* enum h1_underscore; requests only */
	bool bare_lf;        /* a bare LF ends a line of a request's head as CRLF does; never in chunk framing */
};

#define H1_LIMITS_DEFAULT ((struct h1_limits){ .head_bytes = 32 * 1024, .fields = 100 })

struct h1_result {
	int status;      /* 0: fine or incomplete; else the status to answer (400, 414, 431, 501, 505; responses: 502) */
	size_t len;      /* bytes of the head with its empty line; 0: incomplete */
	const char *why; /* of a refusal: "bare line feed", "content-length with transfer-encoding"; static */
};

/* fields: room for limits.fields entries. Leading CRLFs before a request line are skipped and counted in len. */
struct h1_result h1_parse_request(struct http_head *h, struct hfield *fields, const char *p, size_t n,
				  const struct h1_limits *limits);
/* method: of the request that is answered (HEAD and CONNECT change the framing). */
struct h1_result h1_parse_response(struct http_head *h, struct hfield *fields, const char *p, size_t n,
				   const struct h1_limits *limits, enum http_method method);

/* Moves all spans of a head from one place to another where the same bytes stand. */
void head_rebase(struct http_head *h, const char *from, const char *to);

/* --- body --- */

enum h1_chunk_state { CHUNK_SIZE, CHUNK_EXT, CHUNK_SIZE_LF, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF, CHUNK_TRAILER, CHUNK_DONE };

struct h1_body {
	enum http_body kind;
	uint64_t left; /* BODY_LENGTH: bytes to come; BODY_CHUNKED: of this chunk */
	uint8_t state; /* enum h1_chunk_state */
	uint8_t digits;
	uint32_t ext, trailer_bytes; /* so far, against their limits */
	struct buf *trailers; /* their lines, each with CRLF, are added here; NULL: read over */
	uint8_t line;  /* trailer: what the line holds so far */
};

#define H1_CHUNK_EXT_MAX 256
#define H1_TRAILER_MAX 4096

enum h1_step { H1_MORE, H1_PIECE, H1_END, H1_BAD };

void h1_body_init(struct h1_body *b, const struct http_head *h);
bool h1_body_is_done(const struct h1_body *b);
/* Takes input from *in: H1_PIECE gives a span of it in *piece; H1_END: the body is complete, *in is what follows it;
 * H1_MORE: all of *in is used up; H1_BAD: malformed. Call until not H1_PIECE. */
enum h1_step h1_body_next(struct h1_body *b, struct str *in, struct str *piece, const char **why);
/* Cuts the first line off what h1_body.trailers gathered; false: none is left. */
bool h1_trailer_cut(struct str *lines, struct hfield *f);
