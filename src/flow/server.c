/* server.c - load, latency and ejection of one upstream server.
 *
 * Invariants   active: server_begin adds one, server_end takes it off; every begin has its end.
 *              out_until is 0 exactly while the server is in. out_flags says how it went out and whether a probe is under
 *              way; both are written by whoever wins the exchange on out_until, so they may be a moment apart: a chooser
 *              that reads the pair in between errs by one request.
 * Threads      Any; relaxed atomics. The latency's read-modify-write is not atomic: of two samples at the same
 *              instant one may be lost, which an average can bear.
 */
#include "flow/server.h"

#include <math.h>

#define OUT_HARD (1u << 0)
#define OUT_PROBE (1u << 1) /* out_until is the probe's lease, not the ejection's end */
#define OUT_DEAD (1u << 2)  /* by its ping: out_until is USEC_NEVER */

#define FIRST_LATENCY 1000.0f /* us; cost of a request in flight where no reply has been seen */
#define SLOW_START_MIN 0.1f

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), v, memory_order_relaxed)

struct fserver *server_new(struct str id, struct str zone, uint32_t weight, usec now)
{
	void *p = NULL;

	if (posix_memalign(&p, _Alignof(struct fserver), sizeof(struct fserver)) != 0)
		abort(); /* as every small allocation */

	struct fserver *s = memset(p, 0, sizeof(*s));

	atomic_init(&s->refs, 1);
	atomic_init(&s->since, now);
	atomic_init(&s->changed, now);
	atomic_init(&s->weight, weight ? weight : 100);
	s->id = str_of(str_dup(id), id.len);
	s->id_is_graphic = str_is_graphic(id);
	s->zone = str_of(str_dup(zone), zone.len);
	return s;
}

struct fserver *server_ref(struct fserver *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void server_unref(struct fserver *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	free((char *)(uintptr_t)s->id.ptr);
	free((char *)(uintptr_t)s->zone.ptr);
	free(s);
}

/* --- latency: a peak-sensitive moving average --- */

static uint64_t ewma_pack(float v, usec now)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return (uint64_t)bits << 32 | (uint32_t)(now / USEC_PER_MSEC);
}

