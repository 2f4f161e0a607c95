/* settings.c - see settings.h. */
#include "manage/settings.h"

#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manage/config.h"
#include "manage/host.h"
#include "props/props.h"

/* The cores that this process may run on, which in a container are fewer than the machine has. */
static unsigned cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)MAX(CPU_COUNT(&set), 1);
}

static bool has_ip6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int address_of(struct addr *ret, struct str text, const char *key, uint16_t port, struct err *e)
{
	if (text.len == 0)
		text = has_ip6() ? STR("::") : STR("0.0.0.0"); /* "::" takes both families */
	if (str_eq_nocase(text, STR("localhost")))
		text = STR("127.0.0.1");
	if (!addr_parse_ip(ret, text, port))
		return err_set(e, VINE_EINVAL, "%s = %.*s: must be an IP address or localhost", key, STRF(str_slice(text, 0, 80)));
	return 0;
}

uint16_t settings_up_port(const struct props *p, const struct role_ops *ops)
{
	struct str role = str_from(ops->name);

	if (props_is_set(p, "vine.up.ports.{role}", role, false))
		return (uint16_t)props_int_of(p, "vine.up.ports.{role}", role);
	if (strcmp(ops->name, "gateway") == 0 && props_is_set(p, "server.port", STR_EMPTY, false))
		return (uint16_t)props_int(p, "server.port");
	return ops->default_port;
}

static uint16_t port_of(const struct props *p, const struct role_ops *ops, const struct host_opts *opts)
{
	if (opts->own_ports)
		return settings_up_port(p, ops);
	return props_is_set(p, "server.port", STR_EMPTY, false) ? (uint16_t)props_int(p, "server.port") : ops->default_port;
}

static int read_addresses(struct settings *s, const struct props *p, const struct role_ops *ops,
			  const struct host_opts *opts, struct err *e)
{
	struct str address = props_str(p, "server.address"), management = props_str(p, "management.server.address");
	int r;

	if (address.len == 0)
		address = str_from(opts->default_address);
	r = address_of(&s->address, address, "server.address", port_of(p, ops, opts), e);
	if (r < 0 || !props_is_set(p, "management.server.port", STR_EMPTY, false))
		return r;

	uint16_t port = (uint16_t)props_int(p, "management.server.port");

	if (port != 0 && port == addr_port(&s->address))
		return 0; /* the same port: no listener of its own */
	s->has_management = true;
	return address_of(&s->management, management.len ? management : address, "management.server.address", port, e);
}

int settings_read(struct settings *s, const struct props *p, const struct role_ops *ops, const struct host_opts *opts,
		  struct err *e)
{
	struct str dir = props_str(p, "vine.data-dir"), name = props_str(p, "spring.application.name");
	int64_t workers = props_is_set(p, "vine.workers", STR_EMPTY, false) ? props_int(p, "vine.workers") : cores();
	int r = read_addresses(s, p, ops, opts, e);

	if (r < 0)
		return r;
	contexts_read(&s->paths, p);
	s->workers = (unsigned)MIN(workers, (int64_t)WORKERS_MAX);
	s->drain_time = config_drain_time(p);
	if (dir.len >= sizeof(s->data_dir))
		return err_set(e, VINE_EINVAL, "vine.data-dir: the path is longer than %zu bytes", sizeof(s->data_dir) - 1);
	s->has_data_dir = dir.len > 0;
	snprintf(s->data_dir, sizeof(s->data_dir), "%.*s", STRF(dir));
	if (name.len && !opts->own_ports)
		snprintf(s->app_name, sizeof(s->app_name), "%.*s", (int)MIN(name.len, sizeof(s->app_name) - 1), name.ptr);
	else
		snprintf(s->app_name, sizeof(s->app_name), "vine-%s", ops->name);
	return 0;
}
