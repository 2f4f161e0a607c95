/* registry.c - see registry.h.
 *
 * Invariants   `current` and the report are written under the lock; `version` is that of `current` and is stored after it,
 *              so a reader that finds its own version equal has the newest picture, or one as old as its request.
 *              Replies leave after the picture that contains their change was published. */
#include "registry/registry.h"

#include <stdio.h>

#define TICK_MAX USEC_PER_SEC
#define JUDGE_AT_ONCE 256 /* instances; with more the tick does it */

struct stripe {
	_Alignas(64) _Atomic uint64_t n;
};

/* Posted to its own thread while `posted`; whoever comes last, the letter or the end of listening, frees it. */
struct registry_listener {
	struct mail mail;
	struct list link;
	struct registry *r;
	struct mailbox *mailbox;
	void (*fn)(void *ctx); /* NULL: listens no more; its thread's */
	void *ctx;
	_Atomic bool posted;
};

struct registry {
	/* the writer's */
	struct loop *loop;
	struct mailbox *inbox;
	struct registry_config cfg;
	struct leases leases;
	struct preserve preserve;
	struct rng rng;
	struct logger log;
	struct timer tick;
	usec last_evict;
	usec next_sample;
	uint64_t samples[60]; /* total of renewals, a second apart */
	unsigned n_samples;   /* ever taken */
	struct deferred flush;
	bool flushing, dead; /* dead: to be freed when what is deferred and the last letter have come */
	bool to_serve;       /* from the next picture on, whose changes wait to be published */
	struct op *done_head, **done_tail;
	struct registry_hooks hooks;
	/* everybody's */
	pthread_mutex_t lock; /* guards current, report, the recent rings, the listeners; above mailboxes' locks only */
	struct picture *current;
	struct registry_report report;
	struct recent registered, cancelled;
	struct list listeners;
	uint64_t epoch;
	_Atomic uint64_t version;
	_Atomic uint32_t restored;
	_Atomic uint32_t letters; /* ops on their way to the writer */
	_Atomic bool preserving, doubling, no_delta, ignore_dirty, serving;
	struct stripe renewals[REGISTRY_STRIPES];
};

/* --- reading --- */

const struct picture *registry_see(struct registry *r, struct picture **mine)
{
	struct picture *old = *mine;

	if (old && old->version == atomic_load_explicit(&r->version, memory_order_acquire))
		return old;
	pthread_mutex_lock(&r->lock);
	*mine = picture_ref(r->current);
	pthread_mutex_unlock(&r->lock);
	picture_unref(old);
	return *mine;
}

bool registry_hides_expired(const struct registry *r, bool *doubling)
{
	*doubling = atomic_load_explicit(&r->doubling, memory_order_relaxed);
	return !atomic_load_explicit(&r->preserving, memory_order_relaxed);
}

bool registry_has_delta(const struct registry *r)
{
	return !atomic_load_explicit(&r->no_delta, memory_order_relaxed);
}

bool registry_ignores_dirty(const struct registry *r)
{
	return atomic_load_explicit(&r->ignore_dirty, memory_order_relaxed);
}

uint64_t registry_epoch(const struct registry *r)
{
	return r->epoch;
}

bool registry_serves(const struct registry *r)
{
	return atomic_load_explicit(&r->serving, memory_order_acquire);
}

void registry_set_serving(struct registry *r, bool serving)
{
	r->to_serve = serving;
	if (!r->flushing || !serving)
		atomic_store_explicit(&r->serving, serving, memory_order_release);
}

uint32_t registry_restored(const struct registry *r)
{
	return atomic_load_explicit(&r->restored, memory_order_relaxed);
}

const struct picture *registry_now(const struct registry *r)
{
	return r->leases.p;
}

void registry_count_renewal(struct registry *r, unsigned stripe)
{
	atomic_fetch_add_explicit(&r->renewals[stripe % REGISTRY_STRIPES].n, 1, memory_order_relaxed);
}

void registry_report(struct registry *r, struct registry_report *ret)
{
	pthread_mutex_lock(&r->lock);
	*ret = r->report;
	ret->instances = r->current->n_instances;
	ret->apps = r->current->n_apps;
	pthread_mutex_unlock(&r->lock);
}

