/* watch.c - see watch.h. */
#include "eureka/watch.h"

#include <stdio.h>

#include "codec/sse.h"
#include "codec/url.h"

#define CUTS_MAX 3 /* so many failed streams, one behind the other: ask instead */
#define ASK_SPARE (10 * USEC_PER_SEC)
#define ASK_GAP (10 * USEC_PER_MSEC)
#define ASK_AGAIN USEC_PER_SEC         /* while a fetch is out, or fails, without which nothing is asked that waits */
#define LATER_MAX (300 * USEC_PER_SEC) /* of a Retry-After */
#define SERVERS_MAX 16

enum watch_state { WATCH_OFF, WATCH_WAITING, WATCH_CONNECTING, WATCH_READING, WATCH_ASKING };

/* What is remembered of a server. */
struct watched_server {
	struct service_url url;
	struct http_peer *peer; /* a reference; NULL: an empty place */
	usec foreign_until, ask_until;
	unsigned cuts;
	bool told;
};

struct eureka_watch {
	struct push_source source;
	struct eureka_client *c;
	struct loop *loop;
	struct watch_limits limits;
	enum watch_state state;
	struct watched_server server[SERVERS_MAX];
	struct watched_server *at; /* of the registry that is followed */
	char version[APPS_VERSION_MAX];
	size_t version_len;
	struct call call;
	struct fetch fetch;
	struct sse sse;
	struct timer timer;  /* of the pause */
	struct timer second; /* the next share of bytes, while reading */
	struct buf head;
	size_t budget;
	usec since; /* of this state */
	usec looked; /* when it was last looked whether all is well */
	usec later; /* what a Retry-After asks for */
	unsigned failures, resyncs_in_row;
	bool live, paused, stopped, asked_at_once;
	uint64_t changes, resyncs, cuts;
};

static void connect_now(struct eureka_watch *w);

static void set_state(struct eureka_watch *w, enum watch_state to)
{
	w->state = to;
	w->since = loop_now(w->loop);
}

static struct str version_of(const struct eureka_watch *w)
{
	return str_of(w->version, w->version_len);
}

static void set_version(struct eureka_watch *w, struct str v)
{
	assert(v.len <= sizeof(w->version));
	if (v.len)
		memmove(w->version, v.ptr, v.len);
	w->version_len = v.len;
}

static bool version_parts(struct str v, struct str *epoch, uint64_t *n)
{
	size_t dash = v.len;

	while (dash && v.ptr[dash - 1] != '-')
		dash--;
	if (dash < 2)
		return false;
	*epoch = str_slice(v, 0, dash - 1);
	return str_to_u64(str_slice(v, dash, v.len), n);
}

bool eureka_version_follows(struct str version, struct str before)
{
	struct str epoch, old_epoch;
	uint64_t n, old;

	return version_parts(version, &epoch, &n) && version_parts(before, &old_epoch, &old) && str_eq(epoch, old_epoch) && n > old;
}

/* --- what the client is told --- */

static void tell_live(struct eureka_watch *w)
{
	if (w->live)
		return;
	w->live = true;
	if (!w->at->told)
		LOG(&w->c->log, LOG_INFO, "the registry tells of changes as they happen", F_Z("url", w->at->url.shown),
		    F_Z("by", w->state == WATCH_ASKING ? "long poll" : "event stream"));
	w->at->told = true;
	push_live(w->c);
}

static void tell_lost(struct eureka_watch *w, bool full)
{
	if (!w->live && !full)
		return;
	w->live = false;
	push_lost(w->c, full);
}

/* --- ends --- */

static void quiet(struct eureka_watch *w)
{
	call_cancel(&w->call);
	if (w->state == WATCH_ASKING)
		fetch_cancel(&w->fetch);
	timer_park(&w->timer);
	timer_park(&w->second);
	w->paused = false;
	set_state(w, WATCH_OFF);
}

static usec pause_of(struct eureka_watch *w, unsigned failures)
{
	usec p = w->limits.pause << MIN(failures > 0 ? failures - 1 : 0, 16u);

	p = MIN(p, w->limits.pause_max);
	p = p / 2 + (usec)(rng_unit(&w->c->rng) * (double)p);
	p = MAX(p, w->later);
	w->later = 0;
	return p;
}

