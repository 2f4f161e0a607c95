/* plugin.h - the one loader of users' tables: by pointer, or from a shared object that a property names as path:symbol.
 *
 * A table is judged before anything of it is called: kind, version, size, no required function missing. Then its init runs,
 * once in the process, and its worker_init once on each worker, at the worker's first use (plugin_on_worker). Nothing is ever
 * unloaded: a plugin lives as long as its struct plugins.
 *
 * Threads   plugins_load and plugins_adopt: any, one at a time (a mutex). plugin_on_worker: the worker's own. */
#pragma once
#include <vine/plugin.h>

#include "base/err.h"
#include "base/log.h"

struct plugin;
struct plugins;
struct props;

#define PLUGIN_WORKERS_MAX 64
#define PLUGINS_MAX 256

struct plugins *plugins_new(const struct logger *log, const struct vine_balance_host *balance);
void plugins_free(struct plugins *p);                           /* NULL is fine; nothing of them is in use any more */
void plugins_set_props(struct plugins *p, struct props *props); /* what host->property reads from now on */
void plugins_only_judge(struct plugins *p); /* from now on tables are judged, and nothing of them is called */
const struct vine_host *plugins_host(const struct plugins *p);

/* The error names the file or symbol, and what is wrong with the table. The same spec gives the same plugin. */
int plugins_load(struct plugins *p, struct str spec, enum vine_plugin_kind kind, struct plugin **ret, struct err *e);
int plugins_adopt(struct plugins *p, const struct vine_plugin *table, struct plugin **ret, struct err *e);

const struct vine_plugin *plugin_table(const struct plugin *pl);
struct str plugin_name(const struct plugin *pl); /* the table's name */
const char *plugin_kind_name(unsigned kind);     /* "rule"; "?": unknown */
/* May this worker call it? Runs its worker_init at the first time; false: that failed, once for all. */
bool plugin_on_worker(struct plugin *pl, unsigned worker);

/* Is this table one that Vine can use? Pure. */
int plugin_judge(const struct vine_plugin *t, struct err *e);
