/* client_chain.c - a request, to one registry after the other until one answers. See client_impl.h. */
#include "eureka/client_impl.h"

#include <stdio.h>

#include "codec/base64.h"

void chain_in(struct chain *ch, usec span)
{
	timer_set(ch->c->loop, &ch->timer, loop_now(ch->c->loop) + span);
}

/* --- where --- */

const struct service_url *place_of(const struct eureka_client *c, int at)
{
	assert(at >= 0);
	return c->detour.of == at ? &c->detour.url : &c->cand.at[at].url;
}

static struct http_peer *connect_to(struct eureka_client *c, const struct service_url *u)
{
	struct http_peer *p = http_client_peer_tls(c->http, str_from(u->host), u->port, u->secure ? c->s.tls : NULL);

	http_peer_set_idle_timeout(p, c->s.idle_timeout);
	return p;
}

struct http_peer *peer_of(struct eureka_client *c, int at)
{
	struct candidate *x = &c->cand.at[at];

	if (c->proxy)
		return c->proxy;
	if (c->detour.of == at)
		return c->detour.peer;
	if (!x->user)
		x->user = connect_to(c, &x->url);
	return x->user;
}

void detour_end(struct eureka_client *c)
{
	if (c->detour.of < 0)
		return;
	c->detour.of = -1;
	http_peer_unref(c->detour.peer);
	c->detour.peer = NULL;
}

/* Credentials go only to who was configured with them. */
static void lend_credentials(const struct eureka_client *c, struct service_url *to)
{
	to->auth[0] = '\0';
	for (unsigned i = 0; i < c->cand.n; i++) {
		const struct service_url *u = &c->cand.at[i].url;

		if (u->port == to->port && u->secure == to->secure && strcmp(u->host, to->host) == 0)
			memcpy(to->auth, u->auth, sizeof(to->auth));
	}
}

/* A Location that is the same question below another base: "http://other:8761/eureka/apps/delta". */
static bool read_location(struct service_url *to, struct str location, struct str suffix)
{
	struct str base, asked;
	struct err e;

	if (!location.len || !str_cut(&location, '?', &base) || !str_cut(&suffix, '?', &asked))
		return false;
	if (str_has_suffix(asked, STR("/")) && !str_has_suffix(base, STR("/")))
		asked.len--;
	if (!asked.len || !str_has_suffix(base, asked) || str_find(base, STR("@")) >= 0)
		return false;
	base.len -= asked.len;
	return str_has_suffix(base, STR("/")) && service_url_make(to, base, &e) == 0;
}

/* false: it stays an answer of no use, and why says it. */
static bool follow(struct chain *ch, char why[WHY_MAX])
{
	struct eureka_client *c = ch->c;
	struct service_url to;

	if (!c->s.allow_redirects) {
		snprintf(why, WHY_MAX, "status %u to %.80s: eureka.client.allow-redirects is false", ch->f.status,
			 ch->f.location.len ? "elsewhere" : "nowhere");
		return false;
	}
	if (++ch->hops > HOPS_MAX) {
		snprintf(why, WHY_MAX, "more than %d redirects", HOPS_MAX);
		return false;
	}
	if (!read_location(&to, ch->f.location, buf_str(&ch->asked))) {
		snprintf(why, WHY_MAX, "status %u to what is no registry: %.*s", ch->f.status,
			 (int)MIN(ch->f.location.len, (size_t)80), ch->f.location.ptr);
		return false;
	}
	if (to.secure && c->proxy) {
		snprintf(why, WHY_MAX, "status %u to %.80s: https through a proxy is not spoken", ch->f.status, to.shown);
		return false;
	}
	lend_credentials(c, &to);
	detour_end(c);
	c->detour.url = to;
	c->detour.peer = connect_to(c, &to);
	c->detour.of = ch->at;
	c->rep.redirects++;
	LOG(&c->log, LOG_DEBUG, "redirected", F_Z("to", to.shown));
	ch->send(ch);
	return true;
}

/* --- how it went --- */

