/* test_flow_model.c - a command held against a plain model of it: random admissions, results, losses, fallbacks, pauses and
 * changes of properties, on one thread. The model remembers everything that happened and counts it anew each time; it has
 * no windows, no stripes, no atomics. Where they differ the sequence is shrunk to its shortest form and told.
 *
 * One more test breaks the model on purpose: the shrinker must find it, or nothing here can fail. */
#include <stdio.h>

#include "base/rng.h"
#include "flow/command.h"
#include "test.h"

#define START (INT64_C(100000) * USEC_PER_SEC + 17)
#define SLOTS 8
#define OPS_MAX 120
#define LOG_MAX (OPS_MAX * 3)

enum op_kind {
	OP_ADMIT,    /* slot */
	OP_DONE,     /* slot, outcome */
	OP_FALLBACK, /* slot, implemented */
	OP_FALLBACK_END,
	OP_PAUSE,    /* ms */
	OP_SET,      /* property, value */
	OP_KINDS,
};

struct op {
	enum op_kind kind;
	unsigned a, b;
};

/* --- properties that change while it runs --- */

enum {
	SET_SEMAPHORE, SET_FALLBACKS, SET_FALLBACK_ON, SET_BREAKER, SET_FORCE_OPEN, SET_FORCE_CLOSED, SET_VOLUME, SET_ERRORS,
	SET_SLEEP, SET_SLEEP_MAX, SET_TRIALS, SET_SLOW, SET_SLOW_RATE, SET_COUNT_WINDOW, SET_WINDOW, SET_BUCKETS, SET_INTERVAL,
	SET_TIMEOUT, SET_ISOLATION, SETS,
};

static void set(struct cmd_settings *cs, unsigned what, unsigned v)
{
	switch (what % SETS) {
	case SET_SEMAPHORE: cs->semaphore_max = v % 6; break;
	case SET_FALLBACKS: cs->fallback_max = v % 3; break;
	case SET_FALLBACK_ON: cs->fallback_enabled = v % 4 != 0; break;
	case SET_BREAKER: cs->breaker_enabled = v % 4 != 0; break;
	case SET_FORCE_OPEN: cs->force_open = v % 6 == 0; break;
	case SET_FORCE_CLOSED: cs->force_closed = v % 6 == 0; break;
	case SET_VOLUME: cs->volume_threshold = (uint32_t[]){ 1, 2, 4, 70 }[v % 4]; break;
	case SET_ERRORS: cs->error_threshold_pct = (uint32_t[]){ 1, 50, 100 }[v % 3]; break;
	case SET_SLEEP: cs->sleep_window_ms = (msec[]){ 1, 500, 5000 }[v % 3]; break;
	case SET_SLEEP_MAX: cs->sleep_max_ms = (msec[]){ 0, 3000, 20000 }[v % 3]; break;
	case SET_TRIALS: cs->half_open_trials = 1 + v % 3; break;
	case SET_SLOW: cs->slow_call_ms = (msec[]){ 0, 300 }[v % 2]; break;
	case SET_SLOW_RATE: cs->slow_threshold_pct = (uint32_t[]){ 30, 100 }[v % 2]; break;
	case SET_COUNT_WINDOW: cs->count_window = (uint32_t[]){ 0, 0, 5, 20 }[v % 4]; break;
	case SET_WINDOW: cs->window_ms = (msec[]){ 1000, 10000 }[v % 2]; break;
	case SET_BUCKETS: cs->window_buckets = (uint32_t[]){ 1, 5, 10 }[v % 3]; break;
	case SET_INTERVAL: cs->health_interval_ms = (msec[]){ 100, 500, 1000 }[v % 3]; break;
	case SET_TIMEOUT: cs->timeout_enabled = v % 3 != 0; break;
	case SET_ISOLATION: cs->isolation = v % 3 == 0 ? FLOW_THREAD : FLOW_SEMAPHORE; break;
	}
}

/* --- the model --- */

struct happened {
	usec at;
	enum flow_event ev;
	bool is_health, is_slow; /* for this generation's circuit */
};

struct call {
	bool is_held, is_trial, is_fallback;
	usec start;
	uint64_t generation;
};

struct model {
	struct happened log[LOG_MAX];
	unsigned n, health_from, events_from, ring_from; /* what came before is forgotten */
	uint32_t ring_size;
	msec window, interval; /* by which it counts now */
	uint32_t buckets;
	struct call call[SLOTS];
	unsigned active, fallbacks;

