/* client_lease.c - our own place in the registry: registered, kept alive, left. See client_impl.h. */
#include "eureka/client_impl.h"

#include <stdio.h>

#include "codec/url.h"

#define LEAVE_PAUSE (USEC_PER_SEC / 2)

/* --- what is said --- */

void lease_path(struct buf *b, const struct instance *self)
{
	buf_adds(b, STR("apps/"));
	url_encode_segment(b, self->app);
	buf_addc(b, '/');
	url_encode_segment(b, self->id);
}

static void write_body(struct buf *body, const struct instance *i)
{
	struct jsonw w;

	buf_adds(body, STR("{\"instance\":"));
	jsonw_init(&w, body);
	instance_json_write(&w, i);
	buf_addc(body, '}');
}

static void send_register(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	_cleanup_(buf_finip) struct buf suffix = BUF_INIT(8192), body = BUF_INIT(INST_BODY_MAX);

	buf_adds(&suffix, STR("apps/"));
	url_encode_segment(&suffix, c->self->app);
	write_body(&body, c->self);
	c->sent = HTTP_POST;
	c->sent_gen = c->self_gen;
	chain_request(ch, &(struct request){ .method = HTTP_POST, .suffix = buf_str(&suffix), .body = buf_str(&body) });
}

static void send_own(struct chain *ch, enum http_method m)
{
	struct eureka_client *c = ch->c;
	_cleanup_(buf_finip) struct buf suffix = BUF_INIT(8192);

	lease_path(&suffix, c->self);
	if (m == HTTP_PUT) {
		buf_adds(&suffix, STR("?status="));
		buf_adds(&suffix, inst_status_name((enum inst_status)c->self->status));
		buf_adds(&suffix, STR("&lastDirtyTimestamp="));
		buf_add_i64(&suffix, c->self->dirty);
	}
	c->sent = m;
	c->sent_gen = c->self_gen;
	chain_request(ch, &(struct request){ .method = m, .suffix = buf_str(&suffix) });
}

static void send_put(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	if (c->reg == REG_OFF || !chain_pick(ch))
		return;
	if (c->reg == REG_NEEDED)
		send_register(ch);
	else
		send_own(ch, c->reg == REG_OK ? HTTP_PUT : HTTP_DELETE);
}

/* --- our own description --- */

static void replace_self(struct eureka_client *c, const struct instance *draft)
{
	struct instance *old = c->self;

	c->self = instance_new(draft);
	instance_unref(old);
	c->self_gen++;
	c->reg = REG_NEEDED;
}

static void set_self(struct eureka_client *c, const struct instance *draft)
{
	struct instance d = instance_draft_of(draft);
	char *app = str_dup(d.app);

	for (size_t i = 0; i < d.app.len; i++)
		app[i] = ascii_upper(app[i]);
	d.app = str_of(app, d.app.len);
	if (!d.dirty)
		d.dirty = clock_wall();
	d.id = STR_EMPTY; /* computed anew */
	replace_self(c, &d);
	free(app);
}

static void set_dirty(struct eureka_client *c, enum inst_status s)
{
	struct instance d = instance_draft_of(c->self);

	d.status = (uint8_t)s;
	d.dirty = MAX(clock_wall(), d.dirty + 1); /* a clock that goes back must not make us older */
	replace_self(c, &d);
}

/* Would the registry be told the same? */
static bool same_words(const struct eureka_client *c, const struct instance *draft)
{
	_cleanup_(buf_finip) struct buf a = BUF_INIT(INST_BODY_MAX), b = BUF_INIT(INST_BODY_MAX);
	struct instance d = instance_draft_of(draft), mine = instance_draft_of(c->self);

	d.status = mine.status; /* which has ways of its own */
	d.dirty = mine.dirty;
	d.app = mine.app;
	write_body(&a, &d);
	write_body(&b, &mine);
	return str_eq_nocase(draft->app, c->self->app) && str_eq(buf_str(&a), buf_str(&b));
}

static void ask_health(struct eureka_client *c)
{
	enum inst_status s;

	if (!c->health || !c->self || c->self->status == INST_OUT_OF_SERVICE)
		return;
	s = c->health(c->health_ctx);
	if (s != c->self->status) {
		LOG(&c->log, LOG_INFO, "the status follows the health", F_STR("status", inst_status_name(s)),
		    F_STR("before", inst_status_name((enum inst_status)c->self->status)));
		set_dirty(c, s);
	}
}

/* --- when it is said --- */

