/* health.c - see health.h. Control thread only; the parts are added before anything listens. */
#include "manage/health.h"

#include "codec/json.h"
#include "manage/host.h"

#define PARTS_MAX 32
#define DETAILS_MAX (256u * 1024)

struct health {
	size_t n;
	struct health_part part[PARTS_MAX];
};

void host_add_health(struct host *h, const struct health_part *part)
{
	if (!h->health)
		h->health = xzalloc(sizeof(*h->health));
	assert(h->health->n < PARTS_MAX);
	h->health->part[h->health->n++] = *part;
}

void health_free(struct health *hl)
{
	free(hl);
}

const char *health_status_name(enum health_status s)
{
	static const char *const names[] = { "UNKNOWN", "UP", "OUT_OF_SERVICE", "DOWN" };

	return names[s];
}

/* Boot's order; the enum is in it. */
static enum health_status worse(enum health_status a, enum health_status b)
{
	return MAX(a, b);
}

static enum health_status ask(struct host *h, const struct health_part *p, struct buf *details)
{
	struct jsonw w;

	buf_clear(details);
	jsonw_init(&w, details);
	jsonw_object(&w);

	enum health_status s = p->check(h, &w, p->arg);

	jsonw_object_end(&w);
	return s;
}

static bool is_in(const struct health_part *p, enum health_group group)
{
	return group == HEALTH_ALL || (p->groups & group);
}

enum health_status host_health(struct host *h, enum health_group group)
{
	_cleanup_(buf_finip) struct buf details = BUF_INIT(DETAILS_MAX);
	enum health_status all = HEALTH_UP;

	for (size_t i = 0; h->health && i < h->health->n; i++) {
		if (is_in(&h->health->part[i], group))
			all = worse(all, ask(h, &h->health->part[i], &details));
	}
	return all;
}

static void add_part(struct jsonw *w, enum health_status s, const struct buf *details)
{
	jsonw_object(w);
	jsonw_key_str(w, STR("status"), str_from(health_status_name(s)));
	if (details && !details->failed && details->len > 2) { /* more than {} */
		jsonw_key(w, STR("details"));
		jsonw_raw(w, buf_str(details));
	}
	jsonw_object_end(w);
}

static void add_group(struct host *h, struct jsonw *w, enum health_group group, bool details, bool v2, enum health_status *ret)
{
	_cleanup_(buf_finip) struct buf d = BUF_INIT(DETAILS_MAX), parts = BUF_INIT(DETAILS_MAX * PARTS_MAX);
	enum health_status all = HEALTH_UP;
	struct jsonw pw;

	jsonw_init(&pw, &parts);
	jsonw_object(&pw);
	for (size_t i = 0; h->health && i < h->health->n; i++) {
		const struct health_part *p = &h->health->part[i];

		if (!is_in(p, group))
			continue;

		enum health_status s = ask(h, p, &d);

		all = worse(all, s);
		jsonw_key(&pw, str_from(p->name));
		add_part(&pw, s, &d);
	}
	jsonw_object_end(&pw);
	jsonw_object(w);
	jsonw_key_str(w, STR("status"), str_from(health_status_name(all)));
	if (details && parts.len > 2) {
		jsonw_key(w, v2 ? STR("details") : STR("components"));
		jsonw_raw(w, buf_str(&parts));
	}
	if (group == HEALTH_ALL) {
		jsonw_key(w, STR("groups"));
		jsonw_array(w);
		jsonw_str(w, STR("liveness"));
		jsonw_str(w, STR("readiness"));
		jsonw_array_end(w);
	}
	jsonw_object_end(w);
	*ret = all;
}

/* Cuts the first segment off. */
static struct str next_segment(struct str *path)
{
	ptrdiff_t slash = str_chr(*path, '/');
	struct str first = slash < 0 ? *path : str_slice(*path, 0, (size_t)slash);

	*path = slash < 0 ? STR_EMPTY : str_slice(*path, (size_t)slash + 1, path->len);
	return first;
}

int host_health_json(struct host *h, struct buf *out, struct str path, bool details, bool v2, enum health_status *status)
{
	_cleanup_(buf_finip) struct buf d = BUF_INIT(DETAILS_MAX);
	struct str first = next_segment(&path);
	enum health_group group = HEALTH_ALL;
	struct jsonw w;

	jsonw_init(&w, out);
	if (str_eq(first, STR("liveness")))
		group = HEALTH_LIVENESS;
	else if (str_eq(first, STR("readiness")))
		group = HEALTH_READINESS;
	if (first.len == 0 || (group != HEALTH_ALL && path.len == 0)) {
		add_group(h, &w, group, details, v2, status);
		return 0;
	}
	if (group != HEALTH_ALL) /* "readiness/diskSpace": a part as seen in its group */
		first = next_segment(&path);
	for (size_t i = 0; h->health && i < h->health->n && path.len == 0 && details; i++) {
		const struct health_part *p = &h->health->part[i]; /* the names of parts are details too */

		if (!str_eq(first, str_from(p->name)) || !is_in(p, group))
			continue;
		*status = ask(h, p, &d);
		add_part(&w, *status, &d);
		return 0;
	}
	return VINE_ENOTFOUND;
}
