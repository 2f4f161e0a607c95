/* http_impl.h - between http.c (which endpoint is meant), queries.c and writes.c only. */
#pragma once
#include "registry/body.h"
#include "registry/http.h"

#define SEGMENTS_MAX 6

struct target {
	struct str seg[SEGMENTS_MAX]; /* below the base, decoded, empty ones left out */
	unsigned n;
	bool ok; /* false: more segments than any endpoint has */
};

/* --- http.c --- */

struct target rh_target(struct exchange *ex);
/* Percent-decoding; what is malformed stays as it is. plus: '+' is a blank, as forms write it. */
struct str rh_decode(struct arena *a, struct str s, bool plus);
bool rh_query(struct exchange *ex, struct str name, struct str *ret);
bool rh_contains_nocase(struct str s, struct str needle);
enum body_format rh_format(struct exchange *ex);
bool rh_is_replication(struct exchange *ex);
struct times rh_times(const struct reg_worker *rw);

/* --- queries.c --- */

void rh_answer(struct exchange *ex, unsigned status); /* empty */
/* A text made for this request; compressed if that is wanted and worth it. */
void rh_answer_text(struct exchange *ex, unsigned status, enum body_format f, const struct buf *text);
void rh_get_apps(struct exchange *ex, struct reg_worker *rw, enum body_format f);
void rh_get_delta(struct exchange *ex, struct reg_worker *rw, enum body_format f);
void rh_get_vip(struct exchange *ex, struct reg_worker *rw, struct str vip, bool secure, enum body_format f);
void rh_get_app(struct exchange *ex, struct reg_worker *rw, struct str name, enum body_format f);
void rh_get_instance(struct exchange *ex, struct reg_worker *rw, const struct entry *e, enum body_format f);
void rh_get_overrides(struct exchange *ex, struct reg_worker *rw);

/* --- writes.c --- */

void rh_register(struct exchange *ex, struct reg_worker *rw); /* gathers the body */
void rh_heartbeat(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id);
void rh_cancel(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id);
void rh_change_status(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id);
void rh_change_metadata(struct exchange *ex, struct reg_worker *rw, struct str app, struct str id);
void rh_batch(struct exchange *ex, struct reg_worker *rw); /* POST peerreplication/batch */
