/* test_net.c - the loop and its timers, mailboxes, addresses, connections with back-pressure. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"
#include "net/outbox.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/mailbox.h"

/* --- timers --- */

enum { TIMERS = 200 };

struct ticking {
	struct timer t;
	usec fired, wanted; /* wanted 0: must not fire */
	struct loop *loop;
};

static void note_time(struct timer *t)
{
	struct ticking *k = container_of(t, struct ticking, t);

	assert_int_equal(k->fired, 0);
	k->fired = loop_now(k->loop);
}

/* Sets, moves, parks and cancels at random: each fires once, at its last time and not before. */
static void test_timers_fire_once_and_not_early(void **state)
{
	struct loop *l = loop_new();
	static struct ticking k[TIMERS];
	struct rng r;
	usec start = loop_now(l);

	(void)state;
	rng_seed(&r, 7);
	memset(k, 0, sizeof(k));
	for (int i = 0; i < TIMERS; i++) {
		k[i].loop = l;
		timer_init(&k[i].t, note_time);
	}
	for (int step = 0; step < 20 * TIMERS; step++) {
		struct ticking *x = &k[rng_below(&r, TIMERS)];
		usec at = start + 1000 + rng_below(&r, 40000);

		switch (rng_below(&r, 4)) {
		case 0:
			timer_cancel(l, &x->t);
			x->wanted = 0;
			break;
		case 1:
			timer_park(&x->t);
			x->wanted = 0;
			break;
		default:
			timer_set(l, &x->t, at);
			x->wanted = at;
		}
	}
	while (loop_now(l) < start + 50000)
		loop_turn(l, 1000);
	for (int i = 0; i < TIMERS; i++) {
		if (k[i].wanted == 0)
			assert_int_equal(k[i].fired, 0);
		else
			assert_true(k[i].fired >= k[i].wanted);
		timer_cancel(l, &k[i].t);
	}
	loop_free(l);
}

static void stop_loop(struct timer *t)
{
	loop_stop(container_of(t, struct ticking, t)->loop);
}

static void test_run_until_stop(void **state)
{
	struct ticking k = { .loop = loop_new() };

	(void)state;
	timer_init(&k.t, stop_loop);
	timer_set(k.loop, &k.t, loop_now(k.loop) + 1000);
	loop_run(k.loop);
	loop_free(k.loop);
}

struct step {
	struct deferred d;
	struct loop *loop;
	int left, ran;
};

static void yield_again(struct deferred *d)
{
	struct step *s = container_of(d, struct step, d);

	s->ran++;
	if (--s->left)
		loop_yield(s->loop, d, yield_again);
}

/* Work that gives way goes on in the next turn, not in this one, and the loop does not sleep before it. */
static void test_yielding_lets_the_turn_end(void **state)
{
	struct step s = { .loop = loop_new(), .left = 5 };

	(void)state;
	loop_yield(s.loop, &s.d, yield_again);
	for (int i = 1; i <= 5; i++) {
		loop_turn(s.loop, USEC_NEVER);
		assert_int_equal(s.ran, i);
	}
	loop_turn(s.loop, 0);
	assert_int_equal(s.ran, 5);
	loop_free(s.loop);
}

/* --- mailboxes --- */

enum { POSTERS = 4, LETTERS = 2000 };

struct letter {
	struct mail mail;
	struct inbox *to;
	int from, number;
};

struct inbox {
	struct mailbox mb;
	int last[POSTERS], count;
};

static void on_letter(struct mail *m)
{
	struct letter *x = container_of(m, struct letter, mail);

	assert_int_equal(x->number, x->to->last[x->from] + 1); /* in the order of posting */
	x->to->last[x->from] = x->number;
	x->to->count++;
	free(x);
}

struct poster {
	pthread_t thread;
	struct inbox *to;
	int id;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (int i = 1; i <= LETTERS; i++) {
		struct letter *x = xzalloc(sizeof(*x));

		*x = (struct letter){ .to = p->to, .from = p->id, .number = i };
		mailbox_post(&p->to->mb, &x->mail, on_letter);
	}
	return NULL;
}

