/* test_registry_journal.c - the file that outlives the process: whole up to the last record that is, wherever it was cut. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/journal.h"

static char folder[64], path[128], fresh[128];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "%s/vine-journal-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/leases.log", folder);
	snprintf(fresh, sizeof(fresh), "%s/leases.new", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	unlink(fresh);
	return rmdir(folder);
}

static struct entry *entry(const char *app, struct str id, enum inst_status s, enum inst_status reported)
{
	struct instance d = instance_draft();
	struct kv kv[] = { { STR_INIT("k\"1"), STR_INIT("<v>\n") } };

	d.app = str_from(app);
	d.instance_id = d.id = id;
	d.host = d.ip = STR("h");
	d.status = (uint8_t)s;
	d.has_dc = true;
	d.dirty = 17;
	d.lease.renewal_s = 7;
	d.lease.duration_s = 21;
	d.meta = kv;
	d.n_meta = 1;
	if (s != reported)
		d.overridden = (uint8_t)s;

	struct instance *in = instance_new(&d);

	return entry_new(in, lease_new(in, reported, 0));
}

static void put(struct buf *b, const char *app, struct str id, enum inst_status s, enum inst_status reported)
{
	struct entry *e = entry(app, id, s, reported);

	journal_put(b, e);
	entry_unref(e);
}

static const struct entry *find(const struct journal_content *c, const char *app, struct str id)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct instance *in = c->entry[i]->inst;

		if (str_eq(in->app, str_from(app)) && str_eq(in->id, id))
			return c->entry[i];
	}
	return NULL;
}

static void make(struct str records)
{
	struct journal j = JOURNAL_NONE;
	struct err e;

	assert_int_equal(journal_create(&j, fresh, &e), 0);
	assert_int_equal(journal_append(&j, records, &e), 0);
	assert_int_equal(journal_sync(&j, &e), 0);
	assert_int_equal(journal_rename(fresh, path, &e), 0);
	journal_close(&j);
}

static int reopen(struct journal *j, struct journal_content *c, struct err *e)
{
	return journal_open(j, path, c, 42, 1000, e);
}

static void test_round_trip(void **state)
{
	static const struct str odd = STR_INIT("a\0b/\"\n\xed\x95\x9c:8080 +%");
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
	struct journal_content c;
	struct journal j;
	struct err e;

	(void)state;
	put(&b, "A", STR("1"), INST_UP, INST_UP);
	put(&b, "A", STR("2"), INST_OUT_OF_SERVICE, INST_UP);
	put(&b, "B", odd, INST_STARTING, INST_STARTING);
	put(&b, "A", STR("gone"), INST_UP, INST_UP);
	put(&b, "A", STR("1"), INST_DOWN, INST_DOWN);
	journal_del(&b, STR("A"), STR("gone"));
	journal_del(&b, STR("A"), STR("never was"));
	journal_override(&b, STR("gone"), INST_OUT_OF_SERVICE, 123456789);
	journal_override(&b, STR("1"), INST_DOWN, 5);
	put(&b, "A", STR("1"), INST_DOWN, INST_DOWN); /* it is back: its override stands in its own record */
	make(buf_str(&b));
	assert_int_equal(reopen(&j, &c, &e), 0);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.lost_bytes, 0);
	assert_int_equal(c.records, 10);
	assert_int_equal(find(&c, "A", STR("1"))->inst->status, INST_DOWN);
	assert_int_equal(find(&c, "A", STR("2"))->inst->overridden, INST_OUT_OF_SERVICE);
	assert_int_equal(find(&c, "A", STR("2"))->lease->reported, INST_UP);

	const struct entry *x = find(&c, "B", odd);

	assert_non_null(x);
	assert_true(x->lease->restored && x->lease->duration == 21 * USEC_PER_SEC &&
		    x->lease->interval == 7 * USEC_PER_SEC);
	assert_true(atomic_load(&((struct lease *)x->lease)->renewed) == 1000); /* it begins anew */
	assert_str(instance_meta(x->inst, STR("k\"1")), STR("<v>\n"));
	assert_true(x->inst->dirty == 17);
	for (const struct journal_override *o = c.overrides; o; o = o->next)
		assert_true(str_eq(o->id, STR("gone")) ? o->until == 123456789 && o->status == INST_OUT_OF_SERVICE
						       : o->until == 0);
	assert_true(c.live_bytes < b.len);
	journal_content_fini(&c);
	journal_close(&j);
}

