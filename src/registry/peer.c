/* peer.c - see peer.h.
 *
 * Invariants   A task is on the queue and in by_key, or in flight; never both. The timer is set whenever no batch is under
 *              way: for what waits, for another try, or for a batch with nothing in it that tells whether the peer is there. */
#include "registry/peer.h"

#include <stdio.h>

#include "codec/gzip.h"
#include "eureka/json.h"

#define BATCH_TASKS 250
#define BATCH_BYTES_MAX (4u << 20) /* no further task is put into a batch of this size */
#define BEATS_WAIT (500 * USEC_PER_MSEC)
#define PAUSE_FIRST (100 * USEC_PER_MSEC)
#define PAUSE_BUSY USEC_PER_SEC
#define PAUSE_MAX (2 * USEC_PER_SEC)
#define VINE_MAX_AGE (3600 * USEC_PER_SEC)
#define PROBE_EVERY (15 * USEC_PER_SEC) /* an empty batch, where there is nothing to tell */
#define FETCH_MAX ((size_t)1 << 30)
#define RATIO_MAX 1100

struct task {
	struct list link;
	struct batch_item item; /* app and id lie in bytes */
	usec made, life;
	struct str key;
	char bytes[]; /* the key: "3APP/id" */
};

struct peer {
	struct peer_env env;
	struct service_url url;
	struct peer_config cfg;
	struct http_peer *http;
	struct rng rng;
	struct map by_key;
	struct list queue;
	struct timer timer;
	struct fetch f;
	bool active;
	struct task *flight[BATCH_TASKS];
	uint32_t n_flight;
	unsigned failures; /* in a row */
	bool told_refusal;
	struct peer_report rep;
	/* everything at once */
	struct fetch all;
	bool all_active;
	void (*all_done)(struct peer *p, const struct apps_doc *doc, void *ctx);
	void *all_ctx;
};

const char *peer_state_name(enum peer_state s)
{
	static const char *const names[] = { "unknown", "up", "lost", "refuses", "self" };

	return names[s];
}

/* --- the queue --- */

static void task_free(struct task *t)
{
	instance_unref(t->item.inst);
	free(t);
}

/* "3APP/id" in b. */
static struct str key_of(struct buf *b, enum batch_action a, struct str app, struct str id)
{
	buf_clear(b);
	buf_addc(b, (char)('0' + a));
	buf_adds(b, app);
	buf_addc(b, '/');
	buf_adds(b, id);
	return buf_str(b);
}

static void unqueue(struct peer *p, struct task *t)
{
	map_del(&p->by_key, t->key);
	list_del(&t->link);
}

static void forget(struct peer *p, enum batch_action a, struct str app, struct str id)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_NAME_MAX + INST_ID_MAX + 8);
	struct task *t = map_get(&p->by_key, key_of(&b, a, app, id));

	if (!t)
		return;
	unqueue(p, t);
	task_free(t);
}

static void drop_oldest(struct peer *p)
{
	struct task *t = list_entry(list_first(&p->queue), struct task, link);

	unqueue(p, t);
	task_free(t);
	if (p->rep.dropped++ == 0)
		LOG(p->env.log, LOG_WARN, "changes for a peer are dropped: too many wait", F_Z("peer", p->url.shown),
		    F_INT("max", p->cfg.max_tasks));
}

static void wake(struct peer *p, usec at)
{
	if (p->active || p->rep.state == PEER_SELF)
		return;
	if (p->timer.at > at)
		timer_set(p->env.loop, &p->timer, at);
}

static struct task *task_new(const struct relay *rl, struct str key, usec now)
{
	const struct instance *in = rl->entry ? rl->entry->inst : NULL;
	struct task *t = xzalloc(sizeof(*t) + key.len);

