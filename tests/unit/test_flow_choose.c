/* test_flow_choose.c - the modern half of choosing: shares by weight, hashing, zones, users' rules; and a day of traffic, and
 * many threads while the list changes. */
#include <pthread.h>

#include "flow_group.h"

/* --- shares --- */

static void test_round_robin_is_exact(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_round_robin, 7);
	for (unsigned i = 0; i < 7000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(counts[i], 1000);
	group_fini(&g);
}

static void test_random_shares_are_by_weight(void **state)
{
	static const uint32_t weights[] = { 100, 300, 50, 150, 400 };
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_random, 5);
	for (unsigned i = 0; i < 5; i++)
		g.at[i]->weight = weights[i];
	for (unsigned i = 0; i < 50000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 5; i++)
		assert_share(counts[i], 50000, weights[i] / 1000.0);
	group_fini(&g);
}

static void test_random_reads_one_list_when_some_are_down(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_random, 10);
	for (unsigned i = 0; i < 9; i += 2)
		outcome(g.at[i], &g, SERVER_REFUSED, 0);
	for (unsigned i = 0; i < 20000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 10; i++)
		assert_share(counts[i], 20000, i % 2 ? 0.2 : 0);
	group_fini(&g);
}

static void test_slow_start_gives_a_new_server_its_share_by_and_by(void **state)
{
	struct group g;

	group_init(&g, &balance_random, 10);
	g.os.slow_start_ms = 10000;
	g.now = START + 100 * SEC;
	atomic_store(&g.at[4]->since, g.now); /* the others are long there */
	for (unsigned step = 0; step <= 10; step += 5) {
		unsigned got = 0;
		double w = step == 0 ? 0.1 : step / 10.0;

		g.now = START + 100 * SEC + step * SEC;
		for (unsigned i = 0; i < 20000; i++)
			got += choose(&g).server == g.at[4];
		assert_share(got, 20000, w / (9 + w));
	}
	g.os.slow_start_bend = 2; /* the square root: half the time, 71 % of the share */
	assert_in_range((int)(server_weight(g.at[4], &g.os, START + 105 * SEC) * 1000), 706, 708);
	group_fini(&g);
}

/* Throwing n balls into n bins: at random the fullest has about ln n / ln ln n, with two choices about ln ln n. */
static void test_least_requests_of_two_avoids_the_herd(void **state)
{
	uint32_t most[2] = { 0, 0 };

	for (unsigned k = 0; k < 2; k++) {
		struct group g;

		group_init(&g, &balance_least_requests, 1000);
		g.rule.choices = k + 1;
		for (unsigned i = 0; i < 10000; i++)
			server_begin(choose(&g).server);
		for (unsigned i = 0; i < 1000; i++)
			most[k] = MAX(most[k], g.at[i]->active);
		group_fini(&g);
	}
	assert_true(most[0] >= 18);
	assert_in_range(most[1], 11, 14);
}

static void test_weighted_response_time_has_ribbons_weights(void **state)
{
	static const usec latency[] = { 10000, 20000, 30000, 40000 };
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_weighted_response, 4);
	for (unsigned i = 0; i < 4; i++)
		outcome(g.at[i], &g, SERVER_OK, latency[i]);
	for (unsigned i = 0; i < 60000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 4; i++) /* (sum - own) / (3 * sum) */
		assert_share(counts[i], 60000, (100000.0 - (double)latency[i]) / 300000.0);
	group_fini(&g);
}

/* --- hashing --- */

#define KEYS 20000

static const struct balance_ops *const hashing[] = { &balance_ring_hash, &balance_maglev };

static void test_a_key_stays_with_its_server(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group g;

		group_init(&g, hashing[r], 20);
		make_ring(&g, r);
		for (uint64_t k = 0; k < 500; k++) {
			struct fserver *first = choose_key(&g, k).server;

			for (unsigned i = 0; i < 5; i++) {
				rng_next(&g.rng);
				assert_ptr_equal(choose_key(&g, k).server, first);
			}
		}
		group_fini(&g);
	}
}

