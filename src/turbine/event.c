/* event.c - see event.h. */
#include "turbine/event.h"

#include "codec/json.h"

#define SEED UINT64_C(0x9ae16a3b2f90404f) /* of the hash that only tells change from no change */

const double point_at[POINTS] = { 0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 1 };
const struct str point_names[POINTS] = {
	STR_INIT("0"),  STR_INIT("25"), STR_INIT("50"),   STR_INIT("75"),  STR_INIT("90"),
	STR_INIT("95"), STR_INIT("99"), STR_INIT("99.5"), STR_INIT("100"),
};

/* --- names --- */

static const struct {
	struct str name;
	enum field_class class;
	enum dist dist;
} known[] = {
	{ STR_INIT("type"), FIELD_IDENTITY, 0 },
	{ STR_INIT("name"), FIELD_IDENTITY, 0 },
	{ STR_INIT("currentTime"), FIELD_TIME, 0 },
	{ STR_INIT("reportingHosts"), FIELD_HOSTS, 0 },
	{ STR_INIT("errorPercentage"), FIELD_ERRORS, 0 },
	{ STR_INIT("latencyExecute_mean"), FIELD_MEAN, DIST_EXECUTE },
	{ STR_INIT("latencyTotal_mean"), FIELD_MEAN, DIST_TOTAL },
	{ STR_INIT("batchSize_mean"), FIELD_MEAN, DIST_BATCH },
	{ STR_INIT("latencyExecute"), FIELD_POINTS, DIST_EXECUTE },
	{ STR_INIT("latencyTotal"), FIELD_POINTS, DIST_TOTAL },
	{ STR_INIT("batchSize"), FIELD_POINTS, DIST_BATCH },
	{ STR_INIT("vineLatencyExecuteMicros"), FIELD_HIST, DIST_EXECUTE },
	{ STR_INIT("vineLatencyTotalMicros"), FIELD_HIST, DIST_TOTAL },
};

static void classify(struct field_name *f)
{
	f->class = str_has_prefix(f->text, STR("propertyValue_")) ? FIELD_SETTING : FIELD_SUM;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (str_eq(f->text, known[i].name)) {
			f->class = (uint8_t)known[i].class;
			f->dist = (uint8_t)known[i].dist;
		}
	}
}

static struct field_name *name_add(struct field_names *n, struct str text)
{
	struct field_name *f;

	if (n->n == FIELD_NAMES_MAX || text.len > FIELD_NAME_MAX)
		return NULL;
	f = arena_zalloc(&n->arena, sizeof(*f));
	f->text = str_dup_in(&n->arena, text);
	f->index = (uint16_t)n->n;
	classify(f);
	n->at[n->n++] = f;
	map_put(&n->map, f->text, f);
	return f;
}

static struct field_name *name_of(struct field_names *n, struct str text)
{
	struct field_name *f = map_get(&n->map, text);

	return f ? f : name_add(n, text);
}

/* The names that matter come first, so that no peer can fill the table before them. */
void field_names_init(struct field_names *n, uint64_t seed)
{
	memset(n, 0, sizeof(*n));
	map_init(&n->map, seed);
	arena_init(&n->arena, 4096);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		name_add(n, known[i].name);
	n->hosts = name_of(n, STR("reportingHosts"))->index;
	n->requests = name_add(n, STR("requestCount"))->index;
	n->errors = name_add(n, STR("errorCount"))->index;
	n->batches = name_add(n, STR("rollingCountBatches"))->index;
	n->success = name_add(n, STR("rollingCountSuccess"))->index;
	n->failure = name_add(n, STR("rollingCountFailure"))->index;
	n->timeout = name_add(n, STR("rollingCountTimeout"))->index;
	n->bad = name_add(n, STR("rollingCountBadRequests"))->index;
	n->window = name_add(n, STR("propertyValue_metricsRollingStatisticalWindowInMilliseconds"))->index;
}

void field_names_fini(struct field_names *n)
{
	map_fini(&n->map);
	arena_fini(&n->arena);
}

/* --- values --- */

