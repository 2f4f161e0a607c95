/* test_tls.c - TLS below conns: over socket pairs, through a wire that cuts, dribbles and ends where it likes. */
#include "net/outbox.h"
#include "tls_world.h"

/* --- tests --- */

static const char *const versions[] = { "TLSv1.2", "TLSv1.3" };

static void test_talk(void **state)
{
	(void)state;
	for (size_t v = 0; v < 2; v++) {
		struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, versions[v]), *c = client_of(NULL, &ca);
		struct pair p;

		pair_open(&p, c, s, "localhost", NULL, false);
		p.a.to_send = STR("ping");
		p.b.to_send = STR("pong!");
		UNTIL(&p, 100, p.a.got.len == 5 && p.b.got.len == 4);
		assert_memory_equal(p.a.got.ptr, "pong!", 5);
		assert_memory_equal(p.b.got.ptr, "ping", 4);
		assert_true(tls_is_on(&p.a.c));
		conn_shutdown(&p.a.c);
		UNTIL(&p, 100, p.b.eof);
		assert_true(p.b.eof);
		assert_false(p.b.c.flags & CONN_CUT);
		conn_write(&p.b.c, "after", 5); /* half closed: the other way still goes */
		UNTIL(&p, 100, p.a.got.len == 10);
		assert_int_equal(p.a.got.len, 10);
		pair_close(&p);
		tls_unref(s);
		tls_unref(c);
	}
}

static void test_cut_without_goodbye(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	p.b.to_send = STR("half a body");
	UNTIL(&p, 100, p.a.got.len == 11);
	end_close(&p.b); /* a close is no goodbye */
	UNTIL(&p, 100, p.a.eof);
	assert_true(p.a.eof);
	assert_true(p.a.c.flags & CONN_CUT);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

/* Several writes before the loop tells that the peer is gone: each ends, and what the peer had said before is read. */
static void test_writes_to_who_is_gone(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	char large[OUTBOX_PIECE + 1] = { 0 };
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	UNTIL(&p, 100, p.a.connected && p.b.connected);
	conn_write(&p.a.c, "last words", 10);
	conn_flush(&p.a.c);
	end_close(&p.a);
	conn_write(&p.b.c, large, sizeof(large));
	conn_write(&p.b.c, "small", 5);
	UNTIL(&p, 100, p.b.eof || p.b.closed);
	assert_true(p.b.eof || p.b.closed);
	assert_int_equal(p.b.got.len, 10);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

/* Small pieces until the socket is full: who finds room when the turn ends must not be the last of them. */
static void test_pieces_before_a_full_socket(void **state)
{
	enum { PIECE = 1000 };
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	char piece[PIECE];
	struct pair p;
	size_t n = 0;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, true);
	UNTIL(&p, 100, p.a.connected && p.b.connected);
	for (; conn_pending(&p.a.c) == 0; n++) {
		memset(piece, (int)('A' + n % 26), sizeof(piece));
		conn_write(&p.a.c, piece, sizeof(piece));
	}
	UNTIL(&p, 10000, p.b.got.len == n * PIECE);
	assert_int_equal(p.b.got.len, n * PIECE);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p.b.got.ptr[i * PIECE], 'A' + i % 26);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

/* Whatever byte the wire is cut at: no end is told more than was sent, and none believes in a whole that is none. */
static void test_cut_everywhere(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	size_t whole = 0;
	bool done = false;

	(void)state;
	for (size_t cut = 1; !done; cut += cut < 700 ? 3 : 17) {
		struct pair p;

		pair_open(&p, c, s, "localhost", NULL, true);
		p.cut_at = cut;
		p.a.to_send = str_of(text, sizeof(text) - 1);
		p.a.finish = true;
		UNTIL(&p, 200, (p.a.closed || p.a.eof) && (p.b.closed || p.b.eof));
		assert_true(p.b.got.len <= sizeof(text) - 1);
		if (p.b.got.len)
			assert_memory_equal(p.b.got.ptr, text, p.b.got.len);
		if (p.b.eof && !(p.b.c.flags & CONN_CUT)) {
			assert_int_equal(p.b.got.len, sizeof(text) - 1);
			whole++;
		}
		done = !p.is_cut;
		assert_true(cut < 20000);
		pair_close(&p);
	}
	assert_true(whole > 0);
	tls_unref(s);
	tls_unref(c);
}

static void test_byte_by_byte(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NEED, ""), *c = client_of(&client_cert, &ca);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "127.0.0.1", NULL, true);
	p.step = 1;
	p.a.to_send = STR("ping");
	p.b.to_send = STR("pong");
	p.a.finish = p.b.finish = true;
	UNTIL(&p, 20000, p.a.eof && p.b.eof);
	assert_true(p.a.eof && p.b.eof);
	assert_int_equal(p.a.got.len, 4);
	assert_int_equal(p.b.got.len, 4);
	assert_false(p.a.c.flags & CONN_CUT);
	assert_string_equal(p.b.names, "subject:CN=peer-one\ndns:peer.test\nuri:spiffe://vine/peer\nip:10.1.2.3\n");
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

