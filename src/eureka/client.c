/* client.c - see client.h: the client's life. client_impl.h says what its parts are. */
#include "eureka/client_impl.h"
#include "eureka/watch.h"

static usec either(usec set, usec otherwise)
{
	return set > 0 ? set : otherwise;
}

/* Copies s, its strings into words. */
static void keep_settings(struct eureka_client *c, const struct eureka_client_settings *s)
{
	struct eureka_client_settings *k = &c->s;

	arena_reset(&c->words);
	*k = *s;
	k->service_urls = STR_EMPTY;
	k->n_zones = 0; /* they are in the list of candidates now */
	memset(k->zone, 0, sizeof(k->zone));
	k->dns.region = str_dup_in(&c->words, s->dns.region);
	k->dns.domain = str_dup_in(&c->words, s->dns.domain);
	k->dns.port = str_dup_in(&c->words, s->dns.port);
	k->dns.path = str_dup_in(&c->words, s->dns.path);
	k->dns.server = str_dup_in(&c->words, s->dns.server);
	k->dns.own_zone = str_dup_in(&c->words, s->dns.own_zone);
	k->proxy.host = str_dup_in(&c->words, s->proxy.host);
	k->proxy.user = str_dup_in(&c->words, s->proxy.user);
	k->proxy.password = str_dup_in(&c->words, s->proxy.password);
	k->token = str_dup_in(&c->words, s->token);
	k->single_vip = str_dup_in(&c->words, s->single_vip);
	k->regions = str_dup_in(&c->words, s->regions);
	k->fetch_interval = either(s->fetch_interval, 30 * USEC_PER_SEC);
	k->connect_timeout = either(s->connect_timeout, 5 * USEC_PER_SEC);
	k->timeout = either(s->timeout, 8 * USEC_PER_SEC);
	k->idle_timeout = either(s->idle_timeout, 30 * USEC_PER_SEC);
	k->poll_interval = either(s->poll_interval, 300 * USEC_PER_SEC);
	k->first_look = either(s->first_look, 40 * USEC_PER_SEC);
	k->look_interval = either(s->look_interval, 30 * USEC_PER_SEC);
	k->fetch_bound = s->fetch_bound ? s->fetch_bound : 10;
	k->heartbeat_bound = s->heartbeat_bound ? s->heartbeat_bound : 10;
	k->sudden_loss = s->sudden_loss ? s->sudden_loss : 50;
	k->max_body = s->max_body ? s->max_body : (size_t)256 << 20;
	c->cand.session_span = s->session;
}

static void take_proxy(struct eureka_client *c)
{
	if (c->proxy)
		http_peer_unref(c->proxy);
	c->proxy = c->s.proxy.host.len ? http_client_peer(c->http, c->s.proxy.host, c->s.proxy.port) : NULL;
}

static void take_settings(struct eureka_client *c, const struct eureka_client_settings *s, const struct candidate *list, unsigned n)
{
	keep_settings(c, s);
	take_proxy(c);
	if (!s->dns.on)
		places_take(c, list, n);
}

int eureka_client_check(const struct eureka_client_settings *s, struct err *e)
{
	struct candidate *list = xzalloc(sizeof(*list) * CANDIDATES_MAX);
	unsigned n;
	int r = places_read(list, &n, s, e);

	free(list);
	return r;
}

int eureka_client_new(struct eureka_client **ret, struct http_client *http, const struct eureka_client_settings *s,
		      const struct logger *log, struct err *e)
{
	struct candidate *list = xzalloc(sizeof(*list) * CANDIDATES_MAX);
	struct eureka_client *c;
	unsigned n;
	int r = places_read(list, &n, s, e);

	if (r == 0) {
		c = xzalloc(sizeof(*c));
		c->http = http;
		c->loop = http_client_loop(http);
		c->log = *log;
		c->detour.of = -1;
		c->rep.remote = c->rep.override = INST_UNKNOWN;
		arena_init(&c->words, 1024);
		rng_seed(&c->rng, s->seed);
		list_init(&c->asks);
		candidates_init(&c->cand, s->seed);
		take_settings(c, s, list, n);
		fetches_init(c);
		lease_init(c);
		if (s->watch && s->fetch_registry)
			eureka_watch_new(c, NULL);
		*ret = c;
	}
	free(list);
	return r;
}

int eureka_client_configure(struct eureka_client *c, const struct eureka_client_settings *s, struct err *e)
{
	struct candidate *list = xzalloc(sizeof(*list) * CANDIDATES_MAX);
	bool only_up = c->s.only_up, fetch = c->s.fetch_registry;
	struct eureka_client_settings mine = *s;
	unsigned n;
	int r = places_read(list, &n, s, e);

	if (r == 0) {
		mine.fetch_registry = fetch;
		mine.seed = c->s.seed;
		take_settings(c, &mine, list, n);
		if (only_up != mine.only_up)
			fetches_show(c);
		if (c->started && !c->leaving) {
			places_begin(c);
			if (c->pushed)
				push_lost(c, false); /* it may be another registry, or another question */
			else if (!c->get.active && fetch)
				chain_in(&c->get, 0); /* the interval may be another one */
		}
	}
	free(list);
	return r;
}

void eureka_client_start(struct eureka_client *c)
{
	c->started = true;
	places_begin(c);
	if (c->s.dns.on) /* they begin with the first list */
		return;
	fetches_begin(c);
	lease_begin(c);
}

void eureka_client_free(struct eureka_client *c)
{
	if (!c)
		return;
	c->leaving = true;
	asks_fini(c);
	fetches_fini(c);
	lease_fini(c);
	places_fini(c);
	arena_fini(&c->words);
	free(c);
}

void eureka_client_on_view(struct eureka_client *c, void (*fn)(struct eureka_view *v, void *ctx), void *ctx)
{
	c->on_view = fn;
	c->on_view_ctx = ctx;
}

void eureka_client_on_health(struct eureka_client *c, enum inst_status (*fn)(void *ctx), void *ctx)
{
	bool ends = c->health && !fn;

	c->health = fn;
	c->health_ctx = ctx;
	if (ends && c->self && c->self->status != INST_OUT_OF_SERVICE)
		eureka_client_set_status(c, c->wanted);
}

void eureka_client_on_first(struct eureka_client *c, void (*fn)(const char *why, void *ctx), void *ctx)
{
	c->first = fn;
	c->first_ctx = ctx;
}

struct eureka_view *eureka_client_view(const struct eureka_client *c)
{
	return c->view;
}
