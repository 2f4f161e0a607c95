/* collapser.h - many small calls gathered into one: HystrixCollapser. hystrix.collapser.<key>.*
 *
 *   collapse_add -> COLLAPSE_GATHERED  it will leave with the next batch
 *                -> COLLAPSE_JOINED    an equal argument waits already: they share one place
 *                -> COLLAPSE_FULL      as GATHERED, and *batch is full: it is yours to run, at once
 *                -> COLLAPSE_REFUSED   an equal argument waits, and requestCache.enabled is false
 *   collapse_due, collapse_tick: the owner's timer fetches a batch that is not empty at each tick of the fixed rate
 *   batch: run it as one command, give each place its answer with batch_answer, then batch_end: whoever has none by then
 *   is told so. If the command fails, batch_refuse tells all that still wait why
 *
 * A collapser is one key and process, with the numbers. A scope is where arguments meet: one a request, or one for all.
 * An item is embedded in the waiting call; its argument is counted, for a batch may outlive the call.
 *
 * Threads  any; a leaf lock a scope and one a collapser. `done` is called outside them, on the thread that answers.
 * Time     an argument: the ticks are those of the scope, delay apart from its making on. The mean wait is half a tick. */
#pragma once
#include <pthread.h>

#include "base/hist.h"
#include "base/list.h"
#include "base/map.h"
#include "flow/command.h"
#include "flow/keyed.h"
#include "flow/request.h"
#include "flow/settings.h"
#include "flow/shared.h"
#include "flow/window.h"

struct collapser {
	struct keyed id;      /* must be first */
	pthread_mutex_t lock; /* leaf; guards all below */
	uint64_t added, batches, from_cache;
	uint32_t *sizes;      /* of batches: a histogram's buckets, then the sum; totals that only grow */
	struct window events, size;
};

struct collapser_snapshot {
	struct str key; /* lives as long as the collapser */
	uint32_t rolling_requests, rolling_batches, rolling_from_cache;
	struct hist sizes; /* of the batches: in it, 1 us stands for one request */
	/* its properties */
	uint32_t batch_max;
	msec delay_ms;
	bool request_cache;
};

struct collapse_scope {
	struct collapser *collapser; /* a reference */
	pthread_mutex_t lock;        /* leaf; guards all below */
	struct collapse_batch *open; /* being filled; NULL: nothing waits */
	usec began;
	uint64_t seed;
};

enum item_state { ITEM_OUT, ITEM_WAITING };

struct collapse_item {
	struct list link;
	struct str key;      /* tells equal arguments; lives until done or withdrawn */
	struct shared *arg;  /* the batch takes a reference of its own */
	enum item_state state; /* guarded by the scope's lock, with batch */
	const struct collapse_batch *batch; /* where it waits */
	/* answer: a reference of yours; NULL: why says it, during the call. Once; then the item is yours again. */
	void (*done)(struct collapse_item *it, struct shared *answer, const struct err *why);
};

struct batch_place {
	struct str key;
	struct shared *arg;
	struct list items; /* that wait for this answer; guarded by the scope's lock */
};

struct collapse_batch {
	struct collapse_scope *scope; /* which must live until batch_end */
	struct map by_key;            /* of place, while it is open */
	struct batch_place **place;
	uint32_t n, cap;
	void *owner; /* whose it is to run, where that says so; of the caller's */
};

enum collapse_answer {
	COLLAPSE_GATHERED,
	COLLAPSE_JOINED,
	COLLAPSE_FULL,
	COLLAPSE_REFUSED,
};

/* That of the request, made if it is new; it lives as long as the request, which a batch under way must keep. NULL: too many. */
struct collapse_scope *collapse_scope_of(struct flow_request *rq, struct collapser *c, usec now);
void collapse_scope_init(struct collapse_scope *s, struct collapser *c, usec now);
/* No batch is under way. Whoever still waits is told that there is no answer. */
void collapse_scope_fini(struct collapse_scope *s);

enum collapse_answer collapse_add(struct collapse_scope *s, const struct collapser_settings *cs, struct collapse_item *it,
				  usec now, struct collapse_batch **batch);
/* it: only while that one waits to leave; NULL: whoever does. USEC_NEVER: nobody. */
usec collapse_due(struct collapse_scope *s, const struct collapser_settings *cs, const struct collapse_item *it, usec now);
struct collapse_batch *collapse_tick(struct collapse_scope *s, const struct collapser_settings *cs,
				     const struct collapse_item *it, usec now); /* NULL: none */
bool collapse_withdraw(struct collapse_scope *s, struct collapse_item *it); /* false: done was called, or just is */

/* The batch command ran for so many: counts COLLAPSED. */
void batch_count(const struct collapse_batch *b, struct command *c, const struct cmd_settings *cs, unsigned stripe, usec now);
/* Parts it: each place goes to the batch that shard_of says, below n. b is used up; *ret: n batches, NULL where empty. */
void batch_shard(struct collapse_batch *b, uint32_t n, uint32_t (*shard_of)(const struct batch_place *p, void *ctx), void *ctx,
		 struct collapse_batch **ret);
/* A second one does nothing. These two may meet on different threads. */
void batch_answer(struct collapse_batch *b, uint32_t place, struct shared *answer);
void batch_refuse(struct collapse_batch *b, const struct err *why); /* all that still wait */
void batch_refuse_one(struct collapse_batch *b, uint32_t place, const struct err *why);
void batch_end(struct collapse_batch *b); /* NULL is fine */

/* A result came from the request's cache, and no batch was needed. */
void collapser_note_cached(struct collapser *c, const struct collapser_settings *cs, usec now);
void collapser_snapshot(struct collapser *c, const struct collapser_settings *cs, usec now, struct collapser_snapshot *ret);

/* --- one a key and process: a table of keyed objects --- */

struct keyed_table *collapser_table_new(size_t max, uint64_t seed);

static inline struct collapser *collapser_of(struct keyed *k)
{
	return container_of(k, struct collapser, id);
}

static inline struct collapser *collapser_table_take(struct keyed_table *t, struct str key, usec now) /* unref it; NULL: full */
{
	struct keyed *k = keyed_table_take(t, key, now);

	return k ? collapser_of(k) : NULL;
}

static inline void collapser_unref(struct collapser *c) /* NULL is fine */
{
	if (c)
		keyed_unref(&c->id);
}
