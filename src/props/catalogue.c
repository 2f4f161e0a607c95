/* catalogue.c - finding rows and judging values. The rows are in catalogue_rows.c. */
#include "props/catalogue.h"

#include "codec/basepath.h"
#include "props/relax.h"

const struct prop_desc *prop_desc_named(const char *name)
{
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		if (strcmp(prop_catalogue[i].name, name) == 0)
			return &prop_catalogue[i];
	}
	return NULL;
}

/* --- binding a key to a row --- */

/* Takes "[12]" off the end. */
static struct str cut_index(struct str name, int *index)
{
	ptrdiff_t open = name.len && name.ptr[name.len - 1] == ']' ? str_rchr(name, '[') : -1;
	uint64_t v;

	*index = -1;
	if (open < 0 || !str_to_u64(str_slice(name, (size_t)open + 1, name.len - 1), &v) || v > 9999)
		return name;
	*index = (int)v;
	return str_slice(name, 0, (size_t)open);
}

/* "a[b.c].d": Spring's way to write a user's key with dots. */
static struct str unbracket(struct str key)
{
	if (key.len > 2 && key.ptr[0] == '[' && key.ptr[key.len - 1] == ']')
		return str_slice(key, 1, key.len - 1);
	return key;
}

static bool binds(const struct prop_desc *d, struct str name, struct str *key)
{
	struct str pat = str_from(d->name);
	ptrdiff_t open = str_chr(pat, '{');

	*key = STR_EMPTY;
	if (open < 0)
		return relax_eq(pat, name);

	struct str prefix = str_slice(pat, 0, (size_t)open);
	struct str suffix = str_slice(pat, (size_t)str_chr(pat, '}') + 1, pat.len);
	size_t from = relax_prefix(name, prefix), to = relax_suffix(name, suffix);

	if (from == SIZE_MAX || to == SIZE_MAX || from >= to)
		return false;

	struct str got = str_slice(name, from, to);

	if (got.ptr[0] == '[' && prefix.len == 0)
		return false;
	/* zuul.routes.a.pth is a mistyped zuul.routes.a.path, not the route "a.pth". */
	if (suffix.len == 0 && got.ptr[0] != '[' && str_eq(prefix, STR("zuul.routes.")) && str_chr(got, '.') >= 0)
		return false;
	*key = unbracket(got);
	return key->len > 0;
}

/* Several rows may bind ("{client}.ribbon.X" and "a.b.{key}.ribbon.X"): the one with most fixed text wins. */
static const struct prop_desc *best_row(struct str name, struct str *key)
{
	const struct prop_desc *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < prop_catalogue_len; i++) {
		const struct prop_desc *d = &prop_catalogue[i];
		struct str k;

		if (!binds(d, name, &k))
			continue;

		size_t fixed = name.len - k.len + (k.len == 0);

		if (!best || fixed > best_len) {
			best = d;
			best_len = fixed;
			*key = k;
		}
	}
	return best;
}

const struct prop_desc *prop_desc_find(struct str name, struct str *key, int *index)
{
	const struct prop_desc *d;

	*key = STR_EMPTY;
	*index = -1;
	d = best_row(name, key);
	if (d)
		return d;

	struct str bare = cut_index(name, index);

	if (*index < 0)
		return NULL;
	d = best_row(bare, key);
	return d && d->type == PROP_LIST ? d : NULL;
}

bool prop_is_owned(struct str name)
{
	static const struct str owned[] = {
		STR_INIT("zuul."),   STR_INIT("hystrix."), STR_INIT("eureka."),
		STR_INIT("ribbon."), STR_INIT("vine."),	   STR_INIT("feign."),
	};
	static const struct str foreign[] = { /* Boot's own, of which the catalogue knows a part */
		STR_INIT("spring."), STR_INIT("management."), STR_INIT("logging."), STR_INIT("server."),
	};
	struct str rest = name, seg;
	bool first = true;

	for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
		if (relax_prefix(name, owned[i]) != SIZE_MAX)
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		if (relax_prefix(name, foreign[i]) != SIZE_MAX)
			return false;
	}
	while (str_cut(&rest, '.', &seg)) {
		if (!first && str_eq(seg, STR("ribbon")) && rest.len != SIZE_MAX)
			return true; /* "<client>.ribbon.X" */
		first = false;
	}
	return false;
}

bool prop_is_inner(struct str name)
{
	for (size_t i = 0; i < prop_catalogue_len; i++) {
		struct str row = str_from(prop_catalogue[i].name);
		ptrdiff_t open = str_chr(row, '{');
		size_t end = relax_prefix(row, name);

		if (end != SIZE_MAX && end < row.len && row.ptr[end] == '.')
			return true;
		/* "zuul.routes.shop": what follows the user's part may be empty too */
		if (open > 0 && strchr(prop_catalogue[i].name, '}')[1] == '.' &&
		    relax_prefix(name, str_slice(row, 0, (size_t)open)) != SIZE_MAX)
			return true;
	}
	return false;
}

