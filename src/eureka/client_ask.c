/* client_ask.c - questions to the registry about ourselves, and overrides of our status. See client_impl.h. */
#include "eureka/client_impl.h"

#include <stdio.h>

#define ASKS_MAX 8

static void ask_free(struct ask *a)
{
	list_del(&a->link);
	a->chain.c->n_asks--;
	chain_fini(&a->chain);
	free(a);
}

static void answer(struct ask *a, const struct eureka_reply *r)
{
	void (*done)(const struct eureka_reply *, void *) = a->done;
	void *ctx = a->ctx;

	a->done = NULL;
	done(r, ctx);
}

static void ask_send(struct chain *ch)
{
	struct ask *a = container_of(ch, struct ask, chain);
	struct eureka_client *c = ch->c;
	_cleanup_(buf_finip) struct buf suffix = BUF_INIT(8192);

	if (!chain_pick(ch))
		return;
	lease_path(&suffix, c->self);
	if (a->question != EUREKA_GET) {
		buf_adds(&suffix, STR("/status?value="));
		/* After a cancellation our own status holds at once, not only from the next heartbeat on. */
		buf_adds(&suffix, inst_status_name(a->question == EUREKA_OVERRIDE ? a->status : (enum inst_status)c->self->status));
		buf_adds(&suffix, STR("&lastDirtyTimestamp="));
		buf_add_i64(&suffix, c->self->dirty);
	}
	chain_request(ch, &(struct request){
		.method = a->question == EUREKA_GET ? HTTP_GET : a->question == EUREKA_OVERRIDE ? HTTP_PUT : HTTP_DELETE,
		.suffix = buf_str(&suffix),
		.max_body = INST_BODY_MAX,
		.plain = true,
	});
}

static bool ask_useful(struct chain *ch, char why[WHY_MAX])
{
	(void)why;
	return ch->f.status < 300 || ch->f.status == 404 || ch->f.status == 400;
}

static void on_ask_over(struct timer *t)
{
	ask_free(container_of(t, struct ask, chain.timer));
}

/* Not at once: the chain is on the stack. */
static void free_soon(struct ask *a)
{
	a->chain.timer.fn = on_ask_over;
	chain_in(&a->chain, 0);
}

static void ask_answered(struct chain *ch)
{
	struct ask *a = container_of(ch, struct ask, chain);
	struct eureka_reply r = { .status = ch->f.status };
	struct instance d;
	struct arena arena;
	struct err e;

	arena_init(&arena, 4096);
	if (a->question == EUREKA_GET && r.status == 200) {
		if (instance_json_decode(&d, ch->f.response, &arena, &e) == 0)
			r.inst = &d;
		else
			r = (struct eureka_reply){ .why = "the registry's answer cannot be read" };
	}
	answer(a, &r);
	arena_fini(&arena);
	free_soon(a);
}

static void ask_failed(struct chain *ch)
{
	struct ask *a = container_of(ch, struct ask, chain);

	ch->lost = false;
	answer(a, &(struct eureka_reply){ .why = ch->c->rep.why });
	free_soon(a);
}

bool eureka_client_ask(struct eureka_client *c, enum eureka_question q, enum inst_status s,
		       void (*done)(const struct eureka_reply *r, void *ctx), void *ctx)
{
	struct ask *a;

	if (!c->self || !c->started || c->leaving || c->n_asks == ASKS_MAX)
		return false;
	a = xzalloc(sizeof(*a));
	chain_init(&a->chain, c);
	a->chain.send = ask_send;
	a->chain.useful = ask_useful;
	a->chain.answered = ask_answered;
	a->chain.failed = ask_failed;
	a->question = q;
	a->status = s;
	a->done = done;
	a->ctx = ctx;
	list_push_back(&c->asks, &a->link);
	c->n_asks++;
	a->chain.send(&a->chain);
	return true;
}

void asks_fini(struct eureka_client *c)
{
	list_foreach(l, &c->asks) {
		struct ask *a = list_entry(l, struct ask, link);

		if (a->done)
			answer(a, &(struct eureka_reply){ .why = "this process ends" });
		ask_free(a);
	}
}