	enum breaker_state state;
	uint64_t generation;
	uint32_t permits, trials, ok, slow, failed, reopened;
	usec until, judge_next, judge_due;

	bool is_broken; /* forgets that rejections are errors */
};

static bool is_error(const struct model *m, enum flow_event ev)
{
	return event_is_error(ev) && !(m->is_broken && ev == EVENT_SEMAPHORE_REJECTED);
}

static struct stats_health health_of(const struct model *m, const struct cmd_settings *cs, usec now)
{
	usec bucket = cs->health_interval_ms * USEC_PER_MSEC;
	int64_t buckets = cs->window_ms / cs->health_interval_ms;
	unsigned from = cs->count_window ? m->ring_from : m->health_from;
	struct stats_health h = { 0 };

	for (unsigned i = m->n; i-- > from;) {
		const struct happened *e = &m->log[i];

		if (!e->is_health || (!cs->count_window && e->at / bucket <= now / bucket - buckets))
			continue;
		if (cs->count_window && h.total == cs->count_window)
			break;
		h.total++;
		h.errors += is_error(m, e->ev);
		h.slow += e->is_slow;
	}
	h.error_pct = h.total ? h.errors * 100 / h.total : 0;
	return h;
}

static uint32_t rolling_of(const struct model *m, const struct cmd_settings *cs, enum flow_event ev, usec now)
{
	usec bucket = cs->window_ms * USEC_PER_MSEC / cs->window_buckets;
	uint32_t n = 0;

	for (unsigned i = m->events_from; i < m->n; i++)
		n += m->log[i].ev == ev && m->log[i].at / bucket > now / bucket - (int64_t)cs->window_buckets;
	return n;
}

static void note(struct model *m, enum flow_event ev, bool is_health, bool is_slow, usec now)
{
	m->log[m->n++] = (struct happened){ now, ev, is_health && event_is_health(ev), is_slow };
}

static void go(struct model *m, enum breaker_state to, uint32_t permits, usec until)
{
	m->state = to;
	m->generation++;
	m->permits = m->trials = permits;
	m->ok = m->slow = m->failed = 0;
	m->until = until;
}

static usec lease_of(const struct cmd_settings *cs, usec now)
{
	msec span = cs->timeout_enabled ? cs->timeout_ms : MAX(cs->sleep_window_ms, (msec)1000);

	return now + span * USEC_PER_MSEC + USEC_PER_SEC / 2;
}

static void model_open(struct model *m, const struct cmd_settings *cs, usec now)
{
	msec span = cs->sleep_window_ms;

	for (uint32_t i = 0; i < m->reopened && span < cs->sleep_max_ms; i++)
		span = MIN(span * 2, cs->sleep_max_ms);
	go(m, BREAKER_OPEN, 0, now + span * USEC_PER_MSEC);
}

static void model_judge(struct model *m, const struct cmd_settings *cs, usec now)
{
	struct stats_health h;
	bool is_bad, is_slow;

	m->judge_due = USEC_NEVER;
	if (m->state != BREAKER_CLOSED || !cs->breaker_enabled)
		return;
	h = health_of(m, cs, now);
	if (h.total >= cs->volume_threshold || cs->volume_threshold > 64)
		m->judge_next = now + cs->health_interval_ms * USEC_PER_MSEC;
	is_bad = h.error_pct >= cs->error_threshold_pct;
	is_slow = cs->slow_call_ms && h.total && h.slow * 100 >= cs->slow_threshold_pct * h.total;
	if (h.total < cs->volume_threshold || !(is_bad || is_slow))
		return;
	model_open(m, cs, now);
	m->judge_next = 0;
}

static void model_bad(struct model *m, const struct cmd_settings *cs, usec now)
{
	if (now >= m->judge_next)
		model_judge(m, cs, now);
	else
		m->judge_due = m->judge_next;
}

static bool take_permit(struct model *m, const struct cmd_settings *cs, usec now)
{
	if (m->state != BREAKER_HALF_OPEN || m->permits == 0)
		return false;
	m->permits--;
	m->until = MAX(m->until, lease_of(cs, now));
	return true;
}

static bool model_may_pass(struct model *m, const struct cmd_settings *cs, usec now, bool *is_trial)
{
	*is_trial = false;
	if (!cs->breaker_enabled)
		return true;
	if (cs->force_open)
		return false;
	if (cs->force_closed || m->state == BREAKER_CLOSED)
		return true;
	*is_trial = take_permit(m, cs, now);
	if (!*is_trial && now >= m->until && (m->state == BREAKER_OPEN || m->permits == 0)) {
		go(m, BREAKER_HALF_OPEN, cs->half_open_trials, lease_of(cs, now));
		*is_trial = take_permit(m, cs, now);
	}
	return *is_trial;
}

