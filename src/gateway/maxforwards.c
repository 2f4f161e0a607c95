/* maxforwards.c - see maxforwards.h. */
#include "gateway/maxforwards.h"

static struct hfield *find(struct exchange *ex, unsigned *count)
{
	struct hfield *found = NULL;

	*count = 0;
	for (unsigned i = 0; head_has(&ex->req, H_MAX_FORWARDS) && i < ex->req.nfields; i++) {
		if (ex->req.field[i].id == H_MAX_FORWARDS) {
			found = &ex->req.field[i];
			++*count;
		}
	}
	return found;
}

enum hops max_forwards_count(struct exchange *ex)
{
	unsigned count;
	struct hfield *f = find(ex, &count);
	uint64_t left;

	if (!f)
		return HOPS_ON;
	if (count > 1 || !str_to_u64(f->value, &left))
		return HOPS_BAD;
	if (left == 0)
		return HOPS_END;
	f->plain = 0; /* its line is no longer what was read */
	f->value = str_printf_in(&ex->arena, "%llu", (unsigned long long)left - 1);
	return HOPS_ON;
}

static bool is_secret(const struct hfield *f)
{
	return f->id == H_AUTHORIZATION || f->id == H_PROXY_AUTHORIZATION || f->id == H_COOKIE;
}

static void put_request(struct buf *b, const struct http_head *h)
{
	buf_addf(b, "%.*s %.*s HTTP/1.%u\r\n", STRF(h->method), STRF(h->target), h->minor);
	for (unsigned i = 0; i < h->nfields; i++) {
		if (!is_secret(&h->field[i]))
			head_add(b, h->field[i].name, h->field[i].value);
	}
	buf_adds(b, STR("\r\n"));
}

void max_forwards_answer(struct exchange *ex)
{
	static const struct field allow = { STR_INIT("Allow"),
					    STR_INIT("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE") };
	struct buf b = BUF_INIT(4u << 20); /* more than any head may have */

	if (ex->req.mid == HTTP_TRACE) {
		put_request(&b, &ex->req);
		ex_respond(ex, 200, STR("message/http"), buf_str(&b), NULL, 0);
	} else {
		ex_respond(ex, 200, STR_EMPTY, STR_EMPTY, &allow, 1);
	}
	buf_fini(&b);
}
