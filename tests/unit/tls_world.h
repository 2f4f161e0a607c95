/* tls_world.h - for the tests of TLS: two conns over a socket pair, a wire between that cuts, dribbles and ends where it likes, and
 * identities. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/conn.h"
#include "net/tls.h"
#include "tls_certs.h"

static struct cert ca, other_ca, server_cert, client_cert, old_cert;

/* --- two ends and a wire --- */

struct end {
	struct conn c;
	struct buf got;
	struct str to_send;
	size_t take;   /* at most so many bytes a call; 0: all */
	bool connected, eof, closed, finish;
	int error;
	bool pause_once;
	char why[300];
	char names[1000];
	unsigned drains;
};

static inline void release(struct conn *c)
{
	(void)c;
}

static inline void end_close(struct end *e)
{
	if (e->closed)
		return;
	snprintf(e->why, sizeof(e->why), "%.*s", STRF(tls_why(&e->c)));
	e->closed = true;
	conn_close(&e->c, release);
}

static inline size_t on_data(struct conn *c, const char *p, size_t n)
{
	struct end *e = container_of(c, struct end, c);
	size_t take = e->take ? MIN(e->take, n) : n;

	buf_add(&e->got, p, take);
	if (e->pause_once) {
		e->pause_once = false;
		conn_pause(c);
	}
	if (take < n)
		conn_yield(c);
	return take;
}

static inline void on_eof(struct conn *c)
{
	container_of(c, struct end, c)->eof = true;
}

static inline void on_drain(struct conn *c)
{
	container_of(c, struct end, c)->drains++;
}

static inline void on_error(struct conn *c, int errnum)
{
	struct end *e = container_of(c, struct end, c);

	e->error = errnum;
	end_close(e);
}

static inline void on_connect(struct conn *c)
{
	struct end *e = container_of(c, struct end, c);

	e->connected = true;
	snprintf(e->names, sizeof(e->names), "%.*s", STRF(tls_peer_names(c)));
	if (e->to_send.len)
		conn_write(c, e->to_send.ptr, e->to_send.len);
	if (e->finish)
		conn_shutdown(c);
}

static const struct conn_ops ops = { on_data, on_eof, on_drain, on_error, on_connect, NULL };

struct pair {
	struct loop *loop;
	struct end a, b; /* client, server */
	int wire[2];     /* the middle's ends, if there is a middle; else -1 */
	size_t passed, cut_at, step;
	bool is_cut;
};

static inline void end_open(struct end *e, struct loop *l, int fd, size_t keep)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(conn_open(&e->c, l, fd, &ops, keep), 0);
	buf_init(&e->got, 64u << 20);
}

/* As if it had just been connected to. */
static inline void be_client(struct end *e, struct tls *t, const char *host, struct tls_memory *m)
{
	struct err err;

	assert_int_equal(tls_connect(&e->c, t, str_from(host), m, &err), 0);
	e->c.flags |= CONN_CONNECTING;
	loop_mod(e->c.loop, &e->c.io, EPOLLOUT);
}

static inline void pair_open(struct pair *p, struct tls *client, struct tls *server, const char *host, struct tls_memory *m, bool wire)
{
	int one[2], two[2];
	struct err e;

	*p = (struct pair){ .loop = loop_new(), .wire = { -1, -1 }, .cut_at = SIZE_MAX, .step = 65536 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, one), 0);
	if (wire) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
		p->wire[0] = one[1];
		p->wire[1] = two[0];
		fcntl(one[1], F_SETFL, O_NONBLOCK);
		fcntl(two[0], F_SETFL, O_NONBLOCK);
	}
	end_open(&p->a, p->loop, one[0], 16384);
	end_open(&p->b, p->loop, wire ? two[1] : one[1], 16384);
	be_client(&p->a, client, host, m);
	assert_int_equal(tls_accept(&p->b.c, server, &e), 0);
}

static inline void pass(struct pair *p, int from, int to)
{
	char room[65536];
	ssize_t n = p->is_cut ? 0 : recv(from, room, MIN(MIN(p->step, sizeof(room)), p->cut_at - p->passed), MSG_PEEK);

	if (n > 0) {
		n = send(to, room, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			return; /* the reader's end is full */
		assert_int_equal(recv(from, room, (size_t)n, 0), n);
		p->passed += (size_t)n;
	} else if (n == 0 && !p->is_cut && p->passed < p->cut_at) {
		shutdown(to, SHUT_WR);
	}
	if (p->passed >= p->cut_at && !p->is_cut) {
		p->is_cut = true;
		shutdown(p->wire[0], SHUT_WR);
		shutdown(p->wire[1], SHUT_WR);
	}
}

static inline void turn(struct pair *p)
{
	if (p->wire[0] >= 0) {
		pass(p, p->wire[0], p->wire[1]);
		pass(p, p->wire[1], p->wire[0]);
	}
	loop_turn(p->loop, 0);
}

#define UNTIL(p, n, cond)                                                                                              \
	do {                                                                                                           \
		for (int turns_ = 0; !(cond) && turns_ < (n); turns_++)                                                \
			turn(p);                                                                                       \
	} while (0)

static inline void pair_close(struct pair *p)
{
	end_close(&p->a);
	end_close(&p->b);
	loop_turn(p->loop, 0);
	assert_int_equal(*loop_kept(p->loop), 0);
	buf_fini(&p->a.got);
	buf_fini(&p->b.got);
	for (int i = 0; i < 2; i++) {
		if (p->wire[i] >= 0)
			close(p->wire[i]);
	}
	loop_free(p->loop);
}

/* --- identities --- */

static inline struct tls *make(const struct tls_settings *s)
{
	struct err e = { 0 };
	struct tls *t = NULL;

	if (tls_new(&t, s, true, &e) < 0)
		fail_msg("%s", e.text);
	return t;
}

static inline struct tls *server_of(const struct cert *c, enum tls_client_auth auth, const char *protocols)
{
	return make(&(struct tls_settings){
		.scope = "server.ssl", .server = true, .certificate = str_from(c->pem), .key = str_from(c->key_pem),
		.trust = auth ? str_from(ca.pem) : STR_EMPTY, .client_auth = auth, .protocols = str_from(protocols) });
}

static inline struct tls *client_of(const struct cert *own, const struct cert *believes)
{
	return make(&(struct tls_settings){
		.scope = "vine.tls", .certificate = own ? str_from(own->pem) : STR_EMPTY,
		.key = own ? str_from(own->key_pem) : STR_EMPTY, .trust = str_from(believes->pem) });
}

static inline int set_up_certs(void **state)
{
	(void)state;
	ca = cert_make(NULL, "Test CA", NULL, 900);
	other_ca = cert_make(NULL, "Other CA", NULL, 900);
	server_cert = cert_make(&ca, "server", "DNS:localhost,IP:127.0.0.1", 400);
	client_cert = cert_make(&ca, "peer-one", "DNS:peer.test,URI:spiffe://vine/peer,IP:10.1.2.3", 400);
	old_cert = cert_make(&ca, "old", "DNS:localhost", -2);
	return 0;
}

static inline int tear_down_certs(void **state)
{
	(void)state;
	cert_fini(&ca);
	cert_fini(&other_ca);
	cert_fini(&server_cert);
	cert_fini(&client_cert);
	cert_fini(&old_cert);
	return 0;
}
