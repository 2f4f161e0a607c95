/* tls_conn.c - see tls.h: the transport.
 *
 * OpenSSL reads and writes through a BIO of our own (bio_read, bio_write) that knows no socket: it takes from `in`, what was
 * just received, and adds to `out`, what is sent when the call ends. So a record costs no system call of its own.
 *
 * Input    All that was received is given to OpenSSL at once. What the reader's buffer has no room for stays here, decrypted
 *          in OpenSSL or as ciphertext in kept_in, and CONN_HELD says so.
 * Output   Plain bytes are encrypted up to BATCH ahead of the kernel. Those whose ciphertext the kernel has not taken are not
 *          reported as taken (`ahead`): the conn keeps them and shows them again, so that what it counts as pending, and tells
 *          its owner as drained, is the truth. One byte at least is held back while ciphertext waits. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/conn.h"
#include "net/tls_impl.h"

#define IN_ROOM (64u * 1024)  /* received at once */
#define OUT_ROOM (96u * 1024) /* of ciphertext that one call may make */
#define GATHER (16u * 1024)   /* a record's most */
#define BATCH (4 * GATHER)    /* plain bytes encrypted before they are sent */
#define KEPT_MAX (256u * 1024) /* a peer that makes us answer (KeyUpdate) and does not read is given up */
#define KEY_UPDATES_MAX 32 /* without a byte of data between them: each costs us new keys, and its peer almost nothing */
#define NAMES_MAX 8192
#define WHY_MAX 256

static_assert(IN_ROOM + OUT_ROOM + GATHER <= LOOP_SCRATCH, "the scratch buffer is too small");

struct tls_conn {
	SSL *ssl;
	struct tls *tls;
	struct conn *c;
	struct tls_memory *memory;
	uint32_t generation;
	bool server, any_name, started, ended, failed, shut;
	const char *in; /* ciphertext that is being read */
	size_t in_len;
	struct buf kept_in, kept_out;
	size_t out_len;  /* in the scratch buffer, during a call */
	size_t kept_at;  /* bytes of kept_out that have gone */
	unsigned key_updates; /* received since the last data */
	size_t ahead;    /* plain bytes that are encrypted and not reported */
	int dead;        /* errno of a send that failed for good: nothing more is sent, what was received is still read */
	char *names;     /* of the peer's certificate; NULL: it has shown none */
	char host[256];
	char why[WHY_MAX];
};

/* --- sessions --- */

void tls_memory_fini(struct tls_memory *m)
{
	SSL_SESSION_free(TAKE(m->session));
}

int tls_remember_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_conn *tc = SSL_get_app_data(ssl);

	if (!tc || !tc->memory)
		return 0;
	tls_memory_fini(tc->memory);
	tc->memory->session = session; /* the reference is ours */
	tc->memory->generation = tc->generation;
	return 1;
}

/* --- the BIO --- */

static int bio_read(BIO *b, char *p, size_t n, size_t *got)
{
	struct tls_conn *tc = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	*got = MIN(n, tc->in_len);
	if (*got == 0) {
		BIO_set_retry_read(b);
		return 0;
	}
	memcpy(p, tc->in, *got);
	tc->in += *got;
	tc->in_len -= *got;
	return 1;
}

static char *out_room(const struct tls_conn *tc)
{
	return loop_scratch(tc->c->loop) + IN_ROOM;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *put)
{
	struct tls_conn *tc = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (n > OUT_ROOM - tc->out_len)
		return 0; /* more than one call ever makes: the connection fails */
	memcpy(out_room(tc) + tc->out_len, p, n);
	tc->out_len += n;
	*put = n;
	return 1;
}

static long bio_ctrl(BIO *b, int what, long num, void *p)
{
	(void)b;
	(void)num;
	(void)p;
	return what == BIO_CTRL_FLUSH || what == BIO_CTRL_PUSH || what == BIO_CTRL_POP || what == BIO_CTRL_DUP;
}

