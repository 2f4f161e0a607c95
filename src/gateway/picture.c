/* picture.c - from properties and the registry's view to routes, targets and servers. */
#include "gateway/picture.h"

#include <stdio.h>

#include "eureka/view.h"
#include "flow/properties.h"
#include "http/identities.h"
#include "props/check.h"

#define GROUP STR("RibbonCommand") /* the command group of Zuul's Ribbon commands, and their shared pool's key */

struct build {
	struct gw_picture *pic;
	struct gw_services *services;
	const struct props *p;
	const struct eureka_view *view;
	bool reread;
	usec now;
	struct err *e;
	unsigned cap_routes;
	const struct gw_picture *old; /* may be taken over from; NULL: everything is made anew */
	struct arena *texts;          /* where what is being made has its texts */
	struct map paths;             /* of the routes so far */
	struct str ignored[64];       /* zuul.ignored-services */
	size_t n_ignored;
	bool ignores_self;
};

/* --- life --- */

struct gw_picture *gw_picture_ref(struct gw_picture *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

static void target_unref(struct gw_target *t)
{
	while (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
		struct gw_target *origin = t->origin;

		server_set_unref(t->set);
		pool_unref(t->pool);
		props_unref(t->props);
		arena_fini(&t->arena);
		free(t);
		t = origin;
	}
}

void gw_picture_unref(struct gw_picture *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < p->n_targets; i++)
		target_unref(p->targets[i]);
	gw_routes_fini(&p->routes);
	props_unref(p->props);
	arena_fini(&p->arena);
	free(p);
}

bool gw_is_trusted(const struct gw_settings *s, const struct addr *peer)
{
	for (unsigned i = 0; i < s->n_trusted; i++) {
		if (cidr_has(&s->trusted[i], peer))
			return true;
	}
	return false;
}

void gw_services_init(struct gw_services *s, struct command_table *commands, struct keyed_table *pools,
		      const struct ribbon_env *ribbon, uint64_t seed)
{
	*s = (struct gw_services){ .commands = commands, .pools = pools, .ribbon = ribbon, .seed = seed };
	map_init(&s->by_id, seed);
}

void gw_services_fini(struct gw_services *s)
{
	size_t pos = 0;
	struct gw_service *svc;

	gw_picture_unref(s->last);
	while ((svc = map_next(&s->by_id, &pos))) {
		ribbon_free(svc->ribbon);
		command_unref(svc->command);
		free((char *)(uintptr_t)svc->id.ptr);
		free(svc);
	}
	map_fini(&s->by_id);
}

/* --- settings --- */

static bool is_set(const struct props *p, const char *name, struct str key)
{
	return props_is_set(p, name, key, false);
}

#define CMD "hystrix.command.{key}."

static uint32_t u32_of(const struct props *p, const char *name, struct str key)
{
	int64_t v = props_int_of(p, name, key);

	return (uint32_t)MIN(MAX(v, (int64_t)0), (int64_t)UINT32_MAX);
}

/* Zuul's rule: the command's own property, else Zuul's value, else what the tries can take together. */
static msec command_timeout(const struct props *p, struct str service)
{
	static const char name[] = CMD "execution.isolation.thread.timeoutInMilliseconds";

	if (props_is_set(p, name, service, true))
		return props_ms_of(p, name, service);
	return check_timeouts_of(p, service, service).tries_ms;
}

static uint32_t semaphore_limit(const struct props *p, struct str service)
{
	static const char own[] = CMD "execution.isolation.semaphore.maxConcurrentRequests";
	static const char zuul[] = "zuul.eureka.{service}.semaphore.max-semaphores";

	if (is_set(p, own, service))
		return u32_of(p, own, service);
	if (is_set(p, zuul, service))
		return u32_of(p, zuul, service);
	return u32_of(p, "zuul.semaphore.max-semaphores", STR_EMPTY);
}

/* Zuul codes its own strategy into the command, which beats hystrix.command.default and is beaten by the command's own. */
static enum flow_isolation isolation_of(const struct props *p, struct str key)
{
	static const char own[] = CMD "execution.isolation.strategy";
	struct str word = is_set(p, own, key) ? props_str_of(p, own, key) : props_str(p, "zuul.ribbon-isolation-strategy");

