/* pinger.c - see pinger.h. */
#include "ribbon/pinger.h"

#include "eureka/view.h"

#define BODY_MAX (64u * 1024)

struct pinger {
	struct http_client *http;
	struct list rounds;
};

struct probe {
	struct fetch f;
	struct http_peer *peer;
	struct round *round;
	struct fserver *server;
};

/* One asking of all servers of a client. */
struct round {
	struct list link; /* in pinger->rounds */
	struct pinger *pg;
	struct ribbon *rb;
	struct server_set *set;
	struct str path, expect; /* owned */
	struct tls *tls;         /* for servers that speak TLS; lives as long as the process */
	usec began, end;
	uint32_t next, running;
	struct probe *probe; /* of each server */
	struct deferred end_later;
};

struct pinger *pinger_new(struct http_client *http)
{
	struct pinger *pg = xzalloc(sizeof(*pg));

	pg->http = http;
	list_init(&pg->rounds);
	return pg;
}

/* --- rounds of GETs --- */

static void free_round(struct deferred *d)
{
	struct round *r = container_of(d, struct round, end_later);

	for (uint32_t i = 0; i < r->next; i++)
		http_peer_unref(r->probe[i].peer);
	server_set_unref(r->set);
	free((char *)(uintptr_t)r->path.ptr);
	free((char *)(uintptr_t)r->expect.ptr);
	free(r->probe);
	free(r);
}

/* Its memory is in use until the turn ends: this may run inside one of its fetches. */
static void end_round(struct round *r, usec now)
{
	list_del(&r->link);
	r->rb->pinging = false;
	r->rb->ping_took = now - r->began;
	loop_defer(http_client_loop(r->pg->http), &r->end_later, free_round);
}

static void cancel_round(struct round *r)
{
	for (uint32_t i = 0; i < r->next; i++)
		fetch_cancel(&r->probe[i].f);
	list_del(&r->link);
	r->rb->pinging = false;
	loop_defer(http_client_loop(r->pg->http), &r->end_later, free_round);
}

static void start_probes(struct round *r);

/* As PingUrl: with an expected content only that counts, else the status. */
static bool is_alive(const struct probe *p)
{
	if (!p->f.ok)
		return false;
	return p->round->expect.len ? str_eq(str_trim(p->f.response), str_trim(p->round->expect)) : p->f.status == 200;
}

static void on_probe(struct fetch *f)
{
	struct probe *p = container_of(f, struct probe, f);
	struct round *r = p->round;
	usec now = loop_now(http_client_loop(r->pg->http));

	server_set_alive(p->server, is_alive(p), now);
	r->running--;
	if (r->next < r->set->n)
		start_probes(r);
	else if (r->running == 0)
		end_round(r, now);
}

static void start_probes(struct round *r)
{
	while (r->running < PINGS_AT_ONCE && r->next < r->set->n) {
		struct probe *p = &r->probe[r->next];
		struct str host;
		uint16_t port;

		p->round = r;
		p->server = r->set->at[r->next++];
		addr_split(p->server->id, 80, &host, &port); /* the id was made as host:port */
		p->peer = http_client_peer_tls(r->pg->http, host, port, p->server->secure ? r->tls : NULL);
		p->f = (struct fetch){ .method = HTTP_GET,
				       .target = r->path,
				       .max_body = BODY_MAX,
				       .deadline = r->end,
				       .done = on_probe };
		r->running++;
		fetch_start(r->pg->http, &p->f, p->peer);
	}
}

static struct str copy(struct str s)
{
	return str_of(str_dup(s), s.len);
}

static void start_round(struct pinger *pg, struct ribbon *rb, const struct ribbon_settings *s, usec now)
{
	struct round *r = xzalloc(sizeof(*r));

	r->pg = pg;
	r->rb = rb;
	r->set = server_set_ref(rb->known); /* also those that the filter leaves out now: it may not the next time */
	r->tls = s->tls;
	r->path = copy(s->ping_path);
	r->expect = copy(s->ping_expect);
	r->began = now;
	r->end = now + s->ping_total;
	r->probe = xzalloc(MAX(r->set->n, 1u) * sizeof(*r->probe));
	list_push_back(&pg->rounds, &r->link);
	rb->pinging = true;
	if (r->set->n == 0)
		end_round(r, now);
	else
		start_probes(r);
}

/* --- without the network --- */

static void all_alive(struct ribbon *rb, bool alive, usec now)
{
	for (uint32_t i = 0; rb->known && i < rb->known->n; i++)
		server_set_alive(rb->known->at[i], alive, now);
}

static void ask_user(struct ribbon *rb, const struct ribbon_settings *s, usec now)
{
	struct user_part *u = ribbon_part(rb, s->user[CLASS_PING]);

	for (uint32_t i = 0; i < rb->known->n; i++)
		server_set_alive(rb->known->at[i], user_ping_alive(u, rb->known->at[i]), now);
}

/* What the registry says of the servers now, however old the list is. A server that was configured and is not in the registry
 * is nobody's there to judge. */
static void ask_registry(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, usec now)
{
	struct arena a = { 0 };
	struct map up;

	if (!view)
		return;
	arena_init(&a, 1024);
	map_init(&up, (uintptr_t)rb);
	for (uint32_t v = 0; v < s->n_vips; v++) {
		const struct view_group *g = eureka_view_service(view, s->vip[v]);

		for (uint32_t i = 0; g && i < g->n; i++) {
			bool secure;
			struct str place = ribbon_place(&a, s, g->inst[i], &secure);

			if (place.len)
				map_put(&up, place, (void *)(uintptr_t)(g->inst[i]->status == INST_UP ? 2 : 1));
		}
	}
	for (uint32_t i = 0; i < rb->known->n; i++) {
		uintptr_t is = (uintptr_t)map_get(&up, rb->known->at[i]->id);

		server_set_alive(rb->known->at[i], is == 2 || (is == 0 && rb->known->origin != FROM_REGISTRY), now);
	}
	map_fini(&up);
	arena_fini(&a);
}

/* --- all --- */

void pinger_tick(struct pinger *pg, struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view,
		 bool news, usec now)
{
	bool due = s->ping_every > 0 && (rb->pinged_at == 0 || now >= rb->pinged_at + s->ping_every);

	if (s->ping == PING_NONE || !rb->known) {
		if (rb->pinged)
			all_alive(rb, true, now);
		rb->pinged = false;
		rb->pinged_at = 0;
		return;
	}
	if ((!due && !(news && s->ping == PING_REGISTRY)) || rb->pinging)
		return;
	rb->pinged = true;
	rb->pinged_at = now;
	switch (s->ping) {
	case PING_URL: start_round(pg, rb, s, now); break;
	case PING_CONSTANT: all_alive(rb, s->ping_constant, now); break;
	case PING_REGISTRY: ask_registry(rb, s, view, now); break;
	case PING_USER: ask_user(rb, s, now); break;
	case PING_NONE: break;
	}
}

void pinger_forget(struct pinger *pg, const struct ribbon *rb)
{
	list_foreach(l, &pg->rounds)
	{
		struct round *r = list_entry(l, struct round, link);

		if (r->rb == rb)
			cancel_round(r);
	}
}

void pinger_free(struct pinger *pg)
{
	if (!pg)
		return;
	list_foreach(l, &pg->rounds) cancel_round(list_entry(l, struct round, link));
	free(pg);
}
