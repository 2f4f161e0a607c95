/* test_flow_limiter.c - an adaptive limit before a simulated server: so many at once are quick, more wait for each other. */
#include "base/rng.h"
#include "flow/command.h"
#include "test.h"

#define START (INT64_C(99) * USEC_PER_SEC)
#define BASE (10 * USEC_PER_MSEC) /* a call by itself */
#define ROOM 30                   /* calls that the server does at once */
#define STEP USEC_PER_MSEC

struct sim {
	struct command_table *table;
	struct command *cmd;
	struct cmd_settings cs;
	struct rng rng;
	usec now;
	struct running {
		struct ticket t;
		usec ends;
	} at[1000];
	unsigned n;
};

static void sim_init(struct sim *s, enum flow_limit kind)
{
	memset(s, 0, sizeof(*s));
	s->cs = (struct cmd_settings)CMD_SETTINGS_DEFAULT;
	s->cs.isolation = FLOW_SEMAPHORE;
	s->cs.limit = kind;
	s->cs.limit_latency_ms = 20;
	s->cs.breaker_enabled = false;
	s->now = START;
	s->table = command_table_new(&(struct command_table_opts){ .stripes = 1, .max = 1 });
	s->cmd = command_table_take(s->table, STR("k"), STR("g"), s->now);
	rng_seed(&s->rng, 7);
}

static uint32_t limit_now(struct sim *s)
{
	static struct command_snapshot snap;

	command_snapshot(s->cmd, &s->cs, s->now, &snap);
	return snap.limit;
}

static void end_due(struct sim *s)
{
	for (unsigned i = 0; i < s->n;) {
		if (s->at[i].ends > s->now) {
			i++;
			continue;
		}
		command_done(s->cmd, &s->cs, &s->at[i].t, OUTCOME_SUCCESS, s->now);
		s->at[i] = s->at[--s->n];
	}
}

/* `seconds` of traffic in which `want` calls would always like to run, before a server with that much room. */
static void play(struct sim *s, unsigned seconds, unsigned want, unsigned room)
{
	for (usec end = s->now + seconds * USEC_PER_SEC; s->now < end; s->now += STEP) {
		end_due(s);
		while (s->n < want) {
			struct running *r = &s->at[s->n];

			if (command_admit(s->cmd, &s->cs, s->now, 0, &r->t) != ADMIT_OK)
				break;
			s->n++;
			/* What exceeds the room waits for the others. */
			r->ends = s->now + BASE * MAX(s->n, room) / room + (usec)rng_below(&s->rng, BASE / 10);
		}
	}
}

static void sim_fini(struct sim *s)
{
	for (unsigned i = 0; i < s->n; i++)
		command_done(s->cmd, &s->cs, &s->at[i].t, OUTCOME_CANCELLED, s->now);
	command_unref(s->cmd);
	command_table_free(s->table);
}

static void test_it_finds_the_room_and_follows_it(void **state)
{
	static const enum flow_limit kinds[] = { FLOW_LIMIT_AIMD, FLOW_LIMIT_GRADIENT };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct sim s;

		sim_init(&s, kinds[i]);
		assert_int_equal(limit_now(&s), 20);
		play(&s, 60, 500, ROOM);
		assert_in_range(limit_now(&s), ROOM, ROOM * 3); /* more than a fixed 10, far less than was wanted */

		uint32_t before = limit_now(&s);

		play(&s, 60, 500, ROOM / 3); /* the server loses two thirds */
		assert_true(limit_now(&s) < before);
		sim_fini(&s);
	}
}

static void test_it_does_not_grow_unused(void **state)
{
	static const enum flow_limit kinds[] = { FLOW_LIMIT_AIMD, FLOW_LIMIT_GRADIENT };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct sim s;

		sim_init(&s, kinds[i]);
		play(&s, 60, 5, ROOM);
		assert_int_equal(limit_now(&s), 20);
		sim_fini(&s);
	}
}

static void test_it_keeps_its_bounds(void **state)
{
	static const enum flow_limit kinds[] = { FLOW_LIMIT_AIMD, FLOW_LIMIT_GRADIENT };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct sim s;

		sim_init(&s, kinds[i]);
		s.cs.limit_max = 25;
		play(&s, 60, 500, 500);
		assert_int_equal(limit_now(&s), 25);
		s.cs.limit_max = 12; /* live */
		assert_int_equal(limit_now(&s), 12);
		s.cs.limit = FLOW_LIMIT_FIXED;
		assert_int_equal(limit_now(&s), 10);
		sim_fini(&s);
	}
}

static void test_timeouts_shrink_it_to_its_least(void **state)
{
	struct limiter l;
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	usec now = START;

	cs.limit = FLOW_LIMIT_AIMD;
	limiter_init(&l);
	for (unsigned i = 0; i < 1000; i++, now += 20 * USEC_PER_MSEC)
		limiter_sample(&l, &cs, USEC_PER_SEC, 20, i % 10 == 0, now);
	assert_int_equal(limiter_limit(&l, &cs), cs.limit_min);
	limiter_fini(&l);
}

static void test_what_tells_nothing_of_load_changes_nothing(void **state)
{
	static const enum outcome silent[] = { OUTCOME_FAILURE, OUTCOME_CANCELLED, OUTCOME_POOL_REJECTED };
	struct sim s;

	sim_init(&s, FLOW_LIMIT_AIMD);
	for (unsigned i = 0; i < 3000; i++, s.now += STEP) {
		struct ticket t;

		assert_int_equal(command_admit(s.cmd, &s.cs, s.now, 0, &t), ADMIT_OK);
		command_done(s.cmd, &s.cs, &t, silent[i % 3], s.now);
	}
	assert_int_equal(limit_now(&s), 20);
	sim_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_finds_the_room_and_follows_it),
		cmocka_unit_test(test_it_does_not_grow_unused),
		cmocka_unit_test(test_it_keeps_its_bounds),
		cmocka_unit_test(test_timeouts_shrink_it_to_its_least),
		cmocka_unit_test(test_what_tells_nothing_of_load_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
