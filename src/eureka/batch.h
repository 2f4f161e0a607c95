/* batch.h - the replication batch: what one registry tells another of, POST peerreplication/batch/, and the answer to it.
 *
 * Writing gives exactly what Netflix's server takes: it refuses a batch with an unknown field or action. Reading takes more:
 * numbers as strings, nulls, unknown fields; an item that makes no sense is answered, the others hold. Pure. */
#pragma once
#include "codec/json.h"
#include "eureka/instance.h"

#define BATCH_ITEMS_MAX 1000            /* Netflix's server sends at most 250 */
#define BATCH_BODY_MAX (16u * 1024 * 1024)

enum batch_action {
	BATCH_NONE, /* unknown: to be answered 400 */
	BATCH_HEARTBEAT,
	BATCH_REGISTER,
	BATCH_CANCEL,
	BATCH_STATUS_UPDATE,
	BATCH_DELETE_OVERRIDE,
};
struct str batch_action_name(enum batch_action a);

struct batch_item {
	enum batch_action action;
	struct str app, id;    /* app: upper case */
	msec dirty;            /* 0: absent */
	uint8_t status;        /* enum inst_status; INST_UNKNOWN: absent */
	uint8_t overridden;    /* the same */
	struct instance *inst; /* BATCH_REGISTER: the item's own reference; NULL: none came, or one that `wrong` tells of */
	const char *wrong;     /* why the item cannot be carried out, or NULL; in the arena */
};

struct batch {
	struct batch_item *item; /* in the arena, as their strings */
	uint32_t n;
};

/* 0, VINE_EINVAL or VINE_ELIMIT with line and column. batch_fini releases the instances. */
int batch_decode(struct batch *ret, struct str body, struct arena *a, struct err *e);
void batch_fini(struct batch *b);
void batch_write(struct buf *out, const struct batch_item *const *items, uint32_t n);

struct batch_answer {
	unsigned status;
	struct instance *inst; /* what the peer has that is newer; own reference, or NULL */
};

/* At most max answers; *n says how many came. Release the instances, also after a failure: up to *n. */
int batch_answers_decode(struct batch_answer *ret, uint32_t max, uint32_t *n, struct str body, struct arena *a, struct err *e);
void batch_answers_write(struct buf *out, const struct batch_answer *answers, uint32_t n);
