/* discovery.c - see discovery.h. */
#include "manage/discovery.h"

#include "codec/json.h"
#include "eureka/self.h"
#include "http/identities.h"
#include "manage/actuator.h"
#include "manage/health.h"
#include "manage/host.h"
#include "manage/meters.h"
#include "props/props.h"

struct discovery {
	struct host *h;
	struct eureka_client *client;
	struct timer begin;
	struct timer grace; /* the registry was left */
	bool fetch, was_registered;
	void (*left)(struct host *h);
};

struct eureka_client *discovery_client(struct discovery *d)
{
	return d ? d->client : NULL;
}

/* --- settings --- */

static int read_settings(struct eureka_client_settings *s, struct discovery *d, struct err *e)
{
	eureka_settings(s, d->h->props, d->h->seed);
	s->fetch_registry = s->fetch_registry && d->fetch;
	s->dns.lane = d->h->dns_lane;
	s->dns.mailbox = d->h->mailbox;
	return identities_registry(d->h->tls, d->h->props, &s->tls, e);
}

int discovery_check(const struct props *p, struct err *e)
{
	struct eureka_client_settings s;

	if (!props_bool(p, "eureka.client.enabled"))
		return 0;
	if (identities_check_registry(p, e) < 0)
		return VINE_EINVAL;
	eureka_settings(&s, p, 0);
	return eureka_client_check(&s, e);
}

static void warn_of_zones(struct discovery *d)
{
	struct str zone[EUREKA_ZONES_MAX];
	size_t n = eureka_unused_zones(d->h->props, zone, ARRAY_LEN(zone));

	for (size_t i = 0; i < n; i++)
		LOG(&d->h->log, LOG_WARN, "registries of this zone are not asked: eureka.client.availability-zones does not name it",
		    F_STR("zone", zone[i]), F_STR("region", props_str(d->h->props, "eureka.client.region")));
}

/* --- health, both ways --- */

/* Spring's mapping: OUT_OF_SERVICE is DOWN, for an operator's OUT_OF_SERVICE must not be cancelled by a health that comes back. */
static enum inst_status own_health(void *ctx)
{
	struct discovery *d = ctx;

	switch (host_health(d->h, HEALTH_ALL)) {
	case HEALTH_UP: return INST_UP;
	case HEALTH_DOWN:
	case HEALTH_OUT_OF_SERVICE: return INST_DOWN;
	case HEALTH_UNKNOWN: break;
	}
	return INST_UNKNOWN;
}

static enum health_status check(struct host *h, struct jsonw *details, void *arg)
{
	struct discovery *d = arg;
	struct eureka_client_report r;

	(void)h;
	eureka_client_report(d->client, &r);
	jsonw_key_str(details, STR("registry"), str_from(r.url));
	jsonw_key_str(details, STR("state"), str_from(eureka_state_name(r.state)));
	jsonw_key_bool(details, STR("registered"), r.registered);
	jsonw_key_u64(details, STR("applications"), r.apps);
	jsonw_key_u64(details, STR("instances"), r.instances);
	jsonw_key_u64(details, STR("held"), r.held);
	jsonw_key_str(details, STR("remoteStatus"), inst_status_name(r.remote));
	if (r.state != EUREKA_OK && r.why[0])
		jsonw_key_str(details, STR("why"), str_from(r.why));
	return r.state == EUREKA_NEVER ? HEALTH_UNKNOWN : HEALTH_UP; /* with its last picture a role does its work */
}

