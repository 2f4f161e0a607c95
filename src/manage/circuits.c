/* circuits.c - see circuits.h. Everything that is said is read once, from one snapshot, so that its parts agree. */
#include "manage/circuits.h"

#include <stdio.h>

#include "codec/json.h"
#include "flow/hystream.h"
#include "flow/pool.h"
#include "flow/properties.h"

static void add_pools(const struct circuits *c, struct buf *b)
{
	size_t n;
	struct keyed **list = keyed_table_list(c->pools, &n);

	for (size_t i = 0; i < n; i++) {
		struct pool_settings ps;
		struct pool_snapshot snap;

		pool_settings_read(&ps, c->props, list[i]->key);
		pool_snapshot(pool_of(list[i]), &ps, c->now, &snap);
		if (snap.submitted) /* Hystrix leaves out those that have completed nothing: then one that hangs would not show */
			hystream_frame_pool(b, &snap, &ps, c->wall);
	}
	keyed_list_free(list, n);
}

static void add_collapsers(const struct circuits *c, struct buf *b)
{
	struct collapser_snapshot *snap = xmalloc(sizeof(*snap));
	size_t n;
	struct keyed **list = keyed_table_list(c->collapsers, &n);

	for (size_t i = 0; i < n; i++) {
		struct collapser_settings cs;

		collapser_settings_read(&cs, c->props, list[i]->key);
		collapser_snapshot(collapser_of(list[i]), &cs, c->now, snap);
		hystream_frame_collapser(b, snap, c->wall);
	}
	keyed_list_free(list, n);
	free(snap);
}

void circuits_stream(const struct circuits *c, struct buf *b)
{
	struct command_snapshot *snap = xmalloc(sizeof(*snap));
	size_t n;
	struct command **list = command_table_list(c->commands, &n);

	for (size_t i = 0; i < n; i++) {
		const struct cmd_settings *cs = c->settings_of(c->arg, list[i]->key);

		command_snapshot(list[i], cs, c->now, snap);
		hystream_frame_command(b, snap, cs, c->wall);
	}
	command_list_free(list, n);
	free(snap);
	if (c->pools)
		add_pools(c, b);
	if (c->collapsers)
		add_collapsers(c, b);
}

/* --- the state as an operator names it: properties and hands count, not only the breaker --- */

static const char *state_name(const struct breaker_view *v, const struct cmd_settings *cs)
{
	if (!cs->breaker_enabled)
		return "DISABLED";
	if (cs->force_open)
		return "FORCED_OPEN";
	if (cs->force_closed)
		return "FORCED_CLOSED";
	if (v->force != BREAKER_AUTO)
		return v->force == BREAKER_FORCE_OPEN ? "FORCED_OPEN" : "FORCED_CLOSED";
	return breaker_state_name(v->state);
}

static const char *why_text(const struct breaker_view *v, const struct cmd_settings *cs)
{
	if (!cs->breaker_enabled)
		return "circuitBreaker.enabled is false";
	if (cs->force_open)
		return "circuitBreaker.forceOpen is true";
	if (cs->force_closed)
		return "circuitBreaker.forceClosed is true";
	return breaker_why_text(v->why);
}

/* --- what would change it --- */

struct outlook {
	char text[256];
	int64_t millis; /* until something happens by itself; -1: nothing does */
	uint64_t failures,
		calls; /* the least that opens it: so many failures among the next so many calls; 0: nothing does */
};

