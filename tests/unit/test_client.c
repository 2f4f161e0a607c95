/* test_client.c - libvine without an app that runs: what requests hand out, how settings are resolved, what is kept of
 * servers from one picture of the registry to the next, and where the limits are. */
#include "client_world.h"

#include <unistd.h>

#include "net/listener.h"

/* --- requests --- */

static struct vine_request *request_of(const struct app_route *rt, const char *query)
{
	struct vine_request *rq = xzalloc(sizeof(*rq));

	rq->route = rt;
	rq->query = str_from(query);
	rq->deadline = USEC_NEVER;
	arena_init(&rq->arena, 256);
	buf_init(&rq->out, 4096);
	return rq;
}

static void request_done(struct vine_request *rq)
{
	buf_fini(&rq->out);
	arena_fini(&rq->arena);
	free(rq);
}

static void test_query(void **state)
{
	static const struct {
		const char *query, *name, *want;
	} rows[] = {
		{ "a=1&b=2", "a", "1" },
		{ "a=1&b=2", "b", "2" },
		{ "a=1&b=2", "c", NULL },
		{ "", "a", NULL },
		{ "", "", NULL },
		{ "a=1&a=2", "a", "1" },
		{ "a", "a", "" },
		{ "a&b=1", "a", "" },
		{ "a=", "a", "" },
		{ "&&a=1", "a", "1" },
		{ "aa=1&a=2", "a", "2" },
		{ "A=1", "a", NULL },
		{ "a=b=c", "a", "b=c" },
		{ "a=c%2Bd+e", "a", "c+d e" },
		{ "a=%41%7a%C3%A9", "a", "Az\xc3\xa9" },
		{ "a%20b=1", "a b", "1" },
		{ "a+b=1", "a b", "1" },
		{ "a=1%262", "a", "1&2" },
		{ "a=%", "a", "%" },
		{ "a=%4", "a", "%4" },
		{ "a=%zz", "a", "%zz" },
		{ "a=%0x", "a", "%0x" },
		{ "a=%+1", "a", "% 1" },
		{ "a=%-1", "a", "%-1" },
		{ "a=%\t1", "a", "%\t1" },
		{ "a=x%00y", "a", "x%00y" }, /* a C string would end there */
		{ "a=%2541", "a", "%41" },   /* once, not twice */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vine_request *rq = request_of(NULL, rows[i].query);
		const char *got = vine_request_query(rq, rows[i].name);

		if (!got != !rows[i].want || (got && strcmp(got, rows[i].want) != 0))
			fail_msg("%s of %s: %s, want %s", rows[i].name, rows[i].query, got ? got : "(none)",
				 rows[i].want ? rows[i].want : "(none)");
		request_done(rq);
	}
}

static void test_what_a_request_hands_out(void **state)
{
	struct app_route rt = { .var = { STR("id"), STR("rest") }, .n_vars = 2 };
	struct field fields[] = { { STR("X-One"), STR("1") }, { STR("x-one"), STR("2") }, { STR("Empty"), STR("") } };
	struct vine_request *rq = request_of(&rt, "");
	size_t len;

	(void)state;
	rq->var[0] = STR("7 8");
	rq->var[1] = STR("a/b");
	rq->fields = fields;
	rq->n_fields = ARRAY_LEN(fields);
	rq->body = str_of("a\0b", 3);
	assert_string_equal(vine_request_var(rq, "id"), "7 8");
	assert_string_equal(vine_request_var(rq, "rest"), "a/b");
	assert_null(vine_request_var(rq, "i"));
	assert_null(vine_request_var(rq, "ids"));
	assert_string_equal(vine_request_header(rq, "X-ONE"), "1");
	assert_string_equal(vine_request_header(rq, "empty"), "");
	assert_null(vine_request_header(rq, "X-On"));
	assert_memory_equal(vine_request_body(rq, &len), "a\0b", 4);
	assert_int_equal(len, 3);
	assert_int_equal(vine_request_time_left(rq), -1);
	rq->deadline = clock_mono() - 1;
	assert_int_equal(vine_request_time_left(rq), 0);
	rq->deadline = clock_mono() + 60 * USEC_PER_SEC;
	assert_in_range(vine_request_time_left(rq), 50000, 60000);
	request_done(rq);
}

