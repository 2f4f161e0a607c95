/* xml_write.c - the writing half of xml.h. */
#include "eureka/xml.h"

#include "codec/utf8.h"

static void indent(struct buf *b, unsigned depth)
{
	while (depth--)
		buf_adds(b, STR("  "));
}

/* U+FFFE and U+FFFF: characters to JSON, none to XML. */
static bool is_noncharacter(struct str s, size_t i)
{
	return s.len - i >= 3 && memcmp(s.ptr + i, "\xef\xbf", 2) == 0 && (unsigned char)s.ptr[i + 2] >= 0xbe;
}

/* Anything above ASCII at s[i]; returns how many bytes it was. */
static size_t put_high(struct buf *b, struct str s, size_t i)
{
	unsigned n = utf8_len(s.ptr + i, s.ptr + s.len);

	if (n == 0 || is_noncharacter(s, i))
		buf_addc(b, '?');
	else
		buf_add(b, s.ptr + i, n);
	return n ? n : 1;
}

/* XML 1.0 holds no control characters but tab and the line ends. */
void xml_text(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		switch (c) {
		case '<': buf_adds(b, STR("&lt;")); break;
		case '>': buf_adds(b, STR("&gt;")); break;
		case '&': buf_adds(b, STR("&amp;")); break;
		case '"': buf_adds(b, STR("&quot;")); break;
		case '\'': buf_adds(b, STR("&apos;")); break;
		case '\r': buf_adds(b, STR("&#xd;")); break;
		default:
			if (c >= 0x80)
				i += put_high(b, s, i) - 1;
			else
				buf_addc(b, c < 0x20 && c != '\t' && c != '\n' ? '?' : (char)c);
			break;
		}
	}
}

/* Letters that XML 1.0 allows in names in all its editions; what is left out here is only coded, not lost. */
static bool is_letter(uint32_t c)
{
	return (c < 0x80 && ascii_is_alpha((char)c)) || (c >= 0xc0 && c <= 0xff && c != 0xd7 && c != 0xf7) ||
	       (c >= 0x3b1 && c <= 0x3c9) || (c >= 0x430 && c <= 0x44f) || (c >= 0x3041 && c <= 0x3094) ||
	       (c >= 0x30a1 && c <= 0x30fa) || (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0xac00 && c <= 0xd7a3);
}

/* XStream lets ':' stand too. To a parser that knows namespaces, as Python's, the whole document then is malformed, and one
 * instance's metadata would hide all others; XStream decodes what is coded. */
static bool is_name_char(uint32_t c, bool first)
{
	return is_letter(c) || (!first && (c == '.' || c == '-' || (c >= '0' && c <= '9')));
}

