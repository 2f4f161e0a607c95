/* config.c - see config.h. Control thread, after the first load. */
#include "manage/config.h"

#include <stdio.h>
#include <unistd.h>

#include "http/identities.h"
#include "manage/control.h"
#include "props/load.h"

#define LOOK_EVERY USEC_PER_SEC

/* Findings of a first load go to stderr, each a line; of a reload to the log. Returns the number of errors. */
static size_t show_findings(const struct props *p, const struct logger *log)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f), errors = 0;

	for (size_t i = 0; i < n; i++) {
		errors += f[i].kind == FINDING_ERROR;
		if (log)
			LOG(log, f[i].kind == FINDING_ERROR ? LOG_ERROR : LOG_WARN, "configuration", F_STR("finding", f[i].text));
		else if (f[i].kind == FINDING_ERROR)
			fprintf(stderr, "%.*s\n", STRF(f[i].text));
	}
	return errors;
}

/* What the judgement of a reload says in a line: the first error. */
static struct str first_error(const struct props *p)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f);

	for (size_t i = 0; i < n; i++) {
		if (f[i].kind == FINDING_ERROR)
			return f[i].text;
	}
	return STR_EMPTY;
}

static int load(struct props **ret, const struct host_opts *opts, struct load_files *files, const struct logger *log,
		struct err *e)
{
	struct load_opts lo = { .config = opts->config, .args = opts->args, .n_args = opts->n_args, .env = environ };
	struct props *p = NULL;
	int r = props_load(&p, &lo, files, e);

	if (r < 0)
		return r;

	size_t errors = show_findings(p, log);

	if (errors == 0) {
		*ret = p;
		return 0;
	}
	if (log)
		r = err_set(e, VINE_EINVAL, "%.*s", STRF(first_error(p)));
	else
		r = err_set(e, VINE_EINVAL, "the configuration has %zu error%s", errors, errors == 1 ? "" : "s");
	props_unref(p);
	return r;
}

int config_load(struct props **ret, const struct host_opts *opts, struct err *e)
{
	return load(ret, opts, NULL, NULL, e);
}

usec config_drain_time(const struct props *p)
{
	return props_ms(p, "spring.lifecycle.timeout-per-shutdown-phase") * USEC_PER_MSEC;
}

/* --- the log --- */

#define LOGGERS_MAX 200

static void set_levels(const struct props *p, struct log *logs, const struct props *before)
{
	struct str key[LOGGERS_MAX];
	enum log_level level;
	size_t n;

	/* A level that the file no longer names goes back to what is above it. */
	n = before ? props_keys(before, "logging.level.", key, LOGGERS_MAX) : 0;
	for (size_t i = 0; i < n; i++) {
		if (!props_is_set(p, "logging.level.{logger}", key[i], false))
			log_set_level(logs, key[i], LOG_INHERIT);
	}
	n = props_keys(p, "logging.level.", key, LOGGERS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (log_level_parse(props_str_of(p, "logging.level.{logger}", key[i]), &level))
			log_set_level(logs, key[i], level);
	}
}

void config_apply_log(const struct props *p, const struct props *before, struct log *logs)
{
	log_set_format(logs, props_enum_is(p, "vine.log.format", STR("json")) ? LOG_JSON : LOG_LOGFMT);
	set_levels(p, logs, before);
}

/* --- reload --- */

static void refused(struct control *c, const struct err *e)
{
	identities_forget(c->tls);
	c->reload.refused++;
	c->reload.bad = true;
	snprintf(c->reload.error, sizeof(c->reload.error), "%s", e->text);
	LOG(&c->log, LOG_ERROR, "configuration is not valid: the old one stays in force", F_Z("why", e->text));
}

static int acceptable(struct control *c, const struct props *p, struct err *e)
{
	int r = identities_prepare(c->tls, p, e);

	for (size_t i = 0; r == 0 && i < c->n_hosts; i++) {
		if (c->hosts[i].ops->props_check)
			r = c->hosts[i].ops->props_check(&c->hosts[i], p, e);
	}
	return r;
}

void config_publish(struct control *c, struct props *p)
{
	struct props *old = c->props;

	c->props = p;
	identities_commit(c->tls);
	identities_tell(c->tls, &c->log);
	config_apply_log(p, old, c->logs);
	for (size_t i = 0; i < c->n_hosts; i++)
		host_swap_props(&c->hosts[i], p);
	props_unref(old);
}

void config_reload(struct control *c)
{
	struct load_files files = { .n = 0 };
	struct props *p = NULL;
	struct err e = { 0 };
	int r;

	if (c->phase != PHASE_RUN)
		return;
	c->reload.last = clock_wall();
	c->reload.stamp = load_files_stamp(&c->files); /* before reading: what changes meanwhile is seen again */
	r = load(&p, c->opts, &files, &c->log, &e);
	if (r == 0)
		r = acceptable(c, p, &e);
	if (r < 0) {
		refused(c, &e);
		props_unref(p);
		load_files_fini(&files);
		return;
	}
	load_files_fini(&c->files);
	c->files = files;
	c->reload.stamp = load_files_stamp(&c->files);
	c->reload.accepted++;
	c->reload.bad = false;
	c->reload.error[0] = '\0';
	config_publish(c, p);
	LOG(&c->log, LOG_INFO, "configuration reloaded");
}

static void look(struct timer *t)
{
	struct control *c = container_of(t, struct control, watch);

	timer_set(c->loop, t, loop_now(c->loop) + LOOK_EVERY);
	if (c->phase == PHASE_RUN && (load_files_stamp(&c->files) != c->reload.stamp || identities_changed(c->tls)))
		config_reload(c);
}

int config_first_load(struct control *c, struct err *e)
{
	int r = load(&c->props, c->opts, &c->files, NULL, e);

	c->reload.stamp = load_files_stamp(&c->files);
	return r;
}

void config_watch(struct control *c)
{
	timer_init(&c->watch, look);
	timer_set(c->loop, &c->watch, loop_now(c->loop) + LOOK_EVERY);
}
