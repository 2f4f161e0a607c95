/* client.h - HTTP/1.1 client: calls over pooled connections, event-driven, one a loop.
 *
 * A call is embedded in its owner. call_start sends the head that the owner has serialised (framing fields included) and
 * then gives response head, body and end, or one failure. Nothing is retried here: the failure says how far the call came,
 * and the owner decides. Blocking users (libvine) drive the very same client on a loop of their own thread.
 *
 * Life of a call   call_start, then callbacks until exactly one of on_end, on_fail; or call_cancel, after which none comes.
 *                  The call may be started again from within on_end or on_fail.
 * Threads          Everything on the client's loop.
 * Pool             Idle connections per peer, newest first; one that dies while idle is noticed by its event. At most
 *                  max_idle a peer; at most max_connections a peer: more calls wait in order (bounded by their deadline). */
#pragma once
#include "base/list.h"
#include "http/h1.h"
#include "net/addr.h"
#include "net/conn.h"

struct http_client;
struct http_peer; /* one host:port, with its idle connections; counted */
struct call;
struct tls;

struct http_client_opts {
	struct h1_limits limits;  /* of response heads; zero: 64 KiB, 100 fields */
	uint32_t max_idle;        /* kept per peer; 0: 64 */
	uint32_t max_connections; /* per peer; 0: no limit */
	usec idle_timeout;        /* an idle connection is closed after it; 0: 55 s */
	struct dns *dns;          /* for names; NULL: only addresses and "localhost" can be called */
};

/* How far a failed call came: what a retry may do hangs on it. */
enum call_class {
	CALL_NOT_SENT,      /* no byte of it reached the peer: any method may be tried again */
	CALL_SENT_NO_REPLY, /* bytes were sent, none came back: idempotent methods only */
	CALL_REPLY_BROKEN,  /* the response had begun */
};

enum call_cause {
	CALL_REFUSED,       /* connection refused, no route */
	CALL_CONNECT_TIMEOUT,
	CALL_RESET,
	CALL_CLOSED_EARLY,  /* end of stream before the response was complete */
	CALL_BAD_RESPONSE,  /* the peer broke HTTP; `why` says how */
	CALL_TIMEOUT,       /* call_timeout passed */
	CALL_NO_ADDRESS,    /* the name does not resolve */
	CALL_NO_CONNECTION, /* out of descriptors, or the pool's queue was full */
	CALL_TLS_FAILED,    /* no handshake: the certificate is not believed, or the peer refuses; `why` says it */
};

const char *call_cause_name(enum call_cause c); /* "connection refused" */

struct call_failure {
	enum call_class class;
	enum call_cause cause;
	bool stale;      /* a reused connection died before the first response byte: try a fresh one at once */
	const char *why; /* more words, or NULL; until the client's next failure */
};

struct call_ops {
	/* The response's head; its spans live during the call. Also for interim 1xx (status 100..199), before the real one. */
	void (*on_head)(struct call *c, const struct http_head *h);
	void (*on_body)(struct call *c, struct str piece); /* may call call_pause */
	void (*on_end)(struct call *c);                    /* the response is complete */
	void (*on_fail)(struct call *c, const struct call_failure *f);
	void (*on_drain)(struct call *c);                  /* the request bytes that waited have gone */
	void (*on_sent)(struct call *c);                   /* may be NULL: a connection was got and the head written */
};

struct call {
	const struct call_ops *ops;
	/* set by the owner before call_start */
	enum http_method method;
	/* for the owner to read */
	bool reused;      /* runs on a connection that had served before */
	bool head_seen;   /* the final response head was given */
	bool streaming;   /* the response's body is still to come */
	/* the client's own */
	struct http_client *client;
	struct http_peer *peer;
	struct client_conn *conn;
	struct list link; /* waiting for a connection */
	struct buf *wait; /* request bytes given before a connection stood */
	struct timer timer;
	struct h1_body body;
	bool request_done, sent, got_byte, want_fresh, active, paused;
	uint8_t refusal; /* enum call_cause, told at the end of the turn */
	uint8_t interim; /* 1xx heads so far */
};

