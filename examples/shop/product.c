/* product.c - the API server for products, over the shop's SQLite database. Runs in three instances.
 *
 * For the failure scenarios it can be told to misbehave:
 *	POST /chaos?mode=slow&ms=3000   every product takes that long
 *	POST /chaos?mode=fail           every product is answered 500
 *	POST /chaos?mode=none           heals it
 *	GET  /chaos                     what it does now, and how many product requests it has got so far */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vine/app.h>
#include <vine/log.h>

#define SLOW_MAX_MS 30000

enum mode { NONE, SLOW, FAIL };

static const char *const mode_name[] = { "none", "slow", "fail" };

struct product {
	struct vine_app *app;
	sqlite3 *db; /* serialized: shared by the handlers' threads */
	atomic_int mode, slow_ms;
	atomic_ulong requests;
};

/* True if it misbehaved to the point of answering. */
static bool misbehave(struct product *p, struct vine_request *rq)
{
	atomic_fetch_add(&p->requests, 1);
	switch (atomic_load(&p->mode)) {
	case SLOW: {
		int ms = atomic_load(&p->slow_ms);

		nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
		return false;
	}
	case FAIL:
		vine_reply_json(rq, 500, "{\"error\":\"the product database is on fire\"}");
		return true;
	default:
		return false;
	}
}

/* Answers with the one text that the statement's first row holds; 404 without a row. SQLite makes the JSON. */
static void answer(struct product *p, struct vine_request *rq, const char *sql, const char *id)
{
	sqlite3_stmt *st = NULL;
	int r = sqlite3_prepare_v2(p->db, sql, -1, &st, NULL);

	if (r == SQLITE_OK) {
		sqlite3_bind_int(st, 1, (int)vine_app_port(p->app));
		if (id)
			sqlite3_bind_text(st, 2, id, -1, SQLITE_STATIC);
		r = sqlite3_step(st);
	}
	if (r == SQLITE_ROW) {
		vine_reply_json(rq, 200, (const char *)sqlite3_column_text(st, 0));
	} else if (r == SQLITE_DONE) {
		vine_reply_json(rq, 404, "{\"error\":\"no such product\"}");
	} else {
		VINE_LOG(p->app, rq, VINE_LOG_ERROR, "the database refused", VINE_TEXT("error", sqlite3_errmsg(p->db)));
		vine_reply_json(rq, 500, "{\"error\":\"database\"}");
	}
	sqlite3_finalize(st);
}

static void list(struct vine_request *rq, void *ctx)
{
	struct product *p = ctx;

	if (!misbehave(p, rq))
		answer(p, rq, "SELECT json_group_array(json_object('id', id, 'name', name, 'price', price, 'port', ?1)) FROM product",
		       NULL);
}

static void show(struct vine_request *rq, void *ctx)
{
	struct product *p = ctx;
	const char *id = vine_request_var(rq, "id");

	if (misbehave(p, rq))
		return;
	VINE_LOG(p->app, rq, VINE_LOG_DEBUG, "product asked for", VINE_TEXT("id", id));
	answer(p, rq,
	       "SELECT json_object('id', id, 'name', name, 'price', price, 'stock', stock, 'port', ?1) FROM product WHERE id = ?2",
	       id);
}

static void chaos_show(struct vine_request *rq, void *ctx)
{
	struct product *p = ctx;

	vine_replyf(rq, 200, "application/json", "{\"mode\":\"%s\",\"ms\":%d,\"requests\":%lu}", mode_name[atomic_load(&p->mode)],
		    atomic_load(&p->slow_ms), atomic_load(&p->requests));
}

static void chaos_set(struct vine_request *rq, void *ctx)
{
	struct product *p = ctx;
	const char *mode = vine_request_query(rq, "mode"), *ms = vine_request_query(rq, "ms");
	long slow = ms ? strtol(ms, NULL, 10) : 0;

	for (int i = NONE; i <= FAIL; i++) {
		if (!mode || strcmp(mode, mode_name[i]) != 0)
			continue;
		if (slow < 0 || slow > SLOW_MAX_MS)
			break;
		atomic_store(&p->slow_ms, (int)slow);
		atomic_store(&p->mode, i);
		VINE_LOG(p->app, rq, VINE_LOG_WARN, "chaos", VINE_TEXT("mode", mode), VINE_NUM("ms", slow));
		chaos_show(rq, p);
		return;
	}
	vine_reply_text(rq, 400, "mode is none, slow or fail; ms is 0 to 30000\n");
}

static int open_database(struct product *p)
{
	const char *file = vine_app_property(p->app, "shop.database");

	if (sqlite3_open_v2(file ? file : "shop.db", &p->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK) {
		VINE_LOG(p->app, NULL, VINE_LOG_ERROR, "cannot open the database", VINE_TEXT("file", file ? file : "shop.db"),
			 VINE_TEXT("error", sqlite3_errmsg(p->db)));
		return -1;
	}
	sqlite3_busy_timeout(p->db, 1000);
	return 0;
}

int main(int argc, char **argv)
{
	struct product p = { 0 };
	struct vine_err e;
	int code = 1;

	if (vine_app_new(&p.app, &(struct vine_app_opts){ .argc = argc, .argv = argv, .name = "product" }, &e) < 0)
		return vine_app_complain("product", &e);
	vine_app_route(p.app, "GET", "/products", list, &p);
	vine_app_route(p.app, "GET", "/products/{id}", show, &p);
	vine_app_route(p.app, "GET", "/chaos", chaos_show, &p);
	vine_app_route(p.app, "POST", "/chaos", chaos_set, &p);
	if (open_database(&p) == 0)
		code = vine_app_run(p.app);
	vine_app_free(p.app);
	sqlite3_close(p.db);
	return code;
}
