/* fuzz_properties.c - .properties files; and each name that comes out is asked of the catalogue. */
#include "fuzz.h"

#include "codec/properties.h"
#include "props/catalogue.h"

static void ask_catalogue(struct arena *a, const struct flat_item *e, bool *searched)
{
	struct str key;
	int index;
	const struct prop_desc *d = prop_desc_find(e->key, &key, &index);

	if (!d) {
		if (!*searched) /* it takes its time */
			prop_nearest(a, e->key);
		*searched = true;
		return;
	}

	struct err why = { 0 };
	int r = prop_validate(d, e->value, &why);

	PROMISE(r == 0 || why.text[0]);

	/* The stored form of a name binds to the same row. */
	struct str key2, name = prop_canonical(a, d, key);
	int index2;

	PROMISE(prop_desc_find(name, &key2, &index2) == d && str_eq(key, key2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct err e = { 0 };
	bool searched = false;

	if (size == 0)
		return 0;
	arena_init(&a, 4096);

	struct flat f;

	flat_init(&f, &a);

	int r = properties_read(&f, str_of((const char *)data + 1, size - 1), data[0] & 1, &e);

	PROMISE(r == 0 || (r == e.code && e.text[0]));
	for (size_t i = 0; r == 0 && i < f.len && i < 16; i++) {
		PROMISE(f.items[i].line >= 1);
		ask_catalogue(&a, &f.items[i], &searched);
	}
	arena_fini(&a);
	return 0;
}
