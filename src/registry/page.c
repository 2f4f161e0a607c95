/* page.c - see page.h. Whatever a peer registered is escaped; a link is made only of an http or https URL. */
#include "registry/page.h"

#include <stdio.h>

#include "codec/json.h"
#include "eureka/xml.h"

#define SHOWN_MAX 200 /* instances of one app and status */
#define TABLE_MAX ((size_t)4 << 20) /* bytes; applications beyond are only counted: no page holds up heartbeats */

static const char style[] =
	"body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:70em;padding:1em;color:#1c2b1f}"
	"h1{font-size:1.5em}h2{font-size:1.15em;margin-top:1.6em}table{border-collapse:collapse;width:100%}"
	"th,td{text-align:left;padding:.3em .6em;border-bottom:1px solid #d5ddd6;vertical-align:top}"
	".on{background:#fbe3e0;border-left:6px solid #b3261e;padding:.6em 1em}"
	".note{background:#fdf3d8;border-left:6px solid #b58100;padding:.6em 1em}"
	".off{background:#e6f2e6;border-left:6px solid #2f7d32;padding:.6em 1em}.bad{color:#b3261e;font-weight:600}"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1.2em}dt{color:#566}dd{margin:0}";

static void head(struct buf *b, const char *title)
{
	buf_addf(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
		    "<meta name=\"viewport\" content=\"width=device-width\"><style>%s</style></head><body>\n<h1>%s</h1>\n",
		 title, style, title);
}

static void uptime_text(char out[48], usec up)
{
	long long s = (long long)(up / USEC_PER_SEC);

	snprintf(out, 48, "%lldd %02lld:%02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
}

static void link_to(struct buf *b, struct str context, struct str path, const char *text)
{
	buf_adds(b, STR("<a href=\""));
	xml_text(b, context);
	xml_text(b, path);
	buf_addf(b, "\">%s</a>", text);
}

static void row_open(struct buf *b, const char *name)
{
	buf_addf(b, "<dt>%s</dt><dd>", name);
}

static void row_close(struct buf *b)
{
	buf_adds(b, STR("</dd>\n"));
}

/* --- self-preservation --- */

static void preserve_box(struct buf *b, const struct page *pg)
{
	const struct preserve_report *r = &pg->report->preserve;
	char text[PRESERVE_TEXT_MAX];

	preserve_text(r, text);
	buf_addf(b, "<div class=\"%s\"><p>", r->on || !r->enabled ? "on" : "off");
	xml_text(b, str_from(text));
	buf_adds(b, STR("</p>\n"));
	if (r->on)
		buf_addf(b, "<p>For %lld s. If the services that are missing are really gone, accept the present size:</p>",
			 (long long)((pg->now - r->since) / USEC_PER_SEC));
	if (r->on && pg->accepts_here) {
		buf_adds(b, STR("<form method=\"post\" action=\""));
		xml_text(b, pg->context);
		xml_text(b, pg->accept);
		buf_adds(b, STR("\"><button>Accept the current size</button></form>"));
	} else if (r->on) {
		buf_adds(b, STR("<p>POST "));
		xml_text(b, pg->accept);
		buf_adds(b, STR(" on the management port.</p>"));
	}
	buf_adds(b, STR("</div>\n"));
}

static void preserve_numbers(struct buf *b, const struct page *pg)
{
	const struct preserve_report *r = &pg->report->preserve;

	row_open(b, "Clients");
	buf_addf(b, "%u; counted %u, missing heartbeats %u, silent %u, not counted: %u silent for long, %u accepted as gone",
		 r->clients, r->counted, r->missing, r->silent, r->decayed, r->accepted);
	row_close(b);
	row_open(b, "Renewals in the last minute");
	buf_addf(b, "%u (by their intervals %.0f are due, %.0f come)", pg->report->renewals_minute, r->expected_per_minute,
		 r->received_per_minute);
	row_close(b);
	row_open(b, "Threshold");
	buf_addf(b, "%.0f %% of the clients; now %.1f %%", r->threshold * 100, r->share * 100);
	row_close(b);
	row_open(b, "Lease expiration enabled");
	buf_addz(b, r->on ? "false" : "true");
	row_close(b);
	row_open(b, "Expired leases");
	buf_addf(b, "%u", r->expired);
	row_close(b);
}

/* --- instances --- */

static bool is_link(struct str url)
{
	return str_has_prefix_nocase(url, STR("http://")) || str_has_prefix_nocase(url, STR("https://"));
}

static void instance_link(struct buf *b, const struct instance *in)
{
	if (is_link(in->status_url)) {
		buf_adds(b, STR("<a rel=\"noreferrer\" href=\""));
		xml_text(b, in->status_url);
		buf_adds(b, STR("\">"));
		xml_text(b, in->id);
		buf_adds(b, STR("</a>"));
	} else {
		xml_text(b, in->id);
	}
	if (in->overridden != INST_UNKNOWN)
		buf_adds(b, STR(" (overridden)"));
}

static void statuses(struct buf *b, const struct app *a)
{
	static const enum inst_status order[] = { INST_UP, INST_STARTING, INST_OUT_OF_SERVICE, INST_DOWN, INST_UNKNOWN };

	for (size_t s = 0; s < ARRAY_LEN(order); s++) {
		if (!a->counts.n[order[s]])
			continue;
		buf_addf(b, "<div><span%s>%.*s (%u)</span> - ", order[s] == INST_UP ? "" : " class=\"bad\"",
			 STRF(inst_status_name(order[s])), a->counts.n[order[s]]);
		for (uint32_t i = 0, shown = 0; i < a->n && shown < SHOWN_MAX; i++) {
			if (a->entry[i]->inst->status != order[s])
				continue;
			if (shown++)
				buf_adds(b, STR(", "));
			instance_link(b, a->entry[i]->inst);
		}
		if (a->counts.n[order[s]] > SHOWN_MAX)
			buf_addf(b, " and %u more", a->counts.n[order[s]] - SHOWN_MAX);
		buf_adds(b, STR("</div>"));
	}
}

/* "n/a (2)", "eu-1a (1), eu-1b (3)": how many have each value, at most a handful of values. */
static void value_counts(struct buf *b, const struct app *a, struct str (*value)(const struct instance *in))
{
	struct {
		struct str v;
		uint32_t n;
	} seen[8];
	size_t n = 0, others = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		struct str v = value(a->entry[i]->inst);
		size_t k = 0;

		while (k < n && !str_eq(seen[k].v, v))
			k++;
		if (k == n && n == ARRAY_LEN(seen)) {
			others++;
			continue;
		}
		if (k == n) {
			seen[n].v = v;
			seen[n++].n = 0;
		}
		seen[k].n++;
	}
	for (size_t k = 0; k < n; k++) {
		if (k)
			buf_adds(b, STR(", "));
		xml_text(b, seen[k].v.len ? seen[k].v : STR("n/a"));
		buf_addf(b, " (%u)", seen[k].n);
	}
	if (others)
		buf_addf(b, ", others (%zu)", others);
}

static struct str ami_of(const struct instance *in)
{
	for (unsigned i = 0; i < in->n_dc_meta; i++) {
		if (str_eq(in->dc_meta[i].key, STR("ami-id")))
			return in->dc_meta[i].value;
	}
	return STR_EMPTY;
}

static void app_row(struct buf *b, const struct app *a)
{
	buf_adds(b, STR("<tr><td><b>"));
	xml_text(b, a->name);
	buf_adds(b, STR("</b></td><td>"));
	value_counts(b, a, ami_of);
	buf_adds(b, STR("</td><td>"));
	value_counts(b, a, instance_zone);
	buf_adds(b, STR("</td><td>"));
	statuses(b, a);
	buf_adds(b, STR("</td></tr>\n"));
}

static void apps_table(struct buf *b, const struct page *pg)
{
	const struct picture *p = pg->p;
	struct arena a;

	arena_init(&a, 4096);

	struct app **apps = picture_apps(p, &a);

	buf_adds(b, STR("<h2>Instances currently registered</h2>\n<table><thead><tr><th>Application</th><th>AMIs</th>"
			"<th>Availability zones</th><th>Status</th></tr></thead><tbody>\n"));
	size_t before = b->len;
	uint32_t i = 0;

	for (; i < p->n_apps && b->len - before < TABLE_MAX; i++)
		app_row(b, apps[i]);
	if (i < p->n_apps) {
		buf_addf(b, "<tr><td colspan=\"4\">and %u applications more: see ", p->n_apps - i);
		xml_text(b, pg->context);
		buf_adds(b, STR("/eureka/apps</td></tr>\n"));
	}
	if (p->n_apps == 0)
		buf_adds(b, STR("<tr><td colspan=\"4\">No instances available</td></tr>\n"));
	buf_adds(b, STR("</tbody></table>\n"));
	arena_fini(&a);
}

/* --- peers --- */

static void state_boxes(struct buf *b, const struct page *pg)
{
	if (!pg->serving)
		buf_adds(b, STR("<div class=\"on\"><p>Lists are not given yet: the peers are being asked for what they have. "
				"Registrations and heartbeats are taken.</p></div>\n"));
	if (pg->restored)
		buf_addf(b, "<div class=\"note\"><p>%u of %u instances are from before the restart and have not been heard of "
			    "since.</p></div>\n", pg->restored, pg->p->n_instances);
}

static void snapshot_row(struct buf *b, const struct snapshot_report *r)
{
	char wall[WALL_TEXT_MAX];

	row_open(b, "Snapshot");
	if (!r->on) {
		buf_adds(b, STR("off (vine.registry.snapshot.enabled)"));
	} else if (r->failing) {
		clock_wall_text(wall, r->failing_since);
		buf_addf(b, "<span class=\"bad\">cannot be written since %s:</span> ", wall);
		xml_text(b, str_from(r->error));
	} else {
		clock_wall_text(wall, r->written);
		buf_addf(b, "%llu bytes, %s %s; %u instances came from it at the start", (unsigned long long)r->bytes,
			 r->written ? "written" : "not written yet", r->written ? wall : "", r->restored);
	}
	row_close(b);
}

static void peer_row(struct buf *b, const struct peer_report *r, usec now)
{
	buf_adds(b, STR("<tr><td><a rel=\"noreferrer\" href=\""));
	xml_text(b, str_from(r->shown));
	buf_adds(b, STR("\">"));
	xml_text(b, str_from(r->shown));
	buf_addf(b, "</a>%s</td><td><span%s>%s</span> ", r->is_vine ? " (Vine)" : "",
		 r->state == PEER_LOST || r->state == PEER_REFUSES ? " class=\"bad\"" : "", peer_state_name(r->state));
	xml_text(b, str_from(r->why));
	buf_addf(b, "</td><td>%u</td><td>%llu</td><td>", r->waiting, (unsigned long long)r->sent);
	if (r->last_ok)
		buf_addf(b, "%lld s ago", (long long)((now - r->last_ok) / USEC_PER_SEC));
	else
		buf_adds(b, STR("never"));
	buf_adds(b, STR("</td></tr>\n"));
}

static void peers_table(struct buf *b, const struct page *pg)
{
	buf_adds(b, STR("<h2>DS Replicas</h2>\n"));
	if (!pg->peers->n) {
		buf_adds(b, STR("<p>None: this registry stands alone.</p>\n"));
		return;
	}
	buf_adds(b, STR("<table><thead><tr><th>Peer</th><th>State</th><th>Changes that wait</th><th>Told</th><th>Last answer</th></tr>"
			"</thead><tbody>\n"));
	for (unsigned i = 0; i < pg->peers->n; i++)
		peer_row(b, &pg->peers->peer[i], pg->now);
	buf_adds(b, STR("</tbody></table>\n"));
}

enum replicas { REPLICAS_ALL, REPLICAS_UP, REPLICAS_DOWN };

/* "http://a:8761/eureka/,http://b..." */
static void replicas(struct buf *b, const struct peers_report *r, enum replicas which)
{
	size_t before = b->len;

	for (unsigned i = 0; i < r->n; i++) {
		bool up = r->peer[i].state == PEER_UP;

		if (r->peer[i].state == PEER_SELF || (which == REPLICAS_UP && !up) || (which == REPLICAS_DOWN && up))
			continue;
		if (b->len > before)
			buf_addc(b, ',');
		buf_addz(b, r->peer[i].shown);
	}
}

static void replicas_text(struct buf *b, const struct peers_report *r, enum replicas which)
{
	_cleanup_(buf_finip) struct buf list = BUF_INIT(65536);

	replicas(&list, r, which);
	xml_text(b, buf_str(&list));
}

/* --- the machine and the process --- */

struct stat {
	const char *key;
	char value[96];
};

#define STATS 5

static void general_stats(struct stat stats[STATS], const struct page *pg)
{
	static const char *const keys[STATS] = { "environment", "num-of-cpus", "total-avail-memory", "current-memory-usage",
						 "server-uptime" };

	for (unsigned i = 0; i < STATS; i++)
		stats[i].key = keys[i];
	snprintf(stats[0].value, sizeof(stats[0].value), "%.*s", (int)MIN(pg->environment.len, (size_t)90), pg->environment.ptr);
	snprintf(stats[1].value, sizeof(stats[1].value), "%u", pg->cpus);
	snprintf(stats[2].value, sizeof(stats[2].value), "%llumb", (unsigned long long)(pg->memory_total >> 20));
	snprintf(stats[3].value, sizeof(stats[3].value), "%llumb", (unsigned long long)(pg->memory >> 20));
	uptime_text(stats[4].value, pg->uptime);
}

static const char *const replica_keys[] = { "registered-replicas", "available-replicas", "unavailable-replicas" };

static void general_info(struct buf *b, const struct page *pg)
{
	const struct registry_report *r = pg->report;
	struct stat stats[STATS];

	general_stats(stats, pg);
	buf_adds(b, STR("<h2>General info</h2>\n<dl>\n"));
	for (unsigned i = 0; i < STATS; i++) {
		row_open(b, stats[i].key);
		xml_text(b, str_from(stats[i].value));
		row_close(b);
	}
	for (unsigned i = 0; i < ARRAY_LEN(replica_keys); i++) {
		row_open(b, replica_keys[i]);
		replicas_text(b, pg->peers, (enum replicas)i);
		row_close(b);
	}
	row_open(b, "leases live");
	buf_addz(b, pg->doubling ? "twice their duration once renewed (vine.registry.eureka-lease-doubling)" : "one duration");
	row_close(b);
	row_open(b, "registered, cancelled, evicted since the start");
	buf_addf(b, "%llu, %llu, %llu", (unsigned long long)r->registered, (unsigned long long)r->cancelled,
		 (unsigned long long)r->evicted);
	row_close(b);
	buf_adds(b, STR("</dl>\n<h2>Instance info</h2>\n<dl>\n"));
	row_open(b, "ipAddr");
	xml_text(b, pg->ip);
	row_close(b);
	row_open(b, "status");
	buf_addz(b, pg->serving ? "UP" : "STARTING");
	row_close(b);
	buf_adds(b, STR("</dl>\n"));
}

void page_write(struct buf *b, const struct page *pg)
{
	char up[48], wall[WALL_TEXT_MAX];

	uptime_text(up, pg->uptime);
	clock_wall_text(wall, pg->wall);
	head(b, "Vine registry");
	preserve_box(b, pg);
	state_boxes(b, pg);
	buf_adds(b, STR("<h2>System status</h2>\n<dl>\n"));
	row_open(b, "Environment");
	xml_text(b, pg->environment);
	row_close(b);
	row_open(b, "Data center");
	xml_text(b, pg->datacenter);
	row_close(b);
	buf_addf(b, "<dt>Current time</dt><dd>%s</dd>\n<dt>Uptime</dt><dd>%s</dd>\n", wall, up);
	preserve_numbers(b, pg);
	snapshot_row(b, pg->snapshot);
	buf_adds(b, STR("</dl>\n"));
	peers_table(b, pg);
	apps_table(b, pg);
	general_info(b, pg);
	buf_adds(b, STR("<p>"));
	link_to(b, pg->context, STR("/lastn"), "Last 1000 registered and cancelled leases");
	buf_adds(b, STR("</p>\n</body></html>\n"));
}

static void recent_row(const struct recent_item *it, void *ctx)
{
	struct buf *b = ctx;
	char wall[WALL_TEXT_MAX];

	clock_wall_text(wall, it->at);
	buf_addf(b, "<tr><td>%s</td><td>", wall);
	xml_text(b, str_from(it->text));
	buf_adds(b, STR("</td></tr>\n"));
}

void page_accepted(struct buf *b, struct str context, struct str home)
{
	buf_adds(b, STR("<!DOCTYPE html>\n<html lang=\"en\"><title>Accepted</title><p>The current size was accepted. "));
	link_to(b, context, home, "Back");
	buf_adds(b, STR("</p></html>\n"));
}

void page_lastn(struct buf *b, struct registry *r, struct str context, struct str home)
{
	head(b, "Vine registry: last leases");
	buf_adds(b, STR("<p>"));
	link_to(b, context, home, "Back");
	buf_adds(b, STR("</p>\n<h2>Last 1000 cancelled leases</h2>\n<table><tbody>\n"));
	registry_recent(r, true, recent_row, b);
	buf_adds(b, STR("</tbody></table>\n<h2>Last 1000 newly registered leases</h2>\n<table><tbody>\n"));
	registry_recent(r, false, recent_row, b);
	buf_adds(b, STR("</tbody></table>\n</body></html>\n"));
}

/* --- for machines --- */

/* min-available-instances-for-peer-replication; without it always. */
static bool has_enough_peers(const struct peers_report *r)
{
	int64_t up = 0;

	for (unsigned i = 0; i < r->n; i++)
		up += r->peer[i].state == PEER_UP;
	return up >= r->min_replicas;
}

static void xml_member(struct buf *b, const char *key, struct str value)
{
	buf_addf(b, "    <%s>", key);
	xml_text(b, value);
	buf_addf(b, "</%s>\n", key);
}

static void status_xml(struct buf *b, const struct page *pg, const struct stat *stats)
{
	buf_adds(b, STR("<com.netflix.eureka.util.StatusInfo>\n  <generalStats>\n"));
	for (size_t i = 0; i < STATS; i++)
		xml_member(b, stats[i].key, str_from(stats[i].value));
	buf_adds(b, STR("  </generalStats>\n  <applicationStats>\n"));
	for (unsigned i = 0; i < ARRAY_LEN(replica_keys); i++) {
		buf_addf(b, "    <%s>", replica_keys[i]);
		replicas_text(b, pg->peers, (enum replicas)i);
		buf_addf(b, "</%s>\n", replica_keys[i]);
	}
	buf_adds(b, STR("  </applicationStats>\n  <instanceInfo>\n"));
	xml_member(b, "ipAddr", pg->ip);
	xml_member(b, "status", pg->serving ? STR("UP") : STR("STARTING"));
	buf_adds(b, STR("  </instanceInfo>\n"));
	if (pg->peers->min_replicas > -1)
		buf_addf(b, "  <isHeathly>%s</isHeathly>\n", has_enough_peers(pg->peers) ? "true" : "false"); /* its spelling */
	buf_adds(b, STR("</com.netflix.eureka.util.StatusInfo>"));
}

static void status_json(struct buf *b, const struct page *pg, const struct stat *stats)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key(&w, STR("generalStats"));
	jsonw_object(&w);
	for (size_t i = 0; i < STATS; i++)
		jsonw_key_str(&w, str_from(stats[i].key), str_from(stats[i].value));
	jsonw_object_end(&w);
	jsonw_key(&w, STR("applicationStats"));
	jsonw_object(&w);
	for (unsigned i = 0; i < ARRAY_LEN(replica_keys); i++) {
		_cleanup_(buf_finip) struct buf list = BUF_INIT(65536);

		replicas(&list, pg->peers, (enum replicas)i);
		jsonw_key_str(&w, str_from(replica_keys[i]), buf_str(&list));
	}
	jsonw_object_end(&w);
	jsonw_key(&w, STR("instanceInfo"));
	jsonw_object(&w);
	jsonw_key_str(&w, STR("ipAddr"), pg->ip);
	jsonw_key_str(&w, STR("status"), pg->serving ? STR("UP") : STR("STARTING"));
	jsonw_object_end(&w);
	jsonw_key_bool(&w, STR("healthy"), has_enough_peers(pg->peers));
	jsonw_object_end(&w);
}

