/* settings.h - what libvine itself reads from the configuration, once, at vine_app_new. */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "http/context.h"
#include "net/addr.h"

struct props;

struct app_settings {
	char name[64];        /* spring.application.name */
	struct addr address;  /* server.address, server.port */
	struct contexts paths; /* server.servlet.context-path and management.endpoints.web.base-path; there is no other port */
	unsigned threads;     /* server.tomcat.threads.max: handlers that run at once */
	unsigned queue;       /* server.tomcat.accept-count: requests that wait for one */
	size_t body_max;      /* vine.http.max-body-bytes: of a request */
	usec drain_time;      /* spring.lifecycle.timeout-per-shutdown-phase */
	usec leave_grace;     /* vine.shutdown.leave-grace-ms */
	double sample_rate;   /* vine.trace.sample-rate */
	bool unregister;      /* eureka.client.should-unregister-on-shutdown */
};

/* default_name: what the program calls itself; may be NULL. */
int app_settings_read(struct app_settings *s, const struct props *p, const char *default_name, struct err *e);
