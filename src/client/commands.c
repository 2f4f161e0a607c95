/* commands.c - see commands.h. */
#include "client/commands.h"

#include <stdio.h>

#include "base/log.h"
#include "base/map.h"
#include "client/policy.h"
#include "flow/properties.h"
#include "props/props.h"

#define POOLS_MAX 256

struct commands {
	struct command_table *table;
	struct keyed_table *pools, *collapsers;
	pthread_mutex_t lock; /* guards all below */
	struct props *props;
	struct map entries;   /* of struct command_entry */
	struct map by_key;    /* of the same, by command key: the first group's settings hold for the stream */
	struct map by_pool;   /* of struct threads */
};

/* --- policies --- */

static void policy_free(struct shared *s)
{
	struct policy *pl = container_of(s, struct policy, shared);

	props_unref(pl->props);
	free(pl);
}

void policy_unref(struct policy *pl)
{
	if (pl)
		shared_unref(&pl->shared);
}

/* Caller holds the lock. */
static int find_threads(struct commands *c, struct str key, usec now, struct threads **ret, struct err *e)
{
	struct pool_settings ps;
	struct pool *p;
	int code;

	*ret = map_get(&c->by_pool, key);
	if (*ret)
		return 0;
	pool_settings_read(&ps, c->props, key);
	code = pool_settings_check(&ps, key, e);
	if (code < 0)
		return code;
	p = pool_table_take(c->pools, key, now);
	if (!p)
		return err_set(e, VINE_ELIMIT, "more than %d thread pools", POOLS_MAX);
	*ret = threads_new(p, &ps);
	pool_unref(p);
	map_put(&c->by_pool, threads_pool(*ret)->id.key, *ret);
	return 0;
}

/* Caller holds the lock. By the present properties. */
static int make_policy(struct commands *c, struct str key, struct str group, usec now, struct policy **ret, struct err *e)
{
	struct threads *t = NULL;
	struct cmd_settings cs;
	struct policy *pl;
	int code = policy_command(&cs, c->props, key, e);

	if (code == 0 && cs.isolation == FLOW_THREAD)
		code = find_threads(c, cs.pool_key.len ? cs.pool_key : group, now, &t, e);
	if (code < 0)
		return code;
	cs.pool = t ? threads_pool(t)->id.key : STR_EMPTY;
	pl = xzalloc(sizeof(*pl));
	shared_init(&pl->shared, policy_free);
	pl->props = props_ref(c->props);
	pl->settings = cs;
	pl->threads = t;
	*ret = pl;
	return 0;
}

/* --- entries --- */

static void entry_free(struct command_entry *en)
{
	policy_unref(en->policy);
	command_unref(en->command);
	free(en->key);
	free(en);
}

