/* json.c - see json.h.
 *
 * The readers keep the name of the field in hand in `field`, so that a refusal can say which one it was. */
#include "eureka/json.h"

struct in {
	struct json *j;
	struct arena *a;
	const char *field; /* static: for messages */
	uint32_t max_instances; /* of a document */
};

/* --- reading: scalars --- */

/* null: true, *ret untouched. */
static bool read_str(struct in *in, const char *field, struct str *ret)
{
	in->field = field;
	switch (json_peek(in->j)) {
	case JT_STRING:
	case JT_NUMBER:
	case JT_TRUE:
	case JT_FALSE:
		return json_str(in->j, ret);
	case JT_NULL:
		json_skip(in->j);
		return true;
	default:
		json_fail(in->j, "a string was expected here");
		return false;
	}
}

/* As Java reads a long: what is behind the point is dropped. */
static bool to_i64(struct str text, int64_t *ret)
{
	double d;

	if (str_to_i64(text, ret))
		return true;
	if (!str_to_double(text, &d) || !(d > -9.2e18 && d < 9.2e18))
		return false;
	*ret = (int64_t)d;
	return true;
}

static bool read_i64(struct in *in, const char *field, int64_t *ret)
{
	struct str text = STR_EMPTY;

	in->field = field;
	switch (json_peek(in->j)) {
	case JT_NUMBER:
		if (json_str(in->j, &text) && to_i64(text, ret))
			return true;
		break;
	case JT_STRING:
		if (json_str(in->j, &text) && (text.len == 0 || str_to_i64(str_trim(text), ret)))
			return true;
		break;
	case JT_NULL:
		json_skip(in->j);
		return true;
	default:
		break;
	}
	json_fail(in->j, "a whole number was expected here");
	return false;
}

/* Anything but "true" in any case is false, as Java reads it. */
static bool read_flag(struct in *in, const char *field, bool *ret)
{
	struct str text = STR_EMPTY;

	if (!read_str(in, field, &text))
		return false;
	if (text.ptr)
		*ret = str_eq_nocase(text, STR("true"));
	return true;
}

static bool read_upper(struct in *in, const char *field, struct str *ret)
{
	struct str s = STR_EMPTY;

	if (!read_str(in, field, &s))
		return false;
	if (s.len > INST_BODY_MAX)
		return true; /* never: the body is smaller */
	if (s.ptr)
		*ret = str_upper_in(in->a, s);
	return true;
}

/* Unknown names count as UNKNOWN. */
static bool read_status(struct in *in, const char *field, uint8_t *ret)
{
	struct str s = STR_EMPTY;
	enum inst_status st = INST_UNKNOWN;

	if (!read_str(in, field, &s))
		return false;
	if (!s.ptr)
		return true;
	inst_status_parse_nocase(str_trim(s), &st);
	*ret = (uint8_t)st;
	return true;
}

/* --- reading: objects --- */

static bool set_port(struct in *in, int64_t n, struct inst_port *ret)
{
	if (n < 0 || n > 65535) {
		json_fail(in->j, "a port is a number from 0 to 65535");
		return false;
	}
	ret->port = (uint16_t)n;
	return true;
}

static bool read_port(struct in *in, const char *field, struct inst_port *ret)
{
	int64_t n = ret->port;
	struct str key;

	in->field = field;
	if (json_peek(in->j) != JT_OBJECT)
		return read_i64(in, field, &n) && set_port(in, n, ret);
	if (!json_enter_object(in->j))
		return false;
	while (json_next_key(in->j, &key)) {
		if (str_eq(key, STR("$"))) {
			if (!read_i64(in, field, &n))
				return false;
		} else if (str_eq(key, STR("@enabled"))) {
			if (!read_flag(in, field, &ret->enabled))
				return false;
		} else {
			json_skip(in->j);
		}
	}
	return !json_failed(in->j) && set_port(in, n, ret);
}

static bool read_seconds(struct in *in, const char *field, uint32_t *ret)
{
	int64_t n = 0;

	if (!read_i64(in, field, &n))
		return false;
	if (n > 0)
		*ret = (uint32_t)MIN(n, (int64_t)LEASE_SECONDS_MAX);
	return true;
}

/* Enters an object; null, or nothing: true with *entered false. */
static bool enter(struct in *in, const char *field, bool *entered)
{
	in->field = field;
	*entered = false;
	switch (json_peek(in->j)) {
	case JT_NULL:
		json_skip(in->j);
		return true;
	case JT_OBJECT:
		*entered = json_enter_object(in->j);
		return *entered;
	default:
		json_fail(in->j, "an object was expected here");
		return false;
	}
}

