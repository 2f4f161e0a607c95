/* proxy.c - one request's way through the gateway.
 *
 *   begin -> route -> [small body] -> admit -> [slot] -> [first bytes of a large one] -> try: pick, send -> head -> body -> end
 *                                                                                ^        |
 *                                                                                +--------+--> fallback or error
 *
 * A body whose length is known and small is read before the request is admitted, so that slow senders hold no permit.
 *
 * A slot is a place in the service's pool, in THREAD isolation: the request may wait for it, within its deadline.
 *
 * One function a step. A failure before the response's head leaves through attempt_failed, which decides: the same server,
 * the next one, fallback, or an error with its cause. The command's outcome is recorded when it is known: at the head, or
 * when no try is left. After the head the permit is back and only idle limits hold.
 *
 * Memory   struct px lives in the exchange's arena and ends in on_close, whatever happened.
 * Threads  The worker's own. */
#include "gateway/attempt.h"
#include "gateway/fail.h"
#include "gateway/forward.h"
#include "gateway/gateway.h"
#include "gateway/maxforwards.h"
#include "gateway/slot.h"
#include "gateway/stick.h"
#include "gateway/trailers.h"
#include "trace/context.h"

#define REQUEST_BACKLOG (64u * 1024) /* body bytes that may wait for the upstream before the client is paused */

enum px_state { PX_GATHERING, PX_QUEUED, PX_WAITING, PX_PAUSING, PX_TRYING, PX_STREAMING, PX_OVER };

struct px {
	struct exchange *ex;
	struct gw_worker *g;
	struct gw_picture *picture;
	const struct gw_route *route;
	const struct gw_target *target;
	enum px_state state;
	enum gw_cause cause;
	const char *why;        /* more words for the cause, or NULL */
	struct str path;
	struct trace_context trace;
	char trace_id[TRACE_ID_MAX];
	unsigned trace_len;

	struct ticket ticket;
	bool has_ticket;    /* to be given back with an outcome */
	struct gw_slot *slot; /* NULL: none is held or waited for */
	const char *fallback; /* what became of it, for the log; NULL: not asked */
	struct deadline deadline;

	struct attempt first;
	struct attempt *cur;    /* the present try */
	struct attempt *hedge;  /* a second one beside it, whose answer counts if it is the first; NULL: none */
	bool hedged;            /* there has been one */
	usec step_at;           /* when the present try's step ends */
	struct fserver *last;   /* the last one that was tried */
	struct tried tried;
	struct retry_state retry;
	struct str fault;       /* of the user's rule, for the error */
	bool same_next, fresh_next; /* how the try after the pause goes */
	unsigned tries;
	const struct fserver *upstream; /* the last server, for the log; the picture's */

	struct list link;       /* in g->starting */
	struct buf replay;      /* the request's body so far, as it is sent: see keep_for_replay */
	bool replay_lost;       /* more body was sent than is kept */
	bool body_ended;
	struct trailers *trailers; /* of the answer; NULL: none are expected */
};

static bool try_server(struct px *px, bool same, unsigned flags);
static void start_hedge(struct px *px);
static void admit(struct px *px);

static usec now_of(const struct px *px)
{
	return loop_now(px->g->w->loop);
}

static bool body_is_long(const struct px *px)
{
	return px->ex->in_bytes > px->picture->settings.replay_max;
}

static unsigned stripe_of(const struct px *px)
{
	return px->g->w->index;
}

/* --- the one timer: the nearer of this step's end and the request's deadline --- */

static void arm(struct px *px, usec step_at)
{
	timer_set(px->g->w->loop, &px->ex->timer, px->state == PX_STREAMING ? step_at : MIN(step_at, px->deadline.at));
}

/* The answer's body: how long the upstream may be silent. */
static void arm_idle(struct px *px)
{
	arm(px, now_of(px) + px->picture->settings.stream_idle);
}

