/* fuzz_turbine.c - the stream of an instance that lies: read whole and byte by byte it must say the same, and what it
 * adds up to must be JSON that can be read as a stream again. */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "codec/sse.h"
#include "turbine/merge.h"

#define EVENT_MAX 4096

struct sink {
	struct merge m;
	struct merge_host h;
};

static void begin(struct sink *s)
{
	merge_init(&s->m, 1);
	merge_host_init(&s->h, 1);
}

static void end(struct sink *s)
{
	merge_host_fini(&s->m, &s->h);
	merge_fini(&s->m);
}

static void take(void *ctx, struct str data)
{
	struct sink *s = ctx;

	merge_put(&s->m, &s->h, data, 1, NULL);
}

static void feed(struct sink *to, struct str text, size_t step)
{
	struct sse s;

	sse_init(&s, EVENT_MAX);
	for (size_t i = 0; i < text.len; i += step)
		sse_feed(&s, str_slice(text, i, i + step), take, to);
	PROMISE(s.data.len <= EVENT_MAX && s.line.len <= EVENT_MAX);
	sse_fini(&s);
}

static void check_json(void *ctx, struct str data)
{
	json_error_t why;
	json_t *j = json_loadb(data.ptr, data.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	enum json_error_code code = j ? json_error_unknown : json_error_code(&why);

	(void)ctx;
	PROMISE(j || code == json_error_null_byte_in_key);
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_of((const char *)data, size);
	struct sink whole, cut;
	struct buf a = BUF_INIT(1 << 24), b = BUF_INIT(1 << 24);
	struct sse again;

	begin(&whole);
	begin(&cut);
	feed(&whole, text, size ? size : 1);
	feed(&cut, text, 1);
	merge_write(&whole.m, &a, true);
	merge_write(&cut.m, &b, true);
	PROMISE(str_eq(buf_str(&a), buf_str(&b)));
	sse_init(&again, 1 << 22);
	sse_feed(&again, buf_str(&a), check_json, NULL);
	PROMISE(again.events == merge_len(&whole.m));
	sse_fini(&again);
	merge_leave(&whole.m, &whole.h);
	buf_clear(&a);
	merge_write(&whole.m, &a, true);
	PROMISE(merge_len(&whole.m) == 0);
	end(&whole);
	end(&cut);
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
