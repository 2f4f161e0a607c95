/* config.c - an app comes into being: command line, files, environment; and goes. */
#include <stdio.h>
#include <unistd.h>

#include "client/impl.h"
#include "flow/properties.h"
#include "manage/config.h"
#include "plugin/plugin.h"
#include "props/check.h"
#include "props/load.h"
#include "ribbon/user.h"

#define ARGS_MAX 256

struct args {
	const char *config;
	const char *set[ARGS_MAX];
	size_t n;
};

static int read_args(struct args *a, const struct vine_app_opts *o, struct err *e)
{
	a->config = o->config;
	for (int i = 1; i < o->argc; i++) {
		const char *arg = o->argv[i];

		if (strcmp(arg, "-c") == 0 && i + 1 < o->argc)
			a->config = o->argv[++i];
		else if (strncmp(arg, "--", 2) != 0 || !strchr(arg, '=') || arg[2] == '=')
			return err_set(e, VINE_EINVAL, "%s: neither -c FILE nor --key=value", arg);
		else if (a->n == ARGS_MAX)
			return err_set(e, VINE_ELIMIT, "more than %d arguments", ARGS_MAX);
		else
			a->set[a->n++] = arg + 2;
	}
	return 0;
}

/* The first thing that is wrong with it. */
static int judge(const struct props *p, struct err *e)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f);

	for (size_t i = 0; i < n; i++) {
		if (f[i].kind == FINDING_ERROR)
			return err_set(e, VINE_EINVAL, "%.*s", STRF(f[i].text));
	}
	return 0;
}

static int load(struct vine_app *app, const struct vine_app_opts *o, struct err *e)
{
	struct args a = { 0 };
	int r = read_args(&a, o, e);

	if (r == 0)
		r = props_load(&app->props, &(struct load_opts){ .config = a.config, .args = a.set, .n_args = a.n, .env = environ }, NULL, e);
	if (r == 0)
		r = judge(app->props, e);
	if (r == 0 && props_bool(app->props, "vine.timeouts.must-fit"))
		r = check_times(app->props, e);
	if (r == 0)
		r = flow_properties_check(app->props, e);
	if (r == 0)
		r = app_settings_read(&app->set, app->props, o->name, e);
	if (r == 0 && auth_creds_set(&app->creds, props_str(app->props, "vine.management.user"),
				     props_str(app->props, "vine.management.password")) < 0)
		r = err_set(e, VINE_ELIMIT, "vine.management.user and vine.management.password are too long");
	return r;
}

static void make_logs(struct vine_app *app)
{
	char shown[24];

	app->logs = log_new(STDERR_FILENO, LOG_LOGFMT);
	config_apply_log(app->props, app->logs);
	snprintf(shown, sizeof(shown), "%.*s", (int)sizeof(shown) - 1, app->set.name);
	app->log = logger_of(app->logs, "vine.client", shown);
	app->user = logger_of(app->logs, app->set.name, shown);
}

int vine_app_new(struct vine_app **ret, const struct vine_app_opts *opts, struct vine_err *e)
{
	struct vine_app *app = xzalloc(sizeof(*app));
	int r = load(app, opts, inner_err(e));
	struct err unfit;

	if (r < 0) {
		props_unref(app->props);
		free(app);
		return r;
	}
	make_logs(app);
	app->plugins = plugins_new(&app->log, &user_host);
	plugins_set_props(app->plugins, app->props);
	if (!props_bool(app->props, "vine.timeouts.must-fit") && check_times(app->props, &unfit) < 0)
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
	for (unsigned i = 0; i < app->n_routes; i++)
		route_free(app->routes[i]);
	router_free(app->router);
	for (unsigned i = 0; i < app->n_uses; i++)
		free(app->uses[i].service);
	plugins_free(app->plugins);
	log_free(app->logs);
	map_fini(&app->property_map);
	arena_fini(&app->property_texts);
	props_unref(app->props);
	pthread_mutex_destroy(&app->property_lock);
	health_fini(app);
	pthread_cond_destroy(&app->callers.returned);
	pthread_mutex_destroy(&app->callers.lock);
	free(app);
}

/* The catalogue's values are spans; a C string of one is made when it is first asked for, and kept. */
const char *vine_app_property(struct vine_app *app, const char *key)
{
	const struct prop_value *v = props_get(app->props, str_from(key));
	const char *text = NULL;

	if (!v)
		return NULL;
	pthread_mutex_lock(&app->property_lock);
	text = map_get(&app->property_map, v->name);
	if (!text) {
		text = str_dup_in(&app->property_texts, v->value).ptr;
		map_put(&app->property_map, v->name, (char *)(uintptr_t)text);
	}
	pthread_mutex_unlock(&app->property_lock);
	return text;
}
