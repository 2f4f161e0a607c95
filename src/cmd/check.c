/* check.c - `vine check [FILE]`: what a configuration means to Vine. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "props/load.h"

static size_t show_findings(const struct props *p, enum finding_kind kind)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f), shown = 0;

	for (size_t i = 0; i < n; i++) {
		if (f[i].kind != kind)
			continue;
		printf("%s  %.*s\n", kind == FINDING_ERROR ? "error  " : "warning", STRF(f[i].text));
		shown++;
	}
	return shown;
}

int cmd_check(const struct command *cmd, const struct cmdline *cl)
{
	struct load_opts lo = { .config = cl->n_args ? cl->args[0] : cl->config, .args = cl->props, .n_args = cl->n_props,
				.env = environ };
	struct props *p = NULL;
	struct err e = { 0 };
	size_t errors;

	if (cl->n_args > 1) {
		command_usage(cmd);
		return EXIT_USAGE;
	}
	if (props_load(&p, &lo, NULL, &e) < 0) {
		fprintf(stderr, "vine check: %s\n", e.text);
		return EXIT_FAILED;
	}
	errors = show_findings(p, FINDING_ERROR);
	show_findings(p, FINDING_WARNING);
	props_unref(p);
	return errors ? EXIT_FAILED : EXIT_FINE;
}
