/* ribbon_world.h - what tests of clients share: a client with its properties, a registry that says what it is told to. */
#pragma once
#include <stdio.h>

#include <vine/balance.h>

#include "eureka/view.h"
#include "plugin/plugin.h"
#include "props/props.h"
#include "ribbon/pinger.h"
#include "test.h"

#define START (INT64_C(5000) * USEC_PER_SEC)
#define SEC USEC_PER_SEC

struct row {
	const char *name, *value;
};

#define ROWS_MAX 24
#define GIVEN_MAX 8

struct world {
	struct props *props;
	struct log *logs;
	struct logger log;
	struct plugins *plugins;
	struct plugin *given[GIVEN_MAX];
	unsigned n_given, refreshes;
	struct ribbon_env env;
	struct ribbon *rb;
	struct arena arena;
	struct ribbon_settings s;
	struct eureka_cache cache;
	struct eureka_view *view;
	struct rng rng;
	struct tried tried;
	usec now;
};

static inline struct props *props_of(const struct row *rows)
{
	struct prop_entry entry[ROWS_MAX];
	struct prop_source s = { .name = STR("t"), .entry = entry };
	const struct prop_finding *f;
	struct props *p;

	for (; s.n < ROWS_MAX && rows[s.n].name; s.n++)
		entry[s.n] = (struct prop_entry){ str_from(rows[s.n].name), str_from(rows[s.n].value), 1, 1 };
	p = props_build(&s, 1, NULL, 0);
	if (!props_ok(p) && props_findings(p, &f))
		fail_msg("%.*s", STRF(f[0].text));
	return p;
}

static inline struct plugin *given(void *ctx, enum vine_plugin_kind kind, struct str client)
{
	struct world *w = ctx;

	for (unsigned i = 0; i < w->n_given; i++)
		if (plugin_table(w->given[i])->kind == (uint32_t)kind)
			return w->given[i];
	return NULL;
}

static inline void on_refresh(void *ctx)
{
	((struct world *)ctx)->refreshes++;
}

static inline void world_init(struct world *w, const struct row *rows)
{
	memset(w, 0, sizeof(*w));
	w->props = props_of(rows);
	w->logs = log_new(-1, LOG_LOGFMT);
	w->log = logger_of(w->logs, "vine.test", "test");
	w->plugins = plugins_new(&w->log, &user_host);
	w->env = (struct ribbon_env){
		.plugins = w->plugins, .log = &w->log, .seed = 5, .given = given, .refresh = on_refresh, .ctx = w
	};
	w->now = START;
	w->rb = ribbon_new(STR("shop"), &w->env, w->now);
	arena_init(&w->arena, 1024);
	eureka_cache_init(&w->cache, 1);
	rng_seed(&w->rng, 3);
}

static inline void world_fini(struct world *w)
{
	ribbon_free(w->rb);
	plugins_free(w->plugins);
	arena_fini(&w->arena);
	props_unref(w->props);
	eureka_view_unref(w->view);
	eureka_cache_fini(&w->cache);
	log_free(w->logs);
}

static inline void give(struct world *w, const struct vine_plugin *table)
{
	struct err e;

	if (plugins_adopt(w->plugins, table, &w->given[w->n_given++], &e) < 0)
		fail_msg("%s", e.text);
}

static inline void read_settings(struct world *w)
{
	struct err e;

	if (ribbon_settings_read(&w->s, w->rb, w->props, &w->arena, &e) < 0)
		fail_msg("%s", e.text);
}

static inline struct server_set *update(struct world *w, bool force)
{
	struct server_set *set = NULL;
	struct err e;

	if (ribbon_update(w->rb, &w->s, w->view, force, w->now, &set, &e) < 0)
		fail_msg("%s", e.text);
	return set;
}

/* "a:80 b:80" */
static inline void assert_servers(struct world *w, bool force, const char *want)
{
	struct server_set *set = update(w, force);
	char got[512] = "";

	for (uint32_t i = 0; i < set->n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", i ? " " : "", STRF(set->at[i]->id));
	assert_string_equal(got, want);
	server_set_unref(set);
}

static inline struct pick choose(struct world *w, struct server_set *set)
{
	struct choice c = { .list = server_set_list(set),
			    .tried = &w->tried,
			    .settings = &w->s.outlier,
			    .rule = &w->s.rules,
			    .rng = &w->rng,
			    .now = w->now };

	return balancer_choose(ribbon_balancer(w->rb, &w->s), &c);
}

/* Words of "vip/host@zone", with a '-' behind: DOWN; with a '!': it has registered anew. */
static inline void registry_knows(struct world *w, const char *words)
{
	struct apps_doc d = { 0 };
	struct str rest = str_from(words), word, vip, host;

	while (rest.len && str_cut(&rest, ' ', &word)) {
		struct instance x = instance_draft();
		struct kv meta[2] = { { STR("zone"), STR("") }, { STR("weight"), STR("300") } };

		str_cut(&word, '/', &vip);
		str_cut(&word, '@', &host);
		x.app = x.vip = vip;
		x.host = x.instance_id = host;
		x.ip = STR("10.9.9.9");
		x.has_dc = true;
		x.dirty = str_find(word, STR("!")) >= 0 ? 2 : 1;
		x.status = str_find(word, STR("-")) >= 0 ? INST_DOWN : INST_UP;
		x.port = (struct inst_port){ 80, !str_eq(host, STR("tls")) };
		x.secure_port = (struct inst_port){ 8443, str_eq(host, STR("tls")) || str_eq(host, STR("both")) };
		meta[0].value = str_slice(word, 0, 1);
		x.meta = meta;
		x.n_meta = str_eq(host, STR("heavy")) ? 2 : 1;
		apps_doc_add(&d, instance_new(&x));
	}
	eureka_cache_full(&w->cache, &d, false, 0);
	apps_doc_fini(&d);
	eureka_view_unref(w->view);
	w->view = eureka_cache_view(&w->cache, false);
}
