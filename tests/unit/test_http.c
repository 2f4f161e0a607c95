/* test_http.c - server, client, fetch and router talking to each other over loopback on one loop. */
#include "test.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/client.h"
#include "http/router.h"
#include "http/server.h"

struct world {
	struct loop *loop;
	struct log *log;
	struct logger logger;
	struct router *router;
	struct http_server *server;
	struct http_client *client;
	struct http_peer *peer;
	unsigned closed;
};

static void on_hello(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct str text = str_printf_in(&ex->arena, "hello %.*s", STRF(m->var[0]));

	(void)ctx;
	ex_respond(ex, 200, STR("text/plain"), text, NULL, 0);
}

static void echo_body(struct exchange *ex, struct str body)
{
	ex_respond(ex, 200, STR("text/plain"), body, NULL, 0);
}

static void on_echo(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	(void)ctx;
	ex_collect(ex, 100000, echo_body);
}

static void on_stream(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m;
	(void)ctx;
	ex_head(ex, 200);
	ex_head_done(ex, EX_LENGTH_UNKNOWN);
	for (int i = 0; i < 100; i++)
		ex_write(ex, STR("0123456789"));
	ex_end(ex);
}

static void finished(const struct exchange *ex, void *ctx)
{
	struct world *w = ctx;

	(void)ex;
	w->closed++;
}

static void dispatch(struct exchange *ex, void *ctx)
{
	router_handler(ex, ((struct world *)ctx)->router);
}

static int setup(void **state)
{
	struct world *w = xzalloc(sizeof(*w));
	struct addr any;

	w->loop = loop_new();
	w->log = log_new(2, LOG_LOGFMT);
	w->logger = logger_of(w->log, "test", "test");
	w->router = router_new();
	router_add(w->router, "GET", "/hello/{name}", on_hello, w);
	router_add(w->router, "POST PUT", "/echo", on_echo, w);
	router_add(w->router, "GET", "/stream", on_stream, w);

	struct http_server_opts opts = { .log = &w->logger, .handler = dispatch, .ctx = w, .on_finish = finished };

	w->server = http_server_new(w->loop, &opts);
	addr_parse_ip(&any, STR("127.0.0.1"), 0);
	assert_int_equal(http_server_listen(w->server, &any, false, NULL), 0);
	w->client = http_client_new(w->loop, &(struct http_client_opts){ 0 });
	w->peer = http_client_peer(w->client, STR("127.0.0.1"), addr_port(http_server_local(w->server)));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	http_peer_unref(w->peer);
	http_client_free(w->client);
	http_server_free(w->server);
	loop_turn(w->loop, 0);
	loop_free(w->loop);
	router_free(w->router);
	log_free(w->log);
	free(w);
	return 0;
}

struct get {
	struct fetch f;
	bool done;
	char body[4096];
};

static void got(struct fetch *f)
{
	struct get *g = container_of(f, struct get, f);

	g->done = true;
	if (f->ok)
		snprintf(g->body, sizeof(g->body), "%.*s", STRF(f->response));
}

static void run_fetch(struct world *w, struct get *g)
{
	g->done = false;
	g->f.done = got;
	g->f.deadline = loop_refresh_now(w->loop) + 5 * USEC_PER_SEC;
	fetch_start(w->client, &g->f, w->peer);
	while (!g->done)
		loop_turn(w->loop, USEC_PER_SEC);
}

static void test_get_with_path_variable(void **state)
{
	struct world *w = *state;
	struct get g = { .f = { .method = HTTP_GET, .target = STR("/hello/w%20d//") } };

	run_fetch(w, &g);
	assert_true(g.f.ok);
	assert_int_equal(g.f.status, 200);
	assert_string_equal(g.body, "hello w d");
	assert_str(g.f.content_type, STR("text/plain"));
}

static void test_connection_is_reused(void **state)
{
	struct world *w = *state;
	struct get g = { .f = { .method = HTTP_GET, .target = STR("/hello/a") } };
	struct http_server_stats st;

	for (int i = 0; i < 5; i++)
		run_fetch(w, &g);
	http_server_stats(w->server, &st);
	assert_int_equal(st.connections, 1);
	assert_int_equal(st.requests, 5);
	assert_int_equal(w->closed, 5);
	assert_int_equal(st.active, 0);
}

