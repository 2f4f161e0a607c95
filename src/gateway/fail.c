/* fail.c - see fail.h. */
#include "gateway/fail.h"

#include "base/clock.h"
#include "codec/json.h"

static const struct gw_cause_desc causes[GW_CAUSES] = {
	[GW_OK] = { 200, STR_INIT("ok"), STR_INIT(""), STR_INIT(""), false },
	[GW_NO_ROUTE] = { 404, STR_INIT("no_route"), STR_INIT("destination_not_found"), STR_INIT("no route matches this path"), false },
	[GW_NO_INSTANCE] = { 503, STR_INIT("no_instance"), STR_INIT("destination_unavailable"), STR_INIT("no instance of the service is there"), true },
	[GW_CIRCUIT_OPEN] = { 503, STR_INIT("circuit_open"), STR_INIT("destination_unavailable"), STR_INIT("the service's circuit is open"), true },
	[GW_REJECTED] = { 503, STR_INIT("rejected"), STR_INIT("connection_limit_reached"), STR_INIT("too many requests to the service are under way"), true },
	[GW_POOL_REJECTED] = { 503, STR_INIT("pool_rejected"), STR_INIT("connection_limit_reached"), STR_INIT("the service's thread pool and its queue are full"), true },
	[GW_DEADLINE] = { 504, STR_INIT("deadline"), STR_INIT("http_response_timeout"), STR_INIT("the service did not answer in time"), false },
	[GW_READ_TIMEOUT] = { 504, STR_INIT("read_timeout"), STR_INIT("http_response_timeout"), STR_INIT("the service did not answer in time"), false },
	[GW_CONNECT_TIMEOUT] = { 504, STR_INIT("connect_timeout"), STR_INIT("connection_timeout"), STR_INIT("no connection to the service in time"), false },
	[GW_REFUSED] = { 502, STR_INIT("refused"), STR_INIT("connection_refused"), STR_INIT("the service refused the connection"), false },
	[GW_TLS] = { 502, STR_INIT("tls"), STR_INIT("tls_protocol_error"), STR_INIT("no TLS with the service"), false },
	[GW_UPSTREAM_CLOSED] = { 502, STR_INIT("closed"), STR_INIT("connection_terminated"), STR_INIT("the service closed the connection without an answer"), false },
	[GW_BAD_RESPONSE] = { 502, STR_INIT("bad_response"), STR_INIT("http_protocol_error"), STR_INIT("the service's answer is not valid HTTP"), false },
	[GW_NO_ADDRESS] = { 502, STR_INIT("no_address"), STR_INIT("dns_error"), STR_INIT("the service's name does not resolve"), false },
	[GW_BAD_PATH] = { 400, STR_INIT("bad_path"), STR_INIT("http_request_error"), STR_INIT("the path has segments that are not allowed"), false },
	[GW_BAD_MAX_FORWARDS] = { 400, STR_INIT("bad_max_forwards"), STR_INIT("http_request_error"), STR_INIT("Max-Forwards is not one number"), false },
	[GW_RULE_FAULT] = { 503, STR_INIT("rule_fault"), STR_INIT("proxy_internal_error"), STR_INIT("the balancer's rule chose no server"), false },
	[GW_UPSTREAM_STATUS] = { 502, STR_INIT("upstream_status"), STR_INIT("http_request_error"), STR_INIT("the service answered with an error"), false },
};

const struct gw_cause_desc *gw_cause_desc(enum gw_cause c)
{
	return &causes[c];
}

/* details come from our own tables and the resolver's: they have no quotes. */
static struct str proxy_status(struct exchange *ex, const struct gw_cause_desc *d, struct str details)
{
	if (details.len)
		return str_printf_in(&ex->arena, "vine; error=%.*s; details=\"%.*s\"", STRF(d->proxy_error), STRF(details));
	return str_printf_in(&ex->arena, "vine; error=%.*s", STRF(d->proxy_error));
}

static void put_json(struct buf *b, const struct exchange *ex, const struct gw_cause_desc *d, const struct gw_failure *f)
{
	char at[WALL_TEXT_MAX];
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("timestamp"), str_of(at, (size_t)clock_wall_text(at, clock_wall())));
	jsonw_key_u64(&w, STR("status"), d->status);
	jsonw_key_str(&w, STR("error"), http_reason(d->status));
	jsonw_key_str(&w, STR("message"), d->text);
	jsonw_key_str(&w, STR("cause"), d->name);
	if (f->details.len)
		jsonw_key_str(&w, STR("details"), f->details);
	if (f->fallback.len)
		jsonw_key_str(&w, STR("fallback"), f->fallback);
	if (f->service.len)
		jsonw_key_str(&w, STR("service"), f->service);
	jsonw_key_str(&w, STR("path"), str_slice(ex_path(ex), 0, 1024));
	jsonw_object_end(&w);
	buf_addc(b, '\n');
}

/* A browser asks for text/html by name and first. */
static bool wants_html(const struct exchange *ex)
{
	struct str accept = head_value(&ex->req, H_ACCEPT);
	ptrdiff_t html = str_find(accept, STR("text/html")), json = str_find(accept, STR("json"));

	return html >= 0 && (json < 0 || html < json);
}

void gw_fail(struct exchange *ex, const struct gw_failure *f)
{
	const struct gw_cause_desc *d = &causes[f->cause];
	struct buf b = BUF_INIT(16 * 1024);
	struct field fields[2];
	char seconds[20];
	size_t n = 0;
	bool html = wants_html(ex);

	fields[n++] = (struct field){ STR("Proxy-Status"), proxy_status(ex, d, f->details) };
	if (d->retry_after)
		fields[n++] = (struct field){ STR("Retry-After"), str_of(seconds, fmt_u64(seconds, MAX(f->retry_after, 1u))) };
	if (html)
		buf_addf(&b, "<!DOCTYPE html><title>%u %.*s</title><h1>%u %.*s</h1><p>%.*s</p>\n", d->status,
			 STRF(http_reason(d->status)), d->status, STRF(http_reason(d->status)), STRF(d->text));
	else
		put_json(&b, ex, d, f);
	ex_respond(ex, d->status, html ? STR("text/html;charset=UTF-8") : STR("application/json"), buf_str(&b), fields, n);
	buf_fini(&b);
}
