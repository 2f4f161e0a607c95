/* ribbon.c - see ribbon.h. */
#include "ribbon/ribbon.h"

#include <vine/balance.h>

#include "eureka/view.h"

#define WEIGHT_MAX 10000

/* --- life --- */

struct ribbon *ribbon_new(struct str name, const struct ribbon_env *env, usec now)
{
	struct ribbon *rb = xzalloc(sizeof(*rb));
	rb->name = str_of(str_dup(name), name.len);
	rb->env = env;
	rb->refresh.env = env;
	rb->refreshed_at = INT64_MIN / 2;
	rb->told_at = now;
	rng_seed_os(&rb->rng);
	decisions_init(&rb->decisions);
	retry_budget_init(&rb->budget, now);
	return rb;
}

static void forget_seen(struct ribbon *rb)
{
	while (rb->n_seen)
		view_group_unref((struct view_group *)(uintptr_t)rb->seen[--rb->n_seen]);
}

void ribbon_free(struct ribbon *rb)
{
	if (!rb)
		return;
	for (struct user_part *u; (u = rb->parts);) {
		rb->parts = u->next;
		user_part_free(u);
	}
	for (struct ribbon_balancer *b; (b = rb->balancers);) {
		rb->balancers = b->next;
		free(b->zones);
		free(b);
	}
	filter_state_fini(&rb->filter);
	forget_seen(rb);
	server_set_unref(rb->known);
	server_set_unref(rb->set);
	free((char *)(uintptr_t)rb->name.ptr);
	free(rb);
}

/* --- users' parts --- */

struct plugin *ribbon_given(const struct ribbon *rb, enum vine_plugin_kind kind)
{
	return rb->env->given ? rb->env->given(rb->env->ctx, kind, rb->name) : NULL;
}

struct user_part *ribbon_part(struct ribbon *rb, struct plugin *pl)
{
	struct user_part *u = rb->parts;

	while (u && u->plugin != pl)
		u = u->next;
	if (!u) {
		u = user_part_new(pl, plugins_host(rb->env->plugins), rb->name.ptr);
		u->next = rb->parts;
		rb->parts = u;
	}
	return u;
}

void ribbon_wants_refresh(struct vine_refresh *r)
{
	if (!atomic_exchange(&r->wanted, true) && r->env->refresh)
		r->env->refresh(r->env->ctx);
}

/* --- the balancer --- */

static void name_it(struct balancer *b, struct plugin *pl, struct ribbon *rb)
{
	if (pl) {
		b->name = plugin_name(pl);
		b->user = ribbon_part(rb, pl);
	}
}

static struct ribbon_balancer *make_balancer(struct ribbon *rb, const struct ribbon_settings *s, bool zone_aware)
{
	struct ribbon_balancer *b = xzalloc(sizeof(*b));
	struct plugin *rule = s->user[CLASS_RULE], *above = s->user[CLASS_BALANCER];
	const struct balance_ops *ops = rule ? &user_rule : s->rule;

	b->rule = rule;
	b->above = above;
	b->ops = ops;
	if (zone_aware) {
		b->zones = xmalloc(sizeof(*b->zones));
		zone_aware_init(b->zones, ops);
		b->top = &b->zones->b;
	} else {
		balancer_init(&b->rule_b, ops);
		name_it(&b->rule_b, rule, rb);
		b->top = &b->rule_b;
	}
	if (above) {
		balancer_init(&b->above_b, &user_balancer);
		name_it(&b->above_b, above, rb);
		balancer_put_above(&b->above_b, &b->rule_b);
		b->top = &b->above_b;
	}
	b->top->decisions = &rb->decisions;
	b->next = rb->balancers;
	rb->balancers = b;
	return b;
}

struct balancer *ribbon_balancer(struct ribbon *rb, const struct ribbon_settings *s)
{
	struct plugin *rule = s->user[CLASS_RULE], *above = s->user[CLASS_BALANCER];
	const struct balance_ops *ops = rule ? &user_rule : s->rule;
	/* A rule of the user's has one state and sees all servers: there are no copies of it a zone. */
	bool zone_aware = s->zone_aware && !rule && !above;
	struct ribbon_balancer *b = rb->balancers;

	while (b && (b->rule != rule || b->above != above || b->ops != ops || (b->zones != NULL) != zone_aware))
		b = b->next;
	return (b ? b : make_balancer(rb, s, zone_aware))->top;
}

