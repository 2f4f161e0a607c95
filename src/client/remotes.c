/* remotes.c - see remotes.h. */
#include "client/remotes.h"

#include <stdio.h>

#include "base/map.h"
#include "client/impl.h"
#include "client/membership.h"
#include "eureka/view.h"
#include "manage/balancers.h"
#include "plugin/plugin.h"
#include "props/check.h"
#include "props/props.h"
#include "ribbon/pinger.h"

#define LINKS_MAX 4096
#define UPKEEP_EVERY USEC_PER_SEC
#define SWEEP_EVERY (10 * USEC_PER_SEC)

struct remotes {
	struct vine_app *app;
	struct ribbon_env ribbon;
	struct pinger *pinger; /* the loop thread's; NULL: it does not run */
	struct timer upkeep;   /* so is this, and the next */
	usec next_sweep;
	struct commands *commands;
	pthread_mutex_t lock;  /* guards all below */
	struct props *props;
	struct map by_service; /* of struct remote */
	struct map links;      /* of struct link, by key */
};

/* --- settings --- */

static void settings_free(struct shared *s)
{
	struct remote_settings *rs = container_of(s, struct remote_settings, shared);

	arena_fini(&rs->texts);
	props_unref(rs->props);
	free(rs);
}

void remote_settings_unref(struct remote_settings *rs)
{
	if (rs)
		shared_unref(&rs->shared);
}

/* By these properties; changes nothing of what is in force. Caller holds the remote's lock, or nobody knows it yet. */
static int make_settings(struct remote *rm, struct props *p, struct remote_settings **ret, struct err *e)
{
	struct remote_settings *rs = xzalloc(sizeof(*rs));
	int r;

	shared_init(&rs->shared, settings_free);
	arena_init(&rs->texts, 1024);
	rs->props = props_ref(p);
	r = ribbon_settings_read(&rs->lb, rm->ribbon, p, &rs->texts, e);
	if (r == 0)
		r = ribbon_check(&rs->lb, rm->ribbon, e);
	if (r < 0) {
		remote_settings_unref(rs);
		return r;
	}
	rs->balancer = ribbon_balancer(rm->ribbon, &rs->lb);
	*ret = rs;
	return 0;
}

/* --- servers --- */

static bool is_stale(const struct remote *rm, const struct eureka_view *v, usec now)
{
	return !rm->set || rm->is_changed || (v && v->version > rm->view_version) || now >= rm->next_update ||
	       atomic_load_explicit(&rm->ribbon->refresh.wanted, memory_order_relaxed);
}

/* Caller holds the lock. */
static int update(struct remote *rm, const struct eureka_view *v, usec now, struct err *e)
{
	const struct ribbon_settings *lb = &rm->settings->lb;
	struct server_set *set;
	int r = ribbon_update(rm->ribbon, lb, v, !rm->set || rm->is_changed, now, &set, e);

	if (r < 0)
		return r;
	server_set_unref(rm->set);
	rm->set = set;
	rm->view_version = v ? v->version : rm->view_version;
	rm->next_update = ribbon_next_update(rm->ribbon, lb);
	rm->is_changed = false;
	return 0;
}

/* Caller holds the lock, or nobody knows the remote yet. */
static struct eureka_view *view_for(const struct remotes *r, const struct remote *rm)
{
	const struct ribbon_settings *lb = &rm->settings->lb;
	bool wanted = lb->list == LIST_REGISTRY || lb->ping == PING_REGISTRY;

	return wanted && r->app->membership ? membership_take_view(r->app->membership) : NULL;
}

struct server_set *remote_take_servers(struct remotes *r, struct remote *rm, usec now, struct remote_settings **settings)
{
	struct eureka_view *v;
	struct server_set *s;
	struct err e;

	pthread_mutex_lock(&rm->lock);
	v = view_for(r, rm);
	if (is_stale(rm, v, now) && update(rm, v, now, &e) < 0)
		LOG(&r->app->log, LOG_ERROR, "servers not changed", F_STR("service", rm->ribbon->name), F_Z("error", e.text));
	s = server_set_ref(rm->set);
	if (settings) {
		shared_ref(&rm->settings->shared);
		*settings = rm->settings;
	}
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
		struct eureka_view *v;

		pthread_mutex_lock(&rm->lock);
		v = view_for(r, rm);
		pinger_tick(r->pinger, rm->ribbon, &rm->settings->lb, v, v && v->version > rm->view_version, now);
		ribbon_tell_changes(rm->ribbon, now);
		pthread_mutex_unlock(&rm->lock);
		eureka_view_unref(v);
	}
	pthread_mutex_unlock(&r->lock);
	if (now >= r->next_sweep) {
		commands_sweep(r->commands, now);
		r->next_sweep = now + SWEEP_EVERY;
	}
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
	r->props = props_ref(app->props);
	r->commands = commands_new(app->props, seed);
	map_init(&r->by_service, seed);
	map_init(&r->links, seed);
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void remote_free(struct remote *rm)
{
	if (!rm)
		return;
	server_set_unref(rm->set);
	remote_settings_unref(rm->settings);
	ribbon_free(rm->ribbon);
	pthread_mutex_destroy(&rm->lock);
	free(rm);
}

