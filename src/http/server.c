/* server.c - connections: reading requests, time-outs, closing. Answering is in exchange.c.
 *
 * A connection is idle, or reads a head, or has one exchange. Its single timer means, in turn: the idle limit, the limit
 * for the whole head, the limit between two bytes of a body or of an answer that a slow client takes (watch.c).
 *
 * Closing is gentle where an answer was just given (our end is shut, input is read over for a moment, so that the client
 * sees the answer and not a reset: RFC 9112 section 9.6) and hard where the peer broke the rules half-way. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "http/server_impl.h"
#include "net/tls.h"

#define LINGER (2 * USEC_PER_SEC)
#define LINGER_BYTES (1024u * 1024) /* read over after our end was shut; more is a reset */
#define DRAIN_HEAD USEC_PER_SEC /* what a head that has begun may still take once the server drains */
#define SPARE_EXCHANGES 256
/* Work on one event, in pieces of a body; a request counts as several. What is left waits for the next turn, so that who
 * fills a buffer with tiny requests or chunks holds nobody up. */
#define TURN_BUDGET 256
#define REQUEST_COST 8
#define EXCHANGE_ARENA 4096

static const struct conn_ops server_conn_ops;

/* --- life of connections and exchanges --- */

static void release_conn(struct conn *c)
{
	free(container_of(c, struct server_conn, c));
}

static struct exchange *exchange_new(struct server_conn *sc)
{
	struct http_server *s = sc->server;
	struct exchange *ex = s->spare;

	if (ex) {
		struct arena arena = ex->arena;
		struct timer timer = ex->timer;

		s->spare = ex->next_free;
		s->n_spare--;
		*ex = (struct exchange){ .arena = arena, .timer = timer };
	} else {
		ex = xzalloc(sizeof(*ex));
		arena_init(&ex->arena, EXCHANGE_ARENA);
		timer_init(&ex->timer, NULL);
	}
	ex->server = s;
	ex->conn = sc;
	ex->peer = sc->peer;
	ex->secure = sc->c.tp != &transport_plain;
	ex->began = sc->head_began;
	STAT_ADD(s->stats.active, 1);
	return ex;
}

static void forget_exchange(struct http_server *s, struct exchange *ex)
{
	timer_cancel(s->loop, &ex->timer);
	arena_fini(&ex->arena);
	free(ex);
}

static void exchange_free(struct http_server *s, struct exchange *ex)
{
	STAT_ADD(s->stats.active, -1);
	if (unlikely(ex->gathered != NULL)) {
		s->gathered -= ex->held;
		buf_fini(ex->gathered);
		free(ex->gathered);
	}
	if (s->n_spare < SPARE_EXCHANGES) {
		timer_park(&ex->timer);
		arena_reset(&ex->arena);
		ex->next_free = s->spare;
		s->spare = ex;
		s->n_spare++;
	} else {
		forget_exchange(s, ex);
	}
}

/* The exchange is over. Its connection is not looked at: the caller decides about that. */
static void finish_exchange(struct server_conn *sc)
{
	struct exchange *ex = TAKE(sc->ex);
	struct http_server *s = sc->server;

	if (s->head_owner == ex)
		s->head_owner = NULL;
	if (s->opts.on_finish)
		s->opts.on_finish(ex, s->opts.ctx);
	if (ex->ops && ex->ops->on_close)
		ex->ops->on_close(ex);
	exchange_free(s, ex);
}

static void drop_conn(struct server_conn *sc, bool reset)
{
	struct http_server *s = sc->server;

	if (sc->c.flags & CONN_CLOSED)
		return;
	conn_flush(&sc->c);
	if (unlikely(sc->c.tp != &transport_plain) && !reset && !sc->ex)
		conn_shutdown(&sc->c); /* says goodbye where nothing was cut */
	server_conn_whole(sc);
	list_del(&sc->link);
	timer_cancel(s->loop, &sc->timer);
	STAT_ADD(s->stats.open, -1);
	if (s->opts.tally)
		addr_tally_leave(s->opts.tally, &sc->peer);
	if (reset)
		conn_reset(&sc->c, release_conn);
	else
		conn_close(&sc->c, release_conn);
	if (sc->ex) {
		sc->ex->aborted = true;
		finish_exchange(sc);
	}
}

