/* user.c - see user.h. A struct vine_server is a struct fserver, seen from outside. */
#include "ribbon/user.h"

#include <vine/balance.h>

#include "eureka/instance.h"
#include "ribbon/ribbon.h"

struct vine_list {
	struct server_drafts *drafts;
};

/* A vine_servers with what it was made of. */
struct shown {
	struct vine_servers pub;
	const struct server_set *set; /* NULL: no metadata */
	const uint32_t *place;        /* of each in the set; NULL: the same */
};

struct shown_choice {
	struct vine_choice pub;
	struct shown servers;
	const struct choice *c;
	struct balancer *b;
};

/* --- life --- */

/* All tables begin alike. */
static const struct vine_rule_ops *begin_of(const struct user_part *u)
{
	return (const struct vine_rule_ops *)(const void *)plugin_table(u->plugin);
}

struct user_part *user_part_new(struct plugin *pl, const struct vine_host *host, const char *client)
{
	struct user_part *u = xzalloc(sizeof(*u));

	u->plugin = pl;
	u->client = client;
	if (begin_of(u)->create)
		u->state = begin_of(u)->create(host, client);
	return u;
}

void user_part_free(struct user_part *u)
{
	if (u->started) {
		const struct vine_updater_ops *ops = (const void *)plugin_table(u->plugin);

		if (ops->stop)
			ops->stop(u->state);
	}
	if (begin_of(u)->destroy)
		begin_of(u)->destroy(u->state);
	free(u);
}

/* --- rules and balancers --- */

static const struct vine_server *const *as_public(struct fserver *const *at)
{
	return (const struct vine_server *const *)(const void *)at;
}

/* The list without those that were tried: then place has room for all and says where each was. Returns their number. */
static uint32_t leave_out_tried(const struct choice *c, struct fserver **at, uint32_t *place)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->list.n; i++) {
		if (tried_has(c->tried, c->list.at[i]))
			continue;
		at[n] = c->list.at[i];
		place[n++] = i;
	}
	return n;
}

static int64_t ask(struct balancer *b, const struct choice *c, struct fserver *const *at, const uint32_t *place,
		   uint32_t n)
{
	const struct user_part *u = b->user;
	struct shown_choice sc = {
		.pub = { .size = sizeof(sc.pub),
			 .worker = c->worker,
			 .client = u->client,
			 .now_us = c->now,
			 .has_key = c->has_hash,
			 .key = c->hash },
		.servers = { .pub = { .size = sizeof(sc.servers.pub), .n = n, .at = as_public(at) },
			     .set = c->list.set,
			     .place = place },
		.c = c,
		.b = b,
	};
	int64_t got;

	sc.pub.servers = &sc.servers.pub;
	got = begin_of(u)->choose(u->state, &sc.pub); /* a balancer's choose stands where a rule's does */
	if (got < 0)
		return -1;
	return got >= n ? INT64_MAX : place ? (int64_t)place[got] : got;
}

static int64_t choose(struct balancer *b, const struct choice *c)
{
	const struct user_part *u = b->user;
	struct fserver **at;
	uint32_t *place, n;
	int64_t got;

	if (!plugin_on_worker(u->plugin, c->worker))
		return RULE_FAILED;
	if (!c->tried || c->tried->n == 0)
		return ask(b, c, c->list.at, NULL, c->list.n);
	at = xmalloc(c->list.n * sizeof(struct fserver *));
	place = xmalloc(c->list.n * sizeof(*place));
	n = leave_out_tried(c, at, place);
	got = ask(b, c, at, place, n);
	free(place);
	free(at);
	return got;
}

_Static_assert(offsetof(struct vine_rule_ops, choose) == offsetof(struct vine_balancer_ops, choose), "one layout");

const struct balance_ops user_rule = { STR_INIT("user rule"), choose, BALANCE_USER | BALANCE_HASHES };
const struct balance_ops user_balancer = { STR_INIT("user balancer"), choose, BALANCE_USER | BALANCE_HASHES };

/* --- the other parts --- */

int user_config_get(struct user_part *u, const char *key, char *buf, size_t room)
{
	return ((const struct vine_config_ops *)(const void *)plugin_table(u->plugin))->get(u->state, key, buf, room);
}

int user_list_fill(struct user_part *u, struct server_drafts *d)
{
	struct vine_list list = { d };

	return ((const struct vine_list_ops *)(const void *)plugin_table(u->plugin))->fill(u->state, &list);
}

