/* secret.c - see secret.h. The catalogue knows its own secrets; for foreign names Boot's rule decides. */
#include "manage/secret.h"

#include "props/props.h"

bool secret_is_name(struct str n)
{
	static const struct str ends[] = { STR_INIT("password"), STR_INIT("secret"), STR_INIT("key"), STR_INIT("token") };
	static const struct str inside[] = { STR_INIT("credential"), STR_INIT("vcap_services"), STR_INIT("sun.java.command") };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (n.len >= ends[i].len && str_eq_nocase(str_slice(n, n.len - ends[i].len, n.len), ends[i]))
			return true;
	}
	for (size_t at = 0; at < n.len; at++) {
		for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
			if (str_has_prefix_nocase(str_slice(n, at, n.len), inside[i]))
				return true;
		}
	}
	return false;
}

/* Each URL of the value: a list may hold several. */
struct str secret_without_userinfo(struct arena *a, struct str v)
{
	struct str done = v;
	size_t at = 0;

	for (;;) {
		ptrdiff_t scheme = str_find(str_slice(done, at, done.len), STR("://"));
		size_t from, end, colon;

		if (scheme < 0)
			return done;
		from = end = at + (size_t)scheme + 3;
		while (end < done.len && !strchr("/?#, ", done.ptr[end]))
			end++;

		ptrdiff_t sign = str_rchr(str_slice(done, from, end), '@');
		ptrdiff_t sep = sign < 0 ? -1 : str_chr(str_slice(done, from, from + (size_t)sign), ':');

		at = end;
		if (sep < 0)
			continue;
		colon = from + (size_t)sep + 1;
		at = colon + 6;
		done = str_printf_in(a, "%.*s******%.*s", (int)colon, done.ptr, (int)(done.len - from - (size_t)sign),
				     done.ptr + from + (size_t)sign);
	}
}

struct str secret_masked(struct arena *a, const struct prop_value *v)
{
	if (v->value.len && (v->desc ? v->desc->secret : secret_is_name(v->name)))
		return STR("******");
	return secret_without_userinfo(a, v->value);
}
