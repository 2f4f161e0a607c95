/* guard.c - see guard.h. */
#include "manage/guard.h"

static struct auth_request request_of(const struct exchange *ex)
{
	const struct http_head *rq = &ex->req;
	const struct hfield *origin = head_find_name(rq, STR("Origin")),
			    *site = head_find_name(rq, STR("Sec-Fetch-Site"));

	return (struct auth_request){
		.peer = &ex->peer,
		.authorization = head_value(rq, H_AUTHORIZATION),
		.host = rq->authority,
		.origin = origin ? origin->value : STR_EMPTY,
		.fetch_site = site ? site->value : STR_EMPTY,
		.proxied = head_find(rq, H_X_FORWARDED_FOR) || head_find(rq, H_FORWARDED) || head_find(rq, H_VIA),
		.changes = rq->mid != HTTP_GET && rq->mid != HTTP_HEAD && rq->mid != HTTP_OPTIONS,
	};
}

enum auth_verdict ex_judge(const struct exchange *ex, const struct auth_creds *creds)
{
	struct auth_request ar = request_of(ex);

	return auth_judge(creds, &ar);
}

bool ex_is_cross_site(const struct exchange *ex)
{
	struct auth_request ar;

	if (ex->req.mid == HTTP_GET)
		return false;
	ar = request_of(ex);
	return auth_is_cross_site(&ar);
}

void ex_refuse(struct exchange *ex, enum auth_verdict v)
{
	static const struct field ask = { STR_INIT("WWW-Authenticate"),
					  STR_INIT("Basic realm=\"vine\", charset=\"UTF-8\"") };

	switch (v) {
	case AUTH_WHO:
		ex_respond(ex, 401, STR("application/json"), STR("{\"status\":401,\"error\":\"Unauthorized\"}"), &ask,
			   1);
		break;
	case AUTH_CROSS_SITE:
		ex_respond(ex, 403, STR("application/json"),
			   STR("{\"status\":403,\"error\":\"Forbidden\",\"message\":\"the request comes from another "
			       "site\"}"),
			   NULL, 0);
		break;
	default:
		ex_respond(ex, 403, STR("application/json"),
			   STR("{\"status\":403,\"error\":\"Forbidden\",\"message\":\"set vine.management.user and "
			       "vine.management.password to use this from another machine\"}"),
			   NULL, 0);
	}
}
