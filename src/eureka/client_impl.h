/* client_impl.h - what the parts of the discovery client share. Nobody outside src/eureka includes it.
 *
 * Two chains of requests, each with at most one in flight: `get` fetches the registry (client_fetch.c), `put` registers,
 * heartbeats and leaves (client_lease.c). client_chain.c sends them to the registry that candidates.h names and goes to the
 * next one when it fails; then the chain pauses, longer each time. client.c is the life of it all.
 *
 * Invariants   A chain has either its timer set or its request in flight (or is idle: nothing to fetch, not registered, a
 *              push source is live). lost is told in the log only when it changes.
 * Threads      All of it on the loop of the http_client. */
#pragma once
#include "base/rng.h"
#include "eureka/candidates.h"
#include "eureka/client.h"
#include "eureka/service_url.h"

struct server_url {
	struct service_url u;
	struct http_peer *peer;
};

struct chain {
	struct eureka_client *c;
	struct fetch f;
	struct timer timer;
	void (*send)(struct chain *ch);     /* (re)sends what is due now to the current URL */
	void (*answered)(struct chain *ch); /* an answer below 500 came */
	void (*failed)(struct chain *ch);   /* no URL gave one */
	unsigned url;      /* in use for the request in flight */
	unsigned tries;
	unsigned failures; /* in a row, for the pause */
	bool active, lost;
};

enum reg_state { REG_OFF, REG_NEEDED, REG_OK, REG_LEAVING };

/* --- a source that pushes (watch.c) ---
 *
 * It hears of changes as they happen, so that nobody need ask. The fetches stay the ground it stands on: they fill the cache,
 * and after each that left the cache right `synced` says which registry it was and with which version. From there the source
 * reads on: push_changes hands over what it hears, push_live ends the polling, push_lost begins it again, at once and with a
 * full fetch if asked. All calls on the client's loop; none of them calls back into the source but by `synced` later. */
struct push_source {
	const struct push_ops *ops;
};

struct push_ops {
	/* The cache is what the registry at peer had at `version` (X-Vine-Version; empty: it is no registry that pushes). base is
	 * the path of its Eureka part ("/eureka/"), auth a header line with credentials or empty. Spans live during the call. */
	void (*synced)(struct push_source *p, struct http_peer *peer, const struct service_url *url, struct str version);
	void (*stop)(struct push_source *p); /* the client leaves or ends: be quiet. Comes twice, too */
	void (*free)(struct push_source *p); /* after stop */
};

void push_attach(struct eureka_client *c, struct push_source *p); /* before the start; the client frees it */
void push_live(struct eureka_client *c);
void push_lost(struct eureka_client *c, bool full);
/* Changes in their order, with an apps__hashcode or without. A new view is published where anything is different. false: the
 * hash differs; the source calls push_lost(c, true). */
bool push_changes(struct eureka_client *c, const struct apps_doc *doc);

struct eureka_client {
	struct http_client *http;
	struct loop *loop;
	struct logger log;
	struct eureka_client_settings s;
	struct rng rng;
	struct server_url url[EUREKA_URLS_MAX];
	struct candidates cand;
	struct chain get, put;
	bool lost, started;
	bool told_refused;
	char why[128]; /* of the last failure */
	/* the picture */
	struct eureka_cache cache;
	struct eureka_view *view;
	void (*on_view)(struct eureka_view *v, void *ctx);
	void *on_view_ctx;
	bool want_full, asked_delta, was_lost;
	int64_t delta_version;
	struct push_source *push;
	bool pushed; /* it is live */
	/* our own registration */
	struct instance *self;
	usec interval;
	enum reg_state reg;
	enum http_method sent; /* PUT, POST or DELETE: what is in flight */
	uint32_t self_gen, sent_gen;
	struct timer leave_timer;
	void (*left)(void *ctx);
	void *left_ctx;
	struct eureka_client_report rep;
};

#define PAUSE_FIRST (USEC_PER_SEC / 2)

/* --- client_chain.c --- */

struct request {
	enum http_method method;
	struct str suffix; /* below the base: "apps/" */
	struct str body;   /* JSON */
	struct str keep;   /* a field of the answer to be kept */
	size_t max_body;
};

void chain_init(struct chain *ch, struct eureka_client *c, void (*send)(struct chain *ch),
		void (*answered)(struct chain *ch), void (*failed)(struct chain *ch));
void chain_fini(struct chain *ch);
void chain_request(struct chain *ch, const struct request *r);
void chain_in(struct chain *ch, usec span);             /* sends again after that long */
usec chain_pause(struct chain *ch, usec interval);      /* how long to wait after so many failures */
void chain_unusable(struct chain *ch);                  /* the answer was of no use: as if none had come */

/* --- client_fetch.c --- */

void fetches_init(struct eureka_client *c);
void fetches_stop(struct eureka_client *c);
void fetches_fini(struct eureka_client *c);

/* --- client_lease.c --- */

void lease_init(struct eureka_client *c);
void lease_begin(struct eureka_client *c); /* at the start: what was asked for before it */
void lease_fini(struct eureka_client *c);
