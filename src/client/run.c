/* run.c - see run.h.
 *
 * Invariants   Function, timeout and cancellation race for `main.is_claimed`, under the lock; who gets it, and only he, writes
 *              result and err, tells the command the outcome, and then sets is_settled. After that the ticket, result and
 *              err are the waiter's. What a function has in its own `work` is its own: if it comes late, whoever lets go
 *              last drops it. A fallback on a thread is a second such race.
 *              Where nobody waits, the thread that settles goes on (go_on); `bell` is set for the function's deadline, then
 *              for the fallback's, and never while nothing is awaited.
 * Life         References: the starter's, one of each task under way, one of the bell while it is set. */
#include "client/run_parts.h"

/* --- life --- */

static void go_on(struct run *r);

void run_unref(struct run *r)
{
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	follow_end_entry(r, NULL);
	shared_unref(r->main.result);
	shared_unref(r->fallback.result);
	shared_unref(r->result);
	shared_unref(r->how.result);
	context_unref(r->outer);
	context_unref(r->main.context);
	context_unref(r->fallback.context);
	if (r->kept)
		shared_unref(&r->kept->shared);
	if (r->spec.free_arg)
		r->spec.free_arg(r->spec.arg);
	flow_request_unref(r->request); /* late: the argument may be part of it */
	shared_unref(r->spec.holder);
	pthread_cond_destroy(&r->settled);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void run_ref(struct run *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
}

static struct run *run_new(const struct run_spec *spec)
{
	struct run *r = xzalloc(sizeof(*r));
	pthread_condattr_t attr;

	r->spec = *spec;
	shared_ref(spec->holder);
	if (spec->trace)
		r->trace = *spec->trace;
	atomic_init(&r->refs, 1);
	r->main.deadline = DEADLINE_NONE;
	r->main.run = r->fallback.run = r;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->settled, &attr);
	pthread_condattr_destroy(&attr);
	return r;
}

static void prepare(struct run *r, struct work *w, struct deadline d)
{
	struct context *c = context_copy(r->outer);

	c->deadline = w->deadline = d;
	if (r->spec.trace) {
		c->has_trace = true;
		c->trace = r->trace;
	}
	if (r->request && c->request != r->request) {
		flow_request_unref(c->request);
		c->request = flow_request_ref(r->request);
	}
	cancel_unref(c->cancel);
	c->cancel = cancel_new(r->outer ? r->outer->cancel : NULL);
	w->context = c;
}

/* --- the outcome --- */

static enum outcome outcome_of(enum run_answer a)
{
	switch (a) {
	case RUN_OK:
		return OUTCOME_SUCCESS;
	case RUN_BAD_REQUEST:
		return OUTCOME_BAD_REQUEST;
	case RUN_TIMED_OUT:
		return OUTCOME_TIMEOUT;
	case RUN_FAILED:
	case RUN_FATAL:
		break;
	}
	return OUTCOME_FAILURE;
}

static enum run_cause cause_of(enum outcome o)
{
	static const enum run_cause causes[] = {
		[OUTCOME_SUCCESS] = RUN_CAUSE_NONE,
		[OUTCOME_FAILURE] = RUN_CAUSE_FAILURE,
		[OUTCOME_TIMEOUT] = RUN_CAUSE_TIMEOUT,
		[OUTCOME_BAD_REQUEST] = RUN_CAUSE_BAD_REQUEST,
		[OUTCOME_CANCELLED] = RUN_CAUSE_CANCELLED,
		[OUTCOME_POOL_REJECTED] = RUN_CAUSE_POOL_REJECTED,
	};

	return causes[o];
}

/* A circuit that opens or closes is worth a line, once; who sees the change writes it. */
static void tell_change(const struct run *r, enum breaker_state before)
{
	const struct command *c = r->spec.command;
	enum breaker_state after = breaker_word_state(atomic_load(&c->breaker.word));

	if (!r->spec.log)
		return;
	if (before == BREAKER_CLOSED && after == BREAKER_OPEN)
		LOG(r->spec.log, LOG_WARN, "circuit opened", F_STR("command", c->key), F_Z("why", r->err.text));
	else if (before == BREAKER_HALF_OPEN && after == BREAKER_CLOSED)
		LOG(r->spec.log, LOG_INFO, "circuit closed", F_STR("command", c->key));
}

