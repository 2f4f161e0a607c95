/* reload.h - the configuration, read again while the app runs.
 *
 * The files are looked at once a second by size and time of change, which also works where they are mounted from elsewhere;
 * SIGHUP under vine_app_run and vine_app_reload read them whatever they look like. Reading may block, so it is a job; what
 * was read is judged as at the start, by the services that are called as well, and put in force on the loop thread, or
 * changes nothing and is an error in the log.
 *
 * What follows it: hystrix.*, vine.command.*, ribbon and its families, vine.loadbalancer.*, logging.level.*, vine.log.format,
 * vine.management.user and -password, the files of TLS identities, the registries (eureka.client.*) and what the instance says
 * of itself there (eureka.instance.*), and the user's own keys (vine_app_property). All else holds from the next start on, also
 * whether there are registries and whether they are read (eureka.client.enabled and -fetch-registry). */
#pragma once

struct vine_app;

void reload_begin(struct vine_app *app); /* before the loop runs */
void reload_end(struct vine_app *app);   /* after it has ended, before the mailbox goes; fine without a begin */
void reload_advance(struct vine_app *app); /* the loop thread, each turn: reads again if somebody asked */
