/* collapse.h - a call that is gathered with others into one, for code that waits: HystrixCollapser over run.h.
 *
 * There is no timer thread: everybody who waits keeps the time. Who wakes first at the tick takes the batch and runs it, as
 * a command, for all; who fills a batch runs it at once. The others are answered from there. A result is shared within
 * the request, as a command's is.
 *
 * The batch command's function gets the struct collapse_batch as its argument and answers place by place (batch_answer);
 * what it has no answer for is an error of that call. If the command fails, every call of the batch gets its error. */
#pragma once
#include "client/run.h"
#include "flow/collapser.h"

struct collapse_spec {
	struct collapser *collapser;
	const struct collapser_settings *settings;
	struct collapse_scope *scope; /* GLOBAL scope; NULL: the request's */
	struct str key;               /* tells equal arguments */
	struct shared *arg;           /* borrowed */
	const struct run_spec *batch; /* arg, free_arg and request are filled in */
	struct deadline deadline;     /* for this call; the batch has its command's */
	struct flow_request *request; /* NULL: that of the thread's context */
};

/* *ret: the answer, a reference of yours. VINE_EINVAL: REQUEST scope without a request, or an equal argument waits already
 * and requestCache.enabled is false; VINE_ETIMEOUT; else what the batch command failed with. */
int collapse_call(const struct collapse_spec *spec, struct shared **ret, struct err *e);
