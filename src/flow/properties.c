/* properties.c - see properties.h. */
#include "flow/properties.h"

#include "base/map.h"
#include "props/props.h"

#define CMD "hystrix.command.{key}."
#define OURS "vine.command.{key}."
#define POOL "hystrix.threadpool.{key}."
#define COLLAPSER "hystrix.collapser.{key}."

static uint32_t u32(const struct props *p, const char *name, struct str key)
{
	return (uint32_t)MIN(MAX(props_int_of(p, name, key), (int64_t)0), (int64_t)UINT32_MAX);
}

static bool is_word(const struct props *p, const char *name, struct str key, struct str word)
{
	return str_eq_nocase(props_str_of(p, name, key), word);
}

static enum flow_limit limit_of(const struct props *p, struct str key)
{
	if (is_word(p, OURS "concurrency-limit", key, STR("AIMD")))
		return FLOW_LIMIT_AIMD;
	return is_word(p, OURS "concurrency-limit", key, STR("GRADIENT")) ? FLOW_LIMIT_GRADIENT : FLOW_LIMIT_FIXED;
}

static void read_ours(struct cmd_settings *s, const struct props *p, struct str key)
{
	s->half_open_trials = u32(p, OURS "half-open-trials", key);
	s->slow_call_ms = props_ms_of(p, OURS "slow-call-duration", key);
	s->slow_threshold_pct = u32(p, OURS "slow-call-rate-threshold", key);
	s->count_window = u32(p, OURS "count-window", key);
	s->sleep_max_ms = props_ms_of(p, OURS "sleep-window-max", key);
	s->sleep_jitter_pct = u32(p, OURS "sleep-window-jitter", key);
	s->fallback_ms = props_ms_of(p, OURS "fallback-timeout", key);
	s->limit = limit_of(p, key);
	s->limit_min = u32(p, OURS "concurrency-limit-min", key);
	s->limit_max = u32(p, OURS "concurrency-limit-max", key);
	s->limit_latency_ms = props_ms_of(p, OURS "concurrency-limit-latency", key);
}

void cmd_settings_read(struct cmd_settings *s, const struct props *p, struct str key)
{
	*s = (struct cmd_settings){
		.isolation = is_word(p, CMD "execution.isolation.strategy", key, STR("SEMAPHORE")) ? FLOW_SEMAPHORE : FLOW_THREAD,
		.timeout_enabled = props_bool_of(p, CMD "execution.timeout.enabled", key),
		.timeout_ms = props_ms_of(p, CMD "execution.isolation.thread.timeoutInMilliseconds", key),
		.interrupt_on_timeout = props_bool_of(p, CMD "execution.isolation.thread.interruptOnTimeout", key),
		.interrupt_on_cancel = props_bool_of(p, CMD "execution.isolation.thread.interruptOnFutureCancel", key),
		.semaphore_max = u32(p, CMD "execution.isolation.semaphore.maxConcurrentRequests", key),
		.fallback_max = u32(p, CMD "fallback.isolation.semaphore.maxConcurrentRequests", key),
		.fallback_enabled = props_bool_of(p, CMD "fallback.enabled", key),
		.breaker_enabled = props_bool_of(p, CMD "circuitBreaker.enabled", key),
		.volume_threshold = u32(p, CMD "circuitBreaker.requestVolumeThreshold", key),
		.error_threshold_pct = u32(p, CMD "circuitBreaker.errorThresholdPercentage", key),
		.sleep_window_ms = props_ms_of(p, CMD "circuitBreaker.sleepWindowInMilliseconds", key),
		.force_open = props_bool_of(p, CMD "circuitBreaker.forceOpen", key),
		.force_closed = props_bool_of(p, CMD "circuitBreaker.forceClosed", key),
		.window_ms = props_ms_of(p, CMD "metrics.rollingStats.timeInMilliseconds", key),
		.window_buckets = u32(p, CMD "metrics.rollingStats.numBuckets", key),
		.percentile_enabled = props_bool_of(p, CMD "metrics.rollingPercentile.enabled", key),
		.percentile_ms = props_ms_of(p, CMD "metrics.rollingPercentile.timeInMilliseconds", key),
		.percentile_buckets = u32(p, CMD "metrics.rollingPercentile.numBuckets", key),
		.health_interval_ms = props_ms_of(p, CMD "metrics.healthSnapshot.intervalInMilliseconds", key),
		.request_cache = props_bool_of(p, CMD "requestCache.enabled", key),
		.request_log = props_bool_of(p, CMD "requestLog.enabled", key),
	};
	if (props_is_set(p, CMD "threadPoolKeyOverride", key, false)) /* has no default form */
		s->pool_key = props_str_of(p, CMD "threadPoolKeyOverride", key);
	read_ours(s, p, key);
}

