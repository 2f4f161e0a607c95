/* health.h - what is well and what is not: parts with a status, gathered into Boot's health document.
 *
 * A part is a question that the control thread asks when somebody wants to know; it must answer at once from what it
 * knows already. Statuses gather by Boot's order: DOWN, OUT_OF_SERVICE, UP, UNKNOWN. Two groups stand beside the whole:
 * liveness (should this process be restarted?) and readiness (should it get traffic?). */
#pragma once
#include "base/buf.h"
#include "base/str.h"

struct host;
struct jsonw;

enum health_status { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_OUT_OF_SERVICE, HEALTH_DOWN };
enum health_group { HEALTH_ALL, HEALTH_LIVENESS = 1u << 0, HEALTH_READINESS = 1u << 1 };

struct health_part {
	const char *name; /* "discoveryClient"; static */
	unsigned groups;  /* enum health_group, those that it counts for besides the whole */
	/* details stands inside an open object: add members, or none. */
	enum health_status (*check)(struct host *h, struct jsonw *details, void *arg);
	void *arg;
};

void host_add_health(struct host *h, const struct health_part *part); /* in ops->start; copied */
struct health;
void health_free(struct health *hl);

const char *health_status_name(enum health_status s);
/* The whole, or a group's, without details: what registration and the ready probe want. */
enum health_status host_health(struct host *h, enum health_group group);
/* Boot's document of `path` ("" the whole, "readiness", "discoveryClient"). details false: the status alone.
 * v2: "details" for "components". VINE_ENOTFOUND: no such part. *status tells 200 from 503. */
int host_health_json(struct host *h, struct buf *out, struct str path, bool details, bool v2, enum health_status *status);
