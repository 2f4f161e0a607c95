/* shared_value.h - a counted number, for what hands results around; and how many of them are alive. */
#pragma once
#include "flow/shared.h"

struct value {
	struct shared shared;
	int n;
};

static _Atomic int values_alive;

static void value_free(struct shared *s)
{
	atomic_fetch_sub(&values_alive, 1);
	free(container_of(s, struct value, shared));
}

static struct shared *value(int n)
{
	struct value *v = xzalloc(sizeof(*v));

	shared_init(&v->shared, value_free);
	v->n = n;
	atomic_fetch_add(&values_alive, 1);
	return &v->shared;
}

static inline int number_of(struct shared *s)
{
	return container_of(s, struct value, shared)->n;
}
