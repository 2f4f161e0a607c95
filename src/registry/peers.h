/* peers.h - the other registries: who they are, what they are told, and what is learnt from them at the start.
 *
 * Every write that comes from a client is told to each peer, once; what comes from a peer is not told on. Heartbeats are
 * gathered: twice a second those leases are looked up whose clients have been heard of since.
 *
 * At the start each peer is asked for all that it has. Until one of them gives instances, or all have been asked in vain as
 * often as registry-sync-retries says, the registry does not serve lists (registry_serves) unless a snapshot gave it some:
 * writes it takes from the first moment. A peer that comes back is told at once of every lease whose client speaks to us.
 *
 * Which of the configured URLs is this registry itself is told by my-url, by address and port, or in the end by the peer's
 * answer: it shows our own epoch.
 *
 * Threads   The writer's; peers_report: any. */
#pragma once
#include "registry/peer.h"

struct peers;

#define PEERS_MAX 32

struct peers_config {
	struct service_url url[PEERS_MAX];
	unsigned n;
	struct peer_config peer;
	unsigned sync_retries;
	usec sync_wait;       /* between them */
	usec empty_wait;      /* since the start, where no peer gave an instance */
	int64_t min_replicas; /* eureka.server.min-available-instances-for-peer-replication; -1: whatever */
};

enum sync_state { SYNC_WAITING, SYNC_DONE, SYNC_ALONE }; /* ALONE: nobody answered, or there is nobody */

struct peers_report {
	unsigned n;
	enum sync_state sync;
	uint32_t learnt;      /* instances that came from peers at the start */
	int64_t min_replicas;
	struct peer_report peer[PEERS_MAX];
};

struct peers *peers_new(const struct peer_env *env); /* back and ctx are its own */
void peers_free(struct peers *ps); /* run one more turn before loop_free; NULL is fine */
/* Again with another configuration: peers that stay keep what waits for them. */
void peers_configure(struct peers *ps, const struct peers_config *cfg);
void peers_begin(struct peers *ps, bool has_snapshot); /* after peers_configure: asks them all */
void peers_tell(const struct relay *rl, void *peers);  /* a registry_hooks.written */
void peers_report(struct peers *ps, struct peers_report *ret);
/* done(ctx) once every peer that answers has been told all, at the latest after `within`. */
void peers_flush(struct peers *ps, usec within, void (*done)(void *ctx), void *ctx);
