/* health.c - how the service is, as it says itself (vine_app_health), and /actuator/health.
 *
 * Health is UP from the moment it listens, OUT_OF_SERVICE (503) from the moment it leaves: who asks for readiness should
 * send nothing more. A part that is DOWN makes the whole DOWN; readiness, as in Spring Boot, only asks whether the service takes requests.
 *
 * Threads   Parts are told by any thread under a leaf mutex; the loop thread reads them. */
#include "client/impl.h"

#include <stdio.h>

#include "codec/json.h"
#include "manage/actuator.h"
#include "manage/guard.h"

static const char *const names[] = { "UNKNOWN", "UP", "OUT_OF_SERVICE", "DOWN" };

void health_init(struct vine_app *app)
{
	pthread_mutex_init(&app->health.lock, NULL);
}

void health_fini(struct vine_app *app)
{
	pthread_mutex_destroy(&app->health.lock);
}

static struct health_part *part_of(struct app_health *h, const char *name)
{
	struct health_part *x;

	for (unsigned i = 0; i < h->n; i++) {
		if (strcmp(h->part[i].name, name) == 0)
			return &h->part[i];
	}
	if (h->n == APP_HEALTH_MAX || strlen(name) >= sizeof(x->name))
		return NULL;
	x = &h->part[h->n++];
	snprintf(x->name, sizeof(x->name), "%s", name);
	return x;
}

bool vine_app_health(struct vine_app *app, const char *part, enum vine_health health, const char *why)
{
	struct health_part *x;
	bool changed = false;

	assert((unsigned)health < ARRAY_LEN(names));
	pthread_mutex_lock(&app->health.lock);
	x = part_of(&app->health, part);
	if (x) {
		changed = x->health != health || !x->told;
		x->health = health;
		x->told = true;
		snprintf(x->why, sizeof(x->why), "%s", why ? why : "");
	}
	pthread_mutex_unlock(&app->health.lock);
	if (changed) {
		atomic_store(&app->health_changed, true);
		if (app->loop)
			loop_wake(app->loop);
	}
	return x != NULL;
}

enum vine_health health_of(struct vine_app *app)
{
	enum vine_health all = VINE_HEALTH_UP;

	if (atomic_load(&app->state) > APP_RUNNING)
		all = VINE_HEALTH_OUT_OF_SERVICE;
	pthread_mutex_lock(&app->health.lock);
	for (unsigned i = 0; i < app->health.n; i++)
		all = MAX(all, app->health.part[i].health); /* the enum is in Boot's order */
	pthread_mutex_unlock(&app->health.lock);
	return all;
}

static void write_parts(struct vine_app *app, struct jsonw *w)
{
	pthread_mutex_lock(&app->health.lock);
	if (!app->health.n) {
		pthread_mutex_unlock(&app->health.lock);
		return;
	}
	jsonw_key(w, STR("components"));
	jsonw_object(w);
	for (unsigned i = 0; i < app->health.n; i++) {
		const struct health_part *x = &app->health.part[i];

		jsonw_key(w, str_from(x->name));
		jsonw_object(w);
		jsonw_key_str(w, STR("status"), str_from(names[x->health]));
		if (x->why[0]) {
			jsonw_key(w, STR("details"));
			jsonw_object(w);
			jsonw_key_str(w, STR("why"), str_from(x->why));
			jsonw_object_end(w);
		}
		jsonw_object_end(w);
	}
	pthread_mutex_unlock(&app->health.lock);
	jsonw_object_end(w);
}

static void answer(struct exchange *ex, struct vine_app *app, enum vine_health health, bool whole)
{
	struct buf b = BUF_INIT(65536);
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("status"), str_from(names[health]));
	if (whole && ex_judge(ex, &app->creds) == AUTH_YES)
		write_parts(app, &w);
	if (whole) {
		jsonw_key(&w, STR("groups"));
		jsonw_array(&w);
		jsonw_str(&w, STR("liveness"));
		jsonw_str(&w, STR("readiness"));
		jsonw_array_end(&w);
	}
	jsonw_object_end(&w);
	ex_respond_actuator(ex, health >= VINE_HEALTH_OUT_OF_SERVICE ? 503 : 200, buf_str(&b));
	buf_fini(&b);
}

static void on_health(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct vine_app *app = ctx;
	struct str group = m->n ? m->var[0] : STR_EMPTY;
	bool running = atomic_load(&app->state) == APP_RUNNING;

	if (!group.len)
		answer(ex, app, health_of(app), true);
	else if (str_eq(group, STR("liveness")))
		answer(ex, app, VINE_HEALTH_UP, false);
	else if (str_eq(group, STR("readiness")))
		answer(ex, app, running ? VINE_HEALTH_UP : VINE_HEALTH_OUT_OF_SERVICE, false);
	else
		ex_respond(ex, 404, STR_EMPTY, STR_EMPTY, NULL, 0);
}

void health_routes(struct vine_app *app)
{
	management_add(app, "GET", "/health", on_health, NULL);
	management_add(app, "GET", "/health/{group}", on_health, NULL);
}
