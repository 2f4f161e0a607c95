/* picture.h - all that the workers need to know to route a request: routes, services, servers, settings.
 *
 * A picture is immutable and counted. The control thread builds a new one whenever the configuration or the registry's view
 * changes and posts it to every worker, which swaps its pointer between two turns; a request keeps the picture it began
 * with. What must live on from picture to picture - breakers, permits, balancers, what is known of a server - hangs on
 * gw_service and fserver, which pictures hold references to.
 *
 * A picture made after news of the registry takes over from the last one what the news do not touch: the targets whose servers are
 * the same, and of the others all but the servers. With a thousand services a change costs what one service costs.
 *
 * Owner of gw_services: the control thread. */
#pragma once
#include "base/rng.h"
#include "flow/command.h"
#include "flow/pool.h"
#include "gateway/routes.h"
#include "net/addr.h"
#include "props/props.h"
#include "ribbon/ribbon.h"

struct eureka_view;

#define TRUSTED_MAX 64

/* One service ID, for the life of the process. */
struct gw_service {
	struct str id;
	bool id_is_graphic;             /* str_is_graphic(id) */
	struct gw_target *target;       /* in the picture of version `built`; borrowed from it */
	uint64_t built;
	struct command *command;
	struct ribbon *ribbon;
};

struct gw_fallback {
	bool set;
	unsigned status;
	struct str type, body;
};

/* A service as one picture, or some that follow each other, have it. Counted; immutable once the first of them is built. */
struct gw_target {
	_Atomic uint32_t refs;
	struct gw_target *origin; /* the one whose texts it shares, a reference; NULL: they are its own */
	struct arena arena;       /* of an origin */
	struct props *props;      /* of an origin */
	bool by_url;              /* its servers are a route's url: never taken over */
	const struct gw_route *discovered; /* of an origin: the route that it has by its name; NULL: none */
	struct gw_service *service;
	struct balancer *balancer;
	struct server_set *set;     /* NULL: of a picture that is only tried out */
	struct server_list servers; /* of the set */
	struct ribbon_settings lb;
	struct cmd_settings command;
	struct pool *pool; /* THREAD isolation; else NULL. A reference */
	struct pool_settings pool_settings;
	struct gw_fallback fallback;
	struct str base_path; /* of a url, without the slash at its end */
};

struct gw_settings {
	bool add_proxy_headers, add_host_header;
	size_t replay_max;
	usec stream_idle; /* between two pieces of an answer's body */
	struct cidr trusted[TRUSTED_MAX];
	unsigned n_trusted;
	double sample_rate;
	uint64_t failure_status[16]; /* a bit a status */
};

struct gw_picture {
	_Atomic uint32_t refs;
	struct arena arena;
	struct props *props;
	struct gw_settings settings;
	struct gw_routes routes;
	struct gw_target **targets; /* by service id */
	unsigned n_targets, cap_targets;
	uint64_t version;
};

struct gw_picture *gw_picture_ref(struct gw_picture *p);
void gw_picture_unref(struct gw_picture *p); /* any thread; NULL is fine */
static inline bool gw_is_failure(const struct gw_settings *s, unsigned status)
{
	return status < 1024 && s->failure_status[status / 64] >> (status % 64) & 1;
}

bool gw_is_trusted(const struct gw_settings *s, const struct addr *peer);

struct gw_services {
	struct map by_id; /* of struct gw_service */
	struct command_table *commands;
	struct keyed_table *pools;
	const struct ribbon_env *ribbon;
	bool trial;       /* nothing is to come of it: no plugin's state is made */
	struct gw_picture *last; /* the newest that was built; a reference */
	uint64_t seed, version;
	struct str own; /* our own name in the registry: gets no route by itself (zuul.ignoreLocalService) */
};

void gw_services_init(struct gw_services *s, struct command_table *commands, struct keyed_table *pools,
		      const struct ribbon_env *ribbon, uint64_t seed);
void gw_services_fini(struct gw_services *s); /* after the last picture */

/* view may be NULL: no registry, or nothing heard of it yet. reread: the configuration is new, so server lists are asked
 * for anew whatever their updaters say. Errors name the route or service and the rule. */
int gw_picture_build(struct gw_picture **ret, struct gw_services *s, struct props *props, const struct eureka_view *view, bool reread,
		     usec now, struct err *e);
/* The settings of one command key as these properties have them; for the gateway's commands. */
void gw_command_settings(struct cmd_settings *ret, const struct props *p, struct str service);
