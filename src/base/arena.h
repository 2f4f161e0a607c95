/* arena.h - memory that is freed as a whole.
 *
 * Chained blocks; nothing is freed singly. arena_reset keeps the first block, so that a keep-alive connection's next
 * request allocates nothing. Deferred calls run at reset and fini, newest first. An arena belongs to one thread at a time.
 * Sizes that a peer can choose must meet a limit before they come here. */
#pragma once
#include "base/util.h"

struct arena_block;

struct arena {
	struct arena_block *first; /* kept by reset */
	struct arena_block *cur;
	size_t used;       /* bytes of cur */
	size_t block_size; /* of the first block; later ones double up to 64 KiB */
	struct arena_defer *defers;
};

void arena_init(struct arena *a, size_t block_size); /* allocates nothing yet */
void arena_fini(struct arena *a);                    /* fine with a zeroed arena */
void arena_reset(struct arena *a);                   /* all memory of it is gone; the first block stays */

void *arena_alloc_slow(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);

struct arena_block {
	struct arena_block *next;
	size_t size;
	_Alignas(16) char data[];
};

/* n bytes, aligned to 16, uninitialised; never NULL. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
	size_t need = (n + 15) & ~(size_t)15;

	if (likely(a->cur && need >= n && a->cur->size - a->used >= need)) {
		void *p = a->cur->data + a->used;

		a->used += need;
		return p;
	}
	return arena_alloc_slow(a, n);
}
