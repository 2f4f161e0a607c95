/* pack.h - gzip made of pieces that were compressed apart.
 *
 * An app's text is deflated once, ended with a full flush so that it stands on a byte and needs no window, and kept with its
 * CRC. A whole answer is a header, such pieces, a few stored bytes between them, and a trailer whose CRC is combined from
 * theirs: a change recompresses one app, not the world. The only file here that knows zlib. Pure. */
#pragma once
#include "base/buf.h"
#include "registry/picture.h"

struct blob *blob_of(struct str text); /* a copy */
struct blob *blob_deflate(struct str text);

struct gzip_join {
	struct buf *out;
	uint32_t crc;
	uint64_t raw_len;
};

void gzip_begin(struct gzip_join *g, struct buf *out);
void gzip_piece(struct gzip_join *g, const struct blob *deflated);
void gzip_text(struct gzip_join *g, struct str text); /* stored: for the few bytes between pieces */
void gzip_end(struct gzip_join *g);
