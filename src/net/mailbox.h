/* mailbox.h - the one way by which threads meet: messages under a mutex, an eventfd wakes the receiver's loop.
 *
 * Any thread may post. The receiver's loop takes the whole list at once and calls each message's function outside the
 * lock, in the order of posting. A message belongs to the receiver from the post on; its function frees or reuses it. */
#pragma once
#include <pthread.h>

#include "net/loop.h"

struct mail {
	struct mail *next;
	void (*fn)(struct mail *m); /* on the receiver's thread */
};

struct mailbox {
	struct io io;
	struct loop *loop;
	pthread_mutex_t lock; /* leaf; guards the list */
	struct mail *head, **tail;
	bool closed;
};

void mailbox_init(struct mailbox *mb, struct loop *loop);
/* After the loop's last turn, on its thread. Letters that still lie there are run first; later posts return false. */
void mailbox_fini(struct mailbox *mb);
bool mailbox_post(struct mailbox *mb, struct mail *m, void (*fn)(struct mail *m)); /* false: closed, m is still yours */
