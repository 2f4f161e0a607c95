/* turbine.c - see turbine.h: clusters, who watches them, and the tick that tells of them. */
#include "turbine/turbine.h"

#include <pthread.h>
#include <stdio.h>

#include "codec/json.h"
#include "props/props.h"
#include "turbine/monitor.h"

#define TICK (500 * USEC_PER_MSEC)
#define WHOLE_EVERY (2 * USEC_PER_SEC)
#define META_EVERY (3 * USEC_PER_SEC)
#define STALE (10 * USEC_PER_SEC)  /* what an instance no longer tells of is taken off after it */
#define LINGER (10 * USEC_PER_SEC) /* a page that is loaded again finds its cluster as it was */
#define WATCHED_MAX 64
#define CLUSTER_BUDGET (16u << 20) /* bytes that all instances of a cluster may send from tick to tick */
#define FRAME_MAX (128u << 20)

struct cluster {
	struct turbine *t;
	struct str name; /* on the heap */
	unsigned watchers;
	struct monitor_env env;
	struct merge merge;
	struct map monitors; /* of struct monitor, by id */
	struct timer tick;
	unsigned left_out;
	bool wants_whole;
	usec whole_at, meta_at, unwatched;
};

struct turbine {
	struct turbine_opts o;
	struct logger log;
	struct loop *loop;
	struct rng rng;
	struct props *props; /* what rule's spans point into */
	struct cluster_rule rule;
	struct eureka_view *view;
	struct map watched;   /* of struct cluster, by name in any case */
	pthread_mutex_t lock; /* leaf; guards the two below */
	struct arena names_arena;
	struct str *names;
	unsigned n_names;
};

/* --- properties --- */

static int read_rule(struct cluster_rule *r, const struct props *p, struct err *e)
{
	r->n_apps = props_list(p, "turbine.app-config", STR_EMPTY, r->apps, CLUSTER_LIST_MAX);
	r->n_clusters = props_list(p, "turbine.aggregator.cluster-config", STR_EMPTY, r->clusters, CLUSTER_LIST_MAX);
	if (cluster_expression(r, props_str(p, "turbine.cluster-name-expression"), e) < 0)
		return err_prefix(e, "turbine.cluster-name-expression");
	return 0;
}

int turbine_check(const struct props *p, struct err *e)
{
	struct cluster_rule *r = xzalloc(sizeof(*r));
	int code = read_rule(r, p, e);

	free(r);
	return code;
}

/* What is set, else below where the instance says that its endpoints are. */
static struct str path_of(const struct turbine *t, struct str cluster, const struct member *m, struct arena *a)
{
	struct str own = props_str_of(t->props, "turbine.instance-url-suffix.{cluster}", cluster);

	if (own.len)
		return own;
	if (m->endpoints.ptr && !props_is_set(t->props, "turbine.instance-url-suffix", STR_EMPTY, false))
		return str_printf_in(a, "%.*s/hystrix.stream", STRF(m->endpoints));
	return props_str(t->props, "turbine.instance-url-suffix");
}

/* --- what there is --- */

static void list_names(struct turbine *t)
{
	struct arena fresh, old;
	struct str *names;
	unsigned n;

	arena_init(&fresh, 4096);
	names = cluster_names(t->view, &t->rule, &fresh, t->o.seed, &n);
	for (unsigned i = 0; i < n; i++)
		names[i] = str_dup_in(&fresh, names[i]);
	pthread_mutex_lock(&t->lock);
	old = t->names_arena;
	t->names_arena = fresh;
	t->names = names;
	t->n_names = n;
	pthread_mutex_unlock(&t->lock);
	arena_fini(&old);
}

bool turbine_has(struct turbine *t, struct str cluster)
{
	bool found = false;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->n_names && !found; i++)
		found = str_eq_nocase(t->names[i], cluster);
	pthread_mutex_unlock(&t->lock);
	return found;
}

void turbine_names(struct turbine *t, void (*fn)(void *ctx, struct str name), void *ctx)
{
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->n_names; i++)
		fn(ctx, t->names[i]);
	pthread_mutex_unlock(&t->lock);
}

/* --- the members of a watched cluster --- */

static void drop_unseen(struct cluster *c)
{
	struct monitor *m;
	size_t pos = 0;

	while ((m = map_next(&c->monitors, &pos))) {
		if (!m->is_seen) {
			map_del(&c->monitors, m->id);
			monitor_free(m);
		}
	}
}