static void test_keys_are_spread_by_weight(void **state)
{
	static const double slack[] = { 0.25, 0.05 }; /* of the ring; of Maglev's table, and chance */

	for (unsigned r = 0; r < 2; r++) {
		struct group g;
		unsigned counts[N_MAX] = { 0 };

		group_init(&g, hashing[r], 10);
		g.at[3]->weight = 300;
		make_ring(&g, r);
		for (uint64_t k = 0; k < 4 * KEYS; k++)
			counts[index_of(&g, choose_key(&g, k).server)]++;
		for (unsigned i = 0; i < 10; i++) {
			double want = 4.0 * KEYS * (i == 3 ? 3 : 1) / 12;

			assert_true(fabs(counts[i] - want) < want * slack[r]);
		}
		group_fini(&g);
	}
}

/* Where each key is; then without the last server. */
static unsigned moved_without_last(struct group *g, bool maglev)
{
	struct fserver *before[KEYS];
	unsigned moved = 0;

	make_ring(g, maglev);
	for (uint64_t k = 0; k < KEYS; k++)
		before[k] = choose_key(g, k).server;
	g->n--;
	make_ring(g, maglev);
	for (uint64_t k = 0; k < KEYS; k++) {
		struct fserver *now = choose_key(g, k).server;

		if (before[k] == g->at[g->n])
			assert_ptr_not_equal(now, before[k]);
		else
			moved += now != before[k];
	}
	g->n++;
	return moved;
}

static void test_a_server_that_leaves_moves_few_keys(void **state)
{
	struct group g;

	group_init(&g, &balance_ring_hash, 10);
	assert_int_equal(moved_without_last(&g, false), 0); /* but its own */
	group_fini(&g);
	group_init(&g, &balance_maglev, 10);
	assert_true(moved_without_last(&g, true) < KEYS / 20);
	group_fini(&g);
}

static void test_processes_agree_whatever_their_lists_order(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group a, b;

		group_init(&a, hashing[r], 13);
		group_init(&b, hashing[r], 13);
		rng_seed(&b.rng, 99);
		for (unsigned i = 0; i < 6; i++) {
			struct fserver *s = b.at[i];

			b.at[i] = b.at[12 - i];
			b.at[12 - i] = s;
		}
		make_ring(&a, r);
		make_ring(&b, r);
		for (uint64_t k = 0; k < 2000; k++)
			assert_true(str_eq(choose_key(&a, k).server->id, choose_key(&b, k).server->id));
		group_fini(&a);
		group_fini(&b);
	}
}

static void test_keys_of_a_server_that_is_out_meet_one_other_and_come_back(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group g;
		struct fserver *home, *other;

		group_init(&g, hashing[r], 10);
		make_ring(&g, r);
		home = choose_key(&g, 1).server;
		outcome(home, &g, SERVER_REFUSED, 0);
		other = choose_key(&g, 1).server;
		assert_ptr_not_equal(other, home);
		for (unsigned i = 0; i < 20; i++)
			assert_ptr_equal(choose_key(&g, 1).server, other);
		tried_add(&g.tried, other); /* a retry goes on along the ring */
		assert_ptr_not_equal(choose_key(&g, 1).server, home);
		assert_ptr_not_equal(choose_key(&g, 1).server, other);
		g.tried.n = 0;
		server_return(home, SERVER_BACK_REPLY, g.now);
		assert_ptr_equal(choose_key(&g, 1).server, home);
		group_fini(&g);
	}
}

static void test_a_request_without_a_key_is_drawn_by_chance(void **state)
{
	struct group g;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_ring_hash, 5);
	make_ring(&g, false);
	for (unsigned i = 0; i < 10000; i++)
		counts[index_of(&g, choose(&g).server)]++;
	for (unsigned i = 0; i < 5; i++)
		assert_share(counts[i], 10000, 0.2);
	group_fini(&g);
}

