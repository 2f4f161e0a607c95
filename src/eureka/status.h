/* status.h - the states of an instance and the kinds of change, by their names on the wire. */
#pragma once
#include "base/str.h"

/* In ascending order of their names, which is the order that apps__hashcode wants. */
enum inst_status {
	INST_DOWN,
	INST_OUT_OF_SERVICE,
	INST_STARTING,
	INST_UNKNOWN,
	INST_UP,
	INST_STATUS_COUNT,
};

enum inst_action { ACTION_NONE, ACTION_ADDED, ACTION_MODIFIED, ACTION_DELETED };

struct str inst_status_name(enum inst_status s);
bool inst_status_parse(struct str s, enum inst_status *ret);        /* the exact upper-case names */
bool inst_status_parse_nocase(struct str s, enum inst_status *ret); /* any case */
struct str inst_action_name(enum inst_action a);                    /* empty for ACTION_NONE */
enum inst_action inst_action_parse(struct str s);                   /* ACTION_NONE for anything else */

/* How many instances have each status: what apps__hashcode is made of. */
struct status_counts {
	uint32_t n[INST_STATUS_COUNT];
};

#define APPS_HASH_MAX 128 /* room for every status with ten digits each */

/* "DOWN_1_OUT_OF_SERVICE_2_UP_7_"; empty for no instance. Returns the length; no NUL. */
size_t apps_hash(char out[APPS_HASH_MAX], const struct status_counts *c);
