/* utf8.h - judging and making UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF. */
#pragma once
#include "base/buf.h"

/* Length (1 to 4) of the well-formed sequence at p, or 0 if there is none before end. */
unsigned utf8_len(const char *p, const char *end);

/* Writes cp (a valid scalar value) at out, which has room for 4 bytes; returns how many it took. */
unsigned utf8_put(char *out, uint32_t cp);

bool utf8_is_valid(struct str s);

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
