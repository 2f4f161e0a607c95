/* test_eureka_client.c - the discovery client against a real registry over loopback, all on one loop. */
#include "test.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "eureka/client.h"
#include "registry/http.h"

#define MSEC USEC_PER_MSEC

struct server {
	struct world *w;
	struct mailbox mailbox;
	struct registry *reg;
	struct reg_worker rw;
	struct http_server *http;
};

struct world {
	struct loop *loop;
	struct log *log;
	struct logger logger;
	int log_fd;
	struct server *s;
	uint16_t port;
	struct http_client *http;
	struct eureka_client *c;
	unsigned views, left, authorized, requests;
	bool broken; /* the registry answers 500 */
	bool mute;   /* it never answers */
	unsigned deletes;
};

static void on_request(struct exchange *ex, void *ctx)
{
	struct server *s = ctx;

	s->w->requests++;
	s->w->authorized += str_eq(head_value(&ex->req, H_AUTHORIZATION), STR("Basic dXNlcjpwQHNz"));
	s->w->deletes += ex->req.mid == HTTP_DELETE;
	if (s->w->mute)
		return;
	if (s->w->broken)
		ex_respond_text(ex, 500, STR("broken"));
	else
		registry_http(ex, &s->rw);
}

static struct server *server_start(struct world *w, uint32_t delta_max)
{
	struct server *s = xzalloc(sizeof(*s));
	struct registry_config cfg = { .leases = { .delta_max = delta_max }, .preserve = PRESERVE_DEFAULT };
	struct http_server_opts opts = { .log = &w->logger, .handler = on_request, .ctx = s };
	struct addr a;
	struct err e;

	s->w = w;
	mailbox_init(&s->mailbox, w->loop);
	s->reg = registry_new(w->loop, &s->mailbox, &cfg, 11, &w->logger);
	reg_worker_init(&s->rw, s->reg, w->loop, &s->mailbox, 0);
	s->http = http_server_new(w->loop, &opts);
	addr_parse_ip(&a, STR("127.0.0.1"), w->port);
	if (http_server_listen(s->http, &a, false, &e) < 0)
		fail_msg("%s", e.text);
	w->port = addr_port(http_server_local(s->http));
	return s;
}

static void server_stop(struct server *s)
{
	http_server_free(s->http);
	loop_turn(s->w->loop, 0);
	loop_turn(s->w->loop, 0);
	reg_worker_fini(&s->rw);
	mailbox_fini(&s->mailbox);
	registry_free(s->reg);
	loop_turn(s->w->loop, 0);
	free(s);
}

static int setup(void **state)
{
	struct world *w = xzalloc(sizeof(*w));

	w->loop = loop_new();
	w->log_fd = memfd_create("log", MFD_CLOEXEC);
	w->log = log_new(w->log_fd, LOG_LOGFMT);
	w->logger = logger_of(w->log, "test", "test");
	w->s = server_start(w, 0);
	w->http = http_client_new(w->loop, &(struct http_client_opts){ 0 });
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	eureka_client_free(w->c);
	http_client_free(w->http);
	if (w->s)
		server_stop(w->s);
	loop_turn(w->loop, 0);
	loop_free(w->loop);
	log_free(w->log);
	close(w->log_fd);
	free(w);
	return 0;
}

static void on_view(struct eureka_view *v, void *ctx)
{
	struct world *w = ctx;

	w->views++;
	assert_true(v->version == w->views);
}

static void on_left(void *ctx)
{
	((struct world *)ctx)->left++;
}

static void client_start(struct world *w, const char *urls, bool only_up)
{
	struct eureka_client_settings s = { .service_urls = str_from(urls), .fetch_registry = true, .only_up = only_up,
					    .fetch_interval = 20 * MSEC, .timeout = 2 * USEC_PER_SEC, .seed = 3 };
	struct err e;

	if (eureka_client_new(&w->c, w->http, &s, &w->logger, &e) < 0)
		fail_msg("%s", e.text);
	eureka_client_on_view(w->c, on_view, w);
	eureka_client_start(w->c);
}

static void client_start_here(struct world *w, bool only_up)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/eureka", w->port);
	client_start(w, url, only_up);
}

