/* maxforwards.h - how many hops a TRACE or OPTIONS request may still take: RFC 9110 section 7.6.2.
 *
 * Who asks with Max-Forwards: n learns what the n-th hop of the way sees. With 0 the gateway answers itself; else the request
 * goes on with one less. Other methods carry the field as any other. */
#pragma once
#include "http/server.h"

enum hops {
	HOPS_ON,  /* goes on; the field, where there is one, was counted down */
	HOPS_END, /* ends here: max_forwards_answer */
	HOPS_BAD, /* the field is no number, or there are two */
};

enum hops max_forwards_count(struct exchange *ex);
/* OPTIONS: the methods. TRACE: the request as it came, without what is secret. */
void max_forwards_answer(struct exchange *ex);
