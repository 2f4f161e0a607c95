/* tally.h - how many of something each address has, with one limit for all: connections of a peer, say.
 *
 * An IPv6 peer counts by its /64, the least that one customer is given; an IPv4 one by its address, also behind "::ffff:".
 * An address is remembered while it has something, so the table is as large as what it counts.
 * Threads   Any. Sharded by address; each shard has a mutex, a leaf, held for a look into a table. */
#pragma once
#include "net/addr.h"

struct addr_tally;

struct addr_tally *addr_tally_new(uint32_t max, uint64_t seed); /* max: at once an address, at least 1 */
void addr_tally_limit(struct addr_tally *t, uint32_t max);      /* another limit from now on; who is in stays */
void addr_tally_free(struct addr_tally *t);                     /* fine with NULL */

bool addr_tally_enter(struct addr_tally *t, const struct addr *a); /* false: it has as many as it may; nothing counted */
void addr_tally_leave(struct addr_tally *t, const struct addr *a); /* one that was let in has gone */
size_t addr_tally_len(struct addr_tally *t);                       /* addresses that have something */
