/* run_parts.h - what run.c and follow.c share: the inside of a run. Nobody else includes it. */
#pragma once
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
	struct context *outer; /* of who started it; NULL: none */

	/* how it ended in the whole */
	struct run_result how; /* its result is a reference */
	struct bell bell;      /* where nobody waits */
	struct task again;     /* likewise: it starts, after waiting for another run that was cancelled */
	bool is_over;          /* likewise: how is told; guarded by the lock, as are the next two */
	bool is_begun, is_cancel_wanted;

	/* shared within a request */
	struct flow_request *request; /* a reference; NULL: none */
	struct cache_entry *entry;    /* that this run is to end; NULL: none */
	struct cache_wait waits;      /* for another run */
	bool is_follower;
	bool is_waiting, is_given_up; /* for it, and no longer; guarded by the lock */
	struct outcome_kept *kept;    /* what the other one gave */
	int noted;                    /* in the request's log */
};

/* Who has claimed it, and only he, writes err, and settles. */
bool run_claim(struct run *r);
void run_settle_without_ticket(struct run *r, enum run_cause cause);
void run_admit(struct run *r);     /* it is nobody's follower, or no longer */
void run_end(struct run *r);       /* `how` is complete */
void run_stop_bell(struct run *r); /* with timers */

/* --- follow.c: results that are shared within a request --- */

/* Has another run of this request the result, or is it making it? WAIT and READY: it is a follower. */
enum cache_answer follow_ask(struct run *r);
void follow_set_bell(struct run *r); /* nobody waits for a follower */
void follow_end_kept(struct run *r); /* it has the other one's outcome, and nobody waits */
bool follow_await(struct run *r);    /* true: it has the other one's outcome */
/* Is it waiting for another run? Then it is given up. */
void follow_cancel(struct run *r);
void follow_count_kept(struct run *r); /* `how` is the other one's */
void follow_end_entry(struct run *r, const struct run_result *how); /* the request remembers; NULL: it did not end */

static inline unsigned stripe_of_thread(void)
{
	return (unsigned)(((uint64_t)(uintptr_t)pthread_self() >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}