	return str_eq_nocase(word, STR("THREAD")) ? FLOW_THREAD : FLOW_SEMAPHORE;
}

void gw_command_settings(struct cmd_settings *ret, const struct props *p, struct str key)
{
	cmd_settings_read(ret, p, key);
	ret->isolation = isolation_of(p, key);
	ret->timeout_ms = command_timeout(p, key);
	ret->semaphore_max = semaphore_limit(p, key);
}

/* "502" or "500-599" */
static int read_failures(struct build *b)
{
	struct str list[64];
	size_t n = props_list(b->p, "vine.gateway.failure-statuses", STR_EMPTY, list, ARRAY_LEN(list));

	for (size_t i = 0; i < n; i++) {
		ptrdiff_t dash = str_chr(list[i], '-');
		struct str low = dash < 0 ? list[i] : str_slice(list[i], 0, (size_t)dash);
		struct str high = dash < 0 ? list[i] : str_slice(list[i], (size_t)dash + 1, list[i].len);
		uint64_t from, to;

		if (!str_to_u64(str_trim(low), &from) || !str_to_u64(str_trim(high), &to) || from < 200 || to > 999 || from > to)
			return err_set(b->e, VINE_EINVAL, "vine.gateway.failure-statuses: '%.*s' is not a status or range", STRF(list[i]));
		for (uint64_t s = from; s <= to; s++)
			b->pic->settings.failure_status[s / 64] |= (uint64_t)1 << s % 64;
	}
	return 0;
}

static int read_settings(struct build *b)
{
	struct gw_settings *s = &b->pic->settings;
	struct str ranges[TRUSTED_MAX];
	size_t n = props_list(b->p, "vine.gateway.trusted-proxies", STR_EMPTY, ranges, TRUSTED_MAX);

	s->add_proxy_headers = props_bool(b->p, "zuul.add-proxy-headers");
	s->add_host_header = props_bool(b->p, "zuul.add-host-header");
	s->replay_max = (size_t)props_bytes(b->p, "vine.gateway.replay-buffer");
	s->stream_idle = props_ms(b->p, "vine.gateway.stream-idle-timeout-ms") * USEC_PER_MSEC;
	if (s->stream_idle == 0)
		s->stream_idle = USEC_NEVER / 2; /* added to a time it must not overflow */
	s->sample_rate = props_double(b->p, "vine.trace.sample-rate");
	for (size_t i = 0; i < n; i++) {
		if (!cidr_parse(&s->trusted[s->n_trusted], ranges[i]))
			return err_set(b->e, VINE_EINVAL, "vine.gateway.trusted-proxies: '%.*s' is not an address or range", STRF(ranges[i]));
		s->n_trusted++;
	}
	return read_failures(b);
}

/* --- services and servers --- */

static struct gw_service *service_of(struct build *b, struct str id)
{
	struct gw_service *svc = map_get(&b->services->by_id, id);

	if (svc)
		return svc;

	struct command *cmd = command_table_take(b->services->commands, id, GROUP, b->now);

	if (!cmd)
		return NULL;
	svc = xzalloc(sizeof(*svc));
	svc->id = str_of(str_dup(id), id.len);
	svc->id_is_graphic = str_is_graphic(id);
	svc->command = cmd;
	svc->ribbon = ribbon_new(id, b->services->ribbon, b->now);
	map_put(&b->services->by_id, svc->id, svc);
	return svc;
}

static int find_servers(struct build *b, struct gw_target *t)
{
	struct ribbon *rb = t->service->ribbon;
	int r;

	if (b->services->trial)
		return ribbon_check(&t->lb, rb, b->e);
	r = ribbon_update(rb, &t->lb, b->view, b->reread, b->now, &t->set, b->e);
	if (r < 0)
		return r;
	t->servers = server_set_list(t->set);
	t->balancer = ribbon_balancer(rb, &t->lb);
	return 0;
}

