/* fuzz_yaml.c - YAML files: an error says where, and what is read keeps its limits. */
#include "fuzz.h"

#include "codec/yaml.h"

static void check_entry(const struct flat_entry *e)
{
	PROMISE(e->line >= 1 && e->column >= 1);
	PROMISE(e->key.len <= FLAT_KEY_MAX);
	PROMISE(e->kind != FLAT_NULL || e->value.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct err e = { 0 };
	size_t total = 0;

	arena_init(&a, 4096);

	struct flat f = { .arena = &a };
	int r = yaml_parse(&f, str_of((const char *)data, size), &e);

	PROMISE(r == 0 || (r == e.code && e.text[0]));
	for (size_t i = 0; r == 0 && i < f.n; i++) {
		for (size_t k = 0; k < f.doc[i].n; k++)
			check_entry(&f.doc[i].entry[k]);
		total += f.doc[i].n;
	}
	PROMISE(total <= FLAT_ENTRIES_MAX);
	arena_fini(&a);
	return 0;
}
