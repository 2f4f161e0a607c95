/* impl.h - what the parts of libvine share. Nobody outside src/client includes it.
 *
 * Threads   The loop thread owns everything that has a loop in it. Handlers' threads see a vine_request that is all theirs
 *           while the handler runs, callers' threads see a caller that is theirs until they give it back. What several
 *           threads use is atomic, immutable, or says which lock guards it. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include <vine/app.h>
#include <vine/call.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "client/context.h"
#include "client/settings.h"
#include "http/client.h"
#include "http/eventstream.h"
#include "http/router.h"
#include "http/server.h"
#include "manage/auth.h"
#include "manage/circuits.h"
#include "manage/siblings.h"
#include "net/dns.h"
#include "net/jobs.h"
#include "net/mailbox.h"
#include "props/load.h"
#include "trace/context.h"

struct identities;
struct membership;
struct vine_collapser;
struct plugin;
struct plugins;
struct props;
struct remotes;
struct tls;

#define APP_ROUTES_MAX 256
#define APP_USES_MAX 64

/* The free list of callers. */
struct callers {
	pthread_mutex_t lock; /* leaf; guards the rest */
	pthread_cond_t returned;
	struct caller *idle; /* last used first */
	unsigned n_idle, out;
	bool open; /* the app runs */
};

/* A route with its handler; the router borrows the pattern. */
struct app_route {
	struct vine_app *app;
	char *method, *pattern;
	struct str var[ROUTE_VARS_MAX]; /* names, spans of pattern */
	unsigned n_vars;
	vine_handler handler;
	void *ctx;
};

/* A table of the program's own (vine_app_use). */
struct app_use {
	char *service; /* NULL: all */
	struct plugin *plugin;
};

#define APP_HEALTH_MAX 32

/* A part of the service's health, as it was told last. */
struct health_part {
	char name[64], why[256];
	enum vine_health health;
	bool told;
};

struct app_health {
	pthread_mutex_t lock; /* leaf; guards the rest */
	unsigned n;
	struct health_part part[APP_HEALTH_MAX];
};

/* The command line, kept so that it may be read again. Texts are owned. */
struct app_args {
	char *name, *config; /* of vine_app_opts, or -c; NULL: none */
	char **set;          /* key=value */
	size_t n;
};

/* See client/reload.h. */
struct reload {
	struct app_args args;    /* immutable after vine_app_new */
	struct load_files files; /* that were read last, whatever came of it */
	uint64_t stamp;          /* what they looked like */
	struct jobs_lane *lane;
	struct timer look;
	struct job job;
	bool is_busy, is_wanted, is_read;
	_Atomic bool is_asked;
	/* what the job has read */
	struct props *next;
	struct load_files next_files;
	uint64_t next_stamp;
	struct auth_creds creds;
	struct err err;
	int code;
};

enum app_state { APP_NEW, APP_RUNNING, APP_LEAVING, APP_LEFT, APP_DRAINING, APP_OVER };

struct vine_app {
	struct app_settings set; /* immutable after vine_app_new */
	struct props *props; /* written by the loop thread, which reads it freely; others under property_lock */
	struct log *logs;
	struct logger log; /* libvine's own lines, under vine.client */
	struct logger user; /* the service's, under its name */
	struct router *router;
	struct arena patterns; /* of the management endpoints, for the router */
	struct app_route *routes[APP_ROUTES_MAX];
	unsigned n_routes;
	struct trace_make trace_make; /* immutable too */
	struct auth_creds creds;      /* of the management endpoints; the loop thread's */
	_Atomic unsigned streams[HYSTRIX_STREAMS]; /* readers of each */
	pthread_mutex_t property_lock; /* guards what stands below, and props */
	struct arena property_texts;   /* of values, with a NUL */
	struct map property_map;       /* of such a text, by itself */
	struct vine_collapser *collapsers;
	unsigned n_collapsers;
	struct reload reload;
	struct app_health health;
	_Atomic bool health_changed; /* the loop thread has not looked yet */
	struct plugins *plugins;
	struct app_use uses[APP_USES_MAX];
	unsigned n_uses;

	pthread_t thread;
	bool has_thread;
	_Atomic unsigned port; /* 0: does not listen */
	_Atomic bool stop_asked;
	_Atomic int state; /* enum app_state; written by the loop thread */

	/* the loop thread's; made before it runs, released after it has ended */
	struct loop *loop;
	struct mailbox mailbox;
	struct jobs_lane *dns_lane, *handlers;
	struct dns *dns;
	struct http_client *client;
	struct http_server *server;
	struct addr_tally *tally; /* connections a client address; NULL: no limit */
	struct identities *tls;
	struct rng rng;
	struct app_stream {
		struct event_hub hub;
		struct vine_app *app;
	} stream[HYSTRIX_STREAMS];
	struct membership *membership; /* NULL: no registry */
	bool is_secure;    /* the server speaks TLS */
	struct io signals; /* fd -1: not asked to watch any */
	bool signalled;    /* one of them came */
	usec give_up_at;   /* while draining */
	bool was_registered;    /* when it began to leave */

	struct remotes *remotes;
	struct callers callers;
};

/* --- config.c --- */

/* Any thread; may block. *ret stays NULL where the files cannot be read. */
int app_load(struct props **ret, const struct app_args *a, struct load_files *files, struct err *e);
/* What is wrong with it as a whole, and what it says of the app itself. name: of vine_app_opts. Any thread; reads the files of
 * the registries' TLS identity. */
int app_judge(const struct props *p, const char *name, struct app_settings *set, struct auth_creds *creds, struct err *e);

