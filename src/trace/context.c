/* context.c - reading, making and writing trace context. */
#include "trace/context.h"

#include "base/buf.h"

/* --- hexadecimal --- */

/* Lower-case digits only, as Brave and W3C have it. */
static bool hex_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > 16)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int d = ascii_hex(s.ptr[i]);

		if (d < 0 || (s.ptr[i] >= 'A' && s.ptr[i] <= 'F'))
			return false;
		v = v << 4 | (uint64_t)d;
	}
	*ret = v;
	return true;
}

static bool hex_trace(struct str s, uint64_t *hi, uint64_t *lo)
{
	size_t low = MIN(s.len, (size_t)16);

	*hi = 0;
	if (s.len > 32 || (s.len > 16 && !hex_u64(str_slice(s, 0, s.len - 16), hi)))
		return false;
	return hex_u64(str_slice(s, s.len - low, s.len), lo) && (*hi || *lo);
}

static void put_hex(char *out, uint64_t v, unsigned digits)
{
	static const char hex[] = "0123456789abcdef";

	while (digits-- > 0) {
		out[digits] = hex[v & 15];
		v >>= 4;
	}
}

/* --- reading --- */

bool trace_headers_note(struct trace_headers *h, struct str name, struct str value)
{
	const struct {
		struct str name, *to;
	} table[] = {
		{ STR("b3"), &h->b3 },
		{ STR("x-b3-traceid"), &h->trace_id },
		{ STR("x-b3-spanid"), &h->span_id },
		{ STR("x-b3-parentspanid"), &h->parent_id },
		{ STR("x-b3-sampled"), &h->b3_sampled },
		{ STR("x-b3-flags"), &h->b3_flags },
		{ STR("traceparent"), &h->traceparent },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (name.len != table[i].name.len || !str_eq_nocase(name, table[i].name))
			continue;
		if (!table[i].to->ptr)
			*table[i].to = value.ptr ? value : STR("");
		return true;
	}
	return false;
}

static bool state_of(char c, enum sampled *ret)
{
	if (c != '0' && c != '1' && c != 'd')
		return false;
	*ret = c == '0' ? SAMPLED_NO : c == '1' ? SAMPLED_YES : SAMPLED_DEBUG;
	return true;
}

/* What follows trace and span: [-state][-parent], or a parent alone. */
static bool parse_b3_tail(struct trace_context *c, struct str rest, bool more)
{
	struct str state, parent;

	if (!more)
		return true;
	more = str_cut(&rest, '-', &state) && rest.ptr;
	if (state.len != 1)
		return !more && state.len == 16 && hex_u64(state, &c->parent);
	if (!state_of(state.ptr[0], &c->sampled))
		return false;
	if (!more)
		return true;
	str_cut(&rest, '-', &parent);
	return !rest.ptr && parent.len == 16 && hex_u64(parent, &c->parent);
}

bool trace_parse_b3(struct trace_context *ret, struct str v, enum trace_found *found)
{
	struct trace_context c = { 0 };
	struct str trace, span, rest = v;

	if (v.len == 1 && state_of(v.ptr[0], &c.sampled)) {
		*ret = c;
		*found = TRACE_SAMPLING;
		return true;
	}
	if (v.len < 33 || v.len > TRACE_B3_MAX)
		return false;
	if (!str_cut(&rest, '-', &trace) || !rest.ptr || !str_cut(&rest, '-', &span))
		return false;
	if ((trace.len != 16 && trace.len != 32) || !hex_trace(trace, &c.trace_hi, &c.trace_lo))
		return false;
	if (span.len != 16 || !hex_u64(span, &c.span) || !c.span)
		return false;
	if (!parse_b3_tail(&c, rest, rest.ptr != NULL))
		return false;
	*ret = c;
	*found = TRACE_IDS;
	return true;
}

/* X-B3-Sampled and X-B3-Flags; false: malformed. */
static bool parse_multi_sampling(struct trace_context *c, const struct trace_headers *h)
{
	struct str s = h->b3_sampled;

	if (s.ptr) {
		if (str_eq(s, STR("1")) || str_eq_nocase(s, STR("true")))
			c->sampled = SAMPLED_YES;
		else if (str_eq(s, STR("0")) || str_eq_nocase(s, STR("false")))
			c->sampled = SAMPLED_NO;
		else
			return false;
	}
	if (h->b3_flags.ptr && str_eq(h->b3_flags, STR("1")))
		c->sampled = SAMPLED_DEBUG;
	return true;
}

