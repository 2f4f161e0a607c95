/* hystream.c - the JSON of one circuit, pool or collapser; the fields are Netflix's, in the order of its own poller. */
#include "flow/hystream.h"

#include "codec/json.h"

/* Every name here is plain, but for those of commands and groups, which are values. */
static void put_num(struct jsonw *w, struct str key, uint64_t v)
{
	jsonw_key_plain(w, key);
	jsonw_u64(w, v);
}

static void put_int(struct jsonw *w, struct str key, int64_t v)
{
	jsonw_key_plain(w, key);
	jsonw_i64(w, v);
}

static void put_bool(struct jsonw *w, struct str key, bool v)
{
	jsonw_key_plain(w, key);
	jsonw_bool(w, v);
}

static void put_text(struct jsonw *w, struct str key, struct str v)
{
	jsonw_key_plain(w, key);
	jsonw_str(w, v);
}

static int64_t to_ms(usec v) /* rounded: 0.6 ms is nearer to 1 than to 0 */
{
	return (v + USEC_PER_MSEC / 2) / USEC_PER_MSEC;
}

/* The percentiles of Netflix's stream; a batch's sizes lack the first. */
#define POINTS 9
static const double point_at[POINTS] = { 0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 1 };
static const struct str point_names[POINTS] = {
	STR_INIT("0"),	STR_INIT("25"), STR_INIT("50"),	  STR_INIT("75"),  STR_INIT("90"),
	STR_INIT("95"), STR_INIT("99"), STR_INIT("99.5"), STR_INIT("100"),
};

static void put_points(struct jsonw *w, struct str key, const usec at[POINTS], unsigned first)
{
	jsonw_key_plain(w, key);
	jsonw_object(w);
	for (unsigned i = first; i < POINTS; i++)
		put_int(w, point_names[i], at[i]);
	jsonw_object_end(w);
}

static void put_latency(struct jsonw *w, struct str mean_key, struct str key, const struct hist *h)
{
	usec at[POINTS];

	hist_quantiles(h, point_at, POINTS, at);
	for (unsigned i = 0; i < POINTS; i++)
		at[i] = to_ms(at[i]);
	put_int(w, mean_key, to_ms(hist_mean(h)));
	put_points(w, key, at, 0);
}

static void put_counts(struct jsonw *w, const struct stats_reading *r)
{
	static const struct {
		struct str name;
		enum flow_event ev;
	} counts[] = {
		{ STR_INIT("rollingCountBadRequests"), EVENT_BAD_REQUEST },
		{ STR_INIT("rollingCountCollapsedRequests"), EVENT_COLLAPSED },
		{ STR_INIT("rollingCountEmit"), EVENT_EMIT },
		{ STR_INIT("rollingCountFailure"), EVENT_FAILURE },
		{ STR_INIT("rollingCountFallbackEmit"), EVENT_FALLBACK_EMIT },
		{ STR_INIT("rollingCountFallbackFailure"), EVENT_FALLBACK_FAILURE },
		{ STR_INIT("rollingCountFallbackMissing"), EVENT_FALLBACK_MISSING },
		{ STR_INIT("rollingCountFallbackRejection"), EVENT_FALLBACK_REJECTION },
		{ STR_INIT("rollingCountFallbackSuccess"), EVENT_FALLBACK_SUCCESS },
		{ STR_INIT("rollingCountResponsesFromCache"), EVENT_RESPONSE_FROM_CACHE },
		{ STR_INIT("rollingCountSemaphoreRejected"), EVENT_SEMAPHORE_REJECTED },
		{ STR_INIT("rollingCountShortCircuited"), EVENT_SHORT_CIRCUITED },
		{ STR_INIT("rollingCountSuccess"), EVENT_SUCCESS },
		{ STR_INIT("rollingCountThreadPoolRejected"), EVENT_THREAD_POOL_REJECTED },
		{ STR_INIT("rollingCountTimeout"), EVENT_TIMEOUT },
	};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		put_num(w, counts[i].name, r->rolling[counts[i].ev]);
	put_num(w, STR("rollingCountExceptionsThrown"),
		(uint64_t)r->rolling[EVENT_BAD_REQUEST] + r->rolling[EVENT_FALLBACK_FAILURE] +
			r->rolling[EVENT_FALLBACK_REJECTION] + r->rolling[EVENT_FALLBACK_MISSING] +
			r->rolling[EVENT_FALLBACK_DISABLED]);
}

