/* page.h - the registry's own page for people: plain HTML that works without JavaScript. Pure. */
#pragma once
#include "base/buf.h"
#include "registry/body.h"
#include "registry/peers.h"
#include "registry/snapshot.h"

struct page {
	const struct picture *p;
	const struct registry_report *report;
	const struct peers_report *peers;
	const struct snapshot_report *snapshot;
	bool serving;
	uint32_t restored;
	struct str ip;
	struct str accept_url; /* where the form that accepts the size goes; empty: only on the management port */
	struct str environment, datacenter;
	msec wall;
	usec now, uptime;
	bool doubling;
	unsigned cpus;
	uint64_t memory; /* resident bytes */
	uint64_t memory_total; /* of the machine */
};

void page_write(struct buf *out, const struct page *pg);
/* A page with a list of what was registered and cancelled lately. */
void page_lastn(struct buf *out, struct registry *r);
/* GET status: Eureka's StatusInfo. */
void page_status(struct buf *out, const struct page *pg, bool xml);
/* The decision on self-preservation with all its inputs, as JSON. */
void page_state_json(struct buf *out, const struct page *pg);
