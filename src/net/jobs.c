/* jobs.c - see jobs.h.
 *
 * Invariants   A job is on the queue, or with one thread, or on its way back: never in two places. `active + queued` falls
 *              only after the job's last touch by the lane.
 * Threads      The lock is a leaf: run and done are called outside it. The threads block all signals, so that these stay
 *              with the control thread. */
#include "net/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

struct jobs_lane {
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t more;
	struct job *head, **tail;
	struct jobs_stats stats;
	bool closing;
	char name[12];
	pthread_t thread[];
};

static struct job *take(struct jobs_lane *l)
{
	struct job *j = l->head;

	l->head = j->next;
	if (!l->head)
		l->tail = &l->head;
	l->stats.queued--;
	return j;
}

static void deliver(struct mail *m)
{
	struct job *j = container_of(m, struct job, mail);

	j->done(j);
}

/* A submitter whose mailbox has closed gets its done here: it must only free what belongs to the job. */
static void give_back(struct job *j)
{
	if (mailbox_post(j->reply, &j->mail, deliver))
		return;
	j->cancelled = true;
	j->done(j);
}

static void *lane_main(void *arg)
{
	struct jobs_lane *l = arg;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (!l->head && !l->closing)
			pthread_cond_wait(&l->more, &l->lock);
		if (!l->head)
			break;

		struct job *j = take(l);
		bool run = !l->closing;

		l->stats.active++;
		pthread_mutex_unlock(&l->lock);
		if (run)
			j->run(j);
		else
			j->cancelled = true;
		give_back(j);
		pthread_mutex_lock(&l->lock);
		l->stats.active--;
		l->stats.completed += run;
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

struct jobs_lane *jobs_lane_new(const char *name, unsigned threads, unsigned queue_max)
{
	struct jobs_lane *l = xzalloc(sizeof(*l) + threads * sizeof(l->thread[0]));
	sigset_t all, old;

	assert(threads > 0 && queue_max > 0 && strlen(name) < sizeof(l->name));
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->more, NULL);
	l->tail = &l->head;
	l->stats.queue_max = queue_max;
	memcpy(l->name, name, strlen(name) + 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < threads; i++) {
		char shown[16];

		if (pthread_create(&l->thread[i], NULL, lane_main, l) != 0)
			break;
		l->stats.threads++;
		snprintf(shown, sizeof(shown), "%s/%u", l->name, i % 100);
		pthread_setname_np(l->thread[i], shown);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (l->stats.threads == 0)
		abort(); /* at start, by our own choice: as a failed allocation */
	return l;
}

void jobs_lane_free(struct jobs_lane *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->closing = true;
	pthread_cond_broadcast(&l->more);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->stats.threads; i++)
		pthread_join(l->thread[i], NULL);
	pthread_cond_destroy(&l->more);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

bool jobs_submit(struct jobs_lane *l, struct job *j, struct mailbox *reply)
{
	pthread_mutex_lock(&l->lock);
	if (l->closing || l->stats.queued >= l->stats.queue_max) {
		l->stats.refused++;
		pthread_mutex_unlock(&l->lock);
		return false;
	}
	j->reply = reply;
	j->next = NULL;
	j->cancelled = false;
	*l->tail = j;
	l->tail = &j->next;
	l->stats.queued++;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
	return true;
}

void jobs_lane_stats(struct jobs_lane *l, struct jobs_stats *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->stats;
	pthread_mutex_unlock(&l->lock);
}
