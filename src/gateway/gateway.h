/* gateway.h - what the gateway's parts share: the process's state and a worker's. */
#pragma once
#include "gateway/accesslog.h"
#include "gateway/picture.h"
#include "http/eventstream.h"
#include "manage/circuits.h"
#include "manage/siblings.h"
#include "manage/host.h"
#include "net/loop.h"

struct control_call;
struct discovery;
struct gateway;
struct turbine;

/* Hystrix' streams on one loop. */
struct gw_stream {
	struct gateway *gw;
	struct props *const *props; /* the loop's */
	struct gw_stream_hub {
		struct event_hub hub;
		struct gw_stream *of;
	} hub[HYSTRIX_STREAMS];
};

/* /turbine.stream on one loop: a hub for each cluster that was read there. */
struct gw_hubs {
	struct gateway *gw; /* NULL: not begun */
	struct loop *loop;
	struct map by_cluster;
	bool is_over;
};

/* One a process. Owner: the control thread, but for what is atomic or says otherwise. */
struct gateway {
	struct host *host;
	struct command_table *commands; /* any thread */
	struct keyed_table *pools;       /* any thread */
	struct gw_services services;
	struct gw_picture *picture;     /* the control thread's reference */
	struct discovery *discovery;    /* NULL: not enabled */
	struct eureka_view *view;
	struct plugins *plugins;
	struct ribbon_env ribbon;
	struct pinger *pinger;
	struct timer upkeep;            /* pings, lists that are polled */
	struct timer news;              /* the registry's, that came too soon after the last */
	usec news_from;                 /* before it, news wait */
	usec turbine_from;
	uint64_t turbine_version;       /* of the view that turbine has */
	struct timer sweep;
	_Atomic unsigned streams[HYSTRIX_STREAMS]; /* readers of each */
	struct gw_stream stream;        /* on the management port */
	struct turbine *turbine;        /* NULL: no registry */
	struct gw_hubs hubs;            /* on the management port */
	_Atomic unsigned turbine_readers;
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
	struct gw_stream stream;
	struct gw_hubs hubs;
	usec fault_logged_at;   /* when a user's rule last chose nobody, or a stranger */
};

/* Proxies one request. */
void gw_proxy(struct exchange *ex, struct gw_worker *g);
void gw_outside(struct exchange *ex, struct gw_worker *g); /* of the context path: no route leads there */

/* A server as this worker calls it. */
struct http_peer *gw_peer_of(struct gw_worker *g, const struct gw_target *t, const struct fserver *s);

/* The listener's port, for X-Forwarded-Port. */
struct str gw_port_text(struct gw_worker *g);

/* Endpoints of the gateway's own: /actuator/routes, /actuator/circuits, /hystrix.stream and its siblings. */
void gw_endpoints_add(struct gateway *gw);
void gw_stream_init(struct gw_stream *s, struct gateway *gw, struct loop *loop, struct props *const *props);
void gw_stream_end(struct gw_stream *s);

/* clusters.c: /turbine.stream, /actuator/clusters. */
void gw_turbine_start(struct gateway *gw); /* where there is a registry */
void gw_hubs_init(struct gw_hubs *hs, struct gateway *gw, struct loop *loop);
void gw_hubs_end(struct gw_hubs *hs);
void gw_turbine_stream(struct exchange *ex, struct gw_hubs *hs, int64_t max);
void gw_clusters_call(struct control_call *c);
void gw_cluster_instances_call(struct control_call *c);

/* A handle on the circuits for the present thread; p and room must outlive it. */
struct gw_settings_of {
	const struct props *props;
	struct cmd_settings settings;
};
struct circuits gw_circuits(struct gateway *gw, const struct props *p, struct loop *loop, struct gw_settings_of *room);
