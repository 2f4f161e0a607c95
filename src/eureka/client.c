/* client.c - see client.h.
 *
 * Two chains of requests, each with at most one in flight: `get` fetches the registry, `put` registers, heartbeats and
 * leaves. A request that fails goes to the next URL at once, at most once round; then its chain pauses, longer each time.
 *
 * Invariants   A chain has either its timer set or its request in flight (or is idle: nothing to fetch, not registered).
 *              lost is told in the log only when it changes. */
#include "eureka/client.h"

#include <stdio.h>

#include "base/rng.h"
#include "codec/gzip.h"
#include "codec/url.h"
#include "eureka/service_url.h"

#define GZIP_RATIO_MAX 1100 /* what deflate can reach at all: the size is what bounds it */
#define PAUSE_FIRST (USEC_PER_SEC / 2)

struct server_url {
	struct service_url u;
	struct http_peer *peer;
};

struct chain {
	struct eureka_client *c;
	struct fetch f;
	struct timer timer;
	void (*send)(struct chain *ch);            /* (re)sends what is due now to the current URL */
	void (*answered)(struct chain *ch);        /* an answer below 500 came */
	void (*failed)(struct chain *ch);          /* no URL gave one */
	unsigned url;      /* in use for the request in flight */
	unsigned tries;
	unsigned failures; /* in a row, for the pause */
	bool active, lost;
};

enum reg_state { REG_OFF, REG_NEEDED, REG_OK, REG_LEAVING };

struct eureka_client {
	struct http_client *http;
	struct loop *loop;
	struct logger log;
	struct eureka_client_settings s;
	struct rng rng;
	struct server_url url[EUREKA_URLS_MAX];
	unsigned n_urls, cur;
	struct chain get, put;
	bool lost, started;
	bool told_refused;
	char why[128]; /* of the last failure */
	/* the picture */
	struct eureka_cache cache;
	struct eureka_view *view;
	void (*on_view)(struct eureka_view *v, void *ctx);
	void *on_view_ctx;
	bool want_full, asked_delta, was_lost;
	int64_t delta_version;
	/* our own registration */
	struct instance *self;
	usec interval;
	enum reg_state reg;
	enum http_method sent;    /* PUT, POST or DELETE: what is in flight */
	uint32_t self_gen, sent_gen;
	struct timer leave_timer;
	void (*left)(void *ctx);
	void *left_ctx;
	struct eureka_client_report rep;
};

static int parse_urls(struct eureka_client *c, struct str list, struct str token, struct err *e)
{
	struct service_url all[EUREKA_URLS_MAX];
	int r = service_urls_parse(all, EUREKA_URLS_MAX, &c->n_urls, list, e);

	if (r == 0)
		r = service_urls_give_token(all, c->n_urls, token, e);

	for (unsigned i = 0; r == 0 && i < c->n_urls; i++)
		c->url[i].u = all[i];
	if (r == 0 && !c->n_urls)
		return err_set(e, VINE_EINVAL, "eureka.client.service-url: no URL");
	return r;
}

/* --- chains --- */

/* A pause that doubles with each failure up to the interval (at least 2 s), less a random part of up to half. */
static usec pause_of(struct chain *ch, usec interval)
{
	usec most = MAX(interval, 2 * USEC_PER_SEC);
	usec p = MIN(PAUSE_FIRST, MAX(interval, (usec)1)) << MIN(ch->failures, 16u);

	p = MIN(p, most);
	return p - (usec)(rng_unit(&ch->c->rng) * (double)p / 2);
}

static void set_timer(struct chain *ch, usec span)
{
	timer_set(ch->c->loop, &ch->timer, loop_now(ch->c->loop) + span);
}

static void note_lost(struct eureka_client *c)
{
	bool lost = c->get.lost || c->put.lost;

	if (lost == c->lost)
		return;
	c->lost = lost;
	if (lost)
		LOG(&c->log, LOG_WARN, "registry lost; the last picture is kept", F_Z("url", c->url[c->cur].u.shown),
		    F_Z("why", c->why), F_INT("instances", c->view ? c->view->n : 0));
	else
		LOG(&c->log, LOG_INFO, "registry found again", F_Z("url", c->url[c->cur].u.shown));
}

