/* test_manage_auth.c - who may use the management endpoints. */
#include "manage/auth.h"
#include "test.h"

/* user:secret */
#define GOOD "Basic dXNlcjpzZWNyZXQ="
#define BAD "Basic dXNlcjpzZWNyZXQx"

static const struct walk {
	const char *name;
	bool configured;
	const char *peer, *authorization, *host, *origin, *site;
	bool proxied, changes;
	enum auth_verdict want;
} walks[] = {
	{ "loopback needs nothing", false, "127.0.0.1", "", "localhost:8080", "", "", false, false, AUTH_YES },
	{ "nor does it over v6", false, "::1", "", "[::1]:8080", "", "", false, false, AUTH_YES },
	{ "nor mapped into v6", false, "::ffff:127.0.0.1", "", "127.0.0.1", "", "", false, false, AUTH_YES },
	{ "a name made to resolve to us is no loopback", false, "127.0.0.1", "", "evil.example", "", "", false, false, AUTH_NO },
	{ "a proxy on this machine speaks for somebody", false, "127.0.0.1", "", "localhost", "", "", true, false, AUTH_NO },
	{ "and must show credentials", true, "127.0.0.1", "", "localhost", "", "", true, false, AUTH_WHO },
	{ "which are enough", true, "127.0.0.1", GOOD, "localhost", "", "", true, false, AUTH_YES },
	{ "loopback with wrong credentials is refused", true, "127.0.0.1", BAD, "localhost", "", "", false, false, AUTH_WHO },
	{ "others: no way in without configuration", false, "10.0.0.9", "", "vine:8080", "", "", false, false, AUTH_NO },
	{ "also not with some credentials", false, "10.0.0.9", GOOD, "vine:8080", "", "", false, false, AUTH_NO },
	{ "others are asked", true, "10.0.0.9", "", "vine:8080", "", "", false, false, AUTH_WHO },
	{ "others with the right ones", true, "10.0.0.9", GOOD, "vine:8080", "", "", false, false, AUTH_YES },
	{ "scheme in any case", true, "10.0.0.9", "bASIC dXNlcjpzZWNyZXQ=", "vine:8080", "", "", false, false, AUTH_YES },
	{ "others with wrong ones", true, "10.0.0.9", BAD, "vine:8080", "", "", false, false, AUTH_WHO },
	{ "a prefix is wrong", true, "10.0.0.9", "Basic dXNlcjpz", "vine:8080", "", "", false, false, AUTH_WHO },
	{ "empty is wrong", true, "10.0.0.9", "Basic ", "vine:8080", "", "", false, false, AUTH_WHO },
	{ "another scheme is wrong", true, "10.0.0.9", "Bearer dXNlcjpzZWNyZXQ=", "vine:8080", "", "", false, false, AUTH_WHO },
	{ "a change from a tool", false, "127.0.0.1", "", "localhost:1", "", "", false, true, AUTH_YES },
	{ "a change from our own page", false, "127.0.0.1", "", "localhost:1", "http://localhost:1", "same-origin", false, true, AUTH_YES },
	{ "the same, by Origin alone", false, "127.0.0.1", "", "localhost:1", "http://localhost:1", "", false, true, AUTH_YES },
	{ "a change from another site", false, "127.0.0.1", "", "localhost:1", "http://evil.example", "", false, true, AUTH_CROSS_SITE },
	{ "from another port", false, "127.0.0.1", "", "localhost:1", "http://localhost:2", "", false, true, AUTH_CROSS_SITE },
	{ "from a sandboxed page", false, "127.0.0.1", "", "localhost:1", "null", "", false, true, AUTH_CROSS_SITE },
	{ "the browser says so", false, "127.0.0.1", "", "localhost:1", "", "cross-site", false, true, AUTH_CROSS_SITE },
	{ "credentials do not help there", true, "10.0.0.9", GOOD, "vine:1", "http://evil.example", "", false, true, AUTH_CROSS_SITE },
	{ "reading from another site is the browser's matter", false, "127.0.0.1", "", "localhost:1", "http://evil.example", "", false, false, AUTH_YES },
};

static void test_walks(void **state)
{
	(void)state;
	for (const struct walk *w = walks; w < walks + ARRAY_LEN(walks); w++) {
		struct auth_creds creds = { 0 };
		struct addr peer;
		struct auth_request rq = { .peer = &peer, .authorization = str_from(w->authorization), .host = str_from(w->host),
					   .origin = str_from(w->origin), .fetch_site = str_from(w->site),
					   .proxied = w->proxied, .changes = w->changes };

		assert_true(addr_parse_ip(&peer, str_from(w->peer), 4711));
		if (w->configured)
			assert_int_equal(auth_creds_set(&creds, STR("user"), STR("secret")), 0);
		if (auth_judge(&creds, &rq) != w->want)
			fail_msg("%s: got %d, want %d", w->name, auth_judge(&creds, &rq), w->want);
	}
}

static void test_credentials_have_a_limit(void **state)
{
	struct auth_creds c;
	char text[600];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(auth_creds_set(&c, STR("u"), str_of(text, 300)), 0);
	assert_true(c.len > 0);
	assert_int_equal(auth_creds_set(&c, STR("u"), str_of(text, 600)), VINE_ELIMIT);
	assert_int_equal(c.len, 0);
	assert_int_equal(auth_creds_set(&c, STR("u"), STR("")), 0); /* half of them are none */
	assert_int_equal(c.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_credentials_have_a_limit),
	};

	return cmocka_run_group_tests_name("manage_auth", tests, NULL, NULL);
}