static void test_post_is_echoed(void **state)
{
	struct world *w = *state;
	struct get g = { .f = { .method = HTTP_POST, .target = STR("/echo"), .body = STR("some body") } };

	run_fetch(w, &g);
	assert_int_equal(g.f.status, 200);
	assert_string_equal(g.body, "some body");
}

static void test_chunked_answer(void **state)
{
	struct world *w = *state;
	struct get g = { .f = { .method = HTTP_GET, .target = STR("/stream") } };

	run_fetch(w, &g);
	assert_int_equal(strlen(g.body), 1000);
}

static void test_404_405_head(void **state)
{
	struct world *w = *state;
	struct get g = { .f = { .method = HTTP_GET, .target = STR("/nothing") } };

	run_fetch(w, &g);
	assert_int_equal(g.f.status, 404);
	g.f.method = HTTP_DELETE;
	g.f.target = STR("/echo");
	run_fetch(w, &g);
	assert_int_equal(g.f.status, 405);
	g.f.method = HTTP_HEAD;
	g.f.target = STR("/hello/x");
	run_fetch(w, &g);
	assert_int_equal(g.f.status, 200);
	assert_string_equal(g.body, "");
}

static void test_refused_connection(void **state)
{
	struct world *w = *state;
	struct get g = { .f = { .method = HTTP_GET, .target = STR("/") } };
	struct http_peer *mine = w->peer;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct addr a;
	socklen_t n = sizeof(a);

	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	assert_int_equal(bind(fd, &a.sa, addr_len(&a)), 0); /* bound but not listening: refuses */
	getsockname(fd, &a.sa, &n);
	w->peer = http_client_peer(w->client, STR("127.0.0.1"), addr_port(&a));
	run_fetch(w, &g);
	assert_false(g.f.ok);
	assert_int_equal(g.f.failure.cause, CALL_REFUSED);
	assert_int_equal(g.f.failure.class, CALL_NOT_SENT);
	http_peer_unref(w->peer);
	w->peer = mine;
	close(fd);
}

/* Sends raw bytes, in pieces of `step`, and returns all that comes until the server closes. */
static struct buf raw(struct world *w, const char *bytes, size_t step)
{
	struct buf out = BUF_INIT(1 << 20);
	struct addr a = *http_server_local(w->server);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	size_t n = strlen(bytes), at = 0;

	int one = 1;
	usec deadline = loop_refresh_now(w->loop) + 10 * USEC_PER_SEC;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)connect(fd, &a.sa, addr_len(&a));
	while (loop_now(w->loop) < deadline) {
		loop_turn(w->loop, 0);
		if (at < n) {
			ssize_t s = send(fd, bytes + at, MIN(step, n - at), MSG_NOSIGNAL);

			at += s > 0 ? (size_t)s : 0;
		}
		buf_reserve(&out, 4096);

		ssize_t r = recv(fd, out.ptr + out.len, 4096, 0);

		if (r == 0)
			break;
		out.len += r > 0 ? (size_t)r : 0;
	}
	close(fd);
	for (int i = 0; i < 3; i++)
		loop_turn(w->loop, 0);
	buf_add(&out, "", 1);
	return out;
}

static unsigned count(const char *in, const char *what)
{
	unsigned n = 0;

	for (; (in = strstr(in, what)); in += strlen(what))
		n++;
	return n;
}

static void test_pipelining_whole_and_byte_by_byte(void **state)
{
	static const char in[] = "GET /hello/a HTTP/1.1\r\nHost: h\r\n\r\n"
				 "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\n\r\n"
				 "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
				 "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"
				 "GET /hello/b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	static const size_t steps[] = { 10000, 1, 7 };

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct buf out = raw(*state, in, steps[i]);

		if (count(out.ptr, "HTTP/1.1 200 OK") != 5) fail_msg("step %zu: %s", steps[i], out.ptr);
		assert_non_null(strstr(out.ptr, "\r\n\r\nwiki"));
		assert_non_null(strstr(out.ptr, "\r\n\r\nhelloHTTP"));
		assert_non_null(strstr(out.ptr, "Connection: close\r\n\r\nhello b"));
		buf_fini(&out);
	}
}