/* Cut anywhere, and with any byte of the last record changed: the records before it hold, and writing goes on behind them. */
static void test_cut_everywhere(void **state)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20), more = BUF_INIT(1 << 20);
	struct journal_content c;
	size_t first, all;
	struct journal j;
	struct err e;

	(void)state;
	put(&b, "A", STR("1"), INST_UP, INST_UP);
	first = b.len;
	put(&b, "A", STR("2"), INST_UP, INST_UP);
	all = b.len;
	put(&more, "A", STR("3"), INST_UP, INST_UP);
	for (size_t cut = 0; cut <= all; cut++) {
		uint32_t want = (cut >= first) + (cut == all);

		make(str_of(b.ptr, cut));
		assert_int_equal(reopen(&j, &c, &e), 0);
		assert_int_equal(c.n, want);
		assert_int_equal(c.lost_bytes, cut == all ? 0 : cut >= first ? cut - first : cut);
		journal_content_fini(&c);
		assert_int_equal(journal_append(&j, buf_str(&more), &e), 0);
		journal_close(&j);
		assert_int_equal(reopen(&j, &c, &e), 0);
		assert_int_equal(c.n, want + 1);
		assert_int_equal(c.lost_bytes, 0);
		journal_content_fini(&c);
		journal_close(&j);
	}
	for (size_t at = first; at < all; at++) {
		b.ptr[at] = (char)(b.ptr[at] ^ 0x41);
		make(buf_str(&b));
		b.ptr[at] = (char)(b.ptr[at] ^ 0x41);
		assert_int_equal(reopen(&j, &c, &e), 0);
		assert_int_equal(c.n, 1);
		journal_content_fini(&c);
		journal_close(&j);
	}
}

static void test_what_is_none_of_ours(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "", VINE_EPROTO },
		{ "vine registry 2\n", VINE_EPROTO },
		{ "vine reg", VINE_EPROTO },
		{ "\x7f"
		  "ELF..............................",
		  VINE_EPROTO },
		{ "vine registry 1\n", 0 },
	};
	struct journal_content c;
	struct journal j;
	struct err e;

	(void)state;
	unlink(path);
	assert_int_equal(reopen(&j, &c, &e), VINE_ENOTFOUND);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		FILE *f = fopen(path, "w");

		fputs(rows[i].text, f);
		fclose(f);
		assert_int_equal(reopen(&j, &c, &e), rows[i].want);
		if (rows[i].want == 0) {
			assert_int_equal(c.n, 0);
			journal_content_fini(&c);
			journal_close(&j);
		}
	}
}

/* A record with a right checksum that makes no sense is passed over. */
static void test_nonsense_with_a_checksum(void **state)
{
	static const char *const bodies[] = { "P",
					      "P\x04{",
					      "P\x04{\"hostName\":1}",
					      "P\x04[]",
					      "D",
					      "D\xff\xff"
					      "a",
					      "D\x01",
					      "O",
					      "O\xff"
					      "12345678i",
					      "?",
					      "P\x63{}" };
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
	struct journal_content c;
	struct journal j;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		size_t at = b.len;
		struct str body = str_from(bodies[i]);

		journal_del(&b, STR("0"), STR("0")); /* a frame to put it in */
		b.len = at + 8;
		buf_adds(&b, body);
		b.ptr[at] = (char)body.len;

		uint32_t crc = ~0u;

		for (size_t k = 0; k < body.len; k++) {
			crc ^= (uint8_t)body.ptr[k];
			for (int bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
		}
		crc = ~crc;
		for (unsigned k = 0; k < 4; k++)
			b.ptr[at + 4 + k] = (char)(crc >> 8 * k);
	}
	put(&b, "A", STR("1"), INST_UP, INST_UP);
	make(buf_str(&b));
	assert_int_equal(reopen(&j, &c, &e), 0);
	assert_int_equal(c.records, ARRAY_LEN(bodies) + 1);
	assert_int_equal(c.n, 1);
	journal_content_fini(&c);
	journal_close(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_what_is_none_of_ours),
		cmocka_unit_test(test_nonsense_with_a_checksum),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
