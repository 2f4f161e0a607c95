/* fuzz_trace.c - trace headers: what is found is valid, and what is written reads back as the same context.
 *
 * The input is header lines, "name: value" each. */
#include "fuzz.h"

#include "trace/context.h"

static void note_lines(struct trace_headers *h, struct str text)
{
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		ptrdiff_t colon = str_chr(line, ':');

		if (colon >= 0)
			trace_headers_note(h, str_slice(line, 0, (size_t)colon),
					   str_trim(str_slice(line, (size_t)colon + 1, line.len)));
	}
}

static void check_written(const struct trace_context *c, unsigned formats)
{
	char out[TRACE_INJECT_MAX];
	unsigned n = trace_inject(out, c, formats);
	struct trace_headers h = { 0 };
	struct trace_context back;

	PROMISE(n > 0 && n <= sizeof(out));
	note_lines(&h, str_of(out, n));
	PROMISE(trace_extract(&back, &h, formats) == TRACE_IDS);
	PROMISE(back.trace_lo == c->trace_lo && back.trace_hi == c->trace_hi);
	if (formats != TRACE_W3C)
		PROMISE(back.span == c->span);
	PROMISE(trace_is_sampled(&back) == trace_is_sampled(c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned formats[] = { TRACE_B3_SINGLE, TRACE_B3_MULTI, TRACE_W3C, TRACE_ALL };
	const struct trace_make make = { .sampler = { 1.0 }, .is_128 = true, .supports_join = false, .epoch = 1 };
	struct trace_headers h = { 0 };

	if (size == 0)
		return 0;
	note_lines(&h, str_of((const char *)data + 1, size - 1));

	unsigned read_formats = formats[data[0] % ARRAY_LEN(formats)];
	struct trace_context c;
	struct rng rng;

	if (trace_extract(&c, &h, read_formats) == TRACE_IDS)
		PROMISE(c.trace_lo != 0 || c.trace_hi != 0);
	rng_seed(&rng, 42);
	trace_serve(&c, &h, read_formats, &make, &rng);
	PROMISE((c.trace_lo != 0 || c.trace_hi != 0) && c.span != 0);
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		check_written(&c, formats[i]);
	return 0;
}
