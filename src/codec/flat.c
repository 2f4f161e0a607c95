/* flat.c - growing lists in an arena: doubling leaves at most as much behind as is used. */
#include "codec/flat.h"

struct flat_doc *flat_new_doc(struct flat *f)
{
	if (f->n == f->cap) {
		size_t cap = MAX(f->cap * 2, (size_t)4);
		struct flat_doc *d = arena_zalloc(f->arena, cap * sizeof(*d));

		if (f->n)
			memcpy(d, f->doc, f->n * sizeof(*d));
		f->doc = d;
		f->cap = cap;
	}
	f->doc[f->n] = (struct flat_doc){ 0 };
	return &f->doc[f->n++];
}

bool flat_add(struct flat *f, struct flat_doc *d, const struct flat_entry *e)
{
	if (d->n == FLAT_ENTRIES_MAX)
		return false;
	if (d->n == d->cap) {
		size_t cap = MAX(d->cap * 2, (size_t)32);
		struct flat_entry *all = arena_alloc(f->arena, cap * sizeof(*all));

		if (d->n)
			memcpy(all, d->entry, d->n * sizeof(*all));
		d->entry = all;
		d->cap = cap;
	}
	d->entry[d->n++] = *e;
	return true;
}
