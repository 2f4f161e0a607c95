/* call.c - vine_call: the tries of one call, run as a command.
 *
 * The tries are the command's function: pick a server, exchange, judge, decide about another. What they work on is a `going`.
 * In SEMAPHORE isolation it lies on the caller's stack, for the caller waits; in THREAD it belongs to the run, copies of the
 * caller's texts included, because a call that is timed out outlives its caller. A hedge lies on the stack of the function,
 * which waits for both sendings or cancels them.
 *
 * vine_call itself is bounded by its deadline either way, so a thread is taken only where the configuration says THREAD in
 * so many words (see policy.c).
 *
 * The same rules as the gateway's: flow/ decides, http/client talks. */
#include <vine/call.h>

#include <stdio.h>

#include "client/impl.h"
#include "client/remotes.h"
#include "client/run.h"
#include "ribbon/stick.h"

#define HEAD_MAX (64u * 1024)
#define PATH_MAX_BYTES (16u * 1024)

struct going {
	struct vine_app *app;
	struct link *link;
	struct policy *policy;   /* a reference */
	struct vine_call_opts o; /* without the fallback, which is the caller's */
	enum http_method method;
	struct str method_name;
	char trace_text[33], span_text[17]; /* of the request, for the log */
	char peer[ADDR_TEXT_MAX];           /* its client, for the key that sticks */
	struct arena texts;      /* of o, in THREAD isolation */
	_Atomic unsigned tries;