static void test_mailbox_keeps_order_and_loses_nothing(void **state)
{
	struct loop *l = loop_new();
	struct inbox box = { .count = 0 };
	struct poster posters[POSTERS];

	(void)state;
	mailbox_init(&box.mb, l);
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ .to = &box, .id = i };
		pthread_create(&posters[i].thread, NULL, post_many, &posters[i]);
	}
	while (box.count < POSTERS * LETTERS)
		loop_turn(l, USEC_PER_SEC);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);

	struct letter *last = xzalloc(sizeof(*last));

	*last = (struct letter){ .to = &box, .from = 0, .number = LETTERS + 1 };
	assert_true(mailbox_post(&box.mb, &last->mail, on_letter));
	mailbox_fini(&box.mb); /* delivers what still lies there */
	assert_int_equal(box.count, POSTERS * LETTERS + 1);

	struct letter late = { .to = &box };

	assert_false(mailbox_post(&box.mb, &late.mail, on_letter));
	loop_free(l);
}

/* --- addresses --- */

static void test_addresses(void **state)
{
	static const struct {
		const char *in, *host;
		uint16_t port; /* 0: refused */
	} rows[] = {
		{ "h:80", "h", 80 },       { "h", "h", 7 },           { "127.0.0.1:1", "127.0.0.1", 1 },
		{ "[::1]:5", "::1", 5 },   { "[::1]", "::1", 7 },     { "h:0", "", 0 },
		{ "h:65536", "", 0 },      { "h:", "", 0 },           { "h:x", "", 0 },
		{ ":80", "", 0 },          { "[::1]x", "", 0 },       { "", "", 0 },
	};
	struct str host;
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ok = addr_split(str_from(rows[i].in), 7, &host, &port);

		if (ok != (rows[i].port != 0) || (ok && (port != rows[i].port || !str_eq(host, str_from(rows[i].host)))))
			fail_msg("%s: %d %.*s %u", rows[i].in, ok, STRF(host), port);
	}
}

static void test_address_text_and_loopback(void **state)
{
	static const struct {
		const char *ip, *text, *bare;
		bool loopback;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1:80", "127.0.0.1", true },
		{ "127.255.255.254", "127.255.255.254:80", "127.255.255.254", true },
		{ "10.0.200.9", "10.0.200.9:80", "10.0.200.9", false },
		{ "::1", "[::1]:80", "::1", true },
		{ "2001:db8::5", "[2001:db8::5]:80", "2001:db8::5", false },
		{ "::ffff:127.0.0.1", "127.0.0.1:80", "127.0.0.1", true },
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(addr_parse_ip(&a, str_from(rows[i].ip), 80));
		addr_text(&a, text);
		assert_string_equal(text, rows[i].text);
		addr_ip_text(&a, text);
		assert_string_equal(text, rows[i].bare);
		assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
	}
	assert_false(addr_parse_ip(&a, STR("1.2.3"), 1));
	assert_false(addr_parse_ip(&a, STR("localhost"), 1));
}

static void test_cidr(void **state)
{
	static const struct {
		const char *range, *ip;
		bool has;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },    { "10.0.0.0/8", "11.0.0.1", false }, { "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.4", false },       { "192.168.4.0/22", "192.168.7.255", true },
		{ "192.168.4.0/22", "192.168.8.0", false }, { "0.0.0.0/0", "1.2.3.4", true }, { "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false }, { "10.0.0.0/8", "::ffff:10.0.0.1", true },
		{ "::/0", "10.0.0.1", false },
	};
	struct cidr c;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(cidr_parse(&c, str_from(rows[i].range)));
		assert_true(addr_parse_ip(&a, str_from(rows[i].ip), 0));
		if (cidr_has(&c, &a) != rows[i].has)
			fail_msg("%s has %s: not %d", rows[i].range, rows[i].ip, rows[i].has);
	}
	assert_false(cidr_parse(&c, STR("10.0.0.0/33")));
	assert_false(cidr_parse(&c, STR("x/8")));
}

