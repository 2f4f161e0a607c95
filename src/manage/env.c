/* env.c - see env.h. The sources stand in the order of their strength; a value that a stronger source covers is not shown
 * under the weaker one, because the picture keeps what won. */
#include "manage/env.h"

#include "codec/json.h"
#include "manage/actuator.h"
#include "manage/host.h"
#include "manage/secret.h"
#include "props/props.h"

#define SOURCES_MAX 64

static void add_value(struct control_call *c, struct jsonw *w, const struct prop_value *v)
{
	jsonw_object(w);
	jsonw_key_str(w, STR("value"), secret_masked(c->arena, v));
	if (v->origin.line)
		jsonw_key_str(w, STR("origin"),
			      str_printf_in(c->arena, "%.*s:%u:%u", STRF(v->origin.source), v->origin.line, v->origin.column));
	jsonw_object_end(w);
}

static size_t sources_of(const struct props *p, struct str out[SOURCES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < props_count(p); i++) {
		struct str s = props_at(p, i)->origin.source;
		size_t k = 0;

		while (k < n && !str_eq(out[k], s))
			k++;
		if (k == n && n < SOURCES_MAX)
			out[n++] = s;
	}
	return n;
}

static void add_profiles(struct jsonw *w, const struct props *p)
{
	const struct str *active;
	size_t n = props_profiles(p, &active);

	jsonw_key(w, STR("activeProfiles"));
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_str(w, active[i]);
	jsonw_array_end(w);
	jsonw_key(w, STR("defaultProfiles"));
	jsonw_array(w);
	jsonw_str(w, STR("default"));
	jsonw_array_end(w);
}

static void all(struct control_call *c, struct jsonw *w, const struct props *p)
{
	struct str source[SOURCES_MAX];
	size_t n = sources_of(p, source);

	jsonw_object(w);
	add_profiles(w, p);
	jsonw_key(w, STR("propertySources"));
	jsonw_array(w);
	for (size_t s = 0; s < n; s++) {
		jsonw_object(w);
		jsonw_key_str(w, STR("name"), source[s]);
		jsonw_key(w, STR("properties"));
		jsonw_object(w);
		for (size_t i = 0; i < props_count(p); i++) {
			const struct prop_value *v = props_at(p, i);

			if (!str_eq(v->origin.source, source[s]))
				continue;
			jsonw_key(w, v->name);
			add_value(c, w, v);
		}
		jsonw_object_end(w);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	jsonw_object_end(w);
}

static void one(struct control_call *c, struct jsonw *w, const struct props *p, const struct prop_value *v)
{
	struct str source[SOURCES_MAX];
	size_t n = sources_of(p, source);

	jsonw_object(w);
	jsonw_key(w, STR("property"));
	jsonw_object(w);
	jsonw_key_str(w, STR("source"), v->origin.source);
	jsonw_key_str(w, STR("value"), secret_masked(c->arena, v));
	jsonw_object_end(w);
	add_profiles(w, p);
	jsonw_key(w, STR("propertySources"));
	jsonw_array(w);
	for (size_t s = 0; s < n; s++) {
		jsonw_object(w);
		jsonw_key_str(w, STR("name"), source[s]);
		if (str_eq(source[s], v->origin.source)) {
			jsonw_key(w, STR("property"));
			add_value(c, w, v);
		}
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	jsonw_object_end(w);
}

void env_call(struct control_call *c)
{
	const struct props *p = c->host->props;
	const struct prop_value *v;
	struct jsonw w;

	jsonw_init(&w, &c->out);
	if (c->path.len == 0) {
		all(c, &w, p);
		return;
	}
	v = props_get(p, c->path);
	if (v)
		one(c, &w, p, v);
	else
		call_fail(c, 404, "no such property");
}
