/* client.c - connections, pooled by their peer, and calls. client_peers.c finds peers; fetch.c has the simple form on top.
 *
 * A call is waiting (for a name, or for a connection where their number is limited), or bound to a connection, or ended.
 * A connection is being made, busy with one call, or idle in its peer's list, newest first. */
#include "http/client_impl.h"

#include <errno.h>
#include <stdio.h>

#define WAITING_MAX 10000 /* calls a peer; more are refused at once */
#define TURN_PIECES 256 /* of a body on one event; what is left waits for the next turn, so that many tiny chunks hold nobody up */
#define INTERIM_MAX 100 /* 1xx heads of one response; whoever forwards them holds no more than that for a slow client */

static void serve_waiting(struct http_peer *p);
static void start_on_new_connection(struct call *c);

/* --- the end of a call --- */

static void drop_wait(struct call *c)
{
	if (c->wait) {
		buf_fini(c->wait);
		free(TAKE(c->wait));
	}
}

/* Takes the call out of everything; what comes after is one callback. */
static void detach(struct call *c)
{
	if (!list_is_empty(&c->link)) {
		list_del(&c->link);
		if (!c->refusal)
			c->peer->n_waiting--;
	}
	drop_wait(c);
	timer_cancel(c->client->loop, &c->timer);
	if (c->conn)
		c->conn->call = NULL;
	c->conn = NULL;
	c->active = false;
	c->streaming = false;
}

static void fail_call(struct call *c, enum call_cause cause, const char *why)
{
	bool took = c->conn && c->conn->c.flags & CONN_TOOK; /* else whatever was written has reached nobody */
	struct call_failure f = {
		.class = c->got_byte ? CALL_REPLY_BROKEN : took ? CALL_SENT_NO_REPLY : CALL_NOT_SENT,
		.cause = cause,
		.stale = c->reused && !c->got_byte && (cause == CALL_RESET || cause == CALL_CLOSED_EARLY),
		.why = why,
	};

	detach(c);
	c->ops->on_fail(c, &f);
}

static void tell_refused(struct deferred *d)
{
	struct http_client *cl = container_of(d, struct http_client, tell);

	cl->tell_queued = false;
	while (!list_is_empty(&cl->refused)) {
		struct call *c = list_entry(list_first(&cl->refused), struct call, link);

		enum call_cause cause = (enum call_cause)(c->refusal - 1);

		fail_call(c, cause, cause == CALL_TLS_FAILED ? cl->why : NULL);
	}
}

static void refuse_call(struct call *c, enum call_cause cause)
{
	struct http_client *cl = c->client;

	c->refusal = (uint8_t)(cause + 1);
	list_push_back(&cl->refused, &c->link);
	if (!cl->tell_queued) {
		cl->tell_queued = true;
		loop_defer(cl->loop, &cl->tell, tell_refused);
	}
}

/* --- connections --- */

static void release_conn(struct conn *c)
{
	free(container_of(c, struct client_conn, c));
}

static void peer_free(struct http_peer *p)
{
	tls_memory_fini(&p->memory);
	tls_unref(p->tls);
	free(p);
}

static void peer_try_free(struct http_peer *p)
{
	struct http_client *cl = p->client;

	if (p->refs || p->open || p->n_waiting || p->query.active)
		return;
	for (size_t i = 0; i < cl->n_peers; i++) {
		if (cl->peers[i] == p) {
			memmove(&cl->peers[i], &cl->peers[i + 1], (--cl->n_peers - i) * sizeof(*cl->peers));
			break;
		}
	}
	peer_free(p);
}

static void count_open(struct http_client *cl, int by)
{
	__atomic_store_n(&cl->open, cl->open + (unsigned)by, __ATOMIC_RELAXED); /* one writer; metrics read it from elsewhere */
}

