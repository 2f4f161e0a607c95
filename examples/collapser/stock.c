/* stock.c - a service that answers GET /stock/{id} for one article at a time, and asks the warehouse for many at once.
 *
 * Requests that come within hystrix.collapser.stockById.timerDelayInMilliseconds (10 ms) share one call of the warehouse, however
 * many they are, and equal ones one place in it. GET /stock?ids=7,9 asks for several on behalf of one request. The warehouse
 * answers GET /levels?ids=7,9 with a line "7=42" an article; its servers are in warehouse.ribbon.listOfServers or the registry.
 *
 *	stock --server.port=8085 --warehouse.ribbon.listOfServers=127.0.0.1:8086 --eureka.client.enabled=false
 *
 * /actuator/hystrix.stream shows the collapser beside the commands stockById, the batches, and warehouse, their calls. */
#include <stdio.h>
#include <string.h>

#include <vine/app.h>
#include <vine/call.h>
#include <vine/collapser.h>

#define IDS_MAX 16

struct shop {
	struct vine_app *app;
	struct vine_collapser *by_id;
};

/* The level that the warehouse told of an article: a copy; NULL: it does not know it. */
static struct vine_value *level_of(const char *lines, const char *id, size_t len)
{
	for (const char *line = lines; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		if (strncmp(line, id, len) == 0 && line[len] == '=')
			return vine_value_new(line + len + 1, strcspn(line + len + 1, "\n"));
	}
	return NULL;
}

static int ask_warehouse(struct vine_batch *b, struct vine_err *e, void *ctx)
{
	struct shop *shop = ctx;
	struct vine_response *rs;
	char path[4096];
	int n = snprintf(path, sizeof(path), "/levels?ids="), r;
	size_t i;

	for (i = 0; i < vine_batch_len(b) && n < (int)sizeof(path); i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%s%s", i ? "," : "", (const char *)vine_batch_arg(b, i, NULL));
	if (n >= (int)sizeof(path)) {
		snprintf(e->text, sizeof(e->text), "too many articles at once; lower maxRequestsInBatch");
		return VINE_CODE_LIMIT;
	}
	/* No request is named: this runs on behalf of the batch. */
	r = vine_call(shop->app, NULL, &(struct vine_call_opts){ .service = "warehouse", .path = path }, &rs, e);
	if (r < 0)
		return r;
	for (i = 0; i < vine_batch_len(b); i++) {
		size_t len;
		const char *id = vine_batch_arg(b, i, &len);
		struct vine_value *level = level_of(vine_response_body(rs, NULL), id, len);

		if (level)
			vine_batch_answer(b, i, level);
		else
			vine_batch_refuse(b, i, VINE_CODE_NOT_FOUND, "the warehouse does not know it");
	}
	vine_response_free(rs);
	return 0;
}

/* Digits only: it becomes part of a path. */
static bool is_id(const char *id)
{
	return id && id[0] && strlen(id) < 16 && strspn(id, "0123456789") == strlen(id);
}

static void refuse(struct vine_request *rq, int code, const struct vine_err *e)
{
	vine_replyf(rq, code == VINE_CODE_NOT_FOUND ? 404 : 503, "text/plain", "%s\n", e->text);
}

static void show_one(struct vine_request *rq, void *ctx)
{
	struct shop *shop = ctx;
	const char *id = vine_request_var(rq, "id");
	struct vine_value *level;
	struct vine_err e;
	int r;

	if (!is_id(id)) {
		vine_reply_text(rq, 400, "an article's number, please\n");
		return;
	}
	r = vine_collapse(shop->by_id, rq, id, strlen(id), &level, &e);
	if (r < 0) {
		refuse(rq, r, &e);
		return;
	}
	vine_reply_text(rq, 200, vine_value_data(level, NULL));
	vine_value_free(level);
}

/* Several are begun before the first is waited for, so that they leave together. */
static void show_some(struct vine_request *rq, void *ctx)
{
	struct shop *shop = ctx;
	struct vine_collapsing *under_way[IDS_MAX] = { 0 };
	char ids[256], *rest = ids, out[1024] = "";
	size_t n = 0, len = 0;
	struct vine_err e;

	snprintf(ids, sizeof(ids), "%s", vine_request_query(rq, "ids") ? vine_request_query(rq, "ids") : "");
	for (char *id; n < IDS_MAX && (id = strsep(&rest, ",")); n++) {
		if (!is_id(id) || vine_collapse_begin(shop->by_id, rq, id, strlen(id), &under_way[n], &e) < 0)
			under_way[n] = NULL;
	}
	for (size_t i = 0; i < n; i++) {
		struct vine_value *level = NULL;

		if (under_way[i])
			vine_collapse_end(under_way[i], &level, &e);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.20s", i ? "," : "",
					level ? (const char *)vine_value_data(level, NULL) : "?");
		vine_value_free(level);
	}
	vine_reply_text(rq, 200, out);
}

int main(int argc, char **argv)
{
	struct shop shop;
	struct vine_err e;
	int code;

	if (vine_app_new(&shop.app, &(struct vine_app_opts){ .argc = argc, .argv = argv, .name = "stock" }, &e) < 0)
		return vine_app_complain("stock", &e);
	if (vine_collapser_new(&shop.by_id, shop.app, &(struct vine_collapser_opts){
		.key = "stockById", .scope = VINE_COLLAPSE_GLOBAL, .batch = ask_warehouse, .ctx = &shop }, &e) < 0)
		return vine_app_complain("stock", &e);
	vine_app_route(shop.app, "GET", "/stock/{id}", show_one, &shop);
	vine_app_route(shop.app, "GET", "/stock", show_some, &shop);
	code = vine_app_run(shop.app);
	vine_app_free(shop.app);
	return code;
}
