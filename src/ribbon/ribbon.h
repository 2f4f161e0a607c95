/* ribbon.h - one client: all that balances the calls to one service, for the life of the process.
 *
 *   list (configuration, registry, plugin) -> known servers -> filter -> set -> balancer -> rule -> server
 *
 * The settings come with each call, resolved for one picture (ribbon/settings.h); what must outlive pictures is here: the
 * servers with what is known of them, balancers with their cursors, the retry budget, the filter's subset, users' parts, the
 * last decisions. The gateway and libvine have one each a service, made by the same code.
 *
 * Threads   Its owner's (the gateway's control thread; in libvine whoever holds the remote's lock). Sets, balancers, budget
 *           and decisions are for every thread. */
#pragma once
#include "base/log.h"
#include "ribbon/servers.h"
#include "ribbon/settings.h"
#include "ribbon/user.h"

struct eureka_view;
struct identities;
struct ribbon;

/* What all clients of a process share; lives longer than they. */
struct ribbon_env {
	struct plugins *plugins;
	const struct logger *log;
	struct identities *tls; /* NULL: nobody can be spoken to by TLS */
	uint64_t seed; /* of this process, for the stable subset: the same after a restart */
	/* A table that the program has given by pointer for this client; NULL: none. May be NULL itself. */
	struct plugin *(*given)(void *ctx, enum vine_plugin_kind kind, struct str client);
	void (*refresh)(void *ctx); /* an updater wants lists anew; any thread. May be NULL */
	void *ctx;
};

struct vine_refresh {
	const struct ribbon_env *env;
	_Atomic bool wanted;
};

struct ribbon_balancer {
	struct ribbon_balancer *next;
	struct plugin *rule, *above; /* the user's; NULL: built in */
	const struct balance_ops *ops;
	struct balancer *top;
	struct balancer above_b, rule_b; /* whichever are in use */
	struct zone_aware *zones;        /* owned; NULL: no balancer of that kind */
};

struct ribbon {
	struct str name; /* owned, NUL-terminated */
	const struct ribbon_env *env;
	struct ribbon_balancer *balancers; /* one a way of choosing that was ever configured */
	struct user_part *parts;
	struct server_set *known; /* all servers, before the filter */
	struct server_set *set;   /* the present one; NULL: none was made yet */
	struct filter_state filter;
	struct retry_budget budget;
	struct decisions decisions;
	struct vine_refresh refresh;
	const struct view_group *seen[RIBBON_VIPS_MAX]; /* what `known` was made of; a reference each; NULL: nothing there */
	uint32_t n_seen;
	struct rng rng;
	usec refreshed_at, told_at;
	/* pings: ribbon/pinger.h */
	usec pinged_at, ping_took; /* 0: not yet; of the last whole round */
	bool pinging;              /* a round is under way */
	bool pinged;               /* some server may be dead by its ping */
};

struct ribbon *ribbon_new(struct str name, const struct ribbon_env *env, usec now);
void ribbon_free(struct ribbon *rb); /* NULL is fine; nobody chooses any more */

/* The present servers, for a reference: the last set where it is not time for another, else a new one. force: whatever the
 * updater says (the configuration has changed). view may be NULL. VINE_EINVAL: an entry of listOfServers is malformed. */
int ribbon_update(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, bool force,
		  usec now, struct server_set **ret, struct err *e);
/* Would ribbon_update, with the settings of last time, give the servers of last time? Then it need not be asked. */
bool ribbon_is_current(const struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, usec now);
/* Would ribbon_update take these settings? Changes nothing and asks no plugin. */
int ribbon_check(const struct ribbon_settings *s, const struct ribbon *rb, struct err *e);
/* When ribbon_update should be called again though nothing was heard; USEC_NEVER: not at all. */
usec ribbon_next_update(const struct ribbon *rb, const struct ribbon_settings *s);
struct balancer *ribbon_balancer(struct ribbon *rb, const struct ribbon_settings *s); /* lives as long as rb */

/* Logs which servers went out or came back since the last call; the owner's, about once a second. */
void ribbon_tell_changes(struct ribbon *rb, usec now);

/* For the other files of this folder. */
struct plugin *ribbon_given(const struct ribbon *rb, enum vine_plugin_kind kind);
/* Where an instance is called by these settings, "host:port" in a; empty: its port is disabled. *secure: by TLS. */
struct str ribbon_place(struct arena *a, const struct ribbon_settings *s, const struct instance *in, bool *secure);
struct user_part *ribbon_part(struct ribbon *rb, struct plugin *pl);
void ribbon_wants_refresh(struct vine_refresh *r);

/* Why a request got no server, for people: "rule 'cheapest' named a server that is not in the list". Empty: no fault. */
struct str ribbon_rule_fault(const struct balancer *b, enum pick_why why, struct arena *a);
