/* self.h - what a process says of itself to the registry, and how it talks to it, from eureka.client.* and
 * eureka.instance.*. Control thread; at start (it asks the system for names and addresses). */
#pragma once
#include "eureka/client.h"
#include "net/addr.h"

struct props;

/* d's strings live in a or as long as p. name: spring.application.name or its default. address: where it listens, with
 * the real port. */
void eureka_self(struct instance *d, struct arena *a, const struct props *p, struct str name, const struct addr *address);
/* Strings live as long as p. */
void eureka_settings(struct eureka_client_settings *s, const struct props *p, uint64_t seed);