static bool may_hedge(const struct px *px)
{
	return unlikely(px->target->lb.hedge_delay > 0) && !px->hedged && px->route->retryable && !px->replay_lost &&
	       (px->ex->body_done || px->body_ended) && px->target->servers.n > 1 && retry_method_is_safe(px->ex->req.method);
}

/* A step of the present try; a hedge may be due before it ends. */
static void arm_step(struct px *px, usec at)
{
	px->step_at = at;
	arm(px, may_hedge(px) ? MIN(at, px->cur->began + px->target->lb.hedge_delay) : at);
}

/* --- outcomes --- */

static void record(struct px *px, enum outcome o)
{
	if (!px->has_ticket)
		return;
	px->has_ticket = false;
	if (px->state == PX_QUEUED)
		command_dequeued(px->target->service->command);
	command_done(px->target->service->command, &px->target->command, &px->ticket, o, now_of(px));
	if (px->slot)
		gw_slot_leave(TAKE(px->slot), o != OUTCOME_CANCELLED);
}

static void end_try(struct px *px, enum server_outcome o)
{
	attempt_end(px->cur, o, now_of(px));
}

/* The hedge takes the present try's place, which has come to nothing. */
static void promote_hedge(struct px *px)
{
	const struct ribbon_settings *lb = &px->target->lb;

	px->cur = TAKE(px->hedge);
	px->last = px->cur->server;
	px->upstream = px->cur->server;
	arm_step(px, px->cur->began + (px->cur->call.sent ? 0 : lb->connect_timeout) + lb->read_timeout);
}

/* --- the end without a response from upstream --- */

static bool run_fallback(struct px *px, enum fallback f)
{
	const struct gw_target *t = px->target;

	px->fallback = f == FALLBACK_RUN ? "true" : fallback_name(f);
	if (f != FALLBACK_RUN)
		return false;
	command_fallback_end(t->service->command, &t->command, &px->ticket, FALLBACK_OK, now_of(px));

	struct field why = {
		STR("Proxy-Status"),
		str_printf_in(&px->ex->arena, "vine; error=%.*s; details=\"fallback\"", STRF(gw_cause_desc(px->cause)->proxy_error)),
	};

	ex_respond(px->ex, t->fallback.status, t->fallback.type, t->fallback.body, &why, 1);
	return true;
}

static unsigned retry_after(const struct px *px)
{
	if (px->cause != GW_CIRCUIT_OPEN)
		return 1;
	return (unsigned)((px->target->command.sleep_window_ms + 999) / 1000);
}

/* The last word on this request: the exchange must not be touched afterwards. */
static void give_up(struct px *px, enum gw_cause cause)
{
	bool timed_out = cause == GW_DEADLINE || cause == GW_READ_TIMEOUT || cause == GW_CONNECT_TIMEOUT;

	px->cause = cause;
	timer_park(&px->ex->timer);
	attempt_drop(TAKE(px->hedge), now_of(px));
	record(px, cause == GW_POOL_REJECTED ? OUTCOME_POOL_REJECTED : timed_out ? OUTCOME_TIMEOUT : OUTCOME_FAILURE);
	px->state = PX_OVER;

	struct gw_failure failure = { .cause = cause, .retry_after = 1 };
	const struct gw_target *t = px->target;

	failure.details = px->fault.len ? px->fault : str_from(px->why);
	if (!t) {
		gw_fail(px->ex, &failure);
		return;
	}

	enum fallback f = command_fallback_begin(t->service->command, &t->command, &px->ticket, t->fallback.set, now_of(px));

	if (run_fallback(px, f))
		return;
	failure.service = t->service->id;
	failure.fallback = str_from(px->fallback);
	failure.retry_after = retry_after(px);
	gw_fail(px->ex, &failure);
}

/* --- failed attempts --- */

static bool method_is_safe(const struct px *px)
{
	return retry_method_is_safe(px->ex->req.method);
}

