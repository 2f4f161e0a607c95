/* classes.c - see classes.h. The rows of the catalogue name the same (a test holds both together). */
#include "ribbon/classes.h"

#include "flow/filter.h"
#include "props/catalogue.h"

#define NETFLIX "com.netflix.loadbalancer."
#define NIWS "com.netflix.niws.loadbalancer."
#define SPRING "org.springframework.cloud.netflix.ribbon."

#define RULE(name)                                                                                                     \
	{                                                                                                              \
		CLASS_RULE, STR_INIT(name), 0, STR_INIT(name)                                                          \
	}
#define JAVA_RULE(cls, name)                                                                                           \
	{                                                                                                              \
		CLASS_RULE, STR_INIT(NETFLIX cls), 0, STR_INIT(name)                                                   \
	}
#define PART(kind, id, name)                                                                                           \
	{                                                                                                              \
		kind, STR_INIT(name), id, STR_INIT(name)                                                               \
	}
#define JAVA(kind, id, cls, name)                                                                                      \
	{                                                                                                              \
		kind, STR_INIT(cls), id, STR_INIT(name)                                                                \
	}

static const struct class_name classes[] = {
	RULE("p2c"),
	RULE("round-robin"),
	RULE("random"),
	RULE("least-requests"),
	RULE("best-available"),
	RULE("availability-filtering"),
	RULE("weighted-response-time"),
	RULE("zone-avoidance"),
	RULE("retry"),
	RULE("ring-hash"),
	RULE("maglev"),
	JAVA_RULE("RoundRobinRule", "round-robin"),
	JAVA_RULE("RandomRule", "random"),
	JAVA_RULE("BestAvailableRule", "best-available"),
	JAVA_RULE("AvailabilityFilteringRule", "availability-filtering"),
	JAVA_RULE("WeightedResponseTimeRule", "weighted-response-time"),
	JAVA_RULE("ZoneAvoidanceRule", "zone-avoidance"),
	JAVA_RULE("RetryRule", "retry"),
	PART(CLASS_BALANCER, BALANCER_PLAIN, "plain"),
	PART(CLASS_BALANCER, BALANCER_ZONE_AWARE, "zone-aware"),
	JAVA(CLASS_BALANCER, BALANCER_PLAIN, NETFLIX "BaseLoadBalancer", "plain"),
	JAVA(CLASS_BALANCER, BALANCER_PLAIN, NETFLIX "DynamicServerListLoadBalancer", "plain"),
	JAVA(CLASS_BALANCER, BALANCER_ZONE_AWARE, NETFLIX "ZoneAwareLoadBalancer", "zone-aware"),
	PART(CLASS_PING, PING_NONE, "none"),
	PART(CLASS_PING, PING_URL, "url"),
	PART(CLASS_PING, PING_CONSTANT, "constant"),
	PART(CLASS_PING, PING_REGISTRY, "registry"),
	JAVA(CLASS_PING, PING_NONE, NETFLIX "DummyPing", "none"),
	JAVA(CLASS_PING, PING_NONE, NETFLIX "NoOpPing", "none"),
	JAVA(CLASS_PING, PING_URL, NETFLIX "PingUrl", "url"),
	JAVA(CLASS_PING, PING_CONSTANT, NETFLIX "PingConstant", "constant"),
	JAVA(CLASS_PING, PING_REGISTRY, NIWS "NIWSDiscoveryPing", "registry"),
	PART(CLASS_LIST, LIST_CONFIGURED, "configured"),
	PART(CLASS_LIST, LIST_REGISTRY, "registry"),
	JAVA(CLASS_LIST, LIST_CONFIGURED, NETFLIX "ConfigurationBasedServerList", "configured"),
	JAVA(CLASS_LIST, LIST_REGISTRY, NIWS "DiscoveryEnabledNIWSServerList", "registry"),
	JAVA(CLASS_LIST, LIST_CONFIGURED, SPRING "StaticServerList", "configured"),
	JAVA(CLASS_LIST, LIST_REGISTRY, SPRING "eureka.DomainExtractingServerList", "registry"),
	PART(CLASS_FILTER, FILTER_NONE, "none"),
	PART(CLASS_FILTER, FILTER_ZONE_AFFINITY, "zone-affinity"),
	PART(CLASS_FILTER, FILTER_ZONE_PREFERENCE, "zone-preference"),
	PART(CLASS_FILTER, FILTER_SUBSET, "subset"),
	PART(CLASS_FILTER, FILTER_STABLE_SUBSET, "stable-subset"),
	JAVA(CLASS_FILTER, FILTER_ZONE_AFFINITY, NETFLIX "ZoneAffinityServerListFilter", "zone-affinity"),
	JAVA(CLASS_FILTER, FILTER_SUBSET, NETFLIX "ServerListSubsetFilter", "subset"),
	JAVA(CLASS_FILTER, FILTER_ZONE_PREFERENCE, SPRING "ZonePreferenceServerListFilter", "zone-preference"),
	JAVA(CLASS_FILTER, FILTER_ZONE_AFFINITY, NIWS "DefaultNIWSServerListFilter", "zone-affinity"),
	PART(CLASS_UPDATER, UPDATER_PUSH, "push"),
	PART(CLASS_UPDATER, UPDATER_POLLING, "polling"),
	JAVA(CLASS_UPDATER, UPDATER_POLLING, NETFLIX "PollingServerListUpdater", "polling"),
	JAVA(CLASS_UPDATER, UPDATER_PUSH, NIWS "EurekaNotificationServerListUpdater", "push"),
};

const struct class_name *class_find(enum class_kind kind, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (classes[i].kind == kind && prop_class_is(name, classes[i].name))
			return &classes[i];
	}
	return NULL;
}

const struct class_name *class_at(size_t i)
{
	return i < ARRAY_LEN(classes) ? &classes[i] : NULL;
}

const char *class_property(enum class_kind kind)
{
	static const char *const names[] = {
		[CLASS_RULE] = "NFLoadBalancerRuleClassName",     [CLASS_BALANCER] = "NFLoadBalancerClassName",
		[CLASS_PING] = "NFLoadBalancerPingClassName",     [CLASS_LIST] = "NIWSServerListClassName",
		[CLASS_FILTER] = "NIWSServerListFilterClassName", [CLASS_UPDATER] = "ServerListUpdaterClassName",
	};

	return names[kind];
}

const char *class_our_name(enum class_kind kind, int id)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (classes[i].kind == kind && kind != CLASS_RULE && classes[i].id == id)
			return classes[i].ours.ptr;
	}
	return "?";
}