static void on_done(struct fetch *f)
{
	struct chain *ch = container_of(f, struct chain, f);
	struct eureka_client *c = ch->c;
	bool good = f->ok && f->status < 500 && f->status >= 200;

	ch->active = false;
	if (good) {
		ch->tries = ch->failures = 0;
		ch->lost = false;
		c->rep.last_ok = loop_now(c->loop);
		note_lost(c);
		ch->answered(ch);
		return;
	}
	if (f->ok)
		snprintf(c->why, sizeof(c->why), "status %u", f->status);
	else
		snprintf(c->why, sizeof(c->why), "%s", f->failure.why ? f->failure.why : call_cause_name(f->failure.cause));
	c->rep.failures++;
	if (c->cur == ch->url && !(!f->ok && f->failure.stale))
		c->cur = (c->cur + 1) % c->n_urls;
	if (++ch->tries < c->n_urls || (!f->ok && f->failure.stale && ch->tries <= c->n_urls)) {
		ch->send(ch);
		return;
	}
	ch->tries = 0;
	ch->lost = true;
	note_lost(c);
	ch->failures++;
	ch->failed(ch);
}

struct request {
	enum http_method method;
	struct str suffix; /* below the base: "apps/" */
	struct str body;   /* JSON */
	size_t max_body;
};

static void send_request(struct chain *ch, const struct request *r)
{
	struct eureka_client *c = ch->c;
	struct server_url *u = &c->url[c->cur];
	_cleanup_(buf_finip) struct buf target = BUF_INIT(16384), fields = BUF_INIT(4096);

	ch->url = c->cur;
	ch->active = true;
	timer_park(&ch->timer);
	buf_addz(&target, u->u.path);
	buf_adds(&target, r->suffix);
	buf_adds(&fields, STR("Accept: application/json\r\nDiscoveryIdentity-Name: DefaultClient\r\n"
			      "DiscoveryIdentity-Version: 1.4\r\nUser-Agent: vine/" VINE_VERSION "\r\n"));
	buf_addz(&fields, u->u.auth);
	if (r->method == HTTP_GET)
		buf_adds(&fields, STR("Accept-Encoding: gzip\r\n"));
	if (r->body.len)
		buf_adds(&fields, STR("Content-Type: application/json\r\n"));
	ch->f.method = r->method;
	ch->f.target = buf_str(&target);
	ch->f.fields = buf_str(&fields);
	ch->f.body = r->body;
	ch->f.max_body = r->max_body;
	ch->f.deadline = loop_now(c->loop) + c->s.timeout;
	ch->f.done = on_done;
	fetch_start(c->http, &ch->f, u->peer);
}

/* --- fetching --- */

static void send_get(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	c->asked_delta = c->view && !c->want_full && !c->s.disable_delta;
	send_request(ch, &(struct request){
		.method = HTTP_GET,
		.suffix = c->asked_delta ? STR("apps/delta") : STR("apps/"),
		.max_body = c->s.max_body,
	});
}

static void publish(struct eureka_client *c)
{
	struct eureka_view *old = c->view;

	c->view = eureka_cache_view(&c->cache, c->s.only_up);
	eureka_view_unref(old);
	if (c->on_view)
		c->on_view(c->view, c->on_view_ctx);
}

/* true: the answer is in the cache. false: it was of no use, c->why says how. */
static bool take_answer(struct eureka_client *c, const struct fetch *f, struct apps_doc *doc)
{
	_cleanup_(buf_finip) struct buf plain = BUF_INIT(c->s.max_body);
	struct str text = f->response;
	struct err e;

	if (f->response_gzip) {
		if (gzip_unpack(&plain, text, c->s.max_body, GZIP_RATIO_MAX, &e) < 0) {
			snprintf(c->why, sizeof(c->why), "%.120s", e.text);
			return false;
		}
		text = buf_str(&plain);
	}
	if (apps_json_decode(doc, text, &e) < 0) {
		snprintf(c->why, sizeof(c->why), "%.120s", e.text);
		return false;
	}
	return true;
}