static void read_fallback(struct build *b, struct gw_target *t)
{
	static const char body[] = "vine.gateway.fallbacks.{service}.body", status[] = "vine.gateway.fallbacks.{service}.status";
	struct str key = t->service->id;

	if (!is_set(b->p, body, key) && !is_set(b->p, status, key))
		key = STR("*");
	if (!is_set(b->p, body, key) && !is_set(b->p, status, key))
		return;
	t->fallback = (struct gw_fallback){
		.set = true,
		.status = u32_of(b->p, status, key),
		.type = props_str_of(b->p, "vine.gateway.fallbacks.{service}.content-type", key),
		.body = props_str_of(b->p, body, key),
	};
}

static struct gw_target *find_target(const struct build *b, struct str id)
{
	const struct gw_service *svc = map_get(&b->services->by_id, id);

	return svc && svc->built == b->pic->version ? svc->target : NULL;
}

/* Takes the reference. */
static void add_target(struct gw_picture *pic, struct gw_target *t)
{
	t->service->target = t;
	t->service->built = pic->version;
	if (pic->n_targets == pic->cap_targets) {
		unsigned cap = MAX(pic->cap_targets * 2, 16u);
		struct gw_target **all = arena_alloc(&pic->arena, cap * sizeof(*all));

		if (pic->n_targets)
			memcpy(all, pic->targets, pic->n_targets * sizeof(*all));
		pic->targets = all;
		pic->cap_targets = cap;
	}
	pic->targets[pic->n_targets++] = t;
}

static struct str pool_key_of(struct build *b, const struct gw_target *t)
{
	struct str id = t->service->id, prefix = props_str(b->p, "zuul.thread-pool.thread-pool-key-prefix");

	if (t->command.pool_key.len)
		return t->command.pool_key;
	if (!props_bool(b->p, "zuul.thread-pool.use-separate-thread-pools"))
		return GROUP;
	return str_printf_in(b->texts, "%.*s%.*s", STRF(prefix), STRF(id));
}

static int choose_pool(struct build *b, struct gw_target *t)
{
	struct str key = pool_key_of(b, t);
	int r;

	t->command.pool = key;
	if (t->command.isolation != FLOW_THREAD)
		return 0;
	pool_settings_read(&t->pool_settings, b->p, key);
	r = pool_settings_check(&t->pool_settings, key, b->e);
	if (r < 0)
		return r;
	t->pool = pool_table_take(b->services->pools, key, b->now);
	return t->pool ? 0 : err_set(b->e, VINE_ELIMIT, "%.*s: too many thread pools", STRF(key));
}

static int read_target(struct build *b, struct gw_target *t)
{
	struct str id = t->service->id;
	int r = ribbon_settings_read(&t->lb, t->service->ribbon, b->p, &t->arena, b->e);

	if (r < 0)
		return r;
	gw_command_settings(&t->command, b->p, id);
	r = cmd_settings_check(&t->command, id, b->e);
	if (r == 0)
		r = choose_pool(b, t);
	if (r == 0)
		read_fallback(b, t);
	return r;
}

static int make_target(struct build *b, struct str id, struct gw_target **ret)
{
	struct gw_service *svc = service_of(b, id);
	struct gw_target *t;

	if (!svc)
		return err_set(b->e, VINE_ELIMIT, "%.*s: too many services", STRF(id));
	t = xzalloc(sizeof(*t));
	atomic_init(&t->refs, 1);
	t->service = svc;
	t->props = props_ref(b->pic->props);
	arena_init(&t->arena, 512);
	add_target(b->pic, t);
	*ret = t;
	b->texts = &t->arena;

	int r = read_target(b, t);

	b->texts = &b->pic->arena;
	return r;
}

