/* test_eureka_watch.c - the discovery client's watch against a registry that plays a part: honest, foreign, silent, flooding, lying. */
#include "test.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codec/url.h"
#include "eureka/watch.h"
#include "http/server.h"

#define MSEC USEC_PER_MSEC

enum part {
	HONEST,     /* streams; what `tell` says goes to those who watch */
	FOREIGN,    /* no version on its lists, no watch */
	NO_WATCH,   /* versions, but 404 for the watch */
	PAGES,      /* 200 and a page, as a portal gives it */
	MUTE,       /* takes the request and says nothing */
	SILENT,     /* a head, then nothing */
	CUTTING,    /* a head, then the end */
	FULL,       /* 503 */
	RESYNCING,  /* a resync at once, each time */
	LYING,      /* a change with a hash that is not so, each time */
	FLOODING,   /* comments without end */
	GARBAGE,    /* whatever `garbage` says */
};

#define WATCHERS_MAX 8

struct world {
	struct loop *loop;
	struct log *log;
	int log_fd;
	struct logger logger;
	struct http_server *server;
	struct http_client *http;
	struct eureka_client *c;
	struct eureka_watch *watch;
	uint16_t port;
	enum part part;
	usec session;
	usec patience; /* with a watch that says nothing: long, for this thread may have to wait for its processor */
	bool is_down; /* answers 500 to everything */
	bool has_no_lists; /* ... to what asks for lists */
	const char *garbage;
	/* what the registry has */
	char epoch[17];
	unsigned version, n; /* n instances of ORDERS: i1, i2, ... */
	struct exchange *watcher[WATCHERS_MAX];
	unsigned next;
	/* what it was asked */
	unsigned fulls, deltas, watches, polls;
	char from[64]; /* the last watch's */
	bool authorized;
	uint64_t flooded;
	/* what the client showed */
	unsigned views;
};

/* --- the registry --- */

static void add_instance(struct buf *b, unsigned i, const char *action)
{
	buf_addf(b, "{\"instanceId\":\"i%u\",\"hostName\":\"h\",\"app\":\"ORDERS\",\"ipAddr\":\"127.0.0.1\",\"status\":\"UP\","
		    "\"leaseInfo\":{\"durationInSecs\":3},\"port\":{\"$\":80,\"@enabled\":\"true\"},\"vipAddress\":\"orders\",\"lastDirtyTimestamp\":\"7\"%s%s%s}",
		 i, action ? ",\"actionType\":\"" : "", action ? action : "", action ? "\"" : "");
}

static void add_hash(struct buf *b, const struct world *w)
{
	if (w->n)
		buf_addf(b, "UP_%u_", w->n);
}

static void answer_lists(struct world *w, struct exchange *ex, bool delta)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
	char version[64];
	struct field f = { STR("X-Vine-Version"), str_of(version, (size_t)snprintf(version, sizeof(version), "%s-%u", w->epoch, w->version)) };

	*(delta ? &w->deltas : &w->fulls) += 1;
	buf_addz(&b, "{\"applications\":{\"versions__delta\":\"1\",\"apps__hashcode\":\"");
	add_hash(&b, w);
	buf_addz(&b, "\",\"application\":[{\"name\":\"ORDERS\",\"instance\":[");
	for (unsigned i = 1; i <= w->n; i++) {
		buf_addz(&b, i > 1 ? "," : "");
		add_instance(&b, i, delta ? "ADDED" : NULL);
	}
	buf_addz(&b, "]}]}}");
	ex_respond(ex, 200, STR("application/json"), buf_str(&b), &f, w->part != FOREIGN);
}

static void on_watcher_gone(struct exchange *ex)
{
	struct world *w = ex->user;

	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (w->watcher[i] == ex)
			w->watcher[i] = NULL;
	}
}

static void flood(struct world *w, struct exchange *ex)
{
	static char comments[4096];

	if (!ex || ex_pending(ex) > 1 << 20)
		return;
	memset(comments, ':', sizeof(comments));
	for (size_t i = 79; i < sizeof(comments); i += 80)
		comments[i] = '\n';
	for (int i = 0; i < 16; i++)
		ex_write(ex, str_of(comments, sizeof(comments)));
	w->flooded += 16 * sizeof(comments);
}

static const struct exchange_ops watcher_ops = { .on_close = on_watcher_gone };

