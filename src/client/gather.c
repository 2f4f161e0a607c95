/* gather.c - vine/collapser.h: the public face of collapse.h.
 *
 * Life   A collapser lives as long as the app, on its list. A call enters the app's callers, so that what it stands on stays
 *        until it is ended; a batch that is timed out may run on until the pools' threads have been joined, and touches only
 *        its scope, which goes later. */
#include <vine/collapser.h>

#include "client/collapse.h"
#include "client/impl.h"
#include "client/remotes.h"

#define ARG_MAX_BYTES (64u * 1024)

struct vine_value {
	struct shared shared;
	void *data;
	size_t len;
	void (*free_data)(void *data); /* NULL: nothing to free, or data lies behind */
};

struct vine_collapser {
	struct vine_collapser *next;
	struct vine_app *app;
	char *key, *command, *group;
	enum vine_collapse_scope scope;
	vine_batch_fn fn;
	unsigned (*shard)(const void *arg, size_t len, void *ctx);
	unsigned n_shards;
	void *ctx;
	/* since the app runs; made at the first call, under the app's property lock */
	_Atomic(struct collapser *) collapser;
	struct collapse_scope global;
};

struct vine_batch {
	struct collapse_batch *b;
};

struct vine_collapsing {
	struct vine_app *app;
	struct collapse_call *call;
};

/* --- values --- */

static void value_free(struct shared *s)
{
	struct vine_value *v = container_of(s, struct vine_value, shared);

	if (v->free_data)
		v->free_data(v->data);
	free(v);
}

static struct vine_value *value_of(struct shared *s)
{
	return container_of(s, struct vine_value, shared);
}

struct vine_value *vine_value_new(const void *bytes, size_t len)
{
	struct vine_value *v = xmalloc(sizeof(*v) + len + 1);

	*v = (struct vine_value){ .data = v + 1, .len = len };
	shared_init(&v->shared, value_free);
	if (len)
		memcpy(v->data, bytes, len);
	((char *)v->data)[len] = '\0';
	return v;
}

struct vine_value *vine_value_own(void *data, size_t len, void (*free_data)(void *data))
{
	struct vine_value *v = xmalloc(sizeof(*v));

	*v = (struct vine_value){ .data = data, .len = len, .free_data = free_data };
	shared_init(&v->shared, value_free);
	return v;
}

struct vine_value *vine_value_ref(struct vine_value *v)
{
	shared_ref(&v->shared);
	return v;
}

void vine_value_free(struct vine_value *v)
{
	if (v)
		shared_unref(&v->shared);
}

const void *vine_value_data(const struct vine_value *v, size_t *len)
{
	if (len)
		*len = v->len;
	return v->data;
}

/* --- batches --- */

size_t vine_batch_len(const struct vine_batch *b)
{
	return b->b->n;
}

const void *vine_batch_arg(const struct vine_batch *b, size_t i, size_t *len)
{
	assert(i < b->b->n);
	return vine_value_data(value_of(b->b->place[i]->arg), len);
}

void vine_batch_answer(struct vine_batch *b, size_t i, struct vine_value *v)
{
	assert(i < b->b->n);
	batch_answer(b->b, (uint32_t)i, &v->shared);
	vine_value_free(v);
}

void vine_batch_refuse(struct vine_batch *b, size_t i, int code, const char *why)
{
	struct err e;

	assert(i < b->b->n);
	err_set(&e, code < 0 ? code : VINE_EPROTO, "%s", why ? why : "");
	batch_refuse_one(b->b, (uint32_t)i, &e);
}

/* The command's function. */
static enum run_answer run_public(struct work *w, void *arg)
{
	struct vine_batch b = { arg };
	const struct vine_collapser *c = b.b->owner;
	struct vine_err why = { 0 };
	int r = c->fn(&b, &why, c->ctx);

