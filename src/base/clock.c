/* clock.c - reading the clocks, and writing a point in time as text. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static usec read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (usec)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

usec clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

usec clock_wall_usec(void)
{
	return read_clock(CLOCK_REALTIME);
}

msec clock_wall(void)
{
	return clock_wall_usec() / USEC_PER_MSEC;
}

int clock_wall_text(char out[WALL_TEXT_MAX], msec wall)
{
	time_t t = (time_t)(wall / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	return snprintf(out, WALL_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000,
			(tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100,
			(int)(wall % 1000) % 1000);
}
