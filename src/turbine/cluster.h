/* cluster.h - which instances of the registry make a cluster, and where each has its stream.
 *
 * Spring Cloud's rules: turbine.app-config says which services are watched at all (none named: all), an expression
 * gives each instance the name of its cluster, turbine.aggregator.cluster-config which clusters may be asked for
 * (none named: all). The cluster `default` is every watched instance where no expression says otherwise. Names are
 * compared without regard to case.
 *
 * Pure: views and settings in, lists out. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "eureka/view.h"

#define CLUSTER_MEMBERS_MAX 1000
#define CLUSTERS_MAX 1000
#define CLUSTER_LIST_MAX 256

struct cluster_rule {
	enum { CLUSTER_BY_APP, CLUSTER_BY_VIP, CLUSTER_BY_METADATA, CLUSTER_FIXED } kind;
	bool is_set;     /* an expression was given */
	struct str text; /* the metadata's key, or the fixed name */
	struct str apps[CLUSTER_LIST_MAX], clusters[CLUSTER_LIST_MAX];
	size_t n_apps, n_clusters;
};

/* appName, vipAddress, serviceId, metadata['x'], 'x'; empty: appName. What else SpEL could say is VINE_EINVAL. Spans
 * of text. */
int cluster_expression(struct cluster_rule *r, struct str text, struct err *e);

struct member {
	struct str id; /* host:port */
	struct str host;
	uint16_t port;
	bool secure; /* by TLS */
	struct str endpoints; /* metadata management.context-path: "/ctx/actuator", empty: at the top; no ptr: it is not said */
	struct str user, password; /* metadata user.name, user.password; empty: none */
};

/* The members of that cluster that can be read, at most CLUSTER_MEMBERS_MAX, in a; *left_out: how many more there are.
 * Returns false if no instance at all is of that cluster, or it may not be asked for. */
bool cluster_members(const struct eureka_view *v, const struct cluster_rule *r, struct str cluster, struct arena *a,
		     struct member **ret, unsigned *n, unsigned *left_out);
/* The clusters that may be asked for, sorted, at most CLUSTERS_MAX; in a. */
struct str *cluster_names(const struct eureka_view *v, const struct cluster_rule *r, struct arena *a, uint64_t seed,
			  unsigned *n);
