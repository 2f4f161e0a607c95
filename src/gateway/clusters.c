/* clusters.c - /turbine.stream?cluster=NAME and /actuator/clusters: the circuits of whole services, on the gateway.
 *
 * Way of an event   src/turbine reads the instances' streams on the control thread. What it has to tell goes, counted
 *                   and immutable, to each loop, and there to the hub of that cluster, if somebody reads it there.
 * Watching          A hub tells the control thread of its first reader, of each further one (who wants to know all
 *                   there is) and that the last one has gone. Letters keep their order, so the counts agree in the
 *                   end.
 * Threads           A gw_hubs is its loop's alone. Whether a cluster exists, any thread may ask. */
#include "gateway/gateway.h"

#include "codec/json.h"
#include "codec/url.h"
#include "http/router.h"
#include "http/identities.h"
#include "manage/actuator.h"
#include "turbine/turbine.h"

#define CLUSTER_NAME_MAX 255
#define HUBS_MAX 64

struct hub {
	struct event_hub hub;
	struct gw_hubs *hubs;
	struct str cluster; /* on the heap */
	bool is_read;
};

/* --- between the loops and the control thread --- */

struct letter {
	enum { WATCH, REWATCH, UNWATCH } what;
	struct str cluster; /* behind it */
};

static void take_letter(struct host *h, void *arg)
{
	struct letter *l = arg;
	struct gateway *gw = h->role;

	if (gw && gw->turbine) {
		if (l->what == WATCH)
			turbine_watch(gw->turbine, l->cluster);
		else if (l->what == REWATCH)
			turbine_rewatch(gw->turbine, l->cluster);
		else
			turbine_unwatch(gw->turbine, l->cluster);
	}
	free(l);
}

static void send_letter(struct gw_hubs *hs, int what, struct str cluster)
{
	struct letter *l = xmalloc(sizeof(*l) + cluster.len);

	*l = (struct letter){ .what = what };
	l->cluster = str_of(memcpy(l + 1, cluster.ptr, cluster.len), cluster.len);
	if (!host_call_control(hs->gw->host, take_letter, l))
		free(l);
}

struct frame {
	_Atomic unsigned refs;
	bool is_whole;
	struct str cluster, events; /* behind it */
};

static void frame_unref(struct frame *f)
{
	if (atomic_fetch_sub(&f->refs, 1) == 1)
		free(f);
}

static void deliver(struct gw_hubs *hs, const struct frame *f)
{
	struct hub *hub = hs->is_over ? NULL : map_get(&hs->by_cluster, f->cluster);

	if (hub)
		event_hub_push(&hub->hub, f->events, f->is_whole);
}

static void deliver_to_worker(struct worker *w, void *arg)
{
	struct gw_worker *g = w->role;

	if (!w->ended && g)
		deliver(&g->hubs, arg);
	frame_unref(arg);
}

static void on_events(void *ctx, struct str cluster, struct str events, bool is_whole)
{
	struct gateway *gw = ctx;
	struct host *h = gw->host;
	struct frame *f = xmalloc(sizeof(*f) + cluster.len + events.len);
	char *p = (char *)(f + 1);

	atomic_init(&f->refs, h->n_workers + 1);
	f->is_whole = is_whole;
	f->cluster = str_of(memcpy(p, cluster.ptr, cluster.len), cluster.len);
	f->events = str_of(memcpy(p + cluster.len, events.ptr, events.len), events.len);
	for (unsigned i = 0; i < h->n_workers; i++) {
		if (!worker_post(&h->workers[i], deliver_to_worker, f))
			frame_unref(f);
	}
	deliver(&gw->hubs, f);
	frame_unref(f);
}

/* --- hubs --- */

static usec ping_interval(void *ctx)
{
	(void)ctx;
	return TURBINE_PING_EVERY;
}

static void on_watched(void *ctx, bool is_read)
{
	struct hub *h = ctx;

	if (!is_read)
		send_letter(h->hubs, UNWATCH, h->cluster);
	else
		send_letter(h->hubs, h->is_read ? REWATCH : WATCH, h->cluster);
	h->is_read = is_read;
}

static const struct event_hub_ops hub_ops = { .interval = ping_interval, .watched = on_watched, .ping = TURBINE_PING };

void gw_hubs_init(struct gw_hubs *hs, struct gateway *gw, struct loop *loop)
{
	hs->gw = gw;
	hs->loop = loop;
	map_init_nocase(&hs->by_cluster, gw->host->seed);
}

static void hub_free(struct gw_hubs *hs, struct hub *h)
{
	map_del(&hs->by_cluster, h->cluster);
	event_hub_end(&h->hub);
	free((char *)(uintptr_t)h->cluster.ptr);
	free(h);
}

