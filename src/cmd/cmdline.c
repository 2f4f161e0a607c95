/* cmdline.c - see cmdline.h. Options may stand before or after the command; a property is told from an option by its '='
 * and from a typing error by the catalogue, later. */
#include "cmd/cmdline.h"

static bool takes_value(const char *arg, const char *name, const char **value, int *i, int argc, char *const *argv)
{
	size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0)
		return false;
	if (arg[n] == '=') {
		*value = arg + n + 1;
		return true;
	}
	if (arg[n] != '\0' || *i + 1 >= argc)
		return false;
	*value = argv[++*i];
	return true;
}

static bool flag(const char *arg, struct cmdline *c)
{
	const struct { const char *name; bool *to; } flags[] = {
		{ "-h", &c->help }, { "--help", &c->help }, { "-V", &c->version }, { "--version", &c->version },
		{ "--single", &c->single }, { "--force", &c->force }, { "--no-plugins", &c->no_plugins },
	};

	for (size_t k = 0; k < ARRAY_LEN(flags); k++) {
		if (strcmp(arg, flags[k].name) == 0)
			return *flags[k].to = true;
	}
	return false;
}

static int option(struct cmdline *c, const char *arg, int *i, int argc, char *const *argv, struct err *e)
{
	const char *fd = NULL;
	uint64_t n;

	if (flag(arg, c) || takes_value(arg, "-c", &c->config, i, argc, argv) ||
	    takes_value(arg, "--config", &c->config, i, argc, argv) ||
	    takes_value(arg, "--default-address", &c->default_address, i, argc, argv))
		return 0;
	if (takes_value(arg, "--ready-fd", &fd, i, argc, argv)) {
		if (!str_to_u64(str_from(fd), &n) || n > 65535)
			return err_set(e, VINE_EINVAL, "--ready-fd: not a descriptor");
		c->ready_fd = (int)n;
		return 0;
	}
	if (strcmp(arg, "-c") == 0 || strcmp(arg, "--config") == 0)
		return err_set(e, VINE_EINVAL, "%s: the name of a file must follow", arg);
	if (strncmp(arg, "--", 2) != 0 || !strchr(arg, '=') || arg[2] == '=')
		return err_set(e, VINE_EINVAL, "unknown option %s; a property is set by --key=value", arg);
	if (c->n_props == CMDLINE_MAX)
		return err_set(e, VINE_ELIMIT, "more than %d properties on the command line", CMDLINE_MAX);
	c->props[c->n_props++] = arg + 2;
	return 0;
}

int cmdline_parse(struct cmdline *ret, int argc, char *const *argv, struct err *e)
{
	struct cmdline c = { .program = argc > 0 ? argv[0] : "vine" };
	bool only_args = false;
	int r;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!only_args && strcmp(arg, "--") == 0) {
			only_args = true;
		} else if (!only_args && arg[0] == '-' && arg[1] != '\0') {
			r = option(&c, arg, &i, argc, argv, e);
			if (r < 0)
				return r;
		} else if (!c.command) {
			c.command = arg;
		} else if (c.n_args == CMDLINE_MAX) {
			return err_set(e, VINE_ELIMIT, "more than %d arguments", CMDLINE_MAX);
		} else {
			c.args[c.n_args++] = arg;
		}
	}
	*ret = c;
	return 0;
}