static struct gw_target *target_ref(struct gw_target *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

static struct gw_target *origin_of(struct gw_target *t)
{
	return t->origin ? t->origin : t;
}

/* The same settings, for other servers. */
static struct gw_target *target_again(struct gw_target *old)
{
	struct gw_target *t = xzalloc(sizeof(*t));

	t->service = old->service;
	t->lb = old->lb;
	t->command = old->command;
	t->pool = old->pool ? pool_ref(old->pool) : NULL;
	t->pool_settings = old->pool_settings;
	t->fallback = old->fallback;
	t->base_path = old->base_path;
	t->origin = target_ref(origin_of(old));
	atomic_init(&t->refs, 1);
	return t;
}

/* What the last picture had of it; NULL: nothing that may be taken over. */
static struct gw_target *last_target(const struct build *b, struct str id)
{
	const struct gw_service *svc = b->old ? map_get(&b->services->by_id, id) : NULL;

	return svc && svc->built == b->old->version && !svc->target->by_url ? svc->target : NULL;
}

static int target_of(struct build *b, struct str id, struct gw_target **ret)
{
	struct gw_target *t = find_target(b, id), *old = t ? NULL : last_target(b, id);
	int r = 0;

	if (old) {
		bool is_same = ribbon_is_current(old->service->ribbon, &old->lb, b->view, b->now);

		t = is_same ? target_ref(old) : target_again(old);
		add_target(b->pic, t);
	} else if (!t) {
		r = make_target(b, id, &t);
	}
	if (r == 0 && !t->set)
		r = find_servers(b, t);
	*ret = t;
	return r;
}

/* --- routes --- */

static struct gw_route *add_route(struct build *b, struct str id, struct str path)
{
	struct gw_routes *rs = &b->pic->routes;
	struct gw_route *rt = arena_zalloc(&b->pic->arena, sizeof(*rt));

	if (rs->n == b->cap_routes) {
		unsigned cap = MAX(b->cap_routes * 2, 16u);
		struct gw_route **all = arena_alloc(&b->pic->arena, cap * sizeof(*all));

		if (rs->n)
			memcpy(all, rs->list, rs->n * sizeof(*all));
		rs->list = all;
		b->cap_routes = cap;
	}
	assert(rs->list);
	rs->list[rs->n++] = rt;
	rt->id = id;
	rt->path = path;
	map_put(&b->paths, path, rt);
	return rt;
}

static struct str with_prefix(struct build *b, struct str path)
{
	struct str prefix = props_str(b->p, "zuul.prefix");
	bool slash = path.len == 0 || path.ptr[0] != '/';

	while (prefix.len && prefix.ptr[prefix.len - 1] == '/')
		prefix.len--;
	if (prefix.len && prefix.ptr[0] != '/')
		prefix = str_printf_in(b->texts, "/%.*s", STRF(prefix));
	return str_printf_in(b->texts, "%.*s%s%.*s", STRF(prefix), slash ? "/" : "", STRF(path));
}

static struct header_filter drop_list(struct build *b, const char *name, struct str key)
{
	struct str names[64];
	size_t n = props_list(b->p, name, key, names, ARRAY_LEN(names));
	struct buf all = BUF_INIT(64 * 1024);

	for (size_t i = 0; i < n; i++) {
		buf_adds(&all, names[i]);
		buf_addc(&all, ',');
	}

	struct header_filter f = header_filter_parse(b->texts, buf_str(&all));

	buf_fini(&all);
	return f;
}

static void finish_route(struct build *b, struct gw_route *rt)
{
	static const char own[] = "zuul.routes.{id}.sensitive-headers";
	struct header_filter ignored = drop_list(b, "zuul.ignored-headers", STR_EMPTY);

	rt->custom_sensitive = is_set(b->p, own, rt->id);
	rt->drop = rt->custom_sensitive ? drop_list(b, own, rt->id) : drop_list(b, "zuul.sensitive-headers", STR_EMPTY);
	header_filter_merge(&rt->drop, &ignored, b->texts);
	rt->prefix = ant_prefix(rt->path);
	rt->retryable = true;
	if (is_set(b->p, "zuul.routes.{id}.retryable", rt->id))
		rt->retryable = props_bool_of(b->p, "zuul.routes.{id}.retryable", rt->id);
	else if (is_set(b->p, "zuul.retryable", STR_EMPTY))
		rt->retryable = props_bool(b->p, "zuul.retryable");
}

static int url_target(struct build *b, struct gw_route *rt, struct str url)
{
	bool secure = str_has_prefix_nocase(url, STR("https://"));
	struct str rest = str_slice(url, secure ? 8 : 7, url.len);
	ptrdiff_t slash = str_chr(rest, '/');
	struct str authority = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash), base = STR_EMPTY;
	int r;

	if (!secure && !str_has_prefix_nocase(url, STR("http://")))
		return err_set(b->e, VINE_EINVAL, "zuul.routes.%.*s: '%.*s': only http:// and https:// can be proxied",
			       STRF(rt->id), STRF(url));
	if (slash >= 0)
		base = str_slice(rest, (size_t)slash, rest.len);
	while (base.len && base.ptr[base.len - 1] == '/')
		base.len--;
	rt->target = find_target(b, rt->id);
	r = rt->target ? 0 : make_target(b, rt->id, &rt->target);
	if (r < 0)
		return r;
	rt->target->by_url = true; /* so it is this picture's alone */
	rt->target->base_path = base;
	rt->target->lb.list = LIST_CONFIGURED; /* the address says where, whatever else is configured */
	rt->target->lb.listed = memcpy(arena_alloc(&b->pic->arena, sizeof(authority)), &authority, sizeof(authority));
	rt->target->lb.n_listed = 1;
	rt->target->lb.secure = secure;
	rt->target->lb.secure_set = true;
	if (b->services->ribbon->tls && secure)
		r = identities_ribbon(b->services->ribbon->tls, b->p, rt->id, true, &rt->target->lb.tls, b->e);
	if (r < 0)
		return r;
	server_set_unref(rt->target->set); /* of a service that has the route's name */
	rt->target->set = NULL;
	return find_servers(b, rt->target);
}

