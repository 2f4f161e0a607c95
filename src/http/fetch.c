/* fetch.c - one request, one answer in memory, on top of call. */
#include "http/client.h"

static void start(struct fetch *f, struct http_client *cl, struct http_peer *peer, unsigned flags);

static void finish(struct fetch *f)
{
	void (*done)(struct fetch *) = f->done;
	struct buf in = f->in, head = f->head;

	/* done may start the same fetch again, so what belongs to this answer is held here */
	f->in = BUF_INIT(0);
	f->head = BUF_INIT(0);
	done(f);
	buf_fini(&in);
	buf_fini(&head);
}

static struct str keep_value(const struct http_head *h, struct str name, char *room, size_t size)
{
	const struct hfield *f = head_find_name(h, name);

	if (!f || f->value.len > size)
		return STR_EMPTY;
	memcpy(room, f->value.ptr, f->value.len);
	return str_of(room, f->value.len);
}

static void on_head(struct call *c, const struct http_head *h)
{
	struct fetch *f = container_of(c, struct fetch, call);

	if (h->status < 200)
		return;
	f->status = h->status;
	f->content_type = keep_value(h, STR("Content-Type"), f->type_room, sizeof(f->type_room));
	f->etag = keep_value(h, STR("ETag"), f->etag_room, sizeof(f->etag_room));
	f->location = keep_value(h, STR("Location"), f->location_room, sizeof(f->location_room));
	if (f->keep.len)
		f->kept = keep_value(h, f->keep, f->kept_room, sizeof(f->kept_room));
	f->response_gzip = str_eq_nocase(head_value(h, H_CONTENT_ENCODING), STR("gzip"));
}

static void on_body(struct call *c, struct str piece)
{
	struct fetch *f = container_of(c, struct fetch, call);

	if (buf_adds(&f->in, piece))
		return;
	call_cancel(c);
	f->failure = (struct call_failure){ .class = CALL_REPLY_BROKEN, .cause = CALL_BAD_RESPONSE, .why = "answer too large" };
	finish(f);
}

static void on_end(struct call *c)
{
	struct fetch *f = container_of(c, struct fetch, call);

	f->ok = true;
	f->response = buf_str(&f->in);
	finish(f);
}

static void on_fail(struct call *c, const struct call_failure *failure)
{
	struct fetch *f = container_of(c, struct fetch, call);

	if (failure->stale && !f->retried && (http_method_is_idempotent(f->method) || failure->class == CALL_NOT_SENT)) {
		f->retried = true;
		start(f, c->client, c->peer, CALL_FRESH);
		return;
	}
	f->failure = *failure;
	finish(f);
}

static void on_sent(struct call *c)
{
	call_timeout(c, container_of(c, struct fetch, call)->deadline);
}

static const struct call_ops fetch_ops = { .on_sent = on_sent, .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail };

static void start(struct fetch *f, struct http_client *cl, struct http_peer *peer, unsigned flags)
{
	f->call.ops = &fetch_ops;
	f->call.method = f->method;
	call_start(cl, &f->call, peer, buf_str(&f->head), f->body, flags);
	if (!f->call.sent && f->connect_deadline)
		call_timeout(&f->call, MIN(f->connect_deadline, f->deadline));
	else
		call_timeout(&f->call, f->deadline);
}

void fetch_start(struct http_client *cl, struct fetch *f, struct http_peer *peer)
{
	struct str host = f->host.len ? f->host : http_peer_name(peer);

	f->ok = f->retried = false;
	f->status = 0;
	f->response = f->kept = STR_EMPTY;
	buf_init(&f->in, f->max_body ? f->max_body : 1u << 20);
	buf_init(&f->head, 64 * 1024 + f->body.len);
	buf_adds(&f->head, http_method_name(f->method));
	buf_addc(&f->head, ' ');
	buf_adds(&f->head, f->target);
	buf_adds(&f->head, STR(" HTTP/1.1\r\nHost: "));
	buf_adds(&f->head, host);
	buf_adds(&f->head, STR("\r\n"));
	buf_adds(&f->head, f->fields);
	if (f->body.len || f->method == HTTP_POST || f->method == HTTP_PUT) {
		buf_adds(&f->head, STR("Content-Length: "));
		buf_add_u64(&f->head, f->body.len);
		buf_adds(&f->head, STR("\r\n"));
	}
	buf_adds(&f->head, STR("\r\n"));
	buf_adds(&f->head, f->body); /* copied: a retry may come when the caller's is gone */
	f->body = STR_EMPTY;
	assert(!f->head.failed);
	start(f, cl, peer, 0);
}

void fetch_cancel(struct fetch *f)
{
	call_cancel(&f->call);
	buf_fini(&f->in);
	buf_fini(&f->head);
}
