/* test_base.c - the ground floor: strings, buffers, arenas, maps, histograms, log lines. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hist.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rng.h"

static void test_str_numbers(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		int64_t want;
	} rows[] = {
		{ "0", true, 0 }, { "-1", true, -1 }, { "+7", true, 7 }, { "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN }, { "9223372036854775808", false, 0 }, { "", false, 0 },
		{ "1x", false, 0 }, { " 1", false, 0 }, { "-", false, 0 }, { "--1", false, 0 }, { "0x10", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = 42;

		if (str_to_i64(str_from(rows[i].in), &v) != rows[i].ok || v != (rows[i].ok ? rows[i].want : 42))
			fail_msg("str_to_i64(\"%s\") = %ld", rows[i].in, (long)v);
	}
}

static void test_str_cut(void **state)
{
	struct str rest = STR("a,,b,"), piece;

	(void)state;
	assert_true(str_cut(&rest, ',', &piece));
	assert_str(piece, STR("a"));
	assert_true(str_cut(&rest, ',', &piece));
	assert_str(piece, STR(""));
	assert_true(str_cut(&rest, ',', &piece));
	assert_str(piece, STR("b"));
	assert_true(str_cut(&rest, ',', &piece));
	assert_str(piece, STR(""));
	assert_false(str_cut(&rest, ',', &piece));
}

static void test_str_distance(void **state)
{
	(void)state;
	assert_int_equal(str_distance(STR("sempahore"), STR("semaphore"), 3), 1);
	assert_int_equal(str_distance(STR("port"), STR("prot"), 3), 1);
	assert_int_equal(str_distance(STR(""), STR("abc"), 3), 3);
	assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 3), 3);
	assert_int_equal(str_distance(STR("abcdef"), STR("uvwxyz"), 2), 3);
}

static void test_hash_nocase_agrees(void **state)
{
	(void)state;
	assert_true(str_hash_nocase(STR("Content-Length"), 7) == str_hash_nocase(STR("content-LENGTH"), 7));
	assert_true(str_hash(STR("a"), 7) != str_hash(STR("a"), 8));
}

static void test_buf_limit_is_sticky(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	assert_true(buf_adds(&b, STR("abc")));
	assert_false(buf_adds(&b, STR("def")));
	assert_false(buf_addc(&b, 'x'));
	assert_str(buf_str(&b), STR("abc"));
	buf_clear(&b);
	assert_true(buf_adds(&b, STR("hello")));
	assert_str(buf_str(&b), STR("hello"));
	buf_fini(&b);
}

static void test_buf_numbers(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	buf_add_i64(&b, INT64_MIN);
	buf_addc(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	buf_addc(&b, ' ');
	buf_add_hex(&b, 0xbeef, 6);
	assert_str(buf_str(&b), STR("-9223372036854775808 18446744073709551615 00beef"));
	buf_fini(&b);
}

static void test_hex64(void **state)
{
	static const uint64_t values[] = { 0, 1, 0xabcdef0123456789u, UINT64_MAX, 0x80f198ee56343ba8u };
	char got[16], want[17];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		fmt_hex64(got, values[i]);
		snprintf(want, sizeof(want), "%016llx", (unsigned long long)values[i]);
		assert_memory_equal(got, want, 16);
	}
}

static void count_up(void *arg)
{
	++*(int *)arg;
}

static void test_arena_keeps_first_block_and_runs_defers(void **state)
{
	struct arena a;
	int runs = 0;

	(void)state;
	arena_init(&a, 256);

	char *first = arena_alloc(&a, 100);

	memset(arena_alloc(&a, 100000), 1, 100000);
	arena_defer(&a, count_up, &runs);
	arena_reset(&a);
	assert_int_equal(runs, 1);
	assert_ptr_equal(arena_alloc(&a, 100), first);
	arena_defer(&a, count_up, &runs);
	arena_fini(&a);
	assert_int_equal(runs, 2);
}

/* Random puts and deletes against a plain array. */
static void test_map_against_array(void **state)
{
	enum { KEYS = 200 };
	char names[KEYS][8];
	bool there[KEYS] = { 0 };
	struct map m;
	struct rng r;
	size_t n = 0;

	(void)state;
	rng_seed(&r, 1);
	map_init(&m, 99);
	for (int i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof(names[i]), "k%d", i);
	for (int step = 0; step < 20000; step++) {
		uint32_t k = rng_below(&r, KEYS);
		struct str key = str_from(names[k]);

		assert_ptr_equal(map_get(&m, key), there[k] ? names[k] : NULL);
		if (rng_below(&r, 2)) {
			map_put(&m, key, names[k]);
			n += !there[k];
			there[k] = true;
		} else {
			map_del(&m, key);
			n -= there[k];
			there[k] = false;
		}
		assert_int_equal(m.len, n);
	}

	size_t pos = 0, seen = 0;

	while (map_next(&m, &pos))
		seen++;
	assert_int_equal(seen, n);
	map_fini(&m);
}

