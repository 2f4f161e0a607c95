/* command.c - the life of one call: admitted, done, fallen back; every event counted once and at once.
 *
 * Invariants   A ticket is HELD from an ADMIT_OK until command_done and then holds one permit of `running`, in either kind of
 *              isolation: that count is also the pin under which counters are written (see stats.h).
 *              Order of admission: circuit, then semaphore. A trial whose permit cannot be used is given back.
 * Health       is judged by whoever records an error, at most once a health interval. An error that comes between is not
 *              forgotten: `judge_due` says when the next caller, of whatever kind, must judge. Below the request volume
 *              judging is cheap and bounded, so there it happens at each error and the 20th of 20 opens the circuit itself.
 */
#include "flow/command.h"

#define JUDGE_EACH_BELOW 64 /* volumes up to this are judged at each error */

static void judge(struct command *c, const struct cmd_settings *cs, usec now)
{
	uint64_t word = atomic_load(&c->breaker.word);
	struct stats_health h;

	if (breaker_word_state(word) != BREAKER_CLOSED || !cs->breaker_enabled) {
		atomic_store_explicit(&c->judge_due, USEC_NEVER, memory_order_relaxed);
		return;
	}
	/* Cleared before the sums are read, so that an error that comes meanwhile sets it anew. */
	atomic_store(&c->judge_due, USEC_NEVER);
	if (!stats_try_health(&c->stats, cs, breaker_word_generation(word), now, &h)) {
		atomic_store(&c->judge_due, now);
		return;
	}
	if (h.total >= cs->volume_threshold || cs->volume_threshold > JUDGE_EACH_BELOW)
		atomic_store_explicit(&c->judge_next, now + cs->health_interval_ms * USEC_PER_MSEC,
				      memory_order_relaxed);
	if (breaker_judge(&c->breaker, cs, breaker_word_generation(word), &h, now))
		atomic_store_explicit(&c->judge_next, 0, memory_order_relaxed);
}

static void note_bad(struct command *c, const struct cmd_settings *cs, usec now)
{
	usec next = atomic_load_explicit(&c->judge_next, memory_order_relaxed);

	if (now >= next)
		judge(c, cs, now);
	else
		atomic_store(&c->judge_due, next);
}

/* A result that is health: not for the circuit if that has closed since the call was admitted, for then it says nothing
 * about now. */
static void count_health(struct command *c, const struct cmd_settings *cs, struct stats_stripe *st, uint64_t generation,
			 bool is_error, bool is_slow)
{
	uint64_t word = atomic_load_explicit(&c->breaker.word, memory_order_relaxed);

	if (unlikely(breaker_word_state(word) == BREAKER_CLOSED && breaker_word_generation(word) != generation)) {
		stats_count(st, STAT_STALE);
		if (is_error)
			stats_count(st, STAT_STALE_ERRORS);
		return;
	}
	if (unlikely(is_slow))
		stats_count(st, STAT_SLOW);
	if (unlikely(cs->count_window))
		stats_ring_add(&c->stats, cs, is_error, is_slow);
}

/* Counts what happens without a permit of `running`, so under a pin. */
static void count_pinned(struct command *c, const struct cmd_settings *cs, unsigned stripe, enum flow_event ev, usec now)
{
	stats_pin(&c->stats);
	stats_tick(&c->stats, cs, now);
	stats_count(stats_at(&c->stats, stripe), ev);
	stats_unpin(&c->stats);
}

static enum admit reject(struct command *c, const struct cmd_settings *cs, const struct ticket *t, bool is_trial, usec now)
{
	count_pinned(c, cs, t->stripe, EVENT_SEMAPHORE_REJECTED, now);
	if (unlikely(cs->count_window))
		stats_ring_add(&c->stats, cs, true, false);
	if (is_trial)
		breaker_trial_end(&c->breaker, cs, t->generation, TRIAL_RETURNED, now);
	else
		note_bad(c, cs, now);
	return ADMIT_SEMAPHORE_REJECTED;
}

static uint32_t limit_of(const struct command *c, const struct cmd_settings *cs)
{
	if (cs->isolation != FLOW_SEMAPHORE)
		return UINT32_MAX;
	return likely(cs->limit == FLOW_LIMIT_FIXED) ? cs->semaphore_max : limiter_limit(&c->limiter, cs);
}

enum admit command_admit(struct command *c, const struct cmd_settings *cs, usec now, unsigned stripe, struct ticket *t)
{
	bool is_trial;

