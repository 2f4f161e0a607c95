/* vine/app.h - a service: an HTTP server that registers, answers, calls others by name, and leaves in order.
 *
 *	int main(int argc, char **argv)
 *	{
 *		struct vine_err e;
 *		struct vine_app *app;
 *
 *		if (vine_app_new(&app, &(struct vine_app_opts){ .argc = argc, .argv = argv, .name = "member" }, &e) < 0)
 *			return vine_app_complain("member", &e);
 *		vine_app_route(app, "GET", "/members/{id}", show_member, NULL);
 *		int code = vine_app_run(app);
 *		vine_app_free(app);
 *		return code;
 *	}
 *
 * Configuration  Spring's files and property names, strongest first: --key=value on the command line, the environment
 *                (SERVER_PORT), then -c FILE or the file that vine_app_opts names or, failing both, vine.yml or
 *                application.yml of the working folder. docs/libvine.md lists what is read.
 * Threads        libvine runs one event-loop thread for the network and the registry, and a bounded pool of threads on
 *                which handlers run: a handler may block. Its threads block all signals.
 * Life           new, route..., then run (or start, stop), then free. Nothing here is thread-safe but vine_app_stop and
 *                what says so. A process may have several apps. */
#pragma once
#include <vine/http.h>

struct vine_app;
struct vine_plugin;

struct vine_app_opts {
	int argc; /* main's; --key=value and -c FILE are read, anything else is refused. 0: no command line */
	char **argv;
	const char *name;   /* spring.application.name, unless the configuration says otherwise; NULL: "unknown" */
	const char *config; /* a file, unless -c names another; NULL: see above */
};

/* Reads the configuration. Nothing listens yet. Negative: e says which file, line and key, or which argument. */
VINE_API int vine_app_new(struct vine_app **ret, const struct vine_app_opts *opts, struct vine_err *e);
VINE_API void vine_app_free(struct vine_app *app); /* stops first, if it runs; NULL is fine */

/* Answers method ("GET", "POST PUT", "*") on pattern ("/products/{id}", "/files/{*path}") by handler, on a thread of the
 * pool. Literal segments win over variables. Before start; a malformed pattern is the programmer's and aborts. */
VINE_API void vine_app_route(struct vine_app *app, const char *method, const char *pattern, vine_handler handler, void *ctx);

/* A part of the balancers of your own (vine/balance.h): table is the struct vine_plugin that a struct vine_rule_ops, ... begins
 * with, and lives as long as app. It stands before what the properties name. service NULL: for all services without a table of
 * their own. Before start. Negative: e says what is wrong with the table. */
VINE_API int vine_app_use(struct vine_app *app, const char *service, const struct vine_plugin *table, struct vine_err *e);

/* start, the ready line on stdout ("member ready: http://127.0.0.1:8081 pid 4711"), then until SIGTERM or SIGINT or
 * vine_app_stop, then an orderly end. SIGHUP is vine_app_reload. Returns what main should return: 0, or 1 with the reason in one line on stderr.
 * These signals are blocked in the calling thread while it runs, and stay blocked where one of them ended it: call it on the
 * main thread, before making others. */
VINE_API int vine_app_run(struct vine_app *app);

/* Listens, registers and returns; for a program that has a main loop of its own. Negative: nothing runs, e says why. */
VINE_API int vine_app_start(struct vine_app *app, struct vine_err *e);
/* Asks the app to end: it leaves the registry, refuses new connections and finishes what it has, for at most
 * spring.lifecycle.timeout-per-shutdown-phase (30 s). Returns at once; any thread, also a signal handler. */
VINE_API void vine_app_stop(struct vine_app *app);
VINE_API void vine_app_wait(struct vine_app *app); /* until that is over */

/* How a part of the service is: "db" is down. The worst of all parts is what /actuator/health says, with 503 for DOWN and
 * OUT_OF_SERVICE, and with eureka.client.healthcheck.enabled what the registry is told: OUT_OF_SERVICE as DOWN, for there it is
 * an operator's word; at once, but for a limit of two changes and then four a minute, past which it waits its turn or for
 * the next heartbeat; with eureka.client.on-demand-update-status-change=false it always waits for that, or for the next look
 * (eureka.client.instance-info-replication-interval-seconds). A part is there from its first call on; at most 32, names up to
 * 63 bytes. why: a word for people, copied; NULL: none. false: no room. Any thread, also a handler's;
 * costs a short lock. */
enum vine_health { VINE_HEALTH_UNKNOWN, VINE_HEALTH_UP, VINE_HEALTH_OUT_OF_SERVICE, VINE_HEALTH_DOWN };
VINE_API bool vine_app_health(struct vine_app *app, const char *part, enum vine_health health, const char *why);

/* Reads the configuration again, as is done by itself within a second after one of its files has changed. One that is wrong
 * changes nothing and is an error in the log. docs/libvine.md says what follows it. Returns at once; any thread, also a
 * signal handler. */
VINE_API void vine_app_reload(struct vine_app *app);

VINE_API unsigned vine_app_port(const struct vine_app *app);     /* where it listens; 0 before start. Any thread */
VINE_API const char *vine_app_name(const struct vine_app *app);  /* lives as long as app. Any thread */
/* The present value of any key of the configuration, the user's own too, placeholders resolved; NULL: not set. The text lives
 * as long as app, also when a reload changes the value. Any thread. */
VINE_API const char *vine_app_property(struct vine_app *app, const char *key);

/* "name: text" on stderr; returns 1, for main. */
VINE_API int vine_app_complain(const char *name, const struct vine_err *e);
