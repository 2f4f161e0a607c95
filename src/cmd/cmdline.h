/* cmdline.h - the command line: vine [OPTION] COMMAND [-c FILE] [--key=value ...] [ARGUMENT ...]. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#define CMDLINE_MAX 256

struct cmdline {
	const char *program, *command; /* command NULL: none was given */
	const char *config;            /* -c FILE, --config FILE */
	const char *props[CMDLINE_MAX]; /* "key=value" of --key=value */
	size_t n_props;
	const char *args[CMDLINE_MAX]; /* what is no option */
	size_t n_args;
	bool help, version, single, force, no_plugins;
	const char *default_address; /* --default-address, from a supervisor */
	int ready_fd;                /* --ready-fd, from a supervisor; 0: stdout */
};

int cmdline_parse(struct cmdline *ret, int argc, char *const *argv, struct err *e);
