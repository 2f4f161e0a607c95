/* membership.c - see membership.h. The discovery client does the talking; here is what it is told about this service.
 *
 * Threads   Everything on the loop thread; the view is handed to callers' threads under a leaf mutex, by reference. */
#include "client/membership.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "client/impl.h"
#include "eureka/client.h"
#include "props/props.h"

struct membership {
	struct eureka_client *client;
	pthread_mutex_t lock; /* guards view */
	struct eureka_view *view;
	void (*left)(struct vine_app *app);
	struct vine_app *app;
};

/* What the instance says of itself, in one piece of memory. */
struct self {
	struct arena arena;
	struct instance draft;
};

/* --- who am I --- */

/* The first address that others could reach; else the loopback's. */
static struct str own_ip(struct arena *a)
{
	struct ifaddrs *list = NULL;
	struct str ip = STR("127.0.0.1");

	if (getifaddrs(&list) < 0)
		return ip;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct addr found = { 0 };
		char text[ADDR_TEXT_MAX];

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		memcpy(&found.in, i->ifa_addr, sizeof(found.in));
		addr_ip_text(&found, text);
		ip = str_dup_in(a, str_from(text));
		break;
	}
	freeifaddrs(list);
	return ip;
}

/* Where the configuration names no address: the one it listens on, unless that is "any". */
static struct str listening_ip(struct arena *a, const struct vine_app *app)
{
	static const char *const any[] = { "0.0.0.0", "::" };
	char text[ADDR_TEXT_MAX];

	addr_ip_text(&app->set.address, text);
	for (size_t i = 0; i < ARRAY_LEN(any); i++) {
		if (strcmp(text, any[i]) == 0)
			return own_ip(a);
	}
	return str_dup_in(a, str_from(text));
}

static struct str either(struct str set, struct str otherwise)
{
	return set.len ? set : otherwise;
}

/* An address of an own page, from its path unless a whole URL is configured. */
static struct str page_url(struct arena *a, const struct instance *d, struct str url, struct str path)
{
	return url.len ? url : str_printf_in(a, "http://%.*s:%u%.*s", STRF(d->host), d->port.port, STRF(path));
}

static void describe_addresses(struct self *self, const struct vine_app *app)
{
	const struct props *p = app->props;
	struct instance *d = &self->draft;
	struct arena *a = &self->arena;
	struct str ip = either(props_str(p, "eureka.instance.ip-address"), listening_ip(a, app));
	char name[256] = "localhost";

	gethostname(name, sizeof(name) - 1);
	d->ip = ip;
	d->host = either(props_str(p, "eureka.instance.hostname"), str_dup_in(a, str_from(name)));
	/* One that listens on the loopback alone is reached by no other name. */
	if (props_bool(p, "eureka.instance.prefer-ip-address") || addr_is_loopback(&app->set.address))
		d->host = ip;
	d->port = (struct inst_port){ (uint16_t)atomic_load(&app->port), true };
}

static void describe_metadata(struct self *self, const struct props *p)
{
	struct str keys[INST_META_MAX];
	size_t n = props_keys(p, "eureka.instance.metadata-map.", keys, ARRAY_LEN(keys));

	self->draft.meta = arena_alloc(&self->arena, sizeof(*self->draft.meta) * (n + 1));
	for (size_t i = 0; i < n; i++)
		self->draft.meta[i] = (struct kv){ keys[i], props_str_of(p, "eureka.instance.metadata-map.{key}", keys[i]) };
	self->draft.n_meta = (uint16_t)n;
}

static void describe(struct self *self, const struct vine_app *app)
{
	const struct props *p = app->props;
	struct arena *a = &self->arena;
	struct instance *d = &self->draft;
	struct str name = str_from(app->set.name);

	arena_init(a, 4096);
	*d = instance_draft();
	describe_addresses(self, app);
	d->app = either(props_str(p, "eureka.instance.appname"), name);
	d->vip = either(props_str(p, "eureka.instance.virtual-host-name"), name);
	d->secure_vip = either(props_str(p, "eureka.instance.secure-virtual-host-name"), name);
	d->app_group = props_str(p, "eureka.instance.app-group-name");
	d->instance_id = either(props_str(p, "eureka.instance.instance-id"),
				str_printf_in(a, "%.*s:%s:%u", STRF(d->host), app->set.name, d->port.port));
	d->lease.renewal_s = (uint32_t)(props_ms(p, "eureka.instance.lease-renewal-interval-in-seconds") / 1000);
	d->lease.duration_s = (uint32_t)(props_ms(p, "eureka.instance.lease-expiration-duration-in-seconds") / 1000);
	d->home_url = page_url(a, d, STR_EMPTY, props_str(p, "eureka.instance.home-page-url-path"));
	d->status_url = page_url(a, d, STR_EMPTY, props_str(p, "eureka.instance.status-page-url-path"));
	d->health_url = page_url(a, d, STR_EMPTY, props_str(p, "eureka.instance.health-check-url-path"));
	d->status = INST_UP; /* it listens already */
	describe_metadata(self, p);
}

/* --- life --- */

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
	struct self self = { 0 };

	eureka_client_on_view(m->client, on_view, m);
	if (props_bool(app->props, "eureka.client.register-with-eureka")) {
		describe(&self, app);
		eureka_client_register(m->client, &self.draft, 0);
		arena_fini(&self.arena);
	}
	eureka_client_start(m->client);
}

int membership_new(struct membership **ret, struct vine_app *app, struct err *e)
{
	const struct props *p = app->props;
	struct eureka_client *client;
	struct eureka_client_settings s = {
		.service_urls = props_str_of(p, "eureka.client.service-url.{zone}", STR("defaultZone")),
		.fetch_registry = props_bool(p, "eureka.client.fetch-registry"),
		.only_up = props_bool(p, "eureka.client.filter-only-up-instances"),
		.disable_delta = props_bool(p, "eureka.client.disable-delta"),
		.fetch_interval = props_ms(p, "eureka.client.registry-fetch-interval-seconds") * USEC_PER_MSEC,
		.timeout = props_ms(p, "eureka.client.eureka-server-read-timeout-seconds") * USEC_PER_MSEC,
	};

	if (!props_bool(p, "eureka.client.enabled"))
		return 0;
	rng_os(&s.seed, sizeof(s.seed));

	int r = eureka_client_new(&client, app->client, &s, &app->log, e);

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
