/* check.c - `vine check [FILE]`: what a configuration means to Vine; see props/check.h for the report. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "flow/properties.h"
#include "http/identities.h"
#include "props/check.h"
#include "props/load.h"
#include "ribbon/report.h"

#define REPORT_MAX (64u << 20)

/* What needs more than the properties themselves: the upper floors' families, and files. */
static size_t further(struct buf *out, const struct props *p, bool with_plugins)
{
	size_t wrong = flow_properties_report(out, p) + ribbon_report(out, p, with_plugins);
	struct err e;

	if (identities_check(p, &e) == 0)
		return wrong;
	buf_addf(out, "  WRONG    %s\n", e.text);
	return wrong + 1;
}

static size_t report_more(struct buf *out, const struct props *p)
{
	return further(out, p, true);
}

static size_t report_without_plugins(struct buf *out, const struct props *p)
{
	return further(out, p, false);
}

int cmd_check(const struct command *cmd, const struct cmdline *cl)
{
	struct load_opts lo = { .config = cl->n_args ? cl->args[0] : cl->config, .args = cl->props, .n_args = cl->n_props,
				.env = environ };
	_cleanup_(buf_finip) struct buf out = BUF_INIT(REPORT_MAX);
	struct props *p = NULL;
	struct err e = { 0 };
	size_t wrong;

	if (cl->n_args > 1) {
		command_usage(cmd);
		return EXIT_USAGE;
	}
	if (props_load(&p, &lo, NULL, &e) < 0) {
		fprintf(stderr, "vine check: %s\n", e.text);
		return EXIT_FAILED;
	}
	wrong = check_report(&out, p, cl->no_plugins ? report_without_plugins : report_more);
	props_unref(p);
	if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
		return EXIT_FAILED;
	return wrong ? EXIT_FAILED : EXIT_FINE;
}
