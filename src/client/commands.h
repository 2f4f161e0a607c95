/* commands.h - the command keys of this process: each with its circuit, its pool of threads, and what the properties say of
 * it at present; and the collapsers, whose numbers lie beside theirs.
 *
 * An entry is a key with its group. It is made at the first call and lives as long as the app, for keys are the programmer's
 * and few. Its policy is a picture: immutable and counted. commands_publish makes new ones when the properties have changed; a
 * call keeps the one that it began with. So a change works from the next call on, and what is known of a circuit stays.
 *
 * Threads   Any; one leaf mutex guards the tables, no call waits for it while a run is under way. commands_publish and
 *           commands_settings_of are the loop thread's. */
#pragma once
#include "client/threads.h"
#include "flow/collapser.h"
#include "flow/command.h"

struct commands;
struct logger;
struct props;

#define COMMANDS_MAX 4096
#define COLLAPSERS_MAX 1024

/* What the properties say of an entry. */
struct policy {
	struct shared shared;
	struct props *props; /* a reference: texts of the settings are borrowed from it */
	struct cmd_settings settings;
	struct threads *threads; /* THREAD isolation; else NULL. Lives as long as the app */
};

struct command_entry {
	struct command *command;
	struct policy *policy; /* guarded by the commands' lock: take a reference */
	char *key;             /* in the table: "command\tgroup" */
};

struct commands *commands_new(struct props *p, uint64_t seed); /* takes a reference of its own */
/* Waits for functions that still run. NULL is fine; no call is running. */
void commands_free(struct commands *c);

/* VINE_EINVAL: the settings are wrong; VINE_ELIMIT: too many. */
int commands_take(struct commands *c, struct str key, struct str group, usec now, struct command_entry **ret, struct err *e);
int commands_check(struct commands *c, struct str key, struct str group, struct err *e); /* the same, making nothing */
struct policy *commands_policy(struct commands *c, struct command_entry *en); /* what holds now; unref it */
void policy_unref(struct policy *pl); /* NULL is fine */

/* New properties, judged before (flow_properties_check). An entry whose settings cannot be carried out all the same, because
 * there are too many pools, keeps those it has, and the log says so. */
void commands_publish(struct commands *c, struct props *p, const struct logger *log);

/* Keys that have been idle for longer than their windows give memory back; none is dropped. Every few seconds; the loop
 * thread's. */
void commands_sweep(struct commands *c, usec now);

/* The collapser of that key, a reference of yours. VINE_ELIMIT: too many. */
int commands_take_collapser(struct commands *c, struct str key, usec now, struct collapser **ret, struct err *e);
void commands_collapser_settings(struct commands *c, struct str key, struct collapser_settings *ret);

struct command_table *commands_table(struct commands *c);
struct keyed_table *commands_pools(struct commands *c);      /* of struct pool */
struct keyed_table *commands_collapsers(struct commands *c); /* of struct collapser */
/* A command_settings_fn: of the first entry of that key; what none has gets the defaults. Until the next commands_publish. */
const struct cmd_settings *commands_settings_of(void *commands, struct str key);
