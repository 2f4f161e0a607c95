/* gateway.h - what the gateway's parts share: the process's state and a worker's. */
#pragma once
#include "gateway/accesslog.h"
#include "gateway/picture.h"
#include "manage/host.h"
#include "net/loop.h"

struct eureka_client;

/* One a process. Owner: the control thread, but for what is atomic or says otherwise. */
struct gateway {
	struct host *host;
	struct command_table *commands; /* any thread */
	struct gw_services services;
	struct gw_picture *picture;     /* the control thread's reference */
	struct eureka_client *eureka;   /* NULL: not enabled */
	struct eureka_view *view;
	struct plugins *plugins;
	struct ribbon_env ribbon;
	struct pinger *pinger;
	struct timer upkeep;            /* pings, lists that are polled */
	void (*drained)(struct host *h); /* while the registry is being left */
	struct timer sweep;
	_Atomic unsigned streams;       /* readers of /hystrix.stream */
	char build_error[ERR_TEXT_MAX]; /* of the last picture that could not be built; empty: fine */
};

/* One a worker; its thread's alone. */
struct gw_worker {
	struct worker *w;
	struct gateway *gw;
	struct gw_picture *picture;
	struct access_log log;
	struct buf head;        /* the upstream head being written */
	struct map peers;       /* of struct gw_peer, by server id */
	const struct gw_peer *near[64]; /* those last asked for, by the server's address; emptied with each picture */
	char port[6];           /* the listener's, as text, once it is known */
	uint8_t port_len;
	struct list starting;   /* requests whose body's first bytes are waited for until the turn ends */
	struct deferred start_later;
	bool start_queued;
	struct list streams;    /* open /hystrix.stream answers */
	struct timer stream_timer;
	usec fault_logged_at;   /* when a user's rule last chose nobody, or a stranger */
};

/* Proxies one request. */
void gw_proxy(struct exchange *ex, struct gw_worker *g);

/* A server as this worker calls it. */
struct http_peer *gw_peer_of(struct gw_worker *g, const struct gw_target *t, const struct fserver *s);

/* The listener's port, for X-Forwarded-Port. */
struct str gw_port_text(struct gw_worker *g);

/* Endpoints of the gateway's own: /actuator/routes, /hystrix.stream. */
void gw_endpoints_add(struct gateway *gw);
void gw_streams_end(struct gw_worker *g); /* drains: ends every open stream */