static char *big_text(size_t n, unsigned seed)
{
	char *p = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)((i * 2654435761u + seed) >> 7);
	return p;
}

/* Both ways at once, through readers that take little, that pause, and that keep little: nothing is lost and nothing stalls. */
static void test_big_bodies(void **state)
{
	static const size_t takes[] = { 0, 1000, 16384, 60000 };
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	size_t n = 3u << 20;
	char *one = big_text(n, 1), *two = big_text(n, 2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(takes); i++) {
		struct pair p;

		pair_open(&p, c, s, "localhost", NULL, i % 2);
		p.a.to_send = str_of(one, n);
		p.b.to_send = str_of(two, n);
		p.a.take = p.b.take = takes[i];
		p.b.pause_once = true;
		UNTIL(&p, 50, p.b.c.flags & CONN_PAUSED && p.a.got.len > 1000);
		for (int k = 0; k < 50; k++)
			turn(&p);
		assert_true(p.b.c.flags & CONN_PAUSED);
		conn_resume(&p.b.c);
		UNTIL(&p, 100000, p.a.got.len == n && p.b.got.len == n);
		assert_int_equal(p.a.got.len, n);
		assert_int_equal(p.b.got.len, n);
		assert_memory_equal(p.a.got.ptr, two, n);
		assert_memory_equal(p.b.got.ptr, one, n);
		conn_shutdown(&p.a.c);
		UNTIL(&p, 100, p.b.eof);
		assert_true(p.b.eof);
		assert_false((p.a.c.flags | p.b.c.flags) & CONN_CUT);
		assert_true(p.a.drains > 0);
		pair_close(&p);
	}
	free(one);
	free(two);
	tls_unref(s);
	tls_unref(c);
}

/* What is counted as pending shrinks as the peer takes it, and is told as drained only when all has gone. */
static void test_pending(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	size_t n = 2u << 20, last;
	char *one = big_text(n, 3);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	UNTIL(&p, 100, p.a.connected && p.b.connected);
	conn_pause(&p.a.c);
	conn_write(&p.b.c, one, n);
	for (int i = 0; i < 20; i++)
		turn(&p);
	last = conn_pending(&p.b.c);
	assert_true(last > 0 && last < n);
	assert_int_equal(p.b.drains, 0);
	conn_resume(&p.a.c);
	while (p.b.drains == 0) {
		turn(&p);
		assert_true(conn_pending(&p.b.c) <= last);
		last = conn_pending(&p.b.c);
	}
	assert_int_equal(conn_pending(&p.b.c), 0);
	UNTIL(&p, 1000, p.a.got.len == n);
	assert_memory_equal(p.a.got.ptr, one, n);
	pair_close(&p);
	free(one);
	tls_unref(s);
	tls_unref(c);
}

