/* stream.c - /hystrix.stream: every 500 ms the state of each command, and a ping.
 *
 * One tick serves all readers. A reader that does not keep up misses ticks: what it would get late is of no use. Readers on
 * other machines, and proxies that speak for them, are refused: there are no credentials here to tell them apart. */
#include "client/impl.h"
#include "client/remotes.h"
#include "flow/hystream.h"

#define TICK (500 * USEC_PER_MSEC)
#define BEHIND_MAX (256u * 1024)
#define TICK_BYTES_MAX (16u << 20)

static void on_close(struct exchange *ex)
{
	struct vine_app *app = ex->user;
	struct stream *st = &app->stream;

	for (unsigned i = 0; i < st->n; i++) {
		if (st->reader[i] != ex)
			continue;
		st->reader[i] = st->reader[--st->n];
		return;
	}
}

static const struct exchange_ops reader_ops = { .on_close = on_close };

static void add_commands(struct buf *b, struct vine_app *app)
{
	size_t n;
	struct command **list = command_table_list(remotes_commands(app->remotes), &n);
	struct command_snapshot *snap = xmalloc(sizeof(*snap));

	for (size_t i = 0; i < n; i++) {
		const struct cmd_settings *cs = remotes_settings_of(app->remotes, list[i]->key);

		command_snapshot(list[i], cs, loop_now(app->loop), snap);
		hystream_frame_command(b, snap, cs, clock_wall());
	}
	free(snap);
	command_list_free(list, n);
}

static void tick(struct timer *t)
{
	struct vine_app *app = container_of(t, struct vine_app, stream.timer);
	struct stream *st = &app->stream;
	struct buf b = BUF_INIT(TICK_BYTES_MAX);

	if (st->n == 0)
		return;
	add_commands(&b, app);
	buf_addz(&b, HYSTREAM_PING);
	for (unsigned i = st->n; i-- > 0;) { /* a write may close its exchange, which moves the last one here */
		if (i < st->n && ex_pending(st->reader[i]) < BEHIND_MAX)
			ex_write(st->reader[i], buf_str(&b));
	}
	buf_fini(&b);
	timer_set(app->loop, t, loop_now(app->loop) + TICK);
}

void stream_init(struct vine_app *app)
{
	app->stream = (struct stream){ 0 };
	timer_init(&app->stream.timer, tick);
}

static bool is_local(const struct exchange *ex)
{
	return addr_is_loopback(&ex->peer) && !head_find(&ex->req, H_X_FORWARDED_FOR) && !head_find(&ex->req, H_FORWARDED);
}

void stream_begin(struct exchange *ex, const struct route_match *m, void *ctx)
{
	struct vine_app *app = ctx;
	struct stream *st = &app->stream;

	(void)m;
	if (!is_local(ex)) {
		ex_respond_text(ex, 403, STR("only for this machine\n"));
		return;
	}
	if (st->n == STREAM_READERS_MAX || st->closed) {
		ex_respond_text(ex, 503, st->closed ? STR("shutting down\n") : STR("at most 5 may read the stream at once\n"));
		return;
	}

	struct buf *b = ex_head(ex, 200);

	head_add(b, STR("Content-Type"), STR(HYSTREAM_CONTENT_TYPE));
	head_add(b, STR("Cache-Control"), STR("no-cache, no-store, max-age=0, must-revalidate"));
	head_add(b, STR("Pragma"), STR("no-cache"));
	ex_head_done(ex, EX_LENGTH_UNKNOWN);
	ex->user = app;
	ex->ops = &reader_ops;
	st->reader[st->n++] = ex;
	if (st->n == 1)
		timer_set(app->loop, &st->timer, loop_now(app->loop));
}

void stream_end_all(struct vine_app *app)
{
	struct stream *st = &app->stream;

	st->closed = true;
	timer_cancel(app->loop, &st->timer);
	while (st->n)
		ex_end(st->reader[--st->n]);
}
