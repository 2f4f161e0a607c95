/* settings.c - see settings.h. */
#include "registry/settings.h"

#include <unistd.h>

#include "props/props.h"

#define ZONES_MAX 32

static struct registry_config registry_of(const struct props *p)
{
	return (struct registry_config){
		.leases = {
			.max_instances = (uint32_t)props_int(p, "vine.registry.max-instances"),
			.max_bytes = (uint64_t)props_bytes(p, "vine.registry.max-bytes"),
			.delta_retention = props_ms(p, "eureka.server.retention-time-in-m-s-in-delta-queue") * USEC_PER_MSEC,
			.doubling = props_bool(p, "vine.registry.eureka-lease-doubling"),
		},
		.preserve = {
			.enabled = props_bool(p, "eureka.server.enable-self-preservation"),
			.threshold = props_double(p, "eureka.server.renewal-percent-threshold"),
			.decay = props_ms(p, "eureka.server.renewal-threshold-update-interval-ms") * USEC_PER_MSEC,
		},
		.evict_interval = props_ms(p, "eureka.server.eviction-interval-timer-in-ms") * USEC_PER_MSEC,
		.disable_delta = props_bool(p, "eureka.server.disable-delta"),
		.ignore_dirty = !props_bool(p, "eureka.server.sync-when-timestamp-differs"),
	};
}

static void limiter_of(struct limiter_config *l, const struct props *p)
{
	*l = (struct limiter_config){
		.enabled = props_bool(p, "eureka.server.rate-limiter-enabled"),
		.throttle_standard = props_bool(p, "eureka.server.rate-limiter-throttle-standard-clients"),
		.burst = (uint32_t)props_int(p, "eureka.server.rate-limiter-burst-size"),
		.fetch_rate = (uint32_t)props_int(p, "eureka.server.rate-limiter-registry-fetch-average-rate"),
		.full_rate = (uint32_t)props_int(p, "eureka.server.rate-limiter-full-fetch-average-rate"),
	};
	l->n_privileged = props_list(p, "eureka.server.rate-limiter-privileged-clients", STR_EMPTY, l->privileged,
				     LIMITER_NAMES_MAX);
}

/* --- peers --- */

static bool is_any(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
					   : a->in.sin_addr.s_addr == INADDR_ANY;
}

/* Does that host mean this machine, and an address that we listen on? What cannot be seen here the peer's answer shows. */
static bool is_own_host(const struct props *p, struct str host, const struct addr *own)
{
	char name[256] = "", ip[ADDR_TEXT_MAX];
	struct addr a;

	addr_ip_text(own, ip);
	gethostname(name, sizeof(name) - 1);
	if (str_eq_nocase(host, str_from(ip)) || str_eq_nocase(host, str_from(name)) ||
	    str_eq_nocase(host, props_str(p, "eureka.instance.hostname")) ||
	    str_eq(host, props_str(p, "eureka.instance.ip-address")))
		return true;
	if (str_eq_nocase(host, STR("localhost")) || (addr_parse_ip(&a, host, 0) && addr_is_loopback(&a)))
		return addr_is_loopback(own) || is_any(own);
	return false;
}

static bool is_own(const struct props *p, const struct service_url *u, const struct addr *own)
{
	struct service_url mine;
	unsigned n;

	if (service_urls_parse(&mine, 1, &n, props_str(p, "eureka.server.my-url"), NULL) == 0 && n &&
	    mine.port == u->port && strcmp(mine.host, u->host) == 0)
		return true;
	return addr_port(own) && u->port == addr_port(own) && is_own_host(p, str_from(u->host), own);
}

static bool is_known(const struct peers_config *c, const struct service_url *u)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (c->url[i].port == u->port && strcmp(c->url[i].host, u->host) == 0)
			return true;
	}
	return false;
}

/* The URLs of all zones; only what is set: the default stands for ourselves. */
static int peers_urls(struct peers_config *c, const struct props *p, const struct addr *own, struct err *e)
{
	struct str zones[ZONES_MAX];
	size_t n_zones = props_keys(p, "eureka.client.service-url.", zones, ZONES_MAX);

	for (size_t z = 0; z < n_zones; z++) {
		struct service_url urls[PEERS_MAX];
		unsigned n;
		int r = service_urls_parse(urls, PEERS_MAX, &n,
					   props_str_of(p, "eureka.client.service-url.{zone}", zones[z]), e);

		if (r == 0)
			r = service_urls_give_token(urls, n, props_str(p, "vine.eureka.client.token"), e);
		if (r < 0)
			return r;
		for (unsigned i = 0; i < n; i++) {
			if (is_own(p, &urls[i], own) || is_known(c, &urls[i]))
				continue;
			if (c->n == PEERS_MAX)
				return err_set(e, VINE_EINVAL, "eureka.client.service-url: more than %d peers",
					       PEERS_MAX);
			c->url[c->n++] = urls[i];
		}
	}
	return 0;
}

static int64_t retries_of(const struct props *p)
{
	if (props_is_set(p, "eureka.server.registry-sync-retries", STR_EMPTY, false))
		return props_int(p, "eureka.server.registry-sync-retries");
	return props_int(p, "eureka.server.number-registry-sync-retries");
}

static int peers_of(struct peers_config *c, const struct props *p, const struct addr *own, struct err *e)
{
	*c = (struct peers_config){
		.peer = {
			.connect_timeout = props_ms(p, "eureka.server.peer-node-connect-timeout-ms") * USEC_PER_MSEC,
			.read_timeout = props_ms(p, "eureka.server.peer-node-read-timeout-ms") * USEC_PER_MSEC,
			.max_age = props_ms(p, "eureka.server.max-time-for-replication") * USEC_PER_MSEC,
			.max_tasks = (uint32_t)props_int(p, "eureka.server.max-elements-in-peer-replication-pool"),
			.compress = props_bool(p, "eureka.server.enable-replicated-request-compression"),
		},
		.sync_retries = (unsigned)retries_of(p),
		.sync_wait = props_ms(p, "eureka.server.registry-sync-retry-wait-ms") * USEC_PER_MSEC,
		.empty_wait = props_ms(p, "eureka.server.wait-time-in-ms-when-sync-empty") * USEC_PER_MSEC,
		.min_replicas = props_int(p, "eureka.server.min-available-instances-for-peer-replication"),
	};
	return peers_urls(c, p, own, e);
}

int reg_settings_read(struct reg_settings *ret, const struct props *p, const struct addr *own, struct err *e)
{
	ret->registry = registry_of(p);
	limiter_of(&ret->limiter, p);
	ret->max_watchers = (uint32_t)props_int(p, "vine.registry.max-watchers");
	ret->max_watchers_each = (uint32_t)props_int(p, "vine.registry.max-watchers-per-address");
	if (!ret->max_watchers_each)
		ret->max_watchers_each = UINT32_MAX;
	ret->snapshot = props_bool(p, "vine.registry.snapshot.enabled");
	return peers_of(&ret->peers, p, own, e);
}
