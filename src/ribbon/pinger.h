/* pinger.h - asks servers whether they live, as NFLoadBalancerPingClassName says.
 *
 * Every ping_every a client's servers are asked: by GET (url), by what the registry says (registry; also at each of its news),
 * by a fixed word (constant), or by the user's table. Who has not answered by the end of ping_total is dead: a hung server
 * does not hold up the round. Dead servers are out until a ping calls them alive; when the ping is switched off, all are
 * alive again.
 *
 * Threads   Everything on the loop of the http_client that is given. */
#pragma once
#include "http/client.h"
#include "ribbon/ribbon.h"

struct pinger;

#define PINGS_AT_ONCE 64 /* of one client; the others wait for their turn */

struct pinger *pinger_new(struct http_client *http);
void pinger_free(struct pinger *pg); /* NULL is fine; ends rounds under way without their results */

/* To be called once a second for each client, and (news) when the registry's view has changed. */
void pinger_tick(struct pinger *pg, struct ribbon *rb, const struct ribbon_settings *s, const struct eureka_view *view,
		 bool news, usec now);
/* Before rb goes: its round ends. */
void pinger_forget(struct pinger *pg, const struct ribbon *rb);
