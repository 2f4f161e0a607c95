/* self.c - see self.h. The rules are Spring Cloud's EurekaInstanceConfigBean and Netflix' InstanceInfo. */
#include "eureka/self.h"

#include "http/context.h"
#include "props/machine.h"
#include "props/props.h"

static bool is_any(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) : a->in.sin_addr.s_addr == INADDR_ANY;
}

static struct str listening_ip(struct arena *a, const struct addr *address)
{
	char text[MACHINE_TEXT_MAX];

	if (is_any(address))
		machine_ip(text);
	else
		addr_ip_text(address, text);
	return str_dup_in(a, str_from(text));
}

static struct str either(struct str set, struct str otherwise)
{
	return set.len ? set : otherwise;
}

static struct str machine_name(struct arena *a)
{
	char text[MACHINE_TEXT_MAX];

	machine_hostname(text);
	return str_dup_in(a, str_from(text));
}

static bool is_set(const struct props *p, const char *name)
{
	return props_is_set(p, name, STR_EMPTY, false);
}

/* --- where it runs --- */

#define DC "eureka.instance.data-center-info."

static void describe_data_center(struct instance *d, struct arena *a, const struct props *p)
{
	static const struct str prefix = STR_INIT("metadata.");
	struct str keys[INST_META_MAX], name = props_str_of(p, DC "{setting}", STR("name"));
	size_t n = props_keys(p, DC, keys, ARRAY_LEN(keys));

	d->has_dc = true;
	d->dc = str_eq_nocase(name, STR("Amazon")) ? DC_AMAZON : str_eq_nocase(name, STR("Netflix")) ? DC_NETFLIX : DC_MYOWN;
	if (d->dc != DC_AMAZON)
		return;
	d->dc_meta = arena_alloc(a, sizeof(*d->dc_meta) * (n + 1));
	for (size_t i = 0; i < n; i++) {
		if (str_has_prefix(keys[i], prefix))
			d->dc_meta[d->n_dc_meta++] = (struct kv){ str_slice(keys[i], prefix.len, keys[i].len),
								  props_str_of(p, DC "{setting}", keys[i]) };
	}
}

static struct str dc_meta(const struct instance *d, struct str key)
{
	for (uint16_t i = 0; i < d->n_dc_meta; i++) {
		if (str_eq(d->dc_meta[i].key, key))
			return d->dc_meta[i].value;
	}
	return STR_EMPTY;
}

/* "publicHostname", "public-hostname": the metadata key of a name in default-address-resolution-order. */
static struct str resolved_address(const struct instance *d, const struct props *p)
{
	static const struct { struct str name, key; } names[] = {
		{ STR_INIT("publicHostname"), STR_INIT("public-hostname") }, { STR_INIT("localHostname"), STR_INIT("local-hostname") },
		{ STR_INIT("publicIpv4"), STR_INIT("public-ipv4") },	     { STR_INIT("localIpv4"), STR_INIT("local-ipv4") },
		{ STR_INIT("ipv6"), STR_INIT("ipv6") },
	};
	struct str order[8];
	size_t n = props_list(p, "eureka.instance.default-address-resolution-order", STR_EMPTY, order, ARRAY_LEN(order));

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			struct str found = dc_meta(d, names[k].key);

			if ((str_eq_nocase(order[i], names[k].name) || str_eq(order[i], names[k].key)) && found.len)
				return found;
		}
	}
	return STR_EMPTY;
}

/* --- addresses and ports --- */

/* One that listens by TLS says so by itself; what is set has the last word. A plain port that is set is somebody's before us. */
static void describe_ports(struct instance *d, const struct props *p, const struct eureka_place *at)
{
	static const char plain_told[] = "eureka.instance.non-secure-port-enabled", secure_told[] = "eureka.instance.secure-port-enabled";
	int64_t plain = props_int(p, "eureka.instance.non-secure-port"), secure = props_int(p, "eureka.instance.secure-port");
	uint16_t own = addr_port(at->address);

	d->port.port = plain > 0 ? (uint16_t)plain : own;
	d->port.enabled = is_set(p, plain_told) ? props_bool(p, plain_told) : !at->secure || plain > 0;
	d->secure_port.enabled = is_set(p, secure_told) ? props_bool(p, secure_told) : at->secure;
	d->secure_port.port = secure > 0 ? (uint16_t)secure : d->secure_port.enabled ? own : 443;
}

