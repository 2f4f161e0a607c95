/* check.h - the report of `vine check`: what a configuration means to Vine, and what in it cannot fit together.
 *
 * The picture comes from props_load; nothing here does I/O. */
#pragma once
#include "base/buf.h"
#include "props/props.h"

/* What stands on higher floors has to say of their families: lines of the form "  WRONG    text", and how many. */
typedef size_t check_fn(struct buf *out, const struct props *p);

/* Appends the report: faults, timeouts, and every key of the files with what becomes of it. Returns how many things are
 * wrong: the faults, and what cannot fit together. more may be NULL. */
size_t check_report(struct buf *out, const struct props *p, check_fn *more);

/* A service's tries: how long they may take by its Ribbon settings, and what its command allows. */
struct check_timeouts {
	int64_t connect, read, same, next; /* ms, ms, retries, retries */
	int64_t backoff;                   /* ms before each further try */
	int64_t tries_ms;                  /* (connect + read) * (same + 1) * (next + 1), and the pauses between */
	int64_t command_ms;                /* the command's time-out; 0: off */
	bool command_is_set;               /* in a source, not by default */
};

/* The first service whose tries do not fit into its command's time-out, with the sum written out: VINE_EINVAL; or 0. */
int check_times(const struct props *p, struct err *e);

struct check_timeouts check_timeouts_of(const struct props *p, struct str service);
static inline bool check_timeouts_fit(const struct check_timeouts *t)
{
	return !t->command_is_set || t->command_ms == 0 || t->tries_ms <= t->command_ms;
}
