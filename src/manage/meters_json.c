/* meters_json.c - a snapshot in the shape of Boot's metrics endpoint. */
#include "base/err.h"
#include "codec/json.h"
#include "manage/meters.h"

#define VALUES_MAX 1000 /* of one tag, in availableTags */

void snapshot_names_json(const struct meter_snapshot *s, struct buf *out)
{
	const char *last = "";
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key(&w, STR("names"));
	jsonw_array(&w);
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->sample[i].desc->name, last) != 0)
			jsonw_str(&w, str_from(s->sample[i].desc->name));
		last = s->sample[i].desc->name;
	}
	jsonw_array_end(&w);
	jsonw_object_end(&w);
}

static bool has_tag(const struct meter_sample *sm, const struct meter_tag *want)
{
	for (unsigned i = 0; i < sm->n_tags; i++) {
		if (strcmp(sm->tag[i].key, want->key) == 0 && str_eq(sm->tag[i].value, want->value))
			return true;
	}
	return false;
}

static bool matches(const struct meter_sample *sm, struct str name, const struct meter_tag *want, unsigned n)
{
	if (!str_eq(name, str_from(sm->desc->name)))
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!has_tag(sm, &want[i]))
			return false;
	}
	return true;
}

static void add_measurement(struct jsonw *w, const char *statistic, double value)
{
	jsonw_object(w);
	jsonw_key_str(w, STR("statistic"), str_from(statistic));
	jsonw_key_double(w, STR("value"), value);
	jsonw_object_end(w);
}

static void add_measurements(struct jsonw *w, struct meter_sample *const *got, size_t n)
{
	double value = 0, total = 0, max = 0;
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++) {
		value += got[i]->value;
		count += got[i]->count;
		total += got[i]->total;
		max = MAX(max, got[i]->max);
	}
	jsonw_key(w, STR("measurements"));
	jsonw_array(w);
	if (got[0]->kind == METER_TIMER) {
		add_measurement(w, "COUNT", (double)count);
		add_measurement(w, "TOTAL_TIME", total);
		add_measurement(w, "MAX", max);
	} else {
		add_measurement(w, got[0]->kind == METER_COUNTER ? "COUNT" : "VALUE", value);
	}
	jsonw_array_end(w);
}

/* Did an earlier sample show this value of the tag? */
static bool is_repeated(struct meter_sample *const *got, size_t i, unsigned tag)
{
	for (size_t k = 0; k < i; k++) {
		if (str_eq(got[k]->tag[tag].value, got[i]->tag[tag].value))
			return true;
	}
	return false;
}

static bool is_asked(const struct meter_tag *want, unsigned n, const char *key)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(want[i].key, key) == 0)
			return true;
	}
	return false;
}

/* The tags by which one could filter further. A family's members all have the same keys. */
static void add_tags(struct jsonw *w, struct meter_sample *const *got, size_t n, const struct meter_tag *want, unsigned n_want)
{
	jsonw_key(w, STR("availableTags"));
	jsonw_array(w);
	for (unsigned t = 0; t < got[0]->n_tags; t++) {
		if (is_asked(want, n_want, got[0]->tag[t].key))
			continue;
		jsonw_object(w);
		jsonw_key_str(w, STR("tag"), str_from(got[0]->tag[t].key));
		jsonw_key(w, STR("values"));
		jsonw_array(w);
		for (size_t i = 0; i < MIN(n, (size_t)VALUES_MAX); i++) {
			if (t < got[i]->n_tags && !is_repeated(got, i, t))
				jsonw_str(w, got[i]->tag[t].value);
		}
		jsonw_array_end(w);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

int snapshot_meter_json(const struct meter_snapshot *s, struct buf *out, struct str name, const struct meter_tag *want,
			unsigned n_want)
{
	struct meter_sample **got = arena_alloc(s->arena, MAX(s->n, (size_t)1) * sizeof(struct meter_sample *));
	struct jsonw w;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (matches(&s->sample[i], name, want, n_want))
			got[n++] = &s->sample[i];
	}
	if (n == 0)
		return VINE_ENOTFOUND;
	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key_str(&w, STR("name"), name);
	jsonw_key_str(&w, STR("description"), str_from(got[0]->desc->help));
	if (got[0]->kind == METER_TIMER || got[0]->desc->unit)
		jsonw_key_str(&w, STR("baseUnit"), got[0]->kind == METER_TIMER ? STR("seconds") : str_from(got[0]->desc->unit));
	add_measurements(&w, got, n);
	add_tags(&w, got, n, want, n_want);
	jsonw_object_end(&w);
	return 0;
}