/* Closes the connection; its call, if any, must have been detached or be failed by the caller. */
static void close_conn(struct client_conn *cc)
{
	struct http_peer *p = cc->peer;

	if (cc->c.flags & CONN_CLOSED)
		return;
	if (!cc->call && cc->served && cc->idle_timer.at != USEC_NEVER)
		p->n_idle--;
	list_del(&cc->link);
	timer_cancel(p->client->loop, &cc->idle_timer);
	if (unlikely(p->tls != NULL) && !cc->call && cc->served)
		conn_shutdown(&cc->c); /* says goodbye where nothing was cut */
	conn_close(&cc->c, release_conn);
	p->open--;
	count_open(p->client, -1);
}

static void fail_conn(struct client_conn *cc, enum call_cause cause, const char *why)
{
	struct http_peer *p = cc->peer;
	struct call *c = cc->call;

	p->refs++; /* the callback may let go of the peer */
	close_conn(cc);
	if (c)
		fail_call(c, cause, why);
	serve_waiting(p);
	http_peer_unref(p);
}

static void on_idle_timeout(struct timer *t)
{
	struct client_conn *cc = container_of(t, struct client_conn, idle_timer);
	struct http_peer *p = cc->peer;

	cc->idle_timer.at = 0; /* still counted as idle */
	close_conn(cc);
	peer_try_free(p);
}

static void park(struct client_conn *cc)
{
	struct http_peer *p = cc->peer;
	struct http_client *cl = p->client;

	if (p->n_idle >= p->max_idle || (p->refs == 0 && p->n_waiting == 0)) {
		close_conn(cc);
		return;
	}
	list_del(&cc->link);
	list_push_front(&p->idle, &cc->link);
	p->n_idle++;
	timer_set(cl->loop, &cc->idle_timer, loop_now(cl->loop) + p->idle_timeout);
}

static struct client_conn *take_idle(struct http_peer *p)
{
	struct list *l = list_first(&p->idle);

	if (!l)
		return NULL;

	struct client_conn *cc = list_entry(l, struct client_conn, link);

	list_del(&cc->link);
	list_push_back(&p->busy, &cc->link);
	timer_park(&cc->idle_timer);
	p->n_idle--;
	return cc;
}

static void attach(struct call *c, struct client_conn *cc)
{
	cc->call = c;
	cc->looked = 0;
	cc->c.flags &= (uint16_t)~CONN_TOOK;
	c->conn = cc;
	c->reused = cc->served;
}

/* --- responses --- */

static void complete(struct client_conn *cc, bool reusable)
{
	struct call *c = cc->call;
	struct http_peer *p = cc->peer;

	reusable = reusable && c->request_done && !(cc->c.flags & (CONN_EOF | CONN_HELD)) && conn_pending(&cc->c) == 0;
	p->refs++;
	if (c->paused)
		conn_resume(&cc->c);
	detach(c);
	cc->served = true;
	if (reusable)
		park(cc);
	else
		close_conn(cc);
	c->ops->on_end(c);
	serve_waiting(p);
	http_peer_unref(p);
}

/* Returns the bytes of a response head; 0: incomplete, or the call has failed. */
static size_t take_head(struct client_conn *cc, const char *p, size_t n)
{
	struct call *c = cc->call;
	struct http_client *cl = c->client;
	struct http_head h;

	if (cc->looked && !memchr(p + cc->looked, '\n', n - cc->looked) && n < cl->opts.limits.head_bytes)
		return 0;
	cc->looked = (uint32_t)n;

	struct h1_result r = h1_parse_response(&h, cl->fields, p, n, &cl->opts.limits, c->method);

	if (r.status) {
		fail_conn(cc, CALL_BAD_RESPONSE, r.why);
		return 0;
	}
	if (r.len == 0)
		return 0;
	cc->looked = 0;
	if (h.status == 101) { /* nobody asked for an upgrade */
		fail_conn(cc, CALL_BAD_RESPONSE, "unasked switch of protocols");
		return 0;
	}
	if (h.status < 200 && ++c->interim > INTERIM_MAX) {
		fail_conn(cc, CALL_BAD_RESPONSE, "too many interim responses");
		return 0;
	}
	if (h.status >= 200) {
		c->head_seen = true;
		c->streaming = h.body != BODY_NONE;
		h1_body_init(&c->body, &h);
		if (!h.keep_alive)
			cc->c.keep_max = 0; /* marks: not to be reused */
	}
	c->ops->on_head(c, &h);
	return r.len;
}

