/* remotes.c - see remotes.h. */
#include "client/remotes.h"

#include <stdio.h>

#include "base/map.h"
#include "client/impl.h"
#include "client/membership.h"
#include "client/policy.h"
#include "eureka/view.h"
#include "flow/properties.h"
#include "props/props.h"

#define LINKS_MAX 4096
#define SERVERS_MAX 4096
#define POOLS_MAX 256

struct remotes {
	struct vine_app *app;
	struct command_table *commands;
	struct keyed_table *pools;
	pthread_mutex_t lock; /* guards the maps */
	struct map by_service; /* of struct remote */
	struct map links;      /* of struct link, by key */
	struct map by_pool;    /* of struct threads */
	struct map by_command; /* of struct link, by command key: the first link's settings hold for the stream */
};

/* --- servers --- */

static struct servers *servers_new(uint32_t n)
{
	struct servers *s = xzalloc(sizeof(*s) + n * sizeof(s->at[0]));

	s->refs = 1;
	return s;
}

void servers_unref(struct servers *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		server_unref(s->at[i]);
	free(s);
}

/* The server of that name, with what is known of it, or a new one; referenced. */
static struct fserver *keep_or_make(const struct servers *old, struct str id, struct str zone, usec now)
{
	for (uint32_t i = 0; old && i < old->n; i++) {
		if (str_eq(old->at[i]->id, id))
			return server_ref(old->at[i]);
	}
	return server_new(id, zone, 100, now);
}

static struct servers *servers_of_config(const struct vine_app *app, struct str service, usec now)
{
	struct str *list = xmalloc((SERVERS_MAX + 1) * sizeof(*list));
	size_t n = props_list(app->props, "{client}.ribbon.listOfServers", service, list, SERVERS_MAX + 1);

	if (n > SERVERS_MAX) {
		LOG(&app->log, LOG_WARN, "{client}.ribbon.listOfServers has too many: the first ones are used",
		    F_STR("client", service), F_INT("used", SERVERS_MAX));
		n = SERVERS_MAX;
	}

	struct servers *s = servers_new((uint32_t)n);

	for (size_t i = 0; i < n; i++) {
		struct str one = str_trim(list[i]);

		if (one.len)
			s->at[s->n++] = server_new(one, STR_EMPTY, 100, now);
	}
	free(list);
	return s;
}

static struct servers *servers_of_view(const struct eureka_view *v, struct str service, const struct servers *old, usec now)
{
	const struct view_group *g = v ? eureka_view_service(v, service) : NULL;
	uint32_t n = g ? MIN(g->n, (uint32_t)SERVERS_MAX) : 0;
	struct servers *s = servers_new(n);

	s->version = v ? v->version : 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct instance *in = g->inst[i];
		char id[INST_NAME_MAX + 8];
		int len = snprintf(id, sizeof(id), "%.*s:%u", STRF(in->host), in->port.port);

		if (in->status != INST_UP || !in->port.enabled || len >= (int)sizeof(id))
			continue; /* plain HTTP only, as long as there is no TLS here */
		s->at[s->n++] = keep_or_make(old, str_of(id, (size_t)len), instance_meta(in, STR("zone")), now);
	}
	return s;
}

static struct servers *take(struct servers *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

struct servers *remote_take_servers(struct remotes *r, struct remote *rm, usec now)
{
	struct membership *m = r->app->membership;
	struct eureka_view *v = rm->configured || !m ? NULL : membership_take_view(m);
	struct servers *s, *old = NULL;

	pthread_mutex_lock(&rm->lock);
	if (!rm->servers && rm->configured)
		rm->servers = servers_of_config(r->app, rm->name, now);
	if (!rm->servers || (v && v->version > rm->servers->version)) {
		old = rm->servers;
		rm->servers = servers_of_view(v, rm->name, old, now);
	}
	s = take(rm->servers);
	pthread_mutex_unlock(&rm->lock);
	servers_unref(old);
	eureka_view_unref(v);
	return s;
}

/* --- the tables --- */

struct remotes *remotes_new(struct vine_app *app)
{
	struct remotes *r = xzalloc(sizeof(*r));
	uint64_t seed;

	rng_os(&seed, sizeof(seed));
	r->app = app;
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
	servers_unref(rm->servers);
	pthread_mutex_destroy(&rm->lock);
	free((char *)(uintptr_t)rm->name.ptr);
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

/* Caller holds the lock. */
static int find_remote(struct remotes *r, struct str service, struct remote **ret, struct err *e)
{
	struct remote *rm = map_get(&r->by_service, service);

	if (!rm) {
		struct remote fresh = { 0 };
		int code = policy_remote(&fresh, r->app->props, service, e);

		if (code < 0)
			return code;
		rm = xmalloc(sizeof(*rm));
		*rm = fresh;
		rm->name = str_from(str_dup(service));
		pthread_mutex_init(&rm->lock, NULL);
		map_put(&r->by_service, rm->name, rm);
	}
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
	struct remote *rm;
	int code;

	/* First of all: a service that is refused must not stay either. */
	if (r->links.len >= LINKS_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d commands and services are called", LINKS_MAX);
	code = find_remote(r, service, &rm, e);
	if (code == 0)
		code = policy_command(&cs, r->app->props, command, e);
	if (code == 0 && cs.isolation == FLOW_THREAD)
		code = find_threads(r, cs.pool_key.len ? cs.pool_key : group, now, &t, e);
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
