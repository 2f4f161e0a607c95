/* http.h - Eureka's endpoints: /eureka/... and /eureka/v2/..., with the status codes that clients act on.
 *
 * Replies to writes are empty; no error page is ever made here, because Java clients parse whatever comes with a 404. The
 * few bodies that errors have are those that Netflix's server sends, with the reason added.
 *
 * Queries and heartbeats are answered from the worker's picture at once; other writes wait for the writer (registry.h).
 * Threads   A reg_worker belongs to its worker. */
#pragma once
#include "http/server.h"
#include "registry/registry.h"

struct limiter;

struct reg_worker {
	struct registry *reg;
	struct limiter *limiter; /* shared by all workers; NULL, as after reg_worker_init: no limit */
	struct picture *mine; /* see registry_see */
	struct loop *loop;
	struct mailbox *mailbox;
	unsigned stripe;
	bool serves; /* see registry_serves; as of this request */
};

void reg_worker_init(struct reg_worker *rw, struct registry *reg, struct loop *loop, struct mailbox *mailbox,
		     unsigned stripe);
void reg_worker_fini(struct reg_worker *rw);
#define VERSION_TEXT_MAX 40
/* "EPOCH-N", the value of X-Vine-Version. */
struct str version_text(char out[VERSION_TEXT_MAX], struct registry *reg, uint64_t version);

/* Is it one of ours? "/eureka" and below. */
bool registry_http_takes(struct str path);
/* GET status is the role's to answer. xml: in which form. */
bool registry_http_asks_status(struct exchange *ex, bool *xml);
void registry_http(struct exchange *ex, struct reg_worker *rw);