/* What may follow an attempt that got no answer, or one that may be asked for again. A retry is paid for here. */
static struct retry_decision decide(struct px *px, enum attempt_class class, bool is_dead, unsigned status)
{
	const struct ribbon_settings *lb = &px->target->lb;
	struct retry_settings rs = lb->retry;
	struct retry_attempt at = {
		.class = class,
		.status = status,
		.is_safe = method_is_safe(px) && (px->route->retryable || class == ATTEMPT_NOT_SENT),
		.body_gone = px->replay_lost,
		.is_dead = is_dead,
	};

	rs.all_operations = rs.all_operations && px->route->retryable;

	struct retry_decision d = retry_decide(&rs, &px->retry, &at, px->deadline, now_of(px));

	if (d.verdict != RETRY_GIVE_UP && !retry_budget_spend(&px->target->service->ribbon->budget, &lb->budget, now_of(px)))
		d = (struct retry_decision){ RETRY_GIVE_UP, RETRY_NO_BUDGET };
	return d;
}

/* The next try, at once or after BackoffTimeout. */
static void try_again(struct px *px, bool same, bool fresh)
{
	usec pause = px->target->lb.backoff;

	if (!pause) {
		try_server(px, same, fresh ? CALL_FRESH : 0);
		return;
	}
	px->state = PX_PAUSING;
	px->same_next = same;
	px->fresh_next = fresh;
	arm(px, now_of(px) + pause);
	if (!px->ex->body_done)
		ex_pause_body(px->ex); /* until it is sent: what came meanwhile would have to be kept */
}

/* The one door for attempts that got no response. */
static void attempt_failed(struct px *px, enum attempt_class class, enum gw_cause cause, bool is_dead, unsigned status)
{
	struct retry_decision d = decide(px, class, is_dead, status);

	px->cause = cause;
	if (d.verdict == RETRY_GIVE_UP)
		give_up(px, cause);
	else
		try_again(px, d.verdict == RETRY_SAME, is_dead);
}

static void on_call_fail(struct call *c, const struct call_failure *f)
{
	struct attempt *at = container_of(c, struct attempt, call);
	struct px *px = at->px;

	if (px->state == PX_STREAMING) { /* what was sent must not look whole */
		px->state = PX_OVER;
		px->cause = attempt_cause(f->cause);
		ex_abort(px->ex);
		return;
	}

	if (unlikely(px->hedge)) { /* the other one is still under way */
		attempt_end(at, f->stale ? SERVER_ABANDONED : attempt_outcome(f->cause), now_of(px));
		if (at == px->hedge)
			px->hedge = NULL;
		else
			promote_hedge(px);
		return;
	}
	/* An idle connection that the server was just closing is nobody's failure: once more, on a fresh one. */
	if (f->stale && !px->replay_lost && (f->class == CALL_NOT_SENT || http_method_is_idempotent(px->ex->req.mid))) {
		end_try(px, SERVER_ABANDONED);
		px->tries--;
		try_server(px, true, CALL_FRESH);
		return;
	}
	px->why = f->why;
	end_try(px, attempt_outcome(f->cause));
	attempt_failed(px, f->class == CALL_NOT_SENT ? ATTEMPT_NOT_SENT : ATTEMPT_SENT_NO_REPLY, attempt_cause(f->cause),
		       attempt_outcome(f->cause) == SERVER_REFUSED, 0);
}

