/* trace.c - the trace of a request: continued from its headers, or begun; and that of the calls made on its behalf.
 *
 * Threads   request_trace runs on the loop thread, whose random numbers it uses; trace_for_call on the caller's. */
#include "client/impl.h"

static void note(struct trace_headers *th, const struct http_head *h)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		switch (h->field[i].id) {
		case H_B3:
		case H_X_B3_TRACEID:
		case H_X_B3_SPANID:
		case H_X_B3_PARENTSPANID:
		case H_X_B3_SAMPLED:
		case H_X_B3_FLAGS:
		case H_TRACEPARENT:
			trace_headers_note(th, h->field[i].name, h->field[i].value);
			break;
		default:
			break;
		}
	}
}

static void spell(struct vine_request *rq)
{
	unsigned n = trace_fmt_id(rq->trace_text, &rq->trace);

	rq->trace_text[n] = '\0';
	trace_fmt_span(rq->span_text, rq->trace.span);
	rq->span_text[TRACE_SPAN_MAX] = '\0';
}

void request_trace(struct vine_request *rq, const struct http_head *h)
{
	struct trace_headers th = { 0 };

	note(&th, h);
	trace_serve(&rq->trace, &th, TRACE_ALL, &rq->app->trace_make, &rq->app->rng);
	spell(rq);
}

void trace_for_call(struct trace_context *ret, const struct vine_app *app, struct rng *rng)
{
	const struct context *c = context_now();

	if (c && c->has_trace)
		trace_child(ret, &c->trace, rng);
	else
		trace_new(ret, &app->trace_make, rng);
}
