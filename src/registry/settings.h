/* settings.h - what the properties say to the registry, read once at the start and at each reload. Control thread. */
#pragma once
#include "net/addr.h"
#include "registry/limiter.h"
#include "registry/peers.h"

struct props;

struct reg_settings {
	struct registry_config registry;
	struct limiter_config limiter; /* spans live as long as the properties */
	struct peers_config peers;
	uint32_t max_watchers, max_watchers_each; /* all, and of one address */
	bool snapshot;
};

/* own: where we listen; with port 0 no URL is taken for our own. VINE_EINVAL: a URL of a peer cannot be understood. */
int reg_settings_read(struct reg_settings *ret, const struct props *p, const struct addr *own, struct err *e);