	memcpy(t->bytes, key.ptr, key.len);
	t->key = str_of(t->bytes, key.len);
	t->item = (struct batch_item){
		.action = rl->action,
		.app = str_slice(t->key, 1, 1 + rl->app.len),
		.id = str_slice(t->key, rl->app.len + 2, key.len),
		.dirty = rl->dirty,
		.status = (uint8_t)rl->status,
		.overridden = in && rl->action == BATCH_HEARTBEAT ? in->overridden : INST_UNKNOWN,
		.inst = rl->action == BATCH_REGISTER ? instance_ref(in) : NULL,
	};
	t->made = now;
	if (rl->action == BATCH_HEARTBEAT || rl->action == BATCH_REGISTER)
		t->life = MAX(rl->entry->lease->interval, USEC_PER_SEC);
	return t;
}

void peer_tell(struct peer *p, const struct relay *rl)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(INST_NAME_MAX + INST_ID_MAX + 8);
	usec now = loop_now(p->env.loop);
	bool pausing = p->failures > 0;
	struct task *t;

	if (p->rep.state == PEER_SELF)
		return;
	if (rl->action == BATCH_HEARTBEAT && (pausing || p->by_key.len > p->cfg.max_tasks / 2))
		return; /* one that is told late is worth nothing, and must not push out a change */
	if (rl->action == BATCH_CANCEL) {
		for (unsigned a = BATCH_HEARTBEAT; a <= BATCH_DELETE_OVERRIDE; a++)
			forget(p, (enum batch_action)a, rl->app, rl->id);
	} else {
		forget(p, rl->action, rl->app, rl->id);
	}
	if (p->by_key.len >= p->cfg.max_tasks)
		drop_oldest(p);
	t = task_new(rl, key_of(&b, rl->action, rl->app, rl->id), now);
	map_put(&p->by_key, t->key, t);
	list_push_back(&p->queue, &t->link);
	if (!pausing) /* else its timer runs */
		wake(p, rl->action == BATCH_HEARTBEAT ? now + BEATS_WAIT : now);
}

/* --- state --- */

static void enter(struct peer *p, enum peer_state s)
{
	enum peer_state was = p->rep.state;

	if (was == s)
		return;
	p->rep.state = s;
	p->rep.since = loop_now(p->env.loop);
	switch (s) {
	case PEER_UP:
		LOG(p->env.log, LOG_INFO, "a peer answers", F_Z("peer", p->url.shown), F_INT("waiting", p->by_key.len));
		p->rep.why[0] = '\0';
		if (was == PEER_LOST || was == PEER_REFUSES)
			p->env.back(p, p->env.ctx);
		break;
	case PEER_LOST:
		LOG(p->env.log, LOG_WARN, "a peer is lost; changes wait for it", F_Z("peer", p->url.shown),
		    F_Z("why", p->rep.why));
		break;
	case PEER_REFUSES:
		LOG(p->env.log, LOG_ERROR, "a peer refuses what it is told", F_Z("peer", p->url.shown),
		    F_Z("why", p->rep.why));
		break;
	case PEER_SELF:
		LOG(p->env.log, LOG_INFO, "this peer is the registry itself: it is left out",
		    F_Z("peer", p->url.shown));
		while (!list_is_empty(&p->queue)) {
			struct task *t = list_entry(list_first(&p->queue), struct task, link);

			unqueue(p, t);
			task_free(t);
		}
		break;
	case PEER_UNKNOWN: break;
	}
}

/* Is it Vine's, is it we ourselves? From "EPOCH-N" in its answer. */
static bool is_self(struct peer *p, const struct fetch *f)
{
	char own[16];

	if (!f->ok || f->status != 200)
		return false;
	fmt_hex64(own, registry_epoch(p->env.reg));
	p->rep.is_vine = f->kept.len > 17 && f->kept.ptr[16] == '-';
	return p->rep.is_vine && str_has_prefix(f->kept, str_of(own, sizeof(own)));
}

/* --- a batch --- */

static void release_flight(struct peer *p)
{
	for (uint32_t i = 0; i < p->n_flight; i++)
		task_free(p->flight[i]);
	p->n_flight = 0;
}

