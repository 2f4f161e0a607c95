/* stick.c - see stick.h. */
#include "ribbon/stick.h"

struct str stick_cookie(struct str field, struct str name)
{
	struct str one, key;

	while (str_cut(&field, ';', &one)) {
		if (str_cut(&one, '=', &key) && one.len != SIZE_MAX && str_eq(str_trim(key), name))
			return str_trim(one);
	}
	return STR_EMPTY;
}