void registry_recent(struct registry *r, bool cancelled, void (*fn)(const struct recent_item *it, void *ctx), void *ctx)
{
	const struct recent *ring = cancelled ? &r->cancelled : &r->registered;
	const struct recent_item *it;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; (it = recent_at(ring, i)); i++)
		fn(it, ctx);
	pthread_mutex_unlock(&r->lock);
}

/* --- listening --- */

static void on_news(struct mail *m)
{
	struct registry_listener *l = container_of(m, struct registry_listener, mail);

	if (!l->fn) {
		free(l);
		return;
	}
	atomic_store(&l->posted, false); /* before it looks: what comes from now on is told anew */
	l->fn(l->ctx);
}

struct registry_listener *registry_listen(struct registry *r, struct mailbox *mb, void (*fn)(void *ctx), void *ctx)
{
	struct registry_listener *l = xzalloc(sizeof(*l));

	*l = (struct registry_listener){ .r = r, .mailbox = mb, .fn = fn, .ctx = ctx };
	pthread_mutex_lock(&r->lock);
	list_push_back(&r->listeners, &l->link);
	pthread_mutex_unlock(&r->lock);
	return l;
}

void registry_unlisten(struct registry_listener *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->r->lock);
	list_del(&l->link);
	pthread_mutex_unlock(&l->r->lock);
	l->fn = NULL;
	if (!atomic_load(&l->posted))
		free(l);
}

/* Under the lock, so that nobody stops listening meanwhile. */
static void tell_listeners(struct registry *r)
{
	list_foreach(link, &r->listeners) {
		struct registry_listener *l = list_entry(link, struct registry_listener, link);

		if (!atomic_exchange(&l->posted, true))
			mailbox_post(l->mailbox, &l->mail, on_news); /* its thread has not ended: it would not listen */
	}
}

/* --- publishing --- */

static uint64_t renewals_total(struct registry *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < REGISTRY_STRIPES; i++)
		sum += atomic_load_explicit(&r->renewals[i].n, memory_order_relaxed);
	return sum;
}

static void fill_report(struct registry *r, struct registry_report *rep)
{
	unsigned back = MIN(r->n_samples, 60u);

	rep->preserve = r->preserve.last;
	rep->renewals = renewals_total(r);
	/* the slot to be written next holds the oldest sample once the ring is full */
	rep->renewals_minute = (uint32_t)(rep->renewals - (back < 60 ? 0 : r->samples[r->n_samples % 60]));
	rep->registered = r->leases.registered;
	rep->cancelled = r->leases.cancelled;
	rep->evicted = r->leases.evicted;
	rep->ghosts_ignored = r->leases.ghosts_ignored;
	rep->refused = r->leases.refused;
	rep->judged_at = loop_now(r->loop);
}

static void publish(struct registry *r)
{
	struct picture *old = NULL, *new = r->leases.p;

	pthread_mutex_lock(&r->lock);
	fill_report(r, &r->report);
	if (r->current != r->leases.p) {
		old = r->current;
		r->current = picture_ref(r->leases.p);
		atomic_store_explicit(&r->version, r->current->version, memory_order_release);
		tell_listeners(r);
	}
	pthread_mutex_unlock(&r->lock);
	picture_unref(old);
	if (old && r->hooks.published)
		r->hooks.published(new, r->hooks.published_ctx);
}

/* --- writes --- */

static void note_recent(struct registry *r, struct recent *ring, struct str app, struct str id)
{
	pthread_mutex_lock(&r->lock);
	recent_add(ring, clock_wall(), app, id);
	pthread_mutex_unlock(&r->lock);
}

static void judge(struct registry *r, usec now)
{
	if (preserve_judge(&r->preserve, r->leases.p, r->cfg.leases.doubling, now)) {
		const struct preserve_report *rep = &r->preserve.last;
		char text[PRESERVE_TEXT_MAX];

		preserve_text(rep, text);
		LOG(&r->log, rep->on ? LOG_WARN : LOG_INFO, text, F_INT("clients", rep->clients),
		    F_INT("missing", rep->missing), F_INT("expired", rep->expired));
	}
	atomic_store_explicit(&r->preserving, r->preserve.last.on, memory_order_relaxed);
	atomic_store_explicit(&r->restored, r->preserve.last.restored, memory_order_relaxed);
}

static void on_registered(void *ctx, struct str app, struct str id)
{
	struct registry *r = ctx;

	note_recent(r, &r->registered, app, id);
}

static void on_cancelled(void *ctx, struct str app, struct str id)
{
	struct registry *r = ctx;

	note_recent(r, &r->cancelled, app, id);
}

