/* discovery.h - a role's discovery client: made from the properties, registered when the role is ready, told of its health,
 * shown to operators.
 *
 * Adds the health part "discoveryClient", the endpoints /actuator/eureka (which registry, since when, which are left alone and why) and
 * Spring's /actuator/serviceregistry, and meters. Control thread. */
#pragma once
#include "eureka/client.h"

struct discovery;
struct host;
struct props;

struct discovery_opts {
	bool fetch; /* besides eureka.client.fetch-registry */
	void (*on_view)(struct eureka_view *v, void *ctx);
	void *ctx;
};

/* In ops->start. *ret stays NULL where eureka.client.enabled is false; every function below is fine with that. */
int discovery_new(struct discovery **ret, struct host *h, const struct discovery_opts *o, struct err *e);
void discovery_ready(struct discovery *d);
int discovery_check(const struct props *p, struct err *e); /* in ops->props_check */
void discovery_changed(struct discovery *d);               /* in ops->props_changed */
/* In ops->drain: leaves, as eureka.client.should-unregister-on-shutdown says; done(h) comes in any case. */
void discovery_leave(struct discovery *d, struct host *h, void (*done)(struct host *h));
void discovery_free(struct discovery *d);                  /* in ops->stop */
struct eureka_client *discovery_client(struct discovery *d); /* NULL: none */
