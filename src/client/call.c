/* call.c - vine_call: the command around, the tries within.
 *
 * One struct going through steps: admit (breaker, permits), try (pick a server, exchange, judge, decide about another), and
 * settle (tell the command how it went, then the fallback if there was no answer). It lives on the caller's stack, for the
 * caller waits; nothing of it outlives vine_call.
 *
 * The same rules as the gateway's: flow/ decides, http/client talks. */
#include <vine/call.h>

#include <stdio.h>
#include <time.h>

#include "client/impl.h"
#include "client/remotes.h"
#include "ribbon/stick.h"

#define HEAD_MAX (64u * 1024)
#define PATH_MAX_BYTES (16u * 1024)

struct going {
	struct vine_app *app;
	struct vine_request *rq;
	const struct vine_call_opts *o;
	struct vine_response *rs;
	struct err *e;

	struct caller *caller;
	struct link *link;
	struct server_set *servers;
	struct trace_context trace;
	enum http_method method;
	struct str method_name;
	struct deadline deadline;
	struct ticket ticket;
	struct retry_state retry;
	struct tried tried;

	/* how it went */
	enum outcome outcome;
	enum vine_cause cause;
	int code; /* of the failure, e says it in words */
};

/* --- the programmer's input --- */

static bool fields_are_clean(const char *const *h)
{
	for (; h && *h; h += 2) {
		if (!h[1] || !http_is_token(str_from(h[0])) || !http_value_is_clean(str_from(h[1])))
			return false;
		switch (http_name_of(str_from(h[0]))) { /* framing is the library's */
		case H_HOST:
		case H_CONNECTION:
		case H_CONTENT_LENGTH:
		case H_TRANSFER_ENCODING:
			return false;
		default:
			break;
		}
	}
	return true;
}

static bool path_is_clean(struct str path)
{
	for (size_t i = 0; i < path.len; i++) {
		if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f || path.ptr[i] == '#')
			return false;
	}
	return path.len && path.ptr[0] == '/';
}

static int check(struct going *g)
{
	const struct vine_call_opts *o = g->o;

	g->method_name = str_from(o->method ? o->method : "GET");
	g->method = http_method_of(g->method_name);
	if (!o->service || !o->path)
		return err_set(g->e, VINE_EINVAL, "a call needs a service and a path");
	if (!http_is_token(g->method_name) || g->method == HTTP_CONNECT)
		return err_set(g->e, VINE_EINVAL, "%s is no method", o->method);
	if (strnlen(o->path, PATH_MAX_BYTES) == PATH_MAX_BYTES || !path_is_clean(str_from(o->path)))
		return err_set(g->e, VINE_EINVAL, "a path begins with / and is percent-encoded: %.100s", o->path);
	if (!fields_are_clean(o->headers) || (o->type && !http_value_is_clean(str_from(o->type))))
		return err_set(g->e, VINE_EINVAL, "a header of the call is malformed, or one that the library writes itself");
	return 0;
}

/* --- one try --- */

static void write_head(struct buf *b, struct going *g, struct str host, usec now)
{
	const struct vine_call_opts *o = g->o;
	char trace[TRACE_INJECT_MAX];

	buf_adds(b, g->method_name);
	buf_addc(b, ' ');
	buf_addz(b, o->path);
	buf_addf(b, " HTTP/1.1\r\nHost: %.*s\r\n", STRF(host));
	for (const char *const *h = o->headers; h && *h; h += 2)
		buf_addf(b, "%s: %s\r\n", h[0], h[1]);
	if (o->type)
		buf_addf(b, "Content-Type: %s\r\n", o->type);
	if (o->body_len || g->method == HTTP_POST || g->method == HTTP_PUT || g->method == HTTP_PATCH)
		buf_addf(b, "Content-Length: %zu\r\n", o->body_len);
	buf_add(b, trace, trace_inject(trace, &g->trace, TRACE_B3_MULTI));
	if (g->deadline.at != USEC_NEVER)
		buf_addf(b, DEADLINE_HEADER ": %lld\r\n", (long long)deadline_left_ms(g->deadline, now));
	buf_addz(b, "\r\n");
}