static bool read_points(struct json *j, struct arena *a, struct value *v)
{
	struct str key;
	int64_t num;

	*v = (struct value){ .kind = VALUE_POINTS, .points = arena_zalloc(a, POINTS * sizeof(*v->points)) };
	while (json_next_key(j, &key)) {
		if (!json_i64(j, &num))
			continue;
		for (unsigned i = 0; i < POINTS; i++)
			if (str_eq(key, point_names[i]))
				v->points[i] = num;
	}
	return true;
}

static bool read_hist(struct json *j, struct arena *a, struct value *v)
{
	struct hist_part parts[HIST_BUCKETS];
	struct str key;
	uint64_t low, count;
	unsigned n = 0;

	while (json_next_key(j, &key)) {
		if (json_u64(j, &count) && count && str_to_u64(key, &low) && n < HIST_BUCKETS)
			parts[n++] = (struct hist_part){
				.bucket = (uint16_t)hist_bucket((usec)MIN(low, (uint64_t)INT64_MAX)),
				.count = (uint32_t)MIN(count, (uint64_t)UINT32_MAX),
			};
	}
	*v = (struct value){ .kind = VALUE_HIST, .hist = { n, arena_alloc(a, n * sizeof(*parts)) } };
	memcpy(v->hist.at, parts, n * sizeof(*parts));
	return true;
}

static bool read_map(struct json *j, struct arena *a, struct value *v)
{
	struct map_entry at[EVENT_MAP_MAX];
	struct str key;
	unsigned n = 0;
	int64_t num;
	bool fits = true;

	while (json_next_key(j, &key)) {
		fits = fits && n < EVENT_MAP_MAX && key.len <= FIELD_NAME_MAX;
		if (json_i64(j, &num) && fits)
			at[n++] = (struct map_entry){ str_dup_in(a, key), num };
	}
	*v = (struct value){ .kind = VALUE_MAP, .map = { n, arena_alloc(a, n * sizeof(*at)) } };
	memcpy(v->map.at, at, n * sizeof(*at));
	return fits;
}

static bool read_object(struct json *j, struct arena *a, const struct field_name *f, struct value *v)
{
	json_enter_object(j);
	if (f->class == FIELD_POINTS)
		return read_points(j, a, v);
	if (f->class == FIELD_HIST)
		return read_hist(j, a, v);
	return read_map(j, a, v);
}

static bool take_text(struct arena *a, struct str text, struct value *v)
{
	if (text.len > EVENT_TEXT_MAX)
		return false;
	*v = (struct value){ .kind = VALUE_TEXT, .text = str_dup_in(a, text) };
	return true;
}

/* False: it is left out. */
static bool read_value(struct json *j, struct arena *a, const struct field_name *f, struct value *v)
{
	struct str text;
	bool yes;

	switch (json_peek(j)) {
	case JT_OBJECT: return read_object(j, a, f, v);
	case JT_STRING: return json_str(j, &text) && take_text(a, text, v);
	case JT_TRUE:
		if (!json_bool(j, &yes))
			return false;
		*v = (struct value){ .kind = yes ? VALUE_TRUE : VALUE_FALSE };
		return true;
	case JT_NULL:
		json_skip(j);
		*v = (struct value){ .kind = VALUE_NULL };
		return true;
	case JT_NUMBER:
		if (!json_raw(j, &text))
			return false;
		*v = (struct value){ .kind = VALUE_INT };
		return str_to_i64(text, &v->num) || take_text(a, text, v);
	default: json_skip(j); return false;
	}
}

/* --- the event --- */

static void mix(uint64_t *hash, const void *p, size_t n)
{
	*hash = str_hash(str_of(p, n), *hash);
}