/* --- listeners --- */

static void test_a_port_in_use_is_an_error(void **state)
{
	struct loop *l = loop_new();
	struct listener first = { 0 };
	struct addr a, real;
	struct err e;

	(void)state;
	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	assert_int_equal(net_bind_check(&a, &real, &e), 0);
	assert_int_equal(listener_open(&first, l, &real, true, &e), 0);
	assert_int_equal(net_bind_check(&real, &a, &e), VINE_EIO); /* although both would share the port */
	assert_non_null(strstr(e.text, "Address already in use"));
	listener_close(&first);
	listener_close(&first);
	loop_free(l);
}

static int n_told[2];

static void note_starved(struct listener *ln, bool starved)
{
	(void)ln;
	n_told[starved]++;
}

static void keep_fd(struct listener *ln, int fd, const struct addr *peer)
{
	(void)peer;
	*(int *)ln->user = fd;
}

static int dial(const struct addr *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &a->sa, addr_len(a)), 0);
	return fd;
}

/* Somebody waits, and there is no descriptor: no spinning, one word about it, and in the end either a place or a refusal. */
static void test_a_listener_without_descriptors_rests(void **state)
{
	struct loop *l = loop_new();
	struct listener ln = { 0 };
	struct rlimit old, tight;
	int accepted = -1;
	struct addr a;
	struct err e;
	char byte;

	(void)state;
	memset(n_told, 0, sizeof(n_told));
	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	assert_int_equal(listener_open(&ln, l, &a, false, &e), 0);
	ln.on_accept = keep_fd;
	ln.on_starved = note_starved;
	ln.user = &accepted;

	int first = dial(&ln.local), second = dial(&ln.local);

	getrlimit(RLIMIT_NOFILE, &old);
	tight = (struct rlimit){ (rlim_t)second + 1, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &tight);

	int turns = 0;

	for (usec end = loop_now(l) + 350 * USEC_PER_MSEC; loop_now(l) < end || (ln.refused < 2 && turns < 30); turns++)
		loop_turn(l, 20 * USEC_PER_MSEC);
	assert_true(turns < 30);
	assert_int_equal(accepted, -1);
	assert_int_equal(n_told[true], 1);
	assert_int_equal(ln.refused, 2); /* at the second look */
	assert_int_equal(recv(first, &byte, 1, 0), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	close(first);
	first = dial(&ln.local);
	while (accepted < 0)
		loop_turn(l, USEC_PER_SEC);
	assert_int_equal(n_told[false], 1);
	close(accepted);
	close(first);
	close(second);
	listener_close(&ln);
	loop_free(l);
}

/* --- connections --- */

struct side {
	struct conn c;
	struct buf got;
	size_t take_at_most; /* per call; 0: all */
	bool eof, drained, released;
	bool may_fail;
	int error;
};

static size_t side_data(struct conn *c, const char *p, size_t n)
{
	struct side *s = container_of(c, struct side, c);

	if (s->take_at_most)
		n = MIN(n, s->take_at_most);
	buf_add(&s->got, p, n);
	return n;
}

static void side_eof(struct conn *c)
{
	container_of(c, struct side, c)->eof = true;
}

static void side_drain(struct conn *c)
{
	container_of(c, struct side, c)->drained = true;
}

static void side_error(struct conn *c, int errnum)
{
	struct side *s = container_of(c, struct side, c);

	if (!s->may_fail)
		fail_msg("error %d", errnum);
	s->error = errnum;
}

static void side_released(struct conn *c)
{
	container_of(c, struct side, c)->released = true;
}

static const struct conn_ops side_ops = { side_data, side_eof, side_drain, side_error, NULL };

static void open_pair(struct loop *l, struct side *a, struct side *b)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	buf_init(&a->got, 16u << 20);
	buf_init(&b->got, 16u << 20);
	assert_int_equal(conn_open(&a->c, l, fds[0], &side_ops, 1000), 0);
	assert_int_equal(conn_open(&b->c, l, fds[1], &side_ops, 1000), 0);
}

