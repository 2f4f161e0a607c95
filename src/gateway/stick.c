/* stick.c - see stick.h. */
#include "gateway/stick.h"

#include "ribbon/stick.h"

/* The value of a cookie, from any of the Cookie fields; empty: not there. */
static struct str cookie_of(const struct http_head *h, struct str name)
{
	struct str value = STR_EMPTY;

	for (unsigned i = 0; i < h->nfields && value.len == 0; i++) {
		if (h->field[i].id == H_COOKIE)
			value = stick_cookie(h->field[i].value, name);
	}
	return value;
}

static struct str address_of(const struct exchange *ex, bool trusted, char room[ADDR_TEXT_MAX])
{
	struct str list = trusted ? head_value(&ex->req, H_X_FORWARDED_FOR) : STR_EMPTY, first;

	str_cut(&list, ',', &first);
	first = str_trim(first);
	return first.len ? first : str_of(room, (size_t)addr_ip_text(&ex->peer, room));
}

bool gw_stick_key(const struct ribbon_settings *lb, const struct exchange *ex, struct str path, bool trusted,
		  uint64_t *ret)
{
	char ip[ADDR_TEXT_MAX];
	const struct hfield *f;
	struct str key = STR_EMPTY;

	switch (lb->hash) {
	case HASH_NONE: return false;
	case HASH_HEADER:
		f = head_find_name(&ex->req, lb->hash_name);
		key = f ? f->value : STR_EMPTY;
		break;
	case HASH_COOKIE: key = cookie_of(&ex->req, lb->hash_name); break;
	case HASH_ADDRESS: key = address_of(ex, trusted, ip); break;
	case HASH_PATH: key = path; break;
	}
	if (key.len == 0)
		return false;
	*ret = hash_ring_key(key);
	return true;
}
