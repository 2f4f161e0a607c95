/* management.c - what every service answers besides its own routes: the index, info; the rest by files of its own. */
#include "client/impl.h"
#include "codec/json.h"
#include "manage/actuator.h"
#include "manage/guard.h"

#define MEDIA STR("application/vnd.spring-boot.actuator.v3+json")

bool management_may(struct vine_app *app, struct exchange *ex)
{
	enum auth_verdict v = ex_judge(ex, &app->creds);

	if (v != AUTH_YES)
		ex_refuse(ex, v);
	return v == AUTH_YES;
}

void management_fail(struct exchange *ex, unsigned status, const char *why)
{
	struct buf b = BUF_INIT(4096);

	document_fail(&b, status, why);
	ex_respond(ex, status, STR("application/json"), buf_str(&b), NULL, 0);
	buf_fini(&b);
}

static void info(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct vine_app *app = ctx;
	struct buf b = BUF_INIT(4096);

	(void)m;
	buf_addf(&b, "{\"app\":{\"name\":\"%s\"},\"vine\":{\"version\":\"%s\"}}", app->set.name, VINE_VERSION);
	ex_respond(ex, 200, MEDIA, buf_str(&b), NULL, 0);
	buf_fini(&b);
}

static void add_link(struct jsonw *w, struct str rel, struct str href)
{
	jsonw_key(w, rel);
	jsonw_object(w);
	jsonw_key_str(w, STR("href"), href);
	jsonw_key_bool(w, STR("templated"), str_chr(href, '{') >= 0);
	jsonw_object_end(w);
}

static void index_of_all(struct exchange *ex, const struct route_match *m, void *ctx)
{
	static const struct {
		struct str rel;
		const char *pattern;
	} links[] = {
		{ STR_INIT("self"), "" },
		{ STR_INIT("health"), "/health" },
		{ STR_INIT("health-path"), "/health/{*path}" },
		{ STR_INIT("info"), "/info" },
		{ STR_INIT("eureka"), "/eureka" },
		{ STR_INIT("serviceregistry"), "/serviceregistry" },
		{ STR_INIT("circuits"), "/circuits" },
		{ STR_INIT("circuits-key"), "/circuits/{key}" },
		{ STR_INIT("loadbalancers"), "/loadbalancers" },
		{ STR_INIT("loadbalancers-service"), "/loadbalancers/{service}" },
		{ STR_INIT("hystrix.stream"), "/hystrix.stream" },
		{ STR_INIT("hystrix.config.stream"), "/hystrix/config.stream" },
		{ STR_INIT("hystrix.utilization.stream"), "/hystrix/utilization.stream" },
	};
	struct vine_app *app = ctx;
	struct str base = contexts_endpoints(&ex->arena, &app->set.paths, false);
	struct buf b = BUF_INIT(65536);
	struct jsonw w;

	(void)m;
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key(&w, STR("_links"));
	jsonw_object(&w);
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		add_link(&w, links[i].rel, str_printf_in(&ex->arena, "%.*s%s", STRF(base), links[i].pattern));
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	ex_respond(ex, 200, MEDIA, buf_str(&b), NULL, 0);
	buf_fini(&b);
}

void management_add(struct vine_app *app, const char *methods, const char *pattern, route_fn fn, void *ctx)
{
	struct str base = basepath_str(&app->set.paths.actuator);

	router_add(app->router, methods, str_printf_in(&app->patterns, "%.*s%s", STRF(base), pattern).ptr, fn, ctx ? ctx : app);
}

void management_routes(struct vine_app *app)
{
	if (app->set.paths.actuator.len) /* the top is the service's own */
		management_add(app, "GET", "", index_of_all, NULL);
	health_routes(app);
	management_add(app, "GET", "/info", info, NULL);
	circuits_routes(app);
	discovery_routes(app);
}