static void close_pair(struct loop *l, struct side *a, struct side *b)
{
	conn_close(&a->c, side_released);
	conn_close(&b->c, side_released);
	loop_turn(l, 0);
	assert_true(a->released && b->released);
	buf_fini(&a->got);
	buf_fini(&b->got);
}

static void test_output_waits_for_a_paused_reader(void **state)
{
	enum { TOTAL = 4 << 20 };
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 };
	char *bytes = xmalloc(TOTAL);

	(void)state;
	for (int i = 0; i < TOTAL; i++)
		bytes[i] = (char)(i * 31 + i / 997);
	open_pair(l, &a, &b);
	conn_pause(&b.c);
	conn_write(&a.c, bytes, TOTAL);
	for (int i = 0; i < 10; i++)
		loop_turn(l, 0);
	assert_int_equal(b.got.len, 0);
	assert_true(conn_pending(&a.c) > 0);
	assert_false(a.drained);
	conn_resume(&b.c);
	while (b.got.len < TOTAL)
		loop_turn(l, USEC_PER_SEC);
	assert_memory_equal(b.got.ptr, bytes, TOTAL);
	assert_true(a.drained);
	assert_int_equal(conn_pending(&a.c), 0);
	close_pair(l, &a, &b);
	free(bytes);
	loop_free(l);
}

/* Past the backstop nothing is dropped in silence: the connection fails before another byte is written. */
static void test_output_that_nobody_reads_is_bounded(void **state)
{
	enum { PIECE = 60 << 20 };
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 };
	char *bytes = xzalloc(PIECE);

	(void)state;
	open_pair(l, &a, &b);
	a.may_fail = true;
	conn_pause(&b.c);
	for (int i = 0; i < 5; i++) {
		assert_false(a.c.flags & CONN_FAILED);
		conn_write(&a.c, bytes, PIECE);
	}
	assert_int_equal(a.error, 0);
	loop_turn(l, 0);
	assert_int_equal(a.error, EPROTO);
	assert_true(conn_pending(&a.c) < 256u << 20);
	close_pair(l, &a, &b);
	free(bytes);
	loop_free(l);
}

static void test_leftovers_are_kept_and_shown_again(void **state)
{
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { .take_at_most = 3 };

	(void)state;
	open_pair(l, &a, &b);
	conn_write(&a.c, "0123456789", 10);
	loop_turn(l, USEC_PER_SEC);
	assert_str(buf_str(&b.got), STR("012"));
	assert_true(conn_has_kept(&b.c));
	conn_write(&a.c, "ab", 2);
	conn_shutdown(&a.c);
	loop_turn(l, USEC_PER_SEC);
	assert_str(buf_str(&b.got), STR("012345")); /* shown again, in front of what came */
	b.take_at_most = 0;
	conn_kick(&b.c);
	while (!b.eof)
		loop_turn(l, USEC_PER_SEC);
	loop_turn(l, 0);
	assert_str(buf_str(&b.got), STR("0123456789ab"));
	assert_false(conn_has_kept(&b.c));
	close_pair(l, &a, &b);
	loop_free(l);
}

/* One that takes nothing is not read without end: what is kept has a bound, and the loop does not spin. */
static void test_a_reader_that_takes_nothing_is_bounded(void **state)
{
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { .take_at_most = 1 };
	char block[4096] = { 'x' };

	(void)state;
	open_pair(l, &a, &b);
	for (int i = 0; i < 1000; i++)
		conn_write(&a.c, block, sizeof(block));
	for (int i = 0; i < 100; i++)
		loop_turn(l, 0);
	assert_true(b.c.in->len <= 1000 + LOOP_RBUF);
	assert_true(*loop_kept(l) >= b.c.in->len + conn_pending(&a.c)); /* the account of it, */
	assert_true(conn_pending(&a.c) > 0);
	close_pair(l, &a, &b);
	assert_int_equal(*loop_kept(l), 0); /* also when all is gone */
	loop_free(l);
}

