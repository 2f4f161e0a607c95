/* loop.c - epoll, a 4-ary heap of timers that is put right lazily, and the end-of-turn list.
 *
 * Measured on throw-away proxies: level-triggered epoll with each descriptor registered once is as cheap as anything the
 * kernel offers for this work, so there is nothing cleverer here. */
#include "net/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "net/outbox.h"

#define EVENTS_A_TURN 256

struct loop {
	int ep;
	bool stop;
	usec now;
	struct io wake;
	struct timer **heap;
	uint32_t n_timers, cap_timers;
	struct deferred *deferred, **deferred_tail;
	struct deferred *yielded, **yielded_tail; /* deferred to the next turn */
	size_t kept;
	struct epoll_event events[EVENTS_A_TURN];
	int n_events, at_event; /* of this turn, so that loop_del can drop pending ones */
	char *rbuf, *scratch;
	struct outbox outbox;
};

static void drain_wake(struct io *io, uint32_t events)
{
	uint64_t n;

	(void)events;
	while (read(io->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

struct loop *loop_new(void)
{
	struct loop *l = xzalloc(sizeof(*l));

	l->ep = epoll_create1(EPOLL_CLOEXEC);
	l->wake = (struct io){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = drain_wake };
	if (l->ep < 0 || l->wake.fd < 0 || loop_add(l, &l->wake, EPOLLIN) < 0)
		abort();
	l->deferred_tail = &l->deferred;
	l->yielded_tail = &l->yielded;
	l->rbuf = xmalloc(LOOP_RBUF);
	outbox_init(&l->outbox, l);
	l->now = clock_mono();
	return l;
}

static void take_yielded(struct loop *l)
{
	if (likely(!l->yielded))
		return;
	*l->deferred_tail = l->yielded;
	l->deferred_tail = l->yielded_tail;
	l->yielded = NULL;
	l->yielded_tail = &l->yielded;
}

static void run_deferred(struct loop *l)
{
	while (l->deferred) {
		struct deferred *d = l->deferred;

		l->deferred = d->next;
		if (!l->deferred)
			l->deferred_tail = &l->deferred;
		d->fn(d);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	take_yielded(l);
	run_deferred(l);
	close(l->wake.fd);
	close(l->ep);
	free(l->heap);
	free(l->rbuf);
	free(l->scratch);
	outbox_fini(&l->outbox);
	free(l);
}

usec loop_now(const struct loop *l)
{
	return l->now;
}

usec loop_refresh_now(struct loop *l)
{
	return l->now = clock_mono();
}

char *loop_rbuf(struct loop *l)
{
	return l->rbuf;
}

char *loop_scratch(struct loop *l)
{
	if (!l->scratch)
		l->scratch = xmalloc(LOOP_SCRATCH);
	return l->scratch;
}

struct outbox *loop_outbox(struct loop *l)
{
	return &l->outbox;
}

size_t *loop_kept(struct loop *l)
{
	return &l->kept;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

void loop_wake(struct loop *l)
{
	uint64_t one = 1;
	ssize_t r = write(l->wake.fd, &one, sizeof(one)); /* a full counter wakes too */

	(void)r;
}

int loop_add(struct loop *l, struct io *io, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	io->events = events;
	return epoll_ctl(l->ep, EPOLL_CTL_ADD, io->fd, &ev) == 0 ? 0 : VINE_EIO;
}

void loop_mod(struct loop *l, struct io *io, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (io->events == events)
		return;
	io->events = events;
	epoll_ctl(l->ep, EPOLL_CTL_MOD, io->fd, &ev);
}

void loop_del(struct loop *l, struct io *io)
{
	epoll_ctl(l->ep, EPOLL_CTL_DEL, io->fd, NULL);
	for (int i = l->at_event; i < l->n_events; i++) {
		if (l->events[i].data.ptr == io)
			l->events[i].data.ptr = NULL;
	}
}

void loop_defer(struct loop *l, struct deferred *d, void (*fn)(struct deferred *d))
{
	d->fn = fn;
	d->next = NULL;
	*l->deferred_tail = d;
	l->deferred_tail = &d->next;
}

void loop_yield(struct loop *l, struct deferred *d, void (*fn)(struct deferred *d))
{
	d->fn = fn;
	d->next = NULL;
	*l->yielded_tail = d;
	l->yielded_tail = &d->next;
}

/* --- timers: a heap by `queued`, which is never later than `at` unless the timer is in the middle of timer_set --- */

static void heap_put(struct loop *l, uint32_t i, struct timer *t)
{
	l->heap[i] = t;
	t->slot = i + 1;
}

static void sift_up(struct loop *l, uint32_t i, struct timer *t)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 4;

		if (l->heap[up]->queued <= t->queued)
			break;
		heap_put(l, i, l->heap[up]);
		i = up;
	}
	heap_put(l, i, t);
}

static void sift_down(struct loop *l, uint32_t i, struct timer *t)
{
	for (;;) {
		uint32_t first = i * 4 + 1, best = first;

		if (first >= l->n_timers)
			break;
		for (uint32_t c = first + 1; c < MIN(first + 4, l->n_timers); c++) {
			if (l->heap[c]->queued < l->heap[best]->queued)
				best = c;
		}
		if (l->heap[best]->queued >= t->queued)
			break;
		heap_put(l, i, l->heap[best]);
		i = best;
	}
	heap_put(l, i, t);
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	*t = (struct timer){ .at = USEC_NEVER, .fn = fn };
}

void timer_set(struct loop *l, struct timer *t, usec at)
{
	t->at = at;
	if (t->slot && t->queued <= at)
		return; /* fires early once and is then put where it belongs */
	t->queued = at;
	if (t->slot) {
		sift_up(l, t->slot - 1, t);
		return;
	}
	if (l->n_timers == l->cap_timers) {
		l->cap_timers = MAX(l->cap_timers * 2, 64u);
		l->heap = xrealloc(l->heap, l->cap_timers * sizeof(*l->heap));
	}
	sift_up(l, l->n_timers++, t);
}

static void heap_remove(struct loop *l, struct timer *t)
{
	uint32_t i = t->slot - 1;
	struct timer *last = l->heap[--l->n_timers];

	t->slot = 0;
	if (last == t)
		return;
	if (i > 0 && l->heap[(i - 1) / 4]->queued > last->queued)
		sift_up(l, i, last);
	else
		sift_down(l, i, last);
}

void timer_cancel(struct loop *l, struct timer *t)
{
	t->at = USEC_NEVER;
	if (t->slot)
		heap_remove(l, t);
}

static void run_timers(struct loop *l)
{
	while (l->n_timers && l->heap[0]->queued <= l->now) {
		struct timer *t = l->heap[0];

		if (t->at > l->now) { /* was moved on, or parked */
			if (t->at == USEC_NEVER) {
				heap_remove(l, t);
			} else {
				t->queued = t->at;
				sift_down(l, 0, t);
			}
			continue;
		}
		heap_remove(l, t);
		t->at = USEC_NEVER;
		t->fn(t);
	}
}

/* Milliseconds to sleep: rounded up, so that a timer never finds that it woke too early. */
static int sleep_ms(const struct loop *l, usec wait)
{
	if (l->n_timers)
		wait = MIN(wait, l->heap[0]->queued - l->now);
	if (wait <= 0 || l->deferred || l->yielded)
		return 0;
	if (wait >= 3600 * USEC_PER_SEC)
		return 3600 * 1000;
	return (int)((wait + 999) / 1000);
}

void loop_turn(struct loop *l, usec wait)
{
	run_deferred(l); /* of who stands outside a turn, before the loop sleeps */

	int n = epoll_wait(l->ep, l->events, EVENTS_A_TURN, sleep_ms(l, wait));

	l->now = clock_mono();
	take_yielded(l);
	l->n_events = MAX(n, 0);
	for (l->at_event = 0; l->at_event < l->n_events;) {
		struct epoll_event ev = l->events[l->at_event++];
		struct io *io = ev.data.ptr;

		if (io)
			io->fn(io, ev.events);
	}
	l->n_events = l->at_event = 0;
	run_timers(l);
	run_deferred(l);
}

void loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop)
		loop_turn(l, USEC_NEVER);
}
