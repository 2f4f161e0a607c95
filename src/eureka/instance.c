/* instance.c - packing an instance into one block, and what is demanded of one.
 *
 * Layout of the block: struct instance, metadata entries, data center entries, then the bytes of all strings, each with a
 * NUL behind it for the sake of debuggers and of callers that need one. */
#include "eureka/instance.h"

#include <stdio.h>

#define N_STRS 14

/* Every string field, so that copying and measuring cannot forget one. */
static void strs_of(struct instance *i, struct str *out[N_STRS])
{
	struct str *all[N_STRS] = {
		&i->id, &i->instance_id, &i->host, &i->app, &i->ip, &i->sid, &i->app_group, &i->vip, &i->secure_vip,
		&i->asg, &i->home_url, &i->status_url, &i->health_url, &i->secure_health_url,
	};

	memcpy(out, all, sizeof(all));
}

struct instance instance_draft(void)
{
	return (struct instance){
		.status = INST_UP,
		.overridden = INST_UNKNOWN,
		.port = { 7001, true },
		.secure_port = { 7002, false },
		.country = 1,
		.lease = { .renewal_s = LEASE_RENEWAL_DEFAULT, .duration_s = LEASE_DURATION_DEFAULT },
	};
}

struct instance instance_draft_of(const struct instance *i)
{
	struct instance d = { 0 };
	size_t from = sizeof(i->refs); /* others may be counting just now */

	memcpy((char *)&d + from, (const char *)i + from, sizeof(d) - from);
	return d;
}

static bool is_blank(struct str s)
{
	return str_trim(s).len == 0;
}

static struct str kv_get(const struct kv *kv, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(kv[i].key, key))
			return kv[i].value;
	}
	return STR_EMPTY;
}

struct str instance_effective_id(const struct instance *d)
{
	if (d->instance_id.len) /* also of blanks, as Netflix's server: the client goes on to use it */
		return d->instance_id;
	if (d->dc == DC_AMAZON) {
		struct str aws = kv_get(d->dc_meta, d->n_dc_meta, STR("instance-id"));

		if (!is_blank(aws))
			return aws;
	}
	return d->host;
}

void instance_derive_id(struct instance *d, struct arena *a)
{
	struct str given = instance_meta(d, STR("instanceId"));

	if (!is_blank(d->instance_id) || is_blank(given))
		return;
	if (str_has_prefix(given, d->host))
		d->instance_id = given;
	else
		d->instance_id = str_printf_in(a, "%.*s:%.*s", STRF(d->host), STRF(given));
}

static size_t kv_bytes(const struct kv *kv, size_t n)
{
	size_t sum = n * sizeof(*kv);

	for (size_t i = 0; i < n; i++)
		sum += kv[i].key.len + kv[i].value.len + 2;
	return sum;
}

/* Moves s to *at. An absent string stays absent. */
static void pack_str(struct str *s, char **at)
{
	if (!s->ptr)
		return;
	if (s->len)
		memcpy(*at, s->ptr, s->len);
	(*at)[s->len] = '\0';
	s->ptr = *at;
	*at += s->len + 1;
}

static void pack_kv(struct kv *to, const struct kv *from, size_t n, char **at)
{
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		pack_str(&to[i].key, at);
		pack_str(&to[i].value, at);
	}
}

struct instance *instance_new(const struct instance *draft)
{
	struct instance d = *draft;
	struct str *strs[N_STRS];
	size_t size = sizeof(d) + kv_bytes(d.meta, d.n_meta) + kv_bytes(d.dc_meta, d.n_dc_meta);

	if (!d.id.len)
		d.id = instance_effective_id(&d);
	strs_of(&d, strs);
	for (size_t i = 0; i < N_STRS; i++)
		size += strs[i]->ptr ? strs[i]->len + 1 : 0;

	struct instance *in = xmalloc(size);

	*in = d;
	in->meta = (struct kv *)(in + 1);
	in->dc_meta = in->meta + d.n_meta;

	char *at = (char *)(in->dc_meta + d.n_dc_meta);

	pack_kv(in->meta, d.meta, d.n_meta, &at);
	pack_kv(in->dc_meta, d.dc_meta, d.n_dc_meta, &at);
	strs_of(in, strs);
	for (size_t i = 0; i < N_STRS; i++)
		pack_str(strs[i], &at);
	assert(at <= (char *)in + size);
	atomic_init(&in->refs, 1);
	return in;
}

struct instance *instance_ref(const struct instance *i)
{
	struct instance *in = (struct instance *)(uintptr_t)i; /* only the count changes */

	atomic_fetch_add_explicit(&in->refs, 1, memory_order_relaxed);
	return in;
}

