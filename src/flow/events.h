/* events.h - what can happen to a command (HystrixEventType), and which of it is health. */
#pragma once
#include "base/str.h"

enum flow_event {
	EVENT_SUCCESS,
	EVENT_FAILURE,
	EVENT_TIMEOUT,
	EVENT_THREAD_POOL_REJECTED,
	EVENT_SEMAPHORE_REJECTED, /* the first five are in the health total; all but SUCCESS are errors */
	EVENT_SHORT_CIRCUITED,
	EVENT_BAD_REQUEST,
	EVENT_CANCELLED,
	EVENT_RESPONSE_FROM_CACHE,
	EVENT_FALLBACK_SUCCESS,
	EVENT_FALLBACK_FAILURE,
	EVENT_FALLBACK_REJECTION,
	EVENT_FALLBACK_MISSING,
	EVENT_FALLBACK_DISABLED,
	EVENT_EMIT,
	EVENT_FALLBACK_EMIT,
	EVENT_COLLAPSED,
	EVENT_COUNT,
};

#define EVENT_HEALTH_COUNT 5

const char *event_name(enum flow_event ev); /* "SUCCESS", ... */

static inline bool event_is_health(enum flow_event ev)
{
	return ev < EVENT_HEALTH_COUNT;
}

static inline bool event_is_error(enum flow_event ev)
{
	return ev != EVENT_SUCCESS && ev < EVENT_HEALTH_COUNT;
}
