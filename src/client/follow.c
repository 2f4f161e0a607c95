/* follow.c - a run that waits for another one of its request, which makes the same result; and what the request remembers.
 *
 * Invariants   is_waiting while on_kept may still come, which holds a reference; who withdraws the wait drops that one. Who
 *              gives up counts for nothing: the other run tells the command what became of the call. */
#include "client/run_parts.h"

void follow_count_kept(struct run *r)
{
	r->how = r->kept->result;
	shared_ref(r->how.result);
	r->how.from_cache = true;
	command_count(r->spec.command, r->spec.settings, stripe_of_thread(), EVENT_RESPONSE_FROM_CACHE, clock_mono());
}

void follow_end_kept(struct run *r)
{
	run_stop_bell(r);
	follow_count_kept(r);
	run_end(r);
}

static void run_again(struct task *t)
{
	run_admit(container_of(t, struct run, again));
}

static void let_go_again(struct task *t)
{
	run_unref(container_of(t, struct run, again));
}

/* Not on the thread of who has cancelled the other run. */
static void start_again(struct run *r)
{
	run_stop_bell(r);
	r->again = (struct task){ .run = run_again, .returned = let_go_again };
	run_ref(r);
	if (r->spec.fallback_threads && threads_submit(r->spec.fallback_threads, &r->again, clock_mono()) != POOL_REJECTED)
		return;
	run_unref(r);
	run_claim(r);
	err_set(&r->err, VINE_ECANCELED, "%.*s: the run that it waited for was cancelled", STRF(r->spec.command->key));
	run_settle_without_ticket(r, RUN_CAUSE_CANCELLED);
}

/* By the other run's thread. */
static void on_kept(struct cache_wait *w, struct shared *result)
{
	struct run *r = container_of(w, struct run, waits);

	pthread_mutex_lock(&r->lock);
	r->kept = result ? container_of(result, struct outcome_kept, shared) : NULL;
	r->is_waiting = false;
	pthread_cond_broadcast(&r->settled);
	pthread_mutex_unlock(&r->lock);
	if (r->spec.timers && result)
		follow_end_kept(r);
	else if (r->spec.timers)
		start_again(r);
	run_unref(r);
}

/* Has another run of this request the result, or is it making it? */
enum cache_answer follow_ask(struct run *r)
{
	struct cache_key k = { CACHE_OF_COMMAND, r->spec.command->key, r->spec.cache_key };
	struct shared *there = NULL;
	enum cache_answer a;

	if (!r->spec.cache_key.ptr)
		return CACHE_NONE;
	r->waits.wake = on_kept;
	r->is_waiting = true; /* said beforehand: it may be woken before the answer is here */
	run_ref(r);           /* for that */
	a = request_cache_begin(r->request, r->spec.settings->request_cache, &k, &r->waits, &r->entry, &there);
	if (a == CACHE_WAIT)
		return a;
	if (a == CACHE_READY)
		r->kept = container_of(there, struct outcome_kept, shared);
	r->is_waiting = false;
	run_unref(r);
	return a;
}

static void kept_free(struct shared *s)
{
	struct outcome_kept *k = container_of(s, struct outcome_kept, shared);

	shared_unref(k->result.result);
	free(k);
}

/* The request remembers how it ended; NULL: it did not. */
void follow_end_entry(struct run *r, const struct run_result *how)
{
	struct outcome_kept *k;

	if (!r->entry)
		return;
	if (!how || how->cause == RUN_CAUSE_CANCELLED) {
		request_cache_end(r->request, TAKE(r->entry), NULL);
		return;
	}
	k = xzalloc(sizeof(*k));
	shared_init(&k->shared, kept_free);
	k->result = *how;
	shared_ref(how->result);
	request_cache_end(r->request, TAKE(r->entry), &k->shared);
	shared_unref(&k->shared);
}

static struct deadline follower_deadline(const struct run *r, usec now)
{
	const struct cmd_settings *cs = r->spec.settings;
	struct deadline d = cs->timeout_enabled ? deadline_in(now, cs->timeout_ms * USEC_PER_MSEC) : DEADLINE_NONE;

	d = deadline_min(d, r->spec.deadline);
	return r->outer ? deadline_min(d, r->outer->deadline) : d;
}

/* Waits no longer for the other run. Counts for nothing: that one tells the command what became of it. */
static void give_up(struct run *r, enum run_cause cause, int code, const char *how)
{
	if (!request_cache_withdraw(r->request, &r->waits))
		return; /* it is just being woken */
	r->ticket = (struct ticket){ .start = clock_mono(), .stripe = (uint16_t)stripe_of_thread() };
	command_count(r->spec.command, r->spec.settings, r->ticket.stripe, EVENT_CANCELLED, r->ticket.start);
	err_set(&r->err, code, "%.*s %s", STRF(r->spec.command->key), how);
	pthread_mutex_lock(&r->lock);
	r->is_waiting = false;
	r->is_given_up = r->main.is_claimed = true;
	pthread_mutex_unlock(&r->lock);
	run_settle_without_ticket(r, cause);
	run_unref(r); /* which on_kept would have dropped */
}

static void give_up_late(struct run *r)
{
	give_up(r, RUN_CAUSE_TIMEOUT, VINE_ETIMEOUT, "did not answer in time");
}

static void ring_follower(struct bell *b)
{
	struct run *r = container_of(b, struct run, bell);

	give_up_late(r);
	run_unref(r);
}

void follow_set_bell(struct run *r)
{
	struct deadline d = follower_deadline(r, clock_mono());

	pthread_mutex_lock(&r->lock);
	if (r->is_waiting && d.at != USEC_NEVER) {
		run_ref(r);
		timers_set(r->spec.timers, &r->bell, d.at, ring_follower);
	}
	pthread_mutex_unlock(&r->lock);
}

/* The other run's outcome is there (true), or was cancelled, or is given up. */
bool follow_await(struct run *r)
{
	usec at = follower_deadline(r, clock_mono()).at;
	struct timespec ts = { .tv_sec = (time_t)(at / USEC_PER_SEC), .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };
	bool is_late = false;

	for (;;) {
		pthread_mutex_lock(&r->lock);
		while (r->is_waiting && !is_late) {
			if (at == USEC_NEVER)
				pthread_cond_wait(&r->settled, &r->lock);
			else
				is_late = pthread_cond_timedwait(&r->settled, &r->lock, &ts) != 0;
		}
		is_late = r->is_waiting;
		pthread_mutex_unlock(&r->lock);
		if (!is_late)
			return r->kept;
		give_up_late(r);
		at = USEC_NEVER; /* where it is just being woken */
		is_late = false;
	}
}

void follow_cancel(struct run *r)
{
	give_up(r, RUN_CAUSE_CANCELLED, VINE_ECANCELED, "was cancelled");
}
