/* fuzz_gunzip.c - compressed bodies: limits hold, a stream gives what the whole gives, and what was packed comes back. */
#include "fuzz.h"

#include "codec/gzip.h"

#define MAX_OUT (256u * 1024)
#define MAX_RATIO 100

static int in_pieces(struct str in, size_t piece, struct buf *out)
{
	struct gunzip *g = gunzip_new(MAX_OUT, MAX_RATIO);
	struct err e;
	int r = 0;

	for (size_t at = 0; r == 0 && at < in.len; at += piece)
		r = gunzip_feed(g, str_slice(in, at, at + piece), out, &e);
	if (r == 0)
		r = gunzip_finish(g, &e);
	gunzip_free(g);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of((const char *)data, size);
	struct buf whole = BUF_INIT(MAX_OUT), pieces = BUF_INIT(MAX_OUT), packed = BUF_INIT(1 << 20), back = BUF_INIT(1 << 20);
	struct err e = { 0 };
	int r = gzip_unpack(&whole, in, MAX_OUT, MAX_RATIO, &e), r2 = in_pieces(in, 7, &pieces);

	PROMISE(whole.len <= MAX_OUT && pieces.len <= MAX_OUT);
	PROMISE(r == 0 || e.text[0]);
	if (r == 0 && r2 == 0)
		PROMISE(str_eq(buf_str(&whole), buf_str(&pieces)));

	PROMISE(gzip_pack(&packed, in, 1) == 0);
	PROMISE(gzip_unpack(&back, buf_str(&packed), 1 << 20, 2000, &e) == 0 && str_eq(buf_str(&back), in));
	buf_fini(&whole);
	buf_fini(&pieces);
	buf_fini(&packed);
	buf_fini(&back);
	return 0;
}
