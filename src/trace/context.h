/* context.h - who called whom: trace and span IDs as they travel in headers. Pure, no allocation, any thread.
 *
 * Read from B3 (single header `b3`, or the X-B3-* headers) and from W3C traceparent; written as any of them. What a peer
 * sends is judged as Brave judges it: a malformed context is dropped and a new one made. */
#pragma once
#include "base/rng.h"
#include "base/str.h"

enum sampled {
	SAMPLED_DEFER, /* nobody has decided yet */
	SAMPLED_NO,
	SAMPLED_YES,
	SAMPLED_DEBUG, /* yes, and nobody may overrule it */
};

struct trace_context {
	uint64_t trace_hi, trace_lo; /* hi 0: a 64-bit ID */
	uint64_t span;
	uint64_t parent;             /* 0: none, the root span */
	enum sampled sampled;
	bool shared;                 /* the caller uses this span ID too (B3 joins) */
	uint8_t w3c_flags;           /* bit 1, random trace ID, is carried on */
};

/* The headers that matter, as found: the first value of each; ptr NULL: not there. */
struct trace_headers {
	struct str b3;
	struct str trace_id, span_id, parent_id, b3_sampled, b3_flags; /* X-B3-... */
	struct str traceparent;
};

/* Remembers one header if it is one of these; true if it was. A first value is kept. */
bool trace_headers_note(struct trace_headers *h, struct str name, struct str value);

enum trace_found {
	TRACE_NONE,     /* nothing, or nothing that holds: make a new one */
	TRACE_SAMPLING, /* only a decision whether to sample: new IDs, that decision */
	TRACE_IDS,
};

enum trace_format {
	TRACE_B3_SINGLE = 1u << 0,
	TRACE_B3_MULTI = 1u << 1,
	TRACE_W3C = 1u << 2,
	TRACE_ALL = 7,
};

/* B3 before W3C, single before multi; IDs win over a mere sampling decision. Where both name the same trace the 128-bit
 * form is taken. With W3C the caller's span becomes the parent of a span that has yet to be made: span is 0 then. */
enum trace_found trace_extract(struct trace_context *ret, const struct trace_headers *h, unsigned formats);
bool trace_parse_b3(struct trace_context *ret, struct str v, enum trace_found *found);
bool trace_parse_traceparent(struct trace_context *ret, struct str v);

struct trace_sampler {
	double probability; /* [0, 1]; decided by the trace ID, so that all servers with one rate agree */
};

struct trace_make {
	struct trace_sampler sampler;
	bool is_128;        /* 128-bit IDs for new traces */
	bool supports_join; /* a server span shares the client's ID (B3) */
	uint32_t epoch;     /* seconds, for the high half of new 128-bit IDs */
};

void trace_new(struct trace_context *ret, const struct trace_make *m, struct rng *rng);
/* The span of a server that was called with these headers: continued, joined, or new. */
enum trace_found trace_serve(struct trace_context *ret, const struct trace_headers *h, unsigned formats,
			     const struct trace_make *m, struct rng *rng);
void trace_child(struct trace_context *ret, const struct trace_context *of, struct rng *rng); /* for a call, a step */

static inline bool trace_is_sampled(const struct trace_context *c)
{
	return c->sampled >= SAMPLED_YES;
}

/* --- writing; none of these ends with NUL --- */

#define TRACE_ID_MAX 32
#define TRACE_SPAN_MAX 16
#define TRACE_B3_MAX 68          /* trace-span-s-parent */
#define TRACE_PARENT_LEN 55
#define TRACE_INJECT_MAX 320     /* all formats together, header lines with CRLF */

unsigned trace_fmt_id(char out[TRACE_ID_MAX], const struct trace_context *c); /* 16 or 32 digits */
void trace_fmt_span(char out[TRACE_SPAN_MAX], uint64_t span);
unsigned trace_fmt_b3(char out[TRACE_B3_MAX], const struct trace_context *c);
void trace_fmt_traceparent(char out[TRACE_PARENT_LEN], const struct trace_context *c);

/* "X-B3-TraceId: ...\r\nX-B3-SpanId: ...\r\n..." for these formats; returns the length. */
unsigned trace_inject(char out[TRACE_INJECT_MAX], const struct trace_context *c, unsigned formats);
