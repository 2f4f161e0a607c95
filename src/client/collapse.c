/* collapse.c - see collapse.h.
 *
 * Invariants   A call waits in the scope (its item), or for an equal one of its request (its wait), or `is_done`. Whoever
 *              answers the item ends the entry in the request's cache as well, so that no duplicate depends on the thread that
 *              has started the first. */
#include "client/collapse.h"

/* How a call ended, as the request remembers it. */
struct answer_kept {
	struct shared shared;
	struct shared *answer;
	struct err err;
};

struct collapse_call {
	struct collapse_spec spec;
	struct collapser_settings settings;
	struct run_spec batch;
	struct flow_request *rq; /* a reference */
	struct collapse_scope *scope;
	struct collapse_item item;
	struct cache_wait wait;
	struct cache_entry *entry; /* that this call is to end */
	bool is_duplicate;         /* it waits for an equal one */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_done;             /* guarded by the lock */
	struct answer_kept *kept; /* how; NULL: the equal one has no answer */
};

/* --- answers --- */

static void kept_free(struct shared *s)
{
	struct answer_kept *k = container_of(s, struct answer_kept, shared);

	shared_unref(k->answer);
	free(k);
}

/* Takes the answer. */
static struct answer_kept *kept_new(struct shared *answer, const struct err *why)
{
	struct answer_kept *k = xzalloc(sizeof(*k));

	shared_init(&k->shared, kept_free);
	k->answer = answer;
	if (why)
		k->err = *why;
	return k;
}

