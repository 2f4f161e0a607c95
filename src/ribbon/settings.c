/* settings.c - see settings.h. */
#include "ribbon/settings.h"

#include <stdio.h>

#include "http/identities.h"
#include "plugin/plugin.h"
#include "props/props.h"
#include "ribbon/ribbon.h"
#include "ribbon/user.h"

#define RIBBON "{client}.ribbon."
#define LB "vine.loadbalancer.{client}."
#define NIWS "niws.loadbalancer."
#define ZONE_AWARE "ZoneAwareNIWSDiscoveryLoadBalancer."
#define VALUE_MAX 4096

struct reader {
	struct ribbon *rb;
	const struct props *p;
	struct user_part *config; /* the user's client config; NULL: none */
	struct arena *arena;
	struct err *e;
	int r; /* of the first fault */
};

/* --- one value --- */

/* What the user's client config says, judged as a file's value is; false: nothing. */
static bool from_user(struct reader *rd, const char *row, struct str *ret)
{
	char text[VALUE_MAX];
	const char *key = row + strlen(RIBBON);
	struct err why;
	int len;

	if (!rd->config || strncmp(row, RIBBON, strlen(RIBBON)) != 0)
		return false;
	len = user_config_get(rd->config, key, text, sizeof(text));
	if (len < 0)
		return false;
	*ret = str_printf_in(rd->arena, "%.*s", (int)MIN((size_t)len, sizeof(text) - 1), text);
	if (prop_validate(prop_desc_named(row), *ret, &why) < 0 && rd->r == 0)
		rd->r = err_set(rd->e, VINE_EINVAL, "client config %.*s: %.*s.ribbon.%s = %.*s: %s",
				STRF(plugin_name(rd->config->plugin)), STRF(rd->rb->name), key, STRF(*ret), why.text);
	return true;
}

static struct str text_of(struct reader *rd, const char *row)
{
	struct str s;

	return from_user(rd, row, &s) ? s : props_str_of(rd->p, row, rd->rb->name);
}

static bool is_given(struct reader *rd, const char *row)
{
	return str_trim(text_of(rd, row)).len > 0;
}

static int64_t int_of(struct reader *rd, const char *row)
{
	int64_t v = 0;

	str_to_i64(str_trim(text_of(rd, row)), &v);
	return v;
}

static uint32_t u32_of(struct reader *rd, const char *row)
{
	int64_t v = int_of(rd, row);

	return (uint32_t)MIN(MAX(v, (int64_t)0), (int64_t)UINT32_MAX);
}

static float float_of(struct reader *rd, const char *row)
{
	double v = 0;

	str_to_double(str_trim(text_of(rd, row)), &v);
	return (float)v;
}

static bool bool_of(struct reader *rd, const char *row)
{
	bool v = false;

	str_to_bool(str_trim(text_of(rd, row)), &v);
	return v;
}

static usec time_of(struct reader *rd, const char *row, int64_t unit_ms)
{
	int64_t ms = 0;

	prop_parse_ms(text_of(rd, row), unit_ms, &ms);
	return ms * USEC_PER_MSEC;
}

static uint32_t list_of(struct reader *rd, const char *row, struct str *ret, uint32_t max)
{
	struct str text, piece;
	uint32_t n = 0;

	if (!from_user(rd, row, &text))
		return (uint32_t)props_list(rd->p, row, rd->rb->name, ret, max);
	while (n < max && text.len && str_cut(&text, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.len)
			ret[n++] = piece;
	}
	return n;
}

/* --- families --- */

static const enum vine_plugin_kind plugin_kinds[] = {
	[CLASS_RULE] = VINE_PLUGIN_RULE, [CLASS_BALANCER] = VINE_PLUGIN_BALANCER, [CLASS_PING] = VINE_PLUGIN_PING,
	[CLASS_LIST] = VINE_PLUGIN_LIST, [CLASS_FILTER] = VINE_PLUGIN_FILTER,     [CLASS_UPDATER] = VINE_PLUGIN_UPDATER,
};

