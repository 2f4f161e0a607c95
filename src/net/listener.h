/* listener.h - a listening socket on a loop. Owned by the loop's thread.
 *
 * With several workers each opens its own socket on the same address with SO_REUSEPORT; net_bind_check first binds once
 * without it, so that a port in use by somebody else is an error and not a silent sharing.
 *
 * Out of descriptors, the listener rests for a moment instead of spinning on a socket that stays readable: who waits in the
 * kernel's queue is let in if a descriptor comes free meanwhile. Where none does, those who wait are told by a close. */
#pragma once
#include "net/addr.h"
#include "net/loop.h"

struct listener {
	struct io io;
	struct loop *loop;
	struct addr local; /* with the real port */
	void (*on_accept)(struct listener *ln, int fd, const struct addr *peer); /* takes fd */
	void *user;
	/* Descriptors have run out (true), are to be had again (false). Not more than once a minute. May be NULL. */
	void (*on_starved)(struct listener *ln, bool starved);
	struct timer rest;  /* while starved: when to look again */
	usec told_at;       /* of on_starved; 0: never */
	bool starved, told; /* no descriptor at the last try; on_starved has said so */
	int spare_fd;       /* given up to refuse somebody when descriptors have run out; -1: it could not be had again */
	uint64_t accepted, refused; /* refused: for want of a descriptor; any thread may read it */
};

/* Binds and listens; port 0 picks one. Returns an fd or a negative code with a line such as
 * "cannot listen on 127.0.0.1:8080: Address already in use". */
int net_listen(const struct addr *a, bool reuseport, struct err *e);
int net_bind_check(const struct addr *a, struct addr *real, struct err *e); /* real: with the port that was free */

int listener_open(struct listener *ln, struct loop *loop, const struct addr *a, bool reuseport, struct err *e);
void listener_accept_waiting(struct listener *ln);       /* takes what the kernel has queued: closing would reset it */
void listener_close(struct listener *ln);              /* fine with a zeroed one */