	if (r == 0)
		return RUN_OK;
	err_set(work_err(w), r < 0 ? r : VINE_EPROTO, "%s%s", why.text[0] ? why.text : "the batch failed: ", why.text[0] ? "" : c->key);
	if (r == VINE_CODE_INVALID) {
		batch_refuse(b.b, work_err(w));
		return RUN_BAD_REQUEST;
	}
	return r == VINE_CODE_TIMEOUT ? RUN_TIMED_OUT : RUN_FAILED;
}

static uint32_t shard_of(const struct batch_place *p, void *owner)
{
	const struct vine_collapser *c = owner;
	size_t len;
	const void *arg = vine_value_data(value_of(p->arg), &len);
	unsigned shard = c->shard(arg, len, c->ctx);

	return shard < c->n_shards ? shard : c->n_shards - 1;
}

/* --- collapsers --- */

static bool is_taken(const struct vine_app *app, const char *key)
{
	const struct vine_collapser *c = app->collapsers;

	while (c && strcmp(c->key, key) != 0)
		c = c->next;
	return c;
}

static void collapser_free(struct vine_collapser *c)
{
	struct collapser *of = atomic_load(&c->collapser);

	if (of)
		collapse_scope_fini(&c->global);
	collapser_unref(of);
	free(c->key);
	free(c->command);
	free(c->group);
	free(c);
}

void collapsers_free(struct vine_app *app)
{
	for (struct vine_collapser *c; (c = app->collapsers);) {
		app->collapsers = c->next;
		collapser_free(c);
	}
}

static int check(const struct vine_collapser_opts *o, struct err *e)
{
	if (!o->key || !o->key[0] || strlen(o->key) > 255 || !o->batch)
		return err_set(e, VINE_EINVAL, "a collapser needs a key of 1 to 255 bytes and a batch function");
	if (o->shard && (o->n_shards == 0 || o->n_shards > COLLAPSE_SHARDS_MAX))
		return err_set(e, VINE_EINVAL, "%s: 1 to %d shards", o->key, COLLAPSE_SHARDS_MAX);
	return 0;
}