	/* the function's */
	struct work *work;
	struct err *e;
	struct caller *caller;
	struct vine_response *rs;
	struct server_set *servers;
	struct remote_settings *settings; /* which held when it began */
	struct trace_context trace;
	struct deadline deadline;
	struct retry_state retry;
	struct tried tried;
	enum run_answer answer;
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

static int check(struct going *g, struct err *e)
{
	const struct vine_call_opts *o = &g->o;

	g->method_name = str_from(o->method ? o->method : "GET");
	g->method = http_method_of(g->method_name);
	if (!o->service || !o->path)
		return err_set(e, VINE_EINVAL, "a call needs a service and a path");
	if (!http_is_token(g->method_name) || g->method == HTTP_CONNECT)
		return err_set(e, VINE_EINVAL, "%s is no method", o->method);
	if (strnlen(o->path, PATH_MAX_BYTES) == PATH_MAX_BYTES || !path_is_clean(str_from(o->path)))
		return err_set(e, VINE_EINVAL, "a path begins with / and is percent-encoded: %.100s", o->path);
	if (!fields_are_clean(o->headers) || (o->type && !http_value_is_clean(str_from(o->type))))
		return err_set(e, VINE_EINVAL, "a header of the call is malformed, or one that the library writes itself");
	return 0;
}

/* --- one try --- */

static void write_head(struct buf *b, struct going *g, struct str host, usec now)
{
	const struct vine_call_opts *o = &g->o;
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

static void count_try(struct going *g)
{
	g->rs->tries++;
	atomic_fetch_add(&g->tries, 1);
}

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
	usec now = clock_mono();
	struct pick pick;

	if (!retry_budget_spend(&g->link->remote->ribbon->budget, &g->settings->lb.budget, now))
		return false;
	pick = choose_server(g); /* the first one counts as tried */
	if (!pick.server || pick.why == PICK_LAST || !addr_split(pick.server->id, 80, host, port))
		return false;
	s->server = pick.server;
	h->tls = pick.server->secure ? g->settings->lb.tls : NULL;
	h->rs = response_new();
	write_head(&s->head, g, s->server->id, now);
	*head = buf_str(&s->head);
	tried_add(&g->tried, s->server);
	server_begin(s->server);
	count_try(g);
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
	case CALL_TLS_FAILED:
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
	const struct outlier_settings *os = &g->settings->lb.outlier;
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
	const struct ribbon_settings *lb = &g->settings->lb;
	struct buf head = BUF_INIT(HEAD_MAX);
	struct second second = { .h = { .delay = lb->hedge_delay, .begin = begin_second }, .g = g, .head = BUF_INIT(HEAD_MAX) };
	bool may_hedge = lb->hedge_delay && g->servers->n > 1 && retry_method_is_safe(g->method_name);
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
			.body = str_of(g->o.body, g->o.body_len),
			.connect_timeout = lb->connect_timeout,
			.read_timeout = lb->read_timeout,
			.deadline = g->deadline.at,
			.cancel = context_now()->cancel,
			.tls = s->secure ? lb->tls : NULL,
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
	at.is_dead = res->failure.cause == CALL_REFUSED || res->failure.cause == CALL_NO_ADDRESS ||
		     res->failure.cause == CALL_TLS_FAILED;
	return at;
}

/* Remembers in words why the last try failed. */
static void note_failure(struct going *g, const struct once_result *res, usec now)
{
	const char *service = g->o.service, *why = res->failure.why;

	if (res->ok) {
		g->code = err_set(g->e, VINE_EPROTO, "%s at %s answered %u", service, g->rs->server, g->rs->status);
	} else if (deadline_is_over(g->deadline, now)) {
		g->code = err_set(g->e, VINE_ETIMEOUT, "%s at %s did not answer in time", service, g->rs->server);
		g->answer = RUN_TIMED_OUT;
		return;
	} else {
		int code = res->too_large ? VINE_ELIMIT : res->failure.cause == CALL_BAD_RESPONSE ? VINE_EPROTO : VINE_EIO;

		g->code = err_set(g->e, code, "%s at %s: %s%s%s", service, g->rs->server, call_cause_name(res->failure.cause),
				  why ? ": " : "", why ? why : "");
	}
	g->answer = RUN_FAILED;
}

static void log_try(const struct going *g, const struct once_result *res, const struct retry_decision *d)
{
	LOG(&g->app->log, LOG_DEBUG, "a try failed", F_Z("service", g->o.service), F_Z("server", g->rs->server),
	    F_INT("status", g->rs->status), F_Z("cause", res->ok ? "status" : call_cause_name(res->failure.cause)),
	    F_Z("then", d->verdict == RETRY_GIVE_UP ? retry_why_name(d->why) : "retry"),
	    F_Z("trace", g->trace_text), F_Z("span", g->span_text));
}

/* Any answer below 500 is handed out; one of 4xx is the caller's own mistake. */
static void note_answer(struct going *g)
{
	g->answer = g->rs->status >= 400 ? RUN_BAD_REQUEST : RUN_OK;
	g->code = 0;
}

/* Tries one server; true if another try follows (*again: with the same server). */
static bool try_server(struct going *g, struct fserver *s, bool *again)
{
	const struct ribbon_settings *lb = &g->settings->lb;
	struct once_result res;
	bool whole;

	server_begin(s);
	count_try(g);
	tried_add(&g->tried, s);
	whole = exchange_with(g, s, &res);

	usec now = clock_mono();

	if (whole && g->rs->status < 500 && !retry_status_is_listed(&lb->retry, g->rs->status)) {
		note_answer(g);
		return false;
	}
	note_failure(g, &res, now);

	struct retry_attempt at = attempt_of(g, &res);
	struct retry_decision d = retry_decide(&lb->retry, &g->retry, &at, g->deadline, now);

	if (d.verdict != RETRY_GIVE_UP && !retry_budget_spend(&g->link->remote->ribbon->budget, &lb->budget, now))
		d = (struct retry_decision){ RETRY_GIVE_UP, RETRY_NO_BUDGET };
	log_try(g, &res, &d);
	*again = d.verdict == RETRY_SAME;
	if (d.verdict == RETRY_GIVE_UP && whole && g->rs->status < 500) /* listed as retryable, but an answer all the same */
		note_answer(g);
	return d.verdict != RETRY_GIVE_UP;
}

/* The key that sticks: the call's own, or where vine.loadbalancer.<client>.hash-key says. */
static struct str stick_of(const struct going *g)
{
	const struct ribbon_settings *lb = &g->settings->lb;
	struct str field = STR_EMPTY;

	if (g->o.stick)
		return str_from(g->o.stick);
	switch (lb->hash) {
	case HASH_NONE:
		break;
	case HASH_HEADER:
	case HASH_COOKIE:
		for (const char *const *h = g->o.headers; h && *h && field.len == 0; h += 2) {
			if (str_eq_nocase(str_from(h[0]), lb->hash == HASH_COOKIE ? STR("Cookie") : lb->hash_name))
				field = lb->hash == HASH_COOKIE ? stick_cookie(str_from(h[1]), lb->hash_name) : str_from(h[1]);
		}
		return field;
	case HASH_ADDRESS:
		return str_from(g->peer);
	case HASH_PATH:
		return str_slice(str_from(g->o.path), 0, strcspn(g->o.path, "?"));
	}
	return STR_EMPTY;
}

static struct pick choose_server(struct going *g)
{
	const struct ribbon_settings *lb = &g->settings->lb;
	struct str key = stick_of(g);
	struct choice c = {
		.list = server_set_list(g->servers),
		.tried = &g->tried,
		.settings = &lb->outlier,
		.rule = &lb->rules,
		.rng = &g->caller->rng,
		.now = clock_mono(),
		.has_hash = key.len > 0,
		.hash = key.len ? hash_ring_key(key) : 0,
	};

