/* balancers.c - see balancers.h. */
#include "manage/balancers.h"

#include "codec/json.h"
#include "eureka/instance.h"
#include "plugin/plugin.h"
#include "ribbon/ribbon.h"

static struct str z(const char *s)
{
	return str_from(s);
}

static void put_time(struct jsonw *w, const char *key, const struct balancers_when *t, usec at)
{
	char text[WALL_TEXT_MAX];

	jsonw_key_str(w, z(key), str_of(text, (size_t)clock_wall_text(text, t->wall - (t->now - at) / USEC_PER_MSEC)));
}

static void put_ms(struct jsonw *w, const char *key, usec span)
{
	jsonw_key_i64(w, z(key), span / USEC_PER_MSEC);
}

static void put_u(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key_u64(w, z(key), v);
}

static void put_f(struct jsonw *w, const char *key, double v)
{
	jsonw_key_double(w, z(key), v);
}

/* --- what is configured --- */

static struct str part_name(const struct balancer_view *t, enum class_kind kind, int id)
{
	return t->lb->user[kind] ? plugin_name(t->lb->user[kind]) : z(class_our_name(kind, id));
}

static struct str rule_name(const struct balancer_view *t)
{
	return t->lb->user[CLASS_RULE] ? plugin_name(t->lb->user[CLASS_RULE]) : t->lb->rule->name;
}

static struct str balancer_name(const struct balancer_view *t)
{
	return part_name(t, CLASS_BALANCER,
			 t->lb->zone_aware && !t->lb->user[CLASS_RULE] ? BALANCER_ZONE_AWARE : BALANCER_PLAIN);
}

static void put_hash(struct jsonw *w, const struct balancer_view *t)
{
	static const char *const sources[] = { "none", "header", "cookie", "address", "path" };

	jsonw_key(w, z("hash"));
	jsonw_object(w);
	jsonw_key_str(w, z("key"), z(sources[t->lb->hash]));
	if (t->lb->hash_name.len)
		jsonw_key_str(w, z("name"), t->lb->hash_name);
	put_u(w, "points", t->set->ring ? hash_ring_points(t->set->ring) : 0);
	put_u(w, "balancePercent", t->lb->rules.hash_bound_pct);
	jsonw_object_end(w);
}

static void put_rule(struct jsonw *w, const struct balancer_view *t)
{
	const struct rule_settings *rs = &t->lb->rules;

	jsonw_key(w, z("rule"));
	jsonw_object(w);
	jsonw_key_str(w, z("name"), rule_name(t));
	jsonw_key_bool(w, z("plugin"), t->lb->user[CLASS_RULE] != NULL);
	jsonw_key_bool(w, z("looksAtAll"), t->balancer->ops->flags & BALANCE_LOOKS_AT_ALL);
	put_u(w, "faults", atomic_load(&t->balancer->rule_errors));
	if (t->lb->rule->flags & BALANCE_HASHES)
		put_hash(w, t);
	put_u(w, "choices", rs->choices);
	put_u(w, "activeConnectionsLimit", rs->active_limit);
	jsonw_key_bool(w, z("filterCircuitTripped"), !rs->ignore_tripped);
	put_f(w, "triggeringLoadPerServerThreshold", (double)rs->zone_trigger);
	put_f(w, "avoidZoneWithBlackoutPercetage", (double)rs->zone_blackout);
	put_ms(w, "latencyDecayMs", t->lb->outlier.ewma_tau);
	jsonw_key_i64(w, z("slowStartMs"), t->lb->outlier.slow_start_ms);
	jsonw_object_end(w);
}