/* What lies in b's socket, without b reading it. */
static size_t arrived(const struct side *b)
{
	char room[OUTBOX_BYTES * 2];
	ssize_t n = recv(b->c.io.fd, room, sizeof(room), MSG_PEEK | MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static void test_small_writes_leave_when_the_turn_ends(void **state)
{
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 };

	(void)state;
	open_pair(l, &a, &b);
	conn_pause(&b.c);
	conn_write(&a.c, "head ", 5);
	conn_write(&a.c, "body", 4);
	assert_int_equal(arrived(&b), 0);
	assert_int_equal(conn_pending(&a.c), 0);
	assert_false(a.c.flags & CONN_TOOK);
	loop_turn(l, 0);
	assert_int_equal(arrived(&b), 9);
	assert_true(a.c.flags & CONN_TOOK);
	conn_resume(&b.c);
	loop_turn(l, USEC_PER_SEC);
	assert_str(buf_str(&b.got), STR("head body"));
	close_pair(l, &a, &b);
	loop_free(l);
}

static void test_a_large_write_takes_small_ones_along(void **state)
{
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 };
	char large[OUTBOX_PIECE + 1];

	(void)state;
	memset(large, 'L', sizeof(large));
	open_pair(l, &a, &b);
	conn_write(&a.c, "small", 5);
	conn_write(&a.c, large, sizeof(large));
	assert_int_equal(arrived(&b), 5 + sizeof(large));
	while (b.got.len < 5 + sizeof(large))
		loop_turn(l, USEC_PER_SEC);
	assert_memory_equal(b.got.ptr, "smallLLL", 8);
	close_pair(l, &a, &b);
	loop_free(l);
}

static void test_flush_and_shutdown_send_now_and_close_forgets(void **state)
{
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 };

	(void)state;
	open_pair(l, &a, &b);
	conn_pause(&b.c);
	conn_write(&a.c, "one", 3);
	conn_flush(&a.c);
	assert_int_equal(arrived(&b), 3);
	conn_write(&a.c, "two", 3);
	conn_shutdown(&a.c);
	assert_int_equal(arrived(&b), 6);
	conn_write(&b.c, "never", 5); /* the other way is still open */
	close_pair(l, &b, &a);
	loop_free(l);
}

/* Two connections by turns: neither can grow in place, and the order of each one's bytes must stay. */
static void test_a_full_outbox_keeps_the_order(void **state)
{
	enum { PIECE = 1000, PIECES = 300 };
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	char piece[PIECE];

	(void)state;
	open_pair(l, &a, &b);
	open_pair(l, &c, &d);
	for (int i = 0; i < PIECES; i++) {
		memset(piece, 'A' + i % 26, sizeof(piece));
		conn_write(i % 3 ? &a.c : &c.c, piece, sizeof(piece));
	}
	while (b.got.len + d.got.len < PIECES * PIECE)
		loop_turn(l, USEC_PER_SEC);
	assert_int_equal(d.got.len, PIECES / 3 * PIECE);
	for (int i = 0, at_b = 0, at_d = 0; i < PIECES; i++) {
		const char *p = i % 3 ? b.got.ptr + at_b++ * PIECE : d.got.ptr + at_d++ * PIECE;

		assert_true(p[0] == 'A' + i % 26 && p[PIECE - 1] == p[0]);
	}
	close_pair(l, &a, &b);
	close_pair(l, &c, &d);
	loop_free(l);
}

/* Leaves a's socket full; what fills it is whoever reads b's to throw away. */
static size_t fill(const struct side *a)
{
	char junk[4096] = { 0 };
	size_t total = 0;
	ssize_t n;

	while ((n = send(a->c.io.fd, junk, sizeof(junk), MSG_DONTWAIT)) > 0)
		total += (size_t)n;
	return total;
}

