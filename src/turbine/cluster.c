/* cluster.c - see cluster.h. */
#include "turbine/cluster.h"

#include "codec/basepath.h"

#define DEFAULT_CLUSTER STR("default")

/* --- the expression --- */

static bool is_quoted(struct str s, struct str *inner)
{
	if (s.len < 3 || (s.ptr[0] != '\'' && s.ptr[0] != '"') || s.ptr[s.len - 1] != s.ptr[0])
		return false;
	*inner = str_slice(s, 1, s.len - 1);
	return str_chr(*inner, s.ptr[0]) < 0;
}

int cluster_expression(struct cluster_rule *r, struct str text, struct err *e)
{
	struct str s = str_trim(text), inner;

	r->is_set = s.len > 0;
	r->text = STR_EMPTY;
	if (s.len == 0 || str_eq(s, STR("appName"))) {
		r->kind = CLUSTER_BY_APP;
	} else if (str_eq(s, STR("serviceId")) || str_eq(s, STR("vipAddress")) || str_eq(s, STR("VIPAddress"))) {
		r->kind = CLUSTER_BY_VIP;
	} else if (is_quoted(s, &inner)) {
		r->kind = CLUSTER_FIXED;
		r->text = inner;
	} else if (str_has_prefix(s, STR("metadata[")) && s.ptr[s.len - 1] == ']' &&
		   is_quoted(str_slice(s, sizeof("metadata[") - 1, s.len - 1), &inner)) {
		r->kind = CLUSTER_BY_METADATA;
		r->text = inner;
	} else {
		return err_set(e, VINE_EINVAL, "\"%.*s\" is none of appName, serviceId, vipAddress, metadata['x'], 'x'",
			       STRF(str_slice(s, 0, 100)));
	}
	return 0;
}

/* --- membership --- */

static bool listed(const struct str *list, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq_nocase(list[i], name))
			return true;
	return n == 0;
}

/* Eureka knows an app in upper case; Spring's service ID is its vip. */
static bool is_watched(const struct cluster_rule *r, const struct instance *in)
{
	return in->status == INST_UP && (listed(r->apps, r->n_apps, in->app) || listed(r->apps, r->n_apps, in->vip));
}

static struct str cluster_of(const struct cluster_rule *r, const struct instance *in)
{
	switch (r->kind) {
	case CLUSTER_BY_VIP: return in->vip;
	case CLUSTER_BY_METADATA: return instance_meta(in, r->text);
	case CLUSTER_FIXED: return r->text;
	default: return in->app;
	}
}

static bool is_member(const struct cluster_rule *r, const struct instance *in, struct str cluster)
{
	if (!is_watched(r, in))
		return false;
	if (!r->is_set && str_eq_nocase(cluster, DEFAULT_CLUSTER))
		return true;
	return str_eq_nocase(cluster_of(r, in), cluster);
}

static struct str meta_of(const struct instance *in, const char *dotted, const char *dashed)
{
	struct str v = instance_meta(in, str_from(dotted));

	return v.ptr ? v : instance_meta(in, str_from(dashed));
}

/* It comes from whoever registered it, and goes into a request line. */
static struct str endpoints_of(const struct instance *in, struct arena *a)
{
	struct str said = meta_of(in, "management.context-path", "management-context-path");
	struct basepath path;

	if (said.len == 0 || basepath_read(&path, said, NULL) < 0)
		return STR_EMPTY;
	return str_dup_in(a, basepath_str(&path));
}

/* False: it cannot be read. By TLS where the instance has no plain port. */
static bool locate(struct member *m, const struct instance *in, struct arena *a)
{
	struct str port = meta_of(in, "management.port", "management-port");
	bool secure = !in->port.enabled && in->secure_port.enabled;
	uint64_t number = secure ? in->secure_port.port : in->port.port;

	if (!port.ptr && !in->port.enabled && !secure)
		return false;
	if (port.ptr && (!str_to_u64(port, &number) || number > UINT16_MAX))
		return false;
	if (number == 0 || in->host.len == 0)
		return false;
	*m = (struct member){
		.host = in->host,
		.port = (uint16_t)number,
		.secure = secure,
		.endpoints = endpoints_of(in, a),
		.user = meta_of(in, "user.name", "user-name"),
		.password = meta_of(in, "user.password", "user-password"),
	};
	m->id = str_printf_in(a, "%.*s:%u", STRF(in->host), m->port);
	return true;
}

static int by_id(const void *a, const void *b)
{
	return str_cmp(((const struct member *)a)->id, ((const struct member *)b)->id);
}

/* Two apps may live behind one port, as a sidecar's do: their stream is one. */
static unsigned drop_twins(struct member *at, unsigned n)
{
	unsigned kept = 0;

	qsort(at, n, sizeof(*at), by_id);
	for (unsigned i = 0; i < n; i++)
		if (kept == 0 || !str_eq(at[kept - 1].id, at[i].id))
			at[kept++] = at[i];
	return kept;
}

bool cluster_members(const struct eureka_view *v, const struct cluster_rule *r, struct str cluster, struct arena *a,
		     struct member **ret, unsigned *n, unsigned *left_out)
{
	struct member *at = arena_alloc(a, CLUSTER_MEMBERS_MAX * sizeof(*at)), one;
	const struct view_group *g;
	bool any = false;

	*ret = at;
	*n = *left_out = 0;
	if (!v || !listed(r->clusters, r->n_clusters, cluster))
		return false;
	for (struct view_walk w = eureka_view_walk(v); (g = view_walk_next(&w));) {
		for (uint32_t i = 0; i < g->n; i++) {
			if (!is_member(r, g->inst[i], cluster))
				continue;
			any = true;
			if (*n == CLUSTER_MEMBERS_MAX || !locate(&one, g->inst[i], a))
				++*left_out;
			else
				at[(*n)++] = one;
		}
	}
	*n = drop_twins(at, *n);
	return any;
}

static int by_name(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct str *cluster_names(const struct eureka_view *v, const struct cluster_rule *r, struct arena *a, uint64_t seed,
			  unsigned *n)
{
	struct str *at = arena_alloc(a, (CLUSTERS_MAX + 1) * sizeof(*at));
	const struct view_group *g;
	struct map seen;

	struct view_walk w = v ? eureka_view_walk(v) : (struct view_walk){ 0 };

	*n = 0;
	map_init_nocase(&seen, seed);
	while (v && (g = view_walk_next(&w))) {
		for (uint32_t i = 0; i < g->n && *n < CLUSTERS_MAX; i++) {
			struct str name = is_watched(r, g->inst[i]) ? cluster_of(r, g->inst[i]) : STR_EMPTY;

			if (name.len && listed(r->clusters, r->n_clusters, name) && !map_put(&seen, name, at))
				at[(*n)++] = name;
		}
	}
	if (*n && !r->is_set && listed(r->clusters, r->n_clusters, DEFAULT_CLUSTER) && !map_get(&seen, DEFAULT_CLUSTER))
		at[(*n)++] = DEFAULT_CLUSTER;
	map_fini(&seen);
	qsort(at, *n, sizeof(*at), by_name);
	return at;
}