static void begin_stream(struct world *w, struct exchange *ex)
{
	struct buf *b = ex_head(ex, 200);

	buf_addz(b, "Content-Type: text/event-stream\r\n");
	ex_head_done(ex, EX_LENGTH_UNKNOWN);
	ex->user = w;
	ex->ops = &watcher_ops;
	w->watcher[w->next++ % WATCHERS_MAX] = ex; /* who has gone is not noticed before something is written */
}

static struct str event_text(struct world *w, struct buf *b, const char *hash, unsigned first, unsigned last, const char *action)
{
	buf_addf(b, "id: %s-%u\nevent: change\ndata: {\"hash\":\"", w->epoch, w->version);
	if (hash)
		buf_addz(b, hash);
	else
		add_hash(b, w);
	buf_addz(b, "\",\"instances\":[");
	for (unsigned i = first; i <= last; i++) {
		buf_addz(b, i > first ? "," : "");
		add_instance(b, i, action);
	}
	buf_addz(b, "]}\n\n");
	return buf_str(b);
}

static void answer_poll(struct world *w, struct exchange *ex)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
	char now[64];
	struct str from = STR_EMPTY;
	size_t len = (size_t)snprintf(now, sizeof(now), "%s-%u", w->epoch, w->version);
	bool old = url_param(&ex->arena, ex->req.query, STR("from"), &from) && !str_eq(from, str_of(now, len));

	w->polls++;
	buf_addf(&b, "{\"version\":\"%s\",\"resync\":false,\"hash\":\"", now);
	add_hash(&b, w);
	buf_addz(&b, "\",\"instances\":[");
	if (old)
		add_instance(&b, w->n, "ADDED");
	buf_addz(&b, "]}");
	ex_respond(ex, 200, STR("application/json"), buf_str(&b), NULL, 0);
}

static void answer_watch(struct world *w, struct exchange *ex)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);
	static const struct field later = { STR_INIT("Retry-After"), STR_INIT("1") };
	struct str from = STR_EMPTY;

	url_param(&ex->arena, ex->req.query, STR("from"), &from);
	snprintf(w->from, sizeof(w->from), "%.*s", STRF(from));
	w->authorized = str_eq(head_value(&ex->req, H_AUTHORIZATION), STR("Basic dXNlcjpwQHNz"));
	if (str_eq(head_value(&ex->req, H_ACCEPT), STR("application/json"))) {
		answer_poll(w, ex);
		return;
	}
	w->watches++;
	switch (w->part) {
	case FOREIGN:
	case NO_WATCH: ex_respond_text(ex, 404, STR("nothing here\n")); return;
	case PAGES: ex_respond(ex, 200, STR("text/html"), STR("<p>Welcome"), NULL, 0); return;
	case FULL: ex_respond(ex, 503, STR("text/plain"), STR("full"), &later, 1); return;
	case MUTE: return;
	default: break;
	}
	begin_stream(w, ex);
	if (w->part == HONEST && !str_has_prefix(from, str_from(w->epoch)))
		ex_write_end(ex, STR("id: x-1\nevent: resync\ndata: {\"why\":\"no version of this registry\"}\n\n"));
	else if (w->part == CUTTING)
		ex_write_end(ex, STR(": alive\n\n"));
	else if (w->part == RESYNCING)
		ex_write_end(ex, STR("id: x-1\nevent: resync\ndata: {\"why\":\"so\"}\n\n"));
	else if (w->part == GARBAGE)
		ex_write(ex, str_from(w->garbage));
	else if (w->part == LYING && ++w->version)
		ex_write(ex, event_text(w, &b, "UP_99_", 1, 1, "MODIFIED"));
}

static void on_request(struct exchange *ex, void *ctx)
{
	struct world *w = ctx;

	if (w->is_down)
		ex_respond_text(ex, 500, STR("down"));
	else if (str_eq(ex->req.path, STR("/x/vine/watch")))
		answer_watch(w, ex);
	else if (w->has_no_lists)
		ex_respond_text(ex, 500, STR("not now"));
	else if (str_eq(ex->req.path, STR("/x/eureka/apps/")) || str_eq(ex->req.path, STR("/x/eureka/apps/delta")))
		answer_lists(w, ex, str_eq(ex->req.path, STR("/x/eureka/apps/delta")));
	else
		ex_respond_text(ex, 404, STR("?"));
}

/* Another instance, told to all who watch. */
static void tell_one_more(struct world *w)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);

	w->n++;
	w->version++;
	event_text(w, &b, NULL, w->n, w->n, "ADDED");
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		if (w->watcher[i])
			ex_write(w->watcher[i], buf_str(&b));
	}
}

