/* flow.c - what deciding costs: nanoseconds per admission and outcome, per choice among 1,000 servers, and CPU of one
 * round of the stream of 1,000 circuits. One line a figure: name, tab, nanoseconds; each the best of a few spells, as
 * the machine may be shared. bench/flow.py runs it beside Java's and makes the table. With an argument: only the
 * figures whose names hold it. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "client/run.h"
#include "flow/balance.h"
#include "flow/command.h"
#include "flow/hash_ring.h"
#include "flow/pool.h"
#include "manage/circuits.h"
#include "trace/context.h"

#define CALLS 2000000
#define PICKS 1000000
#define SERVERS 1000
#define CIRCUITS 1000
#define HANDOFFS 20000
#define ROUNDS 5

static double since(usec start, double n)
{
	return (double)(clock_mono() - start) * 1000.0 / n;
}

/* Of this thread: others may have the core meanwhile. */
static double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* --- admission and outcome --- */

struct caller {
	struct command *cmd;
	struct cmd_settings cs;
	unsigned stripe;
	pthread_barrier_t *gate;
	double ns;
};

static void *call_many(void *arg)
{
	struct caller *c = arg;
	usec now = clock_mono();

	pthread_barrier_wait(c->gate);

	usec start = clock_mono();

	for (unsigned i = 0; i < CALLS; i++) {
		struct ticket t;

		if (command_admit(c->cmd, &c->cs, now + i / 16, c->stripe, &t) == ADMIT_OK)
			command_done(c->cmd, &c->cs, &t, OUTCOME_SUCCESS, now + i / 16 + 900);
	}
	c->ns = since(start, CALLS);
	return NULL;
}

static double bench_calls(unsigned threads)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 2, .max = 1 });
	struct command *cmd = command_table_take(t, STR("product"), STR("shop"), clock_mono());
	struct caller callers[2];
	pthread_barrier_t gate;
	pthread_t ids[2];
	double worst = 0;

	pthread_barrier_init(&gate, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		callers[i] = (struct caller){ .cmd = cmd, .cs = CMD_SETTINGS_DEFAULT, .stripe = i, .gate = &gate };
		callers[i].cs.isolation = FLOW_SEMAPHORE;
		if (pthread_create(&ids[i], NULL, call_many, &callers[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		worst = MAX(worst, callers[i].ns);
	}
	pthread_barrier_destroy(&gate);
	command_unref(cmd);
	command_table_free(t);
	return worst;
}

static double bench_one(void)
{
	return bench_calls(1);
}

static double bench_two(void)
{
	return bench_calls(2);
}

/* --- choosing --- */

/* Of the hashing rules, over the servers' ring or table; NULL: none. */
static struct hash_ring *ring_for(const struct balance_ops *ops, struct fserver *const *list)
{
	struct hash_ring_settings s = { .maglev = ops->flags & BALANCE_MAGLEV };

	s.size = s.maglev ? MAGLEV_SIZE : HASH_RING_SIZE;
	return ops->flags & BALANCE_HASHES ? hash_ring_new(list, SERVERS, &s) : NULL;
}

static double bench_rule(const struct balance_ops *ops, unsigned picks)
{
	struct outlier_settings os = OUTLIER_SETTINGS_DEFAULT;
	struct fserver **list = xmalloc(SERVERS * sizeof(*list));
	struct hash_ring *ring;
	struct balancer b;
	struct rng rng;
	usec now = clock_mono();
	char id[32];

	rng_seed(&rng, 1);
	balancer_init(&b, ops);
	for (unsigned i = 0; i < SERVERS; i++) {
		list[i] = server_new(str_of(id, (size_t)snprintf(id, sizeof(id), "10.0.%u.%u:8080", i / 250, i % 250)), i % 2 ? STR("a") : STR("b"), 100, now);
		server_begin(list[i]);
		server_end(list[i], &os, SERVER_OK, 500 + rng_below(&rng, 1000), now);
	}

	ring = ring_for(ops, list);

	struct choice c = { .list = { list, SERVERS, .ring = ring }, .settings = &os, .rng = &rng, .now = now + 1000, .has_hash = ring };
	usec start = clock_mono();

	for (unsigned i = 0; i < picks; i++) {
		c.now = now + 1000 + i / 8;
		c.hash = ring ? hash_mix(i) : 0; /* another key each time */

		struct pick p = balancer_choose(&b, &c);

		atomic_fetch_add_explicit(&p.server->active, i & 1 ? 1 : (uint32_t)-1, memory_order_relaxed);
	}

	double ns = since(start, picks);

	for (unsigned i = 0; i < SERVERS; i++)
		server_unref(list[i]);
	hash_ring_unref(ring);
	free(list);
	return ns;
}

/* --- the stream --- */

static const struct cmd_settings *settings_of(void *arg, struct str key)
{
	(void)key;
	return arg;
}

static struct command_table *busy_circuits(const struct cmd_settings *cs, usec now)
{
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 2, .max = CIRCUITS });
	struct rng rng;
	char name[32];

	rng_seed(&rng, 2);
	for (unsigned i = 0; i < CIRCUITS; i++) {
		struct command *c = command_table_take(
			t, str_of(name, (size_t)snprintf(name, sizeof(name), "service-%u", i)), STR("shop"), now);

		for (unsigned k = 0; k < 50; k++) {
			struct ticket ticket;

			if (command_admit(c, cs, now, k, &ticket) == ADMIT_OK)
				command_done(c, cs, &ticket, OUTCOME_SUCCESS, now + 1000 + rng_below(&rng, 20000));
		}
		command_unref(c);
	}
	return t;
}

