/* run.c - see run.h.
 *
 * Invariants   Function, timeout and cancellation race for `main.is_claimed`, under the lock; who gets it, and only he, writes
 *              result and err, tells the command the outcome, and then sets is_settled. After that the ticket, result and
 *              err are the waiter's. What a function has in its own `work` is its own: if it comes late, whoever lets go
 *              last drops it. A fallback on a thread is a second such race.
 * Life         References: the starter's, and one of each task under way. */
#include "client/run.h"

/* One function that may outlive who waits for it. */
struct work {
	struct task task;
	struct run *run;
	bool is_claimed, is_settled, is_queued; /* guarded by the run's lock */
	enum run_answer answer;
	struct shared *result;
	struct err err;
	struct context *context;
	struct deadline deadline;
};

/* How a run ended, as the request remembers it. */
struct outcome_kept {
	struct shared shared;
	struct run_result result;
};

struct run {
	_Atomic uint32_t refs;
	struct run_spec spec;
	struct trace_context trace; /* where spec has one */
	struct ticket ticket;
	pthread_mutex_t lock;
	pthread_cond_t settled;
	struct work main, fallback;
	enum run_cause cause;
	struct shared *result;
	struct err err;
	bool is_fatal;

	/* shared within a request */
	struct flow_request *request; /* a reference; NULL: none */
	struct cache_entry *entry;    /* that this run is to end; NULL: none */
	struct cache_wait waits;      /* for another run */
	bool is_follower, is_waiting; /* the second guarded by the lock */
	struct outcome_kept *kept;    /* what the other one gave */
	int noted;                    /* in the request's log */
};