/* The code point at p, n bytes long and well-formed. */
static uint32_t code_point(const char *p, unsigned n)
{
	const unsigned char *u = (const unsigned char *)p;

	switch (n) {
	case 1: return u[0];
	case 2: return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
	case 3: return (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
	default: return (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu);
	}
}

/* In UTF-16 code units, as Java has them. */
static void put_coded(struct buf *b, uint32_t c)
{
	if (c >= 0x10000) {
		buf_adds(b, STR("_."));
		buf_add_hex(b, 0xd800 + ((c - 0x10000) >> 10), 4);
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	buf_adds(b, STR("_."));
	buf_add_hex(b, c, 4);
}

void xml_name_encode(struct buf *b, struct str key)
{
	const char *p = key.ptr, *end = key.ptr + key.len;

	for (unsigned n; p < end; p += n) {
		n = utf8_len(p, end);

		uint32_t c = n ? code_point(p, n) : '?'; /* keys are valid UTF-8: the readers see to it */

		n = n ? n : 1;
		if (c == '_')
			buf_adds(b, STR("__"));
		else if (c == '$')
			buf_adds(b, STR("_-"));
		else if (is_name_char(c, p == key.ptr))
			buf_add(b, p, n);
		else
			put_coded(b, c);
	}
	if (key.len == 0)
		buf_adds(b, STR("_.0000")); /* an element must have a name */
}

static bool hex4(const char *p, unsigned *ret)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		char c = ascii_lower(p[i]);

		if (ascii_is_digit(c))
			v = v * 16 + (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (unsigned)(c - 'a') + 10;
		else
			return false;
	}
	*ret = v;
	return true;
}

/* "_.hhhh" at p: the code point that it, or it and the one behind it, stand for. Returns the bytes used, 0: it is none. */
static size_t take_coded(const char *p, size_t left, uint32_t *c)
{
	unsigned hi, lo;

	if (left < 6 || p[0] != '_' || p[1] != '.' || !hex4(p + 2, &hi))
		return 0;
	*c = hi;
	if (hi < 0xd800 || hi >= 0xe000)
		return 6;
	if (hi >= 0xdc00 || left < 12 || p[6] != '_' || p[7] != '.' || !hex4(p + 8, &lo) || lo < 0xdc00 || lo >= 0xe000)
		return 0;
	*c = 0x10000 + ((hi - 0xd800) << 10 | (lo - 0xdc00));
	return 12;
}

struct str xml_name_decode(struct arena *a, struct str name)
{
	char *out = arena_alloc(a, name.len + 1); /* each code is longer than what it stands for */
	size_t n = 0, i = 0, used;
	uint32_t c;

	if (str_eq(name, STR("_.0000")))
		return str_of(out, 0);
	for (; i < name.len; i += used) {
		size_t left = name.len - i;
		const char *p = name.ptr + i;

		if (left >= 2 && p[0] == '_' && (p[1] == '_' || p[1] == '-')) {
			out[n++] = p[1] == '_' ? '_' : '$';
			used = 2;
		} else if ((used = take_coded(p, left, &c))) {
			n += utf8_put(out + n, c);
		} else {
			out[n++] = *p;
			used = 1;
		}
	}
	out[n] = '\0';
	return str_of(out, n);
}

/* --- elements --- */

struct w {
	struct buf *b;
	unsigned depth; /* of the children */
	bool pretty;
};

static void begin(struct w *w)
{
	if (w->pretty)
		indent(w->b, w->depth);
}

static void end(struct w *w)
{
	if (w->pretty)
		buf_addc(w->b, '\n');
}

static void put(struct w *w, const char *name, struct str v)
{
	begin(w);
	buf_addc(w->b, '<');
	buf_addz(w->b, name);
	buf_addc(w->b, '>');
	xml_text(w->b, v);
	buf_adds(w->b, STR("</"));
	buf_addz(w->b, name);
	buf_addc(w->b, '>');
	end(w);
}

static void put_opt(struct w *w, const char *name, struct str v)
{
	if (v.ptr)
		put(w, name, v);
}

static void put_num(struct w *w, const char *name, int64_t v)
{
	char text[24];

	put(w, name, str_of(text, fmt_u64(text, v < 0 ? 0 : (uint64_t)v)));
}

static void put_flag(struct w *w, const char *name, bool v)
{
	put(w, name, v ? STR("true") : STR("false"));
}

static void put_port(struct w *w, const char *name, const struct inst_port *p)
{
	begin(w);
	buf_addf(w->b, "<%s enabled=\"%s\">%u</%s>", name, p->enabled ? "true" : "false", p->port, name);
	end(w);
}

/* Opens an element whose children follow. */
static void open(struct w *w, const char *name, const char *attr)
{
	begin(w);
	buf_addc(w->b, '<');
	buf_addz(w->b, name);
	buf_addz(w->b, attr);
	buf_addc(w->b, '>');
	end(w);
	w->depth++;
}

static void close(struct w *w, const char *name)
{
	w->depth--;
	begin(w);
	buf_adds(w->b, STR("</"));
	buf_addz(w->b, name);
	buf_addc(w->b, '>');
	end(w);
}

static void put_kv(struct w *w, const struct kv *kv, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		begin(w);
		buf_addc(w->b, '<');
		xml_name_encode(w->b, kv[i].key);
		buf_addc(w->b, '>');
		xml_text(w->b, kv[i].value);
		buf_adds(w->b, STR("</"));
		xml_name_encode(w->b, kv[i].key);
		buf_addc(w->b, '>');
		end(w);
	}
}

static bool is_mini_key(struct str key)
{
	return str_eq(key, STR("instance-id")) || str_eq(key, STR("public-ipv4")) || str_eq(key, STR("public-hostname")) ||
	       str_eq(key, STR("local-ipv4")) || str_eq(key, STR("availability-zone"));
}

