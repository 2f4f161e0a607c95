/* client_impl.h - what the parts of the discovery client share. Nobody outside src/eureka includes it.
 *
 * Two chains of requests, each with at most one in flight: `get` fetches the registry (client_fetch.c), `put` registers,
 * heartbeats and leaves (client_lease.c); each question of client_ask.c is a short chain of its own. client_chain.c sends them
 * to the registry that candidates.h names and goes to the next one when it fails; then the chain pauses as pace.h says.
 * client_places.c makes the list of registries. client.c is the life of it all.
 *
 * Invariants   A chain has either its timer set or its request in flight (or is idle: nothing to fetch, not registered, a
 *              push source is live). lost is told in the log only when it changes.
 * Threads      All of it on the loop of the http_client. */
#pragma once
#include "eureka/candidates.h"
#include "eureka/client.h"
#include "eureka/pace.h"

#define TRIES_MAX 3  /* of one request, each with another registry */
#define HOPS_MAX 10  /* redirects of one request */
#define WHY_MAX 160

struct chain {
	struct eureka_client *c;
	struct fetch f;
	struct timer timer;
	void (*send)(struct chain *ch);     /* (re)sends what is due now; begins with chain_pick */
	/* Is that an answer to the question? Else the next registry is asked, and why says what was wrong. */
	bool (*useful)(struct chain *ch, char why[WHY_MAX]);
	void (*answered)(struct chain *ch); /* a useful one came */
	void (*failed)(struct chain *ch);   /* nobody gave one */
	int at;        /* the candidate that is asked; -1: it left the list meanwhile */
	struct candidates_tried tried;
	struct pace pace;
	struct buf asked; /* the suffix of the request in flight */
	unsigned hops;
	bool active, lost;
	bool slow;     /* all failures of this request so far were time-outs */
	bool refreshed; /* a stale connection was replaced once */
	bool maybe_taken; /* one may have been taken whose answer never came; its user says when that is over */
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
	/* The cache is what the registry at peer had at `version` (X-Vine-Version; empty: it is no registry that pushes). url->path is
	 * that of its Eureka part ("/eureka/"), url->auth a header line with credentials or empty. Spans live during the call. */
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

/* A registry that sent us elsewhere: the place stands for the candidate until that fails or another one is in use. */
struct detour {
	int of; /* -1: none */
	struct service_url url;
	struct http_peer *peer;
};

struct eureka_client {
	struct http_client *http;
	struct loop *loop;
	struct logger log;
	struct eureka_client_settings s; /* its strings lie in words */
	struct arena words;
	struct rng rng;
	struct candidates cand;
	struct detour detour;
	struct http_peer *proxy; /* NULL: none */
	struct txt_lookup *lookup; /* under way */
	struct timer poll;
	char places_why[WHY_MAX]; /* why the list could not be renewed; empty: it could */
	struct chain get, put;
	bool lost, started, leaving;
	bool told_refused;
	char used[256]; /* who answered last, for people */
	/* the picture */
	struct eureka_cache cache;
	struct eureka_view *view;
	void (*on_view)(struct eureka_view *v, void *ctx);
	void *on_view_ctx;
	struct apps_doc doc;     /* of the answer in hand */
	struct service_url from; /* where the picture is from */
	usec fetched_at;
	char epoch[24];          /* of that registry's process, if it is Vine's */
	bool want_full, asked_delta, was_lost, only_full, diff_due;
	int64_t delta_version;
	struct push_source *push;
	bool pushed; /* it is live */
	/* our own registration */
	struct instance *self;
	enum inst_status wanted; /* of the draft: holds where no health does */
	usec interval;
	enum reg_state reg;
	enum http_method sent; /* PUT, POST or DELETE: what is in flight */
	uint32_t self_gen, sent_gen;
	struct change_limit changes;
	struct timer leave_timer, look;
	enum inst_status (*health)(void *ctx);
	void *health_ctx;
	void (*first)(const char *why, void *ctx);
	void *first_ctx;
	void (*left)(void *ctx);
	void *left_ctx;
	struct list asks; /* of struct ask */
	unsigned n_asks;
	struct eureka_client_report rep;
};

/* --- client_chain.c --- */

struct request {
	enum http_method method;
	struct str suffix; /* below the base: "apps/" */
	struct str body;   /* JSON */
	size_t max_body;
	bool plain;        /* gzip is not asked for */
};

void chain_init(struct chain *ch, struct eureka_client *c);
void chain_fini(struct chain *ch);
void chain_stop(struct chain *ch);
/* Whom the request that is to be built goes to; NULL: nobody is left, and the chain has failed. */
const struct service_url *chain_pick(struct chain *ch);
void chain_request(struct chain *ch, const struct request *r);
void chain_in(struct chain *ch, usec span); /* sends again after that long */
void chain_add_authority(struct buf *b, const struct service_url *u); /* "host:8761" */
void chain_add_proxy_fields(const struct eureka_client *c, struct buf *fields); /* where there is a proxy: who asks it */
const struct service_url *place_of(const struct eureka_client *c, int at);
struct http_peer *peer_of(struct eureka_client *c, int at);
void detour_end(struct eureka_client *c);

/* --- client_places.c --- */

/* The list of all zones; VINE_EINVAL names what is wrong with it. */
int places_read(struct candidate *ret, unsigned *n, const struct eureka_client_settings *s, struct err *e);
void places_take(struct eureka_client *c, const struct candidate *list, unsigned n);
void places_begin(struct eureka_client *c); /* asks DNS, now and every poll interval, where that is wanted */
void places_fini(struct eureka_client *c);

/* --- client_fetch.c --- */

void fetches_init(struct eureka_client *c);
void fetches_begin(struct eureka_client *c);
void fetches_show(struct eureka_client *c); /* a view by other rules, of what is there */
void fetches_stop(struct eureka_client *c);
void fetches_fini(struct eureka_client *c);

/* --- client_lease.c --- */

void lease_init(struct eureka_client *c);
void lease_begin(struct eureka_client *c);   /* what was asked for before the start, or before any registry was known */
void lease_settled(struct eureka_client *c); /* after a fetch: what the registry says of us */
void lease_tell_first(struct eureka_client *c, const char *why); /* how the first registration went; NULL: well */
void lease_fini(struct eureka_client *c);
/* "apps/APP/ID" */
void lease_path(struct buf *b, const struct instance *self);

/* --- client_ask.c --- */

struct ask {
	struct list link; /* on asks */
	struct chain chain;
	enum eureka_question question;
	enum inst_status status;
	void (*done)(const struct eureka_reply *r, void *ctx);
	void *ctx;
};

void asks_fini(struct eureka_client *c);
