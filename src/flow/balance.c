/* balance.c - choosing: the frame around the rules, and shares and panic.
 *
 * A choice goes: what the rule says; if it finds none, a server due for its probe; then the softly ejected; then those that
 * refuse connections. Each step looks only at servers not tried yet and starts at a random place, so that nobody is favoured.
 *
 * Probes are also met on the way: a rule that comes across a server whose ejection is over gives it this one request.
 */
#include "flow/balance_rule.h"

#define SURVEY_EVERY (USEC_PER_SEC / 10)

void balancer_init(struct balancer *b, const struct balance_ops *ops)
{
	memset(b, 0, sizeof(*b));
	b->ops = ops;
	atomic_init(&b->surveyed_at, INT64_MIN / 2);
	atomic_init(&b->summed_at, INT64_MIN / 2);
}

bool balancer_may_use(const struct balancer *b, const struct choice *c, const struct fserver *s)
{
	if (unlikely(c->tried && tried_has(c->tried, s)))
		return false;
	if (likely(server_is_in(s) || !c->settings->enabled))
		return true;

	enum server_state st = server_state(s, c->now);

	if (st == SERVER_SOFT)
		return atomic_load_explicit(&b->panic, memory_order_relaxed);
	/* Due for a probe: the rule may name it, and the frame asks whether this request is the one. */
	return st == SERVER_PROBING && c->now >= atomic_load_explicit(&s->out_until, memory_order_relaxed);
}

/* --- shares: at most ten times a second a chooser looks at the whole list --- */

/* Brings back the softly ejected whose time is nearest its end until only `allowed` are out. */
static void bring_back(const struct choice *c, uint32_t soft, uint32_t allowed)
{
	for (; soft > allowed; soft--) {
		struct fserver *first = NULL;

		for (uint32_t i = 0; i < c->list.n; i++) {
			struct fserver *s = c->list.at[i];

			if (server_state(s, c->now) == SERVER_SOFT &&
			    (!first || atomic_load(&s->out_until) < atomic_load(&first->out_until)))
				first = s;
		}
		if (!first)
			return;
		server_return(first, c->now);
	}
}

static void survey(struct balancer *b, const struct choice *c)
{
	const struct outlier_settings *os = c->settings;
	usec was = atomic_load_explicit(&b->surveyed_at, memory_order_relaxed);
	uint32_t soft = 0, hard = 0, allowed;

	if (likely(c->now - was < SURVEY_EVERY) || !atomic_compare_exchange_strong(&b->surveyed_at, &was, c->now))
		return;
	for (uint32_t i = 0; i < c->list.n; i++) {
		enum server_state st = server_state(c->list.at[i], c->now);

		soft += st == SERVER_SOFT;
		hard += st == SERVER_HARD;
	}
	allowed = MAX((uint32_t)((uint64_t)c->list.n * os->max_ejected_pct / 100), 1u);
	if (soft > allowed) {
		bring_back(c, soft, allowed);
		soft = allowed;
	}
	atomic_store_explicit(&b->panic,
			      soft && (uint64_t)(c->list.n - soft - hard) * 100 < (uint64_t)c->list.n * os->panic_pct,
			      memory_order_relaxed);
}

/* --- the frame --- */

static bool is_left(const struct choice *c, const struct fserver *s)
{
	return !c->tried || !tried_has(c->tried, s);
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

struct pick balancer_choose(struct balancer *b, const struct choice *c)
{
	if (c->list.n == 0)
		return take(NULL, PICK_EMPTY);
	survey(b, c);
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

const char *pick_why_name(enum pick_why why)
{
	static const char *const names[] = { "in", "probe", "panic", "last resort", "no servers", "all tried" };

	return (unsigned)why < ARRAY_LEN(names) ? names[why] : "?";
}

static const struct balance_ops *const all[] = {
	&balance_p2c,	       &balance_round_robin,	    &balance_random,	     &balance_least_requests,
	&balance_best_available, &balance_availability,	    &balance_weighted_response, &balance_zone_avoidance,
	&balance_retry,
};

const struct balance_ops *balance_at(size_t i)
{
	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

const struct balance_ops *balance_by_name(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct str java = all[i]->java;

		if (str_eq_nocase(name, all[i]->name) || (java.len && str_eq(name, java)))
			return all[i];
		if (java.len && str_eq(name, str_slice(java, (size_t)(str_rchr(java, '.') + 1), java.len)))
			return all[i];
	}
	return NULL;
}
