/* sum.c - see sum.h. */
#include "turbine/sum.h"

#include <stdio.h>

#include "codec/json.h"
#include "turbine/merge.h"

#define STEPS 8 /* a span between two percentiles is spread over so many points */
/* Hystrix's percentiles are of 60 s where its counts are of 10 s; neither window of percentiles is in the stream. */
#define LATENCY_WINDOW_MS 60000.0

struct counted {
	struct value value;
	uint64_t n;
};

struct acc {
	const struct field_name *name;
	int64_t sum, max;
	bool has_int;
	unsigned n_values;
	struct counted values[SUM_VALUES_MAX];
	uint64_t others;
	unsigned n_map;
	struct map_entry *map; /* EVENT_MAP_MAX of them; NULL: none yet */
};

void sum_begin(struct sum *s, const struct field_names *names)
{
	memset(s, 0, sizeof(*s));
	s->names = names;
	arena_init(&s->arena, 16384);
}

void sum_end(struct sum *s)
{
	arena_fini(&s->arena);
}

static struct acc *acc_of(struct sum *s, uint16_t name)
{
	struct acc *a;

	if (s->place[name])
		return s->acc[s->place[name] - 1];
	a = arena_zalloc(&s->arena, sizeof(*a));
	a->name = s->names->at[name];
	a->max = INT64_MIN;
	s->acc[s->n++] = a;
	s->place[name] = (uint16_t)s->n;
	return a;
}

static int64_t add_saturating(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

static int64_t mul_saturating(int64_t a, int64_t b)
{
	int64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
	return product;
}

/* --- values that are counted --- */

static bool value_eq(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == VALUE_INT)
		return a->num == b->num;
	return a->kind != VALUE_TEXT || str_eq(a->text, b->text);
}

static void count_value(struct acc *a, const struct value *v, int64_t hosts)
{
	for (unsigned i = 0; i < a->n_values; i++) {
		if (value_eq(&a->values[i].value, v)) {
			a->values[i].n += (uint64_t)hosts;
			return;
		}
	}
	if (a->n_values < SUM_VALUES_MAX)
		a->values[a->n_values++] = (struct counted){ *v, (uint64_t)hosts };
	else
		a->others += (uint64_t)hosts;
}

static void add_map(struct sum *s, struct acc *a, const struct value *v)
{
	if (!a->map)
		a->map = arena_alloc(&s->arena, EVENT_MAP_MAX * sizeof(*a->map));
	for (unsigned i = 0; i < v->map.n; i++) {
		const struct map_entry *from = &v->map.at[i];
		unsigned k = 0;

		while (k < a->n_map && !str_eq(a->map[k].key, from->key))
			k++;
		if (k == EVENT_MAP_MAX)
			continue;
		if (k == a->n_map)
			a->map[a->n_map++] = (struct map_entry){ from->key, 0 };
		a->map[k].value = add_saturating(a->map[k].value, from->value);
	}
}

/* --- distributions --- */

struct parts { /* of one event and one distribution */
	const struct value *points, *hist;
	int64_t mean;
};

static struct parts parts_of(const struct tevent *ev, const struct field_names *names, enum dist d)
{
	struct parts p = { 0 };

	for (unsigned i = 0; i < ev->n; i++) {
		const struct field_name *f = names->at[ev->at[i].name];
		const struct value *v = &ev->at[i].value;

		if (f->class == FIELD_POINTS && f->dist == d && v->kind == VALUE_POINTS)
			p.points = v;
		else if (f->class == FIELD_HIST && f->dist == d && v->kind == VALUE_HIST)
			p.hist = v;
		else if (f->class == FIELD_MEAN && f->dist == d && v->kind == VALUE_INT)
			p.mean = v->num;
	}
	return p;
}

