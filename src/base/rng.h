/* rng.h - fast random numbers (xoshiro256**), one generator a thread. Not for secrets: those come from rng_os. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed); /* reproducible: simulations name their seed */
void rng_seed_os(struct rng *r);             /* from the kernel */
void rng_os(void *out, size_t n);            /* n bytes fit for keys and tokens */

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->s, x = s[1] * 5, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = s[3] << 45 | s[3] >> 19;
	return (x << 7 | x >> 57) * 9;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n) /* 0 .. n-1; n > 0 */
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

static inline double rng_unit(struct rng *r) /* [0, 1) */
{
	return (double)(rng_next(r) >> 11) * 0x1.0p-53;
}
