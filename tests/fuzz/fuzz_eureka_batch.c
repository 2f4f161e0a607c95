/* fuzz_eureka_batch.c - batches and answers as any peer may send them: limits hold, and what we write we read again. */
#include "fuzz.h"

#include "eureka/batch.h"

#define ANSWERS 64

static void round_trip(const struct batch *b, struct arena *a)
{
	struct buf once = BUF_INIT((size_t)1 << 30), twice = BUF_INIT((size_t)1 << 30);
	const struct batch_item **items = arena_alloc(a, (b->n + 1) * sizeof(*items));
	struct batch back;
	struct err e;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (!b->item[i].wrong)
			items[n++] = &b->item[i];
	}
	batch_write(&once, items, n);
	PROMISE(!once.failed);
	if (batch_decode(&back, buf_str(&once), a, &e) < 0) {
		fprintf(stderr, "%s\n%.*s\n", e.text, STRF(buf_str(&once)));
		abort();
	}
	PROMISE(back.n == n);
	for (uint32_t i = 0; i < n; i++)
		items[i] = &back.item[i];
	batch_write(&twice, items, n);
	PROMISE(str_eq(buf_str(&once), buf_str(&twice)));
	batch_fini(&back);
	buf_fini(&once);
	buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_of((const char *)data, size);
	struct batch_answer answers[ANSWERS];
	struct batch b;
	struct arena a;
	struct err e = { 0 };
	uint32_t n;

	arena_init(&a, 4096);

	int r = batch_decode(&b, body, &a, &e);

	PROMISE(r == 0 || (r == e.code && e.text[0]));
	if (r == 0) {
		PROMISE(b.n <= BATCH_ITEMS_MAX);
		for (uint32_t i = 0; i < b.n; i++)
			PROMISE(b.item[i].wrong ||
				(b.item[i].app.len && b.item[i].id.len && b.item[i].action != BATCH_NONE));
		round_trip(&b, &a);
		batch_fini(&b);
	}
	batch_answers_decode(answers, ANSWERS, &n, body, &a, NULL);
	PROMISE(n <= ANSWERS);
	for (uint32_t i = 0; i < n; i++)
		instance_unref(answers[i].inst);
	arena_fini(&a);
	return 0;
}
