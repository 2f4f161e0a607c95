/* cancel.h - a token that says "nobody waits for this any more": interruptOnTimeout, without pthread_cancel or signals.
 *
 * Asked once, it stays asked. I/O of libvine in flight watches it and ends at once; code that computes may look now and
 * then. A token made from another one is asked with it. Any thread. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/util.h"

struct cancel_watch {
	struct cancel_watch *next, **at; /* at NULL: not on a list */
	void (*fn)(struct cancel_watch *w); /* with the token's lock held: must not call back into it */
};

struct cancel {
	_Atomic uint32_t refs;
	_Atomic bool is_asked;
	pthread_mutex_t lock; /* guards the list; a parent's is taken before its child's */
	struct cancel_watch *watches;
	struct cancel *parent;
	struct cancel_watch from_parent;
};

struct cancel *cancel_new(struct cancel *parent); /* parent may be NULL */
struct cancel *cancel_ref(struct cancel *c);      /* NULL is fine */
void cancel_unref(struct cancel *c);              /* NULL is fine */
void cancel_ask(struct cancel *c);

static inline bool cancel_is_asked(const struct cancel *c) /* NULL: no */
{
	return c && atomic_load_explicit(&c->is_asked, memory_order_acquire);
}

/* fn runs when it is asked; at once if it has been. Unwatch before w or what fn uses goes. c NULL is fine in both. */
void cancel_watch(struct cancel *c, struct cancel_watch *w, void (*fn)(struct cancel_watch *w));
void cancel_unwatch(struct cancel *c, struct cancel_watch *w);
