/* machine.c - see machine.h. */
#include "props/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

void machine_hostname(char out[MACHINE_TEXT_MAX])
{
	strcpy(out, "localhost");
	if (gethostname(out, MACHINE_TEXT_MAX - 1) < 0)
		strcpy(out, "localhost");
	out[MACHINE_TEXT_MAX - 1] = '\0';
}

void machine_ip(char out[MACHINE_TEXT_MAX])
{
	struct ifaddrs *list = NULL;

	strcpy(out, "127.0.0.1");
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct sockaddr_in in;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		memcpy(&in, i->ifa_addr, sizeof(in));
		if (inet_ntop(AF_INET, &in.sin_addr, out, MACHINE_TEXT_MAX))
			break;
	}
	freeifaddrs(list);
}

/* The kernel's own 16 random bytes of this process, mixed with which value is asked for. */
static uint64_t drawn(struct str what, uint64_t n)
{
	const void *seed = (const void *)(uintptr_t)getauxval(AT_RANDOM); // NOLINT: an address is what it gives
	uint64_t word[2] = { 0 };

	if (seed)
		memcpy(word, seed, sizeof(word));
	return str_hash(what, word[0] ^ (n * 0x9e3779b97f4a7c15u)) ^ str_hash(what, word[1] + n);
}

/* "(10)", "(5,10)": the bounds. */
static bool read_range(struct str s, int64_t *lo, int64_t *hi)
{
	struct str first;

	if (s.len < 3 || s.ptr[0] != '(' || s.ptr[s.len - 1] != ')')
		return false;
	s = str_slice(s, 1, s.len - 1);
	*lo = 0;
	if (str_chr(s, ',') < 0)
		return str_to_i64(str_trim(s), hi) && *hi > 0;
	return str_cut(&s, ',', &first) && str_to_i64(str_trim(first), lo) && str_to_i64(str_trim(s), hi) && *hi > *lo;
}

static bool random_number(struct arena *a, struct str name, struct str rest, int64_t most, struct str *ret)
{
	uint64_t r = drawn(name, 0);
	int64_t lo = 0, hi = most;

	if (rest.len && !read_range(rest, &lo, &hi))
		return false;
	*ret = str_printf_in(a, "%lld", (long long)(lo + (int64_t)(r % (uint64_t)(hi - lo))));
	return true;
}

static bool random_property(struct arena *a, struct str name, struct str *ret)
{
	struct str what = str_slice(name, sizeof("random.") - 1, name.len);
	uint64_t x = drawn(name, 1), y = drawn(name, 2);

	if (str_eq(what, STR("value")))
		*ret = str_printf_in(a, "%016llx%016llx", (unsigned long long)x, (unsigned long long)y);
	else if (str_eq(what, STR("uuid")))
		*ret = str_printf_in(a, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(x >> 32), (unsigned)(x >> 16 & 0xffff),
				     (unsigned)(x & 0xfff), (unsigned)(0x8000 | (y >> 48 & 0x3fff)),
				     (unsigned long long)(y & 0xffffffffffffu));
	else if (str_has_prefix(what, STR("int")))
		return random_number(a, name, str_slice(what, 3, what.len), INT32_MAX, ret);
	else if (str_has_prefix(what, STR("long")))
		return random_number(a, name, str_slice(what, 4, what.len), INT64_MAX, ret);
	else
		return false;
	return true;
}

bool machine_property(struct arena *a, struct str name, struct str *ret)
{
	char text[MACHINE_TEXT_MAX];

	if (str_eq(name, STR("spring.cloud.client.hostname")))
		machine_hostname(text);
	else if (str_eq(name, STR("spring.cloud.client.ip-address")) || str_eq(name, STR("spring.cloud.client.ipAddress")))
		machine_ip(text);
	else
		return str_has_prefix(name, STR("random.")) && random_property(a, name, ret);
	*ret = str_dup_in(a, str_from(text));
	return true;
}
