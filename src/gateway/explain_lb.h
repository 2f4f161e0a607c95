/* explain_lb.h - GET /actuator/loadbalancers and /actuator/loadbalancers/{service}: why a server gets requests, or none.
 *
 * Answered on the control thread, from the present picture: the rule and its parameters, where the list came from and how old
 * it is, what the filter did, each server's state with its reason and its numbers, the last decisions. */
#pragma once

struct gateway;

void gw_explain_lb_add(struct gateway *gw);