static void link_free(struct link *l)
{
	free(l->key);
	free(l);
}

void remotes_free(struct remotes *r)
{
	size_t pos = 0;

	if (!r)
		return;
	commands_free(r->commands); /* first: functions may still run there */
	for (struct link *l; (l = map_next(&r->links, &pos));)
		link_free(l);
	pos = 0;
	for (struct remote *rm; (rm = map_next(&r->by_service, &pos));)
		remote_free(rm);
	map_fini(&r->links);
	map_fini(&r->by_service);
	props_unref(r->props);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int remote_new(struct remotes *r, struct str service, usec now, struct remote **ret, struct err *e)
{
	struct remote *rm = xzalloc(sizeof(*rm));
	struct eureka_view *v;
	int code;

	pthread_mutex_init(&rm->lock, NULL);
	rm->ribbon = ribbon_new(service, &r->ribbon, now);
	code = make_settings(rm, r->props, &rm->settings, e);
	if (code == 0) {
		v = view_for(r, rm);
		code = update(rm, v, now, e);
		eureka_view_unref(v);
	}
	if (code < 0) {
		remote_free(rm);
		return code;
	}
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

/* Which service a command is for shows only here. */
static void judge_times(const struct remotes *r, struct str service, struct str command)
{
	struct check_timeouts t = check_timeouts_of(r->props, service, command);
	struct err e;

	if (check_timeouts_fit(&t))
		return;
	check_timeouts_tell(&t, service, command, &e);
	LOG(&r->app->log, LOG_WARN, "time-outs do not fit together", F_STR("command", command), F_Z("why", e.text));
}

/* Caller holds the lock. */
static int make_link(struct remotes *r, struct str service, struct str command, struct str group, usec now, struct link **ret,
		     struct err *e)
{
	struct command_entry *en = NULL;
	struct remote *rm = NULL;
	int code;

	/* First of all: a service that is refused must not stay either. */
	if (r->links.len >= LINKS_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d commands and services are called", LINKS_MAX);
	code = commands_check(r->commands, command, group, e);
	if (code == 0)
		code = find_remote(r, service, now, &rm, e);
	if (code == 0)
		code = commands_take(r->commands, command, group, now, &en, e);
	if (code < 0)
		return code;

	struct link *l = xzalloc(sizeof(*l));

	*l = (struct link){ .remote = rm, .entry = en };
	l->key = xmalloc(service.len + command.len + 2);
	snprintf(l->key, service.len + command.len + 2, "%.*s\t%.*s", STRF(service), STRF(command));
	map_put(&r->links, str_from(l->key), l);
	judge_times(r, service, command);
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

/* --- new properties --- */

/* A remote's settings by the new properties, until all of them are known to be fine. */
struct next {
	struct remote *rm;
	struct remote_settings *settings;
};

/* Caller holds the lock. */
static int prepare(struct remotes *r, struct props *p, struct next *next, size_t *n, struct err *e)
{
	size_t pos = 0;
	int code = 0;

	for (struct remote *rm; code == 0 && (rm = map_next(&r->by_service, &pos));) {
		next[*n].rm = rm;
		pthread_mutex_lock(&rm->lock);
		code = make_settings(rm, p, &next[*n].settings, e);
		pthread_mutex_unlock(&rm->lock);
		if (code == 0)
			(*n)++;
	}
	return code;
}

static void put_in_force(struct next *next)
{
	struct remote_settings *old;

	pthread_mutex_lock(&next->rm->lock);
	old = next->rm->settings;
	next->rm->settings = TAKE(next->settings);
	next->rm->is_changed = true;
	pthread_mutex_unlock(&next->rm->lock);
	remote_settings_unref(old);
}

int remotes_publish(struct remotes *r, struct props *p, struct err *e)
{
	struct next *next;
	size_t n = 0;
	int code;

	pthread_mutex_lock(&r->lock);
	next = xzalloc((r->by_service.len + 1) * sizeof(*next));
	code = prepare(r, p, next, &n, e);
	for (size_t i = 0; i < n; i++) {
		if (code == 0)
			put_in_force(&next[i]);
		else
			remote_settings_unref(next[i].settings);
	}
	if (code == 0) {
		props_unref(r->props);
		r->props = props_ref(p);
		commands_publish(r->commands, p, &r->app->log);
	}
	pthread_mutex_unlock(&r->lock);
	free(next);
	return code;
}

size_t remotes_look(struct remotes *r, struct str name, void (*fn)(void *ctx, const struct balancer_view *v), void *ctx)
{
	size_t pos = 0, n = 0;

	pthread_mutex_lock(&r->lock);
	for (struct remote *rm; (rm = map_next(&r->by_service, &pos));) {
		if (name.len && !str_eq(rm->ribbon->name, name))
			continue;
		pthread_mutex_lock(&rm->lock);

		struct balancer_view v = { rm->ribbon->name, &rm->settings->lb, rm->set, rm->settings->balancer, rm->ribbon };

		fn(ctx, &v);
		n++;
		pthread_mutex_unlock(&rm->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return n;
}

struct commands *remotes_commands(struct remotes *r)
{
	return r->commands;
}