/* --- who is believed --- */

static const struct trust_case {
	const char *name, *host;
	const struct cert *server, *client, *client_believes;
	enum tls_client_auth auth;
	const char *protocols;
	const char *client_why, *server_why; /* NULL: it stands */
} trust_cases[] = {
	{ "by name", "localhost", &server_cert, NULL, &ca, TLS_AUTH_NONE, "", NULL, NULL },
	{ "by name with the root's dot", "localhost.", &server_cert, NULL, &ca, TLS_AUTH_NONE, "", NULL, NULL },
	{ "by address", "127.0.0.1", &server_cert, NULL, &ca, TLS_AUTH_NONE, "", NULL, NULL },
	{ "another name", "registry.test", &server_cert, NULL, &ca, TLS_AUTH_NONE, "", "hostname mismatch: it is not for registry.test",
	  "the peer says" },
	{ "another address", "127.0.0.2", &server_cert, NULL, &ca, TLS_AUTH_NONE, "", "IP address mismatch: it is not for 127.0.0.2",
	  "the peer says" },
	{ "an unknown authority", "localhost", &server_cert, NULL, &other_ca, TLS_AUTH_NONE, "", "certificate verify failed: unable to get local issuer",
	  "unknown ca" },
	{ "expired", "localhost", &old_cert, NULL, &ca, TLS_AUTH_NONE, "", "certificate has expired", "certificate expired" },
	{ "no certificate where one is needed", "localhost", &server_cert, NULL, &ca, TLS_AUTH_NEED, "TLSv1.2", "the peer says",
	  "the client shows no certificate" },
	{ "one that is believed", "localhost", &server_cert, &client_cert, &ca, TLS_AUTH_NEED, "TLSv1.2", NULL, NULL },
	{ "an expired one", "localhost", &server_cert, &old_cert, &ca, TLS_AUTH_NEED, "TLSv1.2", "certificate expired",
	  "certificate has expired" },
	{ "none where one is wanted", "localhost", &server_cert, NULL, &ca, TLS_AUTH_WANT, "TLSv1.2", NULL, NULL },
};

static void test_trust(void **state)
{
	(void)state;
	for (const struct trust_case *t = trust_cases; t < trust_cases + ARRAY_LEN(trust_cases); t++) {
		struct tls *s = server_of(t->server, t->auth, t->protocols), *c = client_of(t->client, t->client_believes);
		struct pair p;

		pair_open(&p, c, s, t->host, NULL, false);
		UNTIL(&p, 50, (p.a.connected || p.a.closed) && (p.b.connected || p.b.closed));
		if (t->client_why && (!p.a.closed || !strstr(p.a.why, t->client_why)))
			fail_msg("%s: the client says '%s', want '%s'", t->name, p.a.why, t->client_why);
		if (t->server_why && (!p.b.closed || !strstr(p.b.why, t->server_why)))
			fail_msg("%s: the server says '%s', want '%s'", t->name, p.b.why, t->server_why);
		if (!t->client_why && (!p.a.connected || !p.b.connected))
			fail_msg("%s: does not stand: '%s', '%s'", t->name, p.a.why, p.b.why);
		pair_close(&p);
		tls_unref(s);
		tls_unref(c);
	}
}

/* What no certificate can be for is not connected to: a name that is not checked would be worse. */
static void test_names_that_cannot_be(void **state)
{
	static char longest[300];
	struct tls *c = client_of(NULL, &ca);
	struct err e;
	int fd[2];

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);

	const struct str hosts[] = { STR_EMPTY, str_from(longest), str_of("localhost\0.evil.test", 20) };

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct loop *l = loop_new();
		struct end a = { 0 };

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		end_open(&a, l, fd[0], 16384);
		assert_int_equal(tls_connect(&a.c, c, hosts[i], NULL, &e), VINE_EINVAL);
		assert_false(tls_is_on(&a.c));
		end_close(&a);
		close(fd[1]);
		loop_turn(l, 0);
		loop_free(l);
	}
	tls_unref(c);
}

