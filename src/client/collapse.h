/* collapse.h - a call that is gathered with others into one, for code that waits: HystrixCollapser over run.h.
 *
 *   collapse_start -> gathered, or the batch was full and has run -> collapse_wait -> the answer
 *
 * There is no timer thread: everybody who waits keeps the time. Who wakes first at the tick takes the batch and runs it, as
 * a command, for all; who fills a batch runs it at once. The others are answered from there. A result is shared within
 * the request, as a command's is. Calls that have only been started leave with the next batch that anybody waits for.
 *
 * The batch command's function gets the struct collapse_batch as its argument and answers place by place (batch_answer);
 * what it has no answer for is an error of that call. If the command fails, every call of the batch gets its error. With
 * shards a batch runs as several commands, side by side where they have threads. In the context of who takes it away in
 * REQUEST scope; in an empty one in GLOBAL scope, for there it is many requests'.
 *
 * Threads  any; a started call is one thread's. */
#pragma once
#include "client/run.h"
#include "flow/collapser.h"

#define COLLAPSE_SHARDS_MAX 64

struct collapse_call;

struct collapse_spec {
	struct collapser *collapser;
	const struct collapser_settings *settings; /* copied */
	struct collapse_scope *scope; /* GLOBAL scope; NULL: the request's */
	struct str key;               /* tells equal arguments; lives as long as the call, in arg for instance */
	struct shared *arg;           /* the call takes a reference */
	const struct run_spec *batch; /* copied; arg, free_arg and request are filled in */
	void *owner;                  /* of batches; see there */
	uint32_t shards;              /* at most COLLAPSE_SHARDS_MAX; 0, 1: a batch is one command */
	uint32_t (*shard_of)(const struct batch_place *p, void *owner); /* below shards */
	struct deadline deadline;     /* for this call; the batch has its command's */
	struct flow_request *request; /* NULL: that of the thread's context */
};

/* VINE_EINVAL: REQUEST scope without a request, or an equal argument waits already and requestCache.enabled is false;
 * VINE_ELIMIT: too many collapsers in one request. */
int collapse_start(const struct collapse_spec *spec, struct collapse_call **ret, struct err *e);
/* Waits, and ends the call. *ret: the answer, a reference of yours. VINE_ETIMEOUT; else what the batch command failed with. */
int collapse_wait(struct collapse_call *c, struct shared **ret, struct err *e);
void collapse_drop(struct collapse_call *c); /* ends it without its answer */

int collapse_call(const struct collapse_spec *spec, struct shared **ret, struct err *e); /* start and wait */