static enum admit model_admit(struct model *m, const struct cmd_settings *cs, struct call *c, usec now)
{
	bool is_trial;

	if (now >= m->judge_due)
		model_judge(m, cs, now);
	*c = (struct call){ .start = now };
	if (!model_may_pass(m, cs, now, &is_trial)) {
		note(m, EVENT_SHORT_CIRCUITED, false, false, now);
		return ADMIT_SHORT_CIRCUITED;
	}
	c->generation = m->generation;
	if (cs->isolation == FLOW_SEMAPHORE && m->active >= cs->semaphore_max) {
		note(m, EVENT_SEMAPHORE_REJECTED, true, false, now);
		if (is_trial)
			m->permits++;
		else
			model_bad(m, cs, now);
		return ADMIT_SEMAPHORE_REJECTED;
	}
	m->active++;
	c->is_held = true;
	c->is_trial = is_trial;
	return ADMIT_OK;
}

static void end_trial(struct model *m, const struct cmd_settings *cs, const struct call *c, enum outcome o, bool is_slow, usec now)
{
	uint32_t all;

	if (m->state != BREAKER_HALF_OPEN || m->generation != c->generation)
		return;
	if (o == OUTCOME_SUCCESS && is_slow)
		m->slow++;
	else if (o == OUTCOME_SUCCESS)
		m->ok++;
	else if (o == OUTCOME_FAILURE || o == OUTCOME_TIMEOUT)
		m->failed++;
	else
		m->permits++;
	all = m->ok + m->slow + m->failed;
	if (all < m->trials)
		return;
	if ((m->failed && m->failed * 100 >= cs->error_threshold_pct * all) ||
	    (m->slow && m->slow * 100 >= cs->slow_threshold_pct * all)) {
		m->reopened++;
		model_open(m, cs, now);
		return;
	}
	m->reopened = 0;
	go(m, BREAKER_CLOSED, 0, 0);
	m->health_from = m->ring_from = m->n;
}

static const enum flow_event event_of[] = { EVENT_SUCCESS,   EVENT_FAILURE,   EVENT_TIMEOUT,
					    EVENT_BAD_REQUEST, EVENT_CANCELLED, EVENT_THREAD_POOL_REJECTED };

static void model_done(struct model *m, const struct cmd_settings *cs, struct call *c, enum outcome o, usec now)
{
	enum flow_event ev = event_of[o];
	bool is_slow = cs->slow_call_ms && now - c->start >= cs->slow_call_ms * USEC_PER_MSEC && o <= OUTCOME_TIMEOUT;
	bool is_stale = m->state == BREAKER_CLOSED && m->generation != c->generation;

	if (!c->is_held)
		return;
	note(m, ev, !is_stale, is_slow, now);
	if (c->is_trial)
		end_trial(m, cs, c, o, is_slow, now);
	else if (event_is_error(ev) || is_slow)
		model_bad(m, cs, now);
	c->is_held = false;
	m->active--;
}

static enum fallback model_fallback(struct model *m, const struct cmd_settings *cs, struct call *c, bool implemented, usec now)
{
	enum fallback f = !cs->fallback_enabled		       ? FALLBACK_DISABLED
			  : m->fallbacks >= cs->fallback_max ? FALLBACK_REJECTED
			  : implemented			       ? FALLBACK_RUN
							       : FALLBACK_MISSING;
	static const enum flow_event events[] = { [FALLBACK_DISABLED] = EVENT_FALLBACK_DISABLED,
						  [FALLBACK_MISSING] = EVENT_FALLBACK_MISSING,
						  [FALLBACK_REJECTED] = EVENT_FALLBACK_REJECTION };

	if (f == FALLBACK_RUN) {
		m->fallbacks++;
		c->is_fallback = true;
	} else {
		note(m, events[f], false, false, now);
	}
	return f;
}

/* A window of another shape begins anew when it is next looked at; both sides are looked at after each step. */
static void model_reshape(struct model *m, const struct cmd_settings *cs)
{
	if (m->window != cs->window_ms || m->buckets != cs->window_buckets)
		m->events_from = m->n;
	if (m->window / m->interval != cs->window_ms / cs->health_interval_ms || m->interval != cs->health_interval_ms)
		m->health_from = m->n;
	if (m->ring_size != cs->count_window)
		m->ring_from = m->n;
	m->window = cs->window_ms;
	m->buckets = cs->window_buckets;
	m->interval = cs->health_interval_ms;
	m->ring_size = cs->count_window;
}

