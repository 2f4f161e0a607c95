/* timers.c - see timers.h. A binary heap; heap[0] is unused, so that place 0 can mean "not in it". */
#include "client/timers.h"

#include <signal.h>

struct timers {
	pthread_mutex_t lock; /* leaf; guards all below */
	pthread_cond_t earlier;
	struct bell **heap;
	size_t n, cap;
	pthread_t thread;
	bool has_thread, is_over;
};

/* --- the heap, with the lock held --- */

static void put(struct timers *t, size_t place, struct bell *b)
{
	t->heap[place] = b;
	b->place = place;
}

static void rise(struct timers *t, size_t i, struct bell *b)
{
	for (; i > 1 && t->heap[i / 2]->at > b->at; i /= 2)
		put(t, i, t->heap[i / 2]);
	put(t, i, b);
}

static void sink(struct timers *t, size_t i, struct bell *b)
{
	for (size_t child; (child = 2 * i) <= t->n; i = child) {
		if (child < t->n && t->heap[child + 1]->at < t->heap[child]->at)
			child++;
		if (t->heap[child]->at >= b->at)
			break;
		put(t, i, t->heap[child]);
	}
	put(t, i, b);
}

static void take_out(struct timers *t, struct bell *b)
{
	size_t i = b->place;
	struct bell *last = t->heap[t->n--];

	b->place = 0;
	if (last == b)
		return;
	if (i > 1 && t->heap[i / 2]->at > last->at)
		rise(t, i, last);
	else
		sink(t, i, last);
}

/* --- the thread --- */

static void wait_for_next(struct timers *t)
{
	usec at = t->n ? t->heap[1]->at : USEC_NEVER;
	struct timespec ts = { .tv_sec = (time_t)(at / USEC_PER_SEC), .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };

	if (at == USEC_NEVER)
		pthread_cond_wait(&t->earlier, &t->lock);
	else
		pthread_cond_timedwait(&t->earlier, &t->lock, &ts);
}

static void *timers_main(void *arg)
{
	struct timers *t = arg;
	void (*ring)(struct bell *b);

	pthread_mutex_lock(&t->lock);
	while (!t->is_over) {
		struct bell *b = t->n ? t->heap[1] : NULL;

		if (!b || b->at > clock_mono()) {
			wait_for_next(t);
			continue;
		}
		take_out(t, b);
		ring = b->ring; /* its owner may set it to another from here on */
		pthread_mutex_unlock(&t->lock);
		ring(b);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* With the lock held. */
static void make_thread(struct timers *t)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	t->has_thread = pthread_create(&t->thread, NULL, timers_main, t) == 0; /* else the next one tries again */
	if (t->has_thread)
		pthread_setname_np(t->thread, "hystrix-timer");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* --- */

void timers_set(struct timers *t, struct bell *b, usec at, void (*ring)(struct bell *b))
{
	pthread_mutex_lock(&t->lock);
	assert(!b->place && !t->is_over);
	if (t->n + 1 >= t->cap) {
		t->cap = MAX(t->cap * 2, (size_t)16);
		t->heap = xrealloc(t->heap, t->cap * sizeof(struct bell *));
	}
	b->at = at;
	b->ring = ring;
	rise(t, ++t->n, b);
	if (!t->has_thread)
		make_thread(t);
	else if (b->place == 1)
		pthread_cond_signal(&t->earlier);
	pthread_mutex_unlock(&t->lock);
}

bool timers_cancel(struct timers *t, struct bell *b)
{
	bool was_set;

	pthread_mutex_lock(&t->lock);
	was_set = b->place;
	if (was_set)
		take_out(t, b);
	pthread_mutex_unlock(&t->lock);
	return was_set;
}

struct timers *timers_new(void)
{
	struct timers *t = xzalloc(sizeof(*t));
	pthread_condattr_t attr;

	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->earlier, &attr);
	pthread_condattr_destroy(&attr);
	return t;
}

void timers_free(struct timers *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_over = true;
	pthread_cond_signal(&t->earlier);
	pthread_mutex_unlock(&t->lock);
	if (t->has_thread)
		pthread_join(t->thread, NULL);
	assert(t->n == 0);
	free(t->heap);
	pthread_cond_destroy(&t->earlier);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