struct str ribbon_rule_fault(const struct balancer *b, enum pick_why why, struct arena *a)
{
	switch (why) {
	case PICK_RULE_NONE: return str_printf_in(a, "rule '%.*s' named no server", STRF(b->name));
	case PICK_RULE_OUTSIDE:
		return str_printf_in(a, "rule '%.*s' named a server that is not in the list", STRF(b->name));
	case PICK_RULE_FAILED:
		return str_printf_in(a, "rule '%.*s' could not be started: its worker_init failed", STRF(b->name));
	default: return STR_EMPTY;
	}
}

/* --- lists --- */

static int list_configured(const struct ribbon *rb, const struct ribbon_settings *s, struct server_drafts *d,
			   struct err *e)
{
	d->secure = s->secure;
	for (uint32_t i = 0; i < s->n_listed; i++) {
		struct str where = str_trim(s->listed[i]);
		int r = where.len ? drafts_add(d, where, STR_EMPTY, 0, NULL) : 0;

		if (r < 0)
			return err_set(e, r, "%.*s.ribbon.listOfServers: '%.*s' is not host:port", STRF(rb->name),
				       STRF(s->listed[i]));
	}
	return 0;
}

static uint32_t weight_of(const struct instance *in)
{
	uint64_t w;

	return str_to_u64(instance_meta(in, STR("weight")), &w) && w >= 1 && w <= WEIGHT_MAX ? (uint32_t)w : 100;
}

/* 0: it has none that is enabled. Who insists on TLS gets it on the plain port of an instance without another, as in Ribbon. */
static uint16_t port_of(const struct ribbon_settings *s, const struct instance *in, bool secure)
{
	if (s->force_port)
		return secure && s->force_secure_port ? s->force_secure_port : s->force_port;
	if (secure && in->secure_port.enabled)
		return in->secure_port.port;
	return in->port.enabled ? in->port.port : 0;
}

struct str ribbon_place(struct arena *a, const struct ribbon_settings *s, const struct instance *in, bool *secure)
{
	struct str host = s->use_ip && in->ip.len ? in->ip : in->host;
	uint16_t port;

	*secure = s->secure_set ? s->secure : in->secure_port.enabled;
	port = port_of(s, in, *secure);
	if (port == 0)
		return STR_EMPTY;
	return str_printf_in(a, str_chr(host, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", STRF(host), port);
}

static uint32_t add_group(const struct ribbon_settings *s, const struct view_group *g, struct server_drafts *d)
{
	uint32_t before = d->n;

	for (uint32_t i = 0; g && i < g->n; i++) {
		struct instance *in = g->inst[i];
		struct str place = in->status == INST_UP ? ribbon_place(d->arena, s, in, &d->secure) : STR_EMPTY;

		if (place.len)
			drafts_add(d, place, instance_zone(in), weight_of(in), in);
	}
	return d->n - before;
}

static void list_registry(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, struct server_drafts *d)
{
	bool done = false;

	forget_seen(rb);
	for (uint32_t i = 0; view && s->use_registry && i < s->n_vips; i++) {
		const struct view_group *g = eureka_view_service(view, s->vip[i]);

		rb->seen[rb->n_seen++] = g ? view_group_ref(g) : NULL;
		if (!done)
			done = add_group(s, g, d) && s->first_vip_only;
	}
}

static bool sees_the_same(const struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view)
{
	if (s->list != LIST_AUTO && s->list != LIST_REGISTRY)
		return true;
	if (rb->n_seen != (view && s->use_registry ? s->n_vips : 0))
		return false;
	for (uint32_t i = 0; i < rb->n_seen; i++) {
		if (rb->seen[i] != eureka_view_service(view, s->vip[i]))
			return false;
	}
	return true;
}

/* Fills the draft. VINE_EAGAIN: the user's list keeps what there was. */
static int ask_list(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view,
		    struct server_drafts *d, enum server_origin *origin, struct err *e)
{
	switch (s->list) {
	case LIST_CONFIGURED: *origin = FROM_CONFIG; return list_configured(rb, s, d, e);
	case LIST_USER:
		*origin = FROM_USER;
		return user_list_fill(ribbon_part(rb, s->user[CLASS_LIST]), d) < 0 && rb->known ? VINE_EAGAIN : 0;
	case LIST_AUTO:
	case LIST_REGISTRY: break;
	}
	*origin = FROM_REGISTRY;
	list_registry(rb, s, view, d);
	return 0;
}

/* --- from a draft to servers --- */

static struct fserver *new_server(const struct server_draft *d, usec now)
{
	struct fserver *s = server_new(d->id, d->zone, d->weight, now);

	s->secure = d->secure;
	return s;
}

/* Whoever registers anew at a place that was refusing has started again: it is tried without waiting for a probe. */
static void heed_news(struct fserver *s, const struct instance *old, const struct instance *now_there, usec now)
{
	if (old && now_there && now_there->status == INST_UP && now_there->dirty != old->dirty && server_is_refusing(s))
		server_return(s, SERVER_BACK_NEWS, now);
}

/* All servers of the draft; those that are known are the same objects. */
static struct server_set *known_of(const struct ribbon *rb, const struct server_drafts *d, usec now)
{
	struct server_set *set = server_set_new(d->n);
	const struct server_set *known = rb->known;
	struct map old;

	map_init(&old, (uintptr_t)rb);
	for (uint32_t i = 0; known && i < known->n; i++)
		map_put(&old, known->at[i]->id, &known->at[i]);
	for (uint32_t i = 0; i < d->n; i++) {
		const struct server_draft *one = &d->at[i];
		struct fserver **place = map_get(&old, one->id), *s;

		/* A server that moved to another zone is another server; so is one that has begun to speak TLS. */
		if (place && str_eq((*place)->zone, one->zone) && (*place)->secure == one->secure) {
			s = server_ref(*place);
			heed_news(s, known->inst[place - known->at], one->inst, now);
		} else {
			s = new_server(one, now);
		}
		if (atomic_load_explicit(&s->weight, memory_order_relaxed) != one->weight)
			atomic_store_explicit(&s->weight, one->weight, memory_order_relaxed);
		set->at[i] = s;
		set->inst[i] = one->inst ? instance_ref(one->inst) : NULL;
		set->n++;
	}
	map_fini(&old);
	return set;
}

/* Puts the instances of `from` behind the servers that are left of it. */
static void match_instances(struct server_set *set, const struct server_set *from)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < set->n; i++) { /* filters keep the order */
		while (from->at[k] != set->at[i])
			k++;
		set->inst[i] = from->inst[k] ? instance_ref(from->inst[k]) : NULL;
		server_ref(set->at[i]);
	}
}

