/* sse.h - the reading side of text/event-stream: pieces of bytes in, the data of each event out.
 *
 * As the HTML standard has it: lines end with LF, CR or CRLF, `data` lines of one event are joined by a line feed, a
 * blank line ends the event, all other fields and comments are skipped. An event longer than `max` is skipped whole
 * and counted; the reader holds no more than `max` bytes, whatever is fed. Pure: no I/O, no clock; one owner. */
#pragma once
#include "base/buf.h"

struct sse {
	struct buf data; /* of the event so far */
	struct buf line; /* of the line so far */
	size_t max;
	uint64_t events, overlong;
	bool has_data; /* the event has a data line, be it an empty one */
	bool is_long;  /* the event has passed max: it is not given out */
	bool line_is_long;
	bool after_cr; /* a line feed that follows belongs to the line's end */
};

typedef void (*sse_fn)(void *ctx, struct str data); /* valid during the call */

void sse_init(struct sse *s, size_t max);
void sse_fini(struct sse *s);
void sse_reset(struct sse *s); /* for a new connection: what was begun is forgotten, the counts stay */
void sse_feed(struct sse *s, struct str piece, sse_fn fn, void *ctx);
