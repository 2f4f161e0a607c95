/* op.h - one write to the registry, as a letter to the writer and back; and what it does.
 *
 * Made by op_new, given to registry_submit, and freed by whoever its done belongs to. All that it holds is its own.
 * Threads   One at a time. op_apply: the writer's. */
#pragma once
#include "eureka/batch.h"
#include "net/mailbox.h"
#include "registry/leases.h"

struct registry;

enum op_kind {
	OP_REGISTER,
	OP_CANCEL,
	OP_SET_STATUS,
	OP_CLEAR_STATUS,
	OP_STORE_OVERRIDE,
	OP_METADATA,
	OP_BATCH, /* a peer's */
};

struct op {
	struct mail mail;
	struct op *next;
	struct registry *reg;
	enum op_kind kind;
	unsigned flags;         /* enum lease_flags */
	struct instance *inst;  /* OP_REGISTER; the op's own reference */
	struct str app, id;     /* in the op's arena, as everything that kv and batch hold */
	enum inst_status status;
	msec dirty;
	struct kv *kv;
	size_t n_kv;
	struct batch batch;          /* OP_BATCH */
	struct batch_answer *answer; /* room for batch.n; their instances are the op's */
	struct arena arena;
	int result; /* 0, VINE_ENOTFOUND, VINE_ELIMIT */
	struct err err;
	struct mailbox *reply;
	void (*done)(struct op *op);
	void *user;
};

struct op *op_new(enum op_kind kind, struct str app, struct str id); /* copies both */
void op_free(struct op *op);

/* What the peers have to be told. */
struct relay {
	enum batch_action action;
	struct str app, id;
	msec dirty;
	enum inst_status status;
	const struct entry *entry; /* as it is now; NULL for BATCH_CANCEL */
};

/* What an op needs besides the leases. */
struct op_context {
	usec now;
	msec wall;
	bool ignore_dirty;
	void (*registered)(void *ctx, struct str app, struct str id); /* for the lists of recent leases */
	void (*cancelled)(void *ctx, struct str app, struct str id);
	void (*renewed)(void *ctx);
	void (*tell)(void *ctx, const struct relay *rl); /* the peers, besides what op_relay says; spans are borrowed */
	void *ctx;
};
void op_apply(struct op *op, struct leases *l, const struct op_context *c);

/* Of an op that took effect, spans borrowed from it and from the picture. false: nothing. */
bool op_relay(const struct op *op, const struct picture *p, struct relay *ret);
