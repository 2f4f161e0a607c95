/* context.c - see context.h. */
#include "http/context.h"

#include "base/clock.h"
#include "codec/json.h"
#include "props/props.h"

#define PATH_SHOWN 1024

const struct contexts contexts_default = { .actuator = { .len = sizeof("/actuator") - 1, .text = "/actuator" } };

/* The newer name where both are set. A value that cannot be one was refused with the properties it came with. */
static void read_one(struct basepath *ret, const struct props *p, const char *name, const char *older)
{
	const char *of = props_is_set(p, name, STR_EMPTY, false) || !props_is_set(p, older, STR_EMPTY, false) ? name : older;

	basepath_read(ret, props_str(p, of), NULL);
}

void contexts_read(struct contexts *c, const struct props *p)
{
	read_one(&c->server, p, "server.servlet.context-path", "server.context-path");
	read_one(&c->management, p, "management.server.base-path", "management.server.servlet.context-path");
	read_one(&c->actuator, p, "management.endpoints.web.base-path", "management.context-path");
}

struct str contexts_of_management(const struct contexts *c, bool own_port)
{
	return basepath_str(own_port ? &c->management : &c->server);
}

struct str contexts_endpoints(struct arena *a, const struct contexts *c, bool own_port)
{
	return str_printf_in(a, "%.*s%.*s", STRF(contexts_of_management(c, own_port)), STRF(basepath_str(&c->actuator)));
}

enum context_place context_place_of(struct str context, struct str path)
{
	if (!str_has_prefix(path, context))
		return CONTEXT_OUTSIDE;
	if (path.len == context.len)
		return CONTEXT_EDGE;
	return path.ptr[context.len] == '/' ? CONTEXT_INSIDE : CONTEXT_OUTSIDE;
}

enum context_place context_cut(struct exchange *ex, struct str context)
{
	enum context_place at = context_place_of(context, ex->req.path);

	if (at == CONTEXT_INSIDE) {
		ex->context_len = (uint16_t)context.len;
		ex->req.path = str_slice(ex->req.path, context.len, ex->req.path.len);
	}
	return at;
}

static void redirect(struct exchange *ex, struct str context)
{
	struct str query = ex->req.query;
	struct str to = str_printf_in(&ex->arena, "%.*s/%s%.*s", STRF(context), query.len ? "?" : "", STRF(query));

	ex_respond(ex, 302, STR_EMPTY, STR_EMPTY, &(struct field){ STR("Location"), to }, 1);
}

enum context_place context_admit_below(struct exchange *ex, struct str context)
{
	enum context_place at = context_cut(ex, context);

	if (at == CONTEXT_EDGE)
		redirect(ex, context);
	return at;
}

void context_refuse(struct exchange *ex)
{
	struct buf b = BUF_INIT(16 * 1024);
	char at[WALL_TEXT_MAX];
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("timestamp"), str_of(at, (size_t)clock_wall_text(at, clock_wall())));
	jsonw_key_u64(&w, STR("status"), 404);
	jsonw_key_str(&w, STR("error"), http_reason(404));
	jsonw_key_str(&w, STR("message"), STR("nothing is served at this path"));
	jsonw_key_str(&w, STR("path"), str_slice(ex->req.path, 0, PATH_SHOWN));
	jsonw_object_end(&w);
	buf_addc(&b, '\n');
	ex_respond(ex, 404, STR("application/json"), buf_str(&b), NULL, 0);
	buf_fini(&b);
}
