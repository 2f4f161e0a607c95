/* slot.c - see slot.h. */
#include "gateway/slot.h"

#include "gateway/gateway.h"

struct gw_slot {
	struct pool_wait wait;
	struct mail mail;
	struct worker *w; /* which outlives the role's part of it */
	struct pool *pool;
	struct pool_settings settings; /* a copy: it may outlive the request and its picture */
	void (*granted)(void *owner);
	void *owner;  /* NULL: the request has ended */
	bool is_told; /* that it runs; else, once granted, a letter is on its way */
};

static void slot_free(struct gw_slot *s)
{
	pool_unref(s->pool);
	free(s);
}

static void pass_on(struct gw_slot *s, usec now)
{
	struct pool_wait *next = pool_leave(s->pool, &s->settings, &s->wait, now);

	pool_wake_all(next);
	slot_free(s);
}

/* On the request's worker. */
static void on_letter(struct mail *m)
{
	struct gw_slot *s = container_of(m, struct gw_slot, mail);

	s->is_told = true;
	if (s->owner)
		s->granted(s->owner);
	else
		pass_on(s, clock_mono());
}

/* On the thread of whoever freed the slot. A worker that ends closes its requests before its mailbox: then the slot has no
 * owner any more. */
static void wake(struct pool_wait *w)
{
	struct gw_slot *s = container_of(w, struct gw_slot, wait);

	if (!mailbox_post(&s->w->mailbox, &s->mail, on_letter))
		pass_on(s, clock_mono());
}

enum pool_answer gw_slot_take(struct gw_slot **ret, struct gw_worker *g, struct pool *pool, const struct pool_settings *ps,
			      void (*granted)(void *owner), void *owner)
{
	struct gw_slot *s = xzalloc(sizeof(*s));
	struct pool_wait *others;
	enum pool_answer a;

	*s = (struct gw_slot){
		.wait.wake = wake,
		.w = g->w,
		.pool = pool_ref(pool),
		.settings = *ps,
		.granted = granted,
		.owner = owner,
	};
	a = pool_enter(pool, ps, &s->wait, loop_now(g->w->loop), &others);
	pool_wake_all(others);
	s->is_told = a == POOL_RUN;
	if (a == POOL_REJECTED)
		slot_free(s);
	else
		*ret = s;
	return a;
}

void gw_slot_leave(struct gw_slot *s, bool executed)
{
	usec now = loop_now(s->w->loop);

	if (executed)
		pool_note_executed(s->pool, &s->settings, now);
	/* Still waiting: out of the queue. Granted, and the letter on its way: it finds no owner. */
	if (pool_withdraw(s->pool, &s->wait)) {
		slot_free(s);
		return;
	}
	if (!s->is_told)
		s->owner = NULL;
	else
		pass_on(s, now);
}
