/* role.c - the registry as a process: properties, endpoints, health, metrics, the page. The control thread is the writer. */
#include "registry/role.h"

#include <stdio.h>
#include <unistd.h>

#include "codec/json.h"
#include "manage/actuator.h"
#include "manage/health.h"
#include "manage/host.h"
#include "manage/meters.h"
#include "props/props.h"
#include "registry/http.h"
#include "registry/page.h"

#define PAGE_MAX ((size_t)64 << 20)

struct reg_role {
	struct registry *reg;
	struct picture *mine; /* the control thread's */
};

static struct registry_config config_of(const struct props *p)
{
	return (struct registry_config){
		.leases = {
			.max_instances = (uint32_t)props_int(p, "vine.registry.max-instances"),
			.delta_retention = props_ms(p, "eureka.server.retention-time-in-m-s-in-delta-queue") * USEC_PER_MSEC,
			.doubling = props_bool(p, "vine.registry.eureka-lease-doubling"),
		},
		.preserve = {
			.enabled = props_bool(p, "eureka.server.enable-self-preservation"),
			.threshold = props_double(p, "eureka.server.renewal-percent-threshold"),
			.decay = props_ms(p, "eureka.server.renewal-threshold-update-interval-ms") * USEC_PER_MSEC,
		},
		.evict_interval = props_ms(p, "eureka.server.eviction-interval-timer-in-ms") * USEC_PER_MSEC,
		.disable_delta = props_bool(p, "eureka.server.disable-delta"),
		.ignore_dirty = !props_bool(p, "eureka.server.sync-when-timestamp-differs"),
	};
}

/* --- the page --- */

static uint64_t resident(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct page page_of(const struct host *h, struct registry *reg, const struct props *props, const struct picture *p,
			   const struct registry_report *rep, usec now)
{
	struct page pg = {
		.p = p,
		.report = rep,
		.environment = props_str(props, "eureka.environment"),
		.datacenter = props_str(props, "eureka.datacenter"),
		.wall = clock_wall(),
		.now = now,
		.uptime = now - h->started,
		.cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
		.memory = resident(),
	};

	registry_hides_expired(reg, &pg.doubling);
	return pg;
}

static void serve_page(struct exchange *ex, struct worker *w, struct reg_worker *rw, bool lastn)
{
	static const struct field fields[] = {
		{ STR_INIT("Cache-Control"), STR_INIT("no-store") },
		{ STR_INIT("X-Content-Type-Options"), STR_INIT("nosniff") },
		{ STR_INIT("X-Frame-Options"), STR_INIT("DENY") },
		{ STR_INIT("Content-Security-Policy"), STR_INIT("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'") },
	};
	_cleanup_(buf_finip) struct buf b = BUF_INIT(PAGE_MAX);
	struct registry_report rep;

	registry_report(rw->reg, &rep);
	if (lastn) {
		page_lastn(&b, rw->reg);
	} else {
		struct page pg = page_of(w->host, rw->reg, w->props, registry_see(rw->reg, &rw->mine), &rep, loop_now(w->loop));

		page_write(&b, &pg);
	}
	ex_respond(ex, 200, STR("text/html;charset=UTF-8"), buf_str(&b), fields, ARRAY_LEN(fields));
}

static void serve_status(struct exchange *ex, struct worker *w, struct reg_worker *rw)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(65536);
	bool xml = str_find(head_value(&ex->req, H_ACCEPT), STR("json")) < 0;
	struct registry_report rep;

	registry_report(rw->reg, &rep);

	struct page pg = page_of(w->host, rw->reg, w->props, registry_see(rw->reg, &rw->mine), &rep, loop_now(w->loop));

	page_status(&b, &pg, xml);
	ex_respond(ex, 200, xml ? STR("application/xml") : STR("application/json"), buf_str(&b), NULL, 0);
}

static bool is_status(struct str path)
{
	return str_eq(path, STR("/eureka/status")) || str_eq(path, STR("/eureka/v2/status")) ||
	       str_eq(path, STR("/eureka/status/")) || str_eq(path, STR("/eureka/v2/status/"));
}

static void handle(struct exchange *ex, void *ctx)
{
	struct worker *w = ctx;
	struct reg_worker *rw = w->role;
	struct str path = ex->req.path;
	bool get = ex->req.mid == HTTP_GET || ex->req.mid == HTTP_HEAD;

	if (get && is_status(path)) {
		ex->pattern = "/eureka/status";
		serve_status(ex, w, rw);
	} else if (registry_http_takes(path)) {
		registry_http(ex, rw);
	} else if (get && str_eq(path, STR("/"))) {
		ex->pattern = "/";
		serve_page(ex, w, rw, false);
	} else if (get && str_eq(path, STR("/lastn"))) {
		ex->pattern = "/lastn";
		serve_page(ex, w, rw, true);
	} else {
		ex_respond_text(ex, 404, STR("Not found. Eureka's endpoints are below /eureka, the page is at /.\n"));
	}
}

/* --- management: control thread --- */

static void state_of(struct host *h, struct buf *out)
{
	struct reg_role *role = h->role;
	struct registry_report rep;

	registry_report(role->reg, &rep);

	struct page pg = page_of(h, role->reg, h->props, registry_see(role->reg, &role->mine), &rep, loop_now(h->loop));

	page_state_json(out, &pg);
}

