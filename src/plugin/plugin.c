/* plugin.c - see plugin.h. */
#include "plugin/plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <vine/balance.h>

#include "props/props.h"

#define NAME_MAX_BYTES 64

struct plugin {
	const struct vine_plugin *table;
	const struct vine_host *host;
	struct str spec;                            /* owned; empty: by pointer */
	_Atomic uint8_t worker[PLUGIN_WORKERS_MAX]; /* enum on_worker */
	pthread_mutex_t lock; /* held while a worker_init runs: libvine's threads share one number */
};

enum on_worker { WORKER_NEW, WORKER_FINE, WORKER_FAILED };

struct plugins {
	struct vine_host host;
	struct logger log;
	pthread_mutex_t lock; /* guards the list */
	struct plugin *list[PLUGINS_MAX];
	unsigned n;
	bool only_judges;
	pthread_mutex_t props_lock; /* leaf; guards props */
	struct props *props;
};

/* --- judging --- */

struct kind {
	const char *name;
	size_t size;     /* of the table in this version's first release */
	size_t required; /* where its required function stands */
	const char *function;
};

#define KIND(name_, table, fn)                                                                                         \
	{                                                                                                              \
		name_, sizeof(struct table), offsetof(struct table, fn), #fn                                           \
	}

static const struct kind kinds[] = {
	[VINE_PLUGIN_RULE] = KIND("rule", vine_rule_ops, choose),
	[VINE_PLUGIN_PING] = KIND("ping", vine_ping_ops, is_alive),
	[VINE_PLUGIN_LIST] = KIND("server list", vine_list_ops, fill),
	[VINE_PLUGIN_FILTER] = KIND("filter", vine_filter_ops, filter),
	[VINE_PLUGIN_UPDATER] = KIND("updater", vine_updater_ops, start),
	[VINE_PLUGIN_CONFIG] = KIND("client config", vine_config_ops, get),
	[VINE_PLUGIN_BALANCER] = KIND("balancer", vine_balancer_ops, choose),
};

const char *plugin_kind_name(unsigned kind)
{
	return kind < ARRAY_LEN(kinds) && kinds[kind].name ? kinds[kind].name : "?";
}

int plugin_judge(const struct vine_plugin *t, struct err *e)
{
	void (*fn)(void);

	/* The version comes first: what follows it may look different in another one. */
	if (t->size < offsetof(struct vine_plugin, kind))
		return err_set(e, VINE_EINVAL, "not a table of a plugin: its size says %u bytes", t->size);
	if (t->abi != VINE_PLUGIN_ABI)
		return err_set(e, VINE_EINVAL, "made for version %u of the plugin interface, this is version %d",
			       t->abi, VINE_PLUGIN_ABI);
	if (t->size < sizeof(*t) || t->kind == 0 || t->kind >= ARRAY_LEN(kinds))
		return err_set(e, VINE_EINVAL, "not a table of a plugin: %u bytes, kind %u", t->size,
			       t->size < sizeof(*t) ? 0 : t->kind);
	if (t->size < kinds[t->kind].size)
		return err_set(e, VINE_EINVAL, "a table for a %s has %zu bytes, this one says %u", kinds[t->kind].name,
			       kinds[t->kind].size, t->size);
	if (!t->name || !t->name[0] || strnlen(t->name, NAME_MAX_BYTES) == NAME_MAX_BYTES)
		return err_set(e, VINE_EINVAL, "the table needs a name of 1 to %d bytes", NAME_MAX_BYTES - 1);
	memcpy(&fn, (const char *)t + kinds[t->kind].required, sizeof(fn));
	if (!fn)
		return err_set(e, VINE_EINVAL, "%s: a %s needs the function %s", t->name, kinds[t->kind].name,
			       kinds[t->kind].function);
	return 0;
}

/* --- what the host offers --- */

static struct plugins *of_host(const struct vine_host *h)
{
	return container_of((struct vine_host *)(uintptr_t)h, struct plugins, host);
}

static void host_log(const struct vine_host *h, enum vine_plugin_level level, const char *text)
{
	static const enum log_level levels[] = { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
	struct plugins *p = of_host(h);

	LOG(&p->log, (unsigned)level < ARRAY_LEN(levels) ? levels[level] : LOG_ERROR, text ? text : "",
	    F_BOOL("plugin", true));
}

static int host_property(const struct vine_host *h, const char *key, char *buf, size_t room)
{
	struct plugins *p = of_host(h);
	int len = -1;

	pthread_mutex_lock(&p->props_lock);

	const struct prop_value *v = p->props && key ? props_get(p->props, str_from(key)) : NULL;

	if (v) {
		len = (int)MIN(v->value.len, (size_t)INT32_MAX);
		if (room)
			snprintf(buf, room, "%.*s", STRF(v->value));
	}
	pthread_mutex_unlock(&p->props_lock);
	return len;
}

const struct vine_host *plugins_host(const struct plugins *p)
{
	return &p->host;
}

void plugins_set_props(struct plugins *p, struct props *props)
{
	struct props *old;

	pthread_mutex_lock(&p->props_lock);
	old = p->props;
	p->props = props ? props_ref(props) : NULL;
	pthread_mutex_unlock(&p->props_lock);
	props_unref(old);
}

void plugins_only_judge(struct plugins *p)
{
	p->only_judges = true;
}

/* --- life --- */

struct plugins *plugins_new(const struct logger *log, const struct vine_balance_host *balance)
{
	struct plugins *p = xzalloc(sizeof(*p));

	p->log = *log;
	p->host = (struct vine_host){ .size = sizeof(p->host),
				      .abi = VINE_PLUGIN_ABI,
				      .version = VINE_VERSION,
				      .log = host_log,
				      .property = host_property,
				      .balance = balance };
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->props_lock, NULL);
	return p;
}

