/* attempt.h - one sending of a request to one server: begun, and ended with a word to the server's statistics.
 *
 * A request has one at a time, or two while it is hedged. What follows the end of one is the proxy's business.
 *
 * Owner: the request, in its worker. */
#pragma once
#include "flow/server.h"
#include "gateway/fail.h"
#include "http/client.h"

struct px;

struct attempt {
	struct px *px;
	struct call call;
	struct fserver *server; /* NULL between tries */
	const struct outlier_settings *outlier;
	usec began;
};

void attempt_begin(struct attempt *at, struct fserver *s, const struct outlier_settings *os, usec now);
/* Once for each beginning; nothing if it has ended already. The call is the proxy's to end. */
void attempt_end(struct attempt *at, enum server_outcome o, usec now);
/* Nobody waits for its answer any more; NULL is fine. */
void attempt_drop(struct attempt *at, usec now);

/* What a failed call means: to the client, and to the server. */
enum gw_cause attempt_cause(enum call_cause c);
enum server_outcome attempt_outcome(enum call_cause c);