void instance_unref(struct instance *i)
{
	if (!i)
		return;

	uint32_t before = atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel);

	assert(before > 0);
	if (before == 1)
		free(i);
}

size_t instance_bytes(const struct instance *i)
{
	struct instance d = instance_draft_of(i);
	struct str *strs[N_STRS];
	size_t size = sizeof(d) + kv_bytes(d.meta, d.n_meta) + kv_bytes(d.dc_meta, d.n_dc_meta);

	strs_of(&d, strs);
	for (size_t k = 0; k < N_STRS; k++)
		size += strs[k]->ptr ? strs[k]->len + 1 : 0;
	return size;
}

struct str instance_meta(const struct instance *i, struct str key)
{
	return kv_get(i->meta, i->n_meta, key);
}

struct str instance_zone(const struct instance *i)
{
	struct str z = i->dc == DC_AMAZON ? kv_get(i->dc_meta, i->n_dc_meta, STR("availability-zone")) : STR_EMPTY;

	return z.len ? z : instance_meta(i, STR("zone"));
}

bool vip_has(struct str vip, struct str name)
{
	struct str piece;

	while (str_cut(&vip, ',', &piece)) {
		if (piece.len && str_eq(piece, name))
			return true;
	}
	return false;
}

int instance_check(const struct instance *d, struct str path_app, struct err *e)
{
	if (instance_effective_id(d).len == 0)
		return err_set(e, VINE_EINVAL, "Missing instanceId");
	if (is_blank(d->host))
		return err_set(e, VINE_EINVAL, "Missing hostname");
	if (is_blank(d->ip))
		return err_set(e, VINE_EINVAL, "Missing ip address");
	if (is_blank(d->app))
		return err_set(e, VINE_EINVAL, "Missing appName");
	if (!str_eq_nocase(d->app, path_app))
		return err_set(e, VINE_EINVAL, "Mismatched appName, expecting %.*s but was %.*s", STRF(path_app), STRF(d->app));
	if (!d->has_dc)
		return err_set(e, VINE_EINVAL, "Missing dataCenterInfo");
	return 0;
}

struct limit {
	const char *field;
	struct str value;
	size_t max;
};

static int check_meta(const char *what, const struct kv *kv, size_t n, struct err *e)
{
	size_t sum = 0;

	if (n > INST_META_MAX)
		return err_set(e, VINE_ELIMIT, "%s has more than %d entries", what, INST_META_MAX);
	for (size_t i = 0; i < n; i++) {
		if (kv[i].key.len > INST_META_KEY_MAX)
			return err_set(e, VINE_ELIMIT, "%s has a key longer than %d bytes", what, INST_META_KEY_MAX);
		if (kv[i].value.len > INST_META_VALUE_MAX)
			return err_set(e, VINE_ELIMIT, "%s.%.*s is longer than %d bytes", what, STRF(kv[i].key),
				       INST_META_VALUE_MAX);
		sum += kv[i].key.len + kv[i].value.len;
	}
	if (sum > INST_META_BYTES_MAX)
		return err_set(e, VINE_ELIMIT, "%s is larger than %d bytes in all", what, INST_META_BYTES_MAX);
	return 0;
}

int instance_check_limits(const struct instance *d, struct err *e)
{
	const struct limit limits[] = {
		{ "instanceId", d->instance_id, INST_ID_MAX },
		{ "the instance's id", instance_effective_id(d), INST_ID_MAX }, /* Amazon's, where there is no instanceId */
		{ "hostName", d->host, INST_NAME_MAX },
		{ "app", d->app, INST_NAME_MAX },
		{ "ipAddr", d->ip, INST_NAME_MAX },
		{ "sid", d->sid, INST_NAME_MAX },
		{ "appGroupName", d->app_group, INST_NAME_MAX },
		{ "asgName", d->asg, INST_NAME_MAX },
		{ "vipAddress", d->vip, INST_VIP_MAX },
		{ "secureVipAddress", d->secure_vip, INST_VIP_MAX },
		{ "homePageUrl", d->home_url, INST_URL_MAX },
		{ "statusPageUrl", d->status_url, INST_URL_MAX },
		{ "healthCheckUrl", d->health_url, INST_URL_MAX },
		{ "secureHealthCheckUrl", d->secure_health_url, INST_URL_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (limits[i].value.len > limits[i].max)
			return err_set(e, VINE_ELIMIT, "%s is longer than %zu bytes", limits[i].field, limits[i].max);
	}

	int r = check_meta("metadata", d->meta, d->n_meta, e);

	return r < 0 ? r : check_meta("dataCenterInfo.metadata", d->dc_meta, d->n_dc_meta, e);
}