static struct pick choose_server(struct going *g);

/* A hedge, and what it needs of its call. */
struct second {
	struct hedge h;
	struct going *g;
	struct fserver *server;
	struct buf head;
};

static bool begin_second(struct hedge *h, struct str *host, uint16_t *port, struct str *head)
{
	struct second *s = container_of(h, struct second, h);
	struct going *g = s->g;
	const struct remote *rm = g->link->remote;
	usec now = clock_mono();
	struct pick pick;

	if (!retry_budget_spend(&g->link->remote->ribbon->budget, &rm->lb.budget, now))
		return false;
	pick = choose_server(g); /* the first one counts as tried */
	if (!pick.server || pick.why == PICK_LAST || !addr_split(pick.server->id, 80, host, port))
		return false;
	s->server = pick.server;
	h->rs = response_new();
	write_head(&s->head, g, s->server->id, now);
	*head = buf_str(&s->head);
	tried_add(&g->tried, s->server);
	server_begin(s->server);
	g->rs->tries++;
	return !s->head.failed;
}

static void set_server(struct vine_response *rs, const struct fserver *s)
{
	snprintf(rs->server, sizeof(rs->server), "%.*s", STRF(s->id));
}

/* The second's answer takes the place of the first's. */
static void swap_answers(struct going *g, struct second *s, struct once_result *res)
{
	struct vine_response *won = TAKE(s->h.rs);

	won->tries = g->rs->tries;
	set_server(won, s->server);
	vine_response_free(g->rs);
	g->rs = won;
	*res = s->h.result;
}

static enum server_outcome server_outcome_of(const struct vine_response *rs, const struct once_result *res)
{
	if (res->ok)
		return rs->status >= 500 ? SERVER_ERROR : SERVER_OK;
	switch (res->failure.cause) {
	case CALL_REFUSED:
	case CALL_CONNECT_TIMEOUT:
	case CALL_NO_ADDRESS:
		return SERVER_REFUSED;
	case CALL_TIMEOUT:
		return SERVER_TIMEOUT;
	case CALL_NO_CONNECTION: /* our own shortage */
		return SERVER_ABANDONED;
	default:
		return SERVER_RESET;
	}
}

/* Each try is credited to its server; whose answer was not waited for is nobody's failure. */
static void settle(struct going *g, struct fserver *first, struct second *s, struct once_result *res)
{
	const struct outlier_settings *os = &g->link->remote->lb.outlier;
	usec now = clock_mono();

	server_end(first, os, s->h.first_let_go ? SERVER_ABANDONED : server_outcome_of(g->rs, res), res->took, now);
	if (s->server)
		server_end(s->server, os, s->h.let_go || !s->h.begun ? SERVER_ABANDONED : server_outcome_of(s->h.rs, &s->h.result),
			   s->h.result.took, now);
	if (s->h.won)
		swap_answers(g, s, res);
}

/* Exchanges with one server, or with a second one beside it; false if there was no whole answer. */
static bool exchange_with(struct going *g, struct fserver *s, struct once_result *res)
{
	const struct remote *rm = g->link->remote;
	struct buf head = BUF_INIT(HEAD_MAX);
	struct second second = { .h = { .delay = rm->lb.hedge_delay, .begin = begin_second }, .g = g, .head = BUF_INIT(HEAD_MAX) };
	bool may_hedge = rm->lb.hedge_delay && g->servers->n > 1 && retry_method_is_safe(g->method_name);
	struct str host;
	uint16_t port;

	response_reset(g->rs);
	set_server(g->rs, s);
	*res = (struct once_result){ .failure = { .class = CALL_NOT_SENT, .cause = CALL_NO_ADDRESS } };
	write_head(&head, g, s->id, clock_mono());
	if (!head.failed && addr_split(s->id, 80, &host, &port))
		caller_exchange(g->caller, &(struct exchange_once){
			.method = g->method,
			.head = buf_str(&head),
			.body = str_of(g->o->body, g->o->body_len),
			.connect_timeout = rm->lb.connect_timeout,
			.read_timeout = rm->lb.read_timeout,
			.deadline = g->deadline.at,
			.rs = g->rs,
		}, host, port, may_hedge ? &second.h : NULL, res);
	settle(g, s, &second, res);
	vine_response_free(second.h.rs);
	buf_fini(&second.head);
	buf_fini(&head);
	return res->ok;
}