static void test_fields_of_a_reply(void **state)
{
	static const struct {
		const char *name, *value;
		bool taken;
	} rows[] = {
		{ "X-A", "b c", true },
		{ "x-empty", "", true },
		{ "", "b", false },
		{ "X A", "b", false },
		{ "X-A", "b\r\nEvil: 1", false },
		{ "X-A", "b\nEvil: 1", false },
		{ "X:A", "b", false },
		{ "X-A\r\n", "b", false },
		{ "content-LENGTH", "3", false },
		{ "Transfer-Encoding", "chunked", false },
		{ "Connection", "close", false },
		{ "Content-Type", "a/b", false },
	};
	struct vine_request *rq = request_of(NULL, "");
	unsigned taken = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (vine_reply_header(rq, rows[i].name, rows[i].value) != rows[i].taken)
			fail_msg("%s: %s: want %d", rows[i].name, rows[i].value, rows[i].taken);
		taken += rows[i].taken;
		assert_int_equal(rq->n_reply, taken);
	}
	while (taken < 32) {
		assert_true(vine_reply_header(rq, "X-More", "1"));
		taken++;
	}
	assert_false(vine_reply_header(rq, "X-More", "1"));
	assert_int_equal(rq->n_reply, 32);
	request_done(rq);
}

static void test_a_reply_is_given_once(void **state)
{
	struct vine_request *rq = request_of(NULL, "");

	(void)state;
	vine_replyf(rq, 201, "a/b", "%s-%d", "x", 7);
	vine_reply_text(rq, 500, "late");
	vine_replyf(rq, 500, "c/d", "%s", "later");
	assert_int_equal(rq->status, 201);
	assert_str(rq->type, STR("a/b"));
	assert_str(buf_str(&rq->out), STR("x-7"));
	request_done(rq);
	rq = request_of(NULL, ""); /* one that is too large for its buffer becomes a 500 when it is sent */
	vine_replyf(rq, 200, "a/b", "%5000d", 1);
	assert_true(rq->out.failed);
	request_done(rq);
}

/* --- settings --- */

static void test_settings_of_a_command(void **state)
{
	static const struct row rows[] = {
		{ "hystrix.command.default.circuitBreaker.requestVolumeThreshold", "7" },
		{ "hystrix.command.k.circuitBreaker.requestVolumeThreshold", "3" },
		{ "hystrix.command.k.execution.isolation.thread.timeoutInMilliseconds", "250" },
		{ "hystrix.command.k.execution.isolation.strategy", "THREAD" },
		{ "hystrix.command.k.fallback.enabled", "false" },
		{ "hystrix.command.k.circuitBreaker.forceClosed", "true" },
		{ "hystrix.command.bad.metrics.rollingStats.timeInMilliseconds", "1000" },
		{ "hystrix.command.bad.metrics.rollingStats.numBuckets", "7" },
		{ 0 },
	};
	static const struct {
		const char *key;
		uint32_t volume;
		msec timeout;
		bool fallback, closed;
	} want[] = {
		{ "k", 3, 250, false, true },
		{ "other", 7, 1000, true, false },
		{ "K", 7, 1000, true, false }, /* keys are case-sensitive */
	};
	static const struct cmd_settings built_in = CMD_SETTINGS_DEFAULT;
	struct props *p = props_of(rows);
	struct cmd_settings s;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(policy_command(&s, p, str_from(want[i].key), &e), 0);
		assert_int_equal(s.volume_threshold, want[i].volume);
		assert_int_equal(s.timeout_ms, want[i].timeout);
		assert_int_equal(s.fallback_enabled, want[i].fallback);
		assert_int_equal(s.force_closed, want[i].closed);
		assert_int_equal(s.isolation, i == 0 ? FLOW_THREAD : FLOW_SEMAPHORE); /* only where it is said: see policy.c */
		assert_int_equal(s.sleep_window_ms, built_in.sleep_window_ms);
		assert_int_equal(s.semaphore_max, built_in.semaphore_max);
		assert_int_equal(s.window_ms, built_in.window_ms);
		assert_int_equal(s.percentile_ms, built_in.percentile_ms);
	}
	s.volume_threshold = 99;
	assert_int_equal(policy_command(&s, p, STR("bad"), &e), VINE_EINVAL);
	assert_non_null(strstr(e.text, "hystrix.command.bad.metrics.rollingStats"));
	assert_int_equal(s.volume_threshold, 99); /* untouched */
	props_unref(p);
}

