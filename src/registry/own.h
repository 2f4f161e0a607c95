/* own.h - the registry's own entry in itself, where eureka.client.register-with-eureka asks for it: Netflix's servers know a peer as
 * available by finding its host among the instances. It renews as every client does and goes with the process.
 *
 * Threads   The writer's. */
#pragma once
#include "registry/registry.h"

struct own;

struct own *own_start(struct registry *reg, struct loop *loop, struct mailbox *mailbox, const struct instance *draft);
void own_leave(struct own *o); /* cancels; NULL is fine */
void own_free(struct own *o);