static struct retry_attempt attempt_of(const struct going *g, const struct once_result *res)
{
	struct retry_attempt at = { .is_safe = retry_method_is_safe(g->method_name) };

	if (res->ok) {
		at.class = ATTEMPT_REPLY_RETRYABLE;
		at.status = g->rs->status;
		return at;
	}
	at.class = res->failure.class == CALL_NOT_SENT ? ATTEMPT_NOT_SENT : ATTEMPT_SENT_NO_REPLY;
	at.is_dead = res->failure.cause == CALL_REFUSED || res->failure.cause == CALL_NO_ADDRESS;
	return at;
}

/* Remembers in words why the last try failed. */
static void note_failure(struct going *g, const struct once_result *res, usec now)
{
	const char *service = g->o->service, *why = res->failure.why;

	if (res->ok) {
		g->code = err_set(g->e, VINE_EPROTO, "%s at %s answered %u", service, g->rs->server, g->rs->status);
	} else if (deadline_is_over(g->deadline, now)) {
		g->code = err_set(g->e, VINE_ETIMEOUT, "%s at %s did not answer in time", service, g->rs->server);
		g->outcome = OUTCOME_TIMEOUT;
		g->cause = VINE_CAUSE_TIMEOUT;
		return;
	} else {
		int code = res->too_large ? VINE_ELIMIT : res->failure.cause == CALL_BAD_RESPONSE ? VINE_EPROTO : VINE_EIO;

		g->code = err_set(g->e, code, "%s at %s: %s%s%s", service, g->rs->server, call_cause_name(res->failure.cause),
				  why ? ": " : "", why ? why : "");
	}
	g->outcome = OUTCOME_FAILURE;
	g->cause = VINE_CAUSE_FAILURE;
}

static void log_try(const struct going *g, const struct once_result *res, const struct retry_decision *d)
{
	LOG(&g->app->log, LOG_DEBUG, "a try failed", F_Z("service", g->o->service), F_Z("server", g->rs->server),
	    F_INT("status", g->rs->status), F_Z("cause", res->ok ? "status" : call_cause_name(res->failure.cause)),
	    F_Z("then", d->verdict == RETRY_GIVE_UP ? retry_why_name(d->why) : "retry"),
	    F_Z("trace", g->rq ? g->rq->trace_text : ""), F_Z("span", g->rq ? g->rq->span_text : ""));
}

/* Tries one server; true if another try follows (*again: with the same server). */
static bool try_server(struct going *g, struct fserver *s, bool *again)
{
	struct remote *rm = g->link->remote;
	struct once_result res;
	bool whole;

	server_begin(s);
	g->rs->tries++;
	tried_add(&g->tried, s);
	whole = exchange_with(g, s, &res);

	usec now = clock_mono();

	if (whole && g->rs->status < 500 && !retry_status_is_listed(&rm->lb.retry, g->rs->status)) {
		g->outcome = g->rs->status >= 400 ? OUTCOME_BAD_REQUEST : OUTCOME_SUCCESS;
		g->cause = VINE_CAUSE_NONE;
		g->code = 0;
		return false;
	}
	note_failure(g, &res, now);

	struct retry_attempt at = attempt_of(g, &res);
	struct retry_decision d = retry_decide(&rm->lb.retry, &g->retry, &at, g->deadline, now);

	if (d.verdict != RETRY_GIVE_UP && !retry_budget_spend(&rm->ribbon->budget, &rm->lb.budget, now))
		d = (struct retry_decision){ RETRY_GIVE_UP, RETRY_NO_BUDGET };
	log_try(g, &res, &d);
	*again = d.verdict == RETRY_SAME;
	if (d.verdict == RETRY_GIVE_UP && whole && g->rs->status < 500) { /* listed as retryable, but an answer all the same */
		g->outcome = g->rs->status >= 400 ? OUTCOME_BAD_REQUEST : OUTCOME_SUCCESS;
		g->cause = VINE_CAUSE_NONE;
		g->code = 0;
	}
	return d.verdict != RETRY_GIVE_UP;
}