static void test_settings_of_an_app(void **state)
{
	static const struct {
		struct row row;
		const char *wrong; /* NULL: fine */
	} rows[] = {
		{ { "spring.application.name", "a-b_c.9" }, NULL },
		{ { "spring.application.name", "a b" }, "spring.application.name: a b: letters" },
		{ { "spring.application.name", "a/b" }, "spring.application.name" },
		{ { "spring.application.name", "0123456789012345678901234567890123456789012345678901234567890123" },
		  "longer than 63 bytes" },
		{ { "spring.application.name", "012345678901234567890123456789012345678901234567890123456789012" },
		  NULL },
		{ { "server.address", "localhost" }, NULL },
		{ { "server.address", "::1" }, NULL },
		{ { "server.address", "nowhere" }, "server.address: nowhere is no IP address" },
	};
	struct app_settings s;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct props *p = props_of((struct row[]){ rows[i].row, { 0 } });
		int r = app_settings_read(&s, p, "mine", &e);

		assert_int_equal(r, rows[i].wrong ? VINE_EINVAL : 0);
		if (rows[i].wrong && !strstr(e.text, rows[i].wrong))
			fail_msg("%s, want %s", e.text, rows[i].wrong);
		props_unref(p);
	}

	struct props *p =
		props_of((struct row[]){ { "server.port", "0" }, { "server.tomcat.threads.max", "3" }, { 0 } });

	assert_int_equal(app_settings_read(&s, p, "mine", &e), 0);
	assert_string_equal(s.name, "mine");
	assert_int_equal(addr_port(&s.address), 0);
	assert_int_equal(s.threads, 3);
	assert_int_equal(app_settings_read(&s, p, NULL, &e), 0);
	assert_string_equal(s.name, "unknown");
	props_unref(p);
}

/* --- servers --- */

static void test_what_is_known_of_a_server_outlives_the_view(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, (struct row[]){ { 0 } });

	struct remote *rm = link_to(&w, "a", "k")->remote;
	struct server_set *none = remote_take_servers(w.r, rm, 0, NULL);

	assert_servers(none, ""); /* the registry has said nothing yet */
	registry_knows(&w.m, "a b");

	struct server_set *first = remote_take_servers(w.r, rm, 0, NULL), *same = remote_take_servers(w.r, rm, 0, NULL);

	assert_ptr_equal(first, same); /* as long as there is no news */
	assert_servers(first, "a:80 b:80");
	assert_str(first->at[0]->zone, STR("east"));
	server_eject(first->at[1], &rm->settings->lb.outlier, SERVER_WHY_REFUSED, 0);
	registry_knows(&w.m, "b c");

	struct server_set *second = remote_take_servers(w.r, rm, 0, NULL);

	assert_servers(second, "b:80 c:80");
	assert_ptr_equal(second->at[0], first->at[1]);
	assert_int_equal(server_state(second->at[0], 1), SERVER_HARD); /* still out */
	assert_int_equal(server_state(second->at[1], 1), SERVER_IN);
	assert_servers(first, "a:80 b:80"); /* whoever is on the way with the old picture keeps it */
	registry_knows(&w.m, "b- c! d");

	struct server_set *third = remote_take_servers(w.r, rm, 0, NULL);

	assert_servers(third, "d:80"); /* neither who is DOWN nor who has no plain port */
	registry_knows(&w.m, "");

	struct server_set *fourth = remote_take_servers(w.r, rm, 0, NULL);

	assert_servers(fourth, "");
	server_set_unref(none);
	server_set_unref(first);
	server_set_unref(same);
	server_set_unref(second);
	server_set_unref(third);
	server_set_unref(fourth);
	server_set_unref(NULL);
	world_fini(&w);
}

