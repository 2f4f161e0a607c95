/* test.h - cmocka with what it wants included before it. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#define assert_str(got, want)                                                                                          \
	do {                                                                                                           \
		struct str got_ = (got), want_ = (want);                                                               \
		if (!str_eq(got_, want_))                                                                              \
			fail_msg("%s:%d: got \"%.*s\", want \"%.*s\"", __FILE__, __LINE__, STRF(got_), STRF(want_));   \
	} while (0)