static bool read_lease(struct in *in, struct inst_lease *l)
{
	struct str key;
	bool in_it, ok = enter(in, "leaseInfo", &in_it);

	while (ok && in_it && json_next_key(in->j, &key)) {
		if (str_eq(key, STR("renewalIntervalInSecs")))
			ok = read_seconds(in, "leaseInfo.renewalIntervalInSecs", &l->renewal_s);
		else if (str_eq(key, STR("durationInSecs")))
			ok = read_seconds(in, "leaseInfo.durationInSecs", &l->duration_s);
		else if (str_eq(key, STR("registrationTimestamp")))
			ok = read_i64(in, "leaseInfo.registrationTimestamp", &l->registered);
		else if (str_eq(key, STR("lastRenewalTimestamp")))
			ok = read_i64(in, "leaseInfo.lastRenewalTimestamp", &l->renewed);
		else if (str_eq(key, STR("evictionTimestamp")))
			ok = read_i64(in, "leaseInfo.evictionTimestamp", &l->evicted);
		else if (str_eq(key, STR("serviceUpTimestamp")))
			ok = read_i64(in, "leaseInfo.serviceUpTimestamp", &l->service_up);
		else
			json_skip(in->j);
	}
	return ok && !json_failed(in->j);
}

/* A map's value as text: scalars by their text, null as absent, anything else as it is written. */
static bool read_text(struct in *in, struct str *ret)
{
	*ret = STR_EMPTY;
	switch (json_peek(in->j)) {
	case JT_OBJECT:
	case JT_ARRAY:
		return json_raw(in->j, ret);
	case JT_NULL:
		json_skip(in->j);
		return true;
	default:
		return json_str(in->j, ret);
	}
}

static void kv_put(struct kv *kv, uint16_t *n, struct str key, struct str value)
{
	for (uint16_t i = 0; i < *n; i++) {
		if (str_eq(kv[i].key, key)) {
			kv[i].value = value;
			return;
		}
	}
	kv[(*n)++] = (struct kv){ key, value };
}

static bool read_map(struct in *in, const char *field, struct kv **ret, uint16_t *n)
{
	bool in_it, ok = enter(in, field, &in_it);
	struct kv *kv = NULL;
	struct str key, value;

	*n = 0;
	while (ok && in_it && json_next_key(in->j, &key)) {
		if (!read_text(in, &value))
			return false;
		if (!value.ptr || str_eq(key, STR("@class")))
			continue;
		if (!kv)
			kv = arena_alloc(in->a, INST_META_MAX * sizeof(*kv));
		if (*n == INST_META_MAX) {
			json_fail(in->j, "too many entries");
			return false;
		}
		kv_put(kv, n, key, value);
	}
	*ret = kv;
	return ok && !json_failed(in->j);
}

static bool read_dc(struct in *in, struct instance *d)
{
	struct str key, class = STR_EMPTY, name = STR_EMPTY;
	bool in_it, ok = enter(in, "dataCenterInfo", &in_it);

	if (!ok || !in_it)
		return ok;
	d->has_dc = true;
	while (ok && json_next_key(in->j, &key)) {
		if (str_eq(key, STR("@class")))
			ok = read_str(in, "dataCenterInfo.@class", &class);
		else if (str_eq(key, STR("name")))
			ok = read_str(in, "dataCenterInfo.name", &name);
		else if (str_eq(key, STR("metadata")))
			ok = read_map(in, "dataCenterInfo.metadata", &d->dc_meta, &d->n_dc_meta);
		else
			json_skip(in->j);
	}
	if (str_eq_nocase(name, STR("Amazon")) || (!name.len && str_has_suffix(class, STR("AmazonInfo"))))
		d->dc = DC_AMAZON;
	else
		d->dc = str_eq_nocase(name, STR("Netflix")) ? DC_NETFLIX : DC_MYOWN;
	if (d->dc != DC_AMAZON)
		d->n_dc_meta = 0; /* only Amazon's is ever written */
	return ok && !json_failed(in->j);
}

static bool read_action(struct in *in, struct instance *d)
{
	struct str s = STR_EMPTY;

	if (!read_str(in, "actionType", &s))
		return false;
	d->action = (uint8_t)inst_action_parse(s);
	return true;
}

/* --- reading: the instance --- */

