/* picture.h - what the registry knows at one instant: immutable, counted, shared by all threads without a lock.
 *
 *   picture -> 256 shards by the app name's hash -> apps sorted by name -> entries sorted by instance id
 *
 * Each level is counted and never changes once published, so a change copies one app, its shard and the top array, and
 * shares the rest with the picture before. The one thing in it that changes is a lease's time of last renewal, which any
 * thread may store: a heartbeat needs neither lock nor copy.
 *
 * The delta is a range of a log to which only the writer appends: a picture holds the chunk where its range starts, and the
 * range's length; what is appended later lies beyond it. So content, delta and hash are always of the same instant.
 *
 * Threads   Building (picture_with, picture_without, delta_*): the writer's. All else: any thread with a reference. */
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
	_Atomic usec renewed; /* monotonic time of the last heartbeat; at first: since */
	_Atomic bool beaten;  /* a heartbeat came since the registration */
};

struct entry {
	_Atomic uint32_t refs;
	struct instance *inst;
	struct lease *lease;
};

/* Text made once and then served many times; owned by what it is cached in. */
struct blob {
	size_t len;      /* of data */
	size_t raw_len;  /* of the text before compression */
	uint32_t crc;    /* CRC-32 of the text before compression */
	char data[];
};

enum body_format { BODY_JSON, BODY_JSON_MINI, BODY_XML, BODY_XML_MINI, BODY_FORMATS };

struct app {
	_Atomic uint32_t refs;
	uint32_t n;
	struct str name; /* upper case; bytes behind the entries */
	struct status_counts counts;
	_Atomic(struct blob *) text[BODY_FORMATS], packed[BODY_FORMATS]; /* lazily, by whoever needs it first */
	struct entry *entry[];
};

struct shard {
	_Atomic uint32_t refs;
	uint32_t n;
	struct app *app[];
};

struct delta_item {
	struct entry *entry; /* its instance's action says what happened */
	usec at;
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
	struct status_counts counts;
	struct delta_chunk *delta_head;
	uint32_t delta_from; /* index in delta_head of the first item */
	uint32_t delta_n;
	uint64_t delta_version;
	_Atomic(struct blob *) full[BODY_FORMATS], delta[BODY_FORMATS]; /* gzip, lazily */
	struct shard *shard[PICTURE_SHARDS]; /* NULL: empty */
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

/* Walks all entries: for (struct picture_walk w = { .p = p }; (e = picture_next(&w));) */
struct picture_walk {
	const struct picture *p;
	uint32_t shard, app, entry;
};
struct entry *picture_next(struct picture_walk *w);

struct delta_walk {
	const struct delta_chunk *chunk;
	uint32_t at, left;
};
struct delta_walk picture_delta(const struct picture *p);
const struct delta_item *delta_next(struct delta_walk *w);

/* --- building: each gives a new picture (refs 1) that differs from p in one point; p stays as it was --- */

struct picture *picture_with(const struct picture *p, struct entry *e); /* adds or replaces; takes a reference of its own */
struct picture *picture_without(const struct picture *p, struct str app, struct str id); /* must be there */

struct picture *picture_copy(const struct picture *p);                                   /* for delta_trim */

/* On a picture that is not published yet. */
void delta_append(struct picture *p, struct delta_chunk **tail, struct entry *e, usec now); /* takes its own reference */
/* Forgets items from before `horizon`, and the oldest while more than max remain: true if any went. */
bool delta_trim(struct picture *p, usec horizon, uint32_t max);
