/* vine/log.h - one line an event on stderr, in logfmt or JSON, with the trace and span IDs of the request it belongs to.
 *
 *   2026-03-01T10:15:04.123Z warn product "stock is low" trace=80f198ee56343ba8 span=05e3ac9a4f6e3b90 id=7 left=2
 *
 * Levels by logging.level.<name>; the app's own lines are under its name. Any thread. */
#pragma once
#include <vine/http.h>

struct vine_app;

enum vine_log_level { VINE_LOG_TRACE, VINE_LOG_DEBUG, VINE_LOG_INFO, VINE_LOG_WARN, VINE_LOG_ERROR };

/* What a line says besides its message; the last of a list has no key. text NULL: num counts. */
struct vine_field {
	const char *key;
	const char *text;
	int64_t num;
};

#define VINE_TEXT(k, v) { .key = (k), .text = (v) ? (v) : "" }
#define VINE_NUM(k, v) { .key = (k), .num = (v) }

/* rq may be NULL. At most 16 fields are written. Values are quoted, escaped and bounded.
 *
 *	VINE_LOG(app, rq, VINE_LOG_WARN, "stock is low", VINE_TEXT("id", id), VINE_NUM("left", 2)); */
#define VINE_LOG(app, rq, level, msg, ...)                                                                             \
	vine_log(app, rq, level, msg, (const struct vine_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

VINE_API void vine_log(struct vine_app *app, const struct vine_request *rq, enum vine_log_level level, const char *msg,
		       const struct vine_field *fields);
