/* membership.h - this service's place in the registry: registered, kept alive, left; and what the registry knows of others.
 * On the loop thread, but for membership_take_view. */
#pragma once
#include "base/err.h"

struct eureka_client;
struct eureka_view;
struct membership;
struct vine_app;

/* Begins at once; the app listens already. *ret stays NULL where eureka.client.enabled is false. Where
 * eureka.client.should-enforce-registration-at-init is true it returns once the registration is accepted, or with what was
 * wrong; *ret is set then, too. */
int membership_new(struct membership **ret, struct vine_app *app, struct err *e);
bool membership_is_registered(const struct membership *m);
/* Says goodbye; left(app) comes once that is over or given up. */
void membership_leave(struct membership *m, void (*left)(struct vine_app *app));
void membership_look(struct membership *m); /* the health has changed */
void membership_props(struct membership *m); /* app->props are others now */
struct eureka_client *membership_client(struct membership *m);
void membership_free(struct membership *m); /* NULL is fine */

/* The present picture, to unref; NULL: none yet. Any thread, while the app runs. */
struct eureka_view *membership_take_view(struct membership *m);
