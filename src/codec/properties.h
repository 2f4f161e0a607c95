/* properties.h - Java's .properties files, as Spring Boot reads them. */
#pragma once
#include "codec/flat.h"

/* Appends the keys of text to f. utf8: the file is UTF-8 rather than ISO-8859-1, which is Java's rule. A key that comes twice
 * is there twice; the later one holds. Errors are "line:column: text". */
int properties_read(struct flat *f, struct str text, bool utf8, struct err *e);
