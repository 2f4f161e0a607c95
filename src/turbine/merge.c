/* merge.c - see merge.h: keeping the hosts' last events. What they add up to is sum.c's. */
#include "turbine/merge.h"

#include "turbine/sum.h"

struct merge_key {
	struct str text, type, name; /* on the heap, behind the struct */
	struct list order;
	struct list entries; /* of merge_entry.in_key */
	bool is_changed;
};

struct merge_entry {
	struct tevent ev;
	struct merge_key *key;
	struct merge_host *host;
	struct list in_key, in_host, in_all;
	usec seen;
};

void merge_init(struct merge *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	field_names_init(&m->names, seed);
	map_init(&m->keys, seed);
	list_init(&m->order);
	list_init(&m->entries);
}

static void key_free(struct merge *m, struct merge_key *k)
{
	map_del(&m->keys, k->text);
	list_del(&k->order);
	free(k);
}

void merge_fini(struct merge *m)
{
	assert(m->n_entries == 0);
	list_foreach(l, &m->order) key_free(m, list_entry(l, struct merge_key, order));
	map_fini(&m->keys);
	field_names_fini(&m->names);
}

void merge_host_init(struct merge_host *h, uint64_t seed)
{
	list_init(&h->entries);
	map_init(&h->by_key, seed);
}

void merge_host_fini(struct merge *m, struct merge_host *h)
{
	merge_leave(m, h);
	map_fini(&h->by_key);
}

/* --- entries --- */

static struct merge_key *key_of(struct merge *m, const struct tevent *ev)
{
	char room[2 * EVENT_NAME_MAX + 1];
	size_t len = ev->type.len + 1 + ev->name.len;
	struct merge_key *k;

	memcpy(room, ev->type.ptr, ev->type.len);
	room[ev->type.len] = '\n';
	memcpy(room + ev->type.len + 1, ev->name.ptr, ev->name.len);
	k = map_get(&m->keys, str_of(room, len));
	if (k)
		return k;
	k = xzalloc(sizeof(*k) + len);
	k->text = str_of(memcpy(k + 1, room, len), len);
	k->type = str_slice(k->text, 0, ev->type.len);
	k->name = str_slice(k->text, ev->type.len + 1, len);
	list_init(&k->entries);
	list_push_back(&m->order, &k->order);
	map_put(&m->keys, k->text, k);
	return k;
}

static void entry_free(struct merge *m, struct merge_entry *en)
{
	en->key->is_changed = true;
	list_del(&en->in_key);
	list_del(&en->in_host);
	list_del(&en->in_all);
	map_del(&en->host->by_key, en->key->text);
	m->n_entries--;
	tevent_fini(&en->ev);
	free(en);
}

static struct merge_entry *entry_add(struct merge *m, struct merge_host *h, struct merge_key *k)
{
	struct merge_entry *en = xzalloc(sizeof(*en));

	en->key = k;
	en->host = h;
	list_push_back(&k->entries, &en->in_key);
	list_push_back(&h->entries, &en->in_host);
	list_push_back(&m->entries, &en->in_all);
	map_put(&h->by_key, k->text, en);
	m->n_entries++;
	k->is_changed = true;
	return en;
}

static int put(struct merge *m, struct merge_host *h, struct tevent *ev, usec now, struct err *e)
{
	struct merge_key *k = key_of(m, ev);
	struct merge_entry *en = map_get(&h->by_key, k->text);

	if (!en && (h->by_key.len >= MERGE_HOST_EVENTS_MAX || m->n_entries >= MERGE_EVENTS_MAX)) {
		if (list_is_empty(&k->entries) && !k->is_changed)
			key_free(m, k);
		return err_set(e, VINE_ELIMIT, "more than %d commands, pools and collapsers", MERGE_HOST_EVENTS_MAX);
	}
	if (!en)
		en = entry_add(m, h, k);
	k->is_changed = k->is_changed || en->ev.hash != ev->hash;
	tevent_fini(&en->ev);
	en->ev = *ev; /* its arena goes along */
	en->seen = now;
	list_del(&en->in_all);
	list_push_back(&m->entries, &en->in_all);
	return 0;
}

int merge_put(struct merge *m, struct merge_host *h, struct str json, usec now, struct err *e)
{
	struct tevent ev;
	int r = tevent_read(&ev, &m->names, json, e);

	if (r == 0)
		r = put(m, h, &ev, now, e);
	if (r == 0) {
		m->events++;
		return 0;
	}
	tevent_fini(&ev);
	if (r == VINE_ELIMIT)
		m->refused++;
	else
		m->bad++;
	return r;
}

void merge_leave(struct merge *m, struct merge_host *h)
{
	list_foreach(l, &h->entries) entry_free(m, list_entry(l, struct merge_entry, in_host));
}

void merge_expire(struct merge *m, usec before)
{
	list_foreach(l, &m->entries)
	{
		struct merge_entry *en = list_entry(l, struct merge_entry, in_all);

		if (en->seen >= before)
			return;
		entry_free(m, en);
	}
}

/* --- telling --- */

static void write_one(struct merge *m, struct merge_key *k, struct buf *b)
{
	struct sum s;

	sum_begin(&s, &m->names);
	list_foreach(l, &k->entries) sum_add(&s, &list_entry(l, struct merge_entry, in_key)->ev);
	buf_adds(b, STR("data: "));
	sum_write(&s, k->type, k->name, b);
	buf_adds(b, STR("\n\n"));
	sum_end(&s);
}

void merge_write(struct merge *m, struct buf *b, bool whole)
{
	list_foreach(l, &m->order)
	{
		struct merge_key *k = list_entry(l, struct merge_key, order);

		if (list_is_empty(&k->entries)) {
			buf_adds(b, STR("data: "));
			sum_write_deleted(k->type, k->name, b);
			buf_adds(b, STR("\n\n"));
			key_free(m, k);
			continue;
		}
		if (whole || k->is_changed)
			write_one(m, k, b);
		k->is_changed = false;
	}
}

size_t merge_len(const struct merge *m)
{
	return m->keys.len;
}
