/* actuator.c - see actuator.h: the router, the guard before each endpoint, and the way to the control thread and back.
 *
 * Way back   The call is made on the thread of the exchange, filled in on the control thread, answered where it came from.
 *            Two things end it, in either order: the exchange closes, the call returns; the second one frees it. */
#include "manage/actuator.h"

#include <pthread.h>
#include <stdio.h>

#include "codec/json.h"
#include "codec/url.h"
#include "manage/documents.h"
#include "manage/guard.h"
#include "manage/host.h"
#include "manage/settings.h"
#include "props/props.h"

#define ENDPOINTS_MAX 64
#define BODY_MAX (64u * 1024)
#define ANSWER_MAX (64u * 1024 * 1024)

struct slot {
	struct actuator *a;
	struct endpoint ep;
	char pattern[BASEPATH_MAX + 128];
	size_t literal; /* bytes of the pattern before a variable, without a slash at their end */
};

struct actuator {
	struct host *h;
	struct router *router;
	struct str base; /* management.endpoints.web.base-path; empty: the endpoints are at the top */
	size_t n;
	struct slot slot[ENDPOINTS_MAX];
	size_t n_root;
	struct slot *root[ENDPOINTS_MAX]; /* those that do not stand below base */
	bool begins[256]; /* the bytes behind the slash of base and of those: few other paths have one of them there */
	pthread_mutex_t lock; /* leaf; guards creds */
	struct auth_creds creds;
};

/* --- access --- */

static enum auth_verdict judge(struct actuator *a, struct exchange *ex)
{
	struct auth_creds creds;

	pthread_mutex_lock(&a->lock);
	creds = a->creds;
	pthread_mutex_unlock(&a->lock);
	return ex_judge(ex, &creds);
}

static void guard(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct slot *s = ctx;
	enum auth_verdict v = judge(s->a, ex);

	ex->pattern = s->pattern;
	if (v == AUTH_CROSS_SITE || (v != AUTH_YES && !(s->ep.flags & ENDPOINT_OPEN)))
		ex_refuse(ex, v);
	else if (s->ep.call)
		ex_on_control(ex, s->a, m->n ? m->var[0] : STR_EMPTY, s->ep.call, s->ep.ctx);
	else
		s->ep.fn(ex, m, s->ep.ctx);
}

void actuator_read_props(struct actuator *a)
{
	struct auth_creds creds = { 0 };
	struct str user = props_str(a->h->props, "vine.management.user");
	struct str password = props_str(a->h->props, "vine.management.password");

	if (password.len == 0) { /* Boot's actuator takes the application's user */
		user = props_str(a->h->props, "spring.security.user.name");
		password = props_str(a->h->props, "spring.security.user.password");
		if (!auth_plain_password(&password))
			password = STR_EMPTY;
	}
	if (auth_creds_set(&creds, user, password) < 0)
		LOG(&a->h->log, LOG_ERROR, "vine.management.password is too long: there are no credentials");
	pthread_mutex_lock(&a->lock);
	a->creds = creds;
	pthread_mutex_unlock(&a->lock);
}

/* --- the router --- */

void actuator_add(struct actuator *a, const struct endpoint *ep)
{
	struct slot *s = &a->slot[a->n++];
	struct str base = ep->flags & ENDPOINT_ROOT ? STR_EMPTY : a->base;
	const char *brace;

	assert(a->n <= ENDPOINTS_MAX);
	*s = (struct slot){ .a = a, .ep = *ep };
	snprintf(s->pattern, sizeof(s->pattern), "%.*s%s", STRF(base), ep->pattern);
	brace = strchr(s->pattern, '{');
	s->literal = brace ? (size_t)(brace - s->pattern) - 1 : strlen(s->pattern);
	a->begins[(unsigned char)s->pattern[1]] = true;
	if (base.len == 0)
		a->root[a->n_root++] = s;
	router_add(a->router, ep->methods, s->pattern, guard, s);
}

static bool is_below(struct str path, struct str top)
{
	return str_has_prefix(path, top) && (path.len == top.len || path.ptr[top.len] == '/');
}

bool actuator_takes(const struct actuator *a, struct str path)
{
	if (path.len < 2 || likely(!a->begins[(unsigned char)path.ptr[1]]))
		return false;
	if (a->base.len && is_below(path, a->base))
		return true;
	for (size_t i = 0; i < a->n_root; i++) {
		if (is_below(path, str_of(a->root[i]->pattern, a->root[i]->literal)))
			return true;
	}
	return false;
}

struct str actuator_base(struct exchange *ex, const struct actuator *a)
{
	return str_printf_in(&ex->arena, "%.*s%.*s", STRF(ex_context(ex)), STRF(a->base));
}

