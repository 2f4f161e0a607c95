/* client.c - see client.h: the client's life, and what it tells of itself. client_impl.h says what its parts are. */
#include "eureka/client_impl.h"

#include <stdio.h>

static int parse_urls(struct eureka_client *c, struct str list, struct str token, struct err *e)
{
	struct service_url all[EUREKA_URLS_MAX];
	unsigned n;
	int r = service_urls_parse(all, EUREKA_URLS_MAX, &n, list, e);

	if (r == 0)
		r = service_urls_give_token(all, n, token, e);
	for (unsigned i = 0; r == 0 && i < n; i++)
		c->url[i].u = all[i];
	if (r == 0 && !n)
		return err_set(e, VINE_EINVAL, "eureka.client.service-url: no URL");
	if (r == 0)
		candidates_init(&c->cand, n);
	return r;
}

int eureka_client_new(struct eureka_client **ret, struct http_client *http, const struct eureka_client_settings *s,
		      const struct logger *log, struct err *e)
{
	struct eureka_client *c = xzalloc(sizeof(*c));
	int r = parse_urls(c, s->service_urls, s->token, e);

	if (r < 0) {
		free(c);
		return r;
	}
	c->http = http;
	c->loop = http_client_loop(http);
	c->log = *log;
	c->s = *s;
	c->s.service_urls = c->s.token = STR_EMPTY; /* the caller's */
	c->s.fetch_interval = s->fetch_interval > 0 ? s->fetch_interval : 30 * USEC_PER_SEC;
	c->s.timeout = s->timeout > 0 ? s->timeout : 8 * USEC_PER_SEC;
	c->s.max_body = s->max_body ? s->max_body : (size_t)256 << 20;
	rng_seed(&c->rng, s->seed);
	fetches_init(c);
	lease_init(c);
	for (unsigned i = 0; i < c->cand.n; i++)
		c->url[i].peer = http_client_peer_tls(http, str_from(c->url[i].u.host), c->url[i].u.port,
						      c->url[i].u.secure ? s->tls : NULL);
	*ret = c;
	return 0;
}

void eureka_client_start(struct eureka_client *c)
{
	c->started = true;
	if (c->s.fetch_registry && !c->get.active)
		c->get.send(&c->get);
	lease_begin(c);
}

void eureka_client_free(struct eureka_client *c)
{
	if (!c)
		return;
	fetches_fini(c);
	lease_fini(c);
	for (unsigned i = 0; i < c->cand.n; i++)
		http_peer_unref(c->url[i].peer);
	free(c);
}

void eureka_client_on_view(struct eureka_client *c, void (*fn)(struct eureka_view *v, void *ctx), void *ctx)
{
	c->on_view = fn;
	c->on_view_ctx = ctx;
}

struct eureka_view *eureka_client_view(const struct eureka_client *c)
{
	return c->view;
}

void eureka_client_report(const struct eureka_client *c, struct eureka_client_report *ret)
{
	*ret = c->rep;
	ret->state = c->lost ? EUREKA_LOST : c->rep.last_ok ? EUREKA_OK : EUREKA_NEVER;
	snprintf(ret->url, sizeof(ret->url), "%s", c->url[candidates_now(&c->cand)].u.shown);
}