/* The key that sticks: the call's own, or where vine.loadbalancer.<client>.hash-key says. */
static struct str stick_of(const struct going *g)
{
	const struct ribbon_settings *lb = &g->link->remote->lb;
	struct str field = STR_EMPTY;

	if (g->o->stick)
		return str_from(g->o->stick);
	switch (lb->hash) {
	case HASH_NONE:
		break;
	case HASH_HEADER:
	case HASH_COOKIE:
		for (const char *const *h = g->o->headers; h && *h && field.len == 0; h += 2) {
			if (str_eq_nocase(str_from(h[0]), lb->hash == HASH_COOKIE ? STR("Cookie") : lb->hash_name))
				field = lb->hash == HASH_COOKIE ? stick_cookie(str_from(h[1]), lb->hash_name) : str_from(h[1]);
		}
		return field;
	case HASH_ADDRESS:
		return g->rq ? str_from(g->rq->peer) : STR_EMPTY;
	case HASH_PATH:
		return str_slice(str_from(g->o->path), 0, strcspn(g->o->path, "?"));
	}
	return STR_EMPTY;
}

static struct pick choose_server(struct going *g)
{
	struct remote *rm = g->link->remote;
	struct str key = stick_of(g);
	struct choice c = {
		.list = server_set_list(g->servers),
		.tried = &g->tried,
		.settings = &rm->lb.outlier,
		.rule = &rm->lb.rules,
		.rng = &g->caller->rng,
		.now = clock_mono(),
		.has_hash = key.len > 0,
		.hash = key.len ? hash_ring_key(key) : 0,
	};

	return balancer_choose(rm->balancer, &c);
}

static void no_server(struct going *g, enum pick_why why)
{
	struct arena a = { 0 };
	struct str fault;

	arena_init(&a, 256);
	fault = ribbon_rule_fault(g->link->remote->balancer, why, &a);
	g->outcome = OUTCOME_FAILURE;
	g->cause = VINE_CAUSE_NO_SERVER;
	if (fault.len)
		g->code = err_set(g->e, VINE_EUNAVAIL, "%s: %.*s", g->o->service, STRF(fault));
	else
		g->code = err_set(g->e, VINE_EUNAVAIL, "%s has no server", g->o->service);
	arena_fini(&a);
}

/* BackoffTimeout, or what the deadline leaves of it. */
static void pause_before(const struct going *g)
{
	usec pause = MIN(g->link->remote->lb.backoff, deadline_left(g->deadline, clock_mono()));

	if (pause > 0)
		nanosleep(&(struct timespec){ pause / USEC_PER_SEC, pause % USEC_PER_SEC * 1000 }, NULL);
}

static void try_servers(struct going *g)
{
	bool again = false;
	struct pick pick = { 0 };

	for (;;) {
		if (!again)
			pick = choose_server(g);
		if (!pick.server)
			break;
		if (!try_server(g, pick.server, &again))
			return;
		pause_before(g);
	}
	if (g->rs->tries && pick.why == PICK_ALL_TRIED)
		return; /* the last failure stands */
	no_server(g, pick.why);
}

/* --- the command around --- */

static void set_deadline(struct going *g, usec now)
{
	g->deadline = (struct deadline){ command_deadline(&g->link->settings, &g->ticket) };
	if (g->o->timeout_ms > 0)
		g->deadline = deadline_min(g->deadline, deadline_in(now, g->o->timeout_ms * USEC_PER_MSEC));
	if (g->rq)
		g->deadline = deadline_min(g->deadline, (struct deadline){ g->rq->deadline });
}

