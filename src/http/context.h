/* context.h - the paths that the properties put before what is served, and the one place where a request's is cut off.
 *
 *   server       server.servlet.context-path (Boot 1: server.context-path): before all that a listener serves
 *   management   management.server.base-path (before Boot 2.4: management.server.servlet.context-path): the same of a management
 *                port of its own. Without such a port it says nothing, as in Boot
 *   actuator     management.endpoints.web.base-path (Boot 1: management.context-path): where, below one of the two, the
 *                endpoints stand. "/" puts them at the top; on the port that serves the rest there is no index then
 *
 * Who takes a request off a listener asks context_admit first, and all behind it sees req.path from the slash behind the context
 * path on; ex_path gives the whole. Paths are compared raw, byte by byte, up to a slash: "//ctx", "/CTX", "/%63tx", "/ctx;a=b" and
 * "/ctxx" are outside. Outside is 404; the context path without its slash is sent to the one with it, as Tomcat does.
 *
 * Read once, at the start. Any thread. */
#pragma once
#include "codec/basepath.h"
#include "http/server.h"

struct props;

struct contexts {
	struct basepath server, management, actuator;
};

extern const struct contexts contexts_default; /* of no properties at all */

void contexts_read(struct contexts *c, const struct props *p);
/* What stands before the endpoints' base path: c->server, or c->management on a port of its own. */
struct str contexts_of_management(const struct contexts *c, bool own_port);
/* The two together, "/ctx/actuator"; empty: at the top. */
struct str contexts_endpoints(struct arena *a, const struct contexts *c, bool own_port);

enum context_place {
	CONTEXT_INSIDE,
	CONTEXT_EDGE, /* the context path, and not even a slash behind it */
	CONTEXT_OUTSIDE,
};

/* context is not empty. */
enum context_place context_place_of(struct str context, struct str path);
/* Inside: req.path is what stands behind the context path now. */
enum context_place context_cut(struct exchange *ex, struct str context);
enum context_place context_admit_below(struct exchange *ex, struct str context); /* and at the edge it is answered */
/* The same for a context that may be empty: then everything is inside. What is left to the caller: inside, and outside. */
static inline enum context_place context_admit(struct exchange *ex, struct str context)
{
	return likely(context.len == 0) ? CONTEXT_INSIDE : context_admit_below(ex, context);
}
void context_refuse(struct exchange *ex); /* the answer to who is outside, where nobody has a better one */
