/* exchange.c - answering: heads, framing, bodies; and gathering a request's body.
 *
 * The head is written into the server's one buffer and leaves together with the first bytes of the body in one call of the
 * kernel. Should another exchange begin its head first, or the turn end, it leaves alone. */
#include "http/server_impl.h"

static void flush_head(struct http_server *s)
{
	struct exchange *ex = TAKE(s->head_owner);

	if (!ex)
		return;
	conn_write(&ex->conn->c, s->head.ptr, s->head.len);
	server_conn_look_later(ex->conn);
}

static void flush_at_end_of_turn(struct deferred *d)
{
	struct http_server *s = container_of(d, struct http_server, flush);

	s->flush_queued = false;
	flush_head(s);
}

struct buf *ex_head_reason(struct exchange *ex, unsigned status, struct str reason)
{
	struct http_server *s = ex->server;
	char line[] = "HTTP/1.1 000 ";

	assert(ex->status == 0 && status >= 200 && status <= 999);
	flush_head(s);
	s->head_owner = ex;
	ex->status = status;
	ex->no_body = ex->req.mid == HTTP_HEAD || status == 204 || status == 205 || status == 304;
	line[9] = (char)('0' + status / 100);
	line[10] = (char)('0' + status / 10 % 10);
	line[11] = (char)('0' + status % 10);
	buf_clear(&s->head);
	buf_add(&s->head, line, sizeof(line) - 1);
	buf_adds(&s->head, reason);
	buf_adds(&s->head, STR("\r\n"));
	return &s->head;
}

struct buf *ex_head(struct exchange *ex, unsigned status)
{
	return ex_head_reason(ex, status, http_reason(status));
}

void head_add(struct buf *b, struct str name, struct str value)
{
	if (!buf_reserve(b, name.len + value.len + 4))
		return;

	char *p = b->ptr + b->len;

	memcpy(p, name.ptr, name.len);
	p += name.len;
	*p++ = ':';
	*p++ = ' ';
	if (value.len)
		memcpy(p, value.ptr, value.len);
	p += value.len;
	*p++ = '\r';
	*p++ = '\n';
	b->len = (size_t)(p - b->ptr);
}

void head_add_date(struct exchange *ex, struct buf *b)
{
	buf_adds(b, http_server_date(ex->server));
}

static void add_framing(struct exchange *ex, struct buf *b, uint64_t length)
{
	if (ex->no_body && ex->status == 205)
		length = 0; /* RFC 9110 section 15.3.6: said, unlike that of a 204 */
	if (length == EX_LENGTH_UNKNOWN) {
		if (ex->no_body)
			return;
		ex->out_chunked = ex->req.minor >= 1;
		if (ex->out_chunked)
			buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
		else
			ex->out_close = true;
		return;
	}
	if (ex->status == 204)
		return;
	if (ex->status == 304 && length == 0)
		return; /* says nothing about what a 200 would hold */
	ex->out_left = ex->no_body ? 0 : length;
	buf_adds(b, STR("Content-Length: "));
	buf_add_u64(b, length);
	buf_adds(b, STR("\r\n"));
}

/* The client asked first, and is answered instead: what it will do is unknown, so it is told that this is the end. */
static bool body_may_never_come(const struct exchange *ex)
{
	return !ex->body_done && ex->req.expect_continue && !ex->continued && ex->in_bytes == 0;
}

void ex_head_done(struct exchange *ex, uint64_t length)
{
	struct http_server *s = ex->server;
	struct buf *b = &s->head;

	assert(s->head_owner == ex && !ex->head_sent);
	if (length == EX_LENGTH_UNKNOWN)
		ex->out_left = UINT64_MAX;
	add_framing(ex, b, length);
	if (!ex->req.keep_alive || s->draining || body_may_never_come(ex))
		ex->out_close = true;
	if (ex->out_close)
		buf_adds(b, STR("Connection: close\r\n"));
	else if (ex->req.minor == 0)
		buf_adds(b, STR("Connection: keep-alive\r\n"));
	buf_adds(b, STR("\r\n"));
	ex->head_sent = true;
	if (!s->flush_queued) {
		s->flush_queued = true;
		loop_defer(s->loop, &s->flush, flush_at_end_of_turn);
	}
}

void ex_close_after(struct exchange *ex)
{
	ex->out_close = true;
}

void ex_inform(struct exchange *ex, const struct http_head *h)
{
	struct buf b = BUF_INIT(64 * 1024);

	if (ex->req.minor == 0 || ex->status)
		return;
	buf_addf(&b, "HTTP/1.1 %u %.*s\r\n", h->status, STRF(h->reason));
	for (unsigned i = 0; i < h->nfields; i++) {
		if (!h->field[i].hop)
			head_add(&b, h->field[i].name, h->field[i].value);
	}
	buf_adds(&b, STR("\r\n"));
	if (h->status == 100)
		ex->continued = true;
	if (!b.failed)
		conn_write(&ex->conn->c, b.ptr, b.len);
	buf_fini(&b);
}

