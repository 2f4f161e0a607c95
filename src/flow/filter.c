/* filter.c - see filter.h. */
#include "flow/filter.h"

#include "flow/hash_ring.h"

#define FAILURE_WINDOW USEC_PER_SEC /* Ribbon counts failures of the last second */

static uint32_t active_of(const struct fserver *s)
{
	return atomic_load_explicit(&s->active, memory_order_relaxed);
}

static uint32_t failures_of(const struct fserver *s, usec now)
{
	if (now - atomic_load_explicit(&s->last_failure, memory_order_relaxed) > FAILURE_WINDOW)
		return 0;
	return atomic_load_explicit(&s->failures_in_row, memory_order_relaxed);
}

/* --- zones --- */

static bool is_of_zone(const struct filter_settings *fs, const struct fserver *s)
{
	return str_eq_nocase(s->zone, fs->zone);
}

/* Is the own zone well enough to carry all? Sets the note where it is not. */
static bool zone_is_well(const struct filter_settings *fs, struct filter_state *st, struct fserver *const *at,
			 uint32_t n)
{
	uint32_t mine = 0, in = 0;
	uint64_t active = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!is_of_zone(fs, at[i]))
			continue;
		mine++;
		in += server_is_in(at[i]);
		active += active_of(at[i]);
	}
	if (mine == 0)
		st->note = "no server in the own zone";
	else if ((float)(mine - in) / (float)mine >= fs->max_blackout)
		st->note = "too many of the own zone are out";
	else if (in < fs->min_available)
		st->note = "too few of the own zone are in";
	else if ((float)active / (float)in >= fs->max_load)
		st->note = "the own zone is loaded";
	else
		return true;
	return false;
}

static uint32_t keep_zone(const struct filter_settings *fs, struct fserver **at, uint32_t n)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (is_of_zone(fs, at[i]))
			at[kept++] = at[i];
	}
	return kept;
}

static bool zone_has_any(const struct filter_settings *fs, struct fserver *const *at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (is_of_zone(fs, at[i]))
			return true;
	}
	return false;
}

static uint32_t zone_affinity(const struct filter_settings *fs, struct filter_state *st, struct fserver **at,
			      uint32_t n)
{
	if (fs->zone.len == 0 || (!fs->affinity && !fs->exclusive))
		return n;
	if (fs->exclusive ? zone_has_any(fs, at, n) : zone_is_well(fs, st, at, n)) {
		st->note = "the own zone's servers";
		return keep_zone(fs, at, n);
	}
	if (fs->exclusive)
		st->note = "no server in the own zone";
	return n;
}

/* --- subsets --- */

static void set_members(struct filter_state *st, struct fserver *const *at, uint32_t n)
{
	struct fserver **fresh = xmalloc(MAX(n, 1u) * sizeof(struct fserver *));

	for (uint32_t i = 0; i < n; i++)
		fresh[i] = server_ref(at[i]);
	filter_state_fini(st);
	st->member = fresh;
	st->n = n;
}

static bool is_member(const struct filter_state *st, const struct fserver *s)
{
	for (uint32_t i = 0; i < st->n; i++)
		if (st->member[i] == s)
			return true;
	return false;
}

enum mark { MARK_POOL, MARK_IN, MARK_SHUNNED }; /* shunned: out of the subset, and not to come back this time */

static bool is_worse(const struct fserver *a, const struct fserver *b, usec now)
{
	uint32_t fa = failures_of(a, now), fb = failures_of(b, now);

	return fa != fb ? fa > fb : active_of(a) > active_of(b);
}

static void shun_worst(struct fserver *const *at, enum mark *mark, uint32_t n, uint32_t count, usec now)
{
	for (; count > 0; count--) {
		int64_t worst = -1;

		for (uint32_t i = 0; i < n; i++)
			if (mark[i] == MARK_IN && (worst < 0 || is_worse(at[i], at[worst], now)))
				worst = i;
		if (worst < 0)
			return;
		mark[worst] = MARK_SHUNNED;
	}
}

