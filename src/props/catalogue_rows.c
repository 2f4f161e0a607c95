/* catalogue_rows.c - the rows. Order: by family; within one, as their documentation lists them. */
#include "props/catalogue.h"

#define B(n, d, doc_) { .name = n, .type = PROP_BOOL, .def = d, .doc = doc_ }
#define I(n, d, lo, hi, doc_) { .name = n, .type = PROP_INT, .def = d, .min = lo, .max = hi, .doc = doc_ }
#define MS(n, d, lo, hi, doc_) { .name = n, .type = PROP_MS, .def = d, .unit = "ms", .min = lo, .max = hi, .doc = doc_ }
#define SEC(n, d, lo, hi, doc_) { .name = n, .type = PROP_SEC, .def = d, .unit = "s", .min = lo, .max = hi, .doc = doc_ }
#define BYTES(n, d, lo, hi, doc_) { .name = n, .type = PROP_BYTES, .def = d, .unit = "bytes", .min = lo, .max = hi, .doc = doc_ }
#define S(n, d, doc_) { .name = n, .type = PROP_STR, .def = d, .doc = doc_ }
#define E(n, d, v, doc_) { .name = n, .type = PROP_ENUM, .def = d, .values = v, .doc = doc_ }
#define L(n, d, doc_) { .name = n, .type = PROP_LIST, .def = d, .doc = doc_ }
#define HOUR 3600000
#define INT INT32_MAX

/* The same client property in its form per client and for all. */
#define RIBBON(macro, n, ...) macro("{client}.ribbon." n, __VA_ARGS__), macro("ribbon." n, __VA_ARGS__)

