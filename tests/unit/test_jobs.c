/* test_jobs.c - lanes of blocking work, and name resolution over them. getaddrinfo is ours here, so that the answers are
 * known and can be made to wait. */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>

#include "http/client.h"
#include "http/server.h"
#include "net/dns.h"
#include "net/jobs.h"
#include "test.h"

/* --- a gate that holds jobs and lookups until it is opened --- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	unsigned waiting, lookups;
};

static struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true, 0, 0 };

static void gate_set(bool open)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = open;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void gate_pass(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.waiting++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.waiting--;
	pthread_mutex_unlock(&gate.lock);
}

static void gate_await_waiting(unsigned n)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.waiting < n)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static unsigned lookups(void)
{
	pthread_mutex_lock(&gate.lock);

	unsigned n = gate.lookups;

	pthread_mutex_unlock(&gate.lock);
	return n;
}

/* "two.test" has two addresses, "slow.test" one, ours, that waits for the gate, anything else none. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	unsigned n = strcmp(name, "two.test") == 0 ? 2 : strcmp(name, "slow.test") == 0 ? 1 : 0;
	struct addrinfo *list = NULL;

	(void)service, (void)hints;
	pthread_mutex_lock(&gate.lock);
	gate.lookups++;
	pthread_mutex_unlock(&gate.lock);
	if (n == 1)
		gate_pass();
	if (n == 0)
		return EAI_NONAME;
	for (unsigned i = n; i > 0; i--) {
		struct { struct addrinfo ai; struct sockaddr_in in; } *both = xzalloc(sizeof(*both));

		both->in.sin_family = AF_INET;
		both->in.sin_addr.s_addr = htonl(n == 1 ? INADDR_LOOPBACK : 0x0a000000 + i);
		both->ai = (struct addrinfo){ .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&both->in,
					      .ai_addrlen = sizeof(both->in), .ai_next = list };
		list = &both->ai;
	}
	*ret = list;
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

/* --- the fixture --- */

struct fix {
	struct loop *loop;
	struct mailbox mailbox;
	struct jobs_lane *lane;
	struct dns *dns;
};

static int setup(void **state)
{
	struct fix *f = xzalloc(sizeof(*f));

	gate_set(true);
	gate.lookups = 0;
	f->loop = loop_new();
	mailbox_init(&f->mailbox, f->loop);
	f->lane = jobs_lane_new("test", 2, 3);
	f->dns = dns_new(f->loop, &f->mailbox, f->lane, 10 * USEC_PER_SEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	gate_set(true);
	dns_free(f->dns);
	mailbox_fini(&f->mailbox);
	jobs_lane_free(f->lane);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void turn_until(struct fix *f, const unsigned *count, unsigned want)
{
	usec deadline = clock_mono() + 10 * USEC_PER_SEC;

	while (*count < want) {
		if (clock_mono() > deadline)
			fail_msg("only %u of %u came back", *count, want);
		loop_turn(f->loop, USEC_PER_SEC / 10);
	}
}

/* --- jobs --- */

struct work {
	struct job job;
	unsigned *done, *ran, *cancelled;
	pthread_t ran_on;
};

static void work_run(struct job *j)
{
	struct work *w = container_of(j, struct work, job);

	gate_pass();
	w->ran_on = pthread_self();
	__atomic_fetch_add(w->ran, 1, __ATOMIC_RELAXED);
}

static void work_done(struct job *j)
{
	struct work *w = container_of(j, struct work, job);

	(*w->done)++;
	*w->cancelled += j->cancelled;
}

static void test_job_runs_elsewhere_and_returns(void **state)
{
	struct fix *f = *state;
	unsigned done = 0, ran = 0, cancelled = 0;
	struct work w = { .job = { .run = work_run, .done = work_done }, .done = &done, .ran = &ran, .cancelled = &cancelled };

	assert_true(jobs_submit(f->lane, &w.job, &f->mailbox));
	turn_until(f, &done, 1);
	assert_int_equal(ran, 1);
	assert_false(pthread_equal(w.ran_on, pthread_self()));
}

static void test_full_lane_refuses(void **state)
{
	struct fix *f = *state;
	unsigned done = 0, ran = 0, cancelled = 0;
	struct work w[6];
	struct jobs_stats s;

	gate_set(false);
	for (unsigned i = 0; i < 6; i++)
		w[i] = (struct work){ .job = { .run = work_run, .done = work_done }, .done = &done, .ran = &ran, .cancelled = &cancelled };
	assert_true(jobs_submit(f->lane, &w[0].job, &f->mailbox));
	assert_true(jobs_submit(f->lane, &w[1].job, &f->mailbox));
	gate_await_waiting(2); /* both threads are busy: from here on it queues */
	for (unsigned i = 2; i < 5; i++)
		assert_true(jobs_submit(f->lane, &w[i].job, &f->mailbox));
	assert_false(jobs_submit(f->lane, &w[5].job, &f->mailbox));
	jobs_lane_stats(f->lane, &s);
	assert_int_equal(s.active, 2);
	assert_int_equal(s.queued, 3);
	assert_int_equal(s.refused, 1);
	gate_set(true);
	turn_until(f, &done, 5);
	assert_int_equal(ran, 5);
	assert_true(jobs_submit(f->lane, &w[5].job, &f->mailbox)); /* there is room again */
	turn_until(f, &done, 6);
}

static void *open_gate_later(void *arg)
{
	(void)arg;
	usleep(20000); /* long enough that the queue is still full when the lane starts to close; no assertion hangs on it */
	gate_set(true);
	return NULL;
}

static void test_freed_lane_cancels_what_waits(void **state)
{
	struct fix *f = *state;
	unsigned done = 0, ran = 0, cancelled = 0;
	struct jobs_lane *lane = jobs_lane_new("short", 1, 8);
	struct work w[4];
	pthread_t opener;

	gate_set(false);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct work){ .job = { .run = work_run, .done = work_done }, .done = &done, .ran = &ran, .cancelled = &cancelled };
		assert_true(jobs_submit(lane, &w[i].job, &f->mailbox));
	}
	gate_await_waiting(1);
	pthread_create(&opener, NULL, open_gate_later, NULL);
	jobs_lane_free(lane);
	pthread_join(opener, NULL);
	turn_until(f, &done, 4); /* each comes back, run or not */
	assert_int_equal(ran + cancelled, 4);
	assert_true(ran >= 1);
}

