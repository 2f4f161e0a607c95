/* siblings.c - see siblings.h. */
#include "manage/siblings.h"

#include "codec/json.h"
#include "flow/collapser.h"
#include "flow/pool.h"
#include "flow/properties.h"
#include "manage/circuits.h"
#include "props/props.h"

static void put_num(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key_i64(w, str_from(key), v);
}

static void put_bool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key_bool(w, str_from(key), v);
}

static void begin(struct jsonw *w, struct str key)
{
	jsonw_key(w, key);
	jsonw_object(w);
}

/* --- configuration --- */

static void put_execution(struct jsonw *w, const struct cmd_settings *cs)
{
	begin(w, STR("execution"));
	jsonw_key_str(w, STR("isolationStrategy"), cs->isolation == FLOW_THREAD ? STR("THREAD") : STR("SEMAPHORE"));
	jsonw_key(w, STR("threadPoolKeyOverride"));
	if (cs->pool_key.len)
		jsonw_str(w, cs->pool_key);
	else
		jsonw_null(w);
	put_bool(w, "requestCacheEnabled", cs->request_cache);
	put_bool(w, "requestLogEnabled", cs->request_log);
	put_bool(w, "timeoutEnabled", cs->timeout_enabled);
	put_bool(w, "fallbackEnabled", cs->fallback_enabled);
	put_num(w, "timeoutInMilliseconds", cs->timeout_ms);
	put_num(w, "semaphoreSize", cs->semaphore_max);
	put_num(w, "fallbackSemaphoreSize", cs->fallback_max);
	put_bool(w, "threadInterruptOnTimeout", cs->interrupt_on_timeout);
	jsonw_object_end(w);
}

struct windows {
	msec percentile_ms, window_ms;
	uint32_t percentile_buckets, window_buckets;
	bool percentile_enabled;
};

static void put_windows(struct jsonw *w, const struct windows *of)
{
	put_num(w, "percentileBucketSizeInMilliseconds", of->percentile_ms);
	put_num(w, "percentileBucketCount", of->percentile_buckets);
	put_bool(w, "percentileEnabled", of->percentile_enabled);
	put_num(w, "counterBucketSizeInMilliseconds", of->window_ms);
	put_num(w, "counterBucketCount", of->window_buckets);
}