static void test_with_a_bound_no_server_gets_more_than_its_share(void **state)
{
	for (unsigned r = 0; r < 2; r++) {
		struct group g;

		group_init(&g, hashing[r], 10);
		make_ring(&g, r);
		g.rule.hash_bound_pct = 125;
		for (unsigned i = 1; i <= 1000; i++) {
			struct fserver *s = choose_key(&g, i % 3).server; /* three keys that everybody wants */

			server_begin(s);
			assert_true(s->active <= (i * 125 + 999) / 1000);
		}
		group_fini(&g);
	}
}

static void test_a_ring_is_kept_while_its_list_stays(void **state)
{
	const struct hash_ring_settings s = { .size = HASH_RING_SIZE }, other = { .size = 4096 },
					maglev = { true, 251 };
	struct group g;

	group_init(&g, &balance_ring_hash, 5);
	make_ring(&g, false);
	assert_true(hash_ring_is_of(g.ring, g.at, 5, &s));
	assert_false(hash_ring_is_of(g.ring, g.at, 4, &s));
	assert_false(hash_ring_is_of(g.ring, g.at, 5, &other));
	assert_false(hash_ring_is_of(g.ring, g.at, 5, &maglev));
	g.at[2]->weight = 50;
	assert_false(hash_ring_is_of(g.ring, g.at, 5, &s));
	assert_null(hash_ring_new(g.at, 0, &s));

	struct hash_ring *m = hash_ring_new(g.at, 5, &(struct hash_ring_settings){ true, 252 });

	assert_int_equal(hash_ring_points(m), 257); /* the next prime */
	hash_ring_unref(m);
	group_fini(&g);
}

/* --- zones --- */

static void test_zone_aware_draws_a_zone_and_takes_turns_in_it(void **state)
{
	struct group g;
	struct zone_aware za;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_round_robin, 9);
	for (unsigned i = 0; i < 9; i++) {
		server_unref(g.at[i]);
		g.at[i] = make_server(i, i < 3 ? "a" : i < 7 ? "b" : "c");
	}
	zone_aware_init(&za, &balance_round_robin);
	for (unsigned i = 0; i < 3; i++) /* a is loaded: it is left out */
		server_begin(g.at[i]);
	for (unsigned i = 0; i < 6000; i++) {
		struct choice c = choice_of(&g);

		counts[index_of(&g, balancer_choose(&za.b, &c).server)]++;
	}
	assert_int_equal(counts[0] + counts[1] + counts[2], 0);
	for (unsigned i = 4; i < 7; i++)
		assert_in_range(counts[i], counts[3] - 1, counts[3] + 1); /* round robin within a zone */
	assert_share(counts[3] + counts[4] + counts[5] + counts[6], 6000, 4.0 / 6);
	group_fini(&g);
}

static void test_zones_that_are_well_are_all_used(void **state)
{
	struct group g;
	struct zone_aware za;
	unsigned counts[N_MAX] = { 0 };

	group_init(&g, &balance_round_robin, 8);
	zone_aware_init(&za, &balance_round_robin);
	for (unsigned i = 0; i < 800; i++) {
		struct choice c = choice_of(&g);

		counts[index_of(&g, balancer_choose(&za.b, &c).server)]++;
	}
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(counts[i], 100);
	group_fini(&g);
}

static void test_zone_rules_obey_their_properties(void **state)
{
	struct group g;
	bool seen_a = false;

	group_init(&g, &balance_zone_avoidance, 8);
	for (unsigned i = 0; i < 8; i += 2)
		server_begin(g.at[i]); /* load 1 in zone a, 0 in b */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(index_of(&g, choose(&g).server) % 2, 1);
	g.rule.zone_trigger = 1.5f; /* triggeringLoadPerServerThreshold */
	for (unsigned i = 0; i < 100; i++)
		seen_a |= index_of(&g, choose(&g).server) % 2 == 0;
	assert_true(seen_a);
	seen_a = false;
	g.rule.zone_trigger = 0.2f;
	g.rule.zones_off = true; /* niws.loadbalancer.zoneAvoidanceRule.enabled */
	for (unsigned i = 0; i < 100; i++)
		seen_a |= index_of(&g, choose(&g).server) % 2 == 0;
	assert_true(seen_a);
	group_fini(&g);
}

