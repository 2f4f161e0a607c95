/* arena.c - the block chain behind arena.h. */
#include "base/arena.h"

#define BLOCK_MAX (64u * 1024)

struct arena_defer {
	struct arena_defer *next;
	void (*fn)(void *arg);
	void *arg;
};

void arena_init(struct arena *a, size_t block_size)
{
	*a = (struct arena){ .block_size = MAX(block_size, (size_t)256) };
}

static void run_defers(struct arena *a)
{
	while (a->defers) {
		struct arena_defer *d = a->defers;

		a->defers = d->next;
		d->fn(d->arg);
	}
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_fini(struct arena *a)
{
	run_defers(a);
	free_blocks(a->first);
	*a = (struct arena){ .block_size = a->block_size };
}

void arena_reset(struct arena *a)
{
	run_defers(a);
	if (!a->first)
		return;
	free_blocks(TAKE(a->first->next));
	a->cur = a->first;
	a->used = 0;
#ifndef NDEBUG
#ifdef VINE_DEBUG
	memset(a->first->data, 0xdb, a->first->size);
#endif
#endif
}

void *arena_alloc_slow(struct arena *a, size_t n)
{
	size_t need = (n + 15) & ~(size_t)15;

	assert(need >= n);

	size_t size = a->cur ? MIN(a->cur->size * 2, (size_t)BLOCK_MAX) : a->block_size;
	struct arena_block *b = xmalloc(sizeof(*b) + MAX(size, need));

	b->next = NULL;
	b->size = MAX(size, need);
	if (a->cur)
		a->cur->next = b;
	else
		a->first = b;
	a->cur = b;
	a->used = need;
	return b->data;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
	struct arena_defer *d = arena_alloc(a, sizeof(*d));

	*d = (struct arena_defer){ a->defers, fn, arg };
	a->defers = d;
}