/* The pattern with {key} filled from name: as many of its segments as leave what the pattern's end needs, at least one.
 * Empty if name does not start as the pattern does. */
static struct str filled(struct arena *a, struct str pat, struct str name)
{
	ptrdiff_t open = str_chr(pat, '{');
	struct str prefix = str_slice(pat, 0, (size_t)open);
	struct str suffix = str_slice(pat, (size_t)str_chr(pat, '}') + 1, pat.len);
	size_t from = relax_prefix(name, prefix), to = name.len, dots = 0;
	ptrdiff_t first;

	if (from == SIZE_MAX || from >= name.len)
		return STR_EMPTY;
	for (size_t i = 0; i < suffix.len; i++)
		dots += suffix.ptr[i] == '.';
	while (dots > 0 && to > from)
		dots -= name.ptr[--to] == '.';
	first = str_chr(str_slice(name, from, name.len), '.');
	if (to <= from)
		to = first < 0 ? name.len : from + (size_t)first;
	return str_printf_in(a, "%.*s%.*s%.*s", STRF(prefix), STRF(str_slice(name, from, to)), STRF(suffix));
}

struct str prop_nearest(struct arena *a, struct str name)
{
	unsigned best = MIN((unsigned)name.len / 3 + 1, 6u);
	struct str best_name = STR_EMPTY;
	struct str low = relax_uniform(a, name);

	for (size_t i = 0; i < prop_catalogue_len; i++) {
		struct str pat = str_from(prop_catalogue[i].name);
		struct str shown = strchr(prop_catalogue[i].name, '{') ? filled(a, pat, name) : pat;

		if (shown.len == 0)
			continue;

		unsigned d = str_distance(low, relax_uniform(a, shown), best);

		if (d > 0 && d < best) { /* 0: a pattern that could be the name, but for its rules */
			best = d;
			best_name = shown;
		}
	}
	return best_name;
}

struct str prop_canonical(struct arena *a, const struct prop_desc *d, struct str key)
{
	struct str pat = str_from(d->name);
	ptrdiff_t open = str_chr(pat, '{');

	if (open < 0)
		return pat;

	struct str before = str_slice(pat, 0, (size_t)open), after = str_slice(pat, (size_t)str_chr(pat, '}') + 1, pat.len);
	char *name = arena_alloc(a, before.len + key.len + after.len + 1);

	/* Copied, not printed: a key may hold any byte, also NUL. */
	memcpy(name, before.ptr, before.len);
	memcpy(name + before.len, key.ptr ? key.ptr : "", key.len);
	memcpy(name + before.len + key.len, after.ptr, after.len);
	name[before.len + key.len + after.len] = '\0';
	return str_of(name, before.len + key.len + after.len);
}

static bool has_word(struct str name, struct str word)
{
	for (size_t i = 0; i + word.len <= name.len; i++)
		if (str_eq_nocase(str_slice(name, i, i + word.len), word))
			return true;
	return false;
}

bool prop_hides(const struct prop_desc *d, struct str name, struct str value)
{
	static const struct str words[] = { STR_INIT("passw"), STR_INIT("secret"), STR_INIT("token"), STR_INIT("credential"),
					    STR_INIT("passphrase") };

	if (d && d->secret)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (has_word(name, words[i]))
			return true;
	if (!d && name.len >= 3 && str_eq_nocase(str_slice(name, name.len - 3, name.len), STR("key")))
		return true;
	return str_find(value, STR("://")) >= 0 && str_chr(value, '@') >= 0;
}

/* --- values --- */

/* A number and a unit in letters behind it, perhaps with a blank between. */
static bool split_unit(struct str s, int64_t *n, struct str *unit)
{
	size_t i = s.len && s.ptr[0] == '-' ? 1 : 0;

	while (i < s.len && ascii_is_digit(s.ptr[i]))
		i++;
	*unit = str_trim(str_slice(s, i, s.len));
	return str_to_i64(str_slice(s, 0, i), n);
}

bool prop_parse_ms(struct str s, int64_t unit_ms, int64_t *ret)
{
	static const struct {
		struct str name;
		int64_t ms;
	} units[] = {
		{ STR_INIT("ms"), 1 },      { STR_INIT("s"), 1000 },     { STR_INIT("m"), 60000 },
		{ STR_INIT("h"), 3600000 }, { STR_INIT("d"), 86400000 },
	};
	int64_t n;
	struct str unit;

	s = str_trim(s);
	if (str_has_prefix_nocase(s, STR("PT")))
		s = str_slice(s, 2, s.len); /* ISO 8601 with one part: PT5S, PT1M */
	if (!split_unit(s, &n, &unit))
		return false;
	if (unit.len == 0)
		return !__builtin_mul_overflow(n, unit_ms, ret);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (str_eq_nocase(unit, units[i].name))
			return !__builtin_mul_overflow(n, units[i].ms, ret);
	}
	return false;
}