/* A registry that was away, or whose count of deltas went back, may have forgotten everybody. */
static bool must_hold(struct eureka_client *c)
{
	return c->was_lost || c->cache.held;
}

static void apply_answer(struct eureka_client *c, const struct apps_doc *doc)
{
	bool changed;

	if (c->asked_delta) {
		if (doc->version < c->delta_version)
			c->was_lost = true;
		c->delta_version = doc->version;
		changed = eureka_cache_delta(&c->cache, doc);
		c->rep.delta++;
		c->want_full = !eureka_cache_matches(&c->cache, doc);
		c->rep.mismatches += c->want_full;
		if (!c->want_full)
			c->was_lost = false; /* it knows as many as we do */
	} else {
		changed = eureka_cache_full(&c->cache, doc, must_hold(c), loop_now(c->loop));
		c->rep.full++;
		c->want_full = c->was_lost = false;
	}
	changed |= eureka_cache_expire(&c->cache, loop_now(c->loop));
	if (changed || !c->view)
		publish(c);
	c->rep.instances = c->view->n;
	c->rep.apps = c->view->n_apps;
}

static void get_answered(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	struct apps_doc doc = { 0 };

	if (ch->f.status != 200) {
		if (c->asked_delta) { /* deltas may be switched off there */
			c->want_full = true;
			ch->send(ch);
			return;
		}
		set_timer(ch, c->s.fetch_interval); /* 403: it does not serve yet */
		return;
	}
	if (!take_answer(c, &ch->f, &doc)) {
		ch->lost = true;
		c->want_full = true;
		note_lost(c);
		ch->failures++;
		ch->failed(ch);
		return;
	}
	apply_answer(c, &doc);
	apps_doc_fini(&doc);
	if (c->want_full && c->asked_delta)
		ch->send(ch);
	else
		set_timer(ch, c->s.fetch_interval);
}

static void get_failed(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	c->was_lost = true;
	set_timer(ch, pause_of(ch, c->s.fetch_interval));
}

static void on_timer(struct timer *t)
{
	struct chain *ch = container_of(t, struct chain, timer);

	if (!ch->active)
		ch->send(ch);
}

/* --- our own registration --- */

static void send_register(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	_cleanup_(buf_finip) struct buf suffix = BUF_INIT(8192), body = BUF_INIT(INST_BODY_MAX);
	struct jsonw w;

	buf_adds(&suffix, STR("apps/"));
	url_encode_segment(&suffix, c->self->app);
	buf_adds(&body, STR("{\"instance\":"));
	jsonw_init(&w, &body);
	instance_json_write(&w, c->self);
	buf_addc(&body, '}');
	c->sent = HTTP_POST;
	c->sent_gen = c->self_gen;
	send_request(ch, &(struct request){ .method = HTTP_POST, .suffix = buf_str(&suffix), .body = buf_str(&body) });
}

static void send_own(struct chain *ch, enum http_method m)
{
	struct eureka_client *c = ch->c;
	_cleanup_(buf_finip) struct buf suffix = BUF_INIT(8192);

	buf_adds(&suffix, STR("apps/"));
	url_encode_segment(&suffix, c->self->app);
	buf_addc(&suffix, '/');
	url_encode_segment(&suffix, c->self->id);
	if (m == HTTP_PUT) {
		buf_adds(&suffix, STR("?status="));
		buf_adds(&suffix, inst_status_name((enum inst_status)c->self->status));
		buf_adds(&suffix, STR("&lastDirtyTimestamp="));
		buf_add_i64(&suffix, c->self->dirty);
	}
	c->sent = m;
	c->sent_gen = c->self_gen;
	send_request(ch, &(struct request){ .method = m, .suffix = buf_str(&suffix) });
}

static void send_put(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	switch (c->reg) {
	case REG_OFF: return;
	case REG_NEEDED: send_register(ch); return;
	case REG_OK: send_own(ch, HTTP_PUT); return;
	case REG_LEAVING: send_own(ch, HTTP_DELETE); return;
	}
}

