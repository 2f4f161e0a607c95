/* snapshot.c - see snapshot.h.
 *
 * Two lanes of one thread each. `append` owns the open journal: it appends, and it lets a new file take the old one's place. `rewrite`
 * makes that new file from a picture, which may take seconds, while appends go on into the old one.
 *
 * Invariants   At most one job a lane. A job holds a reference to its picture, and what it touches of the snapshot belongs to it
 *              until its done has run. `written` is the version up to which the open journal is whole and synced. */
#include "registry/snapshot.h"

#include <stdio.h>
#include <unistd.h>

#include "net/jobs.h"
#include "registry/journal.h"

#define WAIT (500 * USEC_PER_MSEC)
#define RETRY (2 * USEC_PER_SEC)
#define REWRITE_MIN ((uint64_t)16 << 20) /* a file that has not grown by this much is left alone */
#define PIECE ((size_t)1 << 20)
#define OVERRIDE_KEPT ((msec)3600 * 1000)

enum task_kind { TASK_APPEND, TASK_REWRITE, TASK_SWITCH };

struct task {
	struct job job;
	struct snapshot *s; /* NULL: closed meanwhile */
	enum task_kind kind;
	struct picture *p;
	usec began;
	uint64_t from;      /* what is of later versions is written */
	struct journal j;   /* in and out */
	struct journal old; /* TASK_SWITCH: to be closed after it */
	char path[320], fresh[320];
	struct buf more; /* TASK_REWRITE: records that are in no picture */
	int result;
	bool sync_failed;
	struct err err;
};

struct snapshot {
	struct registry *reg;
	struct loop *loop;
	struct mailbox *mailbox;
	struct logger log;
	struct jobs_lane *append, *rewrite;
	struct task *appending, *rewriting;
	struct timer timer;
	char path[320], fresh[320];
	struct journal j;
	uint64_t written;
	uint64_t base; /* bytes of the file after the last rewrite */
	bool must_rewrite;
	/* a new file that waits for its place */
	struct journal ready;
	uint64_t ready_version;
	pthread_mutex_t lock; /* leaf; guards rep */
	struct snapshot_report rep;
};

/* --- what is written --- */

static int flush_piece(struct journal *j, struct buf *b, size_t most, struct err *e)
{
	int r;

	if (b->len < most || b->len == 0)
		return 0;
	if (b->failed)
		return err_set(e, VINE_ELIMIT, "a record is too large");
	r = journal_append(j, buf_str(b), e);
	buf_clear(b);
	return r;
}

static int write_all(struct journal *j, const struct picture *p, struct err *e)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 30);
	struct picture_walk w = { .p = p };
	int r = 0;

	for (const struct entry *en; r == 0 && (en = picture_next(&w));) {
		journal_put(&b, en);
		r = flush_piece(j, &b, PIECE, e);
	}
	return r < 0 ? r : flush_piece(j, &b, 0, e);
}

static void put_change(struct buf *b, const struct delta_item *it, msec wall)
{
	const struct instance *in = it->entry->inst;

	if (in->action != ACTION_DELETED) {
		journal_put(b, it->entry);
		return;
	}
	journal_del(b, in->app, in->id);
	if (it->evicted && in->overridden != INST_UNKNOWN)
		journal_override(b, in->id, (enum inst_status)in->overridden, wall + OVERRIDE_KEPT);
}

static int write_changes(struct journal *j, const struct picture *p, uint64_t from, struct err *e)
{
	_cleanup_(buf_finip) struct buf b = BUF_INIT((size_t)1 << 30);
	struct delta_walk w = picture_delta_after(p, from);
	uint64_t before = j->size;
	int r = 0;

	for (const struct delta_item *it; r == 0 && (it = delta_next(&w));) {
		put_change(&b, it, clock_wall());
		r = flush_piece(j, &b, PIECE, e);
	}
	r = r < 0 ? r : flush_piece(j, &b, 0, e);
	if (r < 0 && j->size > before && ftruncate(j->fd, (off_t)before) == 0)
		j->size = before; /* all of it again next time */
	return r;
}

/* --- jobs: on a lane's thread --- */

static int sync_it(struct task *t)
{
	int r = journal_sync(&t->j, &t->err);

	t->sync_failed = r < 0;
	return r;
}

