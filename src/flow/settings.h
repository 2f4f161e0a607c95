/* settings.h - the resolved properties of one command, pool or balancer, as they come with each call.
 *
 * Flow objects keep no copy of a property: who calls resolves them (default and per key, file, environment, config server)
 * into one of these and passes it as a const pointer, so that a change works from the next call on. A changed window
 * rebuilds that window and keeps the breaker's state. */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

enum flow_isolation {
	FLOW_SEMAPHORE,
	FLOW_THREAD,
};

/* hystrix.command.<key>.*; the last block is what later libraries have, off unless asked for. */
struct cmd_settings {
	enum flow_isolation isolation;       /* execution.isolation.strategy */
	bool timeout_enabled;                /* execution.timeout.enabled */
	msec timeout_ms;                     /* execution.isolation.thread.timeoutInMilliseconds */
	bool interrupt_on_timeout;           /* execution.isolation.thread.interruptOnTimeout */
	bool interrupt_on_cancel;            /* execution.isolation.thread.interruptOnFutureCancel */
	uint32_t semaphore_max;              /* execution.isolation.semaphore.maxConcurrentRequests */
	uint32_t fallback_max;               /* fallback.isolation.semaphore.maxConcurrentRequests */
	bool fallback_enabled;               /* fallback.enabled */
	bool breaker_enabled;                /* circuitBreaker.enabled */
	uint32_t volume_threshold;           /* circuitBreaker.requestVolumeThreshold */
	uint32_t error_threshold_pct;        /* circuitBreaker.errorThresholdPercentage */
	msec sleep_window_ms;                /* circuitBreaker.sleepWindowInMilliseconds */
	bool force_open, force_closed;       /* circuitBreaker.forceOpen wins over forceClosed */
	msec window_ms;                      /* metrics.rollingStats.timeInMilliseconds */
	uint32_t window_buckets;             /* metrics.rollingStats.numBuckets */
	bool percentile_enabled;             /* metrics.rollingPercentile.enabled */
	msec percentile_ms;                  /* metrics.rollingPercentile.timeInMilliseconds */
	uint32_t percentile_buckets;         /* metrics.rollingPercentile.numBuckets */
	msec health_interval_ms;             /* metrics.healthSnapshot.intervalInMilliseconds */
	bool request_cache, request_log;     /* requestCache.enabled, requestLog.enabled */
	struct str pool_key;                 /* threadPoolKeyOverride; empty: the group */

	uint32_t half_open_trials;           /* how many calls are tried before closing; 1 is Hystrix's */
	msec slow_call_ms;                   /* calls that take longer are slow; 0: off */
	uint32_t slow_threshold_pct;         /* opens at this share of slow calls */
	msec sleep_max_ms;                   /* the sleep window doubles up to this at each failed trial; 0: fixed */
	uint32_t sleep_jitter_pct;           /* takes up to this share off the sleep window, at random */
};

#define CMD_SETTINGS_DEFAULT                                                                                           \
	{                                                                                                              \
		.isolation = FLOW_THREAD, .timeout_enabled = true, .timeout_ms = 1000, .interrupt_on_timeout = true,   \
		.semaphore_max = 10, .fallback_max = 10, .fallback_enabled = true, .breaker_enabled = true,            \
		.volume_threshold = 20, .error_threshold_pct = 50, .sleep_window_ms = 5000, .window_ms = 10000,        \
		.window_buckets = 10, .percentile_enabled = true, .percentile_ms = 60000, .percentile_buckets = 6,     \
		.health_interval_ms = 500, .request_cache = true, .request_log = true, .half_open_trials = 1,          \
		.slow_threshold_pct = 100                                                                              \
	}

/* Refuses nonsense (windows that are not positive, buckets that do not divide, zero trials) with the rule; the text names
 * the property's tail. Flow functions assert nothing about settings: out-of-range numbers are clamped there. */
int cmd_settings_check(const struct cmd_settings *s, struct err *e);

/* hystrix.threadpool.<key>.* */
struct pool_settings {
	uint32_t core_size, maximum_size;    /* coreSize, maximumSize */
	bool diverge;                        /* allowMaximumSizeToDivergeFromCoreSize */
	uint32_t keep_alive_min;             /* keepAliveTimeMinutes */
	int32_t max_queue_size;              /* maxQueueSize; -1: no queue */
	uint32_t queue_rejection;            /* queueSizeRejectionThreshold */
	msec window_ms;
	uint32_t window_buckets;
};

#define POOL_SETTINGS_DEFAULT                                                                                          \
	{                                                                                                              \
		.core_size = 10, .maximum_size = 10, .keep_alive_min = 1, .max_queue_size = -1, .queue_rejection = 5,  \
		.window_ms = 10000, .window_buckets = 10                                                               \
	}

int pool_settings_check(const struct pool_settings *s, struct err *e);