/* --- the world --- */

static int setup(void **state)
{
	struct world *w = xzalloc(sizeof(*w));
	struct http_server_opts opts = { .handler = on_request, .ctx = w };
	struct addr a;
	struct err e;

	w->loop = loop_new();
	w->log_fd = memfd_create("log", MFD_CLOEXEC);
	w->log = log_new(w->log_fd, LOG_LOGFMT);
	w->logger = logger_of(w->log, "test", "test");
	opts.log = &w->logger;
	w->server = http_server_new(w->loop, &opts);
	addr_parse_ip(&a, STR("127.0.0.1"), 0);
	if (http_server_listen(w->server, &a, false, &e) < 0)
		fail_msg("%s", e.text);
	w->port = addr_port(http_server_local(w->server));
	w->http = http_client_new(w->loop, &(struct http_client_opts){ 0 });
	strcpy(w->epoch, "0123456789abcdef");
	w->version = 5;
	w->n = 1;
	w->patience = 5 * USEC_PER_SEC;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	eureka_client_free(w->c);
	http_client_free(w->http);
	http_server_free(w->server);
	loop_turn(w->loop, 0);
	loop_turn(w->loop, 0);
	loop_free(w->loop);
	log_free(w->log);
	close(w->log_fd);
	free(w);
	return 0;
}

static void on_view(struct eureka_view *v, void *ctx)
{
	(void)v;
	((struct world *)ctx)->views++;
}

/* Polls come every `interval`, so that what comes before one was pushed. */
static void start(struct world *w, enum part part, usec interval)
{
	struct watch_limits quick = {
		.begin = w->patience, .silence = w->patience, .again = 1200 * MSEC, .too_short = USEC_PER_SEC, .pause = MSEC,
		.pause_max = 100 * MSEC, .ask_seconds = 1, .event_max = 4096, .budget = 256 * 1024,
	};
	char url[64];
	struct eureka_client_settings s = { .fetch_registry = true, .session = w->session, .fetch_interval = interval, .timeout = 2 * USEC_PER_SEC, .seed = 3 };
	struct err e;

	w->part = part;
	s.service_urls = str_of(url, (size_t)snprintf(url, sizeof(url), "http://user:p%%40ss@127.0.0.1:%u/x/eureka/", w->port));
	if (eureka_client_new(&w->c, w->http, &s, &w->logger, &e) < 0)
		fail_msg("%s", e.text);
	w->watch = eureka_watch_new(w->c, &quick);
	eureka_client_on_view(w->c, on_view, w);
	eureka_client_start(w->c);
}

static struct eureka_watch_report report(struct world *w)
{
	struct eureka_watch_report r;

	eureka_watch_report(w->watch, &r);
	return r;
}

static bool reads(struct world *w)
{
	return report(w).live && strcmp(report(w).state, "reading") == 0;
}

static unsigned seen(const struct world *w)
{
	const struct eureka_view *v = eureka_client_view(w->c);

	return v ? v->n : 0;
}

static void world_turn(struct world *w)
{
	for (size_t i = 0; i < WATCHERS_MAX && w->part == FLOODING; i++)
		flood(w, w->watcher[i]);
	loop_turn(w->loop, w->part == FLOODING ? 0 : 5 * MSEC);
}

#define LONG (60 * USEC_PER_SEC)
#define WAIT(w, cond)                                                                                                  \
	do {                                                                                                           \
		usec end_ = clock_mono() + 20 * USEC_PER_SEC;                                                          \
		while (!(cond)) {                                                                                      \
			if (clock_mono() > end_)                                                                       \
				fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__, #cond);                   \
			world_turn(w);                                                                                 \
		}                                                                                                      \
	} while (0)

static void turn_for(struct world *w, usec span)
{
	usec end = clock_mono() + span;

	while (clock_mono() < end)
		world_turn(w);
}

/* --- tests --- */

static void test_changes_come_by_themselves(void **state)
{
	struct world *w = *state;

	start(w, HONEST, LONG);
	WAIT(w, report(w).live);
	assert_true(w->authorized);
	assert_string_equal(w->from, "0123456789abcdef-5");
	for (unsigned i = 2; i < 20; i++) {
		tell_one_more(w);
		WAIT(w, seen(w) == i);
	}
	assert_int_equal(w->fulls, 1);
	assert_int_equal(w->deltas, 0);
	assert_int_equal(w->views, 19);
	assert_int_equal(report(w).changes, 18);
	assert_string_equal(report(w).version, "0123456789abcdef-23");
}