/* --- dns --- */

struct asked {
	struct dns_query q;
	unsigned *done;
};

static void asked_done(struct dns_query *q)
{
	(*container_of(q, struct asked, q)->done)++;
}

static void test_literals_need_no_query(void **state)
{
	static const struct { const char *host; bool ok; const char *text; } cases[] = {
		{ "127.0.0.1", true, "127.0.0.1:80" }, { "::1", true, "[::1]:80" }, { "[::1]", true, "[::1]:80" },
		{ "localhost", true, "127.0.0.1:80" }, { "LOCALHOST", true, "127.0.0.1:80" },  { "", false, NULL },
	};
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_query q = { 0 };
		char text[ADDR_TEXT_MAX];

		assert_true(dns_resolve(f->dns, &q, str_from(cases[i].host), 80));
		assert_int_equal(q.n > 0, cases[i].ok);
		if (!cases[i].ok) {
			assert_non_null(q.why);
			continue;
		}
		addr_text(&q.addr[0], text);
		assert_string_equal(text, cases[i].text);
	}
	assert_int_equal(lookups(), 0);
}

static void test_over_long_name_is_refused(void **state)
{
	struct fix *f = *state;
	char host[256];
	struct dns_query q = { 0 };

	memset(host, 'a', sizeof(host));
	assert_true(dns_resolve(f->dns, &q, str_of(host, sizeof(host)), 80));
	assert_int_equal(q.n, 0);
	assert_true(dns_resolve(f->dns, &q, str_of("a\0b", 3), 80));
	assert_int_equal(q.n, 0);
}

static void test_answers_are_kept(void **state)
{
	struct fix *f = *state;
	unsigned done = 0;
	struct asked a = { .q.done = asked_done, .done = &done }, b = a;
	char text[ADDR_TEXT_MAX];

	assert_false(dns_resolve(f->dns, &a.q, STR("two.test"), 8080));
	turn_until(f, &done, 1);
	assert_int_equal(a.q.n, 2);
	addr_text(&a.q.addr[1], text);
	assert_string_equal(text, "10.0.0.2:8080");
	assert_true(dns_resolve(f->dns, &b.q, STR("TWO.test"), 81)); /* from the cache, with its own port */
	addr_text(&b.q.addr[0], text);
	assert_string_equal(text, "10.0.0.1:81");
	assert_int_equal(lookups(), 1);
}

static void test_failures_say_why(void **state)
{
	struct fix *f = *state;
	unsigned done = 0;
	struct asked a = { .q.done = asked_done, .done = &done };

	assert_false(dns_resolve(f->dns, &a.q, STR("none.test"), 1));
	turn_until(f, &done, 1);
	assert_int_equal(a.q.n, 0);
	assert_string_equal(a.q.why, "no such name");
	assert_true(dns_resolve(f->dns, &a.q, STR("none.test"), 1)); /* the failure too is kept for a while */
	assert_int_equal(lookups(), 1);
}

