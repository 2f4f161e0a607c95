/* threads.c - see threads.h.
 *
 * Invariants   Tasks on the list `ready` have a slot. For each of them an idle thread has been woken, or one made, or as many
 *              threads as slots are there already, of which one is just giving its slot back: a thread looks at the list
 *              before it sleeps. So none is left lying.
 * Threads      `lock` is not held while a task runs; the pool's is taken under it. */
#include "client/threads.h"

#include <signal.h>
#include <stdio.h>

struct threads {
	struct pool *pool;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t more, ended;
	struct pool_settings settings;
	struct task *ready, **ready_tail;
	unsigned n_ready, idle, alive, made;
	bool is_closing;
};

/* --- a thread --- */

static struct task *take(struct threads *t)
{
	struct task *task = t->ready;

	t->ready = task->next;
	if (!t->ready)
		t->ready_tail = &t->ready;
	t->n_ready--;
	return task;
}

static void count_thread(struct threads *t, int by)
{
	t->alive = (unsigned)((int)t->alive + by);
	pool_set_threads(t->pool, t->alive);
}

static void deadline_spec(struct timespec *ts, usec at)
{
	ts->tv_sec = (time_t)(at / USEC_PER_SEC);
	ts->tv_nsec = (long)(at % USEC_PER_SEC) * 1000;
}

/* With the lock held: sleeps until there is work. false: this thread is to end. */
static bool wait_for_task(struct threads *t)
{
	while (!t->ready && !t->is_closing) {
		bool is_over = false;

		t->idle++;
		if (t->alive > pool_core(&t->settings)) {
			struct timespec ts;

			deadline_spec(&ts, clock_mono() + (usec)t->settings.keep_alive_min * 60 * USEC_PER_SEC);
			is_over = pthread_cond_timedwait(&t->more, &t->lock, &ts) != 0;
		} else {
			pthread_cond_wait(&t->more, &t->lock);
		}
		t->idle--;
		if (is_over && !t->ready && t->alive > pool_core(&t->settings))
			return false;
	}
	return t->ready != NULL;
}

static void *thread_main(void *arg)
{
	struct threads *t = arg;

	pthread_mutex_lock(&t->lock);
	while (wait_for_task(t)) {
		struct task *task = take(t);

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
	return NULL;
}

/* With the lock held: makes one more. A failure leaves the task to those that there are, if any. */
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

static void take_out(struct threads *t, const struct task *task)
{
	struct task **at = &t->ready;

	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (!*at)
		t->ready_tail = at;
	t->n_ready--;
}

/* The task has a slot: gives it to a thread. false: there is no thread, and none can be made. */
static bool start(struct threads *t, struct task *task)
{
	bool ok = true;

	pthread_mutex_lock(&t->lock);
	task->next = NULL;
	*t->ready_tail = task;
	t->ready_tail = &task->next;
	t->n_ready++;
	if (t->idle >= t->n_ready)
		pthread_cond_signal(&t->more);
	else if (t->alive < pool_maximum(&t->settings))
		ok = make_thread(t) || t->alive > 0;
	if (!ok)
		take_out(t, task); /* the system has not one thread for us */
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
	pthread_condattr_t attr;

	t->pool = pool_ref(pool);
	t->settings = *ps;
	t->ready_tail = &t->ready;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->more, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&t->ended, NULL);
	pool_set_threads(pool, 0);
	return t;
}

void threads_free(struct threads *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_closing = true;
	pthread_cond_broadcast(&t->more);
	while (t->alive)
		pthread_cond_wait(&t->ended, &t->lock);
	assert(!t->ready);
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&t->ended);
	pthread_cond_destroy(&t->more);
	pthread_mutex_destroy(&t->lock);
	pool_unref(t->pool);
	free(t);
}

void threads_set(struct threads *t, const struct pool_settings *ps)
{
	pthread_mutex_lock(&t->lock);
	t->settings = *ps;
	pthread_cond_broadcast(&t->more); /* some may be too many by now */
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
