/* management.c - what every service answers besides its own routes: the index, info; the rest by files of its own. */
#include "client/impl.h"
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

static void index_of_all(struct exchange *ex, const struct route_match *m, void *ctx)
{
	(void)m, (void)ctx;
	ex_respond(ex, 200, MEDIA,
		   STR("{\"_links\":{\"self\":{\"href\":\"/actuator\",\"templated\":false},"
		       "\"health\":{\"href\":\"/actuator/health\",\"templated\":false},"
		       "\"health-path\":{\"href\":\"/actuator/health/{*path}\",\"templated\":true},"
		       "\"info\":{\"href\":\"/actuator/info\",\"templated\":false},"
		       "\"eureka\":{\"href\":\"/actuator/eureka\",\"templated\":false},"
		       "\"serviceregistry\":{\"href\":\"/actuator/serviceregistry\",\"templated\":false},"
		       "\"circuits\":{\"href\":\"/actuator/circuits\",\"templated\":false},"
		       "\"circuits-key\":{\"href\":\"/actuator/circuits/{key}\",\"templated\":true},"
		       "\"loadbalancers\":{\"href\":\"/actuator/loadbalancers\",\"templated\":false},"
		       "\"loadbalancers-service\":{\"href\":\"/actuator/loadbalancers/{service}\",\"templated\":true},"
		       "\"hystrix.stream\":{\"href\":\"/actuator/hystrix.stream\",\"templated\":false},"
		       "\"hystrix.config.stream\":{\"href\":\"/actuator/hystrix/config.stream\",\"templated\":false},"
		       "\"hystrix.utilization.stream\":{\"href\":\"/actuator/hystrix/utilization.stream\",\"templated\":false}}}"),
		   NULL, 0);
}

void management_routes(struct vine_app *app)
{
	router_add(app->router, "GET", "/actuator", index_of_all, app);
	health_routes(app);
	router_add(app->router, "GET", "/actuator/info", info, app);
	circuits_routes(app);
	discovery_routes(app);
}