void server_conn_abort(struct server_conn *sc)
{
	drop_conn(sc, true);
}

static void linger(struct server_conn *sc)
{
	server_conn_whole(sc);
	sc->lingering = true;
	sc->lingered = 0;
	conn_shutdown(&sc->c);
	if (sc->c.flags & CONN_EOF && conn_pending(&sc->c) == 0) {
		drop_conn(sc, false);
		return;
	}
	conn_resume(&sc->c);
	if (conn_pending(&sc->c)) /* the moment begins when the client has taken all: on_drain */
		server_conn_watch_reader(sc);
	else
		timer_set(sc->server->loop, &sc->timer, loop_now(sc->server->loop) + LINGER);
}

static void await_request(struct server_conn *sc)
{
	struct http_server *s = sc->server;

	sc->looked = 0;
	sc->reading_head = false;
	conn_resume(&sc->c); /* the end of the last body may have come while its handler had paused */
	if (s->draining) {
		drop_conn(sc, false);
		return;
	}
	timer_set(s->loop, &sc->timer, loop_now(s->loop) + s->opts.idle_timeout);
	if (conn_has_kept(&sc->c) && s->showing != sc) /* else take_data goes on by itself, within its budget */
		conn_kick(&sc->c);
}

/* The answer is complete. What follows on this connection. */
void server_conn_answered(struct server_conn *sc)
{
	struct exchange *ex = sc->ex;
	bool close = ex->out_close || !ex->body_done;

	finish_exchange(sc);
	if (sc->c.flags & CONN_EOF || sc->server->draining)
		conn_flush(&sc->c); /* this was the last answer: has it all gone? */
	if (close)
		linger(sc);
	else if (conn_pending(&sc->c))
		conn_pause(&sc->c); /* no next request before the client has taken this answer */
	else if (sc->c.flags & CONN_EOF && !conn_has_kept(&sc->c))
		drop_conn(sc, false);
	else
		await_request(sc);
}

/* --- refusals before there is an exchange --- */

static void refuse(struct server_conn *sc, unsigned status, const char *why)
{
	struct http_server *s = sc->server;
	char text[512];
	struct str reason = http_reason(status);
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %u %.*s\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n%s\n",
			 status, STRF(reason), strlen(why) + 1, why);
	char peer[ADDR_TEXT_MAX];

	addr_text(&sc->peer, peer);
	LOG(s->opts.log, LOG_DEBUG, "request refused", F_INT("status", status), F_Z("why", why), F_Z("peer", peer));
	conn_write(&sc->c, text, (size_t)n);
	linger(sc);
}

/* --- input --- */

static bool has_line_feed(const char *p, size_t n)
{
	return n && memchr(p, '\n', n);
}

static struct exchange *begin_exchange(struct server_conn *sc, struct http_head *h, const char *p, size_t len)
{
	struct exchange *ex = exchange_new(sc);
	char *copy = arena_alloc(&ex->arena, len);
	struct hfield *fields = arena_alloc(&ex->arena, MAX(h->nfields, 1u) * sizeof(*fields));

	memcpy(copy, p, len);
	memcpy(fields, h->field, h->nfields * sizeof(*fields));
	ex->req = *h;
	ex->req.field = fields;
	head_rebase(&ex->req, p, copy);
	h1_body_init(&ex->body, h);
	ex->body_done = h->body == BODY_NONE;
	return ex;
}

static usec head_time(const struct http_server *s)
{
	return s->draining ? MIN(DRAIN_HEAD, s->opts.head_timeout) : s->opts.head_timeout;
}