bool prop_parse_bytes(struct str s, int64_t *ret)
{
	static const struct {
		struct str name;
		int shift;
	} units[] = {
		{ STR_INIT(""), 0 },    { STR_INIT("B"), 0 },   { STR_INIT("KB"), 10 }, { STR_INIT("K"), 10 },
		{ STR_INIT("MB"), 20 }, { STR_INIT("M"), 20 },  { STR_INIT("GB"), 30 }, { STR_INIT("G"), 30 },
	};
	int64_t n;
	struct str unit;

	if (!split_unit(str_trim(s), &n, &unit))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (str_eq_nocase(unit, units[i].name))
			return !__builtin_mul_overflow(n, (int64_t)1 << units[i].shift, ret);
	}
	return false;
}

static int check_range(const struct prop_desc *d, struct str value, int64_t v, int64_t unit, struct err *e)
{
	(void)value;
	if ((d->min || d->max) && (v < d->min * unit || v > d->max * unit))
		return err_set(e, VINE_EINVAL, "must be between %lld and %lld", (long long)d->min, (long long)d->max);
	return 0;
}

static int check_enum(const struct prop_desc *d, struct str value, struct err *e)
{
	struct str rest = str_from(d->values), one;

	while (str_cut(&rest, ' ', &one)) {
		if (relax_eq(one, value))
			return 0;
	}
	return err_set(e, VINE_EINVAL, "must be one of: %s", d->values);
}

bool prop_class_is(struct str value, struct str name)
{
	ptrdiff_t dot = str_rchr(name, '.');

	if (dot < 0)
		return relax_eq(name, value);
	return str_eq(value, name) || str_eq(value, str_slice(name, (size_t)dot + 1, name.len));
}

bool prop_class_is_plugin(struct str value)
{
	return str_chr(value, '/') >= 0;
}

static int check_class(const struct prop_desc *d, struct str value, struct err *e)
{
	struct str rest = str_from(d->values), one, near = STR_EMPTY;
	unsigned best = 32;

	if (prop_class_is_plugin(value)) {
		ptrdiff_t colon = str_rchr(value, ':');

		if (colon > 0 && (size_t)colon + 1 < value.len && value.ptr[colon - 1] != '/')
			return 0;
		return err_set(e, VINE_EINVAL, "a table of your own is named path:symbol, such as /usr/lib/shop/rules.so:cheapest");
	}
	while (str_cut(&rest, ' ', &one)) {
		struct str last = str_slice(one, (size_t)(str_rchr(one, '.') + 1), one.len);
		struct str mine = str_chr(value, '.') >= 0 ? one : last;
		unsigned far = str_distance(value, mine, best);

		if (prop_class_is(value, one))
			return 0;
		if (far < best && far < MAX(mine.len, value.len) / 2) {
			best = far;
			near = mine;
		}
	}
	if (near.len)
		return err_set(e, VINE_EINVAL, "unknown; did you mean %.*s? A table of your own is path:symbol", STRF(near));
	return err_set(e, VINE_EINVAL, "must be a table of your own, path:symbol, or one of: %s", d->values);
}

int prop_validate(const struct prop_desc *d, struct str value, struct err *e)
{
	int64_t v;
	double f;
	bool b;

	switch (d->type) {
	case PROP_BOOL:
		return str_to_bool(str_trim(value), &b) ? 0 : err_set(e, VINE_EINVAL, "must be true or false");
	case PROP_INT:
		if (!str_to_i64(str_trim(value), &v))
			return err_set(e, VINE_EINVAL, "must be a whole number");
		return check_range(d, value, v, 1, e);
	case PROP_MS:
		if (!prop_parse_ms(value, 1, &v))
			return err_set(e, VINE_EINVAL, "must be a time, such as 500, 500ms or 5s");
		return check_range(d, value, v, 1, e);
	case PROP_SEC:
		if (!prop_parse_ms(value, 1000, &v))
			return err_set(e, VINE_EINVAL, "must be a time, such as 30 (seconds), 30s or 500ms");
		return check_range(d, value, v, 1000, e);
	case PROP_BYTES:
		if (!prop_parse_bytes(value, &v))
			return err_set(e, VINE_EINVAL, "must be a size, such as 16384 or 16KB");
		return check_range(d, value, v, 1, e);
	case PROP_DOUBLE:
		if (!str_to_double(str_trim(value), &f))
			return err_set(e, VINE_EINVAL, "must be a number");
		if ((d->min || d->max) && !(f >= (double)d->min && f <= (double)d->max)) /* nor NaN */
			return err_set(e, VINE_EINVAL, "must be between %lld and %lld", (long long)d->min, (long long)d->max);
		return 0;
	case PROP_ENUM:
		return check_enum(d, str_trim(value), e);
	case PROP_CLASS:
		return check_class(d, str_trim(value), e);
	case PROP_PATH: {
		struct basepath path;

		return basepath_read(&path, value, e);
	}
	case PROP_STR:
	case PROP_LIST:
		return 0;
	}
	return 0;
}