static void on_timer(struct timer *t)
{
	struct px *px = container_of(t, struct exchange, timer)->user;
	usec now = now_of(px);

	if (px->state == PX_STREAMING) { /* the upstream has fallen silent in the middle of a body */
		if (ex_pending(px->ex)) {
			arm_idle(px); /* no: it waits for a client that the server watches */
			return;
		}
		px->state = PX_OVER;
		px->cause = GW_READ_TIMEOUT;
		ex_abort(px->ex);
		return;
	}

	bool over = deadline_is_over(px->deadline, now);

	if (px->state == PX_PAUSING && !over) {
		try_server(px, px->same_next, px->fresh_next ? CALL_FRESH : 0);
		return;
	}

	if (px->state == PX_TRYING && !over && now < px->step_at) {
		start_hedge(px);
		return;
	}

	bool connecting = px->state == PX_TRYING && !px->cur->call.sent;

	px->why = NULL;
	call_cancel(&px->cur->call);
	if (px->state == PX_TRYING)
		end_try(px, connecting ? SERVER_REFUSED : SERVER_TIMEOUT);
	if (px->hedge && !over) {
		promote_hedge(px);
		return;
	}
	if (over || px->state != PX_TRYING)
		give_up(px, GW_DEADLINE);
	else
		attempt_failed(px, connecting ? ATTEMPT_NOT_SENT : ATTEMPT_SENT_NO_REPLY,
			       connecting ? GW_CONNECT_TIMEOUT : GW_READ_TIMEOUT, connecting, 0);
}

/* --- the response --- */

static void expect_trailers(struct px *px, struct buf *head, const struct http_head *h)
{
	px->trailers = trailers_expect(px->ex, px->route, h);
	if (!px->trailers)
		return;
	trailers_announce(px->trailers, head, h);
	call_keep_trailers(&px->cur->call, &px->trailers->lines);
}

/* Two tries are under way and one has an answer. false: it is a failure, and the other one may do better. */
static bool settle_hedge(struct px *px, struct attempt *at, bool failed)
{
	struct attempt *other = at == px->cur ? px->hedge : px->cur;

	if (failed) {
		call_cancel(&at->call);
		attempt_end(at, SERVER_ERROR, now_of(px));
		if (at == px->cur)
			promote_hedge(px);
		px->hedge = NULL;
		return false;
	}
	attempt_drop(other, now_of(px));
	px->hedge = NULL;
	px->cur = at;
	px->last = at->server;
	px->upstream = at->server;
	return true;
}

static void on_call_head(struct call *c, const struct http_head *h)
{
	struct attempt *at = container_of(c, struct attempt, call);
	struct px *px = at->px;
	struct exchange *ex = px->ex;
	bool failed = gw_is_failure(&px->picture->settings, h->status);

	if (h->status < 200) {
		if (at == px->cur)
			ex_inform(ex, h);
		return;
	}
	px->why = NULL;
	if (unlikely(px->hedge) && !settle_hedge(px, at, failed))
		return;
	if (unlikely(retry_status_is_listed(&px->target->lb.retry, h->status))) {
		struct retry_decision d = decide(px, ATTEMPT_REPLY_RETRYABLE, false, h->status);

		if (d.verdict != RETRY_GIVE_UP) {
			call_cancel(c);
			end_try(px, failed ? SERVER_ERROR : SERVER_OK);
			px->cause = GW_UPSTREAM_STATUS;
			try_again(px, d.verdict == RETRY_SAME, false);
			return;
		}
	}
	end_try(px, failed ? SERVER_ERROR : SERVER_OK);
	if (failed && px->target->fallback.set) {
		call_cancel(c);
		give_up(px, GW_UPSTREAM_STATUS);
		return;
	}
	record(px, failed ? OUTCOME_FAILURE : OUTCOME_SUCCESS);
	px->state = PX_STREAMING;
	px->cause = failed ? GW_UPSTREAM_STATUS : GW_OK;
	arm_idle(px);

	struct buf *b = ex_head_reason(ex, h->status, h->reason);

	forward_response_fields(b, ex, px->route, h);
	if (h->body == BODY_CHUNKED && ex->req.te_trailers)
		expect_trailers(px, b, h);
	ex_head_done(ex, forward_response_length(h));
}

static void on_call_body(struct call *c, struct str piece)
{
	struct px *px = container_of(c, struct attempt, call)->px;

	ex_write(px->ex, piece);
	arm_idle(px);
	if (ex_pending(px->ex))
		call_pause(c);
}

