/* url.h - http URLs taken apart, percent coding, query parameters. Nothing here owns memory: pieces are spans of the input. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define URL_MAX 8192

struct url {
	struct str scheme;   /* "http" or "https" as written */
	struct str userinfo; /* "user:password" as written, or empty */
	struct str host;     /* without the brackets of an IPv6 address */
	struct str path;     /* from its slash on; "/" where the URL has none */
	struct str query;    /* without '?' */
	uint16_t port;       /* the scheme's own where none is written */
	bool secure, has_port, is_ip6;
};

/* Absolute http and https URLs up to URL_MAX bytes; a fragment is dropped. */
int url_split(struct url *ret, struct str text, struct err *e);

/* host or host:port or [v6]:port; port keeps its value where none is written. */
int url_split_authority(struct str text, struct str *host, uint16_t *port, struct err *e);

/* %XX decoded into the arena (the input itself if there is none). plus: '+' is a blank, as in queries and forms.
 * False: a '%' without two hex digits; *ret is untouched. The result may hold any byte, also NUL. */
bool url_decode(struct arena *a, struct str s, bool plus, struct str *ret);

void url_encode_segment(struct buf *b, struct str s); /* unreserved bytes stay, all else (also '/') becomes %XX */
void url_encode_query(struct buf *b, struct str s);   /* the same for a parameter's name or value */

/* The next "name=value" of *query, both still coded; false at the end. Empty pieces are passed over. */
bool url_next_param(struct str *query, struct str *name, struct str *value);
/* The first parameter of that name, decoded; false: not there or malformed. */
bool url_param(struct arena *a, struct str query, struct str name, struct str *value);
