/* watch.h - GET /vine/watch: each change as it happens, as an event stream or as the answer to a long poll.
 *
 * The format is in docs/registry.md. All watchers of a worker are told of the same range of changes with the same bytes: who joins
 * is first brought to where the others are. A watcher that does not read, and one that asks for changes that are not remembered
 * any more, is sent away with a resync mark: it fetches all and comes back.
 *
 * Threads   A hub belongs to its worker; struct watch_shared is everybody's. */
#pragma once
#include "http/server.h"
#include "registry/registry.h"

struct addr_tally;

struct watch_shared {
	_Atomic uint32_t watching, max; /* vine.registry.max-watchers */
	struct addr_tally *by_address;  /* vine.registry.max-watchers-per-address */
	_Atomic uint64_t resyncs;
};

struct watch_hub {
	struct registry *reg;
	struct loop *loop;
	struct mailbox *mailbox;
	struct watch_shared *shared;
	struct registry_listener *listener; /* while somebody watches */
	struct picture *seen;
	uint64_t version; /* up to which everybody has been told */
	struct list streams, polls;
	struct timer alive;
	bool draining;
};

void watch_hub_init(struct watch_hub *h, struct registry *reg, struct loop *loop, struct mailbox *mailbox,
		    struct watch_shared *shared);
void watch_hub_drain(struct watch_hub *h); /* ends all of them */
/* Ends the streams that `may` does not let go on. It is asked of polls too, and answers those that it does not let in itself. */
void watch_hub_review(struct watch_hub *h, bool (*may)(struct exchange *ex, void *ctx), void *ctx);
void watch_hub_fini(struct watch_hub *h);  /* no exchange is left, or none will be answered */
void watch_request(struct exchange *ex, struct watch_hub *h);