/* A circuit that opens or closes is worth a line, once; who sees the change writes it. */
static void finish_command(struct going *g)
{
	struct command *c = g->link->command;
	enum breaker_state before = breaker_word_state(atomic_load(&c->breaker.word)), after;

	command_done(c, &g->link->settings, &g->ticket, g->outcome, clock_mono());
	after = breaker_word_state(atomic_load(&c->breaker.word));
	if (before == BREAKER_CLOSED && after == BREAKER_OPEN)
		LOG(&g->app->log, LOG_WARN, "circuit opened", F_STR("command", c->key), F_Z("why", g->e->text));
	else if (before == BREAKER_HALF_OPEN && after == BREAKER_CLOSED)
		LOG(&g->app->log, LOG_INFO, "circuit closed", F_STR("command", c->key));
}

static void execute(struct going *g, usec now)
{
	struct command *c = g->link->command;

	switch (command_admit(c, &g->link->settings, now, g->caller->stripe, &g->ticket)) {
	case ADMIT_SHORT_CIRCUITED:
		g->cause = VINE_CAUSE_SHORT_CIRCUIT;
		g->code = err_set(g->e, VINE_EUNAVAIL, "the circuit %.*s is open", STRF(c->key));
		return;
	case ADMIT_SEMAPHORE_REJECTED:
		g->cause = VINE_CAUSE_REJECTED;
		g->code = err_set(g->e, VINE_EUNAVAIL, "too many calls of %.*s are running", STRF(c->key));
		return;
	case ADMIT_OK:
		break;
	}
	set_deadline(g, now);
	if (deadline_is_over(g->deadline, now)) { /* the request came with no time left: that is nobody's failure here */
		g->outcome = OUTCOME_CANCELLED;
		g->cause = VINE_CAUSE_TIMEOUT;
		g->code = err_set(g->e, VINE_ETIMEOUT, "no time was left to call %s", g->o->service);
		finish_command(g);
		return;
	}
	trace_for_call(&g->trace, g->rq, g->app, &g->caller->rng);
	retry_budget_request(&g->link->remote->ribbon->budget, &g->link->remote->lb.budget);
	g->servers = remote_take_servers(g->app->remotes, g->link->remote, now);
	try_servers(g);
	server_set_unref(g->servers);
	finish_command(g);
}

/* The answer in reserve. Leaves g->code as it is if there is none. */
static void fall_back(struct going *g)
{
	struct command *c = g->link->command;
	const struct cmd_settings *cs = &g->link->settings;
	struct vine_err why = { .code = g->code };

	if (command_fallback_begin(c, cs, &g->ticket, g->o->fallback != NULL, clock_mono()) != FALLBACK_RUN)
		return;
	snprintf(why.text, sizeof(why.text), "%s", g->e->text);
	vine_response_set(g->rs, 200, NULL, NULL, 0);
	g->rs->cause = g->cause;

	bool fine = g->o->fallback(g->rs, g->cause, &why, g->o->ctx) == 0;

	command_fallback_end(c, cs, &g->ticket, fine, clock_mono());
	if (fine)
		g->code = 0;
}

int vine_call(struct vine_app *app, struct vine_request *rq, const struct vine_call_opts *opts, struct vine_response **ret,
	      struct vine_err *e)
{
	struct err spare = { .code = 0 };
	struct going g = { .app = app, .rq = rq, .o = opts, .e = e ? inner_err(e) : &spare };
	struct str service = str_from(opts->service);
	usec now = clock_mono();
	int r = check(&g);

	if (r < 0)
		return r;
	g.caller = caller_take(app);
	if (!g.caller)
		return err_set(g.e, VINE_EUNAVAIL, "the app does not run");
	r = remotes_link(app->remotes, service, opts->command ? str_from(opts->command) : service,
			 opts->group ? str_from(opts->group) : service, now, &g.link, g.e);
	if (r == 0) {
		g.rs = response_new();
		execute(&g, now);
		if (g.code < 0)
			fall_back(&g);
		r = g.code;
	}
	caller_give(app, g.caller); /* last: what the command stands on lives as long as somebody has a caller */
	if (r < 0) {
		vine_response_free(g.rs);
		return r;
	}
	*ret = g.rs;
	return 0;
}
