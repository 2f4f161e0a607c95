/* client_peers.c - the peers of a client, found by host, port and identity. What is done with them is in client.c. */
#include "http/client_impl.h"

static size_t peer_place(const struct http_client *cl, struct str key, bool *there)
{
	size_t lo = 0, hi = cl->n_peers;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int r = str_cmp(cl->peers[mid]->key, key);

		if (r == 0) {
			*there = true;
			return mid;
		}
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*there = false;
	return lo;
}

static struct http_peer *peer_new(struct http_client *cl, struct str key, size_t name, struct str host, uint16_t port,
				  struct tls *tls)
{
	struct http_peer *p = xzalloc(sizeof(*p) + key.len + 1);
	char *room = (char *)(p + 1);

	memcpy(room, key.ptr, key.len);
	p->client = cl;
	p->max_idle = cl->opts.max_idle;
	p->idle_timeout = cl->opts.idle_timeout;
	p->key = str_of(room, key.len);
	p->name = str_of(room, name);
	p->tls = tls ? tls_ref(tls) : NULL;
	p->host = str_of(room, host.len);
	p->port = port;
	list_init(&p->idle);
	list_init(&p->busy);
	list_init(&p->waiting);
	list_init(&p->query.link);
	p->literal = addr_parse_ip(&p->query.addr[0], host, port) ||
		     (str_eq_nocase(host, STR("localhost")) && addr_parse_ip(&p->query.addr[0], STR("127.0.0.1"), port));
	p->query.n = p->literal;
	return p;
}

struct http_peer *http_client_peer(struct http_client *cl, struct str host, uint16_t port)
{
	return http_client_peer_tls(cl, host, port, NULL);
}

struct http_peer *http_client_peer_tls(struct http_client *cl, struct str host, uint16_t port, struct tls *tls)
{
	char room[300];
	struct buf b = { .ptr = room, .cap = sizeof(room), .max = sizeof(room) };
	bool there;

	buf_adds(&b, str_slice(host, 0, 260));
	buf_addc(&b, ':');
	buf_add_u64(&b, port);

	size_t name = b.len;

	if (tls) {
		buf_addc(&b, ' ');
		buf_add_u64(&b, tls_serial(tls));
	}

	size_t at = peer_place(cl, buf_str(&b), &there);

	if (!there) {
		if (cl->n_peers == cl->cap_peers) {
			cl->cap_peers = MAX(cl->cap_peers * 2, (size_t)16);
			cl->peers = xrealloc(cl->peers, cl->cap_peers * sizeof(*cl->peers));
		}
		memmove(&cl->peers[at + 1], &cl->peers[at], (cl->n_peers++ - at) * sizeof(*cl->peers));
		cl->peers[at] = peer_new(cl, buf_str(&b), name, str_slice(host, 0, 260), port, tls);
	}
	cl->peers[at]->refs++;
	return cl->peers[at];
}

struct http_peer *http_peer_ref(struct http_peer *p)
{
	p->refs++;
	return p;
}

struct str http_peer_name(const struct http_peer *p)
{
	return p->name;
}

uint32_t http_peer_open(const struct http_peer *p)
{
	return p->open;
}

void http_peer_set_idle_timeout(struct http_peer *p, usec span)
{
	p->idle_timeout = span;
}

void http_peer_set_idle_cap(struct http_peer *p, uint32_t max_idle)
{
	p->max_idle = max_idle;
}
