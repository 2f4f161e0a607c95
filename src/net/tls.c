/* tls.c - see tls.h: identities. The transport is in tls_conn.c, the reading of files in tls_files.c.
 *
 * One SSL_CTX an identity, shared by all workers, so that a ticket is taken by each of them. Only handshakes touch what is
 * shared. */
#include "net/tls.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "net/tls_impl.h"

struct tls {
	_Atomic uint32_t refs;
	uint32_t serial;
	pthread_mutex_t lock; /* leaf but for reading files at a client's first connection; guards what follows */
	SSL_CTX *ctx;         /* NULL: nothing was read yet */
	int64_t expires;
	uint32_t generation;
	SSL_CTX *next; /* prepared */
	int64_t next_expires;
	struct tls_settings set, next_set; /* texts owned */
};

/* --- settings --- */

#define TEXTS(s)                                                                                                       \
	{ &(s)->certificate, &(s)->key, &(s)->trust, &(s)->key_store, &(s)->key_alias, &(s)->trust_store,                 \
	  &(s)->key_store_password, &(s)->key_password, &(s)->trust_store_password, &(s)->protocols, &(s)->ciphers }

static void settings_copy(struct tls_settings *to, const struct tls_settings *from)
{
	*to = *from;
	to->scope = xstrdup(from->scope);

	struct str *text[] = TEXTS(to);

	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		*text[i] = text[i]->len ? str_of(str_dup(*text[i]), text[i]->len) : STR_EMPTY;
}

static void settings_fini(struct tls_settings *s)
{
	struct str *text[] = TEXTS(s);

	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		if (text[i]->len)
			OPENSSL_cleanse((char *)(uintptr_t)text[i]->ptr, text[i]->len);
		free((char *)(uintptr_t)(text[i]->len ? text[i]->ptr : NULL));
	}
	free((char *)(uintptr_t)s->scope);
	*s = (struct tls_settings){ 0 };
}

/* --- the context --- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in, unsigned n, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, len, ours, sizeof(ours) - 1, in, n) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 section 3.2 */
}

static void set_up_server(SSL_CTX *ctx, const struct tls_settings *s)
{
	static const unsigned char context[] = "vine";
	int verify = s->client_auth == TLS_AUTH_NEED   ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
		     : s->client_auth == TLS_AUTH_WANT ? SSL_VERIFY_PEER
						       : SSL_VERIFY_NONE;

	SSL_CTX_set_verify(ctx, verify, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only: nothing to keep, nothing to lock */
	SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
}

static void set_up_client(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, tls_remember_session);
	SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x08http/1.1", 9);
}

static int context_new(SSL_CTX **ret, const struct tls_settings *s, int64_t *expires, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(s->server ? TLS_server_method() : TLS_client_method());
	int r;

	if (!ctx)
		return err_set(e, VINE_EIO, "%s: OpenSSL gives no context", s->scope);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			      SSL_MODE_NO_AUTO_CHAIN); /* what is sent is what the file says, not what is believed */
	if (s->server)
		set_up_server(ctx, s);
	else
		set_up_client(ctx);
	r = tls_files_load(ctx, s, expires, e);
	if (r < 0) {
		SSL_CTX_free(ctx);
		return r;
	}
	*ret = ctx;
	return 0;
}

/* --- the identity --- */

int tls_new(struct tls **ret, const struct tls_settings *s, bool eager, struct err *e)
{
	static _Atomic uint32_t serials; /* names, no state: which identity a pooled connection has */
	struct tls *t = xzalloc(sizeof(*t));
	int r = 0;

	pthread_mutex_init(&t->lock, NULL);
	atomic_init(&t->refs, 1);
	t->serial = atomic_fetch_add(&serials, 1) + 1;
	t->expires = INT64_MAX;
	settings_copy(&t->set, s);
	if (eager)
		r = context_new(&t->ctx, &t->set, &t->expires, e);
	if (r < 0) {
		tls_unref(t);
		return r;
	}
	*ret = t;
	return 0;
}

struct tls *tls_ref(struct tls *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void tls_unref(struct tls *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	tls_forget(t);
	SSL_CTX_free(t->ctx);
	settings_fini(&t->set);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int tls_prepare(struct tls *t, const struct tls_settings *s, bool eager, struct err *e)
{
	bool was_read;
	int r = 0;

	tls_forget(t);
	pthread_mutex_lock(&t->lock);
	was_read = t->ctx != NULL;
	pthread_mutex_unlock(&t->lock);
	settings_copy(&t->next_set, s);
	t->next_expires = INT64_MAX;
	if (was_read || eager)
		r = context_new(&t->next, &t->next_set, &t->next_expires, e);
	if (r < 0)
		tls_forget(t);
	return r;
}

void tls_commit(struct tls *t)
{
	if (!t->next_set.scope)
		return;
	pthread_mutex_lock(&t->lock);

	SSL_CTX *old = t->ctx;
	struct tls_settings old_set = t->set;

	t->ctx = TAKE(t->next);
	t->expires = t->next_expires;
	t->set = t->next_set;
	t->next_set = (struct tls_settings){ 0 };
	t->generation++;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old); /* connections that stand hold it */
	settings_fini(&old_set);
}

void tls_forget(struct tls *t)
{
	SSL_CTX_free(TAKE(t->next));
	settings_fini(&t->next_set);
}

uint64_t tls_stamp(struct tls *t)
{
	struct tls_settings s;
	uint64_t stamp;

	pthread_mutex_lock(&t->lock);
	settings_copy(&s, &t->set);
	pthread_mutex_unlock(&t->lock);
	stamp = tls_files_stamp(&s); /* a slow disk keeps nobody from the lock */
	settings_fini(&s);
	return stamp;
}

int64_t tls_seconds_left(struct tls *t)
{
	int64_t at;

	pthread_mutex_lock(&t->lock);
	at = t->expires;
	pthread_mutex_unlock(&t->lock);
	return at == INT64_MAX ? at : at - (int64_t)time(NULL);
}

uint32_t tls_serial(const struct tls *t)
{
	return t->serial;
}

int tls_context(struct tls *t, SSL_CTX **ret, uint32_t *generation, bool *any_name, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&t->lock);
	if (!t->ctx)
		r = context_new(&t->ctx, &t->set, &t->expires, e);
	if (r == 0) {
		SSL_CTX_up_ref(t->ctx);
		*ret = t->ctx;
		*generation = t->generation;
		*any_name = t->set.any_name;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}
