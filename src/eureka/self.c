/* self.c - see self.h. The rules are Spring Cloud's EurekaInstanceConfigBean. */
#include "eureka/self.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include "http/identities.h"
#include "props/props.h"

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

static bool is_any(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) : a->in.sin_addr.s_addr == INADDR_ANY;
}

static struct str listening_ip(struct arena *a, const struct addr *address)
{
	char text[ADDR_TEXT_MAX];

	if (is_any(address))
		return own_ip(a);
	addr_ip_text(address, text);
	return str_dup_in(a, str_from(text));
}

static struct str either(struct str set, struct str otherwise)
{
	return set.len ? set : otherwise;
}

static struct str page_url(struct arena *a, const struct instance *d, struct str path)
{
	if (!d->port.enabled && d->secure_port.enabled)
		return str_printf_in(a, "https://%.*s:%u%.*s", STRF(d->host), d->secure_port.port, STRF(path));
	return str_printf_in(a, "http://%.*s:%u%.*s", STRF(d->host), d->port.port, STRF(path));
}

/* One that listens by TLS says so by itself; what is set has the last word. */
static void describe_tls(struct instance *d, const struct props *p, const struct addr *address)
{
	static const char plain[] = "eureka.instance.non-secure-port-enabled", secure[] = "eureka.instance.secure-port-enabled";
	bool listens = identities_listens(p);
	int64_t port = props_int(p, "eureka.instance.secure-port");

	d->port.enabled = props_is_set(p, plain, STR_EMPTY, false) ? props_bool(p, plain) : !listens;
	d->secure_port.enabled = props_is_set(p, secure, STR_EMPTY, false) ? props_bool(p, secure) : listens;
	if (port > 0)
		d->secure_port.port = (uint16_t)port;
	else if (listens)
		d->secure_port.port = addr_port(address);
}

static void describe_addresses(struct instance *d, struct arena *a, const struct props *p, const struct addr *address)
{
	int64_t port = props_int(p, "eureka.instance.non-secure-port");
	char name[256] = "localhost";

	gethostname(name, sizeof(name) - 1);
	d->ip = either(props_str(p, "eureka.instance.ip-address"), listening_ip(a, address));
	d->host = either(props_str(p, "eureka.instance.hostname"), str_dup_in(a, str_from(name)));
	/* One that listens on the loopback alone is reached by no other name. */
	if (props_bool(p, "eureka.instance.prefer-ip-address") || addr_is_loopback(address))
		d->host = d->ip;
	d->port = (struct inst_port){ port > 0 ? (uint16_t)port : addr_port(address), true };
	describe_tls(d, p, address);
}

static void describe_metadata(struct instance *d, struct arena *a, const struct props *p)
{
	struct str keys[INST_META_MAX];
	size_t n = props_keys(p, "eureka.instance.metadata-map.", keys, ARRAY_LEN(keys));

	d->meta = arena_alloc(a, sizeof(*d->meta) * (n + 1));
	for (size_t i = 0; i < n; i++)
		d->meta[i] = (struct kv){ keys[i], props_str_of(p, "eureka.instance.metadata-map.{key}", keys[i]) };
	d->n_meta = (uint16_t)n;
}

void eureka_self(struct instance *d, struct arena *a, const struct props *p, struct str name, const struct addr *address)
{
	enum inst_status status = INST_UP;

	*d = instance_draft();
	describe_addresses(d, a, p, address);
	d->app = either(props_str(p, "eureka.instance.appname"), name);
	d->vip = either(props_str(p, "eureka.instance.virtual-host-name"), name);
	d->secure_vip = either(props_str(p, "eureka.instance.secure-virtual-host-name"), name);
	d->app_group = str_upper_in(a, props_str(p, "eureka.instance.app-group-name"));
	d->instance_id = either(props_str(p, "eureka.instance.instance-id"),
				str_printf_in(a, "%.*s:%.*s:%u", STRF(d->host), STRF(name), d->port.port));
	d->lease.renewal_s = (uint32_t)(props_ms(p, "eureka.instance.lease-renewal-interval-in-seconds") / 1000);
	d->lease.duration_s = (uint32_t)(props_ms(p, "eureka.instance.lease-expiration-duration-in-seconds") / 1000);
	d->home_url = page_url(a, d, props_str(p, "eureka.instance.home-page-url-path"));
	d->status_url = page_url(a, d, props_str(p, "eureka.instance.status-page-url-path"));
	d->health_url = page_url(a, d, props_str(p, "eureka.instance.health-check-url-path"));
	d->secure_health_url = props_str(p, "eureka.instance.secure-health-check-url");
	if (d->secure_port.enabled && !d->secure_health_url.len)
		d->secure_health_url = str_printf_in(a, "https://%.*s:%u%.*s", STRF(d->host), d->secure_port.port,
						     STRF(props_str(p, "eureka.instance.health-check-url-path")));
	inst_status_parse(props_str(p, "eureka.instance.initial-status"), &status);
	d->status = (uint8_t)status;
	describe_metadata(d, a, p);
}

void eureka_settings(struct eureka_client_settings *s, const struct props *p, uint64_t seed)
{
	*s = (struct eureka_client_settings){
		.service_urls = props_str_of(p, "eureka.client.service-url.{zone}", STR("defaultZone")),
		.token = props_str(p, "vine.eureka.client.token"),
		.fetch_registry = props_bool(p, "eureka.client.fetch-registry"),
		.only_up = props_bool(p, "eureka.client.filter-only-up-instances"),
		.disable_delta = props_bool(p, "eureka.client.disable-delta"),
		.fetch_interval = props_ms(p, "eureka.client.registry-fetch-interval-seconds") * USEC_PER_MSEC,
		.timeout = props_ms(p, "eureka.client.eureka-server-read-timeout-seconds") * USEC_PER_MSEC,
		.seed = seed,
	};
}
