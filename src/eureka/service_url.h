/* service_url.h - where a registry is: a member of eureka.client.service-url, taken apart. Pure. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#define SERVICE_HOST_MAX 255

struct service_url {
	char host[SERVICE_HOST_MAX + 1];
	char path[512];  /* "/eureka/", always with the slash at its end */
	char auth[512];  /* a header line with the URL's credentials, or empty */
	char shown[256]; /* for people: without credentials */
	uint16_t port;
	bool secure; /* https */
};

/* "http://user:password@host:8761/eureka/,http://...": at most max of them. A URL without a path means /eureka/.
 * VINE_EINVAL names the property and what is wrong. */
int service_urls_parse(struct service_url *ret, unsigned max, unsigned *n, struct str list, struct err *e);
/* Gives those without credentials of their own this bearer token; empty: none. VINE_EINVAL: it cannot stand in a header. */
int service_urls_give_token(struct service_url *u, unsigned n, struct str token, struct err *e);
