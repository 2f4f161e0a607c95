/* policy.c - see policy.h. */
#include "client/policy.h"

#include "flow/properties.h"
#include "props/props.h"

#define STRATEGY "hystrix.command.{key}.execution.isolation.strategy"

int policy_command(struct cmd_settings *ret, const struct props *p, struct str key, struct err *e)
{
	struct cmd_settings s;
	int r;

	cmd_settings_read(&s, p, key);
	/* A call runs on its caller's thread, which its deadline frees on time, so what THREAD is there for is had without the
	 * hand-off: its default pool of 10 threads without a queue is 10 permits. Who says THREAD gets threads. */
	if (!props_is_set(p, STRATEGY, key, true))
		s.isolation = FLOW_SEMAPHORE;
	r = cmd_settings_check(&s, key, e);
	if (r == 0)
		*ret = s;
	return r;
}