static void test_hist_error_is_below_a_sixteenth(void **state)
{
	(void)state;
	for (usec v = 1; v < 60 * USEC_PER_SEC; v += 1 + v / 7) {
		unsigned b = hist_bucket(v);

		assert_true(hist_bucket_low(b) <= v && v < hist_bucket_high(b));
		assert_true(v < 16 || (hist_bucket_high(b) - hist_bucket_low(b)) * 16 <= v);
	}
}

static void test_hist_quantiles(void **state)
{
	struct hist h = { 0 };

	(void)state;
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	for (int i = 1; i <= 1000; i++)
		hist_add(&h, i * 100);
	assert_in_range(hist_quantile(&h, 0.5), 47000, 53000);
	assert_in_range(hist_quantile(&h, 0.99), 93000, 100000);
	assert_in_range(hist_quantile(&h, 1), 94000, 100000);
	assert_int_equal(hist_mean(&h), 50050);
	assert_int_equal(h.max, 100000);
}

static void read_line(int fd, char *out, size_t size)
{
	ssize_t n = read(fd, out, size - 1);

	out[MAX(n, (ssize_t)0)] = '\0';
}

static void test_log_lines_and_levels(void **state)
{
	int fds[2];
	char line[4096];
	enum log_level conf, eff;
	char name[64];

	(void)state;
	assert_int_equal(pipe(fds), 0);

	struct log *l = log_new(fds[1], LOG_LOGFMT);
	struct logger lg = logger_of(l, "vine.gateway", "gw/2");

	LOG(&lg, LOG_DEBUG, "not shown");
	LOG(&lg, LOG_WARN, "breaker open", F_Z("app", "or\nders"), F_INT("failed", 12), F_BOOL("forced", false));
	read_line(fds[0], line, sizeof(line));
	assert_non_null(strstr(line, "Z warn gw/2 \"breaker open\" app=\"or\\u000aders\" failed=12 forced=false\n"));

	assert_true(log_set_level(l, STR("vine"), LOG_DEBUG));
	log_set_format(l, LOG_JSON);
	LOG(&lg, LOG_DEBUG, "shown");
	read_line(fds[0], line, sizeof(line));
	assert_non_null(strstr(line, "\"level\":\"debug\",\"logger\":\"gw/2\",\"msg\":\"shown\"}\n"));

	assert_true(log_set_level(l, STR("vine"), LOG_INHERIT));
	assert_false(logger_enabled(&lg, LOG_DEBUG));
	assert_true(log_level_at(l, 2, name, &conf, &eff));
	assert_string_equal(name, "vine.gateway");
	assert_int_equal(conf, LOG_INHERIT);
	assert_int_equal(eff, LOG_INFO);
	assert_false(log_level_at(l, 3, name, &conf, &eff));
	assert_int_equal(log_lines(l, LOG_WARN), 1);
	log_free(l);
	close(fds[0]);
	close(fds[1]);
}

static void test_err_prefix(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, VINE_EINVAL, "no such key '%s'", "x"), VINE_EINVAL);
	assert_int_equal(err_prefix(&e, "f.yml:%d", 3), VINE_EINVAL);
	assert_string_equal(e.text, "f.yml:3: no such key 'x'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_str_numbers),
		cmocka_unit_test(test_str_cut),
		cmocka_unit_test(test_str_distance),
		cmocka_unit_test(test_hash_nocase_agrees),
		cmocka_unit_test(test_buf_limit_is_sticky),
		cmocka_unit_test(test_buf_numbers),
		cmocka_unit_test(test_hex64),
		cmocka_unit_test(test_arena_keeps_first_block_and_runs_defers),
		cmocka_unit_test(test_map_against_array),
		cmocka_unit_test(test_hist_error_is_below_a_sixteenth),
		cmocka_unit_test(test_hist_quantiles),
		cmocka_unit_test(test_log_lines_and_levels),
		cmocka_unit_test(test_err_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
