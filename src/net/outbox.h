/* outbox.h - the small writes of one turn, sent together at its end.
 *
 * Nine tenths of a proxied request's time is the kernel's, and most of that are its two sends: each may wake the peer's
 * process. Sent in a row, the first wakes it and the others find it awake; what is written to one connection in pieces
 * (a head, then a body) leaves in one call. So a conn lays small output here, and the loop sends it when the turn ends.
 *
 * Invariants   A conn has at most one entry (conn.outbox is its number), and then no kept output of its own. Sending never
 *              calls back: what the kernel does not take is kept by the conn, and a dead connection is told by the next
 *              turn's event.
 * Owner        The loop; its thread's alone. */
#pragma once
#include "net/loop.h"

#define OUTBOX_PIECE 8192u /* what is larger goes straight to the kernel */
#define OUTBOX_BYTES (64u * 1024)
#define OUTBOX_ENTRIES 64

struct conn;
struct iovec;

struct outbox {
	struct loop *loop;
	char *bytes;
	unsigned n;
	uint32_t used;
	bool queued;
	struct deferred later;
	struct {
		struct conn *c; /* NULL: was taken out */
		uint32_t at, len;
	} entry[OUTBOX_ENTRIES];
};

void outbox_init(struct outbox *o, struct loop *loop);
void outbox_fini(struct outbox *o);

/* Copies total bytes (at most OUTBOX_PIECE) behind what the conn has here already. Sends what is here first when it is full; a
 * conn that then keeps output of its own keeps these behind it. */
void outbox_add(struct outbox *o, struct conn *c, const struct iovec *iov, int n, size_t total);
/* The conn's bytes, no longer here but still valid until the next outbox_add; {NULL, 0} if there were none. */
struct iovec outbox_take(struct outbox *o, struct conn *c);
void outbox_send(struct outbox *o); /* all of it, now */
