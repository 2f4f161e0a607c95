/* fuzz_h1_request.c - heads of requests: what is accepted lies inside the input and means the same however it comes. */
#include "fuzz.h"
#include "http/h1.h"

static const struct h1_limits limits = { .head_bytes = 8 * 1024, .fields = 64 };

static void inside(struct str s, const char *p, size_t n)
{
	PROMISE(s.len == 0 || (s.ptr >= p && s.ptr + s.len <= p + n));
}

static void check_spans(const struct http_head *h, const char *p, size_t n)
{
	inside(h->method, p, n);
	inside(h->target, p, n);
	if (!str_eq(h->path, STR("/"))) /* a constant where an absolute target has no path */
		inside(h->path, p, n);
	inside(h->query, p, n);
	inside(h->authority, p, n);
	for (unsigned i = 0; i < h->nfields; i++) {
		inside(h->field[i].name, p, n);
		inside(h->field[i].value, p, n);
		PROMISE(http_is_token(h->field[i].name));
		PROMISE(http_value_is_clean(h->field[i].value));
		PROMISE(h->field[i].id == http_name_of(h->field[i].name));
	}
}

/* A head that is fine as a whole is "not complete yet" in each of its beginnings, never refused. */
static void check_beginnings(const char *p, size_t len)
{
	struct hfield fields[64];
	struct http_head h;

	for (size_t n = 0; n < len; n++) {
		struct h1_result r = h1_parse_request(&h, fields, p, n, &limits);

		PROMISE(r.status == 0 && r.len == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct hfield fields[64], again_fields[64];
	struct http_head h, again;
	struct h1_result r = h1_parse_request(&h, fields, p, size, &limits);

	PROMISE(r.len <= size);
	PROMISE(r.status == 0 || (r.status >= 400 && r.status < 600 && r.why && r.len == 0));
	if (r.status != 0 || r.len == 0)
		return 0;
	PROMISE(r.len <= limits.head_bytes && h.nfields <= limits.fields);
	PROMISE(h.body != BODY_UNTIL_CLOSE && h.minor <= 1);
	check_spans(&h, p, r.len);
	check_beginnings(p, MIN(r.len, (size_t)512));

	/* What follows a head does not change it. */
	struct h1_result r2 = h1_parse_request(&again, again_fields, p, r.len, &limits);

	PROMISE(r2.status == 0 && r2.len == r.len && again.nfields == h.nfields && again.body == h.body);
	PROMISE(again.content_length == h.content_length && again.keep_alive == h.keep_alive && str_eq(again.path, h.path));
	return 0;
}