	*t = (struct ticket){ .start = now, .stripe = (uint16_t)stripe };
	if (unlikely(now >= atomic_load_explicit(&c->judge_due, memory_order_relaxed)))
		judge(c, cs, now);
	if (unlikely(!breaker_admit(&c->breaker, cs, now, &t->generation, &is_trial))) {
		count_pinned(c, cs, stripe, EVENT_SHORT_CIRCUITED, now);
		return ADMIT_SHORT_CIRCUITED;
	}

	uint32_t active = semaphore_acquire(&c->running, limit_of(c, cs));

	if (unlikely(!active))
		return reject(c, cs, t, is_trial, now);
	t->flags = TICKET_HELD | (is_trial ? TICKET_TRIAL : 0);
	stats_tick(&c->stats, cs, now);
	if (likely(cs->isolation == FLOW_SEMAPHORE)) /* THREAD: see command_started */
		stats_note_active(&c->stats, active);
	return ADMIT_OK;
}

uint32_t command_active(const struct command *c)
{
	uint32_t queued = atomic_load_explicit(&c->queued, memory_order_relaxed), used = semaphore_used(&c->running);

	return used > queued ? used - queued : 0;
}

void command_queued(struct command *c)
{
	atomic_fetch_add_explicit(&c->queued, 1, memory_order_relaxed);
}

void command_dequeued(struct command *c)
{
	atomic_fetch_sub_explicit(&c->queued, 1, memory_order_relaxed);
}

void command_started(struct command *c)
{
	stats_note_active(&c->stats, command_active(c));
}

static enum flow_event event_of(enum outcome o)
{
	static const enum flow_event events[] = {
		[OUTCOME_SUCCESS] = EVENT_SUCCESS,
		[OUTCOME_FAILURE] = EVENT_FAILURE,
		[OUTCOME_TIMEOUT] = EVENT_TIMEOUT,
		[OUTCOME_BAD_REQUEST] = EVENT_BAD_REQUEST,
		[OUTCOME_CANCELLED] = EVENT_CANCELLED,
		[OUTCOME_POOL_REJECTED] = EVENT_THREAD_POOL_REJECTED,
	};

	return events[o];
}

static void end_trial(struct command *c, const struct cmd_settings *cs, uint64_t generation, enum outcome outcome,
		      bool is_slow, usec now)
{
	struct stats_health h;
	enum breaker_trial how = TRIAL_RETURNED;

	if (outcome == OUTCOME_SUCCESS)
		how = is_slow ? TRIAL_SLOW : TRIAL_OK;
	else if (outcome == OUTCOME_FAILURE || outcome == OUTCOME_TIMEOUT)
		how = TRIAL_FAILED;
	if (!breaker_trial_end(&c->breaker, cs, generation, how, now))
		return;
	/* What went wrong before is not held against the closed circuit; the rolling counts keep their window. */
	stats_health(&c->stats, cs, breaker_word_generation(atomic_load(&c->breaker.word)), now, &h);
}

/* What a call's end tells an adaptive limit: a refused connection is quick and tells nothing. */
static void sample_limit(struct command *c, const struct cmd_settings *cs, enum outcome o, usec took, usec now)
{
	if (cs->isolation != FLOW_SEMAPHORE || (o != OUTCOME_SUCCESS && o != OUTCOME_BAD_REQUEST && o != OUTCOME_TIMEOUT))
		return;
	limiter_sample(&c->limiter, cs, took, semaphore_used(&c->running), o == OUTCOME_TIMEOUT, now);
}

void command_done(struct command *c, const struct cmd_settings *cs, struct ticket *t, enum outcome outcome, usec now)
{
	enum flow_event ev = event_of(outcome);

	if (!(t->flags & TICKET_HELD))
		return;

	struct stats_stripe *st = stats_at(&c->stats, t->stripe);
	bool is_slow = cs->slow_call_ms && now - t->start >= cs->slow_call_ms * USEC_PER_MSEC &&
		       outcome <= OUTCOME_TIMEOUT;
	bool is_trial = t->flags & TICKET_TRIAL;

	stats_tick(&c->stats, cs, now);
	stats_count(st, ev);
	if (event_is_health(ev))
		count_health(c, cs, st, t->generation, event_is_error(ev), is_slow);
	if (unlikely(cs->limit != FLOW_LIMIT_FIXED))
		sample_limit(c, cs, outcome, now - t->start, now);
	t->flags = 0;
	if (likely(outcome <= OUTCOME_BAD_REQUEST)) {
		t->execute = now - t->start;
		t->flags = TICKET_EXECUTED;
		if (cs->percentile_enabled)
			stats_latency(&c->stats, st, t->execute);
	}
	if (unlikely(is_trial))
		end_trial(c, cs, t->generation, outcome, is_slow, now);
	else if (unlikely(event_is_error(ev) || is_slow))
		note_bad(c, cs, now);
	semaphore_release(&c->running);
}

