/* remotes.h - the services that this process calls: their servers, balancers and settings.
 *
 * A remote is one service, a link one command key towards it (client/commands.h). Both are made at the first call, live as
 * long as the app and are few: their names are the programmer's. How a remote's servers are found and chosen is ribbon/'s, as
 * in the gateway; its set of servers is made anew by the next call after the registry's view has changed, or when its updater
 * or filter wants it. What the properties say of it is a counted picture, which remotes_publish replaces: a call keeps the one
 * that it began with.
 *
 * Threads   Any; one mutex guards the tables, one a remote its list and settings, which is taken within the first. */
#pragma once
#include "client/commands.h"
#include "ribbon/ribbon.h"

struct remotes;
struct vine_app;

/* What the properties say of a remote. Immutable, counted. */
struct remote_settings {
	struct shared shared;
	struct props *props; /* a reference: texts are borrowed from it, or lie in the arena */
	struct arena texts;
	struct ribbon_settings lb;
	struct balancer *balancer; /* lives as long as the ribbon */
};

struct remote {
	struct ribbon *ribbon;
	pthread_mutex_t lock;  /* guards the ribbon, but for what is for every thread, and the rest */
	struct remote_settings *settings;
	bool is_changed;       /* the settings, since the set was made */
	struct server_set *set;
	uint64_t view_version; /* of the view that the set was made of */
	usec next_update;      /* when it is to be made anew all the same */
};

struct link {
	struct remote *remote;
	struct command_entry *entry;
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
/* The present servers, and what holds for choosing among them (settings may be NULL); unref both. */
struct server_set *remote_take_servers(struct remotes *r, struct remote *rm, usec now, struct remote_settings **settings);
void remote_settings_unref(struct remote_settings *rs); /* NULL is fine */

/* New properties, judged as a whole before. Negative: what they say of a service that is called cannot be carried out, and
 * nothing has changed. The loop thread's. */
int remotes_publish(struct remotes *r, struct props *p, struct err *e);

/* Calls fn with each service that was ever called, or (name) with that one; its ribbon must not change meanwhile, so fn is
 * short. Returns how many. The loop thread's. */
struct balancer_view;
size_t remotes_look(struct remotes *r, struct str name, void (*fn)(void *ctx, const struct balancer_view *v), void *ctx);

struct commands *remotes_commands(struct remotes *r);