/* Returns false when the call has ended or must wait. */
static bool take_body(struct client_conn *cc, struct str *in)
{
	struct call *c = cc->call;
	struct str piece;
	const char *why = NULL;

	switch (h1_body_next(&c->body, in, &piece, &why)) {
	case H1_PIECE:
		c->ops->on_body(c, piece);
		return cc->call == c && !(cc->c.flags & CONN_CLOSED);
	case H1_END:
		complete(cc, in->len == 0 && cc->c.keep_max != 0);
		return false;
	case H1_MORE:
		return false;
	case H1_BAD:
		fail_conn(cc, CALL_BAD_RESPONSE, why);
		return false;
	}
	return false;
}

static bool body_may_go_on(const struct call *c)
{
	return !c->paused || (c->body.kind == BODY_LENGTH && c->body.left == 0);
}

/* In TLS 1.3 a server that refuses our certificate says so when our side stands already, and its word may be lost in the reset. */
static const char *after_handshake(const struct client_conn *cc)
{
	if (cc->served || (cc->call && cc->call->got_byte))
		return NULL;
	return "ended right after the TLS handshake: it may want another certificate";
}

static void end_of_response(struct client_conn *cc)
{
	struct call *c = cc->call;

	if (c && c->head_seen && c->body.kind == BODY_UNTIL_CLOSE && cc->c.flags & CONN_CUT)
		fail_conn(cc, CALL_CLOSED_EARLY, "the body has no length, and TLS did not say that it ended");
	else if (c && c->head_seen && c->body.kind == BODY_UNTIL_CLOSE)
		complete(cc, false);
	else
		fail_conn(cc, CALL_CLOSED_EARLY, likely(!cc->peer->tls) ? NULL : after_handshake(cc));
}

static size_t on_data(struct conn *conn, const char *p, size_t n)
{
	struct client_conn *cc = container_of(conn, struct client_conn, c);
	struct call *c = cc->call;
	struct str in = str_of(p, n);
	unsigned pieces = 0;

	if (!c) { /* bytes that nobody asked for: the connection is out of step */
		fail_conn(cc, CALL_BAD_RESPONSE, NULL);
		return n;
	}
	c->got_byte = true;
	while (cc->call == c && !(conn->flags & CONN_CLOSED)) {
		if (!c->head_seen) {
			size_t len = in.len ? take_head(cc, in.ptr, in.len) : 0;

			if (len == 0)
				break;
			in = str_slice(in, len, in.len);
		} else if (!body_may_go_on(c) || !take_body(cc, &in)) {
			break;
		} else if (++pieces >= TURN_PIECES && in.len) {
			conn_yield(conn);
			break;
		}
	}
	if (conn->flags & CONN_CLOSED)
		return n;
	if (cc->call == c && conn->flags & CONN_EOF && !c->paused && (in.len == 0 || !(conn->flags & CONN_KICKED)))
		end_of_response(cc); /* what is left, if anything, cannot become whole */
	return conn->flags & CONN_CLOSED ? n : n - in.len;
}

static void on_eof(struct conn *conn)
{
	struct client_conn *cc = container_of(conn, struct client_conn, c);

	if (cc->call && cc->call->paused)
		return; /* seen again when the kept bytes were taken, or at call_resume */
	if (conn->flags & CONN_KICKED && conn_has_kept(conn))
		return; /* they come first */
	end_of_response(cc);
}

