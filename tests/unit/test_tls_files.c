/* test_tls_files.c - what TLS reads: certificates, keys, stores; what is said of bad ones; reading them again. */
#include "http/identities.h"
#include "props/props.h"
#include "tls_world.h"

static char dir[] = "/tmp/vine-tls-XXXXXX";

static const char *file_of(const char *name, const void *p, size_t n)
{
	static char path[4][128];
	static unsigned at;
	char *out = path[at++ % 4];
	FILE *f;

	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	f = fopen(out, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
	return out;
}

static const char *p12_of(const char *name, const struct cert *c, const char *alias, const char *password)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	PKCS12 *p12;
	unsigned char *der = NULL;
	const char *path;
	int n;

	sk_X509_push(chain, ca.x);
	p12 = PKCS12_create(password, alias, c ? c->key : NULL, c ? c->x : NULL, chain, 0, 0, 2000, 2000, 0);
	assert_non_null(p12);
	n = i2d_PKCS12(p12, &der);
	path = file_of(name, der, (size_t)n);
	OPENSSL_free(der);
	PKCS12_free(p12);
	sk_X509_free(chain);
	return path;
}

static void expect_refusal(const struct tls_settings *s, const char *words)
{
	struct err e = { 0 };
	struct tls *t = NULL;

	if (tls_new(&t, s, true, &e) == 0)
		fail_msg("was taken, want: %s", words);
	if (!strstr(e.text, words))
		fail_msg("says '%s', want '%s'", e.text, words);
}

#define SERVER .scope = "server.ssl", .server = true

static void test_stores(void **state)
{
	const char *good = p12_of("good.p12", &server_cert, "main", "secret"), *cas = p12_of("cas.p12", NULL, NULL, "changeit");
	struct tls *s = make(&(struct tls_settings){ SERVER, .key_store = str_from(good), .key_store_password = STR("secret"),
						     .key_alias = STR("MAIN"), .trust_store = str_from(cas),
						     .trust_store_password = STR("changeit"), .client_auth = TLS_AUTH_NEED });
	struct tls *c = client_of(&client_cert, &ca);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	UNTIL(&p, 50, p.a.connected && p.b.connected);
	assert_true(p.a.connected && p.b.connected);
	assert_true(tls_seconds_left(s) > 300L * 24 * 3600);
	assert_true(tls_seconds_left(c) > 0);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(good), .key_store_password = STR("wrong") },
		       "server.ssl.key-store = ");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(good), .key_store_password = STR("wrong") },
		       "the store's password is wrong");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(good) }, "the store needs a password");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(good), .key_store_password = STR("secret"),
					       .key_alias = STR("nobody") }, "server.ssl.key-alias = nobody: no key of the 1");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(cas), .key_store_password = STR("changeit") },
		       "there is no private key in it");
}

static void test_bad_files(void **state)
{
	const char *jks = file_of("old.jks", "\xfe\xed\xfe\xed\0\0\0\2", 8), *text = file_of("text.pem", "hello", 5);
	const char *cut = file_of("cut.pem", server_cert.pem, strlen(server_cert.pem) - 60);
	struct str pem = str_from(server_cert.pem), key = str_from(server_cert.key_pem);

	(void)state;
	expect_refusal(&(struct tls_settings){ SERVER }, "server.ssl.enabled needs server.ssl.certificate");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = pem }, "server.ssl.certificate needs server.ssl.certificate-private-key");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = STR("/no/such.pem"), .key = key },
		       "server.ssl.certificate = /no/such.pem: No such file or directory");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = STR("/tmp"), .key = key }, "server.ssl.certificate = /tmp: is a directory");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = str_from(text), .key = key }, "there is no certificate in it");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = str_from(cut), .key = key }, "not a certificate in PEM");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = pem, .key = str_from(text) }, "there is no private key in it");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = pem, .key = str_from(client_cert.key_pem) },
		       "the private key does not belong to the certificate");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(jks) }, "keytool -importkeystore");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = str_from(text) }, "neither a PKCS#12 store nor PEM");
	expect_refusal(&(struct tls_settings){ SERVER, .key_store = STR("classpath:a.p12") }, "there is no classpath");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = pem, .key = key, .client_auth = TLS_AUTH_NEED },
		       "server.ssl.client-auth needs server.ssl.trust-certificate");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = pem, .key = key, .protocols = STR("TLSv1.1,TLSv1.2") },
		       "server.ssl.enabled-protocols: 'TLSv1.1' is not spoken");
	expect_refusal(&(struct tls_settings){ SERVER, .certificate = pem, .key = key, .ciphers = STR("TLS_NO_SUCH") },
		       "server.ssl.ciphers: 'TLS_NO_SUCH' is not known");
}