static void put_list(struct jsonw *w, const struct balancer_view *t, const struct balancers_when *at)
{
	jsonw_key(w, z("list"));
	jsonw_object(w);
	jsonw_key_str(w, z("from"),
		      t->lb->user[CLASS_LIST] ? part_name(t, CLASS_LIST, 0) : z(server_origin_name(t->set->origin)));
	jsonw_key_str(w, z("updater"), part_name(t, CLASS_UPDATER, (int)t->lb->updater));
	put_time(w, "at", at, t->set->made);
	put_ms(w, "ageMs", at->now - t->set->made);
	put_ms(w, "refreshMs", t->lb->refresh_every);
	put_u(w, "servers", t->set->before);
	jsonw_object_end(w);

	jsonw_key(w, z("filter"));
	jsonw_object(w);
	jsonw_key_str(w, z("name"), part_name(t, CLASS_FILTER, (int)t->lb->filter.kind));
	jsonw_key_str(w, z("zone"), t->lb->filter.zone);
	jsonw_key_bool(w, z("zoneAffinity"), t->lb->filter.affinity);
	jsonw_key_bool(w, z("zoneExclusivity"), t->lb->filter.exclusive);
	jsonw_key_str(w, z("did"), z(t->set->filter_note));
	put_u(w, "servers", t->set->n);
	jsonw_object_end(w);
}

static void put_ping(struct jsonw *w, const struct balancer_view *t, const struct balancers_when *at)
{
	const struct ribbon *rb = t->ribbon;

	jsonw_key(w, z("ping"));
	jsonw_object(w);
	jsonw_key_str(w, z("name"), part_name(t, CLASS_PING, (int)t->lb->ping));
	if (t->lb->ping != PING_NONE) {
		put_ms(w, "everyMs", t->lb->ping_every);
		put_ms(w, "withinMs", t->lb->ping_total);
	}
	if (t->lb->ping == PING_URL)
		jsonw_key_str(w, z("path"), t->lb->ping_path);
	if (rb->pinged_at) {
		put_time(w, "at", at, rb->pinged_at);
		put_ms(w, "tookMs", rb->ping_took);
	}
	jsonw_object_end(w);
}

static void put_ejection(struct jsonw *w, const struct balancer_view *t)
{
	const struct outlier_settings *os = &t->lb->outlier;
	const struct outlier_watch *watch = t->balancer->watch;

	jsonw_key(w, z("ejection"));
	jsonw_object(w);
	jsonw_key_bool(w, z("enabled"), os->enabled);
	put_u(w, "consecutiveFailures", os->consecutive);
	put_u(w, "refusedConnections", os->refused);
	put_u(w, "probes", os->probes);
	jsonw_key_i64(w, z("baseMs"), os->base_ms);
	jsonw_key_i64(w, z("maxMs"), os->max_ms);
	put_u(w, "maxPercent", os->max_ejected_pct);
	put_f(w, "successRateDeviations", (double)os->success_deviations);
	put_f(w, "latencyFactor", (double)os->latency_factor);
	put_u(w, "panicPercent", os->panic_pct);
	jsonw_key_bool(w, z("panic"), outlier_panic(watch));
	jsonw_object_end(w);
}

static void put_retry(struct jsonw *w, const struct balancer_view *t)
{
	const struct ribbon_settings *lb = t->lb;

	jsonw_key(w, z("retry"));
	jsonw_object(w);
	put_u(w, "sameServer", lb->retry.same);
	put_u(w, "nextServer", lb->retry.next);
	jsonw_key_bool(w, z("allOperations"), lb->retry.all_operations);
	put_ms(w, "backoffMs", lb->backoff);
	put_u(w, "budgetPercent", lb->budget.ratio_pct);
	put_f(w, "budgetLeft", retry_budget_left(&t->ribbon->budget));
	put_ms(w, "hedgeDelayMs", lb->hedge_delay);
	put_ms(w, "connectTimeoutMs", lb->connect_timeout);
	put_ms(w, "readTimeoutMs", lb->read_timeout);
	jsonw_object_end(w);
}

/* --- servers --- */

static void put_outcomes(struct jsonw *w, struct fserver *s)
{
	static const char *const names[SERVER_OUTCOMES] = { "ok", "error", "timeout", "reset", "refused", "abandoned" };

	jsonw_key(w, z("outcomes"));
	jsonw_object(w);
	for (unsigned i = 0; i < SERVER_OUTCOMES; i++)
		put_u(w, names[i], atomic_load(&s->outcomes[i]));
	jsonw_object_end(w);
}

