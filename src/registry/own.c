/* own.c - see own.h. */
#include "registry/own.h"

struct own {
	struct registry *reg;
	struct loop *loop;
	struct mailbox *mailbox;
	struct timer timer;
	struct instance *inst;
};

static void on_written(struct op *op)
{
	op_free(op); /* full, or not there any more: the next beat sees */
}

static void submit(struct own *o, struct op *op)
{
	if (!registry_submit(o->reg, op, o->mailbox, on_written))
		op_free(op);
}

static void put(struct own *o)
{
	struct op *op = op_new(OP_REGISTER, STR_EMPTY, STR_EMPTY);

	op->inst = instance_ref(o->inst);
	op->flags = LEASE_OWN;
	submit(o, op);
}

static void on_timer(struct timer *t)
{
	struct own *o = container_of(t, struct own, timer);
	const struct renew how = { .app = o->inst->app, .id = o->inst->id };
	struct entry *e;

	if (lease_renew(registry_now(o->reg), &how, loop_now(o->loop), &e) == RENEW_ABSENT)
		put(o);
	else
		registry_count_renewal(o->reg, 0);
	timer_set(o->loop, t, loop_now(o->loop) + (usec)o->inst->lease.renewal_s * USEC_PER_SEC);
}

struct own *own_start(struct registry *reg, struct loop *loop, struct mailbox *mailbox, const struct instance *draft)
{
	struct own *o = xzalloc(sizeof(*o));
	struct instance d = instance_draft_of(draft);
	char *app = str_dup(d.app);

	for (size_t i = 0; i < d.app.len; i++)
		app[i] = ascii_upper(app[i]);
	d.app = str_of(app, d.app.len);
	d.dirty = clock_wall();
	d.id = STR_EMPTY; /* computed anew */
	o->reg = reg;
	o->loop = loop;
	o->mailbox = mailbox;
	o->inst = instance_new(&d);
	free(app);
	timer_init(&o->timer, on_timer);
	put(o);
	timer_set(loop, &o->timer, loop_now(loop) + (usec)o->inst->lease.renewal_s * USEC_PER_SEC);
	return o;
}

void own_leave(struct own *o)
{
	if (!o)
		return;
	timer_park(&o->timer);
	submit(o, op_new(OP_CANCEL, o->inst->app, o->inst->id));
}

void own_free(struct own *o)
{
	if (!o)
		return;
	timer_cancel(o->loop, &o->timer);
	instance_unref(o->inst);
	free(o);
}
