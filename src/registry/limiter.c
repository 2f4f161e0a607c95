/* limiter.c - see limiter.h. */
#include "registry/limiter.h"

#include <pthread.h>
#include <stdatomic.h>

struct bucket {
	double tokens;
	usec at; /* when tokens was right; 0: never used */
};

struct limiter {
	_Atomic bool enabled;
	_Atomic uint64_t refused;
	pthread_mutex_t lock; /* leaf; guards all below */
	struct limiter_config cfg;
	struct bucket any, full;
};

struct limiter *limiter_new(void)
{
	struct limiter *l = xzalloc(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	return l;
}

static void forget_names(struct limiter *l)
{
	for (size_t i = 0; i < l->cfg.n_privileged; i++)
		free((char *)(uintptr_t)l->cfg.privileged[i].ptr);
	l->cfg.n_privileged = 0;
}

void limiter_free(struct limiter *l)
{
	if (!l)
		return;
	forget_names(l);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void limiter_configure(struct limiter *l, const struct limiter_config *cfg)
{
	pthread_mutex_lock(&l->lock);
	forget_names(l);
	l->cfg = *cfg;
	for (size_t i = 0; i < cfg->n_privileged; i++)
		l->cfg.privileged[i] = str_of(str_dup(cfg->privileged[i]), cfg->privileged[i].len);
	pthread_mutex_unlock(&l->lock);
	atomic_store(&l->enabled, cfg->enabled);
}

static bool is_privileged(const struct limiter *l, struct str name)
{
	if (!l->cfg.throttle_standard && (str_eq(name, STR("DefaultClient")) || str_eq(name, STR("DefaultServer"))))
		return true;
	for (size_t i = 0; i < l->cfg.n_privileged; i++) {
		if (str_eq(name, l->cfg.privileged[i]))
			return true;
	}
	return false;
}

static void refill(struct bucket *b, uint32_t rate, uint32_t burst, usec now)
{
	if (!b->at)
		b->tokens = burst;
	else if (now > b->at)
		b->tokens = MIN(b->tokens + (double)(now - b->at) * rate / (double)USEC_PER_SEC, (double)burst);
	b->at = MAX(now, b->at);
}

bool limiter_allows(struct limiter *l, struct str identity, bool full, usec now)
{
	bool ok;

	if (!atomic_load_explicit(&l->enabled, memory_order_relaxed))
		return true;
	pthread_mutex_lock(&l->lock);
	ok = is_privileged(l, identity);
	if (!ok) {
		refill(&l->any, l->cfg.fetch_rate, l->cfg.burst, now);
		refill(&l->full, l->cfg.full_rate, l->cfg.burst, now);
		ok = l->any.tokens >= 1 && (!full || l->full.tokens >= 1);
		if (ok) {
			l->any.tokens--;
			l->full.tokens -= full;
		}
	}
	pthread_mutex_unlock(&l->lock);
	if (!ok)
		atomic_fetch_add_explicit(&l->refused, 1, memory_order_relaxed);
	return ok;
}

uint64_t limiter_refused(const struct limiter *l)
{
	return atomic_load_explicit(&l->refused, memory_order_relaxed);
}
