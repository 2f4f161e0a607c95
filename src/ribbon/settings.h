/* settings.h - all that the properties say about one client's balancing, resolved.
 *
 * <client>.ribbon.X, ribbon.X, vine.loadbalancer.<client>.x, ....default.x, built in; the user's client config is asked first
 * for the former. Texts are borrowed from the properties, or live in the arena. */
#pragma once
#include <vine/plugin.h>

#include "base/arena.h"
#include "flow/balance.h"
#include "flow/filter.h"
#include "flow/hash_ring.h"
#include "flow/retry.h"
#include "ribbon/classes.h"

struct plugin;
struct props;
struct ribbon;
struct tls;

enum hash_source { HASH_NONE, HASH_HEADER, HASH_COOKIE, HASH_ADDRESS, HASH_PATH };

#define RIBBON_SERVERS_MAX 4096
#define RIBBON_VIPS_MAX 16

struct ribbon_settings {
	/* choosing */
	const struct balance_ops *rule;
	bool zone_aware;
	struct rule_settings rules;
	struct outlier_settings outlier;
	struct hash_ring_settings ring;
	enum hash_source hash;
	struct str hash_name; /* of the header or cookie */
	/* trying again */
	struct retry_settings retry;
	struct retry_budget_settings budget;
	usec backoff;     /* before each further try */
	usec hedge_delay; /* 0: no hedging */
	/* the connection */
	usec connect_timeout, read_timeout;
	uint32_t max_idle; /* MaxConnectionsPerHost */
	usec idle_timeout; /* ConnIdleEvictTimeMilliSeconds */
	/* the list */
	enum ribbon_list list;
	struct str *listed; /* listOfServers */
	uint32_t n_listed;
	struct str vip[RIBBON_VIPS_MAX]; /* to look up in the registry; the client's name where none is given */
	uint32_t n_vips;
	bool first_vip_only, use_registry, use_ip;
	uint16_t force_port, force_secure_port; /* 0: the registry's */
	bool secure, secure_set; /* IsSecure; not set: as each instance says */
	struct tls *tls;         /* for servers that are spoken to by TLS; lives as long as the process. NULL: there is none */
	struct filter_settings filter;
	enum ribbon_updater updater;
	usec refresh_every;
	/* pings */
	enum ribbon_ping ping;
	struct str ping_path, ping_expect;
	bool ping_constant;
	usec ping_every, ping_total; /* ping_every 0: never */
	/* the user's own parts; NULL: built in */
	struct plugin *user[CLASS_KINDS];
};

enum vine_plugin_kind ribbon_plugin_kind(enum class_kind kind); /* of the table that may stand there */

/* rb: whose settings; holds the user's client config, if there is one. VINE_EINVAL: the key, its value, what is wrong. With an
 * environment without plugins what names a table counts as not set. */
int ribbon_settings_read(struct ribbon_settings *ret, struct ribbon *rb, const struct props *p, struct arena *a,
			 struct err *e);
