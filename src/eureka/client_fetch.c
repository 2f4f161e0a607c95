/* client_fetch.c - the picture of the registry: full fetches, deltas and their hash, and what is pushed. See client_impl.h.
 *
 * A delta reaches back some three minutes and belongs to the registry that gives it. So everything is fetched where the last
 * answer is older than that, or another registry is asked: a hash says how many there are of each status, not who.
 *
 * Holding   What a registry that was away, was exchanged or restarted, or that all at once lists far fewer than before, does
 *           not list is kept for as long as its own lease: who lives registers again within it. */
#include "eureka/client_impl.h"

#include <stdio.h>

#include "codec/gzip.h"
#include "codec/url.h"

#define GZIP_RATIO_MAX 1100 /* what deflate can reach at all: the size is what bounds it */
#define DELTA_REACH (150 * USEC_PER_SEC) /* of the registry's 180 s */
#define LOSS_MIN 2
#define DIFF_LINES 20

/* --- asking --- */

static void add_regions(struct buf *b, struct str regions)
{
	if (!regions.len)
		return;
	buf_adds(b, STR("?regions="));
	url_encode_query(b, regions);
}

static bool may_delta(const struct eureka_client *c, const struct service_url *u)
{
	return c->view && !c->want_full && !c->only_full && !c->s.disable_delta && !c->s.single_vip.len &&
	       service_url_same(u, &c->from) && loop_now(c->loop) - c->fetched_at < DELTA_REACH;
}

static void send_get(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	const struct service_url *u = chain_pick(ch);
	_cleanup_(buf_finip) struct buf suffix = BUF_INIT(8192);

	if (!u)
		return;
	c->asked_delta = may_delta(c, u);
	if (c->s.single_vip.len) {
		buf_adds(&suffix, STR("vips/"));
		url_encode_segment(&suffix, c->s.single_vip);
	} else {
		buf_adds(&suffix, c->asked_delta ? STR("apps/delta") : STR("apps/"));
	}
	add_regions(&suffix, c->s.regions);
	chain_request(ch, &(struct request){ .method = HTTP_GET, .suffix = buf_str(&suffix), .max_body = c->s.max_body });
}

/* --- reading --- */

/* true: the answer is in c->doc. false: it was of no use, why says how. */
static bool read_answer(struct eureka_client *c, const struct fetch *f, char why[WHY_MAX])
{
	_cleanup_(buf_finip) struct buf plain = BUF_INIT(c->s.max_body);
	struct str text = f->response;
	struct err e;

	if (f->response_gzip) {
		if (gzip_unpack(&plain, text, c->s.max_body, GZIP_RATIO_MAX, &e) < 0) {
			snprintf(why, WHY_MAX, "%.150s", e.text);
			return false;
		}
		text = buf_str(&plain);
	}
	if (apps_json_decode(&c->doc, text, &e) < 0) {
		snprintf(why, WHY_MAX, "%.150s", e.text);
		return false;
	}
	return true;
}

static bool get_useful(struct chain *ch, char why[WHY_MAX])
{
	struct eureka_client *c = ch->c;

	apps_doc_fini(&c->doc);
	c->doc = (struct apps_doc){ 0 };
	switch (ch->f.status) {
	case 200:
		if (read_answer(c, &ch->f, why))
			return true;
		c->want_full = true;
		return false;
	case 403:
		snprintf(why, WHY_MAX, "status 403: it does not give lists (yet)");
		return c->asked_delta; /* deltas may be switched off there */
	case 404:
		snprintf(why, WHY_MAX, "status 404: there is no registry at this path");
		return c->asked_delta;
	case 401:
		snprintf(why, WHY_MAX, "status 401: it wants other credentials");
		return false;
	default:
		return false;
	}
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
	lease_settled(c);
	if (changed || !c->view)
		publish(c);
	c->rep.instances = c->view->n;
	c->rep.apps = c->view->n_apps;
	c->rep.held = c->cache.held;
}

/* --- is it still the registry that we know? --- */

/* "EPOCH-N": another process answers at the same place. */
static bool restarted(struct eureka_client *c, struct str version)
{
	struct str epoch;

	if (!version.len || !str_cut(&version, '-', &epoch) || epoch.len >= sizeof(c->epoch))
		return false;

	bool other = c->epoch[0] && !str_eq(epoch, str_from(c->epoch));

	snprintf(c->epoch, sizeof(c->epoch), "%.*s", STRF(epoch));
	return other;
}

static void look_who_answers(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	const struct service_url *u = ch->at >= 0 ? place_of(c, ch->at) : NULL;
	bool same = u && service_url_same(u, &c->from);

	if (!same)
		c->epoch[0] = '\0';
	if (c->view && !same)
		c->was_lost = true; /* it may know fewer than the other one did */
	if (restarted(c, ch->f.kept))
		c->was_lost = c->want_full = true;
	if (u)
		c->from = *u;
	else
		c->from.host[0] = '\0';
	c->fetched_at = c->rep.last_fetch = loop_now(c->loop);
}

static uint32_t known(const struct eureka_cache *k)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < INST_STATUS_COUNT; i++)
		n += k->counts.n[i];
	return n;
}

