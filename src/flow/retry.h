/* retry.h - whether a failed attempt is tried again, and where. Pure.
 *
 * What was sent decides, not the name of the error: an attempt of which no byte reached the server may be repeated for any
 * method; one that was sent and got no reply only for methods that may run twice; a reply only if its status is listed. */
#pragma once
#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"
#include "flow/deadline.h"

#define RETRY_STATUSES_MAX 32
#define RETRY_TRIES_MAX 64 /* of one request, whatever is configured */

enum attempt_class {
	ATTEMPT_NOT_SENT,        /* refused, no connection, or a reused connection that died before taking a byte */
	ATTEMPT_SENT_NO_REPLY,   /* reset or timed out after bytes were sent */
	ATTEMPT_REPLY_RETRYABLE, /* a reply; its status decides */
};

struct retry_settings {
	uint32_t same, next;         /* MaxAutoRetries, MaxAutoRetriesNextServer */
	bool all_operations;         /* OkToRetryOnAllOperations */
	uint16_t statuses[RETRY_STATUSES_MAX]; /* retryableStatusCodes */
	uint8_t status_count;
};

#define RETRY_SETTINGS_DEFAULT { .next = 1 }

enum retry_verdict {
	RETRY_SAME,
	RETRY_NEXT,
	RETRY_GIVE_UP,
};

enum retry_why {
	RETRY_ALLOWED,
	RETRY_NO_TRIES_LEFT,
	RETRY_DEADLINE,        /* no time left */
	RETRY_UNSAFE_METHOD,   /* sent, and the method may not run twice */
	RETRY_STATUS,          /* not a listed status */
	RETRY_BODY_GONE,       /* the body was sent and is not kept */
	RETRY_NO_BUDGET,       /* too many requests are retries already */
};

struct retry_state { /* of one request; zeroed at its start */
	uint32_t on_this;    /* repeats on the present server */
	uint32_t servers;    /* further servers used */
	uint32_t tries;      /* repeats in all */
};

struct retry_attempt { /* what failed */
	enum attempt_class class;
	unsigned status;      /* of a reply */
	bool is_safe;         /* the method may run twice: see retry_method_is_safe */
	bool body_gone;       /* the request has a body that cannot be sent again */
	bool is_dead;         /* this server will not answer the next one either (refused): do not try it again */
};

struct retry_decision {
	enum retry_verdict verdict;
	enum retry_why why;
};

/* RETRY_SAME and RETRY_NEXT advance the state. */
struct retry_decision retry_decide(const struct retry_settings *rs, struct retry_state *st,
				   const struct retry_attempt *at, struct deadline d, usec now);

bool retry_method_is_safe(struct str method); /* GET, HEAD, OPTIONS, TRACE: what Ribbon calls GET only, and its kin */
bool retry_status_is_listed(const struct retry_settings *rs, unsigned status);
uint32_t retry_tries_max(const struct retry_settings *rs); /* (same + 1) * (next + 1) */
const char *retry_why_name(enum retry_why why);

/* A budget that all requests to one service share: each request earns a part of a retry, each retry spends one. Any thread. */
struct retry_budget {
	_Atomic int64_t tokens; /* thousandths of a retry */
	_Atomic usec filled_at;
};

struct retry_budget_settings {
	uint32_t ratio_pct;  /* retries earned by 100 requests; 0: no budget is kept, all pass */
	uint32_t per_second; /* earned by time, so that a quiet service may retry at all */
	uint32_t cap;        /* retries that can be saved up */
};

void retry_budget_init(struct retry_budget *b, usec now); /* with what a second earns */
void retry_budget_request(struct retry_budget *b, const struct retry_budget_settings *s);
bool retry_budget_spend(struct retry_budget *b, const struct retry_budget_settings *s, usec now);
double retry_budget_left(const struct retry_budget *b); /* retries saved up, as of the last one */
