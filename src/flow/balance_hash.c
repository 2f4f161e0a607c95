/* balance_hash.c - the rules that keep a key with its server: see hash_ring.h.
 *
 * A key whose server is out, tried, or above its bound goes on along the ring, so all its requests meet the same other server.
 * A request without a key is drawn by chance. With a bound (hash_bound_pct of the mean load) the load of all has to be summed:
 * then each choice looks at every server. */
#include "flow/balance_rule.h"
#include "flow/hash_ring.h"

#define STEPS_MAX 1024 /* along the ring; past it whoever is usable */

static uint32_t bound_of(const struct choice *c)
{
	uint32_t pct = rule_of(c)->hash_bound_pct;
	uint64_t sum = 1; /* this request */

	if (!pct)
		return UINT32_MAX;
	for (uint32_t i = 0; i < c->list.n; i++)
		sum += rule_active(c->list.at[i]);
	return (uint32_t)MIN((sum * pct + 100ull * c->list.n - 1) / (100ull * c->list.n), (uint64_t)UINT32_MAX);
}

static int64_t choose_by_hash(struct balancer *b, const struct choice *c)
{
	uint32_t bound, step = 0;

	if (!c->has_hash || !c->list.ring)
		return rule_draw_weighted(b, c);
	bound = bound_of(c);
	while (step < STEPS_MAX) {
		uint32_t at = hash_ring_walk(c->list.ring, c->hash, &step);

		if (at < c->list.n && balancer_may_use(b, c, c->list.at[at]) && rule_active(c->list.at[at]) < bound)
			return at;
	}
	return rule_next_from(b, c, (uint32_t)(c->hash % c->list.n));
}

const struct balance_ops balance_ring_hash = { STR_INIT("ring-hash"), choose_by_hash, BALANCE_HASHES };
const struct balance_ops balance_maglev = { STR_INIT("maglev"), choose_by_hash, BALANCE_HASHES | BALANCE_MAGLEV };
