/* status.c - names of states, and the hash over how often each occurs. */
#include "eureka/status.h"

#include "base/buf.h"

static const struct str names[INST_STATUS_COUNT] = {
	[INST_DOWN] = STR_INIT("DOWN"),         [INST_OUT_OF_SERVICE] = STR_INIT("OUT_OF_SERVICE"),
	[INST_STARTING] = STR_INIT("STARTING"), [INST_UNKNOWN] = STR_INIT("UNKNOWN"),
	[INST_UP] = STR_INIT("UP"),
};

static const struct str actions[] = {
	[ACTION_NONE] = STR_INIT(""),
	[ACTION_ADDED] = STR_INIT("ADDED"),
	[ACTION_MODIFIED] = STR_INIT("MODIFIED"),
	[ACTION_DELETED] = STR_INIT("DELETED"),
};

struct str inst_status_name(enum inst_status s)
{
	assert((unsigned)s < INST_STATUS_COUNT);
	return names[s];
}

bool inst_status_parse(struct str s, enum inst_status *ret)
{
	for (unsigned i = 0; i < INST_STATUS_COUNT; i++) {
		if (str_eq(s, names[i])) {
			*ret = (enum inst_status)i;
			return true;
		}
	}
	return false;
}

bool inst_status_parse_nocase(struct str s, enum inst_status *ret)
{
	for (unsigned i = 0; i < INST_STATUS_COUNT; i++) {
		if (str_eq_nocase(s, names[i])) {
			*ret = (enum inst_status)i;
			return true;
		}
	}
	return false;
}

struct str inst_action_name(enum inst_action a)
{
	return actions[a];
}

enum inst_action inst_action_parse(struct str s)
{
	for (unsigned i = ACTION_ADDED; i < ARRAY_LEN(actions); i++) {
		if (str_eq(s, actions[i]))
			return (enum inst_action)i;
	}
	return ACTION_NONE;
}

size_t apps_hash(char out[APPS_HASH_MAX], const struct status_counts *c)
{
	size_t n = 0;

	for (unsigned i = 0; i < INST_STATUS_COUNT; i++) {
		if (!c->n[i])
			continue;
		memcpy(out + n, names[i].ptr, names[i].len);
		n += names[i].len;
		out[n++] = '_';
		n += fmt_u64(out + n, c->n[i]);
		out[n++] = '_';
	}
	return n;
}