static int explicit_route(struct build *b, struct str id)
{
	struct str shape = props_str_of(b->p, "zuul.routes.{id}", id), path = props_str_of(b->p, "zuul.routes.{id}.path", id);
	struct str url = props_str_of(b->p, "zuul.routes.{id}.url", id), service = props_str_of(b->p, "zuul.routes.{id}.service-id", id);
	ptrdiff_t eq = str_chr(shape, '=');

	if (path.len == 0 && shape.len) {
		path = eq < 0 ? shape : str_slice(shape, 0, (size_t)eq);
		if (eq >= 0)
			service = str_slice(shape, (size_t)eq + 1, shape.len);
	}
	if (path.len == 0)
		path = str_printf_in(&b->pic->arena, "/%.*s/**", STRF(id));
	if (url.len == 0 && str_find(service, STR("://")) > 0)
		url = service;

	struct gw_route *rt = add_route(b, id, with_prefix(b, path));

	rt->strip = props_bool_of(b->p, "zuul.routes.{id}.strip-prefix", id);
	finish_route(b, rt);
	if (!rt->strip) { /* what zuul.prefix put in front is another switch */
		struct str prefix = props_str(b->p, "zuul.prefix");

		rt->strip = prefix.len > 0 && props_bool(b->p, "zuul.strip-prefix");
		rt->prefix = rt->strip ? str_slice(rt->path, 0, rt->path.len - path.len) : STR_EMPTY;
	}
	if (url.len && !str_has_prefix_nocase(url, STR("http")))
		return err_set(b->e, VINE_EINVAL, "zuul.routes.%.*s.url = %.*s: not an http:// or https:// address", STRF(id), STRF(url));
	if (url.len) {
		rt->location = url;
		return url_target(b, rt, url);
	}
	rt->location = service.len ? service : id;
	return target_of(b, rt->location, &rt->target);
}

static void read_ignored(struct build *b)
{
	b->n_ignored = props_list(b->p, "zuul.ignored-services", STR_EMPTY, b->ignored, ARRAY_LEN(b->ignored));
	b->ignores_self = props_bool(b->p, "zuul.ignore-local-service");
}

static bool is_ignored(const struct build *b, struct str service)
{
	if (b->ignores_self && str_eq_nocase(service, b->services->own))
		return true;
	for (size_t i = 0; i < b->n_ignored; i++) {
		if (ant_match(b->ignored[i], service)) /* neither has a slash, so `*` is any text */
			return true;
	}
	return false;
}

/* Its route as every picture with this configuration has it, but for the target; in the texts of the origin. */
static const struct gw_route *make_discovered(struct build *b, struct gw_target *t)
{
	struct gw_target *origin = origin_of(t);
	struct gw_route *rt = arena_zalloc(&origin->arena, sizeof(*rt));
	struct str id = t->service->id;

	b->texts = &origin->arena;
	rt->id = rt->location = id;
	rt->path = with_prefix(b, str_printf_in(b->texts, "/%.*s/**", STRF(id)));
	rt->strip = rt->discovered = true;
	finish_route(b, rt);
	b->texts = &b->pic->arena;
	return rt;
}

