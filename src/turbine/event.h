/* event.h - one event of a hystrix stream as Turbine merges it: a list of named values, whatever their names are.
 *
 * What a field means for merging is decided once, when its name is first met: names live in a table that all events
 * of a cluster share, and fields refer to them by number. Peers choose names, so the table is bounded; a field whose
 * name finds no room, or whose value passes a limit, is left out and counted.
 *
 * An event owns its memory. Pure: no I/O, no clock; one owner. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/hist.h"
#include "base/map.h"

#define EVENT_BYTES_MAX (256u * 1024) /* of its JSON */
#define EVENT_FIELDS_MAX 256
#define EVENT_NAME_MAX 512   /* bytes of type or name */
#define EVENT_TEXT_MAX 512   /* of any other string */
#define EVENT_MAP_MAX 64     /* entries of a map that is no histogram */
#define FIELD_NAMES_MAX 1024 /* of all events of a cluster */
#define FIELD_NAME_MAX 128   /* bytes of one */
#define POINTS 9

extern const double point_at[POINTS];        /* 0, 0.25, ... 1 */
extern const struct str point_names[POINTS]; /* "0", "25", "50", "75", "90", "95", "99", "99.5", "100" */

enum field_class {
	FIELD_SUM,      /* numbers add up; texts and booleans are counted by value */
	FIELD_SETTING,  /* propertyValue_*: numbers are values too, and never add up */
	FIELD_TIME,     /* currentTime: the latest */
	FIELD_HOSTS,    /* reportingHosts */
	FIELD_ERRORS,   /* errorPercentage: made anew from the sums */
	FIELD_MEAN,     /* latencyExecute_mean and the like: weighted by what it is the mean of */
	FIELD_POINTS,   /* latencyExecute and the like: percentiles */
	FIELD_HIST,     /* vineLatencyExecuteMicros and the like: histograms */
	FIELD_IDENTITY, /* type, name */
};

/* Which distribution a MEAN, POINTS or HIST is of. */
enum dist { DIST_EXECUTE, DIST_TOTAL, DIST_BATCH, DIST_COUNT };

struct field_name {
	struct str text;
	uint8_t class, dist;
	uint16_t index;
};

struct field_names {
	struct map map; /* of struct field_name */
	struct arena arena;
	struct field_name *at[FIELD_NAMES_MAX];
	unsigned n;
	uint64_t dropped; /* fields for which there was no room, or that passed a limit */
	/* those that others are made of */
	uint16_t hosts, requests, errors, batches, success, failure, timeout, bad, window;
};

void field_names_init(struct field_names *n, uint64_t seed);
void field_names_fini(struct field_names *n);

enum value_kind { VALUE_INT, VALUE_TEXT, VALUE_TRUE, VALUE_FALSE, VALUE_NULL, VALUE_MAP, VALUE_POINTS, VALUE_HIST };

struct map_entry {
	struct str key;
	int64_t value;
};

struct hist_part {
	uint16_t bucket;
	uint32_t count;
};

struct value {
	uint8_t kind;
	union {
		int64_t num;
		struct str text; /* of VALUE_TEXT; a number that is no integer is one too, as Turbine has it */
		struct {
			unsigned n;
			struct map_entry *at;
		} map;
		int64_t *points; /* POINTS of them */
		struct {
			unsigned n;
			struct hist_part *at;
		} hist;
	};
};

struct field {
	uint16_t name;
	struct value value;
};

struct tevent {
	struct arena arena;
	struct str type, name;
	unsigned n;
	struct field *at; /* without type and name */
	uint64_t hash;    /* of all but currentTime */
};

/* Reads one; tevent_fini it in any case. VINE_EINVAL: no event (not an object, no type or no name), VINE_ELIMIT. */
int tevent_read(struct tevent *ev, struct field_names *names, struct str json, struct err *e);
void tevent_fini(struct tevent *ev);
/* The integer of that name; 0 if there is none. */
int64_t tevent_num(const struct tevent *ev, uint16_t name);