/* How many calls a host's percentiles are of: it does not say, so what ran in its window of counts is scaled up. */
static double weight_of(const struct tevent *ev, const struct field_names *n, enum dist d)
{
	const uint16_t ran[] = { n->success, n->failure, n->timeout, n->bad };
	int64_t window = tevent_num(ev, n->window);
	double calls = 0;

	if (d == DIST_BATCH)
		return (double)MAX(tevent_num(ev, n->batches), (int64_t)0);
	for (size_t i = 0; i < ARRAY_LEN(ran); i++)
		calls += (double)MAX(tevent_num(ev, ran[i]), (int64_t)0);
	return calls * LATENCY_WINDOW_MS / (double)(window > 0 ? window : 10000);
}

static void spread(struct sum_dist *to, const int64_t points[POINTS], double weight, int64_t unit)
{
	for (unsigned i = 0; i + 1 < POINTS; i++) {
		double mass = weight * (point_at[i + 1] - point_at[i]) / STEPS;
		double from = (double)MAX(points[i], (int64_t)0), until = (double)MAX(points[i + 1], points[i]);

		for (unsigned k = 0; k < STEPS; k++) {
			double at = (from + (until - from) * (k + 0.5) / STEPS) * (double)unit;

			to->weight[hist_bucket((usec)MIN(at, 1e15))] += mass;
		}
	}
}

static void add_dist(struct sum *s, const struct tevent *ev, enum dist d)
{
	struct sum_dist *to = &s->dist[d];
	struct parts p = parts_of(ev, s->names, d);
	double weight = 0;

	if (!p.points && !p.hist)
		return;
	/* A host that sends one histogram only means it for both: its callers waited no longer than the runs took. */
	if (!p.hist && d == DIST_TOTAL)
		p.hist = parts_of(ev, s->names, DIST_EXECUTE).hist;
	if (p.hist) {
		for (unsigned i = 0; i < p.hist->hist.n; i++) {
			to->weight[p.hist->hist.at[i].bucket] += p.hist->hist.at[i].count;
			weight += p.hist->hist.at[i].count;
		}
	} else {
		weight = weight_of(ev, s->names, d);
		spread(to, p.points->points, weight, d == DIST_BATCH ? 1 : USEC_PER_MSEC);
		to->is_estimated = to->is_estimated || weight > 0;
	}
	to->is_used = true;
	to->mean += (double)p.mean * weight;
	if (weight > 0 && p.points) {
		to->min = to->total > 0 ? MIN(to->min, p.points->points[0]) : p.points->points[0];
		to->max = to->total > 0 ? MAX(to->max, p.points->points[POINTS - 1]) : p.points->points[POINTS - 1];
	}
	to->total += weight;
}

/* In the hosts' own unit. */
static int64_t quantile(const struct sum_dist *d, double q, int64_t unit)
{
	double rank = q * d->total, seen = 0;
	int64_t at = d->max;

	if (d->total <= 0)
		return 0;
	if (q <= 0)
		return d->min;
	if (q >= 1)
		return d->max;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += d->weight[i];
		if (seen > rank) {
			at = ((hist_bucket_low(i) + hist_bucket_high(i) - 1) / 2 + unit / 2) / unit;
			break;
		}
	}
	return MIN(MAX(at, d->min), d->max);
}

/* --- adding one event --- */

static void add_field(struct sum *s, const struct field *f, int64_t hosts)
{
	struct acc *a = acc_of(s, f->name);
	const struct value *v = &f->value;

	switch ((enum value_kind)v->kind) {
	case VALUE_INT:
		a->has_int = true;
		a->sum = add_saturating(a->sum, v->num);
		a->max = MAX(a->max, v->num);
		if (a->name->class == FIELD_SETTING)
			count_value(a, v, hosts);
		break;
	case VALUE_MAP: add_map(s, a, v); break;
	case VALUE_POINTS:
	case VALUE_HIST: break; /* add_dist's */
	default: count_value(a, v, hosts);
	}
}

