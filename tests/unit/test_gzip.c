/* test_gzip.c - bodies packed and unpacked, cut short, and bombs. */
#include "test.h"

#include <zlib.h>

#include "codec/gzip.h"

#define MIB ((size_t)1 << 20)

static void fill(struct buf *b, size_t n) /* text that packs about 3:1 */
{
	for (uint32_t i = 0; b->len < n; i++)
		buf_addf(b, "%u %x;", i * 2654435761u, i);
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 16384, 200000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf text = BUF_INIT(MIB), packed = BUF_INIT(MIB), back = BUF_INIT(MIB);

		fill(&text, sizes[i]);
		assert_int_equal(gzip_pack(&packed, buf_str(&text), 6), 0);
		assert_int_equal(gzip_unpack(&back, buf_str(&packed), MIB, 100, NULL), 0);
		assert_str(buf_str(&back), buf_str(&text));
		buf_fini(&text);
		buf_fini(&packed);
		buf_fini(&back);
	}
}

static void test_stream_by_bytes(void **state)
{
	struct buf text = BUF_INIT(MIB), packed = BUF_INIT(MIB), back = BUF_INIT(MIB);
	struct gunzip *g = gunzip_new(MIB, 100);
	struct err e;

	fill(&text, 40000);
	assert_int_equal(gzip_pack(&packed, buf_str(&text), 6), 0);
	for (size_t i = 0; i < packed.len; i++) {
		assert_int_equal(gunzip_finish(g, NULL), VINE_EINVAL); /* cut here it is not whole */
		assert_int_equal(gunzip_feed(g, str_of(packed.ptr + i, 1), &back, &e), 0);
	}
	assert_int_equal(gunzip_finish(g, NULL), 0);
	assert_str(buf_str(&back), buf_str(&text));
	gunzip_free(g);
	buf_fini(&text);
	buf_fini(&packed);
	buf_fini(&back);
}

static void test_truncated(void **state)
{
	struct buf packed = BUF_INIT(MIB), back = BUF_INIT(MIB);

	assert_int_equal(gzip_pack(&packed, STR("some text, some text, some text"), 6), 0);
	for (size_t len = 0; len < packed.len; len++) {
		char *copy = malloc(len ? len : 1);

		memcpy(copy, packed.ptr, len);
		assert_int_equal(gzip_unpack(&back, str_of(copy, len), MIB, 100, NULL), VINE_EINVAL);
		assert_int_equal(back.len, 0);
		free(copy);
	}
	buf_fini(&packed);
	buf_fini(&back);
}

static void test_members_and_zlib(void **state)
{
	struct buf packed = BUF_INIT(MIB), back = BUF_INIT(MIB);
	unsigned char z[64];
	uLongf n = sizeof(z);

	assert_int_equal(gzip_pack(&packed, STR("one "), 6), 0);
	assert_int_equal(gzip_pack(&packed, STR("two"), 6), 0);
	assert_int_equal(gzip_unpack(&back, buf_str(&packed), MIB, 100, NULL), 0);
	assert_str(buf_str(&back), STR("one two"));
	buf_clear(&back);
	assert_int_equal(compress(z, &n, (const Bytef *)"zlib form", 9), Z_OK);
	assert_int_equal(gzip_unpack(&back, str_of((const char *)z, n), MIB, 100, NULL), 0);
	assert_str(buf_str(&back), STR("zlib form"));
	buf_clear(&back);
	buf_addz(&packed, "trailing");
	assert_int_equal(gzip_unpack(&back, buf_str(&packed), MIB, 100, NULL), VINE_EINVAL);
	assert_int_equal(back.len, 0);
	buf_fini(&packed);
	buf_fini(&back);
}

static void test_bombs(void **state)
{
	struct buf zeros = BUF_INIT(8 * MIB), packed = BUF_INIT(8 * MIB), back = BUF_INIT(16 * MIB);

	assert_true(buf_reserve(&zeros, 4 * MIB));
	memset(zeros.ptr, 0, 4 * MIB);
	zeros.len = 4 * MIB;
	assert_int_equal(gzip_pack(&packed, buf_str(&zeros), 9), 0);
	assert_int_equal(gzip_unpack(&back, buf_str(&packed), 4 * MIB - 1, 10000, NULL), VINE_ELIMIT);
	buf_fini(&back);
	assert_int_equal(gzip_unpack(&back, buf_str(&packed), 16 * MIB, 100, NULL), VINE_ELIMIT);
	assert_int_equal(back.len, 0);
	assert_true(back.cap < MIB); /* refused before the memory was spent */
	memset(packed.ptr + packed.len - 4, 1, 1); /* a trailer that lies about the size */
	assert_int_equal(gzip_unpack(&back, buf_str(&packed), 16 * MIB, 10000, NULL), VINE_EINVAL);
	buf_fini(&back);
	buf_init(&back, 1000); /* the caller's own limit */
	assert_int_equal(gzip_unpack(&back, buf_str(&packed), 16 * MIB, 10000, NULL), VINE_ELIMIT);
	buf_fini(&back);
	buf_fini(&zeros);
	buf_fini(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	 cmocka_unit_test(test_stream_by_bytes), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_members_and_zlib), cmocka_unit_test(test_bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
