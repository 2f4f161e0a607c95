/* props.c - building the picture, and reading it. */
#include "props/props.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "base/map.h"
#include "props/machine.h"
#include "props/placeholder.h"
#include "props/relax.h"

struct props {
	_Atomic unsigned refs;
	struct arena arena;
	struct prop_value *value;
	size_t n, cap;
	struct map by_name;    /* stored name -> index + 1 of the strongest */
	struct map by_uniform; /* uniform form of foreign names */
	struct map rows;       /* the catalogue by its names: readers come often, perhaps with each request */
	struct map list_from;  /* stored name of a list, without index -> the source's name that gives it */
	struct prop_finding *finding;
	size_t n_findings, cap_findings;
	size_t n_unsaid; /* faults beyond FINDINGS_MAX */
	bool has_errors;
	struct str *profile;
	size_t n_profiles;
};

struct props *props_ref(struct props *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void props_unref(struct props *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	map_fini(&p->by_name);
	map_fini(&p->by_uniform);
	map_fini(&p->rows);
	map_fini(&p->list_from);
	free(p->value);
	free(p->finding);
	arena_fini(&p->arena);
	free(p);
}

/* --- building --- */

#define FINDINGS_MAX 100 /* more help nobody, and each unknown key costs a search for the nearest name */

void props_add_finding(struct props *p, enum finding_kind kind, struct str text)
{
	if (p->n_findings >= FINDINGS_MAX && p->n_unsaid++ > 0) {
		p->has_errors = p->has_errors || kind == FINDING_ERROR;
		return;
	}
	if (p->n_unsaid == 1)
		text = STR("and further faults that are not shown");
	if (p->n_findings == p->cap_findings) {
		p->cap_findings = MAX(p->cap_findings * 2, (size_t)8);
		p->finding = xrealloc(p->finding, p->cap_findings * sizeof(*p->finding));
	}
	p->finding[p->n_findings++] = (struct prop_finding){ kind, str_dup_in(&p->arena, text) };
	p->has_errors = p->has_errors || kind == FINDING_ERROR;
}

static struct str place_text(struct arena *a, const struct prop_origin *o)
{
	if (o->line == 0)
		return o->source;
	return str_printf_in(a, "%.*s:%u:%u", STRF(o->source), o->line, o->column);
}

static void find_fault(struct props *p, const struct prop_value *v, struct str what)
{
	bool hide = prop_hides(v->desc, v->name, v->value);
	struct str place = place_text(&p->arena, &v->origin);
	struct str value = hide ? STR("******") : str_slice(v->value, 0, 80);

	props_add_finding(p, FINDING_ERROR,
			  str_printf_in(&p->arena, "%.*s: %.*s = %.*s: %.*s", STRF(place), STRF(v->written.len ? v->written : v->name), STRF(value), STRF(what)));
}

/* A list is one value: the strongest source that has any of it gives all of it. */
static bool list_is_taken(struct props *p, const struct prop_value *v)
{
	struct str base, *from;

	if (!v->desc || v->desc->type != PROP_LIST)
		return false;
	base = prop_canonical(&p->arena, v->desc, v->key);
	from = map_get(&p->list_from, base);
	if (from)
		return !str_eq(*from, v->origin.source);
	from = arena_alloc(&p->arena, sizeof(*from));
	*from = v->origin.source;
	map_put(&p->list_from, base, from);
	return false;
}

static void add_value(struct props *p, struct prop_value v)
{
	uintptr_t at = (uintptr_t)map_get(&p->by_name, v.name);

	if (at) {
		struct prop_value *old = &p->value[at - 1];

		/* Within one document the later line holds; else the stronger source, which came first. */
		if (v.origin.line && old->origin.source.ptr == v.origin.source.ptr)
			*old = v;
		return;
	}
	if (list_is_taken(p, &v))
		return;
	if (p->n == p->cap) {
		p->cap = MAX(p->cap * 2, (size_t)64);
		p->value = xrealloc(p->value, p->cap * sizeof(*p->value));
	}
	p->value[p->n++] = v;
	map_put(&p->by_name, v.name, (void *)(uintptr_t)p->n);
	if (!v.desc)
		map_put(&p->by_uniform, relax_uniform(&p->arena, v.name), (void *)(uintptr_t)p->n);
}

static void add_unknown(struct props *p, const struct prop_value *v)
{
	struct str near = p->n_findings < FINDINGS_MAX ? prop_nearest(&p->arena, v->name) : STR_EMPTY, key;
	struct prop_value meant = *v;
	int index;

	if (near.len) /* a mistyped password is one */
		meant.desc = prop_desc_find(near, &key, &index);
	find_fault(p, &meant,
		   near.len ? str_printf_in(&p->arena, "unknown; did you mean %.*s?", STRF(near)) : STR("unknown"));
}

static void add_entry(struct props *p, const struct prop_source *s, const struct prop_entry *e)
{
	struct str written = str_dup_in(&p->arena, e->name);
	struct prop_value v = {
		.name = written,
		.written = written,
		.value = str_dup_in(&p->arena, e->value),
		.origin = { s->name, e->line, e->column },
	};
	int index;

	v.desc = prop_desc_find(v.name, &v.key, &index);
	if (!v.desc && v.value.len == 0 && prop_is_inner(v.name))
		return;
	if (!v.desc && prop_is_owned(v.name)) {
		add_unknown(p, &v);
		return;
	}
	if (v.desc) {
		v.name = prop_canonical(&p->arena, v.desc, v.key);
		if (index >= 0)
			v.name = str_printf_in(&p->arena, "%.*s[%d]", STRF(v.name), index);
	}
	add_value(p, v);
}

/* NAME_0_ and NAME_0: the index of a list's member; -1 and the name as it is otherwise. */
static struct str cut_env_index(struct str name, int *index)
{
	struct str bare = name, digits;
	ptrdiff_t bar;
	uint64_t v;

	*index = -1;
	if (str_has_suffix(bare, STR("_")))
		bare.len--;
	bar = str_rchr(bare, '_');
	digits = bar < 0 ? STR_EMPTY : str_slice(bare, (size_t)bar + 1, bare.len);
	if (bar <= 0 || digits.len > 4 || !str_to_u64(digits, &v))
		return name;
	*index = (int)v;
	return str_slice(bare, 0, (size_t)bar);
}

/* The row without {key} that the variable names. */
static const struct prop_desc *env_plain_row(struct str env, bool list)
{
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		const struct prop_desc *d = &prop_catalogue[i];

		if ((!list || d->type == PROP_LIST) && !strchr(d->name, '{') && relax_env_eq(env, str_from(d->name)))
			return d;
	}
	return NULL;
}