static void on_call_end(struct call *c)
{
	struct px *px = container_of(c, struct attempt, call)->px;

	px->state = PX_OVER;
	timer_park(&px->ex->timer);
	if (px->trailers)
		ex_end_trailers(px->ex, trailers_passing(px->trailers, &px->ex->arena));
	else
		ex_end(px->ex);
}

/* A body past the limit is kept only while nothing of it was sent. */
static void forget_long_body(struct px *px)
{
	if (!px->cur->call.sent || !body_is_long(px) || px->replay_lost)
		return;
	px->replay_lost = true;
	buf_fini(&px->replay);
}

static void on_call_sent(struct call *c)
{
	struct attempt *at = container_of(c, struct attempt, call);
	struct px *px = at->px;

	if (at == px->cur)
		arm_step(px, now_of(px) + px->target->lb.read_timeout);
	forget_long_body(px);
	ex_resume_body(px->ex);
}

static void on_call_drain(struct call *c)
{
	ex_resume_body(container_of(c, struct attempt, call)->px->ex);
}

static const struct call_ops call_ops = {
	.on_head = on_call_head,
	.on_body = on_call_body,
	.on_end = on_call_end,
	.on_fail = on_call_fail,
	.on_drain = on_call_drain,
	.on_sent = on_call_sent,
};

/* --- sending --- */

static void write_head(struct px *px, const struct fserver *server)
{
	const struct gw_settings *s = &px->picture->settings;
	struct trace_context span;
	msec left = deadline_left_ms(px->deadline, now_of(px));

	trace_child(&span, &px->trace, &px->g->w->rng);

	struct forward f = {
		.ex = px->ex,
		.route = px->route,
		.path = px->path,
		.base_path = px->target->base_path,
		.host = server->id,
		.span = &span,
		.pass_host = s->add_host_header,
		.add_proxy_headers = s->add_proxy_headers,
		.trusted = s->n_trusted && gw_is_trusted(s, &px->ex->peer),
		.deadline_ms = left == INT64_MAX ? -1 : left,
		.port = gw_port_text(px->g),
	};

	forward_request_head(&px->g->head, &f);
}

static struct pick choose_server(struct px *px)
{
	const struct gw_target *t = px->target;
	struct choice c = {
		.list = t->servers,
		.tried = &px->tried,
		.settings = &t->lb.outlier,
		.rule = &t->lb.rules,
		.rng = &px->g->w->rng,
		.now = now_of(px),
		.worker = px->g->w->index,
	};

	if (unlikely(t->lb.hash != HASH_NONE)) {
		const struct gw_settings *s = &px->picture->settings;

		c.has_hash = gw_stick_key(&t->lb, px->ex, px->path, s->n_trusted && gw_is_trusted(s, &px->ex->peer), &c.hash);
	}
	return balancer_choose(t->balancer, &c);
}

#define FAULT_LOG_EVERY USEC_PER_SEC /* a rule that is broken is broken for each request */

static void no_server(struct px *px, enum pick_why why)
{
	struct gw_worker *g = px->g;

	px->fault = ribbon_rule_fault(px->target->balancer, why, &px->ex->arena);
	if (px->fault.len && now_of(px) - g->fault_logged_at >= FAULT_LOG_EVERY) {
		g->fault_logged_at = now_of(px);
		LOG(&g->w->log, LOG_ERROR, "no server chosen", F_STR("service", px->target->service->id), F_STR("why", px->fault),
		    F_STR("trace", str_of(px->trace_id, px->trace_len)));
	}
	give_up(px, px->fault.len ? GW_RULE_FAULT : px->cause == GW_OK ? GW_NO_INSTANCE : px->cause);
}

