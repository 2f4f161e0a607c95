/* server.h - HTTP/1.1 server: connections and exchanges.
 *
 * A connection reads heads and gives each as an exchange to the handler; the exchange is an object of its own and outlives
 * the read that made it, so that it may wait for a database, an upstream, a thread. Requests on one connection are
 * answered in their order, one at a time; pipelined bytes wait unread.
 *
 * Life of an exchange   handler(ex) is called once, with the head complete. The handler sets ex->ops (or uses
 *                       ex_collect) before it returns, or answers at once. It must answer with ex_respond, or
 *                       ex_head + ex_head_done + ex_write... + ex_end, or ex_abort. Then, or when the client goes
 *                       away first, on_close is called exactly once as the last thing: release what hangs on `user`.
 *                       After ex_end/ex_respond/ex_abort only on_close may still come; do not touch the exchange.
 * Memory                ex->arena and ex->req live until on_close has returned.
 * Threads               Everything here runs on the thread of the server's loop. */
#pragma once
#include "base/arena.h"
#include "base/log.h"
#include "http/h1.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/tally.h"

struct exchange;
struct http_server;
struct server_conn;
struct tls;

typedef void (*http_handler)(struct exchange *ex, void *ctx);

struct http_server_opts {
	struct h1_limits limits;      /* zero: H1_LIMITS_DEFAULT */
	uint32_t max_connections;     /* of this server on this loop; over it: 503 and close; 0: 10000 */
	usec head_timeout;            /* first byte of a head to its end; 0: 10 s; then 408 */
	usec idle_timeout;            /* kept alive without a request; 0: 60 s */
	usec body_idle_timeout;       /* between bytes of a body, either way; 0: 60 s */
	uint32_t min_rate;            /* bytes a second of a body, either way, over each body_idle_timeout; 0: any */
	size_t max_gathered;          /* bytes that ex_collect and ex_hold count of all bodies together; past it 503; 0: any */
	uint32_t max_half_open;       /* connections with part of a head; over it the oldest is dropped; 0: max_connections */
	struct addr_tally *tally;     /* connections an address, over all servers that share it; NULL: no limit */
	struct tls *tls;              /* NULL: plain. A reference is taken. A handshake has head_timeout, and counts as half-open */
	struct str server_name;       /* Server field of own answers; empty: none */
	const struct logger *log;
	http_handler handler;
	void *ctx;
	/* An exchange is over, answered or not, just before its on_close; for access logs and metrics. May be NULL. */
	void (*on_finish)(const struct exchange *ex, void *ctx);
};

struct http_server_stats {
	uint64_t connections, requests, bad_requests, timeouts;
	uint64_t refused, refused_address, refused_files; /* connections: too many, too many of the address, no descriptors */
	uint64_t shed;                    /* half-sent heads that were dropped for newer ones */
	uint64_t handshakes, tls_failures; /* of TLS: that came to their end, and that did not */
	uint32_t open, active, half_open; /* now: connections, exchanges, half-sent heads and unfinished handshakes */
	size_t kept;                      /* now: bytes of buffers of all connections on the loop */
};

struct exchange_ops {
	void (*on_body)(struct exchange *ex, struct str piece); /* bytes of the request's body, valid during the call */
	void (*on_body_end)(struct exchange *ex);
	void (*on_drain)(struct exchange *ex); /* what ex_pending counted has gone to the kernel */
	void (*on_close)(struct exchange *ex); /* the last call, see above; ex->aborted tells if the client went first */
};

struct exchange {
	/* for the handler to read */
	struct http_head req; /* spans stay valid until on_close */
	struct arena arena;
	struct addr peer;
	usec began; /* when the head's first byte was seen */
	struct http_server *server;
	bool secure;    /* it came by TLS */
	bool body_done; /* the request's body was received whole */
	bool aborted;   /* the client went away, or broke the protocol, before the answer was complete */
	unsigned status; /* of the answer; 0 before ex_head */
	uint64_t in_bytes, out_bytes; /* body bytes each way */
	/* for the handler to set */
	const struct exchange_ops *ops;
	void *user;
	struct timer timer;  /* the handler's: set its fn; it never fires behind on_close. Exchanges are used again and leave it in
			      * the loop's heap, parked, so that setting it once a request is a plain store */
	const char *pattern; /* what metrics call the path: "/eureka/apps/{app}"; set by the router, or by who answers;
			      * lives until on_finish; NULL: no name */
	/* the server's own */
	struct server_conn *conn;
	struct h1_body body;
	uint64_t out_left; /* of a declared length */
	usec rate_from;      /* when the body's rate began to be measured; 0: it is not */
	uint64_t rate_bytes; /* in_bytes then */
	bool head_sent, ended, out_chunked, out_close, no_body, continued, body_paused;
	uint16_t context_len; /* of what context_cut took off req.path: it stands before it */
	struct exchange *next_free;
	struct buf *gathered; /* by ex_collect */
	union {
		size_t held;          /* with gathered: bytes counted against max_gathered */
		uint64_t discard_max; /* by ex_discard */
	};
	union {
		void (*on_gathered)(struct exchange *ex, struct str body);
		void (*on_discarded)(struct exchange *ex);
	};
};

