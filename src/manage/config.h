/* config.h - the configuration of a process: read, judged, read again when it changes.
 *
 * A reload that does not validate changes nothing. Files are looked at once a second by size and time of change, which also
 * works where files are mounted from elsewhere; SIGHUP reads them whatever they look like. */
#pragma once
#include "base/clock.h"
#include "base/err.h"

struct control;
struct host_opts;
struct log;
struct props;

/* Reads and validates; every finding is one line on stderr. What e then says is only the sum of it. */
int config_load(struct props **ret, const struct host_opts *opts, struct err *e);
/* Format and levels; before: the properties that held until now, NULL: none did. */
void config_apply_log(const struct props *p, const struct props *before, struct log *logs);
usec config_drain_time(const struct props *p);

int config_first_load(struct control *c, struct err *e); /* the same, into c->props and c->files */
void config_watch(struct control *c); /* starts looking at the files */
void config_reload(struct control *c);
void config_publish(struct control *c, struct props *p); /* takes the reference */
