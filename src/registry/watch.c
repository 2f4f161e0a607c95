/* watch.c - see watch.h. */
#include "registry/watch.h"

#include "codec/url.h"
#include "eureka/json.h"
#include "net/tally.h"
#include "registry/http.h"

#define BEHIND_MAX ((size_t)1 << 20) /* bytes that may wait for a watcher when the next event comes */
#define CHANGES_MAX 5000u            /* more in one event: fetching all is cheaper */
#define ALIVE_EVERY (10 * USEC_PER_SEC)
#define WAIT_DEFAULT 30
#define WAIT_MAX 60
#define TEXT_MAX ((size_t)1 << 30)

struct watcher {
	struct list link;
	struct watch_hub *hub;
	struct exchange *ex;
	bool polls;
	struct timer timer; /* of a poll: its time is over */
};

/* --- texts --- */

/* "hash":"...","instances":[...] of what is later than `from`. Returns how many changes. */
static uint32_t changes_text(struct buf *b, const struct picture *p, uint64_t from, usec now)
{
	struct delta_walk w = picture_delta_after(p, from);
	char hash[APPS_HASH_MAX];
	uint32_t n = 0;
	struct jsonw j;

	buf_adds(b, STR("\"hash\":\""));
	buf_add(b, hash, apps_hash(hash, &p->counts));
	buf_adds(b, STR("\",\"instances\":["));
	jsonw_init(&j, b);
	for (const struct delta_item *it; (it = delta_next(&w)); n++) {
		struct instance d = entry_draft(it->entry, now, clock_wall());

		instance_json_write(&j, &d);
	}
	buf_addc(b, ']');
	return n;
}

static void id_line(struct buf *b, struct watch_hub *h)
{
	char version[VERSION_TEXT_MAX];

	buf_adds(b, STR("id: "));
	buf_adds(b, version_text(version, h->reg, h->seen->version));
	buf_addc(b, '\n');
}

static void change_event(struct buf *b, struct watch_hub *h, struct str changes)
{
	id_line(b, h);
	buf_adds(b, STR("event: change\ndata: {"));
	buf_adds(b, changes);
	buf_adds(b, STR("}\n\n"));
}

static void resync_event(struct buf *b, struct watch_hub *h, struct str why)
{
	id_line(b, h);
	buf_adds(b, STR("event: resync\ndata: {\"why\":"));
	json_quote(b, why);
	buf_adds(b, STR("}\n\n"));
}

/* The answer to a poll. changes: empty if there are none. */
static void poll_answer(struct exchange *ex, struct watch_hub *h, struct str changes, bool resync)
{
	static const struct field no_store = { STR_INIT("Cache-Control"), STR_INIT("no-store") };
	_cleanup_(buf_finip) struct buf b = BUF_INIT(TEXT_MAX);
	char version[VERSION_TEXT_MAX], hash[APPS_HASH_MAX];
	size_t n = apps_hash(hash, &h->seen->counts);

	buf_adds(&b, STR("{\"version\":\""));
	buf_adds(&b, version_text(version, h->reg, h->seen->version));
	buf_addf(&b, "\",\"resync\":%s,", resync ? "true" : "false");
	if (changes.len)
		buf_adds(&b, changes);
	else
		buf_addf(&b, "\"hash\":\"%.*s\",\"instances\":[]", (int)n, hash);
	buf_addc(&b, '}');
	ex_respond(ex, 200, STR("application/json"), buf_str(&b), &no_store, 1);
}

/* --- telling --- */

static void send_away(struct watcher *w, struct str why)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT(4096);

	atomic_fetch_add_explicit(&w->hub->shared->resyncs, 1, memory_order_relaxed);
	if (w->polls) {
		poll_answer(w->ex, w->hub, STR_EMPTY, true);
		return;
	}
	resync_event(&b, w->hub, why);
	ex_write_end(w->ex, buf_str(&b));
}

static void tell_stream(struct watcher *w, struct str event)
{
	if (ex_pending(w->ex) > BEHIND_MAX)
		send_away(w, str_printf_in(&w->ex->arena, "too slow: %zu bytes wait", ex_pending(w->ex)));
	else
		ex_write(w->ex, event);
}

static void tell_all(struct watch_hub *h, struct str changes)
{
	_cleanup_(buf_finip) struct buf event = BUF_INIT(TEXT_MAX);

	change_event(&event, h, changes);
	list_foreach(l, &h->streams)
		tell_stream(list_entry(l, struct watcher, link), buf_str(&event));
	list_foreach(l, &h->polls)
		poll_answer(list_entry(l, struct watcher, link)->ex, h, changes, false);
}

