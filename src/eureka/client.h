/* client.h - the discovery client: keeps a service registered, and keeps a picture of the registry.
 *
 * It speaks Eureka's own protocol to any of several registries: full fetch, then deltas checked by hash; heartbeats, and
 * registration again when one is answered 404. It stays with the registry that answers and goes to the next when that one
 * fails (candidates.h says to which). While none answers it keeps its last picture, for ever, and tries with growing pauses (pace.h);
 * one line is logged when the registry is lost and one when it is found again.
 *
 * Threads   Everything on the loop of the http_client that is given; a view may go to any thread. */
#pragma once
#include "base/log.h"
#include "eureka/view.h"
#include "http/client.h"

struct buf;
struct eureka_client;
struct jobs_lane;
struct jsonw;
struct mailbox;
struct tls;

#define EUREKA_URLS_MAX 32
#define EUREKA_ZONES_MAX 16

struct eureka_zone {
	struct str name;
	struct str urls; /* "http://user:pw@host:8761/eureka/,http://..." */
	bool own;        /* asked before the others */
};

/* Where registries are if DNS says it: TXT txt.REGION.DOMAIN names zones, TXT txt.ZONE names hosts. */
struct eureka_dns_settings {
	bool on;
	struct str region, domain, port, path;
	struct str server; /* "ip:port" to ask; empty: those of resolv.conf */
	struct str own_zone;
	struct jobs_lane *lane;
	struct mailbox *mailbox;
};

struct eureka_proxy {
	struct str host; /* empty: none */
	uint16_t port;
	struct str user, password;
};

/* Spans of time are 0 for the default. Strings need live only during the call that takes them. */
struct eureka_client_settings {
	struct str service_urls;  /* one zone without a name; read where n_zones is 0 */
	struct eureka_zone zone[EUREKA_ZONES_MAX];
	unsigned n_zones;
	struct str token;         /* shown to those that have no credentials in their URL; empty: none */
	struct tls *tls;          /* for https; lives longer than the client */
	struct eureka_dns_settings dns;
	struct eureka_proxy proxy;
	bool fetch_registry;
	bool only_up;             /* filter-only-up-instances */
	bool disable_delta;
	bool watch;               /* be told of changes, by a registry that tells them (watch.h) */
	bool log_delta_diff;
	bool no_gzip;
	bool allow_redirects;
	bool drop_missing;        /* what a registry that was away no longer lists goes at once, instead of with its lease */
	bool changes_wait;        /* not on demand: at the next look */
	unsigned sudden_loss;     /* percent: who lists so many fewer at once counts as one that was away; 0: 50 */
	unsigned fetch_bound, heartbeat_bound; /* how many intervals a pause may grow to by time-outs; 0: 10 */
	struct str single_vip;    /* registry-refresh-single-vip-address */
	struct str regions;       /* fetch-remote-regions-registry, comma-separated */
	usec fetch_interval;      /* 30 s */
	usec connect_timeout;     /* 5 s */
	usec timeout;             /* of one request, from the connection on: 8 s */
	usec idle_timeout;        /* of connections: 30 s */
	usec poll_interval;       /* how often DNS is asked anew: 300 s */
	usec first_look, look_interval; /* at health and at changes that were not told: 40 s, 30 s */
	usec session;             /* with one registry, on average: 20 min */
	size_t max_body;          /* of a full answer, inflated; 0: 256 MiB */
	uint64_t seed;            /* for hashes, jitter and the order of registries */
};

/* VINE_EINVAL if a URL cannot be understood, or there is none. */
int eureka_client_check(const struct eureka_client_settings *s, struct err *e);
/* The same errors. log is copied. */
int eureka_client_new(struct eureka_client **ret, struct http_client *http, const struct eureka_client_settings *s,
		      const struct logger *log, struct err *e);
/* Other settings while it runs; the picture, the registration and what is known of registries that stay are kept. seed and
 * fetch_registry do not change. On an error nothing does. */
int eureka_client_configure(struct eureka_client *c, const struct eureka_client_settings *s, struct err *e);
/* Stops at once, without deregistering; no callback comes any more, but for those of eureka_client_ask, which fail. NULL is
 * fine. Run one more turn before loop_free. */