void plugins_free(struct plugins *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n; i++) {
		pthread_mutex_destroy(&p->list[i]->lock);
		free((char *)(uintptr_t)p->list[i]->spec.ptr);
		free(p->list[i]);
	}
	props_unref(p->props);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->props_lock);
	free(p);
}

/* --- loading --- */

/* Caller holds the lock. */
static struct plugin *find(const struct plugins *p, struct str spec, const struct vine_plugin *table)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (table ? p->list[i]->table == table : p->list[i]->spec.len && str_eq(p->list[i]->spec, spec))
			return p->list[i];
	}
	return NULL;
}

/* Caller holds the lock. The table has not been seen before. */
static int take(struct plugins *p, const struct vine_plugin *table, struct str spec, struct plugin **ret, struct err *e)
{
	struct plugin *pl;
	int r = plugin_judge(table, e);

	if (r < 0)
		return r;
	if (p->n == PLUGINS_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d plugins", PLUGINS_MAX);
	r = table->init && !p->only_judges ? table->init(&p->host) : 0;
	if (r < 0)
		return err_set(e, VINE_EINVAL, "%s: its init failed (%d)", table->name, r);
	pl = xzalloc(sizeof(*pl));
	pl->table = table;
	pl->host = &p->host;
	pthread_mutex_init(&pl->lock, NULL);
	pl->spec = spec.len ? str_of(str_dup(spec), spec.len) : STR_EMPTY;
	p->list[p->n++] = pl;
	*ret = pl;
	return 0;
}

/* Stays loaded also when the table is then refused: its constructors may have left something behind that points into it. */
static int open_table(struct str spec, const struct vine_plugin **ret, struct err *e)
{
	ptrdiff_t colon = str_rchr(spec, ':');
	_cleanup_(freep) char *path = NULL, *symbol = NULL;
	void *so;

	if (colon <= 0)
		return err_set(e, VINE_EINVAL, "no path:symbol");
	path = str_dup(str_slice(spec, 0, (size_t)colon));
	symbol = str_dup(str_slice(spec, (size_t)colon + 1, spec.len));
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so)
		return err_set(e, VINE_EIO, "cannot be loaded: %s", dlerror());
	*ret = dlsym(so, symbol);
	if (!*ret)
		return err_set(e, VINE_ENOTFOUND, "%s has no symbol %s", path, symbol);
	return 0;
}

static int check_kind(const struct plugin *pl, enum vine_plugin_kind kind, struct err *e)
{
	if (pl->table->kind == (uint32_t)kind)
		return 0;
	return err_set(e, VINE_EINVAL, "%s is a %s, not a %s", pl->table->name, plugin_kind_name(pl->table->kind),
		       plugin_kind_name(kind));
}

int plugins_load(struct plugins *p, struct str spec, enum vine_plugin_kind kind, struct plugin **ret, struct err *e)
{
	const struct vine_plugin *table = NULL;
	struct plugin *pl;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	pl = find(p, spec, NULL);
	if (!pl) {
		r = open_table(spec, &table, e);
		if (r == 0)
			r = take(p, table, spec, &pl, e);
	}
	pthread_mutex_unlock(&p->lock);
	if (r == 0)
		r = check_kind(pl, kind, e);
	if (r < 0)
		return err_prefix(e, "%.*s", STRF(spec));
	*ret = pl;
	return 0;
}

int plugins_adopt(struct plugins *p, const struct vine_plugin *table, struct plugin **ret, struct err *e)
{
	struct plugin *pl;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	pl = find(p, STR_EMPTY, table);
	if (!pl)
		r = take(p, table, STR_EMPTY, &pl, e);
	pthread_mutex_unlock(&p->lock);
	if (r == 0)
		*ret = pl;
	return r;
}

/* --- use --- */

const struct vine_plugin *plugin_table(const struct plugin *pl)
{
	return pl->table;
}

struct str plugin_name(const struct plugin *pl)
{
	return str_from(pl->table->name);
}

static uint8_t init_on_worker(struct plugin *pl, unsigned worker, _Atomic uint8_t *state)
{
	uint8_t is;

	pthread_mutex_lock(&pl->lock);
	is = atomic_load(state);
	if (is == WORKER_NEW) {
		is = pl->table->worker_init && pl->table->worker_init(pl->host, worker) < 0 ? WORKER_FAILED
											    : WORKER_FINE;
		atomic_store_explicit(state, is, memory_order_release);
	}
	pthread_mutex_unlock(&pl->lock);
	return is;
}

bool plugin_on_worker(struct plugin *pl, unsigned worker)
{
	_Atomic uint8_t *state = &pl->worker[worker % PLUGIN_WORKERS_MAX];
	uint8_t is = atomic_load_explicit(state, memory_order_acquire);

	if (unlikely(is == WORKER_NEW))
		is = init_on_worker(pl, worker, state);
	return is == WORKER_FINE;
}