static void send_all_away(struct watch_hub *h, struct str why)
{
	list_foreach(l, &h->streams)
		send_away(list_entry(l, struct watcher, link), why);
	list_foreach(l, &h->polls)
		send_away(list_entry(l, struct watcher, link), why);
}

/* Brings everybody to the newest picture. */
static void catch_up(struct watch_hub *h)
{
	const struct picture *p = registry_see(h->reg, &h->seen);
	_cleanup_(buf_finip) struct buf changes = BUF_INIT(TEXT_MAX);
	uint64_t from = h->version;

	h->version = p->version;
	if (p->version == from || (list_is_empty(&h->streams) && list_is_empty(&h->polls)))
		return;
	if (from < p->delta_floor || picture_delta_after(p, from).left > CHANGES_MAX) {
		send_all_away(h, STR("too much has changed at once"));
		return;
	}
	if (changes_text(&changes, p, from, loop_now(h->loop)) == 0)
		return;
	tell_all(h, buf_str(&changes));
	timer_set(h->loop, &h->alive, loop_now(h->loop) + ALIVE_EVERY);
}

static void on_news(void *ctx)
{
	catch_up(ctx);
}

static void on_alive(struct timer *t)
{
	struct watch_hub *h = container_of(t, struct watch_hub, alive);

	list_foreach(l, &h->streams)
		tell_stream(list_entry(l, struct watcher, link), STR(": alive\n\n"));
	timer_set(h->loop, t, loop_now(h->loop) + ALIVE_EVERY);
}

/* --- who watches --- */

static void leave(struct exchange *ex)
{
	struct watcher *w = ex->user;
	struct watch_hub *h = w->hub;

	list_del(&w->link);
	timer_cancel(h->loop, &w->timer);
	atomic_fetch_sub_explicit(&h->shared->watching, 1, memory_order_relaxed);
	addr_tally_leave(h->shared->by_address, &ex->peer);
	if (list_is_empty(&h->streams) && list_is_empty(&h->polls)) {
		registry_unlisten(TAKE(h->listener));
		timer_park(&h->alive);
	}
}

static const struct exchange_ops watch_ops = { .on_close = leave };

static void on_poll_over(struct timer *t)
{
	struct watcher *w = container_of(t, struct watcher, timer);

	poll_answer(w->ex, w->hub, STR_EMPTY, false);
}

/* "EPOCH-N" of this epoch, of a picture that there was. */
static bool parse_version(struct watch_hub *h, struct str text, uint64_t *ret)
{
	char own[VERSION_TEXT_MAX];
	struct str head = version_text(own, h->reg, 0);

	head.len -= 1; /* the 0 */
	return str_has_prefix(text, head) && str_to_u64(str_slice(text, head.len, text.len), ret) &&
	       *ret <= h->seen->version;
}

/* Where it stands; false with why: it has to fetch all. */
static bool where_from(struct exchange *ex, struct watch_hub *h, uint64_t *from, struct str *why)
{
	const struct hfield *last = head_find_name(&ex->req, STR("Last-Event-ID"));
	struct str text = last ? last->value : STR_EMPTY;

	url_param(&ex->arena, ex->req.query, STR("from"), &text);
	if (!parse_version(h, text, from))
		*why = text.len ? STR("no version of this registry since its start") : STR("no version was given");
	else if (*from < h->seen->delta_floor)
		*why = STR("the changes since that version are not remembered any more");
	else if (picture_delta_after(h->seen, *from).left > CHANGES_MAX)
		*why = STR("too much has changed since that version");
	else
		return true;
	return false;
}

static void begin_stream(struct watcher *w)
{
	char version[VERSION_TEXT_MAX];
	struct buf *b = ex_head(w->ex, 200);

	head_add_date(w->ex, b);
	head_add(b, STR("Content-Type"), STR("text/event-stream"));
	head_add(b, STR("Cache-Control"), STR("no-store"));
	head_add(b, STR("X-Vine-Version"), version_text(version, w->hub->reg, w->hub->seen->version));
	ex_head_done(w->ex, EX_LENGTH_UNKNOWN);
}

/* At the start: what it does not know yet, or that it has to fetch all. May be the last use of w. */
static void greet(struct watcher *w, bool known, uint64_t from, struct str why, usec wait)
{
	struct watch_hub *h = w->hub;
	_cleanup_(buf_finip) struct buf changes = BUF_INIT(TEXT_MAX), event = BUF_INIT(TEXT_MAX);
	uint32_t n = known ? changes_text(&changes, h->seen, from, loop_now(h->loop)) : 0;

	if (!known) {
		send_away(w, why);
	} else if (w->polls && n) {
		poll_answer(w->ex, h, buf_str(&changes), false);
	} else if (w->polls) {
		timer_set(h->loop, &w->timer, loop_now(h->loop) + wait);
	} else if (n) {
		change_event(&event, h, buf_str(&changes));
		ex_write(w->ex, buf_str(&event));
	}
}

