/* outlier.c - see outlier.h. */
#include "flow/outlier.h"

#include <math.h>

#define RATE_MARGIN 0.05 /* below the mean, whatever the deviation: servers that are all but perfect differ by chance */
#define COMPARED_MAX 4096

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), v, memory_order_relaxed)

void outlier_init(struct outlier_watch *w)
{
	memset(w, 0, sizeof(*w));
	atomic_init(&w->surveyed_at, INT64_MIN / 2);
	atomic_init(&w->judged_at, INT64_MIN / 2);
}

/* --- shares --- */

/* Brings back the softly ejected whose time is nearest its end until only `allowed` are out. */
static void bring_back(struct fserver *const *at, uint32_t n, uint32_t soft, uint32_t allowed, usec now)
{
	for (; soft > allowed; soft--) {
		struct fserver *first = NULL;

		for (uint32_t i = 0; i < n; i++) {
			if (server_state(at[i], now) == SERVER_SOFT &&
			    (!first || server_out_until(at[i]) < server_out_until(first)))
				first = at[i];
		}
		if (!first)
			return;
		server_return(first, SERVER_BACK_SHARE, now);
	}
}

static uint32_t allowed_out(uint32_t n, const struct outlier_settings *os)
{
	return MAX((uint32_t)((uint64_t)n * os->max_ejected_pct / 100), 1u);
}

/* --- comparing --- */

struct seen { /* since the last comparison */
	struct fserver *server;
	double rate;
};

static bool take_rate(struct fserver *s, uint32_t min, double *rate)
{
	uint64_t ok = LOAD(s->outcomes[SERVER_OK]);
	uint64_t bad = LOAD(s->outcomes[SERVER_ERROR]) + LOAD(s->outcomes[SERVER_TIMEOUT]) +
		       LOAD(s->outcomes[SERVER_RESET]) + LOAD(s->outcomes[SERVER_REFUSED]);
	uint64_t new_ok = ok - LOAD(s->judged_ok), new_bad = bad - LOAD(s->judged_bad);

	STORE(s->judged_ok, ok);
	STORE(s->judged_bad, bad);
	if (new_ok + new_bad < min || new_ok + new_bad == 0)
		return false;
	*rate = (double)new_ok / (double)(new_ok + new_bad);
	return true;
}

static void judge_rates(struct fserver *const *at, uint32_t n, const struct outlier_settings *os, usec now)
{
	struct seen *seen = xmalloc(MAX(n, 1u) * sizeof(*seen));
	double sum = 0, squares = 0, mean, limit;
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!take_rate(at[i], os->success_requests, &seen[k].rate))
			continue;
		seen[k].server = at[i];
		sum += seen[k++].rate;
	}
	mean = k ? sum / k : 0;
	for (uint32_t i = 0; i < k; i++)
		squares += (seen[i].rate - mean) * (seen[i].rate - mean);
	limit = MIN(mean - (double)os->success_deviations * sqrt(k ? squares / k : 0), mean - RATE_MARGIN);
	for (uint32_t i = 0; i < k && k >= os->success_hosts; i++) {
		if (seen[i].rate < limit && server_is_in(seen[i].server))
			server_eject(seen[i].server, os, SERVER_WHY_RATE, now);
	}
	free(seen);
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void judge_latency(struct fserver *const *at, uint32_t n, const struct outlier_settings *os, usec now)
{
	float *lat = xmalloc(MAX(n, 1u) * sizeof(*lat)), median;
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		lat[k] = server_latency(at[i], os, now);
		k += lat[k] > 0;
	}
	if (k >= MAX(os->success_hosts, 3u)) {
		qsort(lat, k, sizeof(*lat), by_value);
		median = lat[k / 2];
		for (uint32_t i = 0; i < n; i++) {
			if (server_is_in(at[i]) && server_latency(at[i], os, now) > median * os->latency_factor)
				server_eject(at[i], os, SERVER_WHY_LATENCY, now);
		}
	}
	free(lat);
}

static void judge(struct outlier_watch *w, struct fserver *const *at, uint32_t n, const struct outlier_settings *os,
		  usec now)
{
	usec was = LOAD(w->judged_at);

	if ((!(os->success_deviations > 0) && !(os->latency_factor > 0)) || now - was < os->judge_ms * USEC_PER_MSEC ||
	    !atomic_compare_exchange_strong(&w->judged_at, &was, now))
		return;
	n = MIN(n, (uint32_t)COMPARED_MAX);
	if (os->success_deviations > 0)
		judge_rates(at, n, os, now);
	if (os->latency_factor > 0)
		judge_latency(at, n, os, now);
}

void outlier_survey(struct outlier_watch *w, struct fserver *const *at, uint32_t n, const struct outlier_settings *os,
		    usec now)
{
	usec was = LOAD(w->surveyed_at);
	uint32_t soft = 0, hard = 0, allowed = allowed_out(n, os);

	if (now - was < OUTLIER_SURVEY_EVERY || !atomic_compare_exchange_strong(&w->surveyed_at, &was, now))
		return;
	if (os->enabled)
		judge(w, at, n, os, now);
	for (uint32_t i = 0; i < n; i++) {
		enum server_state st = server_state(at[i], now);

		soft += st == SERVER_SOFT;
		hard += st == SERVER_HARD;
	}
	if (soft > allowed) {
		bring_back(at, n, soft, allowed, now);
		soft = allowed;
	}
	STORE(w->soft, soft);
	STORE(w->hard, hard);
	STORE(w->panic, soft && (uint64_t)(n - soft - hard) * 100 < (uint64_t)n * os->panic_pct);
}
