/* cmd.h - the subcommands, and the roles that `vine up` can start. */
#pragma once
#include "cmd/cmdline.h"

struct host_opts;
struct role_ops;

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *args;    /* for the usage line; may be "" */
	const char *summary; /* one line */
	const char *help;    /* more, or NULL */
	int (*run)(const struct command *cmd, const struct cmdline *cl); /* the exit code */
	const struct role_ops *role; /* of commands that are roles */
};

extern const struct command commands[]; /* ends with a NULL name */

const struct command *command_find(const char *name);
void command_usage(const struct command *cmd); /* on stdout; NULL: of vine itself */
struct host_opts host_opts_of(const struct cmdline *cl);

int cmd_up(const struct command *cmd, const struct cmdline *cl);
int cmd_init(const struct command *cmd, const struct cmdline *cl);
int cmd_check(const struct command *cmd, const struct cmdline *cl);
int cmd_show_config(const struct command *cmd, const struct cmdline *cl);
int cmd_help(const struct command *cmd, const struct cmdline *cl);
