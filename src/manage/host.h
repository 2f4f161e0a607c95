/* host.h - the process around a role: threads, configuration, signals, listening, draining.
 *
 * A process runs one control thread (the main one) and, for each role, a host with N workers. Mostly one role a process;
 * `vine up --single` puts several hosts under one control thread.
 *
 *   control thread   signals, the configuration and its reload, the management listener of its own port, the discovery
 *                    client, health checks, gauges; everything in `struct host` unless said otherwise
 *   worker thread    its loop, its SO_REUSEPORT listener, its client pools, its random numbers; an object that a worker
 *                    makes belongs to it for life
 *
 * They meet through mailboxes only: worker_post, host_post_all, host_call_control. What all may read without a lock is
 * immutable and counted: the properties (`w->props`, swapped between two turns), and whatever a role publishes the same way.
 *
 * Life of a role   start (control) -> for each worker: worker_init (its thread), listen -> ready (control: the real port is
 *                  known) -> ... -> drain (control: deregister) -> workers stop accepting, finish what they have, bounded by
 *                  spring.lifecycle.timeout-per-shutdown-phase -> what is left is cut off -> worker_fini (its thread) ->
 *                  stop (control).
 *                  A step that fails ends the start with one line on stderr and exit code 1; what had been started is
 *                  taken down in reverse.
 * Reload           SIGHUP or a changed file: read, validated (the catalogue, then ops->props_check). Invalid: nothing
 *                  changes, and log, health and a metric say so. Valid: props_changed on the control thread, then the
 *                  pointer swap and worker_props on each worker. */
#pragma once
#include <pthread.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "http/client.h"
#include "http/server.h"
#include "manage/httpmeter.h"
#include "net/dns.h"
#include "net/jobs.h"
#include "net/mailbox.h"

struct actuator;
struct contexts;
struct control;
struct health;
struct host;
struct identities;
struct meters;
struct procmeters;
struct props;
struct settings;
struct worker;

#define WORKERS_MAX 64

enum role_flags {
	ROLE_DATA_DIR = 1u << 0, /* keeps files: needs a writable folder, locked; else only if vine.data-dir is set */
};

/* What a role is. Only name, default_port and handle are required. */
struct role_ops {
	const char *name; /* "gateway": the subcommand, the folder below vine.data-dir, the logger vine.<name> */
	uint16_t default_port;
	unsigned flags;
	bool (*keeps_files)(const struct props *p); /* with ROLE_DATA_DIR: is it so by these properties? NULL: always */

	/* --- control thread --- */
	int (*start)(struct host *h, struct err *e); /* sets h->role; adds endpoints, health, meters */
	void (*ready)(struct host *h);               /* every worker listens; h->port is real */
	int (*props_check)(struct host *h, const struct props *p, struct err *e); /* may a reload use p? */
	void (*props_changed)(struct host *h);       /* h->props is new; workers still have the old one */
	/* Leave the registry; call done(h) when that is over or given up (also at once). */
	void (*drain)(struct host *h, void (*done)(struct host *h));
	void (*stop)(struct host *h); /* the workers have ended; also called after a start that failed half-way */

	/* --- worker's thread --- */
	void (*server_opts)(struct worker *w, struct http_server_opts *o); /* change what the properties gave */
	void (*client_opts)(struct worker *w, struct http_client_opts *o);
	int (*worker_init)(struct worker *w, struct err *e); /* sets w->role; server and client exist, nothing listens yet */
	http_handler handle;                                 /* ctx: struct worker; what management does not take */
	http_handler outside; /* ctx: struct worker; what is outside of the context path. NULL: context_refuse */
	void (*on_finish)(const struct exchange *ex, struct worker *w);
	void (*worker_props)(struct worker *w, const struct props *old); /* w->props is new; old lives during the call */
	void (*worker_drain)(struct worker *w); /* end what would live for ever (event streams) */
	bool (*worker_idle)(struct worker *w);  /* besides the server's own exchanges; NULL: true */
	void (*worker_fini)(struct worker *w);  /* no exchange is left; also after a worker_init that failed */
};