static unsigned stripe_of_thread(void)
{
	return (unsigned)(((uint64_t)(uintptr_t)pthread_self() >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

/* --- life --- */

static void end_entry(struct run *r, const struct run_result *how);

void run_unref(struct run *r)
{
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	end_entry(r, NULL);
	shared_unref(r->main.result);
	shared_unref(r->fallback.result);
	shared_unref(r->result);
	context_unref(r->main.context);
	context_unref(r->fallback.context);
	if (r->kept)
		shared_unref(&r->kept->shared);
	if (r->spec.free_arg)
		r->spec.free_arg(r->spec.arg);
	flow_request_unref(r->request); /* last: the argument may be part of it */
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
	if (spec->trace)
		r->trace = *spec->trace;
	atomic_init(&r->refs, 1);
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
	const struct context *outer = context_now();
	struct context *c = context_copy(outer);

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
	c->cancel = cancel_new(outer ? outer->cancel : NULL);
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

static bool claim(struct run *r)
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

	if (!claim(r))
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

static void start_on_thread(struct run *r)
{
	r->main.task = (struct task){ .run = run_main, .returned = let_go };
	r->main.is_queued = true; /* said beforehand: it may run before the answer is here */
	command_queued(r->spec.command);
	run_ref(r);
	if (threads_submit(r->spec.threads, &r->main.task, r->ticket.start) != POOL_REJECTED)
		return;
	run_unref(r);
	r->main.is_claimed = true;
	err_set(&r->err, VINE_EUNAVAIL, "the thread pool %.*s of %.*s is full", STRF(threads_pool(r->spec.threads)->id.key),
		STRF(r->spec.command->key));
	settle(r, OUTCOME_POOL_REJECTED, RUN_CAUSE_POOL_REJECTED);
}

/* Out of the queue, if it is still there: then the function will not run, and its reference is ours to drop. */
static void withdraw(struct run *r)
{
	if (r->spec.settings->isolation == FLOW_THREAD && threads_withdraw(&r->main.task))
		run_unref(r);
}

static void time_out(struct run *r)
{
	if (!claim(r))
		return;
	withdraw(r);
	if (r->spec.settings->interrupt_on_timeout)
		cancel_ask(r->main.context->cancel);
	err_set(&r->err, VINE_ETIMEOUT, "%.*s did not answer in time", STRF(r->spec.command->key));
	settle(r, OUTCOME_TIMEOUT, RUN_CAUSE_TIMEOUT);
}

static void start_here(struct run *r)
{
	call_main(r);
	if (r->main.answer == RUN_OK && deadline_is_over(r->main.deadline, clock_mono()))
		time_out(r);
	finish(r);
}

/* With its ticket. */
static void begin(struct run *r, usec now)
{
	const struct context *outer = context_now();
	struct deadline d = { command_deadline(r->spec.settings, &r->ticket) };

	d = deadline_min(d, r->spec.deadline);
	if (outer)
		d = deadline_min(d, outer->deadline);
	prepare(r, &r->main, d);
	if (deadline_is_over(d, now)) { /* it came with no time left: that is nobody's failure here */
		r->main.is_claimed = true;
		err_set(&r->err, VINE_ETIMEOUT, "no time was left for %.*s", STRF(r->spec.command->key));
		settle(r, OUTCOME_CANCELLED, RUN_CAUSE_TIMEOUT);
	} else if (r->spec.settings->isolation == FLOW_THREAD) {
		start_on_thread(r);
	} else {
		start_here(r);
	}
}

/* No ticket was given. */
static void refuse(struct run *r, enum run_cause cause)
{
	struct str key = r->spec.command->key;

	r->main.is_claimed = r->main.is_settled = true;
	r->cause = cause;
	if (cause == RUN_CAUSE_SHORT_CIRCUIT)
		err_set(&r->err, VINE_EUNAVAIL, "the circuit %.*s is open", STRF(key));
	else
		err_set(&r->err, VINE_EUNAVAIL, "too many calls of %.*s are running", STRF(key));
}

static void admit(struct run *r)
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

/* --- shared within a request --- */

/* By the other run's thread. */
static void on_kept(struct cache_wait *w, struct shared *result)
{
	struct run *r = container_of(w, struct run, waits);

	pthread_mutex_lock(&r->lock);
	r->kept = result ? container_of(result, struct outcome_kept, shared) : NULL;
	r->is_waiting = false;
	pthread_cond_broadcast(&r->settled);
	pthread_mutex_unlock(&r->lock);
	run_unref(r);
}

/* true: another run of this request has the result, or is making it. */
static bool is_shared(struct run *r)
{
	struct cache_key k = { CACHE_OF_COMMAND, r->spec.command->key, r->spec.cache_key };
	struct shared *there = NULL;

	if (!r->spec.cache_key.ptr)
		return false;
	r->waits.wake = on_kept;
	r->is_waiting = true; /* said beforehand: it may be woken before the answer is here */
	run_ref(r);           /* for that */
	switch (request_cache_begin(r->request, r->spec.settings->request_cache, &k, &r->waits, &r->entry, &there)) {
	case CACHE_WAIT:
		return true;
	case CACHE_READY:
		r->kept = container_of(there, struct outcome_kept, shared);
		break;
	case CACHE_RUN:
	case CACHE_NONE:
		break;
	}
	r->is_waiting = false;
	run_unref(r);
	return r->kept != NULL;
}

static void kept_free(struct shared *s)
{
	struct outcome_kept *k = container_of(s, struct outcome_kept, shared);

	shared_unref(k->result.result);
	free(k);
}

/* The request remembers how it ended; NULL: it did not. */
static void end_entry(struct run *r, const struct run_result *how)
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

/* The other run's outcome; false: it was cancelled, there is none. */
static bool await_kept(struct run *r, struct run_result *ret)
{
	pthread_mutex_lock(&r->lock);
	while (r->is_waiting)
		pthread_cond_wait(&r->settled, &r->lock);
	pthread_mutex_unlock(&r->lock);
	if (!r->kept)
		return false;
	*ret = r->kept->result;
	shared_ref(ret->result);
	ret->from_cache = true;
	command_count(r->spec.command, r->spec.settings, stripe_of_thread(), EVENT_RESPONSE_FROM_CACHE, clock_mono());
	return true;
}

struct run *run_start(const struct run_spec *spec)
{
	const struct context *outer = context_now();
	struct run *r = run_new(spec);

	r->request = flow_request_ref(spec->request ? spec->request : outer ? outer->request : NULL);
	r->noted = request_log_begin(r->request, spec->settings->request_log, spec->command->key);
	r->is_follower = is_shared(r);
	if (!r->is_follower)
		admit(r);
	return r;
}

void run_cancel(struct run *r)
{
	if (!claim(r))
		return;
	withdraw(r);
	if (r->spec.settings->interrupt_on_cancel)
		cancel_ask(r->main.context->cancel);
	err_set(&r->err, VINE_ECANCELED, "%.*s was cancelled", STRF(r->spec.command->key));
	settle(r, OUTCOME_CANCELLED, RUN_CAUSE_CANCELLED);
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

static void run_fallback(struct task *t)
{
	struct work *w = container_of(t, struct work, task);
	struct run *r = w->run;

	call_fallback(r);
	pthread_mutex_lock(&r->lock);
	w->is_settled = !w->is_claimed;
	w->is_claimed = true;
	pthread_cond_broadcast(&r->settled);
	pthread_mutex_unlock(&r->lock);
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
	if (threads_withdraw(&w->task))
		run_unref(r);
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

static void try_fallback(struct run *r, struct run_result *ret)
{
	struct command *c = r->spec.command;
	const struct cmd_settings *cs = r->spec.settings;
	enum fallback_end how;

	ret->wanted_fallback = true;
	ret->fallback = command_fallback_begin(c, cs, &r->ticket, r->spec.fallback != NULL, clock_mono());
	if (ret->fallback != FALLBACK_RUN)
		return;
	how = fall_back(r);
	command_fallback_end(c, cs, &r->ticket, how, clock_mono());
	ret->from_fallback = how == FALLBACK_OK;
	if (ret->from_fallback)
		ret->result = TAKE(r->fallback.result);
}

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

int run_wait(struct run *r, struct run_result *ret)
{
	bool is_kept = r->is_follower;

	if (is_kept && !await_kept(r, ret)) {
		is_kept = false;
		admit(r);
	}
	if (!is_kept) {
		await(r);
		*ret = (struct run_result){ .cause = r->cause, .err = r->err };
		if (r->cause == RUN_CAUSE_NONE || r->cause == RUN_CAUSE_BAD_REQUEST)
			ret->result = TAKE(r->result);
		else if (wants_fallback(r))
			try_fallback(r, ret);
		end_entry(r, ret);
	}
	note(r, ret);
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