static void add_meters(struct meter_snapshot *s, void *arg)
{
	static const struct meter_desc lost = { "vine.eureka.lost", "1: no registry answers", NULL, 0 };
	static const struct meter_desc known = { "vine.eureka.instances", "instances of the last picture", NULL, 0 };
	static const struct meter_desc held = { "vine.eureka.held", "instances kept that the registry no longer lists", NULL, 0 };
	static const struct meter_desc left_alone = { "vine.eureka.quarantined", "registries that are left alone", NULL, 0 };
	static const struct meter_desc fetches = { "vine.eureka.fetches", "answers of the registry", NULL, 0 };
	static const struct meter_desc watched = { "vine.eureka.watched", "1: the registry tells of changes by itself", NULL, 0 };
	static const struct meter_desc told = { "vine.eureka.told", "times that it told of changes", NULL, 0 };
	static const struct meter_desc mismatches = { "vine.eureka.mismatches", "deltas that did not fit their hash", NULL, 0 };
	static const struct meter_desc beats = { "vine.eureka.heartbeats", "heartbeats that were answered", NULL, 0 };
	static const struct meter_desc failures = { "vine.eureka.failures", "requests that a registry failed", NULL, 0 };
	struct meter_tag full = { "kind", STR("full") }, delta = { "kind", STR("delta") };
	struct discovery *d = arg;
	struct eureka_client_report r;

	eureka_client_report(d->client, &r);
	snapshot_add(s, METER_GAUGE, &lost, r.state == EUREKA_LOST, NULL, 0);
	snapshot_add(s, METER_GAUGE, &watched, r.pushed, NULL, 0);
	snapshot_add(s, METER_COUNTER, &told, (double)r.told, NULL, 0);
	snapshot_add(s, METER_GAUGE, &known, r.instances, NULL, 0);
	snapshot_add(s, METER_GAUGE, &held, r.held, NULL, 0);
	snapshot_add(s, METER_GAUGE, &left_alone, r.quarantined, NULL, 0);
	snapshot_add(s, METER_COUNTER, &fetches, (double)r.full, &full, 1);
	snapshot_add(s, METER_COUNTER, &fetches, (double)r.delta, &delta, 1);
	snapshot_add(s, METER_COUNTER, &mismatches, (double)r.mismatches, NULL, 0);
	snapshot_add(s, METER_COUNTER, &beats, (double)r.heartbeats, NULL, 0);
	snapshot_add(s, METER_COUNTER, &failures, (double)r.failures, NULL, 0);
}

/* --- endpoints --- */

static void on_eureka(struct control_call *c)
{
	struct discovery *d = c->ctx;
	struct jsonw w;

	jsonw_init(&w, &c->out);
	eureka_client_write(d->client, &w);
}

static void on_status(const struct eureka_reply *r, void *ctx)
{
	struct control_call *c = ctx;

	if (!r->status)
		call_fail(c, 503, r->why);
	else
		eureka_reply_write(&c->out, r);
	call_answer(c);
}

static void on_override(const struct eureka_reply *r, void *ctx)
{
	struct control_call *c = ctx;

	if (!r->status)
		call_fail(c, 503, r->why);
	else if (r->status >= 300)
		call_fail(c, r->status, "the registry refuses it, or does not know this instance");
	call_answer(c);
}

static void ask(struct control_call *c, enum eureka_question q, enum inst_status s)
{
	struct discovery *d = c->ctx;

	call_later(c);
	if (eureka_client_ask(d->client, q, s, q == EUREKA_GET ? on_status : on_override, c))
		return;
	call_fail(c, 404, "no registration found");
	call_answer(c);
}

static void get_status(struct control_call *c)
{
	ask(c, EUREKA_GET, INST_UNKNOWN);
}

static void post_status(struct control_call *c)
{
	enum eureka_question q;
	enum inst_status s;

	if (!eureka_override_parse(c->body, &q, &s)) {
		call_fail(c, 400, "wanted: {\"status\":\"...\"} with UP, DOWN, STARTING, OUT_OF_SERVICE, UNKNOWN or CANCEL_OVERRIDE");
		return;
	}
	LOG(&c->host->log, LOG_INFO, "an override is asked for",
	    F_STR("status", q == EUREKA_OVERRIDE ? inst_status_name(s) : STR("CANCEL_OVERRIDE")));
	ask(c, q, s);
}

