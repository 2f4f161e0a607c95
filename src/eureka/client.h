/* client.h - the discovery client: keeps a service registered, and keeps a picture of the registry.
 *
 * It speaks Eureka's own protocol to any of several registries: full fetch, then deltas checked by hash; heartbeats, and
 * registration again when one is answered 404. It stays with the registry that answers and goes to the next when that one
 * fails. While none answers it keeps its last picture, for ever, and tries with growing pauses; one line is logged when the
 * registry is lost and one when it is found again.
 *
 * Threads   Everything on the loop of the http_client that is given; a view may go to any thread. */
#pragma once
#include "base/log.h"
#include "eureka/view.h"
#include "http/client.h"

struct eureka_client;

#define EUREKA_URLS_MAX 8

struct eureka_client_settings {
	struct str service_urls;  /* eureka.client.service-url.defaultZone: "http://user:pw@host:8761/eureka/,http://..." */
	struct str token;         /* shown to those that have no credentials in their URL; empty: none */
	struct tls *tls;          /* for https; lives longer than the client */
	bool fetch_registry;
	bool only_up;             /* filter-only-up-instances */
	bool disable_delta;
	usec fetch_interval;      /* 0: 30 s */
	usec timeout;             /* of one request; 0: 8 s */
	size_t max_body;          /* of a full answer, inflated; 0: 256 MiB */
	uint64_t seed;            /* for hashes and jitter */
};

/* VINE_EINVAL if a URL cannot be understood. log is copied. */
int eureka_client_new(struct eureka_client **ret, struct http_client *http, const struct eureka_client_settings *s,
		      const struct logger *log, struct err *e);
/* Stops at once, without deregistering; no callback comes any more. NULL is fine. Run one more turn before loop_free. */
void eureka_client_free(struct eureka_client *c);
void eureka_client_start(struct eureka_client *c); /* after on_view was set: the first fetch begins at once */

/* fn gets each new view, borrowed: ref it to keep it. The first one comes with the first answer. */
void eureka_client_on_view(struct eureka_client *c, void (*fn)(struct eureka_view *v, void *ctx), void *ctx);
struct eureka_view *eureka_client_view(const struct eureka_client *c); /* borrowed; NULL: none yet */

/* Registers, and heartbeats every draft->lease.renewal_s (interval: another one, for tests and demos; 0: that). The draft
 * is copied; app in upper case is made by us; dirty is the client's to set. Again with another draft: it is updated. */
void eureka_client_register(struct eureka_client *c, const struct instance *draft, usec interval);
void eureka_client_set_status(struct eureka_client *c, enum inst_status s); /* sent at once if it is a change */
/* Leaves: DELETE, then done, also when no registry answers within `within` (0: 3 s) or nothing was registered. */
void eureka_client_deregister(struct eureka_client *c, usec within, void (*done)(void *ctx), void *ctx);

enum eureka_state { EUREKA_NEVER, EUREKA_OK, EUREKA_LOST };

struct eureka_client_report {
	enum eureka_state state; /* of the fetches, or of the heartbeats where nothing is fetched */
	bool registered;
	char url[256];           /* the registry in use, without credentials */
	usec last_ok;            /* monotonic; 0: never */
	uint64_t full, delta, mismatches, heartbeats, failures, registrations;
	uint32_t instances, apps;
};
void eureka_client_report(const struct eureka_client *c, struct eureka_client_report *ret);