/* Back to the front, in order; what a newer task stands for is dropped. */
static void put_back(struct peer *p)
{
	for (uint32_t i = p->n_flight; i-- > 0;) {
		struct task *t = p->flight[i];

		if (map_get(&p->by_key, t->key)) {
			task_free(t);
			continue;
		}
		map_put(&p->by_key, t->key, t);
		list_push_front(&p->queue, &t->link);
	}
	p->n_flight = 0;
}

static void next_batch(struct peer *p)
{
	usec now = loop_now(p->env.loop);

	p->active = false;
	timer_park(&p->timer);
	list_foreach(l, &p->queue) {
		if (list_entry(l, struct task, link)->item.action != BATCH_HEARTBEAT) {
			wake(p, now);
			return;
		}
	}
	if (list_is_empty(&p->queue)) {
		wake(p, now + PROBE_EVERY);
		return;
	}

	const struct task *first = list_entry(list_first(&p->queue), struct task, link);

	wake(p, p->by_key.len >= BATCH_TASKS ? now : MAX(now, first->made + BEATS_WAIT));
}

static void failed(struct peer *p, usec pause)
{
	usec now = loop_now(p->env.loop);

	p->rep.failures++;
	p->failures++;
	p->active = false;
	put_back(p);
	enter(p, PEER_LOST);
	pause = MIN(pause << MIN(p->failures - 1, 8u), PAUSE_MAX);
	pause -= (usec)(rng_unit(&p->rng) * (double)pause / 4);
	timer_set(p->env.loop, &p->timer, now + pause);
}

static void tell_current(struct peer *p, const struct batch_item *it)
{
	const struct entry *e = picture_find(registry_now(p->env.reg), it->app, it->id);

	if (!e)
		return; /* it has gone meanwhile */

	struct relay rl = { .action = BATCH_REGISTER,
			    .app = it->app,
			    .id = it->id,
			    .dirty = e->inst->dirty,
			    .status = (enum inst_status)e->inst->status,
			    .entry = e };

	peer_tell(p, &rl);
	if (!p->rep.is_vine && e->inst->overridden == INST_UNKNOWN && p->by_key.len < p->cfg.max_tasks / 2) {
		/* Netflix's server keeps an override that it has, whatever is registered; in a flood registrations go first */
		rl.action = BATCH_DELETE_OVERRIDE;
		peer_tell(p, &rl);
	}
	p->rep.registered_anew++;
}

static void take_answer(struct peer *p, const struct batch_item *it, const struct batch_answer *an)
{
	if (it->action == BATCH_HEARTBEAT && an->status == 404) {
		tell_current(p, it);
		return;
	}
	if (it->action == BATCH_HEARTBEAT && an->status >= 300 && an->inst) { /* it knows better */
		struct instance d = instance_draft_of(an->inst);

		if (instance_check(&d, it->app, NULL) < 0 || !str_eq(an->inst->id, it->id))
			return; /* nonsense */
		if (d.overridden != INST_UNKNOWN)
			registry_merge_override(p->env.reg, it->app, it->id, (enum inst_status)d.overridden);
		registry_merge(p->env.reg, &d);
		p->rep.taken_over++;
		return;
	}
	if (it->action == BATCH_REGISTER && an->status >= 300 && !p->told_refusal) {
		p->told_refusal = true;
		LOG(p->env.log, LOG_WARN, "a peer refuses a registration", F_Z("peer", p->url.shown),
		    F_STR("app", it->app), F_STR("id", it->id), F_INT("status", an->status));
	}
}

static void take_answers(struct peer *p, struct str body)
{
	struct batch_answer an[BATCH_TASKS];
	struct arena a;
	struct err e;
	uint32_t n;

	arena_init(&a, 4096);

	int r = batch_answers_decode(an, p->n_flight, &n, body, &a, &e);

	if (r < 0)
		LOG(p->env.log, LOG_DEBUG, "a peer's answer is no answer", F_Z("peer", p->url.shown),
		    F_Z("why", e.text));
	for (uint32_t i = 0; r == 0 && n == p->n_flight && i < n; i++)
		take_answer(p, &p->flight[i]->item, &an[i]);
	for (uint32_t i = 0; i < n; i++)
		instance_unref(an[i].inst);
	arena_fini(&a);
}