static const struct text_field {
	struct str key;
	size_t offset;
} text_fields[] = {
	{ STR_INIT("instanceId"), offsetof(struct instance, instance_id) },
	{ STR_INIT("hostName"), offsetof(struct instance, host) },
	{ STR_INIT("ipAddr"), offsetof(struct instance, ip) },
	{ STR_INIT("sid"), offsetof(struct instance, sid) },
	{ STR_INIT("homePageUrl"), offsetof(struct instance, home_url) },
	{ STR_INIT("statusPageUrl"), offsetof(struct instance, status_url) },
	{ STR_INIT("healthCheckUrl"), offsetof(struct instance, health_url) },
	{ STR_INIT("secureHealthCheckUrl"), offsetof(struct instance, secure_health_url) },
	{ STR_INIT("vipAddress"), offsetof(struct instance, vip) },
	{ STR_INIT("secureVipAddress"), offsetof(struct instance, secure_vip) },
	{ STR_INIT("asgName"), offsetof(struct instance, asg) },
};

static bool read_field(struct in *in, struct str key, struct instance *d)
{
	int64_t country = d->country;

	for (const struct text_field *f = text_fields; f < text_fields + ARRAY_LEN(text_fields); f++) {
		if (str_eq(key, f->key))
			return read_str(in, f->key.ptr, (struct str *)(void *)((char *)d + f->offset));
	}
	if (str_eq(key, STR("app")))
		return read_upper(in, "app", &d->app);
	if (str_eq(key, STR("appGroupName")))
		return read_upper(in, "appGroupName", &d->app_group);
	if (str_eq(key, STR("status")))
		return read_status(in, "status", &d->status);
	if (str_eq(key, STR("overriddenStatus")) || str_eq(key, STR("overriddenstatus")))
		return read_status(in, "overriddenStatus", &d->overridden);
	if (str_eq(key, STR("port")))
		return read_port(in, "port", &d->port);
	if (str_eq(key, STR("securePort")))
		return read_port(in, "securePort", &d->secure_port);
	if (str_eq(key, STR("leaseInfo")))
		return read_lease(in, &d->lease);
	if (str_eq(key, STR("dataCenterInfo")))
		return read_dc(in, d);
	if (str_eq(key, STR("metadata")))
		return read_map(in, "metadata", &d->meta, &d->n_meta);
	if (str_eq(key, STR("lastUpdatedTimestamp")))
		return read_i64(in, "lastUpdatedTimestamp", &d->updated);
	if (str_eq(key, STR("lastDirtyTimestamp")))
		return read_i64(in, "lastDirtyTimestamp", &d->dirty);
	if (str_eq(key, STR("actionType")))
		return read_action(in, d);
	if (str_eq(key, STR("isCoordinatingDiscoveryServer")))
		return read_flag(in, "isCoordinatingDiscoveryServer", &d->coordinating);
	if (str_eq(key, STR("countryId"))) {
		if (!read_i64(in, "countryId", &country))
			return false;
		d->country = country >= 0 && country <= INT32_MAX ? (int32_t)country : 1;
		return true;
	}
	json_skip(in->j);
	return !json_failed(in->j);
}

static bool read_instance(struct in *in, struct instance *d)
{
	struct str key;

	*d = instance_draft();
	if (json_peek(in->j) != JT_OBJECT) {
		json_fail(in->j, "an instance is an object");
		return false;
	}
	if (!json_enter_object(in->j))
		return false;
	while (json_next_key(in->j, &key)) {
		if (!read_field(in, key, d))
			return false;
	}
	return !json_failed(in->j);
}

/* What only the whole shows. */
static void complete(struct instance *d, struct arena *a)
{
	d->dirty = MAX(d->dirty, (msec)0);
	d->updated = MAX(d->updated, (msec)0);
	if (d->host.len <= INST_NAME_MAX)
		instance_derive_id(d, a);
	d->id = instance_effective_id(d);
}

bool instance_json_read(struct json *j, struct instance *ret, struct arena *a, const char **field)
{
	struct in in = { .j = j, .a = a };
	bool ok = read_instance(&in, ret);

	if (field)
		*field = in.field;
	if (ok)
		complete(ret, a);
	return ok;
}

static bool read_wrapped(struct in *in, struct instance *d)
{
	struct str key;

	*d = instance_draft();
	if (json_peek(in->j) != JT_OBJECT) {
		json_fail(in->j, "an object with \"instance\" was expected");
		return false;
	}
	if (!json_enter_object(in->j))
		return false;
	while (json_next_key(in->j, &key)) {
		if (str_eq(key, STR("instance"))) {
			if (!read_instance(in, d))
				return false;
		} else if (!read_field(in, key, d)) {
			return false;
		}
	}
	return !json_failed(in->j);
}

