/* env.h - Boot's env document: every property with its value, source and place; secrets masked. */
#pragma once

struct control_call;

void env_call(struct control_call *c); /* c->path: one property, or empty for all */
