/* addr.h - socket addresses: parsing, printing, comparing. Numeric only; names are resolved by net/dns. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

#define ADDR_TEXT_MAX 64 /* "[v6]:port" and NUL */

bool addr_parse_ip(struct addr *ret, struct str ip, uint16_t port); /* "127.0.0.1", "::1", "[::1]" */
/* "host:port", "[v6]:port", "host" (then port is default_port). host is borrowed from text, without brackets. */
bool addr_split(struct str text, uint16_t default_port, struct str *host, uint16_t *port);
socklen_t addr_len(const struct addr *a);
uint16_t addr_port(const struct addr *a);
int addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);    /* "1.2.3.4:80"; returns the length */
int addr_ip_text(const struct addr *a, char out[ADDR_TEXT_MAX]); /* "1.2.3.4", v4-mapped v6 as v4 */
bool addr_is_loopback(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);

/* A range, "10.0.0.0/8" or one address. */
struct cidr {
	struct addr base;
	unsigned bits;
};
bool cidr_parse(struct cidr *ret, struct str text);
bool cidr_has(const struct cidr *c, const struct addr *a);