/* In TLS 1.3 a client learns that its certificate is refused when its own side stands already. */
static void test_late_refusal(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NEED, "TLSv1.3"), *c = client_of(NULL, &ca);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	p.a.to_send = STR("GET /");
	UNTIL(&p, 50, p.a.closed && p.b.closed);
	assert_true(p.a.connected);
	assert_false(p.b.connected);
	assert_int_equal(p.a.error, EPROTO);
	assert_non_null(strstr(p.a.why, "certificate required"));
	assert_int_equal(p.b.got.len, 0);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

static void test_resumption(void **state)
{
	(void)state;
	for (size_t v = 0; v < 2; v++) {
		struct tls *s = server_of(&server_cert, TLS_AUTH_NEED, versions[v]), *c = client_of(&client_cert, &ca);
		struct tls_settings again = { .scope = "server.ssl", .server = true, .certificate = str_from(server_cert.pem),
					      .key = str_from(server_cert.key_pem), .trust = str_from(ca.pem),
					      .client_auth = TLS_AUTH_NEED, .protocols = str_from(versions[v]) };
		struct tls_memory m = { 0 };
		bool was[3];

		for (int i = 0; i < 3; i++) {
			struct pair p;

			if (i == 2) { /* other keys: a ticket of before is worth nothing */
				assert_int_equal(tls_prepare(s, &again, true, NULL), 0);
				tls_commit(s);
			}
			pair_open(&p, c, s, "localhost", &m, false);
			p.a.to_send = p.b.to_send = STR("x");
			UNTIL(&p, 100, p.a.got.len && p.b.got.len);
			was[i] = tls_resumed(&p.a.c);
			assert_non_null(strstr(p.b.names, "subject:CN=peer-one\n")); /* known of the ticket too */
			pair_close(&p);
		}
		assert_false(was[0]);
		assert_true(was[1]);
		assert_false(was[2]);
		tls_memory_fini(&m);
		tls_unref(s);
		tls_unref(c);
	}
}

/* Of bytes that are no handshake: what each side says. */
static void test_nonsense(void **state)
{
	static const struct { const char *bytes; size_t n; bool is_http; } cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, true }, { "POST", 4, true }, { "\x16\x03\x01\x00\x05hello", 10, false },
		{ "\0\0\0\0\0\0\0\0", 8, false },       { "\x80\x2e\x01\x03\x01", 5, false },   { "\xff\xff\xff\xff\xff\xff", 6, false },
		{ "\x16\x03\x01\xff\xff\x01", 6, false }, { "\x15\x03\x01\x00\x02\x02\x28", 7, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, "");
		struct loop *l = loop_new();
		struct end b = { 0 };
		char answer[512] = "";
		int fd[2];
		struct err e;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		end_open(&b, l, fd[1], 16384);
		assert_int_equal(tls_accept(&b.c, s, &e), 0);
		assert_int_equal(write(fd[0], cases[i].bytes, cases[i].n), (ssize_t)cases[i].n);
		loop_turn(l, 0);
		shutdown(fd[0], SHUT_WR);
		for (int k = 0; k < 5 && !b.closed; k++)
			loop_turn(l, 0);
		assert_true(b.closed);
		assert_true(strlen(b.why) > 5);
		assert_false(b.connected);
		assert_int_equal(b.got.len, 0);
		if (cases[i].is_http) {
			assert_true(read(fd[0], answer, sizeof(answer) - 1) > 0);
			assert_non_null(strstr(answer, "400 Bad Request"));
			assert_non_null(strstr(answer, "https"));
			assert_non_null(strstr(b.why, "plain HTTP"));
		}
		close(fd[0]);
		loop_turn(l, 0);
		loop_free(l);
		tls_unref(s);
	}
}