static void on_renewed(void *ctx)
{
	registry_count_renewal(ctx, 0);
}

static void on_tell(void *ctx, const struct relay *rl)
{
	struct registry *r = ctx;

	if (r->hooks.written)
		r->hooks.written(rl, r->hooks.written_ctx);
}

static void on_reply(struct mail *m)
{
	struct op *op = container_of(m, struct op, mail);

	op->done(op);
}

static void release(struct registry *r)
{
	leases_fini(&r->leases);
	picture_unref(r->current);
	recent_fini(&r->registered);
	recent_fini(&r->cancelled);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void try_release(struct registry *r)
{
	if (r->dead && !r->flushing && !atomic_load(&r->letters))
		release(r);
}

static void flush(struct deferred *d)
{
	struct registry *r = container_of(d, struct registry, flush);
	struct op *next = r->done_head;

	r->flushing = false;
	r->done_head = NULL;
	r->done_tail = &r->done_head;
	if (!r->dead) {
		if (r->leases.p->n_instances <= JUDGE_AT_ONCE)
			judge(r, loop_now(r->loop)); /* so that the page never contradicts itself */
		publish(r);
		atomic_store_explicit(&r->serving, r->to_serve, memory_order_release);
	}
	while (next) {
		struct op *op = next;

		next = op->next;
		if (!mailbox_post(op->reply, &op->mail, on_reply))
			op_free(op); /* its worker has ended, and so has whoever asked */
	}
	try_release(r);
}

static void flush_later(struct registry *r)
{
	if (r->flushing)
		return;
	r->flushing = true;
	loop_defer(r->loop, &r->flush, flush);
}

static void on_op(struct mail *m)
{
	struct op *op = container_of(m, struct op, mail);
	struct registry *r = op->reg;
	const struct op_context c = {
		.now = loop_now(r->loop),
		.wall = clock_wall(),
		.ignore_dirty = r->cfg.ignore_dirty,
		.registered = on_registered,
		.cancelled = on_cancelled,
		.renewed = on_renewed,
		.tell = on_tell,
		.ctx = r,
	};
	struct relay rl;

	atomic_fetch_sub(&r->letters, 1);
	if (r->dead) {
		op_free(op);
		try_release(r);
		return;
	}
	op_apply(op, &r->leases, &c);
	if (r->hooks.written && op_relay(op, r->leases.p, &rl))
		r->hooks.written(&rl, r->hooks.written_ctx);
	op->next = NULL;
	*r->done_tail = op;
	r->done_tail = &op->next;
	flush_later(r);
}

void registry_hook(struct registry *r, const struct registry_hooks *hooks)
{
	r->hooks = *hooks;
}

void registry_restore(struct registry *r, struct entry **all, uint32_t n)
{
	leases_restore(&r->leases, all, n);
	atomic_store(&r->restored, n);
	publish(r);
}

void registry_restore_override(struct registry *r, struct str id, enum inst_status s, usec until)
{
	leases_keep_override(&r->leases, id, s, until);
}

void registry_each_override(const struct registry *r,
			    void (*fn)(struct str id, enum inst_status s, usec left, void *ctx), void *ctx)
{
	leases_each_override(&r->leases, loop_now(r->loop), fn, ctx);
}

void registry_merge(struct registry *r, const struct instance *d)
{
	const struct entry *e = picture_find(r->leases.p, d->app, instance_effective_id(d));
	struct err err;

	if (e && e->inst->dirty >= d->dirty)
		return;
	on_registered(r, d->app, d->id);
	if (leases_register(&r->leases, d, LEASE_REPLICATED, loop_now(r->loop), clock_wall(), &err) < 0)
		LOG(&r->log, LOG_WARN, "a peer's instance is refused", F_STR("app", d->app), F_STR("id", d->id),
		    F_Z("why", err.text));
	flush_later(r);
}

void registry_merge_override(struct registry *r, struct str app, struct str id, enum inst_status s)
{
	leases_store_override(&r->leases, app, id, s, loop_now(r->loop), clock_wall());
	flush_later(r);
}

bool registry_submit(struct registry *r, struct op *op, struct mailbox *reply, void (*done)(struct op *op))
{
	op->reg = r;
	op->reply = reply;
	op->done = done;
	atomic_fetch_add(&r->letters, 1);
	if (mailbox_post(r->inbox, &op->mail, on_op))
		return true;
	atomic_fetch_sub(&r->letters, 1);
	return false;
}

/* --- time --- */

static void on_evict(const struct entry *e, void *ctx)
{
	struct registry *r = ctx;
	const struct instance *in = e->inst;

	note_recent(r, &r->cancelled, in->app, in->id);
	LOG(&r->log, LOG_INFO, "evicted: its lease has expired", F_STR("app", in->app), F_STR("id", in->id),
	    F_INT("leaseSeconds", in->lease.duration_s));
}

static void evict(struct registry *r, usec now)
{
	usec late = now - r->last_evict - r->cfg.evict_interval;

	r->last_evict = now;
	if (r->preserve.last.on)
		return;

	struct leases_evict how = {
		.now = now,
		.late = MAX(late, (usec)0),
		.spared = preserve_spares(&r->preserve),
		.stay = r->cfg.preserve.threshold,
		.wall = clock_wall(),
		.rng = &r->rng,
		.on_evict = on_evict,
		.ctx = r,
	};

	leases_evict(&r->leases, &how);
}

static void on_tick(struct timer *t)
{
	struct registry *r = container_of(t, struct registry, tick);
	usec now = loop_now(r->loop), step = MIN(r->cfg.evict_interval, TICK_MAX);

	judge(r, now);
	if (now >= r->last_evict + r->cfg.evict_interval)
		evict(r, now);
	if (now >= r->next_sample) {
		r->next_sample = now + USEC_PER_SEC;
		r->samples[r->n_samples % 60] = renewals_total(r);
		r->n_samples++;
	}
	leases_tidy(&r->leases, now);
	publish(r);
	timer_set(r->loop, t, now + step);
}

void registry_configure(struct registry *r, const struct registry_config *cfg)
{
	r->cfg = *cfg;
	if (r->cfg.evict_interval <= 0)
		r->cfg.evict_interval = 60 * USEC_PER_SEC;
	leases_configure(&r->leases, &cfg->leases);
	r->preserve.cfg = cfg->preserve;
	atomic_store_explicit(&r->doubling, cfg->leases.doubling, memory_order_relaxed);
	atomic_store_explicit(&r->no_delta, cfg->disable_delta, memory_order_relaxed);
	atomic_store_explicit(&r->ignore_dirty, cfg->ignore_dirty, memory_order_relaxed);
	if (r->tick.fn)
		timer_set(r->loop, &r->tick, loop_now(r->loop) + MIN(r->cfg.evict_interval, TICK_MAX));
}

/* Python's client skips a delta whose version and hash are those of the last one, which may have been another process's; others,
 * as Vine's, take a version that went back for a sign of another process. So each start begins lower than the one before. */
static uint64_t first_delta_version(void)
{
	msec since_2020 = clock_wall() / 1000 - 1577836800;

	return (uint64_t)MAX(((msec)1 << 30) - MAX(since_2020, (msec)0), (msec)1);
}

struct registry *registry_new(struct loop *loop, struct mailbox *inbox, const struct registry_config *cfg, uint64_t seed,
			      const struct logger *log)
{
	/* aligned for its stripes */
	struct registry *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);

	if (!r)
		abort();
	memset(r, 0, sizeof(*r));
	r->loop = loop;
	r->inbox = inbox;
	r->log = *log;
	r->done_tail = &r->done_head;
	rng_seed(&r->rng, seed);
	rng_os(&r->epoch, sizeof(r->epoch));
	list_init(&r->listeners);
	atomic_init(&r->serving, true);
	r->to_serve = true;
	leases_init(&r->leases, &cfg->leases, seed);
	r->leases.p->delta_version = first_delta_version();
	preserve_init(&r->preserve, &cfg->preserve);
	pthread_mutex_init(&r->lock, NULL);
	r->current = picture_ref(r->leases.p);
	atomic_store(&r->version, r->current->version);
	r->last_evict = loop_now(loop);
	timer_init(&r->tick, on_tick);
	registry_configure(r, cfg);
	judge(r, loop_now(loop));
	fill_report(r, &r->report);
	return r;
}

void registry_accept_size(struct registry *r)
{
	usec now = loop_now(r->loop);

	preserve_accept(&r->preserve, now);
	judge(r, now);
	publish(r);
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	timer_cancel(r->loop, &r->tick);
	r->dead = true;
	try_release(r);
}