static void wait_for_next(struct eureka_watch *w, usec span)
{
	quiet(w);
	set_state(w, WATCH_WAITING);
	timer_set(w->loop, &w->timer, loop_now(w->loop) + span);
}

/* The position is of no use any more: everything is to be fetched. */
static void resync(struct eureka_watch *w, struct str why)
{
	LOG(&w->c->log, LOG_DEBUG, "the watch begins anew with a full fetch", F_Z("url", w->at->url.shown), F_STR("why", str_slice(why, 0, 200)));
	w->resyncs++;
	if (w->state == WATCH_READING && loop_now(w->loop) - w->since >= w->limits.too_short)
		w->resyncs_in_row = 0;
	w->resyncs_in_row++;
	quiet(w);
	tell_lost(w, true);
}

/* It has failed, or ended; from where it stood it can go on. */
static void lose(struct eureka_watch *w, const char *why, bool is_cut, unsigned weight)
{
	usec lived = loop_now(w->loop) - w->since;

	LOG(&w->c->log, LOG_DEBUG, "the watch was lost", F_Z("url", w->at->url.shown), F_Z("why", why), F_INT("failures", w->failures + 1));
	w->cuts += is_cut;
	if (w->state == WATCH_READING && lived >= w->limits.too_short && weight == 1)
		w->failures = w->at->cuts = 0;
	else if (is_cut)
		w->at->cuts += weight;
	if (w->at->cuts >= CUTS_MAX) {
		LOG(&w->c->log, LOG_INFO, "event streams do not live: changes are asked for by long poll", F_Z("url", w->at->url.shown),
		    F_Z("why", why));
		w->at->cuts = 0;
		w->at->ask_until = loop_now(w->loop) + w->limits.again;
	}
	if (++w->failures > 1 || w->later)
		tell_lost(w, false);
	wait_for_next(w, pause_of(w, w->failures));
}

static void is_foreign(struct eureka_watch *w, const char *why)
{
	enum log_level level = w->at->foreign_until ? LOG_DEBUG : LOG_INFO; /* once */

	LOG(&w->c->log, level, "the registry has no watch: it is polled", F_Z("url", w->at->url.shown), F_Z("why", why));
	w->at->foreign_until = loop_now(w->loop) + w->limits.again;
	w->at->told = false;
	quiet(w);
	tell_lost(w, false);
}

static void refused(struct eureka_watch *w, unsigned status)
{
	char why[24];

	snprintf(why, sizeof(why), "status %u", status);
	if (status == 403) /* it gives no lists now: the fetches will say more */
		w->later = MAX(w->later, w->limits.pause_max);
	if (status >= 500 || status == 403 || status == 429 || status == 408)
		lose(w, why, false, 1);
	else
		is_foreign(w, why);
}

/* --- changes --- */

static void take_change(struct eureka_watch *w, const struct apps_doc *doc, struct str version)
{
	if (!eureka_version_follows(version, version_of(w))) {
		resync(w, STR("a version that does not follow"));
		return;
	}
	set_version(w, version);
	w->changes++;
	if (!push_changes(w->c, doc)) {
		if (w->state != WATCH_OFF) /* else the client has ended it meanwhile */
			resync(w, STR("the hash differs"));
		return;
	}
	w->resyncs_in_row = 0;
}

/* A client that is told everything asks nobody, and so would never come home to the registries of its zone. */
static bool session_is_over(const struct eureka_watch *w)
{
	const struct candidates *cand = &w->c->cand;

	if (cand->now < 0 || loop_now(w->loop) >= cand->session_until)
		return true;
	return w->c->detour.of != cand->now && !service_url_same(&cand->at[cand->now].url, &w->at->url);
}

/* Nothing has changed: what is held longer than its lease goes all the same. */
static void all_is_well(struct eureka_watch *w)
{
	static const struct apps_doc none;

	if (loop_now(w->loop) - w->looked < USEC_PER_SEC)
		return;
	w->looked = loop_now(w->loop);
	push_changes(w->c, &none);
	if (w->state != WATCH_OFF && session_is_over(w))
		tell_lost(w, false); /* it fetches from whom it chooses now; until then the stream is read on */
}

static bool decode(struct eureka_watch *w, struct apps_change *ret, struct str text)
{
	struct err e;

	if (apps_change_decode(ret, text, &e) == 0)
		return true;
	resync(w, str_from(e.text));
	return false;
}

