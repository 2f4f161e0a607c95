/* flow_replay.c - Vine's flow, driven line by line by the tests that hold it against Hystrix and Ribbon. Times are
 * microseconds and must not go back.
 *
 *   command KEY name=value ...    begins a command key
 *   admit KEY CALL NOW            OK, SHORT_CIRCUITED or SEMAPHORE_REJECTED
 *   done KEY CALL NOW OUTCOME     SUCCESS, FAILURE, TIMEOUT or BAD_REQUEST
 *   fallback KEY CALL NOW yes|no  is there one: RUN, DISABLED, MISSING or REJECTED
 *   fellback KEY CALL NOW yes|no  did it succeed
 *   look KEY NOW                  open total errors percentage EVENT=rolling/lifetime ...
 *   rule NAME                     begins a group of servers with this rule
 *   server ZONE AVERAGE ACTIVE STATE   one more: its mean latency in us, its requests in flight, in or out
 *   choose N                      how often each server is chosen, in N choices */
#include <stdio.h>

#include "base/map.h"
#include "flow/balance.h"
#include "flow/command.h"

#define START (INT64_C(1000) * USEC_PER_SEC) /* the tests' zero: windows begin nowhere near it */
#define CALLS 4096
#define WORDS 24
#define SERVERS 1000

struct key {
	struct command *command;
	struct cmd_settings cs;
	struct ticket tickets[CALLS];
};

static struct command_table *table;
static struct map keys;

static void fail(const char *why, const char *what)
{
	printf("error %s %s\n", why, what);
	exit(1);
}

/* --- commands --- */

static void set(struct cmd_settings *cs, const char *name, const char *value)
{
	long n = strtol(value, NULL, 10);
	bool yes = strcmp(value, "true") == 0;

	if (strcmp(name, "isolation") == 0)
		cs->isolation = strcmp(value, "THREAD") == 0 ? FLOW_THREAD : FLOW_SEMAPHORE;
	else if (strcmp(name, "semaphore") == 0)
		cs->semaphore_max = (uint32_t)n;
	else if (strcmp(name, "fallbackSemaphore") == 0)
		cs->fallback_max = (uint32_t)n;
	else if (strcmp(name, "timeout") == 0)
		cs->timeout_enabled = true, cs->timeout_ms = n;
	else if (strcmp(name, "enabled") == 0)
		cs->breaker_enabled = yes;
	else if (strcmp(name, "forceOpen") == 0)
		cs->force_open = yes;
	else if (strcmp(name, "forceClosed") == 0)
		cs->force_closed = yes;
	else if (strcmp(name, "volume") == 0)
		cs->volume_threshold = (uint32_t)n;
	else if (strcmp(name, "errors") == 0)
		cs->error_threshold_pct = (uint32_t)n;
	else if (strcmp(name, "sleep") == 0)
		cs->sleep_window_ms = n;
	else if (strcmp(name, "window") == 0)
		cs->window_ms = n;
	else if (strcmp(name, "snapshot") == 0)
		cs->health_interval_ms = n;
	else
		fail("unknown setting", name);
}

static void begin_command(char **w, int n)
{
	struct key *k = xzalloc(sizeof(*k));

	k->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	k->cs.isolation = FLOW_SEMAPHORE;
	k->cs.semaphore_max = k->cs.fallback_max = 100;
	k->cs.timeout_enabled = false;
	k->cs.sleep_window_ms = 500;
	k->cs.window_ms = 1000;
	k->cs.health_interval_ms = 100;
	for (int i = 2; i < n; i++) {
		char *eq = strchr(w[i], '=');

		if (!eq)
			fail("no setting", w[i]);
		*eq = '\0';
		set(&k->cs, w[i], eq + 1);
	}
	k->command = command_table_take(table, str_from(w[1]), STR("replay"), START);
	map_put(&keys, k->command->key, k);
	puts("ok");
}

static struct key *key_of(const char *name)
{
	struct key *k = map_get(&keys, str_from(name));

	if (!k)
		fail("unknown command", name);
	return k;
}

static struct ticket *ticket_of(struct key *k, const char *call)
{
	long i = strtol(call, NULL, 10);

	if (i < 0 || i >= CALLS)
		fail("no such call", call);
	return &k->tickets[i];
}

static usec when(const char *text)
{
	return START + strtoll(text, NULL, 10);
}

static void admit(char **w)
{
	struct key *k = key_of(w[1]);
	enum admit a = command_admit(k->command, &k->cs, when(w[3]), 0, ticket_of(k, w[2]));

	puts(a == ADMIT_OK ? "OK" : admit_name(a));
}

static void done(char **w)
{
	static const enum outcome outcomes[] = { OUTCOME_SUCCESS, OUTCOME_FAILURE, OUTCOME_TIMEOUT,
						 OUTCOME_BAD_REQUEST };
	struct key *k = key_of(w[1]);

	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		if (strcmp(w[4], outcome_name(outcomes[i])) == 0) {
			command_done(k->command, &k->cs, ticket_of(k, w[2]), outcomes[i], when(w[3]));
			puts("ok");
			return;
		}
	}
	fail("unknown outcome", w[4]);
}

