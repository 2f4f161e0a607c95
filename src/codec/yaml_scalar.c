/* yaml_scalar.c - the implicit types of YAML 1.1, in SnakeYAML's reading: bool, int (with base 2, 8, 16 and 60), float,
 * null. Timestamps are not a type here, as in Spring: dates stay strings. */
#include "codec/yaml.h"

#include <math.h>
#include <stdio.h>

#define NUMBER_MAX 64 /* bytes; longer ones stay strings */

static bool one_of(struct str s, const char *const *words) /* lower, Capital or UPPER, as YAML 1.1 has it */
{
	for (; *words; words++) {
		struct str w = str_from(*words);
		bool upper = true, lower = true;

		if (!str_eq_nocase(s, w))
			continue;
		for (size_t i = 1; i < s.len; i++) {
			upper = upper && s.ptr[i] == ascii_upper(s.ptr[i]);
			lower = lower && s.ptr[i] == ascii_lower(s.ptr[i]);
		}
		if (lower || (upper && s.ptr[0] == ascii_upper(s.ptr[0])))
			return true;
	}
	return false;
}

static int digit_of(char c, unsigned base)
{
	int d;

	if (ascii_is_digit(c))
		d = c - '0';
	else if (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f')
		d = ascii_lower(c) - 'a' + 10;
	else
		return -1;
	return (unsigned)d < base ? d : -1;
}

/* Digits of one base with underscores between them. False: not that form; *fits tells of overflow. */
static bool digits_to_u64(struct str s, unsigned base, uint64_t *ret, bool *fits)
{
	uint64_t v = 0;
	unsigned n = 0;

	for (size_t i = 0; i < s.len; i++) {
		int d = digit_of(s.ptr[i], base);

		if (s.ptr[i] == '_' && (i > 0 || base != 10))
			continue;
		if (d < 0)
			return false;
		n++;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (unsigned)d, &v))
			*fits = false;
	}
	*ret = v;
	return n > 0;
}

/* 12:30:45; the parts after the first are 0 to 59. */
static bool sexagesimal(struct str s, uint64_t *ret, bool *fits)
{
	uint64_t v = 0, part;
	struct str piece;
	bool first = true;

	while (str_cut(&s, ':', &piece)) {
		if (!digits_to_u64(piece, 10, &part, fits) || (!first && (part > 59 || piece.len > 2)) ||
		    (first && piece.len > 1 && piece.ptr[0] == '0'))
			return false;
		if (__builtin_mul_overflow(v, 60u, &v) || __builtin_add_overflow(v, part, &v))
			*fits = false;
		first = false;
	}
	*ret = v;
	return true;
}

static bool to_magnitude(struct str s, uint64_t *ret, bool *fits)
{
	if (s.len > 2 && s.ptr[0] == '0' && s.ptr[1] == 'b')
		return digits_to_u64(str_slice(s, 2, s.len), 2, ret, fits);
	if (s.len > 2 && s.ptr[0] == '0' && s.ptr[1] == 'x')
		return digits_to_u64(str_slice(s, 2, s.len), 16, ret, fits);
	if (s.len > 1 && s.ptr[0] == '0')
		return digits_to_u64(str_slice(s, 1, s.len), 8, ret, fits);
	if (str_chr(s, ':') > 0)
		return sexagesimal(s, ret, fits);
	return digits_to_u64(s, 10, ret, fits);
}

static bool resolve_int(struct arena *a, struct str s, struct str *ret)
{
	bool neg = s.ptr[0] == '-', fits = true;
	struct str digits = s.ptr[0] == '-' || s.ptr[0] == '+' ? str_slice(s, 1, s.len) : s;
	uint64_t v;

	if (digits.len == 0 || !ascii_is_digit(digits.ptr[0]) || !to_magnitude(digits, &v, &fits))
		return false;
	/* Beyond 64 bits Java has a BigInteger; as text it is what was written. */
	*ret = fits ? str_printf_in(a, "%s%llu", neg && v ? "-" : "", (unsigned long long)v) : s;
	return true;
}

