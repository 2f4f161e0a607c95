/* check.c - judging a configuration as a whole.
 *
 * Single values are judged while the picture is built; here is what shows only between them: retries that the command's
 * time-out cuts off (Zuul only warned, at run time), leases that end before their renewal; and what a higher floor adds. */
#include "props/check.h"

#include "base/map.h"

#define SERVICES_MAX 1000
#define VALUE_SHOWN 80

/* --- services and their time-outs --- */

#define HYSTRIX "hystrix.command.{key}."
#define TIMEOUT HYSTRIX "execution.isolation.thread.timeoutInMilliseconds"

/* Values outside of their row's range are faults already; here they must only not overflow. */
static int64_t clamp(int64_t v, int64_t max)
{
	return v < 0 ? 0 : MIN(v, max);
}

struct check_timeouts check_timeouts_of(const struct props *p, struct str service, struct str command)
{
	struct check_timeouts t = {
		.connect = clamp(props_ms_of(p, "{client}.ribbon.ConnectTimeout", service), INT32_MAX),
		.read = clamp(props_ms_of(p, "{client}.ribbon.ReadTimeout", service), INT32_MAX),
		.same = clamp(props_int_of(p, "{client}.ribbon.MaxAutoRetries", service), 1000),
		.next = clamp(props_int_of(p, "{client}.ribbon.MaxAutoRetriesNextServer", service), 1000),
		.backoff = clamp(props_ms_of(p, "{client}.ribbon.BackoffTimeout", service), INT32_MAX),
	};
	int64_t tries = (t.same + 1) * (t.next + 1);

	t.tries_ms = (t.connect + t.read) * tries + t.backoff * (tries - 1);
	if (props_bool_of(p, HYSTRIX "execution.timeout.enabled", command))
		t.command_ms = props_ms_of(p, TIMEOUT, command);
	t.command_is_set = props_is_set(p, TIMEOUT, command, true);
	return t;
}

struct name {
	struct str name;
	bool is_service; /* of those that are meant */
};

struct names {
	struct map seen; /* of struct name */
	struct name at[SERVICES_MAX];
	size_t n;
};

static void add_name(struct names *l, struct str name, bool is_service)
{
	struct name *known = map_get(&l->seen, name);

	if (known)
		known->is_service |= is_service;
	if (known || name.len == 0 || l->n == SERVICES_MAX)
		return;
	l->at[l->n] = (struct name){ name, is_service };
	map_put(&l->seen, name, &l->at[l->n++]);
}

static bool is_address(struct str s)
{
	return str_has_prefix_nocase(s, STR("http:")) || str_has_prefix_nocase(s, STR("https:")) ||
	       str_has_prefix_nocase(s, STR("forward:"));
}

/* The service that a route leads to; empty: an address, no service. */
static struct str service_of(const struct props *p, struct str id)
{
	struct str service = props_str_of(p, "zuul.routes.{id}.service-id", id);
	struct str url = props_str_of(p, "zuul.routes.{id}.url", id);
	struct str brief = props_str_of(p, "zuul.routes.{id}", id), path;

	if (service.len)
		return service;
	if (url.len)
		return is_address(url) ? STR_EMPTY : url;
	if (str_cut(&brief, '=', &path) && brief.len != SIZE_MAX && brief.len)
		return is_address(brief) ? STR_EMPTY : brief;
	return id;
}

static struct names *names_new(const struct props *p, enum check_who who)
{
	bool clients = who != CHECK_GATEWAY || props_bool(p, "eureka.client.enabled");
	struct names *l = xzalloc(sizeof(*l));

	map_init(&l->seen, (uintptr_t)l);
	for (size_t i = 0; i < props_count(p); i++) {
		const struct prop_value *v = props_at(p, i);
		struct str name = v->desc ? str_from(v->desc->name) : STR_EMPTY;

		if (str_has_prefix(name, STR("zuul.routes.{id}")))
			add_name(l, service_of(p, v->key), who != CHECK_CLIENT);
		else if (str_has_prefix(name, STR("{client}.ribbon.")))
			add_name(l, v->key, clients);
		else if (str_has_prefix(name, STR("hystrix.command.")) && !str_eq(v->key, STR("default")))
			add_name(l, v->key, false);
	}
	return l;
}

static void names_free(struct names *l)
{
	map_fini(&l->seen);
	free(l);
}