static void test_a_blacked_out_share_of_a_zone_drops_it(void **state)
{
	struct group g;

	group_init(&g, &balance_zone_avoidance, 8);
	outcome(g.at[0], &g, SERVER_REFUSED, 0);
	outcome(g.at[2], &g, SERVER_REFUSED, 0);
	g.rule.zone_blackout = 0.5f; /* avoidZoneWithBlackoutPercetage: half of zone a is out */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(index_of(&g, choose(&g).server) % 2, 1);
	group_fini(&g);
}

/* --- a user's rule --- */

static int64_t answer;

static int64_t choose_answer(struct balancer *b, const struct choice *c)
{
	return answer;
}

static void test_a_users_rule_is_taken_at_its_word(void **state)
{
	static const struct balance_ops user = { STR_INIT("user"), choose_answer, BALANCE_USER };
	static const struct {
		int64_t answer;
		enum pick_why want;
	} cases[] = {
		{ 1, PICK_IN },
		{ 0, PICK_RULE_OUTSIDE /* tried */ },
		{ 3, PICK_RULE_OUTSIDE },
		{ INT64_MAX, PICK_RULE_OUTSIDE },
		{ -1, PICK_RULE_NONE },
		{ INT64_MIN, PICK_RULE_NONE },
		{ RULE_FAILED, PICK_RULE_FAILED },
	};
	struct group g;

	group_init(&g, &user, 3);
	tried_add(&g.tried, g.at[0]);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pick p;

		answer = cases[i].answer;
		p = choose(&g);
		assert_int_equal(p.why, cases[i].want);
		assert_true((p.server != NULL) == (cases[i].want == PICK_IN));
	}
	assert_int_equal(g.b.rule_errors, 6);
	tried_add(&g.tried, g.at[1]);
	tried_add(&g.tried, g.at[2]);
	assert_int_equal(choose(&g).why, PICK_ALL_TRIED); /* it is not asked */
	group_fini(&g);
}

/* --- the last decisions --- */

static void test_decisions_are_kept_newest_first(void **state)
{
	struct decision got[DECISIONS_KEPT];
	struct decisions d;
	struct group g;

	group_init(&g, &balance_round_robin, 2);
	decisions_init(&d);
	g.b.decisions = &d;
	assert_int_equal(decisions_read(&d, got), 0);
	g.rng.s[0] |= 1; /* an ordinary choice that is not the one in many */
	choose(&g);
	assert_int_equal(decisions_read(&d, got), 0);
	outcome(g.at[0], &g, SERVER_REFUSED, 0);
	outcome(g.at[1], &g, SERVER_REFUSED, 0);
	for (unsigned i = 0; i < 20; i++) {
		g.now += 1;
		assert_int_equal(choose(&g).why, PICK_LAST);
	}
	assert_int_equal(decisions_read(&d, got), DECISIONS_KEPT);
	assert_int_equal(got[0].at, g.now);
	assert_int_equal(got[15].at, g.now - 15);
	assert_string_equal(got[0].why, "last resort");
	assert_int_equal(got[0].servers, 2);
	assert_true(str_has_prefix(str_from(got[0].server), STR("10.0.0.")));
	group_fini(&g);
}

/* --- a day --- */

#define SLOTS 64

struct day {
	struct group g;
	struct fserver *on[SLOTS];
	usec ends[SLOTS], began[SLOTS];
	enum server_outcome what[SLOTS];
	unsigned asked[24][20], failed[24];
};

/* Server 3 refuses from 6 to 7, server 7 answers errors from 10 to 11, server 11 is twenty times slower from 15 to 16. */
static enum server_outcome fate(unsigned server, unsigned hour, usec *takes)
{
	*takes = 5 * MS;
	if (server == 3 && hour == 6) {
		*takes = 100;
		return SERVER_REFUSED;
	}
	if (server == 7 && hour == 10)
		return SERVER_ERROR;
	if (server == 11 && hour == 15)
		*takes = 100 * MS;
	return SERVER_OK;
}