struct lookup {
	struct props *p;
	const struct prop_source *sources;
	size_t n;
};

/* The key as a file or the command line writes it, which the variable's capitals cannot tell. */
static struct str env_key(const struct lookup *l, const struct prop_desc *d, struct str key)
{
	struct str fixed = str_slice(str_from(d->name), 0, (size_t)(strchr(d->name, '{') - d->name)), found;
	int index;

	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; !l->sources[i].env && k < l->sources[i].n; k++) {
			const struct prop_desc *other = prop_desc_find(l->sources[i].entry[k].name, &found, &index);

			if (other && found.len && str_has_prefix(str_from(other->name), fixed) && relax_env_eq(found, key))
				return str_dup_in(&l->p->arena, found);
		}
	}
	return str_eq(key, STR("defaultzone")) ? STR("defaultZone") : key;
}

/* An environment variable is taken if it names a row: ZUUL_PREFIX, ZUUL_IGNOREDSERVICES_0_, and for a pattern
 * PRODUCT_RIBBON_LISTOFSERVERS, with the key in lower case unless a file has it in another form. */
static void add_env(const struct lookup *l, const struct prop_source *s, const struct prop_entry *e)
{
	struct props *p = l->p;
	struct prop_value v = { .value = str_dup_in(&p->arena, e->value) };
	int index = -1, ignored;
	char *dotted;

	v.desc = env_plain_row(e->name, false);
	if (!v.desc)
		v.desc = env_plain_row(cut_env_index(e->name, &index), true);
	if (!v.desc) {
		struct str bare = cut_env_index(e->name, &index);

		dotted = arena_alloc(&p->arena, e->name.len + 1);
		for (size_t k = 0; k < e->name.len; k++)
			dotted[k] = e->name.ptr[k] == '_' ? '.' : ascii_lower(e->name.ptr[k]);
		v.desc = index >= 0 ? prop_desc_find(str_of(dotted, bare.len), &v.key, &ignored) : NULL;
		if (!v.desc || v.desc->type != PROP_LIST) {
			index = -1;
			v.desc = prop_desc_find(str_of(dotted, e->name.len), &v.key, &ignored);
		}
		if (!v.desc || v.key.len == 0)
			return;
		v.key = env_key(l, v.desc, v.key);
	}
	v.name = prop_canonical(&p->arena, v.desc, v.key);
	v.origin.source = str_printf_in(&p->arena, "%.*s %.*s", STRF(s->name), STRF(e->name));
	if (index >= 0) { /* members of one list come from one source, though each has its own variable */
		v.name = str_printf_in(&p->arena, "%.*s[%d]", STRF(v.name), index);
		v.origin.source = s->name;
	}
	add_value(p, v);
}