/* Turns the loop until cond holds; fails with its text after some seconds. */
#define WAIT(w, cond)                                                                                                  \
	do {                                                                                                           \
		usec end_ = clock_mono() + 20 * USEC_PER_SEC;                                                          \
		while (!(cond)) {                                                                                      \
			if (clock_mono() > end_)                                                                       \
				fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__, #cond);                   \
			loop_turn((w)->loop, 5 * MSEC);                                                                \
		}                                                                                                      \
	} while (0)

static struct instance draft(const char *app, const char *id)
{
	struct instance d = instance_draft();

	d.app = str_from(app);
	d.instance_id = str_from(id);
	d.host = STR("127.0.0.1");
	d.ip = STR("127.0.0.1");
	d.vip = str_from(app);
	d.has_dc = true;
	d.port = (struct inst_port){ 8080, true };
	return d;
}

static const struct instance *in_registry(struct world *w, const char *app, const char *id)
{
	const struct picture *p = registry_see(w->s->reg, &w->s->rw.mine);
	const struct entry *e = picture_find(p, str_from(app), str_from(id));

	return e ? e->inst : NULL;
}

static const struct instance *in_view(struct world *w, const char *service, const char *id)
{
	const struct eureka_view *v = eureka_client_view(w->c);
	const struct view_group *g = v ? eureka_view_service(v, str_from(service)) : NULL;

	for (uint32_t i = 0; g && i < g->n; i++) {
		if (str_eq(g->inst[i]->id, str_from(id)))
			return g->inst[i];
	}
	return NULL;
}

static void op_freed(struct op *op)
{
	op_free(op);
}

/* Another service comes, as if through another connection. */
static void other_registers(struct world *w, const char *app, const char *id, enum inst_status s)
{
	struct instance d = draft(app, id);
	struct op *op = op_new(OP_REGISTER, STR_EMPTY, STR_EMPTY);

	d.status = (uint8_t)s;
	d.dirty = clock_wall();
	op->inst = instance_new(&d);
	assert_true(registry_submit(w->s->reg, op, &w->s->mailbox, op_freed));
}

static void other_leaves(struct world *w, const char *app, const char *id)
{
	struct op *op = op_new(OP_CANCEL, str_from(app), str_from(id));

	assert_true(registry_submit(w->s->reg, op, &w->s->mailbox, op_freed));
}

static unsigned log_count(struct world *w, const char *words)
{
	static const size_t max = 65536;
	char *text = xzalloc(max + 1);
	unsigned n = 0;

	if (pread(w->log_fd, text, max, 0) < 0)
		fail();
	for (const char *p = text; (p = strstr(p, words)); p++)
		n++;
	free(text);
	return n;
}

static struct eureka_client_report report(struct world *w)
{
	struct eureka_client_report r;

	eureka_client_report(w->c, &r);
	return r;
}

/* --- */

static void test_a_service_comes_and_goes(void **state)
{
	struct world *w = *state;
	struct instance d = draft("orders", "o 1/x");

	client_start_here(w, true);
	eureka_client_register(w->c, &d, 20 * MSEC);
	WAIT(w, in_view(w, "ORDERS", "o 1/x"));
	assert_non_null(in_registry(w, "ORDERS", "o 1/x")); /* an odd id survives its way through a path */
	assert_non_null(in_view(w, "orders", "o 1/x"));
	WAIT(w, report(w).heartbeats > 3);
	assert_int_equal(report(w).registrations, 1);
	assert_int_equal(report(w).state, EUREKA_OK);

	eureka_client_set_status(w->c, INST_DOWN);
	WAIT(w, in_registry(w, "ORDERS", "o 1/x")->status == INST_DOWN);
	WAIT(w, !in_view(w, "ORDERS", "o 1/x")); /* only those that are up */
	eureka_client_set_status(w->c, INST_UP);
	WAIT(w, in_view(w, "ORDERS", "o 1/x"));

	eureka_client_deregister(w->c, 0, on_left, w);
	WAIT(w, w->left == 1);
	assert_null(in_registry(w, "ORDERS", "o 1/x"));
	assert_int_equal(log_count(w, "registered"), 1);
}