static void test_bad_requests_get_one_answer_and_a_close(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n\r\nGET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (size_t step = 1; step < 10000; step += 9998) {
			struct buf out = raw(*state, bad[i], step);

			assert_int_equal(count(out.ptr, "HTTP/1.1 400 Bad Request"), 1);
			assert_int_equal(count(out.ptr, "HTTP/1.1"), 1);
			assert_non_null(strstr(out.ptr, "Connection: close"));
			buf_fini(&out);
		}
	}
}

static void test_early_answer_to_a_large_body(void **state)
{
	struct buf in = BUF_INIT(1 << 20);

	buf_addz(&in, "POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
	for (int i = 0; i < 199000; i++)
		buf_addc(&in, 'x');
	buf_add(&in, "", 1);

	struct buf out = raw(*state, in.ptr, 65536);

	assert_non_null(strstr(out.ptr, "HTTP/1.1 404"));
	buf_fini(&out);
	buf_fini(&in);
}

static void test_expect_continue(void **state)
{
	struct buf out = raw(*state,
			     "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
			     "Connection: close\r\n\r\nab",
			     1);

	assert_true(str_has_prefix(str_from(out.ptr), STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")));
	buf_fini(&out);
}

static void test_http_1_0(void **state)
{
	struct buf out = raw(*state, "GET /stream HTTP/1.0\r\n\r\n", 100);

	assert_null(strstr(out.ptr, "Transfer-Encoding"));
	assert_non_null(strstr(out.ptr, "Connection: close\r\n\r\n0123456789"));
	buf_fini(&out);
}

/* --- a body that is whole while it is paused --- */

static void pause_body(struct exchange *ex, struct str piece)
{
	(void)piece;
	ex_pause_body(ex);
}

static void answer_paused(struct exchange *ex)
{
	ex_respond_text(ex, 200, STR("paused"));
}

static void on_pause(struct exchange *ex, const struct route_match *m, void *ctx)
{
	static const struct exchange_ops ops = { .on_body = pause_body, .on_body_end = answer_paused };

	(void)m;
	(void)ctx;
	ex->ops = &ops;
}

/* Its handler answers without having resumed it: the connection must read its next request all the same. */
static void test_the_next_request_behind_a_paused_body(void **state)
{
	struct world *w = *state;
	struct buf out;

	router_add(w->router, "POST", "/pause", on_pause, w);
	out = raw(w, "POST /pause HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
		     "GET /hello/b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 74);
	assert_int_equal(count(out.ptr, "HTTP/1.1 200 OK"), 2);
	buf_fini(&out);
}

/* --- a reader that stops --- */

struct trickle {
	struct exchange *ex; /* NULL: over */
	bool aborted;
};

static void trickle_closed(struct exchange *ex)
{
	struct trickle *t = ex->user;

	t->aborted = ex->aborted;
	t->ex = NULL;
}

static void begin_trickle(struct exchange *ex, void *ctx)
{
	static const struct exchange_ops ops = { .on_close = trickle_closed };

	((struct trickle *)ctx)->ex = ex;
	ex->ops = &ops;
	ex->user = ctx;
	ex_head(ex, 200);
	ex_head_done(ex, EX_LENGTH_UNKNOWN);
}

/* Small pieces leave at the turn's end; the last of them is left over, and then nothing more is written: the client must be
 * found to be too slow all the same. */
static void test_a_stopped_reader_behind_a_silent_stream(void **state)
{
	struct loop *l = loop_new();
	struct trickle t = { 0 };
	struct http_server_opts opts = { .handler = begin_trickle, .ctx = &t, .body_idle_timeout = 50 * USEC_PER_MSEC };
	struct http_server *s = http_server_new(l, &opts);
	struct addr any;
	char piece[4000];

	(void)state;
	memset(piece, 'x', sizeof(piece));
	addr_parse_ip(&any, STR("127.0.0.1"), 0);
	assert_int_equal(http_server_listen(s, &any, false, NULL), 0);

	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &http_server_local(s)->sa, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, 0), 27);
	while (!t.ex)
		loop_turn(l, USEC_PER_SEC);
	while (ex_pending(t.ex) == 0) {
		ex_write(t.ex, str_of(piece, sizeof(piece)));
		loop_turn(l, 0);
	}
	for (usec end = loop_now(l) + 10 * USEC_PER_SEC; t.ex && loop_now(l) < end;)
		loop_turn(l, 10 * USEC_PER_MSEC);
	assert_null(t.ex);
	assert_true(t.aborted);
	close(fd);
	http_server_free(s);
	loop_turn(l, 0);
	loop_free(l);
}

/* --- by turns --- */

static int dial_server(struct world *w)
{
	const struct addr *a = http_server_local(w->server);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &a->sa, addr_len(a)), 0);
	return fd;
}

