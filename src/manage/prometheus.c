/* prometheus.c - a snapshot as Prometheus text 0.0.4 or OpenMetrics 1.0.0, named as Micrometer names things: dots become
 * underscores, counters end in _total, the base unit is appended, a timer is a histogram with a gauge _max beside it. */
#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "manage/meters.h"

#define NAME_MAX_BYTES 160

struct out {
	struct buf *buf;
	bool openmetrics;
	const struct meter_tag *common;
	unsigned n_common;
};

static void add_name(char *name, size_t *len, const char *part)
{
	for (; *part && *len < NAME_MAX_BYTES - 1; part++)
		name[(*len)++] = ascii_is_alpha(*part) || ascii_is_digit(*part) || *part == ':' ? *part : '_';
	name[*len] = '\0';
}

/* "process.files.open" with the unit files: process_files_open_files; a name that ends with its unit keeps it once. */
static void base_name(char name[NAME_MAX_BYTES], const struct meter_sample *s)
{
	const char *unit = s->kind == METER_TIMER ? "seconds" : s->desc->unit;
	size_t len = 0;

	add_name(name, &len, s->desc->name);
	if (!unit || str_has_suffix(str_of(name, len), str_from(unit)))
		return;
	add_name(name, &len, "_");
	add_name(name, &len, unit);
}

static void add_number(struct buf *b, double v)
{
	if (isnan(v))
		buf_addz(b, "NaN");
	else if (isinf(v))
		buf_addz(b, v > 0 ? "+Inf" : "-Inf");
	else if (v == floor(v) && fabs(v) < 1e15)
		buf_addf(b, "%.1f", v);
	else
		buf_addf(b, "%.15g", v);
}

static void add_escaped(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' || s.ptr[i] == '"')
			buf_addc(b, '\\');
		if (s.ptr[i] == '\n')
			buf_addz(b, "\\n");
		else
			buf_addc(b, s.ptr[i]);
	}
}

static void add_label(struct out *o, bool first, const char *key, struct str value)
{
	char name[NAME_MAX_BYTES];
	size_t len = 0;

	add_name(name, &len, key);
	buf_addz(o->buf, first ? "{" : ",");
	buf_add(o->buf, name, len);
	buf_addz(o->buf, "=\"");
	add_escaped(o->buf, value);
	buf_addc(o->buf, '"');
}

static void add_line(struct out *o, const char *name, const char *suffix, const struct meter_sample *s, const char *le,
		     double value)
{
	bool any = false;

	buf_addz(o->buf, name);
	buf_addz(o->buf, suffix);
	for (unsigned i = 0; i < o->n_common; i++, any = true)
		add_label(o, !any, o->common[i].key, o->common[i].value);
	for (unsigned i = 0; i < s->n_tags; i++, any = true)
		add_label(o, !any, s->tag[i].key, s->tag[i].value);
	if (le) {
		add_label(o, !any, "le", str_from(le));
		any = true;
	}
	buf_addz(o->buf, any ? "} " : " ");
	add_number(o->buf, value);
	buf_addc(o->buf, '\n');
}

static void add_head(struct out *o, const char *name, const char *suffix, const char *type, const char *help)
{
	buf_addf(o->buf, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

static void timer_lines(struct out *o, const char *name, const struct meter_sample *s)
{
	char le[24];

	for (unsigned b = 0; s->has_buckets && b < METER_BUCKETS; b++) {
		snprintf(le, sizeof(le), "%g", (double)meter_bucket_bound[b] / (double)USEC_PER_SEC);
		add_line(o, name, "_bucket", s, le, (double)s->bucket[b]);
	}
	if (s->has_buckets)
		add_line(o, name, "_bucket", s, "+Inf", (double)s->count);
	add_line(o, name, "_count", s, NULL, (double)s->count);
	add_line(o, name, "_sum", s, NULL, s->total);
}

/* All samples of one family, s[0..n). */
static void family(struct out *o, const struct meter_sample *s, size_t n)
{
	char name[NAME_MAX_BYTES];

	base_name(name, s);
	switch (s->kind) {
	case METER_GAUGE:
		add_head(o, name, "", "gauge", s->desc->help);
		for (size_t i = 0; i < n; i++)
			add_line(o, name, "", &s[i], NULL, s[i].value);
		break;
	case METER_COUNTER: /* OpenMetrics names the family without the suffix that its lines have */
		add_head(o, name, o->openmetrics ? "" : "_total", "counter", s->desc->help);
		for (size_t i = 0; i < n; i++)
			add_line(o, name, "_total", &s[i], NULL, s[i].value);
		break;
	case METER_TIMER:
		add_head(o, name, "", "histogram", s->desc->help);
		for (size_t i = 0; i < n; i++)
			timer_lines(o, name, &s[i]);
		add_head(o, name, "_max", "gauge", s->desc->help);
		for (size_t i = 0; i < n; i++)
			add_line(o, name, "_max", &s[i], NULL, s[i].max);
		break;
	}
}

/* names lists what is wanted; as scrapers write it, with or without the suffix of a line. */
static bool is_wanted(const struct meter_sample *s, struct str names)
{
	char name[NAME_MAX_BYTES];
	struct str piece;

	if (names.len == 0)
		return true;
	base_name(name, s);
	while (str_cut(&names, ',', &piece)) {
		struct str want = str_trim(piece);

		if (str_eq(want, str_from(name)))
			return true;
		if (str_has_prefix(want, str_from(name)) && want.ptr[strlen(name)] == '_' &&
		    (s->kind != METER_GAUGE))
			return true;
	}
	return false;
}

void snapshot_prometheus(const struct meter_snapshot *s, struct buf *out, bool openmetrics, struct str names,
			 const struct meter_tag *common, unsigned n_common)
{
	struct out o = { .buf = out, .openmetrics = openmetrics, .common = common, .n_common = n_common };

	for (size_t i = 0, next; i < s->n; i = next) {
		for (next = i + 1; next < s->n && strcmp(s->sample[next].desc->name, s->sample[i].desc->name) == 0; next++)
			;
		if (is_wanted(&s->sample[i], names))
			family(&o, &s->sample[i], next - i);
	}
	if (openmetrics)
		buf_addz(out, "# EOF\n");
}
