/* breaker.c - decides whether a command may be called now.
 *
 * CLOSED lets calls pass and is judged by the rolling health; OPEN refuses until `until`; HALF_OPEN hands out permits for
 * trials and, when the last result is in, closes or opens again.
 *
 * Invariants   Only go() writes state and generation, with the lock held; permits are taken and given back by
 *              compare-and-swap on the same word. Each change of state raises the generation. A result counts towards a
 *              decision only if its ticket has the present generation: a straggler from before moves nothing.
 *              A circuit that is forced by hand is in state OPEN with `until` never, or CLOSED and not judged.
 *              A permit that never comes back cannot wedge the circuit: at the lease's end a new round of trials begins.
 * Threads      Any. While CLOSED, admission is one load.
 * Time         Comes in as `now`.
 */
#include "flow/breaker.h"

#define PERMITS_MAX 1000u
#define LEASE_GRACE (USEC_PER_SEC / 2) /* for a time-out that is noticed a little late */
#define GENERATION_MASK ((UINT64_C(1) << 48) - 1)

static uint64_t word_of(enum breaker_state st, uint64_t generation, uint32_t permits)
{
	return (uint64_t)st | (uint64_t)permits << 2 | (generation & GENERATION_MASK) << 16;
}

void breaker_init(struct breaker *b, usec now)
{
	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	b->since = now;
	atomic_init(&b->word, word_of(BREAKER_CLOSED, 1, 0));
}

void breaker_fini(struct breaker *b)
{
	pthread_mutex_destroy(&b->lock);
	free(b->turns);
}

/* Most circuits never open: the ring is made when it is first needed. With the lock held. */
static void remember(struct breaker *b, enum breaker_state from, enum breaker_state to, enum breaker_why why,
		     const struct stats_health *health, usec now)
{
	if (!b->turns)
		b->turns = xzalloc(BREAKER_TURNS * sizeof(*b->turns));
	b->turns[b->n_turns++ % BREAKER_TURNS] = (struct breaker_turn){
		.at = now,
		.from = (uint8_t)from,
		.to = (uint8_t)to,
		.why = (uint8_t)why,
		.health = health ? *health : (struct stats_health){ 0 },
	};
}

unsigned breaker_turns(struct breaker *b, struct breaker_turn ret[BREAKER_TURNS])
{
	unsigned n;

	pthread_mutex_lock(&b->lock);
	n = MIN(b->n_turns, (uint32_t)BREAKER_TURNS);
	for (unsigned i = 0; i < n; i++)
		ret[i] = b->turns[(b->n_turns - 1 - i) % BREAKER_TURNS];
	pthread_mutex_unlock(&b->lock);
	return n;
}

size_t breaker_bytes(struct breaker *b)
{
	bool has_turns;

	pthread_mutex_lock(&b->lock);
	has_turns = b->turns != NULL;
	pthread_mutex_unlock(&b->lock);
	return has_turns ? BREAKER_TURNS * sizeof(*b->turns) : 0;
}

/* The one place that changes state. With the lock held. */
static void go(struct breaker *b, enum breaker_state to, enum breaker_why why, uint32_t permits, usec until, usec now)
{
	uint64_t word = atomic_load(&b->word);

	remember(b, breaker_word_state(word), to, why, why == BREAKER_ERRORS || why == BREAKER_SLOW ? &b->at_trip : NULL,
		 now);
	atomic_store(&b->until, until);
	b->why = why;
	b->since = now;
	b->trials = permits;
	b->ok = b->slow = b->failed = 0;
	/* A permit may be taken between load and swap: then the word is read again. */
	while (!atomic_compare_exchange_weak(&b->word, &word, word_of(to, breaker_word_generation(word) + 1, permits)))
		;
}

/* A number that differs from breaker to breaker and from opening to opening; not for secrets. */
static uint64_t scatter(const struct breaker *b, usec now)
{
	uint64_t x = ((uint64_t)(uintptr_t)b >> 6) ^ (uint64_t)now * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 31;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 29;
}

static usec sleep_window(const struct breaker *b, const struct cmd_settings *cs, usec now)
{
	usec span = MAX(cs->sleep_window_ms, (msec)0) * USEC_PER_MSEC, max = cs->sleep_max_ms * USEC_PER_MSEC;

	for (uint32_t i = 0; i < b->reopened && span < max; i++)
		span = MIN(span * 2, max);
	if (cs->sleep_jitter_pct) {
		usec part = span * (usec)MIN(cs->sleep_jitter_pct, 100u) / 100;

		span -= (usec)(scatter(b, now) % (uint64_t)(part + 1));
	}
	return span;
}

