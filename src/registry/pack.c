/* pack.c - see pack.h; RFC 1951, RFC 1952. */
#include "registry/pack.h"

#include <zlib.h>

#define LEVEL 5
#define STORED_MAX 65535u

static uint32_t crc_of(struct str s)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)s.ptr, s.len);
}

struct blob *blob_of(struct str text)
{
	struct blob *b = xmalloc(sizeof(*b) + text.len);

	b->len = b->raw_len = text.len;
	b->crc = 0;
	if (text.len)
		memcpy(b->data, text.ptr, text.len);
	return b;
}

struct blob *blob_deflate(struct str text)
{
	z_stream z = { 0 };

	if (deflateInit2(&z, LEVEL, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort(); /* only for want of memory */

	size_t room = deflateBound(&z, text.len) + 64; /* and the flush */
	struct blob *b = xmalloc(sizeof(*b) + room);

	z.next_in = (Bytef *)(uintptr_t)text.ptr;
	z.avail_in = (uInt)text.len;
	z.next_out = (Bytef *)b->data;
	z.avail_out = (uInt)room;

	int r = deflate(&z, Z_FULL_FLUSH);

	assert(r == Z_OK && z.avail_in == 0 && z.avail_out > 0);
	b->len = room - z.avail_out;
	b->raw_len = text.len;
	b->crc = crc_of(text);
	deflateEnd(&z);
	return xrealloc(b, sizeof(*b) + b->len);
}

void gzip_begin(struct gzip_join *g, struct buf *out)
{
	static const char head[10] = "\x1f\x8b\x08\0\0\0\0\0\0\xff";

	*g = (struct gzip_join){ .out = out };
	buf_add(out, head, sizeof(head));
}

static void account(struct gzip_join *g, uint32_t crc, size_t raw_len)
{
	g->crc = (uint32_t)crc32_combine(g->crc, crc, (z_off_t)raw_len);
	g->raw_len += raw_len;
}

void gzip_piece(struct gzip_join *g, const struct blob *d)
{
	buf_add(g->out, d->data, d->len);
	account(g, d->crc, d->raw_len);
}

void gzip_text(struct gzip_join *g, struct str text)
{
	account(g, crc_of(text), text.len);
	while (text.len) {
		unsigned n = (unsigned)MIN(text.len, (size_t)STORED_MAX);
		unsigned char head[5] = { 0, (unsigned char)n, (unsigned char)(n >> 8), (unsigned char)~n,
					  (unsigned char)(~n >> 8) };

		buf_add(g->out, head, sizeof(head));
		buf_add(g->out, text.ptr, n);
		text = str_slice(text, n, text.len);
	}
}

void gzip_end(struct gzip_join *g)
{
	unsigned char tail[10] = { 3, 0 }; /* an empty last block */

	for (unsigned i = 0; i < 4; i++) {
		tail[2 + i] = (unsigned char)(g->crc >> 8 * i);
		tail[6 + i] = (unsigned char)(g->raw_len >> 8 * i);
	}
	buf_add(g->out, tail, sizeof(tail));
}
