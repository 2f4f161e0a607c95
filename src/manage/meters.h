/* meters.h - counters, timers and gauges under Micrometer's names, with tags.
 *
 * A meter is found once (meters_counter, meters_timer: takes a leaf mutex) and then written without any lock: each worker
 * writes its own stripe. Readers take a snapshot, which sums the stripes. What a role counts already by itself (breakers,
 * a registry's leases) is not counted twice: a source is asked for its numbers when a snapshot is taken.
 *
 * Invariants   A family has at most `max_members` combinations of tag values; past that all new ones share a member whose
 *              tag values are "_other", so that no peer can grow this memory. A member is never removed.
 * Threads      Finding and writing: any thread, with its own stripe. Snapshots and sources: the control thread.
 * Time         Comes in as `now`; a timer's max is that of the last one to two minutes, as Micrometer's is. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

struct counter;
struct meters;
struct meter_timer;

#define METER_TAGS_MAX 8
#define METER_VALUE_MAX 128 /* longer tag values are cut */

/* A family of meters; static storage. */
struct meter_desc {
	const char *name; /* "http.server.requests" */
	const char *help;
	const char *unit;     /* "seconds", "bytes", or NULL; of timers always seconds */
	unsigned max_members; /* 0: 200 */
};

struct meter_tag {
	const char *key;
	struct str value;
};

struct meters *meters_new(unsigned stripes, uint64_t seed);
void meters_free(struct meters *m);

/* Finds or makes; never NULL. Tags in the family's own fixed order. */
struct counter *meters_counter(struct meters *m, const struct meter_desc *d, const struct meter_tag *tags, unsigned n);
struct meter_timer *meters_timer(struct meters *m, const struct meter_desc *d, const struct meter_tag *tags, unsigned n);
void counter_add(struct counter *c, unsigned stripe, uint64_t n);
void meter_timer_add(struct meter_timer *t, unsigned stripe, usec took, usec now);

/* --- reading --- */

enum meter_kind { METER_GAUGE, METER_COUNTER, METER_TIMER };

#define METER_BUCKETS 14 /* upper bounds in meter_bucket_bound, the last of all is +Inf and not listed */
extern const usec meter_bucket_bound[METER_BUCKETS];

struct meter_sample {
	const struct meter_desc *desc;
	enum meter_kind kind;
	unsigned n_tags;
	struct meter_tag tag[METER_TAGS_MAX];
	double value;    /* gauge, counter */
	uint64_t count;  /* timer */
	double total, max; /* timer, seconds */
	uint64_t bucket[METER_BUCKETS]; /* timer, cumulative: values up to the bound */
	bool has_buckets;
};

struct meter_snapshot {
	struct arena *arena;
	struct meter_sample *sample; /* sorted by name, then tags */
	size_t n, cap;
};

/* Asked at each snapshot; adds its numbers with snapshot_add. */
typedef void (*meter_source)(struct meter_snapshot *s, void *arg);
void meters_source(struct meters *m, meter_source fn, void *arg);
/* Tag values are copied; desc must be static. */
void snapshot_add(struct meter_snapshot *s, enum meter_kind kind, const struct meter_desc *d, double value,
		  const struct meter_tag *tags, unsigned n);
void meters_snapshot(struct meters *m, struct meter_snapshot *ret, struct arena *a, usec now);

/* --- the two forms in which numbers leave --- */

/* Prometheus text 0.0.4, or OpenMetrics 1.0.0. Only families in `names` (comma-separated; empty: all) are written.
 * common: tags put on every line (application). */
void snapshot_prometheus(const struct meter_snapshot *s, struct buf *out, bool openmetrics, struct str names,
			 const struct meter_tag *common, unsigned n_common);
/* Boot's /metrics and /metrics/{name}. tags: "key:value" filters. VINE_ENOTFOUND: no such meter or tag value. */
void snapshot_names_json(const struct meter_snapshot *s, struct buf *out);
int snapshot_meter_json(const struct meter_snapshot *s, struct buf *out, struct str name, const struct meter_tag *want,
			unsigned n_want);