/* Returns the bytes of a head, 0 if it is incomplete or was refused. */
static size_t take_head(struct server_conn *sc, const char *p, size_t n)
{
	struct http_server *s = sc->server;
	struct http_head h;

	if (!sc->reading_head) {
		sc->reading_head = true;
		sc->head_began = loop_now(s->loop);
		timer_set(s->loop, &sc->timer, sc->head_began + head_time(s));
	}
	if (sc->looked && !has_line_feed(p + sc->looked, n - sc->looked) && n < s->opts.limits.head_bytes)
		return 0;
	sc->looked = (uint32_t)n;

	struct h1_result r = h1_parse_request(&h, s->fields, p, n, &s->opts.limits);

	if (r.status) {
		STAT_ADD(s->stats.bad_requests, 1);
		if (n >= 2 && p[0] == 0x16 && p[1] == 0x03) /* a ClientHello */
			server_conn_spoke_tls(sc);
		refuse(sc, (unsigned)r.status, r.why);
		return 0;
	}
	if (r.len == 0) {
		server_conn_half_open(sc);
		return 0;
	}
	if (h.mid == HTTP_CONNECT) {
		STAT_ADD(s->stats.bad_requests, 1);
		refuse(sc, 501, "CONNECT is not served here");
		return 0;
	}
	server_conn_whole(sc);
	sc->ex = begin_exchange(sc, &h, p, r.len);
	sc->reading_head = false;
	sc->looked = 0;
	timer_park(&sc->timer);
	STAT_ADD(s->stats.requests, 1);
	s->budget -= REQUEST_COST;
	return r.len;
}

/* Shows body bytes to the handler. Returns what is left of in. May end the exchange or the connection. */
static struct str feed_body(struct server_conn *sc, struct str in)
{
	struct exchange *ex = sc->ex;
	struct str piece;
	const char *why = NULL;

	/* A body of known length that is all there says so even to a handler that has paused: no further byte would. */
	while (!ex->body_paused || (ex->body.kind == BODY_LENGTH && h1_body_is_done(&ex->body))) {
		if (sc->server->budget <= 0 && in.len)
			return in;
		switch (h1_body_next(&ex->body, &in, &piece, &why)) {
		case H1_PIECE:
			sc->server->budget--;
			ex->in_bytes += piece.len;
			if (ex->ops && ex->ops->on_body)
				ex->ops->on_body(ex, piece);
			break;
		case H1_END:
			ex->body_done = true;
			server_conn_unwatch_body(sc);
			if (ex->ops && ex->ops->on_body_end)
				ex->ops->on_body_end(ex);
			return in;
		case H1_MORE:
			if (sc->c.flags & CONN_EOF)
				drop_conn(sc, true);
			else
				server_conn_watch_body(sc);
			return in;
		case H1_BAD:
			STAT_ADD(sc->server->stats.bad_requests, 1);
			server_conn_bad_body(sc, why);
			return in;
		}
		if (sc->ex != ex || sc->c.flags & CONN_CLOSED)
			return in;
	}
	server_conn_unwatch_body(sc); /* paused: the handler's matter */
	return in;
}

/* A chunked body that turned out malformed: 400 if nothing was answered yet, else a reset. */
void server_conn_bad_body(struct server_conn *sc, const char *why)
{
	bool started = sc->ex->status != 0;

	if (started) {
		drop_conn(sc, true);
		return;
	}
	sc->ex->aborted = true;
	finish_exchange(sc);
	refuse(sc, 400, why);
}

/* Kept bytes were shown behind the peer's end: no further call of on_eof tells of what can no longer become complete. */
static void settle_eof(struct server_conn *sc)
{
	conn_flush(&sc->c);
	if (sc->ex && !sc->ex->body_done && !sc->ex->body_paused)
		drop_conn(sc, true);
	else if (!sc->ex && !sc->lingering && conn_pending(&sc->c) == 0 && !(sc->c.flags & CONN_KICKED))
		drop_conn(sc, false); /* half a head, or nothing */
}

static size_t take_data(struct conn *c, const char *p, size_t n)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);
	struct str in = str_of(p, n);

	while (in.len) {
		if (sc->lingering) {
			sc->lingered += in.len;
			if (sc->lingered > LINGER_BYTES)
				drop_conn(sc, true);
			return n;
		}
		if (unlikely(sc->server->budget <= 0)) {
			conn_yield(c);
			return n - in.len;
		}
		if (!sc->ex) {
			size_t len = conn_pending(c) ? 0 : take_head(sc, in.ptr, in.len);

			if (len == 0) {
				if (sc->lingering || c->flags & CONN_CLOSED)
					return n;
				break;
			}
			in = str_slice(in, len, in.len);

			struct exchange *ex = sc->ex;

			sc->server->opts.handler(ex, sc->server->opts.ctx);
			if (c->flags & CONN_CLOSED)
				return n;
			if (sc->ex == ex && !ex->body_done && !ex->body_paused)
				server_conn_watch_body(sc);
			continue;
		}
		if (sc->ex->body_done || sc->ex->body_paused)
			break;

		size_t before = in.len;

		in = feed_body(sc, in);
		if (c->flags & CONN_CLOSED)
			return n;
		if (in.len == before && sc->ex && !sc->ex->body_done)
			break;
	}
	if (c->flags & CONN_EOF)
		settle_eof(sc);
	return n - in.len;
}

