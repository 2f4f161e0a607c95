/* xml_read.c - the reading half of xml.h, over expat.
 *
 * Elements are known by how deep they lie below the <instance> that holds them: 1 is a field, 2 a member of leaseInfo,
 * dataCenterInfo or metadata, 3 a member of Amazon's metadata. What is not known is read over.
 *
 * Limits   A document type is refused, and with it every entity but the five; depth and the text of one element are
 *          bounded; the length of the whole is its giver's to limit. */
#include "eureka/xml.h"

#include <expat.h>

#include "eureka/json.h"

#define TEXT_MAX (64 * 1024)
#define PATH_MAX_DEPTH 4 /* below <instance>; what is deeper has no meaning */

struct in {
	XML_Parser parser;
	struct arena *a;
	struct buf text;        /* of the element in hand */
	unsigned depth, base;   /* base: depth of the open <instance>; 0: none */
	struct str path[PATH_MAX_DEPTH];
	bool enabled, has_enabled; /* the attribute of the element in hand */
	struct instance d;
	unsigned instances;
	const char *reason;     /* of a refusal; static */
	struct apps_doc *doc;   /* applications: where they go; NULL: one instance is read */
	bool root_ok;
};

static void refuse(struct in *in, const char *reason)
{
	if (in->reason)
		return;
	in->reason = reason;
	XML_StopParser(in->parser, XML_FALSE);
}

static struct str copy(struct in *in, struct str s)
{
	return str_dup_in(in->a, s);
}

