/* reference.c - the reference page in Markdown, one table a family. */
#include "props/reference.h"

#include "base/map.h"

const char *prop_type_name(enum prop_type t)
{
	switch (t) {
	case PROP_BOOL:
		return "true or false";
	case PROP_INT:
		return "whole number";
	case PROP_MS:
		return "time (ms, 5s, PT5S)";
	case PROP_SEC:
		return "time (s, 500ms, PT5S)";
	case PROP_BYTES:
		return "size (bytes, 16KB)";
	case PROP_DOUBLE:
		return "number";
	case PROP_STR:
		return "text";
	case PROP_ENUM:
		return "one of";
	case PROP_LIST:
		return "list";
	case PROP_PATH:
		return "path (/x, /x/y; / is none)";
	case PROP_CLASS:
		return "path:symbol or one of";
	}
	return "";
}

/* The heading under which a row stands: its first segment, or what follows "{client}.". */
static struct str family_of(const struct prop_desc *d)
{
	struct str name = str_from(d->name), first;

	str_cut(&name, '.', &first);
	if (first.ptr[0] == '{')
		str_cut(&name, '.', &first);
	return first;
}

static void add_cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_addc(out, '\\');
		buf_addc(out, *text);
	}
}

static void add_type(struct buf *out, const struct prop_desc *d)
{
	buf_addz(out, prop_type_name(d->type));
	if (d->type == PROP_ENUM || d->type == PROP_CLASS)
		buf_addf(out, " %s", d->values);
	if (d->min && !d->max)
		buf_addf(out, ", from %lld", (long long)d->min);
	else if (d->max >= INT32_MAX)
		buf_addf(out, ", from %lld", (long long)d->min);
	else if (d->max)
		buf_addf(out, ", %lld to %lld", (long long)d->min, (long long)d->max);
}

static void add_row(struct buf *out, const struct prop_desc *d)
{
	buf_addf(out, "| `%s` | ", d->name);
	add_type(out, d);
	buf_addz(out, " | ");
	if (d->def && d->def[0])
		buf_addf(out, "`%s`", d->def);
	buf_addz(out, " | ");
	add_cell(out, d->doc);
	if (d->state != PROP_HONOURED) {
		buf_addf(out, ". *%s: ", d->state == PROP_MAPPED ? "Carried out in another way" : "Without effect");
		add_cell(out, d->note);
		buf_addc(out, '*');
	} else if (d->live) {
		buf_addz(out, ". Takes effect while running");
	}
	buf_addz(out, " |\n");
}

static void add_family(struct buf *out, struct str family)
{
	buf_addf(out, "\n## %.*s\n\n| Property | Type | Default | Meaning |\n|---|---|---|---|\n", STRF(family));
	for (size_t i = 0; i < prop_catalogue_len; i++)
		if (str_eq(family_of(&prop_catalogue[i]), family))
			add_row(out, &prop_catalogue[i]);
}

void reference_write(struct buf *out)
{
	struct map seen;

	buf_addz(out, "# Properties\n\n"
		      "Names are Spring's own; case, `-` and `_` do not count (`ribbonIsolationStrategy`, "
		      "`ribbon-isolation-strategy` and `ZUUL_RIBBON_ISOLATION_STRATEGY` are one property). What stands in braces is "
		      "yours to fill in and is kept as you write it: a service, a command, a route. Strongest first: command line "
		      "`--key=value`, environment, configuration server, file.\n\n"
		      "`vine help KEY` shows a row of this page, `vine check FILE` says what Vine makes of a file, `vine "
		      "show-config` what is in force and where it comes from.\n\n"
		      "This page is written from the catalogue in `src/props/catalogue_rows.c`.\n");
	map_init(&seen, 1);
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		struct str family = family_of(&prop_catalogue[i]);

		if (map_get(&seen, family))
			continue;
		map_put(&seen, family, &seen);
		add_family(out, family);
	}
	map_fini(&seen);
}
