/* balance_rules.c - the rules.
 *
 * p2c, random, round robin, availability and weighted response look at a handful of servers; least requests, best
 * available and zone avoidance look at every server, as their meaning is.
 *
 * Where Ribbon's own rule is defective, ours does what the name says: random reads one list only, every rule ends when
 * nobody is usable, ties of best available are broken at random so that callers do not all run to one server.
 */
#include "flow/balance_rule.h"

#include "flow/server.h"

#define DRAWS 8 /* random looks for a usable server before the list is walked */

static uint32_t active_of(const struct fserver *s)
{
	return atomic_load_explicit(&s->active, memory_order_relaxed);
}

/* --- power of two choices, peak EWMA --- */

static int64_t draw_usable(struct balancer *b, const struct choice *c, int64_t other)
{
	uint32_t n = c->list.n;

	for (unsigned i = 0; i < DRAWS; i++) {
		uint32_t at = rng_below(c->rng, n);

		if ((int64_t)at != other && balancer_may_use(b, c, c->list.at[at]))
			return at;
	}
	return -1;
}

static int64_t choose_p2c(struct balancer *b, const struct choice *c)
{
	uint32_t n = c->list.n;
	int64_t x = draw_usable(b, c, -1), y;

	if (x < 0)
		x = rule_next_from(b, c, rng_below(c->rng, n));
	if (x < 0 || n == 1)
		return x;
	if (!server_is_in(c->list.at[x]))
		return x; /* due for its probe: it would never win by cost */
	y = draw_usable(b, c, x);
	if (y < 0 || !server_is_in(c->list.at[y])) {
		y = y >= 0 ? y : rule_next_from(b, c, (uint32_t)(x + 1) % n);
		if (y < 0 || y == x || !server_is_in(c->list.at[y]))
			return y < 0 ? x : y;
	}
	return server_cost(c->list.at[x], c->settings, c->now) <= server_cost(c->list.at[y], c->settings, c->now) ? x
														   : y;
}

/* --- round robin, random, retry --- */

/* The place after the server that was tried last. */
static uint32_t after_last_tried(const struct choice *c)
{
	const struct fserver *last = c->tried->at[c->tried->n - 1];

	for (uint32_t i = 0; i < c->list.n; i++) {
		if (c->list.at[i] == last)
			return (i + 1) % c->list.n;
	}
	return 0;
}

/* A second try goes to the next one without moving the cursor: if it did, then with three servers of which one is dead
 * every second first try, not every third, would meet the dead one. */
static int64_t choose_round_robin(struct balancer *b, const struct choice *c)
{
	if (c->tried && c->tried->n)
		return rule_next_from(b, c, after_last_tried(c));

	uint32_t from = rule_turn(b, c->list.n);

	return rule_took(b, c, from, rule_next_from(b, c, from));
}

static int64_t choose_random(struct balancer *b, const struct choice *c)
{
	int64_t x = draw_usable(b, c, -1);

	return x >= 0 ? x : rule_next_from(b, c, rng_below(c->rng, c->list.n));
}

/* --- least requests, best available --- */

/* Weighted: requests in flight per weight. Reservoir sampling picks one of those that are equal. */
static int64_t least_loaded(struct balancer *b, const struct choice *c, bool by_weight)
{
	int64_t best = -1;
	float least = 0;
	uint32_t equals = 0;

	for (uint32_t i = 0; i < c->list.n; i++) {
		const struct fserver *s = c->list.at[i];
		float load = (float)active_of(s);

		if (!balancer_may_use(b, c, s))
			continue;
		if (by_weight)
			load = (load + 1) / server_weight(s, c->settings, c->now);
		if (best < 0 || load < least) {
			best = i;
			least = load;
			equals = 1;
		} else if (load == least && rng_below(c->rng, ++equals) == 0) {
			best = i;
		}
	}
	return best;
}

static int64_t choose_least_requests(struct balancer *b, const struct choice *c)
{
	return least_loaded(b, c, true);
}

static int64_t choose_best_available(struct balancer *b, const struct choice *c)
{
	return least_loaded(b, c, false);
}

/* --- availability filtering --- */

static bool is_available(const struct balancer *b, const struct choice *c, const struct fserver *s)
{
	return balancer_may_use(b, c, s) && (!c->active_limit || active_of(s) < c->active_limit);
}

static int64_t choose_availability(struct balancer *b, const struct choice *c)
{
	uint32_t n = c->list.n, from = rule_turn(b, n);

	for (uint32_t i = 0; i < n; i++)
		if (is_available(b, c, c->list.at[(from + i) % n]))
			return rule_took(b, c, from, (from + i) % n);
	return rule_took(b, c, from, rule_next_from(b, c, from)); /* all at the limit: then any */
}

/* --- zone avoidance --- */

#define ZONES_MAX 32
#define ZONE_LOAD_TRIGGER 0.2   /* triggeringLoadPerServerThreshold */
#define ZONE_BLACKOUT 0.99999   /* avoidZoneWithBlackoutPercetage */

struct zone_load {
	struct str name;
	uint32_t servers, usable, available, active;
	bool is_avoided;
};

static struct zone_load *zone_of(struct zone_load *zones, uint32_t *n, struct str name)
{
	for (uint32_t i = 0; i < *n; i++)
		if (str_eq(zones[i].name, name))
			return &zones[i];
	if (*n == ZONES_MAX) /* more zones than anyone has: the rest count as the last */
		return &zones[*n - 1];
	zones[*n] = (struct zone_load){ .name = name };
	return &zones[(*n)++];
}

static double zone_load(const struct zone_load *z)
{
	return z->usable ? (double)z->active / z->usable : 0;
}

