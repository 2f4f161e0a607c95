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
	struct str context;  /* stands before all paths of the page; empty: none */
	struct str home;     /* the page's own path, behind it */
	struct str accept;   /* path of the endpoint that accepts the size, behind it */
	bool accepts_here;   /* false: that endpoint is on the management port */
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
void page_lastn(struct buf *out, struct registry *r, struct str context, struct str home);
/* What a browser sees that has had the size accepted. */
void page_accepted(struct buf *out, struct str context, struct str home);
/* GET status: Eureka's StatusInfo. */
void page_status(struct buf *out, const struct page *pg, bool xml);
/* The decision on self-preservation with all its inputs, as JSON. */
void page_state_json(struct buf *out, const struct page *pg);
