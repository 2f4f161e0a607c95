/* cancel.c - see cancel.h. */
#include "client/cancel.h"

static void on_parent(struct cancel_watch *w)
{
	cancel_ask(container_of(w, struct cancel, from_parent));
}

struct cancel *cancel_new(struct cancel *parent)
{
	struct cancel *c = xzalloc(sizeof(*c));

	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->parent = cancel_ref(parent);
	cancel_watch(parent, &c->from_parent, on_parent);
	return c;
}

struct cancel *cancel_ref(struct cancel *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void cancel_unref(struct cancel *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	cancel_unwatch(c->parent, &c->from_parent);
	cancel_unref(c->parent);
	assert(!c->watches);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void cancel_ask(struct cancel *c)
{
	pthread_mutex_lock(&c->lock);
	if (!atomic_exchange(&c->is_asked, true)) {
		for (struct cancel_watch *w = c->watches; w; w = w->next)
			w->fn(w);
	}
	pthread_mutex_unlock(&c->lock);
}

void cancel_watch(struct cancel *c, struct cancel_watch *w, void (*fn)(struct cancel_watch *w))
{
	*w = (struct cancel_watch){ .fn = fn };
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	w->at = &c->watches;
	w->next = c->watches;
	if (w->next)
		w->next->at = &w->next;
	c->watches = w;
	if (atomic_load(&c->is_asked))
		fn(w);
	pthread_mutex_unlock(&c->lock);
}

void cancel_unwatch(struct cancel *c, struct cancel_watch *w)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (w->at) {
		*w->at = w->next;
		if (w->next)
			w->next->at = w->at;
		w->at = NULL;
	}
	pthread_mutex_unlock(&c->lock);
}
