/* reload.c - see reload.h.
 *
 * Invariants   One job at a time. While it is under way `files`, `stamp` and what it has read are the job's, else the loop
 *              thread's. app->props is replaced on the loop thread only, under property_lock for those who read elsewhere. */
#include "client/reload.h"

#include "client/impl.h"
#include "client/membership.h"
#include "client/remotes.h"
#include "http/identities.h"
#include "manage/config.h"
#include "plugin/plugin.h"
#include "props/props.h"

#define LOOK_EVERY USEC_PER_SEC

/* --- on the lane's thread --- */

static void read_anew(struct vine_app *app, struct reload *r)
{
	struct app_settings set;

	r->stamp = load_files_stamp(&r->files); /* before reading: what changes meanwhile is seen again */
	r->code = app_load(&r->next, &r->args, &r->next_files, &r->err);
	r->next_stamp = load_files_stamp(&r->next_files);
	if (r->code == 0)
		r->code = app_judge(r->next, r->args.name, &set, &r->creds, &r->err);
	if (r->code == 0)
		r->code = identities_prepare(app->tls, r->next, &r->err);
}

static void look_or_read(struct job *j)
{
	struct reload *r = container_of(j, struct reload, job);

	struct vine_app *app = container_of(r, struct vine_app, reload);

	r->is_read = r->is_wanted || load_files_stamp(&r->files) != r->stamp || identities_changed(app->tls);
	if (r->is_read)
		read_anew(app, r);
}

/* --- on the loop thread --- */

static void tell_findings(const struct vine_app *app, const struct props *p)
{
	const struct prop_finding *f;
	size_t n = props_findings(p, &f);

	for (size_t i = 0; i < n; i++)
		LOG(&app->log, f[i].kind == FINDING_ERROR ? LOG_ERROR : LOG_WARN, "configuration", F_STR("finding", f[i].text));
}

static void swap_props(struct vine_app *app, struct props *p)
{
	struct props *old;

	pthread_mutex_lock(&app->property_lock);
	old = app->props;
	app->props = p;
	pthread_mutex_unlock(&app->property_lock);
	config_apply_log(p, old, app->logs);
	plugins_set_props(app->plugins, p);
	props_unref(old);
}

static void refuse(struct vine_app *app)
{
	identities_forget(app->tls);
	LOG(&app->log, LOG_ERROR, "configuration is not valid: the old one stays in force",
	    F_Z("why", app->reload.err.text));
}

static void put_in_force(struct vine_app *app)
{
	struct reload *r = &app->reload;

	tell_findings(app, r->next);
	if (r->code == 0)
		r->code = remotes_publish(app->remotes, r->next, &r->err);
	if (r->code < 0) {
		refuse(app);
		return;
	}
	identities_commit(app->tls);
	identities_tell(app->tls, &app->log);
	swap_props(app, TAKE(r->next));
	app->creds = r->creds;
	if (app->membership)
		membership_props(app->membership);
	LOG(&app->log, LOG_INFO, "configuration reloaded");
}

/* Also after a reading that failed: what is wrong may stand in a file that only the failed configuration names, and is mended
 * there. */
static void watch_what_was_read(struct reload *r)
{
	props_unref(TAKE(r->next));
	if (!r->next_files.n)
		return;
	load_files_fini(&r->files);
	r->files = r->next_files;
	r->next_files.n = 0;
	r->stamp = r->next_stamp;
}

static void on_read(struct job *j)
{
	struct reload *r = container_of(j, struct reload, job);
	struct vine_app *app = container_of(r, struct vine_app, reload);

	r->is_busy = false;
	if (j->cancelled || !r->is_read)
		return;
	if (atomic_load(&app->state) == APP_RUNNING) {
		if (r->next)
			put_in_force(app);
		else
			refuse(app);
	}
	watch_what_was_read(r);
}

static void submit(struct vine_app *app, bool is_wanted)
{
	struct reload *r = &app->reload;
	bool is_asked;

	if (r->is_busy || atomic_load(&app->state) != APP_RUNNING)
		return;
	is_asked = atomic_exchange(&r->is_asked, false);
	r->is_wanted = is_wanted || is_asked;
	r->job = (struct job){ .run = look_or_read, .done = on_read };
	r->is_busy = jobs_submit(r->lane, &r->job, &app->mailbox);
}

static void look(struct timer *t)
{
	struct vine_app *app = container_of(t, struct vine_app, reload.look);

	timer_set(app->loop, t, loop_now(app->loop) + LOOK_EVERY);
	submit(app, false);
}

void reload_advance(struct vine_app *app)
{
	if (atomic_load(&app->reload.is_asked))
		submit(app, true);
}

void reload_begin(struct vine_app *app)
{
	struct reload *r = &app->reload;

	r->lane = jobs_lane_new("config", 1, 1);
	timer_init(&r->look, look);
	timer_set(app->loop, &r->look, loop_now(app->loop) + LOOK_EVERY);
}

void reload_end(struct vine_app *app)
{
	if (!app->reload.lane)
		return;
	timer_cancel(app->loop, &app->reload.look);
	jobs_lane_free(TAKE(app->reload.lane));
}

void vine_app_reload(struct vine_app *app)
{
	atomic_store(&app->reload.is_asked, true);
	if (app->loop)
		loop_wake(app->loop);
}
