/* client_lease.c - our own place in the registry: registered, kept alive, left. See client_impl.h. */
#include "eureka/client_impl.h"

#include "codec/url.h"

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
	chain_request(ch, &(struct request){ .method = HTTP_POST, .suffix = buf_str(&suffix), .body = buf_str(&body) });
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
	chain_request(ch, &(struct request){ .method = m, .suffix = buf_str(&suffix) });
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
			    F_Z("url", c->url[candidates_now(&c->cand)].u.shown));
		c->rep.registered = true;
		c->told_refused = false;
		c->reg = c->sent_gen == c->self_gen ? REG_OK : REG_NEEDED;
	} else if (c->sent == HTTP_POST) {
		refused(c);
		chain_in(ch, c->interval);
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
		chain_in(ch, c->interval);
}

static void put_failed(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	chain_in(ch, MIN(chain_pause(ch, c->interval), c->reg == REG_LEAVING ? PAUSE_FIRST : USEC_NEVER));
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
	fetches_stop(c);
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

void lease_init(struct eureka_client *c)
{
	chain_init(&c->put, c, send_put, put_answered, put_failed);
	timer_init(&c->leave_timer, on_leave_timer);
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
	instance_unref(c->self);
}