void actuator_handle(struct exchange *ex, void *actuator)
{
	router_handler(ex, ((struct actuator *)actuator)->router);
}

/* --- the index --- */

static const char *const type_v3 = "application/vnd.spring-boot.actuator.v3+json";
static const char *const type_v2 = "application/vnd.spring-boot.actuator.v2+json";

/* v3 whenever it is acceptable: Boot Admin takes plain JSON for Boot 1.x and rewrites it. */
static const char *boot_type(struct str accept)
{
	if (accept.len == 0 || str_find(accept, STR("actuator.v3+json")) >= 0 || str_find(accept, STR("*/*")) >= 0 ||
	    str_find(accept, STR("application/*")) >= 0)
		return type_v3;
	if (str_find(accept, STR("actuator.v2+json")) >= 0)
		return type_v2;
	if (str_find(accept, STR("application/json")) >= 0)
		return "application/json";
	return type_v3;
}

void ex_respond_actuator(struct exchange *ex, unsigned status, struct str json)
{
	ex_respond(ex, status, str_from(boot_type(head_value(&ex->req, H_ACCEPT))), json, NULL, 0);
}

/* "http://host:port/ctx": what is before every pattern. */
static struct str root_url(struct exchange *ex)
{
	return str_printf_in(&ex->arena, "%s://%.*s%.*s", ex->secure ? "https" : "http", STRF(ex->req.authority),
			     STRF(ex_context(ex)));
}

static void add_href(struct jsonw *w, struct str rel, struct str href, bool templated)
{
	jsonw_key(w, rel);
	jsonw_object(w);
	jsonw_key_str(w, STR("href"), href);
	jsonw_key_bool(w, STR("templated"), templated);
	jsonw_object_end(w);
}

/* "metrics", "metrics-requiredMetricName": Boot names a templated link after its variable. */
static void add_link(struct jsonw *w, struct exchange *ex, struct str root, const struct slot *s)
{
	const char *open = strchr(s->ep.pattern, '{'), *name = open ? open + 1 + (open[1] == '*') : "";
	struct str rel = str_printf_in(&ex->arena, "%s%s%.*s", s->ep.id, open ? "-" : "", (int)strcspn(name, "}"), name);

	add_href(w, rel, str_printf_in(&ex->arena, "%.*s%s", STRF(root), s->pattern), open != NULL);
}

static void index_get(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct actuator *a = ctx;
	struct buf out = BUF_INIT(ANSWER_MAX);
	struct str root = root_url(ex);
	struct jsonw w;

	(void)m;
	jsonw_init(&w, &out);
	jsonw_object(&w);
	jsonw_key(&w, STR("_links"));
	jsonw_object(&w);
	add_href(&w, STR("self"), str_printf_in(&ex->arena, "%.*s%.*s", STRF(root), STRF(a->base)), false);
	for (size_t i = 0; i < a->n; i++) {
		if (!(a->slot[i].ep.flags & ENDPOINT_HIDDEN))
			add_link(&w, ex, root, &a->slot[i]);
	}
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	ex_respond_actuator(ex, 200, buf_str(&out));
	buf_fini(&out);
}

/* --- to the control thread and back --- */

struct pending {
	struct control_call call;
	struct arena arena;
	struct exchange *ex; /* NULL: closed. On its own thread only */
	struct worker *w;    /* whose exchange it is; NULL: the control thread's */
	void (*fn)(struct control_call *c);
	struct buf body;
	bool running; /* fn is */
	bool later;   /* the answer comes after fn has returned */
	bool sent; /* on its way; until then the exchange's close frees it */
	bool back; /* the answer has come back; on the exchange's thread only */
};

static void pending_free(struct pending *p)
{
	buf_fini(&p->call.out);
	buf_fini(&p->body);
	arena_fini(&p->arena);
	free(p);
}

static void on_close(struct exchange *ex)
{
	struct pending *p = ex->user;

	p->ex = NULL;
	if (p->back || !p->sent)
		pending_free(p);
}

static void answer(struct worker *w, void *arg)
{
	struct pending *p = arg;
	struct control_call *c = &p->call;

	(void)w;
	p->back = true;
	if (!p->ex)
		pending_free(p);
	else if (c->out.failed)
		ex_respond_text(p->ex, 500, STR("the document is too large"));
	else
		ex_respond(p->ex, c->status, c->status == 204 ? STR_EMPTY : str_from(c->type), buf_str(&c->out), NULL, 0);
}

