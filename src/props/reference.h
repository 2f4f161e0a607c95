/* reference.h - the catalogue as a page for readers: docs/properties.md is what this writes. */
#pragma once
#include "base/buf.h"
#include "props/catalogue.h"

void reference_write(struct buf *out);

/* "text", "a time (a plain number: ms)", ... */
const char *prop_type_name(enum prop_type t);