void sum_add(struct sum *s, const struct tevent *ev)
{
	int64_t hosts = 1;

	for (unsigned i = 0; i < ev->n; i++) {
		if (s->names->at[ev->at[i].name]->class == FIELD_HOSTS && ev->at[i].value.kind == VALUE_INT)
			hosts = MIN(MAX(ev->at[i].value.num, (int64_t)1), (int64_t)MERGE_HOSTS_CLAIM_MAX);
	}
	s->hosts += hosts;
	for (unsigned i = 0; i < ev->n; i++)
		add_field(s, &ev->at[i], hosts);
	for (unsigned d = 0; d < DIST_COUNT; d++)
		add_dist(s, ev, (enum dist)d);
}

/* --- writing --- */

static struct str value_text(const struct value *v, char room[24])
{
	switch ((enum value_kind)v->kind) {
	case VALUE_TRUE: return STR("true");
	case VALUE_FALSE: return STR("false");
	case VALUE_NULL: return STR("null");
	case VALUE_TEXT: return v->text;
	default: return str_of(room, (size_t)snprintf(room, 24, "%lld", (long long)v->num));
	}
}

static void put_plain(struct jsonw *w, const struct value *v)
{
	switch ((enum value_kind)v->kind) {
	case VALUE_TRUE:
	case VALUE_FALSE: jsonw_bool(w, v->kind == VALUE_TRUE); break;
	case VALUE_NULL: jsonw_null(w); break;
	case VALUE_TEXT: jsonw_str(w, v->text); break;
	default: jsonw_i64(w, v->num);
	}
}

static void put_counts(struct jsonw *w, const struct acc *a)
{
	char room[24];

	jsonw_object(w);
	for (unsigned i = 0; i < a->n_values; i++)
		jsonw_key_u64(w, value_text(&a->values[i].value, room), a->values[i].n);
	if (a->others)
		jsonw_key_u64(w, STR("others"), a->others);
	jsonw_object_end(w);
}

/* Several values: a text that is an object of counts, as Turbine 1 writes it and its readers parse it. */
static void put_values(struct jsonw *w, const struct acc *a)
{
	struct buf b = BUF_INIT(64 * 1024);
	struct jsonw in;

	if (a->n_values == 1 && !a->others) {
		put_plain(w, &a->values[0].value);
		return;
	}
	jsonw_init(&in, &b);
	put_counts(&in, a);
	jsonw_str(w, buf_str(&b));
	buf_fini(&b);
}

static bool all_ints(const struct acc *a)
{
	for (unsigned i = 0; i < a->n_values; i++)
		if (a->values[i].value.kind != VALUE_INT)
			return false;
	return a->n_values > 0;
}

/* Readers compute with settings, the window's length above all: so a number stays one. Of two that are as frequent the
 * greater, whichever host came first. */
static void put_setting(struct jsonw *w, const struct acc *a)
{
	const struct counted *best = &a->values[0];

	if (!all_ints(a)) {
		put_values(w, a);
		return;
	}
	for (unsigned i = 1; i < a->n_values; i++) {
		const struct counted *c = &a->values[i];

		if (c->n > best->n || (c->n == best->n && c->value.num > best->value.num))
			best = c;
	}
	jsonw_i64(w, best->value.num);
}

static void put_map(struct jsonw *w, const struct acc *a)
{
	jsonw_object(w);
	for (unsigned i = 0; i < a->n_map; i++)
		jsonw_key_i64(w, a->map[i].key, a->map[i].value);
	jsonw_object_end(w);
}

static int64_t unit_of(enum dist d)
{
	return d == DIST_BATCH ? 1 : USEC_PER_MSEC;
}

static void put_points(struct jsonw *w, const struct sum *s, enum dist d)
{
	jsonw_object(w);
	for (unsigned i = d == DIST_BATCH ? 1 : 0; i < POINTS; i++)
		jsonw_key_i64(w, point_names[i],
			      mul_saturating(quantile(&s->dist[d], point_at[i], unit_of(d)), s->hosts));
	jsonw_object_end(w);
}