static size_t on_data(struct conn *c, const char *p, size_t n)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);
	struct http_server *s = sc->server;

	s->budget = TURN_BUDGET;
	s->showing = sc;

	size_t took = take_data(c, p, n);

	s->showing = NULL;
	return took;
}

static void on_eof(struct conn *c)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);

	if (sc->ex && (sc->ex->body_done || conn_has_kept(c)))
		return; /* a half-closed client gets its answer */
	conn_flush(c);
	if (sc->lingering && conn_pending(c))
		return;
	if (!sc->ex && conn_has_kept(c) && (conn_pending(c) || c->flags & CONN_KICKED))
		return; /* pipelined requests wait behind an answer, or for the end of the turn */
	drop_conn(sc, sc->ex != NULL);
}

static void on_drain(struct conn *c)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);

	sc->reader_watched = false;
	if (sc->ex) {
		if (sc->ex->body_done || sc->ex->body_paused)
			timer_park(&sc->timer);
		else
			server_conn_watch_body(sc);
		if (sc->ex->ops && sc->ex->ops->on_drain)
			sc->ex->ops->on_drain(sc->ex);
		return;
	}
	if (sc->lingering) {
		if (c->flags & CONN_EOF)
			drop_conn(sc, false);
		else
			timer_set(sc->server->loop, &sc->timer, loop_now(sc->server->loop) + LINGER);
		return;
	}
	if (c->flags & CONN_EOF && !conn_has_kept(c)) {
		drop_conn(sc, false);
	} else if (c->flags & CONN_PAUSED) {
		conn_resume(c);
		await_request(sc);
	} else if (conn_has_kept(c)) { /* the answer's end was left over only when the turn ended */
		conn_kick(c);
	}
}

static void on_error(struct conn *c, int errnum)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);

	(void)errnum;
	if (unlikely(c->tp != &transport_plain))
		server_conn_tls_failed(sc);
	drop_conn(sc, false);
}

/* TLS has agreed with the client: from here on it is as if it had just been accepted. */
static void on_handshake(struct conn *c)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);
	struct http_server *s = sc->server;

	server_conn_whole(sc);
	STAT_ADD(s->stats.handshakes, 1);
	if (s->draining)
		timer_set(s->loop, &sc->timer, loop_now(s->loop) + DRAIN_HEAD);
	else
		timer_set(s->loop, &sc->timer, loop_now(s->loop) + s->opts.idle_timeout);
}

/* A paused upload whose rest will never come: whoever waits for it need not wait any longer. (Of chunks nobody knows.) */
static void on_ending(struct conn *c)
{
	struct server_conn *sc = container_of(c, struct server_conn, c);
	struct exchange *ex = sc->ex;

	if (ex && !ex->body_done && ex->body.kind == BODY_LENGTH && conn_unread(c) < ex->body.left)
		drop_conn(sc, true);
}

static const struct conn_ops server_conn_ops = { on_data, on_eof, on_drain, on_error, on_handshake, on_ending };

static void on_timer(struct timer *t)
{
	struct server_conn *sc = container_of(t, struct server_conn, timer);
	struct http_server *s = sc->server;

	if (unlikely(sc->c.flags & CONN_SHAKING)) {
		server_conn_tls_slow(sc);
		drop_conn(sc, true);
	} else if (conn_pending(&sc->c)) {
		if (server_conn_reader_is_slow(sc)) {
			STAT_ADD(s->stats.timeouts, 1);
			drop_conn(sc, true);
		}
	} else if (sc->lingering || (!sc->ex && !sc->reading_head)) {
		drop_conn(sc, false);
	} else if (!sc->ex) {
		STAT_ADD(s->stats.timeouts, 1);
		refuse(sc, 408, "the request's head took too long");
	} else if (!sc->ex->body_done && !sc->ex->body_paused) {
		bool started = sc->ex->status != 0;

		STAT_ADD(s->stats.timeouts, 1);
		if (started) {
			drop_conn(sc, true);
			return;
		}
		sc->ex->aborted = true;
		finish_exchange(sc);
		refuse(sc, 408, "the request's body took too long");
	}
}