enum vine_plugin_kind ribbon_plugin_kind(enum class_kind kind)
{
	return plugin_kinds[kind];
}

/* The part of that kind: a built-in one (its name), or the user's (put into s->user); NULL: a fault, or none is named. */
static const struct class_name *part_of(struct reader *rd, struct ribbon_settings *s, enum class_kind kind)
{
	char row[128];
	const struct class_name *c;
	struct str name;

	s->user[kind] = ribbon_given(rd->rb, plugin_kinds[kind]);
	if (s->user[kind])
		return NULL;
	snprintf(row, sizeof(row), RIBBON "%s", class_property(kind));
	name = str_trim(text_of(rd, row));
	if (name.len == 0 || rd->r < 0)
		return NULL;
	if (prop_class_is_plugin(name) && !rd->rb->env->plugins)
		return NULL;
	if (prop_class_is_plugin(name)) {
		int r = plugins_load(rd->rb->env->plugins, name, plugin_kinds[kind], &s->user[kind], rd->e);

		rd->r = r < 0 ? err_prefix(rd->e, "%.*s.ribbon.%s", STRF(rd->rb->name), class_property(kind)) : 0;
		return NULL;
	}
	c = class_find(kind, name);
	if (!c)
		rd->r = err_set(rd->e, VINE_EINVAL, "%.*s.ribbon.%s: unknown: %.*s", STRF(rd->rb->name),
				class_property(kind), STRF(name));
	return c;
}

static void read_parts(struct reader *rd, struct ribbon_settings *s)
{
	const struct class_name *c = part_of(rd, s, CLASS_RULE);

	s->rule = c ? balance_by_name(c->ours) : balance_at(0);
	c = part_of(rd, s, CLASS_BALANCER);
	s->zone_aware = c && c->id == BALANCER_ZONE_AWARE && props_bool(rd->p, ZONE_AWARE "enabled");
	c = part_of(rd, s, CLASS_PING);
	s->ping = s->user[CLASS_PING] ? PING_USER : c ? (enum ribbon_ping)c->id : PING_NONE;
	c = part_of(rd, s, CLASS_LIST);
	s->list = s->user[CLASS_LIST] ? LIST_USER : c ? (enum ribbon_list)c->id : LIST_AUTO;
	c = part_of(rd, s, CLASS_FILTER);
	s->filter.kind = s->user[CLASS_FILTER] ? FILTER_NONE : c ? (enum filter_kind)c->id : FILTER_ZONE_AFFINITY;
	c = part_of(rd, s, CLASS_UPDATER);
	s->updater = s->user[CLASS_UPDATER] ? UPDATER_USER : c ? (enum ribbon_updater)c->id : UPDATER_PUSH;
}

static void read_rules(struct reader *rd, struct ribbon_settings *s)
{
	s->rules = (struct rule_settings)RULE_SETTINGS_DEFAULT;
	s->rules.active_limit = u32_of(rd, RIBBON "ActiveConnectionsLimit");
	if (!s->rules.active_limit)
		s->rules.active_limit =
			(uint32_t)MIN(props_int(rd->p, NIWS "availabilityFilteringRule.activeConnectionsLimit"),
				      (int64_t)INT32_MAX);
	s->rules.ignore_tripped = !props_bool(rd->p, NIWS "availabilityFilteringRule.filterCircuitTripped");
	s->rules.zones_off = !props_bool(rd->p, NIWS "zoneAvoidanceRule.enabled");
	s->rules.weights_every = time_of(rd, RIBBON "ServerWeightTaskTimerInterval", 1);
	s->rules.choices = u32_of(rd, LB "choices");
	s->rules.hash_bound_pct = u32_of(rd, LB "hash-balance-percent");
	s->rules.zone_trigger = float_of(rd, ZONE_AWARE "{client}.triggeringLoadPerServerThreshold");
	s->rules.zone_blackout = float_of(rd, ZONE_AWARE "{client}.avoidZoneWithBlackoutPercetage");
	s->ring.maglev = s->rule->flags & BALANCE_MAGLEV;
	s->ring.size = u32_of(rd, s->ring.maglev ? LB "maglev-table-size" : LB "ring-size");
	if (s->rules.hash_bound_pct && s->rules.hash_bound_pct < 100 && rd->r == 0)
		rd->r = err_set(
			rd->e, VINE_EINVAL,
			"vine.loadbalancer.%.*s.hash-balance-percent = %u: below 100 no server could take its share",
			STRF(rd->rb->name), s->rules.hash_bound_pct);
}

