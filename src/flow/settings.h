/* settings.h - the resolved properties of one command, pool or collapser, as they come with each call.
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

/* What bounds the calls under way in SEMAPHORE isolation; see limiter.h. */
enum flow_limit {
	FLOW_LIMIT_FIXED, /* semaphore_max */
	FLOW_LIMIT_AIMD,
	FLOW_LIMIT_GRADIENT,
};

/* hystrix.command.<key>.*; the last block, vine.command.<key>.*, is what Hystrix lacks and later libraries have, off unless
 * asked for. */
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
	struct str pool_key;                 /* threadPoolKeyOverride; empty: none */
	struct str pool;                     /* the key of the pool in effect, where its owner says so; empty: the group */

	uint32_t half_open_trials;           /* half-open-trials: calls that are tried before closing; 1 is Hystrix's */
	msec slow_call_ms;                   /* slow-call-duration: calls that take as long are slow; 0: off */
	uint32_t slow_threshold_pct;         /* slow-call-rate-threshold: opens at this share of slow calls */
	uint32_t count_window;               /* count-window: health is of the last so many calls; 0: of rollingStats' time */
	msec sleep_max_ms;                   /* sleep-window-max: doubles up to this at each failed trial; 0: fixed */
	uint32_t sleep_jitter_pct;           /* sleep-window-jitter: takes up to this share off, at random */
	msec fallback_ms;                    /* fallback-timeout; 0: none, as in Hystrix */
	enum flow_limit limit;               /* concurrency-limit */
	uint32_t limit_min, limit_max;       /* concurrency-limit-min, -max */
	msec limit_latency_ms;               /* concurrency-limit-latency, of AIMD: slower is overload; 0: time-outs only */
};

#define CMD_SETTINGS_DEFAULT                                                                                           \
	{                                                                                                              \
		.isolation = FLOW_THREAD, .timeout_enabled = true, .timeout_ms = 1000, .interrupt_on_timeout = true,   \
		.semaphore_max = 10, .fallback_max = 10, .fallback_enabled = true, .breaker_enabled = true,            \
		.volume_threshold = 20, .error_threshold_pct = 50, .sleep_window_ms = 5000, .window_ms = 10000,        \
		.window_buckets = 10, .percentile_enabled = true, .percentile_ms = 60000, .percentile_buckets = 6,     \
		.health_interval_ms = 500, .request_cache = true, .request_log = true, .half_open_trials = 1,          \
		.slow_threshold_pct = 100, .fallback_ms = 1000, .limit_min = 4, .limit_max = 200                       \
	}

/* hystrix.threadpool.<key>.* */
struct pool_settings {
	uint32_t core_size, maximum_size;    /* coreSize, maximumSize */
	bool diverge;                        /* allowMaximumSizeToDivergeFromCoreSize */
	uint32_t keep_alive_min;             /* keepAliveTimeMinutes: of an idle thread beyond the core */
	int32_t max_queue_size;              /* maxQueueSize; -1: no queue */
	uint32_t queue_rejection;            /* queueSizeRejectionThreshold */
	msec window_ms;                      /* metrics.rollingStats.timeInMilliseconds */
	uint32_t window_buckets;             /* metrics.rollingStats.numBuckets */
};

#define POOL_SETTINGS_DEFAULT                                                                                          \
	{                                                                                                              \
		.core_size = 10, .maximum_size = 10, .keep_alive_min = 1, .max_queue_size = -1, .queue_rejection = 5,  \
		.window_ms = 10000, .window_buckets = 10                                                               \
	}

/* hystrix.collapser.<key>.* */
struct collapser_settings {
	uint32_t batch_max;                  /* maxRequestsInBatch */
	msec delay_ms;                       /* timerDelayInMilliseconds */
	bool request_cache;                  /* requestCache.enabled: equal arguments share one place */
	msec window_ms;                      /* metrics.rollingStats.timeInMilliseconds */
	uint32_t window_buckets;             /* metrics.rollingStats.numBuckets */
	bool percentile_enabled;             /* metrics.rollingPercentile.enabled: of the batches' sizes */
	msec percentile_ms;                  /* metrics.rollingPercentile.timeInMilliseconds */
	uint32_t percentile_buckets;         /* metrics.rollingPercentile.numBuckets */
};

#define COLLAPSER_SETTINGS_DEFAULT                                                                                     \
	{                                                                                                              \
		.batch_max = INT32_MAX, .delay_ms = 10, .request_cache = true, .window_ms = 10000,                     \
		.window_buckets = 10, .percentile_enabled = true, .percentile_ms = 60000, .percentile_buckets = 6      \
	}

/* Refuse nonsense (windows that are not positive, buckets that do not divide, zero cores) with the property's whole name,
 * its value and the rule. Flow functions assert nothing about settings: out-of-range numbers are clamped there. */
int cmd_settings_check(const struct cmd_settings *s, struct str key, struct err *e);
int pool_settings_check(const struct pool_settings *s, struct str key, struct err *e);
int collapser_settings_check(const struct collapser_settings *s, struct str key, struct err *e);
