/* fuzz_stick.c - a Cookie field searched for the name in its first line: the value lies inside the field, without blanks at its
 * ends, and is the one that stands behind the name. */
#include "fuzz.h"

#include "ribbon/stick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str field = str_of((const char *)data, size), name, value;

	str_cut(&field, '\n', &name);
	if (field.len == SIZE_MAX)
		field = STR_EMPTY;
	value = stick_cookie(field, name);
	if (value.len == 0)
		return 0;
	PROMISE(value.ptr >= field.ptr && value.ptr + value.len <= field.ptr + field.len);
	PROMISE(str_eq(str_trim(value), value) && str_chr(value, ';') < 0);
	PROMISE(str_find(str_of(field.ptr, (size_t)(value.ptr - field.ptr)), name) >= 0);
	return 0;
}
