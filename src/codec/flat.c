/* flat.c - the list that the parsers of configuration fill. */
#include "codec/flat.h"

void flat_init(struct flat *f, struct arena *a)
{
	*f = (struct flat){ .arena = a, .max_items = 100000 };
}

int flat_add(struct flat *f, const struct flat_item *item)
{
	if (f->len >= f->max_items)
		return VINE_ELIMIT;
	if (f->len == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct flat_item *items = arena_alloc(f->arena, cap * sizeof(*items));

		if (f->len)
			memcpy(items, f->items, f->len * sizeof(*items));
		f->items = items;
		f->cap = cap;
	}
	f->items[f->len++] = *item;
	return VINE_OK;
}
