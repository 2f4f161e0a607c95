/* classes.h - the parts of a balancer by name: ours, and the Java classes whose place they take. Const. */
#pragma once
#include "base/str.h"

enum class_kind { CLASS_RULE, CLASS_BALANCER, CLASS_PING, CLASS_LIST, CLASS_FILTER, CLASS_UPDATER, CLASS_KINDS };

enum { BALANCER_PLAIN, BALANCER_ZONE_AWARE };
enum ribbon_ping { PING_NONE, PING_URL, PING_CONSTANT, PING_REGISTRY, PING_USER };
enum ribbon_list { LIST_AUTO, LIST_CONFIGURED, LIST_REGISTRY, LIST_USER };
enum ribbon_updater { UPDATER_PUSH, UPDATER_POLLING, UPDATER_USER };

struct class_name {
	enum class_kind kind;
	struct str name; /* "round-robin", "com.netflix.loadbalancer.RoundRobinRule" */
	int id;          /* one of the enums above; of a filter: enum filter_kind; of a rule: none, see ours */
	struct str ours; /* our name for the same */
};

/* In full, or the last part of a Java class; NULL: unknown. */
const struct class_name *class_find(enum class_kind kind, struct str name);
const struct class_name *class_at(size_t i);              /* all; NULL at the end */
const char *class_property(enum class_kind kind);         /* "NFLoadBalancerRuleClassName" */
const char *class_our_name(enum class_kind kind, int id); /* of all but rules */
