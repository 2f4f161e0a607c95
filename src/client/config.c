/* config.c - an app comes into being: command line, files, environment; and goes. */
#include <stdio.h>
#include <unistd.h>

#include "client/impl.h"
#include "eureka/self.h"
#include "flow/properties.h"
#include "http/identities.h"
#include "manage/config.h"
#include "plugin/plugin.h"
#include "props/check.h"
#include "props/load.h"
#include "ribbon/user.h"

#define ARGS_MAX 256

static int read_args(struct app_args *a, const struct vine_app_opts *o, struct err *e)
{
	const char *config = o->config;

	a->set = xzalloc(ARGS_MAX * sizeof(*a->set));
	for (int i = 1; i < o->argc; i++) {
		const char *arg = o->argv[i];

		if (strcmp(arg, "-c") == 0 && i + 1 < o->argc)
			config = o->argv[++i];
		else if (strncmp(arg, "--", 2) != 0 || !strchr(arg, '=') || arg[2] == '=')
			return err_set(e, VINE_EINVAL, "%s: neither -c FILE nor --key=value", arg);
		else if (a->n == ARGS_MAX)
			return err_set(e, VINE_ELIMIT, "more than %d arguments", ARGS_MAX);
		else
			a->set[a->n++] = xstrdup(arg + 2);
	}
	a->name = o->name ? xstrdup(o->name) : NULL;
	a->config = config ? xstrdup(config) : NULL;
	return 0;
}

static void args_fini(struct app_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->set[i]);
	free(a->set);
	free(a->name);
	free(a->config);
}

/* The first thing that is wrong with it. */
static int judge_findings(const struct props *p, struct err *e)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f);

	for (size_t i = 0; i < n; i++) {
		if (f[i].kind == FINDING_ERROR)
			return err_set(e, VINE_EINVAL, "%.*s", STRF(f[i].text));
	}
	return 0;
}

int app_load(struct props **ret, const struct app_args *a, struct load_files *files, struct err *e)
{
	const struct load_opts lo = { .config = a->config, .args = (const char *const *)a->set, .n_args = a->n, .env = environ };

	return props_load(ret, &lo, files, e);
}

/* Where there are registries: could they be asked? */
static int judge_registries(const struct props *p, struct err *e)
{
	struct eureka_client_settings s;
	struct identities *ids;
	int r;

	if (!props_bool(p, "eureka.client.enabled"))
		return 0;
	eureka_settings(&s, p, 0);
	ids = identities_new();
	r = identities_registry(ids, p, &s.tls, e);
	if (r == 0)
		r = eureka_client_check(&s, e);
	identities_free(ids);
	return r;
}

int app_judge(const struct props *p, const char *name, struct app_settings *set, struct auth_creds *creds, struct err *e)
{
	int r = judge_findings(p, e);

	if (r == 0 && props_bool(p, "vine.timeouts.must-fit"))
		r = check_times(p, CHECK_CLIENT, e);
	if (r == 0)
		r = flow_properties_check(p, e);
	if (r == 0)
		r = judge_registries(p, e);
	if (r == 0)
		r = app_settings_read(set, p, name, e);
	if (r == 0 && auth_creds_set(creds, props_str(p, "vine.management.user"), props_str(p, "vine.management.password")) < 0)
		r = err_set(e, VINE_ELIMIT, "vine.management.user and vine.management.password are too long");
	return r;
}

static int first_load(struct vine_app *app, const struct vine_app_opts *o, struct err *e)
{
	struct reload *rl = &app->reload;
	int r = read_args(&rl->args, o, e);

	if (r == 0)
		r = app_load(&app->props, &rl->args, &rl->files, e);
	if (r == 0)
		r = app_judge(app->props, rl->args.name, &app->set, &app->creds, e);
	rl->stamp = load_files_stamp(&rl->files);
	return r;
}

static void make_logs(struct vine_app *app)
{
	char shown[24];

	app->logs = log_new(STDERR_FILENO, LOG_LOGFMT);
	config_apply_log(app->props, NULL, app->logs);
	snprintf(shown, sizeof(shown), "%.*s", (int)sizeof(shown) - 1, app->set.name);
	app->log = logger_of(app->logs, "vine.client", shown);
	app->user = logger_of(app->logs, app->set.name, shown);
}

int vine_app_new(struct vine_app **ret, const struct vine_app_opts *opts, struct vine_err *e)
{
	struct vine_app *app = xzalloc(sizeof(*app));
	int r = first_load(app, opts, inner_err(e));
	struct err unfit;

	if (r < 0) {
		props_unref(app->props);
		load_files_fini(&app->reload.files);
		args_fini(&app->reload.args);
		free(app);
		return r;
	}
	make_logs(app);
	app->plugins = plugins_new(&app->log, &user_host);
	plugins_set_props(app->plugins, app->props);
	if (!props_bool(app->props, "vine.timeouts.must-fit") && check_times(app->props, CHECK_CLIENT, &unfit) < 0)
		LOG(&app->log, LOG_WARN, "time-outs do not fit together", F_Z("why", unfit.text));
	app->signals.fd = -1;
	app->trace_make = (struct trace_make){ .sampler.probability = app->set.sample_rate, .supports_join = true };
	pthread_mutex_init(&app->callers.lock, NULL);
	pthread_cond_init(&app->callers.returned, NULL);
	pthread_mutex_init(&app->property_lock, NULL);
	health_init(app);
	arena_init(&app->property_texts, 1024);
	map_init(&app->property_map, 0);
	app->router = router_new();
	arena_init(&app->patterns, 1024);
	management_routes(app);
	*ret = app;
	return 0;
}

void vine_app_free(struct vine_app *app)
{
	if (!app)
		return;
	vine_app_stop(app);
	vine_app_wait(app);
	if (app->loop)
		loop_free(app->loop);
	collapsers_free(app);
	for (unsigned i = 0; i < app->n_routes; i++)
		route_free(app->routes[i]);
	router_free(app->router);
	arena_fini(&app->patterns);
	for (unsigned i = 0; i < app->n_uses; i++)
		free(app->uses[i].service);
	plugins_free(app->plugins);
	log_free(app->logs);
	map_fini(&app->property_map);
	arena_fini(&app->property_texts);
	props_unref(app->props);
	load_files_fini(&app->reload.files);
	args_fini(&app->reload.args);
	pthread_mutex_destroy(&app->property_lock);
	health_fini(app);
	pthread_cond_destroy(&app->callers.returned);
	pthread_mutex_destroy(&app->callers.lock);
	free(app);
}

/* The catalogue's values are spans; a C string of one is made when it is first asked for, and kept: also when a reload has
 * changed the value, for somebody may still hold it. Equal ones are one. */
const char *vine_app_property(struct vine_app *app, const char *key)
{
	const struct prop_value *v;
	struct str text = STR_EMPTY;

	pthread_mutex_lock(&app->property_lock);
	v = props_get(app->props, str_from(key));
	if (v) {
		const char *known = map_get(&app->property_map, v->value);

		text = known ? str_of(known, v->value.len) : str_dup_in(&app->property_texts, v->value);
		if (!known)
			map_put(&app->property_map, text, (char *)(uintptr_t)text.ptr);
	}
	pthread_mutex_unlock(&app->property_lock);
	return v ? text.ptr : NULL;
}
