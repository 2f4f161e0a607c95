/* balance_zone.c - zones: which of them are left out of a choice.
 *
 * A zone is left out that has no usable server, or next to none. If the most loaded of the others (requests under way per
 * usable server) has zone_trigger or more, or if one is out already, one of the most loaded goes as well, drawn by its number
 * of servers; but never the last one. Ribbon rebuilds its picture of the zones for each server of each choice; here one walk
 * of the list does.
 */
#include "flow/balance_rule.h"

struct zone_load {
	struct str name;
	uint32_t servers, usable;
	uint64_t active;
	bool is_avoided;
};

struct zones {
	struct zone_load at[ZONES_MAX];
	uint32_t n, avoided, last;
};

static struct zone_load *zone_of(struct zones *z, struct str name)
{
	if (z->n && str_eq(z->at[z->last].name, name)) /* neighbours in the list mostly share theirs */
		return &z->at[z->last];
	for (uint32_t i = 0; i < z->n; i++) {
		if (str_eq(z->at[i].name, name)) {
			z->last = i;
			return &z->at[i];
		}
	}
	z->last =
		z->n == ZONES_MAX ? ZONES_MAX - 1 : z->n++; /* more zones than anyone has: the rest count as the last */
	if (z->at[z->last].servers == 0)
		z->at[z->last].name = name;
	return &z->at[z->last];
}

static double load_of(const struct zone_load *z)
{
	return z->usable ? (double)z->active / z->usable : 0;
}

static void avoid_worst(const struct choice *c, struct zones *z, double worst)
{
	uint32_t weight = 0, at;

	for (uint32_t i = 0; i < z->n; i++)
		weight += !z->at[i].is_avoided && load_of(&z->at[i]) > worst - 1e-6 ? z->at[i].servers : 0;
	at = weight ? rng_below(c->rng, weight) : 0;
	for (uint32_t i = 0; i < z->n; i++) {
		if (z->at[i].is_avoided || load_of(&z->at[i]) <= worst - 1e-6)
			continue;
		if (at < z->at[i].servers) {
			z->at[i].is_avoided = true;
			z->avoided++;
			return;
		}
		at -= z->at[i].servers;
	}
}

static void look_at_zones(const struct choice *c, struct zones *z)
{
	const struct rule_settings *rs = rule_of(c);
	double worst = 0;

	memset(z, 0, sizeof(*z));
	for (uint32_t i = 0; i < c->list.n; i++) {
		struct zone_load *one = zone_of(z, c->list.at[i]->zone);

		one->servers++;
		one->active += rule_active(c->list.at[i]);
		one->usable += server_is_in(c->list.at[i]);
	}
	if (rs->zones_off)
		return;
	for (uint32_t i = 0; i < z->n; i++) {
		struct zone_load *one = &z->at[i];

		one->is_avoided = one->usable == 0 ||
				  (double)(one->servers - one->usable) / one->servers >= (double)rs->zone_blackout;
		z->avoided += one->is_avoided;
		if (!one->is_avoided)
			worst = MAX(worst, load_of(one));
	}
	if ((worst >= (double)rs->zone_trigger || z->avoided) && z->n - z->avoided > 1)
		avoid_worst(c, z, worst);
}

/* --- the rule --- */

static bool is_eligible(struct balancer *b, const struct choice *c, struct zones *z, const struct fserver *s)
{
	return rule_is_available(b, c, s) && !zone_of(z, s->zone)->is_avoided;
}

/* By turns among those that are left, and not from a place in the whole list: which zone is left out changes from choice to
 * choice, and the first server behind a gap would get the gap's turns. */
static int64_t choose_zone_avoidance(struct balancer *b, const struct choice *c)
{
	struct zones zones;
	uint32_t eligible = 0, turn;

	look_at_zones(c, &zones);
	for (uint32_t i = 0; i < c->list.n; i++)
		eligible += is_eligible(b, c, &zones, c->list.at[i]);
	turn = eligible ? rule_turn(b, eligible) : 0;
	for (uint32_t i = 0; i < c->list.n && eligible; i++) {
		if (is_eligible(b, c, &zones, c->list.at[i]) && turn-- == 0)
			return i;
	}
	return rule_choose_availability(b, c); /* nobody, or another thread took somebody out meanwhile */
}

const struct balance_ops balance_zone_avoidance = { STR_INIT("zone-avoidance"), choose_zone_avoidance,
						    BALANCE_LOOKS_AT_ALL };

/* --- the balancer above a rule --- */

/* A zone by chance, weighted by its servers; NULL: all are left out. */
static const struct zone_load *draw_zone(const struct choice *c, const struct zones *z)
{
	uint32_t total = 0, at;

	for (uint32_t i = 0; i < z->n; i++)
		total += z->at[i].is_avoided ? 0 : z->at[i].servers;
	if (total == 0)
		return NULL;
	at = rng_below(c->rng, total);
	for (uint32_t i = 0; i < z->n; i++) {
		if (z->at[i].is_avoided)
			continue;
		if (at < z->at[i].servers)
			return &z->at[i];
		at -= z->at[i].servers;
	}
	return NULL;
}

/* The rule of that zone, over its servers alone. */
static int64_t choose_within(struct zone_aware *za, const struct choice *c, const struct zone_load *zone)
{
	struct balancer *rule = &za->zone[str_hash(zone->name, 0) % ZONES_MAX];
	struct fserver **at = xmalloc(zone->servers * sizeof(struct fserver *));
	uint32_t *place = xmalloc(zone->servers * sizeof(*place));
	struct choice within = *c;
	uint32_t n = 0;
	int64_t got;

	for (uint32_t i = 0; i < c->list.n && n < zone->servers; i++) {
		if (!str_eq(c->list.at[i]->zone, zone->name))
			continue;
		at[n] = c->list.at[i];
		place[n++] = i;
	}
	within.list = (struct server_list){ .at = at, .n = n, .max_weight = c->list.max_weight, .set = c->list.set };
	got = n ? rule->ops->choose(rule, &within) : -1;
	got = got >= 0 && got < (int64_t)n ? (int64_t)place[got] : -1;
	free(place);
	free(at);
	return got;
}

static int64_t choose_zone_aware(struct balancer *b, const struct choice *c)
{
	struct zone_aware *za = container_of(b, struct zone_aware, b);
	const struct zone_load *zone;
	struct zones zones;
	int64_t at = -1;

	/* A user's rule is one object with a state of its own: there are no copies of it, and it sees the whole list. */
	look_at_zones(c, &zones);
	zone = zones.n > 1 && zones.avoided && !(b->inner->ops->flags & BALANCE_USER) ? draw_zone(c, &zones) : NULL;
	if (zone)
		at = choose_within(za, c, zone);
	return at >= 0 ? at : b->inner->ops->choose(b->inner, c);
}

const struct balance_ops balance_zone_aware = { STR_INIT("zone-aware"), choose_zone_aware, BALANCE_LOOKS_AT_ALL };

void zone_aware_init(struct zone_aware *z, const struct balance_ops *rule)
{
	balancer_init(&z->b, &balance_zone_aware);
	balancer_init(&z->rule, rule);
	balancer_put_above(&z->b, &z->rule);
	for (unsigned i = 0; i < ZONES_MAX; i++) {
		balancer_init(&z->zone[i], rule);
		z->zone[i].watch = z->b.watch;
	}
}