bool run_claim(struct run *r)
{
	bool is_mine;

	pthread_mutex_lock(&r->lock);
	is_mine = !r->main.is_claimed;
	r->main.is_claimed = true;
	pthread_mutex_unlock(&r->lock);
	return is_mine;
}

static void note_executed(const struct run *r, usec now)
{
	struct pool_settings ps = threads_settings(r->spec.threads);

	pool_note_executed(threads_pool(r->spec.threads), &ps, now);
}

/* By who has claimed it and has written result and err: the command is told, then the waiter. */
static void settle(struct run *r, enum outcome o, enum run_cause cause)
{
	struct command *c = r->spec.command;
	enum breaker_state before = breaker_word_state(atomic_load(&c->breaker.word));
	usec now = clock_mono();

	if (r->main.is_queued)
		command_dequeued(c);
	command_done(c, r->spec.settings, &r->ticket, o, now);
	tell_change(r, before);
	if (r->spec.settings->isolation == FLOW_THREAD && o != OUTCOME_CANCELLED && o != OUTCOME_POOL_REJECTED)
		note_executed(r, now);
	pthread_mutex_lock(&r->lock);
	r->cause = cause;
	r->main.is_settled = true;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_broadcast(&r->settled); /* he who settles holds a reference: the run is still there */
	if (r->spec.timers)
		go_on(r);
}

/* --- the function --- */

static void call_main(struct run *r)
{
	struct context *previous = context_enter(context_ref(r->main.context));

	r->main.answer = r->spec.fn(&r->main, r->spec.arg);
	context_leave(previous);
}

static void finish(struct run *r)
{
	enum outcome o = outcome_of(r->main.answer);

	if (!run_claim(r))
		return; /* too late: nobody looks at it any more */
	r->is_fatal = r->main.answer == RUN_FATAL;
	r->result = TAKE(r->main.result);
	if (o != OUTCOME_SUCCESS && o != OUTCOME_BAD_REQUEST) {
		r->err = r->main.err;
		if (r->err.code >= 0)
			err_set(&r->err, VINE_EIO, "%.*s failed", STRF(r->spec.command->key));
	}
	settle(r, o, cause_of(o));
}

/* On a thread of the pool. */
static void run_main(struct task *t)
{
	struct run *r = container_of(t, struct work, task)->run;
	bool is_over;

	pthread_mutex_lock(&r->lock);
	is_over = r->main.is_claimed; /* its time was over before its turn came */
	if (!is_over) {
		r->main.is_queued = false;
		command_dequeued(r->spec.command);
	}
	pthread_mutex_unlock(&r->lock);
	if (is_over)
		return;
	command_started(r->spec.command);
	call_main(r);
	finish(r);
}

static void let_go(struct task *t)
{
	run_unref(container_of(t, struct work, task)->run);
}

static void cancel_now(struct run *r);

/* From here on it may be cancelled. */
static void note_begun(struct run *r)
{
	bool is_wanted;

	pthread_mutex_lock(&r->lock);
	r->is_begun = true;
	is_wanted = r->is_cancel_wanted;
	pthread_mutex_unlock(&r->lock);
	if (is_wanted)
		cancel_now(r);
}

static void ring_main(struct bell *b);

/* The time that nobody else keeps. Not before the task is with the pool, which the bell may take it from again. */
static void set_main_bell(struct run *r)
{
	pthread_mutex_lock(&r->lock);
	if (!r->main.is_claimed && r->main.deadline.at != USEC_NEVER) {
		run_ref(r);
		timers_set(r->spec.timers, &r->bell, r->main.deadline.at, ring_main);
	}
	pthread_mutex_unlock(&r->lock);
}