void pool_settings_read(struct pool_settings *s, const struct props *p, struct str key)
{
	int64_t queue = props_int_of(p, POOL "maxQueueSize", key);

	*s = (struct pool_settings){
		.core_size = u32(p, POOL "coreSize", key),
		.maximum_size = u32(p, POOL "maximumSize", key),
		.diverge = props_bool_of(p, POOL "allowMaximumSizeToDivergeFromCoreSize", key),
		.keep_alive_min = u32(p, POOL "keepAliveTimeMinutes", key),
		.max_queue_size = (int32_t)MIN(MAX(queue, (int64_t)-1), (int64_t)INT32_MAX),
		.queue_rejection = u32(p, POOL "queueSizeRejectionThreshold", key),
		.window_ms = props_ms_of(p, POOL "metrics.rollingStats.timeInMilliseconds", key),
		.window_buckets = u32(p, POOL "metrics.rollingStats.numBuckets", key),
	};
	if (!props_is_set(p, POOL "maximumSize", key, true))
		s->maximum_size = MAX(s->maximum_size, s->core_size);
	if (s->max_queue_size > 0 && !props_is_set(p, POOL "queueSizeRejectionThreshold", key, true))
		s->queue_rejection = (uint32_t)s->max_queue_size;
}

void collapser_settings_read(struct collapser_settings *s, const struct props *p, struct str key)
{
	*s = (struct collapser_settings){
		.batch_max = u32(p, COLLAPSER "maxRequestsInBatch", key),
		.delay_ms = props_ms_of(p, COLLAPSER "timerDelayInMilliseconds", key),
		.request_cache = props_bool_of(p, COLLAPSER "requestCache.enabled", key),
		.window_ms = props_ms_of(p, COLLAPSER "metrics.rollingStats.timeInMilliseconds", key),
		.window_buckets = u32(p, COLLAPSER "metrics.rollingStats.numBuckets", key),
		.percentile_enabled = props_bool_of(p, COLLAPSER "metrics.rollingPercentile.enabled", key),
		.percentile_ms = props_ms_of(p, COLLAPSER "metrics.rollingPercentile.timeInMilliseconds", key),
		.percentile_buckets = u32(p, COLLAPSER "metrics.rollingPercentile.numBuckets", key),
	};
}

static int check_command(const struct props *p, struct str key, struct err *e)
{
	struct cmd_settings s;

	cmd_settings_read(&s, p, key);
	return cmd_settings_check(&s, key, e);
}

static int check_pool(const struct props *p, struct str key, struct err *e)
{
	struct pool_settings s;

	pool_settings_read(&s, p, key);
	return pool_settings_check(&s, key, e);
}

static int check_collapser(const struct props *p, struct str key, struct err *e)
{
	struct collapser_settings s;

	collapser_settings_read(&s, p, key);
	return collapser_settings_check(&s, key, e);
}

struct family {
	struct str prefix;
	int (*check)(const struct props *p, struct str key, struct err *e);
};

static const struct family families[] = {
	{ STR_INIT(CMD), check_command },
	{ STR_INIT(OURS), check_command },
	{ STR_INIT(POOL), check_pool },
	{ STR_INIT(COLLAPSER), check_collapser },
};

static const struct family *family_of(const struct prop_value *v)
{
	for (size_t k = 0; v->desc && k < ARRAY_LEN(families); k++)
		if (str_has_prefix(str_from(v->desc->name), families[k].prefix))
			return &families[k];
	return NULL;
}

/* Each key of each family once. Tells faults to fn until that says stop. */
static void check_all(const struct props *p, bool (*fn)(void *ctx, const struct err *e), void *ctx)
{
	struct map seen[ARRAY_LEN(families)];
	bool goes_on = true;

	for (size_t k = 0; k < ARRAY_LEN(families); k++)
		map_init(&seen[k], (uintptr_t)p);
	for (size_t i = 0; i < props_count(p) && goes_on; i++) {
		const struct prop_value *v = props_at(p, i);
		const struct family *f = family_of(v);
		struct err e;

		if (!f)
			continue;

		/* The two families of commands are checked together. */
		struct map *m = &seen[f->check == check_command ? 0 : f - families];

		if (!map_put(m, v->key, (void *)(uintptr_t)v) && f->check(p, v->key, &e) < 0)
			goes_on = fn(ctx, &e);
	}
	for (size_t k = 0; k < ARRAY_LEN(families); k++)
		map_fini(&seen[k]);
}

static bool keep_first(void *ctx, const struct err *e)
{
	*(struct err *)ctx = *e;
	return false;
}

int flow_properties_check(const struct props *p, struct err *e)
{
	struct err first = { .code = 0 };

	check_all(p, keep_first, &first);
	return first.code ? err_set(e, first.code, "%s", first.text) : 0;
}

struct report {
	struct buf *out;
	size_t n;
};

static bool add_line(void *ctx, const struct err *e)
{
	struct report *r = ctx;

	buf_addf(r->out, "  WRONG    %s\n", e->text);
	r->n++;
	return true;
}

size_t flow_properties_report(struct buf *out, const struct props *p)
{
	struct report r = { .out = out };

	check_all(p, add_line, &r);
	return r.n;
}