int vine_collapser_new(struct vine_collapser **ret, struct vine_app *app, const struct vine_collapser_opts *o, struct vine_err *e)
{
	struct err spare, *why = e ? inner_err(e) : &spare;
	struct vine_collapser *c;
	int r = check(o, why);

	if (r < 0)
		return r;
	c = xzalloc(sizeof(*c));
	*c = (struct vine_collapser){ .app = app, .key = xstrdup(o->key), .scope = o->scope, .fn = o->batch, .shard = o->shard,
				      .n_shards = o->n_shards, .ctx = o->ctx };
	c->command = xstrdup(o->command ? o->command : o->key);
	c->group = xstrdup(o->group ? o->group : c->command);
	pthread_mutex_lock(&app->property_lock);
	if (is_taken(app, o->key))
		r = err_set(why, VINE_EINVAL, "there is a collapser %s already", o->key);
	else if (app->n_collapsers == COLLAPSERS_MAX)
		r = err_set(why, VINE_ELIMIT, "more than %d collapsers", COLLAPSERS_MAX);
	if (r == 0) {
		app->n_collapsers++;
		c->next = app->collapsers;
		app->collapsers = c;
	}
	pthread_mutex_unlock(&app->property_lock);
	if (r < 0) {
		collapser_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* Between callers_enter and callers_leave. */
static int find_collapser(struct vine_collapser *c, struct collapser **ret, struct err *e)
{
	struct commands *cs = remotes_commands(c->app->remotes);
	int r = 0;

	*ret = atomic_load(&c->collapser);
	if (*ret)
		return 0;
	pthread_mutex_lock(&c->app->property_lock);
	*ret = atomic_load(&c->collapser);
	if (!*ret) {
		r = commands_take_collapser(cs, str_from(c->key), clock_mono(), ret, e);
		if (r == 0) {
			collapse_scope_init(&c->global, *ret, clock_mono());
			atomic_store(&c->collapser, *ret);
		}
	}
	pthread_mutex_unlock(&c->app->property_lock);
	return r;
}

/* --- calls --- */

static void set_request(struct collapse_spec *spec, struct run_spec *batch, const struct vine_collapser *c, struct vine_request *rq)
{
	const struct context *cx = context_now();

	spec->deadline = cx ? cx->deadline : DEADLINE_NONE;
	if (!rq)
		return;
	spec->deadline = deadline_min(spec->deadline, (struct deadline){ rq->deadline });
	spec->request = request_commands(rq);
	if (c->scope == VINE_COLLAPSE_REQUEST)
		batch->trace = &rq->trace; /* else it is of many requests, and a trace of its own */
}

static int begin(struct vine_collapser *c, struct vine_request *rq, struct vine_value *arg, struct collapse_call **ret, struct err *e)
{
	struct commands *cs = remotes_commands(c->app->remotes);
	struct str command = str_from(c->command);
	struct collapser_settings settings;
	struct command_entry *en;
	struct collapser *of;
	struct policy *pl;
	int r = find_collapser(c, &of, e);

	if (r == 0)
		r = commands_take(cs, command, str_from(c->group), clock_mono(), &en, e);
	if (r < 0)
		return r;
	commands_collapser_settings(cs, str_from(c->key), &settings);
	pl = commands_policy(cs, en);

	struct run_spec batch = { .command = en->command, .settings = &pl->settings, .holder = &pl->shared, .threads = pl->threads,
				  .log = &c->app->log, .fn = run_public, .deadline = DEADLINE_NONE };
	struct collapse_spec spec = { .collapser = of, .settings = &settings, .key = str_of(arg->data, arg->len), .arg = &arg->shared,
				      .batch = &batch, .owner = c, .scope = c->scope == VINE_COLLAPSE_GLOBAL ? &c->global : NULL };

	if (c->shard) {
		spec.shards = c->n_shards;
		spec.shard_of = shard_of;
	}
	set_request(&spec, &batch, c, rq);
	r = collapse_start(&spec, ret, e);
	policy_unref(pl);
	return r;
}

int vine_collapse_begin(struct vine_collapser *c, struct vine_request *rq, const void *arg, size_t len,
			struct vine_collapsing **ret, struct vine_err *e)
{
	struct err spare, *why = e ? inner_err(e) : &spare;
	struct collapse_call *call;
	struct vine_value *copy;
	int r;

	if (len > ARG_MAX_BYTES)
		return err_set(why, VINE_ELIMIT, "%s: an argument of more than %u bytes", c->key, ARG_MAX_BYTES);
	if (!callers_enter(c->app))
		return err_set(why, VINE_EUNAVAIL, "the app does not run");
	copy = vine_value_new(arg, len);
	r = begin(c, rq, copy, &call, why);
	vine_value_free(copy);
	if (r < 0) {
		callers_leave(c->app);
		return r;
	}
	*ret = xzalloc(sizeof(**ret));
	**ret = (struct vine_collapsing){ c->app, call };
	return 0;
}

int vine_collapse_end(struct vine_collapsing *w, struct vine_value **ret, struct vine_err *e)
{
	struct err spare, *why = e ? inner_err(e) : &spare;
	struct shared *answer = NULL;
	int r = 0;

	if (ret)
		r = collapse_wait(w->call, &answer, why);
	else
		collapse_drop(w->call);
	if (ret && r == 0)
		*ret = value_of(answer);
	callers_leave(w->app);
	free(w);
	return r;
}

int vine_collapse(struct vine_collapser *c, struct vine_request *rq, const void *arg, size_t len, struct vine_value **ret,
		  struct vine_err *e)
{
	struct vine_collapsing *w;
	int r = vine_collapse_begin(c, rq, arg, len, &w, e);

	return r < 0 ? r : vine_collapse_end(w, ret, e);
}
