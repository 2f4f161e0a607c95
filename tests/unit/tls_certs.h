/* tls_certs.h - certificates for tests, made on the spot as PEM text: an authority, and whom it vouches for. */
#pragma once
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <time.h>

struct cert {
	EVP_PKEY *key;
	X509 *x;
	char *pem, *key_pem;
};

static inline char *pem_text(BIO *b)
{
	char *p, *out;
	long n = BIO_get_mem_data(b, &p);

	out = strndup(p, (size_t)n);
	BIO_free(b);
	return out;
}

static inline void cert_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
}

/* by NULL: signs itself, an authority. san may be NULL. days: until it expires, also negative. */
static inline struct cert cert_make(const struct cert *by, const char *cn, const char *san, int days)
{
	static long serial = 1;
	struct cert c = { .key = EVP_EC_gen("P-256"), .x = X509_new() };
	X509_NAME *name = X509_get_subject_name(c.x);
	BIO *b;

	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c.x), -400L * 24 * 3600);
	X509_gmtime_adj(X509_getm_notAfter(c.x), days * 24L * 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c.x, by ? X509_get_subject_name(by->x) : name);
	X509_set_pubkey(c.x, c.key);
	cert_extend(c.x, by ? by->x : c.x, NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
	if (san)
		cert_extend(c.x, by ? by->x : c.x, NID_subject_alt_name, san);
	X509_sign(c.x, by ? by->key : c.key, EVP_sha256());
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, c.x);
	c.pem = pem_text(b);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, c.key, NULL, NULL, 0, NULL, NULL);
	c.key_pem = pem_text(b);
	return c;
}

static inline void cert_fini(struct cert *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->x);
	free(c->pem);
	free(c->key_pem);
}
