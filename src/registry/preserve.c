/* preserve.c - see preserve.h. */
#include "registry/preserve.h"

#include <math.h>
#include <stdio.h>

#include "registry/leases.h"

void preserve_init(struct preserve *s, const struct preserve_config *cfg)
{
	*s = (struct preserve){ .cfg = *cfg };
	s->last.enabled = cfg->enabled;
	s->last.threshold = cfg->threshold;
	s->last.share = 1;
}

/* Heartbeats due in the client's window, and how many of them are missing at now. */
static void judge_one(const struct lease *l, usec now, uint32_t *due, uint32_t *missed)
{
	usec interval = MAX(l->interval, (usec)1);
	usec window = MAX(MIN(60 * USEC_PER_SEC, l->duration), interval);
	usec silence = now - atomic_load_explicit(&l->renewed, memory_order_relaxed) - interval / 4;

	*due = (uint32_t)(window / interval);
	*missed = silence < interval ? 0 : (uint32_t)MIN(silence / interval, (usec)*due);
}

/* An operator has accepted the size without it. */
static bool is_accepted(const struct preserve *s, const struct lease *l)
{
	return s->accepted_at > atomic_load_explicit(&l->renewed, memory_order_relaxed) + l->interval;
}

static bool is_decayed(const struct preserve *s, const struct lease *l, usec now)
{
	usec renewed = atomic_load_explicit(&l->renewed, memory_order_relaxed);

	return s->cfg.decay && now - renewed > s->cfg.decay + l->interval;
}

static void count(const struct preserve *s, const struct picture *p, bool doubling, usec now, struct preserve_report *r,
		  double *shares)
{
	struct picture_walk w = { .p = p };

	for (const struct entry *e; (e = picture_next(&w));) {
		uint32_t due, missed;
		double per_minute = 60.0 * (double)USEC_PER_SEC / (double)MAX(e->lease->interval, (usec)1);

		r->clients++;
		r->restored += e->lease->restored && !atomic_load_explicit(&e->lease->beaten, memory_order_relaxed);
		r->expired += lease_is_expired(e->lease, doubling, now, 0);
		if (is_accepted(s, e->lease)) {
			r->accepted++;
			continue;
		}
		if (is_decayed(s, e->lease, now)) {
			r->decayed++;
			continue;
		}
		judge_one(e->lease, now, &due, &missed);
		r->counted++;
		r->missing += missed > 0;
		r->silent += missed == due;
		*shares += (double)(due - missed) / due;
		r->expected_per_minute += per_minute;
		r->received_per_minute += per_minute * (due - missed) / due;
	}
}

bool preserve_judge(struct preserve *s, const struct picture *p, bool doubling, usec now)
{
	struct preserve_report r = { .enabled = s->cfg.enabled, .threshold = s->cfg.threshold, .share = 1 };
	double shares = 0;
	bool was = s->last.on;

	count(s, p, doubling, now, &r, &shares);
	if (r.expired)
		shares = r.counted - r.missing;
	if (r.counted)
		r.share = shares / r.counted;

	bool below = r.missing > 1 && shares < r.threshold * r.counted;
	bool nobody = was && r.counted == 0 && r.decayed > 1;

	r.on = r.enabled && (below || nobody);
	if (r.on) {
		double lack = ceil(r.threshold * r.counted - shares);

		r.needed = (uint32_t)MAX(lack, 1.0);
		r.needed = MIN(r.needed, r.missing > 1 ? r.missing - 1 : 1); /* with one missing it is off as well */
	}
	r.since = r.on == was ? s->last.since : now;
	s->last = r;
	return r.on != was;
}

void preserve_accept(struct preserve *s, usec now)
{
	s->accepted_at = now;
}

usec preserve_spares(const struct preserve *s)
{
	return s->last.on || s->accepted_at >= s->last.since ? 0 : s->last.since;
}

int preserve_text(const struct preserve_report *r, char out[PRESERVE_TEXT_MAX])
{
	if (!r->enabled && r->missing > 1 && r->share < r->threshold)
		return snprintf(out, PRESERVE_TEXT_MAX,
				"Self-preservation is turned off (eureka.server.enable-self-preservation), and only %.1f %% of %u "
				"clients renew as their leases say, less than %.0f %%: with it nothing would be evicted now; %u miss "
				"heartbeats, %u are silent, %u leases have expired.",
				r->share * 100, r->counted, r->threshold * 100, r->missing, r->silent, r->expired);
	if (!r->enabled)
		return snprintf(out, PRESERVE_TEXT_MAX,
				"Self-preservation is turned off (eureka.server.enable-self-preservation): an instance is "
				"evicted as soon as its lease has expired. %.1f %% of %u clients renew as their leases say (%u miss "
				"heartbeats).",
				r->share * 100, r->counted, r->missing);
	if (!r->on)
		return snprintf(out, PRESERVE_TEXT_MAX,
				"Self-preservation is off: %.1f %% of %u clients renew as their leases say (%u miss "
				"heartbeats). It goes on below %.0f %% if more than one client is missing.",
				r->share * 100, r->counted, r->missing, r->threshold * 100);
	return snprintf(out, PRESERVE_TEXT_MAX,
			"Self-preservation is ON, nothing is evicted: only %.1f %% of %u clients renew as their leases say, "
			"less than %.0f %%; %u miss heartbeats, %u are silent, %u leases have expired. It goes off when %u "
			"more of them renew or leave, or the current size is accepted.",
			r->share * 100, r->counted, r->threshold * 100, r->missing, r->silent, r->expired, r->needed);
}
