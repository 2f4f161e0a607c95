/* snapshot.h - when the journal is written: half a second after the first change, off the writer's thread.
 *
 * Every change goes to the end of the journal and is synced, at the latest a second after it was answered. Where the journal
 * has grown to twice what is there, a new one is written from a picture meanwhile, gets what came after that picture, and takes
 * its place. A disk that is full, or gone, changes nothing of the service: what could not be written is tried again, health and page
 * say so, and the old file stays as whole as it was.
 *
 * At the start the registry begins with what the file holds. Nobody could renew while it was away, so each lease begins anew and is
 * marked (lease.restored) until its client is heard of.
 *
 * Threads   The writer's; snapshot_report: any. Files are touched on lanes of their own. */
#pragma once
#include "registry/registry.h"

struct mailbox;
struct snapshot;

struct snapshot_report {
	bool on, failing;
	char error[200];      /* why it is failing */
	uint32_t restored;    /* instances that the file gave at the start */
	uint64_t bytes;       /* of the file */
	uint64_t appends, rewrites, failures;
	msec written;         /* wall clock; 0: never */
	msec failing_since;
};

/* Reads folder/leases.log into the registry. VINE_EIO: a file that is there cannot be used; one that is none of ours is renamed
 * and logged. */
int snapshot_open(struct snapshot **ret, struct registry *reg, struct loop *loop, struct mailbox *mailbox, const char *folder,
		  uint64_t seed, const struct logger *log, struct err *e);
void snapshot_note(struct picture *p, void *snapshot); /* a registry_hooks.published */
/* Writes what is left, waits for it, and closes; NULL is fine. */
void snapshot_close(struct snapshot *s);
void snapshot_report(struct snapshot *s, struct snapshot_report *ret); /* NULL: it is off */