/* --- both together --- */

struct both {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	struct ticket ticket[SLOTS];
	struct model m;
	usec now;
	char why[200];
};

static void both_init(struct both *b, bool is_broken)
{
	memset(b, 0, sizeof(*b));
	b->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	b->cs.isolation = FLOW_SEMAPHORE;
	b->cs.volume_threshold = 4;
	b->now = START;
	b->table = command_table_new(&(struct command_table_opts){ .stripes = 4, .max = 1 });
	b->cmd = command_table_take(b->table, STR("k"), STR("g"), b->now);
	b->m = (struct model){ .generation = 1, .judge_due = USEC_NEVER, .window = b->cs.window_ms, .buckets = b->cs.window_buckets,
			       .interval = b->cs.health_interval_ms, .is_broken = is_broken };
}

static void both_fini(struct both *b)
{
	command_unref(b->cmd);
	command_table_free(b->table);
}

static bool differs(struct both *b, const char *what, long long got, long long want)
{
	if (got == want)
		return false;
	snprintf(b->why, sizeof(b->why), "%s is %lld, the model says %lld", what, got, want);
	return true;
}

static bool compare(struct both *b)
{
	static struct command_snapshot s;
	struct model *m = &b->m;
	struct stats_health h;

	if (b->now >= m->judge_due)
		model_judge(m, &b->cs, b->now);
	model_reshape(m, &b->cs);
	command_snapshot(b->cmd, &b->cs, b->now, &s);
	h = health_of(m, &b->cs, b->now);
	for (unsigned ev = 0; ev < EVENT_COUNT; ev++)
		if (differs(b, event_name((enum flow_event)ev), s.stats.rolling[ev], rolling_of(m, &b->cs, (enum flow_event)ev, b->now)))
			return false;
	return !(differs(b, "state", s.breaker.state, m->state) || differs(b, "permits", s.breaker.permits, m->permits) ||
		 differs(b, "until", s.breaker.until, m->until) || differs(b, "active", s.active, m->active) ||
		 differs(b, "fallbacks", s.fallback_active, m->fallbacks) || differs(b, "health total", s.stats.health.total, h.total) ||
		 differs(b, "health errors", s.stats.health.errors, h.errors) ||
		 differs(b, "slow calls", s.stats.health.slow, MIN(h.slow, h.total)));
}

static bool step(struct both *b, const struct op *op)
{
	unsigned slot = op->a % SLOTS;
	struct call *c = &b->m.call[slot];
	struct ticket *t = &b->ticket[slot];

	switch (op->kind) {
	case OP_ADMIT:
		if (c->is_held || c->is_fallback)
			break;
		if (differs(b, "admission", command_admit(b->cmd, &b->cs, b->now, op->b, t), model_admit(&b->m, &b->cs, c, b->now)))
			return false;
		break;
	case OP_DONE:
		command_done(b->cmd, &b->cs, t, (enum outcome)(op->b % ARRAY_LEN(event_of)), b->now);
		model_done(&b->m, &b->cs, c, (enum outcome)(op->b % ARRAY_LEN(event_of)), b->now);
		break;
	case OP_FALLBACK:
		if (c->is_held || c->is_fallback)
			break;
		if (differs(b, "fallback", command_fallback_begin(b->cmd, &b->cs, t, op->b % 3, b->now),
			    model_fallback(&b->m, &b->cs, c, op->b % 3, b->now)))
			return false;
		break;
	case OP_FALLBACK_END:
		command_fallback_end(b->cmd, &b->cs, t, op->b % 2 ? FALLBACK_OK : FALLBACK_LATE, b->now);
		if (c->is_fallback) {
			note(&b->m, op->b % 2 ? EVENT_FALLBACK_SUCCESS : EVENT_FALLBACK_FAILURE, false, false, b->now);
			b->m.fallbacks--;
		}
		c->is_fallback = false;
		break;
	case OP_PAUSE:
		b->now += (usec)(op->a % 10 == 0 ? op->b % 20000 : op->b % 400) * USEC_PER_MSEC;
		break;
	case OP_SET:
		set(&b->cs, op->a, op->b);
		break;
	case OP_KINDS:
		break;
	}
	return compare(b);
}