static void read_outlier(struct reader *rd, struct ribbon_settings *s)
{
	struct outlier_settings *os = &s->outlier;

	*os = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	os->enabled = bool_of(rd, LB "outlier.enabled");
	os->consecutive = u32_of(rd, LB "outlier.consecutive-failures");
	os->refused = u32_of(rd, LB "outlier.refused-connections");
	os->probes = u32_of(rd, LB "outlier.probes");
	os->base_ms = time_of(rd, LB "outlier.base-ejection-ms", 1) / USEC_PER_MSEC;
	os->max_ms = time_of(rd, LB "outlier.max-ejection-ms", 1) / USEC_PER_MSEC;
	os->max_ejected_pct = u32_of(rd, LB "outlier.max-ejected-percent");
	os->judge_ms = time_of(rd, LB "outlier.interval-ms", 1) / USEC_PER_MSEC;
	os->success_deviations = float_of(rd, LB "outlier.success-rate-deviations");
	os->success_hosts = u32_of(rd, LB "outlier.success-rate-hosts");
	os->success_requests = u32_of(rd, LB "outlier.success-rate-requests");
	os->latency_factor = float_of(rd, LB "outlier.latency-factor");
	os->panic_pct = u32_of(rd, LB "panic-percent");
	os->slow_start_ms = time_of(rd, LB "slow-start-ms", 1) / USEC_PER_MSEC;
	os->slow_start_bend = MAX(float_of(rd, LB "slow-start-aggression"), 0.01f);
	os->ewma_tau = time_of(rd, LB "latency-decay-ms", 1);
	/* Ribbon's own circuit, where somebody has set it */
	if (is_given(rd, NIWS "{client}.connectionFailureCountThreshold"))
		os->refused = u32_of(rd, NIWS "{client}.connectionFailureCountThreshold");
	if (is_given(rd, NIWS "{client}.circuitTripTimeoutFactorSeconds"))
		os->base_ms = time_of(rd, NIWS "{client}.circuitTripTimeoutFactorSeconds", 1000) / USEC_PER_MSEC;
	if (is_given(rd, NIWS "{client}.circuitTripMaxTimeoutSeconds"))
		os->max_ms = time_of(rd, NIWS "{client}.circuitTripMaxTimeoutSeconds", 1000) / USEC_PER_MSEC;
}

static void read_retry(struct reader *rd, struct ribbon_settings *s)
{
	struct str codes[RETRY_STATUSES_MAX];
	uint32_t n = list_of(rd, RIBBON "retryableStatusCodes", codes, RETRY_STATUSES_MAX);

	s->retry = (struct retry_settings){
		.same = u32_of(rd, RIBBON "MaxAutoRetries"),
		.next = u32_of(rd, RIBBON "MaxAutoRetriesNextServer"),
		.all_operations = bool_of(rd, RIBBON "OkToRetryOnAllOperations"),
	};
	for (uint32_t i = 0; i < n; i++) {
		uint64_t code;

		if (str_to_u64(codes[i], &code) && code >= 100 && code <= 999)
			s->retry.statuses[s->retry.status_count++] = (uint16_t)code;
		else if (rd->r == 0)
			rd->r = err_set(rd->e, VINE_EINVAL, "%.*s.ribbon.retryableStatusCodes: '%.*s' is not a status",
					STRF(rd->rb->name), STRF(codes[i]));
	}
	s->budget.ratio_pct = u32_of(rd, LB "retry-budget.percent");
	s->budget.per_second = u32_of(rd, LB "retry-budget.min-per-second");
	s->budget.cap = MAX(s->budget.per_second * 10, 100u);
	s->backoff = time_of(rd, RIBBON "BackoffTimeout", 1);
	s->hedge_delay = time_of(rd, LB "hedge.delay-ms", 1);
	s->connect_timeout = time_of(rd, RIBBON "ConnectTimeout", 1);
	s->read_timeout = time_of(rd, RIBBON "ReadTimeout", 1);
	s->max_idle = u32_of(rd, RIBBON "MaxConnectionsPerHost");
	s->idle_timeout = time_of(rd, RIBBON "ConnIdleEvictTimeMilliSeconds", 1);
}