static enum trace_found parse_multi(struct trace_context *ret, const struct trace_headers *h)
{
	struct trace_context c = { 0 };

	if (!parse_multi_sampling(&c, h))
		return TRACE_NONE;
	if (!h->trace_id.ptr && !h->span_id.ptr) {
		*ret = c;
		return c.sampled == SAMPLED_DEFER ? TRACE_NONE : TRACE_SAMPLING;
	}
	if (h->trace_id.len < 2 || !hex_trace(h->trace_id, &c.trace_hi, &c.trace_lo))
		return TRACE_NONE;
	if (h->span_id.len < 2 || !hex_u64(h->span_id, &c.span) || !c.span)
		return TRACE_NONE;
	if (h->parent_id.ptr && (h->parent_id.len < 2 || !hex_u64(h->parent_id, &c.parent) || !c.parent))
		return TRACE_NONE;
	*ret = c;
	return TRACE_IDS;
}

bool trace_parse_traceparent(struct trace_context *ret, struct str v)
{
	struct trace_context c = { 0 };
	uint64_t version, flags;

	if (v.len < TRACE_PARENT_LEN || v.len > 256 || v.ptr[2] != '-' || v.ptr[35] != '-' || v.ptr[52] != '-')
		return false;
	if (!hex_u64(str_slice(v, 0, 2), &version) || version == 0xff)
		return false;
	/* Version 00 is just so long; what a later one appends comes after a dash. */
	if (v.len > TRACE_PARENT_LEN && (version == 0 || v.ptr[TRACE_PARENT_LEN] != '-'))
		return false;
	if (!hex_trace(str_slice(v, 3, 35), &c.trace_hi, &c.trace_lo) || !hex_u64(str_slice(v, 36, 52), &c.parent) ||
	    !c.parent || !hex_u64(str_slice(v, 53, 55), &flags))
		return false;
	c.sampled = flags & 1 ? SAMPLED_YES : SAMPLED_NO;
	c.w3c_flags = flags & 2;
	*ret = c;
	return true;
}

static enum trace_found extract_b3(struct trace_context *ret, const struct trace_headers *h, unsigned formats)
{
	enum trace_found found;

	if (formats & TRACE_B3_SINGLE && h->b3.ptr && trace_parse_b3(ret, h->b3, &found))
		return found;
	return formats & TRACE_B3_MULTI ? parse_multi(ret, h) : TRACE_NONE;
}

enum trace_found trace_extract(struct trace_context *ret, const struct trace_headers *h, unsigned formats)
{
	struct trace_context b3 = { 0 }, w3c = { 0 };
	enum trace_found found = extract_b3(&b3, h, formats);
	bool has_w3c = formats & TRACE_W3C && h->traceparent.ptr && trace_parse_traceparent(&w3c, h->traceparent);

	if (has_w3c && found == TRACE_IDS) {
		if (w3c.trace_lo == b3.trace_lo && !b3.trace_hi) {
			b3.trace_hi = w3c.trace_hi;
			b3.w3c_flags = w3c.w3c_flags;
		}
	} else if (has_w3c) {
		/* IDs win over a mere decision; that decision, if it came, stands. */
		enum sampled decided = found == TRACE_SAMPLING ? b3.sampled : w3c.sampled;

		b3 = w3c;
		b3.sampled = decided;
		found = TRACE_IDS;
	}
	if (found != TRACE_NONE)
		*ret = b3;
	return found;
}

/* --- making --- */

static uint64_t draw_id(struct rng *rng)
{
	uint64_t v;

	do
		v = rng_next(rng);
	while (!v);
	return v;
}

static enum sampled sample(const struct trace_sampler *s, uint64_t trace_lo)
{
	if (!(s->probability > 0))
		return SAMPLED_NO;
	if (s->probability >= 1)
		return SAMPLED_YES;
	/* Mixed first: not every peer's IDs are random in all their bits. */
	uint64_t x = trace_lo * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 32;
	return (double)(x >> 11) * 0x1.0p-53 < s->probability ? SAMPLED_YES : SAMPLED_NO;
}

void trace_new(struct trace_context *ret, const struct trace_make *m, struct rng *rng)
{
	uint64_t id = draw_id(rng);

	*ret = (struct trace_context){
		.trace_hi = m->is_128 ? (uint64_t)m->epoch << 32 | (uint32_t)rng_next(rng) : 0,
		.trace_lo = id,
		.span = id,
		.sampled = sample(&m->sampler, id),
	};
}

