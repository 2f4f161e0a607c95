/* test_load.c - files, profiles, documents, imports, environment and command line, in their order. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include "props/load.h"

struct dir {
	char path[64];
	char made[16][128];
	size_t n;
};

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	snprintf(d->path, sizeof(d->path), "/tmp/vine-load-XXXXXX");
	if (!mkdtemp(d->path))
		return -1;
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;

	for (size_t i = 0; i < d->n; i++)
		unlink(d->made[i]);
	rmdir(d->path);
	free(d);
	return 0;
}

static const char *put(struct dir *d, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", d->path, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	memcpy(d->made[d->n], path, sizeof(path));
	return d->made[d->n++];
}

static struct props *load(const char *path, const char *const *args, size_t n_args, char *const *env)
{
	struct load_opts o = { .config = path, .args = args, .n_args = n_args, .env = env };
	struct props *p = NULL;
	struct err e = { 0 };

	if (props_load(&p, &o, NULL, &e) < 0)
		fail_msg("%s", e.text);
	return p;
}

static void assert_prop(const struct props *p, const char *name, const char *want)
{
	const struct prop_value *v = props_get(p, str_from(name));

	if (!v)
		fail_msg("%s is not set", name);
	assert_str(v->value, str_from(want));
}

static void test_precedence(void **state)
{
	struct dir *d = *state;
	const char *path = put(d, "application.yml", "zuul: {prefix: /file, semaphore: {max-semaphores: 7}}\nserver.port: 1\nown.x: f\n"
						     "---\nserver.port: 2\nown.y: second\n");
	const char *args[] = { "--server.port=4", "--own.y=cmd", "--own.y=later", "--vine.gateway.discovery-routes" };
	char env0[] = "SERVER_PORT=3", env1[] = "ZUUL_PREFIX=/env", env2[] = "PATH=/bin", env3[] = "junk";
	char *env[] = { env0, env1, env2, env3, NULL };
	struct props *p = load(path, args, ARRAY_LEN(args), env);
	const struct prop_value *v;

	assert_true(props_ok(p));
	assert_int_equal(props_int(p, "server.port"), 4);
	assert_prop(p, "zuul.prefix", "/env");
	assert_prop(p, "own.x", "f");
	assert_prop(p, "own.y", "later");
	assert_true(props_bool(p, "vine.gateway.discovery-routes"));
	v = props_get(p, STR("zuul.semaphore.maxSemaphores"));
	assert_non_null(v);
	assert_str(v->origin.source, str_from(path));
	assert_int_equal(v->origin.line, 1);
	assert_int_equal(v->origin.column, 51);
	props_unref(p);
}

static void test_profiles(void **state)
{
	struct dir *d = *state;
	const char *path = put(d, "application.yml", "a: base\nb: base\nc: base\n"
						     "---\nspring.config.activate.on-profile: dev & !prod\nb: dev document\n"
						     "---\nspring.config.activate.on-profile: prod\nb: prod document\n"
						     "---\nspring.config.activate.on-profile: [x, '(dev | y)']\nd: by list\n");
	const char *args[] = { "spring.profiles.active=dev" };
	const struct str *active;
	struct props *p;

	put(d, "application-dev.yml", "c: dev file\n");
	put(d, "application-prod.yml", "c: prod file\n");
	p = load(path, args, 1, NULL);
	assert_prop(p, "a", "base");
	assert_prop(p, "b", "dev document");
	assert_prop(p, "c", "dev file");
	assert_prop(p, "d", "by list");
	assert_int_equal(props_profiles(p, &active), 1);
	assert_str(active[0], STR("dev"));
	props_unref(p);
	p = load(path, NULL, 0, NULL);
	assert_prop(p, "b", "base");
	assert_prop(p, "c", "base");
	assert_null(props_get(p, STR("d")));
	props_unref(p);
}

static void test_profiles_of_the_file(void **state)
{
	struct dir *d = *state;
	const char *path = put(d, "vine.yml", "spring.profiles: {active: [one, two], include: three}\n"
					      "---\nspring.profiles: one\na: one\n"
					      "---\nspring.config.activate.on-profile: two & three\nb: both\n");
	const char *args[] = { "--spring.profiles.active=other" };
	const struct str *active;
	struct props *p;

	put(d, "vine-two.yml", "c: two\n");
	p = load(path, NULL, 0, NULL);
	assert_true(props_ok(p));
	assert_int_equal(props_profiles(p, &active), 3);
	assert_prop(p, "a", "one");
	assert_prop(p, "b", "both");
	assert_prop(p, "c", "two");
	props_unref(p);
	p = load(path, args, 1, NULL); /* replaces what the file says, not what it includes */
	assert_int_equal(props_profiles(p, &active), 2);
	assert_str(active[0], STR("other"));
	assert_str(active[1], STR("three"));
	assert_null(props_get(p, STR("a")));
	props_unref(p);
}

static void test_properties_file(void **state)
{
	struct dir *d = *state;
	const char *path = put(d, "application.properties", "server.port=1\nserver.port=2\nzuul.ignored-services[]=a,b\n"
							    "#---\nspring.config.activate.on-profile=q\nserver.port=3\n");
	const char *args[] = { "--spring.profiles.active=q" };
	struct props *p = load(path, NULL, 0, NULL);
	struct str list[4];

	assert_int_equal(props_int(p, "server.port"), 2); /* the later line holds */
	assert_int_equal(props_list(p, "zuul.ignored-services", STR_EMPTY, list, 4), 2);
	assert_str(list[1], STR("b"));
	props_unref(p);
	p = load(path, args, 1, NULL);
	assert_int_equal(props_int(p, "server.port"), 3);
	props_unref(p);
}

