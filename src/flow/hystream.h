/* hystream.h - the events of /hystrix.stream: one JSON object a command or pool, with every field that Netflix's
 * readers (Turbine 1 and 2, the dashboards) look for, and integers as integers.
 *
 * Only the JSON is written here; the `data: ` framing (hystream_frame_*) and the ping are the server's to send. Beyond
 * Netflix's fields a command carries vineState, vineWhy and vineLatencyExecuteMicros, a histogram that can be merged;
 * and vineLatencyTotalMicros where callers waited longer than the runs took. */
#pragma once
#include "base/buf.h"
#include "flow/command.h"
#include "flow/pool.h"

#define HYSTREAM_PING "ping: \n\n"

/* wall: epoch ms, for currentTime. */
void hystream_command(struct buf *b, const struct command_snapshot *snap, const struct cmd_settings *cs, msec wall);

void hystream_pool(struct buf *b, const struct pool_snapshot *snap, const struct pool_settings *ps, msec wall);

struct collapser_snapshot {
	struct str key;
	uint32_t rolling_requests, rolling_batches, rolling_from_cache;
	struct hist sizes; /* of the batches: in it, 1 us stands for one request */
	/* its properties */
	uint32_t batch_max;
	msec delay_ms;
	bool request_cache;
};

void hystream_collapser(struct buf *b, const struct collapser_snapshot *snap, msec wall);

void hystream_frame_command(struct buf *b, const struct command_snapshot *snap, const struct cmd_settings *cs,
			    msec wall); /* "data: {...}\n\n" */
void hystream_frame_pool(struct buf *b, const struct pool_snapshot *snap, const struct pool_settings *ps, msec wall);
void hystream_frame_collapser(struct buf *b, const struct collapser_snapshot *snap, msec wall);
