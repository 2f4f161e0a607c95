/* test_registry_auth.c - who is let into the registry: users, tokens, certificates' names. */
#include "props/load.h"
#include "props/props.h"
#include "registry/auth.h"
#include "test.h"

static struct props *props_of(const char *const *rows, size_t n)
{
	struct prop_entry entry[32];
	struct prop_source source = { .name = STR("test"), .entry = entry };

	for (size_t i = 0; i < n; i++) {
		const char *eq = strchr(rows[i], '=');

		entry[source.n++] = (struct prop_entry){ .name = str_of(rows[i], (size_t)(eq - rows[i])), .value = str_from(eq + 1) };
	}
	return props_build(&source, 1, NULL, 0);
}

static const char *const some[] = {
	"spring.security.user.name=boot",
	"spring.security.user.password={noop}pw",
	"vine.registry.auth.users.ops=a:b",
	"vine.registry.auth.users.dev=x",
	"vine.registry.auth.tokens.old=t-old",
	"vine.registry.auth.tokens.new=t-new",
	"vine.registry.auth.client-certificates=dns:*.peers.test,subject:CN=one*,uri:spiffe://vine/*/registry",
};

static const struct walk {
	const char *authorization, *names, *who; /* NULL: not let in */
} walks[] = {
	{ "", "", NULL },
	{ "Basic Ym9vdDpwdw==", "", "user boot" }, /* boot:pw */
	{ "basic Ym9vdDpwdw==", "", "user boot" },
	{ "Basic Ym9vdDp7bm9vcH1wdw==", "", NULL }, /* boot:{noop}pw */
	{ "Basic b3BzOmE6Yg==", "", "user ops" }, /* ops:a:b */
	{ "Basic b3BzOmE=", "", NULL },
	{ "Basic ZGV2Ong=", "", "user dev" },
	{ "Basic ", "", NULL },
	{ "Basic b3BzOmE6Yg==x", "", NULL },
	{ "Bearer t-old", "", "token old" },
	{ "bearer  t-new ", "", "token new" },
	{ "Bearer t-ol", "", NULL },
	{ "Bearer t-oldd", "", NULL },
	{ "Bearer ", "", NULL },
	{ "Bearer", "", NULL },
	{ "Digest t-old", "", NULL },
	{ "", "subject:CN=x\ndns:a.peers.test\n", "dns:a.peers.test" },
	{ "", "subject:CN=one,O=b\n", "subject:CN=one,O=b" },
	{ "", "subject:CN=two\ndns:peers.test\n", NULL },
	{ "", "uri:spiffe://vine/seoul/registry\n", "uri:spiffe://vine/seoul/registry" },
	{ "", "uri:spiffe://vine/seoul/registry/x\n", NULL },
	{ "", "subject:O=dns:a.peers.test\n", NULL },
	{ "", "\n", NULL },
	{ "Bearer wrong", "dns:A.Peers.Test\n", "dns:A.Peers.Test" }, /* any of the ways suffices */
};

static void test_walks(void **state)
{
	struct props *p = props_of(some, ARRAY_LEN(some));
	struct reg_auth *a = NULL;
	struct err e = { 0 };

	(void)state;
	if (reg_auth_new(&a, p, &e) < 0)
		fail_msg("%s", e.text);
	assert_non_null(a);
	for (const struct walk *w = walks; w < walks + ARRAY_LEN(walks); w++) {
		struct str who = STR_EMPTY;
		bool first, in = reg_auth_knows(a, str_from(w->authorization), str_from(w->names), &who, &first);

		if (in != (w->who != NULL) || (in && !str_eq(who, str_from(w->who))))
			fail_msg("'%s' '%s': %d '%.*s'", w->authorization, w->names, in, STRF(who));
	}
	reg_auth_free(a);
	props_unref(p);
}

static void test_first_use_is_told_once(void **state)
{
	struct props *p = props_of(some, ARRAY_LEN(some));
	struct reg_auth *a = NULL;
	struct str who;
	bool first;

	(void)state;
	assert_int_equal(reg_auth_new(&a, p, NULL), 0);
	assert_true(reg_auth_knows(a, STR("Bearer t-old"), STR_EMPTY, &who, &first) && first);
	assert_true(reg_auth_knows(a, STR("Bearer t-old"), STR_EMPTY, &who, &first) && !first);
	assert_true(reg_auth_knows(a, STR("Bearer t-new"), STR_EMPTY, &who, &first) && first);
	reg_auth_free(a);
	props_unref(p);
}

static void test_off_and_refused(void **state)
{
	static const struct { const char *row, *why; } cases[] = {
		{ "server.port=1", NULL },
		{ "spring.security.user.name=boot", NULL },
		{ "spring.security.user.password={bcrypt}$2a$10$abcdef", "is hashed" },
		{ "vine.registry.auth.users.ops=", "password of user ops is empty" },
		{ "vine.registry.auth.users.ops={noop}", "password of user ops is empty" },
		{ "vine.registry.auth.tokens.ci=two words", "vine.registry.auth.tokens.ci" },
		{ "vine.registry.auth.client-certificates=CN=one", "begins with none of" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct props *p = props_of(&cases[i].row, 1);
		struct reg_auth *a = NULL;
		struct err e = { 0 };
		int r = reg_auth_new(&a, p, &e);

		assert_null(a);
		assert_int_equal(r < 0, cases[i].why != NULL);
		if (r < 0 && !strstr(e.text, cases[i].why))
			fail_msg("says: %s", e.text);
		assert_null(strstr(e.text, "two words"));
		assert_null(strstr(e.text, "$2a$"));
		props_unref(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_first_use_is_told_once),
		cmocka_unit_test(test_off_and_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