static int run_rewrite(struct task *t)
{
	int r = journal_create(&t->j, t->fresh, &t->err);

	if (r == 0 && t->more.len)
		r = journal_append(&t->j, buf_str(&t->more), &t->err);
	if (r == 0)
		r = write_all(&t->j, t->p, &t->err);
	if (r == 0)
		r = sync_it(t);
	if (r < 0) {
		journal_close(&t->j);
		unlink(t->fresh); /* room for the one that is there */
	}
	return r;
}

static void run(struct job *job)
{
	struct task *t = container_of(job, struct task, job);
	uint64_t before = t->j.size;

	switch (t->kind) {
	case TASK_APPEND:
		t->result = write_changes(&t->j, t->p, t->from, &t->err);
		if (t->result == 0 && t->j.size > before)
			t->result = sync_it(t);
		break;
	case TASK_REWRITE: t->result = run_rewrite(t); break;
	case TASK_SWITCH:
		t->result = write_changes(&t->j, t->p, t->from, &t->err);
		if (t->result == 0)
			t->result = sync_it(t);
		if (t->result == 0)
			t->result = journal_rename(t->fresh, t->path, &t->err);
		journal_close(t->result == 0 ? &t->old : &t->j);
		break;
	}
}

/* --- their ends: the writer's thread --- */

static void wake(struct snapshot *s, usec at)
{
	if (s->timer.at > at)
		timer_set(s->loop, &s->timer, at);
}

static void note_failure(struct snapshot *s, const struct err *e)
{
	pthread_mutex_lock(&s->lock);

	bool was = s->rep.failing;

	s->rep.failing = true;
	s->rep.failures++;
	if (!was)
		s->rep.failing_since = clock_wall();
	snprintf(s->rep.error, sizeof(s->rep.error), "%.190s", e->text);
	pthread_mutex_unlock(&s->lock);
	if (!was)
		LOG(&s->log, LOG_ERROR, "the snapshot cannot be written; the registry goes on without it",
		    F_Z("why", e->text), F_Z("file", s->path));
}

static void note_success(struct snapshot *s, bool rewrite)
{
	pthread_mutex_lock(&s->lock);

	bool was = s->rep.failing;

	s->rep.failing = false;
	s->rep.error[0] = '\0';
	s->rep.bytes = s->j.size;
	s->rep.written = clock_wall();
	s->rep.appends += !rewrite;
	s->rep.rewrites += rewrite;
	pthread_mutex_unlock(&s->lock);
	if (was)
		LOG(&s->log, LOG_INFO, "the snapshot is written again", F_Z("file", s->path));
}

static void task_free(struct task *t)
{
	picture_unref(t->p);
	buf_fini(&t->more);
	free(t);
}

static void appended(struct snapshot *s, struct task *t)
{
	s->j = t->j;
	if (t->result == 0) {
		s->written = t->p->version;
		note_success(s, false);
		return;
	}
	note_failure(s, &t->err);
	/* after a sync that failed nobody knows what the disk has: only a new file is sure */
	s->must_rewrite |= t->sync_failed;
}

static void switched(struct snapshot *s, struct task *t)
{
	s->ready = JOURNAL_NONE;
	if (t->result < 0) {
		unlink(s->fresh);
		note_failure(s, &t->err);
		s->j = t->old;
		s->must_rewrite = true;
		return;
	}
	s->j = t->j;
	s->base = s->j.size;
	s->written = t->p->version;
	s->must_rewrite = false;
	note_success(s, true);
}

static void rewritten(struct snapshot *s, struct task *t)
{
	if (t->result < 0) {
		note_failure(s, &t->err);
		return;
	}
	s->ready = t->j;
	s->ready_version = t->p->version;
}

static void done(struct job *job)
{
	struct task *t = container_of(job, struct task, job);
	struct snapshot *s = t->s;

	if (!s || job->cancelled) {
		task_free(t);
		return;
	}
	if (t->kind == TASK_REWRITE) {
		s->rewriting = NULL;
		rewritten(s, t);
	} else {
		s->appending = NULL;
		if (t->kind == TASK_APPEND)
			appended(s, t);
		else
			switched(s, t);
	}

	usec now = loop_now(s->loop);

	/* what came while it ran has waited since: a slow disk does not make it wait twice */
	wake(s, t->result < 0 ? now + RETRY : s->ready.fd >= 0 ? now : MAX(now, t->began + WAIT));
	task_free(t);
}

