/* gzip.h - gzip (and zlib) bodies, whole or as a stream, safe against bombs.
 *
 * Output is limited by a maximum and by a ratio: more than ratio bytes out per byte in, once 64 KiB came out, is refused. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct gunzip;

/* Appends in, compressed, to out. level 1 (fast) to 9. out must allow for the worst case, a little more than in.len;
 * VINE_ELIMIT otherwise. */
int gzip_pack(struct buf *out, struct str in, int level);

/* Appends the unpacked body, at most max bytes, to out. */
int gzip_unpack(struct buf *out, struct str in, size_t max, unsigned max_ratio, struct err *e);

/* The stream: feed what arrives, in any pieces; output is appended to out as it comes. */
struct gunzip *gunzip_new(uint64_t max_out, unsigned max_ratio);
void gunzip_free(struct gunzip *g);
int gunzip_feed(struct gunzip *g, struct str in, struct buf *out, struct err *e);
int gunzip_finish(const struct gunzip *g, struct err *e); /* an error if the body is cut short */
static inline void gunzip_freep(struct gunzip **g)
{
	gunzip_free(*g);
}
