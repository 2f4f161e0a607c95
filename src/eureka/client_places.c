/* client_places.c - the list of registries: from the properties, zone by zone, or from DNS. See client_impl.h. */
#include "eureka/client_impl.h"

#include <stdio.h>

#include "net/jobs.h"
#include "net/txt.h"

/* --- from the properties --- */

static void set_place(struct candidate *x, const struct service_url *u, struct str zone, bool own)
{
	*x = (struct candidate){ .url = *u, .rank = own ? 0 : 1 };
	snprintf(x->zone, sizeof(x->zone), "%.*s", (int)MIN(zone.len, sizeof(x->zone) - 1), zone.ptr);
}

static int add_zone(struct candidate *ret, unsigned *n, const struct eureka_client_settings *s, struct str zone, struct str urls, bool own,
		    struct err *e)
{
	struct service_url *all = xzalloc(sizeof(*all) * CANDIDATES_MAX);
	unsigned k;
	int r = service_urls_parse(all, CANDIDATES_MAX - *n, &k, urls, e);

	if (r == 0)
		r = service_urls_give_token(all, k, s->token, e);
	for (unsigned i = 0; r == 0 && i < k; i++)
		set_place(&ret[(*n)++], &all[i], zone, own);
	free(all);
	return r;
}

static int check_dns(const struct eureka_dns_settings *d, struct err *e)
{
	uint64_t port = 0;
	uint16_t at = 53;
	struct str host;
	struct addr a;

	if (!d->domain.len)
		return err_set(e, VINE_EINVAL, "eureka.client.service-url: use-dns-for-fetching-service-urls needs "
				       "eureka.client.eureka-server-d-n-s-name");
	if (d->port.len && (!str_to_u64(d->port, &port) || !port || port > UINT16_MAX))
		return err_set(e, VINE_EINVAL, "eureka.client.eureka-server-port = %.*s: not a port", STRF(d->port));
	if (d->server.len && !(addr_split(d->server, 53, &host, &at) && addr_parse_ip(&a, host, at) && a.sa.sa_family == AF_INET))
		return err_set(e, VINE_EINVAL, "vine.eureka.dns-server = %.*s: wanted an IPv4 address, perhaps with a port",
			       STRF(d->server));
	return 0;
}

int places_read(struct candidate *ret, unsigned *n, const struct eureka_client_settings *s, struct err *e)
{
	int r = 0;

	*n = 0;
	if (s->dns.on) {
		r = service_urls_give_token(NULL, 0, s->token, e);
		return r < 0 ? r : check_dns(&s->dns, e);
	}
	if (!s->n_zones)
		r = add_zone(ret, n, s, STR_EMPTY, s->service_urls, true, e);
	for (unsigned i = 0; r == 0 && i < s->n_zones; i++)
		r = add_zone(ret, n, s, s->zone[i].name, s->zone[i].urls, s->zone[i].own, e);
	for (unsigned i = 0; r == 0 && i < *n && s->proxy.host.len; i++) {
		if (ret[i].url.secure)
			return err_set(e, VINE_EINVAL, "eureka.client.proxy-host: %.200s is asked without TLS or without a proxy",
				       ret[i].url.shown);
	}
	if (r == 0 && !*n)
		return err_set(e, VINE_EINVAL, "eureka.client.service-url: no URL");
	return r;
}

static void drop(void *user, void *ctx)
{
	(void)ctx;
	http_peer_unref(user);
}

/* Requests in flight go on, for nobody in the list. */
void places_take(struct eureka_client *c, const struct candidate *list, unsigned n)
{
	detour_end(c);
	if (!candidates_set(&c->cand, list, n, drop, NULL))
		return;
	c->get.at = c->put.at = -1;
	list_foreach(l, &c->asks)
		list_entry(l, struct ask, link)->chain.at = -1;
	c->get.tried = c->put.tried = (struct candidates_tried){ 0 };
	if (c->pushed)
		push_lost(c, false); /* who is watched may not be one of them any more */
	if (c->started)
		LOG(&c->log, LOG_INFO, "registries", F_INT("n", n), F_Z("first", n ? c->cand.at[0].url.shown : "none"));
}

/* --- from DNS --- */

/* Belongs to whoever has it: the lane, then the reply. */
struct txt_lookup {
	struct job job;
	struct eureka_client *c; /* NULL: it has gone. On the loop's thread only */
	struct addr server;
	bool has_server;
	char region[TXT_WORD_MAX + 1];
	char path[512], own_zone[CANDIDATE_ZONE_MAX + 1], port[8];
	/* the answer */
	unsigned n;
	struct candidate *list;
	struct err error;
	int result;
};

/* On the lane: the hosts of one zone. */
static int look_up_zone(struct txt_lookup *l, const char *zone)
{
	_cleanup_(buf_finip) struct buf name = BUF_INIT(512), url = BUF_INIT(1024);
	const struct addr *server = l->has_server ? &l->server : NULL;
	struct str label, rest = str_from(zone);
	struct txt_words *hosts = xzalloc(sizeof(*hosts));
	int r;

	buf_addf(&name, "txt.%s", zone);
	buf_addc(&name, '\0');
	str_cut(&rest, '.', &label);
	r = name.failed ? VINE_ELIMIT : txt_lookup(hosts, buf_str(&name).ptr, server, &l->error);
	for (unsigned i = 0; r == 0 && i < hosts->n && l->n < CANDIDATES_MAX; i++) {
		struct service_url u;

		buf_clear(&url);
		buf_addf(&url, "http://%s:%s%s", hosts->word[i], l->port, l->path);
		if (service_url_make(&u, buf_str(&url), &l->error) == 0)
			set_place(&l->list[l->n++], &u, label, !l->own_zone[0] || str_eq(label, str_from(l->own_zone)));
	}
	free(hosts);
	return r;
}

