/* dns.h - names to addresses without blocking the loop.
 *
 * Resolution runs getaddrinfo on a lane of the jobs pool (so /etc/hosts, nsswitch and resolv.conf hold as everywhere) and
 * returns by mailbox. Answers are kept for ttl, failures for a tenth of it; one query a name is in flight. One dns a loop. */
#pragma once
#include "net/addr.h"
#include "net/loop.h"

#define DNS_ADDRS_MAX 8

struct dns;
struct jobs_lane;
struct mailbox;

struct dns_query {
	void (*done)(struct dns_query *q); /* n == 0: the name does not resolve, why says it */
	struct addr addr[DNS_ADDRS_MAX];
	unsigned n;
	const char *why;
	struct list link; /* own */
	bool active;
};

struct dns *dns_new(struct loop *loop, struct mailbox *mailbox, struct jobs_lane *lane, usec ttl);
void dns_free(struct dns *d);
/* True: answered from an address literal, "localhost" or the cache, q filled in, done not called. False: done comes. */
bool dns_resolve(struct dns *d, struct dns_query *q, struct str host, uint16_t port);
void dns_cancel(struct dns *d, struct dns_query *q);
