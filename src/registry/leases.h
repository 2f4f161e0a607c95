/* leases.h - what each write does to the registry: register, cancel, override, evict. The rules, and nothing else.
 *
 * Every write makes a new picture from the one before and appends to the delta what changed, so that both are always of one
 * instant. A heartbeat is no write: it stores a time in the lease, on whatever thread it came (lease_renew).
 *
 * Where it differs from Netflix's server, on purpose:
 *   - a lease lives one duration after the last heartbeat, not two (`doubling` brings that back);
 *   - removing an override without naming a status brings back the status that the client had reported, not UNKNOWN;
 *   - setting or ending an override raises lastDirtyTimestamp, and a peer's newer registration says whether there is one:
 *     registries that missed the change learn of it by the next heartbeat; the client's own versions hold below it;
 *   - an override survives the eviction of its instance for an hour, so that what was taken out of service stays out;
 *   - a DOWN that arrives within `ghost` after its own DELETE is accepted and forgotten.
 *
 * Threads   Everything here belongs to the writer, except lease_renew and the questions about a lease.
 * Time      now: monotonic; wall: what goes on the wire. Both come in. */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "registry/picture.h"

struct leases_config {
	uint32_t max_instances; /* 0: 200000 */
	uint64_t max_bytes;     /* of all instances; the changes that are kept have a quarter of it besides; 0: 1 GiB */
	uint32_t delta_max;     /* changes kept at most; 0: 65536 */
	usec delta_retention;   /* 0: 180 s */
	usec ghost;             /* 0: 5 s */
	bool doubling;          /* leases live twice as long once renewed, as in Netflix's server */
};

struct leases {
	struct leases_config cfg;
	struct picture *p; /* the newest; the publisher takes references */
	struct delta_chunk *tail;
	struct map overrides, ghosts; /* of struct memo, by instance id, by "APP/id" */
	struct list override_list, ghost_list; /* oldest first */
	uint64_t registered, cancelled, evicted, ghosts_ignored, refused; /* counts for the metrics */
};

void leases_init(struct leases *l, const struct leases_config *cfg, uint64_t seed);
void leases_fini(struct leases *l);
void leases_configure(struct leases *l, const struct leases_config *cfg); /* while running */

enum lease_flags {
	LEASE_REPLICATED = 1u << 0, /* the write came from a peer */
	LEASE_OWN = 1u << 1,        /* it is the registry's own entry */
};

/* draft: checked, app in upper case. 0, or VINE_ELIMIT with the text to answer. A ghost is 0 too, and changes nothing. */
int leases_register(struct leases *l, const struct instance *draft, unsigned flags, usec now, msec wall, struct err *e);
/* 0 or VINE_ENOTFOUND. dirty: of the registration that is meant, 0 for any; a newer one stays, and that is 0 too. */
int leases_cancel(struct leases *l, struct str app, struct str id, msec dirty, usec now, msec wall);
int leases_set_status(struct leases *l, struct str app, struct str id, enum inst_status s, msec dirty, unsigned flags,
		      usec now, msec wall);
/* given: INST_UNKNOWN if the caller named none. */
int leases_clear_status(struct leases *l, struct str app, struct str id, enum inst_status given, msec dirty,
			unsigned flags, usec now, msec wall);
/* A peer's heartbeat told of an override that we do not have. */
int leases_store_override(struct leases *l, struct str app, struct str id, enum inst_status s, usec now, msec wall);
/* A peer's heartbeat says whether there is an override for the version `dirty`. Netflix's servers raise no version for one, and
 * lose what they could not tell in time, but each of their heartbeats tells of it: so it begins by that word where we have
 * none, and one of which heartbeats have told ends when they do so no more. 0 or VINE_ENOTFOUND. */
struct heard {
	struct str app, id;
	msec dirty;
	enum inst_status overridden, status; /* status: as the peer shows it; INST_UNKNOWN: not told */
};
int leases_hear_override(struct leases *l, const struct heard *h, usec now, msec wall);
/* Merges kv (the first value of a key wins) into the metadata: a registration by ourselves. Also VINE_ELIMIT. */
int leases_merge_metadata(struct leases *l, struct str app, struct str id, const struct kv *kv, size_t n, usec now,
			  msec wall, struct err *e);

/* What a snapshot held, into an empty registry: takes the entries, no two alike. */
void leases_restore(struct leases *l, struct entry **all, uint32_t n);
/* The override of an instance that is gone, as it is kept for an hour; until: USEC_NEVER for one that is there. */
void leases_keep_override(struct leases *l, struct str id, enum inst_status s, usec until);

/* Those that are kept for instances that are gone. */
void leases_each_override(const struct leases *l, usec now, void (*fn)(struct str id, enum inst_status s, usec left, void *ctx),
			  void *ctx);

struct leases_evict {
	usec now, late; /* late: how much later than planned this run is; no lease ends because of our own delay */
	usec spared; /* when self-preservation ended: who can speak to us again has until its next heartbeat; 0: nobody is spared */
	double stay; /* share of all that stays in any case: eureka.server.renewal-percent-threshold */
	msec wall;
	struct rng *rng; /* victims are chosen at random, so that a cap does not hit one app alone */
	void (*on_evict)(const struct entry *e, void *ctx); /* may be NULL */
	void *ctx;
};
/* Removes expired leases, at most what `stay` leaves (at least one) a run. Returns how many went. */
uint32_t leases_evict(struct leases *l, const struct leases_evict *how);
/* Forgets old changes, ghosts and overrides of instances long gone: true if the picture is a new one. */
bool leases_tidy(struct leases *l, usec now);

/* --- any thread --- */

bool lease_is_expired(const struct lease *l, bool doubling, usec now, usec late);

enum renewal {
	RENEWED,
	RENEW_ABSENT,   /* no such lease, or its status is UNKNOWN: the client must register */
	RENEW_OUTDATED, /* the client has newer data than we: it must register */
	RENEW_CONFLICT, /* a peer has older data than we: it gets ours */
};

struct renew {
	struct str app, id;
	msec dirty; /* 0: not given */
	bool replicated;
};
enum renewal lease_renew(const struct picture *p, const struct renew *r, usec now, struct entry **entry);

/* The status to show for the one that a client reports; override INST_UNKNOWN for none. Eureka's server has one rule more, by which UP
 * and OUT_OF_SERVICE stay whatever the client then says; it stood in for overrides that the server had forgotten, and ours are kept. */
enum inst_status status_by_rules(enum inst_status candidate, enum inst_status override);
/* The instance as it is to be shown now: its time of last renewal read from the lease. Strings borrowed from e. */
struct instance entry_draft(const struct entry *e, usec now, msec wall);