static size_t skip_digits(struct str s, size_t i)
{
	while (i < s.len && (ascii_is_digit(s.ptr[i]) || s.ptr[i] == '_'))
		i++;
	return i;
}

/* [-+]? digits with a point or an exponent or both. */
static bool looks_float(struct str s)
{
	size_t i = s.ptr[0] == '-' || s.ptr[0] == '+', first = i, k;
	bool point, exponent;

	i = skip_digits(s, i);
	if (i > first && s.ptr[first] == '_')
		return false;
	point = i < s.len && s.ptr[i] == '.';
	if (point) {
		k = skip_digits(s, i + 1);
		if (i == first && (k == i + 1 || s.ptr[i + 1] == '_'))
			return false;
		i = k;
	} else if (i == first) {
		return false;
	}
	exponent = i < s.len && ascii_lower(s.ptr[i]) == 'e';
	if (exponent) {
		i++;
		if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
			i++;
		k = i;
		while (i < s.len && ascii_is_digit(s.ptr[i]))
			i++;
		if (i == k)
			return false;
	}
	return i == s.len && (point || exponent);
}

/* As Java's Double.toString writes it: 1.5, 1.0E10, 1.0E-4. */
static struct str java_double(struct arena *a, double v)
{
	char digits[40], *exp, *point;
	int e, prec;

	if (v == 0)
		return signbit(v) ? STR("-0.0") : STR("0.0");
	for (prec = 0; prec < 17; prec++) {
		snprintf(digits, sizeof(digits), "%.*e", prec, v);
		if (strtod(digits, NULL) == v)
			break;
	}
	exp = strchr(digits, 'e');
	e = atoi(exp + 1);
	if (fabs(v) >= 1e-3 && fabs(v) < 1e7)
		return str_printf_in(a, "%.*f", MAX(prec - e, 1), v);
	*exp = '\0';
	point = strchr(digits, '.');
	return str_printf_in(a, "%s%sE%d", digits, point ? "" : ".0", e);
}

static bool resolve_float(struct arena *a, struct str s, struct str *ret)
{
	static const char *const inf[] = { "inf", NULL };
	bool neg = s.ptr[0] == '-', sign = neg || s.ptr[0] == '+';
	char tmp[NUMBER_MAX + 1];
	size_t n = 0;

	if (str_eq(s, STR(".nan")) || str_eq(s, STR(".NaN")) || str_eq(s, STR(".NAN"))) {
		*ret = STR("NaN");
		return true;
	}
	if (s.len == 4u + sign && s.ptr[sign] == '.' && one_of(str_slice(s, sign + 1u, s.len), inf)) {
		*ret = neg ? STR("-Infinity") : STR("Infinity");
		return true;
	}
	if (!looks_float(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '_')
			tmp[n++] = s.ptr[i];
	tmp[n] = '\0';

	double v = strtod(tmp, NULL);

	*ret = isinf(v) ? (v < 0 ? STR("-Infinity") : STR("Infinity")) : java_double(a, v);
	return true;
}

enum flat_kind yaml_resolve(struct arena *a, struct str plain, struct str *ret)
{
	static const char *const yes[] = { "true", "yes", "on", NULL }, *const no[] = { "false", "no", "off", NULL };
	static const char *const null[] = { "~", "null", NULL };

	*ret = plain;
	if (plain.len == 0 || one_of(plain, null)) {
		*ret = STR_EMPTY;
		return FLAT_NULL;
	}
	if (plain.len > NUMBER_MAX)
		return FLAT_STR;
	if (one_of(plain, yes)) {
		*ret = STR("true");
		return FLAT_BOOL;
	}
	if (one_of(plain, no)) {
		*ret = STR("false");
		return FLAT_BOOL;
	}
	if (resolve_int(a, plain, ret))
		return FLAT_INT;
	return resolve_float(a, plain, ret) ? FLAT_FLOAT : FLAT_STR;
}