static void describe_addresses(struct instance *d, struct arena *a, const struct props *p, const struct eureka_place *at)
{
	struct str set = props_str(p, "eureka.instance.hostname");

	d->ip = either(props_str(p, "eureka.instance.ip-address"), either(dc_meta(d, STR("local-ipv4")), listening_ip(a, at->address)));
	d->host = either(set, either(resolved_address(d, p), machine_name(a)));
	/* One that listens on the loopback alone is reached by no other name. */
	if (props_bool(p, "eureka.instance.prefer-ip-address") || addr_is_loopback(at->address))
		d->host = d->ip;
	describe_ports(d, p, at);
}

static struct str host_in_url(struct arena *a, const struct instance *d)
{
	return str_chr(d->host, ':') < 0 ? d->host : str_printf_in(a, "[%.*s]", STRF(d->host));
}

static const struct contexts *paths_of(const struct eureka_place *at)
{
	return at->paths ? at->paths : &contexts_default;
}

/* One of ours: the context path, the endpoints' path, its name. One that is set stands below the context path, as Spring has it,
 * and below Boot 1's management.context-path; it may begin with what it stands below. */
static struct str endpoint_path(struct arena *a, const struct props *p, const struct eureka_place *at, const char *key, const char *name)
{
	const struct contexts *c = paths_of(at);
	struct str base = contexts_of_management(c, at->management_port != 0), set = props_str(p, key), whole;

	if (!is_set(p, key))
		return str_printf_in(a, "%.*s/%s", STRF(contexts_endpoints(a, c, at->management_port != 0)), name);
	if (!is_set(p, "management.endpoints.web.base-path") && is_set(p, "management.context-path"))
		base = contexts_endpoints(a, c, at->management_port != 0);
	whole = str_printf_in(a, "%s%.*s", str_has_prefix(set, STR("/")) ? "" : "/", STRF(set));
	if (context_place_of(base, whole) == CONTEXT_INSIDE)
		return whole;
	return str_printf_in(a, "%.*s%.*s", STRF(base), STRF(whole));
}

static struct str home_path(struct arena *a, const struct props *p, const struct eureka_place *at)
{
	struct str set = props_str(p, "eureka.instance.home-page-url-path");

	if (!is_set(p, "eureka.instance.home-page-url-path"))
		return str_printf_in(a, "%.*s/", STRF(basepath_str(&paths_of(at)->server)));
	return str_printf_in(a, "%s%.*s", str_has_prefix(set, STR("/")) ? "" : "/", STRF(set));
}

/* Where only TLS is told, pages are there too. */
static struct str page_url(struct arena *a, const struct instance *d, const struct eureka_place *at, struct str path, bool management)
{
	bool plain = d->port.enabled || !d->secure_port.enabled;
	unsigned port = plain ? d->port.port : d->secure_port.port;

	if (management && at->management_port) {
		plain = !at->management_secure;
		port = at->management_port;
	}
	return str_printf_in(a, "http%s://%.*s:%u%.*s", plain ? "" : "s", STRF(host_in_url(a, d)), port, STRF(path));
}

static void describe_pages(struct instance *d, struct arena *a, const struct props *p, const struct eureka_place *at)
{
	struct str secure = props_str(p, "eureka.instance.secure-health-check-url");
	struct str status = endpoint_path(a, p, at, "eureka.instance.status-page-url-path", "info");
	struct str health = endpoint_path(a, p, at, "eureka.instance.health-check-url-path", "health");

	d->home_url = either(props_str(p, "eureka.instance.home-page-url"), page_url(a, d, at, home_path(a, p, at), false));
	d->status_url = either(props_str(p, "eureka.instance.status-page-url"), page_url(a, d, at, status, true));
	d->health_url = either(props_str(p, "eureka.instance.health-check-url"), page_url(a, d, at, health, true));
	if (secure.len)
		d->secure_health_url = secure;
	else if (d->secure_port.enabled)
		d->secure_health_url = str_printf_in(a, "https://%.*s:%u%.*s", STRF(host_in_url(a, d)), d->secure_port.port, STRF(health));
}

/* --- the rest --- */