static void test_one_query_a_name(void **state)
{
	struct fix *f = *state;
	unsigned done = 0;
	struct asked a[3] = { [0 ... 2] = { .q.done = asked_done, .done = &done } };

	gate_set(false);
	for (unsigned i = 0; i < 3; i++)
		assert_false(dns_resolve(f->dns, &a[i].q, STR("slow.test"), (uint16_t)(i + 1)));
	dns_cancel(f->dns, &a[1].q);
	gate_set(true);
	turn_until(f, &done, 2);
	loop_turn(f->loop, 0);
	assert_int_equal(done, 2); /* the cancelled one hears nothing */
	assert_int_equal(lookups(), 1);
	assert_int_equal(addr_port(&a[0].q.addr[0]), 1);
	assert_int_equal(addr_port(&a[2].q.addr[0]), 3);
}

static void test_dns_may_go_while_a_lookup_is_out(void **state)
{
	struct fix *f = *state;
	unsigned done = 0;
	struct asked a = { .q.done = asked_done, .done = &done };

	gate_set(false);
	assert_false(dns_resolve(f->dns, &a.q, STR("slow.test"), 1));
	gate_await_waiting(1);
	dns_free(TAKE(f->dns));
	assert_false(a.q.active);
	/* teardown opens the gate: the job then frees itself, here or on the lane, which the leak check sees */
}

/* --- calls by name --- */

static void on_request(struct exchange *ex, void *ctx)
{
	(void)ctx;
	ex_respond_text(ex, 200, STR("here"));
}

static struct http_server *serve(struct fix *f)
{
	struct log *none = NULL;
	struct logger log = { .log = none };
	struct http_server *s =
		http_server_new(f->loop, &(struct http_server_opts){ .log = &log, .handler = on_request });
	struct addr a;

	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	assert_int_equal(http_server_listen(s, &a, false, NULL), 0);
	return s;
}

struct got {
	struct fetch f;
	bool done, ok;
};

static void on_got(struct fetch *fe)
{
	struct got *g = container_of(fe, struct got, f);

	g->done = true;
	g->ok = fe->ok;
}

static void ask_for(struct got *g, struct http_peer *p, struct http_client *cl)
{
	*g = (struct got){ .f = { .method = HTTP_GET, .target = STR("/"), .done = on_got } };
	g->f.deadline = loop_refresh_now(http_client_loop(cl)) + 2 * USEC_PER_SEC;
	fetch_start(cl, &g->f, p);
}

static void ignore(struct call *c)
{
	(void)c;
}

static void ignore_head(struct call *c, const struct http_head *h)
{
	(void)c, (void)h;
}

static void ignore_body(struct call *c, struct str piece)
{
	(void)c, (void)piece;
}

static void ignore_failure(struct call *c, const struct call_failure *f)
{
	(void)c, (void)f;
}

static const struct call_ops ignoring = { ignore_head, ignore_body, ignore, ignore_failure, ignore, NULL };

/* A lookup that hangs holds up who needs a new connection, and nobody for whom there is one. */
static void test_a_connection_needs_no_address(void **state)
{
	struct fix *f = *state;
	struct http_server *s = serve(f);
	struct dns *dns = dns_new(f->loop, &f->mailbox, f->lane, 1);
	struct http_client *cl = http_client_new(f->loop, &(struct http_client_opts){ .dns = dns });
	struct http_peer *p = http_client_peer(cl, STR("slow.test"), addr_port(http_server_local(s)));
	struct call fresh = { .ops = &ignoring, .method = HTTP_GET };
	struct got first, more[3];

	ask_for(&first, p, cl);
	while (!first.done)
		loop_turn(f->loop, USEC_PER_SEC);
	assert_true(first.ok);
	gate_set(false);
	for (unsigned i = 0; i < 2; i++)
		ask_for(&more[i], p, cl); /* one takes the connection, one waits */
	while (!more[0].done || !more[1].done)
		loop_turn(f->loop, USEC_PER_SEC);
	assert_true(more[0].ok && more[1].ok);
	call_start(cl, &fresh, p, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), STR_EMPTY, CALL_FRESH);
	ask_for(&more[2], p, cl);
	while (!more[2].done)
		loop_turn(f->loop, USEC_PER_SEC);
	assert_true(more[2].ok && call_is_active(&fresh));
	call_cancel(&fresh);
	http_peer_unref(p);
	http_client_free(cl);
	http_server_free(s);
	dns_free(dns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_job_runs_elsewhere_and_returns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_lane_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_lane_cancels_what_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_literals_need_no_query, setup, teardown),
		cmocka_unit_test_setup_teardown(test_over_long_name_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures_say_why, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_query_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dns_may_go_while_a_lookup_is_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_connection_needs_no_address, setup, teardown),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
