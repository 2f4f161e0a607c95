/* datadir.h - the role's folder below vine.data-dir: made, checked for writing, locked for this process. */
#pragma once
#include "base/err.h"

struct host;

/* Sets h->data_dir, or leaves it empty for a role that keeps nothing and was told no folder. */
int datadir_open(struct host *h, struct err *e);
void datadir_close(struct host *h); /* gives the lock back; the folder stays */