int instance_json_decode(struct instance *ret, struct str body, struct arena *a, struct err *e)
{
	struct json j;
	struct in in = { .j = &j, .a = a };
	struct instance d;

	if (body.len > INST_BODY_MAX)
		return err_set(e, VINE_ELIMIT, "the instance is larger than %d bytes", INST_BODY_MAX);
	json_init(&j, body, INST_DEPTH_MAX, a);

	bool ok = read_wrapped(&in, &d);
	int r = json_finish(&j, e);

	if (r == 0 && !ok)
		r = err_set(e, VINE_EINVAL, "not an instance");
	if (r < 0)
		return in.field ? err_prefix(e, "%s", in.field) : r;
	complete(&d, a);
	r = instance_check_limits(&d, e);
	if (r == 0)
		*ret = d;
	return r;
}

/* --- writing --- */

static void put_opt(struct jsonw *w, struct str key, struct str v)
{
	if (v.ptr)
		jsonw_key_str(w, key, v);
}

static void put_or_null(struct jsonw *w, struct str key, struct str v)
{
	if (v.ptr) {
		jsonw_key_str(w, key, v);
		return;
	}
	jsonw_key(w, key);
	jsonw_null(w);
}

static struct str flag_text(bool v)
{
	return v ? STR("true") : STR("false");
}

static void put_port(struct jsonw *w, struct str key, const struct inst_port *p)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_key_u64(w, STR("$"), p->port);
	jsonw_key_str(w, STR("@enabled"), flag_text(p->enabled));
	jsonw_object_end(w);
}

static void put_text_number(struct jsonw *w, struct str key, int64_t v)
{
	char text[24];
	unsigned n = fmt_u64(text, v < 0 ? 0 : (uint64_t)v);

	jsonw_key_str(w, key, str_of(text, n));
}

static bool is_mini_key(struct str key)
{
	static const struct str keep[] = {
		STR_INIT("instance-id"), STR_INIT("public-ipv4"), STR_INIT("public-hostname"), STR_INIT("local-ipv4"),
		STR_INIT("availability-zone"),
	};

	for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
		if (str_eq(key, keep[i]))
			return true;
	}
	return false;
}

static void put_dc(struct jsonw *w, const struct instance *i, bool mini)
{
	static const struct str names[] = { [DC_MYOWN] = STR_INIT("MyOwn"), [DC_AMAZON] = STR_INIT("Amazon"),
					    [DC_NETFLIX] = STR_INIT("Netflix") };
	bool amazon = i->dc == DC_AMAZON;

	jsonw_key(w, STR("dataCenterInfo"));
	jsonw_object(w);
	jsonw_key_str(w, STR("@class"), amazon ? STR("com.netflix.appinfo.AmazonInfo")
					       : STR("com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"));
	jsonw_key_str(w, STR("name"), names[i->dc]);
	if (amazon) {
		jsonw_key(w, STR("metadata"));
		jsonw_object(w);
		for (unsigned k = 0; k < i->n_dc_meta; k++) {
			if (!mini || is_mini_key(i->dc_meta[k].key))
				jsonw_key_str(w, i->dc_meta[k].key, i->dc_meta[k].value);
		}
		jsonw_object_end(w);
	}
	jsonw_object_end(w);
}

static void put_lease(struct jsonw *w, const struct inst_lease *l)
{
	jsonw_key(w, STR("leaseInfo"));
	jsonw_object(w);
	jsonw_key_u64(w, STR("renewalIntervalInSecs"), l->renewal_s);
	jsonw_key_u64(w, STR("durationInSecs"), l->duration_s);
	jsonw_key_i64(w, STR("registrationTimestamp"), l->registered);
	jsonw_key_i64(w, STR("lastRenewalTimestamp"), l->renewed);
	jsonw_key_i64(w, STR("evictionTimestamp"), l->evicted);
	jsonw_key_i64(w, STR("serviceUpTimestamp"), l->service_up);
	jsonw_object_end(w);
}

static void put_meta(struct jsonw *w, const struct instance *i)
{
	jsonw_key(w, STR("metadata"));
	jsonw_object(w);
	if (i->n_meta == 0)
		jsonw_key_str(w, STR("@class"), STR("java.util.Collections$EmptyMap"));
	for (unsigned k = 0; k < i->n_meta; k++)
		jsonw_key_str(w, i->meta[k].key, i->meta[k].value);
	jsonw_object_end(w);
}

