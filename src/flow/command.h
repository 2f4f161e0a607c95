/* command.h - one command key: breaker, bulkhead, statistics; and the table of all keys.
 *
 *   command_admit -> ADMIT_OK -> ... the call ... -> command_done(outcome)
 *                 -> refused  ------------------------\
 *   any outcome but SUCCESS, BAD_REQUEST, CANCELLED -> command_fallback_begin -> RUN -> command_fallback_end
 *
 * The ticket lives in the request and is the caller's; each admitted one must be given back exactly once with command_done
 * (a second time does nothing). A failure is counted by command_done, before any fallback. Any thread may call anything
 * here; `stripe` spreads the counters (the worker's number, or a hash of the thread). No clock is read. */
#pragma once
#include "base/hist.h"
#include "flow/breaker.h"
#include "flow/bulkhead.h"
#include "flow/deadline.h"
#include "flow/events.h"
#include "flow/limiter.h"
#include "flow/settings.h"
#include "flow/stats.h"

enum admit {
	ADMIT_OK,
	ADMIT_SHORT_CIRCUITED,
	ADMIT_SEMAPHORE_REJECTED,
};

enum outcome {
	OUTCOME_SUCCESS,
	OUTCOME_FAILURE,
	OUTCOME_TIMEOUT,
	OUTCOME_BAD_REQUEST,   /* the caller's fault: no fallback, not in health */
	OUTCOME_CANCELLED,     /* the caller went away: counts for nothing, gives a trial back */
	OUTCOME_POOL_REJECTED, /* THREAD isolation: no slot and no place in the queue */
};

enum fallback {
	FALLBACK_RUN,      /* go on; command_fallback_end must follow */
	FALLBACK_DISABLED, /* fallback.enabled is false */
	FALLBACK_MISSING,  /* none is implemented */
	FALLBACK_REJECTED, /* its semaphore is full */
};

enum fallback_end {
	FALLBACK_FAILED,
	FALLBACK_OK,
	FALLBACK_LATE, /* its timeout passed first: counted as failed, in Hystrix the caller would wait on */
};

enum {
	TICKET_HELD = 1u << 0,     /* holds a permit */
	TICKET_TRIAL = 1u << 1,    /* is a half-open trial */
	TICKET_EXECUTED = 1u << 2, /* ran, so that it has latencies */
	TICKET_FALLBACK = 1u << 3, /* holds a permit for the fallback */
};

struct ticket {
	usec start, execute;
	uint64_t generation;
	uint16_t stripe;
	uint8_t flags;
};

struct command {
	struct str key, group;
	_Atomic uint32_t refs;
	struct semaphore fallback;
	_Atomic uint32_t queued; /* of `running`, those that wait for a slot of their pool */
	struct breaker breaker;
	struct limiter limiter;
	_Atomic usec judge_next; /* health may be looked at again from then on */
	_Atomic usec judge_due;  /* an error waits to be judged then; USEC_NEVER: none */
	_Alignas(64) struct semaphore running;
	_Alignas(64) struct stats stats; /* must be last: it ends in an array */
};

enum admit command_admit(struct command *c, const struct cmd_settings *cs, usec now, unsigned stripe,
			 struct ticket *ret);
void command_done(struct command *c, const struct cmd_settings *cs, struct ticket *t, enum outcome outcome, usec now);

/* THREAD isolation: an admitted call that has to wait for a slot of its pool is not shown as running meanwhile.
 * command_started: it has its slot, after a wait or at once. */
void command_queued(struct command *c);
void command_dequeued(struct command *c);
void command_started(struct command *c);
uint32_t command_active(const struct command *c); /* calls that run, without those that wait for a slot */

/* After a refusal or an error. Counts MISSING, REJECTED and DISABLED by itself. */
enum fallback command_fallback_begin(struct command *c, const struct cmd_settings *cs, struct ticket *t,
				     bool is_implemented, usec now);
void command_fallback_end(struct command *c, const struct cmd_settings *cs, struct ticket *t, enum fallback_end how, usec now);

/* By when a fallback that begins now must have its answer. Not bounded by the command's own deadline: that one is often
 * just over. */
static inline struct deadline command_fallback_deadline(const struct cmd_settings *cs, usec now)
{
	return cs->fallback_ms ? deadline_in(now, cs->fallback_ms * USEC_PER_MSEC) : DEADLINE_NONE;
}

/* RESPONSE_FROM_CACHE, EMIT, COLLAPSED and the like: counted, never health. */
void command_count(struct command *c, const struct cmd_settings *cs, unsigned stripe, enum flow_event ev, usec now);

void command_force(struct command *c, const struct cmd_settings *cs, enum breaker_force force, usec now); /* by hand */

static inline usec command_deadline(const struct cmd_settings *cs, const struct ticket *t)
{
	return cs->timeout_enabled ? t->start + cs->timeout_ms * USEC_PER_MSEC : USEC_NEVER;
}

struct command_snapshot {
	struct str key, group; /* live as long as the command */
	struct breaker_view breaker;
	bool is_open;
	uint32_t active, fallback_active;
	uint32_t limit; /* permits that there are now; UINT32_MAX: the pool bounds, not they */
	struct stats_reading stats;
};

/* About 3 KiB, filled in about 2 us. */
void command_snapshot(struct command *c, const struct cmd_settings *cs, usec now, struct command_snapshot *ret);

const char *outcome_name(enum outcome o);
const char *fallback_name(enum fallback f); /* "run", "missing", ... */
const char *admit_name(enum admit a);

/* --- the table --- */

struct command_table;

struct command_table_opts {
	unsigned stripes; /* workers; rounded up to a power of two, at most STATS_STRIPES_MAX */
	size_t max;       /* keys */
	uint64_t seed;    /* of the hash; random where peers choose keys */
};

struct command_table *command_table_new(const struct command_table_opts *opts);
void command_table_free(struct command_table *t); /* NULL is fine; commands with other references live on */

/* The command of that key, made if it is new; a reference is the caller's to cache and to unref. NULL: the table is full.
 * The first caller's group holds. */
struct command *command_table_take(struct command_table *t, struct str key, struct str group, usec now);
struct command *command_table_take_known(struct command_table *t, struct str key); /* NULL: not there */
struct command *command_ref(struct command *c);
void command_unref(struct command *c); /* NULL is fine */

/* All commands, by key; free with command_list_free. */
struct command **command_table_list(struct command_table *t, size_t *n);
void command_list_free(struct command **list, size_t n);
size_t command_table_len(struct command_table *t);

/* Keys idle for longer than their windows give memory back; those idle for longer than `idle` that nobody else holds a
 * reference to are dropped. Call it every few seconds. settings_of may return defaults. Returns how many were dropped. */
typedef const struct cmd_settings *command_settings_fn(void *arg, struct str key);
size_t command_table_sweep(struct command_table *t, usec now, usec idle, command_settings_fn *settings_of, void *arg);
size_t command_table_bytes(struct command_table *t);
