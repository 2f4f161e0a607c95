/* procmeters.h - what Micrometer says of every process and Boot's dashboards look for: uptime, CPU, descriptors, memory,
 * threads, disk, log events, configuration reloads; and the servers' connections. */
#pragma once

struct host;

void procmeters_add(struct host *h); /* a source of h->meters */
