/* candidates.h - which registry is asked next. Pure: no I/O, no clock. */
#pragma once
#include <stdbool.h>

struct candidates {
	unsigned n, cur;
};

void candidates_init(struct candidates *c, unsigned n); /* numbers 0 .. n-1; n > 0 */
unsigned candidates_now(const struct candidates *c);    /* whom to ask */
void candidates_failed(struct candidates *c, unsigned which); /* it did not answer: the next one, if it was the one in use */