static void test_configured_servers_win(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, (struct row[]){ { "a.ribbon.listOfServers", " x:1 ,, [::1]:2," }, { 0 } });
	registry_knows(&w.m, "b");

	struct remote *rm = link_to(&w, "a", "k")->remote;
	struct server_set *s = remote_take_servers(w.r, rm, 0, NULL);

	assert_servers(s, "x:1 [::1]:2");
	registry_knows(&w.m, "c");

	struct server_set *again = remote_take_servers(w.r, rm, 0, NULL);

	assert_ptr_equal(s, again);
	server_set_unref(s);
	server_set_unref(again);
	w.app.membership = NULL; /* no registry at all */
	s = remote_take_servers(w.r, link_to(&w, "z", "z")->remote, 0, NULL);
	assert_servers(s, "");
	server_set_unref(s);
	world_fini(&w);
}

/* --- links --- */

static void test_links(void **state)
{
	struct world w;
	struct link *kept = NULL;
	struct err e = { 0 };

	(void)state;
	world_init(&w, (struct row[]){ { "hystrix.command.k.circuitBreaker.requestVolumeThreshold", "3" },
				       { "hystrix.command.bad.metrics.rollingStats.numBuckets", "7" },
				       { "vine.loadbalancer.odd.hash-key", "nix" },
				       { 0 } });

	struct link *ak = link_to(&w, "a", "k"), *bk = link_to(&w, "b", "k"), *aj = link_to(&w, "a", "j");

	assert_ptr_equal(ak, link_to(&w, "a", "k"));
	assert_ptr_not_equal(ak, bk);
	assert_ptr_equal(ak->entry->command, bk->entry->command); /* one circuit a key, whoever is called */
	assert_ptr_not_equal(ak->remote, bk->remote);
	assert_ptr_equal(ak->remote, aj->remote); /* one list a service, whatever the command */
	assert_ptr_not_equal(ak->entry->command, aj->entry->command);
	assert_int_equal(commands_settings_of(remotes_commands(w.r), STR("k"))->volume_threshold, 3);
	assert_int_equal(commands_settings_of(remotes_commands(w.r), STR("j"))->volume_threshold, 20);
	assert_int_equal(commands_settings_of(remotes_commands(w.r), STR("nix"))->volume_threshold, 20);
	assert_int_equal(remotes_link(w.r, STR("a"), STR("bad"), STR("g"), 0, &kept, &e), VINE_EINVAL);
	assert_int_equal(remotes_link(w.r, STR("odd"), STR("k"), STR("g"), 0, &kept, &e), VINE_EINVAL);
	assert_null(kept);
	assert_int_equal(command_table_len(commands_table(remotes_commands(w.r))), 2); /* what was refused has left nothing */
	world_fini(&w);
}

static void test_names_have_a_limit(void **state)
{
	char text[257];
	struct world w;

	(void)state;
	memset(text, 'n', sizeof(text));
	world_init(&w, (struct row[]){ { 0 } });
	for (size_t service = 0; service <= 256; service += service == 0 ? 254 : 1) { /* 0, 254, 255, 256 */
		for (size_t command = 0; command <= 256; command += command == 0 ? 254 : 1) {
			struct link *l = NULL;
			bool fine = service && service <= 255 && command && command <= 255;
			int r = remotes_link(w.r, str_of(text, service), str_of(text, command), STR("g"), 0, &l, NULL);

			assert_int_equal(r, fine ? 0 : VINE_EINVAL);
			assert_int_equal(l != NULL, fine);
		}
	}
	world_fini(&w);
}

static void test_links_have_a_limit(void **state)
{
	struct world w;
	struct link *l = NULL, *first;
	struct err e = { 0 };
	char name[16];

	(void)state;
	world_init(&w, (struct row[]){ { 0 } });
	first = link_to(&w, "s0", "k");
	for (int i = 1; i < 4096; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		link_to(&w, name, "k"); /* one command, many services */
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(remotes_link(w.r, STR("more"), STR("k"), STR("g"), 0, &l, &e), VINE_ELIMIT);
		assert_int_equal(remotes_link(w.r, STR("s1"), STR("other"), STR("g"), 0, &l, &e), VINE_ELIMIT);
	}
	assert_null(l);
	assert_int_equal(command_table_len(commands_table(remotes_commands(w.r))), 1);
	assert_ptr_equal(first, link_to(&w, "s0", "k")); /* those that are known go on */
	world_fini(&w);
}