static void add_arithmetic(struct buf *out, const struct check_timeouts *t)
{
	buf_addf(out,
		 "(ConnectTimeout %lld + ReadTimeout %lld) * (MaxAutoRetries %lld + 1) * (MaxAutoRetriesNextServer %lld + 1) ",
		 (long long)t->connect, (long long)t->read, (long long)t->same, (long long)t->next);
	if (t->backoff)
		buf_addf(out, "+ BackoffTimeout %lld * %lld ", (long long)t->backoff, (long long)((t->same + 1) * (t->next + 1) - 1));
	buf_addf(out, "= %lld ms", (long long)t->tries_ms);
}

static bool report_timeout(struct buf *out, const struct props *p, const struct name *n)
{
	struct check_timeouts t = check_timeouts_of(p, n->name, n->name);
	bool fits = check_timeouts_fit(&t);

	if (!n->is_service && fits)
		return true; /* a command, perhaps of a service */
	buf_addf(out, "  %s  %.*s: ", fits ? "fits   " : n->is_service ? "TOO LOW" : "perhaps", STRF(n->name));
	add_arithmetic(out, &t);
	if (t.command_ms == 0)
		buf_addz(out, "; the command has no time-out");
	else if (!t.command_is_set)
		buf_addz(out, "; no hystrix time-out is set");
	else if (fits)
		buf_addf(out, ", within the hystrix time-out of %lld ms", (long long)t.command_ms);
	else
		buf_addf(out, ", but hystrix ends the command after %lld ms: %s", (long long)t.command_ms,
			 n->is_service ? "later tries are cut off" : "too low if it is a service, which no route or ribbon key says");
	buf_addc(out, '\n');
	return fits || !n->is_service;
}

int check_timeouts_tell(const struct check_timeouts *t, struct str service, struct str command, struct err *e)
{
	_cleanup_(buf_finip) struct buf sum = BUF_INIT(1024);

	add_arithmetic(&sum, t);
	return err_set(e, VINE_EINVAL,
		       "%.*s: %.*s, but hystrix ends the command after %lld ms; raise "
		       "hystrix.command.%.*s.execution.isolation.thread.timeoutInMilliseconds, lower the others, or set "
		       "vine.timeouts.must-fit to false",
		       STRF(service), STRF(buf_str(&sum)), (long long)t->command_ms, STRF(command));
}

int check_times(const struct props *p, enum check_who who, struct err *e)
{
	struct names *l = names_new(p, who);
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++) {
		struct str name = l->at[i].name;
		struct check_timeouts t = check_timeouts_of(p, name, name);

		if (l->at[i].is_service && !check_timeouts_fit(&t))
			r = check_timeouts_tell(&t, name, name, e);
	}
	names_free(l);
	return r;
}

void check_times_others(const struct props *p, enum check_who who, void (*fn)(void *ctx, const struct err *why), void *ctx)
{
	struct names *l = names_new(p, who);

	for (size_t i = 0; i < l->n; i++) {
		struct str name = l->at[i].name;
		struct check_timeouts t = check_timeouts_of(p, name, name);
		struct err e;

		if (l->at[i].is_service || check_timeouts_fit(&t))
			continue;
		check_timeouts_tell(&t, name, name, &e);
		fn(ctx, &e);
	}
	names_free(l);
}

static size_t report_lease(struct buf *out, const struct props *p)
{
	int64_t renewal = props_ms(p, "eureka.instance.lease-renewal-interval-in-seconds");
	int64_t lease = props_ms(p, "eureka.instance.lease-expiration-duration-in-seconds");

	if (renewal < lease)
		return 0;
	buf_addf(out, "  WRONG    lease: a heartbeat each %lld ms keeps no lease of %lld ms alive\n", (long long)renewal,
		 (long long)lease);
	return 1;
}

static size_t report_fits(struct buf *out, const struct props *p, check_fn *more)
{
	struct names *l = names_new(p, CHECK_ALL);
	size_t wrong = 0, before = out->len;

	for (size_t i = 0; i < l->n; i++)
		wrong += !report_timeout(out, p, &l->at[i]);
	if (l->n == SERVICES_MAX)
		buf_addf(out, "  and more services than %d, which are not shown\n", SERVICES_MAX);
	wrong += report_lease(out, p);
	if (more)
		wrong += more(out, p);
	if (out->len != before)
		buf_addc(out, '\n');
	names_free(l);
	return wrong;
}

