/* balance.c - choosing: the frame around the rules.
 *
 * A choice goes: what the rule says; if it finds none, a server due for its probe; then the softly ejected; then those that
 * refuse connections. Each step looks only at servers not tried yet and starts at a random place, so that nobody is favoured.
 *
 * Probes are also met on the way: a rule that comes across a server whose ejection is over gives it this one request.
 */
#include "flow/balance_rule.h"

#define NOTED_ONE_IN 256 /* of the ordinary choices; a power of two */

void balancer_init(struct balancer *b, const struct balance_ops *ops)
{
	memset(b, 0, sizeof(*b));
	b->ops = ops;
	b->name = ops->name;
	b->watch = &b->own_watch;
	outlier_init(&b->own_watch);
	atomic_init(&b->summed_at, INT64_MIN / 2);
}

void balancer_put_above(struct balancer *upper, struct balancer *rule)
{
	upper->inner = rule;
	rule->watch = upper->watch;
}

bool balancer_may_use(const struct balancer *b, const struct choice *c, const struct fserver *s)
{
	if (unlikely(c->tried && tried_has(c->tried, s)))
		return false;
	if (likely(server_is_in(s)))
		return true;
	if (!c->settings->enabled)
		return !server_is_dead(s);

	enum server_state st = server_state(s, c->now);

	if (st == SERVER_SOFT)
		return outlier_panic(b->watch);
	/* Due for a probe: the rule may name it, and the frame asks whether this request is the one. */
	return st == SERVER_PROBING && c->now >= atomic_load_explicit(&s->out_until, memory_order_relaxed);
}

/* --- the frame --- */

static bool is_left(const struct choice *c, const struct fserver *s)
{
	return !c->tried || !tried_has(c->tried, s);
}

static bool any_is_left(const struct choice *c)
{
	if (!c->tried || c->tried->n < c->list.n)
		return true;
	for (uint32_t i = 0; i < c->list.n; i++)
		if (is_left(c, c->list.at[i]))
			return true;
	return false;
}

static struct fserver *any_of(const struct choice *c, enum server_state st)
{
	uint32_t n = c->list.n, from = rng_below(c->rng, n);

	for (uint32_t i = 0; i < n; i++) {
		struct fserver *s = c->list.at[(from + i) % n];

		if (is_left(c, s) && server_state(s, c->now) == st)
			return s;
	}
	return NULL;
}

static struct pick take(struct fserver *s, enum pick_why why)
{
	return (struct pick){ s, why };
}

/* The rule has found nobody. */
static struct pick choose_last(const struct choice *c)
{
	uint32_t n = c->list.n, from = rng_below(c->rng, n);
	struct fserver *s;

	for (uint32_t i = 0; i < n; i++) {
		s = c->list.at[(from + i) % n];
		if (is_left(c, s) && server_is_in(s))
			return take(s, PICK_IN); /* in, but beyond what the rule likes */
		if (is_left(c, s) && server_try_probe(s, c->settings, c->now))
			return take(s, PICK_PROBE);
	}
	for (enum server_state st = SERVER_SOFT; st <= SERVER_PROBING; st++)
		if ((s = any_of(c, st)))
			return take(s, PICK_LAST);
	/* A state may have changed between two looks. */
	for (uint32_t i = 0; i < n; i++)
		if (is_left(c, c->list.at[i]))
			return take(c->list.at[i], PICK_LAST);
	return take(NULL, PICK_ALL_TRIED);
}

static struct pick wrong(struct balancer *b, enum pick_why why)
{
	atomic_fetch_add_explicit(&b->rule_errors, 1, memory_order_relaxed);
	return take(NULL, why);
}

/* A user's rule may know better than we who is usable; only what it cannot know is judged: whether there is such a server. */
static struct pick choose_by_user(struct balancer *b, const struct choice *c)
{
	if (!any_is_left(c))
		return take(NULL, PICK_ALL_TRIED);

	int64_t at = b->ops->choose(b, c);

	if (at == RULE_FAILED)
		return wrong(b, PICK_RULE_FAILED);
	if (at < 0)
		return wrong(b, PICK_RULE_NONE);
	if (at >= (int64_t)c->list.n || !is_left(c, c->list.at[at]))
		return wrong(b, PICK_RULE_OUTSIDE);

	struct fserver *s = c->list.at[at];

	return take(s, server_is_in(s) ? PICK_IN : server_try_probe(s, c->settings, c->now) ? PICK_PROBE : PICK_PANIC);
}

static struct pick choose_by_rule(struct balancer *b, const struct choice *c)
{
	/* A server due for its probe that another request takes first leaves the rule one more look; two suffice to
	 * make a third unlikely, and the frame below copes with it. */
	for (unsigned i = 0; i < 2; i++) {
		int64_t at = b->ops->choose(b, c);

		if (at < 0)
			break;
		if (at >= (int64_t)c->list.n || !is_left(c, c->list.at[at])) {
			atomic_fetch_add_explicit(&b->rule_errors, 1, memory_order_relaxed);
			break;
		}

		struct fserver *s = c->list.at[at];

		if (likely(server_is_in(s) || !c->settings->enabled))
			return take(s, PICK_IN);
		if (server_try_probe(s, c->settings, c->now))
			return take(s, PICK_PROBE);
		if (server_state(s, c->now) == SERVER_SOFT)
			return take(s, PICK_PANIC);
	}
	return choose_last(c);
}

static void note(struct balancer *b, const struct choice *c, struct pick p)
{
	struct decision d = {
		.at = c->now, .why = pick_why_name(p.why), .servers = c->list.n, .tried = c->tried ? c->tried->n : 0
	};

	if (p.server) {
		memcpy(d.server, p.server->id.ptr, MIN(p.server->id.len, sizeof(d.server) - 1));
		d.cost = server_cost(p.server, c->settings, c->now);
		d.active = atomic_load_explicit(&p.server->active, memory_order_relaxed);
	}
	decisions_note(b->decisions, &d);
}

struct pick balancer_choose(struct balancer *b, const struct choice *c)
{
	struct pick p;

	if (c->list.n == 0)
		return take(NULL, PICK_EMPTY);
	if (unlikely(outlier_is_due(b->watch, c->now)))
		outlier_survey(b->watch, c->list.at, c->list.n, c->settings, c->now);
	p = unlikely(b->ops->flags & BALANCE_USER) ? choose_by_user(b, c) : choose_by_rule(b, c);
	if (b->decisions && unlikely(p.why != PICK_IN || (c->rng->s[0] & (NOTED_ONE_IN - 1)) == 0))
		note(b, c, p);
	return p;
}

const char *pick_why_name(enum pick_why why)
{
	static const char *const names[] = { "in",
					     "probe",
					     "panic",
					     "last resort",
					     "no servers",
					     "all tried",
					     "rule chose none",
					     "rule chose a stranger",
					     "rule did not start" };

	return (unsigned)why < ARRAY_LEN(names) ? names[why] : "?";
}

static const struct balance_ops *const all[] = {
	&balance_p2c,
	&balance_round_robin,
	&balance_random,
	&balance_least_requests,
	&balance_best_available,
	&balance_availability,
	&balance_weighted_response,
	&balance_zone_avoidance,
	&balance_retry,
	&balance_ring_hash,
	&balance_maglev,
};

const struct balance_ops *balance_at(size_t i)
{
	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

const struct balance_ops *balance_by_name(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (str_eq_nocase(name, all[i]->name))
			return all[i];
	}
	return NULL;
}