static void note_lost(struct eureka_client *c)
{
	bool lost = c->get.lost || c->put.lost;

	if (lost == c->lost)
		return;
	c->lost = lost;
	if (lost)
		LOG(&c->log, LOG_WARN, "registry lost; the last picture is kept", F_Z("url", c->used), F_Z("why", c->rep.why),
		    F_INT("registries", c->cand.n), F_INT("instances", c->view ? c->view->n : 0));
	else
		LOG(&c->log, LOG_INFO, "registry found again", F_Z("url", c->used));
}

static void request_over(struct chain *ch)
{
	ch->tried = (struct candidates_tried){ 0 };
	ch->hops = 0;
	ch->slow = true;
	ch->refreshed = false;
}

/* Nobody is left to be asked. */
static void exhausted(struct chain *ch)
{
	ch->lost = true;
	note_lost(ch->c);
	ch->failed(ch); /* reads slow */
	request_over(ch);
}

const struct service_url *chain_pick(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	ch->at = ch->tried.n < TRIES_MAX ? candidates_pick(&c->cand, &ch->tried, loop_now(c->loop)) : -1;
	if (c->detour.of >= 0 && ch->at >= 0 && ch->at != c->detour.of)
		detour_end(c);
	if (ch->at >= 0)
		return place_of(c, ch->at);
	if (!c->cand.n)
		snprintf(c->rep.why, sizeof(c->rep.why), "%s", c->places_why[0] ? c->places_why : "no registry is known");
	exhausted(ch);
	return NULL;
}

static void next_one(struct chain *ch, const char *why, bool timed_out)
{
	struct eureka_client *c = ch->c;

	snprintf(c->rep.why, sizeof(c->rep.why), "%s", why);
	c->rep.failures++;
	c->rep.last_failure = loop_now(c->loop);
	ch->slow &= timed_out;
	if (ch->at >= 0) {
		LOG(&c->log, LOG_DEBUG, "a registry failed", F_Z("url", place_of(c, ch->at)->shown), F_Z("why", why));
		if (!c->used[0]) /* for the line that says that none answers */
			snprintf(c->used, sizeof(c->used), "%s", place_of(c, ch->at)->shown);
		if (c->detour.of == ch->at)
			detour_end(c);
		candidates_tried(&ch->tried, ch->at);
		candidates_bad(&c->cand, ch->at, why, loop_now(c->loop));
	}
	ch->send(ch);
}

static void good(struct chain *ch)
{
	struct eureka_client *c = ch->c;

	if (ch->at >= 0) {
		const char *shown = place_of(c, ch->at)->shown;

		candidates_good(&c->cand, ch->at);
		if (c->rep.last_ok && strcmp(c->used, shown) != 0) {
			c->rep.switches++;
			LOG(&c->log, LOG_INFO, "another registry is used", F_Z("url", shown), F_Z("before", c->used),
			    F_Z("why", c->rep.why));
		}
		snprintf(c->used, sizeof(c->used), "%s", shown);
	}
	pace_good(&ch->pace);
	request_over(ch);
	ch->lost = false;
	c->rep.last_ok = loop_now(c->loop);
	note_lost(c);
	ch->answered(ch);
}

static void on_done(struct fetch *f)
{
	struct chain *ch = container_of(f, struct chain, f);
	char why[WHY_MAX] = "";

	ch->active = false;
	if (!f->ok && f->failure.stale && !ch->refreshed) { /* nobody's fault */
		ch->refreshed = true;
		ch->send(ch);
		return;
	}
	if (!f->ok) {
		ch->maybe_taken |= f->failure.class != CALL_NOT_SENT;
		next_one(ch, f->failure.why ? f->failure.why : call_cause_name(f->failure.cause), f->failure.cause == CALL_TIMEOUT);
		return;
	}
	if (f->status >= 300 && f->status < 400) {
		if (ch->at < 0 || !follow(ch, why))
			next_one(ch, why, false);
		return;
	}
	snprintf(why, sizeof(why), "status %u", f->status);
	if (ch->useful(ch, why))
		good(ch);
	else
		next_one(ch, why, false);
}

