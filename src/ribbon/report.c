/* report.c - see report.h. */
#include "ribbon/report.h"

#include <unistd.h>

#include "base/map.h"
#include "plugin/plugin.h"
#include "props/props.h"
#include "ribbon/ribbon.h"

#define LB "vine.loadbalancer.{client}."

/* --- users' tables --- */

/* What kind of table this value names; 0: none. */
static enum vine_plugin_kind kind_of(const struct prop_value *v)
{
	struct str name = v->desc ? str_from(v->desc->name) : STR_EMPTY;

	if (str_eq(name, STR(LB "client-config")) && str_trim(v->value).len)
		return VINE_PLUGIN_CONFIG;
	if (!v->desc || v->desc->type != PROP_CLASS || !prop_class_is_plugin(v->value))
		return 0;
	for (unsigned k = 0; k < CLASS_KINDS; k++)
		if (str_has_suffix(name, str_from(class_property((enum class_kind)k))))
			return ribbon_plugin_kind((enum class_kind)k);
	return 0;
}

/* A file that is not there is told apart: perhaps it is only not on this machine. */
static int judge_table(struct plugins *ps, struct str spec, enum vine_plugin_kind kind, struct err *e)
{
	ptrdiff_t colon = str_rchr(spec, ':');
	_cleanup_(freep) char *path = str_dup(str_slice(spec, 0, colon > 0 ? (size_t)colon : 0));
	struct plugin *pl;

	if (colon > 0 && access(path, F_OK) != 0)
		return err_set(e, VINE_ENOTFOUND,
			       "%s is not there; a start looks for it on its own machine (--no-plugins passes over tables)", path);
	return plugins_load(ps, spec, kind, &pl, e);
}

static void add_place(struct buf *out, const struct prop_value *v)
{
	buf_addf(out, "%.*s", STRF(v->origin.source));
	if (v->origin.line)
		buf_addf(out, ":%u:%u", v->origin.line, v->origin.column);
	buf_addz(out, ": ");
}

static size_t report_tables(struct buf *out, const struct props *p)
{
	struct log *log = log_new(STDERR_FILENO, LOG_LOGFMT);
	struct logger to = logger_of(log, "vine.check", "check");
	struct plugins *ps = plugins_new(&to, &user_host);
	size_t wrong = 0;

	plugins_only_judge(ps);
	for (size_t i = 0; i < props_count(p); i++) {
		const struct prop_value *v = props_at(p, i);
		enum vine_plugin_kind kind = kind_of(v);
		struct str spec = str_trim(v->value), why;
		struct err e;

		if (!kind || judge_table(ps, spec, kind, &e) == 0)
			continue;
		why = str_from(e.text);
		if (str_has_prefix(why, spec)) /* which is said already */
			why = str_slice(why, MIN(spec.len + 2, why.len), why.len);
		buf_addz(out, "  WRONG    ");
		add_place(out, v);
		buf_addf(out, "%.*s = %.*s: %.*s\n", STRF(v->name), STRF(spec), STRF(why));
		wrong++;
	}
	plugins_free(ps);
	log_free(log);
	return wrong;
}

static void note_tables(struct buf *out, const struct props *p)
{
	size_t n = 0;

	for (size_t i = 0; i < props_count(p); i++)
		n += kind_of(props_at(p, i)) != 0;
	if (n)
		buf_addf(out, "  note     %zu table%s of your own %s not looked at\n", n, n == 1 ? "" : "s", n == 1 ? "was" : "were");
}

/* --- clients --- */

/* The value that a fault speaks of: its text begins with the name. NULL: it is a default. */
static const struct prop_value *value_of(const struct props *p, struct str text)
{
	const struct prop_value *best = NULL;

	for (size_t i = 0; i < props_count(p); i++) {
		const struct prop_value *v = props_at(p, i);

		if (str_has_prefix(text, v->name) && (!best || v->name.len > best->name.len))
			best = v;
	}
	return best;
}

static size_t report_client(struct buf *out, const struct props *p, struct str name)
{
	const struct ribbon_env env = { .seed = 1 }; /* without plugins: see report_tables */
	struct ribbon *rb = ribbon_new(name, &env, 0);
	const struct prop_value *v;
	struct ribbon_settings s;
	struct arena a;
	struct err e;
	int r;

	arena_init(&a, 4096);
	r = ribbon_settings_read(&s, rb, p, &a, &e);
	if (r == 0)
		r = ribbon_check(&s, rb, &e);
	if (r < 0) {
		v = value_of(p, str_from(e.text));
		buf_addz(out, "  WRONG    ");
		if (v)
			add_place(out, v);
		buf_addf(out, "%s\n", e.text);
	}
	arena_fini(&a);
	ribbon_free(rb);
	return r < 0;
}

static size_t report_clients(struct buf *out, const struct props *p)
{
	size_t wrong = report_client(out, p, STR("default")); /* what holds where a client has nothing of its own */
	struct map seen;

	map_init(&seen, (uintptr_t)p);
	for (size_t i = 0; i < props_count(p); i++) {
		const struct prop_value *v = props_at(p, i);
		struct str row = v->desc ? str_from(v->desc->name) : STR_EMPTY;
		bool is_client = str_has_prefix(row, STR("{client}.ribbon.")) || str_has_prefix(row, STR(LB));

		if (is_client && !str_eq(v->key, STR("default")) && !map_put(&seen, v->key, (void *)(uintptr_t)v))
			wrong += report_client(out, p, v->key);
	}
	map_fini(&seen);
	return wrong;
}

size_t ribbon_report(struct buf *out, const struct props *p, bool with_plugins)
{
	size_t wrong = 0;

	if (with_plugins)
		wrong += report_tables(out, p);
	else
		note_tables(out, p);
	if (props_ok(p)) /* else single values are at fault, and told */
		wrong += report_clients(out, p);
	return wrong;
}