/* Whatever happened: a service that is well again is called again, though trials were lost on the way. */
static bool recovers(struct both *b)
{
	b->cs.force_open = b->cs.force_closed = false;
	b->cs.breaker_enabled = true;
	b->cs.isolation = FLOW_THREAD; /* lost calls hold their permits; that is not what is asked here */
	b->cs.slow_call_ms = 0;
	for (unsigned i = 0; i < 20 && breaker_word_state(atomic_load(&b->cmd->breaker.word)) != BREAKER_CLOSED; i++) {
		struct ticket t;

		b->now += 30 * USEC_PER_SEC;
		if (command_admit(b->cmd, &b->cs, b->now, 0, &t) == ADMIT_OK)
			command_done(b->cmd, &b->cs, &t, OUTCOME_SUCCESS, b->now);
	}
	if (breaker_word_state(atomic_load(&b->cmd->breaker.word)) == BREAKER_CLOSED)
		return true;
	snprintf(b->why, sizeof(b->why), "the circuit is wedged");
	return false;
}

/* How many steps went well; n + 1: all, and it recovers. */
static unsigned play(const struct op *ops, unsigned n, bool is_broken, char why[200])
{
	struct both *b = xmalloc(sizeof(*b));
	unsigned i = 0;

	both_init(b, is_broken);
	while (i < n && step(b, &ops[i]))
		i++;
	if (i == n && recovers(b))
		i++;
	memcpy(why, b->why, sizeof(b->why));
	both_fini(b);
	free(b);
	return i;
}

/* The shortest sequence that still fails: ever smaller pieces are taken out. Returns its length. */
static unsigned shrink(struct op *ops, unsigned n, bool is_broken, char why[200])
{
	struct op fewer[OPS_MAX];
	char other[200];

	for (unsigned piece = n / 2; piece > 0; piece = piece > 1 ? (piece + 1) / 2 : 0) {
		for (unsigned at = 0; at + piece <= n;) {
			memcpy(fewer, ops, at * sizeof(*ops));
			memcpy(fewer + at, ops + at + piece, (n - at - piece) * sizeof(*ops));
			if (play(fewer, n - piece, is_broken, other) > n - piece) {
				at += piece;
				continue;
			}
			n -= piece;
			memcpy(ops, fewer, n * sizeof(*ops));
			memcpy(why, other, sizeof(other));
		}
	}
	return n;
}

static void make(struct op *ops, unsigned n, struct rng *r)
{
	static const enum op_kind mix[] = { OP_ADMIT, OP_ADMIT, OP_ADMIT, OP_DONE, OP_DONE, OP_DONE, OP_PAUSE, OP_PAUSE,
					    OP_SET,   OP_FALLBACK, OP_FALLBACK_END };

	for (unsigned i = 0; i < n; i++)
		ops[i] = (struct op){ mix[rng_below(r, ARRAY_LEN(mix))], (unsigned)rng_below(r, 1000), (unsigned)rng_below(r, 100000) };
}

static void print(const struct op *ops, unsigned n)
{
	static const char *const names[] = { "admit", "done", "fallback", "fallback end", "pause", "set" };

	for (unsigned i = 0; i < n; i++)
		print_error("    %s %u %u\n", names[ops[i].kind], ops[i].a, ops[i].b);
}

static void test_random_interleavings_equal_the_model(void **state)
{
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct op ops[OPS_MAX];
		struct rng r;
		char why[200];
		unsigned n = OPS_MAX;

		rng_seed(&r, seed);
		make(ops, n, &r);
		if (play(ops, n, false, why) > n)
			continue;
		n = shrink(ops, n, false, why);
		print(ops, n);
		fail_msg("seed %llu: %s", (unsigned long long)seed, why);
	}
}

static void test_a_wrong_model_is_found_and_shrunk(void **state)
{
	struct op ops[OPS_MAX];
	unsigned n = OPS_MAX;
	char why[200];
	struct rng r;

	for (uint64_t seed = 1;; seed++) {
		rng_seed(&r, seed);
		make(ops, n, &r);
		if (play(ops, n, true, why) <= n)
			break;
		assert_true(seed < 1000);
	}
	n = shrink(ops, n, true, why);
	assert_in_range(n, 2, 12); /* permits taken or none there, and one more call */
	assert_int_equal(ops[n - 1].kind, OP_ADMIT);
	assert_non_null(strstr(why, "health errors is 1, the model says 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_interleavings_equal_the_model),
		cmocka_unit_test(test_a_wrong_model_is_found_and_shrunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
