/* balance_rule.h - what the files of rules share: walking a list from somewhere, drawing from it. */
#pragma once
#include "flow/balance.h"

#define RULE_DRAWS 8 /* random looks for a usable server before the list is walked */

static const struct rule_settings rule_defaults _unused_ = RULE_SETTINGS_DEFAULT;

static inline const struct rule_settings *rule_of(const struct choice *c)
{
	return c->rule ? c->rule : &rule_defaults;
}

static inline uint32_t rule_active(const struct fserver *s)
{
	return atomic_load_explicit(&s->active, memory_order_relaxed);
}

/* The first usable server at or after `from`, round the list; -1: none. */
static inline int64_t rule_next_from(const struct balancer *b, const struct choice *c, uint32_t from)
{
	for (uint32_t i = 0; i < c->list.n; i++) {
		uint32_t at = from + i;

		if (at >= c->list.n)
			at -= c->list.n;
		if (balancer_may_use(b, c, c->list.at[at]))
			return at;
	}
	return -1;
}

static inline uint32_t rule_turn(struct balancer *b,
				 uint32_t n) /* the cursor's next place; the first is 1, as Ribbon's */
{
	return (uint32_t)((atomic_fetch_add_explicit(&b->cursor, 1, memory_order_relaxed) + 1) % n);
}

/* Servers were passed over: the cursor stands where the rule took one, else the one behind those would get their
 * turns too. */
static inline int64_t rule_took(struct balancer *b, const struct choice *c, uint32_t from, int64_t at)
{
	if (at >= 0 && at != from)
		atomic_fetch_add_explicit(&b->cursor, ((uint32_t)at + c->list.n - from) % c->list.n,
					  memory_order_relaxed);
	return at;
}

/* A usable server by chance, each alike, but for `other` (-1: none); -1: not found in a few draws. */
int64_t rule_draw(struct balancer *b, const struct choice *c, int64_t other);
/* By weight; the list is walked where drawing fails, so -1 means that there is none. */
int64_t rule_draw_weighted(struct balancer *b, const struct choice *c);
bool rule_is_available(const struct balancer *b, const struct choice *c, const struct fserver *s);
int64_t rule_choose_availability(struct balancer *b, const struct choice *c);