static void put_settings(struct jsonw *w, const struct cmd_settings *cs, enum breaker_force force)
{
	put_num(w, STR("propertyValue_circuitBreakerRequestVolumeThreshold"), cs->volume_threshold);
	put_int(w, STR("propertyValue_circuitBreakerSleepWindowInMilliseconds"), cs->sleep_window_ms);
	put_num(w, STR("propertyValue_circuitBreakerErrorThresholdPercentage"), cs->error_threshold_pct);
	put_bool(w, STR("propertyValue_circuitBreakerForceOpen"),
		       cs->force_open || force == BREAKER_FORCE_OPEN);
	put_bool(w, STR("propertyValue_circuitBreakerForceClosed"),
		       cs->force_closed || force == BREAKER_FORCE_CLOSED);
	put_bool(w, STR("propertyValue_circuitBreakerEnabled"), cs->breaker_enabled);
	put_text(w, STR("propertyValue_executionIsolationStrategy"),
		      cs->isolation == FLOW_THREAD ? STR("THREAD") : STR("SEMAPHORE"));
	put_int(w, STR("propertyValue_executionIsolationThreadTimeoutInMilliseconds"), cs->timeout_ms);
	put_int(w, STR("propertyValue_executionTimeoutInMilliseconds"), cs->timeout_ms);
	put_bool(w, STR("propertyValue_executionIsolationThreadInterruptOnTimeout"), cs->interrupt_on_timeout);
	jsonw_key_plain(w, STR("propertyValue_executionIsolationThreadPoolKeyOverride"));
	if (cs->pool_key.len)
		jsonw_str(w, cs->pool_key);
	else
		jsonw_null(w);
	put_num(w, STR("propertyValue_executionIsolationSemaphoreMaxConcurrentRequests"), cs->semaphore_max);
	put_num(w, STR("propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests"), cs->fallback_max);
	put_int(w, STR("propertyValue_metricsRollingStatisticalWindowInMilliseconds"), cs->window_ms);
	put_bool(w, STR("propertyValue_requestCacheEnabled"), cs->request_cache);
	put_bool(w, STR("propertyValue_requestLogEnabled"), cs->request_log);
}

/* From which microsecond on -> how many: an object of integers, which Turbine sums key by key. */
static void put_hist(struct jsonw *w, struct str key, const struct hist *h)
{
	char text[20];

	jsonw_key_plain(w, key);
	jsonw_object(w);
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		if (h->count[i])
			put_num(w, str_of(text, fmt_u64(text, (uint64_t)hist_bucket_low(i))), h->count[i]);
	jsonw_object_end(w);
}

/* What Netflix's stream lacks: state and reason, and histograms that add up over instances. */
static void put_vine(struct jsonw *w, const struct command_snapshot *snap)
{
	put_text(w, STR("vineState"), str_from(breaker_state_name(snap->breaker.state)));
	put_text(w, STR("vineWhy"), str_from(breaker_why_text(snap->breaker.why)));
	put_hist(w, STR("vineLatencyExecuteMicros"), &snap->stats.execute);
	if (snap->stats.total.sum != snap->stats.execute.sum)
		put_hist(w, STR("vineLatencyTotalMicros"), &snap->stats.total);
}

void hystream_command(struct buf *b, const struct command_snapshot *snap, const struct cmd_settings *cs, msec wall)
{
	const struct stats_reading *r = &snap->stats;
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	put_text(&w, STR("type"), STR("HystrixCommand"));
	put_text(&w, STR("name"), snap->key);
	put_text(&w, STR("group"), snap->group);
	put_int(&w, STR("currentTime"), wall);
	put_bool(&w, STR("isCircuitBreakerOpen"), snap->is_open);
	put_num(&w, STR("errorPercentage"), r->health.error_pct);
	put_num(&w, STR("errorCount"), r->health.errors);
	put_num(&w, STR("requestCount"), r->health.total);
	put_counts(&w, r);
	put_num(&w, STR("currentConcurrentExecutionCount"), snap->active);
	put_num(&w, STR("rollingMaxConcurrentExecutionCount"), r->max_active);
	put_latency(&w, STR("latencyExecute_mean"), STR("latencyExecute"), &r->execute);
	put_latency(&w, STR("latencyTotal_mean"), STR("latencyTotal"), &r->total);
	put_settings(&w, cs, snap->breaker.force);
	put_num(&w, STR("reportingHosts"), 1);
	put_text(&w, STR("threadPool"), cs->pool_key.len ? cs->pool_key : snap->group);
	put_vine(&w, snap);
	jsonw_object_end(&w);
}