static void put_now(struct eureka_client *c)
{
	if (c->started && !c->put.active)
		c->put.send(&c->put);
}

/* A registered instance has changed. Until this is told its heartbeats are registrations anyway. */
static void tell_change(struct eureka_client *c)
{
	usec now = loop_now(c->loop), wait;

	if (!c->started || c->put.active || c->reg != REG_NEEDED || c->s.changes_wait)
		return;
	wait = c->rep.registered ? change_wait(&c->changes, now) : 0;
	if (!wait)
		put_now(c);
	else if (now + wait < c->put.timer.at)
		chain_in(&c->put, wait);
}

static void on_look(struct timer *t)
{
	struct eureka_client *c = container_of(t, struct eureka_client, look);

	if (c->reg == REG_OFF || c->reg == REG_LEAVING)
		return;
	ask_health(c);
	if (c->reg == REG_NEEDED && !c->put.lost) /* else its pause comes first */
		put_now(c);
	timer_set(c->loop, t, loop_now(c->loop) + c->s.look_interval);
}

void lease_tell_first(struct eureka_client *c, const char *why)
{
	void (*first)(const char *, void *) = c->first;

	c->first = NULL;
	if (first)
		first(why, c->first_ctx);
}

void lease_settled(struct eureka_client *c)
{
	const struct instance *there = c->self ? eureka_cache_get(&c->cache, c->self->app, c->self->id) : NULL;
	enum inst_status override = there ? (enum inst_status)there->overridden : INST_UNKNOWN;

	c->rep.remote = there ? (enum inst_status)there->status : INST_UNKNOWN;
	if (!there || override == c->rep.override)
		return;
	LOG(&c->log, LOG_INFO,
	    override == INST_UNKNOWN ? "the registry no longer overrides our status" : "the registry overrides our status",
	    F_STR("status", inst_status_name(c->rep.remote)), F_STR("ours", inst_status_name((enum inst_status)c->self->status)));
	c->rep.override = override;
}

/* --- leaving --- */

static void finish_leaving(struct eureka_client *c)
{
	void (*left)(void *) = c->left;

	c->reg = REG_OFF;
	c->left = NULL;
	c->rep.registered = c->put.maybe_taken = false;
	chain_stop(&c->put);
	timer_park(&c->leave_timer);
	if (left)
		left(c->left_ctx);
}

static void on_leave_timer(struct timer *t)
{
	struct eureka_client *c = container_of(t, struct eureka_client, leave_timer);

	LOG(&c->log, LOG_WARN, "left without the registry's answer", F_Z("why", c->rep.why));
	finish_leaving(c);
}

/* --- answers --- */

/* What concerns our own words no other registry would take either. */
static bool is_about_words(unsigned status)
{
	return status == 400 || status == 413 || status == 415 || status == 422;
}

static bool put_useful(struct chain *ch, char why[WHY_MAX])
{
	unsigned s = ch->f.status;
	struct str text = str_slice(ch->f.response, 0, 100);

	if (s >= 200 && s < 300)
		return true;
	ch->maybe_taken |= s >= 500;
	if (s == 401)
		snprintf(why, WHY_MAX, "status 401: it wants other credentials");
	else if (text.len)
		snprintf(why, WHY_MAX, "status %u: %.*s", s, STRF(text));
	switch (ch->c->sent) {
	case HTTP_POST: return is_about_words(s);
	case HTTP_PUT: return s == 404;
	default: return s < 500 && s != 401 && s != 403 && s != 429; /* it is gone there, or never was */
	}
}

static void refused(struct eureka_client *c)
{
	struct str text = str_slice(c->put.f.response, 0, 200);
	char why[WHY_MAX];

	c->put.maybe_taken |= c->rep.registered; /* the lease of the words before */
	c->rep.registered = false;
	snprintf(why, sizeof(why), "status %u: %.*s", c->put.f.status, (int)MIN(text.len, (size_t)100), text.ptr);
	snprintf(c->rep.why, sizeof(c->rep.why), "%s", why);
	if (!c->told_refused)
		LOG(&c->log, LOG_ERROR, "the registry refuses our registration", F_INT("status", c->put.f.status), F_STR("why", text));
	c->told_refused = true;
	lease_tell_first(c, why);
}

static void registered(struct eureka_client *c)
{
	c->rep.registrations++;
	if (!c->rep.registered)
		LOG(&c->log, LOG_INFO, "registered", F_STR("app", c->self->app), F_STR("id", c->self->id),
		    F_STR("status", inst_status_name((enum inst_status)c->self->status)), F_Z("url", c->used));
	c->rep.registered = true;
	c->told_refused = false;
	c->reg = c->sent_gen == c->self_gen ? REG_OK : REG_NEEDED;
	lease_tell_first(c, NULL);
}