/* --- the server --- */

#define TURNED_AWAY "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
#define TOO_MANY "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"

void server_conn_turn_away(struct server_conn *sc)
{
	conn_write(&sc->c, TURNED_AWAY, sizeof(TURNED_AWAY) - 1);
	drop_conn(sc, false);
}

static void turn_away(const struct http_server *s, int fd, struct str answer)
{
	if (!s->opts.tls) { /* else nothing that the client would understand can be said at once */
		ssize_t w = write(fd, answer.ptr, answer.len);

		(void)w;
	}
	close(fd);
}

void http_server_accept(struct http_server *s, int fd, const struct addr *peer)
{
	if (s->stats.open >= s->opts.max_connections || s->draining) {
		STAT_ADD(s->stats.refused, 1);
		turn_away(s, fd, STR(TURNED_AWAY));
		return;
	}
	if (s->opts.tally && !addr_tally_enter(s->opts.tally, peer)) {
		STAT_ADD(s->stats.refused_address, 1);
		turn_away(s, fd, STR(TOO_MANY));
		return;
	}

	struct server_conn *sc = xzalloc(sizeof(*sc));

	sc->server = s;
	sc->peer = *peer;
	if (conn_open(&sc->c, s->loop, fd, &server_conn_ops, s->opts.limits.head_bytes) < 0) {
		free(sc);
		if (s->opts.tally)
			addr_tally_leave(s->opts.tally, peer);
		return;
	}
	timer_init(&sc->timer, on_timer);
	list_push_back(&s->conns, &sc->link);
	STAT_ADD(s->stats.open, 1);
	STAT_ADD(s->stats.connections, 1);
	if (s->opts.tls && !server_conn_secure(sc))
		drop_conn(sc, true);
	else
		timer_set(s->loop, &sc->timer, loop_now(s->loop) + (s->opts.tls ? s->opts.head_timeout : s->opts.idle_timeout));
}

static void on_accept(struct listener *ln, int fd, const struct addr *peer)
{
	http_server_accept(ln->user, fd, peer);
}

static void on_starved(struct listener *ln, bool starved)
{
	struct http_server *s = ln->user;
	struct rlimit rl = { 0 };

	getrlimit(RLIMIT_NOFILE, &rl);
	if (starved)
		LOG(s->opts.log, LOG_WARN, "out of file descriptors: new connections wait or are refused",
		    F_INT("limit", rl.rlim_cur), F_INT("connections", s->stats.open));
	else
		LOG(s->opts.log, LOG_INFO, "file descriptors are to be had again", F_INT("refused", ln->refused));
}

struct http_server *http_server_new(struct loop *loop, const struct http_server_opts *opts)
{
	struct http_server *s = xzalloc(sizeof(*s));

	s->loop = loop;
	s->opts = *opts;
	if (s->opts.limits.head_bytes == 0)
		s->opts.limits = H1_LIMITS_DEFAULT;
	if (s->opts.max_connections == 0)
		s->opts.max_connections = 10000;
	if (s->opts.head_timeout == 0)
		s->opts.head_timeout = 10 * USEC_PER_SEC;
	if (s->opts.idle_timeout == 0)
		s->opts.idle_timeout = 60 * USEC_PER_SEC;
	if (s->opts.body_idle_timeout == 0)
		s->opts.body_idle_timeout = 60 * USEC_PER_SEC;
	if (s->opts.max_half_open == 0)
		s->opts.max_half_open = s->opts.max_connections;
	if (s->opts.tls)
		tls_ref(s->opts.tls);
	list_init(&s->conns);
	list_init(&s->half_open);
	buf_init(&s->head, 256 * 1024);
	return s;
}