/* --- when --- */

static struct task *task_new(struct snapshot *s, enum task_kind kind, struct journal j, uint64_t from)
{
	struct task *t = xzalloc(sizeof(*t));

	t->s = s;
	t->began = loop_now(s->loop);
	t->kind = kind;
	t->p = picture_ref((struct picture *)(uintptr_t)registry_now(s->reg));
	t->from = from;
	t->j = j;
	t->old = JOURNAL_NONE;
	buf_init(&t->more, (size_t)1 << 30);
	t->job.run = run;
	t->job.done = done;
	memcpy(t->path, s->path, sizeof(t->path));
	memcpy(t->fresh, s->fresh, sizeof(t->fresh));
	return t;
}

static bool wants_rewrite(const struct snapshot *s, const struct picture *p)
{
	return s->j.fd < 0 || s->must_rewrite || s->written < p->delta_floor || s->j.size > s->base * 2 + REWRITE_MIN;
}

static void add_override(struct str id, enum inst_status st, usec left, void *ctx)
{
	journal_override(ctx, id, st, clock_wall() + left / USEC_PER_MSEC);
}

static void start_rewrite(struct snapshot *s)
{
	s->rewriting = task_new(s, TASK_REWRITE, JOURNAL_NONE, 0);
	registry_each_override(s->reg, add_override, &s->rewriting->more);
	jobs_submit(s->rewrite, &s->rewriting->job, s->mailbox);
}

static void start_append(struct snapshot *s, const struct picture *p)
{
	if (s->ready.fd >= 0 && s->ready_version >= p->delta_floor) {
		s->appending = task_new(s, TASK_SWITCH, s->ready, s->ready_version);
		s->appending->old = s->j;
	} else if (s->ready.fd >= 0) { /* more has changed meanwhile than is remembered */
		journal_close(&s->ready);
		return;
	} else if (s->j.fd >= 0 && s->written >= p->delta_floor && s->written < p->version) {
		s->appending = task_new(s, TASK_APPEND, s->j, s->written);
	} else {
		return;
	}
	jobs_submit(s->append, &s->appending->job, s->mailbox);
}

static void on_timer(struct timer *timer)
{
	struct snapshot *s = container_of(timer, struct snapshot, timer);
	const struct picture *p = registry_now(s->reg);

	timer_park(timer);
	if (!s->appending)
		start_append(s, p);
	if (!s->rewriting && s->ready.fd < 0 && !(s->appending && s->appending->kind == TASK_SWITCH) &&
	    wants_rewrite(s, p))
		start_rewrite(s);
}

void snapshot_note(struct picture *p, void *snapshot)
{
	struct snapshot *s = snapshot;

	(void)p;
	if (!s->appending)
		wake(s, loop_now(s->loop) + WAIT); /* else when that has ended */
}

/* --- life --- */

static void give_to_registry(struct snapshot *s, struct journal_content *c)
{
	msec wall = clock_wall();
	usec now = loop_now(s->loop);

	for (const struct journal_override *o = c->overrides; o; o = o->next) {
		if (o->until > wall)
			registry_restore_override(s->reg, o->id, o->status,
						  now + MIN(o->until - wall, OVERRIDE_KEPT) * USEC_PER_MSEC);
	}
	registry_restore(s->reg, c->entry, c->n);
	s->rep.restored = c->n;
	c->n = 0; /* they are its */
}

/* VINE_ENOTFOUND: there is no file yet. */
static int read_file(struct snapshot *s, uint64_t seed, struct err *e)
{
	struct journal_content c;
	usec began = clock_mono();
	int r = journal_open(&s->j, s->path, &c, seed, loop_now(s->loop), e);

	if (r < 0)
		return r == VINE_ENOTFOUND ? r : err_prefix(e, "%s", s->path);
	s->base = c.live_bytes;
	s->rep.bytes = s->j.size;
	give_to_registry(s, &c);
	s->written = registry_now(s->reg)->version;
	LOG(&s->log, LOG_INFO, "the snapshot was read", F_INT("instances", s->rep.restored), F_INT("bytes", s->j.size),
	    F_INT("ms", (clock_mono() - began) / USEC_PER_MSEC));
	if (c.lost_bytes)
		LOG(&s->log, LOG_WARN, "the snapshot's end was not whole and is cut off", F_INT("bytes", c.lost_bytes));
	journal_content_fini(&c);
	return 0;
}