	return balancer_choose(g->settings->balancer, &c);
}

static void no_server(struct going *g, enum pick_why why)
{
	struct arena a = { 0 };
	struct str fault;

	arena_init(&a, 256);
	fault = ribbon_rule_fault(g->settings->balancer, why, &a);
	g->answer = RUN_FAILED;
	if (fault.len)
		g->code = err_set(g->e, VINE_EUNAVAIL, "%s: %.*s", g->o.service, STRF(fault));
	else
		g->code = err_set(g->e, VINE_EUNAVAIL, "%s has no server", g->o.service);
	arena_fini(&a);
}

/* BackoffTimeout, or what the deadline leaves of it. false: meanwhile the call has been given up. */
static bool pause_before(const struct going *g)
{
	usec pause = MIN(g->settings->lb.backoff, deadline_left(g->deadline, clock_mono()));

	if (pause > 0)
		caller_pause(g->caller, context_now()->cancel, pause);
	return !work_is_cancelled(g->work);
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
		if (!try_server(g, pick.server, &again) || !pause_before(g))
			return;
	}
	if (g->rs->tries && pick.why == PICK_ALL_TRIED)
		return; /* the last failure stands */
	no_server(g, pick.why);
}

/* The command's function. */
static enum run_answer call_servers(struct work *w, void *arg)
{
	struct going *g = arg;

	g->work = w;
	g->e = work_err(w);
	g->deadline = work_deadline(w);
	g->caller = caller_take(g->app);
	if (!g->caller) {
		err_set(g->e, VINE_EUNAVAIL, "the app does not run");
		return RUN_FAILED;
	}
	g->rs = response_new();
	trace_for_call(&g->trace, g->app, &g->caller->rng);
	g->servers = remote_take_servers(g->app->remotes, g->link->remote, clock_mono(), &g->settings);
	retry_budget_request(&g->link->remote->ribbon->budget, &g->settings->lb.budget);
	try_servers(g);
	server_set_unref(g->servers);
	remote_settings_unref(TAKE(g->settings));
	caller_give(g->app, g->caller);
	if (g->code == 0)
		work_set_result(w, &g->rs->shared);
	else
		vine_response_free(g->rs);
	return g->answer;
}

/* --- the answer in reserve, on the caller's thread --- */

struct reserve {
	const struct vine_call_opts *o;
	const struct going *g;
};

/* A refusal without a server shows by its code: the function has no other way to be unavailable. */
static enum vine_cause public_cause(enum run_cause cause, const struct err *why)
{
	switch (cause) {
	case RUN_CAUSE_TIMEOUT:
		return VINE_CAUSE_TIMEOUT;
	case RUN_CAUSE_SHORT_CIRCUIT:
		return VINE_CAUSE_SHORT_CIRCUIT;
	case RUN_CAUSE_SEMAPHORE_REJECTED:
	case RUN_CAUSE_POOL_REJECTED:
		return VINE_CAUSE_REJECTED;
	case RUN_CAUSE_FAILURE:
		return why->code == VINE_EUNAVAIL ? VINE_CAUSE_NO_SERVER : VINE_CAUSE_FAILURE;
	case RUN_CAUSE_NONE:
	case RUN_CAUSE_BAD_REQUEST:
	case RUN_CAUSE_CANCELLED:
		break;
	}
	return VINE_CAUSE_NONE;
}

static int call_reserve(struct work *w, void *arg, enum run_cause cause, const struct err *why)
{
	struct reserve *re = arg;
	struct vine_response *rs = response_new();
	struct vine_err e = { .code = why->code };

	snprintf(e.text, sizeof(e.text), "%s", why->text);
	vine_response_set(rs, 200, NULL, NULL, 0);
	rs->cause = public_cause(cause, why);
	rs->tries = atomic_load(&re->g->tries);
	if (re->o->fallback(rs, rs->cause, &e, re->o->ctx) != 0) {
		vine_response_free(rs);
		return VINE_EUNAVAIL;
	}
	work_set_result(w, &rs->shared);
	return 0;
}

/* --- what a run of its own needs --- */

static void going_free(void *arg)
{
	struct going *g = arg;
	struct vine_app *app = g->app;

	arena_fini(&g->texts);
	policy_unref(g->policy);
	free(g);
	callers_leave(app); /* last: what the command stands on lives as long as somebody is in there */
}

static const char *keep(struct arena *a, const char *text)
{
	return text ? str_dup_in(a, str_from(text)).ptr : NULL;
}

