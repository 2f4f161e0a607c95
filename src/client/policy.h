/* policy.h - the properties of Hystrix, resolved for one command key. Pure. (Ribbon's: ribbon/settings.h.) */
#pragma once
#include "base/err.h"
#include "flow/command.h"

struct props;

/* hystrix.command.<key>.*, then hystrix.command.default.*, then what is built in. VINE_EINVAL: they do not fit together. */
int policy_command(struct cmd_settings *ret, const struct props *p, struct str key, struct err *e);