static void on_drain(struct conn *conn)
{
	struct client_conn *cc = container_of(conn, struct client_conn, c);

	if (cc->call && cc->call->ops->on_drain)
		cc->call->ops->on_drain(cc->call);
}

static void on_error(struct conn *conn, int errnum)
{
	struct client_conn *cc = container_of(conn, struct client_conn, c);
	struct http_client *cl = cc->peer->client;
	struct str why = tls_why(conn);

	(void)errnum;
	snprintf(cl->why, sizeof(cl->why), "%.*s", STRF(why));
	if (conn->flags & CONN_SHAKING) {
		cc->peer->next++;
		fail_conn(cc, CALL_TLS_FAILED, why.len ? cl->why : NULL);
	} else if (why.len) {
		fail_conn(cc, CALL_RESET, cl->why);
	} else if (conn->flags & CONN_CONNECTING) {
		cc->peer->next++; /* a name with several addresses: the next connection tries the next one */
		fail_conn(cc, CALL_REFUSED, NULL);
	} else {
		fail_conn(cc, CALL_RESET, likely(!cc->peer->tls) ? NULL : after_handshake(cc));
	}
}

static void on_connect(struct conn *conn)
{
	struct client_conn *cc = container_of(conn, struct client_conn, c);
	struct call *c = cc->call;

	c->sent = true;
	if (c->ops->on_sent)
		c->ops->on_sent(c);
}

static const struct conn_ops client_conn_ops = { on_data, on_eof, on_drain, on_error, on_connect };

/* --- starting --- */

static void write_head(struct call *c, struct str head, struct str more)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)head.ptr, head.len },
		{ (void *)(uintptr_t)more.ptr, more.len },
	};

	conn_writev(&c->conn->c, iov, more.len ? 2 : 1);
	if (c->conn->c.flags & CONN_CONNECTING)
		return;
	c->sent = true;
	if (c->ops->on_sent)
		c->ops->on_sent(c);
}

static void keep_bytes(struct call *c, struct str a, struct str b)
{
	if (!c->wait) {
		c->wait = xmalloc(sizeof(*c->wait));
		buf_init(c->wait, 64u << 20);
	}
	buf_adds(c->wait, a);
	buf_adds(c->wait, b);
}

static void send_waiting_bytes(struct call *c)
{
	if (!c->wait)
		return;
	write_head(c, buf_str(c->wait), STR_EMPTY);
	drop_wait(c);
}

static bool secure(struct client_conn *cc)
{
	struct http_peer *p = cc->peer;
	struct err e = { 0 };

	if (tls_connect(&cc->c, p->tls, p->host, &p->memory, &e) == 0)
		return true;
	snprintf(p->client->why, sizeof(p->client->why), "%.*s", (int)sizeof(p->client->why) - 1, e.text);
	return false;
}

static void connect_to(struct call *c, const struct addr *to)
{
	struct http_client *cl = c->client;
	struct client_conn *cc = xzalloc(sizeof(*cc));

	if (conn_connect(&cc->c, cl->loop, to, &client_conn_ops, cl->opts.limits.head_bytes) < 0) {
		free(cc);
		refuse_call(c, errno == EMFILE || errno == ENFILE ? CALL_NO_CONNECTION : CALL_REFUSED);
		return;
	}
	cc->peer = c->peer;
	cc->peer->open++;
	count_open(cl, 1);
	timer_init(&cc->idle_timer, on_idle_timeout);
	list_push_back(&c->peer->busy, &cc->link);
	if (c->peer->tls && !secure(cc)) {
		close_conn(cc);
		refuse_call(c, CALL_TLS_FAILED);
		return;
	}
	attach(c, cc);
}

static void enqueue(struct call *c)
{
	if (c->peer->n_waiting >= WAITING_MAX) {
		refuse_call(c, CALL_NO_CONNECTION);
		return;
	}
	c->peer->n_waiting++;
	list_push_back(&c->peer->waiting, &c->link);
}