static void put_hist(struct jsonw *w, const struct sum_dist *d)
{
	char room[20];

	jsonw_object(w);
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		if (d->weight[i] >= 0.5)
			jsonw_key_u64(w, str_of(room, fmt_u64(room, (uint64_t)hist_bucket_low(i))),
				      (uint64_t)(d->weight[i] + 0.5));
	jsonw_object_end(w);
}

static int64_t to_int(double v)
{
	return v >= 9e18 ? INT64_MAX : v <= -9e18 ? INT64_MIN : (int64_t)v;
}

static int64_t mean_of(const struct sum *s, enum dist d)
{
	const struct sum_dist *x = &s->dist[d];

	return x->total > 0 ? to_int(x->mean / x->total * (double)s->hosts + 0.5) : 0;
}

static int64_t sum_of(const struct sum *s, uint16_t name)
{
	return s->place[name] ? s->acc[s->place[name] - 1]->sum : 0;
}

/* Where a host tells no errors and requests to make it of, the hosts' own percentages stay a sum. */
static int64_t error_percentage(const struct sum *s, const struct acc *a)
{
	int64_t requests = sum_of(s, s->names->requests), errors = sum_of(s, s->names->errors);

	if (!s->place[s->names->requests])
		return a->sum;
	return requests > 0 ? to_int((double)errors * 100.0 * (double)s->hosts / (double)requests) : 0;
}

static void put_field(struct jsonw *w, const struct sum *s, const struct acc *a)
{
	enum dist d = (enum dist)a->name->dist;

	jsonw_key(w, a->name->text);
	if (a->n_values && a->name->class != FIELD_SETTING) {
		put_values(w, a);
		return;
	}
	switch ((enum field_class)a->name->class) {
	case FIELD_SETTING: put_setting(w, a); break;
	case FIELD_TIME: jsonw_i64(w, a->max); break;
	case FIELD_HOSTS: jsonw_i64(w, s->hosts); break;
	case FIELD_ERRORS: jsonw_i64(w, error_percentage(s, a)); break;
	case FIELD_MEAN: jsonw_i64(w, mean_of(s, d)); break;
	case FIELD_POINTS: put_points(w, s, d); break;
	case FIELD_HIST: put_hist(w, &s->dist[d]); break;
	case FIELD_SUM:
	case FIELD_IDENTITY:
		if (a->has_int)
			jsonw_i64(w, a->sum);
		else
			put_map(w, a);
	}
}

static void put_mixed(struct jsonw *w, const struct sum *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->n; i++) {
		const struct acc *a = s->acc[i];

		if (a->name->class != FIELD_SETTING || !all_ints(a) || (a->n_values == 1 && !a->others))
			continue;
		if (!any) {
			jsonw_key(w, STR("vineMixed"));
			jsonw_object(w);
			any = true;
		}
		jsonw_key(w, a->name->text);
		put_counts(w, a);
	}
	if (any)
		jsonw_object_end(w);
}

void sum_write(struct sum *s, struct str type, struct str name, struct buf *b)
{
	struct jsonw w;
	bool is_estimated = false, is_used = false;

	for (unsigned d = 0; d < DIST_COUNT; d++) {
		is_estimated = is_estimated || s->dist[d].is_estimated;
		is_used = is_used || s->dist[d].is_used;
	}
	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("type"), type);
	jsonw_key_str(&w, STR("name"), name);
	for (unsigned i = 0; i < s->n; i++)
		put_field(&w, s, s->acc[i]);
	if (!s->place[s->names->hosts])
		jsonw_key_i64(&w, STR("reportingHosts"), s->hosts);
	put_mixed(&w, s);
	if (is_used)
		jsonw_key_str(&w, STR("vineQuantiles"), is_estimated ? STR("estimated") : STR("merged"));
	jsonw_object_end(&w);
}

void sum_write_deleted(struct str type, struct str name, struct buf *b)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("deleteData"), STR("true"));
	jsonw_key_str(&w, STR("type"), type);
	jsonw_key_str(&w, STR("name"), name);
	jsonw_object_end(&w);
}
