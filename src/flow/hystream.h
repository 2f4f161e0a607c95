/* hystream.h - the events of /hystrix.stream: one JSON object a command or pool, with every field that Netflix's
 * readers (Turbine 1 and 2, the dashboards) look for, and integers as integers.
 *
 * Only the JSON is written here; the `data: ` framing (hystream_frame_*) and the ping are the server's to send. Beyond
 * Netflix's fields a command carries vineState, vineWhy and vineLatencyExecuteMicros, a histogram that can be merged;
 * and vineLatencyTotalMicros where callers waited longer than the runs took. */
#pragma once
#include "base/buf.h"
#include "flow/collapser.h"
#include "flow/command.h"
#include "flow/pool.h"

#define HYSTREAM_PING "ping: \n\n"

/* wall: epoch ms, for currentTime. */
void hystream_command(struct buf *b, const struct command_snapshot *snap, const struct cmd_settings *cs, msec wall);

void hystream_pool(struct buf *b, const struct pool_snapshot *snap, const struct pool_settings *ps, msec wall);

void hystream_collapser(struct buf *b, const struct collapser_snapshot *snap, msec wall);

void hystream_frame_command(struct buf *b, const struct command_snapshot *snap, const struct cmd_settings *cs,
			    msec wall); /* "data: {...}\n\n" */
void hystream_frame_pool(struct buf *b, const struct pool_snapshot *snap, const struct pool_settings *ps, msec wall);
void hystream_frame_collapser(struct buf *b, const struct collapser_snapshot *snap, msec wall);
