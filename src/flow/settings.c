/* settings.c - the rules that properties must keep. */
#include "flow/settings.h"

#include "flow/window.h"

#define SPAN_MAX_MS ((msec)24 * 3600 * 1000)
#define TRIALS_MAX 1000
#define CALLS_MAX 10000 /* of a count-based window */
#define THREADS_MAX 65536

#define COMMAND "hystrix.command"
#define OURS "vine.command"
#define POOL "hystrix.threadpool"
#define COLLAPSER "hystrix.collapser"

struct range_rule {
	const char *family, *name;
	int64_t value, min, max;
};

static int check_ranges(const struct range_rule *rules, size_t n, struct str key, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct range_rule *r = &rules[i];

		if (r->value < r->min || r->value > r->max)
			return err_set(e, VINE_EINVAL, "%s.%.*s.%s is %lld: must be from %lld to %lld", r->family, STRF(key),
				       r->name, (long long)r->value, (long long)r->min, (long long)r->max);
	}
	return 0;
}

static int check_window(const char *family, struct str key, const char *name, msec length, uint32_t buckets, struct err *e)
{
	if (length % buckets != 0)
		return err_set(e, VINE_EINVAL, "%s.%.*s.metrics.%s.timeInMilliseconds: %lld ms do not divide into %u buckets",
			       family, STRF(key), name, (long long)length, buckets);
	return 0;
}

static int check_health(const struct cmd_settings *s, struct str key, struct err *e)
{
	if (s->window_ms / s->health_interval_ms <= WINDOW_BUCKETS_MAX)
		return 0;
	return err_set(e, VINE_EINVAL,
		       COMMAND ".%.*s.metrics.healthSnapshot.intervalInMilliseconds is %lld: at most %d of them may fit into "
		       "metrics.rollingStats.timeInMilliseconds (%lld)",
		       STRF(key), (long long)s->health_interval_ms, WINDOW_BUCKETS_MAX, (long long)s->window_ms);
}

/* A window of so many calls cannot ever hold the volume that is asked for: the circuit would never open. */
static int check_count_window(const struct cmd_settings *s, struct str key, struct err *e)
{
	if (!s->count_window || s->volume_threshold <= s->count_window)
		return 0;
	return err_set(e, VINE_EINVAL,
		       OURS ".%.*s.count-window is %u: must be at least circuitBreaker.requestVolumeThreshold (%u), or the circuit "
		       "never opens",
		       STRF(key), s->count_window, s->volume_threshold);
}

