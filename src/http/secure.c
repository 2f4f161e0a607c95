/* secure.c - a server's connections by TLS: their handshakes, and what the log says of those that fail.
 *
 * An unfinished handshake is a half-open connection: bounded in time by head_timeout and in number by max_half_open. Who
 * knocks with rubbish may do so a thousand times a second, so the log has a line a second at most, with how many there were. */
#include "http/server_impl.h"
#include "net/tls.h"

#define TELL_AGAIN USEC_PER_SEC

static void tell(struct server_conn *sc, struct str why)
{
	struct http_server *s = sc->server;
	usec now = loop_now(s->loop);
	char peer[ADDR_TEXT_MAX];

	STAT_ADD(s->stats.tls_failures, 1);
	if (s->tls_told && now - s->tls_told < TELL_AGAIN) {
		s->tls_untold++;
		return;
	}
	addr_text(&sc->peer, peer);
	LOG(s->opts.log, LOG_WARN, "a TLS connection failed", F_STR("why", why), F_Z("peer", peer),
	    F_INT("more_untold", s->tls_untold));
	s->tls_told = now;
	s->tls_untold = 0;
}

bool server_conn_secure(struct server_conn *sc)
{
	struct err e = { 0 };

	if (tls_accept(&sc->c, sc->server->opts.tls, &e) < 0) {
		tell(sc, str_from(e.text));
		return false;
	}
	server_conn_half_open(sc);
	return !(sc->c.flags & CONN_CLOSED);
}

void server_conn_tls_failed(struct server_conn *sc)
{
	struct str why = tls_why(&sc->c);

	if (why.len)
		tell(sc, why);
}

void server_conn_tls_slow(struct server_conn *sc)
{
	STAT_ADD(sc->server->stats.timeouts, 1);
	tell(sc, STR("the handshake took too long"));
}

void server_conn_spoke_tls(struct server_conn *sc)
{
	tell(sc, STR("TLS on a port that speaks plain HTTP"));
}

struct str ex_client_names(const struct exchange *ex)
{
	return tls_peer_names(&ex->conn->c);
}