/* --- app.c --- */

void route_free(struct app_route *rt);

/* --- request.c --- */

/* A route_fn: ctx is a struct app_route. */
void request_begin(struct exchange *ex, const struct route_match *m, void *route);

struct vine_request {
	struct vine_app *app;
	const struct app_route *route;
	struct exchange *ex; /* the loop thread's; NULL: the client has gone */
	struct job job;
	struct arena arena;  /* copies of all that the handler may read */
	struct trace_context trace;
	char trace_text[33], span_text[17];
	usec deadline; /* USEC_NEVER: not said */
	_Atomic(struct flow_request *) commands; /* what its calls share; made at the first one: request_commands */
	struct str method, path, query, body;
	char peer[ADDR_TEXT_MAX];
	struct str var[ROUTE_VARS_MAX];
	struct field *fields;
	unsigned n_fields;
	/* the answer */
	unsigned status; /* 0: none yet */
	struct str type;
	struct buf out;
	struct field reply[32];
	unsigned n_reply;
};

/* What the calls on behalf of a request share; lives as long as it. Any thread. */
struct flow_request *request_commands(struct vine_request *rq);

/* --- gather.c: vine/collapser.h --- */

void collapsers_free(struct vine_app *app); /* no batch runs any more */

/* --- trace.c --- */

void request_trace(struct vine_request *rq, const struct http_head *h);
/* The span of a call of this thread: below the trace of its context, else of a new one. */
void trace_for_call(struct trace_context *ret, const struct vine_app *app, struct rng *rng);

/* --- circuits.c: /hystrix.stream and its siblings, /actuator/circuits --- */

void circuits_init(struct vine_app *app);
void circuits_end(struct vine_app *app); /* no reader is kept any more */
void circuits_routes(struct vine_app *app);

/* --- health.c --- */

void health_init(struct vine_app *app);
void health_fini(struct vine_app *app);
void health_routes(struct vine_app *app);
enum vine_health health_of(struct vine_app *app); /* the whole */

/* --- discovery.c --- */

void discovery_routes(struct vine_app *app);

/* --- management.c --- */

/* May this request look at the management endpoints? false: it has been answered. */
bool management_may(struct vine_app *app, struct exchange *ex);
void management_fail(struct exchange *ex, unsigned status, const char *why);

void management_routes(struct vine_app *app);
/* An endpoint: pattern ("/circuits/{key}") stands below management.endpoints.web.base-path. ctx NULL: app. */
void management_add(struct vine_app *app, const char *methods, const char *pattern, route_fn fn, void *ctx);

/* --- caller.c: the event-driven client, driven blocking --- */

struct caller {
	struct caller *next;
	struct loop *loop;
	struct mailbox mailbox;
	struct dns *dns;
	struct http_client *client;
	struct rng rng;
};

/* Somebody works for the app: what calls stand on stays until callers_leave. false: it does not run. */
bool callers_enter(struct vine_app *app);
void callers_leave(struct vine_app *app);
struct caller *caller_take(struct vine_app *app); /* give it back; NULL: the app does not run */
void caller_give(struct vine_app *app, struct caller *c);
void callers_open(struct vine_app *app);
void callers_close(struct vine_app *app); /* waits until all have been given back; frees them */

/* One try of a call. */
struct exchange_once {
	enum http_method method;
	struct str head;  /* whole, framing included */
	struct str body;
	usec connect_timeout, read_timeout; /* spans */
	usec deadline;    /* absolute */
	struct cancel *cancel; /* ends it when asked, and a hedge with it; NULL: none */
	struct tls *tls; /* NULL: plain */
	struct vine_response *rs; /* filled in */
};

struct once_result {
	bool ok; /* a whole answer came */
	bool too_large;
	struct call_failure failure;
	usec took;
};

/* The same request to a second server, if the first takes long: whichever gives a good answer first. */
struct hedge {
	usec delay;
	/* Asked once, after the delay: where to, and the head for it; false: nowhere. */
	bool (*begin)(struct hedge *h, struct str *host, uint16_t *port, struct str *head);
	struct tls *tls; /* begin sets it; NULL: plain */
	struct vine_response *rs; /* its answer */
	/* how it went */
	struct once_result result;
	bool begun, won;      /* won: its answer counts, the first try's result says nothing */
	bool first_let_go, let_go; /* whose answer was not waited for */
};

/* Sends it to host:port and waits. A pooled connection that turns out dead is replaced once where nothing can run twice.
 * hedge: NULL for none. */
void caller_exchange(struct caller *c, const struct exchange_once *x, struct str host, uint16_t port, struct hedge *hedge,
		     struct once_result *ret);
/* Waits; shorter if the token (NULL: none) is asked. */
void caller_pause(struct caller *c, struct cancel *cancel, usec span);

/* --- response.c --- */

#define RESPONSE_BODY_MAX (8u << 20)

struct vine_response {
	struct shared shared;
	unsigned status, tries;
	enum vine_cause cause;
	struct arena arena; /* of the fields */
	struct field *fields;
	unsigned n_fields;
	struct buf body;
	char server[ADDR_TEXT_MAX + 256];
};

struct vine_response *response_new(void);
void response_reset(struct vine_response *rs); /* for another try */
void response_set_head(struct vine_response *rs, const struct http_head *h);

/* --- the public and the inner error are one --- */

static inline struct err *inner_err(struct vine_err *e)
{
	_Static_assert(sizeof(struct err) == sizeof(struct vine_err) && VINE_ERR_TEXT == ERR_TEXT_MAX, "one layout");
	return (struct err *)(void *)e;
}
