/* fuzz_h1_chunked.c - chunked bodies: the same bytes come out and the same verdict falls, however the input is cut. */
#include "base/buf.h"
#include "fuzz.h"
#include "http/h1.h"

struct outcome {
	enum h1_step step;
	size_t left; /* of the input, after the end */
	struct buf body;
};

static void take(struct h1_body *b, struct outcome *o, struct str in)
{
	struct str piece;
	const char *why = NULL;

	while ((o->step = h1_body_next(b, &in, &piece, &why)) == H1_PIECE) {
		PROMISE(piece.len > 0);
		buf_adds(&o->body, piece);
	}
	PROMISE((o->step == H1_BAD) == (why != NULL));
	PROMISE(o->step != H1_MORE || in.len == 0);
	PROMISE((o->step == H1_END) == h1_body_is_done(b));
	o->left = in.len;
}

/* In pieces of that many bytes. */
static struct outcome play(const char *p, size_t n, size_t piece)
{
	struct http_head head = { .body = BODY_CHUNKED };
	struct outcome o = { .step = H1_MORE, .body = BUF_INIT(1 << 20) };
	struct h1_body b;
	size_t at = 0;

	h1_body_init(&b, &head);
	while (at < n && o.step == H1_MORE) {
		size_t len = MIN(piece, n - at);

		take(&b, &o, str_of(p + at, len));
		at += len;
	}
	o.left += n - at;
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct outcome whole = play(p, size, size ? size : 1);

	for (size_t piece = 1; piece < 4; piece++) {
		struct outcome cut = play(p, size, piece);

		PROMISE(cut.step == whole.step);
		if (whole.step != H1_BAD)
			PROMISE(str_eq(buf_str(&cut.body), buf_str(&whole.body)) && cut.left == whole.left);
		buf_fini(&cut.body);
	}
	buf_fini(&whole.body);
	return 0;
}
