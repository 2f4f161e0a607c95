/* attempt.c - see attempt.h. */
#include "gateway/attempt.h"

void attempt_begin(struct attempt *at, struct fserver *s, const struct outlier_settings *os, usec now)
{
	at->server = s;
	at->outlier = os;
	at->began = now;
	server_begin(s);
}

void attempt_end(struct attempt *at, enum server_outcome o, usec now)
{
	struct fserver *s = TAKE(at->server);

	if (s)
		server_end(s, at->outlier, o, now - at->began, now);
}

void attempt_drop(struct attempt *at, usec now)
{
	if (!at)
		return;
	call_cancel(&at->call);
	attempt_end(at, SERVER_ABANDONED, now);
}

enum gw_cause attempt_cause(enum call_cause c)
{
	switch (c) {
	case CALL_REFUSED:
	case CALL_NO_CONNECTION:
		return GW_REFUSED;
	case CALL_TLS_FAILED:
		return GW_TLS;
	case CALL_CONNECT_TIMEOUT:
		return GW_CONNECT_TIMEOUT;
	case CALL_TIMEOUT:
		return GW_READ_TIMEOUT;
	case CALL_NO_ADDRESS:
		return GW_NO_ADDRESS;
	case CALL_BAD_RESPONSE:
		return GW_BAD_RESPONSE;
	case CALL_RESET:
	case CALL_CLOSED_EARLY:
		return GW_UPSTREAM_CLOSED;
	}
	return GW_UPSTREAM_CLOSED;
}

enum server_outcome attempt_outcome(enum call_cause c)
{
	switch (c) {
	case CALL_REFUSED:
	case CALL_CONNECT_TIMEOUT:
	case CALL_NO_ADDRESS:
	case CALL_TLS_FAILED:
		return SERVER_REFUSED;
	case CALL_NO_CONNECTION: /* our own shortage */
		return SERVER_ABANDONED;
	default:
		return SERVER_RESET;
	}
}
