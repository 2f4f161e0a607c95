/* servers.c - see servers.h. */
#include "ribbon/servers.h"

#include "eureka/instance.h"
#include "net/addr.h"
#include "ribbon/settings.h"

struct server_set *server_set_new(uint32_t n)
{
	struct server_set *s = xzalloc(sizeof(*s));

	atomic_init(&s->refs, 1);
	s->at = xzalloc(MAX(n, 1u) * sizeof(struct fserver *));
	s->inst = xzalloc(MAX(n, 1u) * sizeof(struct instance *));
	s->filter_note = "all";
	return s;
}

struct server_set *server_set_ref(struct server_set *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void server_set_unref(struct server_set *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		server_unref(s->at[i]);
		instance_unref(s->inst[i]);
	}
	hash_ring_unref(s->ring);
	free(s->at);
	free(s->inst);
	free(s);
}

struct server_list server_set_list(const struct server_set *s)
{
	return (struct server_list){ .at = s->at, .n = s->n, .max_weight = s->max_weight, .ring = s->ring, .set = s };
}

const char *server_origin_name(enum server_origin o)
{
	static const char *const names[] = { "configuration", "registry", "plugin" };

	return (unsigned)o < ARRAY_LEN(names) ? names[o] : "?";
}

/* --- drafts --- */

void drafts_init(struct server_drafts *d, struct arena *a)
{
	*d = (struct server_drafts){ .arena = a };
	map_init(&d->seen, (uintptr_t)a);
}

void drafts_fini(struct server_drafts *d)
{
	map_fini(&d->seen);
	free(d->at);
}

int drafts_add(struct server_drafts *d, struct str where, struct str zone, uint32_t weight, struct instance *inst)
{
	struct str host, id;
	uint16_t port;

	bool secure = d->secure;

	if (str_has_prefix_nocase(where, STR("https://"))) {
		secure = true;
		where = str_slice(where, 8, where.len);
	} else if (str_has_prefix_nocase(where, STR("http://"))) {
		secure = false;
		where = str_slice(where, 7, where.len);
	}
	if (where.len == 0 || where.len > 512 || !addr_split(where, secure ? 443 : 80, &host, &port))
		return VINE_EINVAL;
	id = str_printf_in(d->arena, str_chr(host, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", STRF(host), port);
	if (map_get(&d->seen, id))
		return 0;
	if (d->n == RIBBON_SERVERS_MAX)
		return VINE_ELIMIT;
	if (d->n == d->cap) {
		d->cap = MAX(d->cap * 2, 16u);
		d->at = xrealloc(d->at, d->cap * sizeof(*d->at));
	}
	d->at[d->n++] = (struct server_draft){ id, zone, weight ? weight : 100, secure, inst };
	map_put(&d->seen, id, d); /* any value: the key counts */
	return 0;
}