void user_filter_apply(struct user_part *u, struct server_set *set)
{
	const struct vine_filter_ops *ops = (const void *)plugin_table(u->plugin);
	struct shown shown = { .pub = { .size = sizeof(shown.pub), .n = set->n, .at = as_public(set->at) },
			       .set = set };
	_cleanup_(freep) bool *keep = xzalloc(MAX(set->n, 1u) * sizeof(*keep));
	uint32_t kept = 0;

	set->filter_note = "the plugin kept all";
	if (set->n == 0 || ops->filter(u->state, &shown.pub, keep) < 0)
		return;
	for (uint32_t i = 0; i < set->n; i++) {
		if (keep[i]) {
			set->at[kept] = set->at[i];
			set->inst[kept++] = set->inst[i];
			continue;
		}
		server_unref(set->at[i]);
		instance_unref(set->inst[i]);
	}
	set->filter_note = kept < set->n ? "the plugin left some out" : set->filter_note;
	set->n = kept;
}

bool user_ping_alive(struct user_part *u, const struct fserver *s)
{
	return ((const struct vine_ping_ops *)(const void *)plugin_table(u->plugin))
		->is_alive(u->state, (const void *)s);
}

int user_updater_start(struct user_part *u, struct vine_refresh *refresh)
{
	int r = ((const struct vine_updater_ops *)(const void *)plugin_table(u->plugin))->start(u->state, refresh);

	u->started = r >= 0;
	return r;
}

/* --- what they may ask --- */

static const struct fserver *inner(const struct vine_server *s)
{
	return (const void *)s;
}

static const struct shown_choice *shown_of(const struct vine_choice *c)
{
	return (const void *)c;
}

static const char *host_id(const struct vine_server *s)
{
	return inner(s)->id.ptr;
}

static const char *host_zone(const struct vine_server *s)
{
	return inner(s)->zone.len ? inner(s)->zone.ptr : "";
}

static uint32_t host_weight(const struct vine_server *s)
{
	return atomic_load_explicit(&inner(s)->weight, memory_order_relaxed);
}

static uint32_t host_active(const struct vine_server *s)
{
	return atomic_load_explicit(&inner(s)->active, memory_order_relaxed);
}

static double host_latency(const struct vine_choice *c, uint32_t i)
{
	const struct choice *in = shown_of(c)->c;

	return i < c->servers->n ? (double)server_latency(inner(c->servers->at[i]), in->settings, in->now) : 0;
}

static enum vine_server_state host_state(const struct vine_choice *c, uint32_t i)
{
	static const enum vine_server_state states[] = { VINE_SERVER_IN, VINE_SERVER_EJECTED, VINE_SERVER_REFUSING,
							 VINE_SERVER_PROBING };

	return i < c->servers->n ? states[server_state(inner(c->servers->at[i]), c->now_us)] : VINE_SERVER_REFUSING;
}

static const char *host_metadata(const struct vine_servers *s, uint32_t i, const char *key, size_t *len)
{
	const struct shown *sh = (const void *)s;
	const struct instance *in = sh->set && i < s->n ? sh->set->inst[sh->place ? sh->place[i] : i] : NULL;
	struct str v = in && key ? instance_meta(in, str_from(key)) : STR_EMPTY;

	if (len)
		*len = v.len;
	return v.ptr;
}

static uint32_t host_random(const struct vine_choice *c, uint32_t n)
{
	return n ? rng_below(shown_of(c)->c->rng, n) : 0;
}

/* An index into what the user sees. */
static int64_t host_by_rule(const struct vine_choice *c)
{
	const struct shown_choice *sc = shown_of(c);
	struct balancer *rule = sc->b->inner;
	int64_t at = rule ? rule->ops->choose(rule, sc->c) : -1;

	if (at < 0 || at >= (int64_t)sc->c->list.n || !sc->servers.place)
		return at;
	for (uint32_t i = 0; i < c->servers->n; i++)
		if (sc->servers.place[i] == (uint32_t)at)
			return i;
	return -1;
}

#define WEIGHT_MAX 10000

static int host_add(struct vine_list *list, const char *id, const char *zone, uint32_t weight)
{
	struct arena *a = list->drafts->arena;
	struct str where = str_from(id), z = str_from(zone);

	if (where.len == 0 || where.len > 512 || z.len > 255 || weight > WEIGHT_MAX)
		return VINE_EINVAL;
	return drafts_add(list->drafts, str_printf_in(a, "%.*s", STRF(where)), str_printf_in(a, "%.*s", STRF(z)),
			  weight, NULL);
}

static void host_refresh(struct vine_refresh *refresh)
{
	ribbon_wants_refresh(refresh);
}

const struct vine_balance_host user_host = {
	.size = sizeof(struct vine_balance_host),
	.id = host_id,
	.zone = host_zone,
	.weight = host_weight,
	.active = host_active,
	.latency_us = host_latency,
	.state = host_state,
	.metadata = host_metadata,
	.random = host_random,
	.by_rule = host_by_rule,
	.add = host_add,
	.refresh = host_refresh,
};