/* No crash leaves such a file. What it is somebody may want to know; the registry starts without it. */
static int set_aside(struct snapshot *s, struct err *e)
{
	char bad[sizeof(s->path) + 16];

	snprintf(bad, sizeof(bad), "%s.unreadable", s->path);
	LOG(&s->log, LOG_ERROR, "the snapshot cannot be read and is set aside", F_Z("why", e->text), F_Z("as", bad));
	return rename(s->path, bad) < 0 ? err_errno(e, "cannot rename %s", s->path) : 0;
}

int snapshot_open(struct snapshot **ret, struct registry *reg, struct loop *loop, struct mailbox *mailbox,
		  const char *folder, uint64_t seed, const struct logger *log, struct err *e)
{
	struct snapshot *s = xzalloc(sizeof(*s));
	int r;

	s->reg = reg;
	s->loop = loop;
	s->mailbox = mailbox;
	s->log = *log;
	s->j = s->ready = JOURNAL_NONE;
	s->rep.on = true;
	pthread_mutex_init(&s->lock, NULL);
	timer_init(&s->timer, on_timer);
	timer_park(&s->timer);
	snprintf(s->path, sizeof(s->path), "%s/leases.log", folder);
	snprintf(s->fresh, sizeof(s->fresh), "%s/leases.new", folder);
	unlink(s->fresh); /* of a rewrite that did not end */
	r = read_file(s, seed, e);
	if (r == VINE_EPROTO)
		r = set_aside(s, e);
	if (r < 0 && r != VINE_ENOTFOUND) {
		pthread_mutex_destroy(&s->lock);
		free(s);
		return r;
	}
	s->append = jobs_lane_new("append", 1, 1);
	s->rewrite = jobs_lane_new("rewrite", 1, 1);
	wake(s, loop_now(loop));
	*ret = s;
	return 0;
}

/* A job that has ended, or will never run, and whose done has not come. */
static void take_back(struct snapshot *s, struct task *t)
{
	t->s = NULL;
	if (t->kind == TASK_APPEND) {
		s->j = t->j;
		return;
	}
	s->ready = JOURNAL_NONE;
	if (t->job.cancelled || t->result < 0) {
		journal_close(&t->j);
		s->j = t->old;
		return;
	}
	s->j = t->j;
	s->written = t->p->version;
	s->must_rewrite = false;
}

/* The last changes, on this thread: the lanes have ended, and what their jobs have done may not have come back. */
static void write_the_rest(struct snapshot *s)
{
	const struct picture *p = registry_now(s->reg);
	struct err e = { 0 };

	if (s->appending)
		take_back(s, s->appending);
	if (s->rewriting) {
		s->rewriting->s = NULL;
		journal_close(&s->rewriting->j);
	}
	journal_close(&s->ready);
	unlink(s->fresh);
	if (s->j.fd < 0 || s->must_rewrite || s->written < p->delta_floor) { /* all of it, once more */
		journal_close(&s->j);
		if (journal_create(&s->j, s->fresh, &e) == 0 && write_all(&s->j, p, &e) == 0 &&
		    journal_sync(&s->j, &e) == 0)
			journal_rename(s->fresh, s->path, &e);
	} else if (s->written < p->version && write_changes(&s->j, p, s->written, &e) == 0) {
		journal_sync(&s->j, &e);
	}
	if (e.code)
		note_failure(s, &e);
	journal_close(&s->j);
}

void snapshot_close(struct snapshot *s)
{
	if (!s)
		return;
	timer_cancel(s->loop, &s->timer);
	jobs_lane_free(s->append);
	jobs_lane_free(s->rewrite);
	write_the_rest(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void snapshot_report(struct snapshot *s, struct snapshot_report *ret)
{
	*ret = (struct snapshot_report){ 0 };
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	*ret = s->rep;
	pthread_mutex_unlock(&s->lock);
}