static void send_to(struct px *px, struct attempt *at, struct fserver *server, unsigned flags)
{
	px->tries++;
	tried_add(&px->tried, server);
	attempt_begin(at, server, &px->target->lb.outlier, now_of(px));
	write_head(px, server);
	at->call.ops = &call_ops;
	at->call.method = px->ex->req.mid;
	call_start(px->g->w->client, &at->call, gw_peer_of(px->g, px->target, server), buf_str(&px->g->head), buf_str(&px->replay), flags);
}

/* Sends the request to a server: the same one again, or the one that the balancer chooses. false: there is none, the
 * exchange has been answered and px is gone. */
static bool try_server(struct px *px, bool same, unsigned flags)
{
	struct pick pick = { .server = NULL };

	if (same && px->last) {
		pick.server = px->last;
	} else {
		pick = choose_server(px);
	}
	if (!pick.server) {
		no_server(px, pick.why);
		return false;
	}
	px->state = PX_TRYING;
	px->last = pick.server;
	px->upstream = pick.server;
	if (!px->ex->body_done)
		flags |= CALL_BODY_FOLLOWS;
	px->cur->began = now_of(px);
	arm_step(px, px->cur->began + px->target->lb.connect_timeout); /* before: on a kept connection it is sent at once */
	send_to(px, px->cur, pick.server, flags);
	return true;
}

/* The present try takes long: the same request to a second server, if there is one that is well, and the budget has it. */
static void start_hedge(struct px *px)
{
	struct pick pick;

	px->hedged = true;
	arm(px, px->step_at);
	if (!retry_budget_spend(&px->target->service->ribbon->budget, &px->target->lb.budget, now_of(px)))
		return;
	pick = choose_server(px);
	if (!pick.server || pick.why == PICK_LAST)
		return;
	px->hedge = arena_zalloc(&px->ex->arena, sizeof(*px->hedge));
	px->hedge->px = px;
	send_to(px, px->hedge, pick.server, 0);
}

/* --- the request's body --- */

/* Until a connection stands all of it is kept, for then any server may be tried: the client is paused once it has sent more
 * than the limit, so that is a piece more than the limit at most. Afterwards what is within the limit. */
static void keep_for_replay(struct px *px, struct str framed)
{
	forget_long_body(px);
	if (!px->replay_lost)
		buf_adds(&px->replay, framed);
}

/* Frames a piece anew; the result lies in the worker's scratch buffer. */
static struct str frame(struct px *px, struct str piece)
{
	struct buf *b = &px->g->head;

	if (px->ex->req.body != BODY_CHUNKED)
		return piece;
	buf_clear(b);
	forward_chunk(b, piece);
	return buf_str(b);
}

static void on_ex_body(struct exchange *ex, struct str piece)
{
	struct px *px = ex->user;

	if (px->state == PX_OVER)
		return;

	struct str framed = frame(px, piece);

	keep_for_replay(px, framed);
	if (px->state == PX_GATHERING)
		return;
	if (!list_is_empty(&px->link)) { /* head and first body bytes leave together */
		list_del(&px->link);
		if (!try_server(px, false, 0))
			return;
	} else {
		call_write(&px->cur->call, framed);
	}
	if (call_pending(&px->cur->call) > REQUEST_BACKLOG || (!px->cur->call.sent && body_is_long(px)))
		ex_pause_body(ex);
}

static void on_ex_body_end(struct exchange *ex)
{
	struct px *px = ex->user;

	if (px->state == PX_OVER || px->body_ended)
		return;
	px->body_ended = true;
	if (px->state == PX_GATHERING) {
		admit(px);
		return;
	}
	if (px->state == PX_QUEUED)
		return;
	if (!list_is_empty(&px->link)) { /* an empty chunked body */
		list_del(&px->link);
		keep_for_replay(px, FORWARD_LAST_CHUNK);
		try_server(px, false, 0);
		return;
	}
	if (ex->req.body == BODY_CHUNKED) {
		keep_for_replay(px, FORWARD_LAST_CHUNK);
		call_write(&px->cur->call, FORWARD_LAST_CHUNK);
	}
	call_finish(&px->cur->call);
}

