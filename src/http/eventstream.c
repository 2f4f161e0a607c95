/* eventstream.c - see eventstream.h. */
#include "http/eventstream.h"

#include "http/router.h"

#define BEHIND_MAX (1024u * 1024) /* bytes that may wait for a reader; one that has more waiting is left out */
#define ROUND_MAX (256u << 20)

struct reader {
	struct exchange *ex;
	struct event_hub *hub;
	struct list link;
	usec delay; /* 0: none asked for */
	usec due;   /* the next events, if there is a delay */
};

void event_hub_init(struct event_hub *h, struct loop *loop, _Atomic unsigned *open, const struct event_hub_ops *ops,
		    void *ctx)
{
	*h = (struct event_hub){ .ops = ops, .ctx = ctx, .loop = loop, .open = open };
	list_init(&h->readers);
}

/* --- rounds --- */

static bool is_due(const struct reader *r, usec now)
{
	return !r->delay || now >= r->due;
}

static void give(struct reader *r, struct str bytes)
{
	if (ex_pending(r->ex) < BEHIND_MAX)
		ex_write(r->ex, bytes);
}

static void give_events(struct reader *r, struct str events, usec now)
{
	usec next = r->due + r->delay;

	/* From when it was due, not from now: the rounds' own delay must not add up. */
	r->due = next > now ? next : now + r->delay;
	give(r, events);
}

static bool anybody_due(const struct event_hub *h, usec now)
{
	list_foreach(l, &h->readers)
	{
		if (is_due(list_entry(l, struct reader, link), now))
			return true;
	}
	return false;
}

static void one_round(struct event_hub *h, usec now)
{
	struct buf events = BUF_INIT(ROUND_MAX);
	struct str ping = str_from(h->ops->ping);

	if (h->ops->write && anybody_due(h, now))
		h->ops->write(h->ctx, &events);
	buf_adds(&events, ping);
	list_foreach(l, &h->readers)
	{
		struct reader *r = list_entry(l, struct reader, link);

		if (h->ops->write && is_due(r, now) && !events.failed)
			give_events(r, buf_str(&events), now);
		else
			give(r, ping);
	}
	buf_fini(&events);
}

static usec next_round(const struct event_hub *h, usec now)
{
	usec next = now + h->ops->interval(h->ctx);

	if (!h->ops->write)
		return next;
	list_foreach(l, &h->readers)
	{
		const struct reader *r = list_entry(l, struct reader, link);

		if (r->delay)
			next = MIN(next, MAX(r->due, now + EVENTSTREAM_DELAY_MIN));
	}
	return next;
}

static void on_timer(struct timer *t)
{
	struct event_hub *h = container_of(t, struct event_hub, timer);
	usec now = loop_now(h->loop);

	if (list_is_empty(&h->readers))
		return;
	one_round(h, now);
	if (!list_is_empty(&h->readers)) /* a write may have found that its reader had gone */
		timer_set(h->loop, t, next_round(h, now));
}

void event_hub_push(struct event_hub *h, struct str events, bool is_whole)
{
	usec now = loop_now(h->loop);

	list_foreach(l, &h->readers)
	{
		struct reader *r = list_entry(l, struct reader, link);

		if (!r->delay || (is_whole && is_due(r, now)))
			give_events(r, events, now);
	}
}

/* --- readers --- */

static void on_close(struct exchange *ex)
{
	struct reader *r = ex->user;
	struct event_hub *h = r->hub;

	list_del(&r->link);
	atomic_fetch_sub(h->open, 1);
	if (h->is_over || !list_is_empty(&h->readers))
		return;
	timer_cancel(h->loop, &h->timer);
	if (h->ops->watched)
		h->ops->watched(h->ctx, false);
}

static const struct exchange_ops reader_ops = { .on_close = on_close };

static bool take_place(struct event_hub *h, int64_t max)
{
	if ((int64_t)atomic_fetch_add(h->open, 1) < max)
		return true;
	atomic_fetch_sub(h->open, 1);
	return false;
}

/* What is no number is ignored, as Hystrix did. */
static usec delay_of(struct exchange *ex)
{
	struct str text;
	uint64_t ms;

	if (!ex_query(ex, STR("delay"), &text) || !str_to_u64(text, &ms) || ms == 0)
		return 0;
	ms = MIN(ms, (uint64_t)(EVENTSTREAM_DELAY_MAX / USEC_PER_MSEC));
	return MAX((usec)ms * USEC_PER_MSEC, EVENTSTREAM_DELAY_MIN);
}

static void begin(struct exchange *ex)
{
	struct buf *b = ex_head(ex, 200);

	head_add(b, STR("Content-Type"), STR("text/event-stream;charset=UTF-8"));
	head_add(b, STR("Cache-Control"), STR("no-cache, no-store, max-age=0, must-revalidate"));
	head_add(b, STR("Pragma"), STR("no-cache"));
	ex_head_done(ex, EX_LENGTH_UNKNOWN);
}

static void add_reader(struct event_hub *h, struct exchange *ex)
{
	struct reader *r = arena_zalloc(&ex->arena, sizeof(*r));
	usec now = loop_now(h->loop);
	bool is_first = list_is_empty(&h->readers);

	*r = (struct reader){ .ex = ex, .hub = h, .delay = delay_of(ex), .due = now };
	ex->user = r;
	ex->ops = &reader_ops;
	list_push_back(&h->readers, &r->link);
	begin(ex);
	if (is_first)
		timer_init(&h->timer, on_timer);
	/* Who comes later waits a little, so that many who come and go do not make a round each. */
	timer_set(h->loop, &h->timer, is_first ? now : MIN(h->timer.at, now + EVENTSTREAM_DELAY_MIN));
	if (h->ops->watched)
		h->ops->watched(h->ctx, true);
}

void event_hub_add(struct event_hub *h, struct exchange *ex, int64_t max)
{
	if (h->is_over) {
		ex_respond_text(ex, 503, STR("Service has been shut down.\n"));
	} else if (ex->req.mid == HTTP_HEAD) {
		begin(ex);
		ex_end(ex);
	} else if (!take_place(h, max)) {
		ex_respond_text(ex, 503,
				str_printf_in(&ex->arena, "MaxConcurrentConnections reached: %lld\n", (long long)max));
	} else {
		add_reader(h, ex);
	}
}

void event_hub_end(struct event_hub *h)
{
	if (!h->ops || h->is_over)
		return;
	h->is_over = true;
	timer_cancel(h->loop, &h->timer);
	list_foreach(l, &h->readers) ex_end(list_entry(l, struct reader, link)->ex);
}