static void finish_leaving(struct eureka_client *c)
{
	void (*left)(void *) = c->left;

	c->reg = REG_OFF;
	c->left = NULL;
	if (c->put.active)
		fetch_cancel(&c->put.f);
	c->put.active = false;
	timer_park(&c->put.timer);
	timer_park(&c->leave_timer);
	if (left)
		left(c->left_ctx);
}

static void on_leave_timer(struct timer *t)
{
	struct eureka_client *c = container_of(t, struct eureka_client, leave_timer);

	LOG(&c->log, LOG_WARN, "left without the registry's answer", F_Z("why", c->why));
	finish_leaving(c);
}

static void refused(struct eureka_client *c)
{
	struct str text = str_slice(c->put.f.response, 0, 200);

	c->rep.registered = false;
	if (c->told_refused)
		return;
	c->told_refused = true;
	LOG(&c->log, LOG_ERROR, "the registry refuses our registration", F_INT("status", c->put.f.status), F_STR("why", text));
}

static void put_answered(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	unsigned status = ch->f.status;

	if (c->sent == HTTP_DELETE) { /* also 404: it is gone */
		finish_leaving(c);
		return;
	}
	if (c->reg == REG_LEAVING) {
		ch->send(ch);
		return;
	}
	if (c->sent == HTTP_POST && status < 300) {
		c->rep.registrations++;
		if (!c->rep.registered)
			LOG(&c->log, LOG_INFO, "registered", F_STR("app", c->self->app), F_STR("id", c->self->id),
			    F_Z("url", c->url[c->cur].u.shown));
		c->rep.registered = true;
		c->told_refused = false;
		c->reg = c->sent_gen == c->self_gen ? REG_OK : REG_NEEDED;
	} else if (c->sent == HTTP_POST) {
		refused(c);
		set_timer(ch, c->interval);
		return;
	} else if (status == 404) {
		struct instance d = instance_draft_of(c->self);
		struct instance *old = c->self;

		d.dirty = clock_wall();
		c->self = instance_new(&d);
		instance_unref(old);
		c->self_gen++;
		c->reg = REG_NEEDED;
	} else if (status < 300) {
		c->rep.heartbeats++;
		c->rep.registered = true;
	} else {
		refused(c);
	}
	if (c->reg == REG_NEEDED)
		ch->send(ch);
	else
		set_timer(ch, c->interval);
}

static void put_failed(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	set_timer(ch, MIN(pause_of(ch, c->interval), c->reg == REG_LEAVING ? PAUSE_FIRST : USEC_NEVER));
}

static void put_now(struct eureka_client *c)
{
	if (c->started && !c->put.active)
		c->put.send(&c->put);
}

static void set_self(struct eureka_client *c, const struct instance *draft)
{
	struct instance d = instance_draft_of(draft), *old = c->self;
	char *app = str_dup(d.app);

	for (size_t i = 0; i < d.app.len; i++)
		app[i] = ascii_upper(app[i]);
	d.app = str_of(app, d.app.len);
	if (!d.dirty)
		d.dirty = clock_wall();
	d.id = STR_EMPTY; /* computed anew */
	c->self = instance_new(&d);
	free(app);
	instance_unref(old);
	c->self_gen++;
	c->reg = REG_NEEDED;
}

void eureka_client_register(struct eureka_client *c, const struct instance *draft, usec interval)
{
	if (c->reg == REG_LEAVING)
		return;
	set_self(c, draft);
	c->interval = interval > 0 ? interval : (usec)c->self->lease.renewal_s * USEC_PER_SEC;
	put_now(c);
}

void eureka_client_set_status(struct eureka_client *c, enum inst_status s)
{
	if (!c->self || c->self->status == s || c->reg == REG_LEAVING)
		return;

	struct instance d = instance_draft_of(c->self);

	d.status = (uint8_t)s;
	d.dirty = MAX(clock_wall(), d.dirty + 1);
	set_self(c, &d);
	put_now(c);
}

