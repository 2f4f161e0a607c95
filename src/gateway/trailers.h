/* trailers.h - the fields behind a chunked answer: kept for a client that said `TE: trailers`, and which of them go on.
 *
 * They stay apart from the head (RFC 9110 section 6.5): a field that frames, routes, authenticates, or says how the content
 * is to be read means nothing behind it and is dropped (section 6.5.1), as are hop-by-hop fields, those that the answer's
 * Connection names, and those that the route drops. Their size is bounded by the parser (H1_TRAILER_MAX).
 *
 * A request's trailers are dropped: nothing tells whether an upstream takes them, and RFC 9110 lets a recipient discard them.
 *
 * Memory   In the exchange's arena; trailers_fini frees what was gathered. */
#pragma once
#include "gateway/routes.h"
#include "http/server.h"

struct trailers {
	struct buf lines;      /* as they came: the body's parser adds to it */
	struct str connection; /* names in the answer's Connection field */
	const struct header_filter *drop;
};

/* For an answer with this head, or NULL: it has none, or the client does not take them. */
struct trailers *trailers_expect(struct exchange *ex, const struct gw_route *route, const struct http_head *h);
/* Adds a Trailer line that announces those that will pass. */
void trailers_announce(const struct trailers *t, struct buf *head, const struct http_head *h);
/* The lines that go on, each with CRLF; in the arena. */
struct str trailers_passing(const struct trailers *t, struct arena *a);
void trailers_fini(struct trailers *t); /* NULL is fine */