struct http_server *http_server_new(struct loop *loop, const struct http_server_opts *opts);
/* Listens; may be called for several addresses. reuseport: see listener.h. */
int http_server_listen(struct http_server *s, const struct addr *a, bool reuseport, struct err *e);
void http_server_accept(struct http_server *s, int fd, const struct addr *peer); /* a connection from elsewhere */
/* Stops accepting, closes idle connections, answers the rest with Connection: close. http_server_idle tells when none
 * is left. */
void http_server_drain(struct http_server *s);
bool http_server_idle(const struct http_server *s);
void http_server_free(struct http_server *s); /* closes everything; run one more loop turn before loop_free */
void http_server_stats(const struct http_server *s, struct http_server_stats *ret); /* any thread */
struct loop *http_server_loop(const struct http_server *s);
const struct addr *http_server_local(const struct http_server *s); /* of the first listener, with the real port */

/* The peer as text, "1.2.3.4:5" or "[v6]:5"; the address alone (v4-mapped v6 as v4). Until on_close. */
struct str ex_peer_text(struct exchange *ex);
struct str ex_peer_ip_text(struct exchange *ex);

/* The path as the client sent it; and the context path alone (http/context.h), empty: none. */
static inline struct str ex_path(const struct exchange *ex)
{
	struct str p = ex->req.path;

	return likely(!ex->context_len) ? p : str_of(p.ptr - ex->context_len, p.len + ex->context_len);
}
static inline struct str ex_context(const struct exchange *ex)
{
	return likely(!ex->context_len) ? STR_EMPTY : str_of(ex->req.path.ptr - ex->context_len, ex->context_len);
}

/* The names of the client's verified certificate, a line each (tls_peer_names); empty: it has shown none. Until on_close. */
struct str ex_client_names(const struct exchange *ex);

/* --- answering --- */

/* Starts the answer: writes the status line and returns the buffer to which header lines are added, with head_add or as
 * "Name: value\r\n" bytes. Not Content-Length, Transfer-Encoding, Connection: ex_head_done writes those. The buffer is
 * shared by the loop: finish the head in the same callback. */
struct buf *ex_head(struct exchange *ex, unsigned status);
struct buf *ex_head_reason(struct exchange *ex, unsigned status, struct str reason);
void head_add(struct buf *b, struct str name, struct str value);
void head_add_date(struct exchange *ex, struct buf *b); /* a Date line of now, in the format of RFC 9110 */
#define EX_LENGTH_UNKNOWN UINT64_MAX
/* length: of the body that follows, or EX_LENGTH_UNKNOWN (chunked; to a 1.0 client until close). For HEAD, 204, 304 the
 * body is dropped by itself, for 205 too, which says a length of 0. The head leaves with the first body bytes, or at the end
 * of the turn. */
void ex_head_done(struct exchange *ex, uint64_t length);
void ex_inform(struct exchange *ex, const struct http_head *h); /* an interim 1xx, with its fields that are not hop-by-hop */
void ex_write(struct exchange *ex, struct str piece);
void ex_end(struct exchange *ex);
void ex_write_end(struct exchange *ex, struct str piece); /* both in one call of the kernel */
/* Like ex_end, with trailer fields: lines with CRLF. Only a chunked answer can have them, for any other they are dropped. */
void ex_end_trailers(struct exchange *ex, struct str lines);
size_t ex_pending(const struct exchange *ex); /* bytes that wait for the client: stop producing until on_drain */
void ex_abort(struct exchange *ex); /* resets the connection: the answer cannot be completed */

struct field {
	struct str name, value;
};
/* A whole answer. type may be empty (no Content-Type). fields: n more header fields. */
void ex_respond(struct exchange *ex, unsigned status, struct str type, struct str body, const struct field *fields, size_t n);
static inline void ex_respond_text(struct exchange *ex, unsigned status, struct str text)
{
	ex_respond(ex, status, STR("text/plain;charset=UTF-8"), text, NULL, 0);
}
void ex_close_after(struct exchange *ex); /* Connection: close with this answer; before ex_head_done */

/* --- the request's body --- */

void ex_pause_body(struct exchange *ex);
void ex_resume_body(struct exchange *ex);
void ex_send_continue(struct exchange *ex); /* 100 Continue, once, if the client waits for it */
/* Gathers the body, at most max bytes (past it 413 is answered and fn never called), then calls fn(ex, body). */
void ex_collect(struct exchange *ex, size_t max, void (*fn)(struct exchange *ex, struct str body));
/* Counts n bytes more that were made of a gathered body (unpacked, say) against max_gathered, until the exchange is over.
 * False: past it; then 503 has been answered. Only in or behind fn of ex_collect. */
bool ex_hold(struct exchange *ex, size_t n);
/* Reads the body over, at most max bytes (past it 413 is answered and fn never called), then calls fn(ex). Holds nothing. */
void ex_discard(struct exchange *ex, size_t max, void (*fn)(struct exchange *ex));
