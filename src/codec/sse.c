/* sse.c - see sse.h. */
#include "codec/sse.h"

void sse_init(struct sse *s, size_t max)
{
	*s = (struct sse){ .max = max };
	buf_init(&s->data, max);
	buf_init(&s->line, max);
}

void sse_fini(struct sse *s)
{
	buf_fini(&s->data);
	buf_fini(&s->line);
}

static void begin_event(struct sse *s)
{
	buf_clear(&s->data);
	s->has_data = s->is_long = false;
	s->name.len = 0;
}

static void begin_line(struct sse *s)
{
	buf_clear(&s->line);
	s->line_is_long = false;
}

void sse_reset(struct sse *s)
{
	begin_event(s);
	begin_line(s);
	s->after_cr = false;
	s->id.len = 0;
}

static void add_data(struct sse *s, struct str value)
{
	size_t joint = s->has_data ? 1 : 0;

	if (s->is_long || s->data.len + joint + value.len > s->max) {
		s->is_long = true;
		return;
	}
	if (joint)
		buf_adds(&s->data, STR("\n"));
	buf_adds(&s->data, value);
	s->has_data = true;
}

static void keep(struct sse *s, struct sse_text *t, struct str value)
{
	if (value.len > sizeof(t->at)) {
		s->is_long = true;
		return;
	}
	t->len = (uint8_t)value.len;
	if (value.len)
		memcpy(t->at, value.ptr, value.len);
}

static void end_event(struct sse *s, sse_fn fn, void *ctx)
{
	if (s->is_long)
		s->overlong++;
	else if (s->has_data) {
		s->events++;
		fn(ctx, buf_str(&s->data));
	}
	begin_event(s);
}

static void end_line(struct sse *s, struct str line, sse_fn fn, void *ctx)
{
	struct str name = line, value = STR_EMPTY;
	ptrdiff_t colon = str_chr(line, ':');

	if (s->line_is_long) {
		s->is_long = true;
		return;
	}
	if (line.len == 0) {
		end_event(s, fn, ctx);
		return;
	}
	if (colon >= 0) {
		name = str_slice(line, 0, (size_t)colon);
		value = str_slice(line, (size_t)colon + 1, line.len);
		if (value.len && value.ptr[0] == ' ')
			value = str_slice(value, 1, value.len);
	}
	if (str_eq(name, STR("data")))
		add_data(s, value);
	else if (str_eq(name, STR("event")))
		keep(s, &s->name, value);
	else if (str_eq(name, STR("id")))
		keep(s, &s->id, value);
}

static size_t line_length(struct str rest)
{
	const char *lf = memchr(rest.ptr, '\n', rest.len);
	size_t n = lf ? (size_t)(lf - rest.ptr) : rest.len;
	const char *cr = memchr(rest.ptr, '\r', n);

	return cr ? (size_t)(cr - rest.ptr) : n;
}

/* The rest of a line that is held in part, or a part of one. */
static void hold(struct sse *s, struct str part)
{
	if (s->line_is_long || s->line.len + part.len > s->max) {
		s->line_is_long = true;
		buf_clear(&s->line);
		return;
	}
	buf_adds(&s->line, part);
}

void sse_feed(struct sse *s, struct str piece, sse_fn fn, void *ctx)
{
	while (piece.len) {
		if (s->after_cr && piece.ptr[0] == '\n') {
			s->after_cr = false;
			piece = str_slice(piece, 1, piece.len);
			continue;
		}
		s->after_cr = false;

		size_t n = line_length(piece);
		struct str part = str_slice(piece, 0, n);

		if (n == piece.len) {
			hold(s, part);
			return;
		}
		if (s->line.len || s->line_is_long || part.len > s->max) {
			hold(s, part);
			part = buf_str(&s->line);
		}
		s->after_cr = piece.ptr[n] == '\r';
		piece = str_slice(piece, n + 1, piece.len);
		end_line(s, part, fn, ctx);
		begin_line(s);
	}
}
