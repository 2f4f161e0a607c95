/* server_impl.h - what server.c (connections) and exchange.c (answers) share. Nobody else includes it. */
#pragma once
#include "http/server.h"

/* Counters have one writer, the loop's thread; readers may be anywhere. */
#define STAT_ADD(field, n) __atomic_store_n(&(field), (field) + (n), __ATOMIC_RELAXED)
#define STAT_GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

struct server_conn {
	struct conn c;
	struct list link;
	struct timer timer;
	struct http_server *server;
	struct exchange *ex;
	struct addr peer;
	char peer_text[23]; /* "1.2.3.4:5", made once a connection; longer ones (v6) are made each time */
	uint8_t peer_ip_len, peer_len; /* of the address alone, of all; 0: not made */
	uint32_t looked; /* bytes of an incomplete head that were already looked at */
	bool reading_head, lingering;
	bool half_open;      /* part of a head is here: in server->half_open instead of conns */
	bool reader_watched; /* the timer means the client's taking of what waits for it */
	uint64_t reader_mark; /* what waited for it, acknowledged by nobody, when its window began */
	union {
		usec head_began;
		size_t lingered;
	};
};

struct http_server {
	struct loop *loop;
	struct http_server_opts opts;
	struct http_server_stats stats;
	struct listener listeners[4];
	unsigned n_listeners;
	bool draining, flush_queued;
	size_t gathered; /* bytes of bodies that wait to be whole, or to be let go */
	struct list conns;
	struct list half_open; /* oldest first */
	usec shed_told;        /* when the log last said that heads are dropped; 0: never */
	usec tls_told;         /* ... why a handshake failed */
	uint64_t tls_untold;   /* that failed since */
	int budget;            /* left of this event: see TURN_BUDGET in server.c */
	struct server_conn *showing; /* whose bytes are being taken */
	struct exchange *spare;
	unsigned n_spare;
	/* The answer's head that is being written, and whose it is until it has left. */
	struct buf head;
	struct exchange *head_owner;
	struct deferred flush;
	usec date_read;
	size_t date_len;
	char date[48];
	struct hfield fields[HTTP_FIELDS_MAX];
};

void server_conn_answered(struct server_conn *sc); /* finishes the exchange; decides about the connection */
void server_conn_abort(struct server_conn *sc);
void server_conn_bad_body(struct server_conn *sc, const char *why);
void server_conn_turn_away(struct server_conn *sc); /* 503 if the socket takes it, and closed */
struct str http_server_date(struct http_server *s); /* the whole line; until the next call */

/* --- watch.c: slow peers --- */

void server_conn_watch_body(struct server_conn *sc);   /* a piece of the body came, or the first is waited for */
void server_conn_unwatch_body(struct server_conn *sc); /* nothing is due from the client now */
void server_conn_watch_reader(struct server_conn *sc); /* output waits for the client */
void server_conn_look_later(struct server_conn *sc);   /* output may turn out to wait when the turn has ended */
bool server_conn_reader_is_slow(struct server_conn *sc); /* the window is over; false: the next one has begun */
void server_conn_half_open(struct server_conn *sc);    /* part of a head came; may drop the oldest other connection */
void server_conn_whole(struct server_conn *sc);        /* the head is complete, or refused */

/* --- secure.c: TLS --- */

bool server_conn_secure(struct server_conn *sc); /* a connection is new; false: TLS cannot begin */
void server_conn_tls_failed(struct server_conn *sc); /* counts and tells; the connection is the caller's to drop */
void server_conn_tls_slow(struct server_conn *sc);   /* likewise */
void server_conn_spoke_tls(struct server_conn *sc);  /* likewise: where plain HTTP is spoken */
