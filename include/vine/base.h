/* vine/base.h - what every public header of libvine builds on: visibility, error codes, the error line. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VINE_API __attribute__((visibility("default")))
#define VINE_ERR_TEXT 512

/* Results: 0 or one of these. The names are those of src/base/err.h. */
enum vine_code {
	VINE_CODE_OK = 0,
	VINE_CODE_INVALID = -1,
	VINE_CODE_LIMIT = -2,
	VINE_CODE_IO = -3,
	VINE_CODE_NOT_FOUND = -4,
	VINE_CODE_EXISTS = -5,
	VINE_CODE_AGAIN = -6,
	VINE_CODE_TIMEOUT = -7,
	VINE_CODE_CANCELED = -8,
	VINE_CODE_FORBIDDEN = -9,
	VINE_CODE_UNAVAILABLE = -10,
	VINE_CODE_PROTOCOL = -11,
};

/* One line of text that says what was wrong and where: lower case, no full stop. */
struct vine_err {
	int code;
	char text[VINE_ERR_TEXT];
};