/* --- sending --- */

void chain_add_proxy_fields(const struct eureka_client *c, struct buf *fields)
{
	_cleanup_(buf_finip) struct buf plain = BUF_INIT(1024);

	if (!c->s.proxy.user.len)
		return;
	buf_adds(&plain, c->s.proxy.user);
	buf_addc(&plain, ':');
	buf_adds(&plain, c->s.proxy.password);
	buf_adds(fields, STR("Proxy-Authorization: Basic "));
	base64_encode(fields, buf_str(&plain), BASE64_STD);
	buf_adds(fields, STR("\r\n"));
}

static void add_fields(const struct eureka_client *c, const struct request *r, const struct service_url *u, struct buf *fields)
{
	buf_adds(fields, STR("Accept: application/json\r\nDiscoveryIdentity-Name: DefaultClient\r\n"
			     "DiscoveryIdentity-Version: 1.4\r\nUser-Agent: vine/" VINE_VERSION "\r\n"));
	buf_addz(fields, u->auth);
	if (r->method == HTTP_GET && !r->plain && !c->s.no_gzip)
		buf_adds(fields, STR("Accept-Encoding: gzip\r\n"));
	if (c->s.allow_redirects)
		buf_adds(fields, STR("X-Discovery-AllowRedirect: true\r\n"));
	if (r->body.len)
		buf_adds(fields, STR("Content-Type: application/json\r\n"));
	if (c->proxy)
		chain_add_proxy_fields(c, fields);
}

void chain_add_authority(struct buf *b, const struct service_url *u)
{
	bool ip6 = strchr(u->host, ':') != NULL;

	buf_addf(b, "%s%s%s:%u", ip6 ? "[" : "", u->host, ip6 ? "]" : "", u->port);
}

void chain_request(struct chain *ch, const struct request *r)
{
	struct eureka_client *c = ch->c;
	const struct service_url *u = place_of(c, ch->at);
	_cleanup_(buf_finip) struct buf target = BUF_INIT(16384), fields = BUF_INIT(8192), host = BUF_INIT(512);
	usec now = loop_now(c->loop);

	ch->active = true;
	timer_park(&ch->timer);
	chain_add_authority(&host, u);
	if (c->proxy) {
		buf_adds(&target, STR("http://"));
		buf_adds(&target, buf_str(&host));
	}
	buf_addz(&target, u->path);
	buf_adds(&target, r->suffix);
	buf_clear(&ch->asked);
	buf_adds(&ch->asked, r->suffix);
	add_fields(c, r, u, &fields);
	ch->f.method = r->method;
	ch->f.target = buf_str(&target);
	ch->f.fields = buf_str(&fields);
	ch->f.host = c->proxy ? buf_str(&host) : STR_EMPTY;
	ch->f.body = r->body;
	ch->f.keep = STR("X-Vine-Version");
	ch->f.max_body = r->max_body;
	ch->f.connect_deadline = now + c->s.connect_timeout;
	ch->f.deadline = now + c->s.connect_timeout + c->s.timeout;
	ch->f.done = on_done;
	fetch_start(c->http, &ch->f, peer_of(c, ch->at));
}

/* --- life --- */

static void on_timer(struct timer *t)
{
	struct chain *ch = container_of(t, struct chain, timer);

	if (!ch->active)
		ch->send(ch);
}

void chain_init(struct chain *ch, struct eureka_client *c)
{
	ch->c = c;
	ch->at = -1;
	ch->asked = BUF_INIT(16384);
	timer_init(&ch->timer, on_timer);
	request_over(ch);
}

void chain_stop(struct chain *ch)
{
	timer_park(&ch->timer);
	if (ch->active)
		fetch_cancel(&ch->f);
	ch->active = false;
	request_over(ch);
}

void chain_fini(struct chain *ch)
{
	chain_stop(ch);
	buf_fini(&ch->asked);
	timer_cancel(ch->c->loop, &ch->timer);
}