static void play(struct day *d, unsigned slot)
{
	struct group *g = &d->g;
	unsigned hour, server;
	usec takes;

	if (d->on[slot])
		server_end(d->on[slot], &g->os, d->what[slot], d->ends[slot] - d->began[slot], g->now);
	hour = (unsigned)((g->now - START) / (3600 * SEC));
	d->on[slot] = choose(g).server;
	server = index_of(g, d->on[slot]);
	d->what[slot] = fate(server, hour, &takes);
	d->began[slot] = g->now;
	d->ends[slot] = g->now + takes;
	d->asked[hour][server]++;
	d->failed[hour] += d->what[slot] != SERVER_OK;
	server_begin(d->on[slot]);
}

static void test_a_day_of_traffic(void **state)
{
	struct day *d = xzalloc(sizeof(*d));

	group_init(&d->g, &balance_p2c, 20);
	d->g.os.success_deviations = 1.9f;
	while (d->g.now < START + 24 * 3600 * SEC - 1) {
		unsigned slot = rng_below(&d->g.rng, SLOTS);

		if (d->on[slot] && d->ends[slot] > d->g.now)
			d->g.now = d->ends[slot];
		if (d->g.now >= START + 24 * 3600 * SEC - 1)
			break;
		play(d, slot);
		d->g.now += 90 * MS;
	}
	for (unsigned h = 0; h < 24; h++) {
		unsigned total = 0;

		for (unsigned i = 0; i < 20; i++)
			total += d->asked[h][i];
		for (unsigned i = 0; i < 20; i++) /* nobody is flooded or starves while all is well */
			if (h != 6 && h != 7 && h != 10 && h != 11 && h != 15 && h != 16)
				assert_in_range(d->asked[h][i], total / 40, total / 10);
		/* An hour's outage costs the tries that find out, and one probe at each ejection's end. */
		if (h == 6 || h == 10)
			assert_in_range(d->failed[h], 1, 60);
		else
			assert_in_range(d->failed[h], 0, 5); /* under way when the hour ended */
	}
	assert_true(d->asked[15][11] < d->asked[14][11] / 4);   /* the slow one gets few */
	assert_true(d->asked[7][3] > 0 && d->asked[11][7] > 0); /* they come back */
	for (unsigned i = 0; i < SLOTS; i++)
		if (d->on[i])
			server_end(d->on[i], &d->g.os, SERVER_ABANDONED, 0, d->g.now);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(d->g.at[i]->active, 0);
	group_fini(&d->g);
	free(d);
}

/* --- threads --- */

#define THREADS 8
#define PICKS 20000

struct shared {
	pthread_mutex_t lock; /* guards n */
	struct fserver *at[64];
	uint32_t n;
	struct balancer *b;
	struct decisions d;
	struct outlier_settings os;
	_Atomic bool over;
	_Atomic unsigned chosen;
};

struct worker_arg {
	struct shared *s;
	unsigned seed;
};

