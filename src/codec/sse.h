/* sse.h - the reading side of text/event-stream: pieces of bytes in, the data of each event out.
 *
 * As the HTML standard has it: lines end with LF, CR or CRLF, `data` lines of one event are joined by a line feed, a
 * blank line ends the event, comments and fields but `data`, `event` and `id` are skipped. An event longer than `max` is
 * skipped whole and counted, as is one whose name or id is longer than SSE_NAME_MAX; the reader holds no more than `max`
 * bytes, whatever is fed. Pure: no I/O, no clock; one owner. */
#pragma once
#include "base/buf.h"

#define SSE_NAME_MAX 128

struct sse_text {
	uint8_t len;
	char at[SSE_NAME_MAX];
};

struct sse {
	struct buf data; /* of the event so far */
	struct buf line; /* of the line so far */
	size_t max;
	uint64_t events, overlong;
	struct sse_text name; /* of the event so far; empty: "message" */
	struct sse_text id;   /* the last that was sent: it holds for the events after it too */
	bool has_data; /* the event has a data line, be it an empty one */
	bool is_long;  /* the event has passed max: it is not given out */
	bool line_is_long;
	bool after_cr; /* a line feed that follows belongs to the line's end */
};

typedef void (*sse_fn)(void *ctx, struct str data); /* valid during the call; sse_name and sse_id are this event's */

void sse_init(struct sse *s, size_t max);
void sse_fini(struct sse *s);
void sse_reset(struct sse *s); /* for a new connection: what was begun and the id are forgotten, the counts stay */
void sse_feed(struct sse *s, struct str piece, sse_fn fn, void *ctx);

static inline struct str sse_name(const struct sse *s)
{
	return str_of(s->name.at, s->name.len);
}

static inline struct str sse_id(const struct sse *s)
{
	return str_of(s->id.at, s->id.len);
}
