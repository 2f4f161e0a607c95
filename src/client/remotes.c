/* remotes.c - see remotes.h. */
#include "client/remotes.h"

#include <stdio.h>

#include "base/map.h"
#include "client/impl.h"
#include "client/membership.h"
#include "client/policy.h"
#include "eureka/view.h"
#include "flow/properties.h"
#include "plugin/plugin.h"
#include "props/props.h"
#include "ribbon/pinger.h"

#define LINKS_MAX 4096
#define POOLS_MAX 256
#define UPKEEP_EVERY USEC_PER_SEC

struct remotes {
	struct vine_app *app;
	struct ribbon_env ribbon;
	struct pinger *pinger; /* the loop thread's; NULL: it does not run */
	struct timer upkeep;   /* so is this */
	struct command_table *commands;
	struct keyed_table *pools;
	pthread_mutex_t lock; /* guards the maps */
	struct map by_service; /* of struct remote */
	struct map links;      /* of struct link, by key */
	struct map by_pool;    /* of struct threads */
	struct map by_command; /* of struct link, by command key: the first link's settings hold for the stream */
};

/* --- servers --- */

static bool is_stale(const struct remote *rm, const struct eureka_view *v, usec now)
{
	return !rm->set || (v && v->version > rm->view_version) || now >= rm->next_update ||
	       atomic_load_explicit(&rm->ribbon->refresh.wanted, memory_order_relaxed);
}

/* Caller holds the lock. */
static int update(struct remote *rm, const struct eureka_view *v, usec now, struct err *e)
{
	struct server_set *set;
	int r = ribbon_update(rm->ribbon, &rm->lb, v, !rm->set, now, &set, e);

	if (r < 0)
		return r;
	server_set_unref(rm->set);
	rm->set = set;
	rm->view_version = v ? v->version : rm->view_version;
	rm->next_update = ribbon_next_update(rm->ribbon, &rm->lb);
	return 0;
}

static struct eureka_view *view_for(const struct remotes *r, const struct remote *rm)
{
	bool wanted = rm->lb.list == LIST_REGISTRY || rm->lb.ping == PING_REGISTRY;

	return wanted && r->app->membership ? membership_take_view(r->app->membership) : NULL;
}

struct server_set *remote_take_servers(struct remotes *r, struct remote *rm, usec now)
{
	struct eureka_view *v = view_for(r, rm);
	struct server_set *s;
	struct err e;

	pthread_mutex_lock(&rm->lock);
	if (is_stale(rm, v, now) && update(rm, v, now, &e) < 0)
		LOG(&r->app->log, LOG_ERROR, "servers not changed", F_STR("service", rm->ribbon->name), F_Z("error", e.text));
	s = server_set_ref(rm->set);
	pthread_mutex_unlock(&rm->lock);
	eureka_view_unref(v);
	return s;
}

/* --- upkeep: the loop thread's --- */

static void ping_all(struct timer *t)
{
	struct remotes *r = container_of(t, struct remotes, upkeep);
	usec now = loop_now(r->app->loop);
	size_t pos = 0;

	pthread_mutex_lock(&r->lock);
	for (struct remote *rm; (rm = map_next(&r->by_service, &pos));) {
		struct eureka_view *v = view_for(r, rm);

		pthread_mutex_lock(&rm->lock);
		pinger_tick(r->pinger, rm->ribbon, &rm->lb, v, v && v->version > rm->view_version, now);
		ribbon_tell_changes(rm->ribbon, now);
		pthread_mutex_unlock(&rm->lock);
		eureka_view_unref(v);
	}
	pthread_mutex_unlock(&r->lock);
	timer_set(r->app->loop, t, now + UPKEEP_EVERY);
}

void remotes_begin_upkeep(struct remotes *r)
{
	r->pinger = pinger_new(r->app->client);
	timer_init(&r->upkeep, ping_all);
	timer_set(r->app->loop, &r->upkeep, loop_now(r->app->loop) + UPKEEP_EVERY);
}

