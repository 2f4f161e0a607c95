/* gzip.c - libdeflate for whole bodies, zlib for streams.
 *
 * Invariants   Not one byte beyond the limits is kept: each round of inflate gets no more room than is still allowed, plus
 *              one byte that tells "ends exactly here" from "goes on".
 * Threads      A stream belongs to one thread at a time. */
#include "codec/gzip.h"

#include <libdeflate.h>
#include <zlib.h>

#define RATIO_FREE 65536 /* small bodies may be as dense as they like */
#define CHUNK 16384

struct gunzip {
	z_stream z;
	uint64_t in, out, max_out;
	unsigned max_ratio;
	bool started; /* inside a member */
	bool ended;   /* at least one member is complete */
};

int gzip_pack(struct buf *out, struct str in, int level)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
	size_t bound, n;

	if (!c)
		return VINE_ELIMIT;
	bound = libdeflate_gzip_compress_bound(c, in.len);
	n = buf_reserve(out, bound) ? libdeflate_gzip_compress(c, in.ptr, in.len, out->ptr + out->len, bound) : 0;
	libdeflate_free_compressor(c);
	if (n == 0)
		return VINE_ELIMIT;
	out->len += n;
	return VINE_OK;
}

struct gunzip *gunzip_new(uint64_t max_out, unsigned max_ratio)
{
	struct gunzip *g = xzalloc(sizeof(*g));

	g->max_out = max_out;
	g->max_ratio = max_ratio;
	if (inflateInit2(&g->z, 15 + 32) != Z_OK) /* + 32: gzip or zlib, by its first bytes */
		abort();                          /* out of memory, as xmalloc */
	return g;
}

void gunzip_free(struct gunzip *g)
{
	if (!g)
		return;
	inflateEnd(&g->z);
	free(g);
}

static uint64_t allowed(const struct gunzip *g)
{
	uint64_t by_ratio = MAX((uint64_t)RATIO_FREE, g->in * g->max_ratio);

	return MIN(g->max_out, by_ratio);
}

/* One round of inflate into out. */
static int step(struct gunzip *g, struct buf *out, struct err *e)
{
	uint64_t left = allowed(g) - MIN(allowed(g), g->out);
	size_t room = (size_t)MIN(left + 1, (uint64_t)CHUNK), got;
	int r;

	if (!buf_reserve(out, room))
		return err_set(e, VINE_ELIMIT, "the unpacked body does not fit");
	g->z.next_out = (Bytef *)out->ptr + out->len;
	g->z.avail_out = (uInt)room;
	r = inflate(&g->z, Z_NO_FLUSH);
	got = room - g->z.avail_out;
	if (got > left)
		return err_set(e, VINE_ELIMIT, "the body unpacks to more than %llu bytes", (unsigned long long)allowed(g));
	out->len += got;
	g->out += got;
	if (r == Z_STREAM_END) {
		g->started = false;
		g->ended = true;
		inflateReset(&g->z);
		return VINE_OK;
	}
	if (r != Z_OK && r != Z_BUF_ERROR)
		return err_set(e, VINE_EINVAL, "no valid gzip: %s", g->z.msg ? g->z.msg : "bad data");
	return VINE_OK;
}

int gunzip_feed(struct gunzip *g, struct str in, struct buf *out, struct err *e)
{
	bool more = true;

	if (in.len > UINT32_MAX)
		return err_set(e, VINE_ELIMIT, "too much at once");
	g->z.next_in = (Bytef *)(uintptr_t)in.ptr; /* zlib's input is not const, but it does not write there */
	g->z.avail_in = (uInt)in.len;
	g->in += in.len;
	/* A full output means that there may be more, even if the input is used up. */
	while (g->z.avail_in || (more && g->started)) {
		int r;

		g->started = true;
		r = step(g, out, e);
		if (r < 0)
			return r;
		more = g->z.avail_out == 0;
	}
	return VINE_OK;
}

int gunzip_finish(const struct gunzip *g, struct err *e)
{
	if (g->started || !g->ended)
		return err_set(e, VINE_EINVAL, "the gzip body is cut short");
	return VINE_OK;
}

static int unpack_stream(struct buf *out, struct str in, size_t max, unsigned max_ratio, struct err *e)
{
	_cleanup_(gunzip_freep) struct gunzip *g = gunzip_new(max, max_ratio);
	int r = gunzip_feed(g, in, out, e);

	return r < 0 ? r : gunzip_finish(g, e);
}

/* What the trailer says the size is (modulo 4 GiB). It may lie: only a hint for how much room to make. */
static uint32_t size_hint(struct str in)
{
	const unsigned char *t = (const unsigned char *)in.ptr + in.len - 4;

	return (uint32_t)t[0] | (uint32_t)t[1] << 8 | (uint32_t)t[2] << 16 | (uint32_t)t[3] << 24;
}

int gzip_unpack(struct buf *out, struct str in, size_t max, unsigned max_ratio, struct err *e)
{
	size_t before = out->len, used = 0, got = 0, hint;
	struct libdeflate_decompressor *d;
	enum libdeflate_result res;
	int r;

	hint = in.len >= 18 ? size_hint(in) : 0;
	if (hint > 0 && hint <= max && hint <= MAX((uint64_t)RATIO_FREE, (uint64_t)in.len * max_ratio) &&
	    buf_reserve(out, hint)) {
		d = libdeflate_alloc_decompressor();
		if (!d)
			abort();
		res = libdeflate_gzip_decompress_ex(d, in.ptr, in.len, out->ptr + out->len, hint, &used, &got);
		libdeflate_free_decompressor(d);
		if (res == LIBDEFLATE_SUCCESS && used == in.len) {
			out->len += got;
			return VINE_OK;
		}
	}
	/* Several members, the zlib form, a trailer that lies, or an error that wants its words. */
	r = unpack_stream(out, in, max, max_ratio, e);
	if (r < 0)
		out->len = before;
	return r;
}