/* Head (if it still waits), chunk framing, piece and end in one writev. */
static void send_piece(struct exchange *ex, struct str piece, bool last)
{
	struct http_server *s = ex->server;
	struct conn *c = &ex->conn->c;
	struct iovec iov[4];
	char size[24];
	int n = 0;

	if (s->head_owner == ex) {
		iov[n++] = (struct iovec){ s->head.ptr, s->head.len };
		s->head_owner = NULL;
	}
	if (piece.len && !ex->no_body) {
		ex->out_bytes += piece.len;
		if (ex->out_chunked) {
			unsigned digits = (67u - (unsigned)__builtin_clzll(piece.len)) / 4;

			for (unsigned i = 0; i < digits; i++)
				size[i] = "0123456789abcdef"[piece.len >> (4 * (digits - 1 - i)) & 15];
			size[digits] = '\r';
			size[digits + 1] = '\n';
			iov[n++] = (struct iovec){ size, digits + 2 };
		}
		iov[n++] = (struct iovec){ (void *)(uintptr_t)piece.ptr, piece.len };
	}
	if (ex->out_chunked && !ex->no_body && (piece.len || last)) {
		static char ends[] = "\r\n0\r\n\r\n"; /* writev wants it writable; nobody writes */
		char *from = piece.len ? ends : ends + 2;

		iov[n++] = (struct iovec){ from, last ? (size_t)(ends + 7 - from) : 2 };
	}
	if (n)
		conn_writev(c, iov, n);
	if (conn_pending(c))
		server_conn_watch_reader(ex->conn);
	else if (!last)
		server_conn_look_later(ex->conn);
}

void ex_write(struct exchange *ex, struct str piece)
{
	assert(ex->head_sent && !ex->ended);
	if (piece.len == 0)
		return;
	if (!ex->no_body && ex->out_left != UINT64_MAX) {
		assert(piece.len <= ex->out_left);
		ex->out_left -= piece.len;
	}
	send_piece(ex, piece, false);
}

void ex_write_end(struct exchange *ex, struct str piece)
{
	assert(ex->head_sent && !ex->ended);
	if (!ex->no_body && ex->out_left != UINT64_MAX) {
		assert(piece.len <= ex->out_left);
		ex->out_left -= piece.len;
		if (ex->out_left) { /* fewer bytes than were promised must not look whole */
			ex_abort(ex);
			return;
		}
	}
	ex->ended = true;
	if (piece.len || ex->out_chunked || ex->server->head_owner == ex)
		send_piece(ex, piece, true);
	else if (conn_pending(&ex->conn->c))
		server_conn_watch_reader(ex->conn);
	server_conn_answered(ex->conn);
}

void ex_end(struct exchange *ex)
{
	ex_write_end(ex, STR_EMPTY);
}

void ex_end_trailers(struct exchange *ex, struct str lines)
{
	struct iovec iov[3] = {
		{ (void *)(uintptr_t)"0\r\n", 3 },
		{ (void *)(uintptr_t)lines.ptr, lines.len },
		{ (void *)(uintptr_t)"\r\n", 2 },
	};

	if (!ex->out_chunked || ex->no_body || lines.len == 0) {
		ex_end(ex);
		return;
	}
	assert(ex->head_sent && !ex->ended);
	if (ex->server->head_owner == ex)
		flush_head(ex->server);
	ex->ended = true;
	conn_writev(&ex->conn->c, iov, 3);
	if (conn_pending(&ex->conn->c))
		server_conn_watch_reader(ex->conn);
	server_conn_answered(ex->conn);
}

size_t ex_pending(const struct exchange *ex)
{
	return conn_pending(&ex->conn->c);
}

void ex_abort(struct exchange *ex)
{
	ex->ended = true;
	server_conn_abort(ex->conn);
}

void ex_respond(struct exchange *ex, unsigned status, struct str type, struct str body, const struct field *fields, size_t n)
{
	struct buf *b = ex_head(ex, status);

	head_add_date(ex, b);
	if (ex->server->opts.server_name.len)
		head_add(b, STR("Server"), ex->server->opts.server_name);
	if (type.len)
		head_add(b, STR("Content-Type"), type);
	for (size_t i = 0; i < n; i++)
		head_add(b, fields[i].name, fields[i].value);
	if (!ex->body_done) /* the connection will not outlive this answer: see server_conn_answered */
		ex_close_after(ex);
	ex_head_done(ex, body.len);
	ex_write_end(ex, ex->no_body ? STR_EMPTY : body);
}

