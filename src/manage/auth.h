/* auth.h - who may use the management endpoints: a pure judgement over what the request shows.
 *
 * A peer on the loopback interface is trusted when it speaks for itself: no proxy's header, and a Host that is an address,
 * localhost or this machine's name (a page that makes its own name resolve to 127.0.0.1 shows that name). Everybody else
 * needs the configured Basic credentials; without any configured there is no way in. What changes something is refused when
 * a browser says that it comes from another site, whoever it is. */
#pragma once
#include "base/str.h"
#include "net/addr.h"

#define AUTH_TOKEN_MAX 512

struct auth_creds {
	size_t len;                 /* 0: none are configured */
	char token[AUTH_TOKEN_MAX]; /* base64 of user:password */
};

struct auth_request {
	const struct addr *peer;
	struct str authorization; /* the field's value; empty: none */
	struct str host;          /* authority that was asked for */
	struct str origin, fetch_site;
	bool proxied;             /* Forwarded, X-Forwarded-For or Via is there */
	bool changes;             /* any method but GET, HEAD, OPTIONS */
};

enum auth_verdict { AUTH_YES, AUTH_WHO, AUTH_NO, AUTH_CROSS_SITE };

/* Are they the same? Takes as long for a wrong first byte as for a wrong last one. */
bool auth_same(struct str shown, struct str secret);
/* Does a browser say that a request which changes something comes from another site? */
bool auth_is_cross_site(const struct auth_request *rq);
/* Does this value of Authorization show them? False where none are configured. */
bool auth_creds_shown(const struct auth_creds *c, struct str authorization);
/* Spring writes how a password is stored before it: "{noop}secret" is plain. False: it is hashed in some way. */
bool auth_plain_password(struct str *password);
/* VINE_ELIMIT: too long for AUTH_TOKEN_MAX. */
int auth_creds_set(struct auth_creds *c, struct str user, struct str password);
enum auth_verdict auth_judge(const struct auth_creds *c, const struct auth_request *rq);
