/* auth.h - who may speak to the registry: by Basic, by a bearer token, or by a client's certificate.
 *
 * Off as long as nothing is configured. Any of the ways suffices. Passwords and tokens are compared in a time that does not
 * tell how much of them was right, and all of them are, so it does not tell which either. Several tokens hold at once, each
 * under a name of its own: a new one is added, clients move, the old one goes.
 *
 * Owner   The worker that made it, by its properties; made anew at a reload. */
#pragma once
#include "http/server.h"

struct logger;
struct props;
struct reg_auth;

/* *ret NULL: off. VINE_EINVAL: a token or certificate's name that cannot be, by its property; never with its value. */
int reg_auth_new(struct reg_auth **ret, const struct props *p, struct err *e);
void reg_auth_free(struct reg_auth *a); /* NULL is fine */

/* authorization: the field's value, or empty. names: of a client's certificate (ex_client_names). *who: for the log, "user
 * ops", "token ci", "certificate CN=..."; first: nobody has shown this one since a was made. */
bool reg_auth_knows(struct reg_auth *a, struct str authorization, struct str names, struct str *who, bool *first);

/* Is the exchange let in? a NULL: yes. Else it has been answered: 401, or 403 where a browser speaks for another site. */
bool reg_auth_admits(struct reg_auth *a, struct exchange *ex, const struct logger *log);
/* Would it be let in (again)? Says so in the log as reg_auth_admits does, and answers nothing. */
bool reg_auth_would_admit(struct reg_auth *a, struct exchange *ex, const struct logger *log);