static void look_up(struct job *j)
{
	struct txt_lookup *l = container_of(j, struct txt_lookup, job);
	struct txt_words *zones = xzalloc(sizeof(*zones));

	l->result = txt_lookup(zones, l->region, l->has_server ? &l->server : NULL, &l->error);
	for (unsigned i = 0; l->result == 0 && i < zones->n; i++)
		look_up_zone(l, zones->word[i]); /* one zone that is not there hides no other */
	if (l->result == 0 && !l->n)
		l->result = VINE_ENOTFOUND; /* error says of the last zone */
	free(zones);
}

static void lookup_free(struct txt_lookup *l)
{
	free(l->list);
	free(l);
}

static void looked_up(struct job *j)
{
	struct txt_lookup *l = container_of(j, struct txt_lookup, job);
	struct eureka_client *c = l->c;
	bool was_empty;

	if (c)
		c->lookup = NULL;
	if (!c || j->cancelled) {
		lookup_free(l);
		return;
	}
	was_empty = !c->cand.n;
	if (l->result < 0) {
		if (!c->places_why[0])
			LOG(&c->log, LOG_WARN, "registries cannot be looked up; those known are kept", F_Z("why", l->error.text),
			    F_INT("known", c->cand.n));
		snprintf(c->places_why, sizeof(c->places_why), "%.*s", WHY_MAX - 1, l->error.text);
		if (was_empty)
			lease_tell_first(c, c->places_why); /* nobody can be asked to take us */
	} else {
		c->places_why[0] = '\0';
		for (unsigned i = 0; i < l->n; i++) /* it was judged with the settings */
			service_urls_give_token(&l->list[i].url, 1, c->s.token, NULL);
		places_take(c, l->list, l->n);
		if (was_empty && !c->leaving) {
			if (c->s.fetch_registry && !c->get.active)
				chain_in(&c->get, 0);
			lease_begin(c);
		}
	}
	lookup_free(l);
}

static void ask_dns(struct eureka_client *c)
{
	const struct eureka_dns_settings *d = &c->s.dns;
	struct txt_lookup *l;
	struct str path = d->path.len ? d->path : STR("eureka");
	uint16_t server_port = 53;
	struct str server;

	if (c->lookup)
		return;
	assert(d->lane && d->mailbox);
	l = xzalloc(sizeof(*l));
	l->list = xzalloc(sizeof(*l->list) * CANDIDATES_MAX);
	l->c = c;
	l->error.text[0] = '\0';
	l->job = (struct job){ .run = look_up, .done = looked_up };
	l->has_server = d->server.len && addr_split(d->server, 53, &server, &server_port) &&
			addr_parse_ip(&l->server, server, server_port) && l->server.sa.sa_family == AF_INET;
	snprintf(l->region, sizeof(l->region), "txt.%.*s.%.*s", STRF(d->region), STRF(d->domain));
	snprintf(l->path, sizeof(l->path), "%s%.*s%s", str_has_prefix(path, STR("/")) ? "" : "/", STRF(path),
		 str_has_suffix(path, STR("/")) ? "" : "/");
	snprintf(l->own_zone, sizeof(l->own_zone), "%.*s", (int)MIN(d->own_zone.len, sizeof(l->own_zone) - 1), d->own_zone.ptr);
	snprintf(l->port, sizeof(l->port), "%.*s", d->port.len ? (int)MIN(d->port.len, (size_t)5) : 4,
		 d->port.len ? d->port.ptr : "8761");
	if (jobs_submit(d->lane, &l->job, d->mailbox))
		c->lookup = l;
	else
		lookup_free(l); /* the lane is full: at the next poll */
}

static void on_poll(struct timer *t)
{
	struct eureka_client *c = container_of(t, struct eureka_client, poll);

	ask_dns(c);
	/* Until there is a list at all it is looked for as often as the registry would be. */
	timer_set(c->loop, t, loop_now(c->loop) + (c->cand.n ? c->s.poll_interval : MIN(c->s.poll_interval, 5 * USEC_PER_SEC)));
}

void places_begin(struct eureka_client *c)
{
	if (!c->poll.fn)
		timer_init(&c->poll, on_poll);
	timer_park(&c->poll);
	if (c->lookup) /* by other settings */
		c->lookup->c = NULL;
	c->lookup = NULL;
	if (c->s.dns.on)
		on_poll(&c->poll);
}

void places_fini(struct eureka_client *c)
{
	timer_cancel(c->loop, &c->poll);
	if (c->lookup)
		c->lookup->c = NULL;
	detour_end(c);
	for (unsigned i = 0; i < c->cand.n; i++) {
		if (c->cand.at[i].user)
			http_peer_unref(c->cand.at[i].user);
	}
	if (c->proxy)
		http_peer_unref(c->proxy);
}
