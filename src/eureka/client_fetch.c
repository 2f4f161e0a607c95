/* client_fetch.c - the picture of the registry: full fetches, deltas and their hash, and what is pushed. See client_impl.h. */
#include "eureka/client_impl.h"

#include <stdio.h>

#include "codec/gzip.h"

#define GZIP_RATIO_MAX 1100 /* what deflate can reach at all: the size is what bounds it */

static void send_get(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	c->asked_delta = c->view && !c->want_full && !c->s.disable_delta;
	chain_request(ch, &(struct request){
		.method = HTTP_GET,
		.suffix = c->asked_delta ? STR("apps/delta") : STR("apps/"),
		.keep = c->push ? STR("X-Vine-Version") : STR_EMPTY,
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

/* After the cache was changed, or may have been. */
static void show(struct eureka_client *c, bool changed)
{
	changed |= eureka_cache_expire(&c->cache, loop_now(c->loop));
	if (changed || !c->view)
		publish(c);
	c->rep.instances = c->view->n;
	c->rep.apps = c->view->n_apps;
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
	show(c, changed);
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
		chain_in(ch, c->s.fetch_interval); /* 403: it does not serve yet */
		return;
	}
	if (!take_answer(c, &ch->f, &doc)) {
		c->want_full = true;
		chain_unusable(ch);
		return;
	}
	apply_answer(c, &doc);
	apps_doc_fini(&doc);
	if (c->want_full && c->asked_delta) {
		ch->send(ch);
		return;
	}
	if (c->push)
		c->push->ops->synced(c->push, c->url[ch->url].peer, &c->url[ch->url].u, ch->f.kept);
	if (!c->pushed)
		chain_in(ch, c->s.fetch_interval);
}

static void get_failed(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	c->was_lost = true;
	chain_in(ch, chain_pause(ch, c->s.fetch_interval));
}

/* --- a source that pushes --- */

void push_attach(struct eureka_client *c, struct push_source *p)
{
	assert(!c->started && !c->push);
	c->push = p;
}

void push_live(struct eureka_client *c)
{
	c->pushed = true;
	timer_park(&c->get.timer);
}

void push_lost(struct eureka_client *c, bool full)
{
	c->pushed = false;
	c->want_full |= full;
	if (!c->get.active)
		chain_in(&c->get, 0);
}

bool push_changes(struct eureka_client *c, const struct apps_doc *doc)
{
	show(c, eureka_cache_delta(&c->cache, doc));
	c->rep.last_ok = loop_now(c->loop);
	return eureka_cache_matches(&c->cache, doc);
}

/* --- life --- */

void fetches_init(struct eureka_client *c)
{
	eureka_cache_init(&c->cache, c->s.seed);
	chain_init(&c->get, c, send_get, get_answered, get_failed);
}

void fetches_stop(struct eureka_client *c)
{
	if (c->push)
		c->push->ops->stop(c->push);
	timer_park(&c->get.timer);
	if (c->get.active)
		fetch_cancel(&c->get.f);
	c->get.active = false;
}

void fetches_fini(struct eureka_client *c)
{
	fetches_stop(c);
	if (c->push)
		c->push->ops->free(c->push);
	chain_fini(&c->get);
	eureka_view_unref(c->view);
	eureka_cache_fini(&c->cache);
}