static bool lookup_name(void *ctx, struct str name, struct str *ret)
{
	struct lookup *l = ctx;
	const struct prop_value *v = props_get(l->p, name);

	if (v) {
		*ret = v->value;
		return true;
	}
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; l->sources[i].env && k < l->sources[i].n; k++) {
			if (str_eq(l->sources[i].entry[k].name, name)) {
				*ret = l->sources[i].entry[k].value;
				return true;
			}
		}
	}
	return machine_property(&l->p->arena, name, ret);
}

/* The values as written stay until all are resolved: each is resolved from what was written. */
static void resolve_all(struct props *p, struct lookup *l)
{
	struct str *resolved = xmalloc(MAX(p->n, (size_t)1) * sizeof(*resolved));
	struct err e;

	for (size_t i = 0; i < p->n; i++) {
		struct prop_value *v = &p->value[i];

		resolved[i] = v->value;
		if (placeholder_resolve(&p->arena, v->value, lookup_name, l, &resolved[i], &e) < 0)
			find_fault(p, v, str_from(e.text));
	}
	for (size_t i = 0; i < p->n; i++)
		p->value[i].value = resolved[i];
	free(resolved);
}

static void validate_all(struct props *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct prop_value *v = &p->value[i];
		struct err e;

		if (!v->desc || (v->value.len == 0 && v->desc->type != PROP_ENUM))
			continue; /* an empty value is "not set", as in Spring */
		if (str_find(v->value, STR("${")) < 0 && prop_validate(v->desc, v->value, &e) < 0)
			find_fault(p, v, str_from(e.text));
	}
}

struct props *props_build(const struct prop_source *sources, size_t n, const struct str *profiles, size_t n_profiles)
{
	struct props *p = xzalloc(sizeof(*p));
	struct lookup l = { p, sources, n };