static void put_command(struct jsonw *w, const struct command *c, const struct cmd_settings *cs)
{
	const struct windows ws = { cs->percentile_ms, cs->window_ms, cs->percentile_buckets, cs->window_buckets, cs->percentile_enabled };

	begin(w, c->key);
	jsonw_key_str(w, STR("threadPoolKey"), cs->pool.len ? cs->pool : cs->pool_key.len ? cs->pool_key : c->group);
	jsonw_key_str(w, STR("groupKey"), c->group);
	put_execution(w, cs);
	begin(w, STR("metrics"));
	put_num(w, "healthBucketSizeInMs", cs->health_interval_ms);
	put_windows(w, &ws);
	jsonw_object_end(w);
	begin(w, STR("circuitBreaker"));
	put_bool(w, "enabled", cs->breaker_enabled);
	put_bool(w, "isForcedOpen", cs->force_open);
	put_bool(w, "isForcedClosed", cs->force_closed);
	put_num(w, "requestVolumeThreshold", cs->volume_threshold);
	put_num(w, "errorPercentageThreshold", cs->error_threshold_pct);
	put_num(w, "sleepInMilliseconds", cs->sleep_window_ms);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

static void put_pool(struct jsonw *w, struct str key, const struct pool_settings *ps)
{
	begin(w, key);
	put_num(w, "coreSize", ps->core_size);
	put_num(w, "maximumSize", ps->maximum_size);
	put_num(w, "actualMaximumSize", pool_maximum(ps));
	put_num(w, "maxQueueSize", ps->max_queue_size);
	put_num(w, "queueRejectionThreshold", ps->queue_rejection);
	put_num(w, "keepAliveTimeInMinutes", ps->keep_alive_min);
	put_bool(w, "allowMaximumSizeToDivergeFromCoreSize", ps->diverge);
	put_num(w, "counterBucketSizeInMilliseconds", ps->window_ms);
	put_num(w, "counterBucketCount", ps->window_buckets);
	jsonw_object_end(w);
}

static void put_collapser(struct jsonw *w, struct str key, const struct collapser_settings *cs)
{
	const struct windows ws = { cs->percentile_ms, cs->window_ms, cs->percentile_buckets, cs->window_buckets, cs->percentile_enabled };

	begin(w, key);
	put_num(w, "maxRequestsInBatch", cs->batch_max);
	put_num(w, "timerDelayInMilliseconds", cs->delay_ms);
	put_bool(w, "requestCacheEnabled", cs->request_cache);
	begin(w, STR("metrics"));
	put_windows(w, &ws);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

static void put_pools(struct jsonw *w, const struct circuits *c)
{
	size_t n = 0;
	struct keyed **list = c->pools ? keyed_table_list(c->pools, &n) : NULL;

	for (size_t i = 0; i < n; i++) {
		struct pool_settings ps;

		pool_settings_read(&ps, c->props, list[i]->key);
		put_pool(w, list[i]->key, &ps);
	}
	keyed_list_free(list, n);
}

static void put_collapsers(struct jsonw *w, const struct circuits *c)
{
	size_t n = 0;
	struct keyed **list = c->collapsers ? keyed_table_list(c->collapsers, &n) : NULL;

	for (size_t i = 0; i < n; i++) {
		struct collapser_settings cs;

		collapser_settings_read(&cs, c->props, list[i]->key);
		put_collapser(w, list[i]->key, &cs);
	}
	keyed_list_free(list, n);
}

void siblings_config(const struct circuits *c, struct buf *b)
{
	size_t n;
	struct command **list = command_table_list(c->commands, &n);
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("type"), STR("HystrixConfig"));
	begin(&w, STR("commands"));
	for (size_t i = 0; i < n; i++)
		put_command(&w, list[i], c->settings_of(c->arg, list[i]->key));
	jsonw_object_end(&w);
	begin(&w, STR("threadpools"));
	put_pools(&w, c);
	jsonw_object_end(&w);
	begin(&w, STR("collapsers"));
	put_collapsers(&w, c);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	command_list_free(list, n);
}

/* --- utilization --- */

static void put_used_pools(struct jsonw *w, const struct circuits *c)
{
	size_t n = 0;
	struct keyed **list = c->pools ? keyed_table_list(c->pools, &n) : NULL;

	for (size_t i = 0; i < n; i++) {
		struct pool_settings ps;
		struct pool_snapshot snap;

		pool_settings_read(&ps, c->props, list[i]->key);
		pool_snapshot(pool_of(list[i]), &ps, c->now, &snap);
		begin(w, list[i]->key);
		put_num(w, "activeCount", snap.active);
		put_num(w, "queueSize", snap.queued);
		put_num(w, "corePoolSize", snap.core);
		put_num(w, "poolSize", snap.pool_size);
		jsonw_object_end(w);
	}
	keyed_list_free(list, n);
}

void siblings_utilization(const struct circuits *c, struct buf *b)
{
	size_t n;
	struct command **list = command_table_list(c->commands, &n);
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("type"), STR("HystrixUtilization"));
	begin(&w, STR("commands"));
	for (size_t i = 0; i < n; i++) {
		begin(&w, list[i]->key);
		put_num(&w, "activeCount", command_active(list[i]));
		jsonw_object_end(&w);
	}
	jsonw_object_end(&w);
	begin(&w, STR("threadpools"));
	put_used_pools(&w, c);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	command_list_free(list, n);
}

/* --- streams --- */

usec hystrix_stream_interval(enum hystrix_stream s, const struct props *p)
{
	static const char *const keys[HYSTRIX_STREAMS] = {
		[STREAM_DASHBOARD] = "hystrix.stream.dashboard.intervalInMilliseconds",
		[STREAM_CONFIG] = "hystrix.stream.config.intervalInMilliseconds",
		[STREAM_UTILIZATION] = "hystrix.stream.utilization.intervalInMilliseconds",
	};

	return props_ms(p, keys[s]) * USEC_PER_MSEC;
}

void hystrix_stream_write(enum hystrix_stream s, const struct circuits *c, struct buf *b)
{
	if (s == STREAM_DASHBOARD) {
		circuits_stream(c, b);
		return;
	}
	buf_addz(b, "data: ");
	if (s == STREAM_CONFIG)
		siblings_config(c, b);
	else
		siblings_utilization(c, b);
	buf_addz(b, "\n\n");
}