static void forget_all(struct cluster *c)
{
	struct monitor *m;
	size_t pos = 0;

	while ((m = map_next(&c->monitors, &pos)))
		m->is_seen = false;
}

static void refresh(struct cluster *c)
{
	struct turbine *t = c->t;
	struct member *list;
	struct arena a;
	unsigned n;

	arena_init(&a, 4096);
	cluster_members(t->view, &t->rule, c->name, &a, &list, &n, &c->left_out);
	forget_all(c);
	for (unsigned i = 0; i < n; i++) {
		struct monitor *m = map_get(&c->monitors, list[i].id);

		if (!m) {
			m = monitor_new(&c->env, &list[i], path_of(t, c->name, &list[i], &a));
			map_put(&c->monitors, m->id, m);
		}
		m->is_seen = true;
	}
	drop_unseen(c);
	arena_fini(&a);
}

static void cluster_free(struct cluster *c)
{
	timer_cancel(c->t->loop, &c->tick);
	map_del(&c->t->watched, c->name);
	forget_all(c);
	drop_unseen(c);
	map_fini(&c->monitors);
	merge_fini(&c->merge);
	free((char *)(uintptr_t)c->name.ptr);
	free(c);
}

/* --- the tick --- */

static void put_meta(struct cluster *c, struct buf *b, usec now)
{
	unsigned reading = 0, reporting = 0;
	struct monitor *m;
	size_t pos = 0;
	struct jsonw w;

	while ((m = map_next(&c->monitors, &pos))) {
		reading += m->state == MONITOR_READING;
		reporting += m->state == MONITOR_READING && m->heard && now - m->heard <= 10 * USEC_PER_SEC;
	}
	buf_addz(b, "data: ");
	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("type"), STR("meta"));
	jsonw_key_str(&w, STR("name"), STR("meta"));
	jsonw_key_u64(&w, STR("reportingHostsLast10Seconds"), reporting);
	jsonw_key_i64(&w, STR("timestamp"), clock_wall());
	jsonw_key_u64(&w, STR("vineHosts"), c->monitors.len + c->left_out);
	jsonw_key_u64(&w, STR("vineHostsConnected"), reading);
	jsonw_object_end(&w);
	buf_addz(b, "\n\n");
}

static void share_out(struct cluster *c)
{
	struct monitor *m;
	size_t pos = 0;

	c->env.budget = CLUSTER_BUDGET;
	while ((m = map_next(&c->monitors, &pos)))
		monitor_tick(m);
}

static void tell(struct cluster *c, usec now)
{
	struct buf b = BUF_INIT(FRAME_MAX);
	bool whole = c->wants_whole || now >= c->whole_at;

	merge_expire(&c->merge, now - STALE);
	merge_write(&c->merge, &b, whole);
	if (whole || now >= c->meta_at) {
		put_meta(c, &b, now);
		c->meta_at = now + META_EVERY;
	}
	if (whole) {
		c->whole_at = now + WHOLE_EVERY;
		c->wants_whole = false;
	}
	if (b.failed)
		LOG(&c->t->log, LOG_WARN, "more events than can be told", F_STR("cluster", c->name));
	else if (b.len)
		c->t->o.events(c->t->o.ctx, c->name, buf_str(&b), whole);
	buf_fini(&b);
}

static void on_tick(struct timer *timer)
{
	struct cluster *c = container_of(timer, struct cluster, tick);
	usec now = loop_now(c->t->loop);

	if (!c->watchers && now - c->unwatched >= LINGER) {
		cluster_free(c);
		return;
	}
	share_out(c);
	if (c->watchers)
		tell(c, now);
	timer_set(c->t->loop, timer, now + TICK);
}

/* --- watchers --- */

static struct cluster *cluster_new(struct turbine *t, struct str name)
{
	struct cluster *c = xzalloc(sizeof(*c));

	c->t = t;
	c->name = str_of(str_dup(name), name.len);
	merge_init(&c->merge, t->o.seed);
	map_init(&c->monitors, t->o.seed);
	timer_init(&c->tick, on_tick);
	c->env = (struct monitor_env){
		.http = t->o.http,
		.tls = t->o.tls,
		.log = &t->log,
		.rng = &t->rng,
		.merge = &c->merge,
		.cluster = c->name,
		.budget = CLUSTER_BUDGET,
		.seed = t->o.seed,
	};
	map_put(&t->watched, c->name, c);
	refresh(c);
	timer_set(t->loop, &c->tick, loop_now(t->loop) + TICK);
	return c;
}

