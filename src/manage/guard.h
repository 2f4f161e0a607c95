/* guard.h - whether an exchange may use a management endpoint; the judgement itself is auth.h's. */
#pragma once
#include "http/server.h"
#include "manage/auth.h"

enum auth_verdict ex_judge(const struct exchange *ex, const struct auth_creds *creds);
bool ex_is_cross_site(const struct exchange *ex); /* see auth_is_cross_site */
void ex_refuse(struct exchange *ex, enum auth_verdict v); /* answers what the verdict says; v is not AUTH_YES */