static void test_follows_changes_by_delta(void **state)
{
	struct world *w = *state;
	uint32_t views;

	client_start_here(w, false);
	WAIT(w, w->views == 1); /* an empty registry is a view too */
	other_registers(w, "PRODUCT", "p1", INST_UP);
	other_registers(w, "PRODUCT", "p2", INST_DOWN);
	WAIT(w, in_view(w, "product", "p1") && in_view(w, "product", "p2"));
	other_leaves(w, "PRODUCT", "p1");
	WAIT(w, !in_view(w, "product", "p1"));
	assert_non_null(in_view(w, "product", "p2"));
	assert_int_equal(report(w).full, 1); /* all else came by delta */
	assert_int_equal(report(w).mismatches, 0);
	views = w->views;

	uint64_t seen = report(w).delta;

	WAIT(w, report(w).delta > seen + 3);
	assert_int_equal(w->views, views); /* nothing changed: nobody is bothered */
}

/* A delta that has forgotten something does not match its hash: everything is fetched. */
static void test_mismatch(void **state)
{
	struct world *w = *state;
	struct registry_config cfg = { .leases = { .delta_retention = 1 }, .preserve = PRESERVE_DEFAULT,
				       .evict_interval = 1 }; /* every tick drops all deltas */

	registry_configure(w->s->reg, &cfg);
	client_start_here(w, false);
	WAIT(w, w->views == 1);
	for (int i = 0; report(w).mismatches == 0; i++) {
		char id[8];

		assert_true(i < 1000);
		snprintf(id, sizeof(id), "p%d", i);
		other_registers(w, "PRODUCT", id, INST_UP);
		WAIT(w, in_view(w, "PRODUCT", id)); /* also where the delta had lost it */
	}
	assert_true(report(w).full >= 2);
}

/* The registry forgets us: the heartbeat is answered 404, and we register again. */
static void test_registers_again(void **state)
{
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");
	msec dirty;

	client_start_here(w, true);
	eureka_client_register(w->c, &d, 20 * MSEC);
	WAIT(w, in_registry(w, "ORDERS", "o1"));
	dirty = in_registry(w, "ORDERS", "o1")->dirty;
	other_leaves(w, "ORDERS", "o1");
	WAIT(w, report(w).registrations == 2);
	WAIT(w, in_registry(w, "ORDERS", "o1"));
	assert_true(in_registry(w, "ORDERS", "o1")->dirty >= dirty);
}

/* Away, back, and empty: the last picture stays, we are registered again, and who does not come back within its lease goes. */
static void test_registry_restarts(void **state)
{
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");

	client_start_here(w, true);
	eureka_client_register(w->c, &d, 20 * MSEC);
	other_registers(w, "PRODUCT", "p1", INST_UP);
	WAIT(w, in_view(w, "ORDERS", "o1") && in_view(w, "PRODUCT", "p1"));

	server_stop(w->s);
	w->s = NULL;
	WAIT(w, report(w).state == EUREKA_LOST && report(w).failures > 3);
	assert_non_null(in_view(w, "PRODUCT", "p1"));
	w->s = server_start(w, 0);
	WAIT(w, in_registry(w, "ORDERS", "o1")); /* we are back */
	WAIT(w, report(w).state == EUREKA_OK);

	uint64_t seen = report(w).delta;

	WAIT(w, report(w).delta > seen + 3);
	assert_non_null(in_view(w, "PRODUCT", "p1")); /* it has not said yet that it is gone */
	other_registers(w, "PRODUCT", "p1", INST_UP);
	WAIT(w, in_registry(w, "PRODUCT", "p1"));
	other_leaves(w, "PRODUCT", "p1");
	WAIT(w, !in_view(w, "PRODUCT", "p1")); /* now it has */
	assert_int_equal(log_count(w, "registry lost"), 1);
	assert_int_equal(log_count(w, "registry found again"), 1);
}

static void test_next_url(void **state)
{
	struct world *w = *state;
	char urls[128];
	struct instance d = draft("ORDERS", "o1");

	snprintf(urls, sizeof(urls), "http://127.0.0.1:1/eureka/, http://user:p%%40ss@127.0.0.1:%u/eureka/", w->port);
	client_start(w, urls, true);
	eureka_client_register(w->c, &d, 20 * MSEC);
	WAIT(w, in_view(w, "ORDERS", "o1"));
	assert_int_equal(w->authorized, w->requests); /* with its own credentials */
	assert_null(strstr(report(w).url, "user"));
	assert_int_equal(log_count(w, "registry lost"), 0); /* one of them answers */
}