static void weigh(struct server_set *set)
{
	bool differ = false;

	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t w = atomic_load_explicit(&set->at[i]->weight, memory_order_relaxed);

		set->max_weight = MAX(set->max_weight, w);
		differ |= w != 100;
	}
	if (!differ)
		set->max_weight = 0;
}

static void give_ring(struct ribbon *rb, const struct ribbon_settings *s, struct server_set *set)
{
	const struct hash_ring *old = rb->set ? rb->set->ring : NULL;

	if (s->user[CLASS_RULE] || !(s->rule->flags & BALANCE_HASHES))
		return;
	if (hash_ring_is_of(old, set->at, set->n, &s->ring))
		set->ring = hash_ring_ref(old);
	else
		set->ring = hash_ring_new(set->at, set->n, &s->ring);
}

static struct server_set *filtered(struct ribbon *rb, const struct ribbon_settings *s, bool is_due, usec now)
{
	const struct server_set *from = rb->known;
	struct server_set *set = server_set_new(from->n);

	set->origin = from->origin;
	set->made = from->made;
	set->before = from->n;
	if (from->n)
		memcpy(set->at, from->at, from->n * sizeof(*set->at));
	set->n = filter_apply(&s->filter, &rb->filter, set->at, from->n, is_due, &rb->rng, now);
	set->filter_note = rb->filter.note;
	match_instances(set, from);
	if (s->user[CLASS_FILTER])
		user_filter_apply(ribbon_part(rb, s->user[CLASS_FILTER]), set);
	weigh(set);
	give_ring(rb, s, set);
	return set;
}

/* --- updating --- */

static bool list_is_due(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, bool force, usec now)
{
	if (!rb->set || force || atomic_exchange(&rb->refresh.wanted, false))
		return true;
	switch (s->updater) {
	case UPDATER_USER: return false;
	case UPDATER_POLLING: return now >= rb->refreshed_at + s->refresh_every;
	case UPDATER_PUSH: break;
	}
	if (s->list != LIST_USER)
		return !sees_the_same(rb, s, view);
	return now >= rb->refreshed_at + s->refresh_every; /* nobody pushes a user's list */
}

