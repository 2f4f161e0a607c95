/* policy.c - see policy.h. */
#include "client/policy.h"

#include "flow/properties.h"
#include "props/props.h"

#define STRATEGY "hystrix.command.{key}.execution.isolation.strategy"
#define RIBBON "{client}.ribbon."

static uint32_t u32(const struct props *p, const char *name, struct str key)
{
	int64_t v = props_int_of(p, name, key);

	return v < 0 ? 0 : (uint32_t)MIN(v, (int64_t)UINT32_MAX);
}

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

static void retry_statuses(struct retry_settings *rs, const struct props *p, struct str client)
{
	struct str list[RETRY_STATUSES_MAX];
	size_t n = props_list(p, RIBBON "retryableStatusCodes", client, list, ARRAY_LEN(list));

	for (size_t i = 0; i < n; i++) {
		uint64_t status;

		if (str_to_u64(str_trim(list[i]), &status) && status >= 100 && status <= 599)
			rs->statuses[rs->status_count++] = (uint16_t)status;
	}
}

int policy_remote(struct remote *ret, const struct props *p, struct str client, struct err *e)
{
	struct str rule = props_str_of(p, RIBBON "NFLoadBalancerRuleClassName", client);
	const struct balance_ops *ops = rule.len ? balance_by_name(rule) : balance_at(0);

	if (!ops)
		return err_set(e, VINE_EINVAL, "%.*s.ribbon.NFLoadBalancerRuleClassName: no rule is called %.*s", STRF(client), STRF(rule));
	ret->outlier = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	ret->retry = (struct retry_settings)RETRY_SETTINGS_DEFAULT;
	ret->retry.same = u32(p, RIBBON "MaxAutoRetries", client);
	ret->retry.next = u32(p, RIBBON "MaxAutoRetriesNextServer", client);
	ret->retry.all_operations = props_bool_of(p, RIBBON "OkToRetryOnAllOperations", client);
	retry_statuses(&ret->retry, p, client);
	ret->connect_timeout = props_ms_of(p, RIBBON "ConnectTimeout", client) * USEC_PER_MSEC;
	ret->read_timeout = props_ms_of(p, RIBBON "ReadTimeout", client) * USEC_PER_MSEC;
	ret->configured = props_str_of(p, RIBBON "listOfServers", client).len > 0;
	balancer_init(&ret->balancer, ops);
	return 0;
}
