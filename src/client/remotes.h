/* remotes.h - the services that this process calls: their servers, balancers, commands and settings.
 *
 * A remote is one service, a link one command key towards it. Both are made at the first call, live as long as the app and
 * are few: their names are the programmer's. A remote's list of servers is an immutable counted picture, made anew when the
 * registry's view has changed; what is known of a server (load, failures, ejection) outlives it.
 *
 * Threads   Any; one mutex guards the two tables, one a remote its list. Both are leaves. */
#pragma once
#include "flow/balance.h"
#include "client/threads.h"
#include "flow/command.h"
#include "flow/retry.h"

struct remotes;
struct vine_app;

struct servers {
	_Atomic uint32_t refs;
	uint64_t version; /* of the view; 0: configured */
	uint32_t n;
	struct fserver *at[];
};

struct remote {
	struct str name;
	bool configured; /* listOfServers, not the registry */
	struct balancer balancer;
	struct outlier_settings outlier;
	struct retry_settings retry;
	usec connect_timeout, read_timeout;
	pthread_mutex_t lock; /* guards servers */
	struct servers *servers;
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
/* VINE_EINVAL: the settings are wrong; VINE_ELIMIT: too many links. It lives as long as the app. */
int remotes_link(struct remotes *r, struct str service, struct str command, struct str group, usec now, struct link **ret,
		 struct err *e);
/* The present servers; unref them. */
struct servers *remote_take_servers(struct remotes *r, struct remote *rm, usec now);
void servers_unref(struct servers *s);

struct command_table *remotes_commands(struct remotes *r);
struct keyed_table *remotes_pools(struct remotes *r); /* of struct pool */
/* A command_settings_fn over the links; what no link names gets the defaults. */
const struct cmd_settings *remotes_settings_of(void *remotes, struct str key);
