/* role.c - the registry as a process: properties, endpoints, health, metrics, the page. The control thread is the writer. */
#include "registry/role.h"

#include <stdio.h>
#include <unistd.h>

#include "codec/json.h"
#include "manage/actuator.h"
#include "manage/health.h"
#include "manage/host.h"
#include "manage/meters.h"
#include "manage/settings.h"
#include "net/tally.h"
#include "props/props.h"
#include "eureka/self.h"
#include "http/identities.h"
#include "registry/auth.h"
#include "registry/http.h"
#include "registry/own.h"
#include "registry/page.h"
#include "registry/settings.h"
#include "registry/snapshot.h"
#include "registry/watch.h"

#define PAGE_MAX ((size_t)64 << 20)

/* What a worker has. */
struct reg_here {
	struct reg_worker http;
	struct watch_hub watch;
	struct reg_auth *auth; /* NULL: everybody may */
};

struct reg_role {
	struct registry *reg;
	struct picture *mine; /* the control thread's */
	struct limiter *limiter;
	struct peers *peers;
	struct snapshot *snapshot; /* NULL: off */
	struct own *own; /* NULL: it is not in itself */
	struct watch_shared watch;
	void (*left)(struct host *h); /* while it drains */
	struct reg_settings set;
	char identity[256]; /* header lines to peers */
	char accept[2 * BASEPATH_MAX + 64]; /* path of the endpoint that accepts the size; on this port without the context path */
};

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

/* eureka.dashboard.path. */
static struct str home_of(const struct props *p)
{
	struct str path = props_str(p, "eureka.dashboard.path");

	return path.len ? path : STR("/");
}

/* Everything that page and reports are made of; spans live as long as it. */
struct view {
	struct registry_report report;
	struct peers_report peers;
	struct snapshot_report snapshot;
	char ip[ADDR_TEXT_MAX];
	struct page page;
};

static const struct page *view_of(struct view *v, const struct host *h, const struct props *props,
				  const struct picture *p, usec now)
{
	const struct reg_role *role = h->role;

	registry_report(role->reg, &v->report);
	peers_report(role->peers, &v->peers);
	snapshot_report(role->snapshot, &v->snapshot);
	addr_ip_text(&h->address, v->ip);
	v->page = (struct page){
		.p = p,
		.report = &v->report,
		.peers = &v->peers,
		.snapshot = &v->snapshot,
		.serving = registry_serves(role->reg),
		.restored = registry_restored(role->reg),
		.ip = str_from(v->ip),
		.context = h->context,
		.home = home_of(props),
		.accept = str_from(role->accept),
		.accepts_here = !h->management,
		.environment = props_str(props, "eureka.environment"),
		.datacenter = props_str(props, "eureka.datacenter"),
		.wall = clock_wall(),
		.now = now,
		.uptime = now - h->started,
		.cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
		.memory = resident(),
		.memory_total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
	};
	registry_hides_expired(role->reg, &v->page.doubling);
	return &v->page;
}

static const struct page *worker_view(struct view *v, struct worker *w)
{
	struct reg_worker *rw = &((struct reg_here *)w->role)->http;

	return view_of(v, w->host, w->props, registry_see(rw->reg, &rw->mine), loop_now(w->loop));
}

static void serve_page(struct exchange *ex, struct worker *w, bool lastn)
{
	static const struct field fields[] = {
		{ STR_INIT("Cache-Control"), STR_INIT("no-store") },
		{ STR_INIT("X-Content-Type-Options"), STR_INIT("nosniff") },
		{ STR_INIT("X-Frame-Options"), STR_INIT("DENY") },
		{ STR_INIT("Content-Security-Policy"), STR_INIT("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'") },
	};
	_cleanup_(buf_finip) struct buf b = BUF_INIT(PAGE_MAX);
	struct reg_worker *rw = &((struct reg_here *)w->role)->http;
	struct view v;

	if (lastn)
		page_lastn(&b, rw->reg, w->host->context, home_of(w->props));
	else
		page_write(&b, worker_view(&v, w));
	ex_respond(ex, 200, STR("text/html;charset=UTF-8"), buf_str(&b), fields, ARRAY_LEN(fields));
}

