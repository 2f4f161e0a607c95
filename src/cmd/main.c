/* main.c - vine: finds the command and runs it. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "gateway/role.h"
#include "manage/host.h"
#include "registry/role.h"

static int run_role(const struct command *cmd, const struct cmdline *cl)
{
	struct host_opts opts = host_opts_of(cl);

	if (cl->n_args) {
		fprintf(stderr, "vine %s: what is \"%s\"? A property is set by --key=value\n", cmd->name, cl->args[0]);
		return EXIT_USAGE;
	}
	return host_run(cmd->role, &opts);
}

const struct command commands[] = {
	{ "up", "", "start the platform: every role on embedded defaults, under a supervisor",
	  "Starts one process a role, restarts what fails with growing pauses, and stops everything on Ctrl-C or SIGTERM.\n"
	  "Listens on 127.0.0.1 unless server.address says otherwise.\n\n"
	  "  --single             all roles in this one process\n"
	  "  --vine.up.roles=...  which roles, in this order (registry,gateway)\n"
	  "  --vine.up.ports.ROLE=N  another port for a role; 0 picks a free one (the gateway's is also server.port)\n",
	  cmd_up, NULL },
	{ "registry", "", "serve the service registry, in the place of a Eureka server", NULL, run_role, &registry_role },
	{ "gateway", "", "proxy requests to services, with circuit breakers, balancing and retries (Zuul)", NULL, run_role,
	  &gateway_role },
	{ "init", "[FILE]", "write a commented configuration to start from", NULL, cmd_init, NULL },
	{ "check", "[FILE]", "say what a configuration means: honoured, mapped, refused, cannot fit together",
	  "Shared objects that properties name as path:symbol are loaded and their tables judged, as at the start of a role; nothing\n"
	  "of them is called. Where they are not on this machine:\n\n"
	  "  --no-plugins         passes over them\n",
	  cmd_check, NULL },
	{ "show-config", "[PREFIX]", "print the values in force and where each comes from", NULL, cmd_show_config, NULL },
	{ "help", "[COMMAND | KEY]", "explain a command or a property", NULL, cmd_help, NULL },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

void command_usage(const struct command *cmd)
{
	if (cmd) {
		printf("usage: vine %s [-c FILE] [--key=value ...] %s\n\n%s.\n", cmd->name, cmd->args, cmd->summary);
		if (cmd->help)
			printf("\n%s", cmd->help);
		return;
	}
	printf("usage: vine COMMAND [-c FILE] [--key=value ...]\n\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-12s %s\n", c->name, c->summary);
	printf("\n"
	       "  -c FILE              the configuration; else vine.yml, application.yml or application.properties here\n"
	       "                       or in config/\n"
	       "  --key=value          sets a property, stronger than environment and files\n"
	       "  --help, --version\n\n"
	       "vine help COMMAND explains a command, vine help KEY a property.\n");
}

struct host_opts host_opts_of(const struct cmdline *cl)
{
	return (struct host_opts){
		.program = cl->program,
		.config = cl->config,
		.args = cl->props,
		.n_args = cl->n_props,
		.default_address = cl->default_address,
		.ready_fd = cl->ready_fd,
	};
}

static int unknown_command(const char *name)
{
	const char *best = NULL;
	unsigned best_d = 3;

	for (const struct command *c = commands; c->name; c++) {
		unsigned d = str_distance(str_from(name), str_from(c->name), 3);

		if (d < best_d) {
			best_d = d;
			best = c->name;
		}
	}
	fprintf(stderr, "vine: unknown command \"%.60s\"", name);
	if (best)
		fprintf(stderr, "; did you mean %s?", best);
	fprintf(stderr, "%s\n", best ? "" : "; vine --help lists them");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct cmdline cl;
	struct err e = { 0 };

	if (cmdline_parse(&cl, argc, argv, &e) < 0) {
		fprintf(stderr, "vine: %s\n", e.text);
		return EXIT_USAGE;
	}
	if (cl.version) {
		printf("vine " VINE_VERSION "\n");
		return EXIT_FINE;
	}
	if (!cl.command) {
		command_usage(NULL);
		return cl.help ? EXIT_FINE : EXIT_USAGE;
	}

	const struct command *cmd = command_find(cl.command);

	if (!cmd)
		return unknown_command(cl.command);
	if (cl.help) {
		command_usage(cmd);
		return EXIT_FINE;
	}
	return cmd->run(cmd, &cl);
}
