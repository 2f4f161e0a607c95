/* clock.h - the two clocks, and the units of time.
 *
 * `now` is always microseconds of the monotonic clock (usec) and comes in as an argument: nothing below net/ reads a
 * clock, so a test can live a day in a millisecond. Wall time is for what people and other machines read; it may jump. */
#pragma once
#include <stdint.h>

typedef int64_t usec; /* microseconds; a point in time or a span */
typedef int64_t msec; /* milliseconds; settings, and wall time on the wire */

#define USEC_PER_MSEC ((usec)1000)
#define USEC_PER_SEC ((usec)1000000)
#define USEC_NEVER INT64_MAX

#define WALL_TEXT_MAX 32 /* room that clock_wall_text needs */

usec clock_mono(void);      /* microseconds since some fixed point */
usec clock_wall_usec(void); /* microseconds since 1970 */
msec clock_wall(void);      /* milliseconds since 1970 */

/* ISO 8601 in UTC with milliseconds, "2026-03-01T10:15:04.123Z"; returns the length. */
int clock_wall_text(char out[WALL_TEXT_MAX], msec wall);