static void serve_status(struct exchange *ex, struct worker *w, bool xml)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 20);
	struct view v;

	page_status(&b, worker_view(&v, w), xml);
	ex_respond(ex, 200, xml ? STR("application/xml") : STR("application/json"), buf_str(&b), NULL, 0);
}

/* eureka.dashboard.path, with or without a slash at its end. */
static bool is_page(const struct props *p, struct str path)
{
	struct str want = props_str(p, "eureka.dashboard.path");

	if (!props_bool(p, "eureka.dashboard.enabled"))
		return false;
	if (path.len > 1 && str_has_suffix(path, STR("/")))
		path.len--;
	if (want.len > 1 && str_has_suffix(want, STR("/")))
		want.len--;
	return str_eq(path, want);
}

/* All that this role serves; what else is asked for is not found, whoever asks. */
static bool is_guarded(struct str path, const struct props *p)
{
	return registry_http_takes(path) || str_eq(path, STR("/vine/watch")) || str_eq(path, STR("/lastn")) ||
	       is_page(p, path);
}

static void handle(struct exchange *ex, void *ctx)
{
	struct worker *w = ctx;
	struct reg_here *here = w->role;
	struct str path = ex->req.path;
	bool get = ex->req.mid == HTTP_GET || ex->req.mid == HTTP_HEAD, xml;

	if (is_guarded(path, w->props) && !reg_auth_admits(here->auth, ex, &w->log)) {
		ex->pattern = "/eureka (not let in)";
	} else if (registry_http_asks_status(ex, &xml)) {
		ex->pattern = "/eureka/status";
		serve_status(ex, w, xml);
	} else if (registry_http_takes(path)) {
		registry_http(ex, &here->http);
	} else if (str_eq(path, STR("/vine/watch"))) {
		watch_request(ex, &here->watch);
	} else if (get && is_page(w->props, path)) {
		ex->pattern = "/";
		serve_page(ex, w, false);
	} else if (get && str_eq(path, STR("/lastn")) && props_bool(w->props, "eureka.dashboard.enabled")) {
		ex->pattern = "/lastn";
		serve_page(ex, w, true);
	} else {
		ex_respond_text(ex, 404, str_printf_in(&ex->arena, "Not found. Eureka's endpoints are below %.*s/eureka, the page is at %.*s%.*s.\n",
						       STRF(ex_context(ex)), STRF(ex_context(ex)), STRF(home_of(w->props))));
	}
}

/* --- management: control thread --- */

static void state_of(struct host *h, struct buf *out)
{
	struct reg_role *role = h->role;
	struct view v;

	page_state_json(out, view_of(&v, h, h->props, registry_see(role->reg, &role->mine), loop_now(h->loop)));
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
	if (str_find(c->accept, STR("text/html")) >= 0) { /* the page's button */
		c->type = "text/html;charset=UTF-8";
		page_accepted(&c->out, c->host->context, home_of(c->host->props));
		return;
	}
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
	jsonw_key_u64(details, STR("restored"), registry_restored(role->reg));
	jsonw_key_bool(details, STR("serving"), registry_serves(role->reg));
	return registry_serves(role->reg) ? HEALTH_UP : HEALTH_OUT_OF_SERVICE; /* preserving is what it is for */
}

/* Down only where somebody said how many peers there must be. */
static enum health_status check_peers(struct host *h, struct jsonw *details, void *arg)
{
	struct reg_role *role = h->role;
	struct peers_report r;
	int64_t up = 0, others = 0;

	(void)arg;
	peers_report(role->peers, &r);
	for (unsigned i = 0; i < r.n; i++) {
		if (r.peer[i].state == PEER_SELF)
			continue;
		others++;
		up += r.peer[i].state == PEER_UP;
		jsonw_key_str(details, str_from(r.peer[i].shown), str_from(peer_state_name(r.peer[i].state)));
	}
	jsonw_key_i64(details, STR("peers"), others);
	jsonw_key_i64(details, STR("up"), up);
	return up >= r.min_replicas ? HEALTH_UP : HEALTH_DOWN;
}

