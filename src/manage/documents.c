/* documents.c - see documents.h: each one a function of a control_call, in the shapes of Spring Boot. */
#include "manage/documents.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "codec/json.h"
#include "manage/actuator.h"
#include "manage/control.h"
#include "manage/env.h"
#include "manage/health.h"
#include "manage/meters.h"

#define DISK_THRESHOLD (10.0 * 1024 * 1024) /* Boot's */
#define FILTERS_MAX 16

/* --- health --- */

static void health_call(struct control_call *c)
{
	enum health_status s = HEALTH_UNKNOWN;
	bool v2 = str_find(c->accept, STR("actuator.v2+json")) >= 0 && str_find(c->accept, STR("actuator.v3+json")) < 0;

	if (host_health_json(c->host, &c->out, c->path, c->trusted, v2, &s) < 0)
		call_fail(c, 404, "no such component");
	else
		c->status = s == HEALTH_DOWN || s == HEALTH_OUT_OF_SERVICE ? 503 : 200;
}

static enum health_status check_ping(struct host *h, struct jsonw *w, void *arg)
{
	return HEALTH_UP;
}

static enum health_status check_disk(struct host *h, struct jsonw *w, void *arg)
{
	const char *path = h->data_dir[0] ? h->data_dir : ".";
	struct statvfs vfs;
	bool exists = statvfs(path, &vfs) == 0;
	double free_bytes = exists ? (double)vfs.f_bavail * (double)vfs.f_frsize : 0;

	jsonw_key_i64(w, STR("total"), exists ? (int64_t)vfs.f_blocks * (int64_t)vfs.f_frsize : 0);
	jsonw_key_i64(w, STR("free"), (int64_t)free_bytes);
	jsonw_key_i64(w, STR("threshold"), (int64_t)DISK_THRESHOLD);
	jsonw_key_str(w, STR("path"), str_from(path));
	jsonw_key_bool(w, STR("exists"), exists);
	return free_bytes >= DISK_THRESHOLD ? HEALTH_UP : HEALTH_DOWN;
}

static enum health_status check_liveness(struct host *h, struct jsonw *w, void *arg)
{
	return HEALTH_UP; /* the control thread answers: that is what it asks */
}

static enum health_status check_readiness(struct host *h, struct jsonw *w, void *arg)
{
	return h->is_ready && !h->draining ? HEALTH_UP : HEALTH_OUT_OF_SERVICE;
}

/* A configuration that was refused does not stop the old one from working, so it takes nobody out of service. */
static enum health_status check_config(struct host *h, struct jsonw *w, void *arg)
{
	const struct reload *r = &h->control->reload;
	char text[WALL_TEXT_MAX];

	if (r->last) {
		clock_wall_text(text, r->last);
		jsonw_key_str(w, STR("lastReload"), str_from(text));
		jsonw_key_bool(w, STR("accepted"), !r->bad);
	}
	if (r->bad)
		jsonw_key_str(w, STR("error"), str_from(r->error));
	return r->bad ? HEALTH_UNKNOWN : HEALTH_UP;
}

