/* json.h - instances and applications in Eureka's JSON: tolerant in what is read, exact in what is written.
 *
 * Reading takes what any known client sends: wrapped or bare, numbers and booleans as strings and the other way round,
 * nulls for absent, lists of one that old servers collapse to an object. Writing gives exactly the fields, their order and
 * kinds that Java clients demand: never add one.
 *
 * Pure. Strings of a decoded draft are spans of the body or lie in the arena. */
#pragma once
#include "codec/json.h"
#include "eureka/instance.h"

/* {"instance":{...}} or {...}. 0, VINE_EINVAL or VINE_ELIMIT with field, line and column. Nothing beyond the text's form and
 * the limits is judged: see instance_check. dirty and updated stay 0 where absent. */
int instance_json_decode(struct instance *ret, struct str body, struct arena *a, struct err *e);
/* The value that j stands before, an instance object. false: see j. */
bool instance_json_read(struct json *j, struct instance *ret, struct arena *a, const char **field);

void instance_json_write(struct jsonw *w, const struct instance *i);      /* the object, unwrapped */
void instance_json_write_mini(struct jsonw *w, const struct instance *i); /* "compact" */

/* A reply with applications, read whole. */
struct apps_doc {
	int64_t version;          /* versions__delta; 0: absent */
	char hash[APPS_HASH_MAX]; /* apps__hashcode */
	size_t hash_len;
	bool has_hash;
	uint32_t n, room, skipped; /* skipped: instances that no client could use (no id, no host, over the limits) */
	struct instance **inst;    /* the doc's references */
};

#define APPS_DOC_INSTANCES_MAX (1u << 20)
#define APPS_VERSION_MAX 64 /* bytes of X-Vine-Version; longer ones are nobody's */

int apps_json_decode(struct apps_doc *ret, struct str body, struct err *e);

/* What /vine/watch tells: the data of a `change` event, or the answer to a long poll. */
struct apps_change {
	struct apps_doc doc; /* in the order of the changes, each with its action */
	char version[APPS_VERSION_MAX];
	size_t version_len; /* 0: not in the text */
	bool resync;
};

#define APPS_CHANGE_INSTANCES_MAX 100000u

int apps_change_decode(struct apps_change *ret, struct str body, struct err *e); /* fini ret->doc */
void apps_doc_add(struct apps_doc *d, struct instance *inst); /* takes the reference; for decoders */
void apps_doc_fini(struct apps_doc *d);                       /* fine with a zeroed one */