/* A table that OpenSSL wants to be made at run time; it does not change after. */
static BIO_METHOD *bio_kind;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_kind(void)
{
	bio_kind = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "vine");
	BIO_meth_set_read_ex(bio_kind, bio_read);
	BIO_meth_set_write_ex(bio_kind, bio_write);
	BIO_meth_set_ctrl(bio_kind, bio_ctrl);
}

/* --- failures in words --- */

static void add_names(char *out, size_t n, const X509 *x)
{
	char subject[160] = "", issuer[160] = "";

	X509_NAME_oneline(X509_get_subject_name(x), subject, sizeof(subject));
	X509_NAME_oneline(X509_get_issuer_name(x), issuer, sizeof(issuer));
	snprintf(out, n, " (certificate %s, issued by %s)", subject, issuer);
}

static void say_verify_failure(struct tls_conn *tc, long result)
{
	const X509 *x = SSL_get0_peer_certificate(tc->ssl);
	char names[128] = "";

	if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
		snprintf(names, sizeof(names), ": it is not for %.90s", tc->host);
	else if (x)
		add_names(names, sizeof(names), x);
	snprintf(tc->why, sizeof(tc->why), "certificate verify failed: %s%s", X509_verify_cert_error_string(result), names);
}

/* After a call of OpenSSL has failed. Sets errno. */
static void note_failure(struct tls_conn *tc)
{
	unsigned long code = ERR_peek_error();
	long verified = SSL_get_verify_result(tc->ssl);
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	tc->failed = true;
	if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
		say_verify_failure(tc, verified);
	else if (ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		snprintf(tc->why, sizeof(tc->why), "the client shows no certificate");
	else if (ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET)
		snprintf(tc->why, sizeof(tc->why), "TLS: the peer says: %s", reason ? reason : "an alert");
	else
		snprintf(tc->why, sizeof(tc->why), "TLS: %s", reason ? reason : "the peer broke the protocol");
	for (char *p = tc->why; *p; p++) { /* names come from outside */
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e || *p == '"' || *p == '\\')
			*p = '?';
	}
	ERR_clear_error();
	errno = EPROTO;
}

/* --- sending --- */

static void account(const struct tls_conn *tc, size_t had, size_t has)
{
	size_t *kept = loop_kept(tc->c->loop);

	__atomic_store_n(kept, *kept - had + has, __ATOMIC_RELAXED);
}

static void drop_kept(struct tls_conn *tc, struct buf *b)
{
	size_t max = b->max;

	account(tc, b->cap, 0);
	buf_fini(b);
	buf_init(b, max);
}

static bool keep(struct tls_conn *tc, struct buf *b, const char *p, size_t n)
{
	size_t had = b->cap;
	bool ok = buf_add(b, p, n);

	account(tc, had, b->cap);
	return ok;
}

