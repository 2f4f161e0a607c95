/* tls_files.c - see tls_impl.h. */
#include "net/tls_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define FILE_MAX_BYTES ((size_t)4 << 20)
#define CERTS_MAX 1000

/* One source of bytes, with what errors call it. */
struct source {
	const struct tls_settings *s;
	const char *key; /* "certificate" */
	struct str value;
	struct buf bytes;
};

/* What was read: one key, its certificate, the chain above it, or certificates to believe. */
struct found {
	EVP_PKEY *key;
	STACK_OF(X509) *certs;
};

static bool is_inline(struct str value)
{
	return str_find(value, STR("-----BEGIN ")) >= 0;
}

static int fail(const struct source *src, struct err *e, const char *why)
{
	struct str shown = is_inline(src->value) ? STR("(PEM)") : src->value;

	return err_set(e, VINE_EINVAL, "%s.%s = %.*s: %s", src->s->scope, src->key, STRF(str_slice(shown, 0, 200)), why);
}

/* OpenSSL's own reason, the most telling one: the first of its queue. */
static int fail_openssl(const struct source *src, struct err *e, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", what, reason ? reason : "unknown");
	ERR_clear_error();
	return fail(src, e, text);
}

/* The path that a value means; false: it is too long. */
static bool path_of(struct str value, char name[PATH_MAX])
{
	if (str_has_prefix(value, STR("file:")))
		value = str_slice(value, 5, value.len);
	while (str_has_prefix(value, STR("//")))
		value = str_slice(value, 1, value.len);
	if (value.len >= PATH_MAX)
		return false;
	snprintf(name, PATH_MAX, "%.*s", STRF(value));
	return true;
}