static void test_a_cut_is_mended_from_where_it_was(void **state)
{
	struct world *w = *state;

	start(w, HONEST, LONG);
	WAIT(w, report(w).live);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
	ex_end(w->watcher[0]);
	WAIT(w, w->watches == 2 && strcmp(report(w).state, "reading") == 0);
	assert_string_equal(w->from, "0123456789abcdef-6");
	tell_one_more(w);
	WAIT(w, seen(w) == 3);
	assert_int_equal(w->fulls + w->deltas, 1); /* nobody polled in between */
}

/* It was away for a while and has not restarted: nothing is fetched anew, and nobody thinks any more that it is lost. */
static void test_away_for_a_while(void **state)
{
	struct world *w = *state;
	struct eureka_client_report r;

	start(w, HONEST, LONG);
	WAIT(w, reads(w));
	w->is_down = true;
	ex_end(w->watcher[0]);
	WAIT(w, (eureka_client_report(w->c, &r), r.state == EUREKA_LOST));
	w->is_down = false;
	WAIT(w, reads(w) && (eureka_client_report(w->c, &r), r.state == EUREKA_OK));
	assert_int_equal(w->fulls, 1);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
	turn_for(w, 50 * MSEC);
	assert_true(w->deltas <= 1); /* it polls no more */
}

/* Streams that end and end: the client polls meanwhile, and then asks. */
static void test_streams_that_are_cut_become_polls(void **state)
{
	struct world *w = *state;

	start(w, CUTTING, LONG);
	WAIT(w, w->polls > 2);
	assert_true(w->watches <= 5);
	assert_true(report(w).live);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
	w->part = HONEST; /* and after a while it tries a stream again */
	WAIT(w, strcmp(report(w).state, "reading") == 0);
	tell_one_more(w);
	WAIT(w, seen(w) == 3);
	assert_int_equal(w->fulls, 1);
}

static void test_silence(void **state)
{
	struct world *w = *state;

	w->patience = 150 * MSEC;
	for (enum part p = MUTE; p <= SILENT; p++) {
		w->polls = w->watches = 0;
		if (p == MUTE)
			start(w, p, LONG);
		w->part = p;
		WAIT(w, w->watches == 2);
		WAIT(w, w->polls > 2); /* a stream whose bytes do not come through */
		tell_one_more(w);
		WAIT(w, seen(w) == w->n);
	}
}