const struct prop_desc prop_catalogue[] = {
	/* server, management, logging, spring */
	I("server.port", NULL, 0, 65535, "port to listen on; 0 picks a free one; default by role"),
	S("server.address", NULL, "address to listen on"),
	S("spring.application.name", NULL, "the name under which this process is known"),
	L("spring.profiles.active", NULL, "profiles whose files and documents hold"),
	L("spring.config.import", NULL, "further files to read"),
	S("spring.config.activate.on-profile", NULL, "the document holds only where this expression is true"),
	SEC("spring.lifecycle.timeout-per-shutdown-phase", "30", 0, 3600, "how long draining may take"),
	I("management.server.port", NULL, 0, 65535, "a listener of its own for the management endpoints"),
	S("management.server.address", NULL, "address of that listener"),
	E("logging.level.{logger}", NULL, "TRACE DEBUG INFO WARN ERROR OFF", "level of a logger and those below it; root is all"),

	/* zuul */
	S("zuul.prefix", "", "put before every route's path"),
	B("zuul.strip-prefix", "true", "takes zuul.prefix off before forwarding"),
	B("zuul.retryable", NULL, "default of routes.{id}.retryable; unset: safe methods are tried again"),
	L("zuul.ignored-services", NULL, "services that get no route of their own; * is a wildcard"),
	L("zuul.ignored-patterns", NULL, "paths that are never proxied"),
	L("zuul.sensitive-headers", "Cookie,Set-Cookie,Authorization", "fields that are not passed on, either way"),
	L("zuul.ignored-headers", NULL, "fields that are dropped, either way"),
	B("zuul.add-proxy-headers", "true", "adds X-Forwarded-*"),
	B("zuul.add-host-header", "false", "passes the client's Host on"),
	S("zuul.routes.{id}", NULL, "short form: the path, or path=location"),
	S("zuul.routes.{id}.path", NULL, "Ant pattern; default /{id}/**"),
	S("zuul.routes.{id}.service-id", NULL, "the service that gets it; default: the id"),
	S("zuul.routes.{id}.url", NULL, "an address instead of a service"),
	B("zuul.routes.{id}.strip-prefix", "true", "takes off what stands before the first wildcard"),
	B("zuul.routes.{id}.retryable", NULL, "may a request that was sent be tried again"),
	L("zuul.routes.{id}.sensitive-headers", NULL, "replaces zuul.sensitive-headers, also if empty"),
	E("zuul.ribbon-isolation-strategy", "SEMAPHORE", "SEMAPHORE THREAD", "kind of bulkhead"),
	I("zuul.semaphore.max-semaphores", "100", 0, INT, "requests under way to one service"),
	I("zuul.eureka.{service}.semaphore.max-semaphores", NULL, 0, INT, "the same for one service"),
	B("zuul.thread-pool.use-separate-thread-pools", "false", "with THREAD: a pool a service"),
	S("zuul.thread-pool.thread-pool-key-prefix", "", "put before the service's name"),

	/* hystrix */
	E("hystrix.command.{key}.execution.isolation.strategy", "THREAD", "THREAD SEMAPHORE", "kind of bulkhead"),
	MS("hystrix.command.{key}.execution.isolation.thread.timeoutInMilliseconds", "1000", 1, HOUR, "the command's timeout"),
	B("hystrix.command.{key}.execution.timeout.enabled", "true", "is there a timeout"),
	B("hystrix.command.{key}.execution.isolation.thread.interruptOnTimeout", "true", "end the work in flight at the timeout"),
	B("hystrix.command.{key}.execution.isolation.thread.interruptOnFutureCancel", "false", "end it when the caller cancels"),
	I("hystrix.command.{key}.execution.isolation.semaphore.maxConcurrentRequests", "10", 0, INT, "calls under way"),
	I("hystrix.command.{key}.fallback.isolation.semaphore.maxConcurrentRequests", "10", 0, INT, "fallbacks under way"),
	B("hystrix.command.{key}.fallback.enabled", "true", "may fallbacks run"),
	B("hystrix.command.{key}.circuitBreaker.enabled", "true", "is there a breaker"),
	I("hystrix.command.{key}.circuitBreaker.requestVolumeThreshold", "20", 1, INT, "fewer calls in the window never open"),
	MS("hystrix.command.{key}.circuitBreaker.sleepWindowInMilliseconds", "5000", 1, HOUR, "how long it stays open before a trial"),
	I("hystrix.command.{key}.circuitBreaker.errorThresholdPercentage", "50", 0, 100, "share of errors that opens"),
	B("hystrix.command.{key}.circuitBreaker.forceOpen", "false", "refuses everything"),
	B("hystrix.command.{key}.circuitBreaker.forceClosed", "false", "lets everything pass"),
	MS("hystrix.command.{key}.metrics.rollingStats.timeInMilliseconds", "10000", 100, HOUR, "window of the counts"),
	I("hystrix.command.{key}.metrics.rollingStats.numBuckets", "10", 1, 1000, "its buckets"),
	B("hystrix.command.{key}.metrics.rollingPercentile.enabled", "true", "are latencies kept"),
	MS("hystrix.command.{key}.metrics.rollingPercentile.timeInMilliseconds", "60000", 100, HOUR, "window of the latencies"),
	I("hystrix.command.{key}.metrics.rollingPercentile.numBuckets", "6", 1, 1000, "its buckets"),
	MS("hystrix.command.{key}.metrics.healthSnapshot.intervalInMilliseconds", "500", 1, 60000, "health is judged at most so often"),
	B("hystrix.command.{key}.requestCache.enabled", "true", "may results be shared within a request"),
	B("hystrix.command.{key}.requestLog.enabled", "true", "are commands noted in the request's log"),
	I("hystrix.config.stream.maxConcurrentConnections", "5", 0, 10000, "readers of /hystrix.stream at once"),
	MS("hystrix.stream.dashboard.intervalInMilliseconds", "500", 50, 60000, "how often the stream tells"),

	/* ribbon */
	RIBBON(L, "listOfServers", NULL, "the servers, host:port"),
	RIBBON(MS, "ConnectTimeout", "1000", 1, HOUR, "for a connection to stand"),
	RIBBON(MS, "ReadTimeout", "1000", 1, HOUR, "for the head of a response, each try"),
	RIBBON(I, "MaxAutoRetries", "0", 0, 16, "further tries on the same server"),
	RIBBON(I, "MaxAutoRetriesNextServer", "1", 0, 16, "further servers to try"),
	RIBBON(B, "OkToRetryOnAllOperations", "false", "also methods that are not safe"),
	RIBBON(L, "retryableStatusCodes", NULL, "statuses that are tried again"),
	RIBBON(I, "MaxConnectionsPerHost", "50", 1, INT, "connections to one server"),
	RIBBON(I, "MaxTotalConnections", "200", 1, INT, "connections of one client"),
	RIBBON(S, "NFLoadBalancerRuleClassName", NULL, "the balancer's rule"),
	B("ribbon.eureka.enabled", "true", "take server lists from the registry"),
	B("{client}.ribbon.eureka.enabled", NULL, "the same for one client"),

	/* eureka */
	B("eureka.client.enabled", "true", "is there a discovery client"),
	B("eureka.client.register-with-eureka", "true", "register this process"),
	B("eureka.client.fetch-registry", "true", "fetch what others registered"),
	S("eureka.client.service-url.{zone}", "http://localhost:8761/eureka/", "registries, comma-separated"),
	SEC("eureka.client.registry-fetch-interval-seconds", "30", 0, 86400, "how often to fetch"),
	SEC("eureka.client.instance-info-replication-interval-seconds", "30", 1, 86400, "how often changes are looked for"),
	SEC("eureka.client.eureka-server-connect-timeout-seconds", "5", 0, 3600, "for a connection to the registry"),
	SEC("eureka.client.eureka-server-read-timeout-seconds", "8", 0, 3600, "for its answer"),
	B("eureka.client.filter-only-up-instances", "true", "use only instances that are UP"),
	B("eureka.client.disable-delta", "false", "always fetch everything"),
	B("eureka.client.should-unregister-on-shutdown", "true", "leave when the process ends"),
	S("eureka.instance.appname", NULL, "name in the registry; default spring.application.name"),
	S("eureka.instance.instance-id", NULL, "default host:app:port"),
	S("eureka.instance.hostname", NULL, "default: the machine's"),
	S("eureka.instance.ip-address", NULL, "default: the first that is not loopback"),
	B("eureka.instance.prefer-ip-address", "false", "use the address as host name"),
	I("eureka.instance.non-secure-port", NULL, 0, 65535, "default server.port"),
	S("eureka.instance.virtual-host-name", NULL, "VIP; default the name"),
	SEC("eureka.instance.lease-renewal-interval-in-seconds", "30", 0, 86400, "how often a heartbeat is sent"),
	SEC("eureka.instance.lease-expiration-duration-in-seconds", "90", 0, 86400, "how long the lease lives without one"),
	S("eureka.instance.metadata-map.{key}", NULL, "what else others may want to know"),
	S("eureka.instance.status-page-url-path", "/actuator/info", "path of the status page"),
	S("eureka.instance.health-check-url-path", "/actuator/health", "path of the health check"),
	S("eureka.instance.home-page-url-path", "/", "path of the home page"),
	E("eureka.instance.initial-status", "UP", "UP DOWN STARTING OUT_OF_SERVICE UNKNOWN", "status at registration"),
	B("eureka.server.enable-self-preservation", "true", "keep leases when too many renewals are missing"),
	{ .name = "eureka.server.renewal-percent-threshold", .type = PROP_DOUBLE, .def = "0.85", .doc = "share of renewals that must come" },
	MS("eureka.server.eviction-interval-timer-in-ms", "60000", 1, HOUR, "how often leases are looked at"),
	MS("eureka.server.retention-time-in-m-s-in-delta-queue", "180000", 1000, HOUR, "how long a change stays in the delta"),
	B("eureka.server.disable-delta", "false", "no deltas"),
	S("eureka.environment", "test", "shown on the page"),
	S("eureka.datacenter", "default", "shown on the page"),

	/* vine */
	S("vine.data-dir", NULL, "folder for what must outlive the process"),
	I("vine.workers", NULL, 1, 64, "worker threads; default: one a core"),
	L("vine.up.roles", "registry,gateway", "which roles vine up starts, in this order"),
	I("vine.up.ports.{role}", NULL, 0, 65535, "port of a role under vine up; 0 picks a free one; default by role"),
	E("vine.log.format", "logfmt", "logfmt json", "form of log lines"),
	S("vine.management.user", NULL, "user for the management endpoints"),
	{ .name = "vine.management.password", .type = PROP_STR, .secret = true, .doc = "its password" },
	BYTES("vine.http.max-head-bytes", "32768", 1024, 1048576, "a request's head; past it 431 or 414"),
	I("vine.http.max-headers", "100", 8, 128, "fields of a head"),
	BYTES("vine.http.max-body-bytes", "10MB", 0, INT64_MAX, "bodies that Vine itself reads whole"),
	I("vine.http.max-connections", "20000", 1, INT, "connections at once, over all workers"),
	MS("vine.http.head-timeout-ms", "10000", 10, HOUR, "for a whole head"),
	MS("vine.http.idle-timeout-ms", "60000", 10, 24 * HOUR, "a kept connection without a request"),
	MS("vine.http.body-idle-timeout-ms", "60000", 10, 24 * HOUR, "between two pieces of a body"),
	BYTES("vine.gateway.replay-buffer", "16KB", 0, 16 << 20, "request body kept for another try"),
	S("vine.gateway.access-log", "stdout", "file, stdout or off"),
	L("vine.gateway.trusted-proxies", NULL, "addresses whose X-Forwarded-* are believed, CIDR"),
	S("vine.gateway.balancer", "p2c", "rule where none is configured"),
	B("vine.gateway.outlier-ejection.enabled", "true", "servers that fail are left out for a while"),
	S("vine.gateway.fallbacks.{service}.body", NULL, "answer when the service cannot; * is any service"),
	S("vine.gateway.fallbacks.{service}.content-type", "application/json", "its type"),
	I("vine.gateway.fallbacks.{service}.status", "200", 200, 599, "its status"),
	B("vine.gateway.discovery-routes", "true", "a route /{serviceId}/** for each service of the registry"),
	{ .name = "vine.trace.sample-rate", .type = PROP_DOUBLE, .def = "0.1", .doc = "share of new traces that are sampled" },
	B("vine.registry.eureka-lease-doubling", "false", "leases live twice their duration, as Eureka's do"),
	I("vine.registry.max-instances", "200000", 1, INT, "more are refused with 503"),
};

const size_t prop_catalogue_len = ARRAY_LEN(prop_catalogue);