static int read_file(struct source *src, struct err *e)
{
	char name[PATH_MAX], room[4096];
	struct stat st;
	ssize_t n;

	if (is_inline(src->value))
		return buf_adds(&src->bytes, src->value) ? 0 : fail(src, e, "too large");
	if (str_has_prefix(src->value, STR("classpath:")))
		return fail(src, e, "there is no classpath outside a JVM: name a file");
	if (!path_of(src->value, name))
		return fail(src, e, "too long a path");

	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return fail(src, e, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(src, e, S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
	}
	while ((n = read(fd, room, sizeof(room))) > 0 && buf_add(&src->bytes, room, (size_t)n))
		;
	close(fd);
	if (n < 0)
		return fail(src, e, strerror(errno));
	return src->bytes.failed ? fail(src, e, "larger than 4 MiB") : 0;
}

static void source_fini(struct source *src)
{
	if (src->bytes.ptr)
		OPENSSL_cleanse(src->bytes.ptr, src->bytes.len);
	buf_fini(&src->bytes);
}

static struct source source_of(const struct tls_settings *s, const char *key, struct str value)
{
	return (struct source){ .s = s, .key = key, .value = value, .bytes = BUF_INIT(FILE_MAX_BYTES) };
}

static void found_fini(struct found *f)
{
	EVP_PKEY_free(f->key);
	sk_X509_pop_free(f->certs, X509_free);
	*f = (struct found){ 0 };
}

static int add_cert(struct found *f, X509 *x, const struct source *src, struct err *e)
{
	if (!f->certs)
		f->certs = sk_X509_new_null();
	if (sk_X509_num(f->certs) < CERTS_MAX && sk_X509_push(f->certs, x) > 0)
		return 0;
	X509_free(x);
	return fail(src, e, "too many certificates");
}

/* --- PEM --- */

static int give_password(char *out, int size, int writing, void *arg)
{
	const struct str *password = arg;

	(void)writing;
	if (!password || password->len == 0 || password->len > (size_t)size)
		return -1; /* else OpenSSL would ask the terminal */
	memcpy(out, password->ptr, password->len);
	return (int)password->len;
}

static BIO *bio_of(const struct source *src)
{
	return BIO_new_mem_buf(src->bytes.ptr ? src->bytes.ptr : "", (int)src->bytes.len);
}

static int pem_certs(struct found *f, const struct source *src, struct err *e)
{
	BIO *b = bio_of(src);
	X509 *x;
	int r = 0, before = sk_X509_num(f->certs);

	ERR_clear_error();
	while (r == 0 && (x = PEM_read_bio_X509_AUX(b, NULL, give_password, NULL)))
		r = add_cert(f, x, src, e);
	BIO_free(b);

	unsigned long last = ERR_peek_last_error();
	bool at_end = ERR_GET_REASON(last) == PEM_R_NO_START_LINE;

	if (r == 0 && !at_end)
		return fail_openssl(src, e, "not a certificate in PEM");
	ERR_clear_error();
	if (r == 0 && sk_X509_num(f->certs) <= MAX(before, 0))
		return fail(src, e, "there is no certificate in it (-----BEGIN CERTIFICATE-----)");
	return r;
}

static int pem_key(struct found *f, const struct source *src, struct str password, struct err *e)
{
	BIO *b = bio_of(src);

	ERR_clear_error();
	f->key = PEM_read_bio_PrivateKey(b, NULL, give_password, &password);
	BIO_free(b);
	if (f->key) {
		ERR_clear_error();
		return 0;
	}
	if (str_find(buf_str(&src->bytes), STR("PRIVATE KEY-----")) < 0)
		return fail(src, e, "there is no private key in it (-----BEGIN PRIVATE KEY-----)");
	if (ERR_GET_REASON(ERR_peek_error()) == PEM_R_BAD_PASSWORD_READ)
		return fail(src, e, "the key is encrypted: set key-password");
	return fail_openssl(src, e, "the private key cannot be read (a wrong key-password?)");
}

/* --- PKCS#12 --- */

/* What stands in a store: its first key, or the one of that alias, and all certificates. */
struct p12_walk {
	const struct source *src;
	struct str alias;
	const char *password;
	int password_len;
	struct found *f;
	struct err *e;
	unsigned keys; /* seen */
	bool bad_key;  /* one could not be decrypted */
};

static void take_key(struct p12_walk *w, PKCS12_SAFEBAG *bag, const PKCS8_PRIV_KEY_INFO *plain)
{
	char *name = PKCS12_get_friendlyname(bag);
	bool wanted = w->alias.len == 0 || (name && str_eq_nocase(str_from(name), w->alias));

	w->keys++;
	if (wanted && !w->f->key)
		w->f->key = EVP_PKCS82PKEY(plain);
	OPENSSL_free(name);
}

static int walk_bags(struct p12_walk *w, const STACK_OF(PKCS12_SAFEBAG) *bags);

static int walk_bag(struct p12_walk *w, PKCS12_SAFEBAG *bag)
{
	PKCS8_PRIV_KEY_INFO *plain;
	X509 *x;

	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag: take_key(w, bag, PKCS12_SAFEBAG_get0_p8inf(bag)); return 0;
	case NID_pkcs8ShroudedKeyBag:
		plain = PKCS12_decrypt_skey(bag, w->password, w->password_len);
		if (plain)
			take_key(w, bag, plain);
		else
			w->bad_key = true;
		PKCS8_PRIV_KEY_INFO_free(plain);
		return 0;
	case NID_certBag:
		if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
			return 0;
		x = PKCS12_SAFEBAG_get1_cert(bag);
		return x ? add_cert(w->f, x, w->src, w->e) : 0;
	case NID_safeContentsBag: return walk_bags(w, PKCS12_SAFEBAG_get0_safes(bag));
	default: return 0;
	}
}

static int walk_bags(struct p12_walk *w, const STACK_OF(PKCS12_SAFEBAG) *bags)
{
	int r = 0;

	for (int i = 0; r == 0 && i < sk_PKCS12_SAFEBAG_num(bags); i++)
		r = walk_bag(w, sk_PKCS12_SAFEBAG_value(bags, i));
	return r;
}

static int walk_store(struct p12_walk *w, const PKCS12 *p12)
{
	STACK_OF(PKCS7) *parts = PKCS12_unpack_authsafes(p12);
	int r = parts ? 0 : fail_openssl(w->src, w->e, "not a PKCS#12 store");

	for (int i = 0; r == 0 && i < sk_PKCS7_num(parts); i++) {
		PKCS7 *p7 = sk_PKCS7_value(parts, i);
		int kind = OBJ_obj2nid(p7->type);
		STACK_OF(PKCS12_SAFEBAG) *bags = NULL;

		if (kind == NID_pkcs7_data)
			bags = PKCS12_unpack_p7data(p7);
		else if (kind == NID_pkcs7_encrypted)
			bags = PKCS12_unpack_p7encdata(p7, w->password, w->password_len);
		else
			continue;
		r = bags ? walk_bags(w, bags) : fail_openssl(w->src, w->e, "a part of the store cannot be decrypted");
		sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	}
	sk_PKCS7_pop_free(parts, PKCS7_free);
	return r;
}

