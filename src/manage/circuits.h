/* circuits.h - what an operator reads of circuits and does to them: their stream, /actuator/circuits, and forcing by
 * hand. The gateway and libvine's services answer with the same documents.
 *
 * Threads   A `struct circuits` is a handle that the caller makes on its stack; the table may be used from any
 *           thread, and settings_of belongs to the thread that made the handle. No clock is read: now is monotonic,
 *           wall the same instant as people write it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "flow/command.h"

struct keyed_table;
struct props;

struct circuits {
	struct command_table *commands;
	command_settings_fn *settings_of;
	void *arg; /* of settings_of */
	struct keyed_table *pools; /* of struct pool; NULL: none */
	struct keyed_table *collapsers; /* of struct collapser; NULL: none */
	const struct props *props; /* their settings are read from it */
	usec now;
	msec wall;
};

/* Every command, every pool that was ever used, and every collapser, as an event of /hystrix.stream. */
void circuits_stream(const struct circuits *c, struct buf *b);

/* {"circuits":[...]}: one line a circuit; those that are not closed first, then by name. */
void circuits_list(const struct circuits *c, struct buf *b);
/* One in full: state, why, since when, the window's numbers, what would change it, the last decisions. False: no such
 * key. */
bool circuits_show(const struct circuits *c, struct str key, struct buf *b);

/* The body of a POST, {"state":"open"}; VINE_EINVAL says what may be asked for. */
int circuits_parse_force(struct str body, enum breaker_force *ret, struct err *e);
/* VINE_ENOTFOUND: no such key. VINE_EINVAL: a property wins over what is asked for; it is named. */
int circuits_force(const struct circuits *c, struct str key, enum breaker_force force, struct err *e);
