/* machine.h - names of this machine and of this process that Spring offers as properties: for placeholders that no source sets.
 *
 * spring.cloud.client.hostname, spring.cloud.client.ip-address, random.value, random.uuid, random.int, random.long,
 * random.int(n) and random.int(a,b), likewise long. A random value is drawn once a process: a reload must not give an instance another id.
 * Any thread; asks the system. */
#pragma once
#include "base/arena.h"
#include "base/str.h"

#define MACHINE_TEXT_MAX 256

void machine_hostname(char out[MACHINE_TEXT_MAX]);
void machine_ip(char out[MACHINE_TEXT_MAX]); /* the first that others could reach, IPv4; else 127.0.0.1 */
bool machine_property(struct arena *a, struct str name, struct str *ret); /* false: it is none of those above */