static void on_batch(struct fetch *f)
{
	struct peer *p = container_of(f, struct peer, f);
	bool refused = f->ok && f->status != 200;

	if (!f->ok || f->status == 503 || f->status == 429) {
		if (f->ok)
			snprintf(p->rep.why, sizeof(p->rep.why), "status %u", f->status);
		else
			snprintf(p->rep.why, sizeof(p->rep.why), "%s",
				 f->failure.why ? f->failure.why : call_cause_name(f->failure.cause));
		failed(p, f->ok || f->failure.cause == CALL_TIMEOUT ? PAUSE_BUSY : f->failure.stale ? 0 : PAUSE_FIRST);
		return;
	}
	p->failures = 0;
	p->rep.batches++;
	p->rep.sent += p->n_flight;
	if (is_self(p, f)) {
		enter(p, PEER_SELF);
	} else if (refused) { /* as Netflix's server does: the batch is lost, heartbeats will mend it */
		snprintf(p->rep.why, sizeof(p->rep.why), "status %u at %.100s", f->status, p->url.shown);
		p->rep.failures++;
		enter(p, PEER_REFUSES);
	} else {
		p->rep.last_ok = loop_now(p->env.loop);
		enter(p, PEER_UP);
		take_answers(p, f->response);
	}
	release_flight(p);
	next_batch(p);
}

static bool is_over(const struct peer *p, const struct task *t, usec now)
{
	usec life = t->life ? t->life : p->rep.is_vine ? VINE_MAX_AGE : p->cfg.max_age;

	return now > t->made + life;
}

/* Takes what goes next from the queue, and writes it to body. */
static void pack(struct peer *p, struct buf *body)
{
	const struct batch_item *items[BATCH_TASKS];
	usec now = loop_now(p->env.loop);
	size_t size = 0;

	while (p->n_flight < BATCH_TASKS && size < BATCH_BYTES_MAX && !list_is_empty(&p->queue)) {
		struct task *t = list_entry(list_first(&p->queue), struct task, link);

		unqueue(p, t);
		if (is_over(p, t, now)) {
			task_free(t);
			continue;
		}
		size += t->item.inst ? instance_bytes(t->item.inst) : 0;
		items[p->n_flight] = &t->item;
		p->flight[p->n_flight++] = t;
	}
	batch_write(body, items, p->n_flight);
}

static void post(struct peer *p, struct str body, bool gzip)
{
	_cleanup_(buf_finip) struct buf target = BUF_INIT(2048), fields = BUF_INIT(4096);

	buf_addz(&target, p->url.path);
	buf_adds(&target, STR("peerreplication/batch/"));
	buf_adds(&fields, STR("Accept: application/json\r\nContent-Type: application/json\r\n"));
	buf_addz(&fields, p->env.identity);
	buf_addz(&fields, p->url.auth);
	if (gzip)
		buf_adds(&fields, STR("Content-Encoding: gzip\r\n"));
	p->f = (struct fetch){
		.method = HTTP_POST,
		.target = buf_str(&target),
		.fields = buf_str(&fields),
		.body = body,
		.keep = STR("X-Vine-Version"),
		.max_body = BATCH_BODY_MAX,
		.deadline = loop_now(p->env.loop) + p->cfg.connect_timeout + p->cfg.read_timeout,
		.done = on_batch,
	};
	p->active = true;
	fetch_start(p->env.http, &p->f, p->http);
}

static void on_timer(struct timer *timer)
{
	struct peer *p = container_of(timer, struct peer, timer);
	_cleanup_(buf_finip) struct buf body = BUF_INIT((size_t)1 << 30), packed = BUF_INIT((size_t)1 << 30);

	timer_park(timer);
	pack(p, &body);
	if (p->cfg.compress && p->rep.is_vine && gzip_pack(&packed, buf_str(&body), 1) == 0)
		post(p, buf_str(&packed), true);
	else
		post(p, buf_str(&body), false);
}