/* A check of the port alone, as load balancers make it, is no failure of TLS. */
static void test_who_only_knocks(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, "");
	struct loop *l = loop_new();
	struct end b = { 0 };
	int fd[2];
	struct err e;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	end_open(&b, l, fd[1], 16384);
	assert_int_equal(tls_accept(&b.c, s, &e), 0);
	close(fd[0]);
	for (int k = 0; k < 5 && !b.closed; k++)
		loop_turn(l, 0);
	assert_true(b.closed);
	assert_string_equal(b.why, "");
	loop_turn(l, 0);
	loop_free(l);
	tls_unref(s);
}

/* Noise on a connection that stands: it ends, and nothing of the noise is shown. */
static void test_noise(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, true);
	p.a.to_send = STR("fine");
	UNTIL(&p, 100, p.b.got.len == 4);
	assert_int_equal(write(p.wire[1], "\x17\x03\x03\x00\x20" "0123456789abcdef0123456789abcdef", 37), 37);
	UNTIL(&p, 50, p.b.closed);
	assert_true(p.b.closed);
	assert_int_equal(p.b.error, EPROTO);
	assert_int_equal(p.b.got.len, 4);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

/* Noise right behind data, at a reader that pauses: whoever writes then is told of the end. */
static void test_a_write_after_noise(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	char *big = big_text(100000, 4);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	UNTIL(&p, 100, p.a.connected && p.b.connected);
	for (int i = 0; i < 5; i++)
		turn(&p);
	p.b.pause_once = true;
	conn_pause(&p.a.c); /* else it would end when it is told */
	conn_write(&p.a.c, "fine", 4);
	conn_flush(&p.a.c);
	assert_int_equal(write(p.a.c.io.fd, "\x17\x03\x03\x00\x20" "0123456789abcdef0123456789abcdef", 37), 37);
	UNTIL(&p, 100, p.b.got.len == 4);
	for (int i = 0; i < 5; i++)
		turn(&p);
	assert_false(p.b.closed);
	conn_write(&p.b.c, big, 100000);
	UNTIL(&p, 50, p.b.closed);
	assert_true(p.b.closed);
	assert_int_equal(p.b.error, EPROTO);
	pair_close(&p);
	free(big);
	tls_unref(s);
	tls_unref(c);
}