/* Unknown, and so without weight for the whole: the service goes on. */
static enum health_status check_snapshot(struct host *h, struct jsonw *details, void *arg)
{
	struct reg_role *role = h->role;
	struct snapshot_report r;

	(void)arg;
	snapshot_report(role->snapshot, &r);
	jsonw_key_bool(details, STR("enabled"), r.on);
	if (!r.on)
		return HEALTH_UP;
	jsonw_key_u64(details, STR("bytes"), r.bytes);
	jsonw_key_u64(details, STR("restored"), r.restored);
	if (!r.failing)
		return HEALTH_UP;
	jsonw_key_str(details, STR("error"), str_from(r.error));
	return HEALTH_UNKNOWN;
}

/* What hangs on the writer: peers, snapshot, watchers, limits. */
static void add_follower_meters(struct meter_snapshot *s, void *arg)
{
	static const struct meter_desc restored = { "vine.registry.restored", "leases from before the start", NULL, 0 };
	static const struct meter_desc waiting = { "vine.registry.peers.waiting", "changes untold to peers", NULL, 0 };
	static const struct meter_desc up = { "vine.registry.peers.up", "peers that answer", NULL, 0 };
	static const struct meter_desc failing = { "vine.registry.snapshot.failing", "1: no snapshot can be written", NULL, 0 };
	static const struct meter_desc watchers = { "vine.registry.watchers", "clients of /vine/watch", NULL, 0 };
	static const struct meter_desc resyncs = { "vine.registry.watch.resyncs", "watchers sent to fetch all", NULL, 0 };
	static const struct meter_desc limited = { "vine.registry.fetches.refused", "past the rate limits", NULL, 0 };
	struct host *h = arg;
	struct reg_role *role = h->role;
	struct peers_report peers;
	struct snapshot_report snap;
	double n_waiting = 0, n_up = 0;

	peers_report(role->peers, &peers);
	snapshot_report(role->snapshot, &snap);
	for (unsigned i = 0; i < peers.n; i++) {
		n_waiting += peers.peer[i].waiting;
		n_up += peers.peer[i].state == PEER_UP;
	}
	snapshot_add(s, METER_GAUGE, &restored, registry_restored(role->reg), NULL, 0);
	snapshot_add(s, METER_GAUGE, &waiting, n_waiting, NULL, 0);
	snapshot_add(s, METER_GAUGE, &up, n_up, NULL, 0);
	snapshot_add(s, METER_GAUGE, &failing, snap.failing, NULL, 0);
	snapshot_add(s, METER_GAUGE, &watchers, atomic_load(&role->watch.watching), NULL, 0);
	snapshot_add(s, METER_COUNTER, &resyncs, (double)atomic_load(&role->watch.resyncs), NULL, 0);
	snapshot_add(s, METER_COUNTER, &limited, (double)limiter_refused(role->limiter), NULL, 0);
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

static int make_peers(struct host *h, struct reg_role *role, struct err *e)
{
	char ip[ADDR_TEXT_MAX];
	struct tls *tls;
	int r = identities_registry(h->tls, h->props, &tls, e);

	if (r < 0)
		return r;

	addr_ip_text(&h->address, ip);
	snprintf(role->identity, sizeof(role->identity),
		 "DiscoveryIdentity-Name: DefaultServer\r\nDiscoveryIdentity-Version: 1.0\r\nDiscoveryIdentity-Id: %s\r\n"
		 "User-Agent: vine/" VINE_VERSION "\r\n", ip);
	role->peers = peers_new(&(struct peer_env){
		.reg = role->reg,
		.http = h->client,
		.tls = tls,
		.loop = h->loop,
		.log = &h->log,
		.identity = role->identity,
		.seed = h->seed,
	});
	return 0;
}

static int make_snapshot(struct host *h, struct reg_role *role, struct err *e)
{
	struct registry_hooks hooks = { .written = peers_tell, .written_ctx = role->peers };
	int r = 0;

	if (role->set.snapshot)
		r = snapshot_open(&role->snapshot, role->reg, h->loop, h->mailbox, h->data_dir, h->seed, &h->log, e);
	if (role->snapshot) {
		hooks.published = snapshot_note;
		hooks.published_ctx = role->snapshot;
	}
	registry_hook(role->reg, &hooks);
	return r;
}

static int start(struct host *h, struct err *e)
{
	struct reg_role *role = xzalloc(sizeof(*role));
	struct addr nowhere = h->address;

	h->role = role;
	snprintf(role->accept, sizeof(role->accept), "%.*s%.*s/registry/accept-size",
		 STRF(h->settings->has_management ? basepath_str(&h->paths->management) : STR_EMPTY), STRF(basepath_str(&h->paths->actuator)));
	if (nowhere.sa.sa_family == AF_INET6)
		nowhere.in6.sin6_port = 0;
	else
		nowhere.in.sin_port = 0;

	int r = reg_settings_read(&role->set, h->props, &nowhere, e);

	if (r < 0)
		return r;
	role->reg = registry_new(h->loop, h->mailbox, &role->set.registry, h->seed, &h->log);
	role->limiter = limiter_new();
	limiter_configure(role->limiter, &role->set.limiter);
	atomic_init(&role->watch.max, role->set.max_watchers);
	role->watch.by_address = addr_tally_new(role->set.max_watchers_each, h->seed);
	r = make_peers(h, role, e);
	if (r == 0)
		r = make_snapshot(h, role, e);
	if (r < 0)
		return r;
	/* what is to be known of peers comes in ready() */
	registry_set_serving(role->reg, role->set.peers.n == 0 || registry_restored(role->reg) > 0);
	host_add_health(h, &(struct health_part){ .name = "registry", .check = check_health });
	host_add_health(h, &(struct health_part){ .name = "registryPeers", .check = check_peers });
	host_add_health(h, &(struct health_part){ .name = "registrySnapshot", .check = check_snapshot });
	meters_source(h->meters, add_meters, h);
	meters_source(h->meters, add_follower_meters, h);
	actuator_add(h->actuator, &(struct endpoint){ .id = "registry", .methods = "GET", .pattern = "/registry", .call = on_state });
	actuator_add(h->actuator, &(struct endpoint){
		.id = "registry", .methods = "POST", .pattern = "/registry/accept-size", .call = on_accept_size, .flags = ENDPOINT_HIDDEN });
	return 0;
}

/* Only where it is asked for: a registry that stands alone shows services, not itself. */
static void register_itself(struct host *h, struct reg_role *role)
{
	uint16_t management = addr_port(&h->management_address);
	struct instance d;
	struct arena a;

	if (!props_is_set(h->props, "eureka.client.register-with-eureka", STR_EMPTY, false) ||
	    !props_bool(h->props, "eureka.client.register-with-eureka"))
		return;
	arena_init(&a, 4096);
	eureka_self(&d, &a, h->props, str_from(h->app_name),
		    &(struct eureka_place){ .address = &h->address, .management_port = management != h->port ? management : 0,
					    .secure = h->listen_tls, .management_secure = h->management_tls,
					    .paths = h->paths });
	role->own = own_start(role->reg, h->loop, h->mailbox, &d);
	arena_fini(&a);
}

static void has_left(void *ctx)
{
	struct reg_role *role = ((struct host *)ctx)->role;

	role->left(ctx);
}

/* What was answered shall be known to the peers, too. */
static void drain(struct host *h, void (*done)(struct host *h))
{
	struct reg_role *role = h->role;

	role->left = done;
	own_leave(role->own);
	peers_flush(role->peers, USEC_PER_SEC, has_left, h);
}

static void ready(struct host *h)
{
	struct reg_role *role = h->role;
	struct err e;

	if (reg_settings_read(&role->set, h->props, &h->address, &e) == 0) /* it was right at the start */
		peers_configure(role->peers, &role->set.peers);
	peers_begin(role->peers, registry_restored(role->reg) > 0);
	register_itself(h, role);
}

static int props_check(struct host *h, const struct props *p, struct err *e)
{
	struct reg_settings *set = xzalloc(sizeof(*set));
	struct reg_auth *auth = NULL;
	int r = reg_settings_read(set, p, &h->address, e);

	if (r == 0)
		r = reg_auth_new(&auth, p, e);
	if (r == 0)
		r = identities_check_registry(p, e);
	reg_auth_free(auth);
	free(set);
	return r;
}

static void props_changed(struct host *h)
{
	struct reg_role *role = h->role;
	struct err e;

	if (reg_settings_read(&role->set, h->props, &h->address, &e) < 0)
		return; /* never: props_check has read them */
	registry_configure(role->reg, &role->set.registry);
	limiter_configure(role->limiter, &role->set.limiter);
	atomic_store(&role->watch.max, role->set.max_watchers);
	addr_tally_limit(role->watch.by_address, role->set.max_watchers_each);
	if (h->is_ready)
		peers_configure(role->peers, &role->set.peers);
}

static void stop(struct host *h)
{
	struct reg_role *role = h->role;

	if (!role)
		return;
	picture_unref(role->mine);
	own_free(role->own);
	peers_free(role->peers);
	snapshot_close(role->snapshot);
	registry_free(role->reg);
	limiter_free(role->limiter);
	addr_tally_free(role->watch.by_address);
	free(role);
	h->role = NULL;
}

static int worker_init(struct worker *w, struct err *e)
{
	struct reg_role *role = w->host->role;
	struct reg_here *here = xzalloc(sizeof(*here));

	reg_worker_init(&here->http, role->reg, w->loop, &w->mailbox, w->index);
	here->http.limiter = role->limiter;
	watch_hub_init(&here->watch, role->reg, w->loop, &w->mailbox, &role->watch);
	w->role = here;
	return reg_auth_new(&here->auth, w->props, e);
}

/* Of who watches, when it was let in by what holds no more. */
static bool may_go_on(struct exchange *ex, void *ctx)
{
	struct worker *w = ctx;
	struct reg_here *here = w->role;

	if (!ex->status)
		return reg_auth_admits(here->auth, ex, &w->log);
	if (reg_auth_would_admit(here->auth, ex, &w->log))
		return true;
	LOG(&w->log, LOG_WARN, "a watcher is not let in any more", F_STR("peer", ex_peer_text(ex)));
	return false;
}

static void worker_props(struct worker *w, const struct props *old)
{
	struct reg_here *here = w->role;
	struct reg_auth *auth = NULL;

	(void)old;
	if (reg_auth_new(&auth, w->props, NULL) < 0)
		return; /* never: props_check has read it */
	reg_auth_free(here->auth);
	here->auth = auth;
	watch_hub_review(&here->watch, may_go_on, w);
}

static void worker_drain(struct worker *w)
{
	watch_hub_drain(&((struct reg_here *)w->role)->watch);
}

static void worker_fini(struct worker *w)
{
	struct reg_here *here = w->role;

	if (!here)
		return;
	watch_hub_fini(&here->watch);
	reg_worker_fini(&here->http);
	reg_auth_free(here->auth);
	free(here);
	w->role = NULL;
}

static bool keeps_files(const struct props *p)
{
	return props_bool(p, "vine.registry.snapshot.enabled");
}

const struct role_ops registry_role = {
	.name = "registry",
	.default_port = 8761,
	.flags = ROLE_DATA_DIR,
	.keeps_files = keeps_files,
	.start = start,
	.ready = ready,
	.props_check = props_check,
	.props_changed = props_changed,
	.drain = drain,
	.stop = stop,
	.worker_init = worker_init,
	.worker_props = worker_props,
	.handle = handle,
	.worker_drain = worker_drain,
	.worker_fini = worker_fini,
};
