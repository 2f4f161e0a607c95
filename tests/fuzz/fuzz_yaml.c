/* fuzz_yaml.c - YAML files: an error says where, and what is read keeps its limits. */
#include "fuzz.h"

#include "codec/yaml.h"

static void check_item(const struct flat_item *i)
{
	PROMISE(i->line >= 1 && i->col >= 1);
	PROMISE(i->key.len <= YAML_KEY_MAX);
	PROMISE(i->kind != FLAT_NULL || i->value.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct flat f;
	struct err e = { 0 };
	int r;

	arena_init(&a, 4096);
	flat_init(&f, &a);
	r = yaml_read(&f, str_of((const char *)data, size), &e);
	PROMISE(r == 0 || (r == e.code && e.text[0]));
	PROMISE(f.len <= f.max_items);
	for (size_t i = 0; i < f.len; i++) {
		check_item(&f.items[i]);
		PROMISE(i == 0 || f.items[i].doc >= f.items[i - 1].doc);
	}
	arena_fini(&a);
	return 0;
}
