/* limits.c - see limits.h. */
#include "http/limits.h"

#include <sys/resource.h>

#include "props/props.h"

static enum h1_underscore underscore_of(const struct props *p)
{
	if (props_enum_is(p, "vine.http.underscore-names", STR("drop")))
		return H1_UNDERSCORE_DROP;
	if (props_enum_is(p, "vine.http.underscore-names", STR("reject")))
		return H1_UNDERSCORE_REJECT;
	return H1_UNDERSCORE_KEEP;
}

static struct h1_limits head_limits(const struct props *p)
{
	return (struct h1_limits){
		.head_bytes = (uint32_t)props_bytes(p, "vine.http.max-head-bytes"),
		.fields = (uint16_t)props_int(p, "vine.http.max-headers"),
		.underscore = (uint8_t)underscore_of(p),
		.bare_lf = props_bool(p, "vine.http.accept-bare-line-feed"),
	};
}

/* A worker's part is never less than the largest body that a role takes, and another one beside it. */
#define GATHERED_LEAST ((size_t)32 << 20)

/* Connections that the descriptors allow, with an eighth left for what serving them needs: upstreams, files, timers. */
static uint32_t descriptors_allow(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur == RLIM_INFINITY)
		return UINT32_MAX;
	return (uint32_t)MIN(MAX(rl.rlim_cur / 8 * 7, (rlim_t)1), (rlim_t)UINT32_MAX);
}

uint32_t http_limits_connections(const struct props *p)
{
	return MIN((uint32_t)props_int(p, "vine.http.max-connections"), descriptors_allow());
}

void http_limits_read(struct http_server_opts *o, const struct props *p, unsigned servers)
{
	o->limits = head_limits(p);
	o->max_connections = MAX(http_limits_connections(p) / servers, 1u);
	o->max_gathered = MAX((size_t)props_bytes(p, "vine.http.max-gathered-bytes") / servers, GATHERED_LEAST);
	o->max_half_open = MAX((uint32_t)props_int(p, "vine.http.max-half-open") / servers, 1u);
	o->head_timeout = props_ms(p, "vine.http.head-timeout-ms") * USEC_PER_MSEC;
	o->idle_timeout = props_ms(p, "vine.http.idle-timeout-ms") * USEC_PER_MSEC;
	o->body_idle_timeout = props_ms(p, "vine.http.body-idle-timeout-ms") * USEC_PER_MSEC;
	o->min_rate = (uint32_t)props_bytes(p, "vine.http.min-body-rate");
}

struct addr_tally *http_limits_tally(const struct props *p, uint64_t seed)
{
	int64_t max = props_int(p, "vine.http.max-connections-per-address");

	return max > 0 ? addr_tally_new((uint32_t)max, seed) : NULL;
}