int cmd_settings_check(const struct cmd_settings *s, struct str key, struct err *e)
{
	const struct range_rule rules[] = {
		{ COMMAND, "execution.isolation.thread.timeoutInMilliseconds", s->timeout_ms, 1, SPAN_MAX_MS },
		{ COMMAND, "execution.isolation.semaphore.maxConcurrentRequests", s->semaphore_max, 0, INT32_MAX },
		{ COMMAND, "fallback.isolation.semaphore.maxConcurrentRequests", s->fallback_max, 0, INT32_MAX },
		{ COMMAND, "circuitBreaker.requestVolumeThreshold", s->volume_threshold, 0, INT32_MAX },
		{ COMMAND, "circuitBreaker.errorThresholdPercentage", s->error_threshold_pct, 0, 100 },
		{ COMMAND, "circuitBreaker.sleepWindowInMilliseconds", s->sleep_window_ms, 0, SPAN_MAX_MS },
		{ COMMAND, "metrics.rollingStats.timeInMilliseconds", s->window_ms, 1, SPAN_MAX_MS },
		{ COMMAND, "metrics.rollingStats.numBuckets", s->window_buckets, 1, WINDOW_BUCKETS_MAX },
		{ COMMAND, "metrics.rollingPercentile.timeInMilliseconds", s->percentile_ms, 1, SPAN_MAX_MS },
		{ COMMAND, "metrics.rollingPercentile.numBuckets", s->percentile_buckets, 1, WINDOW_BUCKETS_MAX },
		{ COMMAND, "metrics.healthSnapshot.intervalInMilliseconds", s->health_interval_ms, 1, s->window_ms },
		{ OURS, "half-open-trials", s->half_open_trials, 1, TRIALS_MAX },
		{ OURS, "slow-call-duration", s->slow_call_ms, 0, SPAN_MAX_MS },
		{ OURS, "slow-call-rate-threshold", s->slow_threshold_pct, 1, 100 },
		{ OURS, "count-window", s->count_window, 0, CALLS_MAX },
		{ OURS, "sleep-window-max", s->sleep_max_ms, 0, SPAN_MAX_MS },
		{ OURS, "sleep-window-jitter", s->sleep_jitter_pct, 0, 100 },
		{ OURS, "fallback-timeout", s->fallback_ms, 0, SPAN_MAX_MS },
		{ OURS, "concurrency-limit-min", s->limit_min, 1, INT32_MAX },
		{ OURS, "concurrency-limit-max", s->limit_max, s->limit_min, INT32_MAX },
		{ OURS, "concurrency-limit-latency", s->limit_latency_ms, 0, SPAN_MAX_MS },
	};
	int r = check_ranges(rules, ARRAY_LEN(rules), key, e);

	if (r == 0)
		r = check_window(COMMAND, key, "rollingStats", s->window_ms, s->window_buckets, e);
	if (r == 0)
		r = check_window(COMMAND, key, "rollingPercentile", s->percentile_ms, s->percentile_buckets, e);
	if (r == 0)
		r = check_health(s, key, e);
	if (r == 0)
		r = check_count_window(s, key, e);
	return r;
}

int pool_settings_check(const struct pool_settings *s, struct str key, struct err *e)
{
	const struct range_rule rules[] = {
		{ POOL, "coreSize", s->core_size, 1, THREADS_MAX },
		{ POOL, "maximumSize", s->maximum_size, s->diverge ? s->core_size : 1, THREADS_MAX },
		{ POOL, "keepAliveTimeMinutes", s->keep_alive_min, 0, 24 * 60 },
		{ POOL, "maxQueueSize", s->max_queue_size, -1, 1000000 },
		{ POOL, "queueSizeRejectionThreshold", s->queue_rejection, 0, 1000000 },
		{ POOL, "metrics.rollingStats.timeInMilliseconds", s->window_ms, 1, SPAN_MAX_MS },
		{ POOL, "metrics.rollingStats.numBuckets", s->window_buckets, 1, WINDOW_BUCKETS_MAX },
	};
	int r = check_ranges(rules, ARRAY_LEN(rules), key, e);

	return r ? r : check_window(POOL, key, "rollingStats", s->window_ms, s->window_buckets, e);
}

int collapser_settings_check(const struct collapser_settings *s, struct str key, struct err *e)
{
	const struct range_rule rules[] = {
		{ COLLAPSER, "maxRequestsInBatch", s->batch_max, 1, INT32_MAX },
		{ COLLAPSER, "timerDelayInMilliseconds", s->delay_ms, 1, SPAN_MAX_MS },
		{ COLLAPSER, "metrics.rollingStats.timeInMilliseconds", s->window_ms, 1, SPAN_MAX_MS },
		{ COLLAPSER, "metrics.rollingStats.numBuckets", s->window_buckets, 1, WINDOW_BUCKETS_MAX },
		{ COLLAPSER, "metrics.rollingPercentile.timeInMilliseconds", s->percentile_ms, 1, SPAN_MAX_MS },
		{ COLLAPSER, "metrics.rollingPercentile.numBuckets", s->percentile_buckets, 1, WINDOW_BUCKETS_MAX },
	};
	int r = check_ranges(rules, ARRAY_LEN(rules), key, e);

	if (r == 0)
		r = check_window(COLLAPSER, key, "rollingStats", s->window_ms, s->window_buckets, e);
	if (r == 0)
		r = check_window(COLLAPSER, key, "rollingPercentile", s->percentile_ms, s->percentile_buckets, e);
	return r;
}
