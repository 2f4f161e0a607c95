/* err.c - composing error lines. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;

		e->code = code;
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	return code;
}

int err_errno(struct err *e, const char *fmt, ...)
{
	int saved = errno;

	if (e) {
		va_list ap;

		e->code = VINE_EIO;
		va_start(ap, fmt);

		int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);

		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof(e->text))
			snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", strerror(saved));
	}
	return VINE_EIO;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return VINE_EINVAL;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);

	int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);

	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->text))
		snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", old);
	return e->code;
}

const char *err_name(int code)
{
	static const char *const names[] = {
		"ok", "invalid", "limit", "io", "not found", "exists", "again",
		"timeout", "cancelled", "forbidden", "unavailable", "protocol",
	};

	return code <= 0 && (size_t)-code < ARRAY_LEN(names) ? names[-code] : "unknown";
}
