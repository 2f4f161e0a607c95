/* peers.c - see peers.h. */
#include "registry/peers.h"

#include <pthread.h>

#include "eureka/json.h"

#define GATHER_EVERY (500 * USEC_PER_MSEC)
#define SYNC_TIMEOUT (10 * USEC_PER_SEC)

struct peers {
	struct peer_env env;
	struct peers_config cfg;
	struct peer *peer[PEERS_MAX];
	unsigned n;
	struct timer gather, sync, flush;
	usec flush_until;
	void (*flushed)(void *ctx);
	void *flushed_ctx;
	/* at the start */
	enum sync_state state;
	bool begun, may_serve;
	unsigned asked, round;
	uint32_t learnt;
	usec began;
	pthread_mutex_t lock; /* leaf; guards shown */
	struct peers_report shown;
};

static void show(struct peers *ps)
{
	struct peers_report rep = {
		.n = ps->n, .sync = ps->state, .learnt = ps->learnt, .min_replicas = ps->cfg.min_replicas
	};

	for (unsigned i = 0; i < ps->n; i++)
		peer_report(ps->peer[i], &rep.peer[i]);
	pthread_mutex_lock(&ps->lock);
	ps->shown = rep;
	pthread_mutex_unlock(&ps->lock);
}

void peers_report(struct peers *ps, struct peers_report *ret)
{
	pthread_mutex_lock(&ps->lock);
	*ret = ps->shown;
	pthread_mutex_unlock(&ps->lock);
}

/* --- telling --- */

void peers_tell(const struct relay *rl, void *peers)
{
	struct peers *ps = peers;

	for (unsigned i = 0; i < ps->n; i++)
		peer_tell(ps->peer[i], rl);
}

static struct relay heartbeat_of(const struct entry *e)
{
	return (struct relay){ .action = BATCH_HEARTBEAT,
			       .app = e->inst->app,
			       .id = e->inst->id,
			       .dirty = e->inst->dirty,
			       .status = (enum inst_status)e->inst->status,
			       .entry = e };
}

static void on_gather(struct timer *t)
{
	struct peers *ps = container_of(t, struct peers, gather);
	struct picture_walk w = { .p = registry_now(ps->env.reg) };

	for (struct entry *e; ps->n && (e = picture_next(&w));) {
		if (!atomic_load_explicit(&e->lease->relay, memory_order_relaxed))
			continue;
		atomic_store_explicit(&e->lease->relay, false, memory_order_relaxed);

		struct relay rl = heartbeat_of(e);

		peers_tell(&rl, ps);
	}
	show(ps);
	timer_set(ps->env.loop, t, loop_now(ps->env.loop) + GATHER_EVERY);
}

/* It may have forgotten them, or never have heard of them: what it does not know it will answer 404. */
static void on_back(struct peer *p, void *ctx)
{
	struct peers *ps = ctx;
	struct picture_walk w = { .p = registry_now(ps->env.reg) };
	usec now = loop_now(ps->env.loop);

	for (struct entry *e; (e = picture_next(&w));) {
		usec own = atomic_load_explicit(&e->lease->own, memory_order_relaxed);
		struct relay rl = heartbeat_of(e);

		if (own && now - own < e->lease->duration)
			peer_tell(p, &rl);
	}
}

#define FLUSH_LOOK (10 * USEC_PER_MSEC)

static void on_flush(struct timer *t)
{
	struct peers *ps = container_of(t, struct peers, flush);
	usec now = loop_now(ps->env.loop);
	bool waits = false;

	for (unsigned i = 0; i < ps->n; i++) {
		struct peer_report r;

		peer_report(ps->peer[i], &r);
		waits |= r.waiting && r.state == PEER_UP;
	}
	if (waits && now < ps->flush_until)
		timer_set(ps->env.loop, t, now + FLUSH_LOOK);
	else
		ps->flushed(ps->flushed_ctx);
}

void peers_flush(struct peers *ps, usec within, void (*done)(void *ctx), void *ctx)
{
	ps->flush_until = loop_now(ps->env.loop) + within;
	ps->flushed = done;
	ps->flushed_ctx = ctx;
	timer_set(ps->env.loop, &ps->flush, loop_now(ps->env.loop) + (ps->n ? FLUSH_LOOK : 0));
}

/* --- the start --- */

static void ask_all(struct peers *ps);

static void serve(struct peers *ps, enum sync_state s)
{
	ps->state = s;
	if (!registry_serves(ps->env.reg)) {
		registry_set_serving(ps->env.reg, true);
		LOG(ps->env.log, LOG_INFO,
		    s == SYNC_DONE ? "the peers' instances are here: lists are given now"
				   : "no peer had any instance: lists are given all the same",
		    F_INT("instances", registry_now(ps->env.reg)->n_instances));
	}
}

