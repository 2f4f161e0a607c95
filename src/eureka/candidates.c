/* candidates.c - see candidates.h. */
#include "eureka/candidates.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

#define RESET_PERCENT 66 /* of the list quarantined: set all free */

void candidates_init(struct candidates *c, uint64_t seed)
{
	*c = (struct candidates){ .now = -1, .seed = seed };
	rng_seed(&c->rng, seed);
}

static bool same_place(const struct candidate *a, const struct candidate *b)
{
	return service_url_same(&a->url, &b->url);
}

static struct candidate *find(struct candidate *list, unsigned n, const struct candidate *like)
{
	for (unsigned i = 0; i < n; i++) {
		if (same_place(&list[i], like))
			return &list[i];
	}
	return NULL;
}

static int by_order(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static uint64_t order_of(const struct candidates *c, const struct candidate *x)
{
	uint64_t h = str_hash(str_from(x->url.host), c->seed ^ x->url.port);

	return str_hash(str_from(x->url.path), h);
}

/* What was known of it before. */
static void inherit(struct candidate *x, const struct candidate *old)
{
	x->user = old->user;
	x->quarantined = old->quarantined;
	x->failed_at = old->failed_at;
	memcpy(x->why, old->why, sizeof(x->why));
	x->answers = old->answers;
	x->failures = old->failures;
}

bool candidates_set(struct candidates *c, const struct candidate *list, unsigned n, void (*drop)(void *user, void *ctx), void *ctx)
{
	struct candidate *fresh = xzalloc(sizeof(c->at));
	struct service_url used = { 0 };
	bool changed = false;
	unsigned k = 0;

	assert(n <= CANDIDATES_MAX);
	if (c->now >= 0)
		used = c->at[c->now].url;
	for (unsigned i = 0; i < n; i++) {
		struct candidate *x = &fresh[k];
		const struct candidate *old = find(c->at, c->n, &list[i]);

		if (find(fresh, k, &list[i]))
			continue;
		x->url = list[i].url;
		x->rank = list[i].rank;
		memcpy(x->zone, list[i].zone, sizeof(x->zone));
		x->order = order_of(c, x);
		changed |= !old || old->rank != x->rank || strcmp(old->url.auth, x->url.auth) != 0 || strcmp(old->zone, x->zone) != 0;
		if (old)
			inherit(x, old);
		k++;
	}
	qsort(fresh, k, sizeof(*fresh), by_order);
	for (unsigned i = 0; i < c->n; i++) {
		if (!find(fresh, k, &c->at[i]) && c->at[i].user)
			drop(c->at[i].user, ctx);
	}
	changed |= k != c->n;
	memcpy(c->at, fresh, sizeof(c->at));
	free(fresh);
	c->n = k;
	c->now = -1;
	for (unsigned i = 0; i < k && used.host[0]; i++) {
		if (service_url_same(&c->at[i].url, &used))
			c->now = (int)i;
	}
	if (changed)
		c->session_until = 0; /* the new order counts from now on */
	return changed;
}

unsigned candidates_quarantined(const struct candidates *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		n += c->at[i].quarantined;
	return n;
}

static void set_free(struct candidates *c)
{
	for (unsigned i = 0; i < c->n; i++)
		c->at[i].quarantined = false;
}

static bool was_tried(const struct candidates_tried *t, unsigned i)
{
	return t->mask & 1u << i;
}

int candidates_pick(struct candidates *c, const struct candidates_tried *t, usec now)
{
	usec span = c->session_span ? c->session_span : SESSION_SPAN;
	unsigned bad = candidates_quarantined(c);

	if (now >= c->session_until) {
		c->session_until = now + span / 2 + (usec)(rng_unit(&c->rng) * (double)span);
		c->now = -1;
		set_free(c);
	} else if (bad && bad * 100 >= c->n * RESET_PERCENT) {
		set_free(c);
		c->resets++;
	}
	if (c->now >= 0 && !c->at[c->now].quarantined && !was_tried(t, (unsigned)c->now))
		return c->now;
	for (unsigned i = 0; i < c->n; i++) {
		if (!c->at[i].quarantined && !was_tried(t, i))
			return c->now = (int)i;
	}
	return -1;
}

void candidates_tried(struct candidates_tried *t, int which)
{
	assert(which >= 0 && which < CANDIDATES_MAX);
	t->mask |= 1u << which;
	t->n++;
}

void candidates_good(struct candidates *c, int which)
{
	assert(which >= 0 && (unsigned)which < c->n);
	c->at[which].answers++;
	c->at[which].quarantined = false;
}

void candidates_bad(struct candidates *c, int which, const char *why, usec now)
{
	struct candidate *x = &c->at[which];

	assert(which >= 0 && (unsigned)which < c->n);
	x->failures++;
	x->failed_at = now;
	x->quarantined = true;
	snprintf(x->why, sizeof(x->why), "%s", why);
	if (c->now == which)
		c->now = -1;
}
