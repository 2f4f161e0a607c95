/* tls.h - TLS below a connection. Nobody but the files tls*.c here knows OpenSSL.
 *
 * A `struct tls` is an identity: a certificate with its key (clients mostly have none), and whom it believes. It is a handle
 * that outlives what it has read: tls_prepare reads all files again and tls_commit puts that in force for connections made
 * from then on, while those that stand go on. Nothing is read over the network: no OCSP, no CRL fetching.
 *
 * On a conn TLS is a transport (conn.h): ciphertext is received into and sent from the loop's scratch buffer, one recv and one
 * send a turn; the conn above sees plain bytes. TLS 1.2 is the least that is spoken, renegotiation and compression are
 * not; ALPN says http/1.1. Until the handshake is over the conn is CONN_CONNECTING | CONN_SHAKING and shows nothing; then
 * on_connect is called, on the accepting side too. The owner bounds the time of a handshake.
 *
 * The end   A peer's close_notify is the end of input. A connection that ends without it has CONN_CUT set: what has no other
 *           length may have been cut by anybody on the way.
 * Threads   A struct tls: any. What belongs to a conn: its loop's thread. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct conn;
struct tls;

enum tls_client_auth { TLS_AUTH_NONE, TLS_AUTH_WANT, TLS_AUTH_NEED };

/* Files are paths, "file:..." as Spring writes them, or PEM text itself. Stores are PKCS#12 or PEM, told by their content. */
struct tls_settings {
	const char *scope; /* in errors, before the property's last part: "server.ssl" */
	bool server;
	struct str certificate, key, trust;                /* PEM: certificate, certificate-private-key, trust-certificate */
	struct str key_store, key_alias, trust_store;
	struct str key_store_password, key_password, trust_store_password;
	struct str protocols, ciphers; /* comma lists; empty: OpenSSL's, from TLS 1.2 on */
	enum tls_client_auth client_auth;
	bool any_name; /* a client: the certificate may be for another name */
};

/* The texts are copied. With eager the files are read now, else when the first connection needs them (a client that only
 * believes the system's authorities). VINE_EINVAL: "server.ssl.certificate = /etc/x.pem: No such file or directory". */
int tls_new(struct tls **ret, const struct tls_settings *s, bool eager, struct err *e);
struct tls *tls_ref(struct tls *t);
void tls_unref(struct tls *t); /* NULL is fine */
/* Reads all anew by these settings and keeps it aside. Not eager: only if it had read anything yet. Fails as tls_new does: then
 * nothing has changed. One thread at a time. */
int tls_prepare(struct tls *t, const struct tls_settings *s, bool eager, struct err *e);
void tls_commit(struct tls *t); /* in force from the next connection on; without a tls_prepare before: nothing */
void tls_forget(struct tls *t); /* what was prepared is not to be */
/* Another number once a file that these settings name has changed; of an identity: those in force. Looks at the disk. */
uint64_t tls_files_stamp(const struct tls_settings *s);
uint64_t tls_stamp(struct tls *t);
int64_t tls_seconds_left(struct tls *t); /* until its own certificate expires, negative: since; INT64_MAX: it has none */
uint32_t tls_serial(const struct tls *t); /* another one for each identity of the process */

/* What a client keeps of its last connection to one peer, so that the next handshake is short. Zero it. */
struct tls_memory {
	void *session;
	uint32_t generation;
};
void tls_memory_fini(struct tls_memory *m);

/* Puts TLS below a conn: right after conn_open, conn_connect. host: the name or address that the certificate must be for. m
 * outlives the conn; may be NULL. VINE_EINVAL: its files cannot be read, or no certificate can be for that host; the conn is as
 * it was. */
int tls_accept(struct conn *c, struct tls *t, struct err *e);
int tls_connect(struct conn *c, struct tls *t, struct str host, struct tls_memory *m, struct err *e);

bool tls_is_on(const struct conn *c);
/* Why the TLS of this conn failed, for people: "certificate verify failed: unable to get local issuer certificate (...)".
 * Until conn_close; empty: it did not. */
struct str tls_why(const struct conn *c);
/* The names of the verified certificate that the peer has shown, a line each: "subject:CN=a,O=b", "dns:a.example",
 * "ip:10.0.0.1", "uri:spiffe://x", "email:..."; empty: it has shown none. While the conn stands. */
struct str tls_peer_names(const struct conn *c);
bool tls_resumed(const struct conn *c); /* for tests and metrics */