void instance_json_write(struct jsonw *w, const struct instance *i)
{
	jsonw_object(w);
	put_opt(w, STR("instanceId"), i->instance_id);
	put_or_null(w, STR("hostName"), i->host);
	put_or_null(w, STR("app"), i->app);
	put_or_null(w, STR("ipAddr"), i->ip);
	if (!str_eq(i->sid, STR("na")) && !str_eq(i->sid, STR("unknown")))
		put_opt(w, STR("sid"), i->sid);
	jsonw_key_str(w, STR("status"), inst_status_name((enum inst_status)i->status));
	jsonw_key_str(w, STR("overriddenStatus"), inst_status_name((enum inst_status)i->overridden));
	put_port(w, STR("port"), &i->port);
	put_port(w, STR("securePort"), &i->secure_port);
	jsonw_key_i64(w, STR("countryId"), i->country);
	put_dc(w, i, false);
	put_lease(w, &i->lease);
	put_meta(w, i);
	put_opt(w, STR("appGroupName"), i->app_group);
	put_opt(w, STR("homePageUrl"), i->home_url);
	put_opt(w, STR("statusPageUrl"), i->status_url);
	put_opt(w, STR("healthCheckUrl"), i->health_url);
	put_opt(w, STR("secureHealthCheckUrl"), i->secure_health_url);
	put_opt(w, STR("vipAddress"), i->vip);
	put_opt(w, STR("secureVipAddress"), i->secure_vip);
	jsonw_key_str(w, STR("isCoordinatingDiscoveryServer"), flag_text(i->coordinating));
	put_text_number(w, STR("lastUpdatedTimestamp"), i->updated);
	put_text_number(w, STR("lastDirtyTimestamp"), i->dirty);
	if (i->action != ACTION_NONE)
		jsonw_key_str(w, STR("actionType"), inst_action_name((enum inst_action)i->action));
	put_opt(w, STR("asgName"), i->asg);
	jsonw_object_end(w);
}

void instance_json_write_mini(struct jsonw *w, const struct instance *i)
{
	jsonw_object(w);
	put_opt(w, STR("instanceId"), i->instance_id);
	put_or_null(w, STR("app"), i->app);
	put_or_null(w, STR("ipAddr"), i->ip);
	put_opt(w, STR("vipAddress"), i->vip);
	put_opt(w, STR("secureVipAddress"), i->secure_vip);
	put_dc(w, i, true);
	put_or_null(w, STR("hostName"), i->host);
	jsonw_key_str(w, STR("status"), inst_status_name((enum inst_status)i->status));
	jsonw_key_i64(w, STR("lastUpdatedTimestamp"), i->updated);
	if (i->action != ACTION_NONE)
		jsonw_key_str(w, STR("actionType"), inst_action_name((enum inst_action)i->action));
	put_opt(w, STR("asgName"), i->asg);
	put_port(w, STR("port"), &i->port);
	put_port(w, STR("securePort"), &i->secure_port);
	jsonw_object_end(w);
}

/* --- applications, as the client reads them --- */

void apps_doc_add(struct apps_doc *d, struct instance *inst)
{
	if (d->n == d->room) {
		d->room = d->room ? d->room * 2 : 64;
		d->inst = xrealloc(d->inst, d->room * sizeof(struct instance *));
	}
	d->inst[d->n++] = inst;
}

void apps_doc_fini(struct apps_doc *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		instance_unref(d->inst[i]);
	free(d->inst);
	*d = (struct apps_doc){ 0 };
}

static bool doc_instance(struct in *in, struct apps_doc *doc)
{
	struct instance d;

	if (json_peek(in->j) == JT_NULL) {
		json_skip(in->j);
		return true;
	}
	if (!read_instance(in, &d))
		return false;
	complete(&d, in->a);
	if (!d.id.len || !d.host.len || !d.app.len || instance_check_limits(&d, NULL) < 0)
		doc->skipped++;
	else if (doc->n < in->max_instances)
		apps_doc_add(doc, instance_new(&d));
	else
		json_fail(in->j, "more instances than any registry has");
	arena_reset(in->a);
	return !json_failed(in->j);
}

