/* httpmeter.h - http.server.requests of one worker: which timer an exchange counts in, without a lock or a hash of strings.
 *
 * The pattern that a router or role gave is a pointer to static text (or text that lives with its picture), so a small
 * direct-mapped table keyed by (pattern, method, status) finds the timer; its own copy of the text is compared, because a
 * picture's memory may come back with other text. */
#pragma once
#include "base/clock.h"
#include "http/head.h"

struct exchange;
struct meter_timer;
struct meters;

#define HTTP_METER_SLOTS 128

struct http_meter_slot {
	struct meter_timer *timer;
	uint16_t status;
	uint8_t method;
	char pattern[61];
};

struct http_meter {
	struct meters *meters;
	unsigned stripe;
	struct http_meter_slot *slot;
};

void http_meter_init(struct http_meter *m, struct meters *meters, unsigned stripe);
void http_meter_fini(struct http_meter *m);
void http_meter_note(struct http_meter *m, const struct exchange *ex, usec now);
