/* forward.h - what goes on to the upstream and back: paths, heads, the fields a proxy owes.
 *
 * Heads are always written anew: own line ends, own framing; hop-by-hop fields and those named in Connection stay behind
 * (RFC 9110 section 7.6.1). X-Forwarded-* from outside is replaced unless the peer is a trusted proxy, then appended to. */
#pragma once
#include "flow/deadline.h"
#include "gateway/routes.h"
#include "http/server.h"
#include "trace/context.h"

/* The path in the one form that routing and forwarding use: percent-encodings of unreserved characters are decoded, others
 * kept. false: it has a dot segment, a NUL or a backslash, also encoded. In arena only where something changed. */
bool path_canonical(struct arena *a, struct str raw, struct str *ret);

struct forward {
	struct exchange *ex;
	const struct gw_route *route;
	struct str path;        /* canonical, whole; the prefix is stripped here */
	struct str base_path;   /* of a url: stands before the path */
	struct str host;        /* "host:port" of the server */
	const struct trace_context *span; /* of this try */
	bool pass_host;         /* zuul.addHostHeader: the client's Host goes on */
	bool add_proxy_headers; /* zuul.addProxyHeaders */
	bool trusted;           /* the peer may say who the client is */
	int64_t deadline_ms;    /* what is left, for DEADLINE_HEADER; < 0: not said */
	struct str port;        /* of the listener, for X-Forwarded-Port */
};

/* When the answer must be there: the command's timeout, or less if the client says that it will not wait so long. */
struct deadline forward_deadline(const struct http_head *req, usec timeout, usec now);
void forward_request_head(struct buf *b, const struct forward *f);
#define FORWARD_LAST_CHUNK STR("0\r\n\r\n")
void forward_chunk(struct buf *b, struct str piece); /* a piece of a chunked body, framed anew; not an empty one */
uint64_t forward_response_length(const struct http_head *h); /* of its body; EX_LENGTH_UNKNOWN: not said */
/* The status line is there already. Adds the upstream's fields. */
void forward_response_fields(struct buf *b, struct exchange *ex, const struct gw_route *route, const struct http_head *h);
