/* properties.h - from a picture of properties to the settings of one command, pool or collapser.
 *
 * The one place that knows which property is which field, for the gateway and libvine alike: <family>.<key>.x, then
 * <family>.default.x, then what is built in. Pure: a picture is immutable. Unchecked; see settings.h. */
#pragma once
#include "base/buf.h"
#include "flow/settings.h"

struct props;

void cmd_settings_read(struct cmd_settings *ret, const struct props *p, struct str key);
/* A queueSizeRejectionThreshold that nobody has set does not undercut maxQueueSize: in Hystrix a queue of 100 held 5
 * (H#1426). A maximumSize that nobody has set is never below coreSize. */
void pool_settings_read(struct pool_settings *ret, const struct props *p, struct str key);
void collapser_settings_read(struct collapser_settings *ret, const struct props *p, struct str key);

/* Checks the settings of every key that the properties name. The first fault... */
int flow_properties_check(const struct props *p, struct err *e);
/* ... or all of them, a line each, for `vine check`; returns how many. A check_fn. */
size_t flow_properties_report(struct buf *out, const struct props *p);