static struct watcher *join(struct exchange *ex, struct watch_hub *h, bool polls)
{
	struct watcher *w = arena_zalloc(&ex->arena, sizeof(*w));

	w->hub = h;
	w->ex = ex;
	w->polls = polls;
	timer_init(&w->timer, on_poll_over);
	timer_park(&w->timer);
	ex->user = w;
	ex->ops = &watch_ops;
	list_push_back(polls ? &h->polls : &h->streams, &w->link);
	if (!h->listener) {
		h->listener = registry_listen(h->reg, h->mailbox, on_news, h);
		timer_set(h->loop, &h->alive, loop_now(h->loop) + ALIVE_EVERY);
	}
	return w;
}

/* One of the places, and of those that one address may have; else *why. */
static bool take_place(struct exchange *ex, struct watch_shared *s, struct str *why)
{
	if (atomic_fetch_add_explicit(&s->watching, 1, memory_order_relaxed) >=
	    atomic_load_explicit(&s->max, memory_order_relaxed))
		*why = STR("too many watch (vine.registry.max-watchers): poll\n");
	else if (!addr_tally_enter(s->by_address, &ex->peer))
		*why = STR("too many watch from this address (vine.registry.max-watchers-per-address): poll\n");
	else
		return true;
	atomic_fetch_sub_explicit(&s->watching, 1, memory_order_relaxed);
	return false;
}

static void refuse(struct exchange *ex, unsigned status, struct str text)
{
	static const struct field later = { STR_INIT("Retry-After"), STR_INIT("30") };

	ex_respond(ex, status, STR("text/plain;charset=UTF-8"), text, &later, status == 503);
}

void watch_request(struct exchange *ex, struct watch_hub *h)
{
	struct str accept = head_value(&ex->req, H_ACCEPT), text, why = STR_EMPTY;
	uint64_t from = 0, seconds = WAIT_DEFAULT;
	bool has_wait = url_param(&ex->arena, ex->req.query, STR("wait"), &text);
	bool polls = has_wait ||
		     (str_find(accept, STR("application/json")) >= 0 && str_find(accept, STR("text/event-stream")) < 0);

	ex->pattern = "/vine/watch";
	if (ex->req.mid != HTTP_GET) {
		refuse(ex, 405, STR("only GET\n"));
	} else if (has_wait && (!str_to_u64(text, &seconds) || seconds > WAIT_MAX)) {
		refuse(ex, 400, STR("wait is a number of seconds, at most 60\n"));
	} else if (!registry_serves(h->reg)) {
		refuse(ex, 403, STR("lists are not given yet: the peers are being asked\n"));
	} else if (h->draining) {
		refuse(ex, 503, STR("the registry ends: poll elsewhere\n"));
	} else if (!take_place(ex, h->shared, &why)) {
		refuse(ex, 503, why);
	} else {
		catch_up(h);

		struct watcher *w = join(ex, h, polls);
		bool known = where_from(ex, h, &from, &why);

		if (!polls)
			begin_stream(w);
		greet(w, known, from, why, (usec)seconds * USEC_PER_SEC);
	}
}

/* --- life --- */

void watch_hub_init(struct watch_hub *h, struct registry *reg, struct loop *loop, struct mailbox *mailbox,
		    struct watch_shared *shared)
{
	*h = (struct watch_hub){ .reg = reg, .loop = loop, .mailbox = mailbox, .shared = shared };
	list_init(&h->streams);
	list_init(&h->polls);
	timer_init(&h->alive, on_alive);
	h->version = registry_see(reg, &h->seen)->version;
}

void watch_hub_drain(struct watch_hub *h)
{
	h->draining = true;
	list_foreach(l, &h->streams)
		ex_end(list_entry(l, struct watcher, link)->ex);
	list_foreach(l, &h->polls)
		poll_answer(list_entry(l, struct watcher, link)->ex, h, STR_EMPTY, false);
}

void watch_hub_review(struct watch_hub *h, bool (*may)(struct exchange *ex, void *ctx), void *ctx)
{
	list_foreach(l, &h->streams) {
		struct exchange *ex = list_entry(l, struct watcher, link)->ex;

		if (!may(ex, ctx))
			ex_end(ex);
	}
	list_foreach(l, &h->polls)
		may(list_entry(l, struct watcher, link)->ex, ctx);
}

void watch_hub_fini(struct watch_hub *h)
{
	registry_unlisten(TAKE(h->listener));
	timer_cancel(h->loop, &h->alive);
	picture_unref(TAKE(h->seen));
}
