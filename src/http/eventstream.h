/* eventstream.h - the serving side of text/event-stream: answers that never end, written to in rounds.
 *
 * A hub is the readers of one stream on one loop. Either its owner is asked for the events of now, once a round for all
 * readers that are due (`write`), or it brings them when they happen (event_hub_push). Pings tell readers and proxies
 * that the stream lives. A reader may ask for fewer events, `?delay=ms` as Hystrix 1.4 had it; pings keep their pace.
 * One that does not keep up is left out until it does: what it would get late is of no use to it. How many read is
 * counted over all hubs of a process in one number.
 *
 * Threads   A hub belongs to the loop of its readers' server; the count is atomic and shared. */
#pragma once
#include <stdatomic.h>

#include "http/server.h"

#define EVENTSTREAM_DELAY_MAX (60 * USEC_PER_SEC)
#define EVENTSTREAM_DELAY_MIN (100 * USEC_PER_MSEC) /* a round costs as much for one reader as for all */

struct event_hub_ops {
	usec (*interval)(void *ctx);              /* of the rounds; asked at each, so that a change works at once */
	void (*write)(void *ctx, struct buf *b);  /* adds the events of now; NULL: they are pushed */
	void (*watched)(void *ctx, bool is_read); /* another reader came, the last one went; may be NULL */
	const char *ping;
};

struct event_hub {
	const struct event_hub_ops *ops;
	void *ctx;
	struct loop *loop;
	_Atomic unsigned *open; /* readers of the process */
	struct list readers;
	struct timer timer;
	bool is_over;
};

void event_hub_init(struct event_hub *h, struct loop *loop, _Atomic unsigned *open, const struct event_hub_ops *ops,
		    void *ctx);
/* Takes the exchange over as a reader; its first round is at once, or EVENTSTREAM_DELAY_MIN away. Past `max` readers
 * in the process, and when the hub is over, it is answered 503 in Hystrix's words. */
void event_hub_add(struct event_hub *h, struct exchange *ex, int64_t max);
/* is_whole: says all there is, so that readers who get only some of the pushes may have this one. */
void event_hub_push(struct event_hub *h, struct str events, bool is_whole);
/* Ends all answers, for good; the hub's memory is then the owner's again. Twice, and with a zeroed one: nothing
 * happens. */
void event_hub_end(struct event_hub *h);
