/* stick.h - what the two kinds of callers share in finding the key that sticks to a server. */
#pragma once
#include "base/str.h"

/* The value of a cookie in a Cookie field; empty: not there. */
struct str stick_cookie(struct str field, struct str name);