static void run_call(struct host *h, void *arg)
{
	struct pending *p = arg;

	if (!h->role_started) { /* its workers have ended, and with them the exchange */
		pending_free(p);
		return;
	}
	p->running = true;
	p->fn(&p->call);
	p->running = false;
	if (!p->later)
		call_answer(&p->call);
}

void call_later(struct control_call *c)
{
	container_of(c, struct pending, call)->later = true;
}

void call_answer(struct control_call *c)
{
	struct pending *p = container_of(c, struct pending, call);

	if (p->running) { /* it came at once after all */
		p->later = false;
		return;
	}
	if (!c->type)
		c->type = boot_type(c->accept);
	if (!p->w)
		answer(NULL, p);
	else if (!worker_post(p->w, answer, p))
		pending_free(p);
}

static struct worker *worker_of(struct host *h, const struct exchange *ex)
{
	struct loop *l = http_server_loop(ex->server);

	for (unsigned i = 0; i < h->n_workers; i++) {
		if (h->workers[i].loop == l)
			return &h->workers[i];
	}
	assert(l == h->loop);
	return NULL;
}

static void send_call(struct pending *p)
{
	struct host *h = p->call.host;

	p->sent = true;
	if (!p->w)
		run_call(h, p);
	else
		host_call_control(h, run_call, p); /* open as long as there are workers */
}

static void on_body(struct exchange *ex, struct str piece)
{
	struct pending *p = ex->user;

	if (buf_adds(&p->body, piece))
		return;
	ex_close_after(ex);
	ex_respond_text(ex, 413, STR("the request's body is too large\n"));
}

static void on_body_end(struct exchange *ex)
{
	struct pending *p = ex->user;

	p->call.body = buf_str(&p->body);
	send_call(p);
}

static const struct exchange_ops pending_ops = { .on_body = on_body, .on_body_end = on_body_end, .on_close = on_close };

static struct pending *pending_new(struct exchange *ex, struct actuator *a, struct str path)
{
	struct pending *p = xzalloc(sizeof(*p));

	arena_init(&p->arena, 2048);
	p->ex = ex;
	p->w = worker_of(a->h, ex);
	p->call = (struct control_call){
		.host = a->h,
		.arena = &p->arena,
		.root = str_dup_in(&p->arena, root_url(ex)),
		.path = str_dup_in(&p->arena, path),
		.query = str_dup_in(&p->arena, ex->req.query),
		.accept = str_dup_in(&p->arena, head_value(&ex->req, H_ACCEPT)),
		.trusted = judge(a, ex) == AUTH_YES,
		.status = 200,
		.out = BUF_INIT(ANSWER_MAX),
	};
	p->body = BUF_INIT(BODY_MAX);
	ex->ops = &pending_ops;
	ex->user = p;
	return p;
}

void ex_on_control(struct exchange *ex, struct actuator *a, struct str path, void (*fn)(struct control_call *c), void *ctx)
{
	struct pending *p = pending_new(ex, a, path);

	p->fn = fn;
	p->call.ctx = ctx;
	if (ex->body_done)
		on_body_end(ex);
	else
		ex_send_continue(ex);
}

/* --- for calls --- */

bool call_query(struct control_call *c, const char *name, size_t *pos, struct str *ret)
{
	struct str rest = str_slice(c->query, *pos, c->query.len), key, value;

	while (url_next_param(&rest, &key, &value)) {
		*pos = c->query.len - rest.len;
		if (url_decode(c->arena, key, true, &key) && str_eq(key, str_from(name)) && url_decode(c->arena, value, true, ret))
			return true;
	}
	return false;
}

void document_fail(struct buf *b, unsigned status, const char *why)
{
	struct jsonw w;

	buf_clear(b);
	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_u64(&w, STR("status"), status);
	jsonw_key_str(&w, STR("error"), http_reason(status));
	jsonw_key_str(&w, STR("message"), str_from(why));
	jsonw_object_end(&w);
}

void call_fail(struct control_call *c, unsigned status, const char *why)
{
	document_fail(&c->out, status, why);
	c->status = status;
	c->type = "application/json";
}

/* --- */

struct actuator *actuator_new(struct host *h)
{
	struct actuator *a = xzalloc(sizeof(*a));

	a->h = h;
	a->base = basepath_str(&h->paths->actuator);
	a->router = router_new();
	pthread_mutex_init(&a->lock, NULL);
	actuator_read_props(a);
	if (a->base.len || h->settings->has_management) /* the top of what a role serves is the role's */
		actuator_add(a, &(struct endpoint){ "self", "GET", "", .fn = index_get, .ctx = a, .flags = ENDPOINT_HIDDEN });
	documents_add(a);
	return a;
}

void actuator_free(struct actuator *a)
{
	if (!a)
		return;
	router_free(a->router);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
