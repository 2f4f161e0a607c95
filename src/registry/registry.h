/* registry.h - the one writer, the picture that all threads read, and what happens as time passes.
 *
 * Writes come as ops by mailbox to the writer's loop (the control thread). It applies all that came in a turn, publishes one
 * picture, and only then answers them: whoever was told "done" finds its change in the next picture it looks at, on any
 * worker. Readers look by registry_see, which costs one atomic load while nothing changed.
 *
 * Threads   registry_new, _configure, _accept_size, _free: the writer's. registry_see, _submit, _count_renewal, _report, _recent:
 *           any. An op's done runs on the loop of its reply mailbox. */
#pragma once
#include <pthread.h>

#include "base/log.h"
#include "net/mailbox.h"
#include "registry/leases.h"
#include "registry/preserve.h"
#include "registry/recent.h"

struct registry;

struct registry_config {
	struct leases_config leases;
	struct preserve_config preserve;
	usec evict_interval; /* eureka.server.eviction-interval-timer-in-ms; 0: 60 s */
	bool disable_delta;
	bool ignore_dirty;   /* eureka.server.sync-when-timestamp-differs=false */
};

struct registry *registry_new(struct loop *loop, struct mailbox *inbox, const struct registry_config *cfg, uint64_t seed,
			      const struct logger *log);
void registry_configure(struct registry *r, const struct registry_config *cfg);
void registry_accept_size(struct registry *r); /* see preserve_accept */
void registry_free(struct registry *r); /* the workers have ended; run one more turn before loop_free */

/* The newest picture. *mine is the caller's own reference, which is swapped if there is a newer one; it starts as NULL and
 * is released by picture_unref. The result is borrowed from *mine. */
const struct picture *registry_see(struct registry *r, struct picture **mine);
/* Which leases are over, by the settings; false while self-preservation holds them. */
bool registry_hides_expired(const struct registry *r, bool *doubling);
bool registry_has_delta(const struct registry *r);
bool registry_ignores_dirty(const struct registry *r);

#define REGISTRY_STRIPES 64
void registry_count_renewal(struct registry *r, unsigned stripe);

struct registry_report {
	struct preserve_report preserve;
	uint64_t renewals;         /* since the start */
	uint32_t renewals_minute;  /* in the last sixty seconds */
	uint64_t registered, cancelled, evicted, ghosts_ignored, refused;
	uint32_t instances, apps;
	usec judged_at;
};
void registry_report(struct registry *r, struct registry_report *ret);
/* Calls fn for each of the last registered (cancelled) leases, newest first, under the registry's lock: fn is short. */
void registry_recent(struct registry *r, bool cancelled, void (*fn)(const struct recent_item *it, void *ctx), void *ctx);

enum op_kind { OP_REGISTER, OP_CANCEL, OP_SET_STATUS, OP_CLEAR_STATUS, OP_STORE_OVERRIDE, OP_METADATA };

/* One write. Made by op_new, given to registry_submit, and freed by whoever its done belongs to. */
struct op {
	struct mail mail;
	struct op *next;
	struct registry *reg;
	enum op_kind kind;
	unsigned flags;         /* enum lease_flags */
	struct instance *inst;  /* OP_REGISTER; the op's own reference */
	struct str app, id;     /* in the op's arena, as everything that kv holds */
	enum inst_status status;
	msec dirty;
	struct kv *kv;
	size_t n_kv;
	struct arena arena;
	int result; /* 0, VINE_ENOTFOUND, VINE_ELIMIT */
	struct err err;
	struct mailbox *reply;
	void (*done)(struct op *op);
	void *user;
};

struct op *op_new(enum op_kind kind, struct str app, struct str id); /* copies both */
void op_free(struct op *op);
/* Takes op until its done. false: the process ends; op is still the caller's. */
bool registry_submit(struct registry *r, struct op *op, struct mailbox *reply, void (*done)(struct op *op));