/* To the tenth; a moment is never nothing. */
static void say_seconds(char out[32], usec span)
{
	usec tenths = MAX((span + USEC_PER_SEC / 20) / (USEC_PER_SEC / 10), (usec)1);

	snprintf(out, 32, "%lld.%lld s", (long long)(tenths / 10), (long long)(tenths % 10));
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* How many failures in a row open it, whatever the volume still lacks; 0: none do. */
static uint64_t failures_in_a_row(const struct cmd_settings *cs, const struct stats_health *h)
{
	uint64_t pct = MIN(cs->error_threshold_pct, 100u), need = 1;
	uint64_t short_of = cs->volume_threshold > h->total ? cs->volume_threshold - h->total : 0;
	uint64_t lack = pct * h->total > 100ull * h->errors ? pct * h->total - 100ull * h->errors : 0;

	if (lack && pct == 100)
		return 0; /* a success in the window rules it out */
	if (lack)
		need = (lack + (99 - pct)) / (100 - pct);
	return MAX(MAX(need, short_of), (uint64_t)1);
}

/* Of the calls that the volume still lacks not all need fail. */
static void outlook_closed(struct outlook *o, const struct cmd_settings *cs, const struct stats_health *h)
{
	uint64_t in_a_row = failures_in_a_row(cs, h);
	uint64_t short_of = cs->volume_threshold > h->total ? cs->volume_threshold - h->total : 0;
	uint64_t wanted = ((uint64_t)cs->error_threshold_pct * cs->volume_threshold + 99) / 100;

	o->failures = o->calls = in_a_row;
	if (in_a_row == 0) {
		snprintf(o->text, sizeof(o->text), "opens when every call fails; %u of %u in the window did not",
			 h->total - h->errors, h->total);
		return;
	}
	if (short_of >= in_a_row) {
		o->calls = short_of;
		o->failures = MIN(MAX(wanted > h->errors ? wanted - h->errors : 0, (uint64_t)1), short_of);
	}
	if (o->failures < o->calls)
		snprintf(o->text, sizeof(o->text), "opens when %llu of the next %llu calls fail",
			 (unsigned long long)o->failures, (unsigned long long)o->calls);
	else
		snprintf(o->text, sizeof(o->text), "opens when the next %llu call%s fail%s",
			 (unsigned long long)o->calls, plural(o->calls), o->calls == 1 ? "s" : "");
}

static void add_slow(struct outlook *o, const struct cmd_settings *cs, const struct stats_health *h)
{
	size_t len = strlen(o->text);

	if (cs->slow_call_ms)
		snprintf(o->text + len, sizeof(o->text) - len,
			 "; or at %u %% of %u calls that take %lld ms (now %u of %u)", cs->slow_threshold_pct,
			 cs->volume_threshold, (long long)cs->slow_call_ms, h->slow, h->total);
}

static void outlook_open(struct outlook *o, const struct breaker_view *v, usec now)
{
	usec left = MAX(v->until - now, (usec)0);
	char span[32];

	o->millis = (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
	say_seconds(span, left);
	if (left)
		snprintf(o->text, sizeof(o->text), "a trial is let through in %s", span);
	else
		snprintf(o->text, sizeof(o->text), "the next call is let through as a trial");
}

static void outlook_half_open(struct outlook *o, const struct breaker_view *v, const struct cmd_settings *cs, usec now)
{
	usec left = MAX(v->until - now, (usec)0);
	uint32_t out = v->trials - MIN(v->permits, v->trials);
	char span[32];

	say_seconds(span, left);
	if (v->permits) {
		snprintf(o->text, sizeof(o->text), "%u more call%s let through as a trial; closes if they succeed",
			 v->permits, v->permits == 1 ? " is" : "s are");
		return;
	}
	o->millis = (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
	snprintf(o->text, sizeof(o->text),
		 "%u trial%s under way or judged; closes unless %u %% fail; tries anew in %s if no result comes", out,
		 plural(out), cs->error_threshold_pct, span);
}

static void look_out(struct outlook *o, const struct command_snapshot *snap, const struct cmd_settings *cs, usec now)
{
	*o = (struct outlook){ .millis = -1 };
	if (!cs->breaker_enabled || cs->force_open || cs->force_closed)
		snprintf(o->text, sizeof(o->text), "stays so until that property changes");
	else if (snap->breaker.force != BREAKER_AUTO)
		snprintf(o->text, sizeof(o->text),
			 "stays so until {\"state\":\"auto\"} is posted, or the process ends");
	else if (snap->breaker.state == BREAKER_OPEN)
		outlook_open(o, &snap->breaker, now);
	else if (snap->breaker.state == BREAKER_HALF_OPEN)
		outlook_half_open(o, &snap->breaker, cs, now);
	else {
		outlook_closed(o, cs, &snap->stats.health);
		add_slow(o, cs, &snap->stats.health);
	}
}

/* --- documents --- */

static void put_time(struct jsonw *w, const struct circuits *c, const char *key, usec at)
{
	char text[WALL_TEXT_MAX];
	int len = clock_wall_text(text, c->wall - (c->now - at) / USEC_PER_MSEC);

	jsonw_key_str(w, str_from(key), str_of(text, (size_t)len));
}

static void put_head(struct jsonw *w, const struct circuits *c, const struct command_snapshot *snap,
		     const struct cmd_settings *cs, const struct outlook *o)
{
	jsonw_key_str(w, STR("key"), snap->key);
	jsonw_key_str(w, STR("group"), snap->group);
	jsonw_key_str(w, STR("state"), str_from(state_name(&snap->breaker, cs)));
	jsonw_key_str(w, STR("why"), str_from(why_text(&snap->breaker, cs)));
	put_time(w, c, "since", snap->breaker.since);
	jsonw_key_str(w, STR("next"), str_from(o->text));
}

static void put_window(struct jsonw *w, const struct command_snapshot *snap, const struct cmd_settings *cs)
{
	const struct stats_health *h = &snap->stats.health;

	jsonw_key(w, STR("window"));
	jsonw_object(w);
	jsonw_key_i64(w, STR("millis"), cs->window_ms);
	jsonw_key_u64(w, STR("calls"), h->total);
	jsonw_key_u64(w, STR("errors"), h->errors);
	jsonw_key_u64(w, STR("errorPercentage"), h->error_pct);
	jsonw_key_u64(w, STR("slow"), h->slow);
	jsonw_key(w, STR("events"));
	jsonw_object(w);
	for (unsigned ev = 0; ev < EVENT_COUNT; ev++)
		if (snap->stats.rolling[ev])
			jsonw_key_u64(w, str_from(event_name((enum flow_event)ev)), snap->stats.rolling[ev]);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

static void put_outlook(struct jsonw *w, const struct outlook *o)
{
	if (o->millis >= 0)
		jsonw_key_i64(w, STR("nextMillis"), o->millis);
	if (!o->calls)
		return;
	jsonw_key(w, STR("opensAfter"));
	jsonw_object(w);
	jsonw_key_u64(w, STR("failures"), o->failures);
	jsonw_key_u64(w, STR("ofCalls"), o->calls);
	jsonw_object_end(w);
}

static void put_rule(struct jsonw *w, const struct cmd_settings *cs)
{
	jsonw_key(w, STR("rule"));
	jsonw_object(w);
	jsonw_key_bool(w, STR("enabled"), cs->breaker_enabled);
	jsonw_key_u64(w, STR("requestVolumeThreshold"), cs->volume_threshold);
	jsonw_key_u64(w, STR("errorThresholdPercentage"), cs->error_threshold_pct);
	jsonw_key_i64(w, STR("sleepWindowInMilliseconds"), cs->sleep_window_ms);
	jsonw_key_bool(w, STR("forceOpen"), cs->force_open);
	jsonw_key_bool(w, STR("forceClosed"), cs->force_closed);
	jsonw_key_u64(w, STR("trials"), cs->half_open_trials);
	if (cs->slow_call_ms)
		jsonw_key_i64(w, STR("slowCallMillis"), cs->slow_call_ms);
	jsonw_object_end(w);
}

static void put_bulkhead(struct jsonw *w, const struct command_snapshot *snap, const struct cmd_settings *cs)
{
	jsonw_key_u64(w, STR("running"), snap->active);
	if (cs->isolation == FLOW_SEMAPHORE)
		jsonw_key_u64(w, STR("maxConcurrentRequests"), cs->semaphore_max);
	jsonw_key_u64(w, STR("fallbacksRunning"), snap->fallback_active);
	jsonw_key_str(w, STR("isolation"), cs->isolation == FLOW_THREAD ? STR("THREAD") : STR("SEMAPHORE"));
}

static void put_decisions(struct jsonw *w, const struct circuits *c, struct command *cmd)
{
	struct breaker_turn turns[BREAKER_TURNS];
	unsigned n = breaker_turns(&cmd->breaker, turns);

	jsonw_key(w, STR("decisions"));
	jsonw_array(w);
	for (unsigned i = 0; i < n; i++) {
		const struct breaker_turn *t = &turns[i];

		jsonw_object(w);
		put_time(w, c, "at", t->at);
		jsonw_key_str(w, STR("from"), str_from(breaker_state_name(t->from)));
		jsonw_key_str(w, STR("to"), str_from(breaker_state_name(t->to)));
		jsonw_key_str(w, STR("why"), str_from(breaker_why_text(t->why)));
		if (t->health.total) {
			jsonw_key_u64(w, STR("calls"), t->health.total);
			jsonw_key_u64(w, STR("errors"), t->health.errors);
			jsonw_key_u64(w, STR("errorPercentage"), t->health.error_pct);
			jsonw_key_u64(w, STR("slow"), t->health.slow);
		}
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static void show(const struct circuits *c, struct command *cmd, const struct cmd_settings *cs, struct buf *b)
{
	struct command_snapshot *snap = xmalloc(sizeof(*snap));
	struct outlook o;
	struct jsonw w;

	command_snapshot(cmd, cs, c->now, snap);
	look_out(&o, snap, cs, c->now);
	jsonw_init(&w, b);
	jsonw_object(&w);
	put_head(&w, c, snap, cs, &o);
	put_outlook(&w, &o);
	put_window(&w, snap, cs);
	put_rule(&w, cs);
	put_bulkhead(&w, snap, cs);
	put_decisions(&w, c, cmd);
	jsonw_object_end(&w);
	free(snap);
}

bool circuits_show(const struct circuits *c, struct str key, struct buf *b)
{
	struct command *cmd = command_table_take_known(c->commands, key);

	if (!cmd)
		return false;
	show(c, cmd, c->settings_of(c->arg, key), b);
	command_unref(cmd);
	return true;
}

static void put_brief(struct jsonw *w, const struct circuits *c, struct command *cmd, struct command_snapshot *snap,
		      bool healthy)
{
	const struct cmd_settings *cs = c->settings_of(c->arg, cmd->key);
	struct outlook o;

	command_snapshot(cmd, cs, c->now, snap);
	look_out(&o, snap, cs, c->now);
	if ((strcmp(state_name(&snap->breaker, cs), "CLOSED") == 0) != healthy)
		return;
	jsonw_object(w);
	put_head(w, c, snap, cs, &o);
	jsonw_key_u64(w, STR("calls"), snap->stats.health.total);
	jsonw_key_u64(w, STR("errors"), snap->stats.health.errors);
	jsonw_key_u64(w, STR("errorPercentage"), snap->stats.health.error_pct);
	jsonw_object_end(w);
}

void circuits_list(const struct circuits *c, struct buf *b)
{
	struct command_snapshot *snap = xmalloc(sizeof(*snap));
	size_t n;
	struct command **list = command_table_list(c->commands, &n);
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key(&w, STR("circuits"));
	jsonw_array(&w);
	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < n; i++)
			put_brief(&w, c, list[i], snap, pass == 1);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	command_list_free(list, n);
	free(snap);
}

/* --- by hand --- */

int circuits_parse_force(struct str body, enum breaker_force *ret, struct err *e)
{
	static const struct {
		struct str name;
		enum breaker_force force;
	} states[] = {
		{ STR_INIT("open"), BREAKER_FORCE_OPEN },
		{ STR_INIT("closed"), BREAKER_FORCE_CLOSED },
		{ STR_INIT("auto"), BREAKER_AUTO },
	};
	struct str key, name = STR_EMPTY;
	struct arena a;
	struct json j;
	int r = err_set(e, VINE_EINVAL, "the body must be {\"state\":\"open\"}, or closed, or auto");

	arena_init(&a, 256);
	json_init(&j, body, 4, &a);
	if (json_enter_object(&j)) {
		while (json_next_key(&j, &key)) {
			if (str_eq(key, STR("state")))
				json_str(&j, &name);
		}
	}
	if (json_finish(&j, NULL) == 0) {
		for (size_t i = 0; i < ARRAY_LEN(states); i++) {
			if (!str_eq_nocase(name, states[i].name))
				continue;
			*ret = states[i].force;
			r = 0;
		}
	}
	arena_fini(&a);
	return r;
}

/* A hand that a property would overrule must not believe that it did something. */
static int check_force(const struct cmd_settings *cs, struct str key, enum breaker_force force, struct err *e)
{
	const char *wins = NULL;

	if (!cs->breaker_enabled)
		wins = "enabled is false";
	else if (cs->force_open && force != BREAKER_FORCE_OPEN)
		wins = "forceOpen is true";
	else if (!cs->force_open && cs->force_closed && force != BREAKER_FORCE_CLOSED)
		wins = "forceClosed is true";
	if (!wins || force == BREAKER_AUTO)
		return 0;
	return err_set(e, VINE_EINVAL,
		       "hystrix.command.%.*s.circuitBreaker.%s (perhaps by default) and wins: change it first",
		       STRF(str_slice(key, 0, 100)), wins);
}

int circuits_force(const struct circuits *c, struct str key, enum breaker_force force, struct err *e)
{
	struct command *cmd = command_table_take_known(c->commands, key);
	const struct cmd_settings *cs;
	int r;

	if (!cmd)
		return err_set(e, VINE_ENOTFOUND, "no such circuit: a circuit begins with the first call");
	cs = c->settings_of(c->arg, key);
	r = check_force(cs, key, force, e);
	if (r == 0)
		command_force(cmd, cs, force, c->now);
	command_unref(cmd);
	return r;
}
