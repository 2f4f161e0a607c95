/* policy.c - see policy.h. */
#include "client/policy.h"

#include "props/props.h"

#define CMD "hystrix.command.{key}."

static uint32_t u32(const struct props *p, const char *name, struct str key)
{
	int64_t v = props_int_of(p, name, key);

	return v < 0 ? 0 : (uint32_t)MIN(v, (int64_t)UINT32_MAX);
}

int policy_command(struct cmd_settings *ret, const struct props *p, struct str key, struct err *e)
{
	struct cmd_settings s = CMD_SETTINGS_DEFAULT;

	/* A call runs on its caller's thread, which its deadline frees on time, so what THREAD is asked for is had without the
	 * hand-off: its default pool of 10 threads without a queue is 10 permits. */
	s.isolation = FLOW_SEMAPHORE;
	s.timeout_enabled = props_bool_of(p, CMD "execution.timeout.enabled", key);
	s.timeout_ms = props_ms_of(p, CMD "execution.isolation.thread.timeoutInMilliseconds", key);
	s.semaphore_max = u32(p, CMD "execution.isolation.semaphore.maxConcurrentRequests", key);
	s.fallback_max = u32(p, CMD "fallback.isolation.semaphore.maxConcurrentRequests", key);
	s.fallback_enabled = props_bool_of(p, CMD "fallback.enabled", key);
	s.breaker_enabled = props_bool_of(p, CMD "circuitBreaker.enabled", key);
	s.volume_threshold = u32(p, CMD "circuitBreaker.requestVolumeThreshold", key);
	s.error_threshold_pct = u32(p, CMD "circuitBreaker.errorThresholdPercentage", key);
	s.sleep_window_ms = props_ms_of(p, CMD "circuitBreaker.sleepWindowInMilliseconds", key);
	s.force_open = props_bool_of(p, CMD "circuitBreaker.forceOpen", key);
	s.force_closed = props_bool_of(p, CMD "circuitBreaker.forceClosed", key);
	s.window_ms = props_ms_of(p, CMD "metrics.rollingStats.timeInMilliseconds", key);
	s.window_buckets = u32(p, CMD "metrics.rollingStats.numBuckets", key);
	s.percentile_enabled = props_bool_of(p, CMD "metrics.rollingPercentile.enabled", key);
	s.percentile_ms = props_ms_of(p, CMD "metrics.rollingPercentile.timeInMilliseconds", key);
	s.percentile_buckets = u32(p, CMD "metrics.rollingPercentile.numBuckets", key);
	s.health_interval_ms = props_ms_of(p, CMD "metrics.healthSnapshot.intervalInMilliseconds", key);
	if (cmd_settings_check(&s, e) < 0)
		return err_prefix(e, "hystrix.command.%.*s", STRF(key));
	*ret = s;
	return 0;
}