static void test_idle_keys_give_memory_back(void **state)
{
	struct cmd_settings cs = CMD_SETTINGS_DEFAULT;
	usec now = clock_mono();
	struct ticket t;
	struct world w;
	size_t busy;

	(void)state;
	world_init(&w, (struct row[]){ { 0 } });

	struct link *l = link_to(&w, "a", "k");
	struct commands *c = remotes_commands(w.r);

	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(command_admit(l->entry->command, &cs, now, i, &t), ADMIT_OK);
		command_done(l->entry->command, &cs, &t, OUTCOME_SUCCESS, now + 1000 * i);
	}
	busy = command_table_bytes(commands_table(c));
	commands_sweep(c, now + USEC_PER_SEC);
	assert_int_equal(command_table_bytes(commands_table(c)), busy);
	commands_sweep(c, now + 3600 * USEC_PER_SEC);
	assert_true(command_table_bytes(commands_table(c)) < busy / 2);
	assert_int_equal(command_table_len(commands_table(c)), 1); /* whoever calls holds it */
	world_fini(&w);
}

/* --- calls --- */

static void test_calls_are_checked_first(void **state)
{
	static const char *const split[] = { "X-A", "b\r\nEvil: 1", NULL }, *const host[] = { "host", "x", NULL },
				 *const odd[] = { "X-A", NULL }, *const good[] = { "X-A", "b", "X-B", "", NULL };
	static char longest[16 * 1024 + 1];
	const struct {
		struct vine_call_opts o;
		bool fine;
	} rows[] = {
		{ { .service = "a", .path = "/" }, true },
		{ { .service = "a", .path = "/a%20b?c=d&e", .method = "PURGE", .headers = good, .type = "a/b" }, true },
		{ { .service = "a" }, false },
		{ { .path = "/" }, false },
		{ { .service = "a", .path = "" }, false },
		{ { .service = "a", .path = "nix" }, false },
		{ { .service = "a", .path = "/a b" }, false },
		{ { .service = "a", .path = "/\x7f" }, false },
		{ { .service = "a", .path = "/\r\nX: y" }, false },
		{ { .service = "a", .path = "/#f" }, false },
		{ { .service = "a", .path = longest }, false },
		{ { .service = "a", .path = "/", .method = "A B" }, false },
		{ { .service = "a", .path = "/", .method = "" }, false },
		{ { .service = "a", .path = "/", .method = "CONNECT" }, false },
		{ { .service = "a", .path = "/", .headers = split }, false },
		{ { .service = "a", .path = "/", .headers = host }, false },
		{ { .service = "a", .path = "/", .headers = odd }, false },
		{ { .service = "a", .path = "/", .type = "a\nb" }, false },
	};
	struct world w;

	(void)state;
	memset(longest, '/', sizeof(longest) - 1);
	world_init(&w, (struct row[]){ { 0 } });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vine_response *rs = NULL;
		struct vine_err e = { 0 };
		int r = vine_call(&w.app, NULL, &rows[i].o, &rs, &e);

		if (r != (rows[i].fine ? VINE_CODE_UNAVAILABLE : VINE_CODE_INVALID) || e.code != r || !e.text[0])
			fail_msg("row %zu: %d %s", i, r, e.text);
		assert_int_equal(vine_call(&w.app, NULL, &rows[i].o, &rs, NULL), r); /* nobody wants to know why */
		assert_null(rs);
		if (rows[i].fine)
			assert_string_equal(e.text, "the app does not run");
	}
	world_fini(&w);
}

static void test_a_response_in_reserve(void **state)
{
	struct vine_response *rs = response_new();
	char *large = xzalloc(RESPONSE_BODY_MAX);
	size_t len;

	(void)state;
	assert_string_equal(vine_response_body(rs, NULL), "");
	vine_response_set(rs, 203, "a/b", "x\0y", 3);
	assert_int_equal(vine_response_status(rs), 203);
	assert_memory_equal(vine_response_body(rs, &len), "x\0y", 4);
	assert_int_equal(len, 3);
	assert_string_equal(vine_response_header(rs, "content-type"), "a/b");
	assert_null(vine_response_server(rs));
	vine_response_set(rs, 200, NULL, large, RESPONSE_BODY_MAX); /* as large as one may be, its NUL included */
	vine_response_body(rs, &len);
	assert_int_equal(len, RESPONSE_BODY_MAX);
	assert_null(vine_response_header(rs, "content-type"));
	vine_response_set(rs, 200, NULL, "", 0);
	assert_string_equal(vine_response_body(rs, &len), "");
	assert_int_equal(len, 0);
	vine_response_free(rs);
	vine_response_free(NULL);
	free(large);
}