/* Stores of old keytools use RC2 and 3DES, which OpenSSL 3 keeps in a provider that must be asked for. */
static void load_old_ciphers(void)
{
	OSSL_PROVIDER_load(NULL, "legacy");
	OSSL_PROVIDER_load(NULL, "default"); /* loading one by name switches off the default's coming by itself */
	ERR_clear_error();
}

static int read_p12(struct found *f, const struct source *src, struct str password, struct str alias, struct err *e)
{
	const unsigned char *at = (const unsigned char *)src->bytes.ptr;
	PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)src->bytes.len);
	struct p12_walk w = { .src = src, .alias = alias, .f = f, .e = e };
	char text[1024];
	int r;

	if (!p12)
		return fail(src, e, "neither a PKCS#12 store nor PEM");
	snprintf(text, sizeof(text), "%.*s", STRF(str_slice(password, 0, sizeof(text) - 1)));
	w.password = text;
	w.password_len = (int)strlen(text);
	if (PKCS12_mac_present(p12) && !PKCS12_verify_mac(p12, text, w.password_len)) {
		if (w.password_len == 0 && PKCS12_verify_mac(p12, NULL, 0)) {
			w.password = NULL;
		} else {
			PKCS12_free(p12);
			ERR_clear_error();
			OPENSSL_cleanse(text, sizeof(text));
			return fail(src, e, password.len ? "the store's password is wrong" : "the store needs a password");
		}
	}
	r = walk_store(&w, p12);
	if (r < 0 || w.bad_key) { /* once more with the old ciphers */
		load_old_ciphers();
		found_fini(f);
		w.bad_key = false;
		w.keys = 0;
		r = walk_store(&w, p12);
	}
	if (r == 0 && w.bad_key && !f->key)
		r = fail_openssl(src, e, "the private key cannot be decrypted");
	else if (r == 0 && alias.len && !f->key && w.keys)
		r = err_set(e, VINE_EINVAL, "%s.key-alias = %.*s: no key of the %u in %.*s has that name", src->s->scope,
			    STRF(alias), w.keys, STRF(str_slice(src->value, 0, 200)));
	PKCS12_free(p12);
	OPENSSL_cleanse(text, sizeof(text));
	ERR_clear_error();
	return r;
}

/* --- stores of either form --- */

static int refuse_jks(const struct source *src, struct err *e)
{
	const uint8_t *b = (const uint8_t *)src->bytes.ptr;
	uint32_t magic = src->bytes.len < 4 ? 0 : (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];

	if (magic != 0xfeedfeed && magic != 0xcececece)
		return 0;
	return fail(src, e, "this is a JKS store, which only Java reads; convert it: keytool -importkeystore -srckeystore "
			    "OLD.jks -destkeystore NEW.p12 -deststoretype PKCS12");
}

static int read_store(struct found *f, const struct tls_settings *s, const char *key, struct str value, struct str password,
		      struct str alias, bool keys, struct err *e)
{
	struct source src = source_of(s, key, value);
	int r = read_file(&src, e);

	if (r == 0)
		r = refuse_jks(&src, e);
	if (r == 0 && is_inline(buf_str(&src.bytes))) {
		r = pem_certs(f, &src, e);
		if (r == 0 && keys)
			r = pem_key(f, &src, s->key_password.len ? s->key_password : password, e);
	} else if (r == 0) {
		r = read_p12(f, &src, password, alias, e);
	}
	if (r == 0 && !sk_X509_num(f->certs))
		r = fail(&src, e, "there is no certificate in it");
	if (r == 0 && keys && !f->key)
		r = fail(&src, e, "there is no private key in it");
	source_fini(&src);
	return r;
}

/* --- the own certificate --- */

static int64_t end_of(const X509 *x)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