bool turbine_watch(struct turbine *t, struct str name)
{
	struct cluster *c = map_get(&t->watched, name);

	if (!c && t->watched.len < WATCHED_MAX && turbine_has(t, name))
		c = cluster_new(t, name);
	if (!c) {
		LOG(&t->log, LOG_WARN, "a cluster is not watched", F_STR("cluster", name), F_INT("watched", t->watched.len),
		    F_INT("most", WATCHED_MAX));
		return false;
	}
	c->watchers++;
	c->wants_whole = true;
	return true;
}

void turbine_rewatch(struct turbine *t, struct str name)
{
	struct cluster *c = map_get(&t->watched, name);

	if (c)
		c->wants_whole = true;
}

void turbine_unwatch(struct turbine *t, struct str name)
{
	struct cluster *c = map_get(&t->watched, name);

	if (!c || !c->watchers)
		return;
	c->watchers--;
	c->unwatched = loop_now(t->loop);
}

static void put_monitor(struct jsonw *w, const struct cluster *c, const struct monitor *m, usec now)
{
	jsonw_object(w);
	jsonw_key_str(w, STR("cluster"), c->name);
	jsonw_key_str(w, STR("instance"), m->id);
	jsonw_key_str(w, STR("state"), str_from(monitor_state_name(m->state)));
	jsonw_key_i64(w, STR("forMillis"), (now - m->since) / USEC_PER_MSEC);
	if (m->why[0])
		jsonw_key_str(w, STR("why"), str_from(m->why));
	jsonw_key_u64(w, STR("events"), m->sse.events);
	jsonw_key_u64(w, STR("tooLong"), m->sse.overlong);
	jsonw_key_u64(w, STR("bytes"), m->bytes);
	jsonw_key_u64(w, STR("kept"), m->told.by_key.len);
	jsonw_object_end(w);
}

void turbine_report(struct turbine *t, struct jsonw *w)
{
	struct cluster *c;
	size_t pos = 0;

	jsonw_array(w);
	while ((c = map_next(&t->watched, &pos))) {
		struct monitor *m;
		size_t at = 0;

		while ((m = map_next(&c->monitors, &at)))
			put_monitor(w, c, m, loop_now(t->loop));
	}
	jsonw_array_end(w);
}

/* --- life --- */

static void take_props(struct turbine *t, struct props *p)
{
	struct err e;

	props_unref(t->props);
	t->props = props_ref(p);
	t->rule = (struct cluster_rule){ 0 };
	if (read_rule(&t->rule, p, &e) < 0)
		LOG(&t->log, LOG_ERROR, "clusters are by app", F_Z("error", e.text)); /* not checked before */
}

static void refresh_all(struct turbine *t)
{
	struct cluster *c;
	size_t pos = 0;

	list_names(t);
	while ((c = map_next(&t->watched, &pos)))
		refresh(c);
}

struct turbine *turbine_new(const struct turbine_opts *o, struct props *p)
{
	struct turbine *t = xzalloc(sizeof(*t));

	t->o = *o;
	t->log = *o->log;
	t->loop = http_client_loop(o->http);
	rng_seed(&t->rng, o->seed);
	map_init_nocase(&t->watched, o->seed);
	pthread_mutex_init(&t->lock, NULL);
	take_props(t, p);
	return t;
}

/* Paths may be others now, so every connection is made anew. */
void turbine_configure(struct turbine *t, struct props *p)
{
	struct cluster *c;
	size_t pos = 0;

	take_props(t, p);
	while ((c = map_next(&t->watched, &pos))) {
		forget_all(c);
		drop_unseen(c);
	}
	refresh_all(t);
}

void turbine_view(struct turbine *t, struct eureka_view *v)
{
	eureka_view_unref(t->view);
	t->view = eureka_view_ref(v);
	refresh_all(t);
}

void turbine_free(struct turbine *t)
{
	struct cluster *c;
	size_t pos = 0;

	if (!t)
		return;
	while ((c = map_next(&t->watched, &pos)))
		cluster_free(c);
	map_fini(&t->watched);
	eureka_view_unref(t->view);
	props_unref(t->props);
	arena_fini(&t->names_arena);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