static void put_dc(struct w *w, const struct instance *i, bool mini)
{
	static const struct str names[] = { [DC_MYOWN] = STR_INIT("MyOwn"), [DC_AMAZON] = STR_INIT("Amazon"),
					    [DC_NETFLIX] = STR_INIT("Netflix") };

	open(w, "dataCenterInfo", i->dc == DC_AMAZON
					  ? " class=\"com.netflix.appinfo.AmazonInfo\""
					  : " class=\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\"");
	put(w, "name", names[i->dc]);
	if (i->dc == DC_AMAZON) {
		open(w, "metadata", "");
		for (unsigned k = 0; k < i->n_dc_meta; k++) {
			if (!mini || is_mini_key(i->dc_meta[k].key))
				put_kv(w, &i->dc_meta[k], 1);
		}
		close(w, "metadata");
	}
	close(w, "dataCenterInfo");
}

static void put_lease(struct w *w, const struct inst_lease *l)
{
	open(w, "leaseInfo", "");
	put_num(w, "renewalIntervalInSecs", l->renewal_s);
	put_num(w, "durationInSecs", l->duration_s);
	put_num(w, "registrationTimestamp", l->registered);
	put_num(w, "lastRenewalTimestamp", l->renewed);
	put_num(w, "evictionTimestamp", l->evicted);
	put_num(w, "serviceUpTimestamp", l->service_up);
	close(w, "leaseInfo");
}

static void put_meta(struct w *w, const struct instance *i)
{
	if (i->n_meta == 0) {
		begin(w);
		buf_adds(w->b, STR("<metadata class=\"java.util.Collections$EmptyMap\"/>"));
		end(w);
		return;
	}
	open(w, "metadata", "");
	put_kv(w, i->meta, i->n_meta);
	close(w, "metadata");
}

void instance_xml_write(struct buf *b, const struct instance *i, unsigned depth)
{
	struct w w = { b, depth, true };

	open(&w, "instance", "");
	put_opt(&w, "instanceId", i->instance_id);
	put_opt(&w, "hostName", i->host);
	put_opt(&w, "app", i->app);
	put_opt(&w, "ipAddr", i->ip);
	if (!str_eq(i->sid, STR("na")) && !str_eq(i->sid, STR("unknown")))
		put_opt(&w, "sid", i->sid);
	put(&w, "status", inst_status_name((enum inst_status)i->status));
	put(&w, "overriddenstatus", inst_status_name((enum inst_status)i->overridden));
	put_port(&w, "port", &i->port);
	put_port(&w, "securePort", &i->secure_port);
	put_num(&w, "countryId", i->country);
	put_dc(&w, i, false);
	put_lease(&w, &i->lease);
	put_meta(&w, i);
	put_opt(&w, "appGroupName", i->app_group);
	put_opt(&w, "homePageUrl", i->home_url);
	put_opt(&w, "statusPageUrl", i->status_url);
	put_opt(&w, "healthCheckUrl", i->health_url);
	put_opt(&w, "secureHealthCheckUrl", i->secure_health_url);
	put_opt(&w, "vipAddress", i->vip);
	put_opt(&w, "secureVipAddress", i->secure_vip);
	put_flag(&w, "isCoordinatingDiscoveryServer", i->coordinating);
	put_num(&w, "lastUpdatedTimestamp", i->updated);
	put_num(&w, "lastDirtyTimestamp", i->dirty);
	if (i->action != ACTION_NONE)
		put(&w, "actionType", inst_action_name((enum inst_action)i->action));
	put_opt(&w, "asgName", i->asg);
	close(&w, "instance");
}

void instance_xml_write_mini(struct buf *b, const struct instance *i)
{
	struct w w = { b, 0, false };

	open(&w, "instance", "");
	put_opt(&w, "instanceId", i->instance_id);
	put_opt(&w, "app", i->app);
	put_opt(&w, "ipAddr", i->ip);
	put_opt(&w, "vipAddress", i->vip);
	put_opt(&w, "secureVipAddress", i->secure_vip);
	put_dc(&w, i, true);
	put_opt(&w, "hostName", i->host);
	put(&w, "status", inst_status_name((enum inst_status)i->status));
	put_num(&w, "lastUpdatedTimestamp", i->updated);
	if (i->action != ACTION_NONE)
		put(&w, "actionType", inst_action_name((enum inst_action)i->action));
	put_opt(&w, "asgName", i->asg);
	put_port(&w, "port", &i->port);
	put_port(&w, "securePort", &i->secure_port);
	close(&w, "instance");
}