/* A buffer full of requests that are answered at once is served by turns, and to its end. */
static void test_pipelined_requests_are_served_by_turns(void **state)
{
	enum { N = 500, MOST = 70 }; /* two helpings may fall into one turn: what was left, and what came */
	static const char one[] = "GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n";
	struct world *w = *state;
	struct buf b = BUF_INIT(1 << 20);
	int fd = dial_server(w), turns = 0;

	for (int i = 0; i < N; i++)
		buf_addz(&b, one);
	assert_int_equal(send(fd, b.ptr, b.len, 0), (ssize_t)b.len);
	for (int before = 0; w->closed < N; before = w->closed, turns++) {
		loop_turn(w->loop, USEC_PER_SEC);
		assert_true(w->closed - before <= MOST);
	}
	assert_true(turns >= N / MOST);
	close(fd);
	buf_fini(&b);
	loop_turn(w->loop, USEC_PER_SEC);
}

struct counted_call {
	struct call call;
	int pieces;
	bool ended, cut;
};

static void ignore_head(struct call *c, const struct http_head *h)
{
	(void)c;
	assert_int_equal(h->status, 200);
}

static void count_piece(struct call *c, struct str piece)
{
	assert_int_equal(piece.len, 1);
	container_of(c, struct counted_call, call)->pieces++;
}

static void note_end(struct call *c)
{
	container_of(c, struct counted_call, call)->ended = true;
}

static void note_cut(struct call *c, const struct call_failure *f)
{
	struct counted_call *cc = container_of(c, struct counted_call, call);

	assert_int_equal(f->cause, CALL_CLOSED_EARLY);
	cc->ended = cc->cut = true;
}

/* N chunks of a byte, then `last` and the end of the stream. */
static bool read_tiny_chunks(struct world *w, const char *last)
{
	enum { N = 5000, MOST = 520 };
	static const struct call_ops ops = { .on_head = ignore_head, .on_body = count_piece, .on_end = note_end, .on_fail = note_cut };
	struct counted_call cc = { .call = { .ops = &ops, .method = HTTP_GET } };
	struct buf b = BUF_INIT(1 << 20);
	struct addr a;
	int listener, fd, turns = 0;

	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	listener = net_listen(&a, false, NULL);

	socklen_t n = sizeof(a);

	getsockname(listener, &a.sa, &n);

	struct http_peer *peer = http_client_peer(w->client, STR("127.0.0.1"), addr_port(&a));

	call_start(w->client, &cc.call, peer, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), STR_EMPTY, 0);
	loop_turn(w->loop, USEC_PER_SEC);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	buf_addz(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < N; i++)
		buf_addz(&b, "1\r\nx\r\n");
	buf_addz(&b, last);
	assert_int_equal(send(fd, b.ptr, b.len, 0), (ssize_t)b.len);
	shutdown(fd, SHUT_WR);
	for (int before = 0; !cc.ended; before = cc.pieces, turns++) {
		loop_turn(w->loop, USEC_PER_SEC);
		assert_true(cc.pieces - before <= MOST);
	}
	assert_int_equal(cc.pieces, N);
	assert_true(turns >= N / MOST);
	close(fd);
	close(listener);
	http_peer_unref(peer);
	buf_fini(&b);
	return !cc.cut;
}

/* So is an answer in tiny chunks; the end of the stream right behind it must neither overtake what is left nor be lost. */
static void test_tiny_chunks_are_read_by_turns(void **state)
{
	assert_true(read_tiny_chunks(*state, "0\r\n\r\n"));
	assert_false(read_tiny_chunks(*state, ""));
	assert_false(read_tiny_chunks(*state, "f\r"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_get_with_path_variable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connection_is_reused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_post_is_echoed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunked_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_404_405_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipelining_whole_and_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_requests_get_one_answer_and_a_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early_answer_to_a_large_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expect_continue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_1_0, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_next_request_behind_a_paused_body, setup, teardown),
		cmocka_unit_test(test_a_stopped_reader_behind_a_silent_stream),
		cmocka_unit_test_setup_teardown(test_pipelined_requests_are_served_by_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tiny_chunks_are_read_by_turns, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
