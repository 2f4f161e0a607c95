/* show.c - `vine show-config [PREFIX]`: the values in force, as properties, each with its origin as a comment. */
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "cmd/cmd.h"
#include "manage/config.h"
#include "manage/host.h"
#include "manage/secret.h"
#include "props/props.h"

/* As a .properties file would hold it. */
static void add_escaped(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		switch (s.ptr[i]) {
		case '\n': buf_addz(b, "\\n"); break;
		case '\r': buf_addz(b, "\\r"); break;
		case '\t': buf_addz(b, "\\t"); break;
		case '\\': buf_addz(b, "\\\\"); break;
		default: buf_addc(b, s.ptr[i]);
		}
	}
}

static void add_value(struct buf *out, struct arena *a, const struct prop_value *v)
{
	size_t start = out->len;

	buf_adds(out, v->name);
	buf_addc(out, '=');
	add_escaped(out, secret_masked(a, v));
	while (out->len - start < 60)
		buf_addc(out, ' ');
	buf_addf(out, "  # %.*s", STRF(v->origin.source));
	if (v->origin.line)
		buf_addf(out, ":%u:%u", v->origin.line, v->origin.column);
	buf_addc(out, '\n');
}

static void add_defaults(struct buf *out, const struct props *p, struct str prefix)
{
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		const struct prop_desc *d = &prop_catalogue[i];
		size_t start = out->len;

		if (!d->def || strchr(d->name, '{') || props_get(p, str_from(d->name)) ||
		    !str_has_prefix_nocase(str_from(d->name), prefix))
			continue;
		buf_addf(out, "%s=%s", d->name, d->def);
		while (out->len - start < 60)
			buf_addc(out, ' ');
		buf_addz(out, "  # default\n");
	}
}

int cmd_show_config(const struct command *cmd, const struct cmdline *cl)
{
	struct str prefix = cl->n_args ? str_from(cl->args[0]) : STR_EMPTY;
	_cleanup_(buf_finip) struct buf out = BUF_INIT(64u << 20);
	struct host_opts opts = host_opts_of(cl);
	struct props *p = NULL;
	struct err e = { 0 };
	struct arena a;

	if (cl->n_args > 1) {
		command_usage(cmd);
		return EXIT_USAGE;
	}
	if (config_load(&p, &opts, &e) < 0) {
		fprintf(stderr, "vine show-config: %s\n", e.text);
		return EXIT_FAILED;
	}
	arena_init(&a, 4096);
	for (size_t i = 0; i < props_count(p); i++) {
		if (str_has_prefix_nocase(props_at(p, i)->name, prefix))
			add_value(&out, &a, props_at(p, i));
	}
	add_defaults(&out, p, prefix);
	fwrite(out.ptr, 1, out.len, stdout);
	arena_fini(&a);
	props_unref(p);
	return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}
