/* service_url.c - see service_url.h. */
#include "eureka/service_url.h"

#include <stdio.h>

#include "base/buf.h"
#include "codec/base64.h"
#include "codec/url.h"

/* "user:password", percent-encoded as in every URL, to a header line. */
static int auth_line(struct service_url *u, struct str userinfo, struct err *e)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(sizeof(u->auth) - 1);
	struct arena a;
	struct str plain;

	arena_init(&a, 512);
	buf_adds(&b, STR("Authorization: Basic "));
	if (url_decode(&a, userinfo, false, &plain))
		base64_encode(&b, plain, BASE64_STD);
	else
		b.failed = true;
	buf_adds(&b, STR("\r\n"));
	arena_fini(&a);
	if (b.failed)
		return err_set(e, VINE_EINVAL, "eureka.client.service-url: malformed or over-long credentials");
	snprintf(u->auth, sizeof(u->auth), "%.*s", STRF(buf_str(&b)));
	return 0;
}

static int parse_one(struct service_url *u, struct str text, struct err *e)
{
	struct url url;
	int r = url_split(&url, str_trim(text), e);

	if (r < 0)
		return err_prefix(e, "eureka.client.service-url");
	u->auth[0] = '\0';
	if (url.userinfo.len)
		r = auth_line(u, url.userinfo, e);
	if (r < 0)
		return r;
	if (str_eq(url.path, STR("/")))
		url.path = STR("/eureka/");
	if (url.host.len > SERVICE_HOST_MAX || url.path.len > sizeof(u->path) - 2)
		return err_set(e, VINE_EINVAL, "eureka.client.service-url: over-long host or path");
	snprintf(u->host, sizeof(u->host), "%.*s", STRF(url.host));
	snprintf(u->path, sizeof(u->path), "%.*s%s", STRF(url.path), str_has_suffix(url.path, STR("/")) ? "" : "/");
	snprintf(u->shown, sizeof(u->shown), "%s://%.*s:%u%.*s", url.secure ? "https" : "http", (int)MIN(url.host.len, (size_t)100), url.host.ptr,
		 url.port, (int)MIN(url.path.len, (size_t)120), url.path.ptr);
	u->port = url.port;
	u->secure = url.secure;
	return 0;
}

int service_urls_parse(struct service_url *ret, unsigned max, unsigned *n, struct str list, struct err *e)
{
	struct str piece;

	*n = 0;
	while (list.len && str_cut(&list, ',', &piece)) {
		if (!str_trim(piece).len)
			continue;
		if (*n == max)
			return err_set(e, VINE_EINVAL, "eureka.client.service-url: more than %u URLs", max);

		int r = parse_one(&ret[*n], piece, e);

		if (r < 0)
			return r;
		++*n;
	}
	return 0;
}

/* RFC 6750 section 2.1: what a token is made of. */
static bool is_token(struct str t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (!ascii_is_alpha(t.ptr[i]) && !ascii_is_digit(t.ptr[i]) && !strchr("-._~+/=", t.ptr[i]))
			return false;
	}
	return true;
}

int service_urls_give_token(struct service_url *u, unsigned n, struct str token, struct err *e)
{
	if (token.len > sizeof(u->auth) - sizeof("Authorization: Bearer \r\n") || !is_token(token))
		return err_set(e, VINE_EINVAL, "vine.eureka.client.token: letters, digits and -._~+/= only, and at most %zu of them",
			       sizeof(u->auth) - sizeof("Authorization: Bearer \r\n"));
	for (unsigned i = 0; token.len && i < n; i++) {
		if (!u[i].auth[0])
			snprintf(u[i].auth, sizeof(u[i].auth), "Authorization: Bearer %.*s\r\n", STRF(token));
	}
	return 0;
}

bool service_url_same(const struct service_url *a, const struct service_url *b)
{
	return a->port == b->port && a->secure == b->secure && str_eq_nocase(str_from(a->host), str_from(b->host)) && strcmp(a->path, b->path) == 0;
}

int service_url_make(struct service_url *ret, struct str url, struct err *e)
{
	return parse_one(ret, url, e);
}
