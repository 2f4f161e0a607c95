/* rng.c - seeding. */
#include "base/rng.h"

#include <sys/random.h>

#include "base/util.h"

void rng_seed(struct rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) { /* splitmix64 spreads even a seed of 0 */
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		r->s[i] = z ^ z >> 31;
	}
}

void rng_os(void *out, size_t n)
{
	char *p = out;

	while (n) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}

void rng_seed_os(struct rng *r)
{
	rng_os(r->s, sizeof(r->s));
	r->s[0] |= 1; /* all zero would stay zero */
}
