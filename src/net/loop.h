/* loop.h - the event loop: level-triggered epoll, timers, work for the end of the turn.
 *
 * One loop a thread; every function here but loop_wake is called on that thread. A turn is: wait, call back each ready
 * descriptor, run due timers, run what was deferred. `loop_now` is read once a turn, so all of a turn happens at one time.
 *
 * Invariants   An io is registered once for its life; loop_del may be called in any callback, also for another io of the
 *              same turn, whose pending event is then dropped. Memory of an object that the loop may still hold is
 *              released by loop_defer, never directly. */
#pragma once
#include "base/clock.h"
#include "base/list.h"

struct loop;
struct outbox;

/* A descriptor's place in the loop; embedded in its owner. */
struct io {
	int fd;
	uint32_t events; /* what is asked for: EPOLLIN, EPOLLOUT, EPOLLRDHUP */
	void (*fn)(struct io *io, uint32_t events);
};

/* A point in time; embedded in its owner; zeroed or timer_init'ed before first use. Moving `at` later is a plain store:
 * the heap is put right only when the old time comes, so a deadline that each request pushes on costs nothing. */
struct timer {
	usec at;    /* when to fire; USEC_NEVER: parked */
	usec queued; /* the time by which the heap knows it */
	uint32_t slot; /* place in the heap + 1; 0: not in it */
	void (*fn)(struct timer *t);
};

/* Something to do when the turn ends, before the loop sleeps again. */
struct deferred {
	struct deferred *next;
	void (*fn)(struct deferred *d);
};

struct loop *loop_new(void); /* aborts if the kernel gives no epoll descriptor at start */
void loop_free(struct loop *l);

void loop_run(struct loop *l);             /* until loop_stop */
void loop_stop(struct loop *l);            /* at the end of this turn; on the loop's thread */
void loop_turn(struct loop *l, usec wait); /* one turn that sleeps at most `wait` */
void loop_wake(struct loop *l);            /* ends the loop's sleep; any thread, also a signal handler */

usec loop_now(const struct loop *l);
usec loop_refresh_now(struct loop *l); /* reads the clock again: after something that took long */

/* A buffer of LOOP_RBUF bytes that whoever reads a descriptor may use within one callback. */
#define LOOP_RBUF (128u * 1024)
char *loop_rbuf(struct loop *l);
/* Another one, of LOOP_SCRATCH bytes, for a transport below that reader within one of its own calls; made when first asked for. */
#define LOOP_SCRATCH (192u * 1024)
char *loop_scratch(struct loop *l);
struct outbox *loop_outbox(struct loop *l); /* for conn.c */

int loop_add(struct loop *l, struct io *io, uint32_t events); /* 0 or VINE_EIO */
void loop_mod(struct loop *l, struct io *io, uint32_t events); /* no call if nothing changes */
void loop_del(struct loop *l, struct io *io);                  /* the fd stays open and the caller's */

void timer_init(struct timer *t, void (*fn)(struct timer *t));
void timer_set(struct loop *l, struct timer *t, usec at); /* sets or moves */
void timer_cancel(struct loop *l, struct timer *t);       /* out of the heap: before its memory goes */
static inline void timer_park(struct timer *t)            /* will not fire; may stay in the heap for a while */
{
	t->at = USEC_NEVER;
}

void loop_defer(struct loop *l, struct deferred *d, void (*fn)(struct deferred *d)); /* d must not be queued already */
/* The same at the end of the next turn, which then comes without a sleep: for work that gives way to others. */
void loop_yield(struct loop *l, struct deferred *d, void (*fn)(struct deferred *d));

/* Bytes of the buffers in which conns of this loop keep input and output. Written on the loop's thread. */
size_t *loop_kept(struct loop *l);
