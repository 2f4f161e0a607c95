/* tls_impl.h - what tls.c (identities), tls_conn.c (the transport) and tls_files.c share. Nobody else includes it. */
#pragma once
#include <openssl/ssl.h>

#include "net/tls.h"

/* A reference to the context in force, to be freed; read now if it was not yet. */
int tls_context(struct tls *t, SSL_CTX **ret, uint32_t *generation, bool *any_name, struct err *e);
int tls_remember_session(SSL *ssl, SSL_SESSION *session); /* OpenSSL's callback; the SSL's app data is the tls_conn */

/* --- tls_files.c --- */

/* Certificates, keys and stores into a context. Every failure names the property, the file and the reason in words. Never asks
 * a terminal for a passphrase. Blocks on the disk: at the start, at a reload, or at a client's first connection.
 * expires: seconds since 1970 of the own certificate's end; INT64_MAX: there is none. */
int tls_files_load(SSL_CTX *ctx, const struct tls_settings *s, int64_t *expires, struct err *e);
