/* explain_lb.c - see explain_lb.h. What is said is manage/balancers' to write. */
#include "gateway/explain_lb.h"

#include "codec/json.h"
#include "gateway/gateway.h"
#include "manage/actuator.h"
#include "manage/balancers.h"
#include "manage/meters.h"

static struct balancer_view view_of(const struct gw_target *t)
{
	return (struct balancer_view){ t->service->id, &t->lb, t->set, t->balancer, t->service->ribbon };
}

static void list_all(struct control_call *c)
{
	struct gateway *gw = c->ctx;
	struct jsonw w;

	jsonw_init(&w, &c->out);
	balancers_begin(&w);
	for (unsigned i = 0; i < gw->picture->n_targets; i++) {
		struct balancer_view v = view_of(gw->picture->targets[i]);

		balancers_add(&w, &v);
	}
	balancers_end(&w);
}

static void explain_one(struct control_call *c)
{
	struct gateway *gw = c->ctx;
	struct balancers_when at = { loop_now(gw->host->loop), clock_wall() };

	for (unsigned i = 0; i < gw->picture->n_targets; i++) {
		struct balancer_view v = view_of(gw->picture->targets[i]);

		if (!str_eq(v.name, c->path))
			continue;
		balancers_explain(&c->out, &v, &at);
		return;
	}
	call_fail(c, 404, "no such service");
}

static void server_meters(struct meter_snapshot *s, void *arg)
{
	static const struct meter_desc desc = { "vine.loadbalancer.servers", "servers of a client by their state", NULL,
						0 };
	struct gateway *gw = arg;
	usec now = loop_now(gw->host->loop);

	for (unsigned i = 0; i < gw->picture->n_targets; i++) {
		const struct gw_target *t = gw->picture->targets[i];
		uint32_t n[SERVER_PROBING + 1] = { 0 };

		for (uint32_t k = 0; k < t->set->n; k++)
			n[server_state(t->set->at[k], now)]++;
		for (unsigned st = 0; st < ARRAY_LEN(n); st++) {
			struct meter_tag tags[2] = { { "service", t->service->id },
						     { "state", str_from(server_state_name((enum server_state)st)) } };

			snapshot_add(s, METER_GAUGE, &desc, n[st], tags, 2);
		}
	}
}

void gw_explain_lb_add(struct gateway *gw)
{
	const struct endpoint list[] = {
		{ "loadbalancers", "GET", "/loadbalancers", .call = list_all, .ctx = gw },
		{ "loadbalancers-service", "GET", "/loadbalancers/{service}", .call = explain_one, .ctx = gw },
	};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		actuator_add(gw->host->actuator, &list[i]);
	meters_source(gw->host->meters, server_meters, gw);
}