/* Caller holds the lock. */
static int make_entry(struct commands *c, struct str key, struct str group, usec now, struct command_entry **ret, struct err *e)
{
	struct command_entry *en;
	struct policy *pl;
	int code;

	if (c->entries.len >= COMMANDS_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d commands are called", COMMANDS_MAX);
	code = make_policy(c, key, group, now, &pl, e);
	if (code < 0)
		return code;
	en = xzalloc(sizeof(*en));
	en->policy = pl;
	en->command = command_table_take(c->table, key, group, now);
	assert(en->command); /* the table has room for as many */
	en->key = xmalloc(key.len + group.len + 2);
	snprintf(en->key, key.len + group.len + 2, "%.*s\t%.*s", STRF(key), STRF(group));
	map_put(&c->entries, str_from(en->key), en);
	if (!map_get(&c->by_key, en->command->key))
		map_put(&c->by_key, en->command->key, en);
	*ret = en;
	return 0;
}

#define NAME_MAX_BYTES 255

/* Where an entry is in the table; empty: a name of it is none. */
static struct str whole_key(struct str key, struct str group, char room[2 * NAME_MAX_BYTES + 2])
{
	if (key.len == 0 || key.len > NAME_MAX_BYTES || group.len == 0 || group.len > NAME_MAX_BYTES)
		return STR_EMPTY;
	return str_of(room, (size_t)snprintf(room, 2 * NAME_MAX_BYTES + 2, "%.*s\t%.*s", STRF(key), STRF(group)));
}

int commands_check(struct commands *c, struct str key, struct str group, struct err *e)
{
	char room[2 * NAME_MAX_BYTES + 2];
	struct str whole = whole_key(key, group, room);
	struct cmd_settings cs;
	int code = 0;

	if (whole.len == 0)
		return err_set(e, VINE_EINVAL, "a command's key and group must have 1 to %d bytes", NAME_MAX_BYTES);
	pthread_mutex_lock(&c->lock);
	if (!map_get(&c->entries, whole)) {
		code = policy_command(&cs, c->props, key, e);
		if (code == 0 && c->entries.len >= COMMANDS_MAX)
			code = err_set(e, VINE_ELIMIT, "more than %d commands are called", COMMANDS_MAX);
	}
	pthread_mutex_unlock(&c->lock);
	return code;
}

int commands_take(struct commands *c, struct str key, struct str group, usec now, struct command_entry **ret, struct err *e)
{
	char room[2 * NAME_MAX_BYTES + 2];
	struct str whole = whole_key(key, group, room);
	struct command_entry *en;
	int code = commands_check(c, key, group, e);

	if (code < 0)
		return code;
	pthread_mutex_lock(&c->lock);
	en = map_get(&c->entries, whole);
	if (!en)
		code = make_entry(c, key, group, now, &en, e);
	pthread_mutex_unlock(&c->lock);
	if (code == 0)
		*ret = en;
	return code;
}

struct policy *commands_policy(struct commands *c, struct command_entry *en)
{
	struct policy *pl;

	pthread_mutex_lock(&c->lock);
	pl = en->policy;
	shared_ref(&pl->shared);
	pthread_mutex_unlock(&c->lock);
	return pl;
}

/* --- collapsers --- */

int commands_take_collapser(struct commands *c, struct str key, usec now, struct collapser **ret, struct err *e)
{
	if (key.len == 0 || key.len > NAME_MAX_BYTES)
		return err_set(e, VINE_EINVAL, "a collapser's key must have 1 to %d bytes", NAME_MAX_BYTES);
	*ret = collapser_table_take(c->collapsers, key, now);
	return *ret ? 0 : err_set(e, VINE_ELIMIT, "more than %d collapsers", COLLAPSERS_MAX);
}

void commands_collapser_settings(struct commands *c, struct str key, struct collapser_settings *ret)
{
	struct props *p;

	pthread_mutex_lock(&c->lock);
	p = props_ref(c->props);
	pthread_mutex_unlock(&c->lock);
	collapser_settings_read(ret, p, key);
	props_unref(p);
}

/* --- new properties --- */

static void renew_pools(struct commands *c)
{
	size_t pos = 0;

	for (struct threads *t; (t = map_next(&c->by_pool, &pos));) {
		struct pool_settings ps;

		pool_settings_read(&ps, c->props, threads_pool(t)->id.key);
		threads_set(t, &ps);
	}
}

static void renew_entries(struct commands *c, const struct logger *log)
{
	usec now = clock_mono();
	size_t pos = 0;

	for (struct command_entry *en; (en = map_next(&c->entries, &pos));) {
		struct str group = str_from(strchr(en->key, '\t') + 1);
		struct policy *pl;
		struct err e;

		if (make_policy(c, en->command->key, group, now, &pl, &e) < 0) {
			LOG(log, LOG_ERROR, "settings not changed", F_STR("command", en->command->key), F_Z("why", e.text));
			continue;
		}
		policy_unref(en->policy);
		en->policy = pl;
	}
}

void commands_publish(struct commands *c, struct props *p, const struct logger *log)
{
	struct props *old;

	pthread_mutex_lock(&c->lock);
	old = c->props;
	c->props = props_ref(p);
	renew_pools(c);
	renew_entries(c, log);
	pthread_mutex_unlock(&c->lock);
	props_unref(old);
}

void commands_sweep(struct commands *c, usec now)
{
	command_table_sweep(c->table, now, USEC_NEVER, commands_settings_of, c);
}

/* --- life --- */

struct commands *commands_new(struct props *p, uint64_t seed)
{
	struct commands *c = xzalloc(sizeof(*c));

	c->props = props_ref(p);
	c->table = command_table_new(&(struct command_table_opts){ .stripes = 8, .max = COMMANDS_MAX, .seed = seed });
	c->pools = pool_table_new(POOLS_MAX, seed);
	c->collapsers = collapser_table_new(COLLAPSERS_MAX, seed);
	map_init(&c->entries, seed);
	map_init(&c->by_key, seed);
	map_init(&c->by_pool, seed);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void commands_free(struct commands *c)
{
	size_t pos = 0;

	if (!c)
		return;
	for (struct threads *t; (t = map_next(&c->by_pool, &pos));)
		threads_free(t);
	map_fini(&c->by_pool);
	keyed_table_free(c->pools);
	keyed_table_free(c->collapsers);
	pos = 0;
	for (struct command_entry *en; (en = map_next(&c->entries, &pos));)
		entry_free(en);
	map_fini(&c->entries);
	map_fini(&c->by_key);
	command_table_free(c->table);
	props_unref(c->props);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct command_table *commands_table(struct commands *c)
{
	return c->table;
}

struct keyed_table *commands_pools(struct commands *c)
{
	return c->pools;
}

struct keyed_table *commands_collapsers(struct commands *c)
{
	return c->collapsers;
}

const struct cmd_settings *commands_settings_of(void *commands, struct str key)
{
	static const struct cmd_settings defaults = CMD_SETTINGS_DEFAULT;
	const struct cmd_settings *cs;
	struct commands *c = commands;
	const struct command_entry *en;

	pthread_mutex_lock(&c->lock);
	en = map_get(&c->by_key, key);
	cs = en ? &en->policy->settings : &defaults;
	pthread_mutex_unlock(&c->lock);
	return cs;
}