static void test_leaving_a_registry_that_is_away(void **state)
{
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");

	client_start_here(w, true);
	eureka_client_register(w->c, &d, 20 * MSEC);
	WAIT(w, report(w).registered);
	w->broken = true;
	eureka_client_deregister(w->c, 100 * MSEC, on_left, w);
	WAIT(w, w->left == 1);
	assert_int_equal(log_count(w, "left without"), 1);
}

static void test_leaving_without_having_come(void **state)
{
	struct world *w = *state;

	client_start_here(w, true);
	eureka_client_deregister(w->c, 0, on_left, w);
	assert_int_equal(w->left, 1);
}

static void url_here(const struct world *w, char url[64])
{
	snprintf(url, 64, "http://127.0.0.1:%u/eureka", w->port);
}

/* The registration was taken, but the answer to it came too late. */
static void test_leaving_where_it_may_be_registered(void **state)
{
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");
	struct err e;
	char url[64];

	url_here(w, url);
	assert_int_equal(eureka_client_new(&w->c, w->http, &(struct eureka_client_settings){
		.service_urls = str_from(url), .connect_timeout = 5 * USEC_PER_SEC, .timeout = 50 * MSEC, .seed = 3 }, &w->logger, &e), 0);
	eureka_client_start(w->c);
	w->mute = true;
	eureka_client_register(w->c, &d, 60 * USEC_PER_SEC);
	WAIT(w, report(w).failures == 1);
	w->mute = false;
	eureka_client_deregister(w->c, 0, on_left, w);
	WAIT(w, w->left == 1);
	assert_int_equal(w->deletes, 1);
}

static void test_leaving_a_registry_that_nothing_reached(void **state)
{
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");

	client_start(w, "http://127.0.0.1:1/eureka/", true);
	eureka_client_register(w->c, &d, 60 * USEC_PER_SEC);
	WAIT(w, report(w).failures >= 2);
	eureka_client_deregister(w->c, 0, on_left, w);
	assert_int_equal(w->left, 1);
}

static void test_words_past_the_limits_do_not_end_a_registration(void **state)
{
	static char vip[INST_VIP_MAX + 2];
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");
	uint64_t seen;

	memset(vip, 'v', sizeof(vip) - 1);
	client_start_here(w, true);
	eureka_client_register(w->c, &d, 20 * MSEC);
	WAIT(w, report(w).heartbeats > 0);
	d.vip = str_from(vip);
	eureka_client_register(w->c, &d, 20 * MSEC);
	seen = report(w).heartbeats;
	WAIT(w, report(w).heartbeats > seen + 2);
	assert_int_equal(report(w).registrations, 1);
	assert_int_equal(log_count(w, "the old ones stay"), 1);
	assert_true(str_eq(in_registry(w, "ORDERS", "o1")->vip, STR("ORDERS")));
}

/* A registration that is refused is told once, and tried again. */
static void test_refused(void **state)
{
	struct world *w = *state;
	struct instance d = draft("ORDERS", "o1");

	client_start_here(w, true);
	d.ip = STR_EMPTY;
	eureka_client_register(w->c, &d, 20 * MSEC);

	unsigned seen = w->requests;

	WAIT(w, w->requests > seen + 12);
	assert_int_equal(log_count(w, "refuses our registration"), 1);
	assert_int_equal(log_count(w, "Missing ip address"), 1);
	d.ip = STR("127.0.0.1");
	eureka_client_register(w->c, &d, 20 * MSEC);
	WAIT(w, in_registry(w, "ORDERS", "o1"));
}

static void test_urls_refused(void **state)
{
	static const char *const rows[] = { "", " , ", "ftp://x/", "127.0.0.1:8761", "https:///eureka/", "http://a:b%zz@x/eureka/",
					    "http:///eureka",
#define EIGHT(x) "http://a" x "/,http://b" x "/,http://c" x "/,http://d" x "/,http://e" x "/,http://f" x "/,http://g" x "/,http://h" x "/,"
					    EIGHT("1") EIGHT("2") EIGHT("3") EIGHT("4") "http://one-too-many/" };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct eureka_client_settings s = { .service_urls = str_from(rows[i]) };
		struct eureka_client *c = NULL;
		struct err e = { .text = "" };

		if (eureka_client_new(&c, w->http, &s, &w->logger, &e) == 0)
			fail_msg("accepted: %s", rows[i]);
		assert_null(c);
		assert_non_null(strstr(e.text, "service-url"));
		assert_null(strstr(e.text, "a:b%"));
	}
}

