/* picture.h - what the registry knows at one instant: immutable, counted, shared by all threads without a lock.
 *
 *   picture -> 256 shards by the app name's hash -> apps sorted by that hash -> entries sorted by instance id
 *
 * Hashes stand beside the pointers, so that a heartbeat finds its lease with few steps through memory that is not at hand.
 *
 * Each level is counted and never changes once published, so a change copies one app, its shard and the top array, and
 * shares the rest with the picture before. The one thing in it that changes is a lease's time of last renewal, which any
 * thread may store: a heartbeat needs neither lock nor copy.
 *
 * What has changed lately stands in it twice, for two kinds of readers. The changed tree has the same shape as the one of the
 * content: each changed instance once, with what happened to it last; its apps keep their texts from picture to picture, so
 * that Eureka's delta is put together like a full answer. The log has every change in order: a picture holds the chunk where
 * its range starts, and the range's length; what is appended later lies beyond it. Content, changes and hash are always of
 * the same instant.
 *
 * Threads   Building (picture_put, picture_remove, delta_*): the writer's. All else: any thread with a reference. */
#pragma once
#include <stdatomic.h>

#include "eureka/instance.h"

#define PICTURE_SHARDS 256
#define DELTA_CHUNK 64

/* The life of one registration. A new one is made by each registration; status changes keep it. */
struct lease {
	_Atomic uint32_t refs;
	uint8_t reported;     /* enum inst_status that the client itself gave, before overrides */
	usec interval, duration;
	usec since;           /* monotonic time of the registration */
	msec raised;          /* of the instance's dirty: by operators, above what the client itself gave; the writer's */
	_Atomic usec renewed; /* monotonic time of the last heartbeat; at first: since */
	_Atomic bool beaten;  /* a heartbeat came since the registration */
	_Atomic usec own;     /* of the last heartbeat or registration that came from the client itself; 0: only peers told */
	_Atomic bool relay;   /* a heartbeat of its own came, of which the peers do not know yet */
	bool restored;        /* made from the snapshot: until it is beaten nobody knows whether its client lives */
};

struct entry {
	_Atomic uint32_t refs;
	uint32_t hash; /* of the instance's id */
	struct instance *inst;
	struct lease *lease;
};

/* Text made once and then served many times; owned by what it is cached in. */
struct blob {
	size_t len;      /* of data */
	size_t raw_len;  /* of the text before compression */
	uint32_t crc;    /* CRC-32 of the text before compression; only of blob_deflate's */
	char data[];
};

enum body_format { BODY_JSON, BODY_JSON_MINI, BODY_XML, BODY_XML_MINI, BODY_FORMATS };

struct app {
	_Atomic uint32_t refs;
	uint32_t n;
	struct str name; /* upper case; bytes behind the entries */
	uint32_t *hash;  /* of each entry; behind them too */
	struct status_counts counts;
	_Atomic(struct blob *) text[BODY_FORMATS], packed[BODY_FORMATS]; /* lazily, by whoever needs it first */
	struct entry *entry[];
};

struct shard {
	_Atomic uint32_t refs;
	uint32_t n;
	struct shard_slot {
		uint64_t hash; /* of the app's name */
		struct app *app;
	} slot[];
};

struct delta_item {
	struct entry *entry; /* its instance's action says what happened */
	uint64_t version;    /* of the first picture that has it */
	usec at;
	bool evicted; /* DELETED, because its lease was over */
};

struct delta_chunk {
	_Atomic uint32_t refs;
	uint32_t filled; /* the writer's */
	struct delta_chunk *next;
	struct delta_item item[DELTA_CHUNK];
};

struct picture {
	_Atomic uint32_t refs;
	uint64_t version; /* raised by each change */
	uint64_t seed;    /* of the shards' hash */
	uint32_t n_apps, n_instances;
	uint64_t bytes;       /* of the instances, without what is cached of them */
	uint64_t delta_bytes; /* of the log's, whether or not they are there as well */
	struct status_counts counts;
	struct delta_chunk *delta_head;
	uint32_t delta_from; /* index in delta_head of the first item */
	uint32_t delta_n;
	uint32_t n_changed_apps;
	uint64_t delta_version;
	uint64_t delta_floor; /* the log has every change of a version above it */
	_Atomic(struct blob *) full[BODY_FORMATS], delta[BODY_FORMATS]; /* gzip, lazily */
	struct shard *shard[PICTURE_SHARDS]; /* NULL: empty */
	struct shard *changed[PICTURE_SHARDS];
};

struct lease *lease_new(const struct instance *inst, enum inst_status reported, usec now);
struct lease *lease_ref(struct lease *l);
void lease_unref(struct lease *l);

struct entry *entry_new(struct instance *inst, struct lease *lease); /* takes both references */
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e);

struct picture *picture_new(uint64_t seed); /* empty, version 1 */
struct picture *picture_ref(struct picture *p);
void picture_unref(struct picture *p);

/* app: upper case. NULL: not there. Borrowed from p. */
struct app *picture_app(const struct picture *p, struct str app);
struct entry *app_find(const struct app *a, struct str id);
struct entry *picture_find(const struct picture *p, struct str app, struct str id);
struct entry *picture_find_id(const struct picture *p, struct str id); /* in any app; walks all */
/* All apps sorted by name, in the arena; p->n_apps of them. */
struct app **picture_apps(const struct picture *p, struct arena *a);
struct app **picture_changed_apps(const struct picture *p, struct arena *a); /* the same of the changes: n_changed_apps */

/* Walks all entries: for (struct picture_walk w = { .p = p }; (e = picture_next(&w));) */
struct picture_walk {
	const struct picture *p;
	uint32_t shard, app, entry;
};
struct entry *picture_next(struct picture_walk *w);

/* The log, oldest first. */
struct delta_walk {
	const struct delta_chunk *chunk;
	uint32_t at, left;
};
struct delta_walk picture_delta(const struct picture *p);
struct delta_walk picture_delta_after(const struct picture *p, uint64_t version); /* what is of later versions */
const struct delta_item *delta_next(struct delta_walk *w);

/* --- building: *p becomes the next picture. Where nobody else has a reference to *p it is changed in place, else copied --- */

void picture_put(struct picture **p, struct entry *e);                       /* adds or replaces; takes a reference of its own */
void picture_remove(struct picture **p, struct str app, struct str id);      /* must be there */
void picture_fill(struct picture **p, struct entry **all, uint32_t n);       /* takes them all, no two alike; *p is empty */

/* What happened to e, in the log and in the changed tree; after picture_put or _remove. Takes a reference of its own. */
void delta_append(struct picture *p, struct delta_chunk **tail, struct entry *e, usec now, bool evicted);
/* Forgets items from before `horizon`, and the oldest while more than max, or max_bytes, remain: true if *p is another. */
bool delta_trim(struct picture **p, usec horizon, uint32_t max, uint64_t max_bytes);
