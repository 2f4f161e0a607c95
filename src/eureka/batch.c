/* batch.c - see batch.h. */
#include "eureka/batch.h"

#include "eureka/json.h"

#define DEPTH_MAX (INST_DEPTH_MAX + 4)

static const struct str names[] = {
	[BATCH_NONE] = STR_INIT(""),
	[BATCH_HEARTBEAT] = STR_INIT("Heartbeat"),
	[BATCH_REGISTER] = STR_INIT("Register"),
	[BATCH_CANCEL] = STR_INIT("Cancel"),
	[BATCH_STATUS_UPDATE] = STR_INIT("StatusUpdate"),
	[BATCH_DELETE_OVERRIDE] = STR_INIT("DeleteStatusOverride"),
};

struct str batch_action_name(enum batch_action a)
{
	return names[a];
}

static enum batch_action action_of(struct str s)
{
	for (unsigned i = BATCH_HEARTBEAT; i < ARRAY_LEN(names); i++) {
		if (str_eq(s, names[i]))
			return (enum batch_action)i;
	}
	return BATCH_NONE;
}

/* --- reading --- */

/* A string, or what passes for one; null and anything else leave *ret as it is. */
static void read_text(struct json *j, struct str *ret)
{
	struct str s;

	if (json_str(j, &s))
		*ret = s;
}

static void read_status(struct json *j, uint8_t *ret)
{
	struct str s = STR_EMPTY;
	enum inst_status st = INST_UNKNOWN;

	read_text(j, &s);
	inst_status_parse_nocase(str_trim(s), &st);
	*ret = (uint8_t)st;
}

static void read_instance(struct json *j, struct batch_item *it, struct arena *a)
{
	struct instance d;
	struct err e;

	if (json_peek(j) == JT_NULL) {
		json_skip(j);
		return;
	}
	if (!instance_json_read(j, &d, a, NULL))
		return; /* j says what is wrong */
	if (instance_check_limits(&d, &e) < 0) {
		it->wrong = str_printf_in(a, "%s", e.text).ptr;
		return;
	}
	instance_unref(it->inst);
	it->inst = instance_new(&d);
}

static void read_item(struct json *j, struct batch_item *it, struct arena *a)
{
	struct str key, action = STR_EMPTY;
	int64_t dirty = 0;

	*it = (struct batch_item){ .status = INST_UNKNOWN, .overridden = INST_UNKNOWN };
	if (!json_enter_object(j)) {
		json_fail(j, "an item of the batch is an object");
		return;
	}
	while (json_next_key(j, &key)) {
		if (str_eq(key, STR("appName")))
			read_text(j, &it->app);
		else if (str_eq(key, STR("id")))
			read_text(j, &it->id);
		else if (str_eq(key, STR("lastDirtyTimestamp")))
			json_i64(j, &dirty);
		else if (str_eq(key, STR("status")))
			read_status(j, &it->status);
		else if (str_eq(key, STR("overriddenStatus")))
			read_status(j, &it->overridden);
		else if (str_eq(key, STR("action")))
			read_text(j, &action);
		else if (str_eq(key, STR("instanceInfo")))
			read_instance(j, it, a);
		else
			json_skip(j);
	}
	it->action = action_of(action);
	it->app = str_upper_in(a, it->app);
	it->dirty = MAX(dirty, (int64_t)0);
	if (it->action == BATCH_NONE)
		it->wrong = "unknown action";
	else if (!it->wrong && (!it->app.len || !it->id.len))
		it->wrong = "appName or id is missing";
	else if (!it->wrong && (it->app.len > INST_NAME_MAX || it->id.len > INST_ID_MAX))
		it->wrong = "appName or id is too long";
	else if (!it->wrong && it->action == BATCH_REGISTER && !it->inst)
		it->wrong = "instanceInfo is missing";
}

/* Room for one item more: for 64 at first, then twice as many whenever their number reaches a power of two. */
static void grow(struct batch *b, struct arena *a)
{
	struct batch_item *more;

	if (b->n && (b->n < 64 || (b->n & (b->n - 1))))
		return;
	more = arena_alloc(a, (b->n ? b->n * 2 : 64) * sizeof(*more));
	if (b->n)
		memcpy(more, b->item, b->n * sizeof(*more));
	b->item = more;
}

