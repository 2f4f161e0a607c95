/* fail.h - why the gateway could not get an answer, and how it says so.
 *
 * Each cause has a status, an RFC 9209 Proxy-Status error type and a text. API clients get Boot's error document in JSON,
 * browsers a line of HTML; both get `Proxy-Status: vine; error=...`. */
#pragma once
#include "http/server.h"

enum gw_cause {
	GW_OK,
	GW_NO_ROUTE,
	GW_NO_INSTANCE,
	GW_CIRCUIT_OPEN,
	GW_REJECTED,        /* no permit: SEMAPHORE isolation */
	GW_POOL_REJECTED,   /* no slot and no place in the queue: THREAD isolation */
	GW_DEADLINE,        /* the request's own deadline passed */
	GW_READ_TIMEOUT,    /* a try's, and no try was left */
	GW_CONNECT_TIMEOUT,
	GW_REFUSED,
	GW_TLS, /* no handshake with the service */
	GW_UPSTREAM_CLOSED, /* before a response */
	GW_BAD_RESPONSE,
	GW_NO_ADDRESS,
	GW_BAD_PATH,        /* dot segments that leave the route */
	GW_BAD_MAX_FORWARDS,
	GW_RULE_FAULT,      /* the user's balancer rule named no server, or a stranger */
	GW_UPSTREAM_STATUS, /* an answer that counts as a failure; passed on as it is */
	GW_CAUSES,
};

struct gw_cause_desc {
	unsigned status;
	struct str name; /* in log and metrics: "circuit_open" */
	struct str proxy_error;
	struct str text;
	bool retry_after;
};

const struct gw_cause_desc *gw_cause_desc(enum gw_cause c);

struct gw_failure {
	enum gw_cause cause;
	struct str service;   /* empty: none */
	struct str details;   /* more words about this one, or empty */
	struct str fallback;  /* why none stands in: "missing"; empty: none was asked for */
	unsigned retry_after; /* seconds, if the cause has one */
};

void gw_fail(struct exchange *ex, const struct gw_failure *f); /* answers */