static void on_state(struct control_call *c)
{
	state_of(c->host, &c->out);
}

static void on_accept_size(struct control_call *c)
{
	struct reg_role *role = c->host->role;

	registry_accept_size(role->reg);
	LOG(&c->host->log, LOG_WARN, "the current size was accepted: who misses heartbeats is no longer waited for");
	state_of(c->host, &c->out);
}

static enum health_status check_health(struct host *h, struct jsonw *details, void *arg)
{
	struct reg_role *role = h->role;
	struct registry_report rep;
	char text[PRESERVE_TEXT_MAX];

	(void)arg;
	registry_report(role->reg, &rep);
	preserve_text(&rep.preserve, text);
	jsonw_key_u64(details, STR("applications"), rep.apps);
	jsonw_key_u64(details, STR("instances"), rep.instances);
	jsonw_key_bool(details, STR("selfPreservation"), rep.preserve.on);
	jsonw_key_str(details, STR("why"), str_from(text));
	return HEALTH_UP; /* preserving is what it is for */
}

static void add_meters(struct meter_snapshot *s, void *arg)
{
	static const struct meter_desc instances = { "vine.registry.instances", "registered instances", NULL, 0 };
	static const struct meter_desc apps = { "vine.registry.applications", "applications with an instance", NULL, 0 };
	static const struct meter_desc minute = { "vine.registry.renewals.minute", "heartbeats in the last minute", NULL, 0 };
	static const struct meter_desc renewals = { "vine.registry.renewals", "heartbeats", NULL, 0 };
	static const struct meter_desc on = { "vine.registry.self.preservation", "1: nothing is evicted", NULL, 0 };
	static const struct meter_desc missing = { "vine.registry.clients.missing", "clients that miss heartbeats", NULL, 0 };
	static const struct meter_desc registered = { "vine.registry.registrations", "registrations", NULL, 0 };
	static const struct meter_desc cancelled = { "vine.registry.cancellations", "cancelled leases", NULL, 0 };
	static const struct meter_desc evicted = { "vine.registry.evictions", "evicted leases", NULL, 0 };
	static const struct meter_desc refused = { "vine.registry.refusals", "registrations refused: full", NULL, 0 };
	struct host *h = arg;
	struct reg_role *role = h->role;
	struct registry_report r;

	registry_report(role->reg, &r);
	snapshot_add(s, METER_GAUGE, &instances, r.instances, NULL, 0);
	snapshot_add(s, METER_GAUGE, &apps, r.apps, NULL, 0);
	snapshot_add(s, METER_GAUGE, &minute, r.renewals_minute, NULL, 0);
	snapshot_add(s, METER_COUNTER, &renewals, (double)r.renewals, NULL, 0);
	snapshot_add(s, METER_GAUGE, &on, r.preserve.on, NULL, 0);
	snapshot_add(s, METER_GAUGE, &missing, r.preserve.missing, NULL, 0);
	snapshot_add(s, METER_COUNTER, &registered, (double)r.registered, NULL, 0);
	snapshot_add(s, METER_COUNTER, &cancelled, (double)r.cancelled, NULL, 0);
	snapshot_add(s, METER_COUNTER, &evicted, (double)r.evicted, NULL, 0);
	snapshot_add(s, METER_COUNTER, &refused, (double)r.refused, NULL, 0);
}

/* --- life --- */

static int start(struct host *h, struct err *e)
{
	struct reg_role *role = xzalloc(sizeof(*role));
	const struct registry_config cfg = config_of(h->props);

	(void)e;
	role->reg = registry_new(h->loop, h->mailbox, &cfg, h->seed, &h->log);
	h->role = role;
	host_add_health(h, &(struct health_part){ .name = "registry", .check = check_health });
	meters_source(h->meters, add_meters, h);
	actuator_add(h->actuator, &(struct endpoint){ .id = "registry", .methods = "GET", .pattern = "/registry", .call = on_state });
	actuator_add(h->actuator, &(struct endpoint){
		.id = "registry", .methods = "POST", .pattern = "/registry/accept-size", .call = on_accept_size, .flags = ENDPOINT_HIDDEN });
	return 0;
}

static void props_changed(struct host *h)
{
	struct reg_role *role = h->role;
	const struct registry_config cfg = config_of(h->props);

	registry_configure(role->reg, &cfg);
}

static void stop(struct host *h)
{
	struct reg_role *role = h->role;

	if (!role)
		return;
	picture_unref(role->mine);
	registry_free(role->reg);
	free(role);
	h->role = NULL;
}

static int worker_init(struct worker *w, struct err *e)
{
	struct reg_role *role = w->host->role;
	struct reg_worker *rw = xzalloc(sizeof(*rw));

	(void)e;
	reg_worker_init(rw, role->reg, w->loop, &w->mailbox, w->index);
	w->role = rw;
	return 0;
}

static void worker_fini(struct worker *w)
{
	struct reg_worker *rw = w->role;

	if (!rw)
		return;
	reg_worker_fini(rw);
	free(rw);
	w->role = NULL;
}

const struct role_ops registry_role = {
	.name = "registry",
	.default_port = 8761,
	.start = start,
	.props_changed = props_changed,
	.stop = stop,
	.worker_init = worker_init,
	.handle = handle,
	.worker_fini = worker_fini,
};
