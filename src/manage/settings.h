/* settings.h - what the process itself wants to know from the properties, read once at the start (and what may change
 * while running, at each reload). */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "http/context.h"
#include "net/addr.h"

struct host_opts;
struct props;
struct role_ops;

struct settings {
	struct addr address;
	bool has_management; /* a port of its own */
	struct addr management;
	struct contexts paths;
	unsigned workers;
	usec drain_time;
	bool has_data_dir; /* vine.data-dir is set */
	char data_dir[200];
	char app_name[64];
};

int settings_read(struct settings *s, const struct props *p, const struct role_ops *ops, const struct host_opts *opts,
		  struct err *e);
/* Where a role listens under `vine up`: vine.up.ports.<role>; the gateway, which is what clients see, else server.port. */
uint16_t settings_up_port(const struct props *p, const struct role_ops *ops);
