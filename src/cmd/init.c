/* init.c - `vine init [FILE]`: a commented configuration to start from. It never overwrites. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"

/* All of it is comments: an untouched file changes nothing. */
static const char template[] =
	"# vine.yml - configuration of Vine: registry, gateway and what else `vine up` starts.\n"
	"#\n"
	"# Names are Spring's own: an application.yml made for Eureka, Zuul, Ribbon and Hystrix is read as it is.\n"
	"#   vine check vine.yml     says which keys are honoured, and which time-outs cannot fit together\n"
	"#   vine help KEY           explains a key: vine help zuul.routes\n"
	"#   vine show-config        prints what is in force, and where each value comes from\n"
	"# Stronger than this file: environment (EUREKA_CLIENT_SERVICE_URL_DEFAULTZONE=...) and command line (--key=value).\n"
	"# A changed file is read again while running; one that is not valid changes nothing and is reported.\n"
	"\n"
	"# --- where the services are -------------------------------------------------------------------------------\n"
	"# Under `vine up` the roles find the registry that it starts; this is for another one.\n"
	"#eureka:\n"
	"#  client:\n"
	"#    service-url:\n"
	"#      defaultZone: http://localhost:8761/eureka/\n"
	"\n"
	"# --- what the gateway does with a path --------------------------------------------------------------------\n"
	"# Without routes, every registered service is reached at /<its name>/**.\n"
	"#zuul:\n"
	"#  routes:\n"
	"#    product:                # the name of the route\n"
	"#      path: /product/**     # the first route that matches wins\n"
	"#      service-id: product   # found in the registry; its circuit carries this name too\n"
	"#    legacy:\n"
	"#      path: /**\n"
	"#      url: http://localhost:8000\n"
	"\n"
	"# --- a service that is in no registry ---------------------------------------------------------------------\n"
	"#product:\n"
	"#  ribbon:\n"
	"#    listOfServers: 10.0.0.1:8080,10.0.0.2:8080\n"
	"#    MaxAutoRetriesNextServer: 1\n"
	"\n"
	"# --- circuits: defaults for all, then one of its own ------------------------------------------------------\n"
	"#hystrix:\n"
	"#  command:\n"
	"#    default:\n"
	"#      execution:\n"
	"#        isolation:\n"
	"#          thread:\n"
	"#            timeoutInMilliseconds: 4000  # room for every try: (connect 1 s + read 1 s) on two servers\n"
	"#    product:\n"
	"#      circuitBreaker:\n"
	"#        requestVolumeThreshold: 20\n"
	"#        errorThresholdPercentage: 50\n"
	"#        sleepWindowInMilliseconds: 5000\n"
	"\n"
	"# --- management: /actuator --------------------------------------------------------------------------------\n"
	"# Health and info are open; the rest answers this machine, and others with these credentials.\n"
	"#vine:\n"
	"#  management:\n"
	"#    user: admin\n"
	"#    password: ${VINE_ADMIN_PASSWORD}\n"
	"\n"
	"#logging:\n"
	"#  level:\n"
	"#    root: info\n"
	"#    vine.gateway: debug\n";

int cmd_init(const struct command *cmd, const struct cmdline *cl)
{
	const char *path = cl->n_args ? cl->args[0] : "vine.yml";
	size_t n = sizeof(template) - 1;
	int fd;

	(void)cmd;
	if (cl->n_args > 1) {
		fprintf(stderr, "vine init: one file at most\n");
		return EXIT_USAGE;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		fprintf(stderr, errno == EEXIST ? "vine init: %s is there already; nothing was changed\n" : "vine init: cannot write %s: %s\n",
			path, strerror(errno));
		return EXIT_FAILED;
	}

	bool fine = write(fd, template, n) == (ssize_t)n;
	int why = errno;

	if (close(fd) < 0 || !fine) {
		fprintf(stderr, "vine init: cannot write %s: %s\n", path, strerror(why));
		unlink(path);
		return EXIT_FAILED;
	}
	printf("wrote %s; next: vine check %s, vine up -c %s\n", path, path, path);
	return EXIT_FINE;
}
