/* service_url.h - where a registry is: a member of eureka.client.service-url, taken apart. Pure. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#define SERVICE_HOST_MAX 255
#define SERVICE_PATH_MAX 510

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
/* Do both lead to the same place? Credentials do not count. */
bool service_url_same(const struct service_url *a, const struct service_url *b);
/* A URL without userinfo, of what was found in DNS or a Location: VINE_EINVAL if it is none, or too long. */
int service_url_make(struct service_url *ret, struct str url, struct err *e);
