/* fuzz_eureka_xml.c - instances and applications in XML: limits hold, and what we write we read again. */
#include "fuzz.h"

#include "eureka/json.h"
#include "eureka/xml.h"

/* Written by us and read again, an instance is written the same. */
static void round_trip(const struct instance *draft, struct arena *a)
{
	struct buf once = BUF_INIT(4 << 20), twice = BUF_INIT(4 << 20);
	struct instance back;
	struct err e = { 0 };

	instance_xml_write(&once, draft, 0);
	PROMISE(!once.failed);
	if (once.len <= INST_BODY_MAX) { /* escapes may make it longer than what is taken */
		if (instance_xml_decode(&back, buf_str(&once), a, &e) < 0)
			fprintf(stderr, "%s\n%.*s\n", e.text, STRF(buf_str(&once)));
		PROMISE(!e.text[0]);
		instance_xml_write(&twice, &back, 0);
		if (!str_eq(buf_str(&once), buf_str(&twice)))
			fprintf(stderr, "%.*s\n%.*s\n", STRF(buf_str(&once)), STRF(buf_str(&twice)));
		PROMISE(str_eq(buf_str(&once), buf_str(&twice)));
	}
	buf_fini(&once);
	buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_of((const char *)data, size);
	struct instance draft;
	struct apps_doc doc = { 0 };
	struct arena a;
	struct err e = { 0 };

	arena_init(&a, 4096);

	int r = instance_xml_decode(&draft, body, &a, &e);

	PROMISE(r == 0 || (r == e.code && e.text[0]));
	if (r == 0) {
		struct instance *kept = instance_new(&draft);

		PROMISE(instance_check_limits(kept, &e) == 0);
		round_trip(kept, &a);
		instance_unref(kept);
	}
	if (apps_xml_decode(&doc, body, NULL) == 0)
		apps_doc_fini(&doc);
	arena_fini(&a);
	return 0;
}