static void read_list(struct reader *rd, struct ribbon_settings *s)
{
	const struct props *p = rd->p;
	_cleanup_(freep) struct str *listed = xmalloc(RIBBON_SERVERS_MAX * sizeof(*listed));
	struct str client = rd->rb->name;

	s->n_listed = list_of(rd, RIBBON "listOfServers", listed, RIBBON_SERVERS_MAX);
	s->listed = memcpy(arena_alloc(rd->arena, (s->n_listed + 1) * sizeof(*listed)), listed,
			   s->n_listed * sizeof(*listed));
	if (s->list == LIST_AUTO)
		s->list = s->n_listed ? LIST_CONFIGURED : LIST_REGISTRY;
	s->n_vips = list_of(rd, RIBBON "DeploymentContextBasedVipAddresses", s->vip, RIBBON_VIPS_MAX);
	if (s->n_vips == 0)
		s->vip[s->n_vips++] = client;
	s->first_vip_only = bool_of(rd, RIBBON "PrioritizeVipAddressBasedServers");
	s->use_ip = bool_of(rd, RIBBON "UseIPAddrForServer");
	s->force_port = bool_of(rd, RIBBON "ForceClientPortConfiguration") ? (uint16_t)int_of(rd, RIBBON "Port") : 0;
	if (props_is_set(p, RIBBON "SecurePort", client, true))
		s->force_secure_port = (uint16_t)int_of(rd, RIBBON "SecurePort");
	s->secure_set = props_is_set(p, RIBBON "IsSecure", client, true);
	s->secure = s->secure_set && bool_of(rd, RIBBON "IsSecure");
	if (rd->rb->env->tls && rd->r == 0)
		rd->r = identities_ribbon(rd->rb->env->tls, p, client, false, &s->tls, rd->e);
	s->use_registry = props_bool(p, "ribbon.eureka.enabled");
	if (props_is_set(p, RIBBON "eureka.enabled", client, false))
		s->use_registry = props_bool_of(p, RIBBON "eureka.enabled", client);
	s->refresh_every = time_of(rd, RIBBON "ServerListRefreshInterval", 1);
}

static void read_filter(struct reader *rd, struct ribbon_settings *s)
{
	struct filter_settings *fs = &s->filter;

	fs->zone = props_str_of(rd->p, "eureka.instance.metadata-map.{key}", STR("zone"));
	fs->affinity = bool_of(rd, RIBBON "EnableZoneAffinity");
	fs->exclusive = bool_of(rd, RIBBON "EnableZoneExclusivity");
	fs->max_load = float_of(rd, RIBBON "zoneAffinity.maxLoadPerServer");
	fs->max_blackout = float_of(rd, RIBBON "zoneAffinity.maxBlackOutServesrPercentage");
	fs->min_available = u32_of(rd, RIBBON "zoneAffinity.minAvailableServers");
	fs->size = u32_of(rd, RIBBON "ServerListSubsetFilter.size");
	fs->eliminate = float_of(rd, RIBBON "ServerListSubsetFilter.forceEliminatePercent");
	fs->max_failures = u32_of(rd, RIBBON "ServerListSubsetFilter.eliminationFailureThresold");
	fs->max_connections = u32_of(rd, RIBBON "ServerListSubsetFilter.eliminationConnectionThresold");
	fs->seed = rd->rb->env->seed;
	if ((fs->eliminate < 0 || fs->eliminate > 1) && rd->r == 0)
		rd->r = err_set(rd->e, VINE_EINVAL,
				"%.*s.ribbon.ServerListSubsetFilter.forceEliminatePercent: must be between 0 and 1",
				STRF(rd->rb->name));
}

