/* context.c - see context.h. */
#include "client/context.h"

static _Thread_local struct context *current;

const struct context *context_now(void)
{
	return current;
}

struct context *context_copy(const struct context *from)
{
	struct context *c = xzalloc(sizeof(*c));

	if (from) {
		c->has_trace = from->has_trace;
		c->trace = from->trace;
		c->deadline = from->deadline;
		c->cancel = cancel_ref(from->cancel);
		c->request = flow_request_ref(from->request);
		c->n_values = from->n_values;
		for (unsigned i = 0; i < c->n_values; i++)
			c->value[i] = (struct context_value){ from->value[i].key, from->value[i].key->ref(from->value[i].value) };
	} else {
		c->deadline = DEADLINE_NONE;
	}
	atomic_init(&c->refs, 1);
	return c;
}

struct context *context_ref(struct context *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void context_unref(struct context *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < c->n_values; i++)
		c->value[i].key->unref(c->value[i].value);
	cancel_unref(c->cancel);
	flow_request_unref(c->request);
	free(c);
}

struct context *context_enter(struct context *c)
{
	struct context *previous = current;

	current = c;
	return previous;
}

void context_leave(struct context *previous)
{
	struct context *left = current;

	current = previous;
	context_unref(left);
}

static unsigned place_of(const struct context *c, const struct context_key *key)
{
	unsigned i = 0;

	while (i < c->n_values && c->value[i].key != key)
		i++;
	return i;
}

static void drop_value(struct context *c, unsigned i)
{
	if (i == c->n_values)
		return;
	c->value[i].key->unref(c->value[i].value);
	c->value[i] = c->value[--c->n_values];
}

bool context_set(const struct context_key *key, void *value)
{
	struct context *c = context_copy(current);

	drop_value(c, place_of(c, key));
	if (value && c->n_values == CONTEXT_VALUES_MAX) {
		context_unref(c);
		return false;
	}
	if (value)
		c->value[c->n_values++] = (struct context_value){ key, key->ref(value) };
	context_unref(context_enter(c));
	return true;
}

void *context_get(const struct context_key *key)
{
	unsigned i = current ? place_of(current, key) : 0;

	return current && i < current->n_values ? current->value[i].value : NULL;
}