void gw_hubs_end(struct gw_hubs *hs)
{
	struct hub *h;
	size_t pos = 0;

	if (hs->is_over || !hs->gw)
		return;
	hs->is_over = true;
	while ((h = map_next(&hs->by_cluster, &pos)))
		hub_free(hs, h);
	map_fini(&hs->by_cluster);
}

/* Hubs that nobody reads any more make room. */
static void drop_unread(struct gw_hubs *hs)
{
	struct hub *h;
	size_t pos = 0;

	while ((h = map_next(&hs->by_cluster, &pos))) {
		if (!h->is_read)
			hub_free(hs, h);
	}
}

static struct hub *hub_of(struct gw_hubs *hs, struct str cluster)
{
	struct hub *h = map_get(&hs->by_cluster, cluster);

	if (h)
		return h;
	if (hs->by_cluster.len >= HUBS_MAX)
		drop_unread(hs);
	if (hs->by_cluster.len >= HUBS_MAX)
		return NULL;
	h = xzalloc(sizeof(*h));
	h->hubs = hs;
	h->cluster = str_of(str_dup(cluster), cluster.len);
	event_hub_init(&h->hub, hs->loop, &hs->gw->turbine_readers, &hub_ops, h);
	map_put(&hs->by_cluster, h->cluster, h);
	return h;
}

/* --- endpoints --- */

static void not_found(struct exchange *ex, struct gateway *gw, struct str cluster)
{
	if (!gw->turbine)
		ex_respond_text(ex, 404, STR("no cluster: the gateway knows no registry (eureka.client.enabled)\n"));
	else
		ex_respond_text(ex, 404,
				str_printf_in(&ex->arena,
					      "Cluster not found: %.*s; %.*s/clusters names those there are\n",
					      STRF(str_slice(cluster, 0, CLUSTER_NAME_MAX)),
					      STRF(actuator_base(ex, gw->host->actuator))));
}

void gw_turbine_stream(struct exchange *ex, struct gw_hubs *hs, int64_t max)
{
	struct str cluster = STR("default");
	struct hub *h;

	ex_query(ex, STR("cluster"), &cluster);
	if (!hs->gw->turbine || cluster.len > CLUSTER_NAME_MAX || !turbine_has(hs->gw->turbine, cluster)) {
		not_found(ex, hs->gw, cluster);
		return;
	}
	h = hs->is_over ? NULL : hub_of(hs, cluster);
	if (h)
		event_hub_add(&h->hub, ex, max);
	else
		ex_respond_text(ex, 503,
				hs->is_over ? STR("Service has been shut down.\n")
					    : STR("too many clusters are watched\n"));
}

struct listing {
	struct jsonw w;
	struct str root;
};

static void list_one(void *ctx, struct str name)
{
	struct listing *l = ctx;
	struct buf link = BUF_INIT(4096);

	buf_adds(&link, l->root);
	buf_addz(&link, "/turbine.stream?cluster=");
	url_encode_query(&link, name);
	jsonw_object(&l->w);
	jsonw_key_str(&l->w, STR("name"), name);
	jsonw_key_str(&l->w, STR("link"), buf_str(&link));
	jsonw_object_end(&l->w);
	buf_fini(&link);
}

/* As Spring Cloud's /clusters, each name once. */
void gw_clusters_call(struct control_call *c)
{
	struct gateway *gw = c->ctx;
	struct listing l = { .root = c->root };

	if (!props_bool(c->host->props, "turbine.endpoints.clusters.enabled")) {
		call_fail(c, 404, "turbine.endpoints.clusters.enabled is false");
		return;
	}
	jsonw_init(&l.w, &c->out);
	jsonw_array(&l.w);
	if (gw->turbine)
		turbine_names(gw->turbine, list_one, &l);
	jsonw_array_end(&l.w);
}

/* How the instances of the watched clusters are being read. */
void gw_cluster_instances_call(struct control_call *c)
{
	struct gateway *gw = c->ctx;
	struct jsonw w;

	jsonw_init(&w, &c->out);
	if (gw->turbine) {
		turbine_report(gw->turbine, &w);
		return;
	}
	jsonw_array(&w);
	jsonw_array_end(&w);
}

void gw_turbine_start(struct gateway *gw)
{
	struct host *h = gw->host;
	struct turbine_opts o = {
		.http = h->client,
		.log = &h->log,
		.seed = h->seed,
		.events = on_events,
		.ctx = gw,
	};

	identities_ribbon(h->tls, h->props, STR_EMPTY, false, &o.tls, NULL);
	gw->turbine = turbine_new(&o, h->props);
}