static void start_on_thread(struct run *r)
{
	r->main.task = (struct task){ .run = run_main, .returned = let_go };
	r->main.is_queued = true; /* said beforehand: it may run before the answer is here */
	command_queued(r->spec.command);
	run_ref(r);
	if (threads_submit(r->spec.threads, &r->main.task, r->ticket.start) != POOL_REJECTED) {
		if (r->spec.timers)
			set_main_bell(r);
		note_begun(r);
		return;
	}
	run_unref(r);
	run_claim(r);
	err_set(&r->err, VINE_EUNAVAIL, "the thread pool %.*s of %.*s is full", STRF(threads_pool(r->spec.threads)->id.key),
		STRF(r->spec.command->key));
	settle(r, OUTCOME_POOL_REJECTED, RUN_CAUSE_POOL_REJECTED);
}

/* Out of the queue, if it is still there: then the function will not run, and its reference is ours to drop. */
static void withdraw(struct work *w)
{
	if (w->task.threads && threads_withdraw(&w->task))
		run_unref(w->run);
}

static void time_out(struct run *r)
{
	if (!run_claim(r))
		return;
	withdraw(&r->main);
	if (r->spec.settings->interrupt_on_timeout)
		cancel_ask(r->main.context->cancel);
	err_set(&r->err, VINE_ETIMEOUT, "%.*s did not answer in time", STRF(r->spec.command->key));
	settle(r, OUTCOME_TIMEOUT, RUN_CAUSE_TIMEOUT);
}

static void ring_main(struct bell *b)
{
	struct run *r = container_of(b, struct run, bell);

	time_out(r);
	run_unref(r);
}

static void start_here(struct run *r)
{
	note_begun(r);
	call_main(r);
	if (r->main.answer == RUN_OK && deadline_is_over(r->main.deadline, clock_mono()))
		time_out(r);
	finish(r);
}

/* With its ticket. */
static void begin(struct run *r, usec now)
{
	struct deadline d = { command_deadline(r->spec.settings, &r->ticket) };

	d = deadline_min(d, r->spec.deadline);
	if (r->outer)
		d = deadline_min(d, r->outer->deadline);
	prepare(r, &r->main, d);
	if (deadline_is_over(d, now)) { /* it came with no time left: that is nobody's failure here */
		run_claim(r);
		err_set(&r->err, VINE_ETIMEOUT, "no time was left for %.*s", STRF(r->spec.command->key));
		settle(r, OUTCOME_CANCELLED, RUN_CAUSE_TIMEOUT);
	} else if (r->spec.settings->isolation == FLOW_THREAD) {
		start_on_thread(r);
	} else {
		start_here(r);
	}
}

/* By who has claimed it and has written err. */
void run_settle_without_ticket(struct run *r, enum run_cause cause)
{
	pthread_mutex_lock(&r->lock);
	r->cause = cause;
	r->main.is_settled = true;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_broadcast(&r->settled);
	if (r->spec.timers)
		go_on(r);
}

/* No ticket was given. */
static void refuse(struct run *r, enum run_cause cause)
{
	struct str key = r->spec.command->key;

	run_claim(r);
	if (cause == RUN_CAUSE_SHORT_CIRCUIT)
		err_set(&r->err, VINE_EUNAVAIL, "the circuit %.*s is open", STRF(key));
	else
		err_set(&r->err, VINE_EUNAVAIL, "too many calls of %.*s are running", STRF(key));
	run_settle_without_ticket(r, cause);
}

void run_admit(struct run *r)
{
	usec now = clock_mono();

	switch (command_admit(r->spec.command, r->spec.settings, now, stripe_of_thread(), &r->ticket)) {
	case ADMIT_SHORT_CIRCUITED:
		refuse(r, RUN_CAUSE_SHORT_CIRCUIT);
		break;
	case ADMIT_SEMAPHORE_REJECTED:
		refuse(r, RUN_CAUSE_SEMAPHORE_REJECTED);
		break;
	case ADMIT_OK:
		begin(r, now);
		break;
	}
}

/* --- starting and cancelling --- */

struct run *run_start(const struct run_spec *spec)
{
	struct context *outer = (struct context *)(uintptr_t)context_now();
	struct run *r = run_new(spec);
	enum cache_answer a;