static void on_resolved(struct dns_query *q)
{
	struct http_peer *p = container_of(q, struct http_peer, query);

	p->refs++;
	if (q->n == 0) {
		while (!list_is_empty(&p->waiting))
			fail_call(list_entry(list_first(&p->waiting), struct call, link), CALL_NO_ADDRESS, q->why);
	}
	serve_waiting(p);
	http_peer_unref(p);
}

/* True: the peer's addresses are known. False: they will be, or the call was refused. */
static bool resolve(struct call *c)
{
	struct http_peer *p = c->peer;
	struct dns *dns = c->client->opts.dns;

	if (p->literal)
		return true;
	if (p->query.active) {
		enqueue(c);
		return false;
	}
	if (!dns) {
		refuse_call(c, CALL_NO_ADDRESS);
		return false;
	}
	p->query.done = on_resolved;
	if (!dns_resolve(dns, &p->query, p->host, p->port)) {
		enqueue(c);
		return false;
	}
	if (p->query.n == 0)
		refuse_call(c, CALL_NO_ADDRESS);
	return p->query.n > 0;
}

static void start_on_new_connection(struct call *c)
{
	struct http_peer *p = c->peer;

	if (resolve(c))
		connect_to(c, &p->query.addr[p->next % p->query.n]);
	if (c->conn)
		send_waiting_bytes(c);
}

static bool may_open(const struct http_peer *p)
{
	return p->client->opts.max_connections == 0 || p->open < p->client->opts.max_connections;
}

static void serve_waiting(struct http_peer *p)
{
	while (!list_is_empty(&p->waiting)) {
		struct call *c = list_entry(list_first(&p->waiting), struct call, link);
		struct client_conn *cc = c->want_fresh ? NULL : take_idle(p);

		if (!cc && (p->query.active || !may_open(p)))
			return;
		list_del(&c->link);
		p->n_waiting--;
		if (cc) {
			attach(c, cc);
			send_waiting_bytes(c);
		} else {
			start_on_new_connection(c);
		}
	}
}

static void on_call_timer(struct timer *t)
{
	struct call *c = container_of(t, struct call, timer);
	struct client_conn *cc = c->conn;
	enum call_cause cause = c->sent ? CALL_TIMEOUT : CALL_CONNECT_TIMEOUT;

	if (cc)
		fail_conn(cc, cause, NULL);
	else
		fail_call(c, cause, NULL);
}

void call_start(struct http_client *cl, struct call *c, struct http_peer *peer, struct str head, struct str more, unsigned flags)
{
	assert(!c->active);

	const struct call_ops *ops = c->ops;
	enum http_method method = c->method;

	*c = (struct call){
		.ops = ops,
		.method = method,
		.client = cl,
		.peer = peer,
		.active = true,
		.request_done = !(flags & CALL_BODY_FOLLOWS),
		.want_fresh = flags & CALL_FRESH,
	};
	list_init(&c->link);
	timer_init(&c->timer, on_call_timer);

	/* Who waits for an address only does so because no connection was idle, or a fresh one is wanted. */
	struct client_conn *cc = c->want_fresh || (peer->n_waiting && !peer->query.active) ? NULL : take_idle(peer);

	if (cc) {
		attach(c, cc);
		write_head(c, head, more);
	} else if (!may_open(peer)) {
		keep_bytes(c, head, more);
		enqueue(c);
	} else {
		start_on_new_connection(c);
		if (c->conn)
			write_head(c, head, more);
		else
			keep_bytes(c, head, more);
	}
}

void call_write(struct call *c, struct str piece)
{
	if (!c->active)
		return;
	if (c->conn)
		conn_write(&c->conn->c, piece.ptr, piece.len);
	else
		keep_bytes(c, piece, STR_EMPTY);
}

void call_finish(struct call *c)
{
	c->request_done = true;
}

size_t call_pending(const struct call *c)
{
	if (c->conn)
		return conn_pending(&c->conn->c);
	return c->wait ? c->wait->len : 0;
}