static void on_ex_drain(struct exchange *ex)
{
	struct px *px = ex->user;

	if (px->state == PX_STREAMING)
		call_resume(&px->cur->call);
}

/* --- the end --- */

static void write_log(struct px *px)
{
	struct access_line l = {
		.ex = px->ex,
		.service = px->target ? px->target->service->id : STR_EMPTY,
		.upstream = px->upstream ? px->upstream->id : STR_EMPTY,
		.service_is_graphic = px->target && px->target->service->id_is_graphic,
		.upstream_is_graphic = px->upstream && px->upstream->id_is_graphic,
		.cause = px->cause == GW_OK ? STR_EMPTY : gw_cause_desc(px->cause)->name,
		.tries = px->tries,
		.fallback = px->fallback,
		.trace = px->trace_id,
		.trace_len = px->trace_len,
		.now = now_of(px),
	};

	access_log_write(&px->g->log, &l);
}

static void on_ex_close(struct exchange *ex)
{
	struct px *px = ex->user;

	attempt_drop(px->cur, now_of(px));
	attempt_drop(TAKE(px->hedge), now_of(px));
	record(px, OUTCOME_CANCELLED);
	timer_park(&px->ex->timer);
	list_del(&px->link);
	write_log(px);
	buf_fini(&px->replay);
	trailers_fini(px->trailers);
	gw_picture_unref(px->picture);
}

static const struct exchange_ops exchange_ops = {
	.on_body = on_ex_body,
	.on_body_end = on_ex_body_end,
	.on_drain = on_ex_drain,
	.on_close = on_ex_close,
};

/* --- the beginning --- */

#define TRACE_NAMES                                                                                                    \
	(HEAD_BIT(H_X_B3_TRACEID) | HEAD_BIT(H_X_B3_SPANID) | HEAD_BIT(H_X_B3_PARENTSPANID) | HEAD_BIT(H_X_B3_SAMPLED) | \
	 HEAD_BIT(H_X_B3_FLAGS) | HEAD_BIT(H_B3) | HEAD_BIT(H_TRACEPARENT))

static void read_trace(struct px *px)
{
	const struct http_head *h = &px->ex->req;
	struct trace_headers th = { 0 };
	struct trace_make make = { .sampler = { px->picture->settings.sample_rate } };

	for (unsigned i = 0; h->seen & TRACE_NAMES && i < h->nfields; i++) {
		if (HEAD_BIT(h->field[i].id) & TRACE_NAMES)
			trace_headers_note(&th, h->field[i].name, h->field[i].value);
	}
	trace_serve(&px->trace, &th, TRACE_ALL, &make, &px->g->w->rng);
	px->trace_len = trace_fmt_id(px->trace_id, &px->trace);
}

static struct deadline deadline_of(const struct px *px)
{
	const struct cmd_settings *cs = &px->target->command;

	return forward_deadline(&px->ex->req, cs->timeout_enabled ? cs->timeout_ms * USEC_PER_MSEC : USEC_NEVER, now_of(px));
}

static void start_waiting(struct deferred *d)
{
	struct gw_worker *g = container_of(d, struct gw_worker, start_later);

	g->start_queued = false;
	while (!list_is_empty(&g->starting)) {
		struct px *px = list_entry(list_first(&g->starting), struct px, link);

		list_del(&px->link);
		try_server(px, false, 0);
	}
}

static void wait_for_body(struct px *px)
{
	struct gw_worker *g = px->g;

	list_push_back(&g->starting, &px->link);
	if (!g->start_queued) {
		g->start_queued = true;
		loop_defer(g->w->loop, &g->start_later, start_waiting);
	}
}

static void begin_trying(struct px *px)
{
	px->state = PX_WAITING;
	if (px->ex->body_done) {
		px->body_ended = true;
		try_server(px, false, 0);
		return;
	}
	timer_set(px->g->w->loop, &px->ex->timer, px->deadline.at);
	ex_resume_body(px->ex);
	wait_for_body(px);
}