void remotes_end_upkeep(struct remotes *r)
{
	if (!r || !r->pinger)
		return;
	timer_cancel(r->app->loop, &r->upkeep);
	pinger_free(TAKE(r->pinger));
}

/* --- the tables --- */

/* A table that the program has given: the one for this service, else one for all. */
static struct plugin *given(void *ctx, enum vine_plugin_kind kind, struct str client)
{
	const struct remotes *r = ctx;
	struct plugin *for_all = NULL;

	for (unsigned i = 0; i < r->app->n_uses; i++) {
		const struct app_use *u = &r->app->uses[i];

		if (plugin_table(u->plugin)->kind != (uint32_t)kind)
			continue;
		if (u->service && str_eq(str_from(u->service), client))
			return u->plugin;
		for_all = u->service ? for_all : u->plugin;
	}
	return for_all;
}

struct remotes *remotes_new(struct vine_app *app)
{
	struct remotes *r = xzalloc(sizeof(*r));
	uint64_t seed;

	rng_os(&seed, sizeof(seed));
	r->app = app;
	r->ribbon = (struct ribbon_env){ .plugins = app->plugins, .log = &app->log, .given = given, .ctx = r, .tls = app->tls,
					 .seed = str_hash(str_from(app->set.name), atomic_load(&app->port)) };
	r->commands = command_table_new(&(struct command_table_opts){ .stripes = 8, .max = LINKS_MAX, .seed = seed });
	r->pools = pool_table_new(POOLS_MAX, seed);
	map_init(&r->by_pool, seed);
	map_init(&r->by_service, seed);
	map_init(&r->links, seed);
	map_init(&r->by_command, seed);
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void remote_free(struct remote *rm)
{
	if (!rm)
		return;
	server_set_unref(rm->set);
	ribbon_free(rm->ribbon);
	arena_fini(&rm->texts);
	pthread_mutex_destroy(&rm->lock);
	free(rm);
}

static void link_free(struct link *l)
{
	command_unref(l->command);
	free(l->key);
	free(l);
}

void remotes_free(struct remotes *r)
{
	size_t pos = 0;

	if (!r)
		return;
	for (struct threads *t; (t = map_next(&r->by_pool, &pos));)
		threads_free(t);
	map_fini(&r->by_pool);
	keyed_table_free(r->pools);
	pos = 0;
	for (struct link *l; (l = map_next(&r->links, &pos));)
		link_free(l);
	pos = 0;
	for (struct remote *rm; (rm = map_next(&r->by_service, &pos));)
		remote_free(rm);
	map_fini(&r->by_command);
	map_fini(&r->links);
	map_fini(&r->by_service);
	command_table_free(r->commands);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int remote_new(struct remotes *r, struct str service, usec now, struct remote **ret, struct err *e)
{
	struct remote *rm = xzalloc(sizeof(*rm));
	struct eureka_view *v;
	int code;

	pthread_mutex_init(&rm->lock, NULL);
	arena_init(&rm->texts, 1024);
	rm->ribbon = ribbon_new(service, &r->ribbon, now);
	code = ribbon_settings_read(&rm->lb, rm->ribbon, r->app->props, &rm->texts, e);
	if (code == 0) {
		v = view_for(r, rm);
		code = update(rm, v, now, e);
		eureka_view_unref(v);
	}
	if (code < 0) {
		remote_free(rm);
		return code;
	}
	rm->balancer = ribbon_balancer(rm->ribbon, &rm->lb);
	*ret = rm;
	return 0;
}

/* Caller holds the lock. */
static int find_remote(struct remotes *r, struct str service, usec now, struct remote **ret, struct err *e)
{
	struct remote *rm = map_get(&r->by_service, service);
	int code = rm ? 0 : remote_new(r, service, now, &rm, e);

	if (code < 0)
		return code;
	map_put(&r->by_service, rm->ribbon->name, rm);
	*ret = rm;
	return 0;
}

/* Caller holds the lock. */
static int find_threads(struct remotes *r, struct str key, usec now, struct threads **ret, struct err *e)
{
	struct pool_settings ps;
	struct pool *p;
	int code;

	*ret = map_get(&r->by_pool, key);
	if (*ret)
		return 0;
	pool_settings_read(&ps, r->app->props, key);
	code = pool_settings_check(&ps, key, e);
	if (code < 0)
		return code;
	p = pool_table_take(r->pools, key, now);
	if (!p)
		return err_set(e, VINE_ELIMIT, "more than %d thread pools", POOLS_MAX);
	*ret = threads_new(p, &ps);
	pool_unref(p);
	map_put(&r->by_pool, threads_pool(*ret)->id.key, *ret);
	return 0;
}

/* Caller holds the lock. */
static int make_link(struct remotes *r, struct str service, struct str command, struct str group, usec now, struct link **ret,
		     struct err *e)
{
	struct threads *t = NULL;
	struct cmd_settings cs;
	struct remote *rm = NULL;
	int code;

	/* First of all: a service that is refused must not stay either. */
	if (r->links.len >= LINKS_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d commands and services are called", LINKS_MAX);
	code = policy_command(&cs, r->app->props, command, e);
	if (code == 0 && cs.isolation == FLOW_THREAD)
		code = find_threads(r, cs.pool_key.len ? cs.pool_key : group, now, &t, e);
	if (code == 0)
		code = find_remote(r, service, now, &rm, e);
	if (code < 0)
		return code;
	cs.pool = t ? threads_pool(t)->id.key : STR_EMPTY;

	struct command *c = command_table_take(r->commands, command, group, now);

	if (!c)
		return err_set(e, VINE_ELIMIT, "more than %d command keys", LINKS_MAX);

	struct link *l = xzalloc(sizeof(*l));

	*l = (struct link){ .remote = rm, .command = c, .settings = cs, .threads = t };
	l->key = xmalloc(service.len + command.len + 2);
	snprintf(l->key, service.len + command.len + 2, "%.*s\t%.*s", STRF(service), STRF(command));
	map_put(&r->links, str_from(l->key), l);
	if (!map_get(&r->by_command, c->key))
		map_put(&r->by_command, c->key, l);
	*ret = l;
	return 0;
}

#define NAMES_MAX 255

int remotes_link(struct remotes *r, struct str service, struct str command, struct str group, usec now, struct link **ret,
		 struct err *e)
{
	char key[2 * NAMES_MAX + 2];
	int code = 0;

	if (service.len == 0 || service.len > NAMES_MAX || command.len == 0 || command.len > NAMES_MAX)
		return err_set(e, VINE_EINVAL, "a service or command name must have 1 to %d bytes", NAMES_MAX);

	int n = snprintf(key, sizeof(key), "%.*s\t%.*s", STRF(service), STRF(command));

	pthread_mutex_lock(&r->lock);

	struct link *l = map_get(&r->links, str_of(key, (size_t)n));

	if (!l)
		code = make_link(r, service, command, group, now, &l, e);
	pthread_mutex_unlock(&r->lock);
	if (code == 0)
		*ret = l;
	return code;
}

struct command_table *remotes_commands(struct remotes *r)
{
	return r->commands;
}

struct keyed_table *remotes_pools(struct remotes *r)
{
	return r->pools;
}

const struct cmd_settings *remotes_settings_of(void *remotes, struct str key)
{
	static const struct cmd_settings defaults = CMD_SETTINGS_DEFAULT;
	struct remotes *r = remotes;

	pthread_mutex_lock(&r->lock);

	const struct link *l = map_get(&r->by_command, key);

	pthread_mutex_unlock(&r->lock);
	return l ? &l->settings : &defaults;
}
