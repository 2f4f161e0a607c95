/* log.h - logging: one line an event, logfmt or JSON, levels per logger that may change while running.
 *
 *   2026-03-01T10:15:04.123Z warn gw/2 "breaker open" app=orders failed=12
 *
 * A `struct log` is one per process: the sink and the levels. A `struct logger` is a cheap handle with a component's
 * name; copies may live anywhere as long as the log lives. Any thread may write: each line is one write(2). Values from
 * outside are quoted, their control bytes escaped and their length bounded. */
#pragma once
#include "base/clock.h"
#include "base/buf.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF, LOG_INHERIT };

enum log_format { LOG_LOGFMT, LOG_JSON };

struct log;
struct log_cell; /* the level of one logger name; lives as long as the log */

struct logger {
	struct log *log;
	struct log_cell *cell;
	char name[24]; /* what a line shows: "gw/2" */
};

enum log_type { LOG_STR, LOG_INT, LOG_HEX64, LOG_BOOL };

struct log_field {
	enum log_type type;
	const char *key;
	struct str str;
	int64_t num;
};

#define F_STR(k, s) { .type = LOG_STR, .key = (k), .str = (s) }
#define F_Z(k, z) { .type = LOG_STR, .key = (k), .str = str_from(z) }
#define F_INT(k, v) { .type = LOG_INT, .key = (k), .num = (int64_t)(v) }
#define F_HEX(k, v) { .type = LOG_HEX64, .key = (k), .num = (int64_t)(v) }
#define F_BOOL(k, v) { .type = LOG_BOOL, .key = (k), .num = (v) }

/* LOG(&w->log, LOG_WARN, "breaker open", F_STR("app", app), F_INT("failed", n)); */
#define LOG(lg, level, msg, ...)                                                                                       \
	do {                                                                                                           \
		if (logger_enabled(lg, level)) {                                                                       \
			const struct log_field fields_[] = { __VA_ARGS__ };                                            \
			log_write(lg, level, msg, fields_, sizeof(fields_) / sizeof(struct log_field));               \
		}                                                                                                      \
	} while (0)

struct log *log_new(int fd, enum log_format format); /* lines go to fd, which stays the caller's */
void log_free(struct log *l);
void log_set_format(struct log *l, enum log_format format);

/* component names the level ("vine.gateway"); shown is what lines carry ("gw/2"). */
struct logger logger_of(struct log *l, const char *component, const char *shown);
bool logger_enabled(const struct logger *lg, enum log_level level);
void log_write(const struct logger *lg, enum log_level level, const char *msg, const struct log_field *fields,
	       size_t n);

/* Levels by name; a name's level holds for names below it ("vine" for "vine.gateway"). "ROOT" or "" is everything.
 * LOG_INHERIT clears. Returns false for a name that is over-long. */
bool log_set_level(struct log *l, struct str component, enum log_level level);
/* Walks the known names in alphabetical order from i = 0: false at the end. configured may be LOG_INHERIT. */
bool log_level_at(struct log *l, size_t i, char name[64], enum log_level *configured, enum log_level *effective);
bool log_level_parse(struct str s, enum log_level *ret); /* any case */
const char *log_level_name(enum log_level level);        /* "info" */

/* How many lines of each level were written since the start, for the metrics. */
uint64_t log_lines(const struct log *l, enum log_level level);
