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

/* Whose services are meant. A key under hystrix.command alone may be anybody's command. */
enum check_who {
	CHECK_GATEWAY, /* where routes lead to; with a registry also clients that have Ribbon settings, for they may be found */
	CHECK_CLIENT,  /* clients that have Ribbon settings: of libvine */
	CHECK_ALL,     /* either: of `vine check` */
};

/* The first service whose tries do not fit into its command's time-out, with the sum written out: VINE_EINVAL; or 0. */
int check_times(const struct props *p, enum check_who who, struct err *e);
/* Tells of each other key that would not fit if it were a service: in a shared file it may be another program's. */
void check_times_others(const struct props *p, enum check_who who, void (*fn)(void *ctx, const struct err *why), void *ctx);

struct check_timeouts check_timeouts_of(const struct props *p, struct str service, struct str command);
/* What does not fit about it, in words; returns VINE_EINVAL. */
int check_timeouts_tell(const struct check_timeouts *t, struct str service, struct str command, struct err *e);
static inline bool check_timeouts_fit(const struct check_timeouts *t)
{
	return !t->command_is_set || t->command_ms == 0 || t->tries_ms <= t->command_ms;
}
