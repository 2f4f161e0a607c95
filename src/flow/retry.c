/* retry.c - the decision, the budget, and whether time-outs can fit together. */
#include "flow/retry.h"

bool retry_status_is_listed(const struct retry_settings *rs, unsigned status)
{
	for (unsigned i = 0; i < rs->status_count && i < RETRY_STATUSES_MAX; i++)
		if (rs->statuses[i] == status)
			return true;
	return false;
}

bool retry_method_is_safe(struct str method)
{
	return str_eq(method, STR("GET")) || str_eq(method, STR("HEAD")) || str_eq(method, STR("OPTIONS")) ||
	       str_eq(method, STR("TRACE"));
}

uint32_t retry_tries_max(const struct retry_settings *rs)
{
	return (MIN(rs->same, (uint32_t)RETRY_TRIES_MAX) + 1) * (MIN(rs->next, (uint32_t)RETRY_TRIES_MAX) + 1);
}

static enum retry_why may_repeat(const struct retry_settings *rs, const struct retry_attempt *at)
{
	if (at->class == ATTEMPT_NOT_SENT)
		return at->body_gone ? RETRY_BODY_GONE : RETRY_ALLOWED;
	if (at->class == ATTEMPT_REPLY_RETRYABLE && !retry_status_is_listed(rs, at->status))
		return RETRY_STATUS;
	if (!at->is_safe && !rs->all_operations)
		return RETRY_UNSAFE_METHOD;
	return at->body_gone ? RETRY_BODY_GONE : RETRY_ALLOWED;
}

struct retry_decision retry_decide(const struct retry_settings *rs, struct retry_state *st,
				   const struct retry_attempt *at, struct deadline d, usec now)
{
	enum retry_why why = may_repeat(rs, at);

	if (why != RETRY_ALLOWED)
		return (struct retry_decision){ RETRY_GIVE_UP, why };
	if (deadline_is_over(d, now))
		return (struct retry_decision){ RETRY_GIVE_UP, RETRY_DEADLINE };
	if (st->tries >= RETRY_TRIES_MAX)
		return (struct retry_decision){ RETRY_GIVE_UP, RETRY_NO_TRIES_LEFT };
	if (st->on_this < rs->same && !at->is_dead) {
		st->on_this++;
		st->tries++;
		return (struct retry_decision){ RETRY_SAME, RETRY_ALLOWED };
	}
	if (st->servers < rs->next) {
		st->on_this = 0;
		st->servers++;
		st->tries++;
		return (struct retry_decision){ RETRY_NEXT, RETRY_ALLOWED };
	}
	return (struct retry_decision){ RETRY_GIVE_UP, RETRY_NO_TRIES_LEFT };
}

const char *retry_why_name(enum retry_why why)
{
	static const char *const names[] = {
		[RETRY_ALLOWED] = "allowed",
		[RETRY_NO_TRIES_LEFT] = "no tries left",
		[RETRY_DEADLINE] = "deadline over",
		[RETRY_UNSAFE_METHOD] = "method may not run twice",
		[RETRY_STATUS] = "status not listed",
		[RETRY_BODY_GONE] = "body not kept",
		[RETRY_NO_BUDGET] = "retry budget spent",
	};

	return (unsigned)why < ARRAY_LEN(names) ? names[why] : "?";
}

/* --- the budget --- */

#define TOKEN INT64_C(1000)

static int64_t budget_cap(const struct retry_budget_settings *s)
{
	return (int64_t)MAX(s->cap, 1u) * TOKEN;
}

void retry_budget_init(struct retry_budget *b, usec now)
{
	atomic_init(&b->tokens, 0);
	atomic_init(&b->filled_at, now - USEC_PER_SEC);
}

/* Adds up to the cap. Two threads at once may pass it by one addend; the next one brings it down again. */
static void earn(struct retry_budget *b, const struct retry_budget_settings *s, int64_t tokens)
{
	int64_t room = budget_cap(s) - atomic_load_explicit(&b->tokens, memory_order_relaxed);

	if (MIN(tokens, room) > 0)
		atomic_fetch_add_explicit(&b->tokens, MIN(tokens, room), memory_order_relaxed);
}

void retry_budget_request(struct retry_budget *b, const struct retry_budget_settings *s)
{
	if (s->ratio_pct)
		earn(b, s, (int64_t)s->ratio_pct * TOKEN / 100);
}

bool retry_budget_spend(struct retry_budget *b, const struct retry_budget_settings *s, usec now)
{
	usec was = atomic_load_explicit(&b->filled_at, memory_order_relaxed), span = MIN(now - was, 60 * USEC_PER_SEC);
	int64_t by_time = span * (int64_t)s->per_second * TOKEN / USEC_PER_SEC, have;

	if (!s->ratio_pct)
		return true;
	if (by_time > 0 && atomic_compare_exchange_strong(&b->filled_at, &was, now))
		earn(b, s, by_time);
	have = atomic_load_explicit(&b->tokens, memory_order_relaxed);
	while (have >= TOKEN)
		if (atomic_compare_exchange_weak(&b->tokens, &have, have - TOKEN))
			return true;
	return false;
}

double retry_budget_left(const struct retry_budget *b)
{
	return (double)atomic_load_explicit(&b->tokens, memory_order_relaxed) / TOKEN;
}