static void read_ping(struct reader *rd, struct ribbon_settings *s)
{
	s->ping_every = time_of(rd, RIBBON "NFLoadBalancerPingInterval", 1000);
	s->ping_total = MAX(time_of(rd, RIBBON "NFLoadBalancerMaxTotalPingTime", 1000), 100 * USEC_PER_MSEC);
	s->ping_path = text_of(rd, LB "ping.path");
	s->ping_expect = text_of(rd, LB "ping.expect");
	s->ping_constant = bool_of(rd, LB "ping.constant");
	if ((s->ping_path.len == 0 || s->ping_path.ptr[0] != '/') && rd->r == 0)
		rd->r = err_set(rd->e, VINE_EINVAL, "vine.loadbalancer.%.*s.ping.path: '%.*s' does not begin with /",
				STRF(rd->rb->name), STRF(s->ping_path));
}

/* "header:X-User", "cookie:SID", "address", "path" */
static void read_hash_key(struct reader *rd, struct ribbon_settings *s)
{
	struct str text = str_trim(text_of(rd, LB "hash-key")), kind, rest = text;

	if (text.len == 0 || rd->r < 0)
		return;
	str_cut(&rest, ':', &kind);
	s->hash_name = rest.len == SIZE_MAX ? STR_EMPTY : str_trim(rest);
	if (str_eq_nocase(kind, STR("header")) && s->hash_name.len)
		s->hash = HASH_HEADER;
	else if (str_eq_nocase(kind, STR("cookie")) && s->hash_name.len)
		s->hash = HASH_COOKIE;
	else if (str_eq_nocase(text, STR("address")))
		s->hash = HASH_ADDRESS;
	else if (str_eq_nocase(text, STR("path")))
		s->hash = HASH_PATH;
	else
		rd->r = err_set(
			rd->e, VINE_EINVAL,
			"vine.loadbalancer.%.*s.hash-key = %.*s: must be header:NAME, cookie:NAME, address or path",
			STRF(rd->rb->name), STRF(text));
}

/* --- all --- */

static int find_config(struct reader *rd)
{
	struct plugin *pl = ribbon_given(rd->rb, VINE_PLUGIN_CONFIG);
	struct str spec = str_trim(props_str_of(rd->p, LB "client-config", rd->rb->name));

	if (!pl && (spec.len == 0 || !rd->rb->env->plugins))
		return 0;
	if (!pl) {
		int r = plugins_load(rd->rb->env->plugins, spec, VINE_PLUGIN_CONFIG, &pl, rd->e);

		if (r < 0)
			return err_prefix(rd->e, "vine.loadbalancer.%.*s.client-config", STRF(rd->rb->name));
	}
	rd->config = ribbon_part(rd->rb, pl);
	return 0;
}

int ribbon_settings_read(struct ribbon_settings *ret, struct ribbon *rb, const struct props *p, struct arena *a,
			 struct err *e)
{
	struct reader rd = { .rb = rb, .p = p, .arena = a, .e = e };
	struct ribbon_settings s = { 0 };
	int r = find_config(&rd);

	if (r < 0)
		return r;
	read_parts(&rd, &s);
	if (rd.r < 0)
		return rd.r;
	read_rules(&rd, &s);
	read_outlier(&rd, &s);
	read_retry(&rd, &s);
	read_list(&rd, &s);
	read_filter(&rd, &s);
	read_ping(&rd, &s);
	read_hash_key(&rd, &s);
	if (rd.r == 0)
		*ret = s;
	return rd.r;
}
