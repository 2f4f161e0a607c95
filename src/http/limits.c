/* limits.c - see limits.h. */
#include "http/limits.h"

#include "props/props.h"

static enum h1_underscore underscore_of(const struct props *p)
{
	if (props_enum_is(p, "vine.http.underscore-names", STR("drop")))
		return H1_UNDERSCORE_DROP;
	if (props_enum_is(p, "vine.http.underscore-names", STR("reject")))
		return H1_UNDERSCORE_REJECT;
	return H1_UNDERSCORE_KEEP;
}

struct h1_limits http_limits_of(const struct props *p)
{
	return (struct h1_limits){
		.head_bytes = (uint32_t)props_bytes(p, "vine.http.max-head-bytes"),
		.fields = (uint16_t)props_int(p, "vine.http.max-headers"),
		.underscore = (uint8_t)underscore_of(p),
		.bare_lf = props_bool(p, "vine.http.accept-bare-line-feed"),
	};
}
