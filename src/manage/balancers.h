/* balancers.h - what an operator reads of clients' balancing: /actuator/loadbalancers, the same in the gateway and in libvine's
 * services. Why servers are chosen or left out, now and lately.
 *
 * Threads   A view is made on the stack by whoever may look at its parts meanwhile. No clock is read. */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

struct balancer;
struct jsonw;
struct ribbon;
struct ribbon_settings;
struct server_set;

/* One client; all borrowed. */
struct balancer_view {
	struct str name;
	const struct ribbon_settings *lb;
	const struct server_set *set;
	const struct balancer *balancer;
	struct ribbon *ribbon;
};

struct balancers_when {
	usec now;
	msec wall;
};

/* {"loadbalancers":{"product":{...}}}: begin, one after the other, end. */
void balancers_begin(struct jsonw *w);
void balancers_add(struct jsonw *w, const struct balancer_view *v);
void balancers_end(struct jsonw *w);
/* One in full: rule, list, filter, ping, ejection, retries, servers, last decisions. */
void balancers_explain(struct buf *b, const struct balancer_view *v, const struct balancers_when *at);
