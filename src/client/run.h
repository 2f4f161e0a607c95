/* run.h - a function of the user's as a Hystrix command: circuit, isolation, timeout, fallback around it.
 *
 *   run_start -> circuit -> permit, or a slot and a thread -> the function -> outcome
 *   run_wait  -> by its deadline the outcome, else TIMEOUT -> the fallback, if the outcome wants one
 *
 * THREAD isolation: the function runs on a thread of the command's pool, and the caller is free at the deadline though the
 * function may still run. Whatever it works on therefore belongs to the run, which lives until both sides have let go:
 * argument and result are given to it, never left on the caller's stack. What comes too late is thrown away. The context
 * (trace, user's values, deadline, shared results) goes with it by itself; at the deadline the cancel token is asked, if
 * interruptOnTimeout, which ends libvine's own I/O at once.
 * SEMAPHORE isolation: the function runs within run_start, on the caller, whose deadline bounds every libvine call inside.
 * What comes late is a TIMEOUT here too, as in Hystrix.
 *
 * A run may go without a waiter (spec.timers): then a timer keeps its time, and whoever settles it goes on to the fallback, on
 * a thread of fallback_threads, to the numbers, and to `ended`. run_wait may still be called, by one.
 *
 * A key of its arguments makes its result shared within the request (flow/request.h): who asks again, also while it runs,
 * gets the same outcome, fallback and error included, and counts RESPONSE_FROM_CACHE; but it waits no longer than its own
 * timeout.
 *
 * A failure is counted when it happens. The fallback has its permits and its own deadline; in THREAD isolation it runs on a
 * thread as well, so that the deadline holds, in SEMAPHORE on the caller. After a timeout it may run while the function
 * still does, with the same argument.
 *
 * Threads  a run is used by the thread that started it, but for run_cancel and references. The clock is read here. */
#pragma once
#include "base/err.h"
#include "base/log.h"
#include "client/context.h"
#include "client/threads.h"
#include "client/timers.h"
#include "flow/command.h"

struct run;
struct run_result;
struct work; /* the run as the function, or the fallback, sees it */

/* What the function says. */
enum run_answer {
	RUN_OK,
	RUN_BAD_REQUEST, /* the caller's mistake: no fallback, counts for nothing; a result is handed out as well */
	RUN_FAILED,
	RUN_TIMED_OUT,   /* its own I/O ran into the deadline */
	RUN_FATAL,       /* a failure after which nothing should be tried: no fallback */
};

/* How it ended, for the caller. */
enum run_cause {
	RUN_CAUSE_NONE, /* a result of the function's own */
	RUN_CAUSE_BAD_REQUEST,
	RUN_CAUSE_FAILURE,
	RUN_CAUSE_TIMEOUT,
	RUN_CAUSE_SHORT_CIRCUIT,
	RUN_CAUSE_SEMAPHORE_REJECTED,
	RUN_CAUSE_POOL_REJECTED,
	RUN_CAUSE_CANCELLED,
};

struct run_spec {
	struct command *command;
	const struct cmd_settings *settings;
	struct shared *holder;               /* what the settings are part of: the run takes a reference. NULL: they outlive it */
	struct threads *threads;             /* THREAD isolation; else unused */
	struct threads *fallback_threads;    /* NULL: fallbacks run on the caller */
	struct timers *timers; /* NULL: run_wait keeps the time, and must be called. Else no function may need its caller's stack,
				* and a fallback needs fallback_threads */
	const struct logger *log;            /* a circuit's changes are told there; NULL: nowhere */

	enum run_answer (*fn)(struct work *w, void *arg);
	void *arg;
	void (*free_arg)(void *arg);       /* NULL: it outlives the run; only where nothing can outlive the caller */

	/* NULL: none is implemented. Gives a result by work_set_result and returns 0; else negative. why: what it stands
	 * in for. */
	int (*fallback)(struct work *w, void *arg, enum run_cause cause, const struct err *why);
	void *fallback_arg; /* NULL: arg. Else the fallback runs on the caller, whose it is */

	/* With timers: how it ended, once, before the argument goes; on whatever thread ended it. Must not block. NULL: nobody
	 * asks. */
	void (*ended)(void *arg, const struct run_result *how);

	struct str cache_key; /* of the arguments; lives until run_wait. ptr NULL: not cached */

	/* tighter or other than the thread's context has them */
	const struct trace_context *trace;
	struct deadline deadline;     /* at USEC_NEVER: none */
	struct flow_request *request; /* borrowed until run_unref */
};

struct run_result {
	enum run_cause cause;
	bool from_fallback;
	bool wanted_fallback;   /* then: */
	enum fallback fallback; /* RUN and not from_fallback: it failed, or came too late */
	bool from_cache;
	struct shared *result;  /* a reference of yours; NULL: none */
	struct err err;         /* of the failure or refusal; a fallback that failed does not hide it */
};

/* Where the result is being made by another run of this request, nothing is started: run_wait waits for that one. */
struct run *run_start(const struct run_spec *spec);
/* Waits, once. 0 for a result of the function's (BAD_REQUEST too) or the fallback's; else err's code. */
int run_wait(struct run *r, struct run_result *ret);
/* Nobody wants it any more: counts CANCELLED, gives a trial back. The function is told by its token if
 * interruptOnFutureCancel. Any thread with a reference of its own; also while another one waits. */
void run_cancel(struct run *r);
void run_ref(struct run *r);
void run_unref(struct run *r); /* NULL is fine */

int run_command(const struct run_spec *spec, struct run_result *ret); /* start, wait, unref */

/* --- for the function and the fallback --- */

void work_set_result(struct work *w, struct shared *result); /* takes your reference */
struct err *work_err(struct work *w);
struct deadline work_deadline(const struct work *w);
bool work_is_cancelled(const struct work *w); /* nobody waits any more: for long computations */

const char *run_cause_name(enum run_cause c); /* "timeout" */
