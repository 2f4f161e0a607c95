/* recent.h - the last thousand of something: when, and "APP(id)". The owner locks. */
#pragma once
#include "base/buf.h"
#include "base/clock.h"

#define RECENT_MAX 1000

struct recent_item {
	msec at;
	char *text;
};

struct recent {
	uint32_t next, n;
	struct recent_item item[RECENT_MAX];
};

void recent_fini(struct recent *r);
/* Copies both, as far as an instance's may be long. */
void recent_add(struct recent *r, msec at, struct str app, struct str id);
const struct recent_item *recent_at(const struct recent *r, uint32_t i); /* newest first; NULL past the end */
