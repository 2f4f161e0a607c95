/* threads.c - see threads.h.
 *
 * Invariants   A task that has a slot is with a thread, or on `ready`. It is put there only where no thread is idle and none
 *              may be made: then as many threads as slots are there, one of which is just giving its slot back, and looks
 *              at the list before it lies down. So none is left lying.
 *              The thread that became idle last is the first to be woken: its caches are warm, and the others may end.
 * Threads      `lock` is not held while a task runs; the pool's is taken under it. */
#include "client/threads.h"

#include <signal.h>
#include <stdio.h>

struct idler {
	struct list link;  /* in threads.idle */
	pthread_cond_t wake;
	struct task *task; /* given to it */
};

struct threads {
	struct pool *pool;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t ended;
	struct pool_settings settings;
	struct list idle;     /* of struct idler, last come first */
	struct task *ready, **ready_tail;
	unsigned alive, made;
	bool is_closing;
};

/* --- a thread --- */

static void count_thread(struct threads *t, int by)
{
	t->alive = (unsigned)((int)t->alive + by);
	pool_set_threads(t->pool, t->alive);
}

static struct task *take_ready(struct threads *t)
{
	struct task *task = t->ready;

	t->ready = task->next;
	if (!t->ready)
		t->ready_tail = &t->ready;
	return task;
}

/* With the lock held: until there is work, the end, or for as long as a thread beyond the core may lie idle. */
static bool lie_idle(struct threads *t, struct idler *me)
{
	bool is_extra = t->alive > pool_core(&t->settings);
	usec at = clock_mono() + (usec)t->settings.keep_alive_min * 60 * USEC_PER_SEC;
	struct timespec ts = { .tv_sec = (time_t)(at / USEC_PER_SEC), .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };
	int e;

	list_push_front(&t->idle, &me->link);
	e = is_extra ? pthread_cond_timedwait(&me->wake, &t->lock, &ts) : pthread_cond_wait(&me->wake, &t->lock);
	if (!me->task)
		list_del(&me->link);
	return e == 0 || me->task || t->alive <= pool_core(&t->settings);
}

/* With the lock held: NULL: this thread is to end. */
static struct task *next_task(struct threads *t, struct idler *me)
{
	me->task = NULL;
	for (;;) {
		if (t->ready)
			return take_ready(t);
		if (t->is_closing || !lie_idle(t, me))
			return NULL;
		if (me->task)
			return me->task;
	}
}

static void idler_init(struct idler *me)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&me->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static void *thread_main(void *arg)
{
	struct threads *t = arg;
	struct idler me;

	idler_init(&me);
	pthread_mutex_lock(&t->lock);
	for (struct task *task; (task = next_task(t, &me));) {
		pthread_mutex_unlock(&t->lock);
		task->run(task);

		struct pool_settings ps = threads_settings(t);
		struct pool_wait *granted = pool_leave(t->pool, &ps, &task->slot, clock_mono());

		task->returned(task);
		pool_wake_all(granted);
		pthread_mutex_lock(&t->lock);
	}
	count_thread(t, -1);
	if (t->alive == 0)
		pthread_cond_broadcast(&t->ended);
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&me.wake);
	return NULL;
}

/* With the lock held. A failure leaves the work to those that there are, if any. */
static bool make_thread(struct threads *t)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t id;
	char name[16];
	bool ok;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	count_thread(t, 1);
	ok = pthread_create(&id, &attr, thread_main, t) == 0;
	if (ok) {
		snprintf(name, sizeof(name), "hystrix-%.3s-%u", t->pool->id.key.ptr, ++t->made % 1000);
		pthread_setname_np(id, name);
	} else {
		count_thread(t, -1);
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

/* --- tasks --- */

static void push_ready(struct threads *t, struct task *task)
{
	task->next = NULL;
	*t->ready_tail = task;
	t->ready_tail = &task->next;
}

static void take_out(struct threads *t, const struct task *task)
{
	struct task **at = &t->ready;

	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (!*at)
		t->ready_tail = at;
}

/* The task has a slot: gives it to a thread. false: there is no thread, and none can be made. */
static bool start(struct threads *t, struct task *task)
{
	struct list *idle;
	bool ok = true;

	pthread_mutex_lock(&t->lock);
	idle = list_first(&t->idle);
	if (idle) {
		struct idler *one = list_entry(idle, struct idler, link);

		list_del(idle);
		one->task = task;
		pthread_cond_signal(&one->wake); /* its thread may be gone once the lock is */
	} else {
		push_ready(t, task);
		if (t->alive < pool_maximum(&t->settings))
			ok = make_thread(t) || t->alive > 0;
		if (!ok)
			take_out(t, task);
	}
	pthread_mutex_unlock(&t->lock);
	return ok;
}

static void wake(struct pool_wait *w)
{
	struct task *task = container_of(w, struct task, slot);

	start(task->threads, task); /* who freed the slot is a thread, so there is one */
}

enum pool_answer threads_submit(struct threads *t, struct task *task, usec now)
{
	struct pool_settings ps = threads_settings(t);
	struct pool_wait *granted;
	enum pool_answer a;

	task->threads = t;
	task->slot.wake = wake;
	a = pool_enter(t->pool, &ps, &task->slot, now, &granted);
	pool_wake_all(granted);
	if (a != POOL_RUN || start(t, task))
		return a;
	pool_wake_all(pool_leave(t->pool, &ps, &task->slot, now));
	return POOL_REJECTED;
}

bool threads_withdraw(struct task *task)
{
	return pool_withdraw(task->threads->pool, &task->slot);
}

/* --- life --- */

struct threads *threads_new(struct pool *pool, const struct pool_settings *ps)
{
	struct threads *t = xzalloc(sizeof(*t));

	t->pool = pool_ref(pool);
	t->settings = *ps;
	t->ready_tail = &t->ready;
	list_init(&t->idle);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->ended, NULL);
	pool_set_threads(pool, 0);
	return t;
}

/* With the lock held: each looks around once more. */
static void wake_idle(struct threads *t)
{
	list_foreach(l, &t->idle)
		pthread_cond_signal(&list_entry(l, struct idler, link)->wake);
}

void threads_free(struct threads *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_closing = true;
	wake_idle(t);
	while (t->alive)
		pthread_cond_wait(&t->ended, &t->lock);
	assert(!t->ready);
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&t->ended);
	pthread_mutex_destroy(&t->lock);
	pool_unref(t->pool);
	free(t);
}

void threads_set(struct threads *t, const struct pool_settings *ps)
{
	pthread_mutex_lock(&t->lock);
	t->settings = *ps;
	wake_idle(t); /* some may be too many by now */
	pthread_mutex_unlock(&t->lock);
}

struct pool_settings threads_settings(struct threads *t)
{
	struct pool_settings ps;

	pthread_mutex_lock(&t->lock);
	ps = t->settings;
	pthread_mutex_unlock(&t->lock);
	return ps;
}

struct pool *threads_pool(struct threads *t)
{
	return t->pool;
}

unsigned threads_alive(struct threads *t)
{
	unsigned n;

	pthread_mutex_lock(&t->lock);
	n = t->alive;
	pthread_mutex_unlock(&t->lock);
	return n;
}
