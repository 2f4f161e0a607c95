/* merge.h - the state of one cluster: the last event of each command, pool and collapser of each host, and their sum.
 *
 * The sum is made anew from the hosts' last values whenever one of them has changed, so that nothing can drift. Field
 * by field, as Turbine 1 does it: integers add up, in 64 bits and never past them; texts and booleans give their
 * value where all hosts agree, and else a text that counts them, {"true":1,"false":2}. Where Turbine misleads, Vine
 * differs:
 *
 *   propertyValue_*     is never summed. Numbers that differ: the most frequent one, and `vineMixed` counts them all
 *   errorPercentage     from the summed errors and requests
 *   *_mean, latency*    from the merged distribution: true percentiles where hosts send their histograms (vineQuantiles:
 *   and batchSize       "merged"), else made of the hosts' own percentiles, weighted by their calls ("estimated")
 *   currentTime         stays, the latest
 *
 * Turbine's readers divide percentages, means and percentiles by reportingHosts, for they are sums there: so what is
 * true is written multiplied by it. An aggregate that no host tells of any more is told of once more, as deleted.
 *
 * Pure: no I/O, time is an argument. One owner. */
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "turbine/event.h"

#define MERGE_EVENTS_MAX 20000      /* of a cluster: hosts times what each of them tells of */
#define MERGE_HOST_EVENTS_MAX 5000  /* of one host */
#define MERGE_HOSTS_CLAIM_MAX 10000 /* reportingHosts of one event: another Turbine may speak for many */

struct merge {
	struct field_names names;
	struct map keys;     /* of struct merge_key, by "type\nname" */
	struct list order;   /* of struct merge_key, as they were first met */
	struct list entries; /* of struct merge_entry, by when they were last heard of */
	size_t n_entries;
	uint64_t events, bad, refused; /* read; no events; past a limit */
};

/* What one host tells. */
struct merge_host {
	struct list entries;
	struct map by_key; /* of struct merge_entry */
};

void merge_init(struct merge *m, uint64_t seed);
void merge_fini(struct merge *m); /* after the hosts were left */

void merge_host_init(struct merge_host *h, uint64_t seed);
void merge_host_fini(struct merge *m, struct merge_host *h); /* leaves first */
/* 0; VINE_EINVAL: no event; VINE_ELIMIT: too many. Nothing changes then. */
int merge_put(struct merge *m, struct merge_host *h, struct str json, usec now, struct err *e);
void merge_leave(struct merge *m, struct merge_host *h); /* all that it told is taken off */
void merge_expire(struct merge *m, usec before);         /* takes off what was not heard of since then */

/* Adds an event for each aggregate that has changed since the last call, or for all there are; deletions in either
 * case. */
void merge_write(struct merge *m, struct buf *b, bool whole);
size_t merge_len(const struct merge *m); /* aggregates */