/* Every peer has answered, or could not. */
static void round_over(struct peers *ps)
{
	usec now = loop_now(ps->env.loop);

	if (ps->learnt || ps->state == SYNC_DONE)
		return;
	if (ps->round < ps->cfg.sync_retries) {
		ps->round++;
		timer_set(ps->env.loop, &ps->sync, now + ps->cfg.sync_wait);
	} else if (now < ps->began + ps->cfg.empty_wait) {
		ps->may_serve = true;
		timer_set(ps->env.loop, &ps->sync, ps->began + ps->cfg.empty_wait);
	} else {
		serve(ps, SYNC_ALONE);
	}
}

static void on_all(struct peer *p, const struct apps_doc *doc, void *ctx)
{
	struct peers *ps = ctx;

	(void)p;
	for (uint32_t i = 0; doc && i < doc->n; i++) {
		struct instance d = instance_draft_of(doc->inst[i]);

		registry_merge(ps->env.reg, &d);
	}
	if (doc && doc->n) {
		ps->learnt += doc->n;
		serve(ps, SYNC_DONE);
	}
	if (--ps->asked == 0)
		round_over(ps);
	show(ps);
}

static void ask_all(struct peers *ps)
{
	if (ps->n == 0) { /* a reload has left nobody who could be asked */
		serve(ps, SYNC_ALONE);
		return;
	}
	ps->asked = ps->n;
	for (unsigned i = 0; i < ps->n; i++)
		peer_fetch_all(ps->peer[i], SYNC_TIMEOUT, on_all, ps);
}

static void on_sync(struct timer *t)
{
	struct peers *ps = container_of(t, struct peers, sync);

	if (ps->may_serve)
		serve(ps, SYNC_ALONE);
	else if (!ps->asked)
		ask_all(ps);
}

void peers_begin(struct peers *ps, bool has_snapshot)
{
	ps->begun = true;
	ps->began = loop_now(ps->env.loop);
	ps->state = ps->n ? SYNC_WAITING : SYNC_ALONE;
	registry_set_serving(ps->env.reg, has_snapshot || ps->n == 0);
	timer_set(ps->env.loop, &ps->gather, ps->began + GATHER_EVERY);
	if (ps->n)
		ask_all(ps);
	show(ps);
}

/* --- life --- */

static bool same_url(const struct service_url *a, const struct service_url *b)
{
	return a->port == b->port && a->secure == b->secure && strcmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->auth, b->auth) == 0;
}

/* Takes the peer of that URL out of the old ones; NULL: there was none. */
static struct peer *reuse(struct peer **old, unsigned n, const struct service_url *url)
{
	for (unsigned i = 0; i < n; i++) {
		if (old[i] && same_url(peer_url(old[i]), url))
			return TAKE(old[i]);
	}
	return NULL;
}

void peers_configure(struct peers *ps, const struct peers_config *cfg)
{
	struct peer *old[PEERS_MAX];
	unsigned n_old = ps->n;

	memcpy(old, ps->peer, sizeof(old));
	ps->cfg = *cfg;
	ps->n = cfg->n;
	for (unsigned i = 0; i < cfg->n; i++) {
		ps->peer[i] = reuse(old, n_old, &cfg->url[i]);
		if (ps->peer[i])
			peer_configure(ps->peer[i], &cfg->peer);
		else
			ps->peer[i] = peer_new(&ps->env, &cfg->url[i], &cfg->peer);
	}
	for (unsigned i = 0; i < n_old; i++)
		peer_free(old[i]);
	if (ps->begun && ps->state == SYNC_WAITING)
		ask_all(ps); /* whoever was asked and has gone cannot answer any more */
	show(ps);
}

struct peers *peers_new(const struct peer_env *env)
{
	struct peers *ps = xzalloc(sizeof(*ps));

	ps->env = *env;
	ps->env.back = on_back;
	ps->env.ctx = ps;
	ps->state = SYNC_ALONE;
	pthread_mutex_init(&ps->lock, NULL);
	timer_init(&ps->gather, on_gather);
	timer_init(&ps->sync, on_sync);
	timer_init(&ps->flush, on_flush);
	return ps;
}

void peers_free(struct peers *ps)
{
	if (!ps)
		return;
	for (unsigned i = 0; i < ps->n; i++)
		peer_free(ps->peer[i]);
	timer_cancel(ps->env.loop, &ps->gather);
	timer_cancel(ps->env.loop, &ps->sync);
	timer_cancel(ps->env.loop, &ps->flush);
	pthread_mutex_destroy(&ps->lock);
	free(ps);
}
