/* watch.c - peers that are slow or many: half-sent heads, the rate of bodies, readers that do not read.
 *
 * An idle limit alone is no limit: a peer that sends or takes a byte just before it passes lives for ever. So over each
 * window of body_idle_timeout a body must also move at min_rate. Sending is judged when a piece comes, taking when the
 * window's timer fires; neither costs a request that arrives and leaves at once anything.
 *
 * What a reader took is what its kernel acknowledged: bytes may lie in our send buffer for minutes while nothing of what
 * we keep moves, and a slow reader is then not a dead one. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "http/server_impl.h"

#define TELL_AGAIN (60 * USEC_PER_SEC)

static uint64_t due(const struct http_server *s, usec span)
{
	return s->opts.min_rate * (uint64_t)span / USEC_PER_SEC;
}

/* --- the request's body --- */

void server_conn_watch_body(struct server_conn *sc)
{
	struct http_server *s = sc->server;
	struct exchange *ex = sc->ex;
	usec now = loop_now(s->loop), window = s->opts.body_idle_timeout, ends = now + window;

	if (ex->rate_from == 0 || now - ex->rate_from >= window) {
		if (ex->rate_from && ex->in_bytes - ex->rate_bytes < due(s, now - ex->rate_from)) {
			ends = now; /* the timer's function ends it */
		} else {
			ex->rate_from = now;
			ex->rate_bytes = ex->in_bytes;
		}
	}
	if (!sc->reader_watched)
		timer_set(s->loop, &sc->timer, ends);
}

void server_conn_unwatch_body(struct server_conn *sc)
{
	sc->ex->rate_from = 0;
	if (!sc->reader_watched)
		timer_park(&sc->timer);
}

/* --- who reads the answer --- */

static uint64_t bytes_waiting(const struct server_conn *sc)
{
	int unacked = 0;

	if (ioctl(sc->c.io.fd, SIOCOUTQ, &unacked) < 0)
		unacked = 0;
	return conn_pending(&sc->c) + (uint64_t)MAX(unacked, 0);
}

static void begin_window(struct server_conn *sc, uint64_t waiting)
{
	struct http_server *s = sc->server;

	sc->reader_mark = waiting;
	timer_set(s->loop, &sc->timer, loop_now(s->loop) + s->opts.body_idle_timeout);
}

void server_conn_watch_reader(struct server_conn *sc)
{
	if (sc->reader_watched)
		return;
	sc->reader_watched = true;
	begin_window(sc, bytes_waiting(sc));
}

/* Small output leaves when the turn ends, and nobody is called when some of it is left over. If no more is written, the timer
 * finds it. */
void server_conn_look_later(struct server_conn *sc)
{
	struct http_server *s = sc->server;

	if (sc->timer.at == USEC_NEVER)
		timer_set(s->loop, &sc->timer, loop_now(s->loop) + s->opts.body_idle_timeout);
}

bool server_conn_reader_is_slow(struct server_conn *sc)
{
	struct http_server *s = sc->server;
	uint64_t waiting = bytes_waiting(sc);

	if (!sc->reader_watched || waiting > sc->reader_mark) { /* more was written meanwhile: nothing can be said */
		sc->reader_watched = true;
		begin_window(sc, waiting);
		return false;
	}
	if (sc->reader_mark - waiting < MAX(due(s, s->opts.body_idle_timeout), (uint64_t)1))
		return true;
	begin_window(sc, waiting);
	return false;
}

/* --- half-sent heads --- */

static void shed_oldest(struct http_server *s)
{
	usec now = loop_now(s->loop);

	STAT_ADD(s->stats.shed, 1);
	if (s->shed_told == 0 || now - s->shed_told >= TELL_AGAIN) {
		s->shed_told = now;
		LOG(s->opts.log, LOG_WARN, "too many half-sent heads: the oldest are dropped",
		    F_Z("property", "vine.http.max-half-open"), F_INT("here", s->opts.max_half_open));
	}
	server_conn_turn_away(list_entry(list_first(&s->half_open), struct server_conn, link));
}

void server_conn_half_open(struct server_conn *sc)
{
	struct http_server *s = sc->server;

	if (sc->half_open)
		return;
	sc->half_open = true;
	list_del(&sc->link);
	list_push_back(&s->half_open, &sc->link);
	STAT_ADD(s->stats.half_open, 1);
	if (s->stats.half_open > s->opts.max_half_open)
		shed_oldest(s);
}

void server_conn_whole(struct server_conn *sc)
{
	if (likely(!sc->half_open))
		return;
	sc->half_open = false;
	list_del(&sc->link);
	list_push_back(&sc->server->conns, &sc->link);
	STAT_ADD(sc->server->stats.half_open, -1);
}