/* --- what becomes of each key --- */

static void add_place(struct buf *out, const struct prop_origin *o)
{
	buf_addf(out, "%.*s", STRF(o->source));
	if (o->line)
		buf_addf(out, ":%u:%u", o->line, o->column);
}

static void add_key(struct buf *out, const struct prop_value *v)
{
	struct str value = prop_hides(v->desc, v->name, v->value) ? STR("******") : str_slice(v->value, 0, VALUE_SHOWN);

	buf_addz(out, "  ");
	add_place(out, &v->origin);
	buf_addf(out, ": %.*s = ", STRF(v->name));
	for (size_t i = 0; i < value.len; i++)
		buf_addc(out, (unsigned char)value.ptr[i] < ' ' ? ' ' : value.ptr[i]);
	if (v->desc && v->desc->note)
		buf_addf(out, "  (%s)", v->desc->note);
	buf_addc(out, '\n');
}

enum fate { FATE_HONOURED, FATE_MAPPED, FATE_IGNORED, FATE_FOREIGN, FATES };

static enum fate fate_of(const struct prop_value *v)
{
	if (!v->desc)
		return FATE_FOREIGN;
	return v->desc->state == PROP_HONOURED ? FATE_HONOURED : v->desc->state == PROP_MAPPED ? FATE_MAPPED : FATE_IGNORED;
}

static void report_keys(struct buf *out, const struct props *p)
{
	static const char *const titles[FATES] = {
		[FATE_HONOURED] = "honoured",
		[FATE_MAPPED] = "carried out in another way",
		[FATE_IGNORED] = "without effect",
		[FATE_FOREIGN] = "foreign: kept and served, not used by Vine",
	};

	for (enum fate f = 0; f < FATES; f++) {
		size_t n = 0;

		for (size_t i = 0; i < props_count(p); i++) {
			if (fate_of(props_at(p, i)) != f)
				continue;
			if (n++ == 0)
				buf_addf(out, "%s\n", titles[f]);
			add_key(out, props_at(p, i));
		}
		if (n)
			buf_addc(out, '\n');
	}
}

static size_t report_findings(struct buf *out, const struct props *p)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f), errors = 0;

	for (size_t i = 0; i < n; i++) {
		errors += f[i].kind == FINDING_ERROR;
		buf_addf(out, "%s  %.*s\n", f[i].kind == FINDING_ERROR ? "error  " : "warning", STRF(f[i].text));
	}
	if (n)
		buf_addc(out, '\n');
	return errors;
}

/* Where Vine means to differ from what the same keys do in Zuul. */
static void report_differences(struct buf *out, const struct props *p)
{
	bool zuul = false;

	for (size_t i = 0; i < props_count(p) && !zuul; i++) {
		const struct prop_value *v = props_at(p, i);

		zuul = v->desc && str_has_prefix(str_from(v->desc->name), STR("zuul."));
	}
	if (zuul && props_bool(p, "zuul.add-proxy-headers") && !props_is_set(p, "vine.gateway.trusted-proxies", STR_EMPTY, false))
		buf_addz(out, "note     X-Forwarded-* of callers are replaced, where Zuul adds to them; whom to believe says "
			      "vine.gateway.trusted-proxies\n\n");
}

static void report_sum(struct buf *out, const struct props *p, size_t wrong)
{
	size_t n[FATES] = { 0 };

	for (size_t i = 0; i < props_count(p); i++)
		n[fate_of(props_at(p, i))]++;
	buf_addf(out, "%zu keys: %zu honoured, %zu carried out in another way, %zu without effect, %zu foreign; ", props_count(p),
		 n[FATE_HONOURED], n[FATE_MAPPED], n[FATE_IGNORED], n[FATE_FOREIGN]);
	if (wrong)
		buf_addf(out, "%zu wrong\n", wrong);
	else
		buf_addz(out, "nothing wrong\n");
}

size_t check_report(struct buf *out, const struct props *p, check_fn *more)
{
	size_t wrong = report_findings(out, p);

	wrong += report_fits(out, p, more);
	report_differences(out, p);
	report_keys(out, p);
	report_sum(out, p, wrong);
	return wrong;
}
