/* slot.h - a request's place in its service's pool, in THREAD isolation: running, or waiting for its turn.
 *
 * One pool a process and key, shared by all workers. Whoever frees a slot gives it to the longest waiting and tells that
 * request's worker by mailbox. Between the gift and the letter's arrival the request may end: the place outlives it and
 * passes the slot on by itself.
 *
 * Owner: the request's worker, but for the letter. */
#pragma once
#include "flow/pool.h"

struct gw_worker;
struct gw_slot;

/* POOL_RUN: go on. POOL_WAIT: granted(owner) is called on this worker's thread in a later turn. Both: *ret is to be given
 * back with gw_slot_leave. POOL_REJECTED: there is none. */
enum pool_answer gw_slot_take(struct gw_slot **ret, struct gw_worker *g, struct pool *pool, const struct pool_settings *ps,
			      void (*granted)(void *owner), void *owner);
/* Gives the slot back, or gives up waiting. executed: the command ended with a result, not by its client's leaving. */
void gw_slot_leave(struct gw_slot *s, bool executed);
