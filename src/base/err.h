/* err.h - error codes, and one line of text that says what was wrong and where.
 *
 * Functions that can fail return 0 or a negative VINE_E code. Those that judge outside input also take a struct err,
 * which may be NULL, and leave their results untouched on failure. */
#pragma once
#include "base/util.h"

enum {
	VINE_OK = 0,
	VINE_EINVAL = -1,   /* the input is wrong */
	VINE_ELIMIT = -2,   /* a limit was reached */
	VINE_EIO = -3,      /* the system said no; the text carries errno's words */
	VINE_ENOTFOUND = -4,
	VINE_EEXIST = -5,
	VINE_EAGAIN = -6,   /* not now */
	VINE_ETIMEOUT = -7,
	VINE_ECANCELED = -8,
	VINE_EPERM = -9,
	VINE_EUNAVAIL = -10, /* nobody there who could do it */
	VINE_EPROTO = -11,   /* the peer broke the protocol */
};

#define ERR_TEXT_MAX 512

struct err {
	int code;
	char text[ERR_TEXT_MAX];
};

/* Writes code and text into e (which may be NULL) and returns code. Lower case, no full stop. */
int err_set(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
int err_errno(struct err *e, const char *fmt, ...) _printf_(2, 3); /* VINE_EIO, errno's text appended after ": " */
/* Puts "<fmt>: " before the text that e already has; returns its code. */
int err_prefix(struct err *e, const char *fmt, ...) _printf_(2, 3);
const char *err_name(int code); /* "invalid", "limit", ... */
