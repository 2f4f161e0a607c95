/* fuzz_watch.c - the changes that a registry tells, as a stream and as one text: read whole and byte by byte they leave the same
 * picture, and a picture made change by change is the one made of all. */
#include "fuzz.h"

#include <string.h>

#include "codec/sse.h"
#include "eureka/view.h"

#define EVENT_MAX (64 * 1024)

struct reader {
	struct sse sse;
	struct eureka_cache cache;
	struct eureka_view *view;
	unsigned events;
	uint64_t seen; /* of names and ids */
};

static void apply(struct reader *r, struct str text)
{
	struct apps_change c;
	struct err e = { 0 };
	int code = apps_change_decode(&c, text, &e);

	PROMISE(code == 0 || (code == e.code && e.text[0]));
	if (code < 0)
		return;
	PROMISE(c.doc.n <= APPS_CHANGE_INSTANCES_MAX && c.version_len <= APPS_VERSION_MAX && c.doc.hash_len <= APPS_HASH_MAX);
	eureka_cache_delta(&r->cache, &c.doc);
	eureka_cache_matches(&r->cache, &c.doc);
	apps_doc_fini(&c.doc);
	eureka_view_unref(r->view);
	r->view = eureka_cache_view(&r->cache, r->events % 5 == 4);
}

static void take(void *ctx, struct str data)
{
	struct reader *r = ctx;

	r->seen = str_hash(sse_name(&r->sse), str_hash(sse_id(&r->sse), r->seen));
	apply(r, data);
	r->events++;
}

static void begin(struct reader *r)
{
	*r = (struct reader){ 0 };
	sse_init(&r->sse, EVENT_MAX);
	eureka_cache_init(&r->cache, 1);
}

static void end(struct reader *r)
{
	sse_fini(&r->sse);
	eureka_view_unref(r->view);
	eureka_cache_fini(&r->cache);
}

static void same(const struct view_index *a, const struct view_index *b)
{
	struct view_walk x = { .x = a }, y = { .x = b };
	const struct view_group *g, *h;

	PROMISE(a->n == b->n);
	while ((g = view_walk_next(&x)) && (h = view_walk_next(&y))) {
		PROMISE(str_eq_nocase(g->name, h->name) && g->n == h->n);
		PROMISE(view_index_get(a, g->name) == g);
		for (uint32_t i = 0; i < g->n; i++)
			PROMISE(instance_cmp(g->inst[i], h->inst[i]) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_of((const char *)data, size);
	struct reader whole, cut, plain;
	struct eureka_view *anew;

	begin(&whole);
	begin(&cut);
	begin(&plain);
	sse_feed(&whole.sse, text, take, &whole);
	for (size_t i = 0; i < size; i++)
		sse_feed(&cut.sse, str_slice(text, i, i + 1), take, &cut);
	PROMISE(whole.events == cut.events && whole.seen == cut.seen && whole.sse.overlong == cut.sse.overlong);
	apply(&plain, text); /* as the answer to a long poll */
	eureka_view_unref(whole.view);
	whole.view = eureka_cache_view(&whole.cache, false);
	eureka_view_unref(cut.view);
	cut.view = eureka_cache_view(&cut.cache, false);
	whole.cache.anew = true;
	anew = eureka_cache_view(&whole.cache, false);
	PROMISE(anew->n == whole.view->n && anew->n == cut.view->n);
	same(anew->apps, whole.view->apps);
	same(anew->vips, cut.view->vips);
	eureka_view_unref(anew);
	end(&whole);
	end(&cut);
	end(&plain);
	return 0;
}