	p->refs = 1;
	arena_init(&p->arena, 16 * 1024);
	map_init(&p->by_name, 1);
	map_init(&p->by_uniform, 1);
	map_init(&p->list_from, 1);
	map_init(&p->rows, 1);
	for (size_t i = 0; i < prop_catalogue_len; i++)
		map_put(&p->rows, str_from(prop_catalogue[i].name), (void *)(uintptr_t)(i + 1));
	p->profile = arena_alloc(&p->arena, MAX(n_profiles, (size_t)1) * sizeof(*p->profile));
	for (size_t i = 0; i < n_profiles; i++)
		p->profile[p->n_profiles++] = str_dup_in(&p->arena, profiles[i]);
	for (size_t i = 0; i < n; i++) {
		struct prop_source s = sources[i];

		s.name = str_dup_in(&p->arena, s.name);
		for (size_t k = 0; k < s.n; k++) {
			if (s.env)
				add_env(&l, &s, &s.entry[k]);
			else
				add_entry(p, &s, &s.entry[k]);
		}
	}
	resolve_all(p, &l);
	validate_all(p);
	return p;
}

/* --- reading --- */

const struct prop_value *props_get(const struct props *p, struct str name)
{
	uintptr_t i = (uintptr_t)map_get(&p->by_name, name);

	if (!i) {
		struct arena a;
		struct str key;
		int index;
		const struct prop_desc *d = prop_desc_find(name, &key, &index);

		arena_init(&a, 512);
		if (d) {
			struct str stored = prop_canonical(&a, d, key);

			if (index >= 0)
				stored = str_printf_in(&a, "%.*s[%d]", STRF(stored), index);
			i = (uintptr_t)map_get(&p->by_name, stored);
		} else {
			i = (uintptr_t)map_get(&p->by_uniform, relax_uniform(&a, name));
		}
		arena_fini(&a);
	}
	return i ? &p->value[i - 1] : NULL;
}

size_t props_count(const struct props *p)
{
	return p->n;
}

const struct prop_value *props_at(const struct props *p, size_t i)
{
	assert(i < p->n);
	return &p->value[i];
}

size_t props_findings(const struct props *p, const struct prop_finding **ret)
{
	*ret = p->finding;
	return p->n_findings;
}

bool props_ok(const struct props *p)
{
	return !p->has_errors;
}

size_t props_profiles(const struct props *p, const struct str **ret)
{
	*ret = p->profile;
	return p->n_profiles;
}

static const struct prop_desc *row_or_null(const struct props *p, const char *name)
{
	uintptr_t i = (uintptr_t)map_get(&p->rows, str_from(name));

	return i ? &prop_catalogue[i - 1] : NULL;
}

static const struct prop_desc *row(const struct props *p, const char *name)
{
	const struct prop_desc *d = row_or_null(p, name);

	assert(d); /* the catalogue lacks a property that the code reads */
	return d;
}

static const struct prop_value *stored(const struct props *p, const struct prop_desc *d, struct str key)
{
	char room[512];
	struct str name = str_from(d->name);
	ptrdiff_t open = str_chr(name, '{');

	if (open >= 0) {
		struct buf b = { .ptr = room, .cap = sizeof(room), .max = sizeof(room) };

		buf_add(&b, name.ptr, (size_t)open);
		buf_adds(&b, key);
		buf_adds(&b, str_slice(name, (size_t)str_chr(name, '}') + 1, name.len));
		if (b.failed)
			return NULL;
		name = buf_str(&b);
		uintptr_t i = (uintptr_t)map_get(&p->by_name, name);

		return i ? &p->value[i - 1] : NULL;
	}

	uintptr_t i = (uintptr_t)map_get(&p->by_name, name);

	return i ? &p->value[i - 1] : NULL;
}

static bool is_value(const struct prop_value *v)
{
	enum prop_type t = v ? v->desc->type : PROP_STR;

	return v && (v->value.len > 0 || t == PROP_LIST || t == PROP_STR || t == PROP_PATH);
}

/* The next link of a chain: the key "default" of some families, ribbon's global form. */
static const struct prop_value *next_link(const struct props *p, const struct prop_desc *d)
{
	static const struct str families[] = { STR_INIT("hystrix."), STR_INIT("vine.command."), STR_INIT("vine.loadbalancer."),
					       STR_INIT("niws."), STR_INIT("ZoneAware") };
	struct str name = str_from(d->name);

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (str_has_prefix(name, families[i]) && str_chr(name, '{') >= 0)
			return stored(p, d, STR("default"));
	}
	if (str_has_prefix(name, STR("{client}.ribbon."))) {
		const struct prop_desc *global = row_or_null(p, d->name + strlen("{client}."));

		return global ? stored(p, global, STR_EMPTY) : NULL;
	}
	return NULL;
}