/* The list as a picture has it: copied with references. */
static uint32_t take_list(struct shared *s, struct fserver **at)
{
	uint32_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	for (uint32_t i = 0; i < n; i++)
		at[i] = server_ref(s->at[i]);
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void *choose_many(void *arg)
{
	struct worker_arg *w = arg;
	struct shared *s = w->s;
	struct rng rng;
	usec now = START;

	rng_seed(&rng, w->seed);
	for (unsigned k = 0; k < PICKS / 100; k++) {
		struct fserver *at[64];
		uint32_t n = take_list(s, at);

		for (unsigned i = 0; i < 100; i++) {
			struct choice c = {
				.list = { .at = at, .n = n }, .settings = &s->os, .rng = &rng, .now = now += 997
			};
			struct pick p = balancer_choose(s->b, &c);

			assert_non_null(p.server);
			atomic_fetch_add(&s->chosen, 1);
			server_begin(p.server);
			server_end(p.server, &s->os,
				   rng_below(&rng, 10) ? SERVER_OK
						       : (enum server_outcome)rng_below(&rng, SERVER_OUTCOMES),
				   1000, now);
		}
		for (uint32_t i = 0; i < n; i++)
			server_unref(at[i]);
	}
	return NULL;
}

static void *change_list(void *arg)
{
	struct shared *s = arg;
	struct decision got[DECISIONS_KEPT];
	unsigned next = 64;

	for (; !atomic_load(&s->over); next++) {
		struct fserver *fresh = make_server(next % 900, next % 2 ? "a" : "b"), *old;

		pthread_mutex_lock(&s->lock);
		s->n = 8 + next % 24;
		old = s->at[next % 8];
		s->at[next % 8] = fresh;
		pthread_mutex_unlock(&s->lock);
		server_set_alive(old, false, START);
		server_set_alive(old, true, START);
		server_unref(old);
		decisions_read(&s->d, got);
	}
	return NULL;
}

static void choose_in_threads(const struct balance_ops *ops, bool zone_aware)
{
	struct shared *s = xzalloc(sizeof(*s));
	struct worker_arg arg[THREADS];
	struct balancer plain;
	struct zone_aware za;
	pthread_t t[THREADS], changer;

	balancer_init(&plain, ops);
	zone_aware_init(&za, ops);
	s->b = zone_aware ? &za.b : &plain;
	s->os = (struct outlier_settings)OUTLIER_SETTINGS_DEFAULT;
	s->os.success_deviations = 1.9f;
	s->os.latency_factor = 3;
	decisions_init(&s->d);
	s->b->decisions = &s->d;
	pthread_mutex_init(&s->lock, NULL);
	s->n = 32;
	for (unsigned i = 0; i < 64; i++)
		s->at[i] = make_server(i, i % 2 ? "a" : "b");
	pthread_create(&changer, NULL, change_list, s);
	for (unsigned i = 0; i < THREADS; i++) {
		arg[i] = (struct worker_arg){ s, i + 1 };
		pthread_create(&t[i], NULL, choose_many, &arg[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	atomic_store(&s->over, true);
	pthread_join(changer, NULL);
	assert_int_equal(s->chosen, THREADS * PICKS);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(s->at[i]->active, 0); /* no count is lost */
		assert_int_equal(s->at[i]->refs, 1);
		server_unref(s->at[i]);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void test_threads_choose_while_the_list_changes(void **state)
{
	static const struct balance_ops *const rules[] = { &balance_p2c, &balance_weighted_response,
							   &balance_least_requests };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		choose_in_threads(rules[i], false);
	choose_in_threads(&balance_round_robin, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_robin_is_exact),
		cmocka_unit_test(test_random_shares_are_by_weight),
		cmocka_unit_test(test_random_reads_one_list_when_some_are_down),
		cmocka_unit_test(test_slow_start_gives_a_new_server_its_share_by_and_by),
		cmocka_unit_test(test_least_requests_of_two_avoids_the_herd),
		cmocka_unit_test(test_weighted_response_time_has_ribbons_weights),
		cmocka_unit_test(test_a_key_stays_with_its_server),
		cmocka_unit_test(test_keys_are_spread_by_weight),
		cmocka_unit_test(test_a_server_that_leaves_moves_few_keys),
		cmocka_unit_test(test_processes_agree_whatever_their_lists_order),
		cmocka_unit_test(test_keys_of_a_server_that_is_out_meet_one_other_and_come_back),
		cmocka_unit_test(test_a_request_without_a_key_is_drawn_by_chance),
		cmocka_unit_test(test_with_a_bound_no_server_gets_more_than_its_share),
		cmocka_unit_test(test_a_ring_is_kept_while_its_list_stays),
		cmocka_unit_test(test_zone_aware_draws_a_zone_and_takes_turns_in_it),
		cmocka_unit_test(test_zones_that_are_well_are_all_used),
		cmocka_unit_test(test_zone_rules_obey_their_properties),
		cmocka_unit_test(test_a_blacked_out_share_of_a_zone_drops_it),
		cmocka_unit_test(test_a_users_rule_is_taken_at_its_word),
		cmocka_unit_test(test_decisions_are_kept_newest_first),
		cmocka_unit_test(test_a_day_of_traffic),
		cmocka_unit_test(test_threads_choose_while_the_list_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
