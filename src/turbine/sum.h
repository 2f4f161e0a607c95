/* sum.h - several hosts' events of one command, pool or collapser, added up; the rules are in merge.h. */
#pragma once
#include "base/buf.h"
#include "turbine/event.h"

#define SUM_VALUES_MAX 16 /* distinct texts that are told apart in one field; the others are counted together */

struct sum_dist {
	double weight[HIST_BUCKETS]; /* of values in us; of batches: 1 us is one request */
	double total, mean;          /* mean: weighted, not yet divided by total */
	int64_t min, max;            /* as the hosts wrote them */
	bool is_estimated, is_used;
};

struct sum {
	const struct field_names *names;
	struct arena arena;
	uint16_t place[FIELD_NAMES_MAX];  /* by name: in acc, + 1 */
	struct acc *acc[FIELD_NAMES_MAX]; /* in the order of their first field */
	unsigned n;
	int64_t hosts;
	struct sum_dist dist[DIST_COUNT];
};

void sum_begin(struct sum *s, const struct field_names *names);
void sum_add(struct sum *s, const struct tevent *ev);
void sum_write(struct sum *s, struct str type, struct str name, struct buf *b); /* one JSON object */
void sum_write_deleted(struct str type, struct str name, struct buf *b);
void sum_end(struct sum *s);