static void read_list(struct json *j, struct batch *b, struct arena *a)
{
	if (json_peek(j) == JT_NULL) {
		json_skip(j);
		return;
	}
	if (!json_enter_array(j)) {
		json_fail(j, "replicationList is a list");
		return;
	}
	while (json_next_item(j)) {
		if (b->n == BATCH_ITEMS_MAX) {
			json_fail(j, "too many items in a batch");
			return;
		}
		grow(b, a);
		read_item(j, &b->item[b->n++], a);
	}
}

int batch_decode(struct batch *ret, struct str body, struct arena *a, struct err *e)
{
	struct batch b = { 0 };
	struct str key;
	struct json j;

	if (body.len > BATCH_BODY_MAX)
		return err_set(e, VINE_ELIMIT, "the batch is larger than %u bytes", BATCH_BODY_MAX);
	json_init(&j, body, DEPTH_MAX, a);
	if (json_enter_object(&j)) {
		while (json_next_key(&j, &key)) {
			if (str_eq(key, STR("replicationList")))
				read_list(&j, &b, a);
			else
				json_skip(&j);
		}
	} else {
		json_fail(&j, "a batch is an object with replicationList");
	}

	int r = json_finish(&j, e);

	if (r < 0)
		batch_fini(&b);
	else
		*ret = b;
	return r;
}

void batch_fini(struct batch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		instance_unref(b->item[i].inst);
	*b = (struct batch){ 0 };
}

static void read_answer(struct json *j, struct batch_answer *an, struct arena *a)
{
	struct str key;
	uint64_t status = 0;
	struct instance d;

	*an = (struct batch_answer){ 0 };
	if (!json_enter_object(j)) {
		json_fail(j, "an answer to an item is an object");
		return;
	}
	while (json_next_key(j, &key)) {
		if (str_eq(key, STR("statusCode"))) {
			if (json_u64(j, &status) && status < 1000)
				an->status = (unsigned)status;
		} else if (str_eq(key, STR("responseEntity")) && json_peek(j) == JT_OBJECT) {
			if (!instance_json_read(j, &d, a, NULL) || instance_check_limits(&d, NULL) < 0 || !d.id.len)
				continue;
			instance_unref(an->inst);
			an->inst = instance_new(&d);
		} else {
			json_skip(j);
		}
	}
}

int batch_answers_decode(struct batch_answer *ret, uint32_t max, uint32_t *n, struct str body, struct arena *a,
			 struct err *e)
{
	struct str key;
	struct json j;

	*n = 0;
	json_init(&j, body, DEPTH_MAX, a);
	if (!json_enter_object(&j))
		json_fail(&j, "an object with responseList was expected");
	while (json_next_key(&j, &key)) {
		if (!str_eq(key, STR("responseList")) || json_peek(&j) != JT_ARRAY) {
			json_skip(&j);
			continue;
		}
		json_enter_array(&j);
		while (json_next_item(&j)) {
			if (*n == max) {
				json_fail(&j, "more answers than items");
				break;
			}
			read_answer(&j, &ret[(*n)++], a);
		}
	}
	return json_finish(&j, e);
}

/* --- writing --- */

static void write_item(struct jsonw *w, const struct batch_item *it)
{
	jsonw_object(w);
	jsonw_key_str(w, STR("appName"), it->app);
	jsonw_key_str(w, STR("id"), it->id);
	if (it->dirty)
		jsonw_key_i64(w, STR("lastDirtyTimestamp"), it->dirty);
	if (it->overridden != INST_UNKNOWN)
		jsonw_key_str(w, STR("overriddenStatus"), inst_status_name((enum inst_status)it->overridden));
	if (it->status != INST_UNKNOWN)
		jsonw_key_str(w, STR("status"), inst_status_name((enum inst_status)it->status));
	if (it->inst) {
		jsonw_key(w, STR("instanceInfo"));
		instance_json_write(w, it->inst);
	}
	jsonw_key_str(w, STR("action"), batch_action_name(it->action));
	jsonw_object_end(w);
}

void batch_write(struct buf *out, const struct batch_item *const *items, uint32_t n)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key(&w, STR("replicationList"));
	jsonw_array(&w);
	for (uint32_t i = 0; i < n; i++)
		write_item(&w, items[i]);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
}

void batch_answers_write(struct buf *out, const struct batch_answer *an, uint32_t n)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key(&w, STR("responseList"));
	jsonw_array(&w);
	for (uint32_t i = 0; i < n; i++) {
		jsonw_object(&w);
		jsonw_key_u64(&w, STR("statusCode"), an[i].status);
		if (an[i].inst) {
			jsonw_key(&w, STR("responseEntity"));
			instance_json_write(&w, an[i].inst);
		}
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	jsonw_object_end(&w);
}