static struct str text_of(const struct props *p, const struct prop_desc *d, struct str key)
{
	const struct prop_value *v = stored(p, d, key);

	if (!is_value(v))
		v = next_link(p, d);
	return is_value(v) ? v->value : str_from(d->def);
}

bool props_is_set(const struct props *p, const char *name, struct str key, bool default_too)
{
	const struct prop_desc *d = row(p, name);

	return is_value(stored(p, d, key)) || (default_too && is_value(next_link(p, d)));
}

struct str props_str_of(const struct props *p, const char *name, struct str key)
{
	return text_of(p, row(p, name), key);
}

bool props_bool_of(const struct props *p, const char *name, struct str key)
{
	bool b = false;

	str_to_bool(str_trim(text_of(p, row(p, name), key)), &b);
	return b;
}

int64_t props_int_of(const struct props *p, const char *name, struct str key)
{
	int64_t v = 0;

	str_to_i64(str_trim(text_of(p, row(p, name), key)), &v);
	return v;
}

int64_t props_ms_of(const struct props *p, const char *name, struct str key)
{
	const struct prop_desc *d = row(p, name);
	int64_t v = 0;

	prop_parse_ms(text_of(p, d, key), d->type == PROP_SEC ? 1000 : 1, &v);
	return v;
}

bool props_bool(const struct props *p, const char *name)
{
	return props_bool_of(p, name, STR_EMPTY);
}

int64_t props_int(const struct props *p, const char *name)
{
	return props_int_of(p, name, STR_EMPTY);
}

int64_t props_ms(const struct props *p, const char *name)
{
	return props_ms_of(p, name, STR_EMPTY);
}

int64_t props_bytes(const struct props *p, const char *name)
{
	int64_t v = 0;

	prop_parse_bytes(text_of(p, row(p, name), STR_EMPTY), &v);
	return v;
}

double props_double(const struct props *p, const char *name)
{
	double v = 0;

	str_to_double(str_trim(text_of(p, row(p, name), STR_EMPTY)), &v);
	return v;
}

struct str props_str(const struct props *p, const char *name)
{
	return props_str_of(p, name, STR_EMPTY);
}

bool props_enum_is(const struct props *p, const char *name, struct str value)
{
	return relax_eq(str_trim(props_str(p, name)), value);
}

size_t props_list(const struct props *p, const char *name, struct str key, struct str *ret, size_t max)
{
	const struct prop_desc *d = row(p, name);
	struct arena a;
	size_t n = 0;

	arena_init(&a, 512);

	struct str base = prop_canonical(&a, d, key);

	for (int i = 0; n < max; i++) {
		uintptr_t at = (uintptr_t)map_get(&p->by_name, str_printf_in(&a, "%.*s[%d]", STRF(base), i));

		if (!at)
			break;
		ret[n++] = p->value[at - 1].value;
	}
	arena_fini(&a);
	if (n)
		return n;

	struct str rest = text_of(p, d, key), piece;

	while (n < max && str_cut(&rest, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.len)
			ret[n++] = piece;
	}
	return n;
}

size_t props_keys(const struct props *p, const char *prefix, struct str *ret, size_t max)
{
	struct str pre = str_from(prefix);
	size_t n = 0;

	for (size_t i = 0; i < p->n && n < max; i++) {
		const struct prop_value *v = &p->value[i];
		bool known = !v->desc || v->key.len == 0 || !str_has_prefix(str_from(v->desc->name), pre);

		for (size_t k = 0; k < n && !known; k++)
			known = str_eq(ret[k], v->key);
		if (!known)
			ret[n++] = v->key;
	}
	return n;
}
