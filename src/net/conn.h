/* conn.h - a byte stream on a loop: reading with kept leftovers, writing with back-pressure, closing safely.
 *
 * Both sides of HTTP stand on this. Bytes come into the loop's shared buffer and are shown to on_data; what it does not
 * take is kept by the conn (at most keep_max bytes) and shown again, in front of what comes next. Output goes to the kernel,
 * small pieces at the end of the turn (outbox.h); what the kernel does not take is kept and sent when it can be. So an idle
 * connection owns no buffer.
 *
 * Invariants   on_data is never called while the conn is paused or inside another on_data of the same loop (conn_kick
 *              defers). After conn_close no callback comes, and the owner frees its memory in the deferred call it gave.
 * Cost         One recv an event, no second one after a short read; EPOLLOUT only while output waits; a paused side drops
 *              EPOLLIN by one EPOLL_CTL_MOD, so a stalled or half-closed peer costs no CPU.
 * Threads      Owned by its loop's thread. */
#pragma once
#include <sys/uio.h>

#include "base/buf.h"
#include "net/loop.h"

struct conn;

/* Plain TCP, or TLS on top of it (tls.h). recv and writev return bytes, 0 (recv: end of stream), or -1 with errno.
 *
 * A transport may hold input that the descriptor no longer tells of: it then has CONN_HELD set, and conn comes for it at the
 * end of the next turn, or when the owner takes input again. It may have output of its own that the kernel did not take:
 * CONN_TALKS; flush is called when there is room. What writev does not report as taken is shown to it again, first. */
struct transport_ops {
	ssize_t (*recv)(struct conn *c, void *p, size_t n);
	ssize_t (*writev)(struct conn *c, const struct iovec *iov, int n);
	void (*shutdown)(struct conn *c); /* says that no more output comes */
	void (*fini)(struct conn *c);     /* releases what it keeps; the descriptor is closed by conn */
	/* Not for plain: 1: it stands, 0: not yet, -1 with errno. Called while CONN_SHAKING. */
	int (*handshake)(struct conn *c);
	int (*flush)(struct conn *c); /* 0, or -1 with errno */
	size_t (*held)(const struct conn *c); /* bytes of input that it holds, as they came */
};

extern const struct transport_ops transport_plain;

struct conn_ops {
	/* Bytes p[0..n), valid for this call; returns how many were taken. Taking none keeps them. The conn may have been
	 * closed inside; then the result does not matter. */
	size_t (*on_data)(struct conn *c, const char *p, size_t n);
	void (*on_eof)(struct conn *c);              /* the peer sends no more; kept bytes were shown before */
	void (*on_drain)(struct conn *c);            /* all kept output has gone to the kernel */
	void (*on_error)(struct conn *c, int errnum); /* reset, or a failed connect: close it */
	void (*on_connect)(struct conn *c);          /* an outgoing connection stands, or a handshake is over; may be NULL */
	/* The peer's end has come while the conn is paused, behind conn_unread bytes; told once. May be NULL. */
	void (*on_ending)(struct conn *c);
};

enum conn_flags {
	CONN_CONNECTING = 1u << 0,
	CONN_PAUSED = 1u << 1, /* by conn_pause */
	CONN_EOF = 1u << 2,    /* the peer's end was seen */
	CONN_FULL = 1u << 3,   /* kept input reached keep_max: not read until some is taken */
	CONN_CLOSED = 1u << 4,
	CONN_KICKED = 1u << 5,
	CONN_SHUT = 1u << 6, /* our end was said, or will be once output is gone */
	CONN_TOOK = 1u << 7, /* the kernel has taken bytes of output since the owner cleared this */
	CONN_ENDING = 1u << 8, /* on_ending was called */
	CONN_SHAKING = 1u << 9, /* with CONN_CONNECTING: TCP stands, the transport agrees with the peer */
	CONN_HELD = 1u << 10,   /* the transport holds input */
	CONN_TALKS = 1u << 11,  /* ... has output of its own that waits for the kernel */
	CONN_CUT = 1u << 12,    /* the end came without the goodbye that the transport would have had */
	CONN_FAILED = 1u << 13, /* the transport can write no more: on_error is on its way, also to who has paused */
};

struct conn {
	struct io io;
	uint16_t flags;
	uint16_t outbox; /* its entry there + 1; 0: none */
	uint32_t keep_max;
	struct loop *loop;
	const struct conn_ops *ops;
	const struct transport_ops *tp;
	void *tp_state;  /* the transport's own */
	struct buf *in;  /* kept input; NULL when none */
	struct buf *out; /* kept output; NULL when none */
	size_t out_at;   /* bytes of out already sent */
	struct deferred later; /* kick, then the owner's release */
	void (*release)(struct conn *c);
};

/* Takes fd (non-blocking). keep_max bounds the leftovers that on_data may refuse. 0 or VINE_EIO (fd is then closed). */
int conn_open(struct conn *c, struct loop *loop, int fd, const struct conn_ops *ops, size_t keep_max);
/* Starts connecting to addr; on_connect or on_error tells. 0 or VINE_EIO with errno. */
struct addr;
int conn_connect(struct conn *c, struct loop *loop, const struct addr *to, const struct conn_ops *ops, size_t keep_max);

/* Sends or keeps all of it; that the connection is dead is told by on_error in the next turn. */
#define CONN_IOV_MAX 4
void conn_writev(struct conn *c, const struct iovec *iov, int n); /* n: at most CONN_IOV_MAX */
void conn_write(struct conn *c, const void *p, size_t n);
/* Gives the kernel now what waits for the end of the turn: so that conn_pending is the whole truth. */
void conn_flush(struct conn *c);
/* Bytes of output that wait for the peer; not those that wait for the end of the turn only. */
static inline size_t conn_pending(const struct conn *c)
{
	return c->out ? c->out->len - c->out_at : 0;
}

void conn_pause(struct conn *c);  /* no on_data until conn_resume */
void conn_resume(struct conn *c); /* kept bytes are shown at the end of the turn */
void conn_kick(struct conn *c);   /* shows kept bytes again at the end of the turn */
void conn_yield(struct conn *c);  /* the same at the end of the next turn: others come first */
void conn_shutdown(struct conn *c); /* our end of the stream, after all output */
bool conn_has_kept(const struct conn *c);
/* Bytes that are kept, held or lie in the kernel. With TLS what lies there is ciphertext: it is never less than what will be
 * shown. */
size_t conn_unread(const struct conn *c);
bool conn_has_unread(const struct conn *c); /* the transport holds bytes, or some lie in the kernel (a peek) */

/* Off the loop and closed now, unsent output forgotten; release runs at the end of the turn and frees the memory. */
void conn_close(struct conn *c, void (*release)(struct conn *c));
/* Like conn_close, but the peer gets a reset: for a peer that broke the protocol, or a body that must not look whole. */
void conn_reset(struct conn *c, void (*release)(struct conn *c));
