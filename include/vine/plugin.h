/* vine/plugin.h - code of your own in Vine: tables of functions.
 *
 * A plugin is a const table that begins with struct vine_plugin: its size, the version of this interface, its kind, a name.
 * libvine takes it by pointer (vine_app_use, vine/app.h). Every role takes it from a shared object that a property names as
 * path:symbol, "/usr/lib/shop/rules.so:cheapest"; the path has a '/' in it, and is taken from the process's own folder if it
 * does not begin with one. A table with a missing function, of another kind or of another version is refused when it is
 * loaded, and so is the configuration that names it.
 *
 * A shared object needs no libvine: all that it may ask of Vine comes as a table too, struct vine_host. It is loaded once a
 * process and never unloaded; a changed file is loaded by the next process.
 *
 * Threads   In the gateway, choosing functions are called on the worker that proxies the request: they must not block, for a
 *           worker serves many. What belongs to a worker is made in worker_init, which runs on the worker's own thread before
 *           its first use there. Everything else, init too, is called on the control thread, which must not block either.
 *           libvine calls choosing functions on the thread that calls; worker is 0 for all of them there, and several
 *           may be inside at once. */
#pragma once
#include <vine/base.h>

#define VINE_PLUGIN_ABI 1

/* vine/balance.h has the tables. */
enum vine_plugin_kind {
	VINE_PLUGIN_RULE = 1,
	VINE_PLUGIN_PING,
	VINE_PLUGIN_LIST,
	VINE_PLUGIN_FILTER,
	VINE_PLUGIN_UPDATER,
	VINE_PLUGIN_CONFIG,
	VINE_PLUGIN_BALANCER,
};

struct vine_balance_host;
struct vine_host;

/* The beginning of every table. */
struct vine_plugin {
	uint32_t size;                             /* sizeof the whole table */
	uint32_t abi;                              /* VINE_PLUGIN_ABI */
	uint32_t kind;                             /* enum vine_plugin_kind */
	uint32_t flags;                            /* 0 */
	const char *name;                          /* shown in logs, errors and explanations; required */
	int (*init)(const struct vine_host *host); /* once a process; 0, or negative: it is refused. May be NULL */
	int (*worker_init)(const struct vine_host *host, unsigned worker); /* the same on each worker. May be NULL */
};

/* .plugin = VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, "cheapest") */
#define VINE_PLUGIN(table, kind_, name_)                                                                               \
	{                                                                                                              \
		.size = sizeof(table), .abi = VINE_PLUGIN_ABI, .kind = (kind_), .name = (name_)                        \
	}

enum vine_plugin_level { VINE_PLUGIN_DEBUG, VINE_PLUGIN_INFO, VINE_PLUGIN_WARN, VINE_PLUGIN_ERROR };

/* What Vine offers. It lives as long as the role, or the app of libvine that took the table. Later versions add members: `size` tells which are there. */
struct vine_host {
	uint32_t size, abi;
	const char *version; /* "0.1.0" */
	/* A line in the log. Any thread. */
	void (*log)(const struct vine_host *host, enum vine_plugin_level level, const char *text);
	/* Copies the value of a key of the configuration, also of your own, NUL-terminated and cut to fit; returns its whole
	 * length, -1: not set. Any thread. */
	int (*property)(const struct vine_host *host, const char *key, char *buf, size_t room);
	const struct vine_balance_host *balance; /* vine/balance.h */
};