static void slot_granted(void *owner)
{
	struct px *px = owner;

	command_dequeued(px->target->service->command);
	command_started(px->target->service->command);
	begin_trying(px);
}

/* THREAD isolation: a place in the pool, now or later. */
static void take_slot(struct px *px)
{
	const struct gw_target *t = px->target;

	switch (gw_slot_take(&px->slot, px->g, t->pool, &t->pool_settings, slot_granted, px)) {
	case POOL_RUN:
		command_started(t->service->command);
		begin_trying(px);
		return;
	case POOL_REJECTED:
		give_up(px, GW_POOL_REJECTED);
		return;
	case POOL_WAIT:
		break;
	}
	px->state = PX_QUEUED;
	command_queued(t->service->command);
	timer_set(px->g->w->loop, &px->ex->timer, px->deadline.at);
	if (!px->ex->body_done)
		ex_pause_body(px->ex);
}

static void admit(struct px *px)
{
	const struct gw_target *t = px->target;

	switch (command_admit(t->service->command, &t->command, now_of(px), stripe_of(px), &px->ticket)) {
	case ADMIT_OK:
		px->has_ticket = true;
		break;
	case ADMIT_SHORT_CIRCUITED:
		give_up(px, GW_CIRCUIT_OPEN);
		return;
	case ADMIT_SEMAPHORE_REJECTED:
		give_up(px, GW_REJECTED);
		return;
	}
	retry_budget_request(&t->service->ribbon->budget, &t->lb.budget);
	px->deadline = deadline_of(px);
	if (unlikely(t->pool))
		take_slot(px);
	else
		begin_trying(px);
}

static bool body_is_small(const struct px *px)
{
	const struct http_head *h = &px->ex->req;

	return !px->ex->body_done && h->body == BODY_LENGTH && h->content_length <= px->picture->settings.replay_max &&
	       !h->expect_continue;
}

/* A TRACE or OPTIONS that has used up its hops is answered. */
static bool ends_here(struct px *px)
{
	switch (max_forwards_count(px->ex)) {
	case HOPS_ON:
		break;
	case HOPS_END:
		px->state = PX_OVER;
		max_forwards_answer(px->ex);
		return true;
	case HOPS_BAD:
		give_up(px, GW_BAD_MAX_FORWARDS);
		return true;
	}
	return false;
}

static inline struct px *px_begin(struct exchange *ex, struct gw_worker *g)
{
	struct px *px = arena_zalloc(&ex->arena, sizeof(*px));

	px->ex = ex;
	px->g = g;
	px->picture = gw_picture_ref(g->picture);
	px->first.px = px;
	px->cur = &px->first;
	px->deadline = DEADLINE_NONE;
	ex->timer.fn = on_timer;
	list_init(&px->link);
	buf_init(&px->replay, SIZE_MAX);
	ex->user = px;
	ex->ops = &exchange_ops;
	read_trace(px);
	return px;
}

void gw_outside(struct exchange *ex, struct gw_worker *g)
{
	give_up(px_begin(ex, g), GW_NO_ROUTE);
}

void gw_proxy(struct exchange *ex, struct gw_worker *g)
{
	struct px *px = px_begin(ex, g);

	if ((ex->req.mid == HTTP_OPTIONS || ex->req.mid == HTTP_TRACE) && ends_here(px))
		return;
	if (!path_canonical(&ex->arena, ex->req.path, &px->path)) {
		give_up(px, GW_BAD_PATH);
		return;
	}
	px->route = gw_routes_find(&px->picture->routes, px->path);
	if (!px->route) {
		give_up(px, GW_NO_ROUTE);
		return;
	}
	px->target = px->route->target;
	ex->pattern = px->route->path.ptr; /* the routes are made with a NUL behind them */
	if (!body_is_small(px))
		admit(px); /* else when it is here */
}
