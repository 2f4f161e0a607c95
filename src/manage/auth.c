/* auth.c - see auth.h. */
#include "manage/auth.h"

#include <unistd.h>

#include "base/buf.h"
#include "codec/base64.h"

int auth_creds_set(struct auth_creds *c, struct str user, struct str password)
{
	_cleanup_(buf_finip) struct buf plain = BUF_INIT(AUTH_TOKEN_MAX), coded = BUF_INIT(AUTH_TOKEN_MAX);

	c->len = 0;
	if (user.len == 0 || password.len == 0)
		return 0;
	buf_adds(&plain, user);
	buf_addc(&plain, ':');
	buf_adds(&plain, password);
	base64_encode(&coded, buf_str(&plain), BASE64_STD);
	if (plain.failed || coded.failed)
		return VINE_ELIMIT;
	memcpy(c->token, coded.ptr, coded.len);
	c->len = coded.len;
	return 0;
}

bool auth_plain_password(struct str *password)
{
	ptrdiff_t end = str_chr(*password, '}');

	if (str_has_prefix(*password, STR("{noop}")))
		*password = str_slice(*password, 6, password->len);
	else if (password->len && password->ptr[0] == '{' && end > 0)
		return false;
	return true;
}

bool auth_same(struct str shown, struct str secret)
{
	unsigned diff = shown.len != secret.len;

	for (size_t i = 0; i < secret.len && shown.len; i++) /* as long as the secret is, whatever is shown */
		diff |= (unsigned)(uint8_t)shown.ptr[MIN(i, shown.len - 1)] ^ (unsigned)(uint8_t)secret.ptr[i];
	return diff == 0;
}

bool auth_creds_shown(const struct auth_creds *c, struct str authorization)
{
	if (c->len == 0 || !str_has_prefix_nocase(authorization, STR("Basic ")))
		return false;
	return auth_same(str_trim(str_slice(authorization, 6, authorization.len)), str_of(c->token, c->len));
}

static bool names_this_machine(struct str host)
{
	char own[256] = "";
	struct addr a;
	struct str name;
	uint16_t port;

	if (!addr_split(host, 0, &name, &port))
		return false;
	if (addr_parse_ip(&a, name, 0) || str_eq_nocase(name, STR("localhost")))
		return true;
	return gethostname(own, sizeof(own) - 1) == 0 && str_eq_nocase(name, str_from(own));
}

bool auth_is_cross_site(const struct auth_request *rq)
{
	struct str o = rq->origin;

	if (!rq->changes)
		return false;
	if (rq->fetch_site.len)
		return !str_eq_nocase(rq->fetch_site, STR("same-origin")) && !str_eq_nocase(rq->fetch_site, STR("none"));
	if (o.len == 0)
		return false; /* no browser, or one that asks the very page it is on */

	ptrdiff_t at = str_find(o, STR("://"));

	return at < 0 || !str_eq_nocase(str_slice(o, (size_t)at + 3, o.len), rq->host);
}

enum auth_verdict auth_judge(const struct auth_creds *c, const struct auth_request *rq)
{
	bool knows = auth_creds_shown(c, rq->authorization);

	if (auth_is_cross_site(rq))
		return AUTH_CROSS_SITE;
	if (knows)
		return AUTH_YES;
	if (rq->authorization.len == 0 && addr_is_loopback(rq->peer) && !rq->proxied && names_this_machine(rq->host))
		return AUTH_YES;
	return c->len ? AUTH_WHO : AUTH_NO;
}