/* --- the peer as text --- */

static bool make_peer_text(struct server_conn *sc)
{
	char text[ADDR_TEXT_MAX];
	int n = addr_text(&sc->peer, text);

	if (n > (int)sizeof(sc->peer_text) || text[0] == '[')
		return false;
	memcpy(sc->peer_text, text, (size_t)n);
	sc->peer_len = (uint8_t)n;
	sc->peer_ip_len = (uint8_t)str_rchr(str_of(text, (size_t)n), ':');
	return true;
}

struct str ex_peer_text(struct exchange *ex)
{
	struct server_conn *sc = ex->conn;
	char *text;

	if (likely(sc->peer_len) || make_peer_text(sc))
		return str_of(sc->peer_text, sc->peer_len);
	text = arena_alloc(&ex->arena, ADDR_TEXT_MAX);
	return str_of(text, (size_t)addr_text(&ex->peer, text));
}

struct str ex_peer_ip_text(struct exchange *ex)
{
	struct server_conn *sc = ex->conn;
	char *text;

	if (likely(sc->peer_len) || make_peer_text(sc))
		return str_of(sc->peer_text, sc->peer_ip_len);
	text = arena_alloc(&ex->arena, ADDR_TEXT_MAX);
	return str_of(text, (size_t)addr_ip_text(&ex->peer, text));
}

/* --- the request's body --- */

void ex_pause_body(struct exchange *ex)
{
	ex->body_paused = true;
	conn_pause(&ex->conn->c);
}

void ex_resume_body(struct exchange *ex)
{
	if (!ex->body_paused)
		return;
	ex->body_paused = false;
	if (!ex->body_done)
		server_conn_watch_body(ex->conn);
	conn_resume(&ex->conn->c);
}

void ex_send_continue(struct exchange *ex)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!ex->req.expect_continue || ex->continued || ex->status || ex->in_bytes || ex->body_done)
		return;
	ex->continued = true;
	conn_write(&ex->conn->c, line, sizeof(line) - 1);
}

static void too_large(struct exchange *ex)
{
	ex_close_after(ex);
	ex_respond_text(ex, 413, STR("the request's body is too large\n"));
}

bool ex_hold(struct exchange *ex, size_t n)
{
	struct http_server *s = ex->server;

	assert(ex->gathered || n == 0);
	if (n == 0)
		return true;
	if (s->opts.max_gathered && s->gathered + n > s->opts.max_gathered) {
		ex_close_after(ex);
		ex_respond_text(ex, 503, STR("too many bodies are being received (vine.http.max-gathered-bytes)\n"));
		return false;
	}
	s->gathered += n;
	ex->held += n;
	return true;
}

static void gather(struct exchange *ex, struct str piece)
{
	if (!ex->gathered || !ex_hold(ex, piece.len))
		return;
	if (!buf_adds(ex->gathered, piece))
		too_large(ex);
}

static void gathered_all(struct exchange *ex)
{
	if (ex->on_gathered)
		ex->on_gathered(ex, ex->gathered ? buf_str(ex->gathered) : STR_EMPTY);
}

static const struct exchange_ops gather_ops = { .on_body = gather, .on_body_end = gathered_all };

void ex_collect(struct exchange *ex, size_t max, void (*fn)(struct exchange *ex, struct str body))
{
	if (ex->body_done) {
		fn(ex, STR_EMPTY);
		return;
	}
	if (ex->req.body == BODY_LENGTH && ex->req.content_length > max) {
		too_large(ex);
		return;
	}
	ex->gathered = xmalloc(sizeof(*ex->gathered));
	buf_init(ex->gathered, max);
	ex->on_gathered = fn;
	if (!ex->ops)
		ex->ops = &gather_ops;
	ex_send_continue(ex);
}

static void discard(struct exchange *ex, struct str piece)
{
	(void)piece;
	if (ex->in_bytes > ex->discard_max)
		too_large(ex);
}

static void discarded_all(struct exchange *ex)
{
	ex->on_discarded(ex);
}

static const struct exchange_ops discard_ops = { .on_body = discard, .on_body_end = discarded_all };

void ex_discard(struct exchange *ex, size_t max, void (*fn)(struct exchange *ex))
{
	if (ex->body_done) {
		fn(ex);
		return;
	}
	if (ex->req.body == BODY_LENGTH && ex->req.content_length > max) {
		too_large(ex);
		return;
	}
	ex->discard_max = max;
	ex->on_discarded = fn;
	ex->ops = &discard_ops;
	ex_send_continue(ex);
}
