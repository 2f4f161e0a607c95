/* causes.c - why a call failed, in words. */
#include "http/client.h"

const char *call_cause_name(enum call_cause c)
{
	static const char *const names[] = {
		[CALL_REFUSED] = "connection refused",
		[CALL_CONNECT_TIMEOUT] = "connect timeout",
		[CALL_RESET] = "connection reset",
		[CALL_CLOSED_EARLY] = "connection closed early",
		[CALL_BAD_RESPONSE] = "malformed response",
		[CALL_TIMEOUT] = "timeout",
		[CALL_NO_ADDRESS] = "name does not resolve",
		[CALL_NO_CONNECTION] = "no connection to be had",
		[CALL_TLS_FAILED] = "TLS handshake failed",
	};

	return names[c];
}
