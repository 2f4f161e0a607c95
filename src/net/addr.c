/* addr.c - see addr.h. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"

bool addr_parse_ip(struct addr *ret, struct str ip, uint16_t port)
{
	char z[INET6_ADDRSTRLEN + 2];
	struct addr a = { 0 };

	if (ip.len >= 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']')
		ip = str_slice(ip, 1, ip.len - 1);
	if (ip.len == 0 || ip.len >= sizeof(z))
		return false;
	memcpy(z, ip.ptr, ip.len);
	z[ip.len] = '\0';
	if (strlen(z) != ip.len)
		return false;
	if (inet_pton(AF_INET, z, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, z, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
	} else {
		return false;
	}
	*ret = a;
	return true;
}

bool addr_split(struct str text, uint16_t default_port, struct str *host, uint16_t *port)
{
	ptrdiff_t end = text.len && text.ptr[0] == '[' ? str_chr(text, ']') : -1;
	struct str rest;
	uint64_t p = default_port;

	if (end >= 0) {
		*host = str_slice(text, 1, (size_t)end);
		rest = str_slice(text, (size_t)end + 1, text.len);
		if (rest.len && rest.ptr[0] != ':')
			return false;
	} else {
		ptrdiff_t colon = str_chr(text, ':');

		*host = colon < 0 ? text : str_slice(text, 0, (size_t)colon);
		rest = str_slice(text, host->len, text.len);
	}
	if (rest.len && (!str_to_u64(str_slice(rest, 1, rest.len), &p) || p == 0 || p > 65535))
		return false;
	*port = (uint16_t)p;
	return host->len > 0 && host->len < 254;
}

socklen_t addr_len(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

uint16_t addr_port(const struct addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

static const struct in_addr *as_v4(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return &a->in.sin_addr;
	if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return (const struct in_addr *)(const void *)&a->in6.sin6_addr.s6_addr[12];
	return NULL;
}

int addr_ip_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	const struct in_addr *v4 = as_v4(a);

	if (v4) { /* by hand: each proxied request needs it */
		const uint8_t *b = (const uint8_t *)&v4->s_addr;
		char *p = out;

		for (int i = 0; i < 4; i++) {
			p += fmt_u64(p, b[i]);
			*p++ = '.';
		}
		*--p = '\0';
		return (int)(p - out);
	}
	if (a->sa.sa_family != AF_INET6 || !inet_ntop(AF_INET6, &a->in6.sin6_addr, out, ADDR_TEXT_MAX))
		return snprintf(out, ADDR_TEXT_MAX, "unknown");
	return (int)strlen(out);
}

int addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];

	addr_ip_text(a, ip);
	return snprintf(out, ADDR_TEXT_MAX, strchr(ip, ':') ? "[%.45s]:%u" : "%.45s:%u", ip, addr_port(a));
}

bool addr_is_loopback(const struct addr *a)
{
	const struct in_addr *v4 = as_v4(a);

	if (v4)
		return *(const uint8_t *)&v4->s_addr == 127;
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b))
		return false;
	if (a->sa.sa_family == AF_INET6)
		return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
	return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

bool cidr_parse(struct cidr *ret, struct str text)
{
	ptrdiff_t slash = str_chr(text, '/');
	struct cidr c = { 0 };
	uint64_t bits;

	if (!addr_parse_ip(&c.base, slash < 0 ? text : str_slice(text, 0, (size_t)slash), 0))
		return false;
	bits = c.base.sa.sa_family == AF_INET6 ? 128 : 32;
	c.bits = (unsigned)bits;
	if (slash >= 0 && (!str_to_u64(str_slice(text, (size_t)slash + 1, text.len), &bits) || bits > c.bits))
		return false;
	c.bits = (unsigned)bits;
	*ret = c;
	return true;
}

bool cidr_has(const struct cidr *c, const struct addr *a)
{
	const uint8_t *net, *ip;
	const struct in_addr *v4 = as_v4(a);

	if (c->base.sa.sa_family == AF_INET) {
		if (!v4)
			return false;
		net = (const uint8_t *)&c->base.in.sin_addr;
		ip = (const uint8_t *)v4;
	} else {
		if (a->sa.sa_family != AF_INET6)
			return false;
		net = c->base.in6.sin6_addr.s6_addr;
		ip = a->in6.sin6_addr.s6_addr;
	}
	if (memcmp(net, ip, c->bits / 8) != 0)
		return false;
	return c->bits % 8 == 0 || ((net[c->bits / 8] ^ ip[c->bits / 8]) >> (8 - c->bits % 8)) == 0;
}