/* --- the event stream --- */

static void on_event(void *ctx, struct str data)
{
	struct eureka_watch *w = ctx;
	struct apps_change change;

	if (w->state != WATCH_READING)
		return; /* of a piece whose beginning has ended it */
	if (str_eq(sse_name(&w->sse), STR("resync"))) {
		resync(w, data);
		return;
	}
	if (!str_eq(sse_name(&w->sse), STR("change")) || !decode(w, &change, data))
		return;
	take_change(w, &change.doc, sse_id(&w->sse));
	apps_doc_fini(&change.doc);
}

static void on_head(struct call *call, const struct http_head *h)
{
	struct eureka_watch *w = container_of(call, struct eureka_watch, call);
	struct str type = head_value(h, H_CONTENT_TYPE);
	uint64_t later;

	if (h->status < 200)
		return;
	if (h->status != 200) {
		if (str_to_u64(head_value(h, H_RETRY_AFTER), &later))
			w->later = MIN((usec)MIN(later, (uint64_t)3600) * USEC_PER_SEC, LATER_MAX);
		refused(w, h->status);
		return;
	}
	if (!str_has_prefix_nocase(type, STR("text/event-stream"))) {
		is_foreign(w, "the answer is no event stream");
		return;
	}
	set_state(w, WATCH_READING);
	call_timeout(call, loop_now(w->loop) + w->limits.silence);
	timer_set(w->loop, &w->second, loop_now(w->loop) + USEC_PER_SEC);
	tell_live(w);
}

static void on_body(struct call *call, struct str piece)
{
	struct eureka_watch *w = container_of(call, struct eureka_watch, call);
	uint64_t overlong = w->sse.overlong;

	if (!w->paused)
		call_timeout(call, loop_now(w->loop) + w->limits.silence);
	w->budget -= MIN(w->budget, piece.len);
	sse_feed(&w->sse, piece, on_event, w);
	if (w->state != WATCH_READING)
		return;
	if (w->sse.overlong != overlong) {
		resync(w, STR("an event was too large"));
		return;
	}
	all_is_well(w);
	if (w->state == WATCH_READING && w->budget == 0 && !w->paused) {
		w->paused = true;
		call_timeout(call, USEC_NEVER); /* it is we who are silent */
		call_pause(call);
	}
}

static void on_second(struct timer *t)
{
	struct eureka_watch *w = container_of(t, struct eureka_watch, second);

	w->budget = w->limits.budget;
	timer_set(w->loop, t, loop_now(w->loop) + USEC_PER_SEC);
	if (!w->paused)
		return;
	w->paused = false;
	call_timeout(&w->call, loop_now(w->loop) + w->limits.silence);
	call_resume(&w->call);
}

static void on_end(struct call *call)
{
	lose(container_of(call, struct eureka_watch, call), "the stream ended", true, 1);
}

/* Silence weighs more than an end: nothing that restarts is silent. Where no connection stood, no stream was cut. */
static void on_fail(struct call *call, const struct call_failure *f)
{
	struct eureka_watch *w = container_of(call, struct eureka_watch, call);
	bool is_silent = f->cause == CALL_TIMEOUT && f->class != CALL_NOT_SENT;

	if (f->cause == CALL_BAD_RESPONSE && w->state == WATCH_CONNECTING)
		is_foreign(w, f->why ? f->why : "its answer is no HTTP");
	else
		lose(w, is_silent ? "silent" : call_cause_name(f->cause), w->state == WATCH_READING || is_silent, is_silent ? 2 : 1);
}

static void on_drain(struct call *call)
{
	(void)call;
}

static const struct call_ops watch_ops = {
	.on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail, .on_drain = on_drain
};

/* --- requests --- */

/* "/eureka/" has it at /vine/watch, "/registry/eureka/v2/" at /registry/vine/watch. */
static struct str path_before(struct str base)
{
	static const struct str ends[] = { STR_INIT("/eureka/v2/"), STR_INIT("/eureka/") };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (base.len >= ends[i].len && str_eq(str_slice(base, base.len - ends[i].len, base.len), ends[i]))
			return str_slice(base, 0, base.len - ends[i].len);
	}
	return STR_EMPTY;
}