/* Draws from those of that mark until `want` are in; returns how many are. */
static uint32_t refill(enum mark *mark, uint32_t n, uint32_t in, uint32_t want, enum mark from, struct rng *rng)
{
	uint32_t pool = 0;

	for (uint32_t i = 0; i < n; i++)
		pool += mark[i] == from;
	for (; in < want && pool > 0; in++, pool--) {
		uint32_t k = rng_below(rng, pool);

		for (uint32_t i = 0; i < n; i++) {
			if (mark[i] == from && k-- == 0) {
				mark[i] = MARK_IN;
				break;
			}
		}
	}
	return in;
}

static uint32_t subset(const struct filter_settings *fs, struct filter_state *st, struct fserver **at, uint32_t n,
		       bool refresh, struct rng *rng, usec now)
{
	enum mark *mark = xzalloc(MAX(n, 1u) * sizeof(*mark));
	uint32_t in = 0, gone = 0, kept = 0, force = (uint32_t)((float)fs->size * fs->eliminate);

	for (uint32_t i = 0; i < n; i++) {
		if (!is_member(st, at[i]))
			continue;
		mark[i] = MARK_IN;
		in++;
		if (refresh && (active_of(at[i]) > fs->max_connections || failures_of(at[i], now) > fs->max_failures)) {
			mark[i] = MARK_SHUNNED;
			in--;
		}
	}
	gone = st->n - in;
	if (in > fs->size)
		force = in - fs->size;
	else
		force = refresh && st->n && force > gone ? force - gone : 0;
	shun_worst(at, mark, n, MIN(force, in), now);
	in -= MIN(force, in);
	in = refill(mark, n, in, fs->size, MARK_POOL, rng);
	refill(mark, n, in, fs->size, MARK_SHUNNED, rng); /* not enough others */
	for (uint32_t i = 0; i < n; i++) {
		if (mark[i] == MARK_IN)
			at[kept++] = at[i];
	}
	free(mark);
	set_members(st, at, kept);
	st->note = kept < n ? "a subset" : "all: the subset is larger";
	return kept;
}

static int by_score(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* The servers with the highest hashes of (server, this process): one change of the list moves at most one member. */
static uint32_t stable_subset(const struct filter_settings *fs, struct filter_state *st, struct fserver **at,
			      uint32_t n)
{
	uint64_t *score, *sorted, limit;
	uint32_t kept = 0;

	if (n <= fs->size || fs->size == 0) {
		st->note = "all: the subset is larger";
		return n;
	}
	score = xmalloc(n * sizeof(*score));
	sorted = xmalloc(n * sizeof(*sorted));
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = score[i] = hash_mix(str_hash(at[i]->id, 0) ^ fs->seed);
	qsort(sorted, n, sizeof(*sorted), by_score);
	limit = sorted[fs->size - 1];
	for (uint32_t i = 0; i < n && kept < fs->size; i++) {
		if (score[i] >= limit)
			at[kept++] = at[i];
	}
	free(sorted);
	free(score);
	st->note = "a stable subset";
	return kept;
}

/* --- all --- */

void filter_state_fini(struct filter_state *st)
{
	for (uint32_t i = 0; i < st->n; i++)
		server_unref(st->member[i]);
	free(st->member);
	st->member = NULL;
	st->n = 0;
}

uint32_t filter_apply(const struct filter_settings *fs, struct filter_state *st, struct fserver **at, uint32_t n,
		      bool refresh, struct rng *rng, usec now)
{
	uint32_t left = n;

	st->note = "all";
	if (n == 0 || fs->kind == FILTER_NONE)
		return n;
	left = zone_affinity(fs, st, at, n);
	switch (fs->kind) {
	case FILTER_NONE:
	case FILTER_ZONE_AFFINITY: break;
	case FILTER_ZONE_PREFERENCE: /* as Spring's: only where affinity has left all */
		if (left == n && fs->zone.len && zone_has_any(fs, at, n)) {
			left = keep_zone(fs, at, n);
			st->note = "the own zone's servers";
		}
		break;
	case FILTER_SUBSET: left = subset(fs, st, at, left, refresh, rng, now); break;
	case FILTER_STABLE_SUBSET: left = stable_subset(fs, st, at, left); break;
	}
	return left;
}

const char *filter_kind_name(enum filter_kind k)
{
	static const char *const names[] = { "none", "zone-affinity", "zone-preference", "subset", "stable-subset" };

	return (unsigned)k < ARRAY_LEN(names) ? names[k] : "?";
}
