/* limits.h - what the properties say about a request's head (vine.http.*), the same for every server that Vine is. */
#pragma once
#include "http/h1.h"

struct props;

struct h1_limits http_limits_of(const struct props *p);
