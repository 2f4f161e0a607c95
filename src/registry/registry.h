/* registry.h - the one writer, the picture that all threads read, and what happens as time passes.
 *
 * Writes come as ops by mailbox to the writer's loop (the control thread). It applies all that came in a turn, publishes one
 * picture, and only then answers them: whoever was told "done" finds its change in the next picture it looks at, on any
 * worker. Readers look by registry_see, which costs one atomic load while nothing changed; who wants to be told listens.
 *
 * Threads   registry_see, _submit, _count_renewal, _report, _recent, _listen, _unlisten and the questions: any. An op's done
 *           runs on the loop of its reply mailbox, a listener's fn on that of its own. Everything else: the writer's. */
#pragma once
#include <pthread.h>

#include "base/log.h"
#include "net/mailbox.h"
#include "registry/op.h"
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
/* The workers have ended; what they have still submitted is not done. Run one more turn before loop_free. */
void registry_free(struct registry *r);

/* What others of the writer's thread do with what happens; set before anything is served. */
struct registry_hooks {
	void (*written)(const struct relay *rl, void *ctx); /* a client's own write took effect: for the peers */
	void *written_ctx;
	void (*published)(struct picture *p, void *ctx);    /* there is a new picture; ref it to keep it */
	void *published_ctx;
};
void registry_hook(struct registry *r, const struct registry_hooks *hooks);
/* What a snapshot held; before anything is served. Takes the entries. */
void registry_restore(struct registry *r, struct entry **all, uint32_t n);
void registry_restore_override(struct registry *r, struct str id, enum inst_status s, usec until);
/* Overrides of instances that are gone, and for how long they are kept. */
void registry_each_override(const struct registry *r,
			    void (*fn)(struct str id, enum inst_status s, usec left, void *ctx), void *ctx);
/* A peer's instance, as one of its batch; published at the end of the turn. What is here and not older stays. */
void registry_merge(struct registry *r, const struct instance *draft);
void registry_merge_override(struct registry *r, struct str app, struct str id, enum inst_status s);
/* The writer's own picture; borrowed until the turn's next write. */
const struct picture *registry_now(const struct registry *r);

/* Drawn at each start: versions of pictures mean something within one epoch. */
uint64_t registry_epoch(const struct registry *r);
/* Are lists given? Not before the peers were asked at the start; until then those who ask keep what they have. What was merged
 * in the turn in which they begin to be given is in them. */
void registry_set_serving(struct registry *r, bool serving);
bool registry_serves(const struct registry *r);
/* Leases from the snapshot whose clients have not been heard of since the start. */
uint32_t registry_restored(const struct registry *r);

/* The newest picture. *mine is the caller's own reference, which is swapped if there is a newer one; it starts as NULL and
 * is released by picture_unref. The result is borrowed from *mine. */
const struct picture *registry_see(struct registry *r, struct picture **mine);
/* Which leases are over, by the settings; false while self-preservation holds them. */
bool registry_hides_expired(const struct registry *r, bool *doubling);
bool registry_has_delta(const struct registry *r);
bool registry_ignores_dirty(const struct registry *r);

/* fn(ctx) on mb's loop after there were new pictures; once for many. */
struct registry_listener;
struct registry_listener *registry_listen(struct registry *r, struct mailbox *mb, void (*fn)(void *ctx), void *ctx);
void registry_unlisten(struct registry_listener *l); /* on mb's thread: fn is not called any more; NULL is fine */

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

/* Takes op until its done. false: the process ends; op is still the caller's. */
bool registry_submit(struct registry *r, struct op *op, struct mailbox *reply, void (*done)(struct op *op));