int http_server_listen(struct http_server *s, const struct addr *a, bool reuseport, struct err *e)
{
	if (s->n_listeners == ARRAY_LEN(s->listeners))
		return err_set(e, VINE_ELIMIT, "too many listeners");

	struct listener *ln = &s->listeners[s->n_listeners];
	int r = listener_open(ln, s->loop, a, reuseport, e);

	if (r < 0)
		return r;
	ln->on_accept = on_accept;
	ln->on_starved = on_starved;
	ln->user = s;
	s->n_listeners++;
	return 0;
}

void http_server_drain(struct http_server *s)
{
	for (unsigned i = 0; i < s->n_listeners; i++) {
		listener_accept_waiting(&s->listeners[i]);
		listener_close(&s->listeners[i]);
	}
	s->draining = true;
	list_foreach(l, &s->conns) { /* a request that has arrived is answered, even if it was not read yet */
		struct server_conn *sc = list_entry(l, struct server_conn, link);

		conn_flush(&sc->c);
		if (sc->ex || sc->lingering || conn_pending(&sc->c))
			continue;
		if (!conn_has_kept(&sc->c) && !conn_has_unread(&sc->c))
			drop_conn(sc, false);
		else if (sc->c.tp != &transport_plain) /* what lies unread may be no request */
			timer_set(s->loop, &sc->timer, MIN(sc->timer.at, loop_now(s->loop) + DRAIN_HEAD));
	}
	list_foreach(l, &s->half_open) {
		struct server_conn *sc = list_entry(l, struct server_conn, link);

		timer_set(s->loop, &sc->timer, MIN(sc->timer.at, loop_now(s->loop) + DRAIN_HEAD));
	}
}

bool http_server_idle(const struct http_server *s)
{
	return list_is_empty(&s->conns) && list_is_empty(&s->half_open);
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	s->draining = true;
	for (unsigned i = 0; i < s->n_listeners; i++)
		listener_close(&s->listeners[i]);
	list_foreach(l, &s->conns)
		drop_conn(list_entry(l, struct server_conn, link), false);
	list_foreach(l, &s->half_open)
		drop_conn(list_entry(l, struct server_conn, link), false);
	loop_turn(s->loop, 0); /* connections and a queued flush point here */
	while (s->spare) {
		struct exchange *ex = s->spare;

		s->spare = ex->next_free;
		forget_exchange(s, ex);
	}
	tls_unref(s->opts.tls);
	buf_fini(&s->head);
	free(s);
}

void http_server_stats(const struct http_server *s, struct http_server_stats *ret)
{
	*ret = (struct http_server_stats){
		.connections = STAT_GET(s->stats.connections),
		.requests = STAT_GET(s->stats.requests),
		.refused = STAT_GET(s->stats.refused),
		.refused_address = STAT_GET(s->stats.refused_address),
		.shed = STAT_GET(s->stats.shed),
		.handshakes = STAT_GET(s->stats.handshakes),
		.tls_failures = STAT_GET(s->stats.tls_failures),
		.half_open = STAT_GET(s->stats.half_open),
		.kept = STAT_GET(*loop_kept(s->loop)),
		.bad_requests = STAT_GET(s->stats.bad_requests),
		.timeouts = STAT_GET(s->stats.timeouts),
		.open = STAT_GET(s->stats.open),
		.active = STAT_GET(s->stats.active),
	};
	for (unsigned i = 0; i < s->n_listeners; i++)
		ret->refused_files += STAT_GET(s->listeners[i].refused);
}

struct loop *http_server_loop(const struct http_server *s)
{
	return s->loop;
}

const struct addr *http_server_local(const struct http_server *s)
{
	assert(s->n_listeners);
	return &s->listeners[0].local;
}

struct str http_server_date(struct http_server *s)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	usec now = loop_now(s->loop);

	if (now - s->date_read < USEC_PER_SEC && s->date_len)
		return str_of(s->date, s->date_len);

	time_t t = (time_t)(clock_wall() / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	s->date_read = now;
	s->date_len = (size_t)snprintf(s->date, sizeof(s->date), "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
				       days + tm.tm_wday * 3, tm.tm_mday, months + tm.tm_mon * 3, tm.tm_year + 1900,
				       tm.tm_hour, tm.tm_min, tm.tm_sec);
	return str_of(s->date, s->date_len);
}