static void fallback(char **w)
{
	static const char *const names[] = { "RUN", "DISABLED", "MISSING", "REJECTED" };
	struct key *k = key_of(w[1]);

	puts(names[command_fallback_begin(k->command, &k->cs, ticket_of(k, w[2]), strcmp(w[4], "yes") == 0,
					  when(w[3]))]);
}

static void fellback(char **w)
{
	struct key *k = key_of(w[1]);

	command_fallback_end(k->command, &k->cs, ticket_of(k, w[2]), strcmp(w[4], "yes") == 0, when(w[3]));
	puts("ok");
}

static void look(char **w)
{
	static struct command_snapshot s;
	struct key *k = key_of(w[1]);

	command_snapshot(k->command, &k->cs, when(w[2]), &s);
	printf("%s %u %u %u", s.is_open ? "true" : "false", s.stats.health.total, s.stats.health.errors,
	       s.stats.health.error_pct);
	for (unsigned i = 0; i < EVENT_COUNT; i++)
		printf(" %s=%u/%llu", event_name((enum flow_event)i), s.stats.rolling[i],
		       (unsigned long long)s.stats.lifetime[i]);
	putchar('\n');
}

/* --- servers --- */

static struct {
	struct balancer b;
	struct fserver *at[SERVERS];
	struct outlier_settings os;
	struct rng rng;
	uint32_t n;
	usec now;
} group;

static void begin_rule(char **w)
{
	const struct balance_ops *ops = balance_by_name(str_from(w[1]));

	if (!ops)
		fail("unknown rule", w[1]);
	while (group.n)
		server_unref(group.at[--group.n]);
	group.os = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	group.now = START;
	rng_seed(&group.rng, 11);
	balancer_init(&group.b, ops);
	puts("ok");
}

static void add_server(char **w)
{
	char id[32];
	int len = snprintf(id, sizeof(id), "10.0.0.%u:80", group.n);
	struct fserver *s;

	if (group.n == SERVERS)
		fail("too many servers", w[1]);
	s = server_new(str_of(id, (size_t)len), str_from(strcmp(w[1], "-") == 0 ? "" : w[1]), 100,
		       START - 3600 * USEC_PER_SEC);
	for (unsigned i = 0; i < 20; i++) {
		server_begin(s);
		server_end(s, &group.os, SERVER_OK, strtoll(w[2], NULL, 10), START - USEC_PER_SEC);
	}
	for (long i = strtol(w[3], NULL, 10); i > 0; i--)
		server_begin(s);
	if (strcmp(w[4], "out") == 0)
		server_eject(s, &group.os, true, START);
	group.at[group.n++] = s;
	puts("ok");
}

static void choose(char **w)
{
	struct choice c = { .list = { group.at, group.n }, .settings = &group.os, .rng = &group.rng, .now = group.now };
	unsigned chosen[SERVERS] = { 0 };

	for (long i = strtol(w[1], NULL, 10); i > 0; i--) {
		struct pick p = balancer_choose(&group.b, &c);

		for (uint32_t k = 0; k < group.n; k++)
			chosen[k] += group.at[k] == p.server;
	}
	for (uint32_t k = 0; k < group.n; k++)
		printf(k ? " %u" : "%u", chosen[k]);
	putchar('\n');
}

/* --- */

static void obey(char **w, int n)
{
	static const struct {
		const char *verb;
		int words;
		void (*fn)(char **w);
	} verbs[] = {
		{ "admit", 4, admit },       { "done", 5, done },     { "fallback", 5, fallback },
		{ "fellback", 5, fellback }, { "look", 3, look },     { "rule", 2, begin_rule },
		{ "server", 5, add_server }, { "choose", 2, choose },
	};

	if (n >= 2 && strcmp(w[0], "command") == 0) {
		begin_command(w, n);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (n == verbs[i].words && strcmp(w[0], verbs[i].verb) == 0) {
			verbs[i].fn(w);
			return;
		}
	}
	fail("not understood:", n ? w[0] : "an empty line");
}

static void free_all(void)
{
	struct key *k;
	size_t pos = 0;

	while ((k = map_next(&keys, &pos))) {
		command_unref(k->command);
		free(k);
	}
	map_fini(&keys);
	command_table_free(table);
	while (group.n)
		server_unref(group.at[--group.n]);
}

int main(void)
{
	char line[4096];

	setvbuf(stdout, NULL, _IOLBF, 0);
	table = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1000 });
	map_init(&keys, 1);
	while (fgets(line, sizeof(line), stdin)) {
		char *w[WORDS], *save = NULL;
		int n = 0;

		for (char *p = strtok_r(line, " \n", &save); p && n < WORDS; p = strtok_r(NULL, " \n", &save))
			w[n++] = p;
		obey(w, n);
	}
	free_all();
	return 0;
}