/* A cipher by the name that Java gives it is the one that is spoken. */
static void test_ciphers(void **state)
{
	struct tls *s = make(&(struct tls_settings){ SERVER, .certificate = str_from(server_cert.pem), .key = str_from(server_cert.key_pem),
						     .protocols = STR("TLSv1.2"),
						     .ciphers = STR("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") });
	struct tls *c = client_of(NULL, &ca);
	struct pair p;

	(void)state;
	pair_open(&p, c, s, "localhost", NULL, false);
	UNTIL(&p, 50, p.a.connected);
	assert_true(p.a.connected);
	pair_close(&p);
	tls_unref(s);
	tls_unref(c);
}

static void test_reload(void **state)
{
	struct tls *s = server_of(&server_cert, TLS_AUTH_NONE, ""), *c = client_of(NULL, &ca);
	struct tls_settings bad = { SERVER, .certificate = STR("/no/such"), .key = STR("/no/such") };
	struct tls_settings other = { SERVER, .certificate = str_from(client_cert.pem), .key = str_from(client_cert.key_pem) };
	struct pair standing, p;
	struct err e;

	(void)state;
	pair_open(&standing, c, s, "localhost", NULL, false);
	UNTIL(&standing, 50, standing.a.connected && standing.b.connected);
	assert_int_equal(tls_prepare(s, &bad, true, &e), VINE_EINVAL);
	tls_commit(s); /* nothing was prepared */
	pair_open(&p, c, s, "localhost", NULL, false);
	UNTIL(&p, 50, p.a.connected);
	assert_true(p.a.connected);
	pair_close(&p);
	assert_int_equal(tls_prepare(s, &other, true, &e), 0);
	tls_commit(s);
	pair_open(&p, c, s, "peer.test", NULL, false); /* the other certificate's name */
	UNTIL(&p, 50, p.a.connected);
	assert_true(p.a.connected);
	pair_close(&p);
	conn_write(&standing.a.c, "still", 5);
	UNTIL(&standing, 50, standing.b.got.len == 5);
	assert_int_equal(standing.b.got.len, 5);
	pair_close(&standing);
	tls_unref(s);
	tls_unref(c);
}

static int set_up(void **state)
{
	return set_up_certs(state) == 0 && mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[200];

	tear_down_certs(state);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static struct props *props_of(const char *certificate, const char *key)
{
	struct prop_entry entry[] = {
		{ STR("server.ssl.certificate"), str_from(certificate), 1, 1 },
		{ STR("server.ssl.certificate-private-key"), str_from(key), 2, 1 },
	};

	return props_build(&(struct prop_source){ .name = STR("test"), .entry = entry, .n = ARRAY_LEN(entry) }, 1, NULL,
			   0);
}

/* A change is called for once it has come to rest, and once only, also where the reload was refused before it read any file. */
static void test_changes_are_noticed_once(void **state)
{
	const char *cert = file_of("watched.pem", server_cert.pem, strlen(server_cert.pem));
	const char *key = file_of("watched.key", server_cert.key_pem, strlen(server_cert.key_pem));
	struct props *p = props_of(cert, key);
	struct identities *ids = identities_new();
	struct tls *t;
	struct err e;

	(void)state;
	assert_int_equal(identities_server(ids, p, "server.ssl", &t, &e), 0);
	assert_false(identities_changed(ids));
	file_of("watched.pem", client_cert.pem, strlen(client_cert.pem) - 1);
	assert_false(identities_changed(ids));
	assert_true(identities_changed(ids));
	identities_forget(ids);
	assert_false(identities_changed(ids));
	file_of("watched.pem", server_cert.pem, strlen(server_cert.pem));
	assert_false(identities_changed(ids));
	assert_true(identities_changed(ids));
	assert_int_equal(identities_prepare(ids, p, &e), 0);
	identities_commit(ids);
	assert_false(identities_changed(ids));
	identities_free(ids);
	props_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_changes_are_noticed_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