	assert(!spec->timers || (!spec->fallback_arg && (!spec->fallback || spec->fallback_threads)));
	r->outer = context_ref(outer);
	r->request = flow_request_ref(spec->request ? spec->request : outer ? outer->request : NULL);
	r->noted = request_log_begin(r->request, spec->settings->request_log, spec->command->key);
	a = follow_ask(r);
	r->is_follower = a == CACHE_WAIT || a == CACHE_READY;
	if (!r->is_follower)
		run_admit(r);
	else if (r->spec.timers && a == CACHE_READY)
		follow_end_kept(r);
	else if (r->spec.timers)
		follow_set_bell(r);
	return r;
}

static void cancel_now(struct run *r)
{
	if (!run_claim(r))
		return;
	withdraw(&r->main);
	if (r->spec.settings->interrupt_on_cancel)
		cancel_ask(r->main.context->cancel);
	err_set(&r->err, VINE_ECANCELED, "%.*s was cancelled", STRF(r->spec.command->key));
	settle(r, OUTCOME_CANCELLED, RUN_CAUSE_CANCELLED);
}

void run_cancel(struct run *r)
{
	bool is_waiting, is_begun;

	pthread_mutex_lock(&r->lock);
	is_waiting = r->is_waiting;
	is_begun = r->is_begun;
	r->is_cancel_wanted = true;
	pthread_mutex_unlock(&r->lock);
	if (is_waiting)
		follow_cancel(r);
	else if (is_begun)
		cancel_now(r);
}

/* --- waiting --- */

/* With the lock held; until it is settled (true) or its deadline. */
static bool wait_settled(struct run *r, const struct work *w)
{
	usec at = w->deadline.at;
	struct timespec ts = { .tv_sec = (time_t)(at / USEC_PER_SEC), .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };
	int e = 0;

	while (!w->is_settled && e == 0) {
		if (at == USEC_NEVER)
			e = pthread_cond_wait(&r->settled, &r->lock);
		else
			e = pthread_cond_timedwait(&r->settled, &r->lock, &ts);
	}
	return w->is_settled;
}

