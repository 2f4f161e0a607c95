/* membership.c - see membership.h. The discovery client does the talking, eureka/self knows what to say; here is when.
 *
 * Threads   Everything on the loop thread; the view is handed to callers' threads under a leaf mutex, by reference. */
#include "client/membership.h"

#include <stdio.h>

#include "client/impl.h"
#include "eureka/self.h"
#include "http/identities.h"
#include "props/props.h"

struct membership {
	struct eureka_client *client;
	pthread_mutex_t lock; /* guards view */
	struct eureka_view *view;
	void (*left)(struct vine_app *app);
	struct vine_app *app;
	bool decided; /* the first registration is */
	char why[256]; /* not empty: against us */
};

static void on_view(struct eureka_view *v, void *ctx)
{
	struct membership *m = ctx;
	struct eureka_view *old;

	pthread_mutex_lock(&m->lock);
	old = m->view;
	m->view = eureka_view_ref(v);
	pthread_mutex_unlock(&m->lock);
	eureka_view_unref(old);
}

struct eureka_view *membership_take_view(struct membership *m)
{
	struct eureka_view *v;

	pthread_mutex_lock(&m->lock);
	v = m->view ? eureka_view_ref(m->view) : NULL;
	pthread_mutex_unlock(&m->lock);
	return v;
}

/* Spring's mapping, see manage/discovery.c. */
static enum inst_status own_health(void *ctx)
{
	struct membership *m = ctx;

	switch (health_of(m->app)) {
	case VINE_HEALTH_UP: return INST_UP;
	case VINE_HEALTH_DOWN:
	case VINE_HEALTH_OUT_OF_SERVICE: return INST_DOWN;
	case VINE_HEALTH_UNKNOWN: break;
	}
	return INST_UNKNOWN;
}

static int read_settings(struct eureka_client_settings *s, struct vine_app *app, uint64_t seed, struct err *e)
{
	eureka_settings(s, app->props, seed);
	s->dns.lane = app->dns_lane;
	s->dns.mailbox = &app->mailbox;
	return identities_registry(app->tls, app->props, &s->tls, e);
}

static void describe(struct membership *m)
{
	struct vine_app *app = m->app;
	struct instance self;
	struct arena a;

	if (!props_bool(app->props, "eureka.client.register-with-eureka"))
		return;
	arena_init(&a, 4096);
	eureka_self(&self, &a, app->props, str_from(app->set.name),
		    &(struct eureka_place){ .address = http_server_local(app->server), .secure = app->is_secure,
					    .paths = &app->set.paths });
	eureka_client_register(m->client, &self, 0);
	arena_fini(&a);
}

static void watch_health(struct membership *m)
{
	bool wanted = props_bool(m->app->props, "eureka.client.healthcheck.enabled");

	eureka_client_on_health(m->client, wanted ? own_health : NULL, m);
}

static void on_first(const char *why, void *ctx)
{
	struct membership *m = ctx;

	m->decided = true;
	snprintf(m->why, sizeof(m->why), "%s", why ? why : "");
}

/* On the thread that starts the app; the loop's own does not run yet. Bounded by the time-outs of three tries, before them by
 * that of the DNS where it names the registries; ends when the app is asked to stop. */
static int enforce(struct membership *m, struct err *e)
{
	while (!m->decided) {
		if (atomic_load(&m->app->stop_asked))
			return err_set(e, VINE_ECANCELED, "asked to stop before it was registered");
		loop_turn(m->app->loop, USEC_PER_SEC);
		loop_refresh_now(m->app->loop);
	}
	if (!m->why[0])
		return 0;
	return err_set(e, VINE_EIO, "not registered, and eureka.client.should-enforce-registration-at-init is true: %s", m->why);
}

static int begin(struct membership *m, struct err *e)
{
	const struct props *p = m->app->props;
	bool must = props_bool(p, "eureka.client.should-enforce-registration-at-init") &&
		    props_bool(p, "eureka.client.register-with-eureka");

	eureka_client_on_view(m->client, on_view, m);
	watch_health(m);
	if (must)
		eureka_client_on_first(m->client, on_first, m);
	describe(m);
	eureka_client_start(m->client);
	return must ? enforce(m, e) : 0;
}

int membership_new(struct membership **ret, struct vine_app *app, struct err *e)
{
	struct eureka_client *client;
	struct eureka_client_settings s;
	uint64_t seed;

	if (!props_bool(app->props, "eureka.client.enabled"))
		return 0;
	rng_os(&seed, sizeof(seed));

	int r = read_settings(&s, app, seed, e);

	if (r == 0)
		r = eureka_client_new(&client, app->client, &s, &app->log, e);
	if (r < 0)
		return r;

	struct membership *m = xzalloc(sizeof(*m));

	*m = (struct membership){ .client = client, .app = app };
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return begin(m, e);
}

void membership_look(struct membership *m)
{
	eureka_client_look(m->client);
}

void membership_props(struct membership *m)
{
	struct eureka_client_settings s;
	struct err e;

	if (read_settings(&s, m->app, 0, &e) < 0 || eureka_client_configure(m->client, &s, &e) < 0)
		LOG(&m->app->log, LOG_ERROR, "registries not changed", F_Z("error", e.text));
	watch_health(m);
	describe(m);
}

struct eureka_client *membership_client(struct membership *m)
{
	return m->client;
}

bool membership_is_registered(const struct membership *m)
{
	struct eureka_client_report r;

	eureka_client_report(m->client, &r);
	return r.registered;
}

static void on_left(void *ctx)
{
	struct membership *m = ctx;

	m->left(m->app);
}

void membership_leave(struct membership *m, void (*left)(struct vine_app *app))
{
	m->left = left;
	eureka_client_deregister(m->client, 0, on_left, m);
}

void membership_free(struct membership *m)
{
	if (!m)
		return;
	eureka_client_free(m->client);
	eureka_view_unref(m->view);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