enum fallback command_fallback_begin(struct command *c, const struct cmd_settings *cs, struct ticket *t,
				     bool is_implemented, usec now)
{
	if (!cs->fallback_enabled) {
		count_pinned(c, cs, t->stripe, EVENT_FALLBACK_DISABLED, now);
		return FALLBACK_DISABLED;
	}
	/* As in Hystrix the semaphore is asked first: whether a fallback exists shows only when it is called. */
	if (!semaphore_acquire(&c->fallback, cs->fallback_max)) {
		count_pinned(c, cs, t->stripe, EVENT_FALLBACK_REJECTION, now);
		return FALLBACK_REJECTED;
	}
	if (!is_implemented) {
		stats_tick(&c->stats, cs, now);
		stats_count(stats_at(&c->stats, t->stripe), EVENT_FALLBACK_MISSING);
		semaphore_release(&c->fallback);
		return FALLBACK_MISSING;
	}
	t->flags |= TICKET_FALLBACK;
	return FALLBACK_RUN;
}

void command_fallback_end(struct command *c, const struct cmd_settings *cs, struct ticket *t, enum fallback_end how,
			  usec now)
{
	if (!(t->flags & TICKET_FALLBACK))
		return;

	struct stats_stripe *st = stats_at(&c->stats, t->stripe);

	stats_tick(&c->stats, cs, now);
	stats_count(st, how == FALLBACK_OK ? EVENT_FALLBACK_SUCCESS : EVENT_FALLBACK_FAILURE);
	if (cs->percentile_enabled && (t->flags & TICKET_EXECUTED) && now - t->start > t->execute)
		stats_latency_total(&c->stats, st, t->execute, now - t->start);
	t->flags &= (uint8_t)~TICKET_FALLBACK;
	semaphore_release(&c->fallback);
}

void command_count(struct command *c, const struct cmd_settings *cs, unsigned stripe, enum flow_event ev, usec now)
{
	assert(!event_is_health(ev));
	count_pinned(c, cs, stripe, ev, now);
}

void command_force(struct command *c, const struct cmd_settings *cs, enum breaker_force force, usec now)
{
	struct stats_health h;

	breaker_set_force(&c->breaker, force, now);
	/* As after a trial that closed it: health begins anew, and now, not when it is next judged. */
	stats_health(&c->stats, cs, breaker_word_generation(atomic_load(&c->breaker.word)), now, &h);
	atomic_store_explicit(&c->judge_next, 0, memory_order_relaxed);
}

void command_snapshot(struct command *c, const struct cmd_settings *cs, usec now, struct command_snapshot *ret)
{
	if (now >= atomic_load_explicit(&c->judge_due, memory_order_relaxed))
		judge(c, cs, now);
	ret->key = c->key;
	ret->group = c->group;
	breaker_view(&c->breaker, &ret->breaker);
	ret->is_open = breaker_is_open(&c->breaker, cs);
	ret->active = command_active(c);
	ret->fallback_active = semaphore_used(&c->fallback);
	ret->limit = limit_of(c, cs);
	stats_read(&c->stats, cs, ret->breaker.state == BREAKER_CLOSED ? ret->breaker.generation : 0, ret->active, now,
		   &ret->stats);
}

const char *outcome_name(enum outcome o)
{
	return (unsigned)o <= OUTCOME_POOL_REJECTED ? event_name(event_of(o)) : "?";
}

const char *admit_name(enum admit a)
{
	static const char *const names[] = { "ADMITTED", "SHORT_CIRCUITED", "SEMAPHORE_REJECTED" };

	return (unsigned)a < ARRAY_LEN(names) ? names[a] : "?";
}

const char *fallback_name(enum fallback f)
{
	static const char *const names[] = {
		[FALLBACK_RUN] = "run",
		[FALLBACK_DISABLED] = "disabled",
		[FALLBACK_MISSING] = "missing",
		[FALLBACK_REJECTED] = "rejected",
	};

	return (unsigned)f < ARRAY_LEN(names) ? names[f] : "?";
}