/* A list of T, or, from old servers, one T bare; null is an empty list. */
static bool each(struct in *in, struct apps_doc *doc, bool (*fn)(struct in *in, struct apps_doc *doc))
{
	if (json_peek(in->j) != JT_ARRAY)
		return fn(in, doc);
	if (!json_enter_array(in->j))
		return false;
	while (json_next_item(in->j)) {
		if (!fn(in, doc))
			return false;
	}
	return !json_failed(in->j);
}

static bool doc_application(struct in *in, struct apps_doc *doc)
{
	struct str key;
	bool in_it;

	if (!enter(in, "application", &in_it))
		return false;
	while (in_it && json_next_key(in->j, &key)) {
		if (!str_eq(key, STR("instance")))
			json_skip(in->j);
		else if (!each(in, doc, doc_instance))
			return false;
	}
	return !json_failed(in->j);
}

static bool doc_hash(struct in *in, struct apps_doc *doc)
{
	struct str s = STR_EMPTY;

	if (!read_str(in, "apps__hashcode", &s))
		return false;
	if (s.ptr && s.len <= sizeof(doc->hash)) {
		memcpy(doc->hash, s.ptr, s.len);
		doc->hash_len = s.len;
		doc->has_hash = true;
	}
	return true;
}

static bool doc_applications(struct in *in, struct apps_doc *doc)
{
	struct str key;
	bool in_it, ok = enter(in, "applications", &in_it);

	while (ok && in_it && json_next_key(in->j, &key)) {
		if (str_eq(key, STR("versions__delta")))
			ok = read_i64(in, "versions__delta", &doc->version);
		else if (str_eq(key, STR("apps__hashcode")))
			ok = doc_hash(in, doc);
		else if (str_eq(key, STR("application")))
			ok = each(in, doc, doc_application);
		else
			json_skip(in->j);
	}
	return ok && !json_failed(in->j);
}

int apps_json_decode(struct apps_doc *ret, struct str body, struct err *e)
{
	struct apps_doc doc = { 0 };
	struct arena arena;
	struct json j;
	struct in in = { .j = &j, .a = &arena, .max_instances = APPS_DOC_INSTANCES_MAX };
	struct str key;
	bool found = false;

	arena_init(&arena, 8192);
	json_init(&j, body, INST_DEPTH_MAX + 4, &arena);
	if (json_enter_object(&j)) {
		while (json_next_key(&j, &key)) {
			if (!str_eq(key, STR("applications")))
				json_skip(&j);
			else if (doc_applications(&in, &doc))
				found = true;
			else
				break;
		}
	}

	int r = json_finish(&j, e);

	if (r == 0 && !found)
		r = err_set(e, VINE_EINVAL, "no \"applications\" in the answer");
	arena_fini(&arena);
	if (r < 0)
		apps_doc_fini(&doc);
	else
		*ret = doc;
	return r;
}

/* --- changes, as a watcher reads them --- */

static bool change_version(struct in *in, struct apps_change *c)
{
	struct str s = STR_EMPTY;

	if (!read_str(in, "version", &s))
		return false;
	if (s.len > sizeof(c->version)) {
		json_fail(in->j, "a version longer than any");
		return false;
	}
	if (s.len)
		memcpy(c->version, s.ptr, s.len);
	c->version_len = s.len;
	return true;
}

static bool change_member(struct in *in, struct str key, struct apps_change *c)
{
	if (str_eq(key, STR("hash")))
		return doc_hash(in, &c->doc);
	if (str_eq(key, STR("instances")))
		return each(in, &c->doc, doc_instance);
	if (str_eq(key, STR("version")))
		return change_version(in, c);
	if (str_eq(key, STR("resync")))
		json_bool(in->j, &c->resync);
	else
		json_skip(in->j);
	return !json_failed(in->j);
}

int apps_change_decode(struct apps_change *ret, struct str body, struct err *e)
{
	struct apps_change c = { 0 };
	struct arena arena;
	struct json j;
	struct in in = { .j = &j, .a = &arena, .max_instances = APPS_CHANGE_INSTANCES_MAX };
	struct str key;

	arena_init(&arena, 8192);
	json_init(&j, body, INST_DEPTH_MAX + 4, &arena);
	if (json_enter_object(&j)) {
		while (json_next_key(&j, &key) && change_member(&in, key, &c))
			;
	}

	int r = json_finish(&j, e);

	if (r == 0 && !c.doc.has_hash && !c.resync)
		r = err_set(e, VINE_EINVAL, "neither a hash nor a resync");
	arena_fini(&arena);
	if (r < 0)
		apps_doc_fini(&c.doc);
	else
		*ret = c;
	return r;
}