/* A conn whose bytes the outbox sent early, and found no room for them, has them behind itself: what it writes next waits there. */
static void test_a_full_outbox_keeps_the_order_before_a_full_socket(void **state)
{
	struct loop *l = loop_new();
	struct side a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	char junk[4096];
	size_t left;

	(void)state;
	open_pair(l, &a, &b);
	open_pair(l, &c, &d);
	conn_pause(&b.c);
	left = fill(&a);
	conn_write(&a.c, "first ", 6);
	conn_write(&c.c, "other", 5); /* a's piece cannot grow any more */
	conn_write(&a.c, "second", 6);
	assert_int_equal(conn_pending(&a.c), 12);
	while (left)
		left -= (size_t)recv(b.c.io.fd, junk, MIN(left, sizeof(junk)), 0);
	conn_resume(&b.c);
	while (b.got.len < 12)
		loop_turn(l, USEC_PER_SEC);
	assert_str(buf_str(&b.got), STR("first second"));
	close_pair(l, &a, &b);
	close_pair(l, &c, &d);
	loop_free(l);
}

static void side_reset(struct conn *c, int errnum)
{
	assert_int_equal(errnum, ECONNRESET);
	container_of(c, struct side, c)->eof = true;
	conn_close(c, side_released);
}

static void accept_side(struct listener *ln, int fd, const struct addr *peer)
{
	static const struct conn_ops ops = { side_data, side_eof, side_drain, side_reset, NULL };
	struct side *s = ln->user;

	(void)peer;
	assert_int_equal(conn_open(&s->c, ln->loop, fd, &ops, 1000), 0);
}

/* An answer may be whole although its sender could not wait to be rid of us; whether or not it has taken all that we had to say. */
static void read_before_a_reset(size_t pending)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct loop *l = loop_new();
	struct side s = { .got = BUF_INIT(100) };
	struct listener ln = { 0 };
	char *bytes = xzalloc(pending + 1);
	struct addr a;
	struct err e;

	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	assert_int_equal(listener_open(&ln, l, &a, false, &e), 0);
	ln.on_accept = accept_side;
	ln.user = &s;

	int fd = dial(&ln.local);

	loop_turn(l, USEC_PER_SEC);
	if (pending) {
		conn_write(&s.c, bytes, pending);
		assert_true(conn_pending(&s.c) > 0);
	}
	assert_int_equal(send(fd, "whole", 5, 0), 5);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
	while (!s.eof)
		loop_turn(l, USEC_PER_SEC);
	assert_str(buf_str(&s.got), STR("whole"));
	loop_turn(l, 0);
	assert_true(s.released);
	buf_fini(&s.got);
	listener_close(&ln);
	loop_free(l);
	free(bytes);
}

static void test_what_came_before_a_reset_is_read(void **state)
{
	(void)state;
	read_before_a_reset(0);
	read_before_a_reset(64u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_fire_once_and_not_early),
		cmocka_unit_test(test_run_until_stop),
		cmocka_unit_test(test_yielding_lets_the_turn_end),
		cmocka_unit_test(test_mailbox_keeps_order_and_loses_nothing),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_text_and_loopback),
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_a_port_in_use_is_an_error),
		cmocka_unit_test(test_a_listener_without_descriptors_rests),
		cmocka_unit_test(test_output_waits_for_a_paused_reader),
		cmocka_unit_test(test_output_that_nobody_reads_is_bounded),
		cmocka_unit_test(test_leftovers_are_kept_and_shown_again),
		cmocka_unit_test(test_a_reader_that_takes_nothing_is_bounded),
		cmocka_unit_test(test_small_writes_leave_when_the_turn_ends),
		cmocka_unit_test(test_a_large_write_takes_small_ones_along),
		cmocka_unit_test(test_flush_and_shutdown_send_now_and_close_forgets),
		cmocka_unit_test(test_a_full_outbox_keeps_the_order),
		cmocka_unit_test(test_a_full_outbox_keeps_the_order_before_a_full_socket),
		cmocka_unit_test(test_what_came_before_a_reset_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