/* As the fetches say it: by the whole URL where a proxy is asked. */
static void add_target(const struct eureka_watch *w, struct buf *b)
{
	if (w->c->proxy) {
		buf_addz(b, "http://");
		chain_add_authority(b, &w->at->url);
	}
	buf_adds(b, path_before(str_from(w->at->url.path)));
	buf_addz(b, "/vine/watch?from=");
	url_encode_query(b, version_of(w));
}

static void add_fields(const struct eureka_watch *w, struct buf *b, const char *type)
{
	buf_addf(b, "Accept: %s\r\nUser-Agent: vine/" VINE_VERSION "\r\n%s", type, w->at->url.auth);
	if (w->c->proxy)
		chain_add_proxy_fields(w->c, b);
}

static void read_stream(struct eureka_watch *w)
{
	sse_reset(&w->sse);
	w->budget = w->limits.budget;
	buf_clear(&w->head);
	buf_addz(&w->head, "GET ");
	add_target(w, &w->head);
	buf_addz(&w->head, " HTTP/1.1\r\nHost: ");
	chain_add_authority(&w->head, &w->at->url);
	buf_addz(&w->head, "\r\n");
	add_fields(w, &w->head, "text/event-stream");
	buf_addz(&w->head, "\r\n");
	w->call.ops = &watch_ops;
	w->call.method = HTTP_GET;
	set_state(w, WATCH_CONNECTING);
	call_start(w->c->http, &w->call, w->at->peer, buf_str(&w->head), STR_EMPTY, CALL_FRESH);
	call_timeout(&w->call, loop_now(w->loop) + w->limits.begin);
}

/* --- the long poll --- */

static void answered(struct eureka_watch *w, const struct fetch *f)
{
	struct apps_change change;
	bool empty;

	if (!decode(w, &change, f->response))
		return;
	empty = change.doc.n == 0;
	tell_live(w);
	if (change.resync) {
		resync(w, STR("told so"));
	} else if (empty) {
		if (!str_eq(str_of(change.version, change.version_len), version_of(w)) || !push_changes(w->c, &change.doc))
			resync(w, STR("a version without a change, or a hash that differs"));
	} else {
		take_change(w, &change.doc, str_of(change.version, change.version_len));
	}
	apps_doc_fini(&change.doc);
	if (w->state != WATCH_ASKING)
		return;
	if (session_is_over(w))
		tell_lost(w, false);
	if (empty && !w->asked_at_once && loop_now(w->loop) - w->since < USEC_PER_SEC) {
		lose(w, "an empty answer, too soon", false, 1);
		return;
	}
	w->failures = 0;
	set_state(w, WATCH_OFF); /* the fetch is over */
	wait_for_next(w, w->live ? ASK_GAP : ASK_AGAIN);
}

static void on_answer(struct fetch *f)
{
	struct eureka_watch *w = container_of(f, struct eureka_watch, fetch);

	if (!f->ok)
		lose(w, f->failure.why ? f->failure.why : call_cause_name(f->failure.cause), false, 1);
	else if (f->status != 200)
		refused(w, f->status);
	else if (!str_has_prefix_nocase(f->content_type, STR("application/json")))
		is_foreign(w, "the answer is no JSON");
	else
		answered(w, f);
}

/* The first time, to see whether it works, without waiting. */
static void ask(struct eureka_watch *w)
{
	_cleanup_(buf_finip) struct buf fields = BUF_INIT(8192), host = BUF_INIT(512);
	unsigned seconds = w->live ? w->limits.ask_seconds : 0;

	buf_clear(&w->head);
	add_target(w, &w->head);
	buf_addf(&w->head, "&wait=%u", seconds);
	add_fields(w, &fields, "application/json");
	chain_add_authority(&host, &w->at->url);
	w->asked_at_once = seconds == 0;
	w->fetch.method = HTTP_GET;
	w->fetch.target = buf_str(&w->head);
	w->fetch.fields = buf_str(&fields);
	w->fetch.host = buf_str(&host);
	w->fetch.body = STR_EMPTY;
	w->fetch.max_body = w->limits.event_max;
	w->fetch.deadline = loop_now(w->loop) + (usec)seconds * USEC_PER_SEC + ASK_SPARE;
	w->fetch.done = on_answer;
	set_state(w, WATCH_ASKING);
	fetch_start(w->c->http, &w->fetch, w->at->peer);
}