void call_pause(struct call *c)
{
	if (!c->conn || c->paused)
		return;
	c->paused = true;
	conn_pause(&c->conn->c);
}

void call_keep_trailers(struct call *c, struct buf *lines)
{
	c->body.trailers = lines;
}

static void eof_after_resume(struct deferred *d);

void call_resume(struct call *c)
{
	if (!c->conn || !c->paused)
		return;
	c->paused = false;
	conn_resume(&c->conn->c);
	if (c->conn->c.flags & CONN_EOF && !conn_has_kept(&c->conn->c) && !(c->conn->c.flags & CONN_KICKED)) {
		c->conn->c.flags |= CONN_KICKED; /* the end was seen while paused: tell it at the end of the turn */
		loop_defer(c->client->loop, &c->conn->c.later, eof_after_resume);
	}
}

static void eof_after_resume(struct deferred *d)
{
	struct conn *conn = container_of(d, struct conn, later);

	conn->flags &= (uint16_t)~CONN_KICKED;
	if (conn->flags & CONN_CLOSED)
		conn->release(conn);
	else
		on_eof(conn);
}

void call_timeout(struct call *c, usec at)
{
	if (at == USEC_NEVER)
		timer_park(&c->timer);
	else if (c->active)
		timer_set(c->client->loop, &c->timer, at);
}

void call_cancel(struct call *c)
{
	if (!c->active)
		return;

	struct client_conn *cc = c->conn;
	struct http_peer *p = c->peer;

	p->refs++;
	if (cc)
		close_conn(cc);
	detach(c);
	serve_waiting(p);
	http_peer_unref(p);
}

bool call_is_active(const struct call *c)
{
	return c->active;
}

/* --- peers --- */

void http_peer_unref(struct http_peer *p)
{
	if (p && --p->refs == 0)
		peer_try_free(p);
}

void http_peer_close_idle(struct http_peer *p)
{
	list_foreach(l, &p->idle)
		close_conn(list_entry(l, struct client_conn, link));
}

/* --- the client --- */

struct http_client *http_client_new(struct loop *loop, const struct http_client_opts *opts)
{
	struct http_client *cl = xzalloc(sizeof(*cl));

	cl->loop = loop;
	cl->opts = *opts;
	if (cl->opts.limits.head_bytes == 0)
		cl->opts.limits = (struct h1_limits){ .head_bytes = 64 * 1024, .fields = 100 };
	if (cl->opts.max_idle == 0)
		cl->opts.max_idle = 64;
	if (cl->opts.idle_timeout == 0)
		cl->opts.idle_timeout = 55 * USEC_PER_SEC;
	list_init(&cl->refused);
	return cl;
}

static void free_peer_now(struct http_peer *p)
{
	list_foreach(l, &p->busy) {
		struct client_conn *cc = list_entry(l, struct client_conn, link);
		struct call *c = cc->call;

		close_conn(cc);
		if (c)
			detach(c);
	}
	http_peer_close_idle(p);
	while (!list_is_empty(&p->waiting))
		detach(list_entry(list_first(&p->waiting), struct call, link));
	if (p->query.active)
		dns_cancel(p->client->opts.dns, &p->query);
	peer_free(p);
}

void http_client_free(struct http_client *cl)
{
	if (!cl)
		return;
	while (!list_is_empty(&cl->refused))
		detach(list_entry(list_first(&cl->refused), struct call, link));
	for (size_t i = 0; i < cl->n_peers; i++)
		free_peer_now(cl->peers[i]);
	loop_turn(cl->loop, 0); /* a queued tell points here */
	free(cl->peers);
	free(cl);
}

uint32_t http_client_open(const struct http_client *cl)
{
	return __atomic_load_n(&cl->open, __ATOMIC_RELAXED);
}

struct loop *http_client_loop(const struct http_client *cl)
{
	return cl->loop;
}
