/* op.c - see op.h. */
#include "registry/op.h"

struct op *op_new(enum op_kind kind, struct str app, struct str id)
{
	struct op *op = xzalloc(sizeof(*op));

	op->kind = kind;
	op->status = INST_UNKNOWN;
	arena_init(&op->arena, 256);
	op->app = str_dup_in(&op->arena, app);
	op->id = str_dup_in(&op->arena, id);
	return op;
}

void op_free(struct op *op)
{
	if (!op)
		return;
	instance_unref(op->inst);
	for (uint32_t i = 0; op->answer && i < op->batch.n; i++)
		instance_unref(op->answer[i].inst);
	batch_fini(&op->batch);
	arena_fini(&op->arena);
	free(op);
}

/* --- a peer's batch, item by item, each on what those before it have made --- */

static unsigned status_of(int result)
{
	return result == 0 ? 200 : result == VINE_ENOTFOUND ? 404 : result == VINE_ELIMIT ? 503 : 400;
}

/* Netflix's server takes our instance from the 409, but keeps its override, and would go on to tell of it. */
static void tell_end(const struct entry *e, const struct op_context *c)
{
	c->tell(c->ctx, &(struct relay){ .action = BATCH_DELETE_OVERRIDE,
					 .app = e->inst->app,
					 .id = e->inst->id,
					 .dirty = e->inst->dirty,
					 .status = (enum inst_status)e->inst->status,
					 .entry = e });
}

static void heartbeat(const struct batch_item *it, struct leases *l, const struct op_context *c,
		      struct batch_answer *an)
{
	const struct renew how = { it->app, it->id, c->ignore_dirty ? 0 : it->dirty, true };
	struct entry *e;
	enum renewal r = lease_renew(l->p, &how, c->now, &e);

	if (r != RENEW_ABSENT)
		c->renewed(c->ctx);
	if (r == RENEW_OUTDATED && it->overridden != INST_UNKNOWN)
		leases_store_override(l, it->app, it->id, (enum inst_status)it->overridden, c->now, c->wall);
	if (r == RENEWED && it->dirty) {
		const struct heard h = { it->app, it->id, it->dirty, (enum inst_status)it->overridden,
					 (enum inst_status)it->status };

		leases_hear_override(l, &h, c->now, c->wall);
	}
	if (r == RENEW_CONFLICT) {
		struct instance d = entry_draft(e, c->now, c->wall);

		an->inst = instance_new(&d);
		if (it->overridden != INST_UNKNOWN && d.overridden == INST_UNKNOWN)
			tell_end(e, c);
	}
	an->status = r == RENEWED ? 200 : r == RENEW_CONFLICT ? 409 : 404;
}

static int take_instance(const struct batch_item *it, struct leases *l, const struct op_context *c)
{
	struct instance d = instance_draft_of(it->inst);
	struct err e;
	int r = instance_check(&d, it->app, &e);

	if (r < 0)
		return r;
	if (!d.dirty)
		d.dirty = it->dirty ? it->dirty : c->wall;
	c->registered(c->ctx, d.app, d.id);
	return leases_register(l, &d, LEASE_REPLICATED, c->now, c->wall, &e);
}

static void apply_item(const struct batch_item *it, struct leases *l, const struct op_context *c,
		       struct batch_answer *an)
{
	enum inst_status s = (enum inst_status)it->status;

	if (it->wrong) {
		an->status = 400;
		return;
	}
	switch (it->action) {
	case BATCH_NONE: break; /* is wrong */
	case BATCH_HEARTBEAT: heartbeat(it, l, c, an); break;
	case BATCH_REGISTER: an->status = status_of(take_instance(it, l, c)); break;
	case BATCH_CANCEL:
		c->cancelled(c->ctx, it->app, it->id);
		an->status = status_of(leases_cancel(l, it->app, it->id, it->dirty, c->now, c->wall));
		break;
	case BATCH_STATUS_UPDATE:
		an->status = s == INST_UNKNOWN ? 400
					       : status_of(leases_set_status(l, it->app, it->id, s, it->dirty,
									     LEASE_REPLICATED, c->now, c->wall));
		break;
	case BATCH_DELETE_OVERRIDE:
		an->status = status_of(
			leases_clear_status(l, it->app, it->id, s, it->dirty, LEASE_REPLICATED, c->now, c->wall));
		break;
	}
}

/* The peers are told which registration was meant, so that none of them takes away a newer one. */
static void cancel(struct op *op, struct leases *l, const struct op_context *c)
{
	const struct entry *e = picture_find(l->p, op->app, op->id);
	msec had = e ? e->inst->dirty : 0;

	c->cancelled(c->ctx, op->app, op->id);
	op->result = leases_cancel(l, op->app, op->id, op->dirty, c->now, c->wall);
	op->dirty = had;
}

void op_apply(struct op *op, struct leases *l, const struct op_context *c)
{
	switch (op->kind) {
	case OP_REGISTER:
		c->registered(c->ctx, op->inst->app, op->inst->id);
		op->result = leases_register(l, op->inst, op->flags, c->now, c->wall, &op->err);
		break;
	case OP_CANCEL: cancel(op, l, c); break;
	case OP_SET_STATUS:
		op->result = leases_set_status(l, op->app, op->id, op->status, op->dirty, op->flags, c->now, c->wall);
		break;
	case OP_CLEAR_STATUS:
		op->result = leases_clear_status(l, op->app, op->id, op->status, op->dirty, op->flags, c->now, c->wall);
		break;
	case OP_STORE_OVERRIDE:
		op->result = leases_store_override(l, op->app, op->id, op->status, c->now, c->wall);
		break;
	case OP_METADATA:
		op->result = leases_merge_metadata(l, op->app, op->id, op->kv, op->n_kv, c->now, c->wall, &op->err);
		break;
	case OP_BATCH:
		for (uint32_t i = 0; i < op->batch.n; i++)
			apply_item(&op->batch.item[i], l, c, &op->answer[i]);
		break;
	}
}

bool op_relay(const struct op *op, const struct picture *p, struct relay *ret)
{
	struct str app = op->inst ? op->inst->app : op->app, id = op->inst ? op->inst->id : op->id;

	if (op->result != 0 || op->flags & LEASE_REPLICATED || op->kind == OP_BATCH || op->kind == OP_STORE_OVERRIDE)
		return false;
	*ret = (struct relay){
		.action = BATCH_CANCEL, .app = app, .id = id, .dirty = op->dirty, .status = INST_UNKNOWN
	};
	if (op->kind == OP_CANCEL)
		return true;
	ret->entry = picture_find(p, app, id);
	if (!ret->entry)
		return false; /* a ghost */
	ret->dirty = ret->entry->inst->dirty;
	ret->status = (enum inst_status)ret->entry->inst->status;
	ret->action = op->kind == OP_SET_STATUS     ? BATCH_STATUS_UPDATE
		      : op->kind == OP_CLEAR_STATUS ? BATCH_DELETE_OVERRIDE
						    : BATCH_REGISTER;
	if (op->kind == OP_SET_STATUS)
		ret->status = op->status;
	return true;
}