static void test_foreign_servers_are_polled(void **state)
{
	struct world *w = *state;
	static const struct {
		enum part part;
		unsigned most; /* requests for the watch */
	} cases[] = { { FOREIGN, 0 }, { NO_WATCH, 1 }, { PAGES, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		w->deltas = w->watches = 0;
		start(w, cases[i].part, 10 * MSEC);
		WAIT(w, w->deltas > 5);
		assert_int_equal(w->watches, cases[i].most);
		assert_false(report(w).live);
		if (cases[i].most) {
			WAIT(w, w->watches == 2); /* it may have learned */
			w->part = HONEST;
			WAIT(w, report(w).live);
		}
		eureka_client_free(w->c);
		loop_turn(w->loop, 0);
		w->c = NULL;
	}
}

static void test_a_full_registry_is_asked_later(void **state)
{
	struct world *w = *state;
	usec from = clock_mono();

	start(w, FULL, 20 * MSEC);
	WAIT(w, w->watches == 2);
	assert_true(clock_mono() - from >= 900 * MSEC); /* its Retry-After */
	assert_true(w->deltas > 10);                    /* polled meanwhile */
	w->part = HONEST;
	WAIT(w, report(w).live);
}

/* Each resync costs a full fetch; a server that knows nothing else is left alone for longer and longer. */
static void test_endless_resyncs(void **state)
{
	struct world *w = *state;

	for (enum part p = RESYNCING; p <= LYING; p++) {
		start(w, p, LONG);
		WAIT(w, report(w).resyncs >= 3);
		w->fulls = 0;
		turn_for(w, 400 * MSEC);
		assert_true(w->fulls <= 400 / 50 + 2); /* pause_max less half of it for the jitter */
		assert_int_equal(seen(w), 1);
		w->part = HONEST;
		WAIT(w, reads(w));
		tell_one_more(w);
		WAIT(w, seen(w) == 2);
		eureka_client_free(w->c);
		loop_turn(w->loop, 0);
		w->c = NULL;
		w->n = 1;
	}
}

static void test_garbage(void **state)
{
	static const char *const texts[] = {
		"id: 0123456789abcdef-6\nevent: change\ndata: {\"hash\":\"UP_1_\",\"instances\":[}\n\n",
		"id: 0123456789abcdef-6\nevent: change\ndata: 17\n\n",
		"id: 0123456789abcdef-6\nevent: change\ndata: {\"instances\":[]}\n\n",
		"event: change\ndata: {\"hash\":\"UP_1_\",\"instances\":[]}\n\n",                            /* no version */
		"id: 0123456789abcdef-5\nevent: change\ndata: {\"hash\":\"UP_1_\",\"instances\":[]}\n\n", /* the same again */
		"id: 0123456789abcdef-2\nevent: change\ndata: {\"hash\":\"UP_1_\",\"instances\":[]}\n\n", /* it goes back */
		"id: fedcba9876543210-9\nevent: change\ndata: {\"hash\":\"UP_1_\",\"instances\":[]}\n\n", /* another epoch */
		"id: nonsense\nevent: change\ndata: {\"hash\":\"UP_1_\",\"instances\":[]}\n\n",
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		w->garbage = texts[i];
		w->fulls = 0;
		start(w, GARBAGE, LONG);
		WAIT(w, report(w).resyncs > 0);
		w->part = HONEST;
		WAIT(w, w->fulls >= 2 && reads(w));
		assert_int_equal(seen(w), 1);
		eureka_client_free(w->c);
		loop_turn(w->loop, 0);
		w->c = NULL;
	}
}

/* Fields that nobody knows, and events, are passed over. */
static void test_what_is_not_known_is_passed_over(void **state)
{
	struct world *w = *state;

	w->garbage = "\xef\xbb\xbf: hello\nretry: 5\nevent: party\ndata: {\n\nevent: change\n\ndata\n\n:\n\n";
	start(w, GARBAGE, LONG);
	WAIT(w, report(w).live);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
	assert_int_equal(report(w).resyncs, 0);
}

static void test_too_large(void **state)
{
	struct world *w = *state;
	_cleanup_(buf_finip) struct buf b = BUF_INIT(1 << 20);

	start(w, HONEST, LONG);
	WAIT(w, report(w).live);
	w->n = 101;
	w->version++;
	ex_write(w->watcher[0], event_text(w, &b, NULL, 2, 101, "ADDED")); /* more than event_max */
	WAIT(w, seen(w) == 101);
	assert_int_equal(w->fulls, 2);
	assert_int_equal(report(w).resyncs, 1);
}

/* A flood is read at the pace that the budget allows, and nothing else stands still meanwhile. */
static void test_flood(void **state)
{
	struct world *w = *state;
	uint64_t at;

	start(w, FLOODING, LONG);
	WAIT(w, w->flooded > 256 * 1024);
	turn_for(w, 300 * MSEC);
	at = w->flooded;
	turn_for(w, 2 * USEC_PER_SEC);
	/* two shares, and what the sockets' buffers took */
	assert_true(w->flooded - at < 16u << 20);
	assert_true(report(w).live);
	assert_int_equal(report(w).cuts, 0);
	assert_int_equal(w->watches, 1);
}

/* It restarts: another epoch, a lower number. The stream ends, the next one is told to begin anew. */
static void test_a_restart_with_a_lower_version(void **state)
{
	struct world *w = *state;

	w->patience = USEC_PER_SEC;
	start(w, HONEST, LONG);
	WAIT(w, report(w).live);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
	w->part = RESYNCING;
	strcpy(w->epoch, "fedcba9876543210");
	w->version = 1;
	w->n = 1;
	ex_end(w->watcher[0]);
	WAIT(w, report(w).resyncs > 0);
	w->part = HONEST;
	WAIT(w, strcmp(report(w).version, "fedcba9876543210-1") == 0 && strcmp(report(w).state, "reading") == 0);
	WAIT(w, seen(w) == 1);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
}

/* Who is held after a restart goes when its lease is over, though nothing is told but that the registry lives. */
static void test_what_is_held_goes_in_time(void **state)
{
	struct world *w = *state;
	usec from = clock_mono();

	w->n = 2;
	start(w, HONEST, 20 * MSEC);
	WAIT(w, reads(w) && seen(w) == 2);
	w->is_down = true;
	ex_end(w->watcher[0]);
	WAIT(w, !report(w).live);
	turn_for(w, 30 * MSEC); /* a poll fails too */
	strcpy(w->epoch, "fedcba9876543210");
	w->n = 1;
	w->is_down = false;
	WAIT(w, reads(w));
	assert_int_equal(seen(w), 2);
	while (seen(w) == 2) {
		assert_true(clock_mono() - from < 20 * USEC_PER_SEC);
		for (size_t i = 0; i < WATCHERS_MAX; i++) {
			if (w->watcher[i])
				ex_write(w->watcher[i], STR(": alive\n\n"));
		}
		turn_for(w, 50 * MSEC);
	}
	assert_int_equal(seen(w), 1);
	assert_true(clock_mono() - from >= 2900 * MSEC);
}

/* When its session ends the client chooses anew, and finds here the same registry: the stream goes on. */
static void test_sessions(void **state)
{
	struct world *w = *state;
	usec end = clock_mono() + 20 * USEC_PER_SEC;

	w->session = 300 * MSEC;
	start(w, HONEST, LONG);
	WAIT(w, reads(w));
	while (w->deltas < 2) {
		assert_true(clock_mono() < end);
		ex_write(w->watcher[0], STR(": alive\n\n"));
		turn_for(w, 50 * MSEC);
	}
	WAIT(w, reads(w));
	assert_int_equal(w->watches, 1);
	assert_int_equal(w->fulls, 1);
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
}

/* Who polls for changes and is to choose anew asks for the list first; where that fails, the changes are not asked for in its place
 * without a pause. */
static void test_a_session_ends_where_lists_fail(void **state)
{
	struct world *w = *state;
	unsigned polls;

	w->session = 200 * MSEC;
	start(w, CUTTING, LONG);
	WAIT(w, w->polls > 1);
	w->has_no_lists = true;
	WAIT(w, strcmp(report(w).state, "waiting") == 0 && !report(w).live);
	polls = w->polls;
	turn_for(w, 300 * MSEC);
	assert_true(w->polls - polls <= 2);
	w->has_no_lists = false;
	tell_one_more(w);
	WAIT(w, seen(w) == 2);
}

static void left(void *ctx)
{
	*(bool *)ctx = true;
}

static void test_leaving_ends_it(void **state)
{
	struct world *w = *state;
	bool gone = false;

	start(w, HONEST, LONG);
	WAIT(w, reads(w));
	eureka_client_deregister(w->c, 0, left, &gone);
	assert_true(gone);
	while (w->watcher[0]) {
		tell_one_more(w); /* writes to it, until that fails */
		turn_for(w, 5 * MSEC);
	}
	turn_for(w, 50 * MSEC);
	assert_int_equal(seen(w), 1);
	assert_int_equal(w->watches, 1);
}

static void test_versions(void **state)
{
	static const struct {
		const char *version, *before;
		bool follows;
	} cases[] = {
		{ "a-2", "a-1", true },	  { "a-10", "a-9", true },   { "a-1", "a-1", false },	     { "a-1", "a-2", false },
		{ "b-2", "a-1", false },  { "a-b-2", "a-b-1", true }, { "a-2", "a-", false },	     { "2", "1", false },
		{ "-2", "-1", false },	  { "", "", false },	     { "a-2x", "a-1", false },	     { "a--2", "a--1", true },
		{ "a-18446744073709551615", "a-1", true },	     { "a-18446744073709551616", "a-1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (eureka_version_follows(str_from(cases[i].version), str_from(cases[i].before)) != cases[i].follows)
			fail_msg("%s after %s", cases[i].version, cases[i].before);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_changes_come_by_themselves),
		TEST(test_a_cut_is_mended_from_where_it_was),
		TEST(test_away_for_a_while),
		TEST(test_streams_that_are_cut_become_polls),
		TEST(test_silence),
		TEST(test_foreign_servers_are_polled),
		TEST(test_a_full_registry_is_asked_later),
		TEST(test_endless_resyncs),
		TEST(test_garbage),
		TEST(test_what_is_not_known_is_passed_over),
		TEST(test_too_large),
		TEST(test_flood),
		TEST(test_a_restart_with_a_lower_version),
		TEST(test_what_is_held_goes_in_time),
		TEST(test_sessions),
		TEST(test_a_session_ends_where_lists_fail),
		TEST(test_leaving_ends_it),
		cmocka_unit_test(test_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