/* --- what a cancel token ends --- */

/* A caller without an app, and a port where connections are taken and nothing answers. */
struct silence {
	struct caller c;
	struct cancel *cancel;
	struct hedge h;
	int fd;
	uint16_t port;
};

static void silence_begin(struct silence *s)
{
	struct addr a;
	socklen_t n = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->c.loop = loop_new();
	s->c.client = http_client_new(s->c.loop, &(struct http_client_opts){ 0 });
	s->cancel = cancel_new(NULL);
	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	s->fd = net_listen(&a, false, NULL);
	assert_true(s->fd >= 0);
	assert_int_equal(getsockname(s->fd, &a.sa, &n), 0);
	s->port = addr_port(&a);
}

static void silence_end(struct silence *s)
{
	http_client_free(s->c.client);
	loop_turn(s->c.loop, 0);
	loop_free(s->c.loop);
	cancel_unref(s->cancel);
	close(s->fd);
}

static bool ask_and_begin(struct hedge *h, struct str *host, uint16_t *port, struct str *head)
{
	struct silence *s = container_of(h, struct silence, h);

	cancel_ask(s->cancel);
	*host = STR("127.0.0.1");
	*port = s->port;
	*head = STR("GET /hedge HTTP/1.1\r\nHost: a\r\n\r\n");
	return true;
}

/* Asked while the hedge begins: neither is waited for, and both are counted as time-outs of their servers. */
static void test_a_token_ends_both_sendings(void **state)
{
	struct once_result first;
	struct silence s;

	(void)state;
	silence_begin(&s);
	s.h = (struct hedge){ .delay = 1, .begin = ask_and_begin, .rs = response_new() };

	struct exchange_once x = {
		.method = HTTP_GET,
		.head = STR("GET /first HTTP/1.1\r\nHost: a\r\n\r\n"),
		.connect_timeout = 3600 * USEC_PER_SEC,
		.read_timeout = 3600 * USEC_PER_SEC,
		.deadline = USEC_NEVER,
		.cancel = s.cancel,
		.rs = response_new(),
	};

	caller_exchange(&s.c, &x, STR("127.0.0.1"), s.port, &s.h, &first);
	assert_true(s.h.begun);
	assert_false(s.h.won || s.h.let_go || s.h.first_let_go);
	assert_false(first.ok || s.h.result.ok);
	assert_int_equal(first.failure.cause, CALL_TIMEOUT);
	assert_int_equal(s.h.result.failure.cause, CALL_TIMEOUT);
	vine_response_free(s.h.rs);
	vine_response_free(x.rs);
	silence_end(&s);
}

static void *ask_soon(void *cancel)
{
	cancel_ask(cancel);
	return NULL;
}

static void test_a_token_ends_a_pause(void **state)
{
	struct silence s;
	pthread_t t;

	(void)state;
	silence_begin(&s);
	caller_pause(&s.c, NULL, 1000);
	pthread_create(&t, NULL, ask_soon, s.cancel);
	caller_pause(&s.c, s.cancel, 3600 * USEC_PER_SEC);
	pthread_join(t, NULL);
	caller_pause(&s.c, s.cancel, 3600 * USEC_PER_SEC); /* it stays asked */
	silence_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_what_a_request_hands_out),
		cmocka_unit_test(test_fields_of_a_reply),
		cmocka_unit_test(test_a_reply_is_given_once),
		cmocka_unit_test(test_settings_of_a_command),
		cmocka_unit_test(test_settings_of_an_app),
		cmocka_unit_test(test_what_is_known_of_a_server_outlives_the_view),
		cmocka_unit_test(test_configured_servers_win),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_names_have_a_limit),
		cmocka_unit_test(test_links_have_a_limit),
		cmocka_unit_test(test_idle_keys_give_memory_back),
		cmocka_unit_test(test_calls_are_checked_first),
		cmocka_unit_test(test_a_response_in_reserve),
		cmocka_unit_test(test_a_token_ends_both_sendings),
		cmocka_unit_test(test_a_token_ends_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