enum trace_found trace_serve(struct trace_context *ret, const struct trace_headers *h, unsigned formats,
			     const struct trace_make *m, struct rng *rng)
{
	struct trace_context c;
	enum trace_found found = trace_extract(&c, h, formats);

	if (found != TRACE_IDS) {
		trace_new(ret, m, rng);
		if (found == TRACE_SAMPLING)
			ret->sampled = c.sampled;
		return found;
	}
	if (!c.span) { /* W3C: the caller's span is the parent */
		c.span = draw_id(rng);
	} else if (!m->supports_join) {
		c.parent = c.span;
		c.span = draw_id(rng);
	} else {
		c.shared = c.sampled != SAMPLED_DEFER; /* undecided: the caller has not reported it */
	}
	if (c.sampled == SAMPLED_DEFER)
		c.sampled = sample(&m->sampler, c.trace_lo);
	*ret = c;
	return found;
}

void trace_child(struct trace_context *ret, const struct trace_context *of, struct rng *rng)
{
	struct trace_context c = *of;

	c.parent = of->span;
	c.span = draw_id(rng);
	c.shared = false;
	*ret = c;
}

/* --- writing --- */

unsigned trace_fmt_id(char out[TRACE_ID_MAX], const struct trace_context *c)
{
	unsigned n = 0;

	if (c->trace_hi) {
		fmt_hex64(out, c->trace_hi);
		n = 16;
	}
	fmt_hex64(out + n, c->trace_lo);
	return n + 16;
}

void trace_fmt_span(char out[TRACE_SPAN_MAX], uint64_t span)
{
	fmt_hex64(out, span);
}

unsigned trace_fmt_b3(char out[TRACE_B3_MAX], const struct trace_context *c)
{
	static const char states[] = { 0, '0', '1', 'd' };
	unsigned n = trace_fmt_id(out, c);

	out[n++] = '-';
	fmt_hex64(out + n, c->span);
	n += 16;
	if (c->sampled != SAMPLED_DEFER) {
		out[n++] = '-';
		out[n++] = states[c->sampled & 3];
	}
	if (c->parent) {
		out[n++] = '-';
		fmt_hex64(out + n, c->parent);
		n += 16;
	}
	return n;
}

void trace_fmt_traceparent(char out[TRACE_PARENT_LEN], const struct trace_context *c)
{
	memcpy(out, "00-", 3);
	put_hex(out + 3, c->trace_hi, 16);
	put_hex(out + 19, c->trace_lo, 16);
	out[35] = '-';
	put_hex(out + 36, c->span, 16);
	out[52] = '-';
	put_hex(out + 53, (trace_is_sampled(c) ? 1u : 0u) | (c->w3c_flags & 2u), 2);
}

struct line {
	char *out;
	unsigned n;
};

static void add(struct line *l, struct str s)
{
	memcpy(l->out + l->n, s.ptr, s.len);
	l->n += (unsigned)s.len;
}

static void add_span(struct line *l, struct str name, uint64_t span)
{
	add(l, name);
	fmt_hex64(l->out + l->n, span);
	l->n += 16;
	add(l, STR("\r\n"));
}

static void add_multi(struct line *l, const struct trace_context *c)
{
	add(l, STR("X-B3-TraceId: "));
	l->n += trace_fmt_id(l->out + l->n, c);
	add(l, STR("\r\n"));
	add_span(l, STR("X-B3-SpanId: "), c->span);
	if (c->parent)
		add_span(l, STR("X-B3-ParentSpanId: "), c->parent);
	if (c->sampled == SAMPLED_DEBUG)
		add(l, STR("X-B3-Flags: 1\r\n"));
	else if (c->sampled != SAMPLED_DEFER)
		add(l, c->sampled == SAMPLED_YES ? STR("X-B3-Sampled: 1\r\n") : STR("X-B3-Sampled: 0\r\n"));
}

unsigned trace_inject(char out[TRACE_INJECT_MAX], const struct trace_context *c, unsigned formats)
{
	struct line l = { out, 0 };

	if (formats & TRACE_B3_MULTI)
		add_multi(&l, c);
	if (formats & TRACE_B3_SINGLE) {
		add(&l, STR("b3: "));
		l.n += trace_fmt_b3(out + l.n, c);
		add(&l, STR("\r\n"));
	}
	if (formats & TRACE_W3C) {
		add(&l, STR("traceparent: "));
		trace_fmt_traceparent(out + l.n, c);
		l.n += TRACE_PARENT_LEN;
		add(&l, STR("\r\n"));
	}
	return l.n;
}