/* The goodbye behind the last byte comes, also where the kernel has no room for it just then. */
static void test_a_goodbye_without_room(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	char *big = big_text(60000, 5);
	unsigned waited = 0;

	(void)state;
	for (size_t n = 30000; n < 60000; n += 397) {
		int small = 4096;
		struct pair p;

		pair_open(&p, c, s, "localhost", NULL, false);
		setsockopt(p.b.c.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		UNTIL(&p, 100, p.a.connected && p.b.connected);
		conn_write(&p.b.c, big, n);
		conn_shutdown(&p.b.c);
		for (int i = 0; i < 500 && !p.a.eof; i++) {
			turn(&p);
			waited += p.b.drains && p.b.c.flags & CONN_TALKS;
		}
		assert_int_equal(p.a.got.len, n);
		assert_true(p.a.eof);
		assert_false(p.a.c.flags & CONN_CUT);
		pair_close(&p);
	}
	assert_true(waited > 0);
	free(big);
	tls_unref(s);
	tls_unref(c);
}

/* A client of OpenSSL's own, for what our side never does; b is our end, and shaken hands with. */
struct raw {
	struct loop *l;
	struct tls *s;
	struct end b;
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static void raw_open(struct raw *r, int version)
{
	int fd[2];
	struct err e;

	*r = (struct raw){ .l = loop_new(), .s = server_of(&server_cert, TLS_AUTH_NONE, "") };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	r->fd = fd[0];
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	end_open(&r->b, r->l, fd[1], 16384);
	assert_int_equal(tls_accept(&r->b.c, r->s, &e), 0);
	r->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(r->ctx, version);
	r->ssl = SSL_new(r->ctx);
	SSL_set_fd(r->ssl, r->fd);
	while (SSL_connect(r->ssl) != 1)
		loop_turn(r->l, 0);
}

static void raw_close(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	close(r->fd);
	end_close(&r->b);
	buf_fini(&r->b.got);
	loop_turn(r->l, 0);
	loop_free(r->l);
	tls_unref(r->s);
}

/* Who makes us answer and never reads is given up, before what waits for him grows; who reads may go on. */
static void test_key_updates(void **state)
{
	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		char room[4096];
		int small = 4096;
		struct raw r;

		raw_open(&r, TLS1_3_VERSION);
		setsockopt(r.b.c.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		for (int i = 0; i < (reads ? 2000 : 60000) && !r.b.closed; i++) {
			SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
			SSL_do_handshake(r.ssl);
			if (reads)
				SSL_read(r.ssl, room, sizeof(room));
			if (i % 16 == 0)
				SSL_write(r.ssl, "x", 1);
			if (i % 16 == 0)
				loop_turn(r.l, 0);
			assert_true(*loop_kept(r.l) <= 512u * 1024);
		}
		if (reads) {
			while (SSL_write(r.ssl, "here", 4) != 4)
				loop_turn(r.l, 0);
			for (int i = 0; i < 100 && r.b.got.len < 2000 / 16 + 4; i++)
				loop_turn(r.l, 0);
			assert_int_equal(r.b.got.len, 2000 / 16 + 4);
		}
		assert_int_equal(r.b.closed, !reads);
		if (!reads)
			assert_string_equal(r.b.why, "TLS: the peer makes us answer and does not read");
		raw_close(&r);
	}
}

/* Some are fine; many with nothing else between them end the connection, whatever came with them. */
static void test_a_flood_of_key_updates(void **state)
{
	(void)state;
	for (int n = 32; n <= 64; n += 32) {
		struct raw r;

		raw_open(&r, TLS1_3_VERSION);
		for (int i = 0; i < n; i++) { /* all in the kernel before one is read */
			assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
			assert_int_equal(SSL_do_handshake(r.ssl), 1);
		}
		assert_int_equal(SSL_write(r.ssl, "here", 4), 4);
		for (int i = 0; i < 100 && !r.b.closed && r.b.got.len < 4; i++)
			loop_turn(r.l, 0);
		assert_int_equal(r.b.closed, n > 32);
		assert_int_equal(r.b.got.len, n > 32 ? 0 : 4);
		assert_string_equal(n > 32 ? r.b.why : "", n > 32 ? "TLS: too many key updates" : "");
		raw_close(&r);
	}
}

static void test_renegotiation_is_refused(void **state)
{
	char room[100];
	struct raw r;
	int done = 0;

	(void)state;
	raw_open(&r, TLS1_2_VERSION);
	assert_int_equal(SSL_renegotiate(r.ssl), 1);
	for (int i = 0; i < 50 && done != 1; i++) {
		done = SSL_do_handshake(r.ssl);
		if (done != 1 && SSL_get_error(r.ssl, done) != SSL_ERROR_WANT_READ)
			break;
		loop_turn(r.l, 0);
	}
	assert_int_not_equal(done, 1);
	SSL_read(r.ssl, room, sizeof(room));
	assert_int_equal(r.b.got.len, 0);
	raw_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talk),
		cmocka_unit_test(test_cut_without_goodbye),
		cmocka_unit_test(test_writes_to_who_is_gone),
		cmocka_unit_test(test_pieces_before_a_full_socket),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_big_bodies),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_late_refusal),
		cmocka_unit_test(test_names_that_cannot_be),
		cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_who_only_knocks),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_a_write_after_noise),
		cmocka_unit_test(test_a_goodbye_without_room),
		cmocka_unit_test(test_a_flood_of_key_updates),
		cmocka_unit_test(test_renegotiation_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up_certs, tear_down_certs);
}
