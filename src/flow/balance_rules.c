/* balance_rules.c - the rules, but for those of zones (balance_zone.c) and hashes (balance_hash.c).
 *
 * All look at a handful of servers, but best available, which looks at every one, as its meaning is.
 *
 * Where Ribbon's own rule is defective, ours does what the name says: random reads one list only, every rule ends when
 * nobody is usable, ties of best available are broken at random so that callers do not all run to one server.
 */
#include "flow/balance_rule.h"

/* --- drawing --- */

int64_t rule_draw(struct balancer *b, const struct choice *c, int64_t other)
{
	uint32_t n = c->list.n;

	for (unsigned i = 0; i < RULE_DRAWS; i++) {
		uint32_t at = rng_below(c->rng, n);

		if ((int64_t)at != other && balancer_may_use(b, c, c->list.at[at]))
			return at;
	}
	return -1;
}

/* Draws each alike and accepts by weight: the shares are exact, also while weights grow in their slow start, and nothing has
 * to be kept in step with the list. Weights so unequal that nobody is accepted in many draws end in the walk. */
int64_t rule_draw_weighted(struct balancer *b, const struct choice *c)
{
	bool equal = c->list.max_weight == 0 && c->settings->slow_start_ms == 0;
	float max = c->list.max_weight ? (float)c->list.max_weight * 0.01f : 1;

	for (unsigned i = 0; i < (equal ? RULE_DRAWS : 8 * RULE_DRAWS); i++) {
		uint32_t at = rng_below(c->rng, c->list.n);
		const struct fserver *s = c->list.at[at];

		if (balancer_may_use(b, c, s) &&
		    (equal || (float)rng_unit(c->rng) * max < server_weight(s, c->settings, c->now)))
			return at;
	}
	return rule_next_from(b, c, rng_below(c->rng, c->list.n));
}

/* --- power of two choices, peak EWMA --- */

static int64_t choose_p2c(struct balancer *b, const struct choice *c)
{
	uint32_t n = c->list.n;
	int64_t x = rule_draw(b, c, -1), y;

	if (x < 0)
		x = rule_next_from(b, c, rng_below(c->rng, n));
	if (x < 0 || n == 1)
		return x;
	if (!server_is_in(c->list.at[x]))
		return x; /* due for its probe: it would never win by cost */
	y = rule_draw(b, c, x);
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
	return rule_draw_weighted(b, c);
}

/* --- least requests, best available --- */

/* Draws a few by weight; the one with fewest requests in flight per weight wins. Looking at all would find the least loaded,
 * and so would every other gateway at the same moment. */
static int64_t choose_least_requests(struct balancer *b, const struct choice *c)
{
	uint32_t draws = MAX(rule_of(c)->choices, 1u);
	int64_t best = -1;
	float least = 0;

	for (uint32_t i = 0; i < draws; i++) {
		int64_t at = rule_draw_weighted(b, c);
		float load;

		if (at < 0)
			return -1;
		if (!server_is_in(c->list.at[at]))
			return at; /* due for its probe */
		load = (float)rule_active(c->list.at[at]) / server_weight(c->list.at[at], c->settings, c->now);
		if (best < 0 || load < least) {
			best = at;
			least = load;
		}
	}
	return best;
}

/* Reservoir sampling picks one of those that are equal. */
static int64_t choose_best_available(struct balancer *b, const struct choice *c)
{
	int64_t best = -1;
	uint32_t least = 0, equals = 0;

	for (uint32_t i = 0; i < c->list.n; i++) {
		const struct fserver *s = c->list.at[i];
		uint32_t load = rule_active(s);

		if (!balancer_may_use(b, c, s))
			continue;
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

/* --- availability filtering --- */

bool rule_is_available(const struct balancer *b, const struct choice *c, const struct fserver *s)
{
	const struct rule_settings *rs = rule_of(c);

	if (rs->active_limit && rule_active(s) >= rs->active_limit)
		return false;
	return rs->ignore_tripped ? !server_is_dead(s) && !(c->tried && tried_has(c->tried, s))
				  : balancer_may_use(b, c, s);
}

int64_t rule_choose_availability(struct balancer *b, const struct choice *c)
{
	uint32_t n = c->list.n, from = rule_turn(b, n);

	for (uint32_t i = 0; i < n; i++)
		if (rule_is_available(b, c, c->list.at[(from + i) % n]))
			return rule_took(b, c, from, (from + i) % n);
	return rule_took(b, c, from, rule_next_from(b, c, from)); /* all at the limit: then any */
}

/* --- weighted response time --- */

/* A server's weight is the sum of all latencies less its own. Drawing at random and accepting with the chance weight / sum
 * gives just these shares without a table that would have to be kept in step with the list; only the sum is kept. The
 * latency is the moving one: Ribbon's lifetime mean takes hours to notice a server that has become slow. */
static float latency_sum(struct balancer *b, const struct choice *c)
{
	usec was = atomic_load_explicit(&b->summed_at, memory_order_relaxed);
	usec every = rule_of(c)->weights_every;
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

	for (unsigned i = 0; sum >= 1 && i < 2 * RULE_DRAWS; i++) {
		int64_t at = rule_draw(b, c, -1);

		if (at >= 0 && rng_unit(c->rng) * (double)sum <
				       (double)(sum - server_latency(c->list.at[at], c->settings, c->now)))
			return at;
	}
	return choose_round_robin(b, c); /* nothing known yet, or one server whose latency is the whole sum */
}

/* --- the tables --- */

const struct balance_ops balance_p2c = { STR_INIT("p2c"), choose_p2c };
const struct balance_ops balance_round_robin = { STR_INIT("round-robin"), choose_round_robin };
const struct balance_ops balance_random = { STR_INIT("random"), choose_random };
const struct balance_ops balance_least_requests = { STR_INIT("least-requests"), choose_least_requests };
const struct balance_ops balance_best_available = { STR_INIT("best-available"), choose_best_available,
						    BALANCE_LOOKS_AT_ALL };
const struct balance_ops balance_availability = { STR_INIT("availability-filtering"), rule_choose_availability };
const struct balance_ops balance_weighted_response = { STR_INIT("weighted-response-time"), choose_weighted_response };
/* RetryRule asks its sub-rule, round robin, again until a live server comes; round robin here does so by itself. */
const struct balance_ops balance_retry = { STR_INIT("retry"), choose_round_robin };