/* Must what the answer lacks be held? */
static bool must_hold(struct eureka_client *c)
{
	uint32_t had = known(&c->cache), has = c->doc.n;

	if (c->s.drop_missing)
		return false;
	if (c->was_lost)
		return true;
	return had >= has + LOSS_MIN && (uint64_t)(had - has) * 100 > (uint64_t)had * c->s.sudden_loss;
}

/* --- applying --- */

struct diff {
	struct eureka_client *c;
	unsigned n;
};

static void tell_diff(const char *what, const struct instance *in, enum inst_status other, void *ctx)
{
	struct diff *d = ctx;

	if (d->n++ >= DIFF_LINES)
		return;
	LOG(&d->c->log, LOG_WARN, "the delta differed", F_Z("what", what), F_STR("app", in->app), F_STR("id", in->id),
	    F_STR("status", inst_status_name((enum inst_status)in->status)), F_STR("there", inst_status_name(other)));
}

static void apply_full(struct eureka_client *c)
{
	bool hold = must_hold(c);
	uint32_t before = c->cache.held;

	if (c->diff_due && c->s.log_delta_diff) {
		struct diff d = { c, 0 };

		eureka_cache_diff(&c->cache, &c->doc, tell_diff, &d);
		LOG(&c->log, LOG_WARN, "deltas led elsewhere than the whole list", F_INT("differences", d.n));
	}
	c->diff_due = false;

	bool changed = eureka_cache_full(&c->cache, &c->doc, hold, loop_now(c->loop));

	if (c->cache.held > before)
		LOG(&c->log, LOG_WARN, "the registry lists fewer; the missing are kept for their leases", F_Z("url", c->used),
		    F_INT("missing", c->cache.held), F_INT("listed", c->doc.n));
	c->rep.full++;
	c->want_full = c->was_lost = false;
	c->only_full = c->doc.version == -1;
	c->delta_version = 0;
	show(c, changed);
}

/* Not when it was asked of a registry that turns out to be another process: its deltas say nothing of what was before. */
static void apply_delta(struct eureka_client *c)
{
	bool changed;

	if (c->doc.version < c->delta_version) /* its count began anew: it may have forgotten everybody */
		c->was_lost = true;
	c->delta_version = c->doc.version;
	changed = eureka_cache_delta(&c->cache, &c->doc);
	c->rep.delta++;
	if (!eureka_cache_matches(&c->cache, &c->doc)) {
		c->rep.mismatches++;
		c->want_full = c->diff_due = true;
	} else if (!c->want_full) {
		c->was_lost = false; /* it knows as many as we do */
	}
	show(c, changed);
}

static void get_answered(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	bool delta = c->asked_delta;

	if (ch->f.status != 200) {
		c->want_full = true;
		ch->send(ch);
		return;
	}
	look_who_answers(ch);
	if (delta)
		apply_delta(c);
	else
		apply_full(c);
	apps_doc_fini(&c->doc);
	c->doc = (struct apps_doc){ 0 };
	if (c->want_full && delta) {
		ch->send(ch);
		return;
	}
	if (c->push && ch->at >= 0)
		c->push->ops->synced(c->push, peer_of(c, ch->at), place_of(c, ch->at), ch->f.kept);
	if (!c->pushed)
		chain_in(ch, c->s.fetch_interval);
}

static void get_failed(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	c->was_lost = true;
	chain_in(ch, pace_failed(&ch->pace, ch->slow && ch->tried.n, c->s.fetch_interval, c->s.fetch_bound, 0, rng_unit(&c->rng)));
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
	if (c->get.lost)
		chain_in(&c->get, 0); /* one more answer, so that it is found again */
	else
		timer_park(&c->get.timer);
}

void push_lost(struct eureka_client *c, bool full)
{
	c->pushed = false;
	c->want_full |= full;
	if (!c->get.active && !c->leaving)
		chain_in(&c->get, 0);
}

bool push_changes(struct eureka_client *c, const struct apps_doc *doc)
{
	show(c, eureka_cache_delta(&c->cache, doc));
	c->rep.last_ok = c->rep.last_fetch = c->fetched_at = loop_now(c->loop);
	c->rep.told += doc->n > 0;
	return eureka_cache_matches(&c->cache, doc);
}

/* --- life --- */

void fetches_init(struct eureka_client *c)
{
	eureka_cache_init(&c->cache, c->s.seed);
	chain_init(&c->get, c);
	c->get.send = send_get;
	c->get.useful = get_useful;
	c->get.answered = get_answered;
	c->get.failed = get_failed;
}

void fetches_begin(struct eureka_client *c)
{
	if (c->s.fetch_registry && !c->get.active)
		c->get.send(&c->get);
}

void fetches_show(struct eureka_client *c)
{
	if (c->view)
		show(c, true);
}

void fetches_stop(struct eureka_client *c)
{
	if (c->push)
		c->push->ops->stop(c->push);
	chain_stop(&c->get);
}

void fetches_fini(struct eureka_client *c)
{
	fetches_stop(c);
	if (c->push)
		c->push->ops->free(c->push);
	chain_fini(&c->get);
	apps_doc_fini(&c->doc);
	eureka_view_unref(c->view);
	eureka_cache_fini(&c->cache);
}