static void show(struct discovery *d)
{
	const struct endpoint own[] = {
		{ .id = "eureka", .methods = "GET", .pattern = "/eureka", .call = on_eureka, .ctx = d },
		{ .id = "serviceregistry", .methods = "GET", .pattern = "/serviceregistry", .call = get_status, .ctx = d },
		{ .id = "serviceregistry", .methods = "POST", .pattern = "/serviceregistry", .call = post_status, .ctx = d,
		  .flags = ENDPOINT_HIDDEN },
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		actuator_add(d->h->actuator, &own[i]);
	host_add_health(d->h, &(struct health_part){ "discoveryClient", HEALTH_ALL, check, d });
	meters_source(d->h->meters, add_meters, d);
}

/* --- life --- */

static void on_first(const char *why, void *ctx)
{
	struct discovery *d = ctx;

	if (!why)
		return;
	LOG(&d->h->log, LOG_ERROR, "not registered, and eureka.client.should-enforce-registration-at-init is true", F_Z("why", why));
	host_exit(d->h, 1);
}

static void describe(struct discovery *d)
{
	struct host *h = d->h;
	uint16_t management = addr_port(&h->management_address);
	struct instance self;
	struct arena a;

	arena_init(&a, 4096);
	eureka_self(&self, &a, h->props, str_from(h->app_name),
		    &(struct eureka_place){ .address = &h->address, .management_port = management != h->port ? management : 0,
					    .secure = h->listen_tls, .management_secure = h->management_tls,
					    .paths = h->paths });
	eureka_client_register(d->client, &self, 0);
	arena_fini(&a);
}

/* In the first turn of the loop: the health that the registry is told of is that of a process that is ready. */
static void begin(struct timer *t)
{
	struct discovery *d = container_of(t, struct discovery, begin);

	if (props_bool(d->h->props, "eureka.client.register-with-eureka")) {
		if (props_bool(d->h->props, "eureka.client.should-enforce-registration-at-init"))
			eureka_client_on_first(d->client, on_first, d);
		describe(d);
	}
	eureka_client_start(d->client);
}

static void grace_over(struct timer *t)
{
	struct discovery *d = container_of(t, struct discovery, grace);

	d->left(d->h);
}

/* Whoever watches the registry knows now; those who poll it may still come for a while. */
static void on_left(void *ctx)
{
	struct discovery *d = ctx;
	usec grace = d->was_registered ? props_ms(d->h->props, "vine.shutdown.leave-grace-ms") * USEC_PER_MSEC : 0;

	if (grace == 0)
		d->left(d->h);
	else
		timer_set(d->h->loop, &d->grace, loop_now(d->h->loop) + grace);
}

int discovery_new(struct discovery **ret, struct host *h, const struct discovery_opts *o, struct err *e)
{
	struct eureka_client_settings s;
	struct discovery *d;
	int r;

	if (!props_bool(h->props, "eureka.client.enabled"))
		return 0;
	d = xzalloc(sizeof(*d));
	*d = (struct discovery){ .h = h, .fetch = o->fetch };
	r = read_settings(&s, d, e);
	if (r == 0)
		r = eureka_client_new(&d->client, h->client, &s, &h->log, e);
	if (r < 0) {
		free(d);
		return r;
	}
	timer_init(&d->begin, begin);
	timer_init(&d->grace, grace_over);
	eureka_client_on_view(d->client, o->on_view, o->ctx);
	if (props_bool(h->props, "eureka.client.healthcheck.enabled"))
		eureka_client_on_health(d->client, own_health, d);
	warn_of_zones(d);
	show(d);
	*ret = d;
	return 0;
}

void discovery_ready(struct discovery *d)
{
	if (d)
		timer_set(d->h->loop, &d->begin, loop_now(d->h->loop));
}

void discovery_changed(struct discovery *d)
{
	struct eureka_client_settings s;
	struct err e;

	if (!d)
		return;
	if (read_settings(&s, d, &e) < 0 || eureka_client_configure(d->client, &s, &e) < 0)
		LOG(&d->h->log, LOG_ERROR, "registries not changed", F_Z("error", e.text));
	eureka_client_on_health(d->client, props_bool(d->h->props, "eureka.client.healthcheck.enabled") ? own_health : NULL, d);
	if (d->h->is_ready && props_bool(d->h->props, "eureka.client.register-with-eureka"))
		describe(d);
	warn_of_zones(d);
}

void discovery_leave(struct discovery *d, struct host *h, void (*done)(struct host *h))
{
	if (!d || !props_bool(h->props, "eureka.client.should-unregister-on-shutdown")) {
		done(h); /* its lease will run out, or the next process take it over */
		return;
	}
	struct eureka_client_report r;

	eureka_client_report(d->client, &r);
	d->was_registered = r.registered;
	timer_park(&d->begin);
	d->left = done;
	eureka_client_deregister(d->client, 0, on_left, d);
}

void discovery_free(struct discovery *d)
{
	if (!d)
		return;
	timer_cancel(d->h->loop, &d->begin);
	timer_cancel(d->h->loop, &d->grace);
	eureka_client_free(d->client);
	free(d);
}
