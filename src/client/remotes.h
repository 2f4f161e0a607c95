/* remotes.h - the services that this process calls: their servers, balancers, commands and settings.
 *
 * A remote is one service, a link one command key towards it. Both are made at the first call, live as long as the app and
 * are few: their names are the programmer's. How a remote's servers are found and chosen is ribbon/'s, as in the gateway; its
 * set of servers is made anew by the next call after the registry's view has changed, or when its updater or filter wants it.
 *
 * Threads   Any; one mutex guards the two tables, one a remote its list. Both are leaves. */
#pragma once
#include "client/threads.h"
#include "flow/command.h"
#include "ribbon/ribbon.h"

struct remotes;
struct vine_app;

struct remote {
	struct ribbon *ribbon;
	struct ribbon_settings lb;
	struct balancer *balancer;
	struct arena texts;    /* of the settings */
	pthread_mutex_t lock;  /* guards the ribbon, but for what is for every thread, and the rest */
	struct server_set *set;
	uint64_t view_version; /* of the view that the set was made of */
	usec next_update;      /* when it is to be made anew all the same */
};

struct link {
	struct remote *remote;
	struct command *command;
	struct cmd_settings settings;
	struct threads *threads; /* THREAD isolation; else NULL */
	char *key; /* in the table: "service\tcommand" */
};

struct remotes *remotes_new(struct vine_app *app);
void remotes_free(struct remotes *r); /* NULL is fine; no call is running */
/* Pings, on the loop thread: begun before it runs or on it, ended after it or on it. */
void remotes_begin_upkeep(struct remotes *r);
void remotes_end_upkeep(struct remotes *r); /* NULL is fine */
/* VINE_EINVAL: the settings are wrong; VINE_ELIMIT: too many links. It lives as long as the app. */
int remotes_link(struct remotes *r, struct str service, struct str command, struct str group, usec now, struct link **ret,
		 struct err *e);
/* The present servers; unref them. */
struct server_set *remote_take_servers(struct remotes *r, struct remote *rm, usec now);

struct command_table *remotes_commands(struct remotes *r);
struct keyed_table *remotes_pools(struct remotes *r); /* of struct pool */
/* A command_settings_fn over the links; what no link names gets the defaults. */
const struct cmd_settings *remotes_settings_of(void *remotes, struct str key);