/* CPU of one round for all readers: snapshots and JSON. */
static double bench_stream(void)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	usec now = clock_mono();
	struct command_table *t = busy_circuits(&cs, now);
	struct circuits c = { .commands = t, .settings_of = settings_of, .arg = &cs, .wall = 1700000000000 };
	struct buf b = BUF_INIT(16 << 20);
	double best = 1e12;

	for (unsigned round = 0; round < 3 * ROUNDS; round++) {
		double start = cpu_ns();

		buf_clear(&b);
		c.now = now + 600000 * (round + 1);
		circuits_stream(&c, &b);
		best = MIN(best, cpu_ns() - start);
	}
	command_table_free(t);
	buf_fini(&b);
	return best;
}

/* --- handing a call to another thread --- */

struct handoff {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	bool has_work, is_done, is_over;
};

static void *hand_back(void *arg)
{
	struct handoff *h = arg;

	pthread_mutex_lock(&h->lock);
	while (!h->is_over) {
		if (!h->has_work) {
			pthread_cond_wait(&h->work, &h->lock);
			continue;
		}
		h->has_work = false;
		h->is_done = true;
		pthread_cond_signal(&h->done);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* The least that isolation by threads can cost: one mutex, two condition variables, there and back. */
static double bench_handoff(void)
{
	struct handoff h = { .lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
	pthread_t id;

	if (pthread_create(&id, NULL, hand_back, &h) != 0)
		abort();

	usec start = clock_mono();

	for (unsigned i = 0; i < HANDOFFS; i++) {
		pthread_mutex_lock(&h.lock);
		h.has_work = true;
		h.is_done = false;
		pthread_cond_signal(&h.work);
		while (!h.is_done)
			pthread_cond_wait(&h.done, &h.lock);
		pthread_mutex_unlock(&h.lock);
	}

	double ns = since(start, HANDOFFS);

	pthread_mutex_lock(&h.lock);
	h.is_over = true;
	pthread_cond_signal(&h.work);
	pthread_mutex_unlock(&h.lock);
	pthread_join(id, NULL);
	return ns;
}

/* --- the same as a whole command: circuit, pool, timeout, outcome, and the result back on the caller --- */

static enum run_answer do_nothing(struct work *w, void *arg)
{
	(void)w;
	(void)arg;
	return RUN_OK;
}

static double bench_pool(void)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	struct pool_settings ps = POOL_SETTINGS_DEFAULT;
	struct command_table *t = command_table_new(&(struct command_table_opts){ .stripes = 2, .max = 1 });
	struct keyed_table *pools = pool_table_new(1, 1);
	struct pool *pool = pool_table_take(pools, STR("shop"), clock_mono());
	struct threads *threads = threads_new(pool, &ps);
	struct command *cmd = command_table_take(t, STR("product"), STR("shop"), clock_mono());
	struct run_spec spec = {
		.command = cmd, .settings = &cs, .threads = threads, .fn = do_nothing, .deadline = DEADLINE_NONE,
	};
	usec start = clock_mono();

	for (unsigned i = 0; i < HANDOFFS; i++) {
		struct run_result r;

		if (run_command(&spec, &r) < 0)
			abort();
		shared_unref(r.result);
	}

	double ns = since(start, HANDOFFS);

	threads_free(threads);
	pool_unref(pool);
	command_unref(cmd);
	command_table_free(t);
	keyed_table_free(pools);
	return ns;
}

static double bench_trace(void)
{
	struct trace_make m = { .sampler = { 0.1 }, .supports_join = true };
	struct trace_context server, client;
	char out[TRACE_INJECT_MAX];
	volatile unsigned len = 0;
	struct rng rng;

	rng_seed(&rng, 3);

	usec start = clock_mono();

	for (unsigned i = 0; i < PICKS; i++) {
		struct trace_headers h = { 0 };

		trace_headers_note(&h, STR("X-B3-TraceId"), STR("80f198ee56343ba864fe8b2a57d3eff7"));
		trace_headers_note(&h, STR("X-B3-SpanId"), STR("e457b5a2e4d86bd1"));
		trace_headers_note(&h, STR("X-B3-Sampled"), STR("1"));
		trace_serve(&server, &h, TRACE_ALL, &m, &rng);
		trace_child(&client, &server, &rng);
		len = len + trace_inject(out, &client, TRACE_B3_MULTI);
	}
	return since(start, PICKS);
}

static const char *only = ""; /* part of the names of the figures that are wanted */

static void report(const char *what, double (*fn)(void))
{
	double best = 1e12;

	if (!strstr(what, only))
		return;

	for (unsigned i = 0; i < ROUNDS; i++)
		best = MIN(best, fn());
	printf("%s\t%.1f\n", what, best);
}

/* By turns, so that a slow moment of the machine meets both. */
static void report_both(const char *a, double (*fa)(void), const char *b, double (*fb)(void))
{
	double best_a = 1e12, best_b = 1e12;

	if (!strstr(a, only) && !strstr(b, only))
		return;
	for (unsigned i = 0; i < ROUNDS; i++) {
		best_a = MIN(best_a, fa());
		best_b = MIN(best_b, fb());
	}
	printf("%s\t%.1f\n%s\t%.1f\n", a, best_a, b, best_b);
}

int main(int argc, char **argv)
{
	only = argc > 1 ? argv[1] : "";
	report("vine command, 1 thread", bench_one);
	report("vine command, 2 threads", bench_two);
	report_both("bare hand-off", bench_handoff, "vine command through a pool", bench_pool);
	for (size_t i = 0; balance_at(i) && *only == '\0'; i++) {
		double best = 1e12;

		for (unsigned k = 0; k < ROUNDS; k++)
			best = MIN(best, bench_rule(balance_at(i), PICKS / 20));
		printf("vine %.*s\t%.1f\n", STRF(balance_at(i)->name), best);
	}
	report("vine stream of 1,000 circuits", bench_stream);
	report("vine trace: read B3, child, write B3", bench_trace);
	return 0;
}
