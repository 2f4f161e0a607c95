/* journal.h - the file that remembers the registry across a restart: a log of records, each with its length and checksum.
 *
 *   file    "vine registry 1\n", then records
 *   record  u32 length of the body, u32 CRC-32 of the body, body; little-endian
 *   body    'P' reported-status instance-as-JSON    it is there
 *           'D' u16-length-of-app app id            it has gone
 *           'O' status i64-until-wall-ms id         it has gone, but is to come back with this override
 *
 * Records are only appended, and synced; a crash can cut the last ones off, never spoil those before. Reading ends at the first
 * record that is not whole, and what lies behind it is cut off. A new file is written beside the old one, synced, and renamed over
 * it, so that at each moment there is one whole file.
 *
 * Threads   Whoever has it; it blocks. */
#pragma once
#include "base/buf.h"
#include "base/map.h"
#include "registry/picture.h"

struct journal {
	int fd;        /* -1: none open */
	uint64_t size; /* up to here it is whole */
};

#define JOURNAL_NONE ((struct journal){ .fd = -1 })

/* --- records, into a buf --- */

void journal_put(struct buf *b, const struct entry *e);
void journal_del(struct buf *b, struct str app, struct str id);
void journal_override(struct buf *b, struct str id, enum inst_status s, msec until);

/* --- the file --- */

int journal_create(struct journal *j, const char *path, struct err *e);      /* an empty one, in the place of any other */
int journal_append(struct journal *j, struct str records, struct err *e);    /* all of them or none */
int journal_sync(struct journal *j, struct err *e);                          /* also fails where the file was removed */
int journal_rename(const char *from, const char *to, struct err *e);         /* also syncs the folder */
void journal_close(struct journal *j);

/* --- what it held --- */

struct journal_override {
	struct str id;
	enum inst_status status;
	msec until; /* 0: it does not hold any more */
	struct journal_override *next;
};

struct journal_content {
	struct entry **entry; /* what is there, with leases that begin at `now` and are marked restored; no two alike */
	uint32_t n, room;
	struct journal_override *overrides; /* a list, in the arena */
	uint64_t records, live_bytes; /* live_bytes: of the records that still count */
	uint64_t lost_bytes;          /* behind the last whole record; journal_open's to say */
	struct arena arena;
	/* own */
	struct map by_key, by_id; /* by_id: the overrides */
};

/* What the bytes of a file hold; returns how many of them are whole, 0 if it is none of ours. Pure. ret: to be released either
 * way. */
size_t journal_parse(struct journal_content *ret, struct str bytes, uint64_t seed, usec now);
/* Opens path for appending and reads all of it; VINE_ENOTFOUND: there is none. A file that is none of ours is VINE_EPROTO. */
int journal_open(struct journal *j, const char *path, struct journal_content *ret, uint64_t seed, usec now, struct err *e);
void journal_content_fini(struct journal_content *c); /* entries that were taken: set n to 0 first */