static void add_discovered(struct build *b, const struct gw_route *pattern, struct gw_target *t)
{
	struct gw_route *rt = add_route(b, pattern->id, pattern->path);

	*rt = *pattern;
	rt->target = t;
}

static int discovered_route(struct build *b, struct str app)
{
	char low[INST_NAME_MAX];
	struct str id = str_of(low, MIN(app.len, sizeof(low)));
	struct gw_target *t = NULL, *old;
	int r;

	for (size_t i = 0; i < id.len; i++)
		low[i] = ascii_lower(app.ptr[i]);
	old = last_target(b, id);
	if (!old || !origin_of(old)->discovered) {
		if (is_ignored(b, id) || map_get(&b->paths, with_prefix(b, str_printf_in(b->texts, "/%.*s/**", STRF(id)))))
			return 0;
	}
	r = target_of(b, id, &t);
	if (r < 0)
		return r;
	if (!origin_of(t)->discovered)
		origin_of(t)->discovered = make_discovered(b, t);
	add_discovered(b, origin_of(t)->discovered, t);
	return 0;
}

/* One route for each service of the registry. "/" with two stars, if there is one, comes last. */
static int discovered_routes(struct build *b)
{
	struct gw_routes *rs = &b->pic->routes;
	struct view_walk w = b->view ? eureka_view_walk(b->view) : (struct view_walk){ 0 };
	const struct view_group *g;
	int r = 0;

	read_ignored(b);
	while (b->view && r == 0 && (g = view_walk_next(&w)))
		r = discovered_route(b, g->name);
	for (unsigned i = 0; i + 1 < rs->n && r == 0; i++) {
		if (!str_eq(rs->list[i]->path, STR("/**")))
			continue;

		struct gw_route *all = rs->list[i];

		memmove(&rs->list[i], &rs->list[i + 1], (rs->n - i - 1) * sizeof(*rs->list));
		rs->list[rs->n - 1] = all;
		break;
	}
	return r;
}

static int build_routes(struct build *b)
{
	size_t max = props_count(b->p), n;
	struct str *ids = arena_alloc(&b->pic->arena, MAX(max, (size_t)1) * sizeof(*ids));
	struct str *ignored = arena_alloc(&b->pic->arena, 256 * sizeof(*ignored));
	int r = 0;

	n = props_keys(b->p, "zuul.routes.", ids, max);
	for (size_t i = 0; i < n && r == 0; i++)
		r = explicit_route(b, ids[i]);
	if (r == 0 && props_bool(b->p, "vine.gateway.discovery-routes"))
		r = discovered_routes(b);
	if (r < 0)
		return r;
	b->pic->routes.ignored = ignored;
	b->pic->routes.n_ignored = (unsigned)props_list(b->p, "zuul.ignored-patterns", STR_EMPTY, ignored, 256);
	gw_routes_compile(&b->pic->routes, &b->pic->arena, b->services->seed);
	return 0;
}

int gw_picture_build(struct gw_picture **ret, struct gw_services *s, struct props *props, const struct eureka_view *view, bool reread,
		     usec now, struct err *e)
{
	struct gw_picture *pic = xzalloc(sizeof(*pic));
	struct build b = { .pic = pic, .services = s, .p = props, .view = view, .reread = reread, .now = now, .e = e,
			   .texts = &pic->arena };
	int r = 0;

	pic->refs = 1;
	pic->props = props_ref(props);
	pic->version = ++s->version;
	arena_init(&pic->arena, 16 * 1024);
	map_init(&b.paths, s->seed);
	if (s->last && s->last->props == props && !reread)
		b.old = s->last;
	else
		r = flow_properties_check(props, e);
	if (r == 0)
		r = read_settings(&b);
	if (r == 0)
		r = build_routes(&b);
	map_fini(&b.paths);
	if (r < 0) {
		gw_picture_unref(pic);
		return r;
	}
	if (!s->trial) {
		gw_picture_unref(s->last);
		s->last = gw_picture_ref(pic);
	}
	*ret = pic;
	return 0;
}