/* The certificate that the key belongs to first, then whoever issued it, and so on; the rest is of no use to anybody. */
static int use_found(SSL_CTX *ctx, struct found *f, const struct source *src, int64_t *expires, struct err *e)
{
	X509 *leaf = NULL, *at;
	int n = sk_X509_num(f->certs);

	for (int i = 0; i < n && !leaf; i++) {
		if (X509_check_private_key(sk_X509_value(f->certs, i), f->key) == 1)
			leaf = sk_X509_value(f->certs, i);
	}
	ERR_clear_error();
	if (!leaf)
		return fail(src, e, "the private key does not belong to the certificate");
	if (SSL_CTX_use_certificate(ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(ctx, f->key) != 1)
		return fail_openssl(src, e, "not usable");
	*expires = end_of(leaf);
	at = leaf;
	for (int depth = 0; depth < 16; depth++) {
		X509 *above = NULL;

		for (int i = 0; i < n && !above; i++) {
			if (sk_X509_value(f->certs, i) != at && X509_check_issued(sk_X509_value(f->certs, i), at) == X509_V_OK)
				above = sk_X509_value(f->certs, i);
		}
		if (!above || X509_check_issued(above, above) == X509_V_OK)
			break; /* whom the peer believes, it has */
		SSL_CTX_add1_chain_cert(ctx, above);
		at = above;
	}
	ERR_clear_error();
	return 0;
}

static int load_pem_identity(SSL_CTX *ctx, const struct tls_settings *s, int64_t *expires, struct err *e)
{
	struct source cert = source_of(s, "certificate", s->certificate);
	struct source key = source_of(s, "certificate-private-key", s->key);
	struct found f = { 0 };
	int r;

	if (s->key.len == 0)
		return err_set(e, VINE_EINVAL, "%s.certificate needs %s.certificate-private-key", s->scope, s->scope);
	if (s->certificate.len == 0)
		return err_set(e, VINE_EINVAL, "%s.certificate-private-key needs %s.certificate", s->scope, s->scope);
	r = read_file(&cert, e);
	if (r == 0)
		r = pem_certs(&f, &cert, e);
	if (r == 0)
		r = read_file(&key, e);
	if (r == 0)
		r = pem_key(&f, &key, s->key_password, e);
	if (r == 0)
		r = use_found(ctx, &f, &key, expires, e);
	found_fini(&f);
	source_fini(&cert);
	source_fini(&key);
	return r;
}

static int load_store_identity(SSL_CTX *ctx, const struct tls_settings *s, int64_t *expires, struct err *e)
{
	struct source src = source_of(s, "key-store", s->key_store);
	struct found f = { 0 };
	int r = read_store(&f, s, "key-store", s->key_store, s->key_store_password, s->key_alias, true, e);

	if (r == 0)
		r = use_found(ctx, &f, &src, expires, e);
	found_fini(&f);
	return r;
}

/* --- whom it believes --- */

static int believe(SSL_CTX *ctx, const struct tls_settings *s, const struct found *f)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);

	for (int i = 0; i < sk_X509_num(f->certs); i++) {
		X509 *x = sk_X509_value(f->certs, i);

		X509_STORE_add_cert(store, x); /* one that is there already is no error */
		if (s->server)
			SSL_CTX_add_client_CA(ctx, x);
	}
	/* A certificate that is named there is believed itself, whoever issued it: people put self-signed ones and servers' own
	 * into their stores, and Java takes them. */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	ERR_clear_error();
	return 0;
}

static int load_trust(SSL_CTX *ctx, const struct tls_settings *s, struct err *e)
{
	struct found f = { 0 };
	int r = 0;

	if (s->trust.len == 0 && s->trust_store.len == 0) {
		if (s->server && s->client_auth != TLS_AUTH_NONE)
			return err_set(e, VINE_EINVAL, "%s.client-auth needs %s.trust-certificate or %s.trust-store: whose "
				       "certificates are to be believed", s->scope, s->scope, s->scope);
		if (!s->server && SSL_CTX_set_default_verify_paths(ctx) != 1)
			return err_set(e, VINE_EIO, "%s: the system's trust store cannot be read", s->scope);
		ERR_clear_error();
		return 0;
	}
	if (s->trust.len) {
		struct source src = source_of(s, "trust-certificate", s->trust);

		r = read_file(&src, e);
		if (r == 0)
			r = pem_certs(&f, &src, e);
		source_fini(&src);
	}
	if (r == 0 && s->trust_store.len)
		r = read_store(&f, s, "trust-store", s->trust_store, s->trust_store_password, STR_EMPTY, false, e);
	if (r == 0)
		r = believe(ctx, s, &f);
	found_fini(&f);
	return r;
}

/* --- protocols and ciphers --- */