/* --- everything at once --- */

static void on_all(struct fetch *f)
{
	struct peer *p = container_of(f, struct peer, all);
	_cleanup_(buf_finip) struct buf plain = BUF_INIT(FETCH_MAX);
	struct str text = f->response;
	struct apps_doc doc;
	struct err e = { 0 };
	int r = VINE_EIO;

	p->all_active = false;
	if (is_self(p, f)) {
		enter(p, PEER_SELF);
	} else if (!f->ok) {
		snprintf(p->rep.why, sizeof(p->rep.why), "%s",
			 f->failure.why ? f->failure.why : call_cause_name(f->failure.cause));
		enter(p, PEER_LOST);
	} else if (f->status == 200) {
		r = f->response_gzip ? gzip_unpack(&plain, text, FETCH_MAX, RATIO_MAX, &e) : 0;
		if (r == 0)
			r = apps_json_decode(&doc, f->response_gzip ? buf_str(&plain) : text, &e);
		snprintf(p->rep.why, sizeof(p->rep.why), "%.150s", r < 0 ? e.text : "");
	} else {
		snprintf(p->rep.why, sizeof(p->rep.why), "status %u", f->status);
	}
	p->all_done(p, r == 0 ? &doc : NULL, p->all_ctx);
	if (r == 0)
		apps_doc_fini(&doc);
}

void peer_fetch_all(struct peer *p, usec timeout, void (*done)(struct peer *p, const struct apps_doc *doc, void *ctx),
		    void *ctx)
{
	_cleanup_(buf_finip) struct buf target = BUF_INIT(2048), fields = BUF_INIT(4096);

	if (p->all_active)
		return;
	buf_addz(&target, p->url.path);
	buf_adds(&target, STR("apps/"));
	buf_adds(&fields, STR("Accept: application/json\r\nAccept-Encoding: gzip\r\n"));
	buf_addz(&fields, p->env.identity);
	buf_addz(&fields, p->url.auth);
	p->all = (struct fetch){
		.method = HTTP_GET,
		.target = buf_str(&target),
		.fields = buf_str(&fields),
		.keep = STR("X-Vine-Version"),
		.max_body = FETCH_MAX,
		.deadline = loop_now(p->env.loop) + timeout,
		.done = on_all,
	};
	p->all_done = done;
	p->all_ctx = ctx;
	p->all_active = true;
	fetch_start(p->env.http, &p->all, p->http);
}

/* --- life --- */

struct peer *peer_new(const struct peer_env *env, const struct service_url *url, const struct peer_config *cfg)
{
	struct peer *p = xzalloc(sizeof(*p));

	p->env = *env;
	p->url = *url;
	p->cfg = *cfg;
	rng_seed(&p->rng, env->seed);
	map_init(&p->by_key, env->seed);
	list_init(&p->queue);
	timer_init(&p->timer, on_timer);
	timer_set(env->loop, &p->timer, loop_now(env->loop));
	p->http = http_client_peer_tls(env->http, str_from(url->host), url->port, url->secure ? env->tls : NULL);
	snprintf(p->rep.shown, sizeof(p->rep.shown), "%s", url->shown);
	return p;
}

void peer_configure(struct peer *p, const struct peer_config *cfg)
{
	p->cfg = *cfg;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	if (p->active)
		fetch_cancel(&p->f);
	if (p->all_active)
		fetch_cancel(&p->all);
	timer_cancel(p->env.loop, &p->timer);
	release_flight(p);
	list_foreach(l, &p->queue)
		task_free(list_entry(l, struct task, link));
	map_fini(&p->by_key);
	http_peer_unref(p->http);
	free(p);
}

const struct service_url *peer_url(const struct peer *p)
{
	return &p->url;
}

void peer_report(const struct peer *p, struct peer_report *ret)
{
	*ret = p->rep;
	ret->waiting = (uint32_t)p->by_key.len + p->n_flight;
}