/* Drops zones that are out, and one of the worst if the worst is loaded. */
static void avoid_zones(const struct choice *c, struct zone_load *zones, uint32_t n)
{
	double worst = 0;
	uint32_t dropped = 0, weight = 0, at;

	for (uint32_t i = 0; i < n; i++) {
		struct zone_load *z = &zones[i];

		z->is_avoided = z->usable == 0 || (double)(z->servers - z->usable) / z->servers >= ZONE_BLACKOUT;
		dropped += z->is_avoided;
		if (!z->is_avoided)
			worst = MAX(worst, zone_load(z));
	}
	if ((worst < ZONE_LOAD_TRIGGER && dropped == 0) || n - dropped <= 1)
		return;
	for (uint32_t i = 0; i < n; i++)
		weight += !zones[i].is_avoided && zone_load(&zones[i]) > worst - 1e-6 ? zones[i].servers : 0;
	at = weight ? rng_below(c->rng, weight) : 0;
	for (uint32_t i = 0; i < n; i++) {
		if (zones[i].is_avoided || zone_load(&zones[i]) <= worst - 1e-6)
			continue;
		if (at < zones[i].servers) {
			zones[i].is_avoided = true;
			return;
		}
		at -= zones[i].servers;
	}
}

static int64_t choose_zone_avoidance(struct balancer *b, const struct choice *c)
{
	struct zone_load zones[ZONES_MAX];
	uint32_t n = 0, len = c->list.n, eligible = 0, turn;

	for (uint32_t i = 0; i < len; i++) {
		struct zone_load *z = zone_of(zones, &n, c->list.at[i]->zone);

		z->servers++;
		z->active += active_of(c->list.at[i]);
		z->usable += server_is_in(c->list.at[i]);
		z->available += is_available(b, c, c->list.at[i]);
	}
	avoid_zones(c, zones, n);
	for (uint32_t i = 0; i < n; i++)
		eligible += zones[i].is_avoided ? 0 : zones[i].available;
	/* By turns among those that are left, and not from a place in the whole list: which zone is left out changes
	 * from choice to choice, and the first server behind a gap would get the gap's turns. */
	turn = eligible ? rule_turn(b, eligible) : 0;
	for (uint32_t i = 0; i < len && eligible; i++) {
		const struct fserver *s = c->list.at[i];

		if (is_available(b, c, s) && !zone_of(zones, &n, s->zone)->is_avoided && turn-- == 0)
			return i;
	}
	return choose_availability(b, c);
}

/* --- weighted response time --- */

#define WEIGHTS_EVERY (30 * USEC_PER_SEC) /* ServerWeightTaskTimerInterval */

/* A server's weight is the sum of all latencies less its own. Drawing at random and accepting with the chance weight
 * / sum gives just these shares without a table that would have to be kept in step with the list; only the sum is
 * kept. The latency is the moving one: Ribbon's lifetime mean takes hours to notice a server that has become slow. */
static float latency_sum(struct balancer *b, const struct choice *c)
{
	usec was = atomic_load_explicit(&b->summed_at, memory_order_relaxed);
	usec every = c->weights_every ? c->weights_every : WEIGHTS_EVERY;
	uint32_t bits = atomic_load_explicit(&b->latency_sum, memory_order_relaxed);
	float sum = 0;

	if (c->now - was < every || !atomic_compare_exchange_strong(&b->summed_at, &was, c->now)) {
		memcpy(&sum, &bits, sizeof(sum));
		return sum;
	}
	for (uint32_t i = 0; i < c->list.n; i++)
		sum += server_latency(c->list.at[i], c->settings, c->now);
	memcpy(&bits, &sum, sizeof(bits));
	atomic_store_explicit(&b->latency_sum, bits, memory_order_relaxed);
	return sum;
}

static int64_t choose_weighted_response(struct balancer *b, const struct choice *c)
{
	float sum = latency_sum(b, c);

	for (unsigned i = 0; sum >= 1 && i < 2 * DRAWS; i++) {
		int64_t at = draw_usable(b, c, -1);

		if (at >= 0 && rng_unit(c->rng) * (double)sum <
				       (double)(sum - server_latency(c->list.at[at], c->settings, c->now)))
			return at;
	}
	return choose_round_robin(b, c); /* nothing known yet, or one server whose latency is the whole sum */
}

/* --- the table of names --- */

#define JAVA(cls) STR_INIT("com.netflix.loadbalancer." cls)

const struct balance_ops balance_p2c = { STR_INIT("p2c"), STR_INIT(""), choose_p2c };
const struct balance_ops balance_round_robin = { STR_INIT("round-robin"), JAVA("RoundRobinRule"), choose_round_robin };
const struct balance_ops balance_random = { STR_INIT("random"), JAVA("RandomRule"), choose_random };
const struct balance_ops balance_least_requests = { STR_INIT("least-requests"), STR_INIT(""), choose_least_requests };
const struct balance_ops balance_best_available = { STR_INIT("best-available"), JAVA("BestAvailableRule"),
						    choose_best_available };
const struct balance_ops balance_availability = { STR_INIT("availability-filtering"),
						  JAVA("AvailabilityFilteringRule"), choose_availability };
const struct balance_ops balance_weighted_response = { STR_INIT("weighted-response-time"),
						       JAVA("WeightedResponseTimeRule"), choose_weighted_response };
const struct balance_ops balance_zone_avoidance = { STR_INIT("zone-avoidance"), JAVA("ZoneAvoidanceRule"),
						    choose_zone_avoidance };
/* RetryRule asks its sub-rule, round robin, again until a live server comes; round robin here does so by itself. */
const struct balance_ops balance_retry = { STR_INIT("retry"), JAVA("RetryRule"), choose_round_robin };