static void open_now(struct breaker *b, const struct cmd_settings *cs, enum breaker_why why, usec now)
{
	go(b, BREAKER_OPEN, why, 0, now + sleep_window(b, cs, now), now);
}

static usec lease(const struct cmd_settings *cs, usec now)
{
	msec span = cs->timeout_enabled ? cs->timeout_ms : MAX(cs->sleep_window_ms, (msec)1000);

	return now + span * USEC_PER_MSEC + LEASE_GRACE;
}

/* Takes a permit of the present round; false if there is none. */
static bool take_permit(struct breaker *b, const struct cmd_settings *cs, usec now, uint64_t *generation)
{
	uint64_t word = atomic_load(&b->word);

	while (breaker_word_state(word) == BREAKER_HALF_OPEN && breaker_word_permits(word) > 0) {
		if (!atomic_compare_exchange_weak(&b->word, &word, word - (1u << 2)))
			continue;
		*generation = breaker_word_generation(word);

		usec ends = lease(cs, now), until = atomic_load(&b->until);

		while (until < ends && !atomic_compare_exchange_weak(&b->until, &until, ends))
			;
		return true;
	}
	return false;
}

/* OPEN and slept, or HALF_OPEN with all permits out and their leases over: begins a round of trials. */
static void begin_trials(struct breaker *b, const struct cmd_settings *cs, usec now)
{
	uint32_t permits = MIN(MAX(cs->half_open_trials, 1u), PERMITS_MAX);

	pthread_mutex_lock(&b->lock);

	uint64_t word = atomic_load(&b->word);

	if (now >= atomic_load(&b->until)) {
		if (breaker_word_state(word) == BREAKER_OPEN)
			go(b, BREAKER_HALF_OPEN, BREAKER_SLEPT, permits, lease(cs, now), now);
		else if (breaker_word_state(word) == BREAKER_HALF_OPEN && breaker_word_permits(word) == 0)
			go(b, BREAKER_HALF_OPEN, BREAKER_TRIAL_LOST, permits, lease(cs, now), now);
	}
	pthread_mutex_unlock(&b->lock);
}

bool breaker_admit_slow(struct breaker *b, const struct cmd_settings *cs, usec now, uint64_t *generation, bool *trial)
{
	uint64_t word = atomic_load(&b->word);

	*trial = false;
	*generation = breaker_word_generation(word);
	if (!cs->breaker_enabled)
		return true;
	if (cs->force_open)
		return false;
	if (cs->force_closed || breaker_word_state(word) == BREAKER_CLOSED)
		return true;
	*trial = take_permit(b, cs, now, generation);
	if (!*trial && now >= atomic_load(&b->until)) {
		begin_trials(b, cs, now);
		*trial = take_permit(b, cs, now, generation);
	}
	return *trial;
}

/* With the lock held: all trials of the round are in. */
static bool finish_trials(struct breaker *b, const struct cmd_settings *cs, usec now)
{
	uint64_t all = b->ok + b->slow + b->failed;
	bool is_bad = b->failed && (uint64_t)b->failed * 100 >= cs->error_threshold_pct * all;
	bool is_slow = b->slow && (uint64_t)b->slow * 100 >= cs->slow_threshold_pct * all;

	if (is_bad || is_slow) {
		b->reopened = MIN(b->reopened + 1, 62u);
		open_now(b, cs, BREAKER_TRIAL_FAILED, now);
		return false;
	}
	b->reopened = 0;
	go(b, BREAKER_CLOSED, BREAKER_RECOVERED, 0, 0, now);
	return true;
}

bool breaker_trial_end(struct breaker *b, const struct cmd_settings *cs, uint64_t generation, enum breaker_trial how,
		       usec now)
{
	bool closed = false;

	pthread_mutex_lock(&b->lock);

	uint64_t word = atomic_load(&b->word);

	if (breaker_word_state(word) == BREAKER_HALF_OPEN && breaker_word_generation(word) == generation) {
		if (how == TRIAL_RETURNED) {
			atomic_fetch_add(&b->word, 1u << 2);
		} else {
			b->ok += how == TRIAL_OK;
			b->slow += how == TRIAL_SLOW;
			b->failed += how == TRIAL_FAILED;
			if (b->ok + b->slow + b->failed >= b->trials)
				closed = finish_trials(b, cs, now);
		}
	}
	pthread_mutex_unlock(&b->lock);
	return closed;
}

