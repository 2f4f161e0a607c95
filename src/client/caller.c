/* caller.c - the event-driven HTTP client, driven by a thread that waits.
 *
 * Each thread that calls borrows a caller: a loop with a client and its pooled connections. They lie on a free list, the
 * last used on top, so few threads share few warm connections. While one lies there nobody turns its loop: what happened
 * to its connections meanwhile is looked at when it is taken. */
#include "client/impl.h"

#define IDLE_CALLERS_MAX 64

static void caller_free(struct caller *c)
{
	dns_free(c->dns);
	http_client_free(c->client);
	loop_turn(c->loop, 0);
	mailbox_fini(&c->mailbox);
	loop_free(c->loop);
	free(c);
}

static struct caller *caller_new(struct vine_app *app)
{
	struct caller *c = xzalloc(sizeof(*c));

	c->loop = loop_new();
	mailbox_init(&c->mailbox, c->loop);
	c->dns = dns_new(c->loop, &c->mailbox, app->dns_lane, 30 * USEC_PER_SEC);
	c->client = http_client_new(c->loop, &(struct http_client_opts){ .dns = c->dns, .max_idle = 8 });
	rng_seed_os(&c->rng);
	return c;
}

bool callers_enter(struct vine_app *app)
{
	struct callers *cs = &app->callers;
	bool is_open;

	pthread_mutex_lock(&cs->lock);
	is_open = cs->open;
	cs->out += is_open;
	pthread_mutex_unlock(&cs->lock);
	return is_open;
}

void callers_leave(struct vine_app *app)
{
	struct callers *cs = &app->callers;

	pthread_mutex_lock(&cs->lock);
	cs->out--;
	pthread_cond_broadcast(&cs->returned);
	pthread_mutex_unlock(&cs->lock);
}

struct caller *caller_take(struct vine_app *app)
{
	struct callers *cs = &app->callers;
	struct caller *c;

	if (!callers_enter(app))
		return NULL;
	pthread_mutex_lock(&cs->lock);
	c = cs->idle;
	if (c) {
		cs->idle = c->next;
		cs->n_idle--;
	}
	pthread_mutex_unlock(&cs->lock);
	if (!c)
		return caller_new(app);
	loop_turn(c->loop, 0);
	return c;
}

void caller_give(struct vine_app *app, struct caller *c)
{
	struct callers *cs = &app->callers;

	pthread_mutex_lock(&cs->lock);

	bool keep = cs->n_idle < IDLE_CALLERS_MAX;

	if (keep) {
		c->next = cs->idle;
		cs->idle = c;
		cs->n_idle++;
	}
	pthread_mutex_unlock(&cs->lock);
	if (!keep)
		caller_free(c); /* still counted as out: what it stands on must not go meanwhile */
	callers_leave(app);
}

void callers_open(struct vine_app *app)
{
	pthread_mutex_lock(&app->callers.lock);
	app->callers.open = true;
	pthread_mutex_unlock(&app->callers.lock);
}

void callers_close(struct vine_app *app)
{
	struct callers *cs = &app->callers;

	pthread_mutex_lock(&cs->lock);
	cs->open = false;
	while (cs->out)
		pthread_cond_wait(&cs->returned, &cs->lock);
	pthread_mutex_unlock(&cs->lock);
	while (cs->idle) {
		struct caller *c = cs->idle;

		cs->idle = c->next;
		caller_free(c);
	}
	cs->n_idle = 0;
}

/* --- one exchange --- */

/* A turning loop ends its wait when the token is asked. */
struct waking {
	struct loop *loop;
	struct cancel_watch watch;
};

struct waiting {
	struct call call;
	struct http_client *client;
	struct loop *loop;
	const struct exchange_once *x;
	struct http_peer *peer;
	struct once_result *ret;
	usec began;
	bool over, replaced;
};

static void set_timeout(struct waiting *w, usec span)
{
	usec now = loop_now(w->loop);
	usec left = w->x->deadline - now;

	call_timeout(&w->call, now + MIN(span, left));
}

static void start(struct waiting *w, unsigned flags)
{
	w->call.method = w->x->method;
	call_start(w->client, &w->call, w->peer, w->x->head, w->x->body, flags);
	set_timeout(w, w->x->connect_timeout);
}

static void on_sent(struct call *c)
{
	struct waiting *w = container_of(c, struct waiting, call);

	set_timeout(w, w->x->read_timeout);
}

static void on_head(struct call *c, const struct http_head *h)
{
	struct waiting *w = container_of(c, struct waiting, call);

	if (h->status >= 200)
		response_set_head(w->x->rs, h);
	set_timeout(w, w->x->read_timeout);
}

