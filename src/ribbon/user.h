/* user.h - users' tables (vine/balance.h) where Vine's own parts could stand.
 *
 * A part is one plugin's state for one client: made when a client first names it, kept until the client ends, for workers may
 * still be choosing by it. */
#pragma once
#include "flow/balance.h"
#include "plugin/plugin.h"
#include "ribbon/servers.h"

struct ribbon;
struct vine_refresh;

struct user_part {
	struct user_part *next;
	struct plugin *plugin;
	const char *client;
	void *state;
	bool started; /* of an updater */
};

struct user_part *user_part_new(struct plugin *pl, const struct vine_host *host, const char *client);
void user_part_free(struct user_part *u); /* stops it first */

/* Rules and balancers: ops of a struct balancer whose user is a struct user_part. */
extern const struct balance_ops user_rule, user_balancer;

int user_config_get(struct user_part *u, const char *key, char *buf, size_t room);
/* The user's list into the draft; negative: it keeps the old one. */
int user_list_fill(struct user_part *u, struct server_drafts *d);
/* Keeps of set what the filter keeps. */
void user_filter_apply(struct user_part *u, struct server_set *set);
bool user_ping_alive(struct user_part *u, const struct fserver *s);
int user_updater_start(struct user_part *u, struct vine_refresh *refresh);

extern const struct vine_balance_host user_host; /* what users' tables may ask */
