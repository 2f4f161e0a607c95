/* limits.h - what the properties under vine.http say of the limits of a server, the same for every server that Vine is. */
#pragma once
#include "http/server.h"

struct addr_tally;
struct props;

/* Sets all limits of o, for one of so many servers that share them. */
void http_limits_read(struct http_server_opts *o, const struct props *p, unsigned servers);
uint32_t http_limits_connections(const struct props *p); /* what is set, or less where descriptors do not suffice */
struct addr_tally *http_limits_tally(const struct props *p, uint64_t seed); /* NULL: no limit; free it after the servers */