struct http_client *http_client_new(struct loop *loop, const struct http_client_opts *opts);
void http_client_free(struct http_client *c); /* cancels calls without a callback; run one more turn before loop_free */
struct loop *http_client_loop(const struct http_client *c);
uint32_t http_client_open(const struct http_client *c); /* connections that stand or are being made; any thread */

/* host: name or address, port. Unref it; peers without users and connections are forgotten after a while. */
struct http_peer *http_client_peer(struct http_client *c, struct str host, uint16_t port);
/* The same by TLS (NULL: plain), which is another peer for each identity: a connection is never used under another name. */
struct http_peer *http_client_peer_tls(struct http_client *c, struct str host, uint16_t port, struct tls *tls);
struct http_peer *http_peer_ref(struct http_peer *p);
void http_peer_unref(struct http_peer *p);
struct str http_peer_name(const struct http_peer *p); /* "host:port", while the peer lives */
uint32_t http_peer_open(const struct http_peer *p); /* connections that stand or are being made */
void http_peer_set_idle_cap(struct http_peer *p, uint32_t max_idle); /* instead of the client's */
void http_peer_set_idle_timeout(struct http_peer *p, usec span);     /* how long one is kept, instead of the client's */
void http_peer_close_idle(struct http_peer *p);     /* the peer went away: its idle connections are of no use */

enum call_flags {
	CALL_BODY_FOLLOWS = 1u << 0, /* call_write and call_finish will come */
	CALL_FRESH = 1u << 1,        /* do not reuse a pooled connection */
};

/* head (and the first body bytes in more, may be empty) are sent or copied before it returns. Callbacks never come from
 * inside call_start; a failure to connect comes at the end of the turn. */
void call_start(struct http_client *cl, struct call *c, struct http_peer *peer, struct str head, struct str more, unsigned flags);
void call_write(struct call *c, struct str piece); /* body bytes, framed by the owner */
void call_finish(struct call *c);                  /* the request is complete */
size_t call_pending(const struct call *c);         /* request bytes that wait for the peer: stop until on_drain */
void call_pause(struct call *c);                   /* no more on_body until call_resume */
void call_resume(struct call *c);
void call_keep_trailers(struct call *c, struct buf *lines); /* in on_head: trailer lines of a chunked body are added to it */
void call_timeout(struct call *c, usec at); /* on_fail with CALL_TIMEOUT at that time unless ended; USEC_NEVER: none */
void call_cancel(struct call *c);           /* fine on one that is not running */
bool call_is_active(const struct call *c);

/* --- one request, one answer in memory: for callers that want no streaming --- */

struct fetch {
	/* set before fetch_start; spans are copied */
	enum http_method method;
	struct str target;      /* "/eureka/apps/" */
	struct str fields;      /* more header lines, each with CRLF; Host, Content-Length are added */
	struct str body;
	struct str keep;        /* name of a further field of the answer to be kept; may be empty */
	size_t max_body;        /* of the answer; 0: 1 MiB */
	usec deadline;          /* absolute */
	usec connect_deadline;  /* by then a connection must stand; 0: as the whole */
	struct str host;        /* the Host field; empty: the peer's name */
	void (*done)(struct fetch *f); /* called once; ok tells */
	/* the answer, valid inside done */
	bool ok;                /* a response came, whatever its status */
	unsigned status;
	struct str response;
	struct str content_type, etag, location, kept;
	bool response_gzip;     /* Content-Encoding: gzip (the caller inflates) */
	struct call_failure failure;
	/* own */
	struct call call;
	struct buf in;
	struct buf head;
	char type_room[96], etag_room[96], location_room[1024], kept_room[96];
	bool retried;
};
/* A stale pooled connection is replaced once by a fresh one where the method allows it. */
void fetch_start(struct http_client *cl, struct fetch *f, struct http_peer *peer);
void fetch_cancel(struct fetch *f); /* done is not called */
