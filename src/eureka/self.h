/* self.h - what a process says of itself to the registry, and how it talks to it, from eureka.client.* and
 * eureka.instance.*. Control thread; eureka_self asks the system for names and addresses. */
#pragma once
#include "eureka/client.h"
#include "net/addr.h"

struct contexts;
struct props;

/* Where the process is reached. */
struct eureka_place {
	const struct addr *address; /* where it listens, with the real port */
	uint16_t management_port;   /* of its actuator; 0: the same */
	bool secure;                /* it speaks TLS there */
	bool management_secure;     /* and at a management port of its own */
	const struct contexts *paths; /* NULL: contexts_default */
};

/* d's strings live in a or as long as p. name: spring.application.name or its default. */
void eureka_self(struct instance *d, struct arena *a, const struct props *p, struct str name, const struct eureka_place *at);
/* Strings live as long as p. The DNS lane and mailbox are the caller's to set. */
void eureka_settings(struct eureka_client_settings *s, const struct props *p, uint64_t seed);
/* Zones with URLs that nobody will ask, because eureka.client.availability-zones.REGION does not name them: how many, at
 * most max names. A warning's worth. */
size_t eureka_unused_zones(const struct props *p, struct str *ret, size_t max);
