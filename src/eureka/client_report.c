/* client_report.c - what the discovery client tells of itself: for health, for meters, for who looks at three in the morning. */
#include "eureka/client_impl.h"

#include <stdio.h>

#include "codec/json.h"

const char *eureka_state_name(enum eureka_state s)
{
	static const char *const names[] = { [EUREKA_NEVER] = "never answered", [EUREKA_OK] = "ok", [EUREKA_LOST] = "lost" };

	return names[s];
}

void eureka_client_report(const struct eureka_client *c, struct eureka_client_report *ret)
{
	*ret = c->rep;
	ret->state = c->lost ? EUREKA_LOST : c->rep.last_ok ? EUREKA_OK : EUREKA_NEVER;
	ret->pushed = c->pushed;
	ret->local = c->self ? (enum inst_status)c->self->status : INST_UNKNOWN;
	ret->urls = c->cand.n;
	ret->quarantined = candidates_quarantined(&c->cand);
	if (c->used[0])
		snprintf(ret->url, sizeof(ret->url), "%s", c->used);
	else if (c->cand.n)
		snprintf(ret->url, sizeof(ret->url), "%s", c->cand.at[c->cand.now >= 0 ? c->cand.now : 0].url.shown);
}

static void add_age(const struct eureka_client *c, struct jsonw *w, struct str key, usec at)
{
	if (at)
		jsonw_key_u64(w, key, (uint64_t)((loop_now(c->loop) - at) / USEC_PER_MSEC));
}

static void add_place(const struct eureka_client *c, struct jsonw *w, unsigned i)
{
	const struct candidate *x = &c->cand.at[i];

	jsonw_object(w);
	jsonw_key_str(w, STR("url"), str_from(x->url.shown));
	if (x->zone[0])
		jsonw_key_str(w, STR("zone"), str_from(x->zone));
	jsonw_key_bool(w, STR("ownZone"), x->rank == 0);
	jsonw_key_bool(w, STR("inUse"), c->cand.now == (int)i);
	if (c->detour.of == (int)i)
		jsonw_key_str(w, STR("redirectedTo"), str_from(c->detour.url.shown));
	jsonw_key_bool(w, STR("quarantined"), x->quarantined);
	jsonw_key_u64(w, STR("answers"), x->answers);
	jsonw_key_u64(w, STR("failures"), x->failures);
	if (x->failed_at) {
		jsonw_key_str(w, STR("lastFailure"), str_from(x->why));
		add_age(c, w, STR("lastFailureMsAgo"), x->failed_at);
	}
	jsonw_object_end(w);
}

static void add_registration(const struct eureka_client *c, struct jsonw *w)
{
	const struct instance *in = c->self;

	jsonw_key(w, STR("registration"));
	jsonw_object(w);
	jsonw_key_bool(w, STR("registered"), c->rep.registered);
	if (in) {
		jsonw_key_str(w, STR("app"), in->app);
		jsonw_key_str(w, STR("instanceId"), in->id);
		jsonw_key_str(w, STR("status"), inst_status_name((enum inst_status)in->status));
		jsonw_key_str(w, STR("remoteStatus"), inst_status_name(c->rep.remote));
		jsonw_key_str(w, STR("overriddenStatus"), inst_status_name(c->rep.override));
		jsonw_key_i64(w, STR("lastDirtyTimestamp"), in->dirty);
		jsonw_key_bool(w, STR("dirty"), c->reg == REG_NEEDED);
		jsonw_key_u64(w, STR("heartbeatIntervalMs"), (uint64_t)(c->interval / USEC_PER_MSEC));
	}
	jsonw_key_u64(w, STR("registrations"), c->rep.registrations);
	jsonw_key_u64(w, STR("heartbeats"), c->rep.heartbeats);
	add_age(c, w, STR("lastHeartbeatMsAgo"), c->rep.last_heartbeat);
	jsonw_object_end(w);
}

static void add_fetches(const struct eureka_client *c, struct jsonw *w)
{
	jsonw_key(w, STR("registry"));
	jsonw_object(w);
	jsonw_key_bool(w, STR("fetched"), c->s.fetch_registry);
	jsonw_key_str(w, STR("changes"), c->pushed ? STR("pushed") : STR("polled"));
	jsonw_key_u64(w, STR("applications"), c->rep.apps);
	jsonw_key_u64(w, STR("instances"), c->rep.instances);
	jsonw_key_u64(w, STR("held"), c->cache.held);
	jsonw_key_u64(w, STR("full"), c->rep.full);
	jsonw_key_u64(w, STR("delta"), c->rep.delta);
	jsonw_key_u64(w, STR("mismatches"), c->rep.mismatches);
	add_age(c, w, STR("lastFetchMsAgo"), c->rep.last_fetch);
	jsonw_object_end(w);
}

void eureka_client_write(const struct eureka_client *c, struct jsonw *w)
{
	struct eureka_client_report r;

	eureka_client_report(c, &r);
	jsonw_object(w);
	jsonw_key_str(w, STR("state"), str_from(eureka_state_name(r.state)));
	jsonw_key_str(w, STR("url"), str_from(r.url));
	add_age(c, w, STR("lastSuccessMsAgo"), r.last_ok);
	jsonw_key_u64(w, STR("failures"), r.failures);
	if (r.last_failure) {
		jsonw_key_str(w, STR("lastFailure"), str_from(r.why));
		add_age(c, w, STR("lastFailureMsAgo"), r.last_failure);
	}
	jsonw_key_u64(w, STR("switches"), r.switches);
	jsonw_key_u64(w, STR("redirects"), r.redirects);
	jsonw_key_u64(w, STR("quarantined"), r.quarantined);
	jsonw_key_u64(w, STR("quarantineResets"), c->cand.resets);
	if (c->s.dns.on)
		jsonw_key_str(w, STR("dns"), c->places_why[0] ? str_from(c->places_why) : STR("ok"));
	jsonw_key(w, STR("registries"));
	jsonw_array(w);
	for (unsigned i = 0; i < c->cand.n; i++)
		add_place(c, w, i);
	jsonw_array_end(w);
	add_fetches(c, w);
	add_registration(c, w);
	jsonw_object_end(w);
}

/* --- the serviceregistry endpoint --- */

bool eureka_override_parse(struct str body, enum eureka_question *q, enum inst_status *s)
{
	struct str text = str_trim(body), key;
	struct arena a;
	struct json j;
	bool good = true;

	arena_init(&a, 512);
	json_init(&j, body, 4, &a);
	if (str_has_prefix(text, STR("{"))) {
		text = STR_EMPTY;
		if (json_enter_object(&j)) {
			while (json_next_key(&j, &key)) {
				if (str_eq(key, STR("status")))
					json_str(&j, &text);
			}
		}
		good = json_finish(&j, NULL) == 0;
	}
	*s = INST_UNKNOWN;
	*q = str_eq_nocase(text, STR("CANCEL_OVERRIDE")) ? EUREKA_CANCEL_OVERRIDE : EUREKA_OVERRIDE;
	good = good && (*q == EUREKA_CANCEL_OVERRIDE || inst_status_parse_nocase(text, s));
	arena_fini(&a);
	return good;
}

void eureka_reply_write(struct buf *out, const struct eureka_reply *r)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("status"), inst_status_name(r->inst ? (enum inst_status)r->inst->status : INST_UNKNOWN));
	if (r->inst)
		jsonw_key_str(&w, STR("overriddenStatus"), inst_status_name((enum inst_status)r->inst->overridden));
	jsonw_object_end(&w);
}
