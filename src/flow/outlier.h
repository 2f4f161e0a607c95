/* outlier.h - which servers are out because others do much better; and how many may be out at once.
 *
 * Whoever chooses looks after the whole list at most ten times a second (outlier_survey): beyond the allowed share the
 * softly ejected are brought back, nearest their end first; where too few are left, panic says that soft ejections are to be
 * ignored. At most once in judge_ms the servers are compared: one whose success rate lies success_deviations standard
 * deviations, and five points at least, below the mean goes out, and one whose latency is latency_factor times the median.
 *
 * Threads   Any; one surveyor at a time, by exchange on the time of the last look. */
#pragma once
#include "flow/server.h"

struct outlier_watch {
	_Atomic usec surveyed_at, judged_at;
	_Atomic bool panic;
	_Atomic uint32_t soft, hard; /* how many were out at the last look */
};

void outlier_init(struct outlier_watch *w);
void outlier_survey(struct outlier_watch *w, struct fserver *const *at, uint32_t n, const struct outlier_settings *os,
		    usec now);

#define OUTLIER_SURVEY_EVERY (USEC_PER_SEC / 10)

/* Cheap: for the way of each choice. */
static inline bool outlier_is_due(const struct outlier_watch *w, usec now)
{
	return now - atomic_load_explicit(&w->surveyed_at, memory_order_relaxed) >= OUTLIER_SURVEY_EVERY;
}

static inline bool outlier_panic(const struct outlier_watch *w)
{
	return atomic_load_explicit(&w->panic, memory_order_relaxed);
}