void eureka_client_free(struct eureka_client *c);
void eureka_client_start(struct eureka_client *c); /* after on_view was set: the first fetch begins at once */

/* fn gets each new view, borrowed: ref it to keep it. The first one comes with the first answer. */
void eureka_client_on_view(struct eureka_client *c, void (*fn)(struct eureka_view *v, void *ctx), void *ctx);
struct eureka_view *eureka_client_view(const struct eureka_client *c); /* borrowed; NULL: none yet */

/* --- our own registration --- */

/* Registers, and heartbeats every draft->lease.renewal_s (interval: another one, for tests and demos; 0: that). The draft
 * is copied; app in upper case is made by us; dirty is the client's to set. Again with another draft: it is updated, with the
 * same one: nothing happens; with one past instance.h's limits: it is an error in the log, and the one before stays. */
void eureka_client_register(struct eureka_client *c, const struct instance *draft, usec interval);
/* Sent at once if it is a change, but for a limit: two, then four a minute. */
void eureka_client_set_status(struct eureka_client *c, enum inst_status s);
/* The status follows fn, asked before the registration and at each look. OUT_OF_SERVICE, which somebody set, stays. NULL: it
 * is the draft's again. */
void eureka_client_on_health(struct eureka_client *c, enum inst_status (*fn)(void *ctx), void *ctx);
void eureka_client_look(struct eureka_client *c); /* the health has changed: ask it now */
/* Once, when the first registration has been accepted (why NULL), or no registry accepted it. It is tried again all the same. */
void eureka_client_on_first(struct eureka_client *c, void (*fn)(const char *why, void *ctx), void *ctx);
/* Leaves: DELETE, then done, also when no registry answers within `within` (0: 3 s) or nothing was registered. */
void eureka_client_deregister(struct eureka_client *c, usec within, void (*done)(void *ctx), void *ctx);

/* What the registry holds of us, live; or an override of our status. At most 8 at once. */
enum eureka_question { EUREKA_GET, EUREKA_OVERRIDE, EUREKA_CANCEL_OVERRIDE };

struct eureka_reply {
	unsigned status;        /* 0: no registry answered, why says it */
	const char *why;
	const struct instance *inst; /* of EUREKA_GET with 200; borrowed */
};
/* false: we are not registered, or too many are under way. */
bool eureka_client_ask(struct eureka_client *c, enum eureka_question q, enum inst_status s,
		       void (*done)(const struct eureka_reply *r, void *ctx), void *ctx);

/* Spring's serviceregistry endpoint, whose words these are. {"status":"UP"} or UP in any case, CANCEL_OVERRIDE to cancel: false:
 * neither. */
bool eureka_override_parse(struct str body, enum eureka_question *q, enum inst_status *s);
/* {"status":"UP","overriddenStatus":"UNKNOWN"}; of an instance that is not there {"status":"UNKNOWN"}. */
void eureka_reply_write(struct buf *out, const struct eureka_reply *r);

/* --- what it knows of itself --- */

enum eureka_state { EUREKA_NEVER, EUREKA_OK, EUREKA_LOST };

struct eureka_client_report {
	enum eureka_state state; /* of the fetches, or of the heartbeats where nothing is fetched */
	bool registered;
	bool pushed;             /* changes come by themselves, nobody polls */
	char url[256];           /* the registry in use, without credentials */
	char why[160];           /* of the last failure */
	usec last_ok, last_fetch, last_heartbeat, last_failure; /* monotonic; 0: never */
	uint64_t told;           /* times that changes came by themselves */
	uint64_t full, delta, mismatches, heartbeats, failures, registrations, switches, redirects;
	uint32_t instances, apps, held; /* held: not listed any more, kept for their leases */
	enum inst_status local, remote, override; /* what we say; what the registry says; INST_UNKNOWN: nothing */
	unsigned urls, quarantined;
};
void eureka_client_report(const struct eureka_client *c, struct eureka_client_report *ret);
const char *eureka_state_name(enum eureka_state s);
/* All of it as an object, for /actuator/eureka. */
void eureka_client_write(const struct eureka_client *c, struct jsonw *w);