bool breaker_judge(struct breaker *b, const struct cmd_settings *cs, uint64_t generation,
		   const struct stats_health *h, usec now)
{
	bool is_bad = h->error_pct >= cs->error_threshold_pct;
	bool is_slow = cs->slow_call_ms && h->total &&
		       (uint64_t)h->slow * 100 >= (uint64_t)cs->slow_threshold_pct * h->total;
	bool opened = false;

	if (atomic_load_explicit(&b->force, memory_order_relaxed) == BREAKER_FORCE_CLOSED)
		return false;
	if (!cs->breaker_enabled || h->total < cs->volume_threshold || !(is_bad || is_slow))
		return false;
	pthread_mutex_lock(&b->lock);

	uint64_t word = atomic_load(&b->word);

	/* Forced meanwhile: then the generation is another one. */
	if (breaker_word_state(word) == BREAKER_CLOSED && breaker_word_generation(word) == generation) {
		b->at_trip = *h;
		b->opened_at = now;
		open_now(b, cs, is_bad ? BREAKER_ERRORS : BREAKER_SLOW, now);
		opened = true;
	}
	pthread_mutex_unlock(&b->lock);
	return opened;
}

void breaker_set_force(struct breaker *b, enum breaker_force force, usec now)
{
	enum breaker_force was;

	pthread_mutex_lock(&b->lock);
	was = atomic_load(&b->force);
	atomic_store(&b->force, (uint8_t)force);
	if (force == was) {
		pthread_mutex_unlock(&b->lock);
		return;
	}
	b->reopened = 0;
	if (force == BREAKER_FORCE_OPEN)
		go(b, BREAKER_OPEN, BREAKER_BY_HAND, 0, USEC_NEVER, now);
	else if (force == BREAKER_FORCE_CLOSED)
		go(b, BREAKER_CLOSED, BREAKER_BY_HAND, 0, 0, now);
	else if (was == BREAKER_FORCE_OPEN) /* nobody knows how things are by now: a trial will tell */
		go(b, BREAKER_OPEN, BREAKER_BY_HAND, 0, now, now);
	else /* what failed meanwhile is not held against it */
		go(b, BREAKER_CLOSED, BREAKER_BY_HAND, 0, 0, now);
	pthread_mutex_unlock(&b->lock);
}

void breaker_view(struct breaker *b, struct breaker_view *ret)
{
	pthread_mutex_lock(&b->lock);

	uint64_t word = atomic_load(&b->word);

	*ret = (struct breaker_view){
		.state = breaker_word_state(word),
		.why = b->why,
		.force = atomic_load(&b->force),
		.generation = breaker_word_generation(word),
		.permits = breaker_word_permits(word),
		.trials = b->trials,
		.since = b->since,
		.until = atomic_load(&b->until),
		.at_trip = b->at_trip,
	};
	pthread_mutex_unlock(&b->lock);
}

bool breaker_is_open(const struct breaker *b, const struct cmd_settings *cs)
{
	if (!cs->breaker_enabled)
		return false;
	if (cs->force_open || cs->force_closed)
		return cs->force_open;
	return breaker_word_state(atomic_load_explicit(&b->word, memory_order_acquire)) != BREAKER_CLOSED;
}

const char *breaker_state_name(enum breaker_state st)
{
	static const char *const names[] = { "CLOSED", "OPEN", "HALF_OPEN" };

	return (unsigned)st < ARRAY_LEN(names) ? names[st] : "?";
}

const char *breaker_why_text(enum breaker_why why)
{
	static const char *const texts[] = {
		[BREAKER_NEW] = "never opened",
		[BREAKER_ERRORS] = "error percentage reached the threshold",
		[BREAKER_SLOW] = "share of slow calls reached the threshold",
		[BREAKER_SLEPT] = "sleep window over, trying",
		[BREAKER_TRIAL_FAILED] = "trial failed",
		[BREAKER_TRIAL_LOST] = "trial gave no result, trying again",
		[BREAKER_RECOVERED] = "trial succeeded",
		[BREAKER_BY_HAND] = "set by hand",
	};

	return (unsigned)why < ARRAY_LEN(texts) ? texts[why] : "?";
}

const char *breaker_force_name(enum breaker_force force)
{
	static const char *const names[] = { "auto", "open", "closed" };

	return (unsigned)force < ARRAY_LEN(names) ? names[force] : "?";
}