struct worker {
	_Alignas(64) struct host *host; /* no two workers share a cache line */
	unsigned index; /* 0 .. n_workers-1; also the stripe of counters and flow objects */
	struct loop *loop;
	struct mailbox mailbox;
	struct rng rng;
	struct logger log; /* shown as "gateway/2" */
	struct props *props; /* this worker's current picture; a request that outlives the turn refs its own */
	struct http_server *server;
	struct http_client *client;
	struct dns *dns;
	void *role; /* the role's own */
	/* host.c's own */
	pthread_t thread;
	struct timer drain_timer;
	struct mail start_mail;
	struct err error;
	struct http_meter http_meter;
	bool started, told;
	bool draining;
	bool ended; /* a letter that still comes may only release what it carries */
};

struct host {
	struct control *control;
	const struct role_ops *ops;
	void *role; /* the role's own */
	struct loop *loop; /* of the control thread */
	struct mailbox *mailbox;
	struct rng *rng;
	struct log *logs;
	struct logger log; /* "vine.gateway", shown as "gateway" */
	struct props *props; /* the control thread's current picture */
	struct dns *dns;            /* for the control thread */
	struct http_client *client; /* for the control thread: discovery and other upkeep */
	struct jobs_lane *dns_lane; /* any thread may make a dns over it */
	struct identities *tls;     /* the process's; any thread */
	struct tls *listen_tls;     /* what the workers' listeners speak; NULL: plain */
	struct tls *management_tls; /* that of management.server.port */
	struct meters *meters;
	struct actuator *actuator;
	uint64_t seed;        /* for hashes of keys that peers choose */
	msec started_at;      /* wall clock */
	usec started;         /* monotonic */
	usec ready_after;     /* from start to ready line */
	struct addr address;  /* where the workers listen, with the real port */
	uint16_t port;        /* the same port; valid from ready on */
	struct str context;   /* server.servlet.context-path; empty: none */
	const struct contexts *paths; /* it and its kin */
	struct addr management_address; /* equal to address unless management.server.port differs */
	char app_name[64];    /* spring.application.name, else "vine-<role>" */
	char data_dir[256];   /* this role's own folder; empty: it has none */
	bool draining;
	bool is_ready; /* the ready line is out */
	unsigned n_workers;
	struct worker *workers;
	/* manage's own */
	struct settings *settings;
	struct health *health;
	struct procmeters *procmeters;
	struct addr_tally *tally;       /* connections a client address; NULL: no limit */
	struct http_server *management; /* on the control loop, if it has a port of its own */
	struct timer deadline;          /* of the drain */
	int lock_fd;
	unsigned n_running, n_idle;
	bool role_started, left, drained;
};

/* --- between threads; each may be called from any thread --- */

/* fn(w, arg) runs on the worker's thread between two turns. false: the worker is gone, fn will not run. A letter that
 * reaches a worker while it ends finds w->ended set: fn then only releases what arg holds. */
bool worker_post(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);
/* On every worker; once the last has run it, done(h, arg) (may be NULL) runs on the control thread. */
void host_post_all(struct host *h, void (*fn)(struct worker *w, void *arg), void *arg,
		   void (*done)(struct host *h, void *arg));
/* fn(h, arg) runs on the control thread. false: the process is past its last turn. */
bool host_call_control(struct host *h, void (*fn)(struct host *h, void *arg), void *arg);

/* A picture that the config server or an admin call made, already validated; takes the reference. Control thread. */
void host_publish_props(struct host *h, struct props *p);

/* --- running --- */

struct host_opts {
	const char *program;       /* argv[0] */
	const char *config;        /* -c FILE; NULL: what the search rules find */
	const char *const *args;   /* "key=value" of --key=value, strongest source */
	size_t n_args;
	const char *default_address; /* where to listen if server.address is not set; NULL: every address */
	int ready_fd;              /* the ready line goes here; 0: stdout */
	bool own_ports;            /* several roles in one process: each takes vine.up.ports.<role>, not server.port */
};

#define READY_LINE_MAX 1024 /* "vine gateway ready: http://127.0.0.1:8080/ctx (management http://...) pid 4711\n" */

/* Runs the role until SIGTERM or SIGINT; returns the exit code: 0 drained, 1 failed with one line on stderr. */
int host_run(const struct role_ops *ops, const struct host_opts *opts);
/* Several roles in one process, started in that order, drained in the reverse one. */
int host_run_all(const struct role_ops *const *ops, size_t n, const struct host_opts *opts);
#define SIGNAL_REPEAT (300 * USEC_PER_MSEC) /* a second signal so soon is the same one: tools send it to process and group */

/* Ends as SIGTERM does, with this exit code. Control thread. */
void host_exit(struct host *h, int code);
