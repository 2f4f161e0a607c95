/* monitor.c - see monitor.h. */
#include "turbine/monitor.h"

#include <stdio.h>

#include "codec/base64.h"

#define PAUSE_FIRST USEC_PER_SEC
#define PAUSE_MAX (30 * USEC_PER_SEC)
#define PAUSE_NO_STREAM (60 * USEC_PER_SEC)

static void set_state(struct monitor *m, enum monitor_state to)
{
	m->state = to;
	m->since = loop_now(http_client_loop(m->env->http));
}

static usec now_of(const struct monitor *m)
{
	return loop_now(http_client_loop(m->env->http));
}

static void connect_now(struct monitor *m)
{
	sse_reset(&m->sse);
	m->is_paused = false;
	m->call.method = HTTP_GET;
	set_state(m, MONITOR_CONNECTING);
	call_start(m->env->http, &m->call, m->peer, buf_str(&m->head), STR_EMPTY, CALL_FRESH);
	call_timeout(&m->call, now_of(m) + MONITOR_SILENCE);
}

static void on_retry(struct timer *t)
{
	connect_now(container_of(t, struct monitor, retry));
}

/* --- losing it --- */

static usec pause_of(struct monitor *m, bool no_stream)
{
	usec span = PAUSE_FIRST;

	for (unsigned i = 1; i < m->failures && span < PAUSE_MAX; i++)
		span = MIN(span * 2, PAUSE_MAX);
	if (no_stream)
		span = PAUSE_NO_STREAM;
	return span - span / 4 + (usec)rng_below(m->env->rng, (uint32_t)(span / 2)); /* a quarter less or more */
}

static void lose(struct monitor *m, bool no_stream, const char *why, const char *more)
{
	usec now = now_of(m);
	enum log_level level = no_stream ? LOG_DEBUG : LOG_WARN;

	if (m->state == MONITOR_READING && now - m->since >= MONITOR_SILENCE)
		m->failures = 0;
	m->failures++;
	snprintf(m->why, sizeof(m->why), "%s%s%s", why, more ? ": " : "", more ? more : "");
	merge_leave(m->env->merge, &m->told);
	if (!m->is_known_lost)
		LOG(m->env->log, level, "no stream from an instance", F_STR("cluster", m->env->cluster),
		    F_STR("instance", m->id), F_Z("why", m->why));
	m->is_known_lost = true;
	set_state(m, MONITOR_WAITING);
	timer_set(http_client_loop(m->env->http), &m->retry, now + pause_of(m, no_stream));
}

/* --- the call --- */

static void on_head(struct call *c, const struct http_head *h)
{
	struct monitor *m = container_of(c, struct monitor, call);
	char status[16];

	if (h->status < 200)
		return;
	if (h->status != 200) {
		snprintf(status, sizeof(status), "%u", h->status);
		call_cancel(c);
		lose(m, h->status == 404, "answered", status);
		return;
	}
	set_state(m, MONITOR_READING);
	if (m->is_known_lost)
		LOG(m->env->log, LOG_INFO, "an instance's stream is back", F_STR("cluster", m->env->cluster),
		    F_STR("instance", m->id));
	m->is_known_lost = false;
	m->why[0] = '\0';
	call_timeout(c, now_of(m) + MONITOR_SILENCE);
}

static void on_event(void *ctx, struct str data)
{
	struct monitor *m = ctx;

	/* What is refused is counted there; nobody is helped by a line in the log for each. */
	if (merge_put(m->env->merge, &m->told, data, now_of(m), NULL) == 0)
		m->heard = now_of(m);
}

static void take_from(size_t *budget, size_t n)
{
	*budget -= MIN(*budget, n);
}

static void on_body(struct call *c, struct str piece)
{
	struct monitor *m = container_of(c, struct monitor, call);

	m->bytes += piece.len;
	take_from(&m->budget, piece.len);
	take_from(&m->env->budget, piece.len);
	call_timeout(c, now_of(m) + MONITOR_SILENCE);
	sse_feed(&m->sse, piece, on_event, m);
	if ((m->budget == 0 || m->env->budget == 0) && !m->is_paused) {
		m->is_paused = true;
		call_timeout(c, USEC_NEVER); /* it is we who are silent */
		call_pause(c);
	}
}

static void on_end(struct call *c)
{
	lose(container_of(c, struct monitor, call), false, "its stream ended", NULL);
}

static void on_fail(struct call *c, const struct call_failure *f)
{
	lose(container_of(c, struct monitor, call), false, call_cause_name(f->cause), f->why);
}

static void on_drain(struct call *c)
{
	(void)c;
}

static const struct call_ops ops = {
	.on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail, .on_drain = on_drain
};

void monitor_tick(struct monitor *m)
{
	m->budget = MONITOR_BUDGET;
	if (!m->is_paused)
		return;
	m->is_paused = false;
	call_timeout(&m->call, now_of(m) + MONITOR_SILENCE);
	call_resume(&m->call);
}

/* --- life --- */

static bool is_field_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
			return false;
	return s.len > 0;
}

static void add_credentials(struct buf *b, const struct member *m)
{
	struct buf plain = BUF_INIT(2 * INST_META_VALUE_MAX + 1);

	if (m->user.len == 0)
		return;
	buf_adds(&plain, m->user);
	buf_addc(&plain, ':');
	buf_adds(&plain, m->password);
	buf_addz(b, "Authorization: Basic ");
	base64_encode(b, buf_str(&plain), BASE64_STD);
	buf_addz(b, "\r\n");
	buf_fini(&plain);
}

/* The host comes from whoever registered it: with a blank in it it would be more than one line. */
static void write_head(struct buf *b, const struct member *m, struct str path)
{
	struct str host = is_field_value(m->host) ? m->host : STR("invalid");

	buf_addf(b, "GET %s%.*s HTTP/1.1\r\nHost: %.*s:%u\r\n", str_has_prefix(path, STR("/")) ? "" : "/", STRF(path),
		 STRF(host), m->port);
	buf_addz(b, "Accept: text/event-stream\r\nUser-Agent: vine/" VINE_VERSION "\r\n");
	add_credentials(b, m);
	buf_addz(b, "\r\n");
}

struct monitor *monitor_new(struct monitor_env *env, const struct member *of, struct str path)
{
	struct monitor *m = xzalloc(sizeof(*m));

	m->env = env;
	m->id = str_of(str_dup(of->id), of->id.len);
	m->host = str_of(str_dup(of->host), of->host.len);
	m->port = of->port;
	m->call.ops = &ops;
	m->budget = MONITOR_BUDGET;
	m->is_seen = true;
	buf_init(&m->head, 64 * 1024);
	write_head(&m->head, of, path);
	timer_init(&m->retry, on_retry);
	sse_init(&m->sse, EVENT_BYTES_MAX);
	merge_host_init(&m->told, env->seed);
	m->peer = http_client_peer_tls(env->http, m->host, m->port, of->secure ? env->tls : NULL);
	connect_now(m);
	return m;
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	call_cancel(&m->call);
	timer_cancel(http_client_loop(m->env->http), &m->retry);
	http_peer_unref(m->peer);
	merge_host_fini(m->env->merge, &m->told);
	sse_fini(&m->sse);
	buf_fini(&m->head);
	free((char *)(uintptr_t)m->id.ptr);
	free((char *)(uintptr_t)m->host.ptr);
	free(m);
}

const char *monitor_state_name(enum monitor_state st)
{
	static const char *const names[] = { "waiting", "connecting", "reading" };

	return (unsigned)st < ARRAY_LEN(names) ? names[st] : "?";
}