static void connect_now(struct eureka_watch *w)
{
	if (loop_now(w->loop) < w->at->ask_until)
		ask(w);
	else
		read_stream(w);
}

static void on_timer(struct timer *t)
{
	connect_now(container_of(t, struct eureka_watch, timer));
}

/* --- what the client says --- */

/* The record of a server; an old one goes where there are too many. */
static struct watched_server *server_of(struct eureka_watch *w, struct http_peer *peer, const struct service_url *url)
{
	struct watched_server *place = NULL;

	for (size_t i = 0; i < SERVERS_MAX; i++) {
		struct watched_server *s = &w->server[i];

		if (s->peer && service_url_same(&s->url, url)) {
			place = s;
			break;
		}
		if (!place || (place->peer && (!s->peer || place == w->at)))
			place = s;
	}
	http_peer_ref(peer);
	http_peer_unref(place->peer);
	if (!place->peer || !service_url_same(&place->url, url))
		*place = (struct watched_server){ 0 };
	place->peer = peer;
	place->url = *url; /* its credentials may be new */
	return place;
}

/* What is watched is all that a registry has: of no use to who wants less, or other regions too. */
static bool may_watch(const struct eureka_watch *w, struct str version)
{
	return version.len && version.len <= sizeof(w->version) && !w->c->s.single_vip.len && !w->c->s.regions.len;
}

static void synced(struct push_source *p, struct http_peer *peer, const struct service_url *url, struct str version)
{
	struct eureka_watch *w = container_of(p, struct eureka_watch, source);
	struct watched_server *before = w->at;

	if (w->stopped)
		return;
	w->at = may_watch(w, version) ? server_of(w, peer, url) : NULL;
	if (w->at && w->at == before && w->state != WATCH_OFF && (w->state == WATCH_WAITING || str_eq(version, version_of(w)))) {
		set_version(w, version);
		if (w->live || w->state == WATCH_READING) { /* the client has asked for reasons of its own */
			w->live = true;
			push_live(w->c);
		}
		return;
	}
	quiet(w);
	if (!w->at || loop_now(w->loop) < w->at->foreign_until) {
		tell_lost(w, false);
		return;
	}
	if (w->at != before)
		w->failures = w->resyncs_in_row = 0;
	set_version(w, version);
	w->live = w->live && w->c->pushed; /* other settings have taken the word back */
	if (w->resyncs_in_row > 1) {
		tell_lost(w, false);
		wait_for_next(w, pause_of(w, w->resyncs_in_row + 3)); /* the second after a second or so */
	} else {
		connect_now(w);
	}
}

static void stop(struct push_source *p)
{
	struct eureka_watch *w = container_of(p, struct eureka_watch, source);

	w->stopped = true;
	w->live = false;
	quiet(w);
}

static void watch_free(struct push_source *p)
{
	struct eureka_watch *w = container_of(p, struct eureka_watch, source);

	for (size_t i = 0; i < SERVERS_MAX; i++)
		http_peer_unref(w->server[i].peer);
	timer_cancel(w->loop, &w->timer);
	timer_cancel(w->loop, &w->second);
	sse_fini(&w->sse);
	buf_fini(&w->head);
	free(w);
}

static const struct push_ops push_ops = { .synced = synced, .stop = stop, .free = watch_free };

struct eureka_watch *eureka_watch_new(struct eureka_client *c, const struct watch_limits *limits)
{
	static const struct watch_limits usual = WATCH_LIMITS;
	struct eureka_watch *w = xzalloc(sizeof(*w));

	w->limits = limits ? *limits : usual;
	w->source.ops = &push_ops;
	w->c = c;
	w->loop = c->loop;
	sse_init(&w->sse, w->limits.event_max);
	buf_init(&w->head, 16384);
	timer_init(&w->timer, on_timer);
	timer_init(&w->second, on_second);
	timer_park(&w->timer);
	timer_park(&w->second);
	push_attach(c, &w->source);
	return w;
}

void eureka_watch_report(const struct eureka_watch *w, struct eureka_watch_report *ret)
{
	static const char *const names[] = { "off", "waiting", "connecting", "reading", "asking" };

	*ret = (struct eureka_watch_report){
		.state = names[w->state], .live = w->live, .changes = w->changes, .resyncs = w->resyncs, .cuts = w->cuts
	};
	if (w->version_len)
		memcpy(ret->version, w->version, w->version_len);
}
