/* client_chain.c - a request, to one registry after the other until one answers. See client_impl.h. */
#include "eureka/client_impl.h"

#include <stdio.h>

/* A pause that doubles with each failure up to the interval (at least 2 s), less a random part of up to half. */
usec chain_pause(struct chain *ch, usec interval)
{
	usec most = MAX(interval, 2 * USEC_PER_SEC);
	usec p = MIN(PAUSE_FIRST, MAX(interval, (usec)1)) << MIN(ch->failures, 16u);

	p = MIN(p, most);
	return p - (usec)(rng_unit(&ch->c->rng) * (double)p / 2);
}

void chain_in(struct chain *ch, usec span)
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
		LOG(&c->log, LOG_WARN, "registry lost; the last picture is kept", F_Z("url", c->url[candidates_now(&c->cand)].u.shown),
		    F_Z("why", c->why), F_INT("instances", c->view ? c->view->n : 0));
	else
		LOG(&c->log, LOG_INFO, "registry found again", F_Z("url", c->url[candidates_now(&c->cand)].u.shown));
}

void chain_unusable(struct chain *ch)
{
	ch->lost = true;
	note_lost(ch->c);
	ch->failures++;
	ch->failed(ch);
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
	if (f->ok || !f->failure.stale)
		candidates_failed(&c->cand, ch->url);
	if (++ch->tries < c->cand.n || (!f->ok && f->failure.stale && ch->tries <= c->cand.n)) {
		ch->send(ch);
		return;
	}
	ch->tries = 0;
	chain_unusable(ch);
}

void chain_request(struct chain *ch, const struct request *r)
{
	struct eureka_client *c = ch->c;
	struct server_url *u = &c->url[candidates_now(&c->cand)];
	_cleanup_(buf_finip) struct buf target = BUF_INIT(16384), fields = BUF_INIT(4096);

	ch->url = candidates_now(&c->cand);
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
	ch->f.keep = r->keep;
	ch->f.max_body = r->max_body;
	ch->f.deadline = loop_now(c->loop) + c->s.timeout;
	ch->f.done = on_done;
	fetch_start(c->http, &ch->f, u->peer);
}

static void on_timer(struct timer *t)
{
	struct chain *ch = container_of(t, struct chain, timer);

	if (!ch->active)
		ch->send(ch);
}

void chain_init(struct chain *ch, struct eureka_client *c, void (*send)(struct chain *ch),
		void (*answered)(struct chain *ch), void (*failed)(struct chain *ch))
{
	ch->c = c;
	ch->send = send;
	ch->answered = answered;
	ch->failed = failed;
	timer_init(&ch->timer, on_timer);
}

void chain_fini(struct chain *ch)
{
	if (ch->active)
		fetch_cancel(&ch->f);
	ch->active = false;
	timer_cancel(ch->c->loop, &ch->timer);
}
