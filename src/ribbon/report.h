/* report.h - what `vine check` says of clients' balancing: as ribbon_settings_read judges them at the start of a role. */
#pragma once
#include "base/buf.h"

struct props;

/* A line each fault, "  WRONG    vine.yml:3:5: key = value: why"; returns how many. with_plugins: shared objects that properties
 * name are loaded, which runs their constructors, and their tables judged, but nothing of them is called. */
size_t ribbon_report(struct buf *out, const struct props *p, bool with_plugins);
