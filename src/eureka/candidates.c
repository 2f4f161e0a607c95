/* candidates.c - see candidates.h. */
#include "eureka/candidates.h"

#include <assert.h>

void candidates_init(struct candidates *c, unsigned n)
{
	assert(n > 0);
	*c = (struct candidates){ .n = n };
}

unsigned candidates_now(const struct candidates *c)
{
	return c->cur;
}

void candidates_failed(struct candidates *c, unsigned which)
{
	if (c->cur == which)
		c->cur = (c->cur + 1) % c->n;
}
