/* log.c - the service's own log lines, with the IDs of the request they belong to. */
#include <vine/log.h>

#include "client/impl.h"

#define FIELDS_MAX 16

static enum log_level inner_level(enum vine_log_level level)
{
	static const enum log_level levels[] = {
		[VINE_LOG_TRACE] = LOG_TRACE, [VINE_LOG_DEBUG] = LOG_DEBUG, [VINE_LOG_INFO] = LOG_INFO,
		[VINE_LOG_WARN] = LOG_WARN,   [VINE_LOG_ERROR] = LOG_ERROR,
	};

	assert((size_t)level < ARRAY_LEN(levels));
	return levels[level];
}

void vine_log(struct vine_app *app, const struct vine_request *rq, enum vine_log_level level, const char *msg,
	      const struct vine_field *fields)
{
	struct log_field out[FIELDS_MAX + 2];
	unsigned n = 0;

	if (!logger_enabled(&app->user, inner_level(level)))
		return;
	if (rq) {
		out[n++] = (struct log_field)F_Z("trace", rq->trace_text);
		out[n++] = (struct log_field)F_Z("span", rq->span_text);
	}
	for (unsigned i = 0; i < FIELDS_MAX && fields[i].key; i++) {
		const struct vine_field *f = &fields[i];

		if (f->text)
			out[n++] = (struct log_field)F_Z(f->key, f->text);
		else
			out[n++] = (struct log_field)F_INT(f->key, f->num);
	}
	log_write(&app->user, inner_level(level), msg, out, n);
}
