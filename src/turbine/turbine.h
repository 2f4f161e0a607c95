/* turbine.h - aggregates the hystrix streams of all instances of a cluster, for who serves them on: the gateway, the
 * console.
 *
 * Only what is watched is read: the first watcher of a cluster opens a connection to each of its instances, the last
 * one closes them a little later. A connection that fails, stalls for 10 s, or answers anything but 200 is tried
 * again with growing pauses; what its instance had told is taken off at once. An instance that sends more than its
 * share is read more slowly (back-pressure), one that sends nonsense is counted, one that sends too much at once is
 * cut to the limits of merge.h.
 *
 * Threads   Everything on the loop of the http_client that is given, but for turbine_has and turbine_names: any
 *           thread. */
#pragma once
#include "base/log.h"
#include "eureka/view.h"
#include "http/client.h"

struct jsonw;
struct props;
struct turbine;

struct turbine_opts {
	struct http_client *http;
	struct tls *tls;          /* for instances that speak TLS alone; lives as long as the process */
	const struct logger *log; /* copied */
	uint64_t seed;
	/* Events of a watched cluster, framed; is_whole: they say all there is. Every half second at most; valid
	 * during the call. */
	void (*events)(void *ctx, struct str cluster, struct str events, bool is_whole);
	void *ctx;
};

/* Are the properties turbine.* fine? Before a reload, and before turbine_configure. */
int turbine_check(const struct props *p, struct err *e);

struct turbine *turbine_new(const struct turbine_opts *o, struct props *p);
void turbine_free(struct turbine *t);                        /* NULL is fine; run one more turn before loop_free */
void turbine_configure(struct turbine *t, struct props *p);  /* other properties, which turbine_check found fine */
void turbine_view(struct turbine *t, struct eureka_view *v); /* another view; referenced */

/* One more reader, who wants to know all there is; it goes to all readers of the cluster, soon. False: no such
 * cluster. */
bool turbine_watch(struct turbine *t, struct str cluster);
void turbine_rewatch(struct turbine *t,
		     struct str cluster); /* somebody who is counted already wants to know all again */
void turbine_unwatch(struct turbine *t, struct str cluster);

bool turbine_has(struct turbine *t, struct str cluster);
void turbine_names(struct turbine *t, void (*fn)(void *ctx, struct str name),
		   void *ctx); /* sorted; fn must not call back */
/* [{"instance":..,"state":..,"why":..}]: how the reading goes, of the watched clusters. */
void turbine_report(struct turbine *t, struct jsonw *w);

#define TURBINE_PING ": ping\n\n"
#define TURBINE_PING_EVERY (3 * USEC_PER_SEC)
