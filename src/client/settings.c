/* settings.c - see settings.h. */
#include "client/settings.h"

#include <stdio.h>

#include "props/props.h"

#define NAME_DEFAULT "unknown" /* as Spring Cloud has it */

static int read_name(struct app_settings *s, const struct props *p, const char *default_name, struct err *e)
{
	struct str name = props_str(p, "spring.application.name");

	if (name.len == 0)
		name = str_from(default_name ? default_name : NAME_DEFAULT);
	if (name.len >= sizeof(s->name))
		return err_set(e, VINE_EINVAL, "spring.application.name: longer than %zu bytes", sizeof(s->name) - 1);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_' && c != '.')
			return err_set(e, VINE_EINVAL, "spring.application.name: %.*s: letters, digits, '-', '_' and '.' only", STRF(name));
	}
	memcpy(s->name, name.ptr, name.len);
	s->name[name.len] = '\0';
	return 0;
}

static int read_address(struct app_settings *s, const struct props *p, struct err *e)
{
	struct str ip = props_str(p, "server.address");
	uint16_t port = props_is_set(p, "server.port", STR_EMPTY, false) ? (uint16_t)props_int(p, "server.port") : 8080;

	if (ip.len == 0)
		ip = STR("0.0.0.0");
	else if (str_eq(ip, STR("localhost")))
		ip = STR("127.0.0.1");
	if (!addr_parse_ip(&s->address, ip, port))
		return err_set(e, VINE_EINVAL, "server.address: %.*s is no IP address", STRF(ip));
	return 0;
}

int app_settings_read(struct app_settings *s, const struct props *p, const char *default_name, struct err *e)
{
	*s = (struct app_settings){ 0 };

	int r = read_name(s, p, default_name, e);

	if (r == 0)
		r = read_address(s, p, e);
	contexts_read(&s->paths, p);
	s->threads = (unsigned)props_int(p, "server.tomcat.threads.max");
	s->queue = (unsigned)props_int(p, "server.tomcat.accept-count");
	s->body_max = (size_t)props_bytes(p, "vine.http.max-body-bytes");
	s->drain_time = props_ms(p, "spring.lifecycle.timeout-per-shutdown-phase") * USEC_PER_MSEC;
	s->leave_grace = props_ms(p, "vine.shutdown.leave-grace-ms") * USEC_PER_MSEC;
	s->sample_rate = props_double(p, "vine.trace.sample-rate");
	s->unregister = props_bool(p, "eureka.client.should-unregister-on-shutdown");
	return r;
}