static void mix_value(uint64_t *hash, const struct value *v)
{
	mix(hash, &v->kind, sizeof(v->kind));
	switch ((enum value_kind)v->kind) {
	case VALUE_INT: mix(hash, &v->num, sizeof(v->num)); break;
	case VALUE_TEXT: mix(hash, v->text.ptr, v->text.len); break;
	case VALUE_POINTS: mix(hash, v->points, POINTS * sizeof(*v->points)); break;
	case VALUE_HIST:
		for (unsigned i = 0; i < v->hist.n; i++) {
			uint64_t part = (uint64_t)v->hist.at[i].bucket << 32 | v->hist.at[i].count;

			mix(hash, &part, sizeof(part));
		}
		break;
	case VALUE_MAP:
		for (unsigned i = 0; i < v->map.n; i++) {
			mix(hash, v->map.at[i].key.ptr, v->map.at[i].key.len);
			mix(hash, &v->map.at[i].value, sizeof(v->map.at[i].value));
		}
		break;
	case VALUE_TRUE:
	case VALUE_FALSE:
	case VALUE_NULL: break;
	}
}

/* Of a name that comes twice the first holds, so that no field adds up twice. */
static bool is_first(uint64_t seen[FIELD_NAMES_MAX / 64], uint16_t name)
{
	bool first = !(seen[name / 64] >> (name % 64) & 1);

	seen[name / 64] |= UINT64_C(1) << (name % 64);
	return first;
}

static void add_field(struct tevent *ev, struct field_names *names, struct json *j, const struct field_name *f,
		      bool fits)
{
	struct field *to = &ev->at[ev->n];

	if (!fits)
		json_skip(j);
	if (!fits || !read_value(j, &ev->arena, f, &to->value)) {
		names->dropped++;
		return;
	}
	to->name = f->index;
	ev->n++;
	if (f->class == FIELD_TIME)
		return;
	mix(&ev->hash, &to->name, sizeof(to->name));
	mix_value(&ev->hash, &to->value);
}

static void read_identity(struct tevent *ev, struct json *j, const struct field_name *f)
{
	struct str text;

	if (json_str(j, &text))
		*(str_eq(f->text, STR("type")) ? &ev->type : &ev->name) = str_dup_in(&ev->arena, text);
}

static void read_fields(struct tevent *ev, struct field_names *names, struct json *j)
{
	uint64_t seen[FIELD_NAMES_MAX / 64] = { 0 };
	struct str key;

	while (json_next_key(j, &key)) {
		const struct field_name *f = name_of(names, key);

		if (!f) {
			json_skip(j);
			names->dropped++;
		} else if (f->class == FIELD_IDENTITY) {
			read_identity(ev, j, f);
		} else {
			add_field(ev, names, j, f, is_first(seen, f->index) && ev->n < EVENT_FIELDS_MAX);
		}
	}
}

int tevent_read(struct tevent *ev, struct field_names *names, struct str text, struct err *e)
{
	struct field room[EVENT_FIELDS_MAX]; /* an event keeps as many as it has */
	struct arena scratch;
	struct json j;
	int r;

	*ev = (struct tevent){ .hash = SEED };
	arena_init(&ev->arena, 4096);
	if (text.len > EVENT_BYTES_MAX)
		return err_set(e, VINE_ELIMIT, "the event has more than %u bytes", EVENT_BYTES_MAX);
	ev->at = room;
	arena_init(&scratch, 1024);
	json_init(&j, text, 8, &scratch);
	if (json_enter_object(&j))
		read_fields(ev, names, &j);
	r = json_finish(&j, e);
	arena_fini(&scratch);
	ev->at = memcpy(arena_alloc(&ev->arena, ev->n * sizeof(*room)), room, ev->n * sizeof(*room));
	if (r < 0)
		return r;
	if (ev->type.len == 0 || ev->name.len == 0)
		return err_set(e, VINE_EINVAL, "no object with type and name");
	if (ev->type.len > EVENT_NAME_MAX || ev->name.len > EVENT_NAME_MAX)
		return err_set(e, VINE_ELIMIT, "type or name has more than %d bytes", EVENT_NAME_MAX);
	return 0;
}

void tevent_fini(struct tevent *ev)
{
	arena_fini(&ev->arena);
}

int64_t tevent_num(const struct tevent *ev, uint16_t name)
{
	for (unsigned i = 0; i < ev->n; i++)
		if (ev->at[i].name == name)
			return ev->at[i].value.kind == VALUE_INT ? ev->at[i].value.num : 0;
	return 0;
}
