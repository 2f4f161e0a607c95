/* policy.h - the properties of Hystrix and Ribbon, resolved for one command key and for one service. Pure. */
#pragma once
#include "client/remotes.h"

struct props;

/* hystrix.command.<key>.*, then hystrix.command.default.*, then what is built in. VINE_EINVAL: they do not fit together. */
int policy_command(struct cmd_settings *ret, const struct props *p, struct str key, struct err *e);
/* <client>.ribbon.*, then ribbon.*, then what is built in: fills in all but name, lock and servers. */
int policy_remote(struct remote *ret, const struct props *p, struct str client, struct err *e);
