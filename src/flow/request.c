/* request.c - see request.h.
 *
 * Invariants   An entry is in the map, or was cleared from it, and lives until its run has ended and, if it is in the map,
 *              until the request goes: the request's references keep results, not runs. Waiters are on an entry that is
 *              not over. */
#include "flow/request.h"

struct cache_entry {
	struct str key; /* in the arena: kind, command, NUL, key */
	struct shared *result;
	struct list waiters;
	bool is_over;
	bool is_listed; /* in the map */
};

struct noted {
	struct str command; /* in the arena */
	uint32_t events;    /* a bit an event */
	usec took;
};

struct part {
	const void *key;
	void *what;
	void (*free)(void *what);
};

struct flow_request {
	_Atomic uint32_t refs;
	pthread_mutex_t lock; /* leaf; guards all below */
	struct arena arena;   /* of keys */
	struct map entries;
	struct noted *log;
	unsigned n_log, cap_log;
	struct part *parts; /* REQUEST_PARTS_MAX; NULL: none */
	unsigned n_parts;
};

struct flow_request *flow_request_new(void)
{
	struct flow_request *rq = xzalloc(sizeof(*rq));

	atomic_init(&rq->refs, 1);
	pthread_mutex_init(&rq->lock, NULL);
	arena_init(&rq->arena, 512);
	map_init(&rq->entries, (uintptr_t)rq);
	return rq;
}

struct flow_request *flow_request_ref(struct flow_request *rq)
{
	if (rq)
		atomic_fetch_add_explicit(&rq->refs, 1, memory_order_relaxed);
	return rq;
}

static void entry_free(struct cache_entry *en)
{
	shared_unref(en->result);
	free(en);
}