/* Signalled under the lock: the call may be gone as soon as it is released. */
static void set_done(struct collapse_call *c, struct answer_kept *k)
{
	pthread_mutex_lock(&c->lock);
	c->kept = k;
	c->is_done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void on_done(struct collapse_item *it, struct shared *answer, const struct err *why)
{
	struct collapse_call *c = container_of(it, struct collapse_call, item);
	struct answer_kept *k = kept_new(answer, why);

	if (c->entry)
		request_cache_end(c->rq, TAKE(c->entry), &k->shared);
	set_done(c, k);
}

static void on_kept(struct cache_wait *cw, struct shared *result)
{
	set_done(container_of(cw, struct collapse_call, wait), result ? container_of(result, struct answer_kept, shared) : NULL);
}

static bool wait_until(struct collapse_call *c, usec at)
{
	struct timespec ts = { .tv_sec = (time_t)(at / USEC_PER_SEC), .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };
	int e = 0;
	bool is_done;

	pthread_mutex_lock(&c->lock);
	while (!c->is_done && e == 0)
		e = at == USEC_NEVER ? pthread_cond_wait(&c->cond, &c->lock) : pthread_cond_timedwait(&c->cond, &c->lock, &ts);
	is_done = c->is_done;
	pthread_mutex_unlock(&c->lock);
	return is_done;
}

/* --- the batch as a command, or as several --- */

static void end_batch(void *batch)
{
	batch_end(batch);
}

/* A batch of many requests is nobody's in particular: it runs in an empty context, so that the deadline, the trace or the
 * cancelled request of whoever happens to take it away does not decide for the others. */
static struct run *start_for_all(const struct run_spec *batch)
{
	struct context *previous = context_enter(context_copy(NULL));
	struct run *r = run_start(batch);

	context_leave(previous);
	return r;
}

static struct run *start_batch(const struct collapse_call *c, struct collapse_batch *b)
{
	bool is_global = c->spec.scope;
	struct run_spec batch = c->batch;

	b->owner = c->spec.owner;
	batch.arg = b;
	batch.free_arg = end_batch;
	batch.request = is_global ? NULL : c->rq; /* which a batch under way keeps: its scope lives there */
	batch_count(b, batch.command, batch.settings, (unsigned)((uintptr_t)b >> 6), clock_mono());
	return is_global ? start_for_all(&batch) : run_start(&batch);
}

static void await_batch(struct run *r, struct collapse_batch *b)
{
	struct run_result res;

	if (run_wait(r, &res) < 0)
		batch_refuse(b, &res.err);
	shared_unref(res.result);
	run_unref(r);
}

static void run_batch(const struct collapse_call *c, struct collapse_batch *b)
{
	uint32_t n = c->spec.shard_of ? MIN(MAX(c->spec.shards, 1u), (uint32_t)COLLAPSE_SHARDS_MAX) : 1;
	struct collapse_batch *part[COLLAPSE_SHARDS_MAX] = { b };
	struct run *run[COLLAPSE_SHARDS_MAX];

	if (n > 1)
		batch_shard(b, n, c->spec.shard_of, c->spec.owner, part);
	for (uint32_t i = 0; i < n; i++)
		run[i] = part[i] ? start_batch(c, part[i]) : NULL;
	for (uint32_t i = 0; i < n; i++)
		if (run[i])
			await_batch(run[i], part[i]);
}

/* --- starting --- */

static struct collapse_call *call_new(const struct collapse_spec *spec, struct flow_request *rq, struct collapse_scope *s)
{
	struct collapse_call *c = xzalloc(sizeof(*c));
	pthread_condattr_t attr;

	c->spec = *spec;
	c->settings = *spec->settings;
	c->batch = *spec->batch;
	shared_ref(spec->arg);
	shared_ref(c->batch.holder);
	c->rq = flow_request_ref(rq);
	c->scope = s;
	c->item = (struct collapse_item){ .key = spec->key, .arg = spec->arg, .done = on_done };
	c->wait.wake = on_kept;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

/* It waits nowhere any more. */
static void call_free(struct collapse_call *c)
{
	if (c->entry)
		request_cache_end(c->rq, TAKE(c->entry), NULL); /* that our own time was over is nothing to share */
	if (c->kept)
		shared_unref(&c->kept->shared);
	shared_unref(c->spec.arg);
	shared_unref(c->batch.holder);
	flow_request_unref(c->rq);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void gather(struct collapse_call *c)
{
	struct collapse_batch *full = NULL;
	struct err why;

	switch (collapse_add(c->scope, &c->settings, &c->item, clock_mono(), &full)) {
	case COLLAPSE_REFUSED:
		err_set(&why, VINE_EINVAL, "%.*s: an equal argument waits already, and requestCache.enabled is false",
			STRF(c->spec.collapser->id.key));
		set_done(c, kept_new(NULL, &why));
		break;
	case COLLAPSE_FULL:
		run_batch(c, full);
		break;
	case COLLAPSE_GATHERED:
	case COLLAPSE_JOINED:
		break;
	}
}

/* Where an equal one of this request waits or has its answer, there is nothing to gather. */
static void ask_request(struct collapse_call *c)
{
	struct cache_key key = { CACHE_OF_COLLAPSER, c->spec.collapser->id.key, c->spec.key };
	struct shared *there = NULL;

	c->is_duplicate = true; /* said beforehand: it may be woken before the answer is here */
	switch (request_cache_begin(c->rq, c->settings.request_cache, &key, &c->wait, &c->entry, &there)) {
	case CACHE_READY:
		set_done(c, container_of(there, struct answer_kept, shared));
		break;
	case CACHE_WAIT:
		break;
	case CACHE_RUN:
	case CACHE_NONE:
		c->is_duplicate = false;
		gather(c);
		break;
	}
}

int collapse_start(const struct collapse_spec *spec, struct collapse_call **ret, struct err *e)
{
	const struct context *cx = context_now();
	struct flow_request *rq = spec->request ? spec->request : cx ? cx->request : NULL;
	struct collapse_scope *s = spec->scope;

	if (!s && !rq)
		return err_set(e, VINE_EINVAL, "%.*s gathers within a request, and there is none", STRF(spec->collapser->id.key));
	if (!s)
		s = collapse_scope_of(rq, spec->collapser, clock_mono());
	if (!s)
		return err_set(e, VINE_ELIMIT, "more than %d collapsers in one request", REQUEST_PARTS_MAX);
	*ret = call_new(spec, rq, s);
	ask_request(*ret);
	return 0;
}

/* --- waiting --- */

/* It need not be answered any more. false: it is just being. */
static bool withdraw(struct collapse_call *c)
{
	return c->is_duplicate ? request_cache_withdraw(c->rq, &c->wait) : collapse_withdraw(c->scope, &c->item);
}

/* Until it is done (true), or its time is over. Who waits for an equal one keeps the time of that one's batch as well. */
static bool wait_for_answer(struct collapse_call *c)
{
	const struct collapse_item *it = c->is_duplicate ? NULL : &c->item;

	for (;;) {
		usec now = clock_mono(), due = collapse_due(c->scope, &c->settings, it, now);
		struct collapse_batch *b;

		if (wait_until(c, MIN(due, c->spec.deadline.at)))
			return true;
		now = clock_mono();
		if (deadline_is_over(c->spec.deadline, now)) {
			if (withdraw(c))
				return false;
			return wait_until(c, USEC_NEVER);
		}
		b = now >= due ? collapse_tick(c->scope, &c->settings, it, now) : NULL;
		if (b)
			run_batch(c, b);
	}
}

/* true: the equal one has no answer after all, so this one is gathered itself. */
static bool is_left_alone(struct collapse_call *c)
{
	if (!c->is_duplicate || c->kept)
		return false;
	c->is_duplicate = c->is_done = false;
	gather(c);
	return true;
}

int collapse_wait(struct collapse_call *c, struct shared **ret, struct err *e)
{
	bool is_done;
	int code = 0;

	do
		is_done = wait_for_answer(c);
	while (is_done && is_left_alone(c));
	if (!is_done)
		code = err_set(e, VINE_ETIMEOUT, "%.*s: no answer in time", STRF(c->spec.collapser->id.key));
	else if (!c->kept->answer)
		code = err_set(e, c->kept->err.code, "%s", c->kept->err.text);
	else
		*ret = shared_ref(c->kept->answer);
	if (is_done && c->is_duplicate)
		collapser_note_cached(c->spec.collapser, &c->settings, clock_mono());
	call_free(c);
	return code;
}

void collapse_drop(struct collapse_call *c)
{
	if (!wait_until(c, 0) && !withdraw(c))
		wait_until(c, USEC_NEVER);
	call_free(c);
}

int collapse_call(const struct collapse_spec *spec, struct shared **ret, struct err *e)
{
	struct collapse_call *c;
	int code = collapse_start(spec, &c, e);

	return code < 0 ? code : collapse_wait(c, ret, e);
}
