/* stick.h - the key by which a request sticks to a server, where the rule hashes: vine.loadbalancer.<client>.hash-key. */
#pragma once
#include "http/server.h"
#include "ribbon/settings.h"

/* false: this request has none (no such header or cookie). path: in its one form. trusted: the peer's X-Forwarded-For is
 * believed, whose first address is then the client's. */
bool gw_stick_key(const struct ribbon_settings *lb, const struct exchange *ex, struct str path, bool trusted,
		  uint64_t *ret);
