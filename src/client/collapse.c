/* collapse.c - see collapse.h. */
#include "client/collapse.h"

/* One call; on its caller's stack, which waits until it is answered or has withdrawn. */
struct waiting {
	struct collapse_item item;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_done; /* guarded by the lock, with the rest */
	struct shared *answer;
	struct err err;
};

/* How a call ended, as the request remembers it. */
struct answer_kept {
	struct shared shared;
	struct shared *answer;
	struct err err;
};

static void waiting_init(struct waiting *w)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
}

static void waiting_fini(struct waiting *w)
{
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
}

/* Signalled under the lock: the waiter's stack may be gone as soon as it is released. */
static void on_done(struct collapse_item *it, struct shared *answer, const struct err *why)
{
	struct waiting *w = container_of(it, struct waiting, item);

	pthread_mutex_lock(&w->lock);
	w->answer = answer;
	if (why)
		w->err = *why;
	w->is_done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static bool wait_until(struct waiting *w, usec at)
{
	struct timespec ts = { .tv_sec = (time_t)(at / USEC_PER_SEC), .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };
	int e = 0;
	bool is_done;

	pthread_mutex_lock(&w->lock);
	while (!w->is_done && e == 0)
		e = at == USEC_NEVER ? pthread_cond_wait(&w->cond, &w->lock) : pthread_cond_timedwait(&w->cond, &w->lock, &ts);
	is_done = w->is_done;
	pthread_mutex_unlock(&w->lock);
	return is_done;
}

/* --- the batch as a command --- */

static void end_batch(void *batch)
{
	batch_end(batch);
}

static void run_batch(const struct collapse_spec *spec, struct flow_request *rq, struct collapse_batch *b)
{
	struct run_spec batch = *spec->batch;
	struct run_result res;
	struct run *r;

	batch.arg = b;
	batch.free_arg = end_batch;
	batch.request = rq; /* which a batch under way keeps: its scope lives there */
	batch_count(b, batch.command, batch.settings, (unsigned)((uintptr_t)b >> 6), clock_mono());
	r = run_start(&batch);
	if (run_wait(r, &res) < 0)
		batch_refuse(b, &res.err);
	shared_unref(res.result);
	run_unref(r);
}

/* --- one call --- */

/* false: refused. */
static bool gather(const struct collapse_spec *spec, struct flow_request *rq, struct collapse_scope *s, struct waiting *w)
{
	struct collapse_batch *full = NULL;

	switch (collapse_add(s, spec->settings, &w->item, clock_mono(), &full)) {
	case COLLAPSE_REFUSED:
		err_set(&w->err, VINE_EINVAL, "%.*s: an equal argument waits already, and requestCache.enabled is false",
			STRF(spec->collapser->id.key));
		return false;
	case COLLAPSE_FULL:
		run_batch(spec, rq, full);
		break;
	case COLLAPSE_GATHERED:
	case COLLAPSE_JOINED:
		break;
	}
	return true;
}

static void wait_for_answer(const struct collapse_spec *spec, struct flow_request *rq, struct collapse_scope *s, struct waiting *w)
{
	for (;;) {
		usec now = clock_mono(), due = collapse_due(s, spec->settings, &w->item, now);
		struct collapse_batch *b;

		if (wait_until(w, MIN(due, spec->deadline.at)))
			return;
		now = clock_mono();
		if (deadline_is_over(spec->deadline, now)) {
			if (!collapse_withdraw(s, &w->item)) {
				wait_until(w, USEC_NEVER); /* it is just being answered */
				return;
			}
			err_set(&w->err, VINE_ETIMEOUT, "%.*s: no answer in time", STRF(spec->collapser->id.key));
			return;
		}
		b = now >= due ? collapse_tick(s, spec->settings, &w->item, now) : NULL;
		if (b)
			run_batch(spec, rq, b);
	}
}

static void kept_free(struct shared *s)
{
	struct answer_kept *k = container_of(s, struct answer_kept, shared);

	shared_unref(k->answer);
	free(k);
}

static void call_now(const struct collapse_spec *spec, struct flow_request *rq, struct collapse_scope *s, struct answer_kept *k)
{
	struct waiting w = { .item = { .key = spec->key, .arg = spec->arg, .done = on_done } };

	waiting_init(&w);
	if (gather(spec, rq, s, &w))
		wait_for_answer(spec, rq, s, &w);
	waiting_fini(&w);
	k->answer = w.answer;
	k->err = w.err;
}

/* --- shared within the request --- */

struct duplicate {
	struct cache_wait wait;
	struct waiting w;
};

static void on_kept(struct cache_wait *cw, struct shared *result)
{
	on_done(&container_of(cw, struct duplicate, wait)->w.item, result, NULL);
}

/* Waits for the call that makes the same; NULL: it gave up, or our time is over. */
static struct answer_kept *await_duplicate(const struct collapse_spec *spec, struct flow_request *rq, struct duplicate *d)
{
	if (!wait_until(&d->w, spec->deadline.at) && !request_cache_withdraw(rq, &d->wait))
		wait_until(&d->w, USEC_NEVER);
	return d->w.answer ? container_of(d->w.answer, struct answer_kept, shared) : NULL;
}

static struct answer_kept *call_shared(const struct collapse_spec *spec, struct flow_request *rq, struct collapse_scope *s)
{
	struct cache_key key = { CACHE_OF_COLLAPSER, spec->collapser->id.key, spec->key };
	struct duplicate d = { .wait.wake = on_kept };
	struct answer_kept *k = NULL;
	struct cache_entry *entry = NULL;
	struct shared *there = NULL;

	waiting_init(&d.w);
	switch (request_cache_begin(rq, spec->settings->request_cache, &key, &d.wait, &entry, &there)) {
	case CACHE_READY:
		k = container_of(there, struct answer_kept, shared);
		break;
	case CACHE_WAIT:
		k = await_duplicate(spec, rq, &d);
		break;
	case CACHE_RUN:
	case CACHE_NONE:
		break;
	}
	waiting_fini(&d.w);
	if (k) {
		collapser_note_cached(spec->collapser, spec->settings, clock_mono());
		return k;
	}
	k = xzalloc(sizeof(*k));
	shared_init(&k->shared, kept_free);
	call_now(spec, rq, s, k);
	if (entry) /* that our own time was over is nothing to share */
		request_cache_end(rq, entry, k->answer || k->err.code != VINE_ETIMEOUT ? &k->shared : NULL);
	return k;
}

int collapse_call(const struct collapse_spec *spec, struct shared **ret, struct err *e)
{
	const struct context *c = context_now();
	struct flow_request *rq = spec->request ? spec->request : c ? c->request : NULL;
	struct collapse_scope *s = spec->scope;
	struct answer_kept *k;
	int code;

	if (!s && !rq)
		return err_set(e, VINE_EINVAL, "%.*s gathers within a request, and there is none", STRF(spec->collapser->id.key));
	if (!s)
		s = collapse_scope_of(rq, spec->collapser, clock_mono());
	if (!s)
		return err_set(e, VINE_ELIMIT, "more than %d collapsers in one request", REQUEST_PARTS_MAX);
	k = call_shared(spec, rq, s);
	code = k->answer ? 0 : err_set(e, k->err.code, "%s", k->err.text);
	if (k->answer)
		*ret = shared_ref(k->answer);
	shared_unref(&k->shared);
	return code;
}
