/* client_impl.h - what client.c (connections, calls) and client_peers.c (finding peers) share. Nobody else includes it. */
#pragma once
#include "http/client.h"
#include "net/dns.h"
#include "net/tls.h"

struct client_conn {
	struct conn c;
	struct list link; /* in peer->idle or peer->busy */
	struct timer idle_timer;
	struct http_peer *peer;
	struct call *call;
	uint32_t looked;
	bool served; /* has completed a call */
};

struct http_peer {
	struct http_client *client;
	struct list idle, busy, waiting;
	uint32_t refs, open, n_idle, n_waiting, max_idle;
	usec idle_timeout;
	uint16_t port;
	bool literal;  /* the host is an address: never resolved */
	unsigned next; /* which of the addresses to try */
	struct dns_query query;
	struct str key;  /* "host:port", behind the struct; with TLS its identity's number behind that */
	struct str name; /* "host:port" of it */
	struct str host;
	struct tls *tls; /* NULL: plain */
	struct tls_memory memory;
};

struct http_client {
	struct loop *loop;
	struct http_client_opts opts;
	struct list refused; /* calls whose failure is to be told at the end of the turn */
	struct deferred tell;
	bool tell_queued;
	uint32_t open; /* connections of all peers */
	struct http_peer **peers; /* sorted by key */
	size_t n_peers, cap_peers;
	char why[256]; /* of the last failure of TLS */
	struct hfield fields[HTTP_FIELDS_MAX];
};
