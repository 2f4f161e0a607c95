/* client_world.h - for the tests of libvine: an app that does not run, and a registry of our own in place of membership.c's. */
#pragma once
#include <stdio.h>

#include "client/impl.h"
#include "client/membership.h"
#include "client/policy.h"
#include "client/remotes.h"
#include "eureka/view.h"
#include "props/props.h"
#include "test.h"

/* --- a registry of our own, in place of membership.c's --- */

struct membership {
	struct eureka_cache cache;
	struct eureka_view *view;
};

struct eureka_view *membership_take_view(struct membership *m)
{
	return m->view ? eureka_view_ref(m->view) : NULL;
}

/* Each word is an instance of app A: its host's letter, with a sign behind it: '-' is DOWN, '!' has its port disabled. */
static inline void registry_knows(struct membership *m, const char *words)
{
	struct apps_doc d = { 0 };
	struct str rest = str_from(words), word;

	while (rest.len && str_cut(&rest, ' ', &word)) {
		struct instance x = instance_draft();
		struct kv zone = { STR("zone"), STR("east") };

		x.app = x.vip = STR("a");
		x.host = x.ip = x.instance_id = str_slice(word, 0, 1);
		x.has_dc = true;
		x.dirty = 1;
		x.status = str_find(word, STR("-")) >= 0 ? INST_DOWN : INST_UP;
		x.port = (struct inst_port){ 80, str_find(word, STR("!")) < 0 };
		x.meta = &zone;
		x.n_meta = 1;
		apps_doc_add(&d, instance_new(&x));
	}
	eureka_cache_full(&m->cache, &d, false, 0);
	apps_doc_fini(&d);
	eureka_view_unref(m->view);
	m->view = eureka_cache_view(&m->cache, false);
}

/* --- an app that does not run --- */

struct row {
	const char *name, *value;
};

#define ROWS_MAX 12

static inline struct props *props_of(const struct row *rows)
{
	struct prop_entry entry[ROWS_MAX];
	struct prop_source s = { .name = STR("t"), .entry = entry };
	struct props *p;

	for (; s.n < ROWS_MAX && rows[s.n].name; s.n++)
		entry[s.n] = (struct prop_entry){ str_from(rows[s.n].name), str_from(rows[s.n].value), 1, 1 };
	p = props_build(&s, 1, NULL, 0);
	assert_true(props_ok(p));
	return p;
}

struct world {
	struct vine_app app;
	struct membership m;
	struct remotes *r;
};

static inline void world_init(struct world *w, const struct row *rows)
{
	*w = (struct world){ .app.props = props_of(rows) };
	eureka_cache_init(&w->m.cache, 1);
	w->app.membership = &w->m;
	pthread_mutex_init(&w->app.callers.lock, NULL);
	w->r = w->app.remotes = remotes_new(&w->app);
}

static inline void world_fini(struct world *w)
{
	remotes_free(w->r);
	eureka_view_unref(w->m.view);
	eureka_cache_fini(&w->m.cache);
	pthread_mutex_destroy(&w->app.callers.lock);
	props_unref(w->app.props);
}

static inline struct link *link_to(struct world *w, const char *service, const char *command)
{
	struct link *l = NULL;
	struct err e = { 0 };

	if (remotes_link(w->r, str_from(service), str_from(command), str_from(service), 0, &l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}


/* "b:80 c:80" */
static inline void assert_servers(const struct server_set *s, const char *want)
{
	char got[256] = "";

	for (uint32_t i = 0; i < s->n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", i ? " " : "", STRF(s->at[i]->id));
	assert_string_equal(got, want);
}