static int refresh(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, usec now,
		   struct err *e)
{
	struct server_drafts d;
	struct arena a = { 0 };
	enum server_origin origin = FROM_CONFIG;
	int r;

	arena_init(&a, 4096);
	drafts_init(&d, &a);
	r = ask_list(rb, s, view, &d, &origin, e);
	if (r == 0) {
		struct server_set *known = known_of(rb, &d, now);

		known->origin = origin;
		known->made = now;
		server_set_unref(rb->known);
		rb->known = known;
	}
	drafts_fini(&d);
	arena_fini(&a);
	return r == VINE_EAGAIN ? 0 : r;
}

static void run_updater(struct ribbon *rb, const struct ribbon_settings *s)
{
	struct user_part *u = s->user[CLASS_UPDATER] ? ribbon_part(rb, s->user[CLASS_UPDATER]) : NULL;

	if (u && !u->started && user_updater_start(u, &rb->refresh) < 0)
		LOG(rb->env->log, LOG_ERROR, "an updater does not start", F_STR("service", rb->name),
		    F_STR("updater", plugin_name(u->plugin)));
}

int ribbon_update(struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, bool force,
		  usec now, struct server_set **ret, struct err *e)
{
	bool interval = now >= rb->refreshed_at + s->refresh_every;
	int r = 0;

	if (list_is_due(rb, s, view, force, now)) {
		r = refresh(rb, s, view, now, e);
	} else if (!interval) {
		*ret = server_set_ref(rb->set);
		return 0;
	}
	if (r < 0)
		return r;

	struct server_set *set = filtered(rb, s, interval, now);

	server_set_unref(rb->set);
	rb->set = set;
	if (interval || s->updater == UPDATER_POLLING)
		rb->refreshed_at = now;
	run_updater(rb, s);
	*ret = server_set_ref(set);
	return 0;
}

bool ribbon_is_current(const struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view, usec now)
{
	if (!rb->set || atomic_load_explicit(&rb->refresh.wanted, memory_order_relaxed) || now >= ribbon_next_update(rb, s))
		return false;
	return s->updater != UPDATER_PUSH || sees_the_same(rb, s, view);
}

int ribbon_check(const struct ribbon_settings *s, const struct ribbon *rb, struct err *e)
{
	struct server_drafts d;
	struct arena a = { 0 };
	int r;

	arena_init(&a, 4096);
	drafts_init(&d, &a);
	r = s->list == LIST_CONFIGURED ? list_configured(rb, s, &d, e) : 0;
	drafts_fini(&d);
	arena_fini(&a);
	return r;
}

usec ribbon_next_update(const struct ribbon *rb, const struct ribbon_settings *s)
{
	bool by_time = s->updater == UPDATER_POLLING || (s->list == LIST_USER && s->updater != UPDATER_USER);
	bool by_load = s->user[CLASS_FILTER] || s->filter.kind == FILTER_SUBSET ||
		       (s->filter.zone.len && s->filter.affinity && s->filter.kind != FILTER_NONE);

	return by_time || by_load ? rb->refreshed_at + s->refresh_every : USEC_NEVER;
}

/* --- telling --- */

static void tell(const struct ribbon *rb, const struct fserver *s, usec now)
{
	const char *why = server_why_name((enum server_why)atomic_load(&s->why));
	usec until = server_out_until(s);

	if (server_is_in(s))
		LOG(rb->env->log, LOG_INFO, "server back", F_STR("service", rb->name), F_STR("server", s->id),
		    F_Z("why", why));
	else if (until == USEC_NEVER)
		LOG(rb->env->log, LOG_WARN, "server left out", F_STR("service", rb->name), F_STR("server", s->id),
		    F_Z("why", why));
	else
		LOG(rb->env->log, LOG_WARN, "server left out", F_STR("service", rb->name), F_STR("server", s->id),
		    F_Z("why", why), F_INT("seconds", MAX(until - now, (usec)0) / USEC_PER_SEC));
}

void ribbon_tell_changes(struct ribbon *rb, usec now)
{
	for (uint32_t i = 0; rb->known && i < rb->known->n; i++) {
		const struct fserver *s = rb->known->at[i];
		usec changed = atomic_load(&s->changed);

		if (changed >= rb->told_at && changed < now && atomic_load(&s->why) != SERVER_NEW)
			tell(rb, s, now);
	}
	rb->told_at = now;
}
