/* body.h - the answers to queries: applications, application and instance, in four formats, plain and as gzip.
 *
 * An app's deflated form (in small registries its text as well) is made once per app version, by whichever thread first
 * needs it, and kept in the picture; a whole answer is put together from them. The times of renewal in them are those of that moment: as old as the
 * payload, which the protocol allows. A single instance is always written fresh.
 *
 * Threads   Any, with a reference to the picture. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "registry/picture.h"

struct times {
	usec now;
	msec wall;
};

static inline bool body_is_xml(enum body_format f)
{
	return f == BODY_XML || f == BODY_XML_MINI;
}

static inline bool body_is_mini(enum body_format f)
{
	return f == BODY_JSON_MINI || f == BODY_XML_MINI;
}

struct str body_type(enum body_format f); /* the media type */

/* An app's piece of an answer, kept with it; borrowed from a. */
const struct blob *app_text(struct app *a, enum body_format f, const struct times *t);
/* The same for once: what is asked for compressed, or is large, is not kept as text as well. */
void app_write(struct buf *out, struct app *a, enum body_format f, const struct times *t);

/* The bytes before, between and behind the pieces of an answer with applications. Strings in the arena. */
struct frame {
	struct str before, between, after;
};
struct frame body_frame(struct arena *a, enum body_format f, int64_t version, const struct status_counts *counts);

/* The whole registry as gzip; borrowed from p. */
const struct blob *body_full_gzip(struct picture *p, enum body_format f, const struct times *t);
/* What changed lately; as gzip, borrowed from p, or written to out. */
const struct blob *body_delta_gzip(struct picture *p, enum body_format f, const struct times *t);
void body_delta(struct buf *out, const struct picture *p, enum body_format f, const struct times *t);
/* Instances whose vipAddress (secure: secureVipAddress) has vip. */
void body_vip(struct buf *out, const struct picture *p, struct str vip, bool secure, enum body_format f,
	      const struct times *t);
void body_app(struct buf *out, struct app *a, enum body_format f, const struct times *t);      /* wrapped */
void body_instance(struct buf *out, const struct entry *e, enum body_format f, const struct times *t); /* wrapped */
