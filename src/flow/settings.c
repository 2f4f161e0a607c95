/* settings.c - the rules that properties must keep. */
#include "flow/settings.h"

#include "flow/window.h"

#define SPAN_MAX_MS ((msec)24 * 3600 * 1000)
#define TRIALS_MAX 1000

struct range_rule {
	const char *name;
	int64_t value, min, max;
};

static int check_ranges(const struct range_rule *rules, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].value < rules[i].min || rules[i].value > rules[i].max)
			return err_set(e, VINE_EINVAL, "%s is %lld: must be from %lld to %lld", rules[i].name,
				       (long long)rules[i].value, (long long)rules[i].min, (long long)rules[i].max);
	return 0;
}

static int check_window(const char *name, msec length, uint32_t buckets, struct err *e)
{
	if (length % buckets != 0)
		return err_set(e, VINE_EINVAL, "%s: %lld ms do not divide into %u buckets", name, (long long)length,
			       buckets);
	return 0;
}

int cmd_settings_check(const struct cmd_settings *s, struct err *e)
{
	const struct range_rule rules[] = {
		{ "execution.isolation.thread.timeoutInMilliseconds", s->timeout_ms, 1, SPAN_MAX_MS },
		{ "execution.isolation.semaphore.maxConcurrentRequests", s->semaphore_max, 0, INT32_MAX },
		{ "fallback.isolation.semaphore.maxConcurrentRequests", s->fallback_max, 0, INT32_MAX },
		{ "circuitBreaker.requestVolumeThreshold", s->volume_threshold, 0, INT32_MAX },
		{ "circuitBreaker.errorThresholdPercentage", s->error_threshold_pct, 0, 100 },
		{ "circuitBreaker.sleepWindowInMilliseconds", s->sleep_window_ms, 0, SPAN_MAX_MS },
		{ "metrics.rollingStats.timeInMilliseconds", s->window_ms, 1, SPAN_MAX_MS },
		{ "metrics.rollingStats.numBuckets", s->window_buckets, 1, WINDOW_BUCKETS_MAX },
		{ "metrics.rollingPercentile.timeInMilliseconds", s->percentile_ms, 1, SPAN_MAX_MS },
		{ "metrics.rollingPercentile.numBuckets", s->percentile_buckets, 1, WINDOW_BUCKETS_MAX },
		{ "metrics.healthSnapshot.intervalInMilliseconds", s->health_interval_ms, 1, s->window_ms },
		{ "half-open-trials", s->half_open_trials, 1, TRIALS_MAX },
		{ "slow-call-duration", s->slow_call_ms, 0, SPAN_MAX_MS },
		{ "slow-call-rate-threshold", s->slow_threshold_pct, 1, 100 },
		{ "sleep-window-max", s->sleep_max_ms, 0, SPAN_MAX_MS },
		{ "sleep-window-jitter", s->sleep_jitter_pct, 0, 100 },
	};
	int r = check_ranges(rules, ARRAY_LEN(rules), e);

	if (r == 0)
		r = check_window("metrics.rollingStats.timeInMilliseconds", s->window_ms, s->window_buckets, e);
	if (r == 0)
		r = check_window("metrics.rollingPercentile.timeInMilliseconds", s->percentile_ms,
				 s->percentile_buckets, e);
	if (r == 0 && s->window_ms / s->health_interval_ms > WINDOW_BUCKETS_MAX)
		r = err_set(e, VINE_EINVAL,
			    "metrics.healthSnapshot.intervalInMilliseconds is %lld: at most %d of them may fit into "
			    "metrics.rollingStats.timeInMilliseconds (%lld)",
			    (long long)s->health_interval_ms, WINDOW_BUCKETS_MAX, (long long)s->window_ms);
	return r;
}

int pool_settings_check(const struct pool_settings *s, struct err *e)
{
	const struct range_rule rules[] = {
		{ "coreSize", s->core_size, 1, 10000 },
		{ "maximumSize", s->maximum_size, 1, 10000 },
		{ "keepAliveTimeMinutes", s->keep_alive_min, 0, 24 * 60 },
		{ "maxQueueSize", s->max_queue_size, -1, 1000000 },
		{ "queueSizeRejectionThreshold", s->queue_rejection, 0, 1000000 },
		{ "metrics.rollingStats.timeInMilliseconds", s->window_ms, 1, SPAN_MAX_MS },
		{ "metrics.rollingStats.numBuckets", s->window_buckets, 1, WINDOW_BUCKETS_MAX },
	};
	int r = check_ranges(rules, ARRAY_LEN(rules), e);

	return r ? r : check_window("metrics.rollingStats.timeInMilliseconds", s->window_ms, s->window_buckets, e);
}