void documents_health(struct host *h)
{
	static const struct health_part parts[] = {
		{ "ping", 0, check_ping, NULL },
		{ "diskSpace", 0, check_disk, NULL },
		{ "livenessState", HEALTH_LIVENESS, check_liveness, NULL },
		{ "readinessState", HEALTH_READINESS, check_readiness, NULL },
		{ "configuration", 0, check_config, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		host_add_health(h, &parts[i]);
}

/* --- info --- */

static void info_call(struct control_call *c)
{
	struct utsname un = { 0 };
	char text[WALL_TEXT_MAX];
	struct jsonw w;

	uname(&un);
	jsonw_init(&w, &c->out);
	jsonw_object(&w);
	jsonw_key(&w, STR("app"));
	jsonw_object(&w);
	jsonw_key_str(&w, STR("name"), str_from(c->host->app_name));
	jsonw_key_str(&w, STR("role"), str_from(c->host->ops->name));
	jsonw_object_end(&w);
	jsonw_key(&w, STR("build"));
	jsonw_object(&w);
	jsonw_key_str(&w, STR("name"), STR("vine"));
	jsonw_key_str(&w, STR("version"), STR(VINE_VERSION));
	jsonw_object_end(&w);
	clock_wall_text(text, c->host->started_at);
	jsonw_key(&w, STR("process"));
	jsonw_object(&w);
	jsonw_key_i64(&w, STR("pid"), getpid());
	jsonw_key_str(&w, STR("startTime"), str_from(text));
	jsonw_key_i64(&w, STR("workers"), c->host->n_workers);
	jsonw_object_end(&w);
	jsonw_key(&w, STR("os"));
	jsonw_object(&w);
	jsonw_key_str(&w, STR("name"), str_from(un.sysname));
	jsonw_key_str(&w, STR("version"), str_from(un.release));
	jsonw_key_str(&w, STR("arch"), str_from(un.machine));
	jsonw_object_end(&w);
	jsonw_object_end(&w);
}

/* --- metrics --- */

static void take_snapshot(struct control_call *c, struct meter_snapshot *s)
{
	meters_snapshot(c->host->meters, s, c->arena, clock_mono());
}

static void metrics_call(struct control_call *c)
{
	struct meter_tag want[FILTERS_MAX];
	struct meter_snapshot s;
	struct str tag;
	size_t pos = 0;
	unsigned n = 0;

	take_snapshot(c, &s);
	if (c->path.len == 0) {
		snapshot_names_json(&s, &c->out);
		return;
	}
	while (call_query(c, "tag", &pos, &tag)) {
		ptrdiff_t colon = str_chr(tag, ':');

		if (colon < 0 || n == FILTERS_MAX) {
			call_fail(c, 400, "a tag is key:value, and there are at most 16");
			return;
		}
		/* Boot's pages repeat tags; a filter that is there already filters no further. */
		want[n].key = str_dup_in(c->arena, str_slice(tag, 0, (size_t)colon)).ptr;
		want[n++].value = str_slice(tag, (size_t)colon + 1, tag.len);
	}
	if (snapshot_meter_json(&s, &c->out, c->path, want, n) < 0)
		call_fail(c, 404, "no such meter or tag");
}

static void prometheus_call(struct control_call *c)
{
	bool open = str_find(c->accept, STR("application/openmetrics-text")) >= 0;
	const struct meter_tag common = { "application", str_from(c->host->app_name) };
	struct meter_snapshot s;
	struct str names = STR_EMPTY;
	size_t pos = 0;

	if (!call_query(c, "includedNames", &pos, &names))
		names = STR_EMPTY;
	take_snapshot(c, &s);
	snapshot_prometheus(&s, &c->out, open, names, &common, 1);
	c->type = open ? "application/openmetrics-text;version=1.0.0;charset=utf-8" : "text/plain;version=0.0.4;charset=utf-8";
}

/* --- loggers --- */

static struct str upper_level(struct arena *a, enum log_level l)
{
	struct str name = str_dup_in(a, str_from(log_level_name(l)));
	char *p = (char *)(uintptr_t)name.ptr; /* just made */

	for (size_t i = 0; i < name.len; i++)
		p[i] = ascii_upper(p[i]);
	return name;
}

static void add_levels(struct control_call *c, struct jsonw *w, enum log_level configured, enum log_level effective)
{
	jsonw_object(w);
	if (configured != LOG_INHERIT)
		jsonw_key_str(w, STR("configuredLevel"), upper_level(c->arena, configured));
	jsonw_key_str(w, STR("effectiveLevel"), upper_level(c->arena, effective));
	jsonw_object_end(w);
}

static void all_loggers(struct control_call *c, struct jsonw *w)
{
	static const enum log_level levels[] = { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
	enum log_level configured, effective;
	char name[64];

	jsonw_object(w);
	jsonw_key(w, STR("levels"));
	jsonw_array(w);
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		jsonw_str(w, upper_level(c->arena, levels[i]));
	jsonw_array_end(w);
	jsonw_key(w, STR("loggers"));
	jsonw_object(w);
	for (size_t i = 0; log_level_at(c->host->logs, i, name, &configured, &effective); i++) {
		jsonw_key(w, str_from(name));
		add_levels(c, w, configured, effective);
	}
	jsonw_object_end(w);
	jsonw_key(w, STR("groups"));
	jsonw_object(w);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

static void loggers_call(struct control_call *c)
{
	enum log_level configured, effective;
	char name[64];
	struct jsonw w;

	jsonw_init(&w, &c->out);
	if (c->path.len == 0) {
		all_loggers(c, &w);
		return;
	}
	for (size_t i = 0; log_level_at(c->host->logs, i, name, &configured, &effective); i++) {
		if (str_eq_nocase(c->path, str_from(name))) {
			add_levels(c, &w, configured, effective);
			return;
		}
	}
	call_fail(c, 404, "no such logger");
}

/* {"configuredLevel":"DEBUG"}; {} and null clear. */
static int parse_level(struct control_call *c, enum log_level *ret)
{
	struct json j;
	struct str key, text = STR_EMPTY;
	bool bad = false;

	*ret = LOG_INHERIT;
	if (str_trim(c->body).len == 0)
		return 0;
	json_init(&j, c->body, 8, c->arena);
	bad = json_peek(&j) != JT_OBJECT && json_peek(&j) != JT_NULL;
	if (json_enter_object(&j)) {
		while (json_next_key(&j, &key)) {
			if (!str_eq(key, STR("configuredLevel")))
				continue;
			if (json_peek(&j) == JT_NULL)
				continue;
			if (!json_str(&j, &text) || !log_level_parse(text, ret))
				bad = true;
		}
	}
	return json_finish(&j, NULL) < 0 || bad ? VINE_EINVAL : 0;
}

static bool is_logger_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_alpha(s.ptr[i]) && !ascii_is_digit(s.ptr[i]) && !strchr("._-$", s.ptr[i]))
			return false;
	}
	return s.len > 0 && s.len < 64;
}

static void set_logger_call(struct control_call *c)
{
	enum log_level level;

	if (!is_logger_name(c->path)) {
		call_fail(c, 400, "not a logger's name");
		return;
	}
	if (parse_level(c, &level) < 0 || !log_set_level(c->host->logs, c->path, level)) {
		call_fail(c, 400, "configuredLevel is one of OFF, ERROR, WARN, INFO, DEBUG, TRACE");
		return;
	}
	LOG(&c->host->log, LOG_INFO, "log level set", F_STR("logger", c->path), F_Z("level", log_level_name(level)));
	c->status = 204;
}

/* --- */

static const struct endpoint documents[] = {
	{ "health", "GET", "/health", .call = health_call, .flags = ENDPOINT_OPEN },
	{ "health", "GET", "/health/{*path}", .call = health_call, .flags = ENDPOINT_OPEN },
	{ "info", "GET", "/info", .call = info_call, .flags = ENDPOINT_OPEN },
	{ "metrics", "GET", "/metrics", .call = metrics_call },
	{ "metrics", "GET", "/metrics/{requiredMetricName}", .call = metrics_call },
	{ "prometheus", "GET", "/prometheus", .call = prometheus_call },
	{ "loggers", "GET", "/loggers", .call = loggers_call },
	{ "loggers", "GET", "/loggers/{name}", .call = loggers_call },
	{ "loggers", "POST", "/loggers/{name}", .call = set_logger_call, .flags = ENDPOINT_HIDDEN },
	{ "env", "GET", "/env", .call = env_call },
	{ "env", "GET", "/env/{toMatch}", .call = env_call },
};

void documents_add(struct actuator *a)
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++)
		actuator_add(a, &documents[i]);
}
