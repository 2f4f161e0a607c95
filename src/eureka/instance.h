/* instance.h - one registered instance: everything that Eureka says of it, as a value that never changes.
 *
 * An instance is one block of memory with its strings behind it, counted, and immutable from instance_new on, so any
 * thread may read one that it holds a reference to. Whoever wants another state copies the struct (a draft: strings still
 * borrowed), changes fields and calls instance_new again.
 *
 * A str with a NULL ptr is absent (left out on the wire), one with a ptr and length 0 was given as "".
 * Times are wall-clock milliseconds, as on the wire; 0: not set. */
#pragma once
#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "eureka/status.h"

/* What a peer may send; past it the instance is refused with a line that names the field. */
#define INST_ID_MAX 512
#define INST_NAME_MAX 255      /* app, app group, host, ip, asg, sid */
#define INST_VIP_MAX 1024      /* comma-separated names */
#define INST_URL_MAX 2048
#define INST_META_MAX 128      /* entries */
#define INST_META_KEY_MAX 256
#define INST_META_VALUE_MAX 4096
#define INST_META_BYTES_MAX (32 * 1024) /* keys and values together */
#define INST_BODY_MAX (256 * 1024)      /* the whole text of one instance */
#define INST_DEPTH_MAX 16

#define LEASE_RENEWAL_DEFAULT 30  /* seconds */
#define LEASE_DURATION_DEFAULT 90
#define LEASE_SECONDS_MAX (7 * 24 * 3600)

enum inst_dc { DC_MYOWN, DC_AMAZON, DC_NETFLIX };

struct kv {
	struct str key, value;
};

struct inst_port {
	uint16_t port;
	bool enabled;
};

struct inst_lease {
	uint32_t renewal_s, duration_s; /* after defaults */
	msec registered, renewed, evicted, service_up;
};

struct instance {
	_Atomic uint32_t refs; /* 0 in a draft */
	uint8_t status;        /* enum inst_status; the effective one, after overrides */
	uint8_t overridden;    /* enum inst_status; INST_UNKNOWN: none */
	uint8_t dc;            /* enum inst_dc */
	uint8_t action;        /* enum inst_action */
	bool has_dc;           /* dataCenterInfo was there */
	bool coordinating;     /* isCoordinatingDiscoveryServer */
	struct inst_port port, secure_port;
	uint16_t n_meta, n_dc_meta;
	int32_t country;
	struct str id;          /* effective id: what paths and maps use */
	struct str instance_id; /* the field as given */
	struct str host, app, ip, sid, app_group, vip, secure_vip, asg;
	struct str home_url, status_url, health_url, secure_health_url;
	struct inst_lease lease;
	msec updated, dirty; /* lastUpdatedTimestamp, lastDirtyTimestamp */
	struct kv *meta, *dc_meta;
};

/* A draft with the defaults that an absent field has. */
struct instance instance_draft(void);
struct instance instance_draft_of(const struct instance *i); /* strings borrowed from i */
/* Copies draft and all its strings into one block; refs 1. The effective id is computed if it is empty. */
struct instance *instance_new(const struct instance *draft);
struct instance *instance_ref(const struct instance *i);
void instance_unref(struct instance *i); /* NULL is fine */
size_t instance_bytes(const struct instance *i); /* how much memory it takes */

/* instanceId if not blank, else Amazon's instance-id, else hostName. Borrowed from the draft. */
struct str instance_effective_id(const struct instance *draft);
struct str instance_meta(const struct instance *i, struct str key); /* ptr NULL: not there */
struct str instance_zone(const struct instance *i); /* availability-zone, else metadata "zone", else empty */
/* Is name one of the comma-separated members of vip? Exact bytes, no trimming. */
bool vip_has(struct str vip, struct str name);

/* What the registry demands of a registration to /apps/{APP}: 0, or VINE_EINVAL with Eureka's own words. */
int instance_check(const struct instance *draft, struct str path_app, struct err *e);
/* Lengths and counts against the limits above: 0 or VINE_ELIMIT naming the field. */
int instance_check_limits(const struct instance *draft, struct err *e);
/* Fills instanceId from metadata "instanceId" as Spring Cloud's server does, if it is absent. Strings in a. */
void instance_derive_id(struct instance *draft, struct arena *a);