static const char *const *keep_headers(struct arena *a, const char *const *h)
{
	const char **out;
	size_t n = 0;

	while (h && h[n])
		n += 2;
	out = arena_alloc(a, (n + 1) * sizeof(*out));
	for (size_t i = 0; i < n; i++)
		out[i] = keep(a, h[i]);
	out[n] = NULL;
	return out;
}

static struct going *going_copy(const struct going *g)
{
	struct going *own = xzalloc(sizeof(*own));
	struct vine_call_opts *o = &own->o;

	*own = *g;
	shared_ref(&own->policy->shared);
	arena_init(&own->texts, 1024);
	o->service = keep(&own->texts, o->service);
	o->method = keep(&own->texts, o->method);
	o->path = keep(&own->texts, o->path);
	o->type = keep(&own->texts, o->type);
	o->stick = keep(&own->texts, o->stick);
	o->headers = keep_headers(&own->texts, o->headers);
	o->body = str_dup_in(&own->texts, str_of(o->body, o->body_len)).ptr;
	own->method_name = str_from(o->method ? o->method : "GET");
	return own;
}

/* --- the command around --- */

static void set_spec(struct run_spec *spec, const struct going *g, struct vine_request *rq)
{
	const struct vine_call_opts *o = &g->o;

	*spec = (struct run_spec){
		.command = g->link->entry->command,
		.settings = &g->policy->settings,
		.threads = g->policy->threads,
		.log = &g->app->log,
		.cache_key = str_from(o->cache_key),
		.fn = call_servers,
		.deadline = DEADLINE_NONE,
	};
	if (o->timeout_ms > 0)
		spec->deadline = deadline_in(clock_mono(), o->timeout_ms * USEC_PER_MSEC);
	if (!rq)
		return;
	spec->request = request_commands(rq);
	spec->trace = &rq->trace;
	spec->deadline = deadline_min(spec->deadline, (struct deadline){ rq->deadline });
}

static const char *fallback_refusal(enum fallback f)
{
	return f == FALLBACK_REJECTED ? "was rejected" : "is disabled";
}

/* Between callers_enter and callers_leave. */
static int call_as_command(struct going *g, struct vine_request *rq, const struct vine_call_opts *opts,
			   struct vine_response **ret, struct err *e)
{
	struct reserve re = { .o = opts, .g = g };
	struct run_result res;
	struct run_spec spec;
	struct run *r;
	int code;

	set_spec(&spec, g, rq);
	spec.arg = g;
	if (spec.settings->isolation == FLOW_THREAD) {
		if (!callers_enter(g->app)) /* for the run, which may outlive us */
			return err_set(e, VINE_EUNAVAIL, "the app does not run");
		re.g = spec.arg = going_copy(g);
		spec.free_arg = going_free;
	}
	if (opts->fallback) {
		spec.fallback = call_reserve;
		spec.fallback_arg = &re;
	}
	r = run_start(&spec);
	code = run_wait(r, &res);
	run_unref(r);
	if (code < 0) {
		*e = res.err;
		if (opts->fallback && res.wanted_fallback)
			err_set(e, code, "%.400s; its fallback %s", res.err.text,
				res.fallback == FALLBACK_RUN ? "failed" : fallback_refusal(res.fallback));
		return code;
	}
	*ret = container_of(res.result, struct vine_response, shared);
	return 0;
}

int vine_call(struct vine_app *app, struct vine_request *rq, const struct vine_call_opts *opts, struct vine_response **ret,
	      struct vine_err *e)
{
	struct err spare = { .code = 0 }, *why = e ? inner_err(e) : &spare;
	struct going g = { .app = app, .o = *opts };
	struct str service = str_from(opts->service);
	int r = check(&g, why);

	if (r < 0)
		return r;
	if (rq) {
		memcpy(g.trace_text, rq->trace_text, sizeof(g.trace_text));
		memcpy(g.span_text, rq->span_text, sizeof(g.span_text));
		memcpy(g.peer, rq->peer, sizeof(g.peer));
	}
	if (!callers_enter(app))
		return err_set(why, VINE_EUNAVAIL, "the app does not run");
	r = remotes_link(app->remotes, service, opts->command ? str_from(opts->command) : service,
			 opts->group ? str_from(opts->group) : service, clock_mono(), &g.link, why);
	if (r == 0) {
		g.policy = commands_policy(remotes_commands(app->remotes), g.link->entry);
		r = call_as_command(&g, rq, opts, ret, why);
		policy_unref(g.policy);
	}
	callers_leave(app);
	return r;
}
