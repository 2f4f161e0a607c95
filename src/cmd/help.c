/* help.c - `vine help KEY`: what the catalogue knows of a property; `vine help COMMAND`. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "props/catalogue.h"
#include "props/reference.h"

static void show(const struct prop_desc *d)
{
	printf("%s\n  %s\n", d->name, d->doc);
	printf("  type     %s", prop_type_name(d->type));
	if (d->type == PROP_ENUM || d->type == PROP_CLASS)
		printf(" %s", d->values);
	if (d->min || d->max)
		printf(", %lld to %lld", (long long)d->min, (long long)d->max);
	printf("\n  default  %s\n", d->def ? d->def[0] ? d->def : "empty" : "none");
	printf("  change   %s\n", d->live ? "takes effect while running" : "takes effect at the next start");
	if (d->state != PROP_HONOURED)
		printf("  note     %s%s%s\n", d->state == PROP_MAPPED ? "carried out in another way" : "has no effect",
		       d->note ? ": " : "", d->note ? d->note : "");
}

static size_t show_below(struct str prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < prop_catalogue_len; i++) {
		struct str name = str_from(prop_catalogue[i].name);

		if (!str_has_prefix_nocase(name, prefix) || (name.len > prefix.len && name.ptr[prefix.len] != '.'))
			continue;
		printf("%-70s %s\n", prop_catalogue[i].name, prop_catalogue[i].doc);
		n++;
	}
	return n;
}

static int help_key(struct str name)
{
	struct arena a;
	struct str key, near;
	int index;
	const struct prop_desc *d = prop_desc_find(name, &key, &index);

	if (!d) {
		_cleanup_(freep) char *z = str_dup(name);

		d = prop_desc_named(z);
	}
	if (d) {
		show(d);
		return EXIT_FINE;
	}
	if (show_below(name))
		return EXIT_FINE;
	arena_init(&a, 1024);
	near = prop_nearest(&a, name);
	fprintf(stderr, "vine help: neither a command nor a property: %.*s", STRF(str_slice(name, 0, 100)));
	if (near.len)
		fprintf(stderr, "; did you mean %.*s?", STRF(near));
	fprintf(stderr, "\n");
	arena_fini(&a);
	return EXIT_FAILED;
}

int cmd_help(const struct command *cmd, const struct cmdline *cl)
{
	const struct command *about = cl->n_args ? command_find(cl->args[0]) : NULL;

	(void)cmd;
	if (cl->n_args == 0 || about) {
		command_usage(about);
		return EXIT_FINE;
	}
	return help_key(str_from(cl->args[0]));
}