static void test_lists_are_one_value(void **state)
{
	struct dir *d = *state;
	const char *path = put(d, "vine.yml", "zuul.ignored-services: [a, b, c]\nzuul.ignored-patterns: /x, /y\n"
					      "product.ribbon.listOfServers: [h:1, h:2]\nMy-Svc.ribbon.ReadTimeout: 7\n");
	const char *args[] = { "--zuul.ignored-services=z" };
	char env0[] = "ZUUL_IGNOREDPATTERNS_0_=/e", env1[] = "ZUUL_IGNOREDPATTERNS_1=/f", env2[] = "PRODUCT_RIBBON_LISTOFSERVERS_0=e:1";
	char env3[] = "MYSVC_RIBBON_READTIMEOUT=9", env4[] = "OTHER_RIBBON_READTIMEOUT=11";
	char *env[] = { env0, env1, env2, env3, env4, NULL };
	struct props *p = load(path, args, 1, env);
	struct str list[4];

	assert_true(props_ok(p));
	assert_int_equal(props_list(p, "zuul.ignored-services", STR_EMPTY, list, 4), 1);
	assert_str(list[0], STR("z"));
	assert_int_equal(props_list(p, "zuul.ignored-patterns", STR_EMPTY, list, 4), 2);
	assert_str(list[0], STR("/e"));
	assert_str(list[1], STR("/f"));
	assert_int_equal(props_list(p, "{client}.ribbon.listOfServers", STR("product"), list, 4), 1);
	assert_str(list[0], STR("e:1"));
	assert_int_equal(props_ms_of(p, "{client}.ribbon.ReadTimeout", STR("My-Svc")), 9);
	assert_int_equal(props_ms_of(p, "{client}.ribbon.ReadTimeout", STR("other")), 11);
	props_unref(p);
}

static void test_imports(void **state)
{
	struct dir *d = *state;
	const char *path = put(d, "vine.yml", "spring.config.import: [more.yml, 'optional:file:none.yml', 'optional:configserver:']\na: 1\nb: 1\n");
	struct load_opts o = { .config = path };
	struct load_files files = { .n = 0 };
	struct props *p = NULL;
	struct err e;

	put(d, "more.yml", "b: imported\n");
	assert_int_equal(props_load(&p, &o, &files, &e), 0);
	assert_prop(p, "a", "1");
	assert_prop(p, "b", "imported");
	assert_int_equal(files.n, 2);
	load_files_fini(&files);
	props_unref(p);
	o.config = put(d, "self.yml", "spring.config.import: self.yml\n");
	assert_int_equal(props_load(&p, &o, NULL, &e), VINE_ELIMIT);
}

static void test_utf8_in_properties_is_warned_of(void **state)
{
	struct props *p = load(put(*state, "a.properties", "own.x=\xea\xb0\x80\n"), NULL, 0, NULL);
	const struct prop_finding *f;

	assert_int_equal(props_findings(p, &f), 1);
	assert_int_equal(f[0].kind, FINDING_WARNING);
	assert_true(str_find(f[0].text, STR("a.properties: looks like UTF-8")) > 0);
	assert_true(props_ok(p));
	assert_prop(p, "own.x", "\xc3\xaa\xc2\xb0\xc2\x80");
	props_unref(p);
}

static void test_empty_branches_mean_nothing(void **state)
{
	struct props *p = load(put(*state, "v.yml", "zuul:\n  routes:\n    shop:\neureka.client:\nhystrix: {command: }\nvine.nope:\n"),
			       NULL, 0, NULL);
	const struct prop_finding *f;

	assert_int_equal(props_findings(p, &f), 1);
	assert_true(str_find(f[0].text, STR("vine.nope")) > 0);
	props_unref(p);
}

static void test_errors(void **state)
{
	struct dir *d = *state;
	struct load_opts o = { .config = "/nonexistent/vine.yml" };
	struct props *p = NULL;
	struct err e;
	char want[256];

	assert_int_equal(props_load(&p, &o, NULL, &e), VINE_EIO);
	assert_string_equal(e.text, "cannot read '/nonexistent/vine.yml': No such file or directory");
	o.config = d->path;
	assert_int_equal(props_load(&p, &o, NULL, &e), VINE_EIO);
	o.config = put(d, "bad.yml", "a: 1\nb: [\n");
	assert_int_equal(props_load(&p, &o, NULL, &e), VINE_EINVAL);
	snprintf(want, sizeof(want), "%s:3:1: ", o.config);
	assert_true(str_has_prefix(str_from(e.text), str_from(want)));
	o.config = put(d, "import.yml", "spring.config.import: gone.yml\n");
	assert_int_equal(props_load(&p, &o, NULL, &e), VINE_EIO);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_profiles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_profiles_of_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_properties_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists_are_one_value, setup, teardown),
		cmocka_unit_test_setup_teardown(test_imports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_utf8_in_properties_is_warned_of, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_branches_mean_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