static void put_answered(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	unsigned status = ch->f.status;

	if (c->sent == HTTP_DELETE) {
		finish_leaving(c);
		return;
	}
	if (c->reg == REG_LEAVING) { /* it has waited: a late POST must not follow the DELETE */
		ch->send(ch);
		return;
	}
	if (c->sent == HTTP_POST && status >= 300) {
		refused(c);
	} else if (c->sent == HTTP_POST) {
		registered(c);
	} else if (status == 404) {
		LOG(&c->log, LOG_INFO, "the registry does not know us", F_Z("url", c->used));
		ch->maybe_taken = false;
		set_dirty(c, (enum inst_status)c->self->status);
		ch->send(ch);
		return;
	} else {
		c->rep.heartbeats++;
		c->rep.last_heartbeat = loop_now(c->loop);
		c->rep.registered = true;
	}
	chain_in(ch, c->interval);
	if (c->reg == REG_NEEDED && status < 300) /* it changed meanwhile */
		tell_change(c);
}

static void put_failed(struct chain *ch)
{
	struct eureka_client *c = ch->c;
	usec lease = c->self ? (usec)c->self->lease.duration_s * USEC_PER_SEC : 0;
	usec most = c->reg == REG_LEAVING ? LEAVE_PAUSE : MAX(c->interval, lease - c->interval);

	chain_in(ch, pace_failed(&ch->pace, ch->slow && ch->tried.n, c->interval, c->s.heartbeat_bound, most, rng_unit(&c->rng)));
	if (c->reg == REG_NEEDED)
		lease_tell_first(c, c->rep.why);
}

/* --- for users --- */

void eureka_client_register(struct eureka_client *c, const struct instance *draft, usec interval)
{
	usec was = c->interval;
	struct err e;

	if (c->leaving)
		return;
	c->interval = interval > 0 ? interval : (usec)draft->lease.renewal_s * USEC_PER_SEC;
	if (c->self && was == c->interval && same_words(c, draft))
		return;
	if (c->self && instance_check_limits(draft, &e) < 0) { /* no registry would take it, and the lease would run out */
		c->interval = was;
		LOG(&c->log, LOG_ERROR, "the instance's new words are not told: the old ones stay", F_Z("why", e.text));
		return;
	}

	struct instance d = instance_draft_of(draft);

	if (c->self)
		d.dirty = MAX(clock_wall(), c->self->dirty + 1);
	c->wanted = (enum inst_status)draft->status;
	set_self(c, &d);
	ask_health(c);
	put_now(c);
	timer_set(c->loop, &c->look, loop_now(c->loop) + c->s.first_look);
}

void eureka_client_set_status(struct eureka_client *c, enum inst_status s)
{
	if (!c->self || c->self->status == s || c->leaving)
		return;
	set_dirty(c, s);
	tell_change(c);
}

void eureka_client_look(struct eureka_client *c)
{
	if (c->leaving || !c->self)
		return;
	ask_health(c);
	tell_change(c);
}

void eureka_client_deregister(struct eureka_client *c, usec within, void (*done)(void *ctx), void *ctx)
{
	fetches_stop(c);
	timer_park(&c->look);
	c->leaving = true;
	c->left = done;
	c->left_ctx = ctx;
	if (c->reg == REG_OFF || !c->started || (!c->rep.registered && !c->put.active && !c->put.maybe_taken)) {
		finish_leaving(c);
		return;
	}
	c->reg = REG_LEAVING;
	timer_set(c->loop, &c->leave_timer, loop_now(c->loop) + (within > 0 ? within : 3 * USEC_PER_SEC));
	put_now(c); /* else when what is in flight has been answered */
}

/* --- life --- */

void lease_init(struct eureka_client *c)
{
	chain_init(&c->put, c);
	c->put.send = send_put;
	c->put.useful = put_useful;
	c->put.answered = put_answered;
	c->put.failed = put_failed;
	timer_init(&c->leave_timer, on_leave_timer);
	timer_init(&c->look, on_look);
}

void lease_begin(struct eureka_client *c)
{
	if (c->reg != REG_OFF)
		put_now(c);
}

void lease_fini(struct eureka_client *c)
{
	chain_fini(&c->put);
	timer_cancel(c->loop, &c->leave_timer);
	timer_cancel(c->loop, &c->look);
	instance_unref(c->self);
}