static void describe_metadata(struct instance *d, struct arena *a, const struct props *p, const struct eureka_place *at)
{
	struct str keys[INST_META_MAX - 2], endpoints = contexts_endpoints(a, paths_of(at), at->management_port != 0);
	size_t n = props_keys(p, "eureka.instance.metadata-map.", keys, ARRAY_LEN(keys));
	bool told = false, path_told = str_eq(endpoints, STR("/actuator")); /* what everybody takes it for */

	d->meta = arena_alloc(a, sizeof(*d->meta) * (n + 2));
	for (size_t i = 0; i < n; i++) {
		d->meta[i] = (struct kv){ keys[i], props_str_of(p, "eureka.instance.metadata-map.{key}", keys[i]) };
		told |= str_eq(keys[i], STR("management.port"));
		path_told |= str_eq(keys[i], STR("management.context-path"));
	}
	if (!path_told) /* Boot Admin reads it, and who adds up our streams */
		d->meta[n++] = (struct kv){ STR("management.context-path"), endpoints.len ? endpoints : STR("/") };
	if (!told)
		d->meta[n++] = (struct kv){ STR("management.port"),
					    str_printf_in(a, "%u", at->management_port ? at->management_port : addr_port(at->address)) };
	d->n_meta = (uint16_t)n;
}

static struct str default_id(struct arena *a, const struct props *p, const struct instance *d, struct str name)
{
	const struct prop_value *own = props_get(p, STR("spring.application.instance_id"));
	unsigned port = d->port.enabled || !d->secure_port.enabled ? d->port.port : d->secure_port.port;

	if (own && own->value.len)
		return str_printf_in(a, "%.*s:%.*s:%.*s", STRF(d->host), STRF(name), STRF(own->value));
	return str_printf_in(a, "%.*s:%.*s:%u", STRF(d->host), STRF(name), port);
}

void eureka_self(struct instance *d, struct arena *a, const struct props *p, struct str name, const struct eureka_place *at)
{
	enum inst_status status = INST_UP;
	struct str asg = props_str(p, "eureka.instance.a-s-g-name");

	*d = instance_draft();
	describe_data_center(d, a, p);
	describe_addresses(d, a, p, at);
	d->app = either(props_str(p, "eureka.instance.appname"), name);
	d->vip = either(props_str(p, "eureka.instance.virtual-host-name"), name);
	d->secure_vip = either(props_str(p, "eureka.instance.secure-virtual-host-name"), name);
	d->app_group = str_upper_in(a, props_str(p, "eureka.instance.app-group-name"));
	if (asg.len)
		d->asg = asg;
	d->instance_id = either(props_str(p, "eureka.instance.instance-id"), default_id(a, p, d, name));
	/* A heartbeat a second is the most: without a pause they would be all that is done. */
	d->lease.renewal_s =
		MAX((uint32_t)(props_ms(p, "eureka.instance.lease-renewal-interval-in-seconds") / 1000), 1u);
	d->lease.duration_s = (uint32_t)(props_ms(p, "eureka.instance.lease-expiration-duration-in-seconds") / 1000);
	describe_pages(d, a, p, at);
	inst_status_parse_nocase(props_str(p, "eureka.instance.initial-status"), &status);
	d->status = (uint8_t)status;
	describe_metadata(d, a, p, at);
}

/* --- how it talks to the registry --- */

#define ZONES "eureka.client.availability-zones.{region}"

static size_t zones_of(const struct props *p, struct str ret[EUREKA_ZONES_MAX])
{
	size_t n = props_list(p, ZONES, props_str(p, "eureka.client.region"), ret, EUREKA_ZONES_MAX);

	if (n)
		return n;
	ret[0] = STR("defaultZone");
	return 1;
}

static bool is_among(struct str zone, const struct str *zones, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(zones[i], zone))
			return true;
	}
	return false;
}

/* metadata-map.zone, or Amazon's zone, where the list has it; else the list's first. */
static struct str own_zone(const struct props *p, const struct str *zones, size_t n)
{
	struct str meta = props_str_of(p, "eureka.instance.metadata-map.{key}", STR("zone"));
	struct str amazon = props_str_of(p, DC "{setting}", STR("metadata.availability-zone"));

	return is_among(meta, zones, n) ? meta : is_among(amazon, zones, n) ? amazon : zones[0];
}

