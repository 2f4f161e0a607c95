/* vine/balance.h - a balancer's parts, each replaceable by a table of your own: Ribbon's IRule, IPing, ServerList,
 * ServerListFilter, ServerListUpdater, IClientConfig, ILoadBalancer. vine/plugin.h says how a table gets in.
 *
 *   property (per client, or ribbon.X for all)       table                      the original's
 *   <client>.ribbon.NFLoadBalancerRuleClassName      struct vine_rule_ops       IRule
 *   <client>.ribbon.NFLoadBalancerPingClassName      struct vine_ping_ops       IPing
 *   <client>.ribbon.NIWSServerListClassName          struct vine_list_ops       ServerList
 *   <client>.ribbon.NIWSServerListFilterClassName    struct vine_filter_ops     ServerListFilter
 *   <client>.ribbon.ServerListUpdaterClassName       struct vine_updater_ops    ServerListUpdater
 *   <client>.ribbon.NFLoadBalancerClassName          struct vine_balancer_ops   ILoadBalancer
 *   vine.loadbalancer.<client>.client-config         struct vine_config_ops     IClientConfig
 *
 * Each table makes a state for each client that names it (create, may be NULL: the state is NULL) and is told when that is
 * over (destroy, may be NULL), at the end of the process at the latest. The last function of each table is required. */
#pragma once
#include <vine/plugin.h>

struct vine_server; /* opaque; ask struct vine_balance_host */
struct vine_list;
struct vine_refresh;

/* Some servers; borrowed for the call. */
struct vine_servers {
	uint32_t size, n;
	const struct vine_server *const *at;
};

/* One choice. */
struct vine_choice {
	uint32_t size;
	unsigned worker;                    /* whose thread it is; 0 in libvine */
	const char *client;                 /* the service */
	const struct vine_servers *servers; /* those that this request has not tried yet; never none */
	int64_t now_us;                     /* monotonic */
	bool has_key;                       /* the request has a key that should stick to a server... */
	uint64_t key;                       /* ... and this is its hash */
};

enum vine_server_state { VINE_SERVER_IN, VINE_SERVER_EJECTED, VINE_SERVER_REFUSING, VINE_SERVER_PROBING };

struct vine_rule_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	/* An index into choice->servers. Anything else is an error of this request, in the log with the rule's name. */
	int64_t (*choose)(void *state, const struct vine_choice *choice);
};

/* A balancer stands above the rule and may ask it: host->balance->by_rule. */
struct vine_balancer_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	int64_t (*choose)(void *state, const struct vine_choice *choice); /* as a rule's */
};

/* Every NFLoadBalancerPingInterval (30 s) each server is asked after. It answers from what it knows: a ping that
 * has to wait for the network does so on a thread of its own. */
struct vine_ping_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	bool (*is_alive)(void *state, const struct vine_server *server);
};

/* Asked at the start, and whenever the updater wants the list anew. */
struct vine_list_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	/* host->balance->add for each server. Negative: the list that was there stays. */
	int (*fill)(void *state, struct vine_list *list);
};

struct vine_filter_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	/* Sets keep[i] for each server to be used; all are false before. Negative: all are kept. */
	int (*filter)(void *state, const struct vine_servers *servers, bool *keep);
};

/* Says when the list is to be asked for anew: host->balance->refresh, from any thread, between start and stop. */
struct vine_updater_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	void (*stop)(void *state); /* may be NULL; after it, refresh may no longer be called */
	int (*start)(void *state, struct vine_refresh *refresh);
};

/* Properties of a client that come from elsewhere: asked for each <client>.ribbon.X before the configuration is. */
struct vine_config_ops {
	struct vine_plugin plugin;
	void *(*create)(const struct vine_host *host, const char *client);
	void (*destroy)(void *state);
	/* key: "ReadTimeout". Writes the value's text, NUL-terminated, and returns its length; -1: none of mine. It is judged
	 * as one from a file is. Asked at each reload. */
	int (*get)(void *state, const char *key, char *buf, size_t room);
};

/* What these tables may ask of Vine. Texts live as long as the server, during the call at least. */
struct vine_balance_host {
	uint32_t size;
	const char *(*id)(const struct vine_server *s);                /* "10.0.0.7:8080" */
	const char *(*zone)(const struct vine_server *s);              /* "": unknown */
	uint32_t (*weight)(const struct vine_server *s);               /* 100 is plain */
	uint32_t (*active)(const struct vine_server *s);               /* requests under way */
	double (*latency_us)(const struct vine_choice *c, uint32_t i); /* moving average; 0: unknown */
	enum vine_server_state (*state)(const struct vine_choice *c, uint32_t i);
	/* Metadata of the instance in the registry, not NUL-terminated; NULL: not there. */
	const char *(*metadata)(const struct vine_servers *s, uint32_t i, const char *key, size_t *len);
	uint32_t (*random)(const struct vine_choice *c, uint32_t n); /* 0 .. n-1 */
	int64_t (*by_rule)(const struct vine_choice *c); /* of a balancer: what its rule says; negative: nobody */
	/* host: name or address, with port; zone may be NULL; weight 0: 100. Negative: refused, malformed or too many. */
	int (*add)(struct vine_list *list, const char *id, const char *zone, uint32_t weight);
	void (*refresh)(struct vine_refresh *refresh);
};