static struct str copy_upper(struct in *in, struct str s)
{
	char *p = arena_alloc(in->a, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		p[i] = ascii_upper(s.ptr[i]);
	p[s.len] = '\0';
	return str_of(p, s.len);
}

static int64_t number(struct in *in, struct str s, int64_t other)
{
	int64_t n = other;

	if (str_trim(s).len && !str_to_i64(str_trim(s), &n))
		refuse(in, "a whole number was expected");
	return n;
}

static uint8_t status(struct str s)
{
	enum inst_status st = INST_UNKNOWN;

	inst_status_parse_nocase(str_trim(s), &st);
	return (uint8_t)st;
}

static void put_port(struct in *in, struct str s, struct inst_port *p, bool enabled)
{
	int64_t n = number(in, s, p->port);

	if (n < 0 || n > 65535)
		refuse(in, "a port is a number from 0 to 65535");
	p->port = (uint16_t)n;
	p->enabled = enabled;
}

static const struct text_field {
	struct str name;
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

static void end_field(struct in *in, struct str name, struct str s)
{
	struct instance *d = &in->d;

	for (const struct text_field *f = text_fields; f < text_fields + ARRAY_LEN(text_fields); f++) {
		if (str_eq(name, f->name)) {
			*(struct str *)(void *)((char *)d + f->offset) = copy(in, s);
			return;
		}
	}
	if (str_eq(name, STR("app")))
		d->app = copy_upper(in, s);
	else if (str_eq(name, STR("appGroupName")))
		d->app_group = copy_upper(in, s);
	else if (str_eq(name, STR("status")))
		d->status = status(s);
	else if (str_eq_nocase(name, STR("overriddenstatus")))
		d->overridden = status(s);
	else if (str_eq(name, STR("port")))
		put_port(in, s, &d->port, in->has_enabled ? in->enabled : true);
	else if (str_eq(name, STR("securePort")))
		put_port(in, s, &d->secure_port, in->has_enabled && in->enabled);
	else if (str_eq(name, STR("lastUpdatedTimestamp")))
		d->updated = number(in, s, 0);
	else if (str_eq(name, STR("lastDirtyTimestamp")))
		d->dirty = number(in, s, 0);
	else if (str_eq(name, STR("actionType")))
		d->action = (uint8_t)inst_action_parse(str_trim(s));
	else if (str_eq(name, STR("isCoordinatingDiscoveryServer")))
		d->coordinating = str_eq_nocase(str_trim(s), STR("true"));
	else if (str_eq(name, STR("countryId")))
		d->country = (int32_t)MIN(MAX(number(in, s, 1), (int64_t)0), (int64_t)INT32_MAX);
}

static void put_seconds(struct in *in, struct str s, uint32_t *ret)
{
	int64_t n = number(in, s, 0);

	if (n > 0)
		*ret = (uint32_t)MIN(n, (int64_t)LEASE_SECONDS_MAX);
}

static void end_lease(struct in *in, struct str name, struct str s)
{
	struct inst_lease *l = &in->d.lease;

	if (str_eq(name, STR("renewalIntervalInSecs")))
		put_seconds(in, s, &l->renewal_s);
	else if (str_eq(name, STR("durationInSecs")))
		put_seconds(in, s, &l->duration_s);
	else if (str_eq(name, STR("registrationTimestamp")))
		l->registered = number(in, s, 0);
	else if (str_eq(name, STR("lastRenewalTimestamp")))
		l->renewed = number(in, s, 0);
	else if (str_eq(name, STR("evictionTimestamp")))
		l->evicted = number(in, s, 0);
	else if (str_eq(name, STR("serviceUpTimestamp")))
		l->service_up = number(in, s, 0);
}

static void end_kv(struct in *in, struct kv **kv, uint16_t *n, struct str name, struct str s)
{
	struct str key = xml_name_decode(in->a, name);

	if (!*kv)
		*kv = arena_alloc(in->a, INST_META_MAX * sizeof(struct kv));
	for (uint16_t i = 0; i < *n; i++) {
		if (str_eq((*kv)[i].key, key)) {
			(*kv)[i].value = copy(in, s);
			return;
		}
	}
	if (*n == INST_META_MAX) {
		refuse(in, "too many metadata entries");
		return;
	}
	(*kv)[(*n)++] = (struct kv){ key, copy(in, s) };
}

static void end_dc_name(struct in *in, struct str s)
{
	s = str_trim(s);
	in->d.dc = str_eq_nocase(s, STR("Amazon")) ? DC_AMAZON : str_eq_nocase(s, STR("Netflix")) ? DC_NETFLIX : DC_MYOWN;
}

static void end_instance(struct in *in)
{
	struct instance *d = &in->d;

	in->base = 0;
	in->instances++;
	if (d->dc != DC_AMAZON)
		d->n_dc_meta = 0;
	d->dirty = MAX(d->dirty, (msec)0);
	d->updated = MAX(d->updated, (msec)0);
	if (d->host.len <= INST_NAME_MAX)
		instance_derive_id(d, in->a);
	d->id = instance_effective_id(d);
	if (!in->doc)
		return;
	if (!d->id.len || !d->host.len || !d->app.len || instance_check_limits(d, NULL) < 0)
		in->doc->skipped++;
	else if (in->doc->n < APPS_DOC_INSTANCES_MAX)
		apps_doc_add(in->doc, instance_new(d));
	else
		refuse(in, "more instances than any registry has");
	arena_reset(in->a);
}

/* The element at `level` below <instance> ends; path[0] is the field. */
static void end_below(struct in *in, unsigned level, struct str s)
{
	struct str field = in->path[0], name = in->path[level - 1];

	if (level == 1)
		end_field(in, name, s);
	else if (level == 2 && str_eq(field, STR("leaseInfo")))
		end_lease(in, name, s);
	else if (level == 2 && str_eq(field, STR("metadata")))
		end_kv(in, &in->d.meta, &in->d.n_meta, name, s);
	else if (level == 2 && str_eq(field, STR("dataCenterInfo")) && str_eq(name, STR("name")))
		end_dc_name(in, s);
	else if (level == 3 && str_eq(field, STR("dataCenterInfo")) && str_eq(in->path[1], STR("metadata")))
		end_kv(in, &in->d.dc_meta, &in->d.n_dc_meta, name, s);
}

static void end_of_doc(struct in *in, struct str name, struct str s)
{
	struct apps_doc *doc = in->doc;

	if (!doc || in->depth != 2)
		return;
	if (str_eq(name, STR("versions__delta"))) {
		doc->version = number(in, s, 0);
	} else if (str_eq(name, STR("apps__hashcode")) && str_trim(s).len <= sizeof(doc->hash)) {
		s = str_trim(s);
		if (s.len)
			memcpy(doc->hash, s.ptr, s.len);
		doc->hash_len = s.len;
		doc->has_hash = true;
	}
}

/* --- expat's callbacks --- */

static void start_instance(struct in *in)
{
	in->base = in->depth;
	in->d = instance_draft();
}

static bool is_instance(struct str name)
{
	return str_eq(name, STR("instance")) || str_eq(name, STR("com.netflix.appinfo.InstanceInfo"));
}

static void start_below(struct in *in, unsigned level, struct str name, const XML_Char **atts)
{
	if (level > PATH_MAX_DEPTH)
		return;
	in->path[level - 1] = copy(in, name);
	in->has_enabled = false;
	if (level == 1 && str_eq(name, STR("dataCenterInfo")))
		in->d.has_dc = true;
	for (; atts[0]; atts += 2) {
		if (strcmp(atts[0], "enabled") == 0) {
			in->has_enabled = true;
			in->enabled = str_eq_nocase(str_from(atts[1]), STR("true"));
		} else if (level == 1 && in->d.has_dc && strcmp(atts[0], "class") == 0 &&
			   str_eq(name, STR("dataCenterInfo")) && str_has_suffix(str_from(atts[1]), STR("AmazonInfo"))) {
			in->d.dc = DC_AMAZON; /* unless the name says otherwise */
		}
	}
}

static void on_start(void *user, const XML_Char *z, const XML_Char **atts)
{
	struct in *in = user;
	struct str name = str_from(z);

	buf_clear(&in->text);
	if (++in->depth > INST_DEPTH_MAX) {
		refuse(in, "nested too deeply");
		return;
	}
	if (in->depth == 1) {
		in->root_ok = in->doc ? str_eq(name, STR("applications")) : is_instance(name);
		if (!in->root_ok) {
			refuse(in, in->doc ? "<applications> was expected" : "<instance> was expected");
			return;
		}
	}
	if (in->base)
		start_below(in, in->depth - in->base, name, atts);
	else if (is_instance(name))
		start_instance(in);
}

static void on_end(void *user, const XML_Char *z)
{
	struct in *in = user;
	unsigned level = in->depth - in->base;

	if (in->reason)
		return;
	if (in->text.failed)
		refuse(in, "an element's text is too long");
	else if (in->base && level == 0)
		end_instance(in);
	else if (in->base && level <= PATH_MAX_DEPTH)
		end_below(in, level, buf_str(&in->text));
	else if (!in->base)
		end_of_doc(in, str_from(z), buf_str(&in->text));
	in->depth--;
	buf_clear(&in->text);
}

static void on_text(void *user, const XML_Char *p, int n)
{
	struct in *in = user;

	buf_add(&in->text, p, (size_t)n);
}

static void on_doctype(void *user, const XML_Char *a, const XML_Char *b, const XML_Char *c, int d)
{
	struct in *in = user;

	(void)a, (void)b, (void)c, (void)d;
	refuse(in, "document types are not accepted");
}

/* --- */

static int parse(struct in *in, struct str body, struct err *e)
{
	int r = 0;

	in->parser = XML_ParserCreate(NULL);
	if (!in->parser)
		abort();
	buf_init(&in->text, TEXT_MAX);
	XML_SetUserData(in->parser, in);
	XML_SetElementHandler(in->parser, on_start, on_end);
	XML_SetCharacterDataHandler(in->parser, on_text);
	XML_SetStartDoctypeDeclHandler(in->parser, on_doctype);
	if (body.len > INT32_MAX) {
		r = err_set(e, VINE_ELIMIT, "the text is too large");
	} else if (XML_Parse(in->parser, body.ptr ? body.ptr : "", (int)body.len, XML_TRUE) == XML_STATUS_ERROR) {
		r = err_set(e, VINE_EINVAL, "%lu:%lu: %s", (unsigned long)XML_GetCurrentLineNumber(in->parser),
			    (unsigned long)XML_GetCurrentColumnNumber(in->parser) + 1,
			    in->reason ? in->reason : XML_ErrorString(XML_GetErrorCode(in->parser)));
	}
	buf_fini(&in->text);
	XML_ParserFree(in->parser);
	return r;
}

int instance_xml_decode(struct instance *ret, struct str body, struct arena *a, struct err *e)
{
	struct in in = { .a = a };
	int r;

	if (body.len > INST_BODY_MAX)
		return err_set(e, VINE_ELIMIT, "the instance is larger than %d bytes", INST_BODY_MAX);
	r = parse(&in, body, e);
	if (r == 0)
		r = instance_check_limits(&in.d, e);
	if (r == 0)
		*ret = in.d;
	return r;
}

int apps_xml_decode(struct apps_doc *ret, struct str body, struct err *e)
{
	struct apps_doc doc = { 0 };
	struct arena a;
	struct in in = { .a = &a, .doc = &doc };
	int r;

	arena_init(&a, 8192);
	r = parse(&in, body, e);
	arena_fini(&a);
	if (r < 0)
		apps_doc_fini(&doc);
	else
		*ret = doc;
	return r;
}
