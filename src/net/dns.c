/* dns.c - see dns.h.
 *
 * One entry a name: fresh (answer or failure until it expires), or asking (a job is out, queries wait on its list). An
 * expired answer is asked for again; nobody is served from it. The table is bounded: an expired or else the least recently
 * asked entry without waiters makes room.
 *
 * Life of a job   The job is on the heap and belongs to whoever has it: the lane, then the reply. When the dns goes while
 *                 one is out, the job loses its entry and frees itself alone. dns_free must come before mailbox_fini. */
#include "net/dns.h"

#include <errno.h>
#include <netdb.h>

#include "base/map.h"
#include "net/jobs.h"

#define NAMES_MAX 4096
#define HOST_MAX 255 /* RFC 1035's limit in text form */

struct entry {
	struct list used;    /* least recently asked first */
	struct list waiting; /* queries */
	struct list asking;  /* of the dns, while job is out */
	struct ask *job;
	usec expires;
	unsigned n;
	struct addr addr[DNS_ADDRS_MAX];
	const char *why;
	struct str name;
	char name_room[HOST_MAX + 1];
};

struct dns {
	struct loop *loop;
	struct mailbox *mailbox;
	struct jobs_lane *lane;
	usec ttl;
	struct map by_name;
	struct list used;
};

struct ask {
	struct job job;
	struct dns *dns;     /* NULL: gone; written and read on the loop's thread only */
	struct entry *entry;
	int result;          /* of getaddrinfo */
	unsigned n;
	struct addr addr[DNS_ADDRS_MAX];
	char name[HOST_MAX + 1];
};

struct dns *dns_new(struct loop *loop, struct mailbox *mailbox, struct jobs_lane *lane, usec ttl)
{
	struct dns *d = xzalloc(sizeof(*d));

	*d = (struct dns){ .loop = loop, .mailbox = mailbox, .lane = lane, .ttl = ttl };
	map_init_nocase(&d->by_name, (uint64_t)(uintptr_t)d);
	list_init(&d->used);
	return d;
}

static void entry_free(struct dns *d, struct entry *en)
{
	map_del(&d->by_name, en->name);
	list_del(&en->used);
	free(en);
}

void dns_free(struct dns *d)
{
	if (!d)
		return;
	list_foreach(l, &d->used) {
		struct entry *en = list_entry(l, struct entry, used);

		list_foreach(q, &en->waiting) {
			list_del(q);
			list_entry(q, struct dns_query, link)->active = false;
		}
		if (en->job)
			en->job->dns = NULL;
		entry_free(d, en);
	}
	map_fini(&d->by_name);
	free(d);
}

/* --- on a thread of the lane --- */

static void run_ask(struct job *j)
{
	struct ask *a = container_of(j, struct ask, job);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;

	a->result = getaddrinfo(a->name, NULL, &hints, &list);
	if (a->result != 0)
		return;
	for (struct addrinfo *ai = list; ai && a->n < DNS_ADDRS_MAX; ai = ai->ai_next) {
		if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
			continue;
		memcpy(&a->addr[a->n++], ai->ai_addr, ai->ai_addrlen);
	}
	freeaddrinfo(list);
}

/* --- back on the loop --- */

static const char *reason(const struct ask *a)
{
	if (a->job.cancelled)
		return "name service has ended";
	if (a->result == 0)
		return "the name has no address";
	if (a->result == EAI_NONAME)
		return "no such name";
	if (a->result == EAI_AGAIN)
		return "name service does not answer";
	return gai_strerror(a->result); /* static text */
}

static void give(struct dns_query *q, const struct entry *en, uint16_t port)
{
	q->n = en->n;
	q->why = en->why;
	for (unsigned i = 0; i < en->n; i++) {
		q->addr[i] = en->addr[i];
		q->addr[i].in.sin_port = htons(port); /* at the same place in sockaddr_in6 */
	}
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "one place for ports");

static void ask_done(struct job *j)
{
	struct ask *a = container_of(j, struct ask, job);
	struct entry *en = a->entry;
	struct dns *d = a->dns;
	struct list ready;

	if (!d) {
		free(a);
		return;
	}
	en->job = NULL;
	en->n = a->n;
	memcpy(en->addr, a->addr, sizeof(en->addr));
	en->why = a->n ? NULL : reason(a);
	en->expires = loop_now(d->loop) + (a->n ? d->ttl : d->ttl / 10);
	/* The queries leave the entry first: a done may resolve again, cancel others of them, or free the dns. */
	list_init(&ready);
	while (!list_is_empty(&en->waiting)) {
		struct list *l = en->waiting.next;
		struct dns_query *q = list_entry(l, struct dns_query, link);

		list_del(l);
		list_push_back(&ready, l);
		give(q, en, ntohs(q->addr[0].in.sin_port));
	}
	free(a);
	while (!list_is_empty(&ready)) {
		struct dns_query *q = list_entry(ready.next, struct dns_query, link);

		list_del(&q->link);
		q->active = false;
		q->done(q);
	}
}

static bool make_room(struct dns *d)
{
	list_foreach(l, &d->used) {
		struct entry *en = list_entry(l, struct entry, used);

		if (!en->job) {
			entry_free(d, en);
			return true;
		}
	}
	return false;
}

static struct entry *entry_of(struct dns *d, struct str host)
{
	struct entry *en = map_get(&d->by_name, host);

	if (en) {
		list_del(&en->used);
		list_push_back(&d->used, &en->used);
		return en;
	}
	if (d->by_name.len >= NAMES_MAX && !make_room(d))
		return NULL;
	en = xzalloc(sizeof(*en));
	memcpy(en->name_room, host.ptr, host.len);
	en->name = str_of(en->name_room, host.len);
	list_init(&en->waiting);
	list_push_back(&d->used, &en->used);
	map_put(&d->by_name, en->name, en);
	return en;
}

static bool ask(struct dns *d, struct entry *en)
{
	struct ask *a = xzalloc(sizeof(*a));

	*a = (struct ask){ .job = { .run = run_ask, .done = ask_done }, .dns = d, .entry = en };
	memcpy(a->name, en->name_room, sizeof(a->name));
	if (!jobs_submit(d->lane, &a->job, d->mailbox)) {
		free(a);
		return false;
	}
	en->job = a;
	return true;
}

static bool fail(struct dns_query *q, const char *why)
{
	q->n = 0;
	q->why = why;
	return true;
}

bool dns_resolve(struct dns *d, struct dns_query *q, struct str host, uint16_t port)
{
	assert(!q->active);
	q->n = 0;
	q->why = NULL;
	if (str_eq_nocase(host, STR("localhost")))
		host = STR("127.0.0.1"); /* what every peer of ours listens on; RFC 6761 6.3 */
	if (addr_parse_ip(&q->addr[0], host, port)) {
		q->n = 1;
		return true;
	}
	if (host.len == 0 || host.len > HOST_MAX || memchr(host.ptr, '\0', host.len))
		return fail(q, "not a host name");

	struct entry *en = entry_of(d, host);

	if (!en)
		return fail(q, "too many names are being resolved");
	if (!en->job && en->expires > loop_now(d->loop)) {
		give(q, en, port);
		return true;
	}
	if (!en->job && !ask(d, en))
		return fail(q, "too many names are being resolved");
	q->addr[0].in.sin_port = htons(port); /* kept here until the answer comes */
	q->active = true;
	list_init(&q->link);
	list_push_back(&en->waiting, &q->link);
	return false;
}

void dns_cancel(struct dns *d, struct dns_query *q)
{
	(void)d;
	if (!q->active)
		return;
	list_del(&q->link);
	q->active = false;
}