void flow_request_unref(struct flow_request *rq)
{
	size_t pos = 0;

	if (!rq || atomic_fetch_sub_explicit(&rq->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (struct cache_entry *en; (en = map_next(&rq->entries, &pos));)
		entry_free(en);
	for (unsigned i = 0; i < rq->n_parts; i++)
		rq->parts[i].free(rq->parts[i].what);
	free(rq->parts);
	map_fini(&rq->entries);
	arena_fini(&rq->arena);
	free(rq->log);
	pthread_mutex_destroy(&rq->lock);
	free(rq);
}

/* --- results --- */

/* Empty: too long. */
static struct str whole_key(const struct cache_key *k, char out[REQUEST_KEY_MAX + 2])
{
	size_t n = 0;

	if (k->command.len + k->key.len > REQUEST_KEY_MAX)
		return STR_EMPTY;
	out[n++] = (char)('0' + k->kind);
	if (k->command.len)
		memcpy(out + n, k->command.ptr, k->command.len);
	n += k->command.len;
	out[n++] = '\0';
	if (k->key.len)
		memcpy(out + n, k->key.ptr, k->key.len);
	return str_of(out, n + k->key.len);
}

static enum cache_answer begin_locked(struct flow_request *rq, struct str key, struct cache_wait *w, struct cache_entry **entry,
				      struct shared **result)
{
	struct cache_entry *en = map_get(&rq->entries, key);

	if (en && en->is_over) {
		*result = shared_ref(en->result);
		return CACHE_READY;
	}
	if (en) {
		w->is_waiting = true;
		list_push_back(&en->waiters, &w->link);
		return CACHE_WAIT;
	}
	if (rq->entries.len >= REQUEST_CACHE_MAX)
		return CACHE_NONE;
	en = xzalloc(sizeof(*en));
	en->key = str_dup_in(&rq->arena, key);
	en->is_listed = true;
	list_init(&en->waiters);
	map_put(&rq->entries, en->key, en);
	*entry = en;
	return CACHE_RUN;
}

enum cache_answer request_cache_begin(struct flow_request *rq, bool enabled, const struct cache_key *k, struct cache_wait *w,
				      struct cache_entry **entry, struct shared **result)
{
	char room[REQUEST_KEY_MAX + 2];
	struct str key = whole_key(k, room);
	enum cache_answer a;

	if (!rq || !enabled || key.len == 0)
		return CACHE_NONE;
	pthread_mutex_lock(&rq->lock);
	a = begin_locked(rq, key, w, entry, result);
	pthread_mutex_unlock(&rq->lock);
	return a;
}

void request_cache_end(struct flow_request *rq, struct cache_entry *en, struct shared *result)
{
	struct list woken;
	bool is_kept;

	list_init(&woken);
	pthread_mutex_lock(&rq->lock);
	assert(!en->is_over);
	while (!list_is_empty(&en->waiters)) {
		struct cache_wait *w = list_entry(list_first(&en->waiters), struct cache_wait, link);

		list_del(&w->link);
		w->is_waiting = false;
		list_push_back(&woken, &w->link);
	}
	en->is_over = true;
	if (en->is_listed && !result)
		map_del(&rq->entries, en->key);
	is_kept = en->is_listed && result;
	if (is_kept)
		en->result = shared_ref(result);
	pthread_mutex_unlock(&rq->lock);
	while (!list_is_empty(&woken)) {
		struct cache_wait *w = list_entry(list_first(&woken), struct cache_wait, link);

		list_del(&w->link);
		w->wake(w, shared_ref(result));
	}
	if (!is_kept)
		entry_free(en);
}

bool request_cache_withdraw(struct flow_request *rq, struct cache_wait *w)
{
	bool was_waiting;

	pthread_mutex_lock(&rq->lock);
	was_waiting = w->is_waiting;
	if (was_waiting)
		list_del(&w->link);
	w->is_waiting = false;
	pthread_mutex_unlock(&rq->lock);
	return was_waiting;
}

void request_cache_clear(struct flow_request *rq, const struct cache_key *k)
{
	char room[REQUEST_KEY_MAX + 2];
	struct str key = whole_key(k, room);
	struct cache_entry *en;

	pthread_mutex_lock(&rq->lock);
	en = map_del(&rq->entries, key);
	if (en && !en->is_over) {
		en->is_listed = false;
		en = NULL; /* its run frees it */
	}
	pthread_mutex_unlock(&rq->lock);
	if (en)
		entry_free(en);
}

/* --- parts --- */

static void *part_locked(struct flow_request *rq, const void *key, void *(*make)(void *ctx), void (*fn)(void *part), void *ctx)
{
	for (unsigned i = 0; i < rq->n_parts; i++)
		if (rq->parts[i].key == key)
			return rq->parts[i].what;
	if (rq->n_parts == REQUEST_PARTS_MAX)
		return NULL;
	if (!rq->parts)
		rq->parts = xmalloc(REQUEST_PARTS_MAX * sizeof(*rq->parts));
	rq->parts[rq->n_parts] = (struct part){ key, make(ctx), fn };
	return rq->parts[rq->n_parts++].what;
}

void *request_part(struct flow_request *rq, const void *key, void *(*make)(void *ctx), void (*fn)(void *part), void *ctx)
{
	void *what;

	pthread_mutex_lock(&rq->lock);
	what = part_locked(rq, key, make, fn, ctx);
	pthread_mutex_unlock(&rq->lock);
	return what;
}

/* --- the log --- */

int request_log_begin(struct flow_request *rq, bool enabled, struct str command)
{
	int i = -1;

	if (!rq || !enabled)
		return -1;
	pthread_mutex_lock(&rq->lock);
	if (rq->n_log < REQUEST_LOG_MAX) {
		if (rq->n_log == rq->cap_log) {
			rq->cap_log = MAX(rq->cap_log * 2, 8u);
			rq->log = xrealloc(rq->log, rq->cap_log * sizeof(*rq->log));
		}
		i = (int)rq->n_log++;
		rq->log[i] = (struct noted){ .command = str_dup_in(&rq->arena, command) };
	}
	pthread_mutex_unlock(&rq->lock);
	return i;
}

void request_log_event(struct flow_request *rq, int i, enum flow_event ev)
{
	if (i < 0)
		return;
	pthread_mutex_lock(&rq->lock);
	rq->log[i].events |= 1u << ev;
	pthread_mutex_unlock(&rq->lock);
}

void request_log_took(struct flow_request *rq, int i, usec latency)
{
	if (i < 0)
		return;
	pthread_mutex_lock(&rq->lock);
	rq->log[i].took = latency;
	pthread_mutex_unlock(&rq->lock);
}

static void put_noted(struct buf *out, const struct noted *n, usec took, unsigned times)
{
	const char *sep = "";

	buf_adds(out, n->command);
	buf_addc(out, '[');
	for (unsigned ev = 0; ev < EVENT_COUNT; ev++) {
		if (!(n->events >> ev & 1))
			continue;
		buf_addf(out, "%s%s", sep, event_name((enum flow_event)ev));
		sep = ", ";
	}
	buf_addf(out, "%s][%lldms]", n->events ? "" : "Executed", (long long)(took / USEC_PER_MSEC));
	if (times > 1)
		buf_addf(out, "x%u", times);
}

static bool is_equal(const struct noted *a, const struct noted *b)
{
	return a->events == b->events && str_eq(a->command, b->command);
}

void request_log_text(struct flow_request *rq, struct buf *out)
{
	_Static_assert(EVENT_COUNT <= 32, "a bit an event");
	pthread_mutex_lock(&rq->lock);

	bool *is_told = xzalloc(rq->n_log + 1);

	for (unsigned i = 0; i < rq->n_log; i++) {
		usec took = 0;
		unsigned times = 0;

		for (unsigned k = i; k < rq->n_log && !is_told[i]; k++) {
			if (!is_equal(&rq->log[i], &rq->log[k]) || (k > i && is_told[k]))
				continue;
			took += rq->log[k].took;
			times++;
			is_told[k] = k > i;
		}
		if (times == 0)
			continue;
		if (i > 0)
			buf_addz(out, ", ");
		put_noted(out, &rq->log[i], took, times);
	}
	pthread_mutex_unlock(&rq->lock);
	free(is_told);
}
