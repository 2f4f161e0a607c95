/* peer.h - one other registry: what it has still to be told, in order, and the telling.
 *
 * Changes are tasks in a queue; they leave in batches, one batch at a time, so that the peer sees them in the order in which
 * they happened. A change leaves at the end of the turn, heartbeats wait up to half a second for company. A newer task of the
 * same kind for the same instance takes the place of an older one, at the end of the queue; a cancel makes all that waits for
 * its instance needless.
 *
 * A batch that did not arrive is sent again, with growing pauses; one that the peer refuses is dropped, as Netflix's server
 * does, and heartbeats mend what that leaves open: 404 is answered with a registration, a 409's newer data are taken over.
 * Tasks live for the lease's interval (heartbeat, registration) or max_age (all else), and while a peer is away that is
 * known to be Vine's for an hour: only such a one knows an old cancel from a new one.
 *
 * Threads   The writer's. */
#pragma once
#include "base/rng.h"
#include "eureka/service_url.h"
#include "http/client.h"
#include "registry/registry.h"

struct apps_doc;
struct peer;

struct peer_config {
	usec connect_timeout, read_timeout;
	usec max_age;        /* eureka.server.max-time-for-replication */
	uint32_t max_tasks;  /* eureka.server.max-elements-in-peer-replication-pool; the oldest is dropped */
	bool compress;       /* eureka.server.enable-replicated-request-compression; Spring Cloud's server refuses it,
			      * so that it holds for peers that are Vine's */
};

enum peer_state { PEER_UNKNOWN, PEER_UP, PEER_LOST, PEER_REFUSES, PEER_SELF };
const char *peer_state_name(enum peer_state s);

struct peer_report {
	char shown[256]; /* the URL without credentials */
	enum peer_state state;
	bool is_vine;
	char why[160];       /* of the last failure */
	uint32_t waiting;    /* tasks */
	uint64_t sent, batches, failures, dropped, registered_anew, taken_over;
	usec since;          /* of the state */
	usec last_ok;        /* 0: never */
};

struct peer_env {
	struct registry *reg;
	struct http_client *http;
	struct tls *tls; /* for https; lives longer than the peers */
	struct loop *loop;
	const struct logger *log;
	const char *identity; /* header lines that say who we are */
	void (*back)(struct peer *p, void *ctx); /* it answers again after it was lost */
	void *ctx;
	uint64_t seed;
};

struct peer *peer_new(const struct peer_env *env, const struct service_url *url, const struct peer_config *cfg);
void peer_free(struct peer *p); /* what waits is forgotten; run one more turn before loop_free; NULL is fine */
void peer_configure(struct peer *p, const struct peer_config *cfg);
const struct service_url *peer_url(const struct peer *p);

void peer_tell(struct peer *p, const struct relay *rl);
void peer_report(const struct peer *p, struct peer_report *ret);

/* Fetches all that it has; done(ok, doc): doc is borrowed, and NULL where there is none. */
void peer_fetch_all(struct peer *p, usec timeout, void (*done)(struct peer *p, const struct apps_doc *doc, void *ctx),
		    void *ctx);
