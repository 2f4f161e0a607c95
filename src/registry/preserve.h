/* preserve.h - self-preservation: when so many clients fall silent at once that the network, not they, is the likely cause,
 * nobody is evicted.
 *
 * Each client is judged against its own interval. In its window (the last minute, or its lease's duration where that is
 * shorter, never less than one interval) so many heartbeats were due; those since its last one that are missing by more
 * than a quarter of an interval count as missed. Its share is received / due. So a client that is due once a second and
 * one that is due every 30 s weigh the same, and the first interval counts already. Once some lease has expired, so that
 * somebody would be evicted, every client that misses anything counts as missing whole: clients that fell silent together
 * expire one after the other, and the first of them must not go before the others show.
 *
 *   on    if the shares add up to less than `threshold` (0.85) of the clients, and more than one client misses heartbeats:
 *         the loss of a single instance is a loss, not a partition, however small the registry
 *   off   as soon as that no longer holds
 *
 * Not counted, neither as expected nor as missing: clients silent for longer than `decay`, and those whose silence an
 * operator has accepted as the current size. If all are silent for that long, nothing speaks for anybody's death: it stays.
 *
 * Pure: a picture and the time come in, a report with every number of the decision goes out. */
#pragma once
#include "registry/picture.h"

struct preserve_config {
	bool enabled;     /* eureka.server.enable-self-preservation */
	double threshold; /* eureka.server.renewal-percent-threshold */
	usec decay;       /* eureka.server.renewal-threshold-update-interval-ms */
};

#define PRESERVE_DEFAULT ((struct preserve_config){ true, 0.85, 900 * USEC_PER_SEC })

struct preserve_report {
	bool enabled, on;      /* on: no lease is evicted */
	uint32_t clients;      /* leases in all */
	uint32_t counted;      /* of those, how many the decision counts */
	uint32_t missing;      /* of those, how many missed at least one heartbeat */
	uint32_t silent;       /* of those, how many missed all of their window */
	uint32_t decayed, accepted; /* not counted: silent for very long, or accepted as gone */
	uint32_t restored;     /* leases from the snapshot whose client has not been heard of since */
	uint32_t expired;      /* leases that will be evicted as soon as it is off */
	double share;          /* of the heartbeats that were due, those that came: 0 to 1 */
	double threshold;
	double expected_per_minute, received_per_minute; /* heartbeats of the counted clients, from their intervals */
	uint32_t needed;       /* exit: so many more clients must renew (or be accepted, cancelled) until it is off */
	usec since;            /* monotonic, of the last change of `on`; 0: never changed */
};

struct preserve {
	struct preserve_config cfg;
	usec accepted_at; /* clients silent at that time are excused; 0: never */
	struct preserve_report last;
};

void preserve_init(struct preserve *s, const struct preserve_config *cfg);
/* Judges p at `now` and keeps the report in s->last: true if `on` changed. doubling: as in leases_config. */
bool preserve_judge(struct preserve *s, const struct picture *p, bool doubling, usec now);
/* "The present size is right": who misses heartbeats now is no longer counted until it renews. */
void preserve_accept(struct preserve *s, usec now);
/* When it ended by itself: clients that could not be heard meanwhile have one interval from then on to be heard again, or the
 * slowest of those that come back would be evicted because the others have. 0: never, or an operator has ended it. */
usec preserve_spares(const struct preserve *s);
/* Why it is on or off, with the numbers and the exit condition, in one or two sentences. */
#define PRESERVE_TEXT_MAX 400
int preserve_text(const struct preserve_report *r, char out[PRESERVE_TEXT_MAX]);