void hystream_pool(struct buf *b, const struct pool_snapshot *p, const struct pool_settings *ps, msec wall)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	put_text(&w, STR("type"), STR("HystrixThreadPool"));
	put_text(&w, STR("name"), p->key);
	put_int(&w, STR("currentTime"), wall);
	put_num(&w, STR("currentActiveCount"), p->active);
	put_num(&w, STR("currentCompletedTaskCount"), p->completed);
	put_num(&w, STR("currentCorePoolSize"), p->core);
	put_num(&w, STR("currentLargestPoolSize"), p->largest);
	put_num(&w, STR("currentMaximumPoolSize"), p->maximum);
	put_num(&w, STR("currentPoolSize"), p->pool_size);
	put_num(&w, STR("currentQueueSize"), p->queued);
	put_num(&w, STR("currentTaskCount"), p->submitted);
	put_num(&w, STR("rollingCountThreadsExecuted"), p->rolling_executed);
	put_num(&w, STR("rollingMaxActiveThreads"), p->max_active);
	put_num(&w, STR("rollingCountCommandRejections"), p->rolling_rejected);
	put_num(&w, STR("propertyValue_queueSizeRejectionThreshold"), ps->queue_rejection);
	put_int(&w, STR("propertyValue_metricsRollingStatisticalWindowInMilliseconds"), ps->window_ms);
	put_num(&w, STR("reportingHosts"), 1);
	jsonw_object_end(&w);
}

void hystream_collapser(struct buf *b, const struct collapser_snapshot *c, msec wall)
{
	struct jsonw w;
	usec at[POINTS];

	hist_quantiles(&c->sizes, point_at, POINTS, at);
	jsonw_init(&w, b);
	jsonw_object(&w);
	put_text(&w, STR("type"), STR("HystrixCollapser"));
	put_text(&w, STR("name"), c->key);
	put_int(&w, STR("currentTime"), wall);
	put_num(&w, STR("rollingCountRequestsBatched"), c->rolling_requests);
	put_num(&w, STR("rollingCountBatches"), c->rolling_batches);
	put_num(&w, STR("rollingCountResponsesFromCache"), c->rolling_from_cache);
	put_int(&w, STR("batchSize_mean"), hist_mean(&c->sizes));
	put_points(&w, STR("batchSize"), at, 1);
	put_bool(&w, STR("propertyValue_requestCacheEnabled"), c->request_cache);
	put_num(&w, STR("propertyValue_maxRequestsInBatch"), c->batch_max);
	put_int(&w, STR("propertyValue_timerDelayInMilliseconds"), c->delay_ms);
	put_num(&w, STR("reportingHosts"), 1);
	jsonw_object_end(&w);
}

void hystream_frame_command(struct buf *b, const struct command_snapshot *snap, const struct cmd_settings *cs,
			    msec wall)
{
	buf_adds(b, STR("data: "));
	hystream_command(b, snap, cs, wall);
	buf_adds(b, STR("\n\n"));
}

void hystream_frame_pool(struct buf *b, const struct pool_snapshot *snap, const struct pool_settings *ps, msec wall)
{
	buf_adds(b, STR("data: "));
	hystream_pool(b, snap, ps, wall);
	buf_adds(b, STR("\n\n"));
}

void hystream_frame_collapser(struct buf *b, const struct collapser_snapshot *snap, msec wall)
{
	buf_adds(b, STR("data: "));
	hystream_collapser(b, snap, wall);
	buf_adds(b, STR("\n\n"));
}