static ssize_t send_some(struct tls_conn *tc, const char *p, size_t n)
{
	ssize_t r;

	do {
		r = send(tc->c->io.fd, p, n, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r > 0 && tc->ahead)
		tc->c->flags |= CONN_TOOK; /* part of a record may be all that the peer needs to act */
	return r;
}

/* The socket takes nothing any more: what waits will never go, nor does anybody wait for it. */
static int die(struct tls_conn *tc, int why)
{
	tc->dead = why;
	tc->ahead = 0;
	tc->kept_at = 0;
	drop_kept(tc, &tc->kept_out);
	tc->c->flags &= (uint16_t)~CONN_TALKS;
	errno = why;
	return -1;
}

/* Sends what waits and what this call has made. 0: all has gone. -1: the kernel is full (EAGAIN), the rest is kept; or dead. */
static int push(struct tls_conn *tc)
{
	char *made = out_room(tc);
	size_t n = tc->out_len, at = 0;

	tc->out_len = 0;
	if (tc->dead)
		return die(tc, tc->dead);
	if (tc->kept_out.len) {
		ssize_t r = send_some(tc, tc->kept_out.ptr + tc->kept_at, tc->kept_out.len - tc->kept_at);

		if (r < 0 && errno != EAGAIN)
			return die(tc, errno);
		tc->kept_at += (size_t)MAX(r, (ssize_t)0);
		if (tc->kept_at == tc->kept_out.len) {
			drop_kept(tc, &tc->kept_out);
			tc->kept_at = 0;
		}
	}
	if (n && !tc->kept_out.len) {
		ssize_t r = send_some(tc, made, n);

		if (r < 0 && errno != EAGAIN)
			return die(tc, errno);
		at = (size_t)MAX(r, (ssize_t)0);
	}
	if (at < n && !keep(tc, &tc->kept_out, made + at, n - at)) {
		tc->failed = true;
		snprintf(tc->why, sizeof(tc->why), "TLS: the peer makes us answer and does not read");
		errno = EPROTO;
		return -1;
	}
	if (!tc->kept_out.len) {
		tc->c->flags &= (uint16_t)~CONN_TALKS;
		return 0;
	}
	tc->c->flags |= CONN_TALKS;
	errno = EAGAIN;
	return -1;
}

/* --- the transport --- */

static struct tls_conn *of(const struct conn *c)
{
	return c->tp_state;
}

/* What was received and not read yet is kept, and said to be held. */
static void settle_input(struct tls_conn *tc)
{
	struct conn *c = tc->c;

	if (tc->in_len) {
		struct buf rest = BUF_INIT(IN_ROOM);

		keep(tc, &rest, tc->in, tc->in_len); /* in may point into kept_in */
		drop_kept(tc, &tc->kept_in);
		tc->kept_in = rest;
	} else if (tc->kept_in.len) {
		drop_kept(tc, &tc->kept_in);
	}
	tc->in = NULL;
	tc->in_len = 0;
	if (tc->kept_in.len || tc->ended || tc->failed || SSL_pending(tc->ssl))
		c->flags |= CONN_HELD;
	else
		c->flags &= (uint16_t)~CONN_HELD;
}

/* Makes ciphertext ready to be read: what is held, else what the kernel has. As recv. */
static ssize_t fetch(struct tls_conn *tc, size_t room)
{
	if (tc->kept_in.len) {
		tc->in = tc->kept_in.ptr;
		tc->in_len = tc->kept_in.len;
		return (ssize_t)tc->in_len;
	}
	if (SSL_pending(tc->ssl))
		return 1;

	char *p = loop_scratch(tc->c->loop);
	ssize_t n = recv(tc->c->io.fd, p, MIN(room, (size_t)IN_ROOM), 0);

	if (n > 0) {
		tc->in = p;
		tc->in_len = (size_t)n;
	}
	return n;
}

/* OpenSSL's callback, for each message. It would read on for as long as KeyUpdates come: what is behind one too many is dropped. */
static void count_key_updates(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct tls_conn *tc = arg;

	(void)version;
	(void)ssl;
	if (sent || type != SSL3_RT_HANDSHAKE || n == 0 || *(const unsigned char *)p != SSL3_MT_KEY_UPDATE)
		return;
	if (++tc->key_updates > KEY_UPDATES_MAX)
		tc->in_len = 0;
}

static size_t read_plain(struct tls_conn *tc, char *p, size_t n)
{
	size_t got = 0, m;

	while (got < n) {
		ERR_clear_error();
		if (SSL_read_ex(tc->ssl, p + got, n - got, &m)) {
			got += m;
			tc->key_updates = 0;
			continue;
		}
		if (tc->key_updates > KEY_UPDATES_MAX) {
			tc->failed = true;
			snprintf(tc->why, sizeof(tc->why), "TLS: too many key updates");
			return got;
		}
		switch (SSL_get_error(tc->ssl, 0)) {
		case SSL_ERROR_WANT_READ: return got;
		case SSL_ERROR_ZERO_RETURN: tc->ended = true; return got;
		default: note_failure(tc); return got;
		}
	}
	return got;
}

static ssize_t tls_recv(struct conn *c, void *p, size_t n)
{
	struct tls_conn *tc = of(c);
	size_t got = 0;

	if (!tc->ended && !tc->failed) {
		ssize_t r = fetch(tc, n);

		if (r < 0)
			return -1;
		if (r == 0) {
			c->flags |= CONN_CUT;
			return 0;
		}
		got = read_plain(tc, p, n);
		push(tc); /* what the peer made us answer; where that fails, reading goes on */
		settle_input(tc);
	}
	if (got)
		return (ssize_t)got;
	c->flags &= (uint16_t)~CONN_HELD;
	if (tc->failed) {
		errno = EPROTO;
		return -1;
	}
	if (tc->ended)
		return 0;
	if (tc->kept_in.len || SSL_pending(tc->ssl))
		c->flags |= CONN_HELD;
	errno = EAGAIN;
	return -1;
}

/* The next at most GATHER plain bytes behind `skip`: in place where they lie together, else gathered. */
static struct str next_plain(struct tls_conn *tc, const struct iovec *iov, int n, size_t skip)
{
	char *room = loop_scratch(tc->c->loop) + IN_ROOM + OUT_ROOM;
	size_t len = 0;

	for (int i = 0; i < n && len < GATHER; i++) {
		size_t from = MIN(skip, iov[i].iov_len), left = iov[i].iov_len - from, take = MIN(left, GATHER - len);

		skip -= from;
		if (take && len == 0 && (take == GATHER || i == n - 1))
			return str_of((const char *)iov[i].iov_base + from, take);
		if (take)
			memcpy(room + len, (const char *)iov[i].iov_base + from, take);
		len += take;
	}
	return str_of(room, len);
}

/* Encrypts up to BATCH bytes behind `done`. */
static bool encrypt(struct tls_conn *tc, const struct iovec *iov, int n, size_t done)
{
	while (tc->ahead < BATCH) {
		struct str piece = next_plain(tc, iov, n, done + tc->ahead);
		size_t put;

		if (piece.len == 0)
			return true;
		ERR_clear_error();
		if (!SSL_write_ex(tc->ssl, piece.ptr, piece.len, &put)) {
			note_failure(tc);
			return false;
		}
		tc->ahead += put;
	}
	return true;
}

static ssize_t tls_writev(struct conn *c, const struct iovec *iov, int n)
{
	struct tls_conn *tc = of(c);
	size_t total = 0, done = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (tc->failed) {
		errno = EPROTO;
		return -1;
	}
	for (;;) {
		if (push(tc) < 0) {
			if (errno != EAGAIN)
				return -1;

			size_t left = tc->kept_out.len - tc->kept_at, back = MIN(tc->ahead, left);

			done += tc->ahead - back;
			tc->ahead = back;
			errno = EAGAIN;
			return done ? (ssize_t)done : -1;
		}
		done += tc->ahead;
		tc->ahead = 0;
		assert(done <= total); /* what was encrypted ahead is shown again */
		if (done == total)
			return (ssize_t)done;
		if (!encrypt(tc, iov, n, done))
			return done ? (ssize_t)done : -1;
	}
}

static int tls_flush(struct conn *c)
{
	struct tls_conn *tc = of(c);

	if (push(tc) < 0)
		return -1;
	if (tc->shut)
		shutdown(c->io.fd, SHUT_WR);
	return 0;
}

static void tls_shutdown(struct conn *c)
{
	struct tls_conn *tc = of(c);

	if (tc->shut)
		return;
	tc->shut = true;
	ERR_clear_error();
	if (!tc->failed && SSL_is_init_finished(tc->ssl))
		SSL_shutdown(tc->ssl);
	ERR_clear_error();
	tls_flush(c);
}

static void tls_fini(struct conn *c)
{
	struct tls_conn *tc = of(c);

	SSL_set_app_data(tc->ssl, NULL);
	SSL_set_shutdown(tc->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else its session would count as bad */
	SSL_free(tc->ssl);
	tls_unref(tc->tls);
	drop_kept(tc, &tc->kept_in);
	drop_kept(tc, &tc->kept_out);
	free(tc->names);
	free(tc);
	c->tp = &transport_plain;
	c->tp_state = NULL;
}

static size_t tls_held(const struct conn *c)
{
	const struct tls_conn *tc = of(c);

	return tc->kept_in.len + (size_t)SSL_pending(tc->ssl);
}

/* --- the handshake --- */

/* A TLS record begins with a small number, HTTP with a letter. */
static bool is_http(struct tls_conn *tc)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain;charset=UTF-8\r\n"
				     "Content-Length: 32\r\nConnection: close\r\n\r\nthis port speaks TLS: use https\n";
	char first = tc->in_len ? tc->in[0] : 0;

	if (tc->started || !((first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z')))
		return false;
	tc->failed = true;
	if (!tc->server) {
		snprintf(tc->why, sizeof(tc->why), "the peer speaks plain HTTP, not TLS");
		return true;
	}
	snprintf(tc->why, sizeof(tc->why), "plain HTTP on a port that speaks TLS");
	if (send(tc->c->io.fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0)
		shutdown(tc->c->io.fd, SHUT_WR);
	return true;
}

static void add_name(struct buf *b, const char *kind, const unsigned char *p, size_t n)
{
	buf_addz(b, kind);
	for (size_t i = 0; i < n; i++)
		buf_addc(b, p[i] > 0x20 && p[i] < 0x7f ? (char)p[i] : '?'); /* no line, no space to fake another name with */
	buf_addc(b, '\n');
}

static void add_alt_name(struct buf *b, const GENERAL_NAME *g)
{
	char text[INET6_ADDRSTRLEN];
	const ASN1_OCTET_STRING *ip;

	switch (g->type) {
	case GEN_DNS: add_name(b, "dns:", g->d.dNSName->data, (size_t)g->d.dNSName->length); break;
	case GEN_URI:
		add_name(b, "uri:", g->d.uniformResourceIdentifier->data, (size_t)g->d.uniformResourceIdentifier->length);
		break;
	case GEN_EMAIL: add_name(b, "email:", g->d.rfc822Name->data, (size_t)g->d.rfc822Name->length); break;
	case GEN_IPADD:
		ip = g->d.iPAddress;
		if ((ip->length == 4 || ip->length == 16) &&
		    inet_ntop(ip->length == 4 ? AF_INET : AF_INET6, ip->data, text, sizeof(text)))
			add_name(b, "ip:", (const unsigned char *)text, strlen(text));
		break;
	default: break;
	}
}

static void add_subject(struct buf *b, const X509 *x)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p;

	X509_NAME_print_ex(out, X509_get_subject_name(x), 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);

	long n = BIO_get_mem_data(out, &p);

	buf_addz(b, "subject:");
	for (long i = 0; i < n; i++)
		buf_addc(b, (unsigned char)p[i] >= 0x20 ? p[i] : '?');
	buf_addc(b, '\n');
	BIO_free(out);
}

static void read_names(struct tls_conn *tc)
{
	const X509 *x = tc->server ? SSL_get0_peer_certificate(tc->ssl) : NULL;
	struct buf b = BUF_INIT(NAMES_MAX);

	if (!x || SSL_get_verify_result(tc->ssl) != X509_V_OK)
		return;
	add_subject(&b, x);

	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++)
		add_alt_name(&b, sk_GENERAL_NAME_value(all, i));
	GENERAL_NAMES_free(all);
	if (b.failed) { /* half a name is another name: it has none that we know */
		buf_clear(&b);
		buf_addc(&b, '\n');
	}
	tc->names = buf_take(&b);
}

static int handshake_is_over(struct tls_conn *tc)
{
	settle_input(tc);
	read_names(tc);
	return 1;
}

static int tls_handshake(struct conn *c)
{
	struct tls_conn *tc = of(c);
	bool speaks_first = !tc->server && SSL_in_before(tc->ssl);

	if (!speaks_first) {
		ssize_t n = fetch(tc, IN_ROOM);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (n == 0) {
			if (!tc->server || tc->started) /* else one who only looks whether the port is open */
				snprintf(tc->why, sizeof(tc->why), "TLS: the peer ended the connection during the handshake");
			errno = ECONNRESET;
			return -1;
		}
		if (is_http(tc)) {
			errno = EPROTO;
			return -1;
		}
		tc->started = true;
	}
	ERR_clear_error();

	int r = SSL_do_handshake(tc->ssl), why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(tc->ssl, r);

	if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) {
		note_failure(tc);
		push(tc); /* the alert */
		errno = EPROTO;
		return -1;
	}
	if (push(tc) < 0 && errno != EAGAIN)
		return -1;
	if (why == SSL_ERROR_NONE)
		return handshake_is_over(tc);
	tc->in = NULL;
	tc->in_len = 0; /* all was read */
	return 0;
}

static const struct transport_ops transport_tls = {
	tls_recv, tls_writev, tls_shutdown, tls_fini, tls_handshake, tls_flush, tls_held,
};

/* --- putting it below a conn --- */

static int put_below(struct conn *c, struct tls *t, bool server, struct tls_conn **ret, struct err *e)
{
	struct tls_conn *tc;
	SSL_CTX *ctx;
	uint32_t generation;
	bool any_name;
	int r = tls_context(t, &ctx, &generation, &any_name, e);

	if (r < 0)
		return r;
	pthread_once(&bio_once, make_bio_kind);
	tc = xzalloc(sizeof(*tc));
	tc->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);

	BIO *b = tc->ssl ? BIO_new(bio_kind) : NULL;

	if (!b)
		abort(); /* out of memory, as everywhere */
	BIO_set_data(b, tc);
	BIO_set_init(b, 1);
	SSL_set_bio(tc->ssl, b, b);
	SSL_set_app_data(tc->ssl, tc);
	SSL_set_msg_callback(tc->ssl, count_key_updates);
	SSL_set_msg_callback_arg(tc->ssl, tc);
	tc->tls = tls_ref(t);
	tc->c = c;
	tc->server = server;
	tc->generation = generation;
	tc->any_name = any_name;
	buf_init(&tc->kept_in, IN_ROOM);
	buf_init(&tc->kept_out, KEPT_MAX);
	c->tp = &transport_tls;
	c->tp_state = tc;
	*ret = tc;
	return 0;
}

int tls_accept(struct conn *c, struct tls *t, struct err *e)
{
	struct tls_conn *tc;
	int r = put_below(c, t, true, &tc, e);

	if (r < 0)
		return r;
	SSL_set_accept_state(tc->ssl);
	c->flags |= CONN_CONNECTING | CONN_SHAKING;
	return 0;
}

/* False: that is no name that a certificate could be for. Then there must be no connection, or none would be checked. */
static bool expect_name(struct tls_conn *tc, struct str host)
{
	struct addr a;
	bool is_ip = addr_parse_ip(&a, host, 0);

	if (host.len > 1 && host.ptr[host.len - 1] == '.') /* the root's dot stands in no certificate */
		host.len--;
	if (host.len == 0 || host.len >= sizeof(tc->host) || memchr(host.ptr, '\0', host.len))
		return false;
	snprintf(tc->host, sizeof(tc->host), "%.*s", STRF(host));
	if (!is_ip && SSL_set_tlsext_host_name(tc->ssl, tc->host) != 1)
		return false;
	if (tc->any_name)
		return true;
	if (is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tc->ssl), tc->host) == 1;
	SSL_set_hostflags(tc->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(tc->ssl, tc->host) == 1;
}

int tls_connect(struct conn *c, struct tls *t, struct str host, struct tls_memory *m, struct err *e)
{
	struct tls_conn *tc;
	int r = put_below(c, t, false, &tc, e);

	if (r < 0)
		return r;
	SSL_set_connect_state(tc->ssl);
	if (!expect_name(tc, host)) {
		tls_fini(c);
		return err_set(e, VINE_EINVAL, "'%.*s' is no name that a certificate could be for", STRF(str_slice(host, 0, 100)));
	}
	tc->memory = m;
	if (m && m->session && m->generation == tc->generation)
		SSL_set_session(tc->ssl, m->session);
	return 0;
}

bool tls_is_on(const struct conn *c)
{
	return c->tp == &transport_tls;
}

struct str tls_why(const struct conn *c)
{
	return tls_is_on(c) ? str_from(of(c)->why) : STR_EMPTY;
}

struct str tls_peer_names(const struct conn *c)
{
	return tls_is_on(c) && of(c)->names ? str_from(of(c)->names) : STR_EMPTY;
}

bool tls_resumed(const struct conn *c)
{
	return tls_is_on(c) && SSL_session_reused(of(c)->ssl);
}
