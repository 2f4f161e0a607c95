/* limiter.c - see limiter.h. */
#include "flow/limiter.h"

#define SPELL_CALLS 10
#define SPELL_TIME (100 * USEC_PER_MSEC)
#define LONG_SPELLS 600     /* the long-term latency's memory */
#define TOLERANCE 1.5
#define HEADROOM 4          /* calls that may queue where latency is as ever */
#define SMOOTHING 0.2
#define BACKOFF 0.9

void limiter_init(struct limiter *l)
{
	*l = (struct limiter){ .n = 0 };
	pthread_mutex_init(&l->lock, NULL);
}

void limiter_fini(struct limiter *l)
{
	pthread_mutex_destroy(&l->lock);
}

static double clamp(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

static double aimd(const struct limiter *l, const struct cmd_settings *cs, double rtt)
{
	bool is_slow = cs->limit_latency_ms && rtt > (double)(cs->limit_latency_ms * USEC_PER_MSEC);

	if (l->has_timeout || is_slow)
		return l->estimate * BACKOFF;
	return (double)l->peak * 2 >= l->estimate ? l->estimate + 1 : l->estimate;
}

static double gradient(struct limiter *l, double rtt)
{
	double slope, next;

	l->long_rtt = l->long_rtt > 0 ? l->long_rtt + (rtt - l->long_rtt) / LONG_SPELLS : rtt;
	/* After a long overload the average is far too high: it comes down faster than by its own memory. */
	if (l->long_rtt > 2 * rtt)
		l->long_rtt *= 0.95;
	if (l->has_timeout)
		return l->estimate * BACKOFF;
	if ((double)l->peak < l->estimate / 2)
		return l->estimate; /* it is not the limit that bounds */
	slope = clamp(TOLERANCE * l->long_rtt / (rtt > 1 ? rtt : 1), 0.5, 1);
	next = l->estimate * slope + HEADROOM;
	return l->estimate * (1 - SMOOTHING) + next * SMOOTHING;
}

static void end_spell(struct limiter *l, const struct cmd_settings *cs, usec now)
{
	double rtt = (double)l->sum / l->n;
	double next = cs->limit == FLOW_LIMIT_AIMD ? aimd(l, cs, rtt) : gradient(l, rtt);

	l->estimate = clamp(next, cs->limit_min, cs->limit_max);
	atomic_store_explicit(&l->limit, (uint32_t)l->estimate, memory_order_relaxed);
	l->spell_began = now;
	l->n = l->peak = 0;
	l->sum = 0;
	l->has_timeout = false;
}

void limiter_sample(struct limiter *l, const struct cmd_settings *cs, usec rtt, uint32_t active, bool timed_out, usec now)
{
	if (pthread_mutex_trylock(&l->lock) != 0)
		return;
	if (l->estimate < 1) {
		l->estimate = limiter_begin(cs);
		l->spell_began = now;
	}
	l->n++;
	l->sum += (uint64_t)MAX(rtt, (usec)0);
	l->peak = MAX(l->peak, active);
	l->has_timeout |= timed_out;
	if (l->n >= SPELL_CALLS && now - l->spell_began >= SPELL_TIME)
		end_spell(l, cs, now);
	pthread_mutex_unlock(&l->lock);
}