static float ewma_value(uint64_t word)
{
	uint32_t bits = (uint32_t)(word >> 32);
	float v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* How much of an old value is left: near e^-x, at a tenth of the price. */
static float decay(uint64_t word, const struct outlier_settings *os, usec now)
{
	uint32_t ms = (uint32_t)(now / USEC_PER_MSEC) - (uint32_t)word;

	if (ms == 0 || ms > INT32_MAX) /* no time has passed, or the clock of another thread is behind */
		return 1;

	float x = (float)ms * 1000.0f / (float)MAX(os->ewma_tau, (usec)1);

	return 1 / (1 + x + 0.5f * x * x);
}

static void ewma_add(struct fserver *s, const struct outlier_settings *os, usec latency, bool may_lower, usec now)
{
	uint64_t word = LOAD(s->ewma);
	float old = ewma_value(word), v = (float)MIN(MAX(latency, (usec)1), (usec)UINT32_MAX);

	if (v < old) {
		float w = decay(word, os, now);

		/* Samples in the same millisecond weigh as if each took a hundredth of one: else a burst would
		 * leave the average where it is. */
		if (w == 1)
			w = 1 - 10.0f / (float)MAX(os->ewma_tau, (usec)1000);
		v = may_lower ? old * w + v * (1 - w) : old;
	}
	STORE(s->ewma, ewma_pack(v, now));
}

float server_latency(const struct fserver *s, const struct outlier_settings *os, usec now)
{
	uint64_t word = LOAD(s->ewma);

	return word ? ewma_value(word) * decay(word, os, now) : 0;
}

float server_weight(const struct fserver *s, const struct outlier_settings *os, usec now)
{
	float w = (float)LOAD(s->weight) * 0.01f;

	if (os->slow_start_ms) {
		usec age = MAX(now - LOAD(s->since), (usec)0), window = os->slow_start_ms * USEC_PER_MSEC;
		float part = (float)age / (float)window;

		if (age < window)
			w *= MAX(SLOW_START_MIN, os->slow_start_bend == 1 ? part : powf(part, 1 / os->slow_start_bend));
	}
	return w;
}

float server_cost(const struct fserver *s, const struct outlier_settings *os, usec now)
{
	uint64_t word = LOAD(s->ewma);
	uint32_t active = LOAD(s->active);
	float v = word ? ewma_value(word) * decay(word, os, now) : 0;

	/* Never seen a reply: the first request is free, so that it is tried; further ones wait for its outcome. */
	if (!word)
		v = active ? FIRST_LATENCY * 100 : 0;
	return (v + 1) * (float)(active + 1) / server_weight(s, os, now);
}

/* --- ejection --- */

static usec ejection_length(const struct outlier_settings *os, uint32_t times)
{
	usec base = MAX(os->base_ms, (msec)1) * USEC_PER_MSEC, max = MAX(os->max_ms, os->base_ms) * USEC_PER_MSEC;

	return (usec)times > max / base ? max : base * (usec)times;
}

static void note_change(struct fserver *s, enum server_why why, usec now)
{
	STORE(s->why, (uint32_t)why);
	STORE(s->changed, now);
}

void server_eject(struct fserver *s, const struct outlier_settings *os, enum server_why why, usec now)
{
	usec until = LOAD(s->out_until);
	uint32_t flags = LOAD(s->out_flags);
	bool was_out = until != 0 && !(flags & OUT_PROBE), is_hard = why == SERVER_WHY_REFUSED;

	/* Requests that were in flight when it went out fail too: they do not make it stay out longer, but a refusal
	 * says more than a failed reply did. */
	if (was_out && now < until) {
		if (is_hard && !(flags & OUT_HARD)) {
			atomic_fetch_or(&s->out_flags, OUT_HARD);
			STORE(s->why, SERVER_WHY_REFUSED);
		}
		return;
	}

	uint32_t times = LOAD(s->times_out) + 1;

	if (!atomic_compare_exchange_strong(&s->out_until, &until, MAX(now + ejection_length(os, times), (usec)1)))
		return; /* somebody else has just done it */
	STORE(s->times_out, times);
	STORE(s->probes_ok, 0);
	STORE(s->out_flags, is_hard ? OUT_HARD : 0);
	note_change(s, why, now);
}

void server_return(struct fserver *s, enum server_why why, usec now)
{
	STORE(s->failures_in_row, 0);
	STORE(s->connect_failures, 0);
	STORE(s->since, now);
	STORE(s->out_flags, 0);
	STORE(s->out_until, 0);
	note_change(s, why, now);
}

void server_set_alive(struct fserver *s, bool alive, usec now)
{
	if (alive == !server_is_dead(s))
		return;
	if (alive) {
		server_return(s, SERVER_BACK_PING, now);
		return;
	}
	STORE(s->out_flags, OUT_HARD | OUT_DEAD);
	STORE(s->out_until, USEC_NEVER);
	note_change(s, SERVER_WHY_PING, now);
}

bool server_is_refusing(const struct fserver *s)
{
	return LOAD(s->out_until) != 0 && (LOAD(s->out_flags) & (OUT_HARD | OUT_DEAD)) == OUT_HARD;
}

bool server_is_dead(const struct fserver *s)
{
	return LOAD(s->out_until) == USEC_NEVER && LOAD(s->out_flags) & OUT_DEAD;
}

usec server_out_until(const struct fserver *s)
{
	return LOAD(s->out_until);
}

bool server_try_probe(struct fserver *s, const struct outlier_settings *os, usec now)
{
	usec until = LOAD(s->out_until);

	if (until == 0 || now < until)
		return false;
	if (!atomic_compare_exchange_strong(&s->out_until, &until, now + MAX(os->base_ms, (msec)1) * USEC_PER_MSEC))
		return false;
	atomic_fetch_or(&s->out_flags, OUT_PROBE);
	return true;
}

enum server_state server_state(const struct fserver *s, usec now)
{
	usec until = LOAD(s->out_until);
	uint32_t flags = LOAD(s->out_flags);

	if (until == 0)
		return SERVER_IN;
	if (now >= until || flags & OUT_PROBE)
		return SERVER_PROBING;
	return flags & OUT_HARD ? SERVER_HARD : SERVER_SOFT;
}

const char *server_why_name(enum server_why why)
{
	static const char *const names[] = {
		[SERVER_NEW] = "first seen",
		[SERVER_WHY_FAILURES] = "failures in a row",
		[SERVER_WHY_REFUSED] = "connection refused",
		[SERVER_WHY_PROBE] = "probe failed",
		[SERVER_WHY_RATE] = "success rate far below the others",
		[SERVER_WHY_LATENCY] = "latency far above the others",
		[SERVER_WHY_PING] = "dead by ping",
		[SERVER_BACK_REPLY] = "replied again",
		[SERVER_BACK_PING] = "alive by ping",
		[SERVER_BACK_SHARE] = "brought back, too many were out",
		[SERVER_BACK_NEWS] = "registered anew",
	};

	return (unsigned)why < ARRAY_LEN(names) ? names[why] : "?";
}

const char *server_state_name(enum server_state st)
{
	static const char *const names[] = { "in", "ejected", "refusing", "probing" };

	return (unsigned)st < ARRAY_LEN(names) ? names[st] : "?";
}

/* --- outcomes --- */

static void note_good(struct fserver *s, const struct outlier_settings *os, usec now)
{
	if (LOAD(s->failures_in_row))
		STORE(s->failures_in_row, 0);
	if (LOAD(s->connect_failures))
		STORE(s->connect_failures, 0);

	usec until = LOAD(s->out_until);

	if (likely(until == 0)) {
		/* It forgives one ejection for each quiet length of one. */
		uint32_t times = LOAD(s->times_out);

		if (unlikely(times) && now - LOAD(s->since) > 60 * USEC_PER_SEC) {
			STORE(s->times_out, times - 1);
			STORE(s->since, now);
		}
		return;
	}
	/* A reply that was still under way when it went out proves little; the probe's proves that it is back, and so does
	 * any reply once the ejection is over. */
	if (!(LOAD(s->out_flags) & OUT_PROBE) && now < until)
		return;
	if (atomic_fetch_add_explicit(&s->probes_ok, 1, memory_order_relaxed) + 1 >= os->probes) {
		server_return(s, SERVER_BACK_REPLY, now);
		return;
	}
	/* The next probe may go, unless a failure has put it out anew meanwhile. */
	if (atomic_compare_exchange_strong(&s->out_until, &until, MAX(now, (usec)1)))
		atomic_fetch_and(&s->out_flags, ~OUT_PROBE);
}

static void note_bad(struct fserver *s, const struct outlier_settings *os, enum server_outcome outcome, usec now)
{
	uint32_t n = atomic_fetch_add_explicit(&s->failures_in_row, 1, memory_order_relaxed) + 1, connects = 0;
	bool is_refused = outcome == SERVER_REFUSED;

	STORE(s->last_failure, now);
	if (outcome == SERVER_ERROR)
		STORE(s->connect_failures, 0);
	else
		connects = atomic_fetch_add_explicit(&s->connect_failures, 1, memory_order_relaxed) + 1;
	if (!os->enabled)
		return;
	if (is_refused && os->refused && connects >= os->refused)
		server_eject(s, os, SERVER_WHY_REFUSED, now);
	else if (LOAD(s->out_until) != 0 && LOAD(s->out_flags) & OUT_PROBE)
		server_eject(s, os, is_refused ? SERVER_WHY_REFUSED : SERVER_WHY_PROBE, now);
	else if (os->consecutive && n >= os->consecutive)
		server_eject(s, os, SERVER_WHY_FAILURES, now);
}

void server_end(struct fserver *s, const struct outlier_settings *os, enum server_outcome outcome, usec latency,
		usec now)
{
	atomic_fetch_sub_explicit(&s->active, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->outcomes[outcome], 1, memory_order_relaxed);
	switch (outcome) {
	case SERVER_OK:
		ewma_add(s, os, latency, true, now);
		atomic_fetch_add_explicit(&s->latency_sum, (uint64_t)MAX(latency, (usec)0), memory_order_relaxed);
		note_good(s, os, now);
		break;
	case SERVER_ERROR:
	case SERVER_TIMEOUT:
	case SERVER_RESET:
		/* Failing fast must not look like being fast. */
		ewma_add(s, os, latency, false, now);
		note_bad(s, os, outcome, now);
		break;
	case SERVER_REFUSED: note_bad(s, os, outcome, now); break;
	case SERVER_ABANDONED:
	case SERVER_OUTCOMES: break;
	}
}
