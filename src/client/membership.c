/* membership.c - see membership.h. The discovery client does the talking, eureka/self knows what to say; here is when.
 *
 * Threads   Everything on the loop thread; the view is handed to callers' threads under a leaf mutex, by reference. */
#include "client/membership.h"

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

static void begin(struct membership *m)
{
	struct vine_app *app = m->app;

	eureka_client_on_view(m->client, on_view, m);
	if (props_bool(app->props, "eureka.client.register-with-eureka")) {
		struct instance self;
		struct arena a;

		arena_init(&a, 4096);
		eureka_self(&self, &a, app->props, str_from(app->set.name), http_server_local(app->server));
		eureka_client_register(m->client, &self, 0);
		arena_fini(&a);
	}
	eureka_client_start(m->client);
}

int membership_new(struct membership **ret, struct vine_app *app, struct err *e)
{
	const struct props *p = app->props;
	struct eureka_client *client;
	struct eureka_client_settings s;
	uint64_t seed;

	if (!props_bool(p, "eureka.client.enabled"))
		return 0;
	rng_os(&seed, sizeof(seed));
	eureka_settings(&s, p, seed);

	int r = identities_registry(app->tls, p, &s.tls, e);

	if (r == 0)
		r = eureka_client_new(&client, app->client, &s, &app->log, e);

	if (r < 0)
		return r;

	struct membership *m = xzalloc(sizeof(*m));

	*m = (struct membership){ .client = client, .app = app };
	pthread_mutex_init(&m->lock, NULL);
	begin(m);
	*ret = m;
	return 0;
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
