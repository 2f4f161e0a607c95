/* watch.h - follows GET /vine/watch of the registry in use: the push source of the discovery client. docs/registry.md has the format.
 *
 *   OFF --(synced with a version)--> CONNECTING --(200)--> READING --(ends, fails, is silent)--> WAITING --> CONNECTING ...
 *    ^                                                        |
 *    +-------- resync, a hash that differs: fetch all <-------+        ASKING: the same by long poll
 *
 * A registry without X-Vine-Version is another's: nothing is asked of it. One that has the header but not the watch (404, another
 * content type) is asked again after ten minutes. Where streams do not live - something between buffers or cuts them - the changes
 * are asked for by long poll instead, and a stream is tried again after ten minutes. Both are remembered a server.
 *
 * The position is a version; it moves only with what is in the cache. The first end of a stream is mended without a word: it is
 * taken up again from there. From the second on the discovery client polls until the stream stands again, which is also how it finds
 * another registry. Pauses grow from 100 ms to 30 s with jitter, so that the watchers of a registry that restarts do not come at once.
 *
 * Hostile servers   An event has a largest size, a change a largest number of instances, a second a largest number of bytes: more are
 *                   read in the next one. What breaks the format, goes back or does not add up to the hash ends in a full fetch;
 *                   a second such end in a row only after a pause, in which the client polls.
 * Threads           All on the loop of the client. */
#pragma once
#include "eureka/client_impl.h"

/* What may be changed for tests. */
struct watch_limits {
	usec begin;     /* until the head of the stream */
	usec silence;   /* until the next byte: a comment comes every 10 s */
	usec again;     /* after which a server that has no watch or no streams is asked again */
	usec too_short; /* a stream that ends sooner has failed */
	usec pause, pause_max;
	unsigned ask_seconds; /* a long poll waits */
	size_t event_max;     /* bytes; the registry ends a watch rather than tell of 5,000 changes at once */
	size_t budget;        /* bytes a second */
};

#define WATCH_LIMITS                                                                                                   \
	{                                                                                                              \
		.begin = 5 * USEC_PER_SEC, .silence = 30 * USEC_PER_SEC, .again = 600 * USEC_PER_SEC,                  \
		.too_short = 20 * USEC_PER_SEC, .pause = 100 * USEC_PER_MSEC, .pause_max = 30 * USEC_PER_SEC,          \
		.ask_seconds = 30, .event_max = (size_t)32 << 20, .budget = (size_t)8 << 20                            \
	}

struct eureka_watch;

/* Attached to the client, which frees it. limits NULL: WATCH_LIMITS. */
struct eureka_watch *eureka_watch_new(struct eureka_client *c, const struct watch_limits *limits);

struct eureka_watch_report {
	const char *state; /* "off", "waiting", "connecting", "reading", "asking" */
	bool live;         /* changes come by themselves */
	uint64_t changes, resyncs, cuts;
	char version[APPS_VERSION_MAX + 1];
};
void eureka_watch_report(const struct eureka_watch *w, struct eureka_watch_report *ret);

/* "EPOCH-N" after the other: the same epoch, a larger number. */
bool eureka_version_follows(struct str version, struct str before);