/* A zone without URLs of its own has those of defaultZone. */
static void read_zones(struct eureka_client_settings *s, const struct props *p)
{
	struct str zones[EUREKA_ZONES_MAX];
	size_t n = zones_of(p, zones);
	struct str own = own_zone(p, zones, n);
	bool near_first = props_bool(p, "eureka.client.prefer-same-zone-eureka");

	for (size_t i = 0; i < n; i++) {
		struct str key = props_is_set(p, "eureka.client.service-url.{zone}", zones[i], false) ? zones[i] : STR("defaultZone");

		s->zone[s->n_zones++] = (struct eureka_zone){
			.name = zones[i],
			.urls = props_str_of(p, "eureka.client.service-url.{zone}", key),
			.own = !near_first || str_eq(zones[i], own),
		};
	}
	if (near_first)
		s->dns.own_zone = props_list(p, ZONES, props_str(p, "eureka.client.region"), zones, 1) ? own : STR_EMPTY;
}

size_t eureka_unused_zones(const struct props *p, struct str *ret, size_t max)
{
	struct str zones[EUREKA_ZONES_MAX], set[EUREKA_ZONES_MAX];
	size_t n = zones_of(p, zones), n_set = props_keys(p, "eureka.client.service-url.", set, EUREKA_ZONES_MAX), k = 0;

	for (size_t i = 0; i < n_set && k < max; i++) {
		if (!is_among(set[i], zones, n) && !str_eq(set[i], STR("defaultZone")))
			ret[k++] = set[i];
	}
	return k;
}

static void read_dns_and_proxy(struct eureka_client_settings *s, const struct props *p)
{
	int64_t port = props_int(p, "eureka.client.proxy-port");

	s->dns.on = props_bool(p, "eureka.client.use-dns-for-fetching-service-urls");
	s->dns.region = props_str(p, "eureka.client.region");
	s->dns.domain = props_str(p, "eureka.client.eureka-server-d-n-s-name");
	s->dns.port = props_str(p, "eureka.client.eureka-server-port");
	s->dns.path = props_str(p, "eureka.client.eureka-server-u-r-l-context");
	s->dns.server = props_str(p, "vine.eureka.dns-server");
	s->proxy.host = props_str(p, "eureka.client.proxy-host");
	s->proxy.port = port > 0 ? (uint16_t)port : 80;
	s->proxy.user = props_str(p, "eureka.client.proxy-user-name");
	s->proxy.password = props_str(p, "eureka.client.proxy-password");
}

static usec span(const struct props *p, const char *name)
{
	return props_ms(p, name) * USEC_PER_MSEC;
}

void eureka_settings(struct eureka_client_settings *s, const struct props *p, uint64_t seed)
{
	*s = (struct eureka_client_settings){
		.token = props_str(p, "vine.eureka.client.token"),
		.fetch_registry = props_bool(p, "eureka.client.fetch-registry"),
		.only_up = props_bool(p, "eureka.client.filter-only-up-instances"),
		.disable_delta = props_bool(p, "eureka.client.disable-delta"),
		.watch = props_bool(p, "vine.eureka.watch.enabled"),
		.log_delta_diff = props_bool(p, "eureka.client.log-delta-diff"),
		.no_gzip = !props_bool(p, "eureka.client.g-zip-content"),
		.allow_redirects = props_bool(p, "eureka.client.allow-redirects"),
		.drop_missing = !props_bool(p, "vine.eureka.hold-missing"),
		.sudden_loss = (unsigned)props_int(p, "vine.eureka.sudden-loss-percent"),
		.changes_wait = !props_bool(p, "eureka.client.on-demand-update-status-change"),
		.fetch_bound = (unsigned)props_int(p, "eureka.client.cache-refresh-executor-exponential-back-off-bound"),
		.heartbeat_bound = (unsigned)props_int(p, "eureka.client.heartbeat-executor-exponential-back-off-bound"),
		.single_vip = props_str(p, "eureka.client.registry-refresh-single-vip-address"),
		.regions = props_str(p, "eureka.client.fetch-remote-regions-registry"),
		.fetch_interval = span(p, "eureka.client.registry-fetch-interval-seconds"),
		.connect_timeout = span(p, "eureka.client.eureka-server-connect-timeout-seconds"),
		.timeout = span(p, "eureka.client.eureka-server-read-timeout-seconds"),
		.idle_timeout = span(p, "eureka.client.eureka-connection-idle-timeout-seconds"),
		.poll_interval = span(p, "eureka.client.eureka-service-url-poll-interval-seconds"),
		.first_look = span(p, "eureka.client.initial-instance-info-replication-interval-seconds"),
		.look_interval = span(p, "eureka.client.instance-info-replication-interval-seconds"),
		.seed = seed,
	};
	read_zones(s, p);
	read_dns_and_proxy(s, p);
}
