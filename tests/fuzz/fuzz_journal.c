/* fuzz_journal.c - the registry's file as a disk may give it back: raw, and as records with right checksums around any bodies. What
 * it holds is written again and read again as the same. */
#include "fuzz.h"

#include <zlib.h>

#include "registry/journal.h"

#define MAGIC "vine registry 1\n"

static uint64_t check(struct str bytes)
{
	struct journal_content c, again;
	struct buf b = BUF_INIT((size_t)1 << 30);
	size_t whole = journal_parse(&c, bytes, 42, 1000);
	uint64_t records = c.records;

	PROMISE(whole <= bytes.len && c.live_bytes <= whole);
	buf_adds(&b, STR(MAGIC));
	for (uint32_t i = 0; i < c.n; i++) {
		PROMISE(c.entry[i] && c.entry[i]->inst->app.len && c.entry[i]->inst->id.len);
		journal_put(&b, c.entry[i]);
	}
	PROMISE(journal_parse(&again, buf_str(&b), 42, 1000) == b.len);
	PROMISE(again.n == c.n);
	for (uint32_t i = 0; i < c.n; i++)
		PROMISE(str_eq(again.entry[i]->inst->id, c.entry[i]->inst->id));
	buf_fini(&b);
	journal_content_fini(&again);
	journal_content_fini(&c);
	return records;
}

/* Bodies stand one after the other, each behind one byte, or two, with its length. */
static void framed(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT((size_t)1 << 30);
	uint64_t n = 0;

	buf_adds(&b, STR(MAGIC));
	for (size_t at = 0; at < size; n++) {
		size_t len = data[at++];

		if (len > 200 && at < size)
			len = (len - 200) * 256 + data[at++];
		len = MIN(len, size - at);
		if (len == 0)
			break;

		uint32_t head[2] = { (uint32_t)len, (uint32_t)crc32(0, data + at, (uInt)len) };

		buf_add(&b, head, sizeof(head));
		buf_add(&b, data + at, len);
		at += len;
	}
	PROMISE(check(buf_str(&b)) == n);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(str_of((const char *)data, size));
	framed(data, size);
	return 0;
}