void page_status(struct buf *b, const struct page *pg, bool xml)
{
	struct stat stats[STATS];

	general_stats(stats, pg);
	if (xml)
		status_xml(b, pg, stats);
	else
		status_json(b, pg, stats);
}

static void snapshot_json(struct jsonw *w, const struct snapshot_report *r)
{
	jsonw_key(w, STR("snapshot"));
	jsonw_object(w);
	jsonw_key_bool(w, STR("enabled"), r->on);
	jsonw_key_bool(w, STR("failing"), r->failing);
	if (r->failing)
		jsonw_key_str(w, STR("error"), str_from(r->error));
	jsonw_key_u64(w, STR("bytes"), r->bytes);
	jsonw_key_u64(w, STR("restored"), r->restored);
	jsonw_key_u64(w, STR("appends"), r->appends);
	jsonw_key_u64(w, STR("rewrites"), r->rewrites);
	jsonw_key_u64(w, STR("failures"), r->failures);
	jsonw_object_end(w);
}

static void peers_json(struct jsonw *w, const struct peers_report *r)
{
	static const char *const syncs[] = { [SYNC_WAITING] = "waiting", [SYNC_DONE] = "done", [SYNC_ALONE] = "alone" };

	jsonw_key_str(w, STR("sync"), str_from(syncs[r->sync]));
	jsonw_key_u64(w, STR("learntFromPeers"), r->learnt);
	jsonw_key(w, STR("peers"));
	jsonw_array(w);
	for (unsigned i = 0; i < r->n; i++) {
		const struct peer_report *p = &r->peer[i];

		jsonw_object(w);
		jsonw_key_str(w, STR("url"), str_from(p->shown));
		jsonw_key_str(w, STR("state"), str_from(peer_state_name(p->state)));
		jsonw_key_bool(w, STR("vine"), p->is_vine);
		if (p->why[0])
			jsonw_key_str(w, STR("why"), str_from(p->why));
		jsonw_key_u64(w, STR("waiting"), p->waiting);
		jsonw_key_u64(w, STR("told"), p->sent);
		jsonw_key_u64(w, STR("batches"), p->batches);
		jsonw_key_u64(w, STR("failures"), p->failures);
		jsonw_key_u64(w, STR("dropped"), p->dropped);
		jsonw_key_u64(w, STR("registeredAnew"), p->registered_anew);
		jsonw_key_u64(w, STR("takenOver"), p->taken_over);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

void page_state_json(struct buf *b, const struct page *pg)
{
	const struct preserve_report *r = &pg->report->preserve;
	char text[PRESERVE_TEXT_MAX];
	struct jsonw w;

	preserve_text(r, text);
	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_u64(&w, STR("applications"), pg->p->n_apps);
	jsonw_key_u64(&w, STR("instances"), pg->p->n_instances);
	jsonw_key_u64(&w, STR("bytes"), pg->p->bytes);
	jsonw_key_u64(&w, STR("renewalsLastMinute"), pg->report->renewals_minute);
	jsonw_key_u64(&w, STR("registered"), pg->report->registered);
	jsonw_key_u64(&w, STR("cancelled"), pg->report->cancelled);
	jsonw_key_u64(&w, STR("evicted"), pg->report->evicted);
	jsonw_key_u64(&w, STR("refused"), pg->report->refused);
	jsonw_key_u64(&w, STR("ghostsIgnored"), pg->report->ghosts_ignored);
	jsonw_key_bool(&w, STR("serving"), pg->serving);
	jsonw_key_u64(&w, STR("restored"), pg->restored);
	peers_json(&w, pg->peers);
	snapshot_json(&w, pg->snapshot);
	jsonw_key(&w, STR("selfPreservation"));
	jsonw_object(&w);
	jsonw_key_bool(&w, STR("enabled"), r->enabled);
	jsonw_key_bool(&w, STR("on"), r->on);
	jsonw_key_str(&w, STR("why"), str_from(text));
	jsonw_key_u64(&w, STR("clients"), r->clients);
	jsonw_key_u64(&w, STR("counted"), r->counted);
	jsonw_key_u64(&w, STR("missing"), r->missing);
	jsonw_key_u64(&w, STR("silent"), r->silent);
	jsonw_key_u64(&w, STR("silentForLong"), r->decayed);
	jsonw_key_u64(&w, STR("acceptedAsGone"), r->accepted);
	jsonw_key_u64(&w, STR("expiredLeases"), r->expired);
	jsonw_key_double(&w, STR("share"), r->share);
	jsonw_key_double(&w, STR("threshold"), r->threshold);
	jsonw_key_double(&w, STR("expectedRenewalsPerMinute"), r->expected_per_minute);
	jsonw_key_double(&w, STR("receivedRenewalsPerMinute"), r->received_per_minute);
	jsonw_key_u64(&w, STR("moreClientsNeeded"), r->needed);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
}
