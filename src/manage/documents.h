/* documents.h - the endpoints that every role has: health, info, metrics, prometheus, loggers, env. */
#pragma once

struct actuator;
struct host;

void documents_add(struct actuator *a);   /* the endpoints */
void documents_health(struct host *h);    /* the health parts: ping, diskSpace, the states, configuration */