static void await(struct run *r)
{
	bool is_there;

	pthread_mutex_lock(&r->lock);
	is_there = wait_settled(r, &r->main);
	pthread_mutex_unlock(&r->lock);
	if (is_there)
		return;
	time_out(r);
	pthread_mutex_lock(&r->lock);
	while (!r->main.is_settled) /* the function claimed it in the last instant, and is telling the command */
		pthread_cond_wait(&r->settled, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* --- the fallback --- */

static void call_fallback(struct run *r)
{
	struct context *previous = context_enter(context_ref(r->fallback.context));
	void *arg = r->spec.fallback_arg ? r->spec.fallback_arg : r->spec.arg;

	r->fallback.answer = r->spec.fallback(&r->fallback, arg, r->cause, &r->err) == 0 ? RUN_OK : RUN_FAILED;
	context_leave(previous);
}

static bool claim_fallback(struct run *r, bool is_here)
{
	bool is_mine;

	pthread_mutex_lock(&r->lock);
	is_mine = !r->fallback.is_claimed;
	r->fallback.is_claimed = true;
	r->fallback.is_settled |= is_mine && is_here;
	pthread_cond_broadcast(&r->settled);
	pthread_mutex_unlock(&r->lock);
	return is_mine;
}

static void end_alone(struct run *r, enum fallback_end how);

static void run_fallback(struct task *t)
{
	struct run *r = container_of(t, struct work, task)->run;

	call_fallback(r);
	if (claim_fallback(r, true) && r->spec.timers)
		end_alone(r, r->fallback.answer == RUN_OK ? FALLBACK_OK : FALLBACK_FAILED);
}

/* false: there is no thread for it. */
static bool fall_back_on_thread(struct run *r, bool *is_late)
{
	struct work *w = &r->fallback;

	w->task = (struct task){ .run = run_fallback, .returned = let_go };
	run_ref(r);
	if (threads_submit(r->spec.fallback_threads, &w->task, clock_mono()) == POOL_REJECTED) {
		run_unref(r);
		return false;
	}
	pthread_mutex_lock(&r->lock);
	*is_late = !wait_settled(r, w);
	w->is_claimed = true;
	pthread_mutex_unlock(&r->lock);
	if (!*is_late)
		return true;
	cancel_ask(w->context->cancel);
	withdraw(w);
	return true;
}

static enum fallback_end fall_back(struct run *r)
{
	bool has_thread = r->spec.settings->isolation == FLOW_THREAD && r->spec.fallback_threads && !r->spec.fallback_arg;
	bool is_late = false;

	prepare(r, &r->fallback, command_fallback_deadline(r->spec.settings, clock_mono()));
	if (!has_thread || !fall_back_on_thread(r, &is_late))
		call_fallback(r);
	if (is_late)
		return FALLBACK_LATE;
	return r->fallback.answer == RUN_OK ? FALLBACK_OK : FALLBACK_FAILED;
}

static bool wants_fallback(const struct run *r)
{
	return r->cause != RUN_CAUSE_NONE && r->cause != RUN_CAUSE_BAD_REQUEST && r->cause != RUN_CAUSE_CANCELLED && !r->is_fatal;
}

/* true: it is to run. */
static bool begin_fallback(struct run *r)
{
	r->how.wanted_fallback = true;
	r->how.fallback = command_fallback_begin(r->spec.command, r->spec.settings, &r->ticket, r->spec.fallback != NULL, clock_mono());
	return r->how.fallback == FALLBACK_RUN;
}

static void end_fallback(struct run *r, enum fallback_end how)
{
	command_fallback_end(r->spec.command, r->spec.settings, &r->ticket, how, clock_mono());
	r->how.from_fallback = how == FALLBACK_OK;
	if (r->how.from_fallback)
		r->how.result = TAKE(r->fallback.result);
}

/* --- the end --- */

static enum flow_event event_of(enum run_cause c)
{
	static const enum flow_event events[] = {
		[RUN_CAUSE_NONE] = EVENT_SUCCESS,
		[RUN_CAUSE_BAD_REQUEST] = EVENT_BAD_REQUEST,
		[RUN_CAUSE_FAILURE] = EVENT_FAILURE,
		[RUN_CAUSE_TIMEOUT] = EVENT_TIMEOUT,
		[RUN_CAUSE_SHORT_CIRCUIT] = EVENT_SHORT_CIRCUITED,
		[RUN_CAUSE_SEMAPHORE_REJECTED] = EVENT_SEMAPHORE_REJECTED,
		[RUN_CAUSE_POOL_REJECTED] = EVENT_THREAD_POOL_REJECTED,
		[RUN_CAUSE_CANCELLED] = EVENT_CANCELLED,
	};

	return events[c];
}

static enum flow_event fallback_event_of(const struct run_result *how)
{
	static const enum flow_event events[] = {
		[FALLBACK_RUN] = EVENT_FALLBACK_FAILURE,
		[FALLBACK_DISABLED] = EVENT_FALLBACK_DISABLED,
		[FALLBACK_MISSING] = EVENT_FALLBACK_MISSING,
		[FALLBACK_REJECTED] = EVENT_FALLBACK_REJECTION,
	};

	return how->from_fallback ? EVENT_FALLBACK_SUCCESS : events[how->fallback];
}

static void note(struct run *r, const struct run_result *how)
{
	request_log_event(r->request, r->noted, event_of(how->cause));
	if (how->wanted_fallback)
		request_log_event(r->request, r->noted, fallback_event_of(how));
	if (how->from_cache)
		request_log_event(r->request, r->noted, EVENT_RESPONSE_FROM_CACHE);
	else
		request_log_took(r->request, r->noted, r->ticket.execute);
}

static void take_outcome(struct run *r)
{
	r->how = (struct run_result){ .cause = r->cause, .err = r->err };
	if (r->cause == RUN_CAUSE_NONE || r->cause == RUN_CAUSE_BAD_REQUEST)
		r->how.result = TAKE(r->result);
}

void run_end(struct run *r)
{
	follow_end_entry(r, &r->how);
	note(r, &r->how);
	if (!r->spec.timers)
		return;
	if (r->spec.ended)
		r->spec.ended(r->spec.arg, &r->how);
	pthread_mutex_lock(&r->lock);
	r->is_over = true;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_broadcast(&r->settled);
}

/* --- the same where nobody waits --- */

void run_stop_bell(struct run *r)
{
	if (timers_cancel(r->spec.timers, &r->bell))
		run_unref(r);
}

static void end_alone(struct run *r, enum fallback_end how)
{
	run_stop_bell(r);
	end_fallback(r, how);
	run_end(r);
}

static void ring_fallback(struct bell *b)
{
	struct run *r = container_of(b, struct run, bell);

	if (claim_fallback(r, false)) {
		cancel_ask(r->fallback.context->cancel);
		withdraw(&r->fallback);
		end_alone(r, FALLBACK_LATE);
	}
	run_unref(r);
}

static void start_fallback(struct run *r)
{
	struct work *w = &r->fallback;

	prepare(r, w, command_fallback_deadline(r->spec.settings, clock_mono()));
	w->task = (struct task){ .run = run_fallback, .returned = let_go };
	run_ref(r);
	if (threads_submit(r->spec.fallback_threads, &w->task, clock_mono()) == POOL_REJECTED) {
		run_unref(r);
		end_alone(r, FALLBACK_FAILED);
		return;
	}
	pthread_mutex_lock(&r->lock);
	if (!w->is_claimed && w->deadline.at != USEC_NEVER) {
		run_ref(r);
		timers_set(r->spec.timers, &r->bell, w->deadline.at, ring_fallback);
	}
	pthread_mutex_unlock(&r->lock);
}

/* By who has settled it. */
static void go_on(struct run *r)
{
	run_stop_bell(r);
	take_outcome(r);
	if (wants_fallback(r) && begin_fallback(r))
		start_fallback(r);
	else
		run_end(r);
}

/* --- waiting for the end --- */

static void await_end(struct run *r)
{
	pthread_mutex_lock(&r->lock);
	while (!r->is_over)
		pthread_cond_wait(&r->settled, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* With what this thread has to do for it. */
static void end_here(struct run *r)
{
	if (r->is_follower && follow_await(r)) {
		follow_count_kept(r);
		run_end(r);
		return;
	}
	if (r->is_follower && !r->is_given_up)
		run_admit(r);
	await(r);
	take_outcome(r);
	if (wants_fallback(r) && begin_fallback(r))
		end_fallback(r, fall_back(r));
	run_end(r);
}

int run_wait(struct run *r, struct run_result *ret)
{
	if (r->spec.timers)
		await_end(r);
	else
		end_here(r);
	*ret = r->how;
	shared_ref(ret->result);
	return ret->from_fallback ? 0 : ret->err.code;
}

int run_command(const struct run_spec *spec, struct run_result *ret)
{
	struct run *r = run_start(spec);
	int code = run_wait(r, ret);

	run_unref(r);
	return code;
}

/* --- for the function and the fallback --- */

void work_set_result(struct work *w, struct shared *result)
{
	shared_unref(w->result);
	w->result = result;
}

struct err *work_err(struct work *w)
{
	return &w->err;
}

struct deadline work_deadline(const struct work *w)
{
	return w->deadline;
}

bool work_is_cancelled(const struct work *w)
{
	return cancel_is_asked(w->context->cancel);
}

const char *run_cause_name(enum run_cause c)
{
	static const char *const names[] = {
		[RUN_CAUSE_NONE] = "none",
		[RUN_CAUSE_BAD_REQUEST] = "bad request",
		[RUN_CAUSE_FAILURE] = "failure",
		[RUN_CAUSE_TIMEOUT] = "timeout",
		[RUN_CAUSE_SHORT_CIRCUIT] = "short circuit",
		[RUN_CAUSE_SEMAPHORE_REJECTED] = "rejected by the semaphore",
		[RUN_CAUSE_POOL_REJECTED] = "rejected by the thread pool",
		[RUN_CAUSE_CANCELLED] = "cancelled",
	};

	return (unsigned)c < ARRAY_LEN(names) ? names[c] : "?";
}