static void on_body(struct call *c, struct str piece)
{
	struct waiting *w = container_of(c, struct waiting, call);
	struct buf *body = &w->x->rs->body;

	if (body->len + piece.len <= RESPONSE_BODY_MAX && buf_adds(body, piece)) {
		set_timeout(w, w->x->read_timeout);
		return;
	}
	call_cancel(c);
	w->ret->too_large = true;
	w->ret->failure = (struct call_failure){ .class = CALL_REPLY_BROKEN, .cause = CALL_BAD_RESPONSE, .why = "answer too large" };
	w->over = true;
}

static void on_end(struct call *c)
{
	struct waiting *w = container_of(c, struct waiting, call);
	struct buf *body = &w->x->rs->body;

	buf_addc(body, '\0'); /* there is room for it: see response_new */
	body->len--;
	w->ret->ok = true;
	w->over = true;
}

static void on_fail(struct call *c, const struct call_failure *f)
{
	struct waiting *w = container_of(c, struct waiting, call);

	if (f->stale && !w->replaced && (http_method_is_idempotent(w->x->method) || f->class == CALL_NOT_SENT)) {
		w->replaced = true;
		start(w, CALL_FRESH);
		return;
	}
	w->ret->failure = *f;
	w->over = true;
}

static const struct call_ops ops = {
	.on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail, .on_sent = on_sent,
};

static void begin(struct waiting *w, struct caller *c, const struct exchange_once *x, struct str host, uint16_t port,
		  struct once_result *ret)
{
	*w = (struct waiting){ .call.ops = &ops, .loop = c->loop, .client = c->client, .x = x, .ret = ret };
	*ret = (struct once_result){ 0 };
	w->began = loop_refresh_now(c->loop);
	w->peer = http_client_peer_tls(c->client, host, port, x->tls);
	start(w, 0);
}

static void end(struct waiting *w)
{
	if (!w->over)
		call_cancel(&w->call);
	http_peer_unref(w->peer);
	w->ret->took = loop_refresh_now(w->loop) - w->began;
}

static bool is_good(const struct waiting *w)
{
	return w->over && w->ret->ok && w->x->rs->status < 500;
}

/* On whatever thread asks. */
static void on_cancel(struct cancel_watch *cw)
{
	loop_wake(container_of(cw, struct waking, watch)->loop);
}

static void give_up(struct waiting *w)
{
	enum call_class class = w->call.sent ? CALL_SENT_NO_REPLY : CALL_NOT_SENT;

	if (w->over)
		return;
	call_cancel(&w->call);
	w->ret->failure = (struct call_failure){ .class = class, .cause = CALL_TIMEOUT, .why = "nobody waits for it any more" };
	w->over = true;
}

static void begin_hedge(struct caller *c, struct hedge *h, struct exchange_once *x, struct waiting *w)
{
	struct str host, head;
	uint16_t port;

	if (!h->begin(h, &host, &port, &head))
		return;
	x->head = head;
	x->rs = h->rs;
	x->tls = h->tls;
	h->begun = true;
	begin(w, c, x, host, port, &h->result);
}

static bool is_settled(const struct hedge *h, const struct waiting *a, const struct waiting *b)
{
	return is_good(a) || is_good(b) || (a->over && (b->over || !h || !h->begun));
}

/* Both run, or the first alone until it is time. */
static void run(struct caller *c, struct hedge *h, struct exchange_once *second, struct waiting *a, struct waiting *b)
{
	usec due = h && h->delay ? a->began + h->delay : USEC_NEVER;

	while (!is_settled(h, a, b)) {
		usec now = loop_now(c->loop);

		if (cancel_is_asked(a->x->cancel)) {
			give_up(a);
			if (h && h->begun)
				give_up(b);
		} else if (now >= due) {
			due = USEC_NEVER;
			begin_hedge(c, h, second, b);
		} else {
			loop_turn(c->loop, MIN(USEC_PER_SEC, due - now));
		}
	}
}

void caller_exchange(struct caller *c, const struct exchange_once *x, struct str host, uint16_t port, struct hedge *hedge,
		     struct once_result *ret)
{
	struct waking wake = { .loop = c->loop };
	struct exchange_once second = *x;
	struct waiting a, b = { 0 };

	cancel_watch(x->cancel, &wake.watch, on_cancel);
	begin(&a, c, x, host, port, ret);
	run(c, hedge, &second, &a, &b);
	cancel_unwatch(x->cancel, &wake.watch);
	end(&a);
	if (!hedge || !hedge->begun)
		return;
	end(&b);
	hedge->won = is_good(&b) || (!is_good(&a) && b.over && b.ret->ok);
	hedge->first_let_go = !a.over;
	hedge->let_go = !b.over;
}

void caller_pause(struct caller *c, struct cancel *cancel, usec span)
{
	struct waking wake = { .loop = c->loop };
	usec until = loop_refresh_now(c->loop) + span;

	cancel_watch(cancel, &wake.watch, on_cancel);
	for (usec now; (now = loop_now(c->loop)) < until && !cancel_is_asked(cancel);)
		loop_turn(c->loop, MIN(USEC_PER_SEC, until - now));
	cancel_unwatch(cancel, &wake.watch);
}
