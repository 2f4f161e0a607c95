/* request.h - what the commands of one incoming request share: results that were asked for already, and a log of what ran.
 *
 * Hystrix' request context. A result is looked up by kind, command key and the user's own key of the arguments:
 *
 *   request_cache_begin -> CACHE_RUN     nobody has asked yet: run, then request_cache_end with the result, error or not
 *                       -> CACHE_WAIT    somebody is at it: wake(result) comes, or request_cache_withdraw
 *                       -> CACHE_READY   here it is
 *                       -> CACHE_NONE    not cached: switched off, no request, or too many; run without it
 *
 * The entry stands before the run, so concurrent duplicates share it, and an error is replayed as well. Where there is no
 * request nothing is cached; Hystrix throws there.
 *
 * Life     counted: the request and every call that works for it. Threads: any; one leaf lock, not held over wake. */
#pragma once
#include <pthread.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "flow/events.h"
#include "flow/settings.h"
#include "flow/shared.h"

#define REQUEST_CACHE_MAX 1000 /* results */
#define REQUEST_KEY_MAX 1024   /* bytes of a command's and a user's key together; longer ones are not cached */
#define REQUEST_LOG_MAX 1000   /* commands; Hystrix' number */

struct flow_request;
struct cache_entry;

enum cache_kind {
	CACHE_OF_COMMAND,
	CACHE_OF_COLLAPSER,
};

struct cache_key {
	enum cache_kind kind;
	struct str command; /* or collapser */
	struct str key;     /* of the arguments; empty is a key like any other */
};

enum cache_answer {
	CACHE_RUN,
	CACHE_WAIT,
	CACHE_READY,
	CACHE_NONE,
};

struct cache_wait {
	struct list link;
	bool is_waiting; /* guarded by the request's lock */
	/* result: a reference of yours; NULL: who ran it has been cancelled, run yourself. On that one's thread. */
	void (*wake)(struct cache_wait *w, struct shared *result);
};

struct flow_request *flow_request_new(void);
struct flow_request *flow_request_ref(struct flow_request *rq); /* NULL is fine */
void flow_request_unref(struct flow_request *rq);               /* NULL is fine */

/* rq may be NULL. CACHE_RUN sets *entry, CACHE_READY *result (a reference of yours). */
enum cache_answer request_cache_begin(struct flow_request *rq, bool enabled, const struct cache_key *k, struct cache_wait *w,
				      struct cache_entry **entry, struct shared **result);
/* result NULL: cancelled, nothing to share. Wakes who waits. The entry is gone for the caller. */
void request_cache_end(struct flow_request *rq, struct cache_entry *entry, struct shared *result);
bool request_cache_withdraw(struct flow_request *rq, struct cache_wait *w); /* false: woken already, or just being */
/* The next one with this key runs anew; those that wait get what they wait for. */
void request_cache_clear(struct flow_request *rq, const struct cache_key *k);

/* Something else that belongs to the request, such as a collapser's scope: made when it is first asked for, freed with the
 * request. make runs under the lock: it only makes. NULL: too many. */
#define REQUEST_PARTS_MAX 64
void *request_part(struct flow_request *rq, const void *key, void *(*make)(void *ctx), void (*free)(void *part), void *ctx);

/* --- the log --- */

/* A command begins; the number for the two below. -1: not noted (switched off, no request, or too many). */
int request_log_begin(struct flow_request *rq, bool enabled, struct str command);
void request_log_event(struct flow_request *rq, int i, enum flow_event ev); /* i -1 is fine */
void request_log_took(struct flow_request *rq, int i, usec latency);
/* "product[SUCCESS][12ms]x2, member[TIMEOUT, FALLBACK_SUCCESS][1001ms]": equal ones together, times summed; as Hystrix. */
void request_log_text(struct flow_request *rq, struct buf *out);