static void put_server(struct jsonw *w, const struct balancer_view *t, uint32_t i, const struct balancers_when *at)
{
	const struct outlier_settings *os = &t->lb->outlier;
	const struct instance *in = t->set->inst[i];
	struct fserver *s = t->set->at[i];
	usec until = server_out_until(s);

	jsonw_object(w);
	jsonw_key_str(w, z("id"), s->id);
	if (in)
		jsonw_key_str(w, z("instance"), in->id);
	jsonw_key_str(w, z("zone"), s->zone);
	jsonw_key_str(w, z("state"), z(server_state_name(server_state(s, at->now))));
	jsonw_key_str(w, z("why"), z(server_why_name((enum server_why)atomic_load(&s->why))));
	put_time(w, "since", at, atomic_load(&s->changed));
	if (until && until != USEC_NEVER) {
		put_time(w, "until", at, until);
		put_ms(w, "leftMs", MAX(until - at->now, (usec)0));
	}
	put_u(w, "active", atomic_load(&s->active));
	put_f(w, "latencyMs", (double)server_latency(s, os, at->now) / 1000);
	put_f(w, "cost", (double)server_cost(s, os, at->now));
	put_u(w, "weight", atomic_load(&s->weight));
	put_f(w, "weightNow", (double)server_weight(s, os, at->now) * 100);
	put_u(w, "failuresInRow", atomic_load(&s->failures_in_row));
	put_u(w, "ejections", atomic_load(&s->times_out));
	put_outcomes(w, s);
	jsonw_object_end(w);
}

static void put_servers(struct jsonw *w, const struct balancer_view *t, const struct balancers_when *at)
{
	jsonw_key(w, z("servers"));
	jsonw_array(w);
	for (uint32_t i = 0; i < t->set->n; i++)
		put_server(w, t, i, at);
	jsonw_array_end(w);
}

static void put_decisions(struct jsonw *w, const struct balancer_view *t, const struct balancers_when *at)
{
	struct decision d[DECISIONS_KEPT];
	unsigned n = decisions_read(&t->ribbon->decisions, d);

	jsonw_key(w, z("decisions")); /* the last ones; of the ordinary ones few are kept */
	jsonw_array(w);
	for (unsigned i = 0; i < n; i++) {
		jsonw_object(w);
		put_time(w, "at", at, d[i].at);
		jsonw_key_str(w, z("server"), z(d[i].server));
		jsonw_key_str(w, z("why"), z(d[i].why));
		put_u(w, "servers", d[i].servers);
		put_u(w, "tried", d[i].tried);
		put_u(w, "active", d[i].active);
		put_f(w, "cost", (double)d[i].cost);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

/* --- documents --- */

static uint32_t count_in(const struct balancer_view *t)
{
	uint32_t in = 0;

	for (uint32_t i = 0; i < t->set->n; i++)
		in += server_is_in(t->set->at[i]);
	return in;
}

void balancers_begin(struct jsonw *w)
{
	jsonw_object(w);
	jsonw_key(w, z("loadbalancers"));
	jsonw_object(w);
}

void balancers_add(struct jsonw *w, const struct balancer_view *t)
{
	jsonw_key(w, t->name);
	jsonw_object(w);
	jsonw_key_str(w, z("rule"), rule_name(t));
	jsonw_key_str(w, z("balancer"), balancer_name(t));
	jsonw_key_str(w, z("from"), z(server_origin_name(t->set->origin)));
	put_u(w, "servers", t->set->n);
	put_u(w, "in", count_in(t));
	jsonw_key_bool(w, z("panic"), outlier_panic(t->balancer->watch));
	jsonw_object_end(w);
}

void balancers_end(struct jsonw *w)
{
	jsonw_object_end(w);
	jsonw_object_end(w);
}

void balancers_explain(struct buf *b, const struct balancer_view *t, const struct balancers_when *at)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, z("service"), t->name);
	jsonw_key_str(&w, z("balancer"), balancer_name(t));
	put_rule(&w, t);
	put_list(&w, t, at);
	put_ping(&w, t, at);
	put_ejection(&w, t);
	put_retry(&w, t);
	put_servers(&w, t, at);
	put_decisions(&w, t, at);
	jsonw_object_end(&w);
}