/* --- the cache alone --- */

static void load(struct apps_doc *d, const char *ids)
{
	*d = (struct apps_doc){ 0 };
	for (; *ids; ids++) {
		char id[2] = { *ids, 0 };
		struct instance x = draft("A", id);

		x.dirty = 1;
		x.lease.duration_s = 10;
		apps_doc_add(d, instance_new(&x));
	}
}

/* Each step applies an answer that knows these ids; then these are in the view. */
static void test_holding(void **state)
{
	static const struct {
		const char *knows;
		bool hold;
		int64_t now; /* seconds */
		const char *want;
		bool changed;
	} steps[] = {
		{ "abc", false, 0, "abc", true },  { "abc", false, 1, "abc", false }, { "ab", false, 2, "ab", true },
		{ "", true, 3, "ab", false },	   { "c", true, 4, "abc", true },     { "cb", true, 5, "abc", false },
		{ "cb", true, 12, "abc", false },  { "cb", true, 13, "bc", true },    { "c", false, 14, "c", true },
	};
	struct eureka_cache c;

	(void)state;
	eureka_cache_init(&c, 1);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct apps_doc d;
		usec now = steps[i].now * USEC_PER_SEC;
		char got[8];
		bool changed;

		load(&d, steps[i].knows);
		changed = eureka_cache_full(&c, &d, steps[i].hold, now);
		changed |= eureka_cache_expire(&c, now);

		struct eureka_view *v = eureka_cache_view(&c, true);

		struct view_walk walk = eureka_view_walk(v);
		const struct view_group *g = view_walk_next(&walk);

		for (uint32_t k = 0; g && k < g->n; k++)
			got[k] = g->inst[k]->id.ptr[0];
		if (!str_eq(str_of(got, v->n), str_from(steps[i].want)) || changed != steps[i].changed)
			fail_msg("step %zu: %.*s, want %s; changed %d", i, (int)v->n, got, steps[i].want, changed);
		assert_int_equal(c.counts.n[INST_UP], strlen(steps[i].knows)); /* the hash counts what the registry knows */
		eureka_view_unref(v);
		apps_doc_fini(&d);
	}
	eureka_cache_fini(&c);
}

static void test_view_groups(void **state)
{
	struct eureka_cache c;
	struct apps_doc d;
	struct instance x;
	struct eureka_view *v;

	(void)state;
	eureka_cache_init(&c, 1);
	load(&d, "ba");
	x = draft("B", "z");
	x.vip = STR("shop,front,shop");
	apps_doc_add(&d, instance_new(&x));
	eureka_cache_full(&c, &d, false, 0);
	v = eureka_cache_view(&c, false);
	assert_int_equal(v->n_apps, 2);
	assert_int_equal(eureka_view_app(v, STR("a"))->n, 2);
	assert_str(eureka_view_app(v, STR("A"))->inst[0]->id, STR("a")); /* sorted */
	assert_int_equal(eureka_view_vip(v, STR("SHOP"))->n, 1); /* named twice, counted once */
	assert_int_equal(eureka_view_service(v, STR("front"))->n, 1);
	assert_int_equal(eureka_view_service(v, STR("B"))->n, 1); /* by app where no vip has the name */
	assert_null(eureka_view_service(v, STR("none")));
	apps_doc_fini(&d);
	eureka_cache_fini(&c); /* the view holds what it needs */
	assert_str(eureka_view_vip(v, STR("shop"))->inst[0]->id, STR("z"));
	eureka_view_unref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_service_comes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_follows_changes_by_delta, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mismatch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registers_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registry_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_next_url, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving_a_registry_that_is_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving_without_having_come, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving_where_it_may_be_registered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving_a_registry_that_nothing_reached, setup, teardown),
		cmocka_unit_test_setup_teardown(test_words_past_the_limits_do_not_end_a_registration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_urls_refused, setup, teardown),
		cmocka_unit_test(test_holding),
		cmocka_unit_test(test_view_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