void eureka_client_deregister(struct eureka_client *c, usec within, void (*done)(void *ctx), void *ctx)
{
	timer_park(&c->get.timer);
	if (c->get.active)
		fetch_cancel(&c->get.f);
	c->get.active = false;
	c->left = done;
	c->left_ctx = ctx;
	if (c->reg == REG_OFF || !c->started || (!c->rep.registered && !c->put.active)) {
		finish_leaving(c);
		return;
	}
	c->reg = REG_LEAVING;
	timer_set(c->loop, &c->leave_timer, loop_now(c->loop) + (within > 0 ? within : 3 * USEC_PER_SEC));
	put_now(c); /* else when what is in flight has been answered: a late POST must not follow the DELETE */
}

/* --- life --- */

static void chain_init(struct chain *ch, struct eureka_client *c, void (*send)(struct chain *ch),
		       void (*answered)(struct chain *ch), void (*failed)(struct chain *ch))
{
	ch->c = c;
	ch->send = send;
	ch->answered = answered;
	ch->failed = failed;
	timer_init(&ch->timer, on_timer);
}

int eureka_client_new(struct eureka_client **ret, struct http_client *http, const struct eureka_client_settings *s,
		      const struct logger *log, struct err *e)
{
	struct eureka_client *c = xzalloc(sizeof(*c));
	int r = parse_urls(c, s->service_urls, s->token, e);

	if (r < 0) {
		free(c);
		return r;
	}
	c->http = http;
	c->loop = http_client_loop(http);
	c->log = *log;
	c->s = *s;
	c->s.service_urls = c->s.token = STR_EMPTY; /* the caller's */
	c->s.fetch_interval = s->fetch_interval > 0 ? s->fetch_interval : 30 * USEC_PER_SEC;
	c->s.timeout = s->timeout > 0 ? s->timeout : 8 * USEC_PER_SEC;
	c->s.max_body = s->max_body ? s->max_body : (size_t)256 << 20;
	rng_seed(&c->rng, s->seed);
	eureka_cache_init(&c->cache, s->seed);
	chain_init(&c->get, c, send_get, get_answered, get_failed);
	chain_init(&c->put, c, send_put, put_answered, put_failed);
	timer_init(&c->leave_timer, on_leave_timer);
	for (unsigned i = 0; i < c->n_urls; i++)
		c->url[i].peer = http_client_peer_tls(http, str_from(c->url[i].u.host), c->url[i].u.port,
						      c->url[i].u.secure ? s->tls : NULL);
	*ret = c;
	return 0;
}

void eureka_client_start(struct eureka_client *c)
{
	c->started = true;
	if (c->s.fetch_registry && !c->get.active)
		c->get.send(&c->get);
	if (c->reg != REG_OFF)
		put_now(c);
}

void eureka_client_free(struct eureka_client *c)
{
	if (!c)
		return;
	if (c->get.active)
		fetch_cancel(&c->get.f);
	if (c->put.active)
		fetch_cancel(&c->put.f);
	timer_cancel(c->loop, &c->get.timer);
	timer_cancel(c->loop, &c->put.timer);
	timer_cancel(c->loop, &c->leave_timer);
	for (unsigned i = 0; i < c->n_urls; i++)
		http_peer_unref(c->url[i].peer);
	eureka_view_unref(c->view);
	eureka_cache_fini(&c->cache);
	instance_unref(c->self);
	free(c);
}

void eureka_client_on_view(struct eureka_client *c, void (*fn)(struct eureka_view *v, void *ctx), void *ctx)
{
	c->on_view = fn;
	c->on_view_ctx = ctx;
}

struct eureka_view *eureka_client_view(const struct eureka_client *c)
{
	return c->view;
}

void eureka_client_report(const struct eureka_client *c, struct eureka_client_report *ret)
{
	*ret = c->rep;
	ret->state = c->lost ? EUREKA_LOST : c->rep.last_ok ? EUREKA_OK : EUREKA_NEVER;
	snprintf(ret->url, sizeof(ret->url), "%s", c->url[c->cur].u.shown);
}