static int set_protocols(SSL_CTX *ctx, const struct tls_settings *s, struct err *e)
{
	struct str list = s->protocols, piece;
	bool with_12 = false, with_13 = false;

	while (list.len && str_cut(&list, ',', &piece)) {
		piece = str_trim(piece);

		bool both = str_eq_nocase(piece, STR("TLS"));
		bool is_12 = both || str_eq_nocase(piece, STR("TLSv1.2")), is_13 = both || str_eq_nocase(piece, STR("TLSv1.3"));

		with_12 |= is_12;
		with_13 |= is_13;
		if (piece.len && !is_12 && !is_13)
			return err_set(e, VINE_EINVAL, "%s.enabled-protocols: '%.*s' is not spoken; TLSv1.2 and TLSv1.3 are",
				       s->scope, STRF(str_slice(piece, 0, 40)));
	}
	if (!with_12 && !with_13)
		with_12 = with_13 = true;
	SSL_CTX_set_min_proto_version(ctx, with_12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(ctx, with_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	return 0;
}

/* A cipher by OpenSSL's name or by the standard's, which Java uses. */
static const SSL_CIPHER *cipher_named(const STACK_OF(SSL_CIPHER) *all, struct str name)
{
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const SSL_CIPHER *c = sk_SSL_CIPHER_value(all, i);
		const char *standard = SSL_CIPHER_standard_name(c);

		if (str_eq_nocase(str_from(SSL_CIPHER_get_name(c)), name) || (standard && str_eq_nocase(str_from(standard), name)))
			return c;
	}
	return NULL;
}

static int set_ciphers(SSL_CTX *ctx, const struct tls_settings *s, struct err *e)
{
	_cleanup_(buf_finip) struct buf old = BUF_INIT(16384), new = BUF_INIT(4096);
	struct str list = s->ciphers, piece;

	if (str_trim(list).len == 0)
		return 0;

	SSL_CTX *any = SSL_CTX_new(TLS_method());
	int r = 0;

	SSL_CTX_set_cipher_list(any, "ALL:COMPLEMENTOFALL");
	while (r == 0 && list.len && str_cut(&list, ',', &piece)) {
		const SSL_CIPHER *c = cipher_named(SSL_CTX_get_ciphers(any), str_trim(piece));
		bool is_13 = c && str_eq(str_from(SSL_CIPHER_get_version(c)), STR("TLSv1.3"));

		if (!str_trim(piece).len)
			continue;
		if (!c)
			r = err_set(e, VINE_EINVAL, "%s.ciphers: '%.*s' is not known", s->scope, STRF(str_slice(str_trim(piece), 0, 60)));
		else
			buf_addf(is_13 ? &new : &old, "%s:", SSL_CIPHER_get_name(c));
	}
	SSL_CTX_free(any);
	buf_addc(&old, '\0');
	buf_addc(&new, '\0');
	if (r == 0 && ((old.len > 1 && SSL_CTX_set_cipher_list(ctx, old.ptr) != 1) ||
		       (new.len > 1 && SSL_CTX_set_ciphersuites(ctx, new.ptr) != 1)))
		r = err_set(e, VINE_EINVAL, "%s.ciphers: none of them can be used", s->scope);
	ERR_clear_error();
	return r;
}

int tls_files_load(SSL_CTX *ctx, const struct tls_settings *s, int64_t *expires, struct err *e)
{
	int r = set_protocols(ctx, s, e);

	*expires = INT64_MAX;
	if (r == 0)
		r = set_ciphers(ctx, s, e);
	if (r == 0 && (s->certificate.len || s->key.len))
		r = load_pem_identity(ctx, s, expires, e);
	else if (r == 0 && s->key_store.len)
		r = load_store_identity(ctx, s, expires, e);
	else if (r == 0 && s->server)
		r = err_set(e, VINE_EINVAL, "%s.enabled needs %s.certificate and %s.certificate-private-key, or %s.key-store",
			    s->scope, s->scope, s->scope, s->scope);
	return r == 0 ? load_trust(ctx, s, e) : r;
}

uint64_t tls_files_stamp(const struct tls_settings *s)
{
	const struct str value[] = { s->certificate, s->key, s->trust, s->key_store, s->trust_store };
	char name[PATH_MAX];
	uint64_t h = 0;

	for (size_t i = 0; i < ARRAY_LEN(value); i++) {
		h *= 31;
		if (value[i].len && !is_inline(value[i]) && path_of(value[i], name))
			h += file_stamp(name);
	}
	return h;
}
